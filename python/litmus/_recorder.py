# SPDX-License-Identifier: Apache-2.0
"""Records every run of pytest, from its plan to its last verdict.

Nothing is opened before there is a run, and no hooks that a test has to pay for are registered until
its log is open. What must never happen: a change of an outcome, an exit code or the output (but for the
one summary line), or an exception of ours in pytest.

How a run is put on record:

    one process     Recorder (here): session, run, plan, steps, end
    pytest-xdist    _xdist.py: Controller: session, end of run.  Worker: its steps, in a log of its own;
                    the first worker to have collected also puts run and plan on record

What all of them share is in _part.py, the hooks around a test are in _items.py.
"""

from __future__ import annotations

import pytest

from litmus.plugin import load

_context, _part = load("_context"), load("_part")
Part, uuid4, _getpid = _part.Part, _part.uuid4, _part._getpid


class Recorder(Part):
    """The one process of a run without xdist."""

    connects = True

    def __init__(self, config):
        super().__init__(config)
        self.dirty = _context.DirtyMark(str(config.rootpath))
        self.deselected = 0
        self.items = None

    def pytest_deselected(self, items) -> None:
        self.deselected += len(items)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session) -> None:
        try:
            self.begin(session)
        except pytest.exit.Exception:  # required, and not possible
            raise
        except Exception as exc:
            self.fail(exc)
        if self.cannot_start is not None:
            session.shouldfail = self.cannot_start  # pytest shows it
            raise session.Failed(self.cannot_start)

    def begin(self, session) -> None:
        """Collection is over: opens the log, puts run and plan on record."""
        if not session.items and not self.deselected and not session.testsfailed and self.stop_reason != "crash":
            return
        payload = self.context()
        if not self.open(data_dir=self.data_dir(), payload=_context.session_payload(payload)):
            return
        self.run_id = uuid4()
        if session.testsfailed:
            self.external = "errored"
        items = session.items
        if self.stop_reason == "crash":  # maybe of what a hook put among them
            items = [item for item in items if isinstance(item, pytest.Item)]
        plan = load("_plan").Plan(items, self.deselected)
        self.start_run(payload, plan)
        self.start_items(session, plan)

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_sessionfinish(self, session):
        yield
        if _getpid() != self.pid:
            return
        try:
            self.release_sigterm()
            self.finish(session)
        except Exception as exc:
            self.fail(exc)
        self.enforce(session)

    def finish(self, session) -> None:
        """The end of the run; also of one whose loop pytest did not come to."""
        if self.run_id is None and self.external is None and any(report.failed for report in self.collect_reports):
            self.stop_reason = "collection error"  # -x
        if self.run_id is None and self.stop_reason in ("collection error", "crash"):  # a conftest.py raised
            self.begin(session)
        if self.session is not None:
            items = self.items
            items.close_open()
            self.end_run(session, items.outcome(), items.unfinished())

    def finish_unstarted(self, session) -> None:
        """The end of a run whose session did not start."""
        self.finish(session)

# SPDX-License-Identifier: Apache-2.0
"""The parts of pytest-xdist's processes: one Controller, many Workers, one run (see _recorder.py)."""

from __future__ import annotations

import os

import pytest

from litmus.plugin import load

_context, _part, _verdict = load("_context"), load("_part"), load("_verdict")
Part, uuid4, _getpid = _part.Part, _part.uuid4, _part._getpid


def make_claim() -> tuple[int, str]:
    """A file without a name that the workers can open: nothing is left of it, however its owner ends. Elsewhere one with a name."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("litmus-plan")
        path = f"/proc/{_getpid()}/fd/{descriptor}"
        if os.access(path, os.R_OK | os.W_OK):
            return descriptor, path
        os.close(descriptor)
    import tempfile

    return tempfile.mkstemp(prefix="litmus-plan-")


class _NothingRuns:
    """In the workers of a run that cannot start: the plan goes on record, and no test runs."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item):
        return True


class Worker(Part):
    """An xdist worker: its own log of the controller's session."""

    def __init__(self, config, shared: dict):
        super().__init__(config)
        self.shared = shared
        self.deselected = 0
        self.items = None
        self.run_id = shared["run_id"]
        self.required = False  # the controller's business
        if shared["cannot_start"] is not None:
            config.pluginmanager.register(_NothingRuns(), "litmus-nothing-runs")

    def pytest_deselected(self, items) -> None:
        self.deselected += len(items)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session) -> None:
        try:
            self.begin(session)
        except Exception as exc:
            self.fail(exc)

    def begin(self, session) -> None:
        """Collection is over in this worker; xdist starts no test before it is over in all of them.

        Whoever comes first puts run and plan on record, under a lock: if it dies on the way, the
        next one does it.
        """
        if not session.items and not self.deselected and not session.testsfailed:
            return
        shared = self.shared
        if not self.open(data_dir=shared["data_dir"], session_id=shared["session_id"], joined=True, daemon=False):
            return
        grouped = bool(getattr(self.config.option, "loadgroup", False))
        plan = load("_plan").Plan(session.items, self.deselected, shared["copies"], shared["ordinal"], grouped)
        with open(shared["claim"], "r+b", buffering=0) as claim:
            try:
                import fcntl

                fcntl.flock(claim, fcntl.LOCK_EX)
            except ImportError:
                pass
            if not claim.read(1):
                import json

                self.start_run(json.loads(shared["payload"]), plan)
                claim.write(b"1")
        self.start_items(session, plan)

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_sessionfinish(self, session):
        yield
        if _getpid() != self.pid:
            return
        try:
            self.release_sigterm()
            if self.items is not None:
                self.items.close_open()
            self.tell_unseen()
            if self.session is not None:
                handle, self.session = self.session, None
                handle.close(None, 0.0)
        except Exception as exc:
            self.fail(exc)
        self.config.workeroutput["litmus"] = {
            "trouble": self.trouble,
            "lost": self.lost,
            "external": self.external,
            "stop_reason": self.stop_reason,
        }


class Controller(Part):
    """The xdist controller: owns session and run; the steps are the workers'."""

    def __init__(self, config):
        super().__init__(config)
        self.dirty = _context.DirtyMark(str(config.rootpath))
        self.claim = None
        self.claim_file = -1
        self.worst: dict = {}  # (node id, worker) -> outcome of an attempt that did not pass
        self.passed = self.skipped = False
        self.ordinals: dict = {}
        self.free: list = []
        self.interrupted_workers: set = set()
        self.down: str | None = None  # what the first worker died of

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node) -> None:
        try:
            if self.session is None and self.trouble is None:
                self.begin()
            if self.session is not None:
                node.workerinput["litmus"] = self.share(node)
        except pytest.exit.Exception:  # required, and not possible
            raise
        except Exception as exc:
            self.fail(exc)

    def begin(self) -> None:
        """The first worker is about to start: opens the session that all of them join."""
        import json

        payload = self.context()
        if not self.open(data_dir=self.data_dir(), payload=_context.session_payload(payload)):
            return
        self.run_id = uuid4()
        self.operator = payload.get("operator_id")
        self.prepare("litmus.scan", lambda part: part.scan(payload))  # the workers have no terminal
        self.payload = payload
        self.payload_json = json.dumps(payload)
        self.claim_file, self.claim = make_claim()

    def share(self, node) -> dict:
        """What a worker needs to join. A replacement takes the place of a worker that crashed."""
        each = self.config.getoption("dist") == "each"
        worker = node.gateway.id
        ordinal = self.free.pop(0) if self.free else len(self.ordinals)
        self.ordinals[worker] = ordinal
        return {
            "session_id": self.session.id,
            "run_id": self.run_id,
            "data_dir": self.session.data_dir,
            "claim": self.claim,
            "payload": self.payload_json,
            "cannot_start": self.cannot_start,
            "copies": node.workerinput["workercount"] if each else 1,
            "ordinal": ordinal if each else 0,
        }

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node, error) -> None:
        try:
            if error is not None:
                words = str(error).strip().splitlines()[-1:]  # of a traceback the exception
                self.down = self.down or f"worker {node.gateway.id}: {_verdict.one_line(words[0] if words else 'died')}"
                ordinal = self.ordinals.get(node.gateway.id)
                if ordinal is not None:
                    self.free.append(ordinal)
            said = (getattr(node, "workeroutput", None) or {}).pop("litmus", None)  # it may go down twice
            if said:
                if self.trouble is None and said["trouble"] is not None:
                    self.trouble = f"{node.gateway.id}: {said['trouble']}"
                self.lost += said["lost"]
                if said["external"] == "terminated":
                    self.interrupted_workers.add(node.gateway.id)
                    self.external, self.stop_reason = "terminated", "interrupted"
        except Exception as exc:
            self.fail(exc)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report) -> None:
        if self.session is None:
            return
        try:
            self.note(report)
        except Exception as exc:
            self.fail(exc)

    def note(self, report) -> None:
        """Keeps the outcome of every item's last attempt, for the run's own."""
        ours = report.__dict__.pop("litmus_outcome", None)  # set by Items in the worker
        outcome, when = report.outcome, report.when
        if outcome == "passed" and ours is None:
            if when == "call":
                self.passed = True
            elif when == "setup" and self.worst:
                self.worst.pop(self.key(report), None)  # a new attempt
            return
        key = self.key(report)
        if when == "???" and ours is None:  # the worker died in it: its step stays open, and is aborted
            worker = key[1]
            if worker in self.interrupted_workers:  # which ended its step itself
                self.worst[key] = "terminated"
                return
            self.worst[key] = "aborted"
            details = {"node_id": report.nodeid, "worker": worker}
            self.emit(
                "diagnostic.error",
                {"source": "pytest-xdist", "message": f"worker {worker} crashed in {report.nodeid}", "details": details},
            )
            return
        if outcome == "skipped":
            self.skipped = True
        elif outcome not in ("passed", "failed"):  # "rerun", "retried": another attempt follows
            self.worst.pop(key, None)
        else:
            self.worst[key] = _verdict.worse(self.worst.get(key), ours or ("failed" if when == "call" else "errored"))

    @staticmethod
    def key(report) -> tuple:
        node = getattr(report, "node", None)
        return report.nodeid, getattr(getattr(node, "gateway", None), "id", None)

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_sessionfinish(self, session):
        yield
        if _getpid() != self.pid:
            return
        try:
            self.release_sigterm()
            if self.session is not None:
                self.finish(session)
        except Exception as exc:
            self.fail(exc)
        if self.cannot_start is not None and int(session.exitstatus) in (0, 5):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        self.enforce(session)

    def pytest_terminal_summary(self, terminalreporter) -> None:
        if self.cannot_start is not None:
            terminalreporter.write_line(f"!!! no test ran: {self.cannot_start} !!!", red=True)
        super().pytest_terminal_summary(terminalreporter)

    def finish(self, session) -> None:
        """All workers are gone."""
        if os.path.getsize(self.claim) == 0:  # no worker came as far as a plan
            failed = any(report.failed for report in self.collect_reports)
            if not failed and self.external is None and self.down is not None:
                self.external, self.stop_reason, self.crash = "errored", "crash", self.down
            if not failed and self.stop_reason != "crash":
                self.close(self.external)
                return
            self.start_run(self.payload, load("_plan").Plan([]))
        if any(report.failed for report in self.collect_reports):
            self.external = _verdict.worse(self.external, "errored")
            if not (self.passed or self.skipped or self.worst):
                self.stop_reason = self.stop_reason or "collection error"
        steps = _verdict.worst(self.worst.values())
        steps = _verdict.worse(steps, "passed" if self.passed else None)
        steps = _verdict.worse(steps, "skipped" if self.skipped else None)
        self.end_run(session, steps, True)

    def finish_unstarted(self, session) -> None:
        """No worker was started."""
        self.begin()
        if self.session is not None:
            self.finish(session)

    def leave(self) -> None:
        super().leave()
        if self.claim is not None:
            claim, self.claim = self.claim, None
            os.close(self.claim_file)
            try:
                os.unlink(claim)
            except OSError:
                pass  # it never had a name

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session) -> None:
        if self.session is not None:
            try:
                self.catch_sigterm(session)
            except Exception as exc:
                self.fail(exc)

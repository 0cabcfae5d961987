# SPDX-License-Identifier: Apache-2.0
"""Records every run of pytest, from its plan to its last verdict.

This module opens nothing before there is a run, and registers no hooks that a test has to pay for
until its log is open. What it must never do: change an outcome, an exit code or the output (but for
its one summary line), or raise into pytest.

How a run is put on record:

    one process     Recorder: session, run, plan, steps, end
    pytest-xdist    Controller: session, end of run.  Worker: its steps, in a log of its own; the
                    first worker to have collected also puts run and plan on record
"""

from __future__ import annotations

import os
import sys

import pytest

from litmus.plugin import NESTED, NOT_RECORDED, flag, load

_context, _measure, _verdict = load("_context"), load("_measure"), load("_verdict")
_getpid = os.getpid  # a test may put something else in its place


class _Terminated(KeyboardInterrupt):
    """SIGTERM, on its way through pytest's orderly end."""


class _ForkGuard:
    """A forked child dies of SIGTERM as if we were not there, from its first moment on.

    Python forgets a signal that reaches a child between fork and the end of its own preparations, if
    a handler is set; so the signal waits while we put the default action back.
    """

    handler = None  # ours, while it is set
    installed = False

    @classmethod
    def install(cls, handler) -> None:
        import signal
        import threading

        cls.handler = handler
        if cls.installed:
            return
        cls.installed = True
        mine = threading.local()

        def before():
            mine.mask = None
            if cls.handler is not None:
                mine.mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))

        def in_parent():
            mask = getattr(mine, "mask", None)
            if mask is not None and signal.SIGTERM not in mask:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))

        def in_child():
            if cls.handler is not None and signal.getsignal(signal.SIGTERM) is cls.handler:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
            in_parent()

        os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)


class _Part:
    """What every part shares: the session, emitting, and what to do when recording fails.

    A failure is noted once and never raised (unless recording is required and no test has run yet);
    the tests go on, the summary says what is missing.
    """

    connects = False  # the station's instruments, before the plan; under xdist each worker does, when it needs one

    def __init__(self, config):
        self.config = config
        self.required = flag(config.option, "required")
        self.kept_output: str | None = None  # `attach_output` of litmus.yaml, once it was asked for
        self.pid = _getpid()
        self.session = None  # _litmus.Session
        self.cannot_start: str | None = None  # why no test may run
        self.remark: str | None = None  # what the summary says beside
        self.operator: str | None = None
        self.run_id = None
        self.trouble = None  # the first failure, in words
        self.lost = 0  # events that are not on record
        self.line = None  # of the summary
        self.collect_reports: list = []
        self.external = None  # outcome that no step has: terminated, errored
        self.stop_reason = None
        self.sigterm = False
        self.dirty = None  # _context.DirtyMark, of who starts the run
        self._environ = None

    # -- the process around us

    def mark_nested(self) -> None:
        """A pytest that a test starts from now on knows that it is inside of a recorded one."""
        self._environ = os.environ.get(NESTED, "")
        os.environ[NESTED] = str(self.pid)

    def leave(self) -> None:
        """Last act of the process's pytest: gives the environment back, dies of SIGTERM if asked to."""
        if self._environ:
            os.environ[NESTED] = self._environ
        else:
            os.environ.pop(NESTED, None)
        if self.dirty is not None:
            self.dirty.get(0)
        if _getpid() == self.pid:
            self.close(None)  # should pytest not have come to its sessionfinish
        if self.sigterm and _getpid() == self.pid and not hasattr(self.config, "workerinput"):
            import signal

            for stream in (sys.stdout, sys.stderr):
                try:
                    stream.flush()
                except Exception:
                    pass
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(self.pid, signal.SIGTERM)

    def start_items(self, session, plan) -> None:
        """The plan is on record: from here on the items' own hooks run."""
        self.items = Items(self, plan)
        self.config.pluginmanager.register(self.items, "litmus-items")
        self.catch_sigterm(session)

    def catch_sigterm(self, session) -> None:
        """Turns SIGTERM into an orderly end, if nobody else handles it. The process still dies of it."""
        import signal
        import threading

        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            return

        def handler(signum, frame):
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one kills at once
            if _getpid() != self.pid:  # a forked child: as if we were not there
                os.kill(_getpid(), signal.SIGTERM)
                return
            self.sigterm = True
            self.external = "terminated"
            self.stop_reason = "interrupted"
            session.shouldstop = "SIGTERM"  # should a test swallow the exception
            raise _Terminated("SIGTERM")

        self._handler = handler
        _ForkGuard.install(handler)
        signal.signal(signal.SIGTERM, handler)

    def release_sigterm(self) -> None:
        """Puts the default action back, if it is still ours that is set."""
        handler = getattr(self, "_handler", None)
        if handler is not None:
            import signal

            if signal.getsignal(signal.SIGTERM) is handler:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _ForkGuard.handler = None

    # -- recording

    def fail(self, exc: BaseException, what: str = "") -> None:
        """Notes a failure of the recorder; the first one is what the summary shows."""
        if self.trouble is None:
            text = _verdict.one_line(str(exc)) or type(exc).__name__
            if not _is_ours(exc):
                text = f"{type(exc).__name__}: {text}"
            self.trouble = f"{what}: {text}" if what else text

    def open(self, **arguments) -> bool:
        """Opens the session; False when that fails (noted); it ends the run with NOT_RECORDED when it is required."""
        try:
            load("errors", "_exe")  # which the core asks for
            from litmus import _litmus

            option = self.config.option
            payload = arguments.pop("payload", None)
            arguments.setdefault("daemon", not flag(option, "no_daemon"))
            durability = getattr(option, "litmus_durability", None)  # else the core looks: variable, litmus.yaml
            if durability:
                arguments["durability"] = durability
            self.session = _litmus.Session(payload=payload, **arguments)
            return True
        except Exception as exc:
            self.fail(exc)
            if self.required:
                pytest.exit(f"litmus: cannot record, and recording is required: {self.trouble}", NOT_RECORDED)
            return False

    def settings(self):
        """_settings.Settings. Errors: ConfigError; without --litmus-required the tests go on without a record."""
        found = load("_sidefile", "_settings").of_config(self.config)
        record = found.data.get("record")
        if record == "required":
            self.required = True
        elif record is not None:
            self.fail(load("errors").ConfigError('litmus.yaml: record can only be "required": correct or remove the line'))
        if found.data.get("attach_output") not in (None, "failed", "all"):
            self.fail(load("errors").ConfigError('litmus.yaml: attach_output can only be "failed" or "all": correct or remove the line'))
        return found

    def keeps_output(self) -> bool:
        """Is the captured output of tests that passed attached, too? A broken litmus.yaml was told of by who started the run."""
        if self.kept_output is None:
            try:
                self.kept_output = load("_sidefile", "_settings").of_config(self.config).data.get("attach_output") or "failed"
            except load("errors").ConfigError:
                self.kept_output = "failed"
        return self.kept_output == "all"

    def context(self) -> dict:
        """The fields of run.started. What a broken file says is left out, and noted."""
        dirty = self.dirty.get()
        try:
            payload = _context.run_payload(self.config, self.settings(), dirty)
        except Exception as exc:
            self.fail(exc)
            payload = _context.run_payload(self.config, load("_settings").Settings.without_files(self.config.option), dirty)
        self.remark = _context.phase_remark(payload, getattr(self.config, "_litmus_bench", None))
        return payload

    def data_dir(self) -> str | None:
        """The data_dir of the option; None leaves the search to the core."""
        return getattr(self.config.option, "litmus_data_dir", None)

    def emit(self, event_type: str, payload: dict, occurred_at: int | None = None) -> None:
        """Puts one event of the run on record. A failure is noted and counted, never raised."""
        try:
            self.session.emit(event_type, payload, self.run_id, occurred_at)
        except Exception as exc:
            if payload.get("inputs") or payload.get("outputs"):
                # A value that the core will not take must not cost the verdict beside it.
                try:
                    self.session.emit(event_type, dict(payload, inputs={}, outputs={}), self.run_id, occurred_at)
                    self.fail(exc, f"inputs or outputs of {payload.get('node_id') or event_type} are not on record")
                    return
                except Exception:
                    pass
            self.lost += 1
            self.fail(exc)

    def emit_collect_reports(self) -> None:
        """What collection could not collect, or was told to skip: it has no row, but a reason."""
        for report in self.collect_reports[:1000]:
            if report.failed:
                kind, words = "error", _verdict.failure(report)
            else:
                kind, words = "warning", _verdict.skip_reason(report)
            details = {"node_id": report.nodeid, "outcome": report.outcome}
            self.emit(
                "diagnostic." + kind,
                {"source": "pytest.collect", "message": f"{report.nodeid}: {words}", "details": details},
            )

    def start_run(self, payload: dict, plan) -> None:
        """run.started, what connects instruments, then the whole plan: before any step."""
        self.emit("run.started", payload)
        self.operator = payload.get("operator_id")
        bench = getattr(self.config, "_litmus_bench", None)
        remark = _context.phase_remark(payload, bench)
        if remark is not None:
            self.emit("diagnostic.warning", {"source": "litmus.context", "message": remark})
        if self.connects:
            self.prepare("litmus.scan", lambda part: part.scan(payload))
        for connect in [*before_plan, *([bench.connect_all] if bench is not None and self.connects else [])]:
            self.prepare("litmus.instruments", connect)
        self.emit_collect_reports()
        self.emit(
            "test.steps_discovered",
            {"items": plan.entries, "deselected_count": plan.deselected, "plan_digest": plan.digest()},
        )

    def prepare(self, source: str, work) -> None:
        """What must be there before a test may run; without it the run ends as errored, its whole plan on record."""
        try:
            if self.cannot_start is None:
                work(self)
        except Exception as exc:
            self.external, self.stop_reason = "errored", "instrument error"
            self.cannot_start = str(exc)
            self.emit("diagnostic.error", {"source": source, "message": str(exc)})

    def scan(self, payload: dict) -> None:
        """The serial of the device under test, if it is to be scanned and nobody said it. Errors: _scan.ScanError, ConfigError."""
        settings = getattr(self.config, "_litmus_settings", None)
        if payload.get("dut_serial") or settings is None:
            return
        scanned = load("_scan").scan(self.config, settings, self)
        if scanned is not None:
            self.emit("fixture.dut_scanned", {"dut_serial": scanned[0], "scan_source": scanned[1]})

    def close(self, outcome: str | None) -> list:
        """Ends the session and returns what became of its runs."""
        session, self.session = self.session, None
        if session is None:
            return []
        try:
            return session.close(outcome) or []
        except Exception as exc:
            self.fail(exc)
            return getattr(exc, "runs", None) or []

    def end_run(self, session, steps_outcome: str | None, unfinished: bool) -> None:
        """run.ended, the end of the session, the summary line."""
        if self.lost:  # what is not on record could have been anything
            self.external = _verdict.worse(self.external, "errored")
            self.emit("diagnostic.error", {"source": "litmus.recorder", "message": f"{self.lost} events are not on record: {self.trouble}"})
        outcome = _verdict.worse(steps_outcome, self.external)
        if self.stop_reason is None and unfinished and (session.shouldfail or session.shouldstop):
            self.stop_reason = _stop_reason(session, str(session.shouldfail or session.shouldstop))
        if outcome is None:  # nothing was judged at all
            outcome = "terminated" if self.stop_reason else "skipped"
        self.emit("run.ended", {"outcome": outcome, "stop_reason": self.stop_reason})
        bench = getattr(self.config, "_litmus_bench", None)
        if bench is not None:
            bench.release()
        results = self.close(outcome)
        try:
            for result in results:
                if result.get("run_id") == self.run_id:
                    self.line = _summary(result, self.config) + (f"  ({self.remark})" if self.remark else "")
        except Exception as exc:
            self.fail(exc)

    def interrupted(self, excinfo) -> None:
        """Why pytest leaves its loop early."""
        exc = excinfo.value
        if isinstance(exc, _Terminated):
            self.external, self.stop_reason = "terminated", "interrupted"
        elif type(exc).__name__ == "Interrupted":  # pytest's own, or xdist's
            text = str(exc)
            if "keyboard-interrupt" in text:  # an xdist worker's
                self.external, self.stop_reason = "terminated", "interrupted"
            elif "during collection" in text:
                self.external, self.stop_reason = "errored", "collection error"
            elif text == "SIGTERM":
                self.external, self.stop_reason = "terminated", "interrupted"
        else:
            self.external, self.stop_reason = "terminated", "interrupted"
            words = getattr(exc, "msg", None)
            self.interrupt_words = f"pytest.exit: {words}" if words else type(exc).__name__

    interrupt_words = None

    # -- hooks of every part

    def pytest_collectreport(self, report) -> None:
        if not report.passed:
            self.collect_reports.append(report)

    def pytest_keyboard_interrupt(self, excinfo) -> None:
        try:
            self.interrupted(excinfo)
        except Exception as exc:
            self.fail(exc)

    def pytest_internalerror(self, excrepr, excinfo) -> None:
        try:
            self.external, self.stop_reason = "errored", "crash"
            value = getattr(excinfo, "value", None)
            self.interrupt_words = _verdict.one_line(f"internal error: {type(value).__name__}: {value}")
            if isinstance(value, SystemExit):
                self.external, self.stop_reason = "terminated", "interrupted"
        except Exception as exc:
            self.fail(exc)

    def enforce(self, session) -> None:
        """Recording is required and something is missing: a run that passed must not look it."""
        if self.required and self.trouble is not None and int(session.exitstatus) in (0, 5):
            session.exitstatus = NOT_RECORDED

    def pytest_terminal_summary(self, terminalreporter) -> None:
        try:
            if self.trouble is None:
                if self.line is not None:
                    terminalreporter.write_line(self.line)
                return
            lost = f" ({self.lost} events lost)" if self.lost else ""
            state = f"{self.line}  with gaps" if self.line is not None else "litmus: not recorded"
            terminalreporter.write_line(f"{state}{lost}: {self.trouble}", yellow=True)
        except Exception:
            pass


# Called with the recorder after run.started and before the plan: what connects instruments.
before_plan: list = []


class Recorder(_Part):
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
        if not session.items and not session.testsfailed:
            return
        payload = self.context()
        if not self.open(data_dir=self.data_dir(), payload=_context.session_payload(payload)):
            return
        self.run_id = _uuid4()
        if session.testsfailed:
            self.external = "errored"
        plan = load("_plan").Plan(session.items, self.deselected)
        self.start_run(payload, plan)
        self.start_items(session, plan)

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_sessionfinish(self, session):
        yield
        if _getpid() != self.pid:
            return
        try:
            self.release_sigterm()
            if self.run_id is None and self.external is None and any(report.failed for report in self.collect_reports):
                self.stop_reason = "collection error"  # -x: pytest did not come to its loop
                self.begin(session)
            if self.session is not None:
                items = self.items
                items.close_open()
                self.end_run(session, items.outcome(), items.unfinished())
        except Exception as exc:
            self.fail(exc)
        self.enforce(session)


class _NothingRuns:
    """In the workers of a run that cannot start: the plan goes on record, and no test runs."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item):
        return True


class Worker(_Part):
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
        if not session.items and not session.testsfailed:
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


class Controller(_Part):
    """The xdist controller: owns session and run; the steps are the workers'."""

    def __init__(self, config):
        super().__init__(config)
        self.dirty = _context.DirtyMark(str(config.rootpath))
        self.claim = None
        self.worst: dict = {}  # (node id, worker) -> outcome of an attempt that did not pass
        self.passed = self.skipped = False
        self.ordinals: dict = {}
        self.free: list = []
        self.interrupted_workers: set = set()

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
        import tempfile

        payload = self.context()
        if not self.open(data_dir=self.data_dir(), payload=_context.session_payload(payload)):
            return
        self.run_id = _uuid4()
        self.operator = payload.get("operator_id")
        self.prepare("litmus.scan", lambda part: part.scan(payload))  # the workers have no terminal
        self.payload = payload
        self.payload_json = json.dumps(payload)
        descriptor, self.claim = tempfile.mkstemp(prefix="litmus-plan-")
        os.close(descriptor)

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

    def leave(self) -> None:
        if self.claim is not None:
            try:
                os.unlink(self.claim)
            except OSError:
                pass
        super().leave()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session) -> None:
        if self.session is not None:
            try:
                self.catch_sigterm(session)
            except Exception as exc:
                self.fail(exc)


FROM_CHILD = "litmus measured"  # property of a report: what failed in the forked child that ran the test


class Execution:
    """One execution of a planned item, from before its fixtures to after their end."""

    __slots__ = (
        "began", "calls", "failed_phase", "frames", "identity", "inputs", "item", "message", "notes", "outcome", "owner",
        "passed_over", "properties", "raw_node_id", "reports", "retry", "sections", "started", "step", "subtest", "vectors",
    )  # fmt: skip

    def __init__(self, owner, item, step):
        self.owner = owner
        self.item = item
        self.step = step
        self.raw_node_id = step.raw_node_id
        self.started = False
        self.calls = {}  # phase -> CallInfo
        self.outcome = None
        self.failed_phase = None
        self.message = None
        self.notes = None  # verdicts of other phases, in words
        self.passed_over = None  # words of a skip marker
        self.subtest = None  # first failing subtest, in words
        self.reports = []  # those that say failed
        self.sections = ()  # captured output and log, as the last report has them
        self.frames = []  # the open steps (_measure.Frame): this one, then its sub-steps
        self.began = None  # when it ran in a forked child: the time of its first report,
        self.properties = None  # and what the child says its properties are
        self.vectors = None  # the sweep that the body goes through (_vectors.Vectors)

    def add(self, outcome: str, phase: str, message: str) -> None:
        """Another phase's verdict: the worse one leads, the other stays in the message."""
        if self.outcome is None or _verdict.SEVERITY[outcome] > _verdict.SEVERITY[self.outcome]:
            if self.outcome is not None and self.outcome != "passed":
                self.note(self.outcome, self.failed_phase or "call", self.message)
            self.outcome, self.message = outcome, message
            self.failed_phase = phase if _verdict.SEVERITY[outcome] > _verdict.SEVERITY["passed"] else None
        elif outcome != "passed":
            self.note(outcome, phase, message)

    def note(self, outcome: str, phase: str, message: str | None) -> None:
        text = f"{phase} {outcome}: {message}" if message else f"{phase} {outcome}"
        self.notes = text if self.notes is None else f"{self.notes}; {text}"

    @property
    def measured_failures(self):
        """(outcome, words) of the worst that was measured in it; None: nothing went wrong. Of a sweep: in the vector at hand."""
        return self.frames[0].failure if self.frames else None

    @property
    def all_failures(self):
        """The same of the whole sweep."""
        worst, before = self.measured_failures, self.vectors.worst if self.vectors is not None else None
        if before is None or worst is None:
            return worst or before
        return worst if _verdict.worse(worst[0], before[0]) == worst[0] else before


class _ChildFrame(_measure.Frame):
    """The step that a forked child runs: what does not pass in it, the parent learns from the child's reports."""

    __slots__ = ("properties",)

    def worsen(self, outcome: str, words: str) -> None:
        super().worsen(outcome, words)
        self.properties.append((FROM_CHILD, [outcome, words]))


class Items:
    """The hooks that every test passes through; registered only once the plan is on record.

    A step starts in pytest_runtest_setup, between the evaluation of skip markers and the first
    fixture, and ends with the report of its teardown. What pytest knows only in between, the
    exceptions, comes by pytest_runtest_makereport.
    """

    def __init__(self, part: _Part, plan):
        from _pytest.reports import TestReport

        self.part = part
        self.plan = plan
        self.pid = part.pid
        self.current: Execution | None = None
        self.running = _measure.running
        self.report_type = TestReport
        self.worker = hasattr(part.config, "workerinput")
        self.worst: dict = {}  # Step -> outcome of its last execution, unless that passed
        self.passed = 0
        self.not_run = 0
        self.seen = 0  # steps that started or were passed over, once each

    # -- hooks

    def pytest_runtest_setup(self, item) -> None:  # not tryfirst: skip markers come first
        try:
            if _getpid() != self.pid:
                self.begin_in_child(item)
                return
            if self.current is not None:
                self.end_unreported()
            step = self.plan.find(item)
            execution = self.current = Execution(self, item, step)
            if not step.decorated_skip:
                self.start(execution)
        except Exception as exc:
            self.part.fail(exc)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item, call) -> None:
        execution = self.current
        if execution is None or execution.item is not item:
            try:
                if _getpid() != self.pid:
                    return
                if execution is not None:
                    self.end_unreported()
                execution = self.current = Execution(self, item, self.plan.find(item))
            except Exception as exc:
                self.part.fail(exc)
                return
        execution.calls[call.when] = call

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report) -> None:
        try:
            if _getpid() != self.pid:
                return
            execution = self.current
            if execution is None or execution.raw_node_id != report.nodeid:
                execution = self.foreign(report)
                if execution is None:
                    return
            if not execution.calls:
                self.hear_child(execution, report)
            when = report.when
            if report.outcome != "passed" or report.__class__ is not self.report_type:
                self.judge(execution, report, when)
            elif when == "call":
                if execution.outcome is None:
                    execution.outcome = "passed"
                    if hasattr(report, "wasxfail"):
                        execution.message = _verdict.one_line(f"xpass: {report.wasxfail}".rstrip(": "))
            if when == "teardown" or when == "???":
                execution.sections = getattr(report, "sections", ())
                self.end(execution)
            elif self.worker and when == "call" and execution.all_failures is not None:
                report.litmus_outcome = execution.all_failures[0]
        except Exception as exc:
            self.part.fail(exc)

    # -- one execution

    def begin_in_child(self, item) -> None:
        """In a forked child. If a plugin forked it to run this test: what the test measures goes on record here, the
        rest in the parent, to which the reports go. Else the test under way forked, and what came of it is not ours."""
        self.running.clear()
        if self.current is None:
            execution = Execution(self, item, self.plan.find(item))
            self.identify(execution, _ChildFrame)
            execution.frames[0].properties = item.user_properties
            self.running.append(execution)

    def hear_child(self, execution: Execution, report) -> None:
        """What the report of a forked child has to say beside its verdict; nobody after us sees our part of it."""
        if execution.began is None:
            execution.began = getattr(report, "start", None)
        if not execution.frames:
            self.identify(execution)
        properties = getattr(report, "user_properties", None) or []
        ours = [each for each in properties if isinstance(each, (tuple, list)) and each[:1] in ((FROM_CHILD,), [FROM_CHILD])]
        for _, (outcome, text) in ours:
            execution.frames[0].worsen(outcome, text)
        execution.properties = [each for each in properties if each not in ours] if ours else properties
        if ours:
            report.user_properties = execution.properties

    def start(self, execution: Execution, occurred_at: int | None = None) -> None:
        """test.step_started."""
        step = execution.step
        if not execution.frames:
            self.identify(execution)
        if step.runs == 0:
            self.seen += _width(step)
        step.runs += 1
        item = execution.item
        description = _description(item) if step.entry["function"] is not None else None
        if description is not None:
            self.part.emit("test.step_started", dict(execution.identity, description=description), occurred_at)
        else:
            self.part.emit("test.step_started", execution.identity, occurred_at)
        execution.started = True
        self.running.append(execution)

    def identify(self, execution: Execution, frame_type=_measure.Frame) -> None:
        """What every event of an execution says: which step, which time, with which inputs."""
        step = execution.step
        entry = step.entry
        item = execution.item
        sweep = getattr(item, "_litmus_sweep", None)
        inputs = execution.inputs = _inputs(item) if sweep is None else sweep.planned[0]
        count = getattr(item, "execution_count", None)  # pytest-rerunfailures, over a worker's crash too
        execution.retry = max(step.runs, count - 1) if type(count) is int else step.runs
        execution.identity = {
            "step_name": step.name,
            "step_index": entry["step_index"],
            "step_path": entry["step_path"],
            "parent_path": entry["parent_path"],
            "vector_index": entry["vector_index"],
            "retry": execution.retry,
            "inputs": inputs,
            "node_id": entry["node_id"],
            "file": entry["file"],
            "module": entry["module"],
            "class_name": entry["class_name"],
            "function": entry["function"],
        }
        frame = frame_type(self.part.emit, execution.identity)
        execution.frames.append(frame)
        _measure.opened.set(frame)

    def judge(self, execution: Execution, report, when: str) -> None:
        """Takes a report that does not simply say passed into the verdict."""
        outcome = report.outcome
        call = execution.calls.get(when)
        excinfo = call.excinfo if call is not None else None
        exc = excinfo.value if excinfo is not None else None
        if report.__class__ is not self.report_type and getattr(report, "context", None) is not None:  # a subtest's
            if outcome == "failed" and execution.subtest is None:
                where = _subtest_words(report)
                execution.subtest = f"subtest {where}: {_verdict.failure(report, exc)}"
            if outcome == "failed":
                execution.reports.append(report)
                if self.worker:
                    report.litmus_outcome = "failed"
            return
        if when == "???":  # a plugin that runs tests in children: the child died
            execution.add("errored", "call", _verdict.failure(report))
            if self.worker:
                report.litmus_outcome = "errored"  # the worker itself lives
        elif outcome == "skipped":
            words = _verdict.skip_reason(report)
            if not execution.started and not hasattr(report, "wasxfail") and (
                execution.step.decorated_skip or (when == "setup" and _by_marker(execution.item, report, exc))
            ):
                execution.passed_over = words
            else:
                execution.add("skipped", when, words)
        elif outcome == "passed":
            if when == "call" and execution.outcome is None:
                execution.outcome = "passed"
        elif outcome in ("failed", "rerun") or exc is not None:  # some plugins have their own word for an attempt that failed
            verdict = "errored"
            if execution.vectors is not None and execution.vectors.is_told(exc):
                execution.outcome = execution.outcome or "passed"  # of the vector at hand
                if self.worker:
                    report.litmus_outcome = "failed"
                return
            if when == "call":
                verdict = _verdict.reported_outcome(report) if call is None else _verdict.body_outcome(exc)
            execution.add(verdict, when, _verdict.failure(report, exc))
            execution.reports.append(report)
            if self.worker:
                report.litmus_outcome = verdict
        else:
            execution.add("errored", when, f"outcome {outcome}")

    def end(self, execution: Execution, occurred_at: int | None = None) -> None:
        """test.step_ended, or test.step_not_run."""
        if execution.passed_over is not None and execution.outcome is None and not execution.started:
            self.current = None
            self.not_run += 1
            if execution.step.runs == 0:
                self.seen += _width(execution.step)
                execution.step.runs = -1
            self.emit_not_run(execution.step, 0, _width(execution.step), "skip_marker", execution.passed_over or None)
            return
        if not execution.started:  # a hook before ours raised, or the test ran in a child
            began = execution.calls.get("setup")
            at = began.start if began is not None else execution.began
            self.start(execution, int(at * 1e6) if at else None)
        if execution.subtest is not None and execution.outcome in (None, "passed", "skipped"):
            execution.outcome, execution.failed_phase, execution.message = "failed", "call", execution.subtest
        elif execution.subtest is not None and execution.message and execution.message.startswith("contains "):
            execution.message = execution.subtest
        if len(execution.frames) > 1:
            _measure.cut_off_substeps(execution.frames)
        judged = execution.measured_failures
        if judged is not None and execution.outcome in (None, "passed", "skipped", "done"):
            execution.add(judged[0], "call", judged[1])
        if execution.vectors is not None and execution.vectors.skipped is not None and execution.outcome == "passed":
            execution.outcome, execution.message = execution.vectors.verdict()
        if execution.reports or execution.sections:
            self.attach_text(execution)
        outcome = execution.outcome
        if outcome is None:  # setup and teardown without a call: nothing was judged
            outcome = "done"
        message = execution.message
        if execution.notes is not None:
            message = _verdict.one_line(f"{message}; {execution.notes}" if message else execution.notes)
        properties = execution.properties
        if properties is None and execution.vectors is not None:
            properties = execution.vectors.new_properties()
        elif properties is None:
            properties = getattr(execution.item, "user_properties", None)
        payload = execution.identity
        payload["outcome"] = payload["vector_outcome"] = outcome
        payload["message"] = message or None
        payload["failed_phase"] = execution.failed_phase
        if properties:
            payload["outputs"] = _outputs(properties)
        self.current = None
        self.stop_running(execution)
        self.part.emit("test.step_ended", payload, occurred_at)
        width = _width(execution.step)
        if width == 1:
            self.note_outcome(execution.step, outcome)
            return
        taken = payload["vector_index"] - execution.step.entry["vector_index"] + 1
        self.note_outcome((execution.step, taken - 1), outcome)
        if taken < width and outcome not in ("terminated", "aborted"):
            how = "the loop was left" if outcome in ("passed", "done") else outcome
            self.emit_not_run(execution.step, taken, width - taken, "sweep_stopped", f"vector {taken} of {width}: {how}")

    def emit_not_run(self, step, first: int, count: int, reason: str, message: str | None) -> None:
        """test.step_not_run of an item, or of `count` vectors of its sweep from `first` on."""
        entry = step.entry
        payload = {"node_id": entry["node_id"], "step_path": entry["step_path"], "vector_index": entry["vector_index"] + first}
        payload.update(reason=reason, message=message)
        if count > 1:
            payload["vector_count"] = count
        self.part.emit("test.step_not_run", payload)

    def note_outcome(self, key, outcome: str) -> None:
        """What the last execution of a step came to; of a sweep each vector is one."""
        if outcome == "passed":
            self.passed += 1
            if self.worst:
                self.worst.pop(key, None)
        else:
            self.worst[key] = outcome

    def attach_text(self, execution: Execution) -> None:
        """What pytest has to say of a test, with captured output and log, becomes an attachment of the step: always where it
        failed, of the others what `attach_output: all` in litmus.yaml asks for."""
        failed = execution.outcome in ("failed", "errored", "terminated")
        if not failed and not self.part.keeps_output():
            return
        try:
            text = _verdict.report_text(execution.reports, execution.sections, None if execution.reports else execution.message)
            content = text.encode("utf-8", "backslashreplace")
            _measure.attach_to(execution.frames[0], self.part.session, content, "failure.txt" if failed else "output.txt", sync=False)
        except Exception as exc:
            self.part.fail(exc, f"the failure text of {execution.raw_node_id} is not on record")

    def stop_running(self, execution: Execution) -> None:
        running = self.running
        if running and running[-1] is execution:
            running.pop()
        elif execution in running:
            running.remove(execution)

    def end_unreported(self) -> None:
        """The item is executed again, or the next one is, and no teardown was reported."""
        execution = self.current
        if not execution.started and not execution.calls and execution.outcome is None:
            self.current = None
            return
        if execution.outcome is None and execution.passed_over is None:
            for when, call in execution.calls.items():
                if call.excinfo is not None:
                    exc = call.excinfo.value
                    verdict = _verdict.body_outcome(exc) if when == "call" else "errored"
                    execution.add(verdict, when, _verdict.one_line(call.excinfo.exconly(tryshort=True)))
            if execution.outcome is None:
                execution.outcome = "passed" if "call" in execution.calls else "aborted"
        elif "teardown" in execution.calls and execution.calls["teardown"].excinfo is not None:  # of an attempt that another one follows
            execution.add("errored", "teardown", _verdict.one_line(execution.calls["teardown"].excinfo.exconly(tryshort=True)))
        last = execution.calls.get("teardown")
        self.end(execution, int(last.stop * 1e6) if last is not None else None)

    def foreign(self, report) -> Execution | None:
        """The execution of a report that is not of the current item: one that ran in a child."""
        if report.when not in ("setup", "call", "teardown", "???"):
            return None
        step = self.plan.by_node_id(report.nodeid)
        if step is None:
            return None
        if self.current is not None:
            self.end_unreported()
        execution = self.current = Execution(self, step.item, step)
        return execution

    def close_open(self) -> None:
        """The end of the session with a step still open: it was cut off."""
        execution = self.current
        if execution is None:
            return
        if not execution.started or "teardown" in execution.calls:
            self.end_unreported()  # complete, or never begun
            return
        part = self.part
        outcome = part.external if part.external in ("terminated", "errored") else "terminated"
        words = part.interrupt_words
        if words is None:
            words = "SIGTERM" if part.sigterm else "interrupted"
        execution.add(outcome, _phase(execution), words)
        self.end(execution)

    # -- all of them

    def outcome(self) -> str | None:
        """The worst outcome over the last execution of every step."""
        return _verdict.worse(_verdict.worst(self.worst.values()), "passed" if self.passed else None)

    def unfinished(self) -> bool:
        """Whether planned items were neither started nor passed over."""
        return self.seen < len(self.plan.entries)


def _width(step) -> int:
    """How many rows of the plan an item has: vectors of its sweep."""
    sweep = getattr(step.item, "_litmus_sweep", None)
    return 1 if sweep is None else len(sweep.inputs)


def _by_marker(item, report, exc) -> bool:
    """Whether a skip in setup is a marker's: pytest gives it the place of the item."""
    if exc is not None:
        return getattr(exc, "_use_item_location", False)
    path, line = item.reportinfo()[:2]  # from a forked child there is only the report
    where = report.longrepr
    return line is not None and isinstance(where, (tuple, list)) and tuple(where[:2]) == (os.fspath(path), line + 1)


def _phase(execution: Execution) -> str:
    if "call" in execution.calls:
        return "teardown"
    return "call" if "setup" in execution.calls else "setup"


def _subtest_words(report) -> str:
    try:
        describe = getattr(report, "_sub_test_description", None) or report.sub_test_description  # pytest-subtests
        return describe()
    except Exception:
        return ""


def _stop_reason(session, words: str) -> str:
    """Why pytest stopped by itself: -x, --maxfail and --stepwise stop for failures."""
    option = session.config.option
    if session.shouldfail or "stopping after" in words or getattr(option, "stepwise", False):
        return "maxfail"
    return "interrupted"


def _is_ours(exc: BaseException) -> bool:
    return (type(exc).__module__ or "").startswith("litmus")


def _uuid4() -> str:
    raw = bytearray(os.urandom(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _summary(result: dict, config) -> str:
    """The summary line: run, what was planned, what became of it, where it is."""
    counts = dict(result.get("counts") or {})
    never_ran = result.get("never_ran") or 0
    order = ["passed", "failed", "errored", "skipped", "done", "terminated", "aborted"]
    parts = [f"{counts[word]} {word}" for word in order if counts.get(word)]
    parts += [f"{n} {word}" for word, n in counts.items() if word not in _verdict.SEVERITY and n]
    if never_ran:
        parts.append(f"{never_ran} never ran")
    line = f"litmus: run {str(result.get('run_id'))[:8]}  {result.get('planned')} planned"
    if parts:
        line += ": " + ", ".join(parts)
    path = result.get("path")
    if path:
        folder = str(config.invocation_params.dir) + os.sep
        path = str(path)
        line += "  -> " + (path[len(folder) :] if path.startswith(folder) else path)
    return line


def _inputs(item) -> dict:
    """The parameters of an item; whatever another plugin calls a callspec, a step starts."""
    try:
        callspec = getattr(item, "callspec", None)
        return plain_map(callspec.params) if callspec is not None else {}
    except Exception as exc:
        return {"_error": _text(exc)}


def _outputs(properties) -> dict:
    """user_properties (record_property) as a map, the last of a name; what is no pair is left out."""
    try:
        return plain_map(dict(p for p in properties if isinstance(p, (tuple, list)) and len(p) == 2))
    except Exception as exc:
        return {"_error": _text(exc)}


def _description(item) -> str | None:
    """The first line of a test's docstring."""
    try:
        words = getattr(getattr(item, "obj", None), "__doc__", None)
        if type(words) is str and words:
            return _verdict.one_line(words)
    except Exception:  # somebody's property
        pass
    return None


_INT64 = 1 << 63


def plain_map(values: dict) -> dict:
    """A map for inputs or outputs: what JSON has stays as it is, the rest becomes text."""
    made = {}
    for key, value in values.items():
        kind = type(value)
        if kind is not str and kind is not float and kind is not bool and value is not None:
            value = plain(value)
        made[key if type(key) is str else _text(key)] = value
    return made


def plain(value, depth: int = 0):
    """A value as JSON has it."""
    kind = type(value)
    if kind is int:
        return value if -_INT64 <= value < _INT64 else str(value)
    if kind is str or kind is float or kind is bool or value is None:
        return value
    if depth < 8:
        if kind is list or kind is tuple:
            return [plain(part, depth + 1) for part in value]
        if kind is dict:
            return {k if type(k) is str else _text(k): plain(v, depth + 1) for k, v in value.items()}
    if kind.__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        try:
            return plain(value.item(), 8)
        except Exception:
            pass
    return _text(value)


def _text(value) -> str:
    try:
        return repr(value)
    except Exception as exc:
        return f"<{type(value).__name__}: its repr raised {type(exc).__name__}>"

# SPDX-License-Identifier: Apache-2.0
"""What every process of a recorded pytest shares: the session, emitting, signals, and what to do when recording fails."""

from __future__ import annotations

import os
import sys

import pytest

from litmus.plugin import NESTED, NOT_RECORDED, flag, load

_context, _items, _verdict, _fork_guard = load("_context"), load("_items"), load("_verdict"), load("_fork_guard")
_getpid = os.getpid  # a test may put something else in its place
UNSEEN_MAX = 10_000  # tests that are told to have run while nothing could be written


# Called with the recorder after run.started and before the plan: what connects instruments.
before_plan: list = []


class Terminated(KeyboardInterrupt):
    """SIGTERM, on its way through pytest's orderly end."""


class Part:
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
        self.unseen: dict = {}  # (node id, step path, vector) -> verdict of an execution that left no event; None: only its start is lost so far
        self.line = None  # of the summary
        self.collect_reports: list = []
        self.external = None  # outcome that no step has: terminated, errored
        self.stop_reason = None
        self.crash: str | None = None  # what pytest itself, or a conftest.py, died of
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
        if self.stop_reason == "crash" and self.run_id is None and self.trouble is None and _getpid() == self.pid:
            self.record_unstarted()
        if self._environ:
            os.environ[NESTED] = self._environ
        else:
            os.environ.pop(NESTED, None)
        _items.forget()
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

    def record_unstarted(self) -> None:
        """A pytest_configure or pytest_sessionstart raised, and pytest called no sessionfinish."""
        from types import SimpleNamespace

        try:
            self.finish_unstarted(SimpleNamespace(items=[], testsfailed=0, shouldfail=False, shouldstop=False, exitstatus=3, config=self.config))
        except Exception as exc:
            self.fail(exc)

    def left_early(self, exc: BaseException, path) -> None:
        """pytest ends before its session starts, of a conftest.py (path) or of a plugin that one names."""
        words = f"{type(exc).__name__}: {_verdict.one_line(exc)}"
        self.external, self.stop_reason, self.crash = "errored", "crash", words
        if path is not None:
            self.crash = f"{os.path.relpath(path, self.config.rootpath)}: {words}"

    def start_items(self, session, plan) -> None:
        """The plan is on record: from here on the items' own hooks run."""
        self.items = _items.Items(self, plan)
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
            raise Terminated("SIGTERM")

        self._handler = handler
        _fork_guard.install(handler)
        signal.signal(signal.SIGTERM, handler)

    def release_sigterm(self) -> None:
        """Puts the default action back, if it is still ours that is set."""
        handler = getattr(self, "_handler", None)
        if handler is not None:
            import signal

            if signal.getsignal(signal.SIGTERM) is handler:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _fork_guard.remove()

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
            load("_exe")  # which the core asks for
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
        found = load("_settings").of_config(self.config)
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
                self.kept_output = load("_settings").of_config(self.config).data.get("attach_output") or "failed"
            except load("errors").ConfigError:
                self.kept_output = "failed"
        return self.kept_output == "all"

    def context(self) -> dict:
        """The fields of run.started. What a broken file says is left out, and noted."""
        dirty = self.dirty.get()
        try:
            payload = _context.run_payload(self.config, self.settings(), dirty)
            slip = self.settings().slip()
            if slip is not None:
                self.fail(slip)
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
            self.note_unseen(event_type, payload)

    def note_unseen(self, event_type: str, payload: dict) -> None:
        """An execution has no row when neither its start nor its end came to the record."""
        key = payload.get("node_id"), payload.get("step_path"), payload.get("vector_index", 0)
        if event_type == "test.step_started" and len(self.unseen) < UNSEEN_MAX:
            self.unseen[key] = None
        elif event_type == "test.step_ended" and key in self.unseen:
            self.unseen[key] = payload.get("outcome")

    def tell_unseen(self) -> None:
        """Says of tests that ran while nothing could be written that they did, should there be room again: their rows have no other words."""
        unseen, self.unseen = self.unseen, {}
        for (node_id, step_path, vector), outcome in unseen.items():
            words = f"recording failed there: it ran ({outcome}), and none of it is on record: {self.trouble}"
            told = {"node_id": node_id, "step_path": step_path, "vector_index": vector, "reason": "unknown", "message": words}
            if outcome is not None:
                self.emit("test.step_not_run", told)

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
            if self.cannot_start is None and self.stop_reason != "crash":
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
        if "scan" not in settings.data and not self.config.hook.pytest_litmus_scan.get_hookimpls():
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
        self.tell_unseen()
        if self.lost:  # what is not on record could have been anything
            self.external = _verdict.worse(self.external, "errored")
            self.emit("diagnostic.error", {"source": "litmus.recorder", "message": f"{self.lost} events are not on record: {self.trouble}"})
        if self.stop_reason is None and unfinished and (session.shouldfail or session.shouldstop):
            self.stop_reason = _stop_reason(session, str(session.shouldfail or session.shouldstop), steps_outcome)
            if self.stop_reason == "interrupted":
                self.external = _verdict.worse(self.external, "terminated")
        if int(session.exitstatus) == pytest.ExitCode.USAGE_ERROR:  # raised after the plan
            self.external = _verdict.worse(self.external, "errored")
        if self.crash is not None:
            self.emit("diagnostic.error", {"source": "pytest", "message": self.crash})
        outcome = _verdict.worse(steps_outcome, self.external)
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
        if isinstance(exc, Terminated):
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
            else:
                self.crash = self.interrupt_words
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


def _stop_reason(session, words: str, steps_outcome: str | None) -> str:
    """Why pytest stopped by itself: -x, --maxfail and --stepwise stop for failures; a plugin may stop it for reasons of its own (a session's time is up)."""
    stepwise = getattr(session.config.option, "stepwise", False)
    for_failures = session.shouldfail and steps_outcome in ("failed", "errored")
    return "maxfail" if for_failures or stepwise or "stopping after" in words else "interrupted"


def _is_ours(exc: BaseException) -> bool:
    return (type(exc).__module__ or "").startswith("litmus")


def uuid4() -> str:
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
    elif result.get("deselected"):
        line += f", {result['deselected']} deselected"
    path = result.get("path")
    if path:
        folder = str(config.invocation_params.dir) + os.sep
        path = str(path)
        line += "  -> " + (path[len(folder) :] if path.startswith(folder) else path)
    return line

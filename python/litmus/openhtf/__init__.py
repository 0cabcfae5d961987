# SPDX-License-Identifier: Apache-2.0
"""Records OpenHTF tests: every phase of the plan is on record before the first one runs, also those that never do.

    import openhtf as htf
    import litmus.openhtf

    test = htf.Test(power_up, measure_rails)
    litmus.openhtf.record(test, station_id="bench-3")
    test.execute(test_start=lambda: "SN-0042")

The run begins with the first phase, or with the end of a test that came to none; each phase's start is on record
before its body runs, its measurements and verdict before the next one starts. OpenHTF logs what an output callback
raises and goes on; so that a unit cannot pass without a record, a failing store makes the test's outcome ERROR.
"""

from __future__ import annotations

import threading
import time
import uuid

import openhtf
from openhtf.core.test_record import Outcome, PhaseOutcome
from openhtf.util import console_output

from litmus._nearest import nearest
from litmus._verdict import one_line
from litmus.openhtf import plan as _plan
from litmus.openhtf import values as _values

__all__ = ["OutputCallback", "record"]

_RUN = {Outcome.PASS: "passed", Outcome.FAIL: "failed", Outcome.ERROR: "errored", Outcome.TIMEOUT: "errored", Outcome.ABORTED: "terminated"}


def _facts() -> list[str]:
    """What may be said of a run: the fields of run.started but those that the recorder says itself."""
    from litmus import _litmus

    return [field["name"] for field in _litmus.event_types()["run.started"]["fields"] if field["name"] not in ("client", "test_phase_asked")]


def record(test: openhtf.Test, **options) -> openhtf.Test:
    """Has every execution of `test` recorded; the options are those of OutputCallback. Returns the test."""
    test.add_output_callbacks(OutputCallback(test, **options))
    return test


class OutputCallback:
    """The output callback that `record` adds to a test, for who wants to say where it stands among others.

    Args:
        test: the test, with all its phases. Its phases are replaced by copies that say when they start.
        data_dir: where to record; None: found as for pytest.
        required: a failing store makes the outcome ERROR (True), or is told on the console alone (False).
        facts: fields of run.started: station_id, operator_id, dut_part_number, test_phase, ... Errors: TypeError for one that there is not.
    """

    def __init__(self, test: openhtf.Test, *, data_dir=None, required: bool = True, **facts):
        self._test, self._data_dir, self._required, self._facts = test, data_dir, required, facts
        known = _facts() if facts else ()
        for name in facts:
            if name not in known and not name.startswith("x_"):
                raise TypeError(f"a run has no fact {name!r:.100}{nearest(name, known, repr)}")
        self._lock = threading.Lock()  # a phase that timed out may still be alive beside the next one
        self._plan = _plan.announce_phases(test, self._phase_starts)
        self._forget()

    def _forget(self) -> None:
        self._session = self._run_id = self._open = self.trouble = None
        self._recorded = 0  # phase records that are in the log
        self._phases: dict = {}  # id of a phase's descriptor: Planned; what this run has planned
        self._retries: dict = {}
        self._outcomes: dict = {}  # of the last attempt
        self._left_out = 0  # phases that this test was not to run

    # ---- what OpenHTF calls

    def _phase_starts(self, phase) -> None:
        with self._lock:
            record = self._test.state.test_record
            self._guarded(self._begin, record)
            if self._run_id is not None:
                self._guarded(self._record_phases, record)
                self._guarded(self._start, phase, _now_us())

    def __call__(self, record) -> None:
        """The test has ended: what is not on record yet, then its end. Never raises."""
        with self._lock:
            self._guarded(self._begin, record)
            done = self._guarded(self._finish, record) if self._run_id is not None else None
            self._tell(record, done)
            self._forget()

    def _guarded(self, act, *arguments):
        """The first failure is kept; the test goes on."""
        try:
            return act(*arguments)
        except Exception as error:
            self.trouble = self.trouble or f"{type(error).__name__}: {error}"
            return None

    def _tell(self, record, done) -> None:
        if self.trouble is None:
            for run in done or []:
                console_output.cli_print(f"litmus: run {run['run_id'][:8]} {run.get('outcome') or ''} -> {run.get('path')}")
            return
        text = f"litmus: this test is not (wholly) on record: {self.trouble}"
        if self._required:
            record.outcome = Outcome.ERROR
            record.add_outcome_details("NOT_RECORDED", text)
        console_output.error_print(text)

    # ---- run

    def _begin(self, record) -> None:
        if self._session is not None or self.trouble is not None:
            return
        from litmus import _litmus

        name = str(self._test.get_option("name"))
        identity = {"station_id": record.station_id, **{key: value for key, value in self._facts.items() if key.startswith(("station_", "operator_"))}}
        self._session = _litmus.Session(self._data_dir, payload={"client": "openhtf", **identity})
        self._run_id = str(uuid.uuid4())
        self._serial = str(record.dut_id or "")
        self._phases = {before.descriptor_id: _plan.Trigger(before.name) for before in record.phases} | self._plan
        metadata = {str(key): value for key, value in record.metadata.items() if isinstance(value, (str, int, float, bool))}
        at = record.start_time_millis * 1000 or _now_us()
        self._emit("run.started", {"client": "openhtf", "project_name": name, **identity, "dut_serial": self._serial, "custom_metadata": metadata, **self._facts}, at)
        self._emit("test.steps_discovered", {"items": _plan.name_steps(name, list(self._phases.values()))}, at)

    def _finish(self, record) -> list:
        try:
            self._guarded(self._record_phases, record)
            if self._open is not None:  # its thread was left behind
                self._end(self._open, _now_us(), "terminated" if record.outcome is Outcome.ABORTED else "errored", "the phase did not end")
            self._pass_over()
            if self._serial != str(record.dut_id or ""):
                self._emit("fixture.dut_scanned", {"dut_serial": str(record.dut_id), "scan_source": "openhtf"}, _now_us())
            outcome = "errored" if record.outcome is Outcome.PASS and self._cannot_have_passed() else _RUN.get(record.outcome, "errored")
            self._emit("run.ended", {"outcome": outcome, "stop_reason": self._stop_reason(record)}, (record.end_time_millis or 0) * 1000 or _now_us())
        finally:
            session, self._session = self._session, None
            done = session.close(None)
        return done

    def _stop_reason(self, record) -> str | None:
        if record.outcome is Outcome.ABORTED:
            return "interrupted"
        if self._came_to_nothing():
            return "instrument error"
        if record.outcome is Outcome.PASS and self._cannot_have_passed():
            return "crash"
        return "maxfail" if len(self._retries) + self._left_out < len(self._phases) else None

    def _cannot_have_passed(self) -> bool:
        """OpenHTF says PASS where its own thread died: of a plug that raised SystemExit, of an exception without words."""
        return self._came_to_nothing() or any(outcome in ("failed", "errored") for outcome in self._outcomes.values())

    def _came_to_nothing(self) -> bool:
        """No phase was come to, and one had to be: the scanner or a plug failed."""
        due = any(not phase.conditional and phase.branch is None for phase in self._plan.values())
        return due and all(isinstance(phase, _plan.Trigger) for phase in self._retries)

    def _pass_over(self) -> None:
        """Phases that never ran though the test went on behind them, with the reason that is known."""
        phases = list(self._phases.values())
        last = max((at for at, phase in enumerate(phases) if phase in self._retries), default=0)
        for phase in phases[:last]:
            if phase in self._retries:
                continue
            if phase.conditional:
                self._not_run(phase, "skip_marker", "run_if said no")
            elif phase.branch is not None:
                self._not_run(phase, "skip_marker", f"the branch {phase.branch} was not taken")

    # ---- phases

    def _emit(self, event_type: str, payload: dict, at: int) -> None:
        self._session.emit(event_type, payload, self._run_id, at)

    def _start(self, phase, at: int) -> None:
        retry = self._retries[phase] = self._retries.get(phase, -1) + 1
        self._open = phase
        self._started = at
        self._emit("test.step_started", {**phase.step, "vector_index": 0, "retry": retry}, at)

    def _end(self, phase, at: int, outcome: str, message: str | None) -> None:
        self._open = None
        self._outcomes[phase] = outcome
        failed_phase = "call" if outcome in ("failed", "errored") else None
        self._emit("test.step_ended", {**phase.step, "vector_index": 0, "retry": self._retries[phase], "outcome": outcome, "vector_outcome": outcome,
                                       "message": message, "failed_phase": failed_phase}, max(at, self._started))

    def _not_run(self, phase, reason: str, message: str) -> None:
        step = phase.step
        self._left_out += reason == "skip_marker"
        self._emit("test.step_not_run", {"node_id": step["node_id"], "step_path": step["step_path"], "vector_index": 0, "reason": reason, "message": message}, _now_us())

    def _record_phases(self, record) -> None:
        """Measurements and verdicts of the phases that ended since we looked last."""
        while self._recorded < len(record.phases):
            ended = record.phases[self._recorded]
            self._recorded += 1
            phase = self._phases.get(ended.descriptor_id)
            if phase is not None:
                self._record_phase(phase, ended, record.outcome)

    def _record_phase(self, phase, ended, outcome) -> None:
        if self._open is not phase:
            if ended.result is not None and ended.result.is_skip:  # never called: its subtest had failed
                self._not_run(phase, "maxfail", f"subtest {ended.subtest_name} had failed" if ended.subtest_name else "passed over by OpenHTF")
                return
            self._start(phase, ended.start_time_millis * 1000)
        at = (ended.end_time_millis or 0) * 1000
        own = {key: phase.step[key] for key in ("step_name", "step_index", "step_path")}
        self._guarded(self._measured, own, phase, ended, max(at, self._started))
        self._attach(own, phase, ended, max(at, self._started))
        self._end(phase, at, *self._verdict(phase, ended, outcome))

    def _measured(self, own: dict, phase, ended, at: int) -> None:
        for fields, index in _values.measurements(ended):
            self._emit("test.measurement", {**own, "vector_index": index, "retry": self._retries[phase], **fields}, at)

    def _attach(self, own: dict, phase, ended, at: int) -> None:
        """What the phase attached, and of an exception its traceback. What cannot be stored is told of; the phase is on record all the same."""
        for name, attachment in ended.attachments.items():
            self._guarded(lambda name=name, given=attachment: self._store(own, phase, at, name, given.data, given.mimetype))
        traceback = self._guarded(_values.traceback_of, ended.result)
        if traceback:
            self._guarded(self._store, own, phase, at, "failure.txt", traceback.encode("utf-8", "backslashreplace"), "text/plain")

    def _store(self, own: dict, phase, at: int, name: str, content: bytes, mime: str | None) -> None:
        uri, digest, size = self._session.store(_values.file_name(name, mime), content)
        payload = {"name": str(name), "uri": uri, "sha256": digest, "size_bytes": size, "mime_type": mime}
        self._emit("test.attachment", {**own, "vector_index": 0, "retry": self._retries[phase], **payload}, at)

    def _is_stopping(self) -> bool:
        """Whether the operator has asked the running test to end; OpenHTF says it to its own executor only."""
        is_set = getattr(getattr(getattr(self._test, "_executor", None), "_abort", None), "is_set", None)
        return not callable(is_set) or bool(is_set())  # one that does not say it any more is believed to stop

    def _verdict(self, phase, ended, test_outcome) -> tuple:
        """(outcome, message) of a phase. Of a repeated one, whether it measured something wrong. `test_outcome`: None while the test runs."""
        result = ended.result
        failed = [name for name, measurement in (ended.measurements or {}).items() if measurement.outcome.name == "FAIL"]
        unset = [name for name, measurement in (ended.measurements or {}).items() if measurement.outcome.name in ("UNSET", "PARTIALLY_SET")]
        diagnosed = [str(getattr(result, "value", result)) for result in ended.failure_diagnosis_results]
        found = (("failed", failed), ("not measured", unset), ("diagnosed", diagnosed))
        words = "; ".join(f"{what}: {', '.join(names)}" for what, names in found if names) or None
        if result is None or result.is_timeout:
            return "errored", "timed out"
        if result.is_aborted:
            stopped = test_outcome is Outcome.ABORTED or (test_outcome is None and self._is_stopping())
            return ("terminated", "stopped by the operator") if stopped else ("errored", "its thread ended: it raised SystemExit, or what is no Exception")
        if result.raised_exception:
            kind, text = result.phase_result.exc_type, one_line(result.phase_result.exc_val)
            known = tuple(self._test.get_option("failure_exceptions"))
            return ("failed" if issubclass(kind, known) else "errored"), f"{kind.__name__}: {text}" if text else kind.__name__
        if result.is_repeat and self._retries[phase] + 1 >= phase.repeat_limit:
            return "failed", words or f"still to be repeated after {phase.repeat_limit} attempts"
        if result.is_repeat:
            return ("failed", words) if failed else ("skipped", "to be repeated")
        if result.is_skip:
            return ("failed", words) if failed else ("skipped", None)
        if ended.outcome is PhaseOutcome.PASS:
            return "passed", None
        return "failed", words or f"the phase said {result.phase_result.name}"


def _now_us() -> int:
    return time.time_ns() // 1000

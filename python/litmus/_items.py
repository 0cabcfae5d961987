# SPDX-License-Identifier: Apache-2.0
"""One planned item after the other: from the hooks around a test to its step's events."""

from __future__ import annotations

import os

import pytest

from litmus.plugin import load

_measure, _verdict, _plain = load("_measure"), load("_verdict"), load("_plain")
plain_map, plain_outputs, repr_of = _plain.plain_map, _plain.plain_outputs, _plain.repr_of
_getpid = os.getpid  # a test may put something else in its place


FROM_CHILD = "litmus measured"  # property of a report: what failed in the forked child that ran the test


class Execution:
    """One execution of a planned item, from before its fixtures to after their end."""

    __slots__ = (
        "began", "calls", "failed_phase", "frames", "identity", "item", "message", "node_id", "notes", "outcome", "owner",
        "passed_over", "place", "properties", "reports", "sections", "started", "subtest", "sweep", "vectors",
    )  # fmt: skip

    def __init__(self, owner, item, place: int):
        self.owner = owner
        self.item = item
        self.place = place  # in the plan
        self.node_id = item.nodeid  # as the reports have it
        self.sweep = getattr(item, "_litmus_sweep", None)  # that is declared for it (_vectors.Sweep)
        self.identity = None  # what its events say of it
        self.started = False
        self.calls = {}  # phase -> CallInfo
        self.outcome = None
        self.failed_phase = None
        self.message = None
        self.notes = None  # verdicts of other phases, in words
        self.passed_over = None  # words of a skip marker
        self.subtest = None  # first failing subtest, in words
        self.reports = ()  # those that say failed
        self.sections = ()  # captured output and log, as the last report has them
        self.frames = ()  # the open steps (_measure.Frame): this one, then its sub-steps; none before something asks for one
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

    @property
    def width(self) -> int:
        """How many rows of the plan it has: vectors of its sweep."""
        return 1 if self.sweep is None else len(self.sweep.inputs)

    def frame(self) -> _measure.Frame:
        """The step itself, for what is recorded in it; most tests need none."""
        if not self.frames:
            self.frames = [_measure.Frame(self.owner.part.emit, self.identity)]
        return self.frames[0]

    def note(self, outcome: str, phase: str, message: str | None) -> None:
        text = f"{phase} {outcome}: {message}" if message else f"{phase} {outcome}"
        self.notes = text if self.notes is None else f"{self.notes}; {text}"

    def judge_calls(self) -> None:
        """The verdict from what the phases raised: a plugin kept the report to itself (flaky does, of an attempt that another one follows)."""
        for when, call in self.calls.items():
            if call.excinfo is not None:
                verdict = _verdict.left_by(call.excinfo.value)
                self.add("errored" if when != "call" and verdict == "failed" else verdict, when, _verdict.one_line(call.excinfo.exconly(tryshort=True)))
        if self.outcome is None and "call" in self.calls:
            self.outcome = "passed"

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

    def __init__(self, part, plan):
        from _pytest.reports import TestReport

        self.part = part
        self.plan = plan
        self.pid = part.pid
        self.current: Execution | None = None
        self.running = _measure.running
        self.report_type = TestReport
        self.worker = hasattr(part.config, "workerinput")
        self.worst: dict = {}  # place -> outcome of its last execution, unless that passed
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
            place = self.plan.find(item)
            execution = self.current = Execution(self, item, place)
            if not self.plan.is_decorated(place):
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
            execution, when = self.current, report.when
            ours = execution is not None and execution.node_id == report.nodeid
            passed = report.outcome == "passed" and report.__class__ is self.report_type
            if passed and ours and when == "setup" and execution.calls:
                return  # as most: there is nothing to judge yet
            if _getpid() != self.pid:
                return
            if not ours:
                execution = self.foreign(report)
                if execution is None:
                    return
            if not execution.calls:
                self.hear_child(execution, report)
            if not passed:
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
            self.identify(execution)
            execution.frames = [_ChildFrame(self.part.emit, execution.identity)]
            execution.frames[0].properties = item.user_properties
            self.running.append(execution)

    def hear_child(self, execution: Execution, report) -> None:
        """What the report of a forked child has to say beside its verdict; nobody after us sees our part of it."""
        if execution.began is None:
            execution.began = getattr(report, "start", None)
        if execution.identity is None:
            self.identify(execution)
        properties = getattr(report, "user_properties", None) or []
        ours = [each for each in properties if isinstance(each, (tuple, list)) and each[:1] in ((FROM_CHILD,), [FROM_CHILD])]
        for _, (outcome, text) in ours:
            execution.frame().worsen(outcome, text)
        execution.properties = [each for each in properties if each not in ours] if ours else properties
        if ours:
            report.user_properties = execution.properties

    def start(self, execution: Execution, occurred_at: int | None = None) -> None:
        """test.step_started."""
        if execution.identity is None:
            self.identify(execution)
        runs, place = self.plan.runs, execution.place
        if runs[place] == 0:
            self.seen += execution.width
        runs[place] += 1
        identity = execution.identity
        description = _description(execution.item) if identity["function"] is not None else None
        self.part.emit("test.step_started", identity if description is None else dict(identity, description=description), occurred_at)
        execution.started = True
        self.running.append(execution)

    def identify(self, execution: Execution) -> None:
        """What every event of an execution says: which step, which time, with which inputs."""
        item, plan, place = execution.item, self.plan, execution.place
        entry, retry = plan.own[place], plan.runs[place]
        count = getattr(item, "execution_count", None)  # pytest-rerunfailures, over a worker's crash too
        if type(count) is int and count - 1 > retry:
            retry = count - 1
        execution.identity = {
            "step_name": plan.name(place),
            "step_index": entry["step_index"],
            "step_path": entry["step_path"],
            "parent_path": entry["parent_path"],
            "vector_index": entry["vector_index"],
            "retry": retry,
            "inputs": _inputs(item) if execution.sweep is None else execution.sweep.planned[0],
            "node_id": entry["node_id"],
            "file": entry["file"],
            "module": entry["module"],
            "class_name": entry["class_name"],
            "function": entry["function"],
        }
        _measure.opened.set(execution)

    def judge(self, execution: Execution, report, when: str) -> None:
        """Takes a report that does not simply say passed into the verdict."""
        outcome = report.outcome
        call = execution.calls.get(when)
        excinfo = call.excinfo if call is not None else None
        exc = excinfo.value if excinfo is not None else None
        if report.__class__ is not self.report_type and getattr(report, "context", None) is not None:  # a subtest's
            execution.calls.pop(when, None)  # the body itself goes on
            if outcome == "failed":
                words = f"subtest {_subtest_words(report)}: {_verdict.failure(report, exc)}"
                execution.subtest = execution.subtest or words
                if execution.vectors is not None:  # it is the verdict on the vector at hand
                    execution.frame().worsen("failed", words)
                execution.reports += (report,)
                if self.worker:
                    report.litmus_outcome = "failed"
            return
        if when == "???":  # a plugin that runs tests in children: the child died
            verdict, words = ("skipped", _verdict.skip_reason(report)) if outcome == "skipped" else ("errored", _verdict.failure(report))
            execution.add(verdict, "call", words)
            if self.worker:
                report.litmus_outcome = verdict  # the worker itself lives
        elif execution.vectors is not None and outcome != "passed" and self.is_told(execution, when, exc):
            execution.outcome = execution.outcome or "passed"  # of the vector at hand
            if self.worker and outcome == "failed":
                report.litmus_outcome = "failed"
        elif outcome == "skipped":
            words = _verdict.skip_reason(report)
            if not execution.started and not hasattr(report, "wasxfail") and (
                self.plan.is_decorated(execution.place) or (when == "setup" and _by_marker(execution.item, report, exc))
            ):
                execution.passed_over = words
            else:
                execution.add("skipped", when, words)
        elif outcome == "passed":
            if when == "call" and execution.outcome is None:
                execution.outcome = "passed"
        elif outcome == "rerun" and call is not None and exc is None and execution.all_failures is not None:  # ours (_retry): what was measured is the reason
            execution.outcome = execution.outcome or "passed"  # each vector has its own verdict, and so has a body without a sweep
            execution.reports += (report,)
        elif outcome in ("failed", "rerun") or exc is not None:  # some plugins have their own word for an attempt that failed
            verdict = "errored"
            if when == "call":
                verdict = _verdict.reported_outcome(report) if call is None else _verdict.body_outcome(exc)
            execution.add(verdict, when, _verdict.failure(report, exc))
            execution.reports += (report,)
            if self.worker:
                report.litmus_outcome = verdict
        else:
            execution.add("errored", when, f"outcome {outcome}")

    @staticmethod
    def is_told(execution: Execution, when: str, exc) -> bool:
        """Whether a report only sums up what the rows of vectors have."""
        return execution.vectors.is_told(exc) or (when == "call" and exc is None and execution.subtest is not None)

    def end(self, execution: Execution, occurred_at: int | None = None) -> None:
        """test.step_ended, or test.step_not_run."""
        if execution.passed_over is not None and execution.outcome is None and self.plan.runs[execution.place] > 0:  # after an attempt that has a row
            execution.outcome, execution.message = "skipped", execution.passed_over
        elif execution.passed_over is not None and execution.outcome is None and not execution.started:
            self.current = None
            self.not_run += 1
            if self.plan.runs[execution.place] == 0:
                self.seen += execution.width
                self.plan.runs[execution.place] = -1
            self.emit_not_run(execution.place, 0, execution.width, "skip_marker", execution.passed_over or None)
            return
        elif execution.passed_over is not None:  # and yet its teardown, of a wider scope, failed
            execution.note("skipped", "setup", execution.passed_over)
        if not execution.started:  # a hook before ours raised, or the test ran in a child
            began = execution.calls.get("setup")
            at = began.start if began is not None else execution.began
            self.start(execution, int(at * 1e6) if at else None)
        if execution.outcome is None and execution.passed_over is None and "call" in execution.calls:
            execution.judge_calls()
        if execution.subtest is not None and execution.vectors is None and execution.outcome in (None, "passed", "skipped"):
            execution.outcome, execution.failed_phase, execution.message = "failed", "call", execution.subtest
        elif execution.subtest is not None and execution.message and execution.message.startswith("contains "):
            execution.message = execution.subtest
        elif execution.subtest is not None and (execution.vectors is None or execution.outcome == "terminated"):
            execution.note("failed", "call", execution.subtest)
        if len(execution.frames) > 1:
            _measure.close_left_open(execution.frames, execution.outcome in ("terminated", "aborted"))
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
            payload["outputs"] = plain_outputs(properties)
        self.current = None
        self.stop_running(execution)
        self.part.emit("test.step_ended", payload, occurred_at)
        width, place = execution.width, execution.place
        if width == 1:
            self.note_outcome(place, outcome)
            return
        taken = payload["vector_index"] - self.plan.own[place]["vector_index"] + 1
        self.note_outcome((place, taken - 1), outcome)
        if taken < width and outcome not in ("terminated", "aborted"):
            how = "the loop was left" if outcome in ("passed", "done") else outcome
            self.emit_not_run(place, taken, width - taken, "sweep_stopped", f"vector {taken} of {width}: {how}")

    def emit_not_run(self, place: int, first: int, count: int, reason: str, message: str | None) -> None:
        """test.step_not_run of an item, or of `count` vectors of its sweep from `first` on."""
        entry = self.plan.own[place]
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
            _measure.attach_to(execution.frame(), self.part.session, content, "failure.txt" if failed else "output.txt", sync=False)
        except Exception as exc:
            self.part.fail(exc, f"the failure text of {execution.node_id} is not on record")

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
            execution.judge_calls()
            if execution.outcome is None:
                execution.outcome = "aborted"
        elif "teardown" in execution.calls and execution.calls["teardown"].excinfo is not None:  # of an attempt that another one follows
            execution.add("errored", "teardown", _verdict.one_line(execution.calls["teardown"].excinfo.exconly(tryshort=True)))
        last = execution.calls.get("teardown")
        self.end(execution, int(last.stop * 1e6) if last is not None else None)

    def foreign(self, report) -> Execution | None:
        """The execution of a report that is not of the current item: one that ran in a child."""
        if report.when not in ("setup", "call", "teardown", "???"):
            return None
        place = self.plan.by_node_id(report.nodeid)
        if place is None:
            return None
        if self.current is not None:
            self.end_unreported()
        execution = self.current = Execution(self, self.plan.items[place], place)
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
        if execution.outcome is None:  # a hook raised before its report
            execution.judge_calls()
        execution.add(outcome, _phase(execution, part.stop_reason == "crash"), words)
        self.end(execution)

    # -- all of them

    def outcome(self) -> str | None:
        """The worst outcome over the last execution of every step."""
        return _verdict.worse(_verdict.worst(self.worst.values()), "passed" if self.passed else None)

    def unfinished(self) -> bool:
        """Whether planned items were neither started nor passed over."""
        return self.seen < len(self.plan.entries)


def forget() -> None:
    """The session is over: what the interpreter keeps to its very end no longer leads to a step, and from there to all of pytest."""
    _measure.opened.set(None)


def _by_marker(item, report, exc) -> bool:
    """Whether a skip in setup is a marker's: pytest gives it the place of the item."""
    if exc is not None:
        return getattr(exc, "_use_item_location", False)
    path, line = item.reportinfo()[:2]  # from a forked child there is only the report
    where = report.longrepr
    return line is not None and isinstance(where, (tuple, list)) and tuple(where[:2]) == (os.fspath(path), line + 1)


def _phase(execution: Execution, crashed: bool) -> str:
    """The phase that was cut off: the one after the last that came to its report, or, of a hook that raised, the one whose report it had."""
    if "call" in execution.calls:
        return "call" if crashed else "teardown"
    return "call" if "setup" in execution.calls and not crashed else "setup"


def _subtest_words(report) -> str:
    try:
        describe = getattr(report, "_sub_test_description", None) or report.sub_test_description  # pytest-subtests
        return describe()
    except Exception:
        return ""


def _inputs(item) -> dict:
    """The parameters of an item; whatever another plugin calls a callspec, a step starts."""
    try:
        callspec = getattr(item, "callspec", None)
        return plain_map(callspec.params) if callspec is not None else {}
    except Exception as exc:
        return {"_error": repr_of(exc)}


def _description(item) -> str | None:
    """The first line of a test's docstring."""
    try:
        words = getattr(getattr(item, "obj", None), "__doc__", None)
        if type(words) is str and words:
            return _verdict.one_line(words)
    except Exception:  # somebody's property
        pass
    return None

# SPDX-License-Identifier: Apache-2.0
"""The lines of pytest-reportlog. A step that never ran is a setup report, skipped, that says so and why.

Each attempt has its call report: those before the last have the outcome `rerun`, as pytest-rerunfailures writes it.
"""

from __future__ import annotations

from litmus.exports.reading import BAD
from litmus.exports.text import encode, to_json

_OUTCOMES = {"passed": "passed", "done": "passed", "failed": "failed", "skipped": "skipped"}


def _report(step, phase: str, outcome: str, longrepr, started, ended, seconds: float, notes: list) -> dict:
    node_id = step.node_id or step.path or step.name
    return {"nodeid": node_id, "location": [step.file or "", None, step.title], "keywords": {marker: 1 for marker in step.markers}, "outcome": outcome,
            "longrepr": longrepr, "when": phase, "user_properties": notes, "sections": [], "duration": seconds,
            "start": started.timestamp() if started else 0, "stop": ended.timestamp() if ended else 0, "$report_type": "TestReport"}


def _reports(run, step):
    notes = [["litmus.run_id", run.id], ["litmus.outcome", step.word], ["litmus.step_path", step.path], ["litmus.vector_index", step.vector_index]]
    notes += [["litmus.never_ran_reason", step.reason], ["litmus.never_ran_cause", step.cause]] if step.word == "never_ran" else []
    notes += [[f"litmus.measurement.{m.name}", m.said] for m in step.measurements] + [[key, value] for key, value in step.outputs.items()]
    skipped = (step.file or step.path, 0, step.why or "skipped")
    if not step.ran or step.word == "running":
        yield _report(step, "setup", "skipped", skipped, step.started, step.ended, 0.0, notes)
        return
    phase = step.failed_phase if step.failed_phase in ("setup", "teardown") and step.word in BAD else "call"
    for attempt in step.attempts[:-1]:
        outcome = "rerun" if attempt.outcome in BAD else _OUTCOMES.get(attempt.outcome, "passed")
        yield _report(step, "call", outcome, f"attempt {attempt.number}: {attempt.outcome}", attempt.started, attempt.ended, attempt.seconds, [["litmus.outcome", attempt.outcome]])
    outcome = "failed" if step.word in BAD else _OUTCOMES.get(step.word, "passed")
    longrepr = skipped if outcome == "skipped" else (step.message or step.word) if outcome == "failed" else None
    yield _report(step, phase, outcome, longrepr, step.started, step.ended, step.seconds, notes)


def write(runs, out) -> None:
    for run in runs:
        start = {"pytest_version": "", "$report_type": "SessionStart", "litmus_run_id": run.id}
        out.write(encode(to_json(start) + "\n"))
        for step in run.steps:
            for report in _reports(run, step):
                out.write(encode(to_json(report) + "\n"))
        if run.live:
            continue  # a log that goes on has no last line
        bad = run.outcome in BAD or any(step.word in BAD for step in run.steps)
        out.write(encode(to_json({"exitstatus": 1 if bad else 0, "$report_type": "SessionFinish", "litmus_outcome": run.outcome}) + "\n"))

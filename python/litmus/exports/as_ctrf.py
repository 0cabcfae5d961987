# SPDX-License-Identifier: Apache-2.0
"""CTRF, the Common Test Report Format: a step that never ran is `pending`, earlier attempts are `retryAttempts`.

Several runs are one document; `extra.runs` and each test's `extra.run_id` tell them apart.
"""

from __future__ import annotations

import uuid

from litmus.exports.reading import BAD
from litmus.exports.text import encode, to_json, when

_STATUS = {"passed": "passed", "failed": "failed", "skipped": "skipped", "never_ran": "pending", "not_yet": "pending", **{word: "failed" for word in BAD}}
_KEYS = ("passed", "failed", "skipped", "pending", "other")


def _ms(time) -> int:
    return int(time.timestamp() * 1000) if time is not None else 0


def status_of(word) -> str:
    return _STATUS.get(word, "other")


def _attempt(attempt) -> dict:
    return {"attempt": attempt.number, "status": status_of(attempt.outcome), "duration": round(attempt.seconds * 1000), "extra": {"outcome": attempt.outcome or "unknown"}}


def test_of(run, step) -> dict:
    """One step."""
    made = {"name": step.title or step.path or "unnamed", "status": status_of(step.word), "duration": round(step.seconds * 1000), "rawStatus": step.word}
    if step.started is not None:
        made["start"] = _ms(step.started)
    if step.ended is not None:
        made["stop"] = _ms(step.ended)
    if step.parent:
        made["suite"] = [part for part in step.parent.split("/") if part] or [step.parent]
    if step.why:
        made["message"] = step.why
    if step.file:
        made["filePath"] = step.file
    if step.markers:
        made["tags"] = step.markers
    if len(step.attempts) > 1:
        made["retries"] = len(step.attempts) - 1
        made["retryAttempts"] = [_attempt(attempt) for attempt in step.attempts[:-1]]
        made["flaky"] = step.word == "passed" and any(attempt.outcome in BAD for attempt in step.attempts)
    extra = {"run_id": run.id, "step_path": step.path, "step_index": step.index, "vector_index": step.vector_index, "node_id": step.node_id,
             "never_ran_reason": step.reason, "never_ran_cause": step.cause, "inputs": step.inputs, "outputs": step.outputs,
             "measurements": [m.fields for m in step.measurements]}
    made["extra"] = {key: value for key, value in extra.items() if value not in (None, {}, [])}
    return made


def _trouble(run) -> dict | None:
    if run.hidden_trouble is None:
        return None
    return {"name": "litmus.run", "status": "failed", "duration": 0, "rawStatus": run.outcome, "message": run.hidden_trouble, "extra": {"run_id": run.id}}


def write(runs, out) -> None:
    counts, heads, start, stop, flaky = dict.fromkeys(_KEYS, 0), [], [], [], 0
    out.write(encode(f'{{"reportFormat":"CTRF","specVersion":"0.0.0","reportId":"{uuid.uuid4()}","generatedBy":"litmus","results":{{"tool":{{"name":"litmus"}},"tests":['))
    first = True
    for run in runs:
        start.append(_ms(run.started))
        stop.append(_ms(run.ended))
        heads.append({"run_id": run.id, "outcome": run.outcome, "live": run.live, "started_at": when(run.started), "counts": run.counts(),
                      "facts": {key: value for key, value in run.fields.items() if not isinstance(value, list)}})
        for test in (*(test_of(run, step) for step in run.steps), _trouble(run)):
            if test is not None:
                counts[test["status"]] += 1
                flaky += test.get("flaky", False)
                out.write(encode(("\n" if first else ",\n") + to_json(test)))
                first = False
    summary = {"tests": sum(counts.values()), **counts, "flaky": flaky, "start": min(start, default=0), "stop": max(stop, default=0), "extra": {"runs": heads}}
    out.write(encode('],\n"summary":' + to_json(summary) + "}}\n"))

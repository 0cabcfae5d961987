# SPDX-License-Identifier: Apache-2.0
"""JSON: {"format": "litmus-runs", "version": 1, "runs": [{run, counts, steps: [{..., attempts}], measurements}]}."""

from __future__ import annotations

from litmus.exports.text import encode, to_json

_STEP = ("index", "name", "path", "parent", "vector_index", "node_id", "file", "module", "cls", "function", "markers", "outcome", "started", "ended",
         "message", "failed_phase", "inputs", "outputs")
_NAMES = {"cls": "class", "started": "started_at", "ended": "ended_at"}


def step_of(step) -> dict:
    """A step as JSON has it: `outcome` null when it never ran, and then why."""
    made = {_NAMES.get(key, key): getattr(step, key) for key in _STEP}
    made["never_ran"] = step.word == "never_ran"
    if not step.ran:
        made["never_ran_reason"], made["never_ran_cause"] = step.reason, step.cause
    made["status"] = step.word
    made["attempts"] = [{"number": a.number, "outcome": a.outcome, "started_at": a.started, "ended_at": a.ended} for a in step.attempts]
    return made


def write(runs, out) -> None:
    out.write(b'{"format":"litmus-runs","version":1,"runs":[')
    for number, run in enumerate(runs):
        head = to_json({"run_id": run.id, "live": run.live, "outcome": run.outcome, "run": run.fields, "counts": run.counts()})
        out.write(encode((",\n" if number else "\n") + head[:-1] + ',"steps":['))
        for i, step in enumerate(run.steps):
            out.write(encode(("," if i else "") + "\n " + to_json(step_of(step))))
        out.write(b'],"measurements":[')
        for i, (_, measurement) in enumerate(run.measurements):
            out.write(encode(("," if i else "") + "\n " + to_json(measurement.fields)))
        out.write(b"]}")
    out.write(b"\n]}\n")

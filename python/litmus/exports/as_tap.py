# SPDX-License-Identifier: Apache-2.0
"""TAP 14. A step that never ran is `ok N - name # SKIP never ran: maxfail`, TAP having no other word for it.

Its block of facts says `outcome: "never_ran"`. A run that is bad though no step is ends in `Bail out!`. Attempts are in the
facts. Several runs are one stream, their names prefixed with the first characters of their ids.
"""

from __future__ import annotations

from litmus.exports.reading import BAD
from litmus.exports.text import encode, to_json


def _words(text: str) -> str:
    """A description: one line, # and \\ escaped."""
    return " ".join("".join(c if c.isprintable() else f"#x{ord(c):02X}" for c in str(text)).split()).replace("\\", "\\\\").replace("#", "\\#")


def _line(number: int, step, prefix: str) -> str:
    ok = "not ok" if step.word in BAD else "ok"
    directive = f" # SKIP {_words(step.why or 'skipped')}" if step.word in ("skipped", "never_ran", "not_yet", "running") else ""
    made = [f"{ok} {number} - {prefix}{_words(step.node_id or step.path or step.name)}{directive}"]
    facts = {"outcome": step.word, "message": step.message, "duration_ms": round(step.seconds * 1000, 3), "never_ran_reason": step.reason, "never_ran_cause": step.cause,
             "attempts": [a.outcome for a in step.attempts] if len(step.attempts) > 1 else None,
             "measurements": [{k: v for k, v in (("name", m.name), ("value", m.said), ("units", m.units), ("low", m.limit_low), ("high", m.limit_high), ("outcome", m.outcome)) if v is not None}
                              for m in step.measurements] or None}
    made += ["  ---", *(f"  {key}: {to_json(value)}" for key, value in facts.items() if value is not None), "  ..."]
    return "\n".join(made) + "\n"


def write(runs, out) -> None:
    out.write(b"TAP version 14\n")
    several, number, trouble = len(runs) > 1, 0, []
    for run in runs:
        out.write(encode(f"# run {run.id}{' (in flight)' if run.live else ''}: {', '.join(f'{n} {word}' for word, n in run.counts().items())}\n"))
        for step in run.steps:
            number += 1
            out.write(encode(_line(number, step, run.id[:8] + " " if several else "")))
        if run.hidden_trouble:
            trouble.append(f"{run.id[:8]}: {run.hidden_trouble}")
    out.write(encode(f"1..{number}{' # SKIP nothing was planned' if number == 0 else ''}\n"))
    if trouble:
        out.write(encode(f"Bail out! {_words('; '.join(trouble))}\n"))

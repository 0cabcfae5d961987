# SPDX-License-Identifier: Apache-2.0
"""A log of pytest-reportlog: a session is a run, a node id a step, its reruns attempts."""

from __future__ import annotations

import json

from litmus.errors import InvalidArgument
from litmus.imports import REASONS, Attempt, Run, Step, after_call

_SUBTESTS = ("SubTestReport", "SubtestReport")
_MEASURED = "litmus.measurement."


def _message(longrepr) -> str | None:
    if isinstance(longrepr, dict):
        longrepr = (longrepr.get("reprcrash") or {}).get("message")
    elif isinstance(longrepr, (list, tuple)) and longrepr:
        longrepr = longrepr[-1]
    return next(iter(str(longrepr).strip().splitlines()), None) if longrepr else None


def _us(value) -> int:
    return max(0, round(float(value or 0) * 1_000_000))


def _measurement(name: str, value) -> dict:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return {"measurement_name": name, "value": value if is_number else None, "text": None if is_number or value is None else str(value)}


class _Item:
    """What the reports of one node id say."""

    def __init__(self, report: dict):
        self.node_id, self.attempts, self.phases, self.reason, self.why = report["nodeid"], [], set(), None, None
        self.measured, self.data, self.subtest = [], {}, None
        if not isinstance(self.node_id, str):
            raise TypeError("its nodeid is no text")
        self.file = (report.get("location") or [None])[0] or None

    def add_subtest(self, report: dict) -> None:
        """One that failed fails its test, whose own report may say passed."""
        if report.get("outcome") != "failed":
            return
        context = report.get("_subtest.context") or {}
        inputs = ", ".join(f"{name}={value}" for name, value in (context.get("kwargs") or {}).items())
        where = " ".join(filter(None, ["subtest", f"[{context['msg']}]" if context.get("msg") is not None else None, f"({inputs})" if inputs else None]))
        self.subtest = self.subtest or f"{where}: {_message(report.get('longrepr')) or 'failed'}"

    def add(self, report: dict) -> None:
        pairs = [(str(pair[0]), pair[1]) for pair in report.get("user_properties") or [] if isinstance(pair, list) and len(pair) == 2]
        notes = dict(pairs)
        phase, said = report.get("when") or "call", report.get("outcome")
        if notes.get("litmus.outcome") == "never_ran":
            self.reason = notes.get("litmus.never_ran_reason")
            self.reason = self.reason if self.reason in REASONS else "unknown"
            self.why = _message(report.get("longrepr"))
            return
        started = _us(report.get("start"))
        ended = max(started, _us(report.get("stop")) or started + _us(report.get("duration")))
        bad = "errored" if phase in ("setup", "teardown", "collect") else "failed"  # xdist says "???" of a test whose worker died
        word = {"passed": "passed", "skipped": "skipped", "failed": bad, "rerun": bad}.get(said, "errored")
        if word == "passed" and notes.get("litmus.outcome") == "done":
            word = "done"
        if word in ("failed", "errored") and notes.get("litmus.outcome") in ("errored", "aborted", "terminated"):
            word = notes["litmus.outcome"]
        message = _message(report.get("longrepr")) if word != "passed" else None
        if self.subtest is not None and phase == "call" and word in ("passed", "failed"):
            word, message, self.subtest = "failed", self.subtest, None
        self.data.update({name: value for name, value in notes.items() if name and not name.startswith("litmus.")})
        self.measured = [_measurement(name[len(_MEASURED) :], value) for name, value in pairs if name.startswith(_MEASURED)] or self.measured
        if not self.attempts or phase in self.phases or phase == "setup":
            self.phases = set()
            self.attempts.append(Attempt(word, started, ended, message, phase if word in ("failed", "errored") else None))
        else:
            last = self.attempts[-1]
            worse = last.outcome == "passed" or (word == "errored" and last.outcome == "failed")  # as litmus has it where the teardown of a failed test fails
            self.attempts[-1] = last._replace(outcome=word if worse else last.outcome, ended=max(ended, last.ended),
                                              message=after_call(message, last.message) if worse else last.message or message,
                                              phase=(phase if word in ("failed", "errored") else None) if worse else last.phase)
        self.phases.add(phase)

    def step(self, cut: str) -> Step:
        """`cut`: the outcome of a test that was set up, and of whose call nothing was said."""
        if self.attempts and self.phases == {"setup"} and self.attempts[-1].outcome == "passed":
            self.attempts[-1] = self.attempts[-1]._replace(outcome=cut)
        if self.attempts:
            self.attempts[-1] = self.attempts[-1]._replace(measurements=tuple(self.measured), data={"out": self.data})
        parts = self.node_id.split("::")
        return Step(parts[-1], "/".join(parts[:-1]), self.node_id, self.file, self.attempts, self.reason or "unknown", self.why if self.reason else None)


def _run(items: dict, finish: dict | None) -> Run:
    steps = [item.step("aborted" if finish is None else "terminated") for item in items.values()]
    times = [t for step in steps for a in step.attempts for t in (a.started, a.ended) if t]
    status = (finish or {}).get("exitstatus")
    outcome = "aborted" if finish is None else "terminated" if status == 2 else "errored" if status in (3, 4) else None
    if status == 1 and not any(step.attempts and step.attempts[-1].outcome not in ("passed", "skipped", "done") for step in steps):
        outcome = "errored"
    said, why = (finish or {}).get("litmus_outcome"), "interrupted" if status == 2 else None
    if status == 2 and items and all(item.phases == {"collect"} for item in items.values()):  # nothing was run, for what could not be collected
        outcome, why = "errored", "collection_error"
    return Run({}, steps, min(times, default=0), max(times, default=0), said or outcome, why)


def _entries(raw: bytes):
    """The lines, as (number, object)."""
    lines = raw.decode("utf-8", "replace").split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            if number >= len(lines) - 1:  # its writer died in the middle of a line
                return
            raise InvalidArgument(f"line {number} is not JSON") from None
        if not isinstance(entry, dict):
            raise InvalidArgument(f"line {number} is no JSON object")
        yield number, entry


def read(raw: bytes) -> list[Run]:
    """The runs of a file: one, unless several sessions were written to it."""
    runs, items, begun = [], {}, False
    for number, entry in _entries(raw):
        kind = entry.get("$report_type")
        if kind in ("SessionStart", None) and "pytest_version" in entry:
            if begun:
                runs.append(_run(items, None))
            items, begun = {}, True
        elif kind in ("TestReport", *_SUBTESTS) or (kind == "CollectReport" and entry.get("outcome") in ("failed", "skipped")):
            begun = True
            try:
                if kind == "CollectReport":
                    entry = {**entry, "when": "collect", "nodeid": entry["nodeid"] or "collection"}
                item = items.setdefault(entry["nodeid"], _Item(entry))
                item.add_subtest(entry) if kind in _SUBTESTS else item.add(entry)
            except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
                raise InvalidArgument(f"line {number} is no report of a test: {type(error).__name__}: {error}") from None
        elif kind == "SessionFinish" or "exitstatus" in entry:
            runs.append(_run(items, entry))
            items, begun = {}, False
    if begun:
        runs.append(_run(items, None))
    if not runs:
        raise InvalidArgument("no session of pytest is in it")
    return runs

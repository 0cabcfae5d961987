# SPDX-License-Identifier: Apache-2.0
"""JUnit XML: a file is a run, of one suite or many; each suite is one in files of litmus export. Times without a zone are taken for UTC."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from xml.parsers import expat

from litmus.data._common import time_us
from litmus.errors import InvalidArgument
from litmus.imports import REASONS, Attempt, Run, Step

_FACTS = ("dut_serial", "dut_part_number", "dut_revision", "dut_lot_number", "station_id", "station_name", "fixture_id", "test_phase", "operator_id", "project_name",
          "git_commit", "git_branch", "product_id")
_EARLIER = {"flakyFailure": "failed", "rerunFailure": "failed", "flakyError": "errored", "rerunError": "errored"}
_PROPERTY = re.compile(r"^\[\[PROPERTY\|([^=\]\n]+)=(.*)\]\]$", re.MULTILINE)


def _us(seconds: str | None) -> int:
    try:
        text = (seconds or "0").strip()
        grouped = "." in text or re.fullmatch(r"[1-9]\d{0,2}(,\d{3})+", text)  # 1,234.5, and not 0,015 as a German writer has it
        return max(0, round(float(text.replace(",", "" if grouped else ".")) * 1_000_000))
    except (ValueError, OverflowError):
        return 0


def _message(child) -> str | None:
    return child.get("message") or next(iter((child.text or "").strip().splitlines()), None)


def _reason(message: str | None) -> tuple[str, str | None]:
    """("skip_marker", "no load") of "never ran: skip marker: no load"."""
    parts = (message or "").split(": ", 2)
    word = parts[1].replace(" ", "_") if len(parts) > 1 and parts[0] == "never ran" else ""
    return (word, parts[2] if len(parts) > 2 else None) if word in REASONS else ("unknown", message)


def _verdict(case) -> tuple[str, str | None]:
    """(outcome, message); "never_ran" for what did not run."""
    for tag, word in (("error", "errored"), ("failure", "failed"), ("skipped", "skipped")):
        child = case.find(tag)
        if child is None:
            continue
        kind = child.get("type") or ""
        if kind in ("litmus.never_ran", "litmus.not_yet"):
            return "never_ran", child.get("message")
        return (kind if tag == "error" and kind in ("aborted", "terminated") else word), _message(child)
    if case.get("status") in ("notrun", "disabled"):  # GoogleTest, CTest
        return "never_ran", None
    return "passed", None


def _attempts(case, notes: dict, word: str, message: str | None, at: int) -> list[Attempt]:
    """In the order in which they ran. Surefire's rerunFailures came after the failure beside them, its flakyFailures before the pass; those of
    litmus export, which says so in a note, came before it in any case."""
    last = Attempt(word, at, at + _us(case.get("time")), message, "call" if word == "failed" else None)
    others = [Attempt(_EARLIER[child.tag], at, at + _us(child.get("time")), _message(child)) for child in case if child.tag in _EARLIER]
    is_first = "litmus.attempts" not in notes and any(child.tag.startswith("rerun") for child in case)
    made = []
    for attempt in [last, *others] if is_first else [*others, last]:
        began = made[-1].ended if made else at
        made.append(attempt._replace(started=began, ended=began + attempt.ended - attempt.started))
    return made


def _step(case, at: int, among: str) -> tuple[Step, int]:
    """The step of a test case, and when the next one may have begun. `among`: what it is in, when it does not say so itself."""
    name, parent = case.get("name") or "unnamed", (case.get("classname") or "").replace(".", "/") or among
    notes = dict(_PROPERTY.findall(case.findtext("system-out") or ""))
    word, message = _verdict(case)
    node_id = f"{case.get('classname')}::{name}" if case.get("classname") else name
    if word == "never_ran":
        reason, message = _reason(message)
        return Step(name, parent, node_id, case.get("file"), [], reason, message), at
    if word == "passed" and notes.get("litmus.outcome") == "done":
        word = "done"
    attempts = _attempts(case, notes, word, message, at)
    return Step(name, parent, node_id, case.get("file"), attempts), attempts[-1].ended


def _properties(suite) -> dict[str, str]:
    return {p.get("name") or "": p.get("value") or p.text or "" for p in suite.iterfind("properties/property")}


def _began(element) -> int:
    """When a suite or a case began; 0: it does not say."""
    try:
        return time_us(element.get("timestamp") or 0)
    except (InvalidArgument, OverflowError) as error:
        raise InvalidArgument(f"line {element.line}: timestamp of <{element.tag}>: {error}") from None


def _steps(suite, at: int, among: str) -> tuple[list[Step], int]:
    """The steps of a suite that began at `at`, and when its last one ended. Some say when each case began."""
    steps = []
    for case in suite.iterfind("testcase"):
        if case.get("classname") == "litmus" and case.get("name") == "litmus.run":
            continue  # what litmus export adds for a run that is bad though no step is
        step, at = _step(case, _began(case) or at, among)
        steps.append(step)
    return steps, at


def _run(suites: list, name: str | None, properties: dict[str, str]) -> Run:
    """One run of these suites, one after the other; what a file says of all of them is in `properties`."""
    for suite in suites:
        properties = {**properties, **_properties(suite)}
    facts = {name: properties["litmus." + name] for name in _FACTS if properties.get("litmus." + name)}
    facts.setdefault("project_name", name or None)
    facts["station_hostname"] = next((suite.get("hostname") for suite in suites if suite.get("hostname")), None)
    facts["custom_metadata"] = {name: value for name, value in properties.items() if name and not name.startswith("litmus.")}
    known = [_began(suite) for suite in suites if _began(suite)]
    steps, at, ended = [], next(iter(known), 0), 0
    for suite in suites:
        began = _began(suite) or at
        own, last = _steps(suite, began, suite.get("name") or "" if len(suites) > 1 else "")
        steps += own
        at = max(last, began + _us(suite.get("time")))
        ended = max(ended, at)
    return Run(facts, steps, min(known, default=0), ended, properties.get("litmus.outcome") or None, properties.get("litmus.stop_reason") or None)


class _Element(ET.Element):
    """Knows its line, for who is to put it right."""

    line = 0


def _tree(raw: bytes):
    """The outermost element. Names are local ones: some writers put all into a namespace. No entities are ever resolved, in whatever encoding they are declared."""
    parser = expat.ParserCreate(namespace_separator="}")

    def refuse(*_):
        raise InvalidArgument(f"line {parser.CurrentLineNumber}: XML with a document type of its own is not read")

    def element(tag, attributes):
        made = _Element(tag, attributes)
        made.line = parser.CurrentLineNumber
        return made

    builder = ET.TreeBuilder(element_factory=element)
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = lambda name, attributes: builder.start(name.rpartition("}")[2], attributes)
    parser.EndElementHandler = lambda name: builder.end(name.rpartition("}")[2])
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(raw, True)
    except expat.ExpatError as error:
        raise InvalidArgument(f"not XML: {error}") from None
    except LookupError as error:
        raise InvalidArgument(f"not XML that can be read: {error}") from None
    return builder.close()


def read(raw: bytes) -> list[Run]:
    """The runs of a file: one, unless `litmus export` wrote several into it."""
    root = _tree(raw)
    if root.tag not in ("testsuites", "testsuite"):
        raise InvalidArgument(f"not JUnit XML: its outermost element is {root.tag}")
    suites = [suite for suite in root.iter() if suite.tag in ("testsuite", "testsuites")
              and (suite.find("testcase") is not None or (suite.tag == "testsuite" and suite.find("testsuite") is None))]  # fmt: skip
    if any("litmus.run_id" in _properties(suite) for suite in suites):
        return [_run([suite], suite.get("name"), {}) for suite in suites]
    name = suites[0].get("name") if len(suites) == 1 else root.get("name")
    return [_run(suites, name, _properties(root))] if suites else []

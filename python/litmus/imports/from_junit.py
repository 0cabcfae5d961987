# SPDX-License-Identifier: Apache-2.0
"""JUnit XML: a file is a run, of one suite or many; each suite is one in files of litmus export. Times without a zone are taken for UTC."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from xml.parsers import expat

from litmus.data._common import time_us
from litmus.errors import InvalidArgument
from litmus.imports import REASONS, Attempt, Run, Step, after_call

_FACTS = ("dut_serial", "dut_part_number", "dut_revision", "dut_lot_number", "station_id", "station_name", "fixture_id", "test_phase", "operator_id", "project_name",
          "git_commit", "git_branch", "product_id")
_EARLIER = {"flakyFailure": "failed", "rerunFailure": "failed", "flakyError": "errored", "rerunError": "errored"}
_MEASUREMENT = re.compile(r"^\[\[MEASUREMENT\|([^\n]*?)=([^\n]*) \[([^\n,\]]*), ([^\n\]]*)\] (\w*)\]\]$", re.MULTILINE)
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


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _value(text: str):
    """What a property says: a number where it is written as one is."""
    return (float(text) if "." in text else int(text)) if re.fullmatch(r"-?(0|[1-9]\d{0,14})(\.\d{1,17})?", text) else text


def _data(case, notes: dict) -> dict:
    """What the test case says of itself: its properties, and the notes that litmus export makes of inputs and outputs."""
    data: dict = {"in": {}, "out": {}}
    for name, text in {**_properties(case), **notes}.items():
        if not name or name.startswith("litmus."):
            continue
        side = "in" if name.startswith("in.") else "out"
        data[side][name.removeprefix(side + ".") or name] = _value(text)
    return data


def _measured(text: str) -> tuple:
    """The measurements that litmus export has in a test's output."""
    found = []
    for name, said, low, high, outcome in _MEASUREMENT.findall(text):
        value, _, units = said.partition(" ")
        made = {"measurement_name": name, "value": _number(value), "outcome": outcome or None, "limit_low": _number(low), "limit_high": _number(high), "units": units or None}
        found.append(made if made["value"] is not None or not said.strip() else {**made, "text": said.strip(), "units": None})
    return tuple(found)


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
    attempts[-1] = attempts[-1]._replace(data=_data(case, notes), measurements=_measured(case.findtext("system-out") or ""))
    return Step(name, parent, node_id, case.get("file"), attempts), attempts[-1].ended


def _joined(steps: list[Step]) -> list[Step]:
    """Of pytest's own file: its test cases of one name are one test. Those before the last are the executions that pytest-rerunfailures repeated, which have
    no word of how they failed; the error of a teardown stands beside the verdict of its call."""
    found: dict[tuple, Step] = {}
    for step in steps:
        first = found.setdefault((step.parent, step.name), step)
        if first is step or not step.attempts:
            continue
        (new,) = step.attempts
        last = first.attempts[-1] if first.attempts else None
        if last is not None and (new.message or "").startswith("failed on teardown"):
            first.attempts[-1] = last._replace(outcome="errored", message=after_call(new.message, last.message), phase="teardown", ended=new.ended)
            continue
        if last is not None and last.outcome == "passed":
            first.attempts[-1] = last._replace(outcome="failed", message="it was run again", phase="call")
        first.attempts.append(new)
    return list(found.values())


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


def _run(suites: list, name: str | None, properties: dict[str, str], is_pytest: bool = False) -> Run:
    """One run of these suites, one after the other; what a file says of all of them is in `properties`."""
    for suite in suites:
        properties = {**properties, **_properties(suite)}
    facts = {name: properties["litmus." + name] for name in _FACTS if properties.get("litmus." + name)}
    facts.setdefault("project_name", name or None)
    facts["station_hostname"] = next((suite.get("hostname") for suite in suites if suite.get("hostname")), None)
    own = "litmus.custom_"
    facts["custom_metadata"] = {name.removeprefix(own): value for name, value in properties.items() if name.removeprefix(own) and (name.startswith(own) or not name.startswith("litmus."))}
    known = [_began(suite) for suite in suites if _began(suite)]
    steps, at, ended = [], next(iter(known), 0), 0
    for suite in suites:
        began = _began(suite) or at
        own, last = _steps(suite, began, suite.get("name") or "" if len(suites) > 1 else "")
        steps += _joined(own) if is_pytest else own
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
    is_pytest = root.get("name") == "pytest tests" or (len(suites) == 1 and suites[0].get("name") == "pytest")
    return [_run(suites, name, _properties(root), is_pytest)] if suites else []

# SPDX-License-Identifier: Apache-2.0
"""JUnit XML: a testsuite with test cases is a run. Times without a zone are taken for UTC."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from litmus.data._common import time_us
from litmus.errors import InvalidArgument
from litmus.imports import REASONS, Attempt, Run, Step

_FACTS = ("dut_serial", "dut_part_number", "dut_revision", "dut_lot_number", "station_id", "station_name", "fixture_id", "test_phase", "operator_id", "project_name",
          "git_commit", "git_branch", "product_id")
_EARLIER = {"flakyFailure": "failed", "rerunFailure": "failed", "flakyError": "errored", "rerunError": "errored"}
_PROPERTY = re.compile(r"^\[\[PROPERTY\|([^=\]]+)=(.*)\]\]$", re.MULTILINE)


def _us(seconds: str | None) -> int:
    try:
        return max(0, round(float((seconds or "0").replace(",", "")) * 1_000_000))
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


def _step(case, at: int) -> tuple[Step, int]:
    """The step of a test case, and when the next one may have begun."""
    name, parent = case.get("name") or "unnamed", (case.get("classname") or "").replace(".", "/")
    notes = dict(_PROPERTY.findall(case.findtext("system-out") or ""))
    word, message = _verdict(case)
    node_id = f"{case.get('classname')}::{name}" if case.get("classname") else name
    if word == "never_ran":
        reason, message = _reason(message)
        return Step(name, parent, node_id, case.get("file"), [], reason, message), at
    if word == "passed" and notes.get("litmus.outcome") == "done":
        word = "done"
    attempts = [Attempt(_EARLIER[child.tag], at, at, _message(child)) for child in case if child.tag in _EARLIER]
    ended = at + _us(case.get("time"))
    attempts.append(Attempt(word, at, ended, message, "call" if word == "failed" else None))
    return Step(name, parent, node_id, case.get("file"), attempts), ended


def _run(suite) -> Run:
    properties = {p.get("name") or "": p.get("value") or p.text or "" for p in suite.iterfind("properties/property")}
    facts = {name: properties["litmus." + name] for name in _FACTS if properties.get("litmus." + name)}
    facts.setdefault("project_name", suite.get("name") or None)
    facts["station_hostname"] = suite.get("hostname")
    facts["custom_metadata"] = {name: value for name, value in properties.items() if name and not name.startswith("litmus.")}
    started = at = time_us(suite.get("timestamp") or 0)
    steps = []
    for case in suite.iterfind("testcase"):
        if case.get("classname") == "litmus" and case.get("name") == "litmus.run":
            continue  # what litmus export adds for a run that is bad though no step is
        step, at = _step(case, at)
        steps.append(step)
    return Run(facts, steps, started, max(at, started + _us(suite.get("time"))), properties.get("litmus.outcome") or None, properties.get("litmus.stop_reason") or None)


def read(raw: bytes) -> list[Run]:
    """The runs of a file."""
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
        raise InvalidArgument("XML with a document type of its own is not read")
    try:
        root = ET.fromstring(raw)
    except ET.ParseError as error:
        raise InvalidArgument(f"not XML: {error}") from None
    if root.tag not in ("testsuites", "testsuite"):
        raise InvalidArgument(f"not JUnit XML: its outermost element is {root.tag}")
    suites = [suite for suite in root.iter("testsuite") if suite.find("testcase") is not None or suite.find("testsuite") is None]
    return [_run(suite) for suite in suites]

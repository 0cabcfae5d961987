# SPDX-License-Identifier: Apache-2.0
"""A test record of OpenHTF as its JSON output writes it: a run; a phase is a step, a repeated phase another attempt."""

from __future__ import annotations

import json
import math
import re

from litmus.errors import InvalidArgument
from litmus.imports import Attempt, Run, Step

_RUN = {"PASS": "passed", "FAIL": "failed", "ERROR": "errored", "TIMEOUT": "errored", "ABORTED": "terminated"}
_PHASE = {"PASS": "passed", "FAIL": "failed", "ERROR": "errored", "SKIP": "skipped"}
_MEASURED = {"PASS": "passed", "FAIL": "failed"}
_NUMBER = r"([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)"


def _us(millis) -> int:
    return max(0, round(float(millis or 0) * 1000))


def _limits(validators) -> dict:
    """Limits of a validator that says "0.5 <= x <= 2"."""
    for text in validators or []:
        both = re.fullmatch(rf"\s*{_NUMBER}\s*<=\s*x\s*<=\s*{_NUMBER}\s*", str(text))
        if both:
            return {"limit_low": float(both[1]), "limit_high": float(both[2]), "limit_comparator": "GELE"}
        low, high = re.fullmatch(rf"\s*{_NUMBER}\s*<=\s*x\s*", str(text)), re.fullmatch(rf"\s*x\s*<=\s*{_NUMBER}\s*", str(text))
        if low or high:
            return {"limit_low": float(low[1]), "limit_comparator": "GE"} if low else {"limit_high": float(high[1]), "limit_comparator": "LE"}
    return {}


def _measurement(name: str, record: dict) -> dict:
    value, units = record.get("measured_value"), record.get("units")
    number = value if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) else None
    made = {"measurement_name": name, "value": number, "outcome": _MEASURED.get(record.get("outcome")), **_limits(record.get("validators"))}
    if isinstance(units, dict):
        units = units.get("suffix") or units.get("code") or units.get("name")
    if isinstance(units, str):
        made["units"] = units
    if number is None and value is not None:
        made["outputs"] = {name: value if isinstance(value, (str, bool)) else json.dumps(value)}
    return made


def _attempt(phase: dict) -> Attempt:
    started = _us(phase.get("start_time_millis"))
    result = phase.get("result") or {}
    failed = result.get("phase_result") if isinstance(result, dict) else None
    message = failed.get("exc_val") if isinstance(failed, dict) else None
    outcome = _PHASE.get(phase.get("outcome"), "errored" if isinstance(failed, dict) else "done")
    measured = tuple(_measurement(name, record) for name, record in (phase.get("measurements") or {}).items())
    return Attempt(outcome, started, max(started, _us(phase.get("end_time_millis"))), str(message) if message else None, "call" if outcome in ("failed", "errored") else None, measured)


def _repeats(phase: dict) -> bool:
    result = phase.get("result") or {}
    return isinstance(result, dict) and result.get("phase_result") == "REPEAT"


def _one(record: dict) -> Run:
    if not isinstance(record.get("phases"), list):
        raise InvalidArgument("not a record of OpenHTF: it has no list of phases")
    steps, again = [], None
    for phase in record["phases"]:
        name = str(phase.get("name") or "phase")
        if again == name:
            steps[-1].attempts.append(_attempt(phase))
        else:
            steps.append(Step(name, "", name, None, [_attempt(phase)]))
        again = name if _repeats(phase) else None
    metadata = record.get("metadata") or {}
    facts = {"dut_serial": str(record.get("dut_id") or ""), "station_id": record.get("station_id"), "project_name": metadata.get("test_name"),
             "custom_metadata": {str(k): v for k, v in metadata.items() if isinstance(v, (str, int, float, bool))}}
    started = _us(record.get("start_time_millis"))
    return Run(facts, steps, started, max(started, _us(record.get("end_time_millis"))), _RUN.get(record.get("outcome"), "aborted"))


def _line(number: int, text: str):
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidArgument(f"line {number} is not JSON: {error}") from None


def read(raw: bytes) -> list[Run]:
    """The runs of a file: a record, or several in a list or a line each."""
    text = raw.decode("utf-8", "replace").strip()
    try:
        found = json.loads(text)
    except ValueError:
        found = [_line(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    records = found if isinstance(found, list) else [found]
    for number, record in enumerate(records, 1):
        if not isinstance(record, dict):
            raise InvalidArgument(f"record {number} is no JSON object")
    return [_one(record) for record in records]

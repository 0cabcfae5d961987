# SPDX-License-Identifier: Apache-2.0
"""A test record of OpenHTF as its JSON output writes it: a run; a phase is a step, a repeated phase another attempt."""

from __future__ import annotations

import base64
import json
import math
import re

from litmus._plan import quote
from litmus._verdict import one_line
from litmus.errors import InvalidArgument
from litmus.imports import Attempt, Run, Step

_RUN = {"PASS": "passed", "FAIL": "failed", "ERROR": "errored", "TIMEOUT": "errored", "ABORTED": "terminated"}
_PHASE = {"PASS": "passed", "FAIL": "failed", "ERROR": "errored", "SKIP": "skipped"}
_MEASURED = {"PASS": "passed", "FAIL": "failed", "UNSET": "errored", "PARTIALLY_SET": "errored"}
_NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?)"
_MARGINAL = re.compile(rf"Marginal:{_NUMBER} <= (?=x)|(?<=x) <= Marginal:{_NUMBER}")


def _us(millis) -> int:
    return max(0, round(float(millis or 0) * 1000))


def _limit(text: str) -> dict:
    """Limits of a validator that says "0.5 <= x <= 2", "x == 5", "'x' is within 5% of 10."."""
    text = _MARGINAL.sub("", text.strip())
    if both := re.fullmatch(rf"{_NUMBER}\s*<=\s*x\s*<=\s*{_NUMBER}", text):
        return {"limit_low": float(both[1]), "limit_high": float(both[2]), "limit_comparator": "GELE"}
    if low := re.fullmatch(rf"{_NUMBER}\s*<=\s*x", text):
        return {"limit_low": float(low[1]), "limit_comparator": "GE"}
    if high := re.fullmatch(rf"x\s*<=\s*{_NUMBER}", text):
        return {"limit_high": float(high[1]), "limit_comparator": "LE"}
    if equal := re.fullmatch(rf"x\s*==\s*{_NUMBER}", text):
        return {"limit_low": float(equal[1]), "limit_high": float(equal[1]), "limit_comparator": "GELE"}
    if near := re.fullmatch(rf"'x' is within {_NUMBER}% of {_NUMBER}\.", text):
        nominal = float(near[2])
        away = abs(nominal * float(near[1]) / 100)
        return {"limit_low": nominal - away, "limit_high": nominal + away, "limit_nominal": nominal, "limit_comparator": "GELE"}
    return {}


def _number(value) -> float | None:
    """A bool is 1 or 0; what no floating-point number can be is a text."""
    try:
        return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
    except OverflowError:
        return None


def _measurement(name: str, record: dict, value) -> dict:
    """One value, as litmus.openhtf records it."""
    validators = [str(text) for text in record.get("validators") or []]
    limits = next(filter(None, map(_limit, validators)), {})
    number = _number(value)
    outcome = _MEASURED.get(record.get("outcome"))
    made = {"measurement_name": name, "value": number, "outcome": "done" if outcome == "passed" and not validators else outcome, **limits}
    units = record.get("units")
    if isinstance(units, dict):
        units = units.get("suffix") or units.get("code") or units.get("name")
    if isinstance(units, str):
        made["units"] = units
    if isinstance(value, str):
        made["text"] = value
    said = {name: value if isinstance(value, str) else json.dumps(value)} if number is None and value is not None else {}
    if validators and not limits:
        said[f"{name}_validators"] = "; ".join(validators)
    return {**made, "outputs": said} if said else made


def _measurements(name: str, record: dict):
    """A measurement with dimensions gives one for each of its points, with the point's coordinates as inputs."""
    value, dimensions = record.get("measured_value"), record.get("dimensions")
    if not dimensions or not isinstance(value, list):
        yield _measurement(name, record, value)
        return
    names = [str((one.get("name") if isinstance(one, dict) else one) or f"dim_{at}") for at, one in enumerate(dimensions)]
    for index, (*point, measured) in enumerate(value):
        yield {**_measurement(name, record, measured), "vector_index": index, "inputs": dict(zip(names, point))}


def _attached(phase: dict):
    """(name, media type, bytes) of each attachment that the record holds, and of an exception its traceback."""
    for name, one in (phase.get("attachments") or {}).items():
        if not isinstance(one, dict) or one.get("data") is None:
            continue  # it was not to be inlined
        try:
            yield str(name), one.get("mimetype"), base64.b64decode(one["data"], validate=True)
        except (ValueError, TypeError) as error:
            raise InvalidArgument(f"attachment {name} of phase {phase.get('name')} is not base64: {error}") from None
    failed = _result(phase)
    if isinstance(failed, dict) and failed.get("exc_tb"):
        yield "failure.txt", "text/plain", str(failed["exc_tb"]).encode("utf-8", "backslashreplace")


def _result(phase: dict):
    """The name of a PhaseResult, the map of an exception; None: it timed out or was stopped; "": not said."""
    result = phase.get("result")
    return result.get("phase_result", "") if isinstance(result, dict) else ""


def _verdict(phase: dict, of_test: str | None) -> tuple[str, str | None]:
    """(outcome, message), as litmus.openhtf has them."""
    result, outcome = _result(phase), phase.get("outcome")
    measured = phase.get("measurements") or {}
    failed = [name for name, one in measured.items() if one.get("outcome") == "FAIL"]
    unset = [name for name, one in measured.items() if one.get("outcome") in ("UNSET", "PARTIALLY_SET")]
    diagnosed = [str(one) for one in phase.get("failure_diagnosis_results") or []]
    words = "; ".join(f"{what}: {', '.join(names)}" for what, names in (("failed", failed), ("not measured", unset), ("diagnosed", diagnosed)) if names) or None
    if isinstance(result, dict):
        kind = re.sub(r"<class '(?:.*\.)?(\w+)'>", r"\1", str(result.get("exc_type") or ""))
        message = ": ".join(filter(None, [kind, one_line(str(result.get("exc_val") or ""))])) or None
        return "failed" if of_test == "FAIL" else "errored", message  # the test knew it as a failure
    if result is None and outcome != "PASS":
        return ("terminated", "stopped by the operator") if of_test == "ABORTED" else ("errored", "timed out")
    if result in ("REPEAT", "SKIP"):
        return ("failed", words) if failed else ("skipped", "to be repeated" if result == "REPEAT" else None)
    if result in ("STOP", "FAIL_SUBTEST", "FAIL_AND_CONTINUE") and outcome != "PASS":
        return "failed", words or f"the phase said {result}"
    return _PHASE.get(outcome, "done"), words if outcome in ("FAIL", "ERROR") else None


def _attempt(phase: dict, of_test: str | None) -> Attempt:
    started = _us(phase.get("start_time_millis"))
    outcome, message = _verdict(phase, of_test)
    measured = tuple(one for name, record in (phase.get("measurements") or {}).items() for one in _measurements(name, record))
    return Attempt(outcome, started, max(started, _us(phase.get("end_time_millis"))), message, "call" if outcome in ("failed", "errored") else None, measured,
                   attachments=tuple(_attached(phase)))  # fmt: skip


def _repeats(phase: dict) -> bool:
    """Whether the same phase after this one is another attempt of it."""
    options = phase.get("options") if isinstance(phase.get("options"), dict) else {}
    result = _result(phase)
    return bool(result == "REPEAT" or options.get("force_repeat") or (options.get("repeat_on_timeout") and result is None)
                or (options.get("repeat_on_measurement_fail") and phase.get("outcome") == "FAIL"))  # fmt: skip


def _one(record: dict) -> Run:
    if not isinstance(record.get("phases"), list):
        raise InvalidArgument("not a record of OpenHTF: it has no list of phases")
    metadata, outcome = record.get("metadata") or {}, record.get("outcome")
    test = str(metadata.get("test_name") or "")
    steps, seen, again = [], {}, None
    for phase in record["phases"]:
        name = str(phase.get("name") or "phase")
        key = (name, phase.get("descriptor_id"))
        if again == key:
            steps[-1].attempts.append(_attempt(phase, outcome))
        else:
            parent = "/".join(quote(part) for part in (test, str(phase.get("subtest_name") or "")) if part)
            place = f"{parent}/{name}"
            seen[place] = seen.get(place, 0) + 1
            name += f" ({seen[place]})" if seen[place] > 1 else ""
            steps.append(Step(quote(name), parent, f"{parent}/{name}".lstrip("/"), None, [_attempt(phase, outcome)]))
        again = key if _repeats(phase) else None
    details = "; ".join(f"{one.get('code')}: {one.get('description')}" for one in record.get("outcome_details") or [] if isinstance(one, dict))
    facts = {"dut_serial": str(record.get("dut_id") or ""), "station_id": record.get("station_id"), "project_name": test or None,
             "custom_metadata": {**{str(k): v for k, v in metadata.items() if isinstance(v, (str, int, float, bool))}, **({"outcome_details": details} if details else {})}}
    started = _us(record.get("start_time_millis"))
    return Run(facts, steps, started, max(started, _us(record.get("end_time_millis"))), _RUN.get(outcome, "aborted"), "interrupted" if outcome == "ABORTED" else None)


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

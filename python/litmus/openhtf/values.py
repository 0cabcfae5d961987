# SPDX-License-Identifier: Apache-2.0
"""What a phase measured, as fields of the event test.measurement. The verdict is OpenHTF's own."""

from __future__ import annotations

import json
import math
import mimetypes
import os

from openhtf.core.measurements import Outcome

from litmus._plain import plain

_WORDS = {Outcome.PASS: "passed", Outcome.FAIL: "failed", Outcome.UNSET: "errored", Outcome.PARTIALLY_SET: "errored"}


def measurements(phase_record):
    """(fields, vector index) of each value: a measurement with dimensions gives one for each of its points, with the
    point's coordinates as inputs. What OpenHTF passed over has none."""
    for name, measurement in (phase_record.measurements or {}).items():
        if measurement.outcome not in _WORDS:
            continue
        measured = measurement.measured_value
        if not measured.is_value_set or not measurement.dimensions:
            yield _fields(name, measurement, measured.value if measured.is_value_set else None), 0
            continue
        names = [dimension.name or f"dim_{at}" for at, dimension in enumerate(measurement.dimensions)]
        for index, (point, value) in enumerate(measured.value_dict.items()):
            point = point if isinstance(point, tuple) else (point,)
            yield {**_fields(name, measurement, value), "inputs": {key: _plain(part) for key, part in zip(names, point)}}, index


def file_name(name: str, mime: str | None) -> str:
    """The name of an attachment, with the ending that its media type has where it has none of its own."""
    return str(name) if os.path.splitext(str(name))[1] else f"{name}{mimetypes.guess_extension(mime or '') or ''}"


def traceback_of(result) -> str | None:
    """The traceback of the exception that a phase ended with."""
    if result is None or not result.raised_exception:
        return None
    text = getattr(result.phase_result, "get_traceback_string", None)
    return None if text is None else text()


def _fields(name: str, measurement, value) -> dict:
    limit = _limit(measurement.validators)
    word = _WORDS[measurement.outcome]
    if word == "passed" and not measurement.validators:
        word = "done"
    number, text = _value(plain(value))
    fields = {"measurement_name": str(name), "value": number, "outcome": word, "units": _units(measurement.units), **limit}
    if isinstance(value, str):
        fields["text"] = value
    outputs = {}
    if text is not None:
        outputs[name] = text
    if measurement.validators and not limit:
        outputs[f"{name}_validators"] = "; ".join(str(validator) for validator in measurement.validators)
    return {**fields, "outputs": outputs} if outputs else fields


def _value(value):
    """(number, text) of a value; one of the two is None."""
    if value is None:
        return None, None
    if isinstance(value, (int, float)):  # a bool is 1 or 0
        number = _number(value)
        return number, repr(value) if number is None else None
    if isinstance(value, str):
        return None, value
    return None, json.dumps(value, default=repr)


def _plain(value):
    return value if isinstance(value, (str, int, float, bool)) else repr(value)


def _units(units) -> str | None:
    for attribute in ("suffix", "code", "name"):
        text = getattr(units, attribute, None)
        if text and text != "None":
            return str(text)
    return None


def _number(value) -> float | None:
    try:
        return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
    except OverflowError:
        return None


def _limit(validators) -> dict:
    """Limits, if the one validator there is has any that are numbers."""
    if len(validators) != 1:
        return {}
    validator = validators[0]
    low, high = _number(getattr(validator, "minimum", None)), _number(getattr(validator, "maximum", None))
    nominal = _number(getattr(validator, "expected", None))
    if low is not None or high is not None:
        limit = {"limit_low": low, "limit_high": high, "limit_nominal": nominal, "limit_comparator": "GELE" if high is not None and low is not None else "GE" if high is None else "LE"}
        return {key: part for key, part in limit.items() if part is not None}
    return {} if nominal is None else {"limit_nominal": nominal, "limit_comparator": "EQ"}

# SPDX-License-Identifier: Apache-2.0
"""Measurements from a test body: judged, then on record before the call returns."""

from __future__ import annotations

import math

_COMPARE = {
    "GELE": (lambda low, v: low <= v, lambda v, high: v <= high),
    "GELT": (lambda low, v: low <= v, lambda v, high: v < high),
    "GTLE": (lambda low, v: low < v, lambda v, high: v <= high),
    "GTLT": (lambda low, v: low < v, lambda v, high: v < high),
    "GE": (lambda low, v: low <= v, None),
    "GT": (lambda low, v: low < v, None),
    "LE": (None, lambda v, high: v <= high),
    "LT": (None, lambda v, high: v < high),
    "EQ": None,
    "NE": None,
}

# The executions now under way in this process; the innermost is last (a pytest in a pytest).
running: list = []


class LimitFailure(AssertionError):
    """A verified value is outside its limit."""


class MissingLimitError(Exception):
    """`verify` was called for a name that has no limit."""


def record_measurement(
    name: str,
    value: float | None,
    *,
    units: str | None = None,
    low: float | None = None,
    high: float | None = None,
    nominal: float | None = None,
    comparator: str | None = None,
) -> str | None:
    """Record a measurement in the step that is running, judged against its limit.

    Parameters: name; value (a number, a bool, or None when it could not be measured); units; low,
    high, nominal (the limit; without all three there is none); comparator (GELE by default, GELT,
    GTLE, GTLT, GE, GT, LE, LT, EQ, NE; an unknown word never passes).

    Returns the outcome: `passed`, `failed`, `done` (no limit), `errored` (no value, NaN). None
    outside of a test that is being recorded: nothing is recorded then.

    Errors: TypeError when value is no number; ValueError for a limit that cannot judge (no bound
    that the comparator uses, or low > high). Nothing is recorded then.
    """
    if not isinstance(name, str) or not name:
        raise TypeError(f"a measurement's name is a non-empty str, not {name!r}")
    number = _number(value)
    outcome = judge(number, low, high, nominal, comparator)
    if not running:
        return None
    has_limit = not (low is None and high is None and nominal is None)
    running[-1].measured(
        {
            "measurement_name": name,
            "value": number,
            "units": units,
            "outcome": outcome,
            "limit_low": low,
            "limit_high": high,
            "limit_nominal": nominal,
            "limit_comparator": (comparator or "GELE") if has_limit else None,
        }
    )
    return outcome


def verify(name: str, value: float | None, **limit) -> str | None:
    """Like record_measurement, but a limit is required and a violation stops the test.

    Parameters: as those of record_measurement.

    Errors: MissingLimitError without a limit (nothing is recorded), LimitFailure (an
    AssertionError) when the value is outside it (recorded first), and those of record_measurement.
    """
    if all(limit.get(key) is None for key in ("low", "high", "nominal")):
        raise MissingLimitError(f"verify({name!r}): no limit is given; use measure() to record without one")
    outcome = record_measurement(name, value, **limit)
    if outcome is None:  # not recording: the verdict holds all the same
        outcome = judge(
            _number(value), limit.get("low"), limit.get("high"), limit.get("nominal"), limit.get("comparator")
        )
    if outcome == "failed":
        raise LimitFailure(f"{name} = {value!r} is outside {describe(limit)}")
    return outcome


def judge(value, low=None, high=None, nominal=None, comparator=None) -> str:
    """The outcome of a value against a limit; IEEE double comparisons, no tolerance.

    Errors: ValueError for a limit that cannot judge.
    """
    if low is None and high is None and nominal is None:
        return "errored" if value is None else "done"
    word = comparator or "GELE"
    if word in ("EQ", "NE"):
        if nominal is None:
            raise ValueError(f"a limit with comparator {word} needs a nominal")
    elif word in _COMPARE:
        test_low, test_high = _COMPARE[word]
        if (low is None or test_low is None) and (high is None or test_high is None):
            raise ValueError(f"a limit with comparator {word} has no bound to judge by: {low=}, {high=}")
        if test_low and test_high and low is not None and high is not None and low > high:
            raise ValueError(f"a limit has low > high: {low=}, {high=}")
    if value is None or math.isnan(value):
        return "errored"
    if word not in _COMPARE:
        return "failed"
    value = float(value)
    if word in ("EQ", "NE"):
        good = (value == nominal) if word == "EQ" else (value != nominal)
    else:
        good = (low is None or test_low is None or test_low(low, value)) and (
            high is None or test_high is None or test_high(value, high)
        )
    return "passed" if good else "failed"


def describe(limit: dict) -> str:
    """A limit in words, for a message."""
    parts = [f"{key} {limit[key]!r}" for key in ("low", "high", "nominal") if limit.get(key) is not None]
    return "limit " + ", ".join(parts) + (f" ({limit['comparator']})" if limit.get("comparator") else "")


def _number(value):
    if value is None:
        return None
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, (int, float)):
        return value
    convert = getattr(type(value), "__float__", None)  # numpy scalars, Decimal, Fraction
    if convert is not None and not isinstance(value, (str, bytes)):
        return float(value)
    raise TypeError(f"a measurement's value is a number, not {type(value).__name__}")

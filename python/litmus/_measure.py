# SPDX-License-Identifier: Apache-2.0
"""Measurements from a test body: judged, then on record before the call returns."""

from __future__ import annotations

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
    GTLE, GTLT, GE, GT, LE, LT, EQ, NE).

    Returns the outcome: `passed`, `failed`, `done` (no limit), `errored` (no value, NaN). None
    outside of a test that is being recorded: nothing is recorded then.

    Errors: TypeError when value is no number; ValueError for a limit that cannot judge (an
    unknown comparator, no bound that it uses, low > high). Nothing is recorded then.
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
    """The outcome of a value against a limit, by the core's judge (src/model/limit.c).

    Errors: ValueError for a limit that cannot judge.
    """
    from litmus import _litmus

    return _litmus.Limit("the measurement", low, high, nominal, comparator).judge(value)


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

# SPDX-License-Identifier: Apache-2.0
"""The recorded values of measurements, as figures about values take them: of finished runs, first attempts, in order of time."""

from __future__ import annotations

from typing import Any

from litmus.analysis.scope import NothingFound, Scope, literal, near, pattern
from litmus.errors import InvalidArgument

__all__ = ["RULE", "load", "one_series"]

RULE = "values: of the first attempt in each run, in the order of the runs. Values of retries are left out; runs that are retests of a unit are in."
# A value and the numbers of its run: among all, and in the order of time. What else the run has is joined to it where it is asked for.
_PLACES = """
CREATE OR REPLACE TEMP TABLE analysis_places AS
SELECT run_id, run::INTEGER AS run, (row_number() OVER (ORDER BY started_at, run_id))::INTEGER AS place FROM counted"""
_LOAD = """
CREATE OR REPLACE TEMP TABLE analysis_points AS
SELECT run, place, measurement_name AS measurement, step_path AS step, measurement_units AS units, CASE WHEN abs(limit_low) < 1e150 THEN limit_low END AS low,
       CASE WHEN abs(limit_high) < 1e150 THEN limit_high END AS high, CASE WHEN abs(measurement_value) < 1e150 THEN measurement_value END AS value,
       vector_retry AS retry, vector_index, measurement_timestamp AS measured_at
FROM {source} s JOIN analysis_places USING (run_id) WHERE record_type = 'measurement' AND {where}"""
_VALUES = """
CREATE OR REPLACE TEMP VIEW analysis_values AS
SELECT p.* EXCLUDE (run), c.* EXCLUDE (run, first_run) FROM analysis_points p JOIN analysis_runs c USING (run)"""
_RETRIES = "SELECT count(*) FROM litmus_rows WHERE record_type = 'measurement' AND vector_retry > 0 AND run_id IN (SELECT run_id FROM counted) AND {where}"


def load(scope: Scope, measurement: str | None, step: str | None = None, all_attempts: bool = False) -> dict[str, int]:
    """Makes analysis_values, a row a value; gives what is left out of it.

    Args:
        measurement: name, in which * and ? stand for anything; None: all.
        step: name or path of steps, likewise.
        all_attempts: with the values of retries.

    Raises:
        NothingFound: no such measurement in these runs; the text gives near names.
    """
    where = scope.steps_where(step)
    if measurement is not None:
        where += f" AND measurement_name GLOB {literal(pattern(measurement))}"
    scope.con.execute(_PLACES)
    scope.con.execute(_LOAD.format(where=where, source="litmus_rows" if all_attempts else "first_measurements"))
    scope.con.execute(_VALUES)
    found = scope.rows("SELECT count(*) AS all, count(*) - count(value) AS without, count(*) FILTER (WHERE retry > 0) AS retries FROM analysis_points")[0]
    if not found["all"]:
        raise _none(scope, measurement)
    scope.con.execute("DELETE FROM analysis_points WHERE value IS NULL")
    retries = scope.one(_RETRIES.format(where=where)) - found["retries"]  # a retry is a first attempt, where none before it measured
    left_out = scope.left_out(units=False)
    left_out.update({what: n for what, n in (("values: of retries", retries), ("values: none, a text, or no number to count with (NaN, infinite, beyond 1e150)", found["without"])) if n})
    return left_out


def _none(scope: Scope, measurement: str | None) -> NothingFound:
    rows = scope.con.execute("SELECT DISTINCT measurement_name FROM litmus_rows WHERE record_type = 'measurement' AND run_id IN (SELECT run_id FROM counted)").fetchall()
    names = [name for (name,) in rows if name]
    if measurement is None or not names:
        return NothingFound("nothing was measured in these runs")
    return NothingFound(f"no measurement {measurement!r} in these runs{near(measurement, names)}")


def one_series(scope: Scope, measurement: str) -> dict[str, Any]:
    """What analysis_values is about when it must be one measurement of one step in one unit.

    Returns:
        dict: measurement, step, units, low, high (of the latest value), limits: how many different pairs of limits.

    Raises:
        InvalidArgument: it is of several names or steps, or in several units.
    """
    for column, option in (("measurement", "a name"), ("step", "--step")):
        found = [row[0] for row in scope.con.execute(f"SELECT DISTINCT {column} FROM analysis_values ORDER BY ALL").fetchall()]
        if len(found) > 1:
            raise InvalidArgument(f"{measurement!r} is {len(found)} {column}s: {', '.join(map(str, found[:4]))}: choose one with {option}")
    units = scope.con.execute("SELECT coalesce(units, ''), count(*) FROM analysis_values GROUP BY ALL ORDER BY 2 DESC").fetchall()
    if len(units) > 1:
        said = ", ".join(f"{n:,} in {unit or 'no unit'}" for unit, n in units)
        raise InvalidArgument(f"{measurement!r} has mixed units: {said}: choose runs of one unit (--since, --git, --part)")
    return scope.rows("""SELECT any_value(measurement) AS measurement, any_value(step) AS step, any_value(units) AS units, arg_max(low, started_at) AS low,
                         arg_max(high, started_at) AS high, count(DISTINCT (low, high)) AS limits FROM analysis_values""")[0]

# SPDX-License-Identifier: Apache-2.0
"""Two sets of runs: first-pass yield, steps and values, each difference with the probability that it is chance."""

from __future__ import annotations

from typing import Any

from litmus.analysis.report import Column, Report, Table
from litmus.analysis.scope import FILTERS, NothingFound, Scope, chooses, literal, near, pattern
from litmus.errors import InvalidArgument

RULES = [
    "yield: units of the set whose first run passed / units whose first run is in the set; p: Fisher's exact test, two-sided.",
    "steps: executions that passed in their first attempt / executions whose first attempt judged (not skipped, not done), in all runs of the set, a sub-step in its step; p: Fisher's exact test. Executions of a unit that was retested are not independent.",
    "values: of first attempts in all runs; p: of the means by Welch's t test, of the order by Mann and Whitney's test (normal, corrected for ties and continuity).",
    "holm: p corrected for the number of steps, or values, compared (Holm 1979). Below 0.05 a difference is called significant.",
]
_SHARES = [Column("a_passed", None, "count"), Column("a_of", None, "count"), Column("a_yield", "A", "share", ("a_passed", "a_of")),
           Column("b_passed", None, "count"), Column("b_of", None, "count"), Column("b_yield", "B", "share", ("b_passed", "b_of")), Column("p", "P", "number")]  # fmt: skip
_VALUES = [Column("measurement", "MEASUREMENT"), Column("step", "STEP"), Column("units", "UNIT"), Column("a_n", "A N", "count"), Column("a_mean", "MEAN", "number"),
           Column("a_sd", "SD", "number"), Column("b_n", "B N", "count"), Column("b_mean", "MEAN", "number"), Column("b_sd", "SD", "number"), Column("welch_t", None, "number"),
           Column("welch_p", "WELCH P", "number"), Column("mann_whitney_u", None, "number"), Column("mann_whitney_p", "MANN-WHITNEY P", "number"), Column("holm", "HOLM", "number")]  # fmt: skip

_IN_SETS = "SELECT run_id, a.run_id IS NOT NULL AS is_a, b.run_id IS NOT NULL AS is_b FROM (SELECT run_id FROM set_a) a FULL JOIN (SELECT run_id FROM set_b) b USING (run_id)"


def analyse(scope: Scope, *sets: str, step: str | None = None, measurement: str | None = None, limit: int = 20) -> Report:
    """What differs between two sets of runs.

    Args:
        sets: two, each NAME=VALUE of FILTERS, several joined by commas.
        step: only these steps and their measurements.
        measurement: only these measurements; * and ? stand for anything.
        limit: lines of each table, the most significant first; 0: all.
    """
    if len(sets) != 2:
        raise InvalidArgument("compare takes two sets, such as station=bench-1 station=bench-2")
    for place, text in zip("ab", sets):
        _make_set(scope, place, text)
    both = scope.one("SELECT count(*) FROM set_a JOIN set_b USING (run_id)")
    notes = [f"A is {sets[0]}, B is {sets[1]}."] + ([f"{both:,} runs are in both sets: the tests take the sets as independent."] if both else [])
    units = _yield(scope)
    found = _steps(scope, step)
    steps = _holm([row for row in found if row["a_of"] and row["b_of"]], "p")
    alone = sorted((row for row in found if not (row["a_of"] and row["b_of"])), key=lambda row: (row["a_of"] == 0, row["step"]))
    measured = _holm(_measured(scope, step, measurement), "welch_p")
    tables = [Table("compare", [Column("what", "WHAT"), *_SHARES], [units])]
    shares = [Column("step", "STEP"), *_SHARES]
    for name, columns, rows, title in (("steps", [*shares, Column("holm", "HOLM", "number")], steps, "Steps"), ("values", _VALUES, measured, "Values"),
                                       ("alone", shares[:-1], alone, "Steps that have a verdict in one set only")):
        kept = rows[:limit] if limit else rows
        if rows or name != "alone":
            tables.append(Table(name, columns, kept, title, len(rows) - len(kept)))
    if measurement is not None and not measured:
        raise NothingFound(f"no measurement {measurement!r} with values in both sets")
    left_out = scope.left_out(units=False)
    left_out.update({f"{why} (in steps and values, not in the yield)": n for why, n in scope.left_out(units=True).items() if why not in left_out})
    return Report("compare", tables, RULES, left_out, notes)


def _make_set(scope: Scope, place: str, text: str) -> None:
    """The view set_a or set_b: runs of the scope that a text such as "station=b1,lot=L2" chooses."""
    clauses = ["true"]
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or name not in FILTERS:
            raise InvalidArgument(f"{part!r} chooses no runs: write NAME=VALUE with {', '.join(FILTERS)}{near(name, list(FILTERS)) if equals else ''}")
        clauses.append(chooses(name, value))
    scope.con.execute(f"CREATE OR REPLACE TEMP VIEW set_{place} AS SELECT * FROM counted WHERE {' AND '.join(clauses)}")
    if not scope.one(f"SELECT count(*) FROM set_{place}"):
        raise NothingFound(f"no run fits {text}")


def _yield(scope: Scope) -> dict[str, Any]:
    row: dict[str, Any] = {"what": "first pass"}
    for place in "ab":
        found = scope.rows(f"SELECT count(*) FILTER (WHERE outcome = 'passed') AS passed, count(*) AS n FROM set_{place} WHERE try = 1")[0]
        row.update({f"{place}_passed": found["passed"], f"{place}_of": found["n"]})
    return _shares(row, scope.one(f"SELECT litmus_fisher({row['a_passed']}, {row['a_of']}, {row['b_passed']}, {row['b_of']})"))


def _shares(row: dict[str, Any], p: float | None) -> dict[str, Any]:
    for place in "ab":
        row[f"{place}_yield"] = row[f"{place}_passed"] / row[f"{place}_of"] if row[f"{place}_of"] else None
    return {**row, "p": p}


def _steps(scope: Scope, step: str | None) -> list[dict[str, Any]]:
    where = scope.steps_where(step)
    counts = ", ".join(f"litmus_count(n, is_{p} AND first = 'passed') AS {p}_passed, litmus_count(n, is_{p}) AS {p}_of" for p in "ab")
    scope.con.execute(f"CREATE OR REPLACE TEMP TABLE picked AS {_IN_SETS}")
    rows = scope.rows(f"""
        SELECT *, litmus_fisher(a_passed, a_of, b_passed, b_of) AS p
        FROM (SELECT step, any_value(parent_path) AS parent_path, {counts} FROM (SELECT step_path AS step, parent_path, coalesce(attempt_outcomes[1], vector_outcome) AS first, is_a, is_b, n FROM litmus_step_counts('picked')
                                    WHERE first NOT IN ('done', 'skipped') AND {where})
              GROUP BY step HAVING a_of > 0 OR b_of > 0)""")
    if step is not None and not rows:
        raise scope.no_step(step)
    return [_shares(row, row.pop("p")) for row in scope.planned(rows)]


def _measured(scope: Scope, step: str | None, measurement: str | None) -> list[dict[str, Any]]:
    where = scope.steps_where(step)
    if measurement is not None:
        where += f" AND measurement_name GLOB {literal(pattern(measurement))}"
    scope.con.execute(f"""
        CREATE OR REPLACE TEMP TABLE compared_values AS SELECT measurement_name, step_path, measurement_units, measurement_value AS value, is_a, is_b
        FROM first_measurements JOIN picked USING (run_id) WHERE measurement_value IS NOT NULL AND {where}""")
    return scope.rows("""SELECT measurement_name AS measurement, step_path AS step, measurement_units AS units, * EXCLUDE (measurement_name, step_path, measurement_units)
                         FROM litmus_sample_tests('compared_values') ORDER BY ALL""")


def _holm(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Adds the corrected p; the most significant first. What differs by rounding is equal: p = 1 of several steps, in the order of their names."""
    rows.sort(key=lambda row: (row[name] is None, float(f"{row[name] or 0.0:.9g}"), str(row["step"])))
    tested, so_far = sum(1 for row in rows if row[name] is not None), 0.0
    for i, row in enumerate(rows):
        row["holm"] = None
        if row[name] is not None:
            so_far = row["holm"] = max(so_far, min(1.0, (tested - i) * row[name]))
    return rows

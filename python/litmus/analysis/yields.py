# SPDX-License-Identifier: Apache-2.0
"""Yield of units and of steps: first pass, last pass, final, rolled throughput, DPMO."""

from __future__ import annotations

import math
from typing import Any

from litmus.analysis.numbers import wilson
from litmus.analysis.report import Column, Report, Table
from litmus.analysis.scope import Scope

RULES = [
    "first pass: units whose first run passed / units. A unit is a serial of a part number in a phase; its first run is found over the whole record, before any filter.",
    "last pass: units whose latest run on record passed / units. final: units that passed in any run / units.",
    "A first run that failed, errored, was terminated or aborted did not pass, whether or not it measured anything.",
    "rolled: the product over the planned steps (each vector by itself) of passed in the first attempt of the first run / judged. A step that never ran is judged and not passed; "
    "left out are skipped, done (nothing to judge) and skip-marked steps; a sub-step is in its step.",
    "DPMO: 1,000,000 x (judged - passed) / judged over those steps.",
]
_UNITS = [
    Column("units", None, "count"), Column("first_passed", None, "count"), Column("first_pass_yield", "FIRST PASS", "share", ("first_passed", "units")),
    Column("first_pass_low", "95 % FROM", "share"), Column("first_pass_high", "TO", "share"),
    Column("last_passed", None, "count"), Column("last_pass_yield", "LAST PASS", "share", ("last_passed", "units")),
    Column("ever_passed", None, "count"), Column("final_yield", "FINAL", "share", ("ever_passed", "units")),
    Column("first_failed", "FAILED", "count"), Column("first_errored", "ERRORED", "count"), Column("first_cut_off", "CUT OFF", "count"),
    Column("rolled_throughput_yield", "ROLLED", "share"), Column("steps", None, "count"), Column("defects", None, "count"),
    Column("opportunities", None, "count"), Column("dpmo", "DPMO", "number"),
]  # fmt: skip
_STEPS = [
    Column("step_path", "STEP"), Column("vector_index", "VECTOR", "count"), Column("passed", None, "count"), Column("judged", None, "count"),
    Column("yield", "YIELD", "share", ("passed", "judged")), Column("low", "95 % FROM", "share"), Column("high", "TO", "share"), Column("left_out", "LEFT OUT", "count"),
]  # fmt: skip


def analyse(scope: Scope, *, by: str | None = None, step: str | None = None, limit: int = 10) -> Report:
    """Yields of the units whose first run is among the chosen ones.

    Args:
        by: groups of `scope.GROUPS`, joined by commas; None: part and phase.
        step: the rolled yield and the table of steps over these steps only.
        limit: steps in the table, those with the lowest yield first; 0: all.
    """
    groups = scope.groups(by, "part,phase")
    keys = [Column(name, name.upper()) for name, _ in groups]
    scope.con.execute("CREATE OR REPLACE TEMP VIEW firsts AS SELECT *, " + ", ".join(f'{sql} AS "{name}"' for name, sql in groups) + " FROM chosen WHERE try = 1")
    units = Table("yield", keys + _UNITS, _units(scope, groups))
    steps = _steps(scope, groups, step)
    notes = _roll(units.rows, steps, [name for name, _ in groups])
    judged = sorted((one for one in steps if one["judged"]), key=lambda one: (one["yield"], one["step_path"], one["vector_index"] or 0))
    for one in judged:
        one["low"], one["high"] = wilson(one["passed"], one["judged"])
    kept = judged[:limit] if limit else judged
    lowest = Table("steps", [*keys, *_STEPS], kept, "Steps with the lowest yield in first attempts of first runs", len(judged) - len(kept))
    return Report("yield", [units, lowest], RULES, _left_out(scope), notes)


def _units(scope: Scope, groups: list[tuple[str, str]]) -> list[dict[str, Any]]:
    names = ", ".join(f'"{name}"' for name, _ in groups)
    rows = scope.rows(f"""
        SELECT {names}, count(*) AS units, count(*) FILTER (WHERE outcome = 'passed') AS first_passed, count(*) FILTER (WHERE last_outcome = 'passed') AS last_passed,
               count(*) FILTER (WHERE ever_passed) AS ever_passed, count(*) FILTER (WHERE outcome = 'failed') AS first_failed,
               count(*) FILTER (WHERE outcome = 'errored') AS first_errored,
               count(*) FILTER (WHERE outcome IN ('terminated', 'aborted')) AS first_cut_off
        FROM firsts GROUP BY {names} ORDER BY {names}""")
    for row in rows:
        for share, n in (("first_pass_yield", "first_passed"), ("last_pass_yield", "last_passed"), ("final_yield", "ever_passed")):
            row[share] = row[n] / row["units"]
        row["first_pass_low"], row["first_pass_high"] = wilson(row["first_passed"], row["units"])
    return rows


def _steps(scope: Scope, groups: list[tuple[str, str]], step: str | None) -> list[dict[str, Any]]:
    """Of each group, part, phase and planned step: how often it was judged in a first run, and passed in its first attempt."""
    names = ", ".join(f'"{name}"' for name, _ in groups)
    where = scope.steps_where(step)
    # Each run's group is a number: millions of rows are put together by it, not by the texts that make it.
    keys = [f'"{name}"' for name, _ in groups] + ["dut_part_number", "test_phase"]
    scope.con.execute(f"""CREATE OR REPLACE TEMP TABLE grouped AS SELECT row_number() OVER () AS number, *
                          FROM (SELECT DISTINCT {names}, dut_part_number AS _part, test_phase AS _phase FROM firsts)""")
    same = " AND ".join(f"f.{key} IS NOT DISTINCT FROM g.{own}" for key, own in zip(keys, [*keys[:-2], "_part", "_phase"]))
    scope.con.execute(f"CREATE OR REPLACE TEMP TABLE picked AS SELECT run_id, number FROM firsts f JOIN grouped g ON {same}")
    rows = scope.rows(f"""
        SELECT {names}, _part, _phase, sums.* EXCLUDE (number)
        FROM (SELECT number, step_path, vector_index, parent_path, any_value(step_name) AS step_name, sum(n)::BIGINT AS planned,
                     litmus_count(n, coalesce(attempt_outcomes[1], vector_outcome) IN ('skipped', 'done') OR never_ran_reason = 'skip_marker') AS left_out,
                     litmus_count(n, coalesce(attempt_outcomes[1], vector_outcome) = 'passed') AS passed
              FROM litmus_step_counts('picked') WHERE {where} GROUP BY ALL) sums
             JOIN grouped USING (number)""")
    if step is not None and not rows:
        raise scope.no_step(step)
    kept = scope.planned(rows, "step_path")
    for row in kept:
        row["judged"] = row.pop("planned") - row["left_out"]
        row["yield"] = row["passed"] / row["judged"] if row["judged"] else None
    return kept


def _roll(units: list[dict[str, Any]], steps: list[dict[str, Any]], names: list[str]) -> list[str]:
    """Adds the figures over the steps to each row of units; gives the notes."""
    of: dict[tuple, list[dict[str, Any]]] = {}
    for one in steps:
        of.setdefault(tuple(one[name] for name in names), []).append(one)
    mixed = False
    for row in units:
        mine = [one for one in of.get(tuple(row[name] for name in names), []) if one["judged"]]
        row["steps"], row["opportunities"] = len(mine), sum(one["judged"] for one in mine)
        row["defects"] = row["opportunities"] - sum(one["passed"] for one in mine)
        row["dpmo"] = 1e6 * row["defects"] / row["opportunities"] if mine else None
        several = len({(one["_part"], one["_phase"]) for one in mine}) > 1
        mixed = mixed or several
        row["rolled_throughput_yield"] = math.prod(sorted(one["yield"] for one in mine)) if mine and not several else None  # sorted: the same digits each time
    for one in steps:
        del one["_part"], one["_phase"]
    return ["The rolled yield is that of one plan: a group of several parts or phases has none. Choose --part and --phase."] if mixed else []


def _left_out(scope: Scope) -> dict[str, int]:
    left_out = scope.left_out(units=True)
    retests = scope.rows("""SELECT count(*) AS n, count(*) FILTER (WHERE first_run IN (SELECT run_id FROM chosen)) AS inside FROM chosen WHERE left_out IS NULL AND try > 1""")[0]
    left_out["retests (in last pass and final only)"] = retests["inside"]
    left_out["retests of units whose first run is not among those chosen"] = retests["n"] - retests["inside"]
    return {what: n for what, n in left_out.items() if n}

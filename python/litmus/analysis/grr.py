# SPDX-License-Identifier: Apache-2.0
"""Gauge repeatability and reproducibility: analysis of variance of a crossed study (AIAG MSA, 4th edition)."""

from __future__ import annotations

import math
from typing import Any

from litmus.analysis import values
from litmus.analysis.libraries import need
from litmus.analysis.report import Column, Report, Table
from litmus.analysis.scope import Scope, TooFew
from litmus.errors import InvalidArgument

POOL_ABOVE = 0.25
RULES = [
    "Units x operators (or --by), each cell with as many trials as the smallest has; later trials are left out. Every attempt of every run is a trial, in order of time.",
    f"Two-way analysis of variance with interaction, both factors random; an interaction with p above {POOL_ABOVE} is pooled into repeatability. Negative components are 0.",
    "contribution: variance / total variance. study: 6 deviations / 6 total deviations. tolerance: 6 deviations / (high - low). ndc: 1.41 x unit deviation / GRR deviation, cut to a whole number.",
]
_PARTS = [Column("source", "SOURCE"), Column("variance", "VARIANCE", "number"), Column("deviation", "DEVIATION", "number"), Column("contribution", "CONTRIBUTION", "share"),
          Column("study", "OF STUDY", "share"), Column("tolerance", "OF TOLERANCE", "share")]  # fmt: skip
_ANOVA = [Column("source", "SOURCE"), Column("freedom", "DF", "count"), Column("squares", "SS", "number"), Column("mean_square", "MS", "number"), Column("f", "F", "number"),
          Column("p", "P", "number")]  # fmt: skip


def analyse(scope: Scope, measurement: str, *, step: str | None = None, by: str | None = None) -> Report:
    """Gauge R&R of a measurement. Golden units are in: a study is often made of them.

    Args:
        measurement: its name.
        step: the step that measured it, when several did.
        by: what takes the place of the operator, such as station.
    """
    scope.con.execute("CREATE OR REPLACE TEMP VIEW counted AS SELECT * FROM chosen WHERE left_out IS NULL OR left_out IN ('golden unit', 'no serial', 'no verdict')")
    left_out = values.load(scope, measurement, step, all_attempts=True)
    left_out.pop("runs: golden unit", None)
    series = values.one_series(scope, measurement)
    cells = _cells(scope, scope.group(by or "operator"), left_out)
    table, anova, ndc = study(cells, series["low"], series["high"])
    units, who, trials = len(cells), len(next(iter(cells.values()))), len(next(iter(next(iter(cells.values())).values())))
    notes = [f"{units} units x {who} {by or 'operator'}s x {trials} trials. Number of distinct categories: {ndc if ndc is not None else 'not defined'}."]
    return Report("grr", [Table("grr", _PARTS, table), Table("anova", _ANOVA, anova, "Analysis of variance")], RULES, left_out, notes)


def _cells(scope: Scope, who: str, left_out: dict[str, int]) -> dict[str, dict[str, list[float]]]:
    """unit -> operator -> values, all of one length."""
    rows = scope.rows(f"""SELECT trim(dut_serial) AS unit, {who} AS who, list(value ORDER BY started_at, run_id, measured_at, retry, vector_index) AS trials FROM analysis_values
                          WHERE trim(coalesce(dut_serial, '')) <> '' AND who IS NOT NULL GROUP BY ALL ORDER BY ALL""")
    units, people = sorted({row["unit"] for row in rows}), sorted({row["who"] for row in rows})
    found = {(row["unit"], row["who"]): row["trials"] for row in rows}
    if len(units) < 2 or len(people) < 2:
        raise TooFew(f"a study needs two units and two operators (or --by) at least: there are {len(units)} and {len(people)}")
    missing = [(unit, one) for unit in units for one in people if (unit, one) not in found]
    if missing:
        raise InvalidArgument(f"the study is not crossed: {missing[0][1]} never measured unit {missing[0][0]} ({len(missing)} cells are empty): choose runs by --lot, --phase or --since")
    trials = min(map(len, found.values()))
    if trials < 2:
        raise TooFew("a study needs two trials of each unit by each operator at least: the smallest cell has 1")
    surplus = sum(map(len, found.values())) - trials * len(found)
    left_out.update({"values: trials beyond the smallest cell": surplus} if surplus else {})
    return {unit: {one: found[unit, one][:trials] for one in people} for unit in units}


def study(cells: dict[str, dict[str, list[float]]], low: float | None, high: float | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int | None]:
    """Components of variance, the table of the analysis of variance, and the number of distinct categories.

    Args:
        cells: unit -> operator -> values, all of one length of at least 2.
        low, high: limits, for the share of the tolerance.
    """
    np = need("numpy", "grr")
    x = np.array([[trials for trials in row.values()] for row in cells.values()], float)
    anova, pooled = _anova(np, x)
    a, b, n = x.shape
    square = {row["source"]: row["mean_square"] for row in anova}
    error = square["repeatability"]
    cross = error if pooled else square["interaction"]
    variance = {"repeatability": error, "operator": max(0.0, (square["operator"] - cross) / (a * n)), "interaction": 0.0 if pooled else max(0.0, (cross - error) / n),
                "unit": max(0.0, (square["unit"] - cross) / (b * n))}  # fmt: skip
    variance["reproducibility"] = variance["operator"] + variance["interaction"]
    variance["grr"] = variance["repeatability"] + variance["reproducibility"]
    variance["total"] = variance["grr"] + variance["unit"]
    span = high - low if low is not None and high is not None else None
    rows = []
    for source in ("grr", "repeatability", "reproducibility", "operator", "interaction", "unit", "total"):
        v, total = variance[source], variance["total"]
        rows.append({"source": source, "variance": v, "deviation": math.sqrt(v), "contribution": v / total if total else None, "study": math.sqrt(v / total) if total else None,
                     "tolerance": 6 * math.sqrt(v) / span if span else None})  # fmt: skip
    ndc = math.floor(1.41 * math.sqrt(variance["unit"] / variance["grr"])) if variance["grr"] else None
    return rows, anova, ndc


def _anova(np, x) -> tuple[list[dict[str, Any]], bool]:
    """The table, and whether the interaction was pooled. x: units, operators, trials."""
    fdtrc = need("scipy.special", "grr").fdtrc
    a, b, n = x.shape
    mean, cell, unit, who = x.mean(), x.mean(axis=2), x.mean(axis=(1, 2)), x.mean(axis=(0, 2))
    squares = {"unit": b * n * ((unit - mean) ** 2).sum(), "operator": a * n * ((who - mean) ** 2).sum(),
               "interaction": n * ((cell - unit[:, None] - who[None, :] + mean) ** 2).sum(), "repeatability": ((x - cell[:, :, None]) ** 2).sum()}  # fmt: skip
    rounding = x.size * (2e-15 * np.abs(x).max()) ** 2  # of means: values that are alike have no variance
    squares = {source: square if square > rounding else 0.0 for source, square in squares.items()}
    freedom = {"unit": a - 1, "operator": b - 1, "interaction": (a - 1) * (b - 1), "repeatability": a * b * (n - 1)}

    def ratio(source: str, against: str) -> tuple[float | None, float | None]:
        below = squares[against] / freedom[against]
        f = float(squares[source] / freedom[source] / below) if below > 0 else None
        return f, float(fdtrc(freedom[source], freedom[against], f)) if f is not None else None

    f, p = ratio("interaction", "repeatability")
    pooled = p is not None and p > POOL_ABOVE
    if pooled:
        for one in (squares, freedom):
            one["repeatability"] += one.pop("interaction")
    rows = []
    for source in squares:
        against = None if source == "repeatability" else "repeatability" if pooled or source == "interaction" else "interaction"
        f, p = ratio(source, against) if against else (None, None)
        rows.append({"source": source, "freedom": freedom[source], "squares": float(squares[source]), "mean_square": float(squares[source] / freedom[source]), "f": f, "p": p})
    return rows, pooled

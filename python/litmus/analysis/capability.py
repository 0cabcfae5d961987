# SPDX-License-Identifier: Apache-2.0
"""Process capability: Cp and Cpk from the variation within, Pp and Ppk from that of all values, with 95 % intervals."""

from __future__ import annotations

import math
from typing import Any

from litmus.analysis import values
from litmus.analysis.numbers import Z95, c4, chi_square
from litmus.analysis.report import Column, Report, Table
from litmus.analysis.scope import Scope

VALUES_MIN = 10
RULES = [
    values.RULE,
    "Pp, Ppk: the deviation is that of all values (n - 1). Cp, Cpk: that within: the average moving range of two / 1.128, or with --by the pooled deviation of the subgroups / c4.",
    "Cp, Pp: (high - low) / (6 deviations), with both limits only. Cpk, Ppk: the distance of the mean to the nearer limit / (3 deviations).",
    "95 %: of Cp and Pp by chi square; of Cpk and Ppk by Bissell (1990): k +- 1.96 sqrt(1 / (9 n) + k k / (2 f)). f: n - 1; values - subgroups; 0.605 (n - 1) for moving ranges.",
    f"Below {VALUES_MIN} values, or when all are equal, there are none. Other limits or units of a measurement make a line of their own.",
]
_COLUMNS = [
    Column("part", "PART"), Column("step", "STEP"), Column("measurement", "MEASUREMENT"), Column("units", "UNIT"), Column("low", "LOW", "number"), Column("high", "HIGH", "number"),
    Column("n", "N", "count"), Column("from_retests", None, "count"), Column("outside", "OUTSIDE", "count"), Column("mean", "MEAN", "number"),
    Column("sd", "SD", "number"), Column("sd_within", "WITHIN", "number"), Column("subgroups", None, "count"),
    Column("cp", "CP", "index"), Column("cp_low", None, "index"), Column("cp_high", None, "index"),
    Column("cpk", "CPK", "index"), Column("cpk_low", "95 % FROM", "index"), Column("cpk_high", "TO", "index"),
    Column("pp", "PP", "index"), Column("pp_low", None, "index"), Column("pp_high", None, "index"),
    Column("ppk", "PPK", "index"), Column("ppk_low", "95 % FROM", "index"), Column("ppk_high", "TO", "index"),
    Column("first_at", None, "time"), Column("last_at", None, "time"),
]  # fmt: skip
_SERIES = "dut_part_number, step, measurement, units, low, high"
# The moving ranges are those of a series, which is a number here: the hash of what makes it (or all of that, should two hash alike).
# So no text is put in order.
_SUMS = f"""
WITH points AS NOT MATERIALIZED (SELECT *, {{series}} AS series FROM analysis_values WHERE low IS NOT NULL OR high IS NOT NULL),
     ranges AS (SELECT series, avg(abs(value - before)) AS moving_range
                FROM (SELECT series, value, lag(value) OVER (PARTITION BY series ORDER BY place, measured_at, vector_index) AS before FROM points) GROUP BY series),
     sums AS (SELECT series, {_SERIES}, count(*) AS n, count(*) FILTER (WHERE try > 1) AS from_retests, count(*) FILTER (WHERE value < low OR value > high) AS outside,
                     avg(value) AS mean, CASE WHEN count(*) > 1 THEN stddev_samp(value) END AS sd, min(started_at) AS first_at, max(started_at) AS last_at
              FROM points GROUP BY series, {_SERIES})
SELECT series, dut_part_number AS part, step, measurement, units, low, high, n, from_retests, outside, mean, sd, moving_range, first_at, last_at
FROM sums JOIN ranges USING (series) ORDER BY part, step, measurement, first_at"""
_WITHIN = f"""
SELECT dut_part_number AS part, step, measurement, units, low, high, count(*) AS subgroups, sum(n - 1)::BIGINT AS freedom, sum(squares) AS squares
FROM (SELECT {_SERIES}, {{key}} AS subgroup, count(*) AS n, var_pop(value) * count(*) AS squares FROM analysis_values
      WHERE low IS NOT NULL OR high IS NOT NULL GROUP BY ALL) GROUP BY {_SERIES}"""


def analyse(scope: Scope, measurement: str | None = None, *, step: str | None = None, by: str | None = None, limit: int = 0) -> Report:
    """Capability of measurements with limits, the lowest Ppk first.

    Args:
        measurement: name, in which * and ? stand for anything; None: all.
        step: only of these steps.
        by: the group that makes a subgroup; None: moving ranges of two.
        limit: lines; 0: all.
    """
    left_out = values.load(scope, measurement, step)
    rows = _sums(scope)
    keys = ("part", "step", "measurement", "units", "low", "high")
    within = {}
    if by is not None:
        within = {tuple(one[key] for key in keys): one for one in scope.rows(_WITHIN.format(key=scope.group(by)))}
    for row in rows:
        row.update(_indices(row, within.get(tuple(row[key] for key in keys))))
    notes = _notes(rows)
    without = scope.one("SELECT count(*) FROM analysis_values WHERE low IS NULL AND high IS NULL")
    left_out.update({"values: without a limit": without} if without else {})
    rows.sort(key=lambda row: (row["ppk"] is None, row["ppk"] or 0.0, str(row["measurement"])))
    kept = rows[:limit] if limit else rows
    return Report("capability", [Table("capability", _COLUMNS, kept, more=len(rows) - len(kept))], RULES, left_out, notes, plot=_histogram(scope, rows))


def _sums(scope: Scope, series: str = f"hash({_SERIES})") -> list[dict[str, Any]]:
    rows = scope.rows(_SUMS.format(series=series))
    if len({str(row.pop("series")) for row in rows}) < len(rows):
        return _sums(scope, f"row({_SERIES})")
    return rows


def _contradict(row: dict[str, Any]) -> bool:
    return row["low"] is not None and row["high"] is not None and row["low"] > row["high"]


def _indices(row: dict[str, Any], within: dict[str, Any] | None) -> dict[str, Any]:
    """The indices of a row of sums; `within`: the squares within subgroups, None for moving ranges."""
    n, overall = row["n"], row["sd"]
    moving_range = row.pop("moving_range")
    out: dict[str, Any] = dict.fromkeys(name + end for name in ("cp", "cpk", "pp", "ppk") for end in ("", "_low", "_high"))
    freedom = within["freedom"] if within else 0.605 * (n - 1)
    if within:
        inner = math.sqrt(within["squares"] / freedom) / c4(freedom + 1) if freedom else None
    else:
        inner = moving_range / (2 / math.sqrt(math.pi)) if moving_range is not None else None
    out["sd_within"], out["subgroups"] = inner, within["subgroups"] if within else None
    if n >= VALUES_MIN and not _contradict(row):
        for spread, nearer, sd, f in (("cp", "cpk", inner, freedom), ("pp", "ppk", overall, n - 1)):
            if sd:
                out.update(_pair(row, spread, nearer, sd, f))
    return out


def _pair(row: dict[str, Any], spread: str, nearer: str, sd: float, freedom: float) -> dict[str, Any]:
    low, high, out = row["low"], row["high"], {}
    if low is not None and high is not None:
        p = (high - low) / (6 * sd)
        out.update({spread: p, spread + "_low": p * math.sqrt(chi_square(freedom, 0.025) / freedom), spread + "_high": p * math.sqrt(chi_square(freedom, 0.975) / freedom)})
    k = min((side for side in ((high - row["mean"]) if high is not None else None, (row["mean"] - low) if low is not None else None) if side is not None)) / (3 * sd)
    half = Z95 * math.sqrt(1 / (9 * row["n"]) + k * k / (2 * freedom))
    return {**out, nearer: k, nearer + "_low": k - half, nearer + "_high": k + half}


def _notes(rows: list[dict[str, Any]]) -> list[str]:
    notes, series = [], {}
    for row in rows:
        series.setdefault((row["part"], row["step"], row["measurement"]), []).append(row)
    for (_, _, name), same in series.items():
        units = sorted({str(row["units"]) for row in same})
        if len(units) > 1:
            notes.append(f"{name} is recorded in mixed units: {', '.join(units)}.")
        elif len(same) > 1:
            notes.append(f"The limits of {name} changed: {len(same)} pairs, the latest since {max(row['first_at'] for row in same):%Y-%m-%d}.")
    few = [row for row in rows if row["n"] < VALUES_MIN]
    if few:
        notes.append(f"{len(few)} with fewer than {VALUES_MIN} values have no index: " + ", ".join(f"{row['measurement']} (n = {row['n']})" for row in few[:5]) + ".")
    notes += [f"The low limit of {row['measurement']} is above the high one: it has no index." for row in rows if _contradict(row)]
    one_sided = sum(1 for row in rows if row["low"] is None or row["high"] is None)
    if one_sided:
        notes.append(f"{one_sided} with one limit only have no Cp and Pp.")
    return notes


def _histogram(scope: Scope, rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Of a single series with values that differ: what to draw."""
    if len(rows) != 1 or not rows[0]["sd"]:
        return None
    row = rows[0]
    bins = min(30, max(5, math.ceil(math.log2(row["n"]) + 1)))
    low, high = scope.con.execute("SELECT min(value), max(value) FROM analysis_values WHERE low IS NOT NULL OR high IS NOT NULL").fetchone()
    width = (high - low) / bins
    counted = dict(scope.con.execute(f"""SELECT least(floor((value - {low!r}::DOUBLE) / {width!r}::DOUBLE)::BIGINT, {bins - 1}) AS bin, count(*) FROM analysis_values
                                         WHERE low IS NOT NULL OR high IS NOT NULL GROUP BY bin""").fetchall())
    return {"kind": "histogram", "title": f"{row['measurement']}, n = {row['n']}", "unit": row["units"] or "", "edges": [low + i * width for i in range(bins + 1)],
            "counts": [counted.get(i, 0) for i in range(bins)], "lines": {"low": row["low"], "mean": row["mean"], "high": row["high"]}}

# SPDX-License-Identifier: Apache-2.0
"""Control charts: individuals and moving range, means with ranges or deviations of subgroups, share of failing units; with run rules."""

from __future__ import annotations

import math
from typing import Any, Callable

from litmus.analysis import values
from litmus.analysis.libraries import need
from litmus.analysis.numbers import c4, d2, d3
from litmus.analysis.report import Column, Report, Table
from litmus.analysis.scope import Scope, TooFew
from litmus.errors import InvalidArgument

POINTS_MIN = 20
KINDS = ("imr", "xbar-r", "xbar-s", "p")
SHOWN = 20

# ---- run rules: each gives, of the distances to the centre in deviations, the places where the rule is broken


def _some(np, hit, k: int, m: int):
    """Places that are hit and end m places of which at least k are."""
    sums = np.convolve(hit.astype(int), np.ones(m, int))[: len(hit)]
    return hit & (sums >= k)


def _sides(rule: Callable) -> Callable:
    """A rule for each side of the centre by itself."""
    return lambda np, z: rule(np, z) | rule(np, -z)


def _row(np, hit, m: int):
    """Places that end m places in a row which are all hit."""
    return np.convolve(hit.astype(int), np.ones(m, int))[: len(hit)] >= m


def _steady(np, z):
    rising = np.concatenate([[False], z[1:] > z[:-1]])
    falling = np.concatenate([[False], z[1:] < z[:-1]])
    return _row(np, rising, 5) | _row(np, falling, 5)


def _alternating(np, z):
    step = np.sign(np.diff(z))
    turns = np.concatenate([[False, False], step[1:] * step[:-1] < 0])
    return _row(np, turns, 12)


# (name, its words, test); WE: Western Electric (1956), N: Nelson (1984)
RUN_RULES: tuple[tuple[str, str, Callable], ...] = (
    ("N1/WE1", "beyond 3 deviations", lambda np, z: np.abs(z) > 3),
    ("N2", "9 in a row on one side", _sides(lambda np, z: _row(np, z > 0, 9))),
    ("WE4", "8 in a row on one side", _sides(lambda np, z: _row(np, z > 0, 8))),
    ("N3", "6 in a row rising or falling", _steady),
    ("N4", "14 in a row up and down in turn", _alternating),
    ("N5/WE2", "2 of 3 beyond 2 deviations on one side", _sides(lambda np, z: _some(np, z > 2, 2, 3))),
    ("N6/WE3", "4 of 5 beyond 1 deviation on one side", _sides(lambda np, z: _some(np, z > 1, 4, 5))),
    ("N7", "15 in a row within 1 deviation", lambda np, z: _row(np, np.abs(z) < 1, 15)),
    ("N8", "8 in a row beyond 1 deviation, on either side", lambda np, z: _row(np, np.abs(z) > 1, 8)),
)


def broken(z) -> list[list[str]]:
    """Of each point, the run rules that it completes the breaking of. z: distances to the centre, in deviations of a point."""
    np = need("numpy", "a control chart")
    z = np.asarray(z, float)
    found: list[list[str]] = [[] for _ in z]
    for name, _, test in RUN_RULES:
        for i in np.flatnonzero(test(np, z)):
            found[i].append(name)
    return found


# ---- charts

RULES = {
    "imr": "individuals: centre the mean, limits 3 deviations; deviation: average moving range of two / d2(2). Moving range: limits d3(2) and 0.",
    "xbar-r": "means of subgroups: centre the mean of all values, limits 3 deviations / sqrt(n); deviation: mean of (range / d2(n)). Ranges: d2(n) and d3(n) of each subgroup.",
    "xbar-s": "means of subgroups: centre the mean of all values, limits 3 deviations / sqrt(n); deviation: mean of (s / c4(n)). Deviations: c4(n) of each subgroup.",
    "p": "share of units whose first run did not pass: centre all of them / all units, limits 3 sqrt(p (1 - p) / n) for the n of each group.",
}
_SUMMARY = [Column("chart", "CHART"), Column("points", "POINTS", "count"), Column("center", "CENTRE", "number"), Column("lower", "LOWER", "number"),
            Column("upper", "UPPER", "number"), Column("deviation", "DEVIATION", "number"), Column("signals", "SIGNALS", "count")]  # fmt: skip
_POINTS = [Column("chart", "CHART"), Column("at", "AT", "time"), Column("group", "GROUP"), Column("n", "N", "count"), Column("value", "VALUE", "number"),
           Column("center", "CENTRE", "number"), Column("lower", "LOWER", "number"), Column("upper", "UPPER", "number"), Column("rules", "BREAKS"),
           Column("run", "RUN"), Column("serial", "SERIAL")]  # fmt: skip


def analyse(scope: Scope, measurement: str | None = None, *, kind: str | None = None, step: str | None = None, by: str | None = None, all: bool = False) -> Report:  # noqa: A002
    """The points of a chart that break a run rule.

    Args:
        measurement: its name; not of a p chart.
        kind: one of KINDS; None: imr, or xbar-r with `by`.
        step: the step that measured it, when several did.
        by: the group that makes a subgroup; of a p chart: day unless said.
        all: every point.
    """
    kind = kind or ("imr" if by is None else "xbar-r")
    if kind not in KINDS:
        raise InvalidArgument(f"no kind of chart {kind!r}: {', '.join(KINDS)}")
    if (measurement is None) != (kind == "p"):
        raise InvalidArgument("a p chart is of units, not of a measurement" if measurement else "name a measurement, or ask for --kind p")
    if kind in ("xbar-r", "xbar-s") and by is None:
        raise InvalidArgument(f"--kind {kind} needs --by: what makes a subgroup, such as lot or day")
    notes: list[str] = []
    if kind == "p":
        left_out, charts, title = scope.left_out(units=True), _p(scope, by or "day"), "share of units that failed their first run"
    else:
        left_out = values.load(scope, measurement, step)
        series = values.one_series(scope, measurement)
        if series["limits"] > 1:
            notes.append(f"The limits of {measurement} changed: {series['limits']} pairs. Control limits do not depend on them.")
        charts, title = _imr(scope) if kind == "imr" else _subgroups(scope, by, kind, left_out), f"{measurement} {series['units'] or ''}".strip()
    summary, points = _answer(charts)
    shown = points if all else [point for point in points if point["rules"]]
    kept = shown if all else shown[:SHOWN]
    table = Table("points", _POINTS, kept, "Points" if all else "Points that break a rule", len(shown) - len(kept), "--all")
    rules = [values.RULE] * (kind != "p") + [RULES[kind], "run rules: " + "; ".join(f"{name} {words}" for name, words, _ in RUN_RULES) +
                                             ". Charts of ranges and deviations are held to the first only."]  # fmt: skip
    return Report("control", [Table("control", _SUMMARY, summary), table], rules, left_out, notes, plot={"kind": "control", "title": title, "points": points})


def _few(n: int, what: str) -> None:
    if n < POINTS_MIN:
        raise TooFew(f"too few {what} for a control chart: {n}, at least {POINTS_MIN} are needed")


def _point(chart: str, value: float, center: float, sigma: float, **more: Any) -> dict[str, Any]:
    lower = center - 3 * sigma
    return {"chart": chart, "value": value, "center": center, "lower": lower, "upper": center + 3 * sigma, "sigma": sigma, **more}


def _floored(point: dict[str, Any], top: float = math.inf) -> dict[str, Any]:
    return {**point, "lower": max(0.0, point["lower"]), "upper": min(top, point["upper"])}


def _imr(scope: Scope) -> dict[str, list[dict[str, Any]]]:
    rows = scope.rows("""SELECT value, started_at AS "at", run_id AS run, dut_serial AS serial, 1 AS n FROM analysis_values
                         ORDER BY started_at, run_id, measured_at, vector_index""")
    _few(len(rows), "values")
    ranges = [abs(b["value"] - a["value"]) for a, b in zip(rows, rows[1:])]
    average, center = math.fsum(ranges) / len(ranges), math.fsum(row["value"] for row in rows) / len(rows)
    deviation = average / d2(2)
    singles = [_point("individuals", row.pop("value"), center, deviation, **row) for row in rows]
    moving = [_floored(_point("moving range", value, average, d3(2) * deviation, **{**row, "n": 2})) for value, row in zip(ranges, rows[1:])]
    return {"individuals": singles, "moving range": moving}


def _subgroups(scope: Scope, by: str, kind: str, left_out: dict[str, int]) -> dict[str, list[dict[str, Any]]]:
    rows = scope.rows(f"""SELECT {scope.group(by)} AS "group", min(started_at) AS "at", count(*) AS n, avg(value) AS mean, max(value) - min(value) AS range, stddev_samp(value) AS s
                          FROM analysis_values GROUP BY ALL ORDER BY min(started_at)""")
    single = [row for row in rows if row["n"] < 2]
    if single:
        left_out["values: alone in their subgroup"] = len(single)
    rows = [row for row in rows if row["n"] >= 2]
    _few(len(rows), "subgroups of two values or more")
    spread, unbias, wander = ("range", d2, d3) if kind == "xbar-r" else ("s", c4, lambda n: math.sqrt(1 - c4(n) ** 2))
    deviation = math.fsum(row[spread] / unbias(row["n"]) for row in rows) / len(rows)
    center = math.fsum(row["mean"] * row["n"] for row in rows) / sum(row["n"] for row in rows)
    keep = ("group", "at", "n")
    means = [_point("means", row["mean"], center, deviation / math.sqrt(row["n"]), **{key: row[key] for key in keep}) for row in rows]
    name = "ranges" if kind == "xbar-r" else "deviations"
    return {"means": means, name: [_floored(_point(name, row[spread], unbias(row["n"]) * deviation, wander(row["n"]) * deviation, **{key: row[key] for key in keep})) for row in rows]}


def _p(scope: Scope, by: str) -> dict[str, list[dict[str, Any]]]:
    rows = scope.rows(f"""SELECT {scope.group(by)} AS "group", min(started_at) AS "at", count(*) AS n, count(*) FILTER (WHERE outcome <> 'passed') AS failed
                          FROM chosen WHERE try = 1 GROUP BY ALL ORDER BY min(started_at)""")
    _few(len(rows), f"groups by {by}")
    p = sum(row["failed"] for row in rows) / sum(row["n"] for row in rows)
    return {"p": [_floored(_point("p", row.pop("failed") / row["n"], p, math.sqrt(p * (1 - p) / row["n"]), **row), 1.0) for row in rows]}


def _distance(point: dict[str, Any]) -> float:
    """From the centre, in deviations. Where none varies, what differs from the centre is far away; values that are all equal (but for rounding) break no rule."""
    away = point["value"] - point["center"]
    if point["sigma"]:
        return away / point["sigma"]
    return math.copysign(1e9, away) if abs(away) > 1e-12 * abs(point["center"]) else math.nan


def _answer(charts: dict[str, list[dict[str, Any]]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """One line a chart, and all points with the rules that they break."""
    summary, all_points = [], []
    for chart, points in charts.items():
        z = [_distance(point) for point in points]
        only_first = chart in ("moving range", "ranges", "deviations")
        for point, names in zip(points, broken(z)):
            point["rules"] = " ".join(name for name in names if name == "N1/WE1" or not only_first) or None
            del point["sigma"]
        alike = len({(point["lower"], point["upper"]) for point in points}) == 1
        last = points[-1]
        deviation = (last["upper"] - last["center"]) / 3 if chart == "individuals" else None
        summary.append({"chart": chart, "points": len(points), "center": last["center"], "lower": last["lower"] if alike else None, "upper": last["upper"] if alike else None,
                        "deviation": deviation, "signals": sum(1 for point in points if point["rules"])})
        all_points += points
    return summary, all_points

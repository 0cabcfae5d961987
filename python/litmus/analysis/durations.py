# SPDX-License-Identifier: Apache-2.0
"""How long runs and steps take: percentiles, the slowest, the trend."""

from __future__ import annotations

from litmus.analysis.report import Column, Report, Table
from litmus.analysis.scope import Scope

RULES = [
    "runs: finished, and not cut off. steps: the last execution of each step that ended, in any finished run; in seconds. Percentiles are interpolated between the two nearest values.",
    "share: of the time of all steps; a sub-step is in its step. trend: slope of the least-squares line of duration over the start of the run, a week.",
]
_FIGURES = [Column("n", "N", "count"), Column("median", "MEDIAN s", "number"), Column("p90", "90 %", "number"), Column("p95", "95 %", "number"), Column("p99", "99 %", "number"),
            Column("longest", "LONGEST", "number"), Column("total", None, "number"), Column("share", "SHARE", "share"), Column("trend", "TREND s/WEEK", "number")]  # fmt: skip
# In microseconds, which are whole numbers: an interval, and its epoch, cost ten times as much.
# The starts are counted from the first: at 1.8e15 the digits of a double end where those of runs that are near each other begin.
_SUMS = """count(*) AS n, quantile_cont(us, [0.5, 0.9, 0.95, 0.99]) AS q, max(us) AS longest, sum(us) AS total,
           CASE WHEN max("at") > min("at") THEN regr_slope(us, epoch_us("at") - {first}) * 604800 END AS trend"""


def analyse(scope: Scope, *, by: str | None = None, step: str | None = None, limit: int = 20) -> Report:
    """Durations of steps, those that take most time first, and of runs.

    Args:
        by: groups of runs, joined by commas; None: part and phase.
        step: only these steps.
        limit: steps; 0: all.
    """
    groups = scope.groups(by, "part,phase")
    names = ", ".join(f'"{name}"' for name, _ in groups)
    keys = ", ".join(f'{sql} AS "{name}"' for name, sql in groups)
    runs = _finish(scope.rows(f"""SELECT {names}, {_SUMS.format(first="first")} FROM (SELECT *, min(epoch_us("at")) OVER (PARTITION BY {names}) AS first FROM (SELECT {keys}, started_at AS "at", epoch_us(ended_at) - epoch_us(started_at) AS us FROM counted
                                  WHERE duration_s IS NOT NULL AND outcome NOT IN ('terminated', 'aborted'))) GROUP BY {names} ORDER BY {names}"""))
    where, first = scope.rows_where(step), scope.one("SELECT coalesce(epoch_us(min(started_at)), 0) FROM counted")
    found = scope.rows(f"""SELECT step, any_value(parent_path) AS parent_path, {_SUMS.format(first=first)} FROM (SELECT step_path AS step, parent_path, run_started_at AS "at", epoch_us(step_ended_at) - epoch_us(step_started_at) AS us FROM litmus_rows
                                   WHERE record_type = 'step' AND step_ended_at IS NOT NULL AND step_started_at IS NOT NULL AND {where}) GROUP BY step ORDER BY total DESC, step""")
    steps = _finish(scope.planned(found))
    if step is not None and not steps:
        raise scope.no_step(step)
    kept = steps[:limit] if limit else steps
    left_out = scope.left_out(units=False)
    cut_off = scope.one("SELECT count(*) FROM counted WHERE duration_s IS NULL OR outcome IN ('terminated', 'aborted')")
    left_out.update({"runs: cut off (not in the durations of runs)": cut_off} if cut_off else {})
    tables = [Table("steps", [Column("step", "STEP"), *_FIGURES], kept, more=len(steps) - len(kept)),
              Table("runs", [*(Column(name, name.upper()) for name, _ in groups), *_FIGURES], runs, "Runs")]  # fmt: skip
    return Report("durations", tables, RULES, left_out)


def _finish(rows: list[dict]) -> list[dict]:
    """Names the percentiles, in seconds; adds the shares of the total."""
    whole = sum(row["total"] for row in rows)
    for row in rows:
        row["share"] = row["total"] / whole if whole else None
        row["median"], row["p90"], row["p95"], row["p99"] = (us / 1e6 for us in row.pop("q"))
        row["longest"], row["total"] = row["longest"] / 1e6, row["total"] / 1e6
    return rows

# SPDX-License-Identifier: Apache-2.0
"""What fails most: by step, by measurement, or runs by part, lot, station and the rest; with cumulative share."""

from __future__ import annotations

from litmus.analysis.report import Column, Report, Table
from litmus.analysis.scope import GROUPS, Scope, near
from litmus.errors import InvalidArgument

BY = ("step", "measurement", *GROUPS)
RULES = {
    "step": "failures: executions of a planned step (each vector, in each run) whose last attempt failed or errored; a sub-step is in its step. share: of all failures; cumulative: with those above it.",
    "measurement": "failures: measurements with outcome failed or errored, in every attempt (from_retries: those in attempts after the first). share: of all failures.",
    "run": "failures: runs that failed, errored, were terminated or aborted, retests included. share: of all such runs.",
}
_COLUMNS = [
    Column("failures", None, "count"), Column("of", None, "count"), Column("rate", "FAILED", "share", ("failures", "of")),
    Column("share", "SHARE", "share"), Column("cumulative_share", "CUMULATIVE", "share"),
]  # fmt: skip
_STEP = """SELECT step_path AS step, any_value(parent_path) AS parent_path, litmus_count(n, vector_outcome IN ('failed', 'errored')) AS failures,
           litmus_count(n, vector_outcome IS NOT NULL) AS "of"
           FROM litmus_step_counts('picked') WHERE {where} GROUP BY step_path"""
_MEASUREMENT = """SELECT measurement_name AS measurement, step_path AS step, count(*) FILTER (WHERE measurement_outcome IN ('failed', 'errored')) AS failures, count(*) AS "of",
                  count(*) FILTER (WHERE vector_retry > 0 AND measurement_outcome IN ('failed', 'errored')) AS from_retries
                  FROM litmus_rows WHERE record_type = 'measurement' AND {where} GROUP BY ALL"""
_RUN = """SELECT {key} AS "{by}", count(*) FILTER (WHERE outcome IN ('failed', 'errored', 'terminated', 'aborted')) AS failures, count(*) AS "of" FROM counted GROUP BY ALL"""


def analyse(scope: Scope, *, by: str | None = None, step: str | None = None, limit: int = 10) -> Report:
    """Failures, the most frequent first.

    Args:
        by: one of BY; None: step.
        step: only of these steps; not with groups of runs.
        limit: lines before "other"; 0: all.
    """
    by = by or "step"
    if by not in BY:
        raise InvalidArgument(f"cannot count failures by {by!r}{near(by, list(BY))}")
    if step is not None and by not in ("step", "measurement"):
        raise InvalidArgument(f"--step does not go with --by {by}, which counts runs")
    where = scope.steps_where(step) if by == "step" else scope.rows_where(step)
    if by == "step":
        scope.pick_runs()
    text = _STEP if by == "step" else _MEASUREMENT if by == "measurement" else _RUN.format(key=scope.group(by), by=by)
    rows = scope.rows(text.format(where=where) if by in ("step", "measurement") else text)
    if step is not None and not rows:
        raise scope.no_step(step)
    if by == "step":
        rows = scope.planned(rows)
    keys = ["measurement", "step"] if by == "measurement" else [by]
    failing = sorted((row for row in rows if row["failures"]), key=lambda row: (-row["failures"], *(str(row[key]) for key in keys)))
    columns = [Column(key, key.upper()) for key in keys] + _COLUMNS + ([Column("from_retries", "IN RETRIES", "count")] if by == "measurement" else [])
    table = Table("pareto", columns, _cumulate(failing, keys, limit))
    notes = [f"Nothing failed in {sum(row['of'] for row in rows):,} of them."] if not failing else []
    return Report("pareto", [table], [RULES.get(by, RULES["run"])], scope.left_out(units=False), notes, plot=_bars(table.rows, keys[0]))


def _bars(rows: list[dict], key: str) -> dict | None:
    if not rows:
        return None
    return {"kind": "bars", "title": f"failures by {key}", "names": [str(row[key]) for row in rows], "counts": [row["failures"] for row in rows],
            "cumulative": [row["cumulative_share"] for row in rows], "unit": "failures"}


def _cumulate(rows: list[dict], keys: list[str], limit: int) -> list[dict]:
    """Adds the shares; what the limit leaves off becomes one row, "other"."""
    total, so_far = sum(row["failures"] for row in rows), 0
    if limit and len(rows) > limit:
        rest = rows[limit:]
        counts = [name for name in rest[0] if name not in keys]
        rows = rows[:limit] + [{**dict.fromkeys(keys), keys[0]: f"other ({len(rest)})", **{name: sum(row[name] for row in rest) for name in counts}}]
    for row in rows:
        so_far += row["failures"]
        row.update(rate=row["failures"] / row["of"], share=row["failures"] / total, cumulative_share=so_far / total)
    return rows

# SPDX-License-Identifier: Apache-2.0
"""Which planned steps never ran: how often, since when, and why."""

from __future__ import annotations

import datetime

from litmus.analysis.report import Column, Report, Table
from litmus.analysis.scope import Scope, literal
from litmus.data._common import time_us

RULES = [
    "ran: executions of the planned step (each vector, in each run) that started / planned. Skipped in its body or a fixture counts as ran, a skip marker does not. A sub-step is in its step.",
    "missed since: start of the first run after the last in which the step ran; empty: it ran in the latest run that planned it.",
]
_COLUMNS = [
    Column("part", "PART"), Column("phase", "PHASE"), Column("step", "STEP"), Column("ran", None, "count"), Column("planned", None, "count"),
    Column("coverage", "RAN", "share", ("ran", "planned")), Column("never_ran", "NEVER RAN", "count"), Column("last_ran_at", "LAST RAN", "time"),
    Column("missed_since", "MISSED SINCE", "time"), Column("reasons", "WHY", "text"),
]  # fmt: skip
_STEPS = """
WITH sums AS (SELECT dut_part_number AS part, test_phase AS phase, step_path AS step, parent_path, never_ran AS missed, CASE WHEN missed THEN coalesce(never_ran_reason, 'unknown') END AS reason,
                     sum(n)::BIGINT AS n FROM litmus_step_counts('picked') WHERE {where} GROUP BY ALL),
     steps AS (SELECT part, phase, step, any_value(parent_path) AS parent_path, litmus_count(n, NOT missed) AS ran, sum(n)::BIGINT AS planned, ran / planned AS coverage,
                      planned - ran AS never_ran, map_from_entries(list((reason, n)) FILTER (WHERE missed)) AS reasons
               FROM sums GROUP BY part, phase, step)
SELECT s.part, s.phase, s.step, s.parent_path, ran, planned, coverage, never_ran, last_ran_at, last_missed_at, reasons
FROM steps s LEFT JOIN litmus_step_times('picked') t ON t.step_path IS NOT DISTINCT FROM s.step AND t.dut_part_number IS NOT DISTINCT FROM s.part
     AND t.test_phase IS NOT DISTINCT FROM s.phase"""
_SINCE = """
SELECT g.part, g.phase, g.step, min(s.run_started_at) AS missed_since
FROM (SELECT step_path, run_started_at, dut_part_number, test_phase FROM litmus_step_others JOIN picked USING (run_id) WHERE never_ran) s
     JOIN (VALUES {wanted}) g(part, phase, step, last_ran_at)
     ON s.step_path IS NOT DISTINCT FROM g.step AND s.dut_part_number IS NOT DISTINCT FROM g.part AND s.test_phase IS NOT DISTINCT FROM g.phase
WHERE g.last_ran_at IS NULL OR s.run_started_at > g.last_ran_at GROUP BY ALL"""


def analyse(scope: Scope, *, step: str | None = None, all: bool = False, limit: int = 0) -> Report:  # noqa: A002
    """Planned steps, those that ran least first.

    Args:
        step: only these steps.
        all: also steps that ran every time.
        limit: lines; 0: all.
    """
    scope.pick_runs("dut_part_number, test_phase")
    rows = scope.rows(_STEPS.format(where=scope.steps_where(step)))
    if step is not None and not rows:
        raise scope.no_step(step)
    rows = scope.planned(rows)
    missed = [row for row in rows if row["never_ran"]]
    _since(scope, [row for row in missed if row["last_ran_at"] is None or row["last_missed_at"] > row["last_ran_at"]])
    for row in rows:
        row["reasons"] = dict(sorted((row["reasons"] or {}).items(), key=lambda item: (-item[1], item[0])))
        row.setdefault("missed_since", None)
        del row["last_missed_at"]
    shown = sorted(rows if all else missed, key=lambda row: (row["coverage"], str(row["part"]), str(row["phase"]), str(row["step"])))
    kept = shown[:limit] if limit else shown
    never = sum(1 for row in missed if not row["ran"])
    notes = [f"{len(rows):,} planned steps; {len(rows) - len(missed):,} ran every time, {len(missed):,} did not, {never:,} of these not once."]
    deselected = scope.one("SELECT coalesce(sum(deselected_count), 0) FROM counted")
    left_out = scope.left_out(units=False)
    if deselected:
        left_out["tests: deselected (-k, -m, --deselect), which is not in the plan"] = int(deselected)
    return Report("coverage", [Table("coverage", _COLUMNS, kept, more=len(shown) - len(kept))], RULES, left_out, notes)


def _since(scope: Scope, rows: list[dict]) -> None:
    """Adds missed_since to rows of steps that did not run in the latest run that planned them."""
    if not rows:
        return
    keys = ("part", "phase", "step")
    wanted = ", ".join(f"({', '.join(literal(row[key]) for key in keys)}, {_moment(row['last_ran_at'])})" for row in rows)
    found = {tuple(one[key] for key in keys): one["missed_since"] for one in scope.rows(_SINCE.format(wanted=wanted))}
    for row in rows:
        row["missed_since"] = found.get(tuple(row[key] for key in keys))


def _moment(at: datetime.datetime | None) -> str:
    return "NULL::TIMESTAMPTZ" if at is None else f"make_timestamptz({time_us(at)})"

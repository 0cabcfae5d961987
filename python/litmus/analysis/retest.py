# SPDX-License-Identifier: Apache-2.0
"""Steps that failed in a unit, by what came of it: flaky, marginal, passed on retest, bad unit, not retested."""

from __future__ import annotations

from typing import Any

from litmus.analysis.report import Column, Report, Table
from litmus.analysis.scope import Scope

MARGIN = 0.05
KINDS = ("flaky", "marginal", "passed on retest", "bad unit", "not retested")
RULES = [
    "One case is a planned step (each vector, with its sub-steps) of a unit that failed or errored in any attempt of any of its chosen runs.",
    "bad unit: it failed in several runs, the last with a verdict on the step (passed, failed, errored) among them. not retested: it failed in that run, and in no other.",
    "flaky: it failed and passed within one run. passed on retest: it failed in a run and passed in a later one.",
    f"marginal: flaky or passed on retest, where a value failed, and each value that failed lies beyond its limit by at most {MARGIN:.0%} of the span of the limits (of the limit, if there is one).",
]
_COLUMNS = [Column("step", "STEP"), Column("vector_index", "VECTOR", "count"), Column("cases", "CASES", "count"),
            *(Column(kind.replace(" ", "_"), kind.upper(), "count") for kind in KINDS)]  # fmt: skip
_CASES = [Column("part", "PART"), Column("phase", "PHASE"), Column("serial", "SERIAL"), Column("step", "STEP"), Column("vector_index", "VECTOR", "count"),
          Column("kind", "KIND"), Column("runs", "RUNS", "count"), Column("failed_runs", "FAILED", "count"), Column("last_at", "LAST", "time")]  # fmt: skip
_BAD = "list_has_any(attempt_outcomes, ['failed', 'errored'])"
_FAILED = f"""
CREATE OR REPLACE TEMP TABLE failed_cases AS
SELECT DISTINCT c.dut_part_number AS part, c.test_phase AS phase, trim(c.dut_serial) AS serial, step_path AS step, vector_index
FROM (SELECT * FROM litmus_step_others WHERE {_BAD} AND {{where}}
           AND coalesce(parent_path, '') NOT IN (SELECT step_path FROM litmus_step_paths WHERE step_path IS NOT NULL AND {{where}})) s JOIN chosen c ON s.run_id = c.run_id WHERE c.left_out IS NULL"""
# Every execution of these steps in these units, those that passed too; n of them alike.
_PICKED = """
CREATE OR REPLACE TEMP TABLE picked AS
SELECT run_id, run_id AS run, started_at, part, phase, serial, step AS step_path
FROM chosen JOIN (SELECT DISTINCT part, phase, serial, step FROM failed_cases) ON serial = trim(dut_serial) AND part IS NOT DISTINCT FROM dut_part_number
     AND phase IS NOT DISTINCT FROM test_phase
WHERE left_out IS NULL"""
_EXECUTED = f"""
CREATE OR REPLACE TEMP TABLE executed_cases AS
WITH executed AS MATERIALIZED (SELECT * FROM litmus_picked_steps('picked') WHERE list_has_any(attempt_outcomes, ['passed', 'failed', 'errored']))
SELECT f.*, s.run AS run_id, s.started_at, [word FOR word IN attempt_outcomes IF word IN ('passed', 'failed', 'errored')][-1] AS verdict, {_BAD} AS failed,
       list_contains(attempt_outcomes, 'passed') AS passed, sum(n)::BIGINT AS n
FROM executed s
     JOIN failed_cases f ON s.step_path = f.step AND s.vector_index IS NOT DISTINCT FROM f.vector_index AND s.serial = f.serial
     AND s.part IS NOT DISTINCT FROM f.part AND s.phase IS NOT DISTINCT FROM f.phase
GROUP BY ALL HAVING sum(n) > 0"""
_NEAR = f"""
SELECT e.run_id, e.step, e.vector_index, bool_and(coalesce(measurement_value IS NOT NULL AND greatest(measurement_value - limit_high, limit_low - measurement_value, 0)
       <= {MARGIN * (1 + 1e-9)} * coalesce(limit_high - limit_low, abs(limit_high), abs(limit_low)), false)) AS is_near
FROM (SELECT * FROM litmus_rows WHERE record_type = 'measurement' AND measurement_outcome IN ('failed', 'errored') AND run_id IN (SELECT run_id FROM executed_cases WHERE failed)) m
     JOIN (SELECT DISTINCT run_id, step, vector_index FROM executed_cases WHERE failed) e
     ON m.run_id = e.run_id AND m.vector_index IS NOT DISTINCT FROM e.vector_index AND (step_path = e.step OR starts_with(step_path, e.step || '/'))
GROUP BY ALL"""
_GATHER = f"""
SELECT part, phase, serial, step, e.vector_index, sum(e.n)::BIGINT AS runs, litmus_count(e.n, failed) AS failed_runs, max(started_at) AS last_at,
       arg_max(verdict, (started_at, run_id)) AS last_verdict, bool_or(failed AND passed) AS is_mixed,
       bool_and(is_near) FILTER (WHERE failed) AS is_near, count(*) FILTER (WHERE failed AND is_near IS NULL) AS without_value
FROM executed_cases e LEFT JOIN ({_NEAR}) m USING (run_id, step, vector_index) GROUP BY ALL"""


def analyse(scope: Scope, *, step: str | None = None, all: bool = False, limit: int = 0) -> Report:  # noqa: A002
    """Steps with failures, those with most first.

    Args:
        step: only these steps.
        all: the cases one by one, in a second table.
        limit: lines; 0: all.
    """
    scope.con.execute(_FAILED.format(where=scope.steps_where(step)))
    scope.con.execute(_PICKED)
    scope.con.execute(_EXECUTED)
    cases = scope.rows(_GATHER)
    for case in cases:
        case["kind"] = kind_of(case)
    steps: dict[tuple, dict[str, Any]] = {}
    for case in cases:
        row = steps.setdefault((case["step"], case["vector_index"]), {"step": case["step"], "vector_index": case["vector_index"], "cases": 0,
                                                                      **{kind.replace(" ", "_"): 0 for kind in KINDS}})  # fmt: skip
        row["cases"] += 1
        row[case["kind"].replace(" ", "_")] += 1
    rows = sorted(steps.values(), key=lambda row: (-row["cases"], row["step"], row["vector_index"] or 0))
    kept = rows[:limit] if limit else rows
    tables = [Table("retest", _COLUMNS, kept, more=len(rows) - len(kept))]
    if all:
        names = [column.name for column in _CASES]
        listed = sorted(cases, key=lambda case: (case["kind"], case["step"], str(case["part"]), case["serial"]))
        tables.append(Table("cases", _CASES, [{name: case[name] for name in names} for case in listed], "Case by case"))
    return Report("retest", tables, RULES, scope.left_out(units=True), [] if rows else ["No step failed in a unit."])


def kind_of(case: dict[str, Any]) -> str:
    """One of KINDS, of a case: failed_runs, last_verdict, is_mixed, is_near, without_value."""
    if case["last_verdict"] != "passed":
        return "bad unit" if case["failed_runs"] > 1 else "not retested"
    if case["is_near"] and not case["without_value"]:
        return "marginal"
    return "flaky" if case["is_mixed"] else "passed on retest"

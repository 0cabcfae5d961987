# SPDX-License-Identifier: Apache-2.0
"""Many runs: what it costs to compact them, and to ask about all of them."""

from __future__ import annotations

import os

import generate_runs
import peers as peers_module
import support
from support import median, size

STEPS = 100
QUESTIONS = {
    "never ran, by step": ("SELECT step_name, count(*) AS total, count(*) FILTER (WHERE step_outcome IS NULL) AS never_ran FROM steps GROUP BY step_name", 150),
    "yield by station and week": ("SELECT station_id, date_trunc('week', started_at) AS week, count(*) FILTER (WHERE outcome = 'passed') / count(*) "
                                  "FROM unit_runs WHERE try = 1 GROUP BY ALL", 200),
    "rolled yield": ("FROM rolled_yield", 1000),
    "coverage": ("FROM step_coverage", 1000),
    "flaky steps": ("FROM flaky_steps", 1000),
}


def lake(table: support.Table, peers: peers_module.Peers) -> None:
    """Runs without a recorder: their files are made. LITMUS_BENCH_RUNS says how many (the goals are for 100,000)."""
    runs = int(os.environ.get("LITMUS_BENCH_RUNS") or size(1000, 200, 20))
    data_dir = support.fresh("lake")
    support.progress(f"{runs} runs of {STEPS} steps")
    generate_runs.generate(data_dir, runs, STEPS)
    litmus = support.litmus_program()
    support.run(litmus, "runs", "-d", str(data_dir), "-n", "1")
    rows = runs * (STEPS + 1)
    _, cpu = support.timed([litmus, "compact", "-q", "-d", str(data_dir)])
    table.add(f"compacting {runs} runs of {STEPS} steps", rows / cpu, "rows/s of processor", ">=", 500_000)
    _, cpu = support.timed([litmus, "compact", "-q", "-d", str(data_dir)])
    table.add("  again, with nothing to do", cpu * 1e3, "ms of processor")
    for name, (question, goal) in QUESTIONS.items():
        walls = [support.timed([litmus, "sql", "-d", str(data_dir), "--csv", "-c", question])[0] for _ in range(size(7, 3, 1))]
        table.add(f"litmus sql: {name}, {runs} runs", median(walls) * 1e3, "ms", "<=", goal)
    for name, paths in (("lake", data_dir.glob("lake/month=*/*.parquet")), ("one file a run", data_dir.glob("runs/*/*.parquet"))):
        table.add(f"bytes a row, {name}", sum(path.stat().st_size for path in paths) / rows, "bytes")

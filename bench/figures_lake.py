# SPDX-License-Identifier: Apache-2.0
"""Many runs: what it costs to compact them, to ask about all of them, and to find one among them."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import time

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

ANALYSES = (["yield"], ["pareto"], ["coverage"], ["drift"], ["capability"], ["retest"], ["durations"], ["compare", "station=bench-0", "station=bench-1"])


def used(*command) -> tuple[float, float]:
    """Seconds of processor and largest resident megabytes of a process."""
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=support.clean_environ())
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise support.CannotMeasure(f"{' '.join(map(str, command[:2]))} gave {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def lake(table: support.Table, peers: peers_module.Peers) -> None:
    """Runs without a recorder: their files are made. LITMUS_BENCH_RUNS says how many; several numbers show the growth (the goals are for 100,000)."""
    for number in (os.environ.get("LITMUS_BENCH_RUNS") or str(size(1000, 200, 20))).split(","):
        _lake_of(table, int(number))


def _lake_of(table: support.Table, runs: int) -> None:
    data_dir = support.fresh("lake")
    support.progress(f"{runs} runs of {STEPS} steps")
    support.run(support.program("generate"), data_dir, runs, STEPS, timeout=7200)
    litmus, steps = support.litmus_program(), runs * STEPS
    start = time.perf_counter()
    support.run(litmus, "reindex", "-q", "-d", data_dir)
    table.add(f"litmus reindex, {runs} run files", runs / (time.perf_counter() - start), "files/s", ">=", 100_000 / 60)
    cpu, memory = _compacting(litmus, data_dir, 3 if runs <= 10_000 else 1)
    rows = sum(file["rows"] for file in json.loads((data_dir / "lake/_manifest.json").read_text())["files"])
    table.add(f"compacting {runs} runs of {STEPS} steps", rows / cpu, "rows/s of processor", ">=", 500_000)
    table.add(f"  its largest resident size, {runs} runs", memory, "MB", "<=", 256)
    table.add(f"  again, with nothing to do, {runs} runs", used(litmus, "compact", "-q", "-d", data_dir)[0] * 1e3, "ms of processor")
    for name, (question, goal) in QUESTIONS.items():
        walls = [support.timed([litmus, "sql", "-d", str(data_dir), "--csv", "-c", question])[0] for _ in range(size(7, 3, 1))]
        table.add(f"litmus sql: {name}, {runs} runs", median(walls) * 1e3, "ms", "<=", goal)
    for words in ANALYSES:
        walls = [support.timed([litmus, *words, "-d", str(data_dir), "--json"])[0] for _ in range(size(3, 2, 1))]
        table.add(f"litmus {words[0]}, {runs} runs", median(walls) * 1e3, "ms", "<=", 1000)
    _find(table, data_dir, runs)
    for name, paths in (("lake", data_dir.glob("lake/month=*/*.parquet")), ("one file a run", data_dir.glob("runs/*/*.parquet"))):
        table.add(f"bytes a step, {name}, {runs} runs", sum(path.stat().st_size for path in paths) / steps, "bytes")


def _compacting(litmus, data_dir: pathlib.Path, times: int) -> tuple[float, float]:
    """Seconds of processor (the median) and the largest resident megabytes. What the generator wrote is on the disk before."""
    os.sync()
    figures = []
    for number in range(times):
        if number > 0:
            shutil.rmtree(data_dir / "lake")
            support.run(litmus, "reindex", "-q", "-d", data_dir)
        figures.append(used(litmus, "compact", "-q", "-d", data_dir))
    return median(seconds for seconds, _ in figures), max(megabytes for _, megabytes in figures)


def _find(table: support.Table, data_dir: pathlib.Path, runs: int) -> None:
    """One run among them, from the shell and from Python."""
    litmus, times = support.litmus_program(), size(30, 10, 2)
    some = [json.loads(line) for line in support.run(litmus, "runs", "-d", data_dir, "--json", "-n", "20").splitlines()]
    for name, words in (("runs --serial X", ["runs", "--serial", some[-1]["dut_serial"]]), ("show RUN", ["show", some[-1]["test_run_id"][:12]])):
        lines = support.run(support.program("spawn"), times, litmus, *words, "--data-dir", data_dir).split()
        table.add(f"litmus {name}, whole process, among {runs} generated runs", median(map(float, lines)), "ms", "<=", 15)
    prefixes = [run["test_run_id"][:12] for run in some]
    ours = support.Helper(support.PYTHON, support.BENCH / "ours.py", data_dir)
    try:
        first, warm = ours.ask("get_steps_of", prefixes=prefixes)
    finally:
        ours.end()
    table.add(f"RunStore().get_steps(prefix), the first, among {runs} runs", first, "ms", "<=", 5)
    table.add(f"  then, {STEPS} steps each, among {runs} runs", warm, "ms", "<=", 1)


def catalog(table: support.Table, peers: peers_module.Peers) -> None:
    """A run that ended is put into the catalog."""
    runs = size(20_000, 4000, 50)
    table.add(f"catalog: a run put in, each by itself, {runs} of them", float(support.run(support.program("catalog"), support.fresh("catalog"), runs)) / 1e3, "ms", "<=", 0.3)


def large(table: support.Table, peers: peers_module.Peers) -> None:
    """One run of very many steps: recorded, made a file, listed, paged."""
    steps = size(1_000_000, 100_000, 500)
    data_dir, litmus = support.fresh("large"), support.litmus_program()
    support.run(support.program("produce"), "record", data_dir, litmus, 1, steps, 0, timeout=600)
    cpu, memory = used(litmus, "materialize", "--all", "-q", "-d", data_dir)
    table.add(f"a run of {steps:,} steps, its log to its file", cpu, "s of processor")
    table.add("  the largest resident size", memory, "MB")
    path = support.run_files(data_dir)[0]
    table.add("  bytes a step of it, file", path.stat().st_size / steps, "bytes")
    for name, words in (("runs", ["runs"]), ("show", ["show"]), ("show --json", ["show", "--json"])):
        cpu, memory = used(litmus, *words, "-d", data_dir)
        table.add(f"  litmus {name}", cpu, "s of processor")
    page = f"SELECT step_path, step_outcome FROM steps ORDER BY step_index LIMIT 100 OFFSET {steps // 2}"
    table.add("  a page of 100 steps from its middle, by litmus sql", support.timed([litmus, "sql", "-d", data_dir, "--csv", "-c", page])[0] * 1e3, "ms")


def follow(table: support.Table, peers: peers_module.Peers) -> None:
    """From the call that emits a step's start to the line of `litmus show --follow`, read from its pipe."""
    import uuid

    from litmus import _litmus

    data_dir, run, took = support.fresh("follow"), str(uuid.uuid4()), []
    session = _litmus.Session(data_dir=str(data_dir), daemon=False)
    session.emit("run.started", {}, run)
    command = [support.litmus_program(), "show", run, "--follow", "--json", "-d", str(data_dir)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=support.clean_environ())
    try:
        for number in range(size(200, 60, 5)):
            start = time.perf_counter()
            session.emit("test.step_started", {"step_name": f"s{number}", "step_index": number, "step_path": f"s{number}"}, run)
            while f'"s{number}"'.encode() not in process.stdout.readline():
                continue
            took.append((time.perf_counter() - start) * 1e3)
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        session.close()
    table.add("an event to its line of litmus show --follow", median(took[1:]), "ms", "<=", 200)
    table.add("  the slowest of a hundred", support.tail(took[1:], 0.99), "ms", "<=", 200)

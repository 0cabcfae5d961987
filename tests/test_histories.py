# SPDX-License-Identifier: Apache-2.0
"""Random histories of runs/, the lake and the catalog: whatever happened, every answer is what a naive reading of every file says.

A few in `make test`, drawn from fixed seeds; in `make soak` (LITMUS_SOAK, minutes) new ones as long as there is time.
A history that fails is had again by its seed: LITMUS_HISTORY_SEED=123 pytest tests/test_histories.py
"""

from __future__ import annotations

import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import litmus
from litmus.data.run_store import RunStore

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from test_cli import LITMUS, environment, ok  # noqa: E402
from test_sql import put, run_rows  # noqa: E402

SOAK_S = float(os.environ.get("LITMUS_SOAK") or 0) * 60
SEEDS = [int(os.environ["LITMUS_HISTORY_SEED"])] if os.environ.get("LITMUS_HISTORY_SEED") else range(2)
MOVES = 9


# ---- the naive reading


def files_that_count(data_dir):
    """run_id -> rows of its first file by path; what cannot be read, or names no run, counts for nothing."""
    found = {}
    for path in sorted(data_dir.glob("runs/*/*.parquet")):
        try:
            rows = pq.ParquetFile(path).read().to_pylist()
        except (pa.ArrowException, OSError):
            continue
        if rows and rows[0].get("run_id"):
            found.setdefault(rows[0]["run_id"], rows)
    return found


def coverage_of(steps):
    """What step_coverage says: step -> planned, ran, failed, last ran, first missed."""
    for path in sorted({s["step_path"] for s in steps}):
        mine = [s for s in steps if s["step_path"] == path]
        missed = [s for s in mine if s["step_outcome"] is None and s["vector_outcome"] is None and s["step_started_at"] is None]
        ran = [s for s in mine if s not in missed]
        last, first = max((s["run_started_at"] for s in ran), default=None), min((s["run_started_at"] for s in missed), default=None)
        yield path, len(mine), len(ran), sum(s["vector_outcome"] == "failed" for s in mine), last, first


def flaky_of(steps):
    """What flaky_steps says: step -> retried, flaky, ran."""
    for path in sorted({s["step_path"] for s in steps}):
        tried = [s["attempt_outcomes"] for s in steps if s["step_path"] == path and s["attempt_outcomes"]]
        retried = [outcomes for outcomes in tried if len(outcomes) > 1]
        if retried:
            yield path, len(retried), sum("failed" in outcomes and "passed" in outcomes for outcomes in retried), len(tried)


def step_yield_of(heads, steps):
    """What step_yield says: step -> passed, judged, of the first run of each unit."""
    first = {}
    for r in heads:
        first[r["dut_serial"]] = min(first.get(r["dut_serial"], (r["run_started_at"], r["run_id"])), (r["run_started_at"], r["run_id"]))
    counted = {run_id for _, run_id in first.values()}
    for path in sorted({s["step_path"] for s in steps if s["run_id"] in counted}):
        mine = [s for s in steps if s["step_path"] == path and s["run_id"] in counted]
        yield path, sum((s["attempt_outcomes"] or [s["vector_outcome"]])[0] == "passed" for s in mine), len(mine)


def naive(data_dir):
    """What each view has to say, as sorted tuples."""
    runs = files_that_count(data_dir).values()
    rows = [row for run in runs for row in run]
    heads = [next((row for row in run if row["record_type"] == "run"), run[0]) for run in runs]  # without a run row each row tells of it
    steps = [row for row in rows if row["record_type"] == "step"]
    attempts = [(s["run_id"], s["step_path"], n, outcome) for s in steps for n, outcome in enumerate(s["attempt_outcomes"] or [])]
    return {
        "runs": sorted((r["run_id"], r["dut_serial"], r["run_outcome"]) for r in heads),
        "steps": sorted(((s["run_id"], s["step_path"], s["step_outcome"], s["step_outcome"] is None) for s in steps), key=str),
        "attempts": sorted(attempts),
        "measurements": sorted((m["run_id"], m["step_path"], m["measurement_value"]) for m in rows if m["record_type"] == "measurement"),
        "step_coverage": list(coverage_of(steps)),
        "flaky_steps": list(flaky_of(steps)),
        "step_yield": list(step_yield_of(heads, steps)),
    }


QUESTIONS = {
    "runs": "SELECT run_id, dut_serial, outcome FROM runs",
    "steps": "SELECT run_id, step_path, step_outcome, never_ran FROM steps",
    "attempts": "SELECT run_id, step_path, attempt, outcome FROM attempts",
    "measurements": "SELECT run_id, step_path, measurement_value FROM measurements",
    "step_coverage": "SELECT step_path, planned, ran, failed, last_ran_at, first_missed_at FROM step_coverage",
    "flaky_steps": "SELECT step_path, retried, flaky, ran FROM flaky_steps",
    "step_yield": "SELECT step_path, passed, judged FROM step_yield",
}


def by_views(data_dir):
    with litmus.connect(data_dir, events=False) as con:
        return {view: sorted(con.sql(text).fetchall(), key=str if view == "steps" else None) for view, text in QUESTIONS.items()}


def by_catalog(data_dir):
    """The summaries of all runs, by id."""
    return {run["test_run_id"]: run for run in RunStore(data_dir).list_runs(limit=None)}


def assert_all_agree(data_dir, rng, said):
    wanted = naive(data_dir)
    assert by_views(data_dir) == wanted, said
    listed = by_catalog(data_dir)
    assert sorted((i, r["dut_serial"], r["outcome"]) for i, r in listed.items()) == wanted["runs"], said
    for run_id in rng.sample(sorted(listed), min(2, len(listed))):
        steps = sorted((s["step_path"], s["step_outcome"]) for s in RunStore(data_dir).get_steps(run_id)) if listed[run_id]["total_steps"] else []
        assert [path for path, _ in steps] == sorted(path for run, path, *_ in wanted["steps"] if run == run_id), said
        assert listed[run_id]["never_ran"] == sum(run == run_id and never for run, _, _, never in wanted["steps"]), said


# ---- what can happen


class History:
    def __init__(self, data_dir, rng):
        self.data_dir, self.rng, self.number = data_dir, rng, 0

    def files(self):
        return sorted(self.data_dir.glob("runs/*/*.parquet"))

    def draw(self):
        return self.rng.choice(self.files())

    def folder(self):
        made = self.data_dir / "runs" / f"2026-0{self.rng.randrange(1, 6)}-{self.rng.randrange(10, 29)}"
        made.mkdir(parents=True, exist_ok=True)
        return made

    def replace(self, path, table):
        """As a writer does it: a new file under the old name."""
        fresh = path.with_suffix(".tmp")
        pq.write_table(table, fresh)
        fresh.replace(path)

    def runs_come(self):
        for _ in range(self.rng.randrange(1, 5)):
            self.number += 1
            steps = {name: self.rng.choice([["passed"], ["failed"], ["failed", "passed"], []]) for name in "abc"}
            values = [self.rng.random() for _ in range(self.rng.randrange(3))]
            rows = run_rows(self.number, f"U{self.number % 5}", self.rng.choice(["passed", "failed"]), steps, self.rng.randrange(70), values)
            put(self.data_dir, rows[self.rng.random() < 0.2 :])  # of another writer, some: without a run row

    def compact(self):
        ok("compact", "-d", self.data_dir, "-q")

    def reindex(self):
        ok("reindex", "-d", self.data_dir, "-q")

    def crash(self):
        """One that is killed somewhere in the middle."""
        going = subprocess.Popen([LITMUS, self.rng.choice(["compact", "reindex"]), "-d", str(self.data_dir)], env=environment(), stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)  # fmt: skip
        try:
            going.wait(self.rng.uniform(0.001, 0.03))
        except subprocess.TimeoutExpired:
            going.kill()
            going.wait()

    def remove(self):
        self.draw().unlink()

    def remove_a_day(self):
        shutil.rmtree(self.draw().parent)

    def move(self):
        path = self.draw()
        path.rename(self.folder() / path.name)

    def copy(self):
        self.number += 1
        shutil.copy(self.draw(), self.folder() / f"copy-{self.number}.parquet")

    def change(self):
        path = self.draw()
        held = pq.ParquetFile(path).read()
        self.replace(path, held.slice(0, max(1, held.num_rows - 1)))

    def break_one(self):
        path = self.draw()
        broken = path.with_suffix(".tmp")
        broken.write_bytes(path.read_bytes()[: self.rng.randrange(1, 900)])
        broken.replace(path)

    def foreign(self):
        pq.write_table(pa.table({"colour": ["red"]}), self.folder() / f"foreign-{self.number}.parquet")

    def lose_of_the_lake(self):
        for part in list(self.data_dir.glob("lake/month=*/*"))[:1]:
            part.unlink()

    def drop_the_lake(self):
        shutil.rmtree(self.data_dir / "lake", ignore_errors=True)

    def drop_the_catalog(self):
        for path in self.data_dir.glob("catalog.sqlite*"):
            path.unlink()

    def move_on(self):
        """Something happens; what it was."""
        happens = ["runs_come", "compact", "compact", "crash", "crash", "reindex", "foreign", "lose_of_the_lake", "drop_the_lake", "drop_the_catalog"]
        if len(self.files()) > 1:
            happens += ["remove", "remove_a_day", "move", "move", "copy", "copy", "change", "change", "break_one"]
        name = self.rng.choice(happens)
        getattr(self, name)()
        return name


def live_through(data_dir, seed):
    rng = random.Random(seed)
    history = History(data_dir, rng)
    past = [f"seed {seed}"]
    for _ in range(MOVES):
        history.runs_come()
        if rng.random() < 0.3:
            by_catalog(data_dir)  # somebody asks between two things that happen
        past.append(history.move_on())
        assert_all_agree(data_dir, rng, past)
    listed = by_catalog(data_dir)
    history.reindex()
    assert by_catalog(data_dir) == listed, past
    history.compact()
    assert_all_agree(data_dir, rng, [*past, "compact"])
    lake = [row for path in data_dir.glob("lake/month=*/*.parquet") for row in pq.ParquetFile(path).read(["run_id", "record_type"]).to_pylist()]
    assert sorted({r["run_id"] for r in lake}) == [run_id for run_id, *_ in naive(data_dir)["runs"]], past


@pytest.mark.parametrize("seed", SEEDS)
def test_every_answer_is_that_of_a_naive_reading(tmp_path, seed):
    live_through(tmp_path, seed)


if SOAK_S:

    def test_new_histories_as_long_as_there_is_time(tmp_path):
        end, lived = time.monotonic() + SOAK_S, 0
        while time.monotonic() < end:
            seed = random.SystemRandom().randrange(2**32)
            live_through(tmp_path / str(seed), seed)
            shutil.rmtree(tmp_path / str(seed))
            lived += 1
        if path := os.environ.get("LITMUS_SOAK_FIGURES"):
            with open(path, "a", encoding="utf-8") as lines:
                lines.write(f"{json.dumps('random histories lived through')}: {lived}\n")

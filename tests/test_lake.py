# SPDX-License-Identifier: Apache-2.0
"""The lake: after any history of runs, compactions, deletions and crashes each run counts exactly once."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import litmus
from litmus.errors import LakeHeld

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from test_cli import LITMUS, environment, ok, run  # noqa: E402
from test_sql import HISTORY, ask, put, run_rows  # noqa: E402


def naive(data_dir):
    """(run_id, step_path, step_outcome) of each step row, of the first file of each run, read one by one."""
    seen = {}
    for path in sorted(data_dir.glob("runs/*/*.parquet")):
        rows = pq.read_table(path).to_pylist()
        seen.setdefault(rows[0]["run_id"], [(r["run_id"], r["step_path"], r["step_outcome"]) for r in rows if r["record_type"] == "step"])
    return sorted((row for rows in seen.values() for row in rows), key=str)


def by_view(data_dir):
    rows = ask(data_dir, "SELECT run_id, step_path, step_outcome FROM steps")
    return sorted((tuple(row.values()) for row in rows), key=str)


def by_glob(data_dir):
    """What an engine that knows nothing of the manifest reads in the lake."""
    paths = sorted(data_dir.glob("lake/month=*/*.parquet"))
    rows = [row for path in paths if not path.name.startswith(".") for row in pq.ParquetFile(path).read().to_pylist()]
    return sorted(((r["run_id"], r["step_path"], r["step_outcome"]) for r in rows if r["record_type"] == "step"), key=str)


def compact(data_dir):
    return json.loads(ok("compact", "-d", data_dir, "--json"))


@pytest.fixture
def history(tmp_path):
    for rows in HISTORY:
        put(tmp_path, rows)
    return tmp_path


def test_the_lake_holds_every_row_and_the_run_files_stay(history):
    before = {path: path.read_bytes() for path in history.glob("runs/*/*")}
    assert compact(history) == {"runs": 6, "rows": 29, "files": 1, "removed": 0, "left": 0}
    assert by_view(history) == by_glob(history) == naive(history)
    assert {path: path.read_bytes() for path in history.glob("runs/*/*")} == before
    assert compact(history) == {"runs": 0, "rows": 0, "files": 0, "removed": 0, "left": 0}


def test_every_column_of_every_row_comes_through(history):
    compact(history)
    rows = []
    for path in sorted(history.glob("runs/*/*.parquet")):
        rows += pq.read_table(path).to_pylist()
    table = pq.ParquetFile(next(history.glob("lake/month=*/*.parquet"))).read()
    kinds = ("run", "step", "measurement")  # of which each has row groups of its own
    wanted = sorted(({name: row.get(name) for name in table.column_names} for row in rows), key=lambda row: kinds.index(row["record_type"]))
    assert table.to_pylist() == wanted and {name for row in rows for name in row} == set(table.column_names)


def test_every_encoding_is_one_that_all_engines_read(history):
    """Spark 3 cannot read numbers that are split by bytes; make interop asks Spark itself."""
    compact(history)
    for path in history.glob("lake/month=*/*.parquet"):
        metadata = pq.ParquetFile(path).metadata
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        columns = [group.column(number) for group in groups for number in range(group.num_columns)]
        found = {encoding for column in columns for encoding in column.encodings}
        assert found <= {"PLAIN", "RLE", "RLE_DICTIONARY", "PLAIN_DICTIONARY"}, found
        # A dictionary is for times that many rows have, which are those of runs.
        assert {column.path_in_schema for column in columns if column.path_in_schema.split(".")[0].endswith("_at") and "RLE_DICTIONARY" in column.encodings} <= {"run_started_at", "run_ended_at"}


def test_a_run_that_comes_goes_or_changes_counts_at_once(history):
    compact(history)
    put(history, run_rows(9, "U9", "passed", {"a": ["passed"]}))
    assert by_view(history) == naive(history)
    (history / "runs/2026-03-01/00000002.parquet").unlink()
    assert by_view(history) == naive(history)
    put(history, run_rows(1, "U1", "failed", {"a": ["failed"], "new": ["passed"]}), "00000001.tmp").replace(history / "runs/2026-03-01/00000001.parquet")
    assert by_view(history) == naive(history)
    done = compact(history)
    assert done["removed"] == 1 and by_view(history) == by_glob(history) == naive(history)


def test_the_same_run_in_two_folders_counts_once(history):
    compact(history)
    early = history / "runs/2026-02-27"
    early.mkdir()
    shutil.copy(history / "runs/2026-03-01/00000001.parquet", early)
    assert by_view(history) == naive(history)
    compact(history)
    assert by_view(history) == by_glob(history) == naive(history)
    shutil.rmtree(early)
    assert by_view(history) == naive(history)


@pytest.mark.parametrize("harm", ["gone", "short", "no plans", "short plans", "no manifest", "half a manifest", "older version", "newer version", "leads out", "no lake"])
def test_a_damaged_lake_costs_time_and_nothing_else(history, harm):
    compact(history)
    part = next(history.glob("lake/month=*/*.parquet"))
    plans = next(history.glob("lake/month=*/_part-*.steps"))
    coverage = ask(history, "FROM step_coverage ORDER BY ALL")
    manifest = history / "lake/_manifest.json"
    text = manifest.read_text()
    if harm == "gone":
        part.unlink()
    elif harm == "short":
        part.write_bytes(part.read_bytes()[:-9])
    elif harm == "no plans":
        plans.unlink()
    elif harm == "short plans":
        plans.write_bytes(plans.read_bytes()[:-9])
    elif harm == "no manifest":
        manifest.unlink()
    elif harm == "half a manifest":
        manifest.write_text(text[: len(text) // 2])
    elif harm.endswith("version"):
        assert '"litmus_lake":3' in text
        manifest.write_text(text.replace('"litmus_lake":3', f'"litmus_lake":{2 if harm.startswith("older") else 4}'))
    elif harm == "leads out":
        manifest.write_text(text.replace("month=", "../month="))
    else:
        shutil.rmtree(history / "lake")
    assert by_view(history) == naive(history)
    assert ask(history, "FROM step_coverage ORDER BY ALL") == coverage
    compact(history)
    assert by_view(history) == by_glob(history) == naive(history)
    assert ask(history, "FROM step_coverage ORDER BY ALL") == coverage


def test_columns_of_other_types_go_to_files_of_their_own(tmp_path):
    for number, value in enumerate([1.5, "text", 2.5]):
        rows = run_rows(number, "U", "passed", {"a": ["passed"]})
        path = put(tmp_path, rows)
        table = pq.read_table(path)
        pq.write_table(table.append_column("out_x", [[value] * table.num_rows]), path)
    assert compact(tmp_path)["files"] == 3
    assert by_view(tmp_path) == by_glob(tmp_path) == naive(tmp_path)
    assert [row["x"] for row in ask(tmp_path, "SELECT out_x AS x FROM steps ORDER BY run_id")] == ["1.5", "text", "2.5"]


def test_truth_values_that_most_files_lack(tmp_path):
    """A column of bits that is NULL in whole files, many rows at a time."""
    for number in range(12):
        path = put(tmp_path, run_rows(number, "U", "passed", {f"s{i}": ["passed"] for i in range(50)}))
        table = pq.read_table(path)
        value = [None, True, None, False][number % 4]
        pq.write_table(table.append_column("git_dirty", pa.array([value] * table.num_rows, pa.bool_())) if number else table, path)
    assert compact(tmp_path)["runs"] == 12
    rows = ask(tmp_path, "SELECT git_dirty AS dirty, count(*) AS n FROM steps GROUP BY 1 ORDER BY 1")
    assert {row["dirty"]: row["n"] for row in rows} == {None: 300, True: 150, False: 150}


def test_who_reads_keeps_the_files_and_new_runs_still_count(history):
    compact(history)
    with litmus.connect(history) as con:
        put(history, run_rows(9, "U9", "passed", {"a": ["passed"]}))
        assert compact(history)["removed"] == 0  # a second file beside the first
        assert con.sql("SELECT count(*) FROM runs").fetchone() == (6,)
        assert by_view(history) == naive(history)
    del con
    put(history, run_rows(10, "U10", "passed", {"a": ["passed"]}))
    assert compact(history)["removed"] == 2 and by_view(history) == by_glob(history) == naive(history)


def test_one_compaction_at_a_time(history):
    compact(history)
    with (history / "lake/_compact.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run("compact", "-d", history).returncode == 5


@contextlib.contextmanager
def stopped_with(path):
    """A process that holds the lock by a descriptor which it can only read, and is stopped."""
    hold = "import fcntl, os, signal, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); os.kill(os.getpid(), signal.SIGSTOP)"
    holder = subprocess.Popen([sys.executable, "-c", hold, path])
    try:
        os.waitpid(holder.pid, os.WUNTRACED)
        yield f"process {holder.pid} (python"
    finally:
        holder.kill()
        holder.wait()


def start(*command):
    return subprocess.Popen([LITMUS, *map(str, command)], env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_who_keeps_the_readers_lock_holds_nobody_up(history):
    """Then a compaction may replace the files of the lake at any moment: the run files are read."""
    compact(history)
    put(history, run_rows(9, "U9", "passed", {"a": ["passed"]}))
    text = "SELECT run_id, step_path, step_outcome FROM steps"
    with stopped_with(history / "lake/_readers.lock") as who:
        done = run("sql", "-d", history, "--json", "-c", text)
        assert who in done.stderr and "_readers.lock" in done.stderr and "not waited for" in done.stderr, done.stderr
        assert sorted((tuple(json.loads(line).values()) for line in done.stdout.splitlines()), key=str) == naive(history)
        done = run("yield", "-d", history)
        assert done.returncode == 0 and who in done.stderr and "Warning" not in done.stderr, done.stderr
        with pytest.warns(LakeHeld, match=re.escape(who)) as told, litmus.connect(history) as con:
            assert con.sql("SELECT count(*) FROM runs").fetchone() == (7,)
            shutil.move(history / "lake", history / "gone")
            assert con.sql("SELECT count(*) FROM runs").fetchone() == (7,)
        assert told[0].filename == __file__
        shutil.move(history / "gone", history / "lake")
    assert by_view(history) == naive(history)


def test_a_reader_says_for_whom_it_waits(history):
    """Whoever lets go in time is waited for, and then there is the lake."""
    compact(history)
    with open(history / "lake/_readers.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        reader = start("sql", "-d", history, "--csv", "-c", "SELECT count(*) AS n FROM litmus_outside")
        said = reader.stderr.readline()
        assert f"waiting: process {os.getpid()} (" in said and "_readers.lock" in said, said
    out, rest = reader.communicate(timeout=300)
    assert (out.split(), rest) == (["n", "0"], "")


def test_a_lake_that_is_being_made_is_not_mended(history):
    """Nor is its manifest taken away from who makes it."""
    compact(history)
    (part,) = history.glob("lake/month=*/part-*")
    part.unlink()
    with open(history / "lake/_compact.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        doctor = start("doctor", "-d", history)
        said = doctor.stderr.readline()
        assert f"waiting: process {os.getpid()} (" in said and "_compact.lock" in said, said
    assert "is missing, or has not" in doctor.communicate(timeout=300)[0]
    with stopped_with(history / "lake/_compact.lock") as who:
        done = run("verify", "--all", "-d", history)
        assert done.returncode == 5 and who in done.stderr and "_compact.lock" in done.stderr, done
        done = run("doctor", "--mend", "-d", history, "--json")
        lake = [line for line in map(json.loads, done.stdout.splitlines()) if line.get("check") in ("lake", "unread")]
        assert done.returncode == 1 and not any(line["mended"] for line in lake), lake
        assert [line["check"] for line in lake] == ["unread"] and who in lake[0]["finding"], lake
        assert (history / "lake/_manifest.json").exists()
    assert any(line["mended"] for line in map(json.loads, run("doctor", "--mend", "-d", history, "--json").stdout.splitlines()) if line.get("check") == "lake")
    assert by_view(history) == by_glob(history) == naive(history)


def test_what_a_killed_one_left_goes_though_nothing_new_has_come(history):
    compact(history)
    (part,) = history.glob("lake/month=*/part-*")
    with open(history / "lake/_readers.lock") as lock:
        for name in ("part-left-0000.parquet", "_part-left-0000.steps", ".part-left-0001.parquet"):  # before their names were in the manifest
            shutil.copy(part, part.with_name(name))
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert compact(history)["removed"] == 0, "somebody may be reading it"
    assert compact(history) == {"runs": 0, "rows": 0, "files": 0, "removed": 1, "left": 0}
    assert not [path.name for path in part.parent.iterdir() if "left" in path.name]
    assert by_view(history) == by_glob(history) == naive(history)


def test_killed_in_the_middle(tmp_path):
    """At moments drawn at random; after each, and after the last whole compaction, each run counts once."""
    for number in range(60):
        put(tmp_path, run_rows(number, f"U{number}", "passed", {"a": ["passed"], "b": []}, day=number))
    wanted = naive(tmp_path)
    rng = random.Random(5)
    for _ in range(12):
        going = subprocess.Popen([LITMUS, "compact", "-d", str(tmp_path)], env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            going.wait(rng.uniform(0.001, 0.06))
        except subprocess.TimeoutExpired:
            going.kill()
            going.wait()
        assert by_view(tmp_path) == wanted
        os.utime(next(tmp_path.glob("runs/2026-03-0*/*.parquet")))  # there is something to do again
    compact(tmp_path)
    compact(tmp_path)  # the file that was touched in place is noticed by the first
    assert by_view(tmp_path) == by_glob(tmp_path) == wanted and not list(tmp_path.glob("lake/*/.part*"))


def test_a_file_touched_in_place_is_taken_by_the_next_compaction(history):
    ok("runs", "-d", history)
    path = history / "runs/2026-03-01/00000002.parquet"
    os.utime(path, ns=(1, 1))
    assert ask(history, "SELECT count(*) AS n FROM runs") == [{"n": 6}]
    first, second = compact(history), compact(history)
    assert first["left"] + second["left"] <= 1 and first["runs"] + second["runs"] >= 6
    assert by_view(history) == by_glob(history) == naive(history)


def test_the_daemon_compacts_when_it_has_nothing_else_to_do(history):
    """It leaves when idle, which is after that: nothing is waited for but its end."""
    few = environment(LITMUS_COMPACT_RUNS="1000", LITMUS_DAEMON_IDLE="0.2")
    many = environment(LITMUS_COMPACT_RUNS="6", LITMUS_DAEMON_IDLE="0.2")
    command = [LITMUS, "daemon", "--foreground", "-d", str(history)]
    assert subprocess.run(command, env=few, timeout=600, capture_output=True).returncode == 0
    assert not list(history.glob("lake/month=*/*.parquet"))  # not worth it
    done = subprocess.run(command, env=many, timeout=600, capture_output=True, text=True)
    assert done.returncode == 0 and "lake: 6 runs into 1 files" in done.stdout + done.stderr
    assert by_view(history) == by_glob(history) == naive(history)

# SPDX-License-Identifier: Apache-2.0
"""What may be wrong with a record of many runs: each is told with what, where and what to do, and the rest is answered."""

from __future__ import annotations

import datetime
import json
import pathlib
import shutil
import sqlite3
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import litmus
from litmus.data.run_store import RunStore
from litmus.errors import AmbiguousRunId, RunNotFound

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from test_cli import ok, run  # noqa: E402
from test_sql import HISTORY, put, run_rows  # noqa: E402

RUNS = len(HISTORY)
FIRST = HISTORY[0][0]["run_id"]


@pytest.fixture(params=["run files", "lake"])
def history(request, tmp_path):
    for rows in HISTORY:
        put(tmp_path, rows)
    if request.param == "lake":
        ok("compact", "-d", tmp_path, "-q")
    return tmp_path


def broken(data_dir):
    """A file that was cut off."""
    path = data_dir / "runs/2026-03-01/broken.parquet"
    path.write_bytes((data_dir / "runs/2026-03-01/00000001.parquet").read_bytes()[:700])
    return RUNS, "broken.parquet"


def empty(data_dir):
    (data_dir / "runs/2026-03-01/empty.parquet").touch()
    return RUNS, "empty.parquet"


def foreign(data_dir):
    """Parquet, but none of ours."""
    pq.write_table(pa.table({"colour": ["red"]}), data_dir / "runs/2026-03-01/foreign.parquet")
    return RUNS, "foreign.parquet"


def foreign_types(data_dir):
    """Columns of ours with other types."""
    pq.write_table(pa.table({"record_type": ["run"], "run_id": [7], "run_started_at": ["noon"]}), data_dir / "runs/2026-03-01/types.parquet")
    return RUNS, "types.parquet"


def foreign_times(data_dir):
    """A run by its id, with words where run files have times."""
    pq.write_table(pa.table({"record_type": ["run"], "run_id": ["r1"], "run_started_at": ["noon"]}), data_dir / "runs/2026-03-01/times.parquet")
    return RUNS, "times.parquet"


def foreign_attempts(data_dir):
    """A run by its id, with one word where run files have a list of them."""
    pq.write_table(pa.table({"record_type": ["step"], "run_id": ["r1"], "attempt_outcomes": ["passed"]}), data_dir / "runs/2026-03-01/attempts.parquet")
    return RUNS, "attempts.parquet"


def runs_in_one_file(data_dir):
    rows = [row for rows in HISTORY[:2] for row in rows]
    put(data_dir, rows, "both.parquet")
    return RUNS, "both.parquet"


def no_parquet(data_dir):
    (data_dir / "runs/2026-03-01/notes.txt").write_text("not a run")
    (data_dir / "runs/2026-03-01/folder.parquet").mkdir()
    return RUNS, None


def deleted(data_dir):
    (data_dir / "runs/2026-03-01/00000001.parquet").unlink()
    return RUNS - 1, None


def a_day_deleted(data_dir):
    shutil.rmtree(data_dir / "runs/2026-03-01")
    return 1, None


def all_deleted(data_dir):
    shutil.rmtree(data_dir / "runs")
    return 0, None


def the_same_runs_of_another(data_dir):
    """A second data_dir was copied into this one, a folder a day, under other names."""
    for path in sorted(data_dir.glob("runs/*/*.parquet")):
        other = data_dir / "runs" / ("other-" + path.parent.name)
        other.mkdir(exist_ok=True)
        shutil.copy(path, other)
    return RUNS, None


def catalog_of_another_version(data_dir):
    ok("runs", "-d", data_dir)
    with sqlite3.connect(data_dir / "catalog.sqlite") as con:
        con.execute("PRAGMA user_version = 999")
    return RUNS, None


def catalog_that_is_none(data_dir):
    for path in data_dir.glob("catalog.sqlite*"):
        path.unlink()
    (data_dir / "catalog.sqlite").write_text("colourless green ideas " * 500)
    return RUNS, None


@pytest.mark.parametrize("harm", [broken, empty, foreign, foreign_types, foreign_times, foreign_attempts, runs_in_one_file, no_parquet, deleted, a_day_deleted, all_deleted, the_same_runs_of_another,
                                  catalog_of_another_version, catalog_that_is_none])
def test_the_rest_is_answered_by_each_door(history, harm):
    count, named = harm(history)
    by_runs = run("runs", "-d", history, "--json", "-n", "0")
    by_sql = run("sql", "-d", history, "--json", "-c", "SELECT count(*) AS n FROM runs")
    ok("sql", "-d", history, "-c", "FROM steps; FROM attempts; FROM step_coverage")
    export = run("export", "-d", history, "-f", "ndjson", "-n", "0")
    assert (by_runs.returncode, by_sql.returncode) == (0, 0), by_runs.stderr + by_sql.stderr
    assert len(by_runs.stdout.splitlines()) == count
    assert json.loads(by_sql.stdout) == {"n": count}
    assert len(RunStore(history).list_runs(limit=None)) == count
    assert litmus.scan("runs", history, columns=["run_id"]).num_rows == count
    exported = {json.loads(line)["run_id"] for line in export.stdout.splitlines()}
    assert len(exported) == count and export.returncode == (0 if count else 3), export.stderr
    for done in (by_runs, by_sql, export):
        assert named is None or named in done.stderr
    again = json.loads(ok("reindex", "-d", history, "--json"))
    assert again["files"] - again["quarantined"] >= count and again["quarantined"] == (named is not None)


def test_a_run_that_was_deleted_is_not_found(history):
    (history / "runs/2026-03-01/00000001.parquet").unlink()
    for words in (["show", FIRST], ["gate", FIRST], ["export", FIRST, "-f", "json"]):
        done = run(*words, "-d", history)
        assert done.returncode == 3 and FIRST[:8] in done.stderr, words
    with pytest.raises(RunNotFound):
        RunStore(history).get_steps(FIRST)


def test_half_a_prefix_names_whom_it_fits(history):
    put(history, run_rows(11, "U1", "passed", {"a": ["passed"]}))
    for words in (["show", "000000"], ["gate", "000000"], ["export", "000000", "-f", "json"]):
        done = run(*words, "-d", history)
        assert done.returncode == 3 and "ambiguous" in done.stderr and FIRST in done.stderr, words
    with pytest.raises(AmbiguousRunId):
        RunStore(history).get_steps("000000")
    assert ok("show", FIRST[:8], "-d", history) == ok("show", FIRST, "-d", history)
    near = run("show", "ffffffff", "-d", history)
    assert near.returncode == 3 and "near it: " in near.stderr


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Asia/Kathmandu", "Pacific/Apia"])
def test_times_are_the_same_in_every_zone(history, zone):
    """JSON and SQL speak UTC; a bound without a zone is the reader's day."""
    began = [json.loads(line)["started_at"] for line in ok("runs", "-d", history, "--json", TZ=zone).splitlines()]
    assert began == [json.loads(line)["started_at"] for line in ok("runs", "-d", history, "--json", TZ="UTC").splitlines()]
    first = ok("sql", "-d", history, "--csv", "-c", "SELECT min(started_at) FROM runs", TZ=zone).splitlines()[1]
    assert datetime.datetime.fromisoformat(first) == HISTORY[0][0]["run_started_at"]
    since = ok("runs", "-d", history, "--json", "--since", "2026-03-02T00:00Z", TZ=zone)
    assert len(since.splitlines()) == 1


def test_what_is_wrong_a_hundred_times_is_summed_up(tmp_path):
    put(tmp_path, HISTORY[0])
    for number in range(100):
        (tmp_path / f"runs/2026-03-01/x{number}.parquet").write_bytes(b"PAR1")
    told = run("runs", "-d", tmp_path)
    assert len(told.stdout.splitlines()) == 2 and len(told.stderr.splitlines()) == 11 and "90 more like these" in told.stderr, told.stderr
    assert len(run("runs", "-d", tmp_path, "-v").stderr.splitlines()) == 100
    found = run("doctor", "-d", tmp_path)
    assert found.returncode == 1 and found.stdout.count("foreign: ") == 11 and "foreign: 91 more like these" in found.stdout, found.stdout
    assert sum(json.loads(line).get("check") == "foreign" for line in run("doctor", "-d", tmp_path, "--json").stdout.splitlines()) == 101

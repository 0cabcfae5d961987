# SPDX-License-Identifier: Apache-2.0
"""The catalog is disposable: it mends itself, and `litmus reindex` makes it anew."""

from __future__ import annotations

import json
import os
import pathlib
import sqlite3
import sys
import warnings

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import litmus
from litmus.data.run_store import RunStore
from litmus.errors import CatalogBehind

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from test_cli import bench, copy, data, ok, run  # noqa: E402, F401
from test_sql import HISTORY, ask, put  # noqa: E402


@pytest.fixture
def history(tmp_path):
    for rows in HISTORY:
        put(tmp_path, rows)
    return tmp_path


def listed(data_dir):
    return [json.loads(line) for line in ok("runs", "-d", data_dir, "--json", "-n", "0").splitlines()]


def test_what_the_catalog_says_wrongly_is_read_again(history):
    right = listed(history)
    ok("compact", "-d", history)
    with sqlite3.connect(history / "catalog.sqlite") as con:
        con.execute("UPDATE runs SET outcome = 'nonsense', dut_serial = NULL, lake = NULL")
    assert listed(history) != right
    assert json.loads(ok("reindex", "-d", history, "--json")) == {"files": len(right), "quarantined": 0}
    assert listed(history) == right
    assert ask(history, "SELECT count(*) AS n FROM runs") == [{"n": len(right)}]


def test_a_run_whose_file_came_while_the_folders_were_listed(recorded):
    """As if its folder had been listed before the file, and its logs read after they said that it is there."""
    right = listed(recorded)
    one = next((recorded / "runs").glob("*/*.parquet"))
    name, folder = one.relative_to(recorded).as_posix(), one.parent
    with sqlite3.connect(recorded / "catalog.sqlite") as con:
        con.execute("DELETE FROM runs WHERE path = ?", [name])
        con.execute("DELETE FROM files WHERE dir = ? AND name = ?", [folder.relative_to(recorded).as_posix(), one.name])
        con.execute("UPDATE dirs SET mtime_ns = ? WHERE path = ?", [folder.stat().st_mtime_ns, folder.relative_to(recorded).as_posix()])
        con.execute("UPDATE logs SET mtime_us = NULL")
    assert listed(recorded) == right


def test_a_catalog_that_cannot_be_written_was_not_made_anew(history):
    right = listed(history)
    for path in history.glob("catalog.sqlite*"):
        path.unlink()
    (history / "catalog.sqlite").mkdir()
    done = run("reindex", "-d", history)
    assert done.returncode == 5 and "cannot be written" in done.stderr and not done.stdout
    assert listed(history) == right  # answers do without


def test_files_that_are_no_runs_are_named_and_the_rest_is_listed(history):
    right = listed(history)
    folder = history / "runs/2026-03-09"
    folder.mkdir()
    pq.write_table(pa.table({"colour": ["red"]}), folder / "foreign.parquet")
    (folder / "broken.parquet").write_bytes(b"PAR1 is all there is")
    done = run("reindex", "-d", history)
    assert done.returncode == 0 and f"{len(right) + 2} run files read, 2 of them" in done.stdout
    assert "foreign.parquet" in done.stderr and "broken.parquet" in done.stderr
    assert listed(history) == right


def test_damage_that_left_size_and_time_is_told_with_what_helps(history):
    """The catalog trusts these two, DuckDB reads the file."""
    right = listed(history)
    path = next(history.glob("runs/*/00000002.parquet"))
    raw, before = path.read_bytes(), path.stat()
    foot = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    path.write_bytes(raw[:foot] + bytes(255 - byte for byte in raw[foot : foot + 64]) + raw[foot + 64 :])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    done = run("sql", "-d", history, "-c", "SELECT count(*) FROM steps")
    assert done.returncode == 4 and "litmus reindex" in done.stderr, done.stderr
    assert path.name in run("reindex", "-d", history).stderr
    assert ask(history, "SELECT count(*) AS n FROM runs") == [{"n": len(right) - 1}]


@pytest.mark.parametrize("harm", ["of another version", "no database", "a table is gone"])
def test_a_catalog_that_is_not_ours_is_made_anew(history, harm):
    right = listed(history)
    path = history / "catalog.sqlite"
    if harm == "no database":
        path.write_bytes(b"this is no database" * 100)
    else:
        with sqlite3.connect(path) as con:
            con.execute("PRAGMA user_version = 999" if harm == "of another version" else "DROP TABLE runs")
    assert listed(history) == right


def test_a_catalog_that_stays_locked_is_named_and_what_it_knows_is_listed(tmp_path):
    put(tmp_path, HISTORY[0])
    known = listed(tmp_path)
    store = RunStore(tmp_path)
    assert len(store.list_runs()) == len(known) and not store.is_behind
    done = run("verify", "--all", "-d", tmp_path)
    assert "locked" not in done.stdout + done.stderr
    con = sqlite3.connect(tmp_path / "catalog.sqlite", isolation_level=None)
    con.execute("BEGIN EXCLUSIVE")
    put(tmp_path, HISTORY[1])
    done = run("runs", "-d", tmp_path, "--json", "-n", "0")
    assert done.returncode == 0 and [json.loads(line) for line in done.stdout.splitlines()] == known and "catalog.sqlite locked" in done.stderr
    done = run("events", "--since", "2000-01-01", "-d", tmp_path)
    assert done.returncode == 0 and done.stderr.startswith("litmus events: what came of late may be missing")
    done = run("verify", "--all", "-d", tmp_path)
    assert done.returncode == 5 and "catalog.sqlite locked, so that it cannot be brought up to date" in done.stderr
    done = run("export", known[0]["test_run_id"], "-d", tmp_path, "--format", "json")
    assert done.returncode == 0 and done.stderr.count("\n") == 1 and done.stderr.startswith("litmus export: what came of late may be missing")
    for question in (store.list_runs, lambda: litmus.scan("runs", tmp_path).to_pylist()):
        with pytest.warns(CatalogBehind, match="catalog.sqlite locked") as told:
            assert len(question()) == len(known)
        assert [warning.filename for warning in told] == [__file__]
    with warnings.catch_warnings(), pytest.raises(CatalogBehind):  # and not None
        warnings.simplefilter("error")
        store.get_run("00000002")
    assert store.is_behind
    con.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(store.list_runs()) == len(known) + 1 and not store.is_behind
    done = run("runs", "-d", tmp_path, "--json", "-n", "0")
    assert len(done.stdout.splitlines()) == len(known) + 1 and done.stderr == ""


def test_a_catalog_that_nobody_else_may_read_is_no_find(tmp_path):
    put(tmp_path, HISTORY[0])
    listed(tmp_path)
    before = run("verify", "--all", "-d", tmp_path)
    con = sqlite3.connect(tmp_path / "catalog.sqlite", isolation_level=None)
    con.execute("PRAGMA locking_mode = EXCLUSIVE")
    con.execute("BEGIN EXCLUSIVE")
    done = run("verify", "--all", "-d", tmp_path)
    assert done.returncode == 5 and "catalog.sqlite locked" in done.stderr and done.stdout == before.stdout, done
    con.close()
    assert "locked" not in run("verify", "--all", "-d", tmp_path).stderr


# ---- litmus verify holds it against the files


@pytest.fixture
def recorded(copy):
    """The folders were left alone long enough for the catalog to take them as they are."""
    for folder in [*copy.glob("runs/*"), *copy.glob("events/*")]:
        os.utime(folder, (1, 1))
    assert run("verify", "--all", "-d", copy).stdout == ""
    return copy


HARMS = {
    "UPDATE runs SET outcome = 'nonsense' WHERE outcome = 'failed'": "says outcome 'nonsense', the file 'failed'",
    "UPDATE runs SET planned = 7": "says planned 7, the file 5",
    "DELETE FROM runs": "has no row for it",
    "INSERT INTO runs (path, run_id) VALUES ('runs/2026-01-01/no.parquet', 'ffffffff-0000-4000-8000-000000000000')": "lists it, and knows no file of it",
    "DELETE FROM files": "lists it, and knows no file of it",
    "DELETE FROM files; DELETE FROM runs": "does not know it",
    "DELETE FROM logs": "does not know it",
    "DROP TABLE dirs": "lacks tables",
}


@pytest.mark.parametrize("harm", HARMS)
def test_verify_holds_the_catalog_against_the_run_files(recorded, harm):
    with sqlite3.connect(recorded / "catalog.sqlite") as con:
        con.executescript(harm)
    done = run("verify", "--all", "-d", recorded, "--json")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    if harm.startswith("DROP"):  # whoever asks first makes it anew
        assert done.returncode == 0 and len(found) == 1
        return
    assert done.returncode == 1 and any(HARMS[harm] in (f["finding"] or "") for f in found), done.stdout
    ok("reindex", "-d", recorded)
    assert run("verify", "--all", "-d", recorded).stdout == ""

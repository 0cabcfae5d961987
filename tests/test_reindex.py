# SPDX-License-Identifier: Apache-2.0
"""The catalog is disposable: it mends itself, and `litmus reindex` makes it anew."""

from __future__ import annotations

import json
import pathlib
import sqlite3
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from test_cli import ok, run  # noqa: E402
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

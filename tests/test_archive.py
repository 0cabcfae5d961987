# SPDX-License-Identifier: Apache-2.0
"""`litmus archive` as a user meets it: smaller, provable, the same run files, readable by others."""

from __future__ import annotations

import json
import os
import shutil

import pyarrow as pa
import pytest

from test_cli import ok, record, run

SUITE = """
    import pytest

    @pytest.mark.parametrize("n", range(60))
    def test_rail(n):
        assert n != 7, "too much"
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    top = tmp_path_factory.mktemp("archive")
    record(top / "suite", top / "data", SUITE)
    ok("materialize", "-d", top / "data")
    run("daemon", "stop", "-d", top / "data")
    return top / "data"


@pytest.fixture
def data(recorded, tmp_path):
    for name in ("events", "runs"):
        shutil.copytree(recorded / name, tmp_path / "data" / name)
    return tmp_path / "data"


def logs(data):
    return sorted((data / "events").glob("*/*.arrow"))


def content(data):
    return {path: path.read_bytes() for path in sorted(data.glob("*/*/*")) if path.is_file()}


def test_young_sessions_stay(data):
    before = content(data)
    assert ok("archive", "--json", "-d", data) == ""
    assert content(data) == before


def test_what_lies_at_the_name_of_the_new_file_is_not_written_to(data, tmp_path):
    """A link to a file elsewhere, or a pipe, which would be waited at for ever."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    for path, put in zip(logs(data), (lambda name: os.link(elsewhere, name), os.mkfifo)):
        put(path.with_name(f".{path.name}.tmp"))
    ok("archive", "--older-than", "0s", "-d", data)
    assert elsewhere.read_text() == "mine" and not list(data.glob("events/*/.*"))
    ok("verify", "--all", "-d", data)


def test_dry_run_writes_nothing(data):
    before = content(data)
    lines = [json.loads(line) for line in ok("archive", "--older-than", "0s", "--dry-run", "--json", "-d", data).splitlines()]
    assert lines and all(line["bytes_after"] is None for line in lines)
    assert content(data) == before


def test_smaller_provable_and_the_same_files(data):
    events = ok("events", "--limit", "0", "--json", "-d", data)
    tables = {path: pa.ipc.open_file(path).read_all() for path in logs(data)}
    files = {path: path.read_bytes() for path in data.glob("runs/*/*.parquet")}
    size = sum(path.stat().st_size for path in logs(data))
    done = [json.loads(line) for line in ok("archive", "--older-than", "0s", "--json", "-d", data).splitlines()]
    assert done and all(line["status"] == "archived" and line["bytes_after"] < line["bytes_before"] for line in done)
    assert sum(path.stat().st_size for path in logs(data)) * 5 < size
    for path, table in tables.items():
        assert pa.ipc.open_file(path).read_all().equals(table)
    ok("verify", "--all", "-d", data)
    assert ok("events", "--limit", "0", "--json", "-d", data) == events
    shutil.rmtree(data / "runs")
    (data / "catalog.sqlite").unlink()
    ok("rebuild", "-d", data)
    assert {path: path.read_bytes() for path in data.glob("runs/*/*.parquet")} == files
    assert ok("archive", "--older-than", "0s", "--json", "-d", data) == ""
    assert not list(data.glob("events/*/.*"))


def test_a_missing_run_file_or_a_damaged_log_stays(data):
    file = next(data.glob("runs/*/*.parquet"))
    kept = file.read_bytes()
    file.unlink()
    before = content(data)
    done = run("archive", "--older-than", "0s", "-d", data)
    assert "without its file" in done.stderr
    assert content(data) == before
    file.write_bytes(kept)
    log = max(logs(data), key=lambda path: path.stat().st_size)
    spoiled = bytearray(log.read_bytes())
    spoiled[len(spoiled) // 2] ^= 1
    log.write_bytes(spoiled)
    before = content(data)
    done = run("archive", "--older-than", "0s", "-d", data)
    assert done.returncode == 4
    assert "damaged" in done.stderr
    assert content(data) == before

# SPDX-License-Identifier: Apache-2.0
"""The log as others see it: every Arrow reader reads it, and its chain can be checked without us (FORMAT.md)."""

import hashlib
import json
import os
import pathlib
import struct
import subprocess

import pytest

pa = pytest.importorskip("pyarrow")

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOL = pathlib.Path(os.environ.get("LITMUS_BUILD_ROOT", ROOT / "build" / "dev")) / "unit_log_writer"
COLUMNS = ["id", "event_type", "occurred_at", "received_at", "session_id", "run_id", "json", "chain"]
SEALED, OPEN, TORN = 1, 2, 3

if not TOOL.exists():
    pytest.skip(f"{TOOL} is not built (make dev)", allow_module_level=True)


def tool(*arguments):
    return subprocess.run([TOOL, *map(str, arguments)], check=True, text=True, capture_output=True).stdout.strip()


def write(folder, count, *seal):
    return pathlib.Path(tool("write", folder, count, *seal))


def read(path):
    """(how it ended, rows, damages, chain holds) as our reader says."""
    end, rows, damages, chain = map(int, tool("read", path).split())
    return end, rows, damages, bool(chain)


def text(value):
    return struct.pack("<q", -1) if value is None else struct.pack("<q", len(value.encode())) + value.encode()


def chain_holds(table):
    """FORMAT.md, "Chain", word for word."""
    last = hashlib.sha256(b"litmus-log-1\n" + table.schema.metadata[b"litmus.identity"]).digest()
    times = {name: table[name].cast(pa.int64()).to_pylist() for name in ("occurred_at", "received_at")}
    for i, row in enumerate(table.select(["id", "event_type", "session_id", "run_id", "json", "chain"]).to_pylist()):
        last = hashlib.sha256(
            last
            + text(row["id"])
            + text(row["event_type"])
            + struct.pack("<qq", times["occurred_at"][i], times["received_at"][i])
            + text(row["session_id"])
            + text(row["run_id"])
            + text(row["json"])
        ).digest()
        if last != row["chain"]:
            return False
    return True


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    return write(tmp_path_factory.mktemp("sealed"), 100, "seal")


def test_stream_before_the_seal(tmp_path):
    path = write(tmp_path, 10)
    table = pa.ipc.open_stream(pa.BufferReader(path.read_bytes()[8:])).read_all()
    table.validate(full=True)
    assert table.num_rows == 10
    assert chain_holds(table)


def test_file_and_stream_after_the_seal(sealed):
    table = pa.ipc.open_file(sealed).read_all()
    table.validate(full=True)
    assert table.column_names == COLUMNS
    assert table.schema.field("received_at").type == pa.timestamp("us", "UTC")
    assert table.schema.field("chain").type == pa.binary(32)
    assert all(field.nullable for field in table.schema)
    assert table.schema.metadata == {
        b"litmus.log_version": b"1",
        b"litmus.identity": sealed.stem.encode(),
        b"litmus.session_id": sealed.stem.rsplit("-", 1)[0].encode(),
    }
    assert pa.ipc.open_file(sealed).num_record_batches == 100
    assert [json.loads(text)["n"] for text in table["json"].to_pylist()] == list(range(100))
    assert table["run_id"].null_count == 50
    assert pa.ipc.open_stream(pa.BufferReader(sealed.read_bytes()[8:])).read_all().equals(table)
    assert chain_holds(table)


def test_empty_log(tmp_path):
    assert pa.ipc.open_file(write(tmp_path, 0, "seal")).read_all().num_rows == 0


def test_nanoarrow(sealed):
    na = pytest.importorskip("nanoarrow")
    with na.ArrayStream.from_readable(sealed.read_bytes()[8:]) as stream:
        assert len(stream.read_all()) == 100


def test_polars(sealed):
    pl = pytest.importorskip("polars")
    frame = pl.read_ipc(sealed)
    assert frame.shape == (100, 8)
    assert frame["run_id"].null_count() == 50


def test_duckdb(sealed):
    duckdb = pytest.importorskip("duckdb")
    events = pa.ipc.open_file(sealed).read_all()
    connection = duckdb.connect()
    connection.register("events", events)
    found = connection.execute("select count(*), sum(cast(json ->> '$.n' as int)) from events where run_id is null")
    assert found.fetchone() == (50, sum(range(0, 100, 2)))


@pytest.mark.parametrize("options", [{}, {"compression": "zstd"}], ids=["plain", "zstd"])
@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_archive_stays_provable(sealed, tmp_path, options, rows):
    table = pa.ipc.open_file(sealed).read_all().combine_chunks()
    path = tmp_path / "archive.arrow"
    with pa.ipc.new_file(path, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as file:
        file.write_table(table, max_chunksize=rows)
    assert read(path) == (SEALED, 100, 0, True)
    edited = table.set_column(6, "json", pa.array(["{}"] + table["json"].to_pylist()[1:]))
    with pa.ipc.new_file(path, edited.schema, options=pa.ipc.IpcWriteOptions(**options)) as file:
        file.write_table(edited, max_chunksize=rows)
    assert read(path) == (SEALED, 100, 0, False)


def test_reading_says_how_it_ended(tmp_path):
    path = write(tmp_path, 5)
    assert read(path) == (OPEN, 5, 0, True)
    path.write_bytes(path.read_bytes()[:-1])
    assert read(path) == (TORN, 4, 0, True)

# SPDX-License-Identifier: Apache-2.0
"""RunStore and ParquetBackend: the read API of the run schema, section 8."""

from __future__ import annotations

import datetime
import os
import re
import shutil
import threading
import uuid
from pathlib import Path

import pytest

_litmus = pytest.importorskip("litmus._litmus")
from litmus import errors  # noqa: E402
from litmus.data._common import time_us  # noqa: E402
from litmus.data.channel_store import ChannelStore  # noqa: E402
from litmus.data.parquet_backend import ParquetBackend  # noqa: E402
from litmus.data.run_store import RunStore  # noqa: E402

SUMMARY_KEYS = (
    "test_run_id session_id slot_id started_at ended_at dut_serial dut_part_number product_id station_id station_name station_type "
    "station_hostname fixture_id test_phase operator outcome total_measurements total_steps project_name file_path"
).split()
STEP_KEYS = (
    "run_id step_index step_name step_path parent_path vector_index step_node_id step_outcome outcome started_at ended_at duration_s "
    "has_measurements measurement_count vector_count retry_count markers file_path"
).split()


class Recording:
    """A run that is being recorded, step by step."""

    def __init__(self, data_dir, planned: int = 5, run_id: str | None = None, started_us: int | None = None, **fields):
        self.session = _litmus.Session(data_dir, daemon=False)
        self.run_id = run_id or str(uuid.uuid4())
        self.session.emit("run.started", fields, self.run_id, started_us)
        items = [{"name": f"t{i}", "vector_index": 0, "markers": "slow", **self.step(i)} for i in range(planned)]
        self.session.emit("test.steps_discovered", {"items": items}, self.run_id)

    @staticmethod
    def step(i: int, **more) -> dict:
        return {"step_name": f"t{i}", "step_index": i, "step_path": f"f.py/t{i}", "node_id": f"f.py::t{i}", **more}

    def run_step(self, i: int, outcome: str = "passed", values=(3.3,), retry: int = 0, inputs=None, outputs=None) -> Recording:
        self.session.emit("test.step_started", self.step(i, retry=retry, inputs=inputs or {}), self.run_id, 1_000_000 * (10 + i))
        for n, value in enumerate(values):
            fields = self.step(i, measurement_name=f"m{n}", value=value, units="V", outcome=outcome, retry=retry, outputs=outputs or {})
            del fields["node_id"]
            self.session.emit("test.measurement", fields, self.run_id)
        ended = self.step(i, outcome=outcome, retry=retry, message="so it was" if outcome == "failed" else None)
        self.session.emit("test.step_ended", ended, self.run_id, 1_000_000 * (10 + i) + 1_500_000)
        return self

    def end(self, outcome: str = "passed", **more) -> Path:
        self.session.emit("run.ended", {"outcome": outcome, **more}, self.run_id)
        (run,) = self.session.close(outcome)
        return Path(run["path"])


@pytest.fixture
def store(data_dir):
    with RunStore(data_dir) as opened:
        yield opened


def test_nothing_there(store):
    assert store.list_runs() == []
    assert store.get_run("abc") is None
    assert store.find_run_file("abc") is None
    assert store.find_channel_refs({"12345678"}) == []
    with pytest.raises(errors.RunNotFound):
        store.get_steps("abc")


def test_finished_run(store, data_dir):
    recording = Recording(data_dir, dut_serial="SN 1", operator_id="op", station_id="st", project_name="p", custom_metadata={"lot": 5})
    recording.run_step(0, values=(1.0, 2.0), inputs={"vin": 5.0})
    recording.run_step(1, "failed", retry=0).run_step(1, retry=1)
    path = recording.end(stop_reason="stopped")
    (run,) = store.list_runs()
    assert list(run)[: len(SUMMARY_KEYS)] == SUMMARY_KEYS
    assert store.get_run(recording.run_id) == run == store.get_run(recording.run_id[:8].upper())
    assert (run["test_run_id"], run["session_id"]) == (recording.run_id, recording.session.id)
    assert (run["dut_serial"], run["operator"], run["station_id"], run["project_name"]) == ("SN 1", "op", "st", "p")
    assert (run["outcome"], run["total_steps"], run["total_measurements"], run["never_ran"]) == ("passed", 5, 4, 3)
    assert (run["file_path"], run["live"], run["stop_reason"]) == (str(path), False, "stopped")
    for name in ("started_at", "ended_at"):
        assert isinstance(run[name], datetime.datetime) and run[name].tzinfo is datetime.timezone.utc

    steps = store.get_steps(recording.run_id)
    assert all(list(step)[: len(STEP_KEYS)] == STEP_KEYS for step in steps)
    assert [step["step_name"] for step in steps] == ["t0", "t1", "t2", "t3", "t4"]
    first = steps[0]
    assert (first["started_at"], first["ended_at"], first["duration_s"]) == ("1970-01-01 00:00:10", "1970-01-01 00:00:11.500000", 1.5)
    assert (first["has_measurements"], first["measurement_count"], first["retry_count"], first["vector_count"]) == (True, 2, 0, 1)
    assert (first["step_outcome"], first["outcome"], first["parent_path"], first["markers"]) == ("passed", "passed", "f.py", "slow")
    assert (steps[1]["retry_count"], steps[1]["measurement_count"], steps[1]["step_outcome"]) == (1, 2, "passed")
    never = steps[2]
    assert {never[name] for name in ("step_outcome", "outcome", "started_at", "ended_at", "duration_s")} == {None}
    assert never["never_ran_reason"] and never["never_ran_cause"] and not never["has_measurements"]
    assert all(step["file_path"] == str(path) and step["live"] is False for step in steps)


def test_measurements(store, data_dir):
    recording = Recording(data_dir)
    recording.run_step(1, values=(1.0, 2.0)).run_step(0, values=(3.0,), outputs={"big": 2**40})
    path = recording.end()
    rows = store.get_measurements(recording.run_id)
    assert [(r["step_index"], r["measurement_name"], r["measurement_value"]) for r in rows] == [(0, "m0", 3.0), (1, "m0", 1.0), (1, "m1", 2.0)]
    pq = pytest.importorskip("pyarrow.parquet")
    assert list(rows[0]) == [*pq.read_schema(path).names, "file_path"]
    assert (rows[0]["out_big"], rows[1]["out_big"]) == (2**40, None)
    assert rows[0]["step_started_at"] == datetime.datetime(1970, 1, 1, 0, 0, 10, tzinfo=datetime.timezone.utc)
    assert rows[0]["step_instruments_name"] == [] and rows[0]["file_path"] == str(path)

    (row,) = store.get_measurement(path, "m1")
    assert row == rows[2]
    assert [r["step_index"] for r in store.get_measurement(str(path), "m0")] == [1, 0]  # file order
    assert store.get_measurement(path, "m0", step_index=0) == [rows[0]]
    assert store.get_measurement(path, "m0", step_index=4) == store.get_measurement(path, "nonsense") == []


def test_get_measurement_of_bad_files(store, data_dir, tmp_path):
    path = Recording(data_dir).run_step(0).end()
    with pytest.raises(errors.DataUnavailable) as caught:
        store.get_measurement(tmp_path / "gone.parquet", "m0")
    assert (caught.value.file_path, caught.value.status) == (str(tmp_path / "gone.parquet"), "missing")
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(path.read_bytes()[:-20])
    assert store.get_measurement(damaged, "m0") == []
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "foreign.parquet")
    assert store.get_measurement(tmp_path / "foreign.parquet", "m0") == []


@pytest.mark.parametrize("ref", ["z", "x" * 37, "g" * 36, "no such", "\udc80", "a\0", "ffffffff-ffff", "*"])
def test_run_not_found(store, data_dir, ref):
    Recording(data_dir, run_id="12345678-1234-4123-8123-123456789abc").run_step(0).end()
    assert store.get_run(ref) is None and store.find_run_file(ref) is None
    for ask in (store.get_steps, store.get_measurements, store.steps, store.measurements, store.rows):
        with pytest.raises(errors.RunNotFound) as caught:
            ask(ref)
        assert isinstance(caught.value, LookupError) and caught.value.code == "ENOENT"
    with pytest.raises(errors.RunNotFound, match="12345678-1234"):  # near matches
        store.get_steps("1234ffff")


def test_run_references(store, data_dir):
    one = Recording(data_dir, run_id="aaaa1111-0000-4000-8000-000000000000", started_us=10**15).run_step(0).end()
    two = Recording(data_dir, run_id="aaaa2222-0000-4000-8000-000000000000", started_us=10**15 + 10**9).run_step(0).end()
    assert store.find_run_file("aaaa1") == one and store.find_run_file("AAAA2") == two
    assert store.find_run_file("last") == two and store.find_run_file("@2") == one
    assert [run["file_path"] for run in store.list_runs()] == [str(two), str(one)]
    assert [run["file_path"] for run in store.list_runs(limit=1)] == [str(two)]
    assert len(store.list_runs(limit=None)) == len(store.list_runs(limit=0)) == 2
    for ask in (store.get_run, store.get_steps, store.find_run_file):
        with pytest.raises(errors.AmbiguousRunId) as caught:
            ask("aaaa")
        assert "aaaa1111" in str(caught.value) and "aaaa2222" in str(caught.value) and isinstance(caught.value, LookupError)
        with pytest.raises(errors.InvalidArgument):
            ask("")
        assert ask(uuid.UUID(int=0xAAAA1111000040008000000000000000)) == ask("aaaa1")
        for no_id in (None, 5, b"aaaa1"):
            with pytest.raises(TypeError, match="str or a uuid.UUID"):
                ask(no_id)
    two.unlink()
    assert store.find_run_file("aaaa2222-0000-4000-8000-000000000000") is None
    assert [run["file_path"] for run in store.list_runs() if not run["live"]] == [str(one)]


def test_run_in_flight(store, data_dir):
    recording = Recording(data_dir, dut_serial="LIVE")
    recording.run_step(0).run_step(1, "failed")
    recording.session.emit("test.step_started", recording.step(2), recording.run_id)
    (run,) = store.list_runs()
    assert (run["live"], run["file_path"], run["ended_at"], run["outcome"]) == (True, None, None, None)
    assert (run["total_steps"], run["total_measurements"]) == (5, 2)
    assert store.find_run_file(recording.run_id) is None
    steps = store.get_steps(recording.run_id)
    assert [step["step_outcome"] for step in steps] == ["passed", "failed", None, None, None]
    assert [step["started_at"] is None for step in steps] == [False, False, False, True, True]
    measurements = store.get_measurements(recording.run_id)
    assert all(row["live"] is True and row["file_path"] is None for row in [*steps, *measurements])
    recording.end("failed")
    (run,) = store.list_runs()
    assert (run["live"], run["outcome"]) == (False, "failed")
    assert all(step["live"] is False for step in store.get_steps(recording.run_id))
    assert "live" not in store.get_measurements(recording.run_id)[0]


def test_same_rows_in_flight_and_finished(store, data_dir):
    recording = Recording(data_dir)
    for i in range(5):
        recording.run_step(i)
    live = store.get_steps(recording.run_id)
    recording.end()
    for step in live:
        step.update(live=False, file_path=str(store.find_run_file(recording.run_id)))
    assert live == store.get_steps(recording.run_id)


def test_filters(store, data_dir):
    for n in range(4):
        Recording(data_dir, started_us=10**15 + n * 10**9, dut_serial=f"SN{n % 2}", station_id="a").run_step(0).end("failed" if n == 3 else "passed")
    assert store.runs(serial="SN1").column("outcome") == ["failed", "passed"]
    assert len(store.runs(serial="SN1", outcome="passed")) == 1
    assert len(store.runs(since=datetime.datetime.fromtimestamp(10**9 + 2000, datetime.timezone.utc))) == 2
    assert len(store.runs(until=10**15 + 10**9)) == 1
    assert len(store.runs(station="a", limit=3)) == 3 and len(store.runs(station="b")) == 0
    assert store.runs(text="sn1").column("outcome") == ["failed", "passed"] and len(store.runs(text="sn1 nowhere")) == 0
    assert [run["outcome"] for run in store.list_runs(1, offset=1, text="sn1")] == ["passed"]
    assert store.runs(offset=3).column("started_at") == store.runs().column("started_at")[3:]


def test_damaged_file_is_left_out(store, data_dir):
    good = Recording(data_dir).run_step(0).end()
    bad = Recording(data_dir).run_step(0)
    bad_path = bad.end()
    bad_path.write_bytes(b"PAR1" + b"x" * 100 + b"PAR1")
    os.utime(bad_path.parent)
    paths = [run["file_path"] for run in store.list_runs()]
    assert str(good) in paths and str(bad_path) not in paths
    with ParquetBackend(data_dir) as backend:
        assert backend.files() == [good]
        ((path, reason),) = backend.damaged()
        assert Path(data_dir, path) == bad_path and reason
        with pytest.raises(errors.DataUnavailable) as caught:
            backend.read(bad_path)
        assert (caught.value.file_path, caught.value.status) == (str(bad_path), "damaged")
    bad_path.unlink()
    with pytest.raises(errors.DataUnavailable) as caught:
        store.get_measurement(bad_path, "m0")
    assert caught.value.status in ("missing", "quarantined")


def test_new_file_by_hand(store, data_dir, tmp_path):
    recording = Recording(str(tmp_path / "other")).run_step(0)
    path = recording.end()
    assert store.list_runs() == []
    folder = Path(data_dir, "runs", path.parent.name)
    folder.mkdir(parents=True)
    shutil.copy(path, folder)
    store.notify_new_run(folder / path.name)
    assert [run["test_run_id"] for run in store.list_runs()] == [recording.run_id]
    store.notify_new_run("/no/such/file")


def test_channel_refs(store, data_dir):
    recording = Recording(data_dir, planned=2)
    session = recording.session.id
    other = str(uuid.uuid4())
    recording.run_step(0, outputs={"wave": f"channel://dmm.v?session={session}", "plain": "channel"})
    recording.run_step(1, outputs={"wave": f"channel://psu.i?session={other}"})
    path = recording.end()
    (ref,) = store.find_channel_refs({session[:8]})
    row = ref.pop("row_idx")
    assert ref == {
        "file_path": str(path), "step_index": 0, "measurement_name": "m0", "col_name": "out_wave",
        "uri": f"channel://dmm.v?session={session}", "channel_id": "dmm.v", "session_short": session[:8], "session_id": session,
    }  # fmt: skip
    assert _litmus.read_parquet(path).to_dicts()[row]["out_wave"] == ref["uri"]
    assert [r["channel_id"] for r in store.find_channel_refs({other[:8]})] == ["psu.i"]
    assert len(store.find_channel_refs([session, other])) == 2
    assert store.find_channel_refs(set()) == store.find_channel_refs({"00000000"}) == []


def test_ref_dir(store, data_dir, tmp_path):
    path = tmp_path / "20260516T143025Z_SN1.parquet"
    assert store.ref_dir_for(str(path)) == tmp_path / "20260516T143025Z_SN1_ref"
    with ParquetBackend(data_dir) as backend:
        blob = backend.ref_dir_for(path) / "12345678_wave.npz"
        assert backend.resolve_ref(path, f"file://_ref/{blob.name}") == f"file://_ref/{blob.name}"
        blob.parent.mkdir()
        blob.write_bytes(b"")
        assert backend.resolve_ref(path, f"file://_ref/{blob.name}") == backend.resolve_ref(path, f"_ref/{blob.name}") == blob
        for value in ("file://_ref/../x", "_ref/", "file://other", 5, None):
            assert backend.resolve_ref(path, value) == value


def test_parquet_backend(data_dir):
    path = Recording(data_dir, dut_serial="SN1").run_step(0).end()
    live = Recording(data_dir).run_step(0)
    with ParquetBackend(data_dir) as backend:
        assert backend.files() == [path] and backend.path_for(live.run_id) is None and backend.path_for("zz") is None
        assert backend.path_for("@2") == path
        by_run, by_path, by_text = backend.read("@2"), backend.read(path), backend.read(str(path))
        assert by_run.to_dicts() == by_path.to_dicts() == by_text.to_dicts()
        assert by_run.run_id and by_path.file_path == str(path)
        assert backend.read(live.run_id).live is True
        duckdb = pytest.importorskip("duckdb")
        ((rows,),) = duckdb.execute("SELECT count(*) FROM read_parquet(?)", [backend.pattern]).fetchall()
        assert rows == len(by_path)
    live.end()


def test_channel_store(data_dir):
    with ChannelStore(data_dir) as channels:
        assert channels.channels() == [] and channels.files() == []
        session = _litmus.Session(data_dir, daemon=False)
        session.emit("channel.started", {"channel_id": "dmm.v", "units": "V"})
        session.emit("channel.started", {"channel_id": "psu.i"})
        session.emit("channel.closed", {"channel_id": "dmm.v", "reason": "done"})
        first, second = channels.channels(session.id)
        assert (first["channel_id"], first["units"], first["uri"]) == ("dmm.v", "V", f"channel://dmm.v?session={session.id}")
        assert first["closed_at"] and second["closed_at"] is None
        assert channels.channels(str(uuid.uuid4())) == []
        Path(data_dir, "channels", "2026-05-16").mkdir(parents=True)
        Path(data_dir, "channels", "2026-05-16", "x.arrow").touch()
        Path(data_dir, "channels", "2026-05-16", "deeper").mkdir()
        Path(data_dir, "channels", "2026-05-16", "deeper", "x.arrow").touch()
        Path(data_dir, "channels", "2026-05-17").symlink_to("2026-05-16")
        Path(data_dir, "channels", "2026-05-16", "y.arrow").symlink_to("x.arrow")
        assert [path.name for path in channels.files()] == ["x.arrow"]
        session.close()


def test_closed(data_dir):
    run_id = (recording := Recording(data_dir).run_step(0)).run_id
    recording.end()
    store = RunStore(data_dir)
    table = store.steps(run_id)
    store.close()
    store.close()
    with pytest.raises(errors.StateError):
        store.list_runs()
    assert len(table.to_dicts()) == 5


def test_many_threads(store, data_dir):
    run_id = (recording := Recording(data_dir).run_step(0)).run_id
    recording.end()
    wrong = []

    def work() -> None:
        try:
            for _ in range(50):
                assert len(store.get_steps(run_id)) == 5 and len(store.list_runs()) == 1
        except BaseException as exc:
            wrong.append(exc)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_data_dir_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("LITMUS_DATA_DIR", str(tmp_path / "here"))
    with RunStore() as store, RunStore(tmp_path / "there") as other:
        assert (store.data_dir, other.data_dir) == (str(tmp_path / "here"), str(tmp_path / "there"))


def test_bad_data_dirs(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(errors.InvalidArgument, match=re.escape(str(tmp_path / "file"))):
        RunStore(tmp_path / "file")
    with _litmus.Session(tmp_path / "newer", daemon=False):
        pass
    (marker,) = [path for path in (tmp_path / "newer").iterdir() if path.is_file() and path.read_text(errors="replace").strip() == "1"]
    marker.write_text("99\n")
    with pytest.raises(errors.FormatVersionError, match=re.escape(str(marker))):
        RunStore(tmp_path / "newer")


@pytest.mark.parametrize(
    ("value", "us"),
    [
        (None, None),
        (5, 5),
        ("1970-01-01T00:00:01Z", 1_000_000),
        ("1970-01-01 00:00:01.5", 1_500_000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-02", 86_400_000_000),
        (datetime.date(1970, 1, 2), 86_400_000_000),
        (datetime.datetime(1970, 1, 1, 0, 0, 0, 7), 7),
        (datetime.datetime(1969, 12, 31, 23, 59, 59, tzinfo=datetime.timezone.utc), -1_000_000),
    ],
)
def test_times(value, us):
    assert time_us(value) == us


@pytest.mark.parametrize("value", ["yesterday", "", 1.5, [], True])
def test_no_times(value):
    with pytest.raises(errors.InvalidArgument):
        time_us(value)

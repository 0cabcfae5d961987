# SPDX-License-Identifier: Apache-2.0
"""Channels from Python: what goes in by sample, buffer and Arrow comes out, here and in other readers."""

from __future__ import annotations

import array
import datetime
import os
import pathlib
import signal
import subprocess
import sys

import pytest

_litmus = pytest.importorskip("litmus._litmus")
import litmus  # noqa: E402
from litmus import errors  # noqa: E402
from litmus.data.channel_store import ChannelStore  # noqa: E402

T0 = 1_700_000_000_000_000_000


def files(data_dir) -> list[pathlib.Path]:
    return sorted(pathlib.Path(data_dir, "channels").glob("*/*.arrow"))


def test_samples_come_back_while_recorded_and_after(session, data_dir):
    ch = litmus.open_channel("dmm.voltage", session=session, units="V")
    assert files(data_dir) == []  # the first sample makes it
    for i in range(5000):
        ch.append(i / 2, T0 + i)
    for _ in range(2):
        times, values = litmus.channel(ch, data_dir).read()
        assert list(times) == [T0 + i for i in range(5000)]
        assert list(values) == [i / 2 for i in range(5000)]
        ch.close()
    assert [p.name for p in pathlib.Path(data_dir, "channels").rglob(".*")] == []
    with pytest.raises(errors.StateError):
        ch.append(1.0)


def test_every_name_is_found_again(session, data_dir):
    """By itself, by what the writer says, and by what the store lists."""
    names = ["a b", "x?y", "x#y", "100%", "\u00e9", "a/b", "..", "a%2Fb", "session=1"]
    uris = {}
    for n, name in enumerate(names):
        with litmus.open_channel(name, session=session) as ch:
            ch.append(n)
            uris[name] = ch.uri
    listed = {row["channel_id"]: row["uri"] for row in ChannelStore(data_dir).channels()}
    assert listed == uris
    for n, name in enumerate(names):
        assert [list(litmus.channel(one, data_dir).read()[1]) for one in (name, uris[name])] == [[n], [n]]


def test_a_channel_that_is_opened_again_is_open_again(session, data_dir):
    for value in (1.0, 2.0):
        ch = litmus.open_channel("dmm.volt", session=session)
        ch.append(value)
        if value == 1.0:
            ch.close()
            first = ChannelStore(data_dir).channels()[0]["closed_at"]
    (row,) = ChannelStore(data_dir).channels()
    assert first is not None and row["closed_at"] is None
    ch.close()
    (row,) = ChannelStore(data_dir).channels()
    assert row["closed_at"] >= first and list(litmus.channel(row["uri"], data_dir).read()[1]) == [1.0, 2.0]


@pytest.mark.parametrize("code", "bBhHiIqQfd")
def test_every_type_of_buffer(session, data_dir, code):
    data = array.array(code, range(100))
    with litmus.open_channel("x", session=session) as ch:
        ch.block(data, interval=1e-6, start=T0)
    times, values = litmus.channel("x", data_dir).read(since=T0 + 10_000, until=T0 + 20_000)
    assert list(values) == list(range(10, 20))
    assert values.dtype.itemsize == data.itemsize
    assert times[0] == T0 + 10_000


def test_numpy_pyarrow_polars_go_in(session, data_dir):
    np, pa, pl = pytest.importorskip("numpy"), pytest.importorskip("pyarrow"), pytest.importorskip("polars")
    wave = np.sin(np.arange(3_000_000) / 1000).astype("float32")
    inputs = {
        "numpy": wave, "arrow": pa.array(wave), "slice": pa.array(np.concatenate([wave[:7], wave]))[7:],
        "chunks": pa.chunked_array([wave[:1000], wave[1000:]]), "polars": pl.Series(wave),
    }  # fmt: skip
    for name, data in inputs.items():
        with litmus.open_channel(name, session=session) as ch:
            ch.block(data, rate=1e6, start=T0)
        times, values = litmus.channel(name, data_dir).read()
        assert values.dtype == np.float32 and np.array_equal(values, wave), name
        assert np.array_equal(times, T0 + np.arange(len(wave)) * 1000), name
    stamps = (T0 + np.arange(10) * 5).astype("datetime64[ns]")
    with litmus.open_channel("own times", session=session) as ch:
        ch.block(np.arange(10.0), times=stamps)
    assert list(litmus.channel("own times", data_dir).read(since=T0 + 40)[1]) == [8.0, 9.0]


def test_arrays_that_no_file_holds_as_they_lie_are_copied(session, data_dir):
    np = pytest.importorskip("numpy")
    base = np.arange(6, dtype="f8")
    arrays = {"steps": base[::2], "back": base[::-1], "column": base.reshape(3, 2)[:, 1], "other": base.astype(">i4"), "bool": base > 2, "half": base.astype("f2"), "long": base.astype("g")}
    for name, values in arrays.items():
        with litmus.open_channel(name, session=session) as wave:
            wave.block(values, times=np.arange(2 * len(values), dtype="i8")[::2])
        times, found = litmus.channel(wave.uri, data_dir).read()
        assert list(found) == [float(value) for value in values] and list(times) == list(range(0, 2 * len(values), 2)), name
        assert str(found.dtype) == {"bool": "uint8", "half": "float32", "other": "int32"}.get(name, "float64")


def test_other_readers_open_the_file(session, data_dir):
    pa, pl = pytest.importorskip("pyarrow"), pytest.importorskip("polars")
    with litmus.open_channel("scope.ch1", session=session, units="V") as ch:
        ch.block(array.array("d", range(5000)), interval=1e-3, start=T0)
        ch.append(7.0, T0 + 10**13)
    (path,) = files(data_dir)
    table = pa.ipc.open_file(path).read_all()
    table.validate(full=True)
    assert table.schema.metadata[b"litmus.units"] == b"V"
    assert table["value"].to_pylist() == [[float(i) for i in range(5000)], [7.0]]
    assert table["interval_ns"].to_pylist() == [1e6, None]
    assert table["times"].is_null().to_pylist() == [True, False]
    assert table["bin_max"].to_pylist()[0] == [1023.0, 2047.0, 3071.0, 4095.0, 4999.0]
    frame = pl.read_ipc(path)
    assert frame["value"].list.sum().to_list() == [sum(range(5000)), 7.0]
    assert pa.ipc.open_stream(path.read_bytes()[8:]).read_all().num_rows == 2


def test_views_keep_the_extremes(session, data_dir):
    np = pytest.importorskip("numpy")
    wave = np.zeros(2_000_000)
    wave[1_234_567], wave[77] = 9.0, -9.0
    with litmus.open_channel("x", session=session) as ch:
        ch.block(wave, interval=1e-6, start=T0)
    for kind in ("minmax", "lttb"):
        times, values = litmus.channel("x", data_dir).view(1000, kind=kind)
        assert len(values) <= 1000 and values.max() == 9.0 and values.min() == -9.0
        assert times[values.argmax()] == T0 + 1_234_567_000
    seconds = (T0 + 1_000_000_000) / 1e9
    assert litmus.channel("x", data_dir).view(100, since=seconds)[1].min() == 0.0
    with pytest.raises(errors.InvalidArgument, match="4 to"):
        litmus.channel("x", data_dir).view(2)
    with pytest.raises(errors.InvalidArgument, match="minmax or lttb"):
        litmus.channel("x", data_dir).view(100, kind="mean")


def test_what_is_refused(session, data_dir):
    ch = litmus.open_channel("x", session=session)
    ch.block(array.array("d", [1.0]), interval=1)
    with pytest.raises(errors.InvalidArgument, match="holds float64, the block int16"):
        ch.block(array.array("h", [1]), interval=1)
    with pytest.raises(errors.InvalidArgument, match="interval or rate, or times"):
        ch.block(array.array("d", [1.0]))
    with pytest.raises(errors.InvalidArgument, match="time of sample 1"):
        ch.block(array.array("d", [1.0, 2.0]), times=[2, 1])
    with pytest.raises(errors.InvalidArgument, match="one a sample"):
        ch.block(array.array("d", [1.0, 2.0]), times=[2])
    with pytest.raises(errors.InvalidArgument, match="no buffer"):
        ch.block([1.0, 2.0], interval=1)
    with pytest.raises(errors.InvalidArgument, match="cannot be recorded"):
        litmus.open_channel("c", session=session).block(memoryview(b"ab").cast("c"), interval=1)
    with pytest.raises(errors.InvalidArgument, match="float64"):
        litmus.open_channel("y", session=session, type="double")
    for value in ("1.5", None, 10**400):
        with pytest.raises(TypeError, match="channel x: a sample is a number, not "):
            ch.append(value)
    for name in ("", "x" * 200, "a\0b", "\ud800"):
        with pytest.raises(errors.InvalidArgument, match="the id of a channel is 1 to 199 bytes"):
            litmus.open_channel(name, session=session)
    with pytest.raises(errors.StateError, match="give a session"):
        _outside()
    with pytest.raises(errors.LitmusError, match="channel ls|no channel"):
        litmus.channel("nobody", data_dir).read()
    assert len(litmus.channel("x", data_dir).read()[0]) == 1
    ch.close()


def test_a_channel_that_nobody_closes_is_sealed_once(session, data_dir):
    held = sys.getrefcount(session)
    for number in range(20):
        ch = _litmus.Channel(session, f"left{number}")
        ch.sample(1.0)
        del ch
    assert sys.getrefcount(session) == held  # each let go of it once
    assert len(files(data_dir)) == 20 and list(litmus.channel("left7", data_dir).read()[1]) == [1.0]


def test_what_is_no_sample_and_no_time(session, data_dir):
    np, pa = pytest.importorskip("numpy"), pytest.importorskip("pyarrow")
    ones, table = np.ones(3), {
        "masked values": lambda ch: ch.block(np.ma.array([1.0, 2.0], mask=[False, True]), interval=1),
        "something else": lambda ch: ch.block(pa.array(["a", "b"]).dictionary_encode(), interval=1),
        "lie in a row": lambda ch: ch.block(memoryview(array.array("i", [1, 2, 3]))[::2], interval=1),
        "NaT is none": lambda ch: ch.block(ones, times=np.array(["NaT"] * 3, "M8[s]")),
        "not both": lambda ch: ch.block(ones, interval=1, rate=1),
        "the rate of a block is a number, not '5'": lambda ch: ch.block(ones, rate="5"),
        "'2020' is no time": lambda ch: ch.block(ones, interval=1, start="2020"),
        "nan is no time": lambda ch: ch.append(1, time=float("nan")),
        "1e\\+20 ns are no time": lambda ch: ch.append(1, time=10**20),
        "a view of 0 points": lambda ch: litmus.channel(ch.uri, data_dir).view(0),
        "1e\\+21 ns are no time": lambda ch: litmus.channel(ch.uri, data_dir).read(since=10**21),
    }  # fmt: skip
    for words, call in table.items():
        with litmus.open_channel(words, session=session, type="int32") as ch, pytest.raises(errors.InvalidArgument, match=words):
            call(ch)
    with litmus.open_channel("none", session=session) as ch:
        ch.block(pa.chunked_array([], pa.float64()), interval=1)
        ch.block(np.array([2.5]), interval=1, start=np.datetime64(T0, "ns"))
    times, values = litmus.channel(ch.uri, data_dir).read()
    assert (list(times), list(values)) == ([T0], [2.5])


def _outside():
    from litmus import _measure

    kept, _measure.running[:] = list(_measure.running), []
    try:
        litmus.open_channel("z")
    finally:
        _measure.running[:] = kept


def test_a_session_closed_before_its_channel(data_dir):
    session = _litmus.Session(data_dir, daemon=False)
    ch = litmus.open_channel("x", session=session)
    ch.append(1.0)
    session.close()
    ch.append(2.0)
    ch.close()
    assert list(litmus.channel("x", data_dir).read()[1]) == [1.0, 2.0]


def test_a_kill_loses_no_sample(data_dir):
    code = f"""
import litmus, os, signal
from litmus import _litmus
ch = litmus.open_channel("x", session=_litmus.Session({data_dir!r}, daemon=False))
for i in range(10000):
    ch.append(float(i))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    times, values = litmus.channel("x", data_dir).read()
    assert list(values) == [float(i) for i in range(10000)]
    assert abs(times[-1] / 1e9 - datetime.datetime.now().timestamp()) < 600


def test_in_a_test_by_fixture(tmp_path):
    (tmp_path / "test_scope.py").write_text(
        "from array import array\n"
        "def test_wave(channel, measure, record_property):\n"
        "    ch = channel('scope.ch1', units='V')\n"
        "    ch.block(array('d', [1, 5, 2]), interval=1e-3)\n"
        "    measure('peak', 5.0, units='V', high=6)\n"
        "    record_property('wave', str(ch))\n"
    )
    env = {key: value for key, value in os.environ.items() if not key.startswith("LITMUS_")}
    env["LITMUS_DATA_DIR"] = str(tmp_path / "data")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    off = subprocess.run(command, env={**env, "LITMUS_OFF": "1"}, capture_output=True, text=True, cwd=tmp_path)
    assert off.returncode == 0, off.stdout  # not recorded: the test runs all the same
    assert not (tmp_path / "data").exists()
    done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    from litmus.data.channel_store import ChannelStore

    with ChannelStore(tmp_path / "data") as store:
        (found,) = store.channels()
        assert (found["channel_id"], found["units"]) == ("scope.ch1", "V") and found["closed_at"] and found["run_id"]
        assert len(store.files()) == 1
    assert list(litmus.channel(found["uri"], tmp_path / "data").read()[1]) == [1.0, 5.0, 2.0]

# SPDX-License-Identifier: Apache-2.0
"""The extension: Python values as JSON, sessions, tables, reference counts, threads, forks."""

from __future__ import annotations

import datetime
import decimal
import enum
import gc
import inspect
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import unittest.mock
import uuid
from pathlib import Path

import pytest

_litmus = pytest.importorskip("litmus._litmus")
from litmus import errors  # noqa: E402


def events(data_dir: str) -> list[dict]:
    query = _litmus.Query(data_dir)
    try:
        return [json.loads(text) for text in query.events().column("json")]
    finally:
        query.close()


def step(name: str, index: int, **more) -> dict:
    return {"step_name": name, "step_index": index, "step_path": f"f.py/{name}", "node_id": f"f.py::{name}", **more}


def record(data_dir: str, planned: int = 5, ran: int = 3, serial: str = "SN1", **more) -> tuple[str, list]:
    """A run that stops early; its id and what close() said."""
    run_id = str(uuid.uuid4())
    session = _litmus.Session(data_dir, daemon=False)
    session.emit("run.started", {"dut_serial": serial, **more}, run_id)
    session.emit("test.steps_discovered", {"items": [{"name": f"t{i}", "vector_index": 0, **step(f"t{i}", i)} for i in range(planned)]}, run_id)
    for i in range(ran):
        outcome = "failed" if i == ran - 1 else "passed"
        session.emit("test.step_started", step(f"t{i}", i), run_id)
        value = {"measurement_name": "vout", "value": 3.0 + i, "units": "V", "outcome": outcome}
        session.emit("test.measurement", {k: v for k, v in step(f"t{i}", i, **value).items() if k != "node_id"}, run_id)
        session.emit("test.step_ended", step(f"t{i}", i, outcome=outcome), run_id)
    session.emit("run.ended", {"outcome": "failed", "stop_reason": "stopping after 1 failures"}, run_id)
    return run_id, session.close("failed")


# ---- Python values as JSON

cycle: list = []
cycle.append(cycle)
cycle.append(cycle)
deep: list = []
for _ in range(1000):
    deep = [deep]


class Colour(enum.Enum):
    RED = 1


class Number(enum.IntEnum):
    ONE = 1


class Bad:
    def __str__(self):
        raise ValueError("no text")


class Endless:
    """Like numpy's longdouble: item() gives more of the same."""

    dtype = "endless"

    def item(self):
        return Endless()

    def __str__(self):
        return "endless"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-(2**63), "-9223372036854775808"),
        (2**63 - 1, "9223372036854775807"),
        (2**64 - 1, "18446744073709551615"),
        (2**64, '"18446744073709551616"'),
        (-(2**63) - 1, '"-9223372036854775809"'),
        (5.0, "5.0"),
        (-0.0, "-0.0"),
        (0.1, "0.1"),
        (1e22, "1e22"),
        (5e-324, "5e-324"),
        (math.pi, "3.141592653589793"),
        (math.nan, "null"),
        (-math.inf, "null"),
        ("", '""'),
        ('a"b\\c/d', '"a\\"b\\\\c/d"'),
        ("\x00\x1f\x7f\n\t\r\b\f", '"\\u0000\\u001f\\u007f\\n\\t\\r\\b\\f"'),
        ("é漢🎉\u2028", '"é漢🎉\u2028"'),
        ("x" * 600 + '"\x01é', '"' + "x" * 600 + '\\"\\u0001é"'),
        ("\x01" * 512, '"' + "\\u0001" * 512 + '"'),
        ("a\udc80b", '"a\\\\udc80b"'),
        ("\ud83d\ude00", '"\\\\ud83d\\\\ude00"'),
        (b"ok\xff", '"ok\\\\xff"'),
        (bytearray(b"x"), '"x"'),
        ([], "[]"),
        ((1, "a", None), '[1,"a",null]'),
        ({}, "{}"),
        ({"a": {"b": [1]}}, '{"a":{"b":[1]}}'),
        ({1: 2, None: 3, (1, 2): 4, "\udc80": 5}, '{"1":2,"None":3,"(1, 2)":4,"\\\\udc80":5}'),
        (Number.ONE, "1"),
        (Colour.RED, '"Colour.RED"'),
        (decimal.Decimal("1.50"), '"1.50"'),
        (Path("/a/b"), '"/a/b"'),
        (datetime.datetime(2026, 5, 16, 14, 30, tzinfo=datetime.timezone.utc), '"2026-05-16T14:30:00+00:00"'),
        (datetime.date(2026, 5, 16), '"2026-05-16"'),
        (Bad(), '"<Bad object, unprintable>"'),
        (Endless(), '"endless"'),
        (cycle, '["[[...], [...]]","[[...], [...]]"]'),
        (float("1.7976931348623157e308"), "1.7976931348623157e308"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_json(session, value, text):
    session.emit("vendor.thing", {"x": value})
    last = _litmus.Query(session.data_dir)
    written = last.events(event_type="vendor.thing").column("json")[0]
    last.close()
    assert f'"x":{text}' in written
    json.loads(written)


def test_json_of_numpy(session):
    from litmus._plain import plain

    numpy = pytest.importorskip("numpy")
    values = {
        "i": numpy.int64(3),
        "u": numpy.uint64(2**64 - 1),
        "f": numpy.float32(1.5),
        "g": numpy.float64(2.0),
        "nan": numpy.float32("nan"),
        "b": numpy.bool_(True),
        "s": numpy.str_("text"),
        "one": numpy.array([7]),
        "many": numpy.arange(3),
        "long": numpy.longdouble(1.5),
        "t": numpy.datetime64("2026-05-16T14:30:00", "us"),
    }
    session.emit("vendor.thing", {"x": values})
    got = events(session.data_dir)[-1]["x"]
    assert got == {
        "i": 3, "u": 2**64 - 1, "f": 1.5, "g": 2.0, "nan": None, "b": True, "s": "text", "one": 7, "many": "[0 1 2]",
        "long": "1.5", "t": "2026-05-16T14:30:00",
    }  # fmt: skip
    assert isinstance(got["g"], float)
    assert plain([values["long"], numpy.array(values["long"])]) == [1.5, 1.5] and plain(numpy.clongdouble(1j)) == repr(numpy.clongdouble(1j))


def test_json_deep_and_odd(session):
    grows = {"a": 1}

    class Growing:
        def __str__(self):
            grows[len(grows)] = Growing()
            return "grown"

    grows["b"] = Growing()
    session.emit("vendor.thing", {"x": deep, "mock": unittest.mock.MagicMock(name="m"), "grows": grows})
    event = events(session.data_dir)[-1]
    value, depth = event["x"], 0
    while isinstance(value, list):
        value, depth = value[0], depth + 1
    assert depth == 199 and isinstance(value, str)
    assert event["mock"].startswith("<MagicMock name='m'")
    assert event["grows"]["b"] == "grown"


def test_json_hands_ctrl_c_on(session):
    class Interrupts:
        def __str__(self):
            raise KeyboardInterrupt

    rows = session.rows
    with pytest.raises(KeyboardInterrupt):
        session.emit("vendor.thing", {"x": [Interrupts()]})
    assert session.rows == rows


def test_emit_within_str_of_a_value(session):
    class Emits:
        def __str__(self):
            return session.emit("vendor.inner", {"y": "z" * 100})

    session.emit("vendor.outer", {"a": "b" * 1000, "x": Emits(), "c": "d"})
    inner, outer = events(session.data_dir)[-2:]
    assert (inner["event_type"], outer["event_type"]) == ("vendor.inner", "vendor.outer")
    assert outer["x"] == inner["id"] and outer["a"] == "b" * 1000 and outer["c"] == "d"


# ---- sessions


def test_session(data_dir):
    session = _litmus.Session(data_dir, payload={"client": "test", "slot_count": 2}, daemon=False)
    assert uuid.UUID(session.id).version == 4
    assert session.data_dir == data_dir
    assert re.fullmatch(rf"{re.escape(data_dir)}/events/\d{{4}}-\d\d-\d\d/{session.id}-{os.getpid()}\.arrow", session.log_path)
    assert (session.rows, session.closed) == (1, False)
    wanted = str(uuid.uuid4())
    assert session.emit("vendor.thing", None, id=wanted, occurred_at=1_000_000) == wanted
    assert session.close("passed") == []
    assert (session.rows, session.closed, session.close()) == (3, True, [])
    started, thing, ended = events(data_dir)
    assert (started["client"], started["slot_count"], started["pid"]) == ("test", 2, os.getpid())
    assert (thing["occurred_at"], ended["outcome"]) == ("1970-01-01T00:00:01.000000Z", "passed")
    with pytest.raises(errors.StateError):
        session.emit("vendor.thing", {})


def test_close_tells_of_runs(data_dir):
    run_id, (run,) = record(data_dir)
    path = run.pop("path")
    assert Path(path).parent.parent == Path(data_dir, "runs")
    assert run == {
        "run_id": run_id, "outcome": "failed", "planned": 5, "deselected": 0, "steps": 5, "measurements": 3, "never_ran": 2,
        "counts": {"passed": 2, "failed": 1}, "materializer": "in-process",
    }  # fmt: skip


def test_close_by_the_daemon(data_dir):
    from litmus import _exe

    program = _exe.find()
    if program is None:
        pytest.skip("the litmus program is not installed")
    run_id = str(uuid.uuid4())
    session = _litmus.Session(data_dir)
    try:
        session.emit("run.started", {}, run_id)
        session.emit("run.ended", {"outcome": "passed"}, run_id)
        (run,) = session.close("passed", wait=60)
        assert (run["run_id"], run["materializer"]) == (run_id, "daemon") and Path(run["path"]).is_file()
    finally:
        subprocess.run([program, "daemon", "stop", "--data-dir", data_dir], capture_output=True, timeout=600)


def test_close_without_a_daemon_program(data_dir):
    """A daemon that cannot be started costs nothing but its help."""
    session = _litmus.Session(data_dir, daemon_exe="/no/such/litmus")
    run_id = str(uuid.uuid4())
    session.emit("run.started", {}, run_id)
    session.emit("run.ended", {"outcome": "passed"}, run_id)
    (run,) = session.close("passed", wait=5)
    assert (run["run_id"], run["materializer"]) == (run_id, "in-process")


def test_joined_session(data_dir):
    owner = _litmus.Session(data_dir, daemon=False)
    worker = _litmus.Session(data_dir, session_id=owner.id, joined=True)
    assert worker.id == owner.id and worker.log_path != owner.log_path and worker.rows == 0
    worker.emit("vendor.thing", {})
    assert worker.close() == []
    owner.close()
    assert [e["event_type"] for e in events(data_dir)] == ["session.started", "vendor.thing", "session.ended"]


@pytest.mark.parametrize("durability", ["os", "group", "group 20 ms", "each", None])
def test_durability(data_dir, durability):
    with _litmus.Session(data_dir, daemon=False, durability=durability, group_ms=1) as session:
        session.emit("vendor.thing", {})
    assert len(events(data_dir)) == 3


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda s: s.emit("test.step_ended", {"step_name": 3}, str(uuid.uuid4())), errors.EventError, "step_name"),
        (lambda s: s.emit("test.step_ended", {}, str(uuid.uuid4())), errors.EventError, "step_name"),
        (lambda s: s.emit("test.nonsense", {}), errors.EventError, "test.nonsense"),
        (lambda s: s.emit("vendor.thing", {}, "no uuid"), errors.EventError, "run_id"),
        (lambda s: s.emit("vendor.thing", {}, id="no uuid"), errors.EventError, "id"),
        (lambda s: s.emit("session.started", {}, str(uuid.uuid4())), errors.EventError, "run_id"),
        (lambda s: s.emit("", {}), errors.EventError, "event_type"),
        (lambda s: s.emit("vendor.thing", []), TypeError, "payload"),
        (lambda s: s.emit("vendor.thing", {}, occurred_at="now"), TypeError, "int"),
        (lambda s: s.emit(5, {}), TypeError, "str"),
        (lambda s: s.close('x","y":"'), errors.InvalidArgument, "outcome"),
        (lambda s: _litmus.Session(s.data_dir, session_id="x"), errors.InvalidArgument, "session_id"),
        (lambda s: _litmus.Session(s.data_dir, durability="never"), errors.InvalidArgument, "durability"),
        (lambda s: _litmus.Session(s.data_dir, payload=[]), TypeError, "payload"),
        (lambda s: _litmus.Session(s.data_dir, payload={"nonsense": 1}, daemon=False), errors.EventError, "nonsense"),
        (lambda s: _litmus.Session(s.log_path, daemon=False), errors.LitmusError, ".arrow"),
        (lambda s: s.__init__(), RuntimeError, "before"),
        (lambda s: _litmus.Table(), TypeError, "query"),
        (lambda s: _litmus.read_parquet(s.data_dir + "/none.parquet"), errors.StorageError, "none.parquet"),
        (lambda s: _litmus.read_parquet(s.log_path), errors.DataUnavailable, ".arrow"),
    ],
)
def test_refused(session, call, error, text):
    rows = session.rows
    with pytest.raises(error, match=re.escape(text)):
        call(session)
    assert session.rows == rows
    session.emit("vendor.thing", {})


def test_unwritable_data_dir(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (tmp_path / "shut").mkdir(mode=0o500)
    with pytest.raises(errors.StorageError) as caught:
        _litmus.Session(tmp_path / "shut" / "data", daemon=False)
    assert caught.value.code == "EPERM" and caught.value.errno


def test_session_that_nobody_closes(data_dir):
    session = _litmus.Session(data_dir, daemon=False)
    with pytest.warns(ResourceWarning):
        del session
        gc.collect()
    assert [e["event_type"] for e in events(data_dir)] == ["session.started", "session.ended"]


def test_threads(data_dir):
    session = _litmus.Session(data_dir, daemon=False)
    stop = threading.Event()
    sent, wrong = [0] * 8, []

    def work(number: int) -> None:
        while not stop.is_set():
            try:
                session.emit("vendor.thing", {"thread": number, "n": sent[number], "text": str(number) * 300})
                sent[number] += 1
            except errors.StateError:
                return
            except BaseException as exc:
                wrong.append(exc)
                return

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(sent))]
    for thread in threads:
        thread.start()
    while min(sent) < 50 and not wrong:
        stop.wait(0.001)
    session.close()  # with calls under way
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    got = [e for e in events(data_dir) if e["event_type"] == "vendor.thing"]
    for number, count in enumerate(sent):
        assert [e["n"] for e in got if e["thread"] == number] == list(range(count))


def test_fork(data_dir):
    session = _litmus.Session(data_dir, daemon=False)
    session.emit("vendor.parent", {})
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            session.emit("vendor.child", {})
            session.close()
            code = 0 if session.closed else 2
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    session.emit("vendor.parent", {})
    session.close()
    kinds = sorted(e["event_type"] for e in events(data_dir))
    assert kinds == ["session.ended", "session.started", "vendor.child", "vendor.parent", "vendor.parent"]
    logs = list(Path(data_dir, "events").glob("*/*.arrow"))
    assert len(logs) == 2 and all(log.name.startswith(session.id) for log in logs)


def test_sigkill_loses_nothing(data_dir):
    pid = os.fork()
    if pid == 0:
        session = _litmus.Session(data_dir, daemon=False)
        for n in range(100):
            session.emit("vendor.thing", {"n": n})
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert [e["n"] for e in events(data_dir)[1:]] == list(range(100))


def test_query_after_fork_and_close(data_dir):
    run_id, _ = record(data_dir)
    query = _litmus.Query(data_dir)
    assert len(query.steps(run_id)) == 5
    pid = os.fork()
    if pid == 0:
        os._exit(0 if len(query.steps(run_id)) == 5 and query.close() is None else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert len(query.steps(run_id)) == 5
    query.close()
    query.close()
    with pytest.raises(errors.StateError):
        query.runs()


# ---- what is not in use any more is given back


def grows_by(work, enough: int, size=sys.getallocatedblocks, rounds: int = 200) -> int:
    """What `rounds` calls leave behind, in blocks of Python memory: of five times the first that is not above `enough`, or the least.

    Not tracemalloc: it counts the table of interned strings, which doubles now and then.
    """
    grown = []
    while not grown or (grown[-1] > enough and len(grown) < 5):
        work()
        gc.collect()
        before = size()
        for _ in range(rounds):
            work()
        gc.collect()
        grown.append(size() - before)
    return min(grown)


def refused(session) -> None:
    with pytest.raises(errors.EventError):
        session.emit("test.step_ended", {"step_name": 3}, str(uuid.uuid4()))


def test_no_leaks(data_dir, session):
    pa = pytest.importorskip("pyarrow")
    run_id, _ = record(data_dir)
    query = _litmus.Query(data_dir)
    path = query.find(run_id)["path"]
    payload = {"a": "text", "b": [1, 2.5, None, {"c": b"\xff"}], "d": Bad(), "e": cycle, "f": 2**70, "g": "\udc80"}
    follow = _litmus.Follow(data_dir)
    work = {
        "emit": lambda: session.emit("vendor.thing", payload),
        "refused": lambda: refused(session),
        "runs": lambda: query.runs().to_dicts(),
        "steps": lambda: query.steps(run_id[:8]).to_dicts(text_times=True),
        "measurements": lambda: query.measurements(run_id).to_dicts(equal={"measurement_name": "vout"}),
        "column": lambda: query.steps(run_id).column("step_name"),
        "find_text": lambda: query.rows(run_id).find_text("f.py"),
        "arrow": lambda: pa.table(query.steps(run_id)).num_rows,
        "capsules unused": lambda: (query.steps(run_id).__arrow_c_stream__(), query.steps(run_id).__arrow_c_schema__()),
        "read": lambda: _litmus.read_parquet(path).to_dicts(),
        "follow": lambda: follow.poll(),
        "event_types": lambda: _litmus.event_types(),
        "damaged": lambda: query.damaged(),
    }
    grown = {name: grows_by(call, 100) for name, call in work.items()}
    assert {name: n for name, n in grown.items() if n > 100} == {}, grown
    counted = [payload, payload["b"], payload["d"], cycle, _litmus.Table, _litmus.Session]
    before = [sys.getrefcount(thing) for thing in counted]
    for _ in range(100):
        session.emit("vendor.thing", payload)
        query.steps(run_id).to_dicts()
    assert [sys.getrefcount(thing) for thing in counted] == before
    query.close()
    follow.close()


def resident_kib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def test_no_leaks_of_the_core(data_dir, session):
    """What tracemalloc does not see: buffers of tables, queries, exported arrays."""
    pa = pytest.importorskip("pyarrow")
    run_id, _ = record(data_dir, planned=200, ran=100)
    query = _litmus.Query(data_dir)

    def work() -> None:
        table = query.steps(run_id)
        arrow = pa.table(table)
        table.__arrow_c_stream__()
        arrow.column("step_name")
        query.rows(run_id).to_dicts(equal={"step_index": 3})
        session.emit("vendor.thing", {"x": "y" * 5000})
        other = _litmus.Query(data_dir)
        other.runs()
        other.close()

    for _ in range(50):
        work()
    assert grows_by(work, 4096, resident_kib) < 4096
    query.close()


# ---- tables and Arrow


def test_table(data_dir):
    run_id, _ = record(data_dir)
    query = _litmus.Query(data_dir)
    table = query.steps(run_id)
    query.close()
    assert (len(table), table.num_rows, table.run_id, table.live) == (5, 5, run_id, False)
    assert Path(table.file_path).is_file() and repr(table) == f"<litmus Table: 5 rows, {len(table.column_names)} columns>"
    assert table.column("step_outcome") == ["passed", "passed", "failed", None, None]
    assert [row["step_name"] for row in table.to_dicts(equal={"step_outcome": None})] == ["t3", "t4"]
    assert table.to_dicts(equal={"nonsense": 1}) == []
    assert [row["step_index"] for row in table.to_dicts(equal={"step_index": 2})] == [2]
    with pytest.raises(KeyError):
        table.column("nonsense")


def test_arrow_shares_memory(data_dir):
    pa = pytest.importorskip("pyarrow")
    run_id, _ = record(data_dir)
    query = _litmus.Query(data_dir)
    table = query.rows(run_id)
    first, second = pa.table(table), pa.table(table)
    for name in first.column_names:
        a, b = first.column(name).chunk(0), second.column(name).chunk(0)
        assert [x and x.address for x in a.buffers()] == [x and x.address for x in b.buffers()], name
    assert first.to_pylist() == table.to_dicts()
    assert pa.schema(table).names == table.column_names
    column = first.column("step_name")
    del table, second, first
    query.close()
    gc.collect()
    assert column.to_pylist() == [None, "t0", "t1", "t2", "t3", "t4", "t0", "t1", "t2"]


def test_arrow_released_in_another_thread(data_dir):
    pa = pytest.importorskip("pyarrow")
    run_id, _ = record(data_dir, planned=50)
    query = _litmus.Query(data_dir)
    wrong = []

    def work() -> None:
        try:
            for _ in range(30):
                assert pa.table(query.steps(run_id)).num_rows == 50
        except BaseException as exc:
            wrong.append(exc)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    query.close()


def test_arrow_of_nothing(data_dir):
    pa = pytest.importorskip("pyarrow")
    query = _litmus.Query(data_dir)
    for table in (query.runs(), query.events()):
        assert pa.table(table).num_rows == 0 and pa.table(table).column_names == table.column_names
    query.close()


# ---- the rest


def test_errors_by_code():
    wanted = {
        "EINVAL": (errors.InvalidArgument, ValueError),
        "EEVENT": (errors.EventError, ValueError),
        "EIO": (errors.StorageError, OSError),
        "ENOSPC": (errors.StorageError, OSError),
        "EPERM": (errors.StorageError, OSError),
        "ENOENT": (errors.StorageError, OSError),
        "EDAMAGED": (errors.DataUnavailable, errors.LitmusError),
        "EVERSION": (errors.FormatVersionError, errors.LitmusError),
        "EBUSY": (errors.Busy, errors.LitmusError),
        "EAMBIGUOUS": (errors.AmbiguousRunId, LookupError),
        "ENOMEM": (errors.OutOfMemory, MemoryError),
        "ECONFIG": (errors.ConfigError, errors.LitmusError),
        "ESTATE": (errors.StateError, RuntimeError),
        "ELIMIT": (errors.OutsideLimit, AssertionError),
        "ETIMEDOUT": (errors.TimedOut, TimeoutError),
        "ECANCELED": (errors.Cancelled, errors.LitmusError),
    }
    assert set(wanted) == set(_litmus.codes) - {"OK"}
    for name, classes in wanted.items():
        error = errors.from_code(_litmus.codes[name], 28, "what, where, remedy", file_path="/f")
        assert type(error) is classes[0] and isinstance(error, classes[1]) and isinstance(error, errors.LitmusError)
        assert (str(error), error.code, error.errno) == ("what, where, remedy", name, 28)
        assert errors.from_code(_litmus.codes[name], 0, "x").errno is None
    damaged = errors.from_code(_litmus.codes["EDAMAGED"], 0, "x", file_path="/f")
    assert (damaged.file_path, damaged.status) == ("/f", "damaged")
    missing = errors.from_code(_litmus.codes["ENOENT"], 0, "no run", "run")
    assert type(missing) is errors.RunNotFound and isinstance(missing, LookupError)
    assert type(errors.from_code(99, 0, "x")) is errors.LitmusError


def test_every_error_has_a_class():
    assert set(errors._CLASSES) == set(_litmus.codes) - {"OK"}
    assert all(getattr(errors, name) for name in errors.__all__)


def test_event_types():
    types = _litmus.event_types()
    started = types["test.step_started"]
    assert (started["scope"], types["session.started"]["scope"]) == ("run", "session")
    fields = {field["name"]: field for field in started["fields"]}
    assert fields["step_name"]["need"] == "required" and fields["step_name"]["type"]
    assert (fields["vector_index"]["need"], fields["vector_index"]["default"]) == ("optional", 0)
    assert all(declared["meaning"] and field["meaning"] for declared in types.values() for field in declared["fields"])


def test_config_and_data_dir(tmp_path, monkeypatch):
    for name in ("LITMUS_DATA_DIR", "LITMUS_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    assert _litmus.config(tmp_path) == {}
    (tmp_path / "litmus.yaml").write_text("data_dir: here\nrecord: required\n")
    assert _litmus.config() == {"data_dir": "here", "record": "required"}
    assert _litmus.data_dir() == str(tmp_path / "here")
    assert _litmus.data_dir(tmp_path / "there") == str(tmp_path / "there")
    monkeypatch.setenv("LITMUS_DATA_DIR", str(tmp_path / "environment"))
    assert _litmus.data_dir() == str(tmp_path / "environment")
    (tmp_path / "litmus.yaml").write_text("data_dir: [\n")
    with pytest.raises(errors.ConfigError, match="litmus.yaml"):
        _litmus.config(tmp_path)


def test_version():
    import litmus

    assert _litmus.version == litmus.__version__


def test_every_public_thing_is_documented():
    from litmus.data import channel_store, event_store, parquet_backend, run_store

    classes = [_litmus.Session, _litmus.Table, _litmus.Query, _litmus.Follow, event_store.Subscription]
    classes += [run_store.RunStore, event_store.EventStore, parquet_backend.ParquetBackend, channel_store.ChannelStore]
    classes += [getattr(errors, name) for name in errors.__all__ if name != "from_code"]
    bare = []
    for cls in classes:
        for name, member in [("", cls), *inspect.getmembers(cls)]:
            if not name.startswith("_") and name not in dir(OSError()) and (callable(member) or inspect.isdatadescriptor(member)):
                if not inspect.getdoc(member):
                    bare.append(f"{cls.__name__}.{name}")
    functions = ["config", "data_dir", "event_types", "read_parquet", "start_daemon"]
    bare += [name for name in functions if not getattr(_litmus, name).__doc__]
    assert bare == []


def test_stub_names_what_is_there():
    text = Path(_litmus.__file__).with_name("_litmus.pyi")
    if not text.is_file():
        pytest.skip("the stub is not installed beside the extension")
    import ast

    tree = ast.parse(text.read_text())
    stub = {node.name: node for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    for name in ("Session", "Table", "Query", "Follow"):
        methods = {node.name for node in stub[name].body if isinstance(node, ast.FunctionDef)} - {"__init__"}
        there = {n for n in vars(getattr(_litmus, name)) if not n.startswith("__") or n in methods}
        assert methods == there, name
        for node in stub[name].body:
            method = getattr(getattr(_litmus, name), node.name, None) if isinstance(node, ast.FunctionDef) else None
            if node.decorator_list if isinstance(node, ast.FunctionDef) else True:
                continue
            if node.name.startswith("__"):
                continue
            parameters = [p for p in inspect.signature(method).parameters if p != "self"]
            assert parameters == [a.arg for a in node.args.posonlyargs + node.args.args if a.arg != "self"], node.name
    assert {n for n, node in stub.items() if isinstance(node, ast.FunctionDef)} == {
        n for n in vars(_litmus) if inspect.isbuiltin(getattr(_litmus, n))
    }


def test_finds_its_program(monkeypatch, tmp_path):
    from litmus import _exe

    program = tmp_path / "bin" / "litmus"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    assert _exe.find() != str(program)  # may not be executed
    program.chmod(0o755)
    assert _exe.find() == str(program)

# SPDX-License-Identifier: Apache-2.0
"""EventStore: the read API of the run schema, section 9."""

from __future__ import annotations

import datetime
import logging
import threading
import time
import uuid

import pytest

_litmus = pytest.importorskip("litmus._litmus")
from litmus import errors  # noqa: E402
from litmus.data.event_store import EventStore  # noqa: E402


@pytest.fixture
def store(data_dir):
    with EventStore(data_dir, daemon=False) as opened:
        yield opened


class Heard(list):
    """A callback, and what it was told."""

    def __call__(self, event) -> None:
        self.append(event)

    def wait(self, count: int) -> list:
        end = time.monotonic() + 100
        while len(self) < count and time.monotonic() < end:
            time.sleep(0.005)
        return [event.get("n") for event in self]


def test_nothing_there(store):
    assert store.events() == store.sessions() == store.events_for_unmaterialized_runs() == []
    assert len(store.table()) == 0


def test_filters(store, session, data_dir):
    run_id = str(uuid.uuid4())
    session.emit("vendor.a", {"n": 1, "role": "dmm"})
    session.emit("vendor.b", {"n": 2, "instrument_role": "dmm"})
    session.emit("run.started", {"dut_serial": "SN"}, run_id)
    middle = datetime.datetime.now(datetime.timezone.utc)
    session.emit("channel.started", {"channel_id": "dmm.v"}, run_id)
    session.emit("channel.started", {"channel_id": "dmmx.v"}, run_id)
    with _litmus.Session(data_dir, daemon=False) as other:
        other.emit("vendor.a", {"n": 3})
    everything = store.events()
    assert len(everything) == 9
    received = [event["received_at"] for event in everything]
    assert received == sorted(received)
    assert [e["event_type"] for e in store.events(run_id=run_id)] == ["run.started", "channel.started", "channel.started"]
    assert store.events(run_id=uuid.UUID(run_id), session_id=uuid.UUID(session.id)) == store.events(run_id=run_id)
    assert [e["n"] for e in store.events(event_type="vendor.a")] == [1, 3]
    assert [e["n"] for e in store.events(event_type="vendor.a", session_id=other.id)] == [3]
    assert [e["id"] for e in store.events(role="dmm")] == [everything[1]["id"], everything[2]["id"], everything[4]["id"]]
    assert store.events(since=middle) == everything[4:] == store.events(since=everything[4]["received_at"])
    assert store.events(limit=2) == everything[-2:] and store.events(limit=0) == store.events(limit=None) == everything
    assert store.events(event_type="vendor.a", limit=1)[0]["n"] == 3
    assert store.events(session_id="nonsense") == []
    assert [e["session_id"] for e in store.sessions()] == [session.id, other.id]
    assert store.events(event_type="test.steps_discovered", session_id=session.id) == []
    with pytest.raises(errors.InvalidArgument):
        store.events(since="yesterday")


def test_table(store, session):
    pa = pytest.importorskip("pyarrow")
    session.emit("vendor.a", {})
    table = pa.table(store.table())
    assert table.column_names[:7] == ["id", "event_type", "occurred_at", "received_at", "session_id", "run_id", "json"]
    assert table.num_rows == 2


def test_emit(store, data_dir):
    run_id, event_id, session_id = (str(uuid.uuid4()) for _ in range(3))
    when = datetime.datetime(2026, 5, 16, 14, 30, tzinfo=datetime.timezone.utc)
    event = {"event_type": "vendor.a", "id": event_id, "session_id": session_id, "run_id": run_id, "occurred_at": when, "n": 5}
    given = dict(event)
    assert store.emit(event) == event_id and event == given
    (got,) = store.events()
    assert (got["id"], got["session_id"], got["run_id"], got["n"]) == (event_id, session_id, run_id, 5)
    assert got["occurred_at"] == "2026-05-16T14:30:00.000000Z"
    again = store.emit({**got, "id": None, "event_type": "vendor.copy"})
    assert store.events(event_type="vendor.copy")[0]["id"] == again != event_id
    first, second = store.emit({"event_type": "vendor.b"}), store.emit({"event_type": "vendor.b"})
    assert first != second and len({e["session_id"] for e in store.events(event_type="vendor.b")}) == 1
    with EventStore(data_dir) as other:  # visible to others at once
        store.flush()
        assert len(other.events()) == 4
    for bad in ({}, {"event_type": 5}, {"event_type": "test.step_started", "run_id": run_id}, {"event_type": "vendor.a", "session_id": "x"}):
        with pytest.raises(errors.LitmusError):
            store.emit(bad)


def test_unmaterialized_runs(store, data_dir):
    done, going = str(uuid.uuid4()), str(uuid.uuid4())
    with _litmus.Session(data_dir, daemon=False) as session:
        session.emit("run.started", {}, done)
        session.emit("run.ended", {"outcome": "passed"}, done)
    session = _litmus.Session(data_dir, daemon=False)
    session.emit("run.started", {}, going)
    session.emit("vendor.a", {"n": 1}, going)
    session.emit("vendor.a", {"n": 2})
    assert [e["event_type"] for e in store.events_for_unmaterialized_runs()] == ["run.started", "vendor.a"]
    assert {e["run_id"] for e in store.events_for_unmaterialized_runs()} == {going}
    since = store.events(event_type="vendor.a")[0]["received_at"]
    assert [e["event_type"] for e in store.events_for_unmaterialized_runs(since=since)] == ["vendor.a"]
    heard = Heard()
    stop = store.on_event(heard, replay="unmaterialized_runs")
    session.emit("vendor.a", {"n": 3})
    assert heard.wait(3)[1:] == [1, 3]
    stop()
    session.close()


@pytest.mark.parametrize("replay", ["matching", "none"])
def test_on_event(store, session, replay):
    session.emit("vendor.a", {"n": 1})
    session.emit("vendor.b", {"n": 2})
    session.emit("vendor.a", {"n": 3})
    heard = Heard()
    stop = store.on_event(heard, event_type="vendor.a", replay=replay)
    past = [1, 3] if replay == "matching" else []
    assert [e["n"] for e in heard] == past  # told before on_event returned
    session.emit("vendor.a", {"n": 4})
    session.emit("vendor.b", {"n": 5})
    session.emit("vendor.a", {"n": 6})
    assert heard.wait(len(past) + 2) == [*past, 4, 6]
    assert stop.active
    stop()
    stop()
    session.emit("vendor.a", {"n": 7})
    time.sleep(0.15)
    assert not stop.active and [e["n"] for e in heard] == [*past, 4, 6]


def test_on_event_of_new_sessions_and_our_own(store, data_dir):
    heard = Heard()
    store.on_event(heard, event_type="vendor.a")
    for n in range(3):
        with _litmus.Session(data_dir, daemon=False) as session:
            session.emit("vendor.a", {"n": n})
    store.emit({"event_type": "vendor.a", "n": 3})
    assert sorted(heard.wait(4)) == [0, 1, 2, 3]


def test_on_event_since(store, session):
    session.emit("vendor.a", {"n": 1})
    time.sleep(0.002)
    session.emit("vendor.a", {"n": 2})
    since = store.events(event_type="vendor.a")[1]["received_at"]
    heard = Heard()
    store.on_event(heard, event_type="vendor.a", since=since)
    later = Heard()
    store.on_event(later, event_type="vendor.a", since=datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1))
    session.emit("vendor.a", {"n": 3})
    assert heard.wait(2) == [2, 3] and later == []


def test_on_event_each_once_while_others_write(store, data_dir):
    """Subscribes again and again while two writers go on: nothing missed, nothing twice, in order."""
    stop = threading.Event()
    sent = [0, 0]

    def write(number: int) -> None:
        with _litmus.Session(data_dir, daemon=False) as session:
            while not stop.is_set():
                session.emit("vendor.a", {"writer": number, "n": sent[number]})
                sent[number] += 1
                time.sleep(0.0005)

    writers = [threading.Thread(target=write, args=(n,)) for n in range(2)]
    for writer in writers:
        writer.start()
    heard = []
    for _ in range(5):
        heard.append(Heard())
        store.on_event(heard[-1], event_type="vendor.a")
        time.sleep(0.03)
    time.sleep(0.1)
    stop.set()
    for writer in writers:
        writer.join()
    for one in heard:
        one.wait(sum(sent))
        for number in range(2):
            assert [e["n"] for e in one if e["writer"] == number] == list(range(sent[number]))


def test_failing_callback(store, session, caplog):
    calls = []

    def callback(event) -> None:
        calls.append(event["n"])
        raise ValueError("no")

    heard = Heard()
    with caplog.at_level(logging.ERROR, "litmus"):
        session.emit("vendor.a", {"n": 1})
        store.on_event(callback, event_type="vendor.a")
        store.on_event(heard, event_type="vendor.a")
        session.emit("vendor.a", {"n": 2})
        assert heard.wait(2) == [1, 2]
        end = time.monotonic() + 100
        while len(calls) < 2 and time.monotonic() < end:
            time.sleep(0.005)
    assert calls == [1, 2] and "callback" in caplog.text


def test_callback_that_unsubscribes(store, session):
    seen = []

    def callback(event) -> None:
        seen.append(event["n"])
        stop()

    stop = store.on_event(callback, event_type="vendor.a", replay="none")
    for n in range(5):
        session.emit("vendor.a", {"n": n})
    time.sleep(0.2)
    assert seen == [0]


def test_replay_word(store):
    with pytest.raises(errors.InvalidArgument):
        store.on_event(print, replay="all")
    with pytest.raises(errors.InvalidArgument, match="cannot be called"):
        store.on_event(None)


def test_close_ends_subscriptions(data_dir):
    store = EventStore(data_dir, daemon=False)
    stop = store.on_event(Heard())
    store.emit({"event_type": "vendor.a"})
    store.close()
    store.close()
    assert not stop.active
    with pytest.raises(errors.StateError):
        store.events()
    with EventStore(data_dir, daemon=False) as other:
        assert len(other.events()) == 1

# SPDX-License-Identifier: Apache-2.0
"""Several units at once: each a run of its own, sync points, and what becomes of the others when one dies."""

from __future__ import annotations

import json
import os
import pathlib
import pty
import select
import shutil
import signal
import subprocess
import sys
import uuid

import pytest
from harness import addopts

_litmus = pytest.importorskip("litmus._litmus")
from litmus.data.event_store import EventStore  # noqa: E402
from litmus.slots._meeting import Meeting  # noqa: E402

# ---- sync points, without processes ----


def test_a_point_is_complete_when_all_are_there():
    meeting = Meeting(["a", "b"])
    assert meeting.arrive("a", "x", 1) == []
    assert meeting.arrive("a", "y", 2) == []  # another process of the slot, at another point
    assert meeting.arrive("b", "x", 3) == [("x", [1, 3])]
    assert meeting.arrive("b", "x", 4) == []  # the same name again is another point
    assert meeting.arrive("b", "y", 5) == [("y", [2, 5])]


def test_who_has_ended_is_not_waited_for():
    meeting = Meeting(["a", "b", "c"])
    assert meeting.arrive("a", "x", 1) == [] and meeting.end("b") == []
    assert meeting.end("c") == [("x", [1])]
    assert meeting.ended() == ["b", "c"]
    assert meeting.arrive("a", "y", 2) == [("y", [2])]


def test_who_gives_up_learns_who_was_not_there():
    meeting = Meeting(["a", "b", "c"])
    meeting.arrive("a", "x", 1)
    meeting.arrive("b", "x", 2)
    assert meeting.leave(1) == ("x", ["c"])
    assert meeting.leave(1) == (None, [])
    assert meeting.arrive("c", "x", 3) == []  # a must come again
    assert meeting.arrive("a", "x", 4) == [("x", [2, 3, 4])]


# ---- the whole ----


class Slots:
    def __init__(self, folder: pathlib.Path):
        self.folder, self.data = folder, folder / "data"
        self.program = shutil.which("litmus", path=os.path.dirname(sys.executable)) or "litmus"

    def start(self, test: str, *options: str, serials: str = "SN1,SN2,SN3") -> subprocess.Popen:
        (self.folder / "test_it.py").write_text("import os\nfrom litmus import slots\nMINE = os.environ['LITMUS_SLOT_ID']\n" + test)
        env = {key: value for key, value in os.environ.items() if not key.startswith(("LITMUS_", "PYTEST_"))}
        env.update(LITMUS_DATA_DIR=str(self.data), LITMUS_NO_DAEMON="1", COLUMNS="80", PYTEST_ADDOPTS=addopts(test, *options))
        command = [self.program, "slots", "run", "--serials", serials, *options, "--", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        return subprocess.Popen(command, env=env, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)

    def run(self, *arguments, **options) -> tuple:
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=600)
        return process.returncode, out, err

    def events(self, event_type: str) -> list:
        with EventStore(self.data, daemon=False) as store:
            return [dict(event) for event in store.events(event_type=event_type, limit=0)]

    def outcomes(self) -> dict:
        return {event["slot_id"]: event["outcome"] for event in self.events("slot.completed")}


@pytest.fixture
def slots(tmp_path) -> Slots:
    return Slots(tmp_path)


def test_each_slot_is_a_run_of_its_own(slots):
    code, out, err = slots.run(
        "def test_a():\n    assert slots.sync('warm', timeout=600) == []\n    assert MINE != 'b'\n", "--slots", "a,b,c", "--logs", str(slots.folder / "logs")
    )
    assert code == 1, out + err
    started = {event["slot_id"]: event for event in slots.events("run.started")}
    assert {(name, event["slot_index"], event["dut_serial"]) for name, event in started.items()} == {("a", 0, "SN1"), ("b", 1, "SN2"), ("c", 2, "SN3")}
    assert len({event["session_id"] for event in started.values()}) == 3
    assert slots.outcomes() == {"a": "passed", "b": "failed", "c": "passed"}
    assert {event["slot_id"] for event in slots.events("sync.arrived")} == {"a", "b", "c"}
    (released,) = slots.events("sync.release")
    (session,) = [event for event in slots.events("session.started") if event["session_id"] == released["session_id"]]
    assert (session["slot_count"], session["session_type"]) == (3, "slots")
    (ended,) = [event for event in slots.events("session.ended") if event["session_id"] == released["session_id"]]
    assert ended["outcome"] == "failed"
    assert any(line.startswith("a SN1 | 1 passed") for line in out.splitlines()), out
    assert "slot b  SN2  failed (1)" in err
    assert "1 passed" in (slots.folder / "logs" / "c.log").read_text()
    assert len(list(slots.data.glob("runs/*/*.parquet"))) == 3


def test_a_slot_that_is_killed_harms_no_other(slots):
    kill = "import signal\ndef test_a():\n    if MINE == '2': os.kill(os.getpid(), signal.SIGKILL)\n    assert slots.sync('x', timeout=600) == ['2']\ndef test_b(): pass\n"
    code, out, err = slots.run(kill)
    assert code == 128 + signal.SIGKILL, out + err
    assert slots.outcomes() == {"1": "passed", "2": "errored", "3": "passed"}
    assert "slot 2 (SN2): ended by SIGKILL" in err
    assert sum(event["outcome"] == "passed" for event in slots.events("run.ended")) == 2


def test_a_time_out_names_who_is_missing(slots):
    absent = (
        "def test_a():\n    if MINE == '1':\n        try: slots.sync('x', timeout=0.5)\n        except slots.SyncTimeout as exc:\n"
        "            assert exc.missing == ['2'] and str(exc) == \"sync point 'x': 2 did not arrive within 0.5 s\"\n        else: assert False\n"
        "    slots.sync('end', timeout=600)\n"
    )
    code, out, err = slots.run(absent, serials="SN1,SN2")
    assert code == 0, out + err


def test_ctrl_c_ends_all_in_good_order(slots):
    process = slots.start("import threading\ndef test_a():\n    slots.sync('x', timeout=600)\n    threading.Event().wait(600)\ndef test_b(): pass\n", "--slots", "a,b,c")
    while not slots.data.exists() or not slots.events("sync.release"):  # they are all in their tests
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 2, out + err
    assert [event["outcome"] for event in slots.events("run.ended")] == ["terminated"] * 3
    assert set(slots.outcomes().values()) == {"failed"}


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["run", "--", "true"], "--serials is missing"),
        (["run", "--serials", "A"], "the command that tests a unit is missing"),
        (["rn", "--serials", "A", "--", "true"], 'slots knows "run" and "status"'),
        (["run", "--serials", "A,A", "--", "true"], "the serial A is there twice"),
        (["run", "--serials", "A,,B", "--", "true"], "'' is no serial"),
        (["run", "--serials", "A,B", "--slots", "x", "--", "true"], "1 slots for 2 serials"),
    ],
)
def test_wrong_usage(slots, arguments, words):
    done = subprocess.run([slots.program, "slots", *arguments], capture_output=True, text=True, env={**os.environ, "LITMUS_DATA_DIR": str(slots.data)}, timeout=600)
    assert done.returncode == 2 and words in done.stderr, done.stderr


def test_a_command_that_is_not_there(slots):
    env = {**os.environ, "LITMUS_DATA_DIR": str(slots.data), "LITMUS_NO_DAEMON": "1"}
    done = subprocess.run([slots.program, "slots", "run", "--serials", "A,B", "--", "no-such-program"], capture_output=True, text=True, env=env, timeout=600)
    assert done.returncode == 127 and "cannot start no-such-program: No such file or directory" in done.stderr
    assert slots.outcomes() == {"1": "errored", "2": "errored"}


def test_alone_a_sync_point_is_passed_at_once(monkeypatch):
    from litmus import slots as module

    monkeypatch.delenv("LITMUS_SLOT_ID", raising=False)
    assert module.sync("x") == [] and module.current() is None
    with pytest.raises(ValueError, match="the name of a sync point"):
        module.sync("")
    for wrong in (-1, float("nan"), float("inf"), None, "5", True):
        with pytest.raises(ValueError, match="the timeout of a sync point is 0 to 1000000000 seconds"):
            module.sync("x", timeout=wrong)


def test_the_one_who_ran_the_slots_is_gone(monkeypatch, tmp_path):
    from litmus import slots as module

    monkeypatch.setenv("LITMUS_SLOT_ID", "1")
    monkeypatch.setenv("LITMUS_SLOT_SOCKET", str(tmp_path / "none"))
    with pytest.raises(module.SlotsError, match="litmus slots does not answer"):
        module.sync("x", timeout=1)


def test_several_units_in_one_session(slots):
    import uuid

    import pyarrow.parquet as pq

    from litmus import _litmus

    session = _litmus.Session(data_dir=str(slots.data), payload={"slot_count": 2}, daemon=False)
    runs = {name: str(uuid.uuid4()) for name in ("left", "right")}
    step = {"step_name": "a", "step_index": 0, "step_path": "t/a", "vector_index": 0}
    for event_type in ("run.started", "test.step_started", "test.step_ended", "run.ended"):  # one beside the other
        for name, run_id in runs.items():
            payload = {"run.started": {"slot_id": name, "dut_serial": f"SN-{name}"}, "run.ended": {"outcome": "passed"}}.get(event_type)
            session.emit(event_type, payload or dict(step, **({"outcome": "passed", "vector_outcome": "passed"} if event_type == "test.step_ended" else {})), run_id)
    session.close("passed")
    rows = [row for path in slots.data.glob("runs/*/*.parquet") for row in pq.read_table(path).to_pylist() if row["record_type"] == "step"]
    assert {(row["run_id"], row["slot_id"], row["dut_serial"], row["step_outcome"]) for row in rows} == {
        (run_id, name, f"SN-{name}", "passed") for name, run_id in runs.items()
    }


# ---- the view of them all ----


class Unit:
    """A run of a slot in a session that has several."""

    def __init__(self, session, slot: str, serial: str, steps: int = 3):
        self.session, self.run_id = session, str(uuid.uuid4())
        self.emit("run.started", {"slot_id": slot, "dut_serial": serial})
        self.emit("test.steps_discovered", {"items": [{"node_id": f"bench/step_{n}", "step_path": f"bench/step_{n}", "name": f"step_{n}"} for n in range(steps)]})

    def emit(self, event_type: str, payload: dict) -> None:
        self.session.emit(event_type, payload, self.run_id)

    @staticmethod
    def step(n: int) -> dict:
        return {"node_id": f"bench/step_{n}", "step_path": f"bench/step_{n}", "step_name": f"step_{n}", "step_index": n}

    def begin(self, n: int) -> None:
        self.emit("test.step_started", self.step(n))

    def end(self, n: int, outcome: str = "passed") -> None:
        self.emit("test.step_ended", {**self.step(n), "outcome": outcome})


def status(data, *options: str) -> list:
    done = subprocess.run([pathlib.Path(sys.executable).with_name("litmus"), "slots", "status", "--json", "-d", data, *options], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_latest_run_of_every_slot_is_shown(tmp_path):
    with _litmus.Session(tmp_path, daemon=False) as session:
        Unit(session, "1", "SN-0").emit("run.ended", {"outcome": "passed"})
        ten, one, two = Unit(session, "10", "SN-10"), Unit(session, "1", "SN-1"), Unit(session, "2", "SN-2")
        for n, outcome in enumerate(("passed", "failed", "passed")):
            two.begin(n)
            two.end(n, outcome)
        two.emit("run.ended", {"outcome": "failed"})
        one.begin(0)
        one.end(0)
        one.begin(1)
        seen = [[row[key] for key in ("slot_id", "dut_serial", "step", "done", "planned", "failed", "outcome", "live")] for row in status(tmp_path)]
        assert seen == [["1", "SN-1", "step_1", 1, 3, 0, None, True], ["2", "SN-2", None, 3, 3, 1, "failed", False], ["10", "SN-10", None, 0, 3, 0, None, True]]
        assert [row["run_id"] for row in status(tmp_path)] == [one.run_id, two.run_id, ten.run_id]
        assert status(tmp_path, "--since", "2999-01-01") == []


def test_the_view_follows_on_a_terminal(tmp_path, request):
    leader, follower = pty.openpty()
    env = {**{key: value for key, value in os.environ.items() if not key.startswith("LITMUS_")}, "TERM": "xterm", "NO_COLOR": "1"}
    command = [pathlib.Path(sys.executable).with_name("litmus"), "slots", "status", "--follow", "-d", str(tmp_path)]
    with _litmus.Session(tmp_path, daemon=False) as session:
        left, right = Unit(session, "left", "SN-1"), Unit(session, "right", "SN-2")
        process = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, env=env)
        os.close(follower)
        request.addfinalizer(process.kill)
        seen = ""

        def until(*words: str) -> None:
            """Reads the screen until its last picture has all of it."""
            nonlocal seen
            while not all(word in seen.rsplit("\x1b[J", 1)[-1] for word in words):
                assert select.select([leader], [], [], 60)[0], seen
                more = os.read(leader, 65536).decode()
                assert more, seen
                seen += more

        until("SLOT", "left", "right", "0/3", "running")
        left.begin(0)
        until("step_0")
        left.end(0, "failed")
        right.begin(1)
        until("1/3", "step_1")
        left.emit("run.ended", {"outcome": "failed"})
        until("failed")
        assert "\x1b[3A\x1b[J" in seen  # in its place
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 128 + signal.SIGINT
    os.close(leader)

# SPDX-License-Identifier: Apache-2.0
"""A run in flight: followed step by step, and in every answer. Each test of the run waits for a byte; nothing here waits for time."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

import litmus
from litmus.data.run_store import RunStore

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from test_cli import LITMUS, environment, ok, on_terminal, run  # noqa: E402

SUITE = """
import os, pytest
@pytest.mark.parametrize("n", range(3))
def test_step(n):
    os.write(int(os.environ["UP"]), b"!")
    assert os.read(int(os.environ["GO"]), 1) == b"p", "told to fail"
@pytest.mark.skip(reason="no load")
def test_load(): pass
"""


class Bench:
    """A pytest that goes on, a byte a test, when it is told to."""

    def __init__(self, folder: pathlib.Path):
        self.data, self.suite = folder / "data", folder / "suite"
        self.suite.mkdir()
        (self.suite / "test_it.py").write_text(SUITE)
        self.started: list[subprocess.Popen] = []

    def start(self, *options, **more):
        wait, self.go = os.pipe()
        self.up, tell = os.pipe()
        self.run = subprocess.Popen([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options], cwd=self.suite, pass_fds=[wait, tell],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                                    env=environment(LITMUS_DATA_DIR=str(self.data), GO=str(wait), UP=str(tell), **more))  # fmt: skip
        os.close(wait)
        os.close(tell)
        self.started.append(self.run)

    def tell(self, what: str):
        os.write(self.go, what.encode())

    def command(self, *words):
        """A litmus that goes on beside the run."""
        process = subprocess.Popen([LITMUS, *words, "-d", str(self.data)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
        self.started.append(process)
        return process

    def wait_until_it_runs(self):
        """Until it is in its first step, which is on record by then."""
        assert os.read(self.up, 1) == b"!"

    def end(self):
        for process in self.started:
            process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        run("daemon", "stop", "-d", self.data)


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    made.end()


def next_of(follower, kind):
    """The next line of this type; those between are passed over."""
    for line in follower.stdout:
        told = json.loads(line)
        if told["type"] == kind:
            return told
    raise AssertionError(f"it ended without {kind}: {follower.stderr.read()}")


def test_steps_are_told_as_they_start_and_end(bench):
    bench.start()
    bench.wait_until_it_runs()
    follower = bench.command("show", "--follow", "--json")
    plan = next_of(follower, "plan")
    assert (plan["planned"], plan["earlier_runs"], plan["left_s"]) == (4, 0, None)
    for number, what in enumerate("pfp"):  # a step is told before the next one may begin
        started = next_of(follower, "step_started")
        assert started["node_id"] == f"test_it.py::test_step[{number}]" and started["done"] == number
        bench.tell(what)
        ended = next_of(follower, "step_ended")
        assert (ended["vector_index"], ended["outcome"], ended["done"]) == (number, "passed" if what == "p" else "failed", number + 1)
        assert ended["duration_s"] >= 0
    assert "told to fail" not in json.dumps(ended)
    left_out = next_of(follower, "step_not_run")
    assert (left_out["reason"], left_out["done"], left_out["planned"]) == ("skip_marker", 4, 4)
    last = next_of(follower, "run_ended")
    assert (last["producer_died"], last["run"]["outcome"], last["run"]["passed"], last["run"]["failed"], last["run"]["never_ran"]) == (False, "failed", 2, 1, 1)
    assert follower.wait(100) == 0 and follower.stderr.read() == ""


def test_lines_and_the_sum(bench):
    bench.start()
    bench.wait_until_it_runs()
    follower = bench.command("show", "last", "--follow")
    assert follower.stdout.readline() == "4 planned\n"
    assert follower.stdout.readline() == "▸ running    test_it.py::test_step[0]\n"
    bench.tell("pfp")
    rest = follower.stdout.read()
    assert "✗ failed     test_it.py::test_step[1]" in rest and "told to fail" in rest and "○ Never Ran  test_it.py::test_load  no load\n" in rest
    assert rest.endswith("outcome  failed\n4 planned = 2 passed + 1 failed + 1 never ran\n")
    assert follower.wait(100) == 0


def test_the_time_left_comes_from_earlier_runs_of_the_plan(bench):
    (bench.suite / "test_it.py").write_text(SUITE.replace('@pytest.mark.skip(reason="no load")\n', ""))
    for _ in range(2):
        bench.start()
        bench.tell("ppp")
        assert bench.run.wait(100) == 0
    bench.start()
    bench.wait_until_it_runs()
    follower = bench.command("show", "--follow", "--json")
    left = [next_of(follower, "plan")]
    assert left[0]["earlier_runs"] == 2
    bench.tell("ppp")
    for _ in range(4):
        left.append(next_of(follower, "step_ended"))
    seconds = [told["left_s"] for told in left]
    whole = [row["duration"] for row in ask(bench.data, "SELECT round(epoch(ended_at - started_at), 3) AS duration FROM runs WHERE NOT live ORDER BY started_at LIMIT 2")]
    assert seconds == sorted(seconds, reverse=True) and 0 < seconds[0] <= max(whole) and seconds[-1] < seconds[0]


def test_ctrl_c_leaves_the_run_alone(bench):
    bench.start()
    bench.wait_until_it_runs()
    follower = bench.command("show", "--follow")
    follower.stdout.readline()
    follower.send_signal(signal.SIGINT)
    assert follower.wait(100) == 130 and follower.stderr.read() == ""
    bench.tell("ppp")
    assert bench.run.wait(100) == 0


@pytest.mark.parametrize("daemon", [True, False])
def test_a_producer_that_is_killed_is_told(bench, daemon):
    bench.start(*([] if daemon else ["--litmus-no-daemon"]))
    bench.wait_until_it_runs()
    follower = bench.command("show", "--follow", "--json")
    next_of(follower, "step_started")
    bench.run.kill()
    last = next_of(follower, "run_ended")
    assert last["producer_died"] and last["run"]["outcome"] == "aborted" and last["run"]["never_ran"] == 3
    assert follower.wait(100) == 0 and "its producer is gone" in follower.stderr.read()


def test_a_run_that_has_ended_is_shown_as_ever(bench):
    bench.start()
    bench.tell("ppp")
    assert bench.run.wait(100) == 0
    assert ok("show", "--follow", "-d", bench.data) == ok("show", "-d", bench.data)
    told = [json.loads(line) for line in ok("show", "--follow", "--json", "-d", bench.data).splitlines()]
    assert [t["type"] for t in told if t["type"].startswith(("plan", "run"))] == ["plan", "run_ended"] and len(told) == 9


def test_on_a_terminal_the_last_line_says_how_far_it_is(bench):
    bench.start()
    bench.wait_until_it_runs()
    bench.tell("ppp")  # it may be over before the command begins, or not: both are shown
    text = on_terminal("show", "--follow", "-d", bench.data)
    assert "3 passed" in text


def ask(data, sql):
    return [json.loads(line) for line in ok("sql", "-d", data, "--json", "-c", sql).splitlines()]


def answers(data):
    """(run, is it live, steps passed) as each way of asking has it."""
    row = json.loads(ok("runs", "--json", "-d", data))
    yield "runs", row["test_run_id"], row["live"], row["passed"]
    shown = json.loads(ok("show", "--json", "-d", data))
    yield "show", shown["run"]["test_run_id"], shown["run"]["live"], sum(s["step_outcome"] == "passed" for s in shown["steps"])
    run_row = ask(data, "SELECT run_id, live FROM live")[0]
    for view in ("steps", "attempts"):
        count = ask(data, f"SELECT count(*) AS n FROM {view} WHERE live AND {'step_outcome' if view == 'steps' else 'outcome'} = 'passed'")[0]["n"]
        yield f"sql, {view}", run_row["run_id"], run_row["live"], count
    store = RunStore(data_dir=data)
    listed = store.list_runs()[0]
    yield "RunStore", listed["test_run_id"], listed["live"], sum(s["step_outcome"] == "passed" for s in store.get_steps(listed["test_run_id"]))
    with litmus.connect(data) as con:
        found = con.sql("SELECT run_id, live, (SELECT count(*) FROM steps s WHERE s.run_id = runs.run_id AND step_outcome = 'passed') FROM runs").fetchone()
    yield ("connect", *found)
    steps = litmus.scan("steps", data_dir=data).to_pylist()
    yield "scan", steps[0]["run_id"], steps[0]["live"], sum(s["step_outcome"] == "passed" for s in steps)


def test_a_run_in_flight_is_in_every_answer(bench):
    """After each event that somebody was told, without any pause."""
    bench.start()
    bench.wait_until_it_runs()
    follower = bench.command("show", "--follow", "--json")
    run_id = next_of(follower, "plan")["run_id"]
    for passed in range(3):
        next_of(follower, "step_started")
        assert [len(ok("runs", "--json", "--outcome", outcome, "-d", bench.data).splitlines()) for outcome in ("running", "passed")] == [1, 0]
        for name, *found in answers(bench.data):
            assert found == [run_id, True, passed], name
        bench.tell("p")
        next_of(follower, "step_ended")
    next_of(follower, "run_ended")
    assert bench.run.wait(100) == 0
    assert json.loads(ok("runs", "--json", "-d", bench.data))["live"] is False
    assert ok("runs", "--json", "--outcome", "running", "-d", bench.data) == ""
    assert ask(bench.data, "SELECT count(*) AS n FROM live") == [{"n": 0}]

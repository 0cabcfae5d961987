# SPDX-License-Identifier: Apache-2.0
"""The daemon as users meet it: the real binary, started by itself, with real producers.

Needs build/dev (`tools/build.sh dev`): the litmus program and the C example, found on PATH as a user's would be.
"""

from __future__ import annotations

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("LITMUS_TEST_BUILD", ROOT / "build" / "dev"))
LITMUS = BUILD / "litmus"
EXECUTIVE = BUILD / "example_test_executive"

pytestmark = pytest.mark.skipif(not (LITMUS.exists() and EXECUTIVE.exists()), reason="build/dev is not built")


class Bench:
    def __init__(self, data_dir: pathlib.Path):
        self.data_dir = data_dir
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("LITMUS_")}
        self.env["PATH"] = f"{BUILD}:{self.env['PATH']}"
        self.env["LITMUS_DAEMON_IDLE"] = "300"  # should a test be killed, nothing stays for ever

    def litmus(self, *arguments, **more) -> subprocess.CompletedProcess:
        command = [LITMUS, *arguments, "--data-dir", self.data_dir]
        return subprocess.run(command, env=self.env | more, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)

    def executive(self, *arguments, **more) -> subprocess.CompletedProcess:
        return subprocess.run([EXECUTIVE, self.data_dir, *arguments], env=self.env | more, capture_output=True, text=True, timeout=300)

    def status(self) -> dict:
        return json.loads(self.litmus("daemon", "status", "--json").stdout)

    def files(self) -> list:
        return sorted(self.data_dir.glob("runs/*/*.parquet"))

    def wait(self, condition, seconds: float = 100):
        """For what has to come: the limit is for a hang alone."""
        end = time.monotonic() + seconds
        while not condition() and time.monotonic() < end:
            time.sleep(0.005)
        assert condition()


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path / "data")
    yield bench
    if bench.data_dir.exists():
        bench.litmus("daemon", "stop")


def outcomes(path: pathlib.Path) -> list:
    """(outcome, why it never ran) of each step row, in row order."""
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = parquet.read_table(path, columns=["record_type", "step_outcome", "never_ran_reason"]).to_pylist()
    return [(row["step_outcome"], row["never_ran_reason"]) for row in rows if row["record_type"] == "step"]


def test_it_starts_by_itself_and_the_file_is_there_on_return(bench):
    done = bench.executive()
    assert (done.returncode, done.stderr) == (0, "")
    assert len(bench.files()) == 1
    status = bench.status()
    assert status["running"] and status["failed"] == 0
    before = status["pid"]
    assert bench.executive().returncode == 0
    assert len(bench.files()) == 2
    assert bench.status()["pid"] == before  # one daemon for all


def test_it_holds_nothing_of_its_starter(bench):
    assert bench.executive(LITMUS_RECORDING="1").returncode == 0  # its output is read to the end: a daemon with our pipe would have left by now
    pid = bench.status()["pid"]
    proc = pathlib.Path(f"/proc/{pid}")
    assert os.readlink(proc / "cwd") == "/"
    links = {int(entry.name): os.readlink(entry) for entry in (proc / "fd").iterdir()}
    assert [links[fd] for fd in (0, 1, 2)] == ["/dev/null"] * 3
    assert not [link for link in links.values() if link.startswith(("pipe:", "/dev/pts", "/dev/tty"))]
    stat = (proc / "stat").read_text().rpartition(")")[2].split()
    assert int(stat[3]) not in (os.getsid(0), 0) and int(stat[4]) == 0  # a session of its own, no terminal
    assert b"LITMUS_RECORDING" not in (proc / "environ").read_bytes()


def test_its_table_of_descriptors_has_room_before_there_are_threads(bench):
    assert bench.litmus("daemon").returncode == 0
    status = pathlib.Path(f"/proc/{bench.status()['pid']}/status").read_text()
    (slots,) = [int(line.split()[1]) for line in status.splitlines() if line.startswith("FDSize:")]
    assert slots > 600  # io.c: where logs are kept open


def test_a_killed_producer_is_on_record(bench):
    bench.executive()
    for count in range(2, 5):
        died = bench.executive("--die")
        assert died.returncode == -signal.SIGKILL
        bench.wait(lambda: len(bench.files()) == count)  # noqa: B023
    last = max(bench.files(), key=lambda path: path.stat().st_mtime_ns)
    assert outcomes(last) == [("passed", None)] * 3 + [("aborted", None)] + [(None, "crash")] * 6


def test_a_killed_daemon_is_replaced_and_its_work_done(bench):
    bench.executive()
    os.kill(bench.status()["pid"], signal.SIGKILL)
    bench.wait(lambda: not bench.status()["running"])
    bench.executive("--die", PATH="/nonexistent")  # nobody notices
    assert len(bench.files()) == 1
    assert bench.executive().returncode == 0  # starts the next daemon, which finds the dead one
    bench.wait(lambda: len(bench.files()) == 3)


def test_without_a_daemon_the_producer_does_the_work(bench):
    assert bench.executive(PATH="/nonexistent").returncode == 0
    assert len(bench.files()) == 1
    assert not bench.status()["running"]


def test_a_run_that_cannot_be_written_is_listed(bench):
    bench.executive()
    runs = bench.data_dir / "runs"
    runs.rename(bench.data_dir / "away")
    runs.write_text("in the way")
    assert bench.executive().returncode != 0
    bench.wait(lambda: bench.status()["failed"] == 1)
    (failure,) = bench.status()["failures"]
    assert "runs" in failure["error"] and len(failure["session_id"]) == 36
    text = bench.litmus("daemon", "status").stdout
    assert f"failed: session {failure['session_id']}: {failure['error']}" in text


def test_status_and_stop_have_exit_codes_for_scripts(bench):
    assert bench.litmus("daemon", "stop").returncode == 0  # none runs: what is wanted is so
    missing = bench.litmus("daemon", "status")
    assert missing.returncode != 0 and "not running" in missing.stdout
    bench.executive()
    assert bench.litmus("daemon", "status").returncode == 0
    assert bench.litmus("daemon", "stop").returncode == 0
    assert not bench.status()["running"]
    assert not (bench.data_dir / "daemon.sock").exists()


def test_nobody_waits_for_a_stopped_one(bench):
    assert bench.executive().returncode == 0
    pid = bench.status()["pid"]
    os.kill(pid, signal.SIGSTOP)
    bench.wait(lambda: "\nState:\tT" in pathlib.Path(f"/proc/{pid}/status").read_text())
    try:
        assert bench.executive().returncode == 0 and len(bench.files()) == 2  # written by the producer
        assert "does not answer: a signal" in bench.litmus("daemon", "status").stdout
        done = bench.litmus("daemon", "stop")
        assert done.returncode == 5 and f"kill -CONT {pid} " in done.stderr
    finally:
        os.kill(pid, signal.SIGCONT)
    assert bench.litmus("daemon", "stop").returncode == 0


def test_another_program_with_the_lock_is_no_daemon(bench):
    bench.data_dir.mkdir()
    (bench.data_dir / "daemon.lock").write_text("pid 99999999\n")  # as one that was killed left it
    holds = "import fcntl, sys; lock = open(sys.argv[1], 'r+'); fcntl.flock(lock, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", holds, bench.data_dir / "daemon.lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"\n"
        said = f"process {other.pid} ("
        answer = bench.litmus("daemon", "status")
        assert answer.returncode == 3 and answer.stdout.startswith("not running") and said in answer.stdout
        assert (bench.status()["running"], bench.status()["lock_pid"]) == (False, other.pid)
        for command in (["stop"], ["--foreground"], []):
            done = bench.litmus("daemon", *command)
            assert done.returncode == 5 and said in done.stderr and "no litmus daemon" in done.stderr
        assert said in bench.litmus("doctor").stdout
        assert bench.executive().returncode == 0 and len(bench.files()) == 1  # written by the producer
        other.stdin.close()
    assert "lock_pid" not in bench.status()


def test_of_many_started_at_once_one_stays(bench):
    bench.data_dir.mkdir()
    command = [LITMUS, "daemon", "--data-dir", bench.data_dir]
    starts = [subprocess.Popen(command, env=bench.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(12)]
    assert [start.wait(timeout=300) for start in starts] == [0] * 12
    for start in starts:
        start.stdout.close()
    assert bench.status()["running"]
    lines = (bench.data_dir / "daemon.log").read_text().splitlines()
    assert len([line for line in lines if "at work on" in line]) == 1


def test_in_the_foreground_it_speaks_and_obeys(bench):
    command = [LITMUS, "daemon", "--foreground", "--data-dir", bench.data_dir]
    with subprocess.Popen(command, env=bench.env, stderr=subprocess.PIPE, text=True) as daemon:
        assert "at work on" in daemon.stderr.readline()
        second = bench.litmus("daemon", "--foreground")
        assert second.returncode != 0 and "litmus daemon stop" in second.stderr
        assert bench.executive().returncode == 0
        assert bench.status()["pid"] == daemon.pid
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(timeout=300) == 0
    assert not (bench.data_dir / "daemon.log").exists()


def test_it_leaves_when_idle(bench):
    bench.executive(LITMUS_DAEMON_IDLE="0.3")
    bench.wait(lambda: not bench.status()["running"])
    assert not (bench.data_dir / "daemon.sock").exists()
    assert "idle" in (bench.data_dir / "daemon.log").read_text()


def test_a_data_dir_that_is_a_file_or_newer_is_refused_by_name(bench):
    bench.data_dir.write_text("not a folder")
    answer = bench.litmus("daemon")
    assert answer.returncode != 0 and str(bench.data_dir) in answer.stderr
    bench.data_dir.unlink()
    bench.data_dir.mkdir()
    (bench.data_dir / "litmus-format").write_text("99\n")
    answer = bench.litmus("daemon")
    assert answer.returncode != 0 and "litmus-format" in answer.stderr and "newer" in answer.stderr
    (bench.data_dir / "litmus-format").unlink()


@pytest.mark.skipif(os.environ.get("LITMUS_TEST_BUILD") is not None, reason="sanitizers need memory of their own")
def test_it_is_small_when_idle(bench):
    for _ in range(5):
        bench.executive()
    proc = pathlib.Path(f"/proc/{bench.status()['pid']}")

    def told(path, what: str) -> int:
        return sum(int(line.split()[1]) for line in (path / "status").read_text().splitlines() if line.startswith(what))

    def woken() -> int:
        return sum(told(task, "voluntary_ctxt_switches:") for task in (proc / "task").iterdir())

    before, begun = woken(), time.monotonic()
    bench.wait(lambda: told(proc, "VmRSS:") <= 10 * 1024)  # some seconds: the workers let go of the catalog, free memory goes back
    assert woken() - before < 100 + 10 * (time.monotonic() - begun)  # it does not poll


@pytest.mark.skipif(os.environ.get("LITMUS_TEST_BUILD") is not None, reason="a sanitizer is loaded first")
def test_kills_while_the_clock_is_set(bench):
    """Producers and daemons are killed at some call while their clock goes to and fro: each run is there once, and all that is proved holds."""
    chance = random.Random(7)

    def shim(at: int, clock: str, **more) -> dict:
        return {"LD_PRELOAD": str(BUILD / "libfault_shim.so"), "LITMUS_SHIM_UNDER": str(bench.data_dir), "LITMUS_SHIM_AT": str(at), "LITMUS_SHIM_HOW": "after",
                "LITMUS_SHIM_NOTE": "/dev/null", "LITMUS_SHIM_CLOCK": clock, "LITMUS_DAEMON_IDLE": "0.05", "PATH": "/nonexistent", **more}

    for _ in range(12):
        assert bench.executive(**shim(chance.choice([0, chance.randrange(5, 60)]), str(chance.randrange(10**9)))).returncode in (0, -signal.SIGKILL)
        assert bench.litmus("daemon", "--foreground", **shim(chance.randrange(5, 150), str(chance.randrange(10**9)))).returncode in (0, -signal.SIGKILL)
    assert bench.litmus("materialize", **shim(0, "5")).returncode == 0

    def events(*more) -> list:
        return [json.loads(line) for line in bench.litmus("events", "--json", "-n0", *more).stdout.splitlines()]

    every = events()
    proof = bench.litmus("verify", "--all", "--json")
    assert proof.returncode == 0, proof.stdout
    assert len({event["id"] for event in every}) == len(every) == json.loads(proof.stdout.splitlines()[-1])["events"]
    begun = sorted(event["run_id"] for event in every if event["event_type"] == "run.started")
    for kind in ("run.ended", "run.materialized"):
        assert sorted(event["run_id"] for event in every if event["event_type"] == kind) == begun
    assert len(bench.files()) == len(begun) > 6
    assert any(event["event_type"] == "clock.stepped" for event in every)
    listed = [json.loads(line)["started_at"] for line in bench.litmus("runs", "--json", "-n0").stdout.splitlines()]
    assert len(listed) == len(begun) and listed == sorted(listed, reverse=True)
    for since in (every[len(every) // 2]["received_at"], every[-3]["received_at"]):  # also of logs that were closed when it was earlier again
        assert [event["id"] for event in events("--since", since)] == [event["id"] for event in every if event["received_at"] >= since]
    refused = bench.litmus("prune", "--keep", "1y", "--yes", **shim(0, "+99999999"))
    assert refused.returncode != 0 and "clock" in refused.stderr and len(bench.files()) == len(begun)


PRODUCER = """
import sys, uuid
from litmus import _litmus
with _litmus.Session(sys.argv[1], daemon_exe=sys.argv[2]) as session:
    run = str(uuid.uuid4())
    session.emit("run.started", {"dut_serial": "SN1"}, run)
    session.emit("test.steps_discovered", {"items": [{"node_id": "a", "step_path": "a", "vector_index": 0, "step_index": 0}]}, run)
    print(run, flush=True)
    sys.stdin.readline()
    session.emit("run.ended", {"outcome": "passed"}, run)
"""


def test_an_upgrade_in_the_middle_of_runs(bench, tmp_path):
    """Another build is moved over the program: the old daemon finishes what it has in hand, and leaves; producers stay of the version that they are of."""
    program, mine = tmp_path / "bin" / "litmus", pathlib.Path(sys.executable).parent / "litmus"
    if not mine.exists():
        pytest.skip("the package is not installed")
    version = subprocess.run([mine, "version"], capture_output=True, text=True).stdout.split()[1]
    program.parent.mkdir()
    shutil.copy(mine, program)
    begun = {}

    def begin() -> subprocess.Popen:
        producer = subprocess.Popen([sys.executable, "-c", PRODUCER, bench.data_dir, program], env=bench.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        begun[producer.stdout.readline().strip()] = producer
        return producer

    def end(producer) -> None:
        producer.communicate("\n", timeout=300)
        assert producer.returncode == 0

    first, killed, last = begin(), begin(), begin()
    old = bench.status()
    other = mine.read_bytes().replace(b"litmus %s\0" % version.encode(), b"litmus 9%s\0" % version[1:].encode())
    (program.parent / "new").write_bytes(other)
    (program.parent / "new").chmod(0o755)
    os.replace(program.parent / "new", program)
    end(first)
    killed.kill()
    killed.communicate()
    bench.wait(lambda: len(bench.files()) == 2)
    end(begin())  # finds the old daemon, which is there as long as somebody needs it
    assert bench.status()["pid"] == old["pid"] and old["version"] == version
    end(last)
    bench.wait(lambda: not pathlib.Path(f"/proc/{old['pid']}").exists())
    end(begin())
    new = bench.status()
    assert new["pid"] != old["pid"] and new["version"] == f"9{version[1:]}"
    events = [json.loads(line) for line in bench.litmus("events", "--json", "-n0").stdout.splitlines()]
    for kind in ("run.ended", "run.materialized"):
        assert sorted(event["run_id"] for event in events if event["event_type"] == kind) == sorted(begun)
    listed = [json.loads(line) for line in bench.litmus("runs", "--json", "-n0").stdout.splitlines()]
    assert {run["test_run_id"]: run["outcome"] for run in listed} == {run: "aborted" if producer is killed else "passed" for run, producer in begun.items()}
    assert len(bench.files()) == len(begun) == 5
    findings = bench.litmus("verify", "--all").stdout.splitlines()
    assert len(findings) == 1 and "its rows are right" in findings[0]  # who reads a file of another version is told
    assert bench.litmus("rebuild").returncode == 0 and bench.litmus("verify", "--all").returncode == 0

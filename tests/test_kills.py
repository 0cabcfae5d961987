# SPDX-License-Identifier: Apache-2.0
"""SIGKILL of pytest at random moments: with a daemon, without one, under xdist, and of xdist's controller or workers alone.

A conftest writes down each test once its protocol is over, after the plugin's hooks: from then on its outcome is
promised. What was promised is in the log and in the run's file, every planned test has one row, and none is double.
Some kills in a test run; as many as there is time for in `make soak` (LITMUS_SOAK, minutes), with the figures.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "python" / "tests"))

from harness import needs, real_core  # noqa: E402

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
pytestmark = [pytest.mark.skipif(not real_core(), reason="needs the core"), pytest.mark.skipif(sys.platform != "linux", reason="signals")]

SOAK_MIN = float(os.environ.get("LITMUS_SOAK") or 0)
BIN = pathlib.Path(sys.executable).parent
TESTS = 60

SUITE = """
import os
import time
import pytest

@pytest.mark.parametrize("n", range(%d))
def test_it(n):
    time.sleep(n %% 5 / 1000)
    if n == %d and "HOLD" in os.environ:
        time.sleep(600)  # until it is killed
    if n %% 7 == 3:
        pytest.skip("not here")
    assert n %% 5 != 2
""" % (TESTS, TESTS - 1)

CONFTEST = """
import os
import pytest

@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    result = yield
    if result.excinfo:
        return
    fd = os.open(os.environ["PROMISED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{os.getpid()} {item.nodeid}\\n".encode())
    os.close(fd)
"""


def expected_outcome(node_id: str) -> str:
    n = int(node_id.rpartition("[")[2].rstrip("]"))
    return "skipped" if n % 7 == 3 else "failed" if n % 5 == 2 else "passed"


@dataclasses.dataclass
class Tally:
    kills: int = 0
    lost: int = 0
    wrong: int = 0
    late: int = 0
    waits_ms: list = dataclasses.field(default_factory=list)

    def tell(self, name: str) -> None:
        waits = sorted(self.waits_ms)
        figures = {"": self.kills, ": events lost": self.lost, ": rows missing, double or wrong": self.wrong}
        if waits:
            figures |= {": no file after one second": self.late, ": median until the file, ms": waits[len(waits) // 2], ": slowest file, ms": waits[-1]}
        path = os.environ.get("LITMUS_SOAK_FIGURES")
        if path:
            with open(path, "a") as out:
                out.writelines(f"{json.dumps(name + key)}: {round(value)}\n" for key, value in figures.items())


class Killer:
    def __init__(self, folder: pathlib.Path, *options: str):
        self.folder, self.options = folder, options
        self.data_dir = folder / "data"
        self.tally = Tally()
        self.random = random.Random(None if SOAK_MIN else 7)
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(("LITMUS_", "PYTEST_"))}
        self.env |= {"PROMISED": str(folder / "promised"), "LITMUS_DAEMON_IDLE": "300", "PATH": f"{BIN}:{self.env['PATH']}"}
        (folder / "test_it.py").write_text(SUITE)
        (folder / "conftest.py").write_text(CONFTEST)
        (folder / "pytest.ini").write_text("[pytest]\n")

    def promised(self) -> list:
        path = self.folder / "promised"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.split(" ", 1) for line in lines]

    def files(self) -> set:
        return set(self.data_dir.glob("runs/*/*.parquet"))

    def logs(self) -> set:
        return set(self.data_dir.glob("events/*/*.arrow"))

    def start(self, **more: str) -> subprocess.Popen:
        (self.folder / "promised").unlink(missing_ok=True)
        command = [BIN / "pytest", "-q", "-p", "no:cacheprovider", f"--litmus-data-dir={self.data_dir}", *self.options]
        return subprocess.Popen(command, cwd=self.folder, env=self.env | more, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                start_new_session=True)

    def wait_for_promises(self, process: subprocess.Popen, count: int) -> None:
        until = time.monotonic() + 300
        while len(self.promised()) < count and process.poll() is None and time.monotonic() < until:
            time.sleep(0.001)

    def kill_run(self, daemon: bool, whom: str = "group") -> None:
        """One run, killed after some promises: all its processes, its controller alone, or one of its workers."""
        files, logs = self.files(), self.logs()
        process = self.start(**({"HOLD": "1"} if whom == "group" else {}))
        self.wait_for_promises(process, self.random.randrange(whom == "worker", TESTS - 10))
        time.sleep(self.random.random() / 100)
        self.kill(process, whom)
        killed = time.monotonic()
        process.wait(timeout=600)
        if not daemon:
            assert whom == "worker" or process.returncode != -signal.SIGKILL or self.files() == files
            self.litmus("materialize")  # others of its processes may live
        wait_until(lambda: self.files() - files or group_is_gone(process.pid))
        if daemon and process.returncode == -signal.SIGKILL and self.run_id(logs):
            wait_until(lambda: self.files() - files)
            wait_ms = (time.monotonic() - killed) * 1000
            self.tally.waits_ms.append(wait_ms)
            self.tally.late += wait_ms > 1000
        wait_until(lambda: group_is_gone(process.pid))
        if not daemon:
            self.litmus("materialize")
        if not self.run_id(logs):
            assert not self.promised()
            return  # before there was a run
        wait_until(lambda: self.files() - files)
        (path,) = self.files() - files
        run_id = self.run_id(logs)
        wait_until(lambda: self.is_proved(run_id))  # all of its logs are finished, and nothing in them is in no row
        self.judge(path, self.logs() - logs)

    def kill(self, process: subprocess.Popen, whom: str) -> None:
        if whom == "group":
            os.killpg(process.pid, signal.SIGKILL)
            return
        try:
            os.kill(process.pid if whom == "controller" else int(self.promised()[-1][0]), signal.SIGKILL)
        except (ProcessLookupError, IndexError):
            pass  # it has done its work

    def run_id(self, logs: set) -> str | None:
        return next((event["run_id"] for event in read_events(self.logs() - logs) if event["event_type"] == "run.started"), None)

    def litmus(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        command = [BIN / "litmus", *arguments, "--data-dir", self.data_dir]
        return subprocess.run(command, env=self.env, check=check, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)

    def is_proved(self, run_id: str) -> bool:
        verify = self.litmus("verify", run_id, check=False)
        return verify.returncode == 0 and "in no row" not in verify.stdout

    def judge(self, path: pathlib.Path, logs: set) -> None:
        events = read_events(logs)
        plan = [item["node_id"] for event in events if event["event_type"] == "test.steps_discovered" for item in event["items"]]
        ended = {event["node_id"]: event["vector_outcome"] for event in events if event["event_type"] == "test.step_ended"}
        promised = {node_id for _, node_id in self.promised()}
        rows = [row for row in pq.read_table(path).to_pylist() if row["record_type"] == "step"]
        outcomes = {row["step_node_id"]: row["vector_outcome"] for row in rows}
        self.tally.kills += 1
        self.tally.lost += len(promised - ended.keys()) + (len(plan) != TESTS and bool(promised))
        self.tally.wrong += abs(len(rows) - len(plan)) + len(set(plan) ^ set(outcomes))
        self.tally.wrong += sum(outcomes.get(node_id) != expected_outcome(node_id) for node_id in promised)
        self.tally.wrong += sum(outcomes.get(node_id) != outcome for node_id, outcome in ended.items())
        self.tally.wrong += sum(outcome not in (None, "aborted") for node_id, outcome in outcomes.items() if node_id not in ended)

    def stop(self) -> None:
        self.litmus("daemon", "stop")


def read_events(logs: set) -> list:
    """Every whole event, sealed or not."""
    events = []
    for path in sorted(logs):
        content = path.read_bytes()
        if len(content) <= 8:
            continue
        try:
            for batch in pa.ipc.open_stream(pa.py_buffer(content)[8:]):
                events += map(json.loads, batch.column("json").to_pylist())
        except (pa.ArrowInvalid, OSError):
            pass  # a torn end, or none of a seal
    return events


def group_is_gone(group: int) -> bool:
    """No process of the group is left but those that nobody has waited for."""
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of_group = stat.read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if int(of_group) == group and state != "Z":
            return False
    return True


def wait_until(condition) -> None:
    until = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < until, "still not after 300 s"
        time.sleep(0.002)


def rounds(in_test: int, share: float):
    """`in_test` rounds, or as many as fit in this share of the soak's time."""
    end = time.monotonic() + SOAK_MIN * 60 * share
    done = 0
    while done < in_test or (SOAK_MIN and time.monotonic() < end):
        yield done
        done += 1


def check(killer: Killer, name: str) -> None:
    killer.tally.tell(name)
    assert killer.tally.kills > 0
    assert (killer.tally.lost, killer.tally.wrong) == (0, 0)
    assert not list(killer.data_dir.glob("runs/*/.*.tmp"))
    killer.litmus("materialize")  # a log of a process that died in the last moment
    killer.litmus("verify", "--all")


def test_killed_with_a_daemon(tmp_path):
    killer = Killer(tmp_path)
    for _ in rounds(3, 0.2):
        killer.kill_run(daemon=True)
    killer.stop()
    check(killer, "pytest kills with a daemon")


def test_killed_without_a_daemon(tmp_path):
    killer = Killer(tmp_path, "--litmus-no-daemon")
    for _ in rounds(2, 0.15):
        killer.kill_run(daemon=False)
    check(killer, "pytest kills without a daemon")


@needs("xdist")
@pytest.mark.parametrize(("whom", "daemon"), [("group", True), ("controller", True), ("controller", False), ("worker", True)] + [("group", False), ("worker", False)] * bool(SOAK_MIN))
def test_killed_under_xdist(tmp_path, whom, daemon):
    """Of a killed controller the workers live on, end the test that they are in, and what they said is in the run's file. For a killed worker
    xdist starts another one and goes on; the test that ran is aborted, no other is lost.
    """
    killer = Killer(tmp_path, "-n2", "--max-worker-restart=4", *([] if daemon else ["--litmus-no-daemon"]))
    for _ in rounds(2 if whom == "controller" and daemon else 1, 0.65 / 6):
        killer.kill_run(daemon, whom)
    if daemon:
        killer.stop()
    check(killer, f"pytest -n 2 kills of {whom} {'with' if daemon else 'without'} a daemon")

# SPDX-License-Identifier: Apache-2.0
"""SIGKILL of pytest at random moments: with a daemon, without one, under xdist, and of xdist's workers alone.

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

    def kill_run(self, daemon: bool) -> None:
        """One run, killed with all its processes after some promises."""
        files, logs = self.files(), self.logs()
        process = self.start(HOLD="1")
        self.wait_for_promises(process, self.random.randrange(TESTS - 10))
        time.sleep(self.random.random() / 100)
        os.killpg(process.pid, signal.SIGKILL)
        killed = time.monotonic()
        process.wait()
        events = read_events(self.logs() - logs)
        if not any(event["event_type"] == "run.started" for event in events):
            assert not self.promised()
            return  # before there was a run
        if not daemon:
            assert self.files() == files
            subprocess.run([BIN / "litmus", "materialize", "--data-dir", self.data_dir], env=self.env, check=True, capture_output=True, timeout=300)
        while not self.files() - files and time.monotonic() < killed + 300:
            time.sleep(0.002)
        if daemon:
            wait_ms = (time.monotonic() - killed) * 1000
            self.tally.waits_ms.append(wait_ms)
            self.tally.late += wait_ms > 1000
        (path,) = self.files() - files
        self.judge(path, self.logs() - logs)

    def judge(self, path: pathlib.Path, logs: set) -> None:
        events = read_events(logs)
        plan = [item["node_id"] for event in events if event["event_type"] == "test.steps_discovered" for item in event["items"]]
        ended = [event["node_id"] for event in events if event["event_type"] == "test.step_ended"]
        promised = [node_id for _, node_id in self.promised()]
        rows = [row for row in pq.read_table(path).to_pylist() if row["record_type"] == "step"]
        outcomes = {row["step_node_id"]: row["vector_outcome"] for row in rows}
        self.tally.kills += 1
        self.tally.lost += len(set(promised) - set(ended)) + (len(plan) != TESTS and bool(promised))
        self.tally.wrong += abs(len(rows) - len(plan)) + len(set(plan) ^ set(outcomes))
        self.tally.wrong += sum(outcomes.get(node_id) != expected_outcome(node_id) for node_id in promised)
        others = [outcome for node_id, outcome in outcomes.items() if node_id not in promised and outcome not in (None, expected_outcome(node_id))]
        self.tally.wrong += sum(outcome != "aborted" for outcome in others)

    def stop(self) -> None:
        subprocess.run([BIN / "litmus", "daemon", "stop", "--data-dir", self.data_dir], env=self.env, capture_output=True, timeout=300)


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


def test_killed_with_a_daemon(tmp_path):
    killer = Killer(tmp_path)
    for _ in rounds(4, 0.35):
        killer.kill_run(daemon=True)
    killer.stop()
    check(killer, "pytest kills with a daemon")


def test_killed_without_a_daemon(tmp_path):
    killer = Killer(tmp_path, "--litmus-no-daemon")
    for _ in rounds(3, 0.25):
        killer.kill_run(daemon=False)
    check(killer, "pytest kills without a daemon")


@needs("xdist")
def test_killed_under_xdist(tmp_path):
    killer = Killer(tmp_path, "-n2")
    for _ in rounds(3, 0.2):
        killer.kill_run(daemon=True)
    killer.stop()
    check(killer, "pytest -n 2 kills with a daemon")


@needs("xdist")
def test_xdist_workers_killed(tmp_path):
    """xdist starts another worker and goes on; the test that ran is aborted, no other is lost."""
    killer = Killer(tmp_path, "-n2", "--max-worker-restart=4")
    for _ in rounds(2, 0.2):
        files, logs = killer.files(), killer.logs()
        process = killer.start()
        for _ in range(2):
            killer.wait_for_promises(process, killer.random.randrange(5, TESTS - 20))
            try:
                os.kill(int(killer.promised()[-1][0]), signal.SIGKILL)
            except ProcessLookupError:
                pass  # this worker was killed before, or has done its work
        assert process.wait(timeout=600) in (0, 1)
        (path,) = killer.files() - files
        killer.judge(path, killer.logs() - logs)
    killer.stop()
    check(killer, "xdist workers killed")

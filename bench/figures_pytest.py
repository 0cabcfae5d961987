# SPDX-License-Identifier: Apache-2.0
"""What recording costs a pytest run: a test over plain pytest, a large plan, a run that is killed."""

from __future__ import annotations

import itertools
import pathlib
import shutil
import time

import peers as peers_module
import support
from support import median, size

# The same interpreter, the same pytest, no other plugin: what differs is the recorder.
PLAIN = ["-p", "no:cacheprovider", "-q", "--no-header"]


def _pytest(folder: pathlib.Path, *words, seconds_at_most=300, **environ) -> float:
    command = [support.PYTHON, "-m", "pytest", *PLAIN, "-c", folder / "pytest.ini", "--rootdir", folder, *words, folder]
    return support.timed(command, cwd=folder, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", **environ)


def _suite(name: str, tests: int) -> pathlib.Path:
    folder = support.fresh(name)
    (folder / "pytest.ini").write_text("[pytest]\n")
    for number, first in enumerate(range(0, tests, 500)):
        body = "".join(f"def test_{k}():\n    pass\n\n\n" for k in range(first, min(first + 500, tests)))
        (folder / f"test_trivial_{number:03d}.py").write_text(body)
    return folder


class Trial:
    """One suite under three recorders, in turns."""

    def __init__(self, tests: int, reportlog: bool):
        self.suite = _suite(f"suite-{tests}", tests)
        self.data_dir = support.DATA / "cost"
        self.names = ["plain", "litmus"] + (["reportlog"] if reportlog else [])
        self.seconds: dict[str, list[float]] = {name: [] for name in self.names}

    def plain(self) -> float:
        return _pytest(self.suite)

    def litmus(self) -> float:
        try:
            return _pytest(self.suite, "-p", "litmus.plugin", "--litmus-data-dir", self.data_dir, PATH=_path())
        finally:
            support.stop_daemon(self.data_dir)
            shutil.rmtree(self.data_dir, ignore_errors=True)

    def reportlog(self) -> float:
        log = support.DATA / "report.jsonl"
        log.unlink(missing_ok=True)
        return _pytest(self.suite, "-p", "pytest_reportlog.plugin", f"--report-log={log}", PYTHONPATH=str(peers_module.REPORTLOG))

    def rounds(self, count: int) -> None:
        for name in self.names:
            getattr(self, name)()  # compiles, caches
        for turn in range(count):
            for name in self.names[turn % len(self.names) :] + self.names[: turn % len(self.names)]:
                self.seconds[name].append(getattr(self, name)())
                support.progress(f"{name}: {self.seconds[name][-1]:.2f} s")

    def cost_us(self, name: str, tests: int) -> float:
        """Median over the rounds of what it took more than plain pytest, for each test."""
        return median(a - b for a, b in zip(self.seconds[name], self.seconds["plain"])) / tests * 1e6


def _path() -> str:
    return f"{support.LITMUS.parent}:/usr/local/bin:/usr/bin:/bin"


def cost(table: support.Table, peers: peers_module.Peers) -> None:
    """A test's share of what recording adds, start and end of the session included."""
    support.litmus_program()
    for tests, rounds in ((size(1000, 1000, 100), size(15, 3, 1)), (size(20000, 5000, 200), size(4, 1, 1))):
        trial = Trial(tests, peers.reportlog)
        trial.rounds(rounds)
        ours = trial.cost_us("litmus", tests)
        theirs = trial.cost_us("reportlog", tests) if peers.reportlog else None
        plain = median(trial.seconds["plain"]) / tests * 1e6
        goal = theirs if theirs is not None else 80
        table.add(f"cost a test over plain pytest ({plain:,.0f} us), {tests:,} tests", ours, "us", "<=", goal,
                  peers_module.REPORTLOG_NAME, theirs)  # fmt: skip


STOPWATCH = '''\
import os
import time

import pytest

began = 0.0


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    global began
    began = time.perf_counter()


def pytest_runtest_call(item):
    with open(os.environ["BENCH_STOPWATCH"], "w") as out:
        out.write(repr(time.perf_counter() - began))
    os._exit(0)
'''


def plan(table: support.Table, peers: peers_module.Peers) -> None:
    """From the end of collection to the first test, beside plain pytest; the process ends there."""
    support.litmus_program()
    items = size(50000, 5000, 500)
    folder = support.fresh("plan")
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "stopwatch.py").write_text(STOPWATCH)
    for number in range(10):
        lines = ["import pytest\n"]
        for k in range(5):
            lines.append(f'\n\n@pytest.mark.parametrize("n", range({items // 50}))\ndef test_{k}(n):\n    pass\n')
        (folder / f"test_plan_{number}.py").write_text("".join(lines))
    stopwatch, data_dir = support.DATA / "stopwatch", support.DATA / "plan-data"

    def once(*words) -> float:
        environ = {"BENCH_STOPWATCH": str(stopwatch), "PYTHONPATH": str(folder), "PATH": _path()}
        _pytest(folder, "-p", "stopwatch", *words, **environ)
        support.stop_daemon(data_dir)
        shutil.rmtree(data_dir, ignore_errors=True)
        return float(stopwatch.read_text())

    differences = []
    for _ in range(size(3, 1, 1)):
        ours = once("-p", "litmus.plugin", "--litmus-data-dir", data_dir)
        differences.append(ours - once())
    table.add(f"plan of {items:,} items: collection's end to first test, over plain", median(differences), "s", "<=", 1)


KILLED = '''\
import os
import signal
import time


def test_one():
    pass


def test_two():
    pass


def test_three():
    with open(os.environ["BENCH_STOPWATCH"], "w") as out:
        out.write(repr(time.monotonic()))
    os.kill(os.getpid(), signal.SIGKILL)


def test_four():
    pass


def test_five():
    pass
'''


def kill(table: support.Table, peers: peers_module.Peers) -> None:
    """A pytest that is killed in its third test: when its run has a file."""
    support.litmus_program()
    folder = support.fresh("kill")
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_killed.py").write_text(KILLED)
    stopwatch, samples = support.DATA / "stopwatch", []
    for number in itertools.count():
        data_dir = support.fresh("kill-data")
        command = [support.PYTHON, "-m", "pytest", *PLAIN, "-c", folder / "pytest.ini", "-p", "litmus.plugin",
                   "--litmus-data-dir", data_dir, folder]  # fmt: skip
        support.timed(command, cwd=folder, expect=(-9,), PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", BENCH_STOPWATCH=str(stopwatch), PATH=_path())
        try:
            support.wait_for_files(data_dir, 1, 10, pause=0.001)
            samples.append((time.monotonic() - float(stopwatch.read_text())) * 1e3)
        finally:
            support.stop_daemon(data_dir)
        if number + 1 >= size(9, 3, 1):
            break
    table.add("SIGKILL in the third of five tests: the run's file is there after", median(samples), "ms", "<=", 1000)

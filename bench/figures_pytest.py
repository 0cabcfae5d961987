# SPDX-License-Identifier: Apache-2.0
"""What recording costs a pytest run: a test over plain pytest, a large plan, a run that is killed."""

from __future__ import annotations

import itertools
import pathlib
import time

import peers as peers_module
import support
from support import median, size

# The same interpreter, the same pytest, no other plugin: what differs is the recorder.
PLAIN = ["-p", "no:cacheprovider", "-q", "--no-header"]


def run_pytest(folder: pathlib.Path, *words, **environ) -> tuple[float, float]:
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
        self.tests = tests
        self.suite = _suite(f"suite-{tests}", tests)
        self.data_dir = support.DATA / "cost"
        self.warm_dir = support.DATA / "cost-warm"
        self.names = ["plain", "litmus", "warm"] + (["reportlog"] if reportlog else [])
        self.samples: dict[str, list[tuple[float, float]]] = {name: [] for name in self.names}

    def plain(self) -> tuple[float, float]:
        return run_pytest(self.suite)

    def litmus(self) -> tuple[float, float]:
        try:
            return run_pytest(self.suite, "-p", "litmus.plugin", "--litmus-data-dir", self.data_dir, PATH=path_of_litmus())
        finally:
            support.stop_daemon(self.data_dir)
            support.away(self.data_dir)

    def warm(self) -> tuple[float, float]:
        """In a data_dir that was there, with the daemon of the session before."""
        return run_pytest(self.suite, "-p", "litmus.plugin", "--litmus-data-dir", self.warm_dir, PATH=path_of_litmus())

    def reportlog(self) -> tuple[float, float]:
        log = support.DATA / "report.jsonl"
        log.unlink(missing_ok=True)
        return run_pytest(self.suite, "-p", "pytest_reportlog.plugin", f"--report-log={log}", PYTHONPATH=str(peers_module.REPORTLOG))

    def rounds(self, count: int, seconds: float) -> None:
        if self.tests <= 1000:
            for name in self.names:
                getattr(self, name)()  # compiles, caches
        for turn in support.turns(count, seconds):
            for name in self.names[turn % len(self.names) :] + self.names[: turn % len(self.names)]:
                self.samples[name].append(getattr(self, name)())
                support.progress(f"{name}: {self.samples[name][-1][0]:.2f} s")
        support.stop_daemon(self.warm_dir)
        support.away(self.warm_dir)

    def extra(self, name: str, kind: int) -> float | None:
        """Median over the rounds of the seconds more than plain pytest; kind 0: by the clock, 1: of processor."""
        if name not in self.names:
            return None
        return median(a[kind] - b[kind] for a, b in zip(self.samples[name], self.samples["plain"]))


def path_of_litmus() -> str:
    return f"{support.LITMUS.parent}:/usr/local/bin:/usr/bin:/bin"


def cost(table: support.Table, peers: peers_module.Peers) -> None:
    """What recording adds, start and end of the session included: to a session, and as each test's share."""
    support.litmus_program()
    peer = peers_module.REPORTLOG_NAME
    trial = Trial(1, peers.reportlog)
    trial.rounds(size(15, 3, 1), 15)
    theirs = trial.extra("reportlog", 0)
    table.add("cost of a session of one test over plain pytest", trial.extra("litmus", 0) * 1e3, "ms", "<=", None, peer,
              None if theirs is None else theirs * 1e3)  # fmt: skip
    table.add("  with the daemon there", trial.extra("warm", 0) * 1e3, "ms")
    suites = [(size(1000, 1000, 100), size(20, 4, 1), 50)]
    if support.QUICK == 0:
        suites.append((20000, 5, 100))
    for tests, rounds, seconds in suites:
        trial = Trial(tests, peers.reportlog)
        trial.rounds(rounds, seconds)
        plain = median(seconds for seconds, _ in trial.samples["plain"]) / tests * 1e6
        for kind, words in ((0, f"cost a test over plain pytest ({plain:,.0f} us)"), (1, "  the same, processor time of pytest alone")):
            ours, theirs = trial.extra("litmus", kind) / tests * 1e6, trial.extra("reportlog", kind)
            theirs = None if theirs is None else theirs / tests * 1e6
            goal = None if kind == 1 else 80 if theirs is None else theirs
            table.add(f"{words}, {tests:,} tests", ours, "us", "<=", goal, peer, theirs)
        table.add(f"  with the daemon there, {tests:,} tests", trial.extra("warm", 0) / tests * 1e6, "us")


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
        environ = {"BENCH_STOPWATCH": str(stopwatch), "PYTHONPATH": str(folder), "PATH": path_of_litmus()}
        run_pytest(folder, "-p", "stopwatch", *words, **environ)
        support.stop_daemon(data_dir)
        support.away(data_dir)
        return float(stopwatch.read_text())

    differences = []
    for _ in support.turns(size(3, 1, 1), 30):
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
        support.timed(command, cwd=folder, expect=(-9,), PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", BENCH_STOPWATCH=str(stopwatch), PATH=path_of_litmus())
        try:
            support.wait_for_files(data_dir, 1, 10, pause=0.001)
            samples.append((time.monotonic() - float(stopwatch.read_text())) * 1e3)
        finally:
            support.stop_daemon(data_dir)
        if number + 1 >= size(9, 3, 1):
            break
    table.add("SIGKILL in the third of five tests: the run's file is there after", median(samples), "ms", "<=", 1000)

# SPDX-License-Identifier: Apache-2.0
"""What happens to runs: how soon they have a file, how many a second, in how much memory, how they are read."""

from __future__ import annotations

import os
import pathlib
import subprocess
import threading
import time

import peers as peers_module
import support
from support import median, size

STEPS = 100


def _produce(mode: str, data_dir, runs: int, measures: int = 0) -> list:
    return [support.program("produce"), mode, str(data_dir), support.litmus_program(), str(runs), str(STEPS), str(measures)]


def latency(table: support.Table, peers: peers_module.Peers) -> None:
    """From the call that emits run.ended to the file's name in its folder; the daemon is up."""
    for measures, words in ((0, f"{STEPS} steps"), (1, f"{STEPS} steps and measurements")):
        ours, theirs, emitted = [], [], []
        data_dir = support.fresh("latency")
        with support.Daemon(data_dir):
            producer = subprocess.Popen(_produce("serve", data_dir, 0, measures), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=support.clean_environ())  # fmt: skip
            try:
                for turn in range(-1, size(10, 4, 1)):
                    for _ in range(4):
                        producer.stdin.write("\n")
                        producer.stdin.flush()
                        line = producer.stdout.readline().split()
                        if len(line) != 2:
                            raise support.CannotMeasure("the producer ended, see above")
                        if turn >= 0:
                            ours.append(float(line[0]) / 1e3)
                            emitted.append(float(line[1]) / 1e3)
                    theirs.append(peers.ask("run", steps=STEPS) if measures == 0 and turn < size(10, 2, 1) else None)
            finally:
                producer.stdin.close()
                producer.wait(30)
                producer.stdout.close()
        found = [value for value in theirs[1:] if value is not None]
        peer = median(found) if found else None
        table.add(f"run.ended to Parquet visible, {words}", median(ours), "ms", "<=", 10, peers_module.TESTERKIT, peer)
        if measures == 0:
            table.add("  the slowest of ten", support.tail(ours, 0.9), "ms", "<=", None)


    runs = size(100, 40, 6)
    with support.Daemon(support.fresh("together")) as daemon:
        lines = support.run(*_produce("together", daemon.data_dir, runs)).splitlines()
    last = [float(line.split()[0]) / 1e3 for line in lines[-runs // 5 :]]
    table.add(f"  the last ones of {runs} runs of {STEPS} steps in one session", median(last), "ms", "<=", 10)


def replay(table: support.Table, peers: peers_module.Peers) -> None:
    """Logs read back: every row held against the chain, folded and settled; one processor."""
    runs, steps = size(10000, 1000, 50), 32  # 101 events a run
    data_dir = support.DATA / f"replay-{runs}"
    if not (data_dir / "made").exists():
        data_dir = support.fresh(data_dir.name)
        support.run(support.program("produce"), "record", data_dir, support.litmus_program(), runs, steps, 1)
        (data_dir / "made").touch()
    rates, sizes = [], []
    for _ in support.turns(size(3, 2, 1), 20):
        events, found, seconds, kilobytes = map(float, support.run(support.program("replay"), data_dir).split())
        if found != runs:
            raise support.CannotMeasure(f"{found:.0f} of {runs} runs were replayed")
        rates.append(events / seconds)
        sizes.append(kilobytes / 1024)
    table.add(f"replay of {runs:,} runs, {events:,.0f} events: read, chain, fold", max(rates), "events/s", ">=", 250000)
    table.add("  its largest resident size", median(sizes), "MB", "<=", None)


def stream(table: support.Table, peers: peers_module.Peers) -> None:
    """Finished runs that the daemon finds, and runs that producers make while it works; all synced."""
    runs = size(1000, 200, 20)
    for measures, words in ((0, f"{STEPS} steps"), (1, f"{STEPS} steps and measurements")):
        rates = []
        for _ in support.turns(size(3, 1, 1), 15):
            data_dir = support.fresh("stream")
            support.run(*_produce("record", data_dir, runs, measures))
            os.sync()
            daemon = support.Daemon(data_dir)
            try:
                end = support.wait_for_files(data_dir, runs, 60, alive=daemon.process)
                rates.append(runs / (end - daemon.started))
            finally:
                daemon.end()
        theirs = peers.ask("stream", runs=size(15, 5, 2), steps=STEPS) if measures == 0 else None
        table.add(f"finished runs of {words} to Parquet, synced", median(rates), "runs/s", ">=", 500, peers_module.TESTERKIT, theirs)
    table.add("  live: four C producers record and wait for each file", _live(size(400, 120, 8)), "runs/s", ">=", None)


def _live(runs: int) -> float:
    data_dir = support.fresh("live")
    with support.Daemon(data_dir):
        start = time.perf_counter()
        producers = [subprocess.Popen(_produce("live", data_dir, runs // 4), env=support.clean_environ()) for _ in range(4)]
        codes = [producer.wait(120) for producer in producers]
        seconds = time.perf_counter() - start
    have = support.count_run_files(data_dir)
    if any(codes) or have != runs // 4 * 4:
        raise support.CannotMeasure(f"live producers ended with {codes}, {have} of {runs} runs have a file")
    return have / seconds


class Peak:
    """The largest resident size of a daemon that a quick look every 5 ms saw."""

    def __init__(self, daemon: support.Daemon):
        self.daemon, self.largest, self.over = daemon, 0.0, threading.Event()
        self.thread = threading.Thread(target=self._look)
        self.thread.start()

    def _look(self) -> None:
        while not self.over.wait(0.005):
            self.largest = max(self.largest, self.daemon.memory())

    def end(self) -> float:
        self.over.set()
        self.thread.join()
        return self.largest


def memory(table: support.Table, peers: peers_module.Peers) -> None:
    """The daemon's resident size: just started, with runs in flight, while they all end, after them."""
    runs = size(200, 200, 10)
    data_dir = support.fresh("memory")
    with support.Daemon(data_dir) as daemon:
        time.sleep(size(2, 1, 1))
        table.add("daemon's memory, idle", daemon.memory(), "MB", "<=", 10, peers_module.TESTERKIT, peers.ask("memory"))
        producer = subprocess.Popen(_produce("hold", data_dir, runs, 1), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                    env=support.clean_environ())  # fmt: skip
        try:
            if producer.stdout.readline().strip() != "held":
                raise support.CannotMeasure("the producer does not hold its runs")
            time.sleep(size(2, 1, 1))
            table.add(f"  with {runs} runs of {STEPS} steps and measurements in flight", daemon.memory(), "MB", "<=", 64)
            peak = Peak(daemon)
            producer.stdin.write("\n")
            producer.stdin.flush()
            ended = producer.stdout.readline().strip()
            largest = peak.end()
            if ended != "ended" or support.count_run_files(data_dir) != runs:
                raise support.CannotMeasure(f"{support.count_run_files(data_dir)} of {runs} held runs have a file")
            table.add("  while they all end at once, at most", largest, "MB", "<=", 64)
        finally:
            producer.stdin.close()
            producer.wait(60)
            producer.stdout.close()
        time.sleep(size(4, 1, 0))
        table.add("  idle again after them", daemon.memory(), "MB", "<=", None)


def finished_runs(runs: int, measures: int = 1) -> pathlib.Path:
    """A data_dir with so many finished runs, made once."""
    data_dir = support.DATA / f"runs-{runs}-{measures}"
    if support.count_run_files(data_dir) != runs:
        data_dir = support.fresh(data_dir.name)
        support.run(*_produce("record", data_dir, runs, measures))
        daemon = support.Daemon(data_dir)
        try:
            support.wait_for_files(data_dir, runs, 120, alive=daemon.process)
            time.sleep(0.5)  # its catalog
        finally:
            daemon.end()
    return data_dir


def commands(table: support.Table, peers: peers_module.Peers) -> None:
    """Whole processes, from fork to exit, at so many runs."""
    runs, times = size(1000, 200, 20), size(30, 15, 3)
    data_dir, litmus = finished_runs(runs), support.litmus_program()
    support.run(litmus, "runs", "--data-dir", data_dir)
    theirs = None
    if peers.testerkit and peers.ask("runs_there"):
        command = [peers_module.VENV / "bin/testerkit", "runs", "--data-dir", peers.data_dir]
        environ = {"cwd": peers.data_dir, "TESTERKIT_HOME": str(peers.data_dir / "home")}
        try:
            with peers.running():
                support.timed(command, **environ)
                theirs = median(support.timed(command, **environ)[0] * 1e3 for _ in range(3))
        except support.CannotMeasure as exc:
            table.note(f"testerkit runs: {exc}")
    beside = f"{peers_module.TESTERKIT} at {peers.ask('runs_there')} runs" if theirs else None
    for words in (["runs"], ["show", "last"], ["show", "@2"], ["runs", "--limit", "0", "--json"]):
        try:
            lines = support.run(support.program("spawn"), times, litmus, *words, "--data-dir", data_dir).split()
        except support.CannotMeasure as exc:
            table.fail(f"litmus {' '.join(words)}", str(exc))
            continue
        name = f"litmus {' '.join(words)}, whole process, {runs:,} runs"
        judged = words[0] == "show" or len(words) == 1
        peer = theirs if words == ["runs"] else None
        table.add(name if judged else "  " + name, median(map(float, lines)), "ms", "<=", 15 if judged else None, beside, peer)


def read(table: support.Table, peers: peers_module.Peers) -> None:
    """RunStore from Python."""
    runs = size(1000, 200, 20)
    ours = support.Helper(support.PYTHON, support.BENCH / "ours.py", finished_runs(runs))
    mine: dict = {"list_runs": [], "get_steps": []}
    theirs: dict = {"list_runs": [], "get_steps": []}
    try:
        ours.ask("list_runs", times=2)
        ours.ask("get_steps", times=2, steps=STEPS)
        there = peers.ask("runs_there")
        for _ in range(size(5, 3, 1)):
            for name, arguments in (("list_runs", {}), ("get_steps", {"steps": STEPS})):
                mine[name].append(ours.ask(name, times=size(20, 10, 2), **arguments))
                theirs[name].append(peers.ask(name, times=5, **arguments) if there else None)
    finally:
        ours.end()
    beside = f"{peers_module.TESTERKIT} at {there} runs"
    for name, words in (("list_runs", "the newest 50"), ("get_steps", f"{STEPS} steps")):
        found = [value for value in theirs[name] if value is not None]
        table.add(f"RunStore.{name} from Python, {words} of {runs:,} runs", median(mine[name]), "ms", "<=", 1 if name == "get_steps" else None,
                  beside, median(found) if found else None)  # fmt: skip


def sizes(table: support.Table, peers: peers_module.Peers) -> None:
    """Bytes on disk."""
    theirs = peers.ask("bytes_a_step", steps=STEPS) or [None, None]
    for measures, words in ((0, "step"), (1, "step with a measurement")):
        data_dir = finished_runs(size(1000, 200, 20) if measures else size(50, 20, 5), measures)
        files = support.run_files(data_dir)
        logs = [path.stat().st_size for path in (data_dir / "events").rglob("*.arrow")]
        log = sum(size for size in logs if size > 20000) / len(files) / STEPS
        peer = (None, None) if measures else theirs
        table.add(f"log, bytes a {words}", log, "B", "<=", None, peers_module.TESTERKIT, peer[0])
        table.add(f"Parquet, bytes a {words}", median(path.stat().st_size for path in files) / STEPS, "B", "<=", None,
                  peers_module.TESTERKIT, peer[1])  # fmt: skip

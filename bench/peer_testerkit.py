# SPDX-License-Identifier: Apache-2.0
"""testerkit's side of the figures, run by its own venv: one line of JSON asks, one answers.

    peer_testerkit.py DATA_DIR

It is used as its own code uses it: an EventStore to emit, its daemons to materialise, a RunStore to
read. Its runs have as many steps as ours, planned by the same event.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import statistics
import sys
import time
from uuid import uuid4

from testerkit.data import events as ev
from testerkit.data.event_store import EventStore
from testerkit.data.run_store import RunStore


class Peer:
    def __init__(self, data_dir: pathlib.Path):
        self.data_dir = data_dir
        self.events = EventStore(_data_dir=data_dir)
        self.runs = RunStore(_data_dir=data_dir)
        self.last = None
        self.sessions: list = []
        self.serial = 0

    def emit(self, events: int, payload: dict) -> float:
        """Mean microseconds of an emit."""
        session, run = uuid4(), uuid4()
        kept = {k: v for k, v in payload.items() if k in ev.MeasurementRecorded.model_fields}
        start = time.perf_counter()
        for _ in range(events):
            self.events.emit(ev.MeasurementRecorded(session_id=session, run_id=run, **kept))
        self.events.flush()
        return (time.perf_counter() - start) / events * 1e6

    def start(self, steps: int):
        session, run = uuid4(), uuid4()
        self.sessions.append(str(session))
        self.serial += 1
        names = [f"test_step_{k}" for k in range(steps)]
        emit = self.events.emit
        emit(ev.SessionStarted.from_station(session_id=session, station_id="bench"))
        emit(ev.RunStarted(session_id=session, run_id=run, uut_serial_number=f"SN{self.serial}", uut_part_number="PSU-5V", station_id="bench"))
        items = [{"node_id": f"tests/test_power.py::{n}", "name": n, "file": "tests/test_power.py", "module": "test_power", "class_name": None,
                  "function": n, "step_index": k, "step_path": n} for k, n in enumerate(names)]  # fmt: skip
        emit(ev.StepsDiscovered(session_id=session, run_id=run, items=items))
        for k, n in enumerate(names):
            step = {"session_id": session, "run_id": run, "step_name": n, "step_index": k, "step_path": n, "function": n}
            step["node_id"] = f"tests/test_power.py::{n}"
            emit(ev.StepStarted(**step))
            emit(ev.StepEnded(outcome="passed", **step))
        self.last = str(run)
        return session, run

    def files(self) -> list:
        return list((self.data_dir / "runs").rglob("*.parquet"))

    def wait(self, count: int, seconds: float) -> None:
        deadline = time.perf_counter() + seconds
        while len(self.files()) < count:
            if time.perf_counter() > deadline:
                raise TimeoutError(f"{len(self.files())} of {count} runs have a file after {seconds:.0f} s")
            time.sleep(0.001)

    def run(self, steps: int) -> float:
        """Milliseconds from the emit of run.ended to the file."""
        session, run = self.start(steps)
        self.events.flush()
        time.sleep(0.05)
        before = len(self.files())
        start = time.perf_counter()
        self.events.emit(ev.RunEnded(session_id=session, run_id=run, outcome="passed"))
        self.events.flush()
        self.wait(before + 1, 30)
        elapsed = time.perf_counter() - start
        self.events.emit(ev.SessionEnded(session_id=session))
        self.events.flush()
        return elapsed * 1e3

    def stream(self, runs: int, steps: int) -> float:
        """Finished runs a second: emitted without waiting, until each has its file."""
        before = len(self.files())
        start = time.perf_counter()
        for _ in range(runs):
            session, run = self.start(steps)
            self.events.emit(ev.RunEnded(session_id=session, run_id=run, outcome="passed"))
            self.events.emit(ev.SessionEnded(session_id=session))
            self.events.flush()
        self.wait(before + runs, 60)
        return runs / (time.perf_counter() - start)

    def list_runs(self, times: int) -> float:
        """Median milliseconds."""
        return _median_ms(lambda: self.runs.list_runs(limit=50), times, 1)

    def get_steps(self, times: int, steps: int) -> float:
        return _median_ms(lambda: self.runs.get_steps(self.last), times, steps)

    def runs_there(self) -> int:
        return len(self.files())

    def daemons(self) -> list:
        """Process ids of the daemons that work for this data_dir."""
        found = []
        for entry in os.listdir("/proc"):
            try:
                words = pathlib.Path("/proc", entry, "cmdline").read_bytes().decode(errors="replace") if entry.isdigit() else ""
            except OSError:
                continue
            if "testerkit.data._" in words and f"{self.data_dir}/" in words:
                found.append(int(entry))
        return found

    def memory(self) -> float:
        """Resident megabytes of its daemons together."""
        total = 0
        for pid in self.daemons():
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            total += next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
        return total / 1024

    def bytes_a_step(self, steps: int) -> list:
        """Bytes of log and of Parquet for each step of the runs so far."""
        logs = [sum(path.stat().st_size for path in (self.data_dir / "events").rglob(f"{session}*.arrow")) for session in self.sessions]
        files = [path.stat().st_size for path in self.files()]
        return [statistics.median(logs) / steps, statistics.median(files) / steps]

    def end(self) -> None:
        pids = self.daemons()
        self.events.close()
        self.runs.close()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pass


def _median_ms(call, times: int, rows_min: int) -> float:
    samples = []
    for _ in range(times):
        start = time.perf_counter()
        rows = call()
        samples.append((time.perf_counter() - start) * 1e3)
        if len(rows) < rows_min:
            raise LookupError(f"{len(rows)} rows instead of {rows_min}")
    return statistics.median(samples)


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the library prints is no answer
    peer = Peer(pathlib.Path(sys.argv[1]))
    for line in sys.stdin:
        ask = json.loads(line)
        try:
            answer = {"value": getattr(peer, ask.pop("do"))(**ask)}
        except Exception as exc:
            answer = {"error": f"{type(exc).__name__}: {exc}"}
        print(json.dumps(answer), file=out, flush=True)
    peer.end()


if __name__ == "__main__":
    main()

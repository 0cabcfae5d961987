# SPDX-License-Identifier: Apache-2.0
"""Our side of the figures that are taken from Python: one line of JSON asks, one answers.

    ours.py DATA_DIR
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
import uuid


class Ours:
    def __init__(self, data_dir: str):
        self.data_dir = data_dir
        self.session = None
        self.store = None

    def emit(self, events: int, payload: dict) -> float:
        """Mean microseconds of an emit: what the pytest plugin calls."""
        from litmus import _litmus

        if self.session is None:
            self.session = _litmus.Session(data_dir=self.data_dir, daemon=False, joined=True)
        emit, run = self.session.emit, str(uuid.uuid4())
        start = time.perf_counter()
        for _ in range(events):
            emit("test.measurement", payload, run)
        return (time.perf_counter() - start) / events * 1e6

    def reader(self):
        if self.store is None:
            from litmus.data.run_store import RunStore

            self.store = RunStore(data_dir=self.data_dir)
        return self.store

    def list_runs(self, times: int) -> float:
        """Median milliseconds."""
        store = self.reader()
        return _median_ms(lambda: store.list_runs(limit=50), times, 1)

    def get_steps(self, times: int, steps: int) -> float:
        store = self.reader()
        runs = [run["test_run_id"] for run in store.list_runs(limit=20)]
        taken = iter(range(times))
        return _median_ms(lambda: store.get_steps(runs[next(taken) % len(runs)]), times, steps)

    def get_steps_of(self, prefixes: list) -> list[float]:
        """Milliseconds of the first call with a store made for it, and the median of those that follow."""
        from litmus.data.run_store import RunStore

        start = time.perf_counter()
        self.store = RunStore(data_dir=self.data_dir)
        self.store.get_steps(prefixes[0])
        first = (time.perf_counter() - start) * 1e3
        taken = iter(prefixes * 3)
        return [first, _median_ms(lambda: self.store.get_steps(next(taken)), len(prefixes) * 3, 1)]

    def end(self) -> None:
        if self.session is not None:
            self.session.close()
        if self.store is not None:
            self.store.close()


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
    os.dup2(2, 1)
    ours = Ours(sys.argv[1])
    for line in sys.stdin:
        ask = json.loads(line)
        try:
            answer = {"value": getattr(ours, ask.pop("do"))(**ask)}
        except Exception as exc:
            answer = {"error": f"{type(exc).__name__}: {exc}"}
        print(json.dumps(answer), file=out, flush=True)
    ours.end()


if __name__ == "__main__":
    main()

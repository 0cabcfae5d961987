# SPDX-License-Identifier: Apache-2.0
"""What a measurement costs: judged from C, `verify` in a test body, and 20,000 of them as a run's file."""

from __future__ import annotations

import time

import figures_emit
import figures_pytest
import peers as peers_module
import support
from support import median, size

VERIFY = """
import time, litmus
RAIL = litmus.Limit(4.75, 5.25, units="V")

def test_verify(verify):
    with open({out!r}, "w") as out:
        for turn in range(-1, {rounds}):
            names = [f"output_voltage_{{turn}}_{{k}}" for k in range({count})]
            start = time.perf_counter()
            for name in names:
                verify(name, 4.987, RAIL)
            if turn >= 0:
                print((time.perf_counter() - start) / {count} * 1e6, file=out)
"""


def measure(table: support.Table, peers: peers_module.Peers) -> None:
    _from_c(table)
    _from_pytest(table, peers)
    _materialize(table)


def _from_c(table: support.Table) -> None:
    lines = support.run(support.program("measure"), support.fresh("measure"), size(30, 15, 3), size(3000, 1500, 200)).split("\n")
    samples = [[float(word) for word in line.split()] for line in lines if line]
    table.add("a judged measurement from C: over a raw write(2)", median(a / b for a, b, _ in samples), "x", "<=", 2.5, "raw write(2)", 1.0)
    table.add("  the same in time", median(a for a, _, _ in samples), "us", "<=", None, "raw write(2)", median(b for _, b, _ in samples))


def _from_pytest(table: support.Table, peers: peers_module.Peers) -> None:
    """testerkit beside it emits its event of a measurement, judged before by the caller: less than its `verify` does."""
    suite, out, data_dir = support.fresh("verify-suite"), support.DATA / "verify.txt", support.DATA / "verify"
    (suite / "pytest.ini").write_text("[pytest]\n")
    (suite / "test_verify.py").write_text(VERIFY.format(out=str(out), rounds=size(15, 7, 2), count=size(3000, 1500, 100)))
    try:
        figures_pytest.run_pytest(suite, "-p", "litmus.plugin", "--litmus-data-dir", data_dir, PATH=figures_pytest.path_of_litmus())
    finally:
        support.stop_daemon(data_dir)
        support.away(data_dir)
    peers.ask("emit", events=50, payload=figures_emit.PAYLOAD)
    theirs = [peers.ask("emit", events=size(500, 200, 20), payload=figures_emit.PAYLOAD) for _ in range(size(5, 3, 1))]
    theirs = [value for value in theirs if value is not None]
    ours = median(map(float, out.read_text().split()))
    table.add("verify in a test body, pytest", ours, "us", "<=", 15, peers_module.TESTERKIT, median(theirs) if theirs else None)
    table.add("  measurements a second", 1e6 / ours, "1/s", ">=", None, peers_module.TESTERKIT, 1e6 / median(theirs) if theirs else None)


def _materialize(table: support.Table) -> None:
    """A finished log of 200 steps with 100 measurements each, from nothing to its file: the whole command."""
    took = []
    for _ in range(size(7, 3, 1)):
        data_dir = support.fresh("many")
        support.run(support.program("produce"), "record", data_dir, support.litmus_program(), 1, 200, size(100, 100, 2))
        start = time.perf_counter()
        support.run(support.litmus_program(), "materialize", "-d", data_dir)
        took.append((time.perf_counter() - start) * 1e3)
    table.add(f"a run with {200 * size(100, 100, 2):,} measurements: its file made", median(took), "ms", "<=", 150)

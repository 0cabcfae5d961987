# SPDX-License-Identifier: Apache-2.0
"""What one event costs: from C beside a raw write(2), from Python beside the reference."""

from __future__ import annotations

import peers as peers_module
import support
from support import median, size

# 700 bytes as JSON, as a test executive would fill them in.
PAYLOAD = {
    "step_name": "test_rail", "step_index": 7, "step_path": "tests/test_power.py/TestRails/test_rail", "vector_index": 3,
    "measurement_name": "output_voltage", "value": 4.987, "units": "V", "outcome": "passed", "limit_low": 4.75, "limit_high": 5.25,
    "limit_nominal": 5.0, "limit_comparator": "GELE", "dut_pin": "J1.4", "instrument_name": "dmm",
    "instrument_resource": "TCPIP0::10.0.0.7::INSTR", "instrument_channel": "1", "inputs": {"load_ma": 250}, "custom": {"note": "x" * 219},
}  # fmt: skip


def _turns(program: str, data_dir, rounds: int, events: int) -> list[list[float]]:
    lines = support.run(program, data_dir, rounds, events, 700).split("\n")
    return [[float(word) for word in line.split()] for line in lines if line]


def emit(table: support.Table, peers: peers_module.Peers) -> None:
    """From C, 700 bytes of payload, in turns with write(2) of what the log grew by."""
    program = support.program("emit")
    rounds, events = size(40, 15, 3), size(3000, 1500, 200)
    samples = _turns(program, support.fresh("emit"), rounds, events)
    ratio = median(a / b for a, b, _ in samples)
    ours, raw = median(a for a, _, _ in samples), median(b for _, b, _ in samples)
    table.add("emit from C, 700-byte payload: over a raw write(2)", ratio, "x", "<=", 2.0, "raw write(2)", 1.0)
    table.add(f"  the same in time ({samples[0][2]:.0f} bytes in the log)", ours, "us", "<=", None, "raw write(2)", raw)
    data_dir = support.fresh("followed")
    with support.Daemon(data_dir):
        samples = _turns(program, data_dir, size(10, 5, 2), events)
        table.add("  with the daemon following: over a raw write(2)", median(a / b for a, b, _ in samples), "x", "<=", None, "raw write(2)", 1.0)
    lines = support.run(support.program("log_append"), support.fresh("append"), size(20000, 8000, 500), size(5, 3, 1)).split("\n")
    for words in (line.split() for line in lines[1:] if line):
        if words[0] == "700":
            table.add("  of an append of 700 bytes of JSON, the hash chain (emit does more besides)", float(words[7]) / float(words[3]), "of it", "<=", 0.25)
            table.add("  a signature, once a log", float(words[8]), "us", "<=", None)
        if words[0] == "1400":
            table.add("  append alone, 1,400 bytes of JSON: over a raw write(2)", float(words[4]), "x", "<=", None, "raw write(2)", 1.0)
            table.add("  reading a log back, chain checked", float(words[6]), "events/s", ">=", None)


def python(table: support.Table, peers: peers_module.Peers) -> None:
    """From Python, the same payload as a dict, in turns with testerkit."""
    ours = support.Helper(support.PYTHON, support.BENCH / "ours.py", support.fresh("python"))
    mine, theirs = [], []
    try:
        ours.ask("emit", events=200, payload=PAYLOAD)
        peers.ask("emit", events=50, payload=PAYLOAD)
        for _ in range(size(15, 7, 2)):
            mine.append(ours.ask("emit", events=size(5000, 2000, 200), payload=PAYLOAD))
            theirs.append(peers.ask("emit", events=size(200, 100, 20), payload=PAYLOAD))
    finally:
        ours.end()
    theirs = [value for value in theirs if value is not None]
    table.add("emit from Python, 700-byte payload", median(mine), "us", "<=", 10, peers_module.TESTERKIT, median(theirs) if theirs else None)

# SPDX-License-Identifier: Apache-2.0
"""What samples cost: one by one, by the block, and a view of many."""

from __future__ import annotations

import peers as peers_module
import support
from support import size


def channel(table: support.Table, peers: peers_module.Peers) -> None:
    """From C and Python; blocks beside a plain sequential write of as many bytes, both on the disk at the end."""
    count = size(100_000_000, 10_000_000, 1_000_000)
    folder = support.fresh("channel")
    one, ours, plain, minmax, lttb = map(float, support.run(support.program("channel"), folder, count).split())
    table.add("one sample, from C", one, "us", "<=", 5)
    table.add("blocks of 1 Mi float64: of a plain sequential write", ours / plain * 100, "%", ">=", 50, "write, fdatasync", 100)
    table.add("  the same in MB/s", ours, "MB/s", ">=", None, "write, fdatasync", plain)
    table.add(f"1,000 points of {count:,} samples, min-max", minmax, "s", "<=", 0.5)
    table.add("  the same by LTTB", lttb, "s", "<=", 0.5)
    support.away(folder)
    code = (
        "import litmus,sys,time;from litmus import _litmus\n"
        "s=_litmus.Session(sys.argv[1],daemon=False);c=litmus.open_channel('x',session=s);c.append(0.0);a=c.append;n=200000\n"
        "t=time.perf_counter()\nfor i in range(n): a(1.5)\nprint((time.perf_counter()-t)/n*1e6);c.close();s.close()"
    )
    table.add("one sample, from Python", float(support.run(support.PYTHON, "-c", code, support.fresh("channel-python"))), "us", "<=", 5)

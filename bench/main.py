# SPDX-License-Identifier: Apache-2.0
"""Every figure of `make bench`, in order; bench/run says how to ask for less."""

from __future__ import annotations

import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import figures_channel  # noqa: E402
import figures_emit  # noqa: E402
import figures_lake  # noqa: E402
import figures_measure  # noqa: E402
import figures_pytest  # noqa: E402
import figures_runs  # noqa: E402
import figures_station  # noqa: E402
import peers as peers_module  # noqa: E402
import support  # noqa: E402

FIGURES = {
    "emit": ("one event, from C", figures_emit.emit),
    "python": ("one event, from Python", figures_emit.python),
    "measure": ("measurements", figures_measure.measure),
    "channel": ("samples", figures_channel.channel),
    "latency": ("a run's end", figures_runs.latency),
    "stream": ("a stream of runs", figures_runs.stream),
    "replay": ("replay of logs", figures_runs.replay),
    "memory": ("the daemon's memory", figures_runs.memory),
    "commands": ("commands", figures_runs.commands),
    "read": ("reading from Python", figures_runs.read),
    "size": ("on disk", figures_runs.sizes),
    "lake": ("many runs", figures_lake.lake),
    "catalog": ("the catalog", figures_lake.catalog),
    "large": ("a run of many steps", figures_lake.large),
    "follow": ("a run that is followed", figures_lake.follow),
    "kill": ("a killed run", figures_pytest.kill),
    "plan": ("a large plan", figures_pytest.plan),
    "station": ("a station's instruments", figures_station.station),
    "cost": ("what recording costs pytest", figures_pytest.cost),
}


def _where() -> str:
    kind = subprocess.run(["stat", "-f", "-c", "%T", str(support.DATA)], capture_output=True, text=True).stdout.strip()
    load = " ".join(f"{x:.2f}" for x in os.getloadavg())
    return f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}, file system {kind}, Python {platform.python_version()}, load {load}"


def main() -> int:
    wanted = [word for word in os.environ.get("LITMUS_BENCH_ONLY", "").split(",") if word]
    unknown = [word for word in wanted if word not in FIGURES]
    if unknown:
        print(f"bench: no such figure: {', '.join(unknown)} (there are: {' '.join(FIGURES)})", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    shutil.rmtree(support.DATA, ignore_errors=True)
    support.DATA.mkdir(parents=True)
    began = time.monotonic()
    table = support.Table()
    print(_where())
    print(table.HEAD)
    peers = peers_module.Peers(table)
    try:
        for key, (title, measure) in FIGURES.items():
            if wanted and key not in wanted:
                continue
            if key == "kill":
                peers.end()  # from here on nobody asks testerkit: its daemons shall not run beside pytest
            table.section(title)
            try:
                measure(table, peers)
            except (support.CannotMeasure, OSError, subprocess.SubprocessError) as exc:
                table.fail(title, str(exc))
    finally:
        peers.end()
        if not os.environ.get("LITMUS_BENCH_KEEP"):
            shutil.rmtree(support.DATA, ignore_errors=True)
    out = support.OUT / "bench.json"
    table.write(out)
    missed = [row["name"].strip() for row in table.rows if row["goal"] is not None and not support.met(row)]
    judged = sum(row["goal"] is not None for row in table.rows)
    shown = out.relative_to(support.ROOT) if out.is_relative_to(support.ROOT) else out
    print(f"\n{judged - len(missed)} of {judged} goals met, {len(table.rows)} figures in {shown}, {time.monotonic() - began:.0f} s")
    for name in missed:
        print(f"  missed: {name}")
    for name in table.failures:
        print(f"  not measured: {name}")
    return 1 if table.failures else 0


if __name__ == "__main__":
    sys.exit(main())

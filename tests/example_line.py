# SPDX-License-Identifier: Apache-2.0
"""A small production line on record: what docs/analysis.md shows the figures of. Nothing in it is left to chance."""

from __future__ import annotations

import datetime
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from test_sql import put, row  # noqa: E402

MONDAY = datetime.datetime(2026, 5, 4, 7, tzinfo=datetime.timezone.utc)
STEPS = ("test_contact", "test_rail", "test_ripple", "test_load")
NEVER = ("test_thermal",)  # planned since the second week, marked "no chamber on this bench"


def noise(n: int) -> float:
    """A number in -1..1, the same for the same n."""
    return random.Random(n).uniform(-1, 1)


def unit_run(number: int, serial: str, outcomes: dict[str, list[str]], week: int, station: str, part: str = "PSU-7", rail: float = 1.8) -> list[dict]:
    """The rows of one run; outcomes: of steps that did not just pass, [] never ran."""
    run_id = f"{number:08x}-5a17-4000-8000-000000000000"
    started = MONDAY + datetime.timedelta(weeks=week, minutes=9 * (number % 400))
    words = [word for attempts in outcomes.values() for word in attempts[-1:]]
    outcome = "aborted" if "aborted" in words else "failed" if "failed" in words else "passed"
    names = list(STEPS) + (list(NEVER) if week else [])
    common = {"dut_serial": serial, "run_outcome": outcome, "dut_part_number": part, "station_id": station, "dut_lot_number": f"L{week + 1}", "project_name": "psu"}
    rows = [row("run", run_id, started, plan_digest=str(len(names)), git_commit="5eed" + f"{week:036x}", **common)]
    for index, name in enumerate(names):
        attempts = outcomes.get(name, [] if name in NEVER else ["passed"])
        at, last = (started, attempts[-1]) if attempts else (None, None)
        end = at + datetime.timedelta(milliseconds=int(400 * (index + 1) + 90 * noise(number + index))) if attempts else None
        rows.append(row("step", run_id, started, step_name=name, step_path=f"test_psu.py/{name}", parent_path="test_psu.py", step_node_id=f"test_psu.py::{name}",
                        step_index=index, vector_index=0, step_started_at=at, step_ended_at=end, step_outcome=last, vector_outcome=last, attempt_outcomes=attempts,
                        attempt_started_at=[at] * len(attempts), attempt_ended_at=[end] * len(attempts),
                        never_ran_reason=None if attempts else "skip_marker" if name in NEVER else "maxfail", **common))
        for retry, verdict in enumerate(attempts if name == "test_rail" else []):
            value = round(rail + (0.06 if verdict == "failed" else 0.012 * (noise(number) + noise(3 * number + 1))), 4)
            rows.append(row("measurement", run_id, started, step_name=name, step_path=f"test_psu.py/{name}", step_index=index, vector_index=0, vector_retry=retry,
                            measurement_name="rail_1v8", measurement_value=value, measurement_units="V", measurement_outcome=verdict,
                            limit_low=1.75, limit_high=1.85, **common))
    return rows


def line() -> list[list[dict]]:
    """Three weeks of 20 units on two stations: some fail, are tried again, retested; one run is cut off, one has no serial."""
    runs, number = [], 0
    failing = {4: "test_ripple", 9: "test_ripple", 13: "test_rail", 22: "test_ripple", 31: "test_ripple", 38: "test_load", 47: "test_ripple", 55: "test_rail"}
    for n in range(60):
        number += 1
        week, station, outcomes = n // 20, f"bench-{n % 2 + 1}", {}
        if n in failing:
            at = STEPS.index(failing[n])
            outcomes = {failing[n]: ["failed"], **{name: [] for name in STEPS[at + 1 :]}}
        elif n in (17, 41):
            outcomes = {"test_rail": ["failed", "passed"]}
        elif n == 28:
            outcomes = {"test_ripple": ["aborted"], "test_load": []}
        runs.append(unit_run(number, f"SN{1000 + n}", outcomes, week, station))
        if n in (4, 9, 13, 22, 38, 47):  # the others were not retested
            number += 1
            again = {"test_ripple": ["failed"], "test_load": []} if n == 22 else {}
            runs.append(unit_run(number, f"SN{1000 + n}", again, week, station))
    runs.append(unit_run(number + 1, "", {}, 2, "bench-1"))
    runs.append(unit_run(number + 2, "GOLD-1", {}, 2, "bench-2"))
    return runs


def write(data_dir: pathlib.Path) -> pathlib.Path:
    """Puts the line on record below data_dir; its golden unit is named in a litmus.yaml there."""
    for rows in line():
        put(data_dir, rows)
    (data_dir / "litmus.yaml").write_text('golden_units: ["GOLD-*"]\n')
    return data_dir

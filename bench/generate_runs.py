# SPDX-License-Identifier: Apache-2.0
"""Realistic finished runs, many of them, for the figures of the lake and of SQL.

    python bench/generate_runs.py DATA_DIR --runs 1000 --steps 100

Each run has the columns of src/model/columns.def, an id, serial and times of its own. One in twenty stopped early: its
last steps never ran.
"""

from __future__ import annotations

import argparse
import datetime
import pathlib
import random
import uuid

import pyarrow as pa
import pyarrow.parquet as pq

START = datetime.datetime(2026, 1, 1, 6, tzinfo=datetime.timezone.utc)
US = pa.timestamp("us", "UTC")


def schema_of(definition: pathlib.Path) -> pa.Schema:
    """The fixed columns of a run file, as src/model/columns.def declares them."""
    types = {"STR": pa.string(), "TIME": US, "INT": pa.int64(), "INT32": pa.int32(), "REAL": pa.float64(),
             "STRS": pa.list_(pa.string()), "TIMES": pa.list_(US)}
    fields = []
    for line in definition.read_text().splitlines():
        if line.startswith("COLUMN("):
            name, kind = [word.strip() for word in line[len("COLUMN(") :].split(",")[:2]]
            fields.append(pa.field(name, types[kind]))
    return pa.schema(fields)


def columns_of(number: int, steps: int, rng: random.Random) -> dict[str, list]:
    """The columns that vary; those that are not here are NULL."""
    began = START + datetime.timedelta(minutes=5 * number)
    stopped = rng.random() < 0.05
    ran = rng.randrange(1, steps) if stopped else steps
    outcomes = ["failed" if stopped and i == ran - 1 else "passed" if i < ran else None for i in range(steps)]
    at = [began + datetime.timedelta(milliseconds=40 * i) if i < ran else None for i in range(steps)]
    ended = [moment and moment + datetime.timedelta(milliseconds=rng.randrange(2, 38)) for moment in at]
    rows = steps + 1
    same = {"session_id": str(uuid.UUID(int=rng.getrandbits(128))), "run_id": str(uuid.UUID(int=rng.getrandbits(128), version=4)), "run_started_at": began,
            "run_ended_at": began + datetime.timedelta(milliseconds=40 * ran), "dut_serial": f"SN{number:07d}", "dut_part_number": f"P{number % 7}",
            "dut_lot_number": f"L{number // 200}", "station_id": f"bench-{number % 12}", "station_hostname": "bench", "test_phase": "production",
            "operator_id": f"op{number % 5}", "project_name": "line", "git_commit": f"{number // 5000:040x}", "run_outcome": "failed" if stopped else "passed",
            "litmus_version": "0.1.0", "python_version": "3.11.7"}
    columns = {name: [value] * rows for name, value in same.items()}
    columns.update(record_type=["run"] + ["step"] * steps, step_name=[None] + [f"test_{i:03d}" for i in range(steps)], step_index=[None, *range(steps)],
                   step_path=[None] + [f"tests/test_{i // 10}.py/test_{i:03d}" for i in range(steps)],
                   parent_path=[None] + [f"tests/test_{i // 10}.py" for i in range(steps)],
                   step_node_id=[None] + [f"tests/test_{i // 10}.py::test_{i:03d}" for i in range(steps)],
                   step_file=[None] + [f"tests/test_{i // 10}.py" for i in range(steps)], step_started_at=[None, *at], vector_started_at=[None, *at],
                   step_ended_at=[None, *ended], vector_ended_at=[None, *ended], step_outcome=[None, *outcomes], vector_outcome=[None, *outcomes],
                   vector_index=[None] + [0] * steps, step_vector_count=[None] + [1] * steps,
                   never_ran_reason=[None] + [None if i < ran else "maxfail" for i in range(steps)],
                   attempt_outcomes=[None] + [[word] if word else [] for word in outcomes], attempt_started_at=[None] + [[t] if t else [] for t in at],
                   attempt_ended_at=[None] + [[t] if t else [] for t in ended])
    return columns


def generate(data_dir: pathlib.Path, runs: int, steps: int = 100, seed: int = 1) -> None:
    """Writes the files of `runs` runs below data_dir/runs. The same seed gives the same rows."""
    schema = schema_of(pathlib.Path(__file__).resolve().parent.parent / "src/model/columns.def")
    rng = random.Random(seed)
    for number in range(runs):
        columns = columns_of(number, steps, rng)
        table = pa.table([pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(steps + 1, field.type) for field in schema], schema=schema)
        began = columns["run_started_at"][0]
        path = data_dir / "runs" / began.strftime("%Y-%m-%d") / f"{began:%Y%m%dT%H%M%SZ}_{columns['dut_serial'][0]}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, compression="zstd", compression_level=1)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=pathlib.Path)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    generate(given.data_dir, given.runs, given.steps, given.seed)


if __name__ == "__main__":
    main()

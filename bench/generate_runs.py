# SPDX-License-Identifier: Apache-2.0
"""Realistic finished runs, many of them, for the figures of the lake and of SQL.

    python bench/generate_runs.py DATA_DIR --runs 1000 --steps 100

Each run has the columns of src/model/columns.def, an id, serial and times of its own. One in twenty stopped early: its
last steps never ran.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import datetime
import multiprocessing
import os
import pathlib
import random
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

START = datetime.datetime(2026, 1, 1, 6, tzinfo=datetime.timezone.utc)
US = pa.timestamp("us", "UTC")


def schema_of(definition: pathlib.Path) -> pa.Schema:
    """The fixed columns of a run file, as src/model/columns.def declares them."""
    types = {"STR": pa.string(), "TIME": US, "INT": pa.int64(), "INT32": pa.int32(), "REAL": pa.float64(), "BOOL": pa.bool_(),
             "STRS": pa.list_(pa.string()), "TIMES": pa.list_(US)}
    fields = []
    for line in definition.read_text().splitlines():
        if line.startswith("COLUMN("):
            name, kind = [word.strip() for word in line[len("COLUMN(") :].split(",")[:2]]
            fields.append(pa.field(name, types[kind]))
    return pa.schema(fields)


def fixed_columns(schema: pa.Schema, steps: int) -> dict[str, pa.Array]:
    """The columns that are the same in each run: the plan, and those that are NULL."""
    files = [f"tests/test_{i // 10}.py" for i in range(steps)]
    names = [f"test_{i:03d}" for i in range(steps)]
    columns = {"record_type": ["run"] + ["step"] * steps, "step_name": [None, *names], "step_index": [None, *range(steps)],
               "step_path": [None, *map("/".join, zip(files, names))], "parent_path": [None, *files],
               "step_node_id": [None, *map("::".join, zip(files, names))], "step_file": [None, *files],
               "vector_index": [None] + [0] * steps, "step_vector_count": [None] + [1] * steps}
    return {field.name: pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(steps + 1, field.type) for field in schema}


def texts_of(number: int, stopped: bool, rng: random.Random) -> dict[str, str]:
    """What stands on each row of a run."""
    return {"session_id": str(uuid.UUID(int=rng.getrandbits(128))), "run_id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            "dut_serial": f"SN{number:07d}", "dut_part_number": f"P{number % 7}", "dut_lot_number": f"L{number // 200}", "station_id": f"bench-{number % 12}",
            "station_hostname": "bench", "test_phase": "production", "operator_id": f"op{number % 5}", "project_name": "line",
            "git_commit": f"{number // 5000:040x}", "run_outcome": "failed" if stopped else "passed", "litmus_version": "0.1.0", "python_version": "3.11.7"}


def times(values: np.ndarray, missing: np.ndarray) -> pa.Array:
    """Microseconds since 1970 as a column."""
    return pa.array(values, pa.int64(), mask=missing).cast(US)


def lists(values: pa.Array, missing: np.ndarray) -> pa.Array:
    """A list of one value a step that ran, of none a step that did not; NULL on the row of the run."""
    offsets = np.concatenate([[0], np.cumsum(~missing)]).astype(np.int32)
    kept = values.filter(pa.array(~missing))
    array = pa.ListArray.from_arrays(pa.array(offsets), kept)
    return pc.if_else(pa.array(np.arange(len(missing)) > 0), array, pa.nulls(len(missing), array.type))


def run_of(schema: pa.Schema, fixed: dict[str, pa.Array], number: int, steps: int, seed: int) -> tuple[pa.Table, str]:
    """The rows of a run, and its file below runs/."""
    rng = random.Random(f"{seed} {number}")
    stopped = rng.random() < 0.05
    ran = rng.randrange(1, steps) if stopped else steps
    began = START + datetime.timedelta(minutes=5 * number)
    index = np.arange(steps + 1)
    missing = (index == 0) | (index > ran)
    at = int(began.timestamp()) * 1_000_000 + (index - 1) * 40_000
    started, ended = times(at, missing), times(at + np.random.default_rng(number).integers(2_000, 38_000, steps + 1), missing)
    words = np.where(stopped & (index == ran), "failed", "passed").astype(object)
    outcomes = pa.array(words, pa.string(), mask=missing)
    columns = dict(fixed)
    texts = texts_of(number, stopped, rng)
    columns.update({name: pa.repeat(pa.scalar(value, pa.string()), steps + 1) for name, value in texts.items()})
    columns.update(run_started_at=pa.repeat(pa.scalar(began, US), steps + 1),
                   run_ended_at=pa.repeat(pa.scalar(began + datetime.timedelta(milliseconds=40 * ran), US), steps + 1),
                   step_started_at=started, vector_started_at=started, step_ended_at=ended, vector_ended_at=ended, step_outcome=outcomes, vector_outcome=outcomes,
                   never_ran_reason=pa.array(["maxfail"] * (steps + 1), mask=index <= ran), attempt_outcomes=lists(outcomes, missing),
                   attempt_started_at=lists(started, missing), attempt_ended_at=lists(ended, missing))
    table = pa.Table.from_arrays([columns[field.name] for field in schema], schema=schema)
    return table, f"{began:%Y-%m-%d}/{began:%Y%m%dT%H%M%SZ}_{texts['dut_serial']}.parquet"


def write_runs(data_dir: pathlib.Path, numbers: range, steps: int, seed: int) -> None:
    """Writes the files of these runs."""
    schema = schema_of(pathlib.Path(__file__).resolve().parent.parent / "src/model/columns.def")
    fixed = fixed_columns(schema, steps)
    for number in numbers:
        table, name = run_of(schema, fixed, number, steps, seed)
        path = data_dir / "runs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, compression="zstd", compression_level=1)


def generate(data_dir: pathlib.Path, runs: int, steps: int = 100, seed: int = 1) -> None:
    """Writes the files of `runs` runs below data_dir/runs, on every processor. The same seed gives the same rows."""
    hands = os.cpu_count() or 1
    with concurrent.futures.ProcessPoolExecutor(hands, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(write_runs, [data_dir] * hands, [range(hand, runs, hands) for hand in range(hands)], [steps] * hands, [seed] * hands))


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

# SPDX-License-Identifier: Apache-2.0
"""Makes the first inputs of the targets that take text or Parquet, from the fold's cases and by hand.

Usage: make_seeds.py FOLDER: writes FOLDER/{target}/... . tests/fuzz/run does so at its start; what proves to reach
something new is kept and, minimised, committed as the corpus.
"""

import io
import json
import pathlib
import sys

import pyarrow as pa
import pyarrow.parquet as pq

TESTS = pathlib.Path(__file__).resolve().parent.parent
ENVELOPE = {"id", "event_type", "occurred_at", "received_at", "session_id", "run_id", "x_source"}

CONFIGS = [
    "",
    "data_dir: ./data\n",
    'data_dir: "~/litmus"\n',
    "station:\n  id: bench-1\n  name: 'Bench 1'\n  instruments: [dmm, psu]\nrecord: required\ndurability: group 100 ms\n",
    'data_dir: ./data\na: &x [1, \'q\', "\\u00e9", ~]\nb: {c: *x, d: |\n  text\n}\n? k\n: !!str 5\n',
    "a: 0x1f\nb: 0o17\nc: 1e3\nd: .inf\ne: 9223372036854775808\nf: yes\ng: !!int 7\nh: >-\n  folded\n  text\n",
    "a0: &a0 [x,x,x]\na1: &a1 [*a0,*a0,*a0]\na2: &a2 [*a1,*a1,*a1]\na3: [*a2,*a2]\n",
    "--- # a document\n{data_dir: x, n: {m: [[[[]]]]}}\n...\n--- second\n",
    "%YAML 1.2\n---\n<<: {a: 1}\n? [complex, key]\n: value\n",
    "a: 1\na: 2\n",
    "\ufeffdata_dir: b\u00e9nch\n",
    "\ttab: no\n",
]
COMMANDS = [
    "runs", "runs\n--json\n-n\n5\n--since\n7d", "runs\n--serial=SN-0042\n--outcome\nfailed\n--until\n2026-05-16T14:30Z\n--utc\n--no-color", "show\nlast\n-m", "show\n@2\n--json",
    "show\n--utc", "events\n--run\nlast\n--type\ntest.measurement\n--json", "events\n-n0\n-s\nabc\n--role\ndmm", "events\n--types", "gate\nlast\n--allow\nskipped\n-a\ninterrupted",
    "gate\n@1\n--json\n-qv", "materialize\n--all\n-v", "rebuild\n--dry-run\n--json", "verify\n--all", "verify\nlast\n--json", "daemon\nstatus\n--json", "daemon\nrun\n--foreground\n--idle\n3",
    "completion\nbash", "completion\nzsh", "completion\nfish", "help\ngate\n--man", "help", "version\n--json", "runs\n-h", "show\n--\n-x", "show\na\nb", "runs\n--limit", "runs\n--lmit\n3",
    "runs\n-n99999999999999999999", "runs\n--project\np\n--part\nq\n--station\nbench-1\n--operator\nann\n--phase\nproduction\n-d\n/nowhere",
]

# what a daemon tells of a run (src/materialize/done_text.c)
DONE = json.dumps({"run_id": "aaaaaaaa-1234-4123-8123-123456789abc", "path": "/d/runs/x.parquet", "outcome": "passed"} |
                  dict.fromkeys("planned steps measurements passed failed errored skipped done terminated aborted never_ran".split(), 1))


def cases():
    for path in sorted((TESTS / "cases").glob("*/events.jsonl")):
        yield path.parent.name, path.read_text()


def event_seeds():
    for name, text in cases():
        for number, line in enumerate(text.splitlines()):
            if not line.strip():
                continue
            try:
                event = json.loads(line)
            except ValueError:
                continue
            payload = {key: value for key, value in event.items() if key not in ENVELOPE}
            flags = b"\x01" if event.get("run_id") else b"\x00"
            yield f"{name}-{number}", flags + str(event.get("event_type")).encode() + b"\n" + json.dumps(payload).encode()
    yield "vendor", b"\x05vendor.thing\n{\"x\": [1, {\"y\": null}]}"


def parquet_seeds():
    zone = pa.timestamp("us", tz="UTC")
    rows = {
        "record_type": pa.array(["run", "step", "step", "measurement"]),
        "run_id": pa.array(["aaaaaaaa-1234-4123-8123-123456789abc"] * 4),
        "step_outcome": pa.array([None, "passed", None, None]),
        "step_index": pa.array([None, 0, 1, 1], pa.int64()),
        "measurement_value": pa.array([None, None, None, 3.3]),
        "retry": pa.array([None, 0, 0, 1], pa.int32()),
        "step_started_at": pa.array([None, 1, 2, 3], zone),
        "mocked": pa.array([None, True, False, None]),
        "step_instruments_name": pa.array([None, ["dmm", None], [], ["psu"]], pa.list_(pa.string())),
        "step_instruments_times": pa.array([None, [1, None], [], [3]], pa.list_(zone)),
        "step_instruments_mocked": pa.array([None, [True], [], [None]], pa.list_(pa.bool_())),
    }
    table = pa.table(rows)
    styles = {
        "plain": {"use_dictionary": False, "compression": "none"},
        "dictionary": {"compression": "none"},
        "zstd": {"compression": "zstd", "write_page_checksum": True},
        "snappy": {"compression": "snappy"},
        "gzip_lz4": {"compression": {**{name: "gzip" for name in rows}, "run_id": "lz4"}},
        "groups": {"row_group_size": 2, "compression": "none"},
        "pages": {"data_page_version": "2.0", "compression": "none", "write_page_index": True},
        "delta": {"use_dictionary": False, "compression": "none", "column_encoding": {"step_index": "DELTA_BINARY_PACKED", "run_id": "DELTA_BYTE_ARRAY",
                  "record_type": "DELTA_LENGTH_BYTE_ARRAY", "measurement_value": "BYTE_STREAM_SPLIT"}},
        "v1": {"version": "1.0", "compression": "none", "use_deprecated_int96_timestamps": True},
    }
    for name, options in styles.items():
        out = io.BytesIO()
        pq.write_table(table, out, **options)
        yield name, out.getvalue()
    out = io.BytesIO()
    pq.write_table(pa.table({"a": pa.array([{"b": 1, "c": [{"d": "x"}]}]), "e": pa.array([b"\xff"]), "f": pa.array([1], pa.decimal128(9, 2))}), out, compression="none")
    yield "foreign", out.getvalue()


def write(folder, target, seeds):
    into = folder / target
    into.mkdir(parents=True, exist_ok=True)
    for name, content in seeds:
        (into / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def main():
    folder = pathlib.Path(sys.argv[1])
    write(folder, "fold", cases())
    write(folder, "event", event_seeds())
    write(folder, "parquet", parquet_seeds())
    write(folder, "config", ((f"config{i}", text) for i, text in enumerate(CONFIGS)))
    write(folder, "arguments", ((f"command{i}", text) for i, text in enumerate(COMMANDS)))
    write(folder, "control", ((f"lines{i}", text) for i, text in enumerate(["\x01status\n", "\x02wait a b\nstatus\r\n", "\x40stop\n", "\x81wait\n", "\x01" + "x" * 300, DONE])))
    logs = [(path.name, path.read_bytes()) for path in sorted((TESTS / "fuzz/log_reader/corpus").iterdir())]
    whole = dict(logs)["sealed.arrow"]
    cuts = [(f"cut{n}", whole[:n]) for n in (0, 5, 8, 16, 700, 1300, 2400, len(whole) - 100, len(whole) - 7)]
    write(folder, "recovery", logs + cuts)
    write(folder, "log_reader", cuts)


main()

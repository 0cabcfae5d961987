# SPDX-License-Identifier: Apache-2.0
"""A file or a data_dir that was broken off half-way: a clear error, or what was there on record as broken off. Never half a run that looks whole."""

from __future__ import annotations

import importlib
import json
import pathlib
import shutil
import signal
import subprocess
import sys

import pyarrow as pa
import pytest

import litmus.imports
from litmus.data.run_store import RunStore
from litmus.errors import InvalidArgument, LitmusError
from litmus.imports import import_file
from test_cli import environment, ok, record, run

JUNIT = b"""<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="s" tests="3" timestamp="2026-05-16T14:30:00+00:00" time="1.5">
<testcase classname="t.Rails" name="test_3v3" time="0.5"/>
<testcase classname="t.Rails" name="test_5v" time="0.5"><failure message="4.1 &lt; 4.9">E</failure></testcase>
<testcase classname="t" name="test_\xc3\xbcber" time="0.5"><skipped message="no load"/></testcase>
</testsuite></testsuites>
"""
REPORTS = [
    {"pytest_version": "8.4.2", "$report_type": "SessionStart"},
    {"nodeid": "t.py::test_a", "when": "call", "outcome": "passed", "start": 1778941800.0, "stop": 1778941801.0, "$report_type": "TestReport"},
    {"nodeid": "t.py::test_b", "when": "call", "outcome": "failed", "start": 1778941801.0, "stop": 1778941802.0, "longrepr": "E  low", "$report_type": "TestReport"},
    {"exitstatus": 1, "$report_type": "SessionFinish"},
]
REPORTLOG = b"".join(json.dumps(line).encode() + b"\n" for line in REPORTS)
OPENHTF = json.dumps({"dut_id": "SN9", "station_id": "b", "start_time_millis": 1000000, "end_time_millis": 1009000, "outcome": "PASS", "metadata": {"test_name": "rail"}, "phases": [
    {"name": "volts", "start_time_millis": 1000000, "end_time_millis": 1001000, "outcome": "PASS", "measurements": {
        "v": {"outcome": "PASS", "measured_value": 3.3, "units": {"suffix": "V"}, "validators": ["3.0 <= x <= 3.6"]}}}]}, ensure_ascii=False).encode() + b"\n"


def steps(data_dir, run_id):
    return [(s["step_name"], s["step_outcome"]) for s in RunStore(data_dir).get_steps(run_id)]


@pytest.mark.parametrize("name, raw", [("r.xml", JUNIT), ("r.json", OPENHTF), ("r.jsonl", REPORTLOG)])
def test_cut_at_every_byte(tmp_path, name, raw):
    kind = litmus.imports.kind_of(raw, name)
    read = importlib.import_module("litmus.imports.from_" + kind).read
    ((whole,),) = [read(raw)]
    recorded = set()
    for size in range(len(raw)):
        (tmp_path / name).write_bytes(raw[:size])
        try:
            ((found,),) = [read(raw[:size])] if size else [()]
        except (InvalidArgument, ValueError, TypeError, KeyError, AttributeError):
            with pytest.raises(InvalidArgument, match=name):
                import_file(tmp_path / name, data_dir=tmp_path / "nothing")
            continue
        if found == whole:
            assert raw[size:].isspace(), "nothing but a newline is missing"
        else:
            assert kind == "reportlog" and found.outcome == "aborted", "its writer may have died there, and that shows"
        recorded.add(json.dumps(found))
        if len(recorded) > len(list((tmp_path / "data").glob("runs/*/*.parquet"))):  # each that differs, once
            ((run_id, new),) = import_file(tmp_path / name, data_dir=tmp_path / "data", kind=kind)
            assert new and steps(tmp_path / "data", run_id) == [(s.name, s.attempts[-1].outcome) for s in found.steps]
            assert RunStore(tmp_path / "data").get_run(run_id)["outcome"] == (found.outcome or "failed" if kind != "openhtf" else "passed")
    assert not (tmp_path / "nothing").exists(), "what was refused left nothing"
    assert len(recorded) == (4 if kind == "reportlog" else 1)


def test_what_no_record_can_hold_leaves_nothing_of_the_file(tmp_path):
    """The second record of two: the first is not on record either."""
    good = json.loads(OPENHTF)
    bad = {**good, "phases": [*good["phases"], {"name": "amps", "start_time_millis": 1e300, "outcome": "PASS"}]}
    for number, second in enumerate((bad, {**good, "dut_id": "SN\ud800"}, {**good, "metadata": {"test_name": "a\0b" * 10, "deep": 1}, "start_time_millis": 2**62})):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps([good, second]))
        try:
            import_file(path, data_dir=tmp_path / str(number))
        except InvalidArgument as error:
            assert str(path) in str(error)
            assert not (tmp_path / str(number)).exists()
        else:
            assert len(RunStore(tmp_path / str(number)).list_runs()) == 2


KILLED = """
import os, signal, sys
import litmus.imports as imports
put, count = imports._put_step, int(sys.argv[3])
def put_some(session, *rest):
    global count
    if session.data_dir == sys.argv[2]:
        count -= 1
    if count < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    put(session, *rest)
imports._put_step = put_some
imports.import_file(sys.argv[1], data_dir=sys.argv[2])
"""


@pytest.mark.parametrize("after", [0, 2])
def test_an_import_that_was_killed_comes_whole_the_next_time(tmp_path, after):
    (tmp_path / "r.xml").write_bytes(JUNIT)
    data = tmp_path.resolve() / "data"
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "r.xml", data, str(after)], capture_output=True, env=environment())
    assert done.returncode == -signal.SIGKILL, done.stderr
    ok("materialize", "-d", data)
    (half,) = RunStore(data).list_runs()
    assert (half["outcome"], half["stop_reason"]) == ("aborted", "crash") and half["never_ran"] == 3 - after
    ((run_id, new),) = import_file(tmp_path / "r.xml", data_dir=data)
    assert new and [word for _, word in steps(data, run_id)] == ["passed", "failed", "skipped"]
    assert import_file(tmp_path / "r.xml", data_dir=data) == [(run_id, False)]
    assert len(RunStore(data).list_runs()) == 2


# ---- a data_dir with a torn log

SUITE = """
    def test_a(): pass
    def test_b(): pass
    def test_c(): pass
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    top = tmp_path_factory.mktemp("bench")
    record(top / "suite", top / "data", SUITE, "--litmus-no-daemon")
    for path in top.glob("data/runs/*/*.parquet"):
        path.unlink()
    for path in top.glob("data/events/*/*.arrow"):
        if pa.ipc.open_file(path).read_all().num_rows <= 2:  # the materializer's own
            path.unlink()
    (top / "data/heads").unlink(missing_ok=True)
    return top / "data"


@pytest.mark.parametrize("tenths", [1, 3, 5, 7, 9])
def test_a_torn_log_comes_as_far_as_it_is_whole(bench, tmp_path, tenths):
    shutil.copytree(bench, tmp_path / "from")
    (log,) = (tmp_path / "from").glob("events/*/*.arrow")
    types = pa.ipc.open_file(log).read_all()["event_type"].to_pylist()
    raw = log.read_bytes()
    log.write_bytes(raw[:len(raw) * tenths // 10 + 3])
    done = run("import", "-d", tmp_path / "data", tmp_path / "from")
    assert done.returncode == 0, done.stderr
    (copy,) = (tmp_path / "data/events").glob(f"*/{log.name}")
    kept = pa.ipc.open_file(copy).read_all()["event_type"].to_pylist()  # it is sealed here
    assert kept == types[:len(kept)] and len(kept) >= len(types) * (tenths - 3) // 10
    runs = RunStore(tmp_path / "data").list_runs()
    assert [r["outcome"] for r in runs] == (["passed" if "run.ended" in kept else "aborted"] if "run.started" in kept else [])
    assert [r["planned"] for r in runs] == ([3 if "test.steps_discovered" in kept else 0] if runs else [])
    verified = run("verify", "--all", "-d", tmp_path / "data")
    assert verified.returncode == 0, verified.stdout

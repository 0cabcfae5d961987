# SPDX-License-Identifier: Apache-2.0
"""`litmus channel` and `litmus recall`: what the commands say of what was recorded."""

from __future__ import annotations

import array
import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

_litmus = pytest.importorskip("litmus._litmus")
import litmus  # noqa: E402

LITMUS = pathlib.Path(sys.executable).with_name("litmus")
pytestmark = pytest.mark.skipif(not LITMUS.exists(), reason="litmus is not installed: run make")
T0 = 1_700_000_000_000_000_000


def run(data_dir, *arguments):
    return subprocess.run([LITMUS, *arguments, "-d", data_dir], capture_output=True, text=True, timeout=600)


def lines(done) -> list:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_ls_view_export(tmp_path):
    assert run(tmp_path, "channel").stdout == ""
    with _litmus.Session(tmp_path, daemon=False) as session:
        with litmus.open_channel("scope.ch1", session=session, units="V") as ch:
            ch.block(array.array("d", [i % 100 for i in range(10000)]), interval=1e-3, start=T0)
        with litmus.open_channel("count", session=session, type="int64") as ch:
            ch.block(array.array("q", [2**62 + 1]), interval=1, start=T0)
    found = {row["channel_id"]: row for row in lines(run(tmp_path, "channel", "ls", "--json"))}
    assert found["scope.ch1"]["samples"] == 10000 and found["scope.ch1"]["units"] == "V"
    assert found["scope.ch1"]["first_ns"] == T0
    assert found["scope.ch1"]["uri"] in run(tmp_path, "channel").stdout
    rows = run(tmp_path, "channel", "export", found["scope.ch1"]["uri"]).stdout.splitlines()
    assert rows[0] == "time_ns,value" and rows[1] == f"{T0},0.0" and len(rows) == 10001
    view = lines(run(tmp_path, "channel", "view", "scope.ch1", "--limit", "20", "--json"))
    assert len(view) == 20 and {row["value"] for row in view} == {0.0, 99.0}
    assert run(tmp_path, "channel", "export", "count").stdout.splitlines()[1] == f"{T0},{2**62 + 1}"
    window = run(tmp_path, "channel", "export", "scope.ch1", "--since", "2023-11-14T22:13:29.998Z")
    assert len(window.stdout.splitlines()) == 3


def test_the_file_of_a_killed_writer_is_finished(tmp_path):
    code = "import litmus,os,sys;from litmus import _litmus;c=litmus.open_channel('x',session=_litmus.Session(sys.argv[1],daemon=False));c.append(1.0);os.kill(os.getpid(),9)"
    assert subprocess.run([sys.executable, "-c", code, tmp_path]).returncode == -signal.SIGKILL
    (path,) = tmp_path.glob("channels/*/*.arrow")
    assert not path.read_bytes().endswith(b"ARROW1")
    assert lines(run(tmp_path, "channel", "ls", "--json"))[0]["samples"] == 1
    assert path.read_bytes().endswith(b"ARROW1")
    assert [p for p in tmp_path.glob("channels/*/.*")] == []
    assert lines(run(tmp_path, "channel", "ls", "--json"))[0]["samples"] == 1


@pytest.mark.parametrize("arguments, code", [(("look",), 2), (("view",), 2), (("ls", "x"), 2), (("view", "none"), 3), (("export", "channel://x?session=1"), 2), (("",), 2)])
def test_what_is_refused(tmp_path, arguments, code):
    done = run(tmp_path, "channel" if arguments[0] else "recall", *arguments)
    assert done.returncode == code and done.stderr.startswith("litmus"), done


def test_recall_lists_units_and_values(tmp_path):
    (tmp_path / "stations").mkdir()
    (tmp_path / "stations/s.yaml").write_text("instruments:\n  dmm: {mock: {read: 1.5}, id: DMM-42}\n")
    (tmp_path / "test_x.py").write_text("def test_v(dmm, measure):\n    measure('v', dmm.read(), units='V')\n    measure('version', 'say \"v1\"')\n")
    env = {key: value for key, value in os.environ.items() if not key.startswith(("LITMUS_", "PYTEST_"))}
    env.update(LITMUS_DATA_DIR=str(tmp_path / "data"), LITMUS_NO_DAEMON="1")
    for serial in ("SN1", "SN2"):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--litmus-dut-serial", serial]
        assert subprocess.run(command, cwd=tmp_path, env=env, capture_output=True).returncode == 0
    for name in ("DMM-42", "dmm"):
        rows = lines(run(tmp_path / "data", "recall", name, "--since", "1h", "--json"))
        found = [(row["dut_serial"], row["measurement_name"], row["measurement_value"], row["measurement_text"], row["role"]) for row in rows]
        assert found == [(serial, *value, "dmm") for serial in ("SN1", "SN2") for value in (("v", 1.5, None), ("version", None, 'say "v1"'))]
    shown = run(tmp_path / "data", "recall", "DMM-42").stdout.splitlines()
    assert [line.split("  ")[0] for line in shown] == ["SN1", "SN1", "SN2", "SN2"]
    assert "  v  1.5  V  done  -" in shown[0] and '  version  say "v1"  -  done  -' in shown[1]
    assert lines(run(tmp_path / "data", "recall", "PSU-1", "--json")) == []
    for wrong in ("dmm-42", "DMM-24"):  # nothing found may be a slip
        assert "did you mean DMM-42?" in run(tmp_path / "data", "recall", wrong).stderr


def test_recall_by_any_name_that_an_instrument_has(tmp_path):
    """Two roles of one address are one run; a measurement may name its instrument by role, asset id, serial or address."""
    connected = [{"role": "dmm", "instrument_id": "DMM-42", "serial": "S1", "resource": "USB0"}, {"role": "psu", "instrument_id": "PSU-1", "resource": "USB0"}]
    named = {"a": "dmm", "b": "DMM-42", "c": "S1", "d": "USB0", "e": "PSU-1", "f": "scope", "g": None}
    step = {"step_name": "t", "step_index": 0, "step_path": "t.py/t", "vector_index": 0}
    with _litmus.Session(str(tmp_path), daemon=False) as session:
        run_id = "00000000-0000-4000-8000-000000000001"
        session.emit("run.started", {"dut_serial": "SN1"}, run_id)
        for instrument in connected:
            session.emit("fixture.instrument_connected", {"driver": "x", "protocol": "visa", "mocked": False, **instrument}, run_id)
        session.emit("test.step_started", step, run_id)
        for name, instrument in named.items():
            session.emit("test.measurement", {**step, "measurement_name": name, "value": 1.0, "outcome": "done", "instrument_name": instrument}, run_id)
        session.emit("test.step_ended", {**step, "outcome": "passed"}, run_id)
        session.emit("run.ended", {"outcome": "passed"}, run_id)
    for wanted, names in (("USB0", "abcdeg"), ("DMM-42", "abcdg"), ("S1", "abcdg"), ("dmm", "abcdg"), ("PSU-1", "deg"), ("scope", "")):
        done = run(tmp_path, "recall", wanted, "--json")
        found = {row["measurement_name"]: row["certain"] for row in lines(done)}
        assert found == {name: name != "g" for name in names}, wanted
        assert f"was connected in {bool(names):d} runs, with {len(names)} measurements" in done.stderr
    assert [row["role"] for row in lines(run(tmp_path, "recall", "USB0", "--json"))] == ["dmm", "dmm", "dmm", "dmm", "psu", "dmm"]

# SPDX-License-Identifier: Apache-2.0
"""Instruments of the station: connected before the plan, given by role, on record; and what goes wrong."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest
from harness import addopts

pytest.importorskip("litmus._litmus")
from litmus import _instruments, _sidefile, _within  # noqa: E402
from litmus.data.event_store import EventStore  # noqa: E402
from litmus.errors import ConfigError  # noqa: E402

SIM = """
spec: "1.0"
devices:
  psu:
    eom:
      GPIB INSTR: {q: "\\n", r: "\\n"}
    dialogues:
      - {q: "*IDN?", r: "ACME,PSU-1,00042,1.07"}
      - {q: "MEAS:VOLT?", r: "5.012"}
resources:
  GPIB0::8::INSTR: {device: psu}
"""
DRIVERS = """
import threading
class Good:
    def __init__(self, resource, gain=1): self.resource, self.gain, self.range, self.closed = resource, gain, 1, False
    def read(self): return 2.5 * self.gain
    def setup(self, mode, rate=1): self.mode = mode
    def close(self): open("closed", "w").write(self.resource)
    def fail(self): raise OSError("no answer")
    def __enter__(self): return self
    def __exit__(self, *leaving): pass
class Unprintable(Exception):
    def __str__(self): raise RuntimeError("no words")
class Mute:
    def __init__(self, resource): self.resource = resource
    def read(self): raise Unprintable
    def close(self): raise Unprintable
class BadMute:
    def __init__(self, resource): raise Unprintable
class Quits:
    def __init__(self, resource): raise SystemExit("so not")
class QuitsAtTheEnd:
    def __init__(self, resource): pass
    def close(self): raise KeyboardInterrupt
class HangsAtTheEnd:
    def __init__(self, resource): pass
    def close(self): threading.Event().wait()
class Bad:
    def __init__(self, resource): raise OSError("no route to " + resource)
class Hanging:
    def __init__(self, resource): threading.Event().wait()
"""


class Project:
    def __init__(self, folder: pathlib.Path):
        self.folder, self.data = folder, folder / "data"
        (folder / "stations").mkdir()
        (folder / "drivers.py").write_text(DRIVERS)
        (folder / "sim.yaml").write_text(SIM)
        (folder / "conftest.py").write_text("")
        (folder / "test_it.py").write_text("def test_a(dmm): assert dmm.read() == 2.5\ndef test_b(): pass\n")

    def station(self, text: str, name: str = "bench.yaml") -> None:
        (self.folder / "stations" / name).write_text(text)

    def run(self, *arguments: str, **environ: str):
        env = {key: value for key, value in os.environ.items() if not key.startswith(("LITMUS_", "PYTEST_"))}
        env.update(LITMUS_DATA_DIR=str(self.data), LITMUS_NO_DAEMON="1", PYTEST_ADDOPTS=addopts(*arguments), PYTHONPATH=str(self.folder), **environ)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, cwd=self.folder, timeout=600)

    def events(self, *types: str) -> list[dict]:
        with EventStore(self.data, daemon=False) as store:
            found = store.events(limit=0) if not types else [e for e in store.events(limit=0) if e["event_type"] in types]
        return [dict(event) for event in found]

    def steps(self) -> list[tuple]:
        import pyarrow.parquet as pq

        (path,) = self.data.glob("runs/*/*.parquet")
        rows = pq.read_table(path).to_pylist()
        return [(row["step_name"], row["step_outcome"] or row["never_ran_reason"], row["run_outcome"]) for row in rows if row["record_type"] == "step"]


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path)


def test_they_connect_before_the_plan_and_close_after_the_run(project):
    project.station("instruments:\n  dmm: {driver: drivers.Good, resource: usb-1, id: DMM-7, cal_due: 2999-01-31}\n")
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stdout  # fixtures as pytest likes them
    kinds = [event["event_type"] for event in project.events()]
    order = ["run.started", "fixture.instrument_connected", "test.steps_discovered", "run.ended", "fixture.instrument_disconnected", "session.ended"]
    assert [kind for kind in kinds if kind in order] == order
    (event,) = project.events("fixture.instrument_connected")
    assert (event["role"], event["instrument_id"], event["resource"], event["driver"], event["mocked"]) == ("dmm", "DMM-7", "usb-1", "drivers.Good", False)
    assert event["cal_due"].startswith("2999-01-31")
    assert (project.folder / "closed").read_text() == "usb-1"


@pytest.mark.parametrize("driver, words", [("Bad", "no route to usb-1"), ("BadMute", "instrument dmm (usb-1) cannot be connected: Unprintable: <unprintable"), ("Quits", "it raised SystemExit: so not"), ("Hanging, timeout: 0.2", "did not connect within 0.2 s"), ("Missing", "Missing")])
def test_a_connect_that_fails_or_hangs_leaves_the_whole_plan(project, driver, words):
    project.station(f"instruments:\n  dmm: {{resource: usb-1, driver: drivers.{driver}}}\n")
    done = project.run()
    assert done.returncode == 1
    assert words in done.stdout and "dmm" in done.stdout
    assert project.steps() == [("test_a", "instrument_error", "errored"), ("test_b", "instrument_error", "errored")]
    (ended,) = project.events("run.ended")
    assert (ended["outcome"], ended["stop_reason"]) == ("errored", "instrument error")
    assert words in project.events("diagnostic.error")[0]["message"]


def test_pyvisa_with_a_simulated_instrument(project):
    pytest.importorskip("pyvisa_sim")
    project.station(
        "instruments:\n  psu:\n    driver: visa\n    resource: GPIB0::8::INSTR\n    visa_library: ../sim.yaml@sim\n    record: true\n"
        "    serial: '00041'\n    options: {read_termination: \"\\n\", write_termination: \"\\n\"}\n"
    )
    (project.folder / "test_it.py").write_text("def test_v(psu, instruments):\n    assert float(psu.query('MEAS:VOLT?')) == 5.012\n    assert instruments['psu'] is psu\n")
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    (event,) = project.events("fixture.instrument_connected")
    assert (event["manufacturer"], event["model"], event["serial"], event["firmware"]) == ("ACME", "PSU-1", "00042", "1.07")
    (verified,) = project.events("fixture.identity_verified")
    assert (verified["matches"], verified["mismatches"]) == (False, ["serial"])
    (read,) = project.events("instrument.read")
    assert (read["channel_id"], read["value"].strip(), bool(read["run_id"])) == ("psu.query", "5.012", True)


def test_recorded_calls_and_mocks(project):
    project.station("instruments:\n  dmm: {mock: {read: 2.5}, record: true}\n  gen: {driver: drivers.Good, resource: usb-2, record: true, options: {gain: 2}}\n")
    (project.folder / "test_it.py").write_text(
        "def test_a(dmm, gen):\n    assert dmm.read() == 2.5\n    gen.range = 10\n    gen.setup('sine', rate=3)\n    assert gen.read() == 5 and gen.range == 10\n"
    )
    done = project.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert [event["mocked"] for event in project.events("fixture.instrument_connected")] == [True, False]
    assert [(e["channel_id"], e["value"]) for e in project.events("instrument.read")] == [("dmm.read", 2.5), ("gen.read", 5.0)]
    (done_set,) = project.events("instrument.set")
    assert (done_set["instrument_role"], done_set["attribute"], done_set["value"]) == ("gen", "range", 10)
    (configured,) = project.events("instrument.configure")
    assert (configured["method"], configured["parameters"]) == ("setup", {"0": "sine", "rate": 3})


@pytest.mark.parametrize("policy, code, ran", [("warn", 0, True), ("refuse", 1, False), ("off", 0, True)])
def test_overdue_calibration_by_policy(project, policy, code, ran):
    (project.folder / "litmus.yaml").write_text(f"calibration: {policy}\n")
    project.station("instruments:\n  dmm: {driver: drivers.Good, resource: usb-1, cal_due: 2020-02-01}\n")
    done = project.run()
    assert done.returncode == code, done.stdout + done.stderr
    warned = project.events("fixture.calibration_warning")
    assert len(warned) == (policy != "off")
    assert all(event["days_until_due"] < -2000 and "2020-02-01" in event["message"] for event in warned)
    assert (project.steps()[0][1] == "passed") == ran


@pytest.mark.parametrize(
    "text, words",
    [
        ("instruments:\n  dmm: {drivr: x.Y}\n", "dmm: no key `drivr`; did you mean driver?"),
        ("instruments:\n  dmm: {resource: x}\n", "`driver` is missing"),
        ("instruments:\n  dmm: {driver: visa}\n", "`resource` is missing"),
        ("instruments:\n  dmm: {driver: x.Y, record: no}\n", "bench.yaml, line 2, column 22: instrument dmm: `record` is true or false, not 'no'"),
        ("instruments:\n  dmm: {mock: 5}\n", "`mock` is true, a mapping"),
        ("instruments:\n  dmm: {driver: x.Y, serial: [5]}\n", "`serial` is a text, not [5]"),
        ("instruments:\n  verify: {driver: x.Y}\n", "there is a fixture of that name"),
        ("instruments:\n  dmm: {driver: x.Y, timeout: -1}\n", "`timeout` is a number of seconds above 0"),
        ("instruments:\n  dmm: {driver: x.Y, cal_due: soon}\n", "is a date such as"),
        ("instruments:\n  a-b: {driver: x.Y}\n", "the name of a fixture"),
        ("instruments: [dmm]\n", "must be a mapping"),
        ("instruments:\n  dmm: {driver: x.Y\n", "bench.yaml, line 3"),
    ],
)
def test_a_station_file_that_cannot_be_used_stops_at_once(project, text, words):
    project.station(text)
    done = project.run()
    assert done.returncode == 4 and words in done.stderr, done.stdout + done.stderr
    assert "test_it" not in done.stdout


@pytest.mark.parametrize(
    "spec, words",
    [
        ("dmm: {driver: Dmm}", "column 9: instrument dmm: `driver` is `visa`, or the path of a class (bench.drivers.Dmm), not 'Dmm'"),
        ("dmm: {mock: bench.}", "column 9: instrument dmm: `mock` is true, a mapping from method to what it returns, or the path of a class (bench.drivers.Dmm), not 'bench.'"),
        ("tmp_path: {driver: x.Y}", "column 3: instrument tmp_path: there is a fixture of that name"),
        ("class: {driver: x.Y}", "column 3: instrument class: a role is the name of a fixture"),
    ],
)
def test_a_role_that_cannot_be_connected(tmp_path, spec, words):
    (tmp_path / "bench.yaml").write_text(f"instruments:\n  {spec}\n")
    document = _sidefile.Document(str(tmp_path / "bench.yaml"))
    with pytest.raises(ConfigError) as caught:
        _instruments.check(document, *next(iter(document.mapping("instruments").items())))
    assert f"bench.yaml, line 2, {words}" in str(caught.value)


def test_a_time_that_no_clock_has_is_waited_for_without_end():
    assert _within.within(1e300, "litmus-test", lambda: 5) == 5


def test_what_goes_wrong_with_an_instrument_is_on_record(project):
    project.station("instruments:\n  dmm: {driver: drivers.Good, resource: usb-1, serial: 42, record: true}\n  last: {driver: drivers.HangsAtTheEnd, resource: usb-2}\n  idle: {mock: {}}\n")
    (project.folder / "test_it.py").write_text("import pytest\ndef test_a(dmm, idle, request):\n    with dmm as same, pytest.raises(OSError): same.fail()\n    request.config._litmus_bench.specs['last']['timeout'] = 0.2  # to connect it has time enough\n")
    assert project.run().returncode == 0
    assert [(event["serial"], event["mocked"]) for event in project.events("fixture.instrument_connected")] == [("42", False), (None, False), (None, True)]
    assert [(e["source"], e["message"]) for e in project.events("diagnostic.warning")] == [
        ("instrument.dmm", "fail raised OSError: no answer"), ("litmus.instruments", "last cannot be closed: not done within 0.2 s"),
    ]  # fmt: skip
    assert [event["role"] for event in project.events("fixture.instrument_disconnected")] == ["idle", "last", "dmm"]


def test_an_instrument_that_raises_what_no_driver_should(project):
    """Its words are on record as far as there are any, the test gets what was raised, and the others are closed."""
    project.station(
        "instruments:\n  first: {driver: drivers.Good, resource: usb-1}\n"
        "  mute: {driver: drivers.Mute, resource: usb-2, record: true}\n  last: {driver: drivers.QuitsAtTheEnd, resource: usb-3}\n"
    )
    (project.folder / "test_it.py").write_text("import pytest, drivers\ndef test_a(mute):\n    with pytest.raises(drivers.Unprintable): mute.read()\n")
    done = project.run()
    assert done.returncode == 0 and "litmus: run" in done.stdout, done.stdout
    assert [e["message"] for e in project.events("diagnostic.warning")] == [
        "read raised Unprintable: <unprintable Unprintable: RuntimeError>", "last cannot be closed: it raised KeyboardInterrupt:",
        "mute cannot be closed: <unprintable Unprintable: RuntimeError>",
    ]  # fmt: skip
    assert [event["role"] for event in project.events("fixture.instrument_disconnected")] == ["last", "mute", "first"]
    assert (project.folder / "closed").read_text() == "usb-1"


def test_which_of_two_stations(project):
    project.station("instruments:\n  dmm: {mock: {read: 2.5}}\n", "one.yaml")
    project.station("station_id: ST-2\ninstruments:\n  dmm: {mock: {read: 9}}\n", "two.yaml")
    done = project.run()
    assert done.returncode == 4 and "one, two" in done.stderr
    assert project.run(LITMUS_STATION="one").returncode == 0
    assert project.run("--litmus-station", "ST-2").returncode == 1


def test_without_recording_they_are_there_all_the_same(project):
    project.station("instruments:\n  dmm: {driver: drivers.Good, resource: usb-1, record: true}\n")
    done = project.run(LITMUS_OFF="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not project.data.exists()
    assert (project.folder / "closed").exists()


def test_xdist_workers_connect_for_themselves(project):
    project.station("instruments:\n  dmm: {driver: drivers.Good, resource: usb-1, record: true}\n")
    done = project.run("-n", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(project.events("fixture.instrument_connected")) == 1  # the worker that asked for it
    assert json.dumps([e["value"] for e in project.events("instrument.read")]) == "[2.5]"

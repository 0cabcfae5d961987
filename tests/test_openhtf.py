# SPDX-License-Identifier: Apache-2.0
"""OpenHTF tests on record: the plan before the first phase, every phase, measurements, and what never ran."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap

import pytest
from litmus.data.event_store import EventStore
from litmus.data.run_store import RunStore
from litmus.imports import import_file
from test_cli import ok

HEAD = """
import os, signal, sys, threading
import openhtf as htf
from openhtf.util import validators
import litmus.openhtf

def run(*phases, serial="SN-7", required=True, data_dir=None, **configure):
    test = htf.Test(*phases, batch="B12")
    test.configure(name="board", **configure)
    litmus.openhtf.record(test, data_dir=data_dir, required=required, station_id="bench-3", test_phase="validation")
    return test.execute(test_start=(lambda: serial) if isinstance(serial, str) else serial)

def power(test):
    pass

@htf.measures(htf.Measurement("rail").in_range(1.7, 1.9).with_units("V"))
def rail(test):
    test.measurements.rail = 1.85

@htf.measures(htf.Measurement("low_rail").in_range(1.7, 1.9))
def low_rail(test):
    test.measurements.low_rail = 1.5

def last(test):
    pass
"""


def execute(tmp_path, body, code=0):
    """Runs a script of an OpenHTF test; its output."""
    script = tmp_path / "board.py"
    script.write_text(HEAD + textwrap.dedent(body))
    env = {**os.environ, "LITMUS_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": ""}
    done = subprocess.run([sys.executable, script.name], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def only_run(tmp_path):
    with RunStore(tmp_path / "data") as store:
        (run,) = store.list_runs()
        return run, store.get_steps(run["test_run_id"]), store.get_measurements(run["test_run_id"])


def outcomes(steps):
    return [(step["step_path"], step["step_outcome"]) for step in steps]


def test_all_phases_pass(tmp_path):
    execute(tmp_path, "assert run(power, rail, last) is True")
    run, steps, measured = only_run(tmp_path)
    assert (run["outcome"], run["dut_serial"], run["station_id"], run["test_phase"], run["project_name"]) == ("passed", "SN-7", "bench-3", "validation", "board")
    assert outcomes(steps) == [("board/trigger_phase", "passed"), ("board/power", "passed"), ("board/rail", "passed"), ("board/last", "passed")]
    assert [(m["measurement_name"], m["measurement_value"], m["limit_low"], m["limit_high"], m["measurement_units"], m["measurement_outcome"]) for m in measured] == [
        ("rail", 1.85, 1.7, 1.9, "V", "passed")
    ]


def test_a_failure_that_stops_nothing(tmp_path):
    execute(tmp_path, "assert run(power, low_rail, rail, last) is False")
    run, steps, _ = only_run(tmp_path)
    assert run["outcome"] == "failed" and [step["step_outcome"] for step in steps] == ["passed", "passed", "failed", "passed", "passed"]


@pytest.mark.parametrize(
    ("phase", "outcome", "message", "run_outcome"),
    [
        ("def bad(test): raise ValueError('no relay')", "errored", "ValueError: no relay", "errored"),
        ("def bad(test): return htf.PhaseResult.STOP", "failed", "the phase said STOP", "failed"),
        ("@htf.PhaseOptions(timeout_s=0.2)\ndef bad(test): threading.Event().wait(20)", "errored", "timed out", "errored"),
    ],
)
def test_phases_behind_a_bad_one_never_ran(tmp_path, phase, outcome, message, run_outcome):
    execute(tmp_path, f"{phase}\nassert run(power, bad, rail, last) is False\nsys.stdout.flush()\nos._exit(0)")  # a phase that timed out lives on
    run, steps, _ = only_run(tmp_path)
    assert run["outcome"] == run_outcome
    assert outcomes(steps)[1:] == [("board/power", "passed"), ("board/bad", outcome), ("board/rail", None), ("board/last", None)]
    rows = rows_of(tmp_path)
    assert rows["board/bad"]["step_message"] == message
    assert rows["board/rail"]["never_ran_reason"] == "maxfail"


def rows_of(tmp_path):
    import pyarrow.parquet as pq

    (path,) = pathlib.Path(tmp_path, "data", "runs").rglob("*.parquet")
    return {row["step_path"]: row for row in pq.read_table(path).to_pylist() if row["record_type"] == "step"}


def test_killed_in_a_phase(tmp_path):
    execute(tmp_path, "def dies(test): os.kill(os.getpid(), signal.SIGKILL)\nrun(power, rail, dies, last)", -signal.SIGKILL)
    env = {**os.environ, "LITMUS_DATA_DIR": str(tmp_path / "data")}
    subprocess.run([pathlib.Path(sys.executable).parent / "litmus", "materialize"], env=env, check=True, capture_output=True)
    run, steps, measured = only_run(tmp_path)
    assert run["outcome"] == "aborted" and len(measured) == 1
    assert outcomes(steps)[1:] == [("board/power", "passed"), ("board/rail", "passed"), ("board/dies", "aborted"), ("board/last", None)]


def test_repeats_groups_branches_and_names_that_come_again(tmp_path):
    execute(
        tmp_path,
        """
        from openhtf.core import diagnoses_lib
        class Found(diagnoses_lib.DiagResultEnum):
            NEVER = "never"
        tries = []
        @htf.PhaseOptions(repeat_limit=3)
        def again(test):
            tries.append(1)
            return htf.PhaseResult.REPEAT if len(tries) < 3 else None
        @htf.PhaseOptions(run_if=lambda: False)
        def unwanted(test): pass
        def a_b(test): pass
        group = htf.PhaseGroup(setup=[power], main=[again], teardown=[last], name="g")
        branch = htf.BranchSequence(htf.DiagnosisCondition.on_all(Found.NEVER), a_b, name="repair")
        sub = htf.Subtest("sub", htf.PhaseOptions(name="x/y")(a_b), lambda test: htf.PhaseResult.FAIL_SUBTEST, rail)
        run(group, unwanted, branch, sub, power, power)
        """,
    )
    rows = rows_of(tmp_path)
    assert [(path, row["step_outcome"], row["never_ran_reason"]) for path, row in sorted(rows.items(), key=lambda item: item[1]["step_index"])][1:] == [
        ("board/g/power", "passed", None),
        ("board/g/again", "passed", None),
        ("board/g/last", "passed", None),
        ("board/unwanted", None, "skip_marker"),
        ("board/repair/a_b", None, "skip_marker"),
        ("board/sub/x%2Fy", "passed", None),
        ("board/sub/<lambda>", "failed", None),
        ("board/sub/rail", None, "maxfail"),
        ("board/power", "passed", None),
        ("board/power (2)", "passed", None),
    ]
    assert rows["board/g/again"]["attempt_outcomes"] == ["skipped", "skipped", "passed"]


def test_values_of_every_kind(tmp_path):
    execute(
        tmp_path,
        """
        @htf.measures(
            htf.Measurement("text").equals("v2"), htf.Measurement("flag").equals(True), htf.Measurement("plain"), htf.Measurement("absent"),
            htf.Measurement("near").within_percent(10, 5), htf.Measurement("nan"), htf.Measurement("sweep").with_dimensions("V", "A").with_units("W"),
            htf.Measurement("huge"), htf.Measurement("list"))
        def values(test):
            test.measurements.text = "v2"
            test.measurements.flag = True
            test.measurements.plain = 3
            test.measurements.near = 10.2
            test.measurements.nan = float("nan")
            test.measurements.huge = 10 ** 400
            test.measurements.list = [1, 2]
            test.measurements.sweep[1, 2] = 2
            test.measurements.sweep[2, 3] = 6
        run(values)
        """,
    )
    _, _, measured = only_run(tmp_path)
    found = {(m["measurement_name"], m["vector_index"]): (m["measurement_value"], m["measurement_outcome"]) for m in measured}
    assert found == {
        ("text", 0): (None, "passed"), ("flag", 0): (1.0, "passed"), ("plain", 0): (3.0, "done"), ("absent", 0): (None, "errored"),
        ("near", 0): (10.2, "passed"), ("nan", 0): (None, "done"), ("sweep", 0): (2.0, "done"), ("sweep", 1): (6.0, "done"),
        ("huge", 0): (None, "done"), ("list", 0): (None, "done"),
    }  # fmt: skip
    outputs = {key: value for m in measured for key, value in m.items() if key in ("out_huge", "out_list") and value is not None}
    assert outputs["out_list"] == "[1,2]" or outputs["out_list"] == "[1, 2]"
    assert outputs["out_huge"].startswith("1000") and len(outputs["out_huge"]) == 401
    run, steps, _ = only_run(tmp_path)
    assert run["stop_reason"] is None
    with EventStore(tmp_path / "data") as store:
        assert store.events(event_type="test.step_ended")[-1]["message"] == "not measured: absent"
    text = next(m for m in measured if m["measurement_name"] == "text")
    near = next(m for m in measured if m["measurement_name"] == "near")
    assert text["out_text"] == text["measurement_text"] == "v2"
    assert (near["limit_low"], near["limit_high"], near["limit_nominal"]) == (9.5, 10.5, 10.0)
    shown = ok("show", "-m", "-d", tmp_path / "data")
    assert [line.split(" ", 1)[1] for line in map(str.strip, shown.splitlines()) if "sweep" in line] == ["sweep = 2 W  at A = 2, V = 1", "sweep = 6 W  at A = 3, V = 2"]
    assert "  10 measurements" in ok("show", "-d", tmp_path / "data")


def test_a_fact_that_there_is_not(tmp_path):
    said = execute(tmp_path, "litmus.openhtf.record(htf.Test(power), station='bench-3')", code=1)
    assert "TypeError: a run has no fact 'station'; did you mean 'station_id'?" in said


def test_a_scanner_that_fails_leaves_the_whole_plan(tmp_path):
    execute(tmp_path, "def scan():\n    raise OSError('no scanner')\nassert run(power, rail, serial=scan) is False")
    run, steps, _ = only_run(tmp_path)
    assert run["outcome"] == "errored"
    assert outcomes(steps) == [("board/trigger_phase", "errored"), ("board/power", None), ("board/rail", None)]


def test_a_plug_that_fails_leaves_the_whole_plan(tmp_path):
    execute(
        tmp_path,
        """
        class Broken(htf.plugs.BasePlug):
            def __init__(self): raise OSError("no instrument")
        @htf.plug(meter=Broken)
        def uses(test, meter): pass
        assert run(power, uses) is False
        """,
    )
    run, steps, _ = only_run(tmp_path)
    assert run["outcome"] == "errored" and [step["step_outcome"] for step in steps] == ["passed", None, None]
    assert rows_of(tmp_path)["board/uses"]["never_ran_reason"] == "instrument_error"


def test_plugs_and_arguments_reach_the_phase(tmp_path):
    execute(
        tmp_path,
        """
        class Meter(htf.plugs.BasePlug):
            def read(self): return 1.8
        @htf.plug(meter=Meter)
        @htf.measures(htf.Measurement("v").in_range(1, 2))
        def uses(test, meter, scale=1): test.measurements.v = meter.read() * scale
        def nothing(): pass
        assert run(uses.with_args(scale=1.1), nothing) is True
        """,
    )
    _, steps, measured = only_run(tmp_path)
    assert [step["step_outcome"] for step in steps] == ["passed"] * 3 and measured[0]["measurement_value"] == pytest.approx(1.98)


@pytest.mark.parametrize("required", [True, False])
def test_a_failing_store_reaches_the_operator(tmp_path, required):
    (tmp_path / "data").write_text("a file")
    said = execute(tmp_path, f"assert run(power, required={required}) is {not required}")
    assert "not (wholly) on record" in said and "data" in said
    assert ("outcome: " in said) is (not required)


def test_executed_twice_makes_two_runs(tmp_path):
    execute(tmp_path, "test = htf.Test(power, rail)\nlitmus.openhtf.record(test)\nassert test.execute() and test.execute()")
    with RunStore(tmp_path / "data") as store:
        assert [run["outcome"] for run in store.list_runs()] == ["passed", "passed"]
    with EventStore(tmp_path / "data") as store:
        plans = store.events(event_type="test.steps_discovered")
    assert [[item["step_path"] for item in plan["items"]] for plan in plans] == [["openhtf_test/power", "openhtf_test/rail"]] * 2


def test_attachments_and_tracebacks(tmp_path):
    execute(
        tmp_path,
        """
        def attaches(test):
            test.attach("trace.csv", "1,2")
            test.attach("screen", b"PNG", "image/png")
        def breaks(test):
            test.attach("trace.csv", b"before it broke")
            raise ValueError("no relay")
        assert run(attaches, breaks, last) is False
        """,
    )
    rows = rows_of(tmp_path)
    (folder,) = (tmp_path / "data").glob("runs/*/*_ref")

    def content(step, name):
        return (folder / rows[f"board/{step}"][f"out_{name}"].rpartition("/")[2]).read_bytes()

    assert content("attaches", "trace.csv") == b"1,2" and content("breaks", "trace.csv") == b"before it broke"
    assert content("attaches", "screen") == b"PNG" and rows["board/attaches"]["out_screen"].endswith(".png")
    text = content("breaks", "failure.txt").decode()
    assert "ValueError: no relay" in text and "in breaks" in text
    with EventStore(tmp_path / "data") as store:
        kinds = {event["name"]: event["mime_type"] for event in store.events(event_type="test.attachment")}
    assert kinds == {"trace.csv": "text/csv", "screen": "image/png", "failure.txt": "text/plain"}


def test_an_attachment_that_cannot_be_stored_reaches_the_operator(tmp_path):
    said = execute(
        tmp_path,
        """
        import pathlib
        def attaches(test):
            (day,) = pathlib.Path(os.environ["LITMUS_DATA_DIR"], "events").glob("*")
            for path in day.glob("*.arrow"): (day / (path.name[:36] + "_ref")).write_text("in the way")
            test.attach("trace.csv", "1,2")
        assert run(attaches, last) is False
        """,
    )
    assert "not (wholly) on record" in said and "_ref" in said
    run_row, steps, _ = only_run(tmp_path)
    assert [step["step_outcome"] for step in steps][1:] == ["passed", "passed"]


ODD_ENDS = {  # what the phase `bad` does -> its outcome and message, the run's outcome
    "mute": ("class Mute(Exception):\n    def __str__(self): raise RuntimeError\ndef bad(test): raise Mute", "errored", "Mute: <unprintable Mute: RuntimeError>", "errored"),
    "without words": ("def bad(test): raise ValueError", "errored", "ValueError", "errored"),
    "exit": ("def bad(test): raise SystemExit(3)", "errored", "its thread ended: it raised SystemExit, or what is no Exception", "errored"),
    "repeat": ("@htf.PhaseOptions(repeat_limit=2)\ndef bad(test): return htf.PhaseResult.REPEAT", "failed", "still to be repeated after 2 attempts", "failed"),
}


def test_a_phase_that_ends_as_none_should(tmp_path):
    grouped = f"{ODD_ENDS['exit'][0]}\nrun(power, htf.PhaseGroup(main=[bad], teardown=[last]), serial='group')\n"
    execute(tmp_path, "".join(f"{body}\nrun(power, bad, last, serial='{name}')\n" for name, (body, *_) in ODD_ENDS.items()) + grouped)
    with RunStore(tmp_path / "data") as store:
        said = {run["dut_serial"]: (run["outcome"], store.get_steps(run["test_run_id"])) for run in store.list_runs()}
    run_outcome, steps = said.pop("group")
    assert (run_outcome, [step["step_outcome"] for step in steps[1:]]) == ("errored", ["passed", "errored", "passed"])
    assert said.keys() == ODD_ENDS.keys()
    for name, (_, outcome, message, run_outcome) in ODD_ENDS.items():
        steps = [(step["step_name"], step["step_outcome"], step["step_message"]) for step in said[name][1][1:]]
        assert (said[name][0], steps) == (run_outcome, [("power", "passed", None), ("bad", outcome, message), ("last", None, None)])


def test_what_a_diagnoser_found_is_the_reason(tmp_path):
    execute(
        tmp_path,
        """
        from openhtf.core import diagnoses_lib
        class Found(diagnoses_lib.DiagResultEnum):
            SHORT = "short_circuit"
        @htf.PhaseDiagnoser(Found)
        def look(phase): return htf.Diagnosis(Found.SHORT, "pin 3 to ground", is_failure=True)
        @htf.diagnose(look)
        def probed(test): pass
        assert run(probed) is False
        """,
    )
    _, steps, _ = only_run(tmp_path)
    assert (steps[1]["step_outcome"], steps[1]["step_message"]) == ("failed", "diagnosed: short_circuit")


def test_a_test_that_came_to_nothing_did_not_pass(tmp_path):
    """OpenHTF says PASS where a plug raises SystemExit."""
    execute(
        tmp_path,
        """
        class Quits(htf.plugs.BasePlug):
            def __init__(self): raise SystemExit
        @htf.plug(meter=Quits)
        def uses(test, meter): pass
        run(power, uses)
        """,
    )
    run, steps, _ = only_run(tmp_path)
    assert run["outcome"] == "errored" and [step["step_outcome"] for step in steps] == ["passed", None, None]
    assert rows_of(tmp_path)["board/uses"]["never_ran_reason"] == "instrument_error"


EVERYTHING = """
import json
from openhtf.core import diagnoses_lib
from openhtf.output.callbacks import json_factory
from openhtf.util import units
M = htf.Measurement

class Found(diagnoses_lib.DiagResultEnum):
    HOT = "hot"

@diagnoses_lib.PhaseDiagnoser(Found)
def find(record):
    return diagnoses_lib.Diagnosis(Found.HOT, "too hot", is_failure=True)

@htf.measures(M("v").in_range(3.0, 3.6).with_units(units.VOLT), M("least").in_range(minimum=1), M("most").in_range(maximum=9), M("near").within_percent(10, 5), M("five").equals(5), M("word").equals("abc"),
              M("like").matches_regex("a.*"), M("bare"), M("flag"), M("marginal").in_range(0, 10, marginal_minimum=2, marginal_maximum=8), M("points").with_dimensions(units.HERTZ, "bin"))
def every(test):
    m = test.measurements
    m.v, m.least, m.most, m.near, m.five, m.word, m.like, m.bare, m.flag, m.marginal = 3.31, 2, 3.5, 10.1, 5, "abc", "abd", 7.5, True, 9
    for hertz in (10, 20):
        m.points[hertz, "b"] = hertz / 4
    test.attach("blob", bytes([0, 1, 255]), mimetype="application/octet-stream")
    test.attach("note.txt", "hello")

tries = []
def again(test):
    tries.append(1)
    return htf.PhaseResult.REPEAT if len(tries) < 3 else htf.PhaseResult.CONTINUE

@htf.PhaseOptions(repeat_on_measurement_fail=True, repeat_limit=3)
@htf.measures(M("w").in_range(0, 1))
def until(test):
    tries.append(1)
    test.measurements.w = 7 - len(tries)

@htf.measures(M("unset").in_range(0, 1), M("bad").in_range(0, 1))
def lacking(test):
    test.measurements.bad = 2

def passed_over(test):
    return htf.PhaseResult.SKIP

@htf.diagnose(find)
def hot(test):
    pass

def boom(test):
    raise RuntimeError("no relay\\nat all")

def forever(test):
    threading.Event().wait(20)
forever = htf.PhaseOptions(timeout_s=0.2)(forever)

test = htf.Test(every, power, power, again, until, lacking, passed_over, hot, END, test_name="board")
test.configure(name="board")
litmus.openhtf.record(test)
test.add_output_callbacks(json_factory.OutputToJSON("r.json", inline_attachments=True))
test.execute(test_start=lambda: "SN-7")
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.parametrize("end", ["boom", "forever"])
def test_the_json_of_a_test_comes_in_as_the_test_was_recorded(tmp_path, end):
    """Two ways to the same record: as the phases ran, and from OpenHTF's own file afterwards."""
    execute(tmp_path, EVERYTHING.replace("END", end))
    import_file(tmp_path / "r.json", data_dir=tmp_path / "imported")
    kept = ("record_type", "step_name", "step_path", "step_outcome", "attempt_outcomes", "step_message", "dut_serial", "project_name", "station_id", "run_outcome", "vector_index", "vector_retry")
    live, imported = ([{key: value for key, value in row.items() if value is not None and (key in kept or key.startswith(("measurement_", "limit_", "in_", "out_")))}
                       for row in RunStore(folder).rows("last").to_dicts() if row["record_type"] != "run" and row["step_outcome"] is not None] for folder in (tmp_path / "data", tmp_path / "imported"))
    for row in live + imported:
        row.pop("measurement_timestamp", None)
        row["step_name"] = row["step_path"].rpartition("/")[2]
        row.update({key: bool(value) for key, value in row.items() if key in ("out_blob", "out_note.txt", "out_failure.txt")})  # names of files, of the run
    order = lambda row: (row["step_path"], row["record_type"], str(row.get("measurement_name")), row.get("vector_retry", 0), row["vector_index"])  # noqa: E731
    for one, other in zip(sorted(live, key=order), sorted(imported, key=order)):
        assert one == other
    assert len(live) == len(imported) >= 24

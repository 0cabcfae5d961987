# SPDX-License-Identifier: Apache-2.0
"""`litmus import`: what other tools wrote, pytest itself among them, comes back with equal counts, and ours goes round."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
from collections import Counter

import pytest

from litmus import _litmus
from litmus.data.run_store import RunStore
from litmus.errors import InvalidArgument
from litmus.exports import export
from litmus.imports import from_junit, import_file

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from test_cli import environment, ok, run  # noqa: E402
from test_exports import data, truth  # noqa: E402, F401


def words(data_dir, run_id="last"):
    return Counter(step["step_outcome"] or "never_ran" for step in RunStore(data_dir).get_steps(run_id))


def attempts(data_dir, run_id):
    return [row["attempt_outcomes"] for row in RunStore(data_dir).rows(run_id).to_dicts() if row["record_type"] == "step"]


@pytest.mark.parametrize("kind, name", [("junit", "r.xml"), ("reportlog", "r.jsonl")])
def test_round_trip(data, truth, tmp_path, kind, name):  # noqa: F811
    export("last", tmp_path / name, data_dir=data, format=kind)
    ((run_id, new),) = import_file(tmp_path / name, data_dir=tmp_path / "data")
    assert new and words(tmp_path / "data", run_id) == truth["words"]
    assert [a or [] for a in attempts(tmp_path / "data", run_id)] == truth["attempts"]
    reasons = [Counter(s["never_ran_reason"] for s in RunStore(d).get_steps("last")) for d in (data, tmp_path / "data")]
    assert reasons[0] == reasons[1]
    seen = [[row.get("out_seen") for row in RunStore(d).rows(i).to_dicts() if row["record_type"] == "step"] for d, i in ((data, "last"), (tmp_path / "data", run_id))]
    assert len(seen[0]) == len(seen[1]) and [bool(value) for value in seen[0]] == [bool(value) for value in seen[1]] and any(seen[0])
    assert RunStore(tmp_path / "data").get_run(run_id)["outcome"] == RunStore(data).get_run("last")["outcome"]


@pytest.mark.parametrize("name", ["r.xml", "r.jsonl"])
def test_what_was_measured_and_observed_comes_back(tmp_path, name):
    step, run_id = {"step_name": "a", "step_path": "t/a", "step_index": 0}, "00000001-0000-4000-8000-000000000000"
    measured = [{"measurement_name": "a=b [V]", "value": 3.25, "units": "V, rms", "limit_low": 3.0, "outcome": "passed"}, {"measurement_name": "v", "value": -1.5}, {"measurement_name": "v", "value": 2.5},
                {"measurement_name": "id", "text": "A 7"}, {"measurement_name": "none"}]  # fmt: skip
    with _litmus.Session(tmp_path / "own", daemon=False) as session:
        session.emit("run.started", {"custom_metadata": {"bench": "b 1"}}, run_id)
        session.emit("test.step_started", step, run_id)
        for one in measured:
            session.emit("test.measurement", {**step, **one}, run_id)
        session.emit("test.step_ended", {**step, "outcome": "passed", "outputs": {"volt": 3.5, "n": 4, "rev": "007", "out.x": "y"}}, run_id)
        session.emit("run.ended", {"outcome": "passed"}, run_id)
    export("last", tmp_path / name, data_dir=tmp_path / "own")
    import_file(tmp_path / name, data_dir=tmp_path / "data")
    (of_step,) = [row for row in RunStore(tmp_path / "data").rows("last").to_dicts() if row["record_type"] == "step"]
    assert [of_step["out_" + key] for key in ("volt", "n", "rev", "out.x")] == [3.5, 4, "007", "y"]
    found = [(m["measurement_name"], m["measurement_value"], m["measurement_text"]) for m in RunStore(tmp_path / "data").get_measurements("last")]
    names = ["a=b [V]" if name == "r.jsonl" else "a", "id", "none", "v", "v"]  # in XML the name ends at the first =
    assert [one[0] for one in found] == names and [one[1] for one in found[1:]] == [None, None, -1.5, 2.5] and found[1][2] == "A 7"
    if name == "r.xml":
        assert RunStore(tmp_path / "data").rows("last").column("custom_bench")[0] == "b 1"


AT_ONCE = """
import os, sys
from litmus import _litmus
from litmus.data import run_store
from litmus.imports import from_junit, import_file
os.read(0, 1)
print(import_file(sys.argv[1], data_dir=sys.argv[2])[0])
"""


def test_a_file_counts_once_when_many_import_it_at_once(data, tmp_path):  # noqa: F811
    export("last", tmp_path / "r.xml", data_dir=data)
    wait, go = os.pipe()
    command = [sys.executable, "-c", AT_ONCE, str(tmp_path / "r.xml"), str(tmp_path / "data")]
    many = [subprocess.Popen(command, stdin=wait, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    os.write(go, b"!!!!")
    said = [one.communicate() for one in many]
    assert sorted("True" in out for out, _ in said) == [False, False, False, True] and len({out.split("'")[1] for out, _ in said}) == 1, said
    (found,) = RunStore(tmp_path / "data").list_runs()
    assert found["planned"] == sum(words(tmp_path / "data").values())
    os.close(wait)
    os.close(go)


# As pytest 9 with xdist, subtests and rerunfailures wrote it, in short.
def report(node_id, when, outcome="passed", longrepr=None, kind="TestReport", **more):
    return {"nodeid": node_id, "when": when, "outcome": outcome, "longrepr": longrepr, "start": 1.0, "stop": 2.0, "$report_type": kind, **more}


REPORTS = [
    {"pytest_version": "9.2.0", "$report_type": "SessionStart"}, {"nodeid": "", "outcome": "passed", "$report_type": "CollectReport"},
    {"nodeid": "t_m.py", "outcome": "skipped", "longrepr": ["t_m.py", 2, "Skipped: module"], "$report_type": "CollectReport"},
    report("t.py::test_prop", "setup", user_properties=[]), report("t.py::test_prop", "call", user_properties=[["volt", 3.3]]), report("t.py::test_prop", "teardown", user_properties=[["volt", 3.3]]),
    report("t.py::test_sub", "setup"), report("t.py::test_sub", "call", kind="SubTestReport"),
    report("t.py::test_sub", "call", "failed", "assert 2", "SubTestReport", **{"_subtest.context": {"msg": "m", "kwargs": {"i": "2"}}}), report("t.py::test_sub", "call"), report("t.py::test_sub", "teardown"),
    report("t.py::test_both", "setup"), report("t.py::test_both", "call", "failed", "low"), report("t.py::test_both", "teardown", "failed", "1/0"),
    report("t.py::test_flaky", "setup"), report("t.py::test_flaky", "call", "rerun", "low"), report("t.py::test_flaky", "teardown"),
    report("t.py::test_flaky", "setup"), report("t.py::test_flaky", "call"), report("t.py::test_flaky", "teardown"),
    report("t.py::test_worker", "setup"), report("t.py::test_worker", "???", "failed", "worker 'gw0' crashed"), report("t.py::test_cut", "setup"),
]  # fmt: skip


@pytest.mark.parametrize("status", [None, 2])
def test_a_reportlog_of_subtests_reruns_and_a_crash(tmp_path, status):
    end = [{"exitstatus": status, "$report_type": "SessionFinish"}] if status else []
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(line) + "\n" for line in REPORTS + end) + ("" if status else '{"nodeid": "t.py::test_c'))
    import_file(tmp_path / "r.jsonl", data_dir=tmp_path / "data")
    store = RunStore(tmp_path / "data")
    cut = "terminated" if status else "aborted"
    assert [(step["step_name"], step["step_outcome"], step["step_message"]) for step in store.get_steps("last")] == [
        ("t_m.py", "skipped", "Skipped: module"), ("test_prop", "passed", None), ("test_sub", "failed", "subtest [m] (i=2): assert 2"), ("test_both", "errored", "1/0; call failed: low"),
        ("test_flaky", "passed", None), ("test_worker", "failed", "worker 'gw0' crashed"), ("test_cut", cut, None)]
    assert attempts(tmp_path / "data", "last")[4] == ["failed", "passed"] and store.rows("last").column("out_volt")[2] == 3.3
    assert store.get_run("last")["outcome"] == cut


def test_a_reportlog_of_what_could_not_be_collected(tmp_path):
    lines = [REPORTS[0], {"nodeid": "t.py", "outcome": "failed", "longrepr": "ImportError: x", "$report_type": "CollectReport"}, {"exitstatus": 2, "$report_type": "SessionFinish"}]
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, lines)))
    import_file(tmp_path / "r.jsonl", data_dir=tmp_path / "data")
    found = RunStore(tmp_path / "data").get_run("last")
    assert (found["outcome"], found["stop_reason"], words(tmp_path / "data")) == ("errored", "collection_error", {"errored": 1})


RERUNS = """<testsuites name="pytest tests"><testsuite name="my suite" tests="9" timestamp="2026-11-27T10:00:00+00:00">
<testcase classname="t" name="test_bad" time="0.1"/><testcase classname="u" name="test_bad" time="0.1"/><testcase classname="t" name="test_bad" time="0.1"/>
<testcase classname="t" name="test_bad" time="0.1"><failure message="low"/></testcase><testcase classname="t" name="test_bad" time="0.1"><error message="failed on teardown with &quot;1/0&quot;"/></testcase>
<testcase classname="t" name="test_flaky" time="0.1"/><testcase classname="t" name="test_flaky" time="0.1"><properties><property name="volt" value="3.30"/><property name="lot" value="007"/></properties></testcase>
<testcase classname="t" name="test_skip" time="0"><skipped message="no"/></testcase></testsuite></testsuites>"""


def test_executions_of_rerunfailures_are_attempts_and_not_passes(tmp_path):
    """It writes a test case for each, and only the last says that it failed: 2 of 3 passed, to who counts them."""
    (tmp_path / "r.xml").write_text(RERUNS)
    import_file(tmp_path / "r.xml", data_dir=tmp_path / "data")
    assert attempts(tmp_path / "data", "last") == [["failed", "failed", "errored"], ["passed"], ["failed", "passed"], ["skipped"]]
    rows = RunStore(tmp_path / "data").rows("last")
    assert (rows.column("out_volt")[3], rows.column("out_lot")[3]) == (3.3, "007")
    assert rows.column("step_message")[1] == 'failed on teardown with "1/0"; call failed: low'


def test_a_file_counts_once(data, tmp_path):  # noqa: F811
    export("last", tmp_path / "r.xml", data_dir=data)
    lines = [ok("import", "-d", tmp_path / "data", "--json", tmp_path / "r.xml", LITMUS_PYTHON=sys.executable) for _ in range(2)]
    first, second = map(json.loads, lines)
    assert first["new"] and not second["new"] and first["run_id"] == second["run_id"] and len(RunStore(tmp_path / "data").list_runs()) == 1


def test_junit_of_pytest(tmp_path):
    (tmp_path / "test_x.py").write_text("import pytest\ndef test_a(): pass\ndef test_b(): assert 0, 'low'\ndef test_c(): pytest.skip('no')\n@pytest.fixture\ndef f(): 1/0\ndef test_d(f): pass\n")
    subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=r.xml"], cwd=tmp_path, capture_output=True,
                   env=environment(LITMUS_DATA_DIR=str(tmp_path / "own")))
    ((run_id, _),) = import_file(tmp_path / "r.xml", data_dir=tmp_path / "data")
    assert words(tmp_path / "data", run_id) == {"passed": 1, "failed": 1, "skipped": 1, "errored": 1}
    found = RunStore(tmp_path / "data").get_run(run_id)
    assert found["outcome"] == "errored" and abs((found["started_at"] - RunStore(tmp_path / "own").get_run("last")["started_at"]).total_seconds()) < 86400


GTEST = """<?xml version="1.0" encoding="{}"?>
<testsuites tests="3" timestamp="2024-03-31T02:30:00.123" name="AllTests"><properties><property name="seed" value="7"/></properties>
<testsuite name="Math" tests="2" time="0.5" timestamp="2024-03-31T02:30:00.123">
<testcase name="Add" classname="Math" status="run" time="0.007" timestamp="2024-03-31T02:30:01.000"><failure message="1 + 1"/><failure message="again"/></testcase>
<testcase name="DISABLED_Sub" classname="Math" status="notrun" result="suppressed"/></testsuite>
<testsuite name="Text" tests="1" timestamp="2024-03-31T02:30:02"><testcase name="Cut" classname="Text"><flakyFailure message="once"/></testcase></testsuite>
<testsuite name="Empty" tests="0"/></testsuites>"""


SUREFIRE = """<testsuite name="Rail" tests="2" time="6" timestamp="2026-05-01T10:00:00">
<testcase name="flaky" classname="Rail" time="1"><flakyFailure message="first" time="2"/><flakyError message="second"/></testcase>
<testcase name="bad" classname="Rail" time="2"><failure message="one"/><rerunFailure message="two"/><rerunError message="three" time="1"/></testcase>
<testcase name="after" classname="Rail" time="0"/></testsuite>"""


def test_reruns_of_surefire_stand_in_their_order(tmp_path):
    """In the order of its schema: of a test that never passed, the failure is the first execution and the rerun* are those after it."""
    (tmp_path / "r.xml").write_text(SUREFIRE)
    ((run_id, _),) = import_file(tmp_path / "r.xml", data_dir=tmp_path / "data")
    assert attempts(tmp_path / "data", run_id) == [["failed", "errored", "passed"], ["failed", "failed", "errored"], ["passed"]]
    steps = RunStore(tmp_path / "data").get_steps(run_id)
    assert [(s["step_outcome"], s["step_message"], s["duration_s"]) for s in steps[:2]] == [("passed", None, 1), ("errored", "three", 1)]
    assert steps[2]["started_at"] == "2026-05-01 10:00:06"


@pytest.mark.parametrize(("encoding", "changed"), [
    ("utf-8", ("<testsuites", '<testsuites xmlns="urn:junit" xmlns:x="urn:x" x:of="y"')),
    ("utf-16", (r"(</?)(?=\w)", r"\1j:")),
])
def test_a_file_of_many_suites_is_one_run(tmp_path, encoding, changed):
    text = re.sub(*changed, GTEST.format(encoding)).replace("<j:testsuites", '<j:testsuites xmlns:j="urn:junit"')
    (tmp_path / "r.xml").write_bytes(text.encode(encoding))
    ((run_id, _),) = import_file(tmp_path / "r.xml", data_dir=tmp_path / "data")
    found = RunStore(tmp_path / "data").get_run(run_id)
    assert (found["project_name"], found["outcome"], found["started_at"].isoformat()) == ("AllTests", "failed", "2024-03-31T02:30:00.123000+00:00")
    steps = {step["step_path"]: (step["outcome"], step["started_at"]) for step in RunStore(tmp_path / "data").get_steps(run_id)}
    assert steps == {"Math/Add": ("failed", "2024-03-31 02:30:01"), "Math/DISABLED_Sub": (None, None), "Text/Cut": ("passed", "2024-03-31 02:30:02")}
    assert attempts(tmp_path / "data", run_id) == [["failed"], [], ["failed", "passed"]]


# As other tools write it: what comes of it, and the paths of the steps where they are told apart.
STYLES = {
    "maven surefire": ("""<?xml version="1.0" encoding="UTF-8"?>
        <testsuite xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" version="3.0" name="org.acme.RailTest" time="1,204.5" tests="4" errors="1" skipped="1" failures="1">
        <properties><property name="java.version" value="21"/><property name="empty" value=""/></properties>
        <testcase name="rises" classname="org.acme.RailTest" time="0.012"/>
        <testcase name="falls" classname="org.acme.RailTest" time="0.1"><failure message="expected:&lt;3&gt;" type="org.opentest4j.AssertionFailedError"><![CDATA[at <b>]]></failure>
          <system-out><![CDATA[[[PROPERTY|no end]]></system-out></testcase>
        <testcase name="throws" classname="org.acme.RailTest"><error type="java.lang.NullPointerException">java.lang.NullPointerException\n at x</error></testcase>
        <testcase name="later" classname="org.acme.RailTest" time="0"><skipped message="not on this bench"/></testcase></testsuite>""",
                       {"passed": 1, "failed": 1, "errored": 1, "skipped": 1}, ["org/acme/RailTest/rises"]),
    "jest-junit": ("""<testsuites name="jest tests" tests="3" failures="1" errors="0" time="1.5">
        <testsuite name="rail" errors="0" failures="1" skipped="0" timestamp="2026-05-01T10:00:00" time="0.5" tests="2">
        <testcase classname=" rail › rises" name=" rail › rises" time="0.002"></testcase>
        <testcase classname=" rail › rises" name=" rail › rises" time="0.002"><failure>Error: expect(received).toBe(expected)</failure></testcase></testsuite>
        <testsuite name="undefined" tests="1" timestamp="2026-05-01T10:00:01"><testcase name="todo"><skipped/></testcase></testsuite></testsuites>""",
                   {"passed": 1, "failed": 1, "skipped": 1}, ["undefined/todo"]),
    "gotestsum": ("""<testsuites tests="3" failures="1" errors="0" time="0.1"><testsuite tests="3" failures="1" time="0.003" name="acme/rail" timestamp="2026-05-01T10:00:00+02:00">
        <properties><property name="go.version" value="go1.22.1 linux/amd64"></property></properties>
        <testcase classname="acme/rail" name="TestRail" time="0.000"></testcase><testcase classname="acme/rail" name="TestRail/low#01" time="0.000"><failure message="Failed" type="">=== RUN</failure></testcase>
        <testcase classname="acme/rail" name="TestSkip" time="0.000"><skipped message="=== RUN   TestSkip"></skipped></testcase></testsuite></testsuites>""",
                  {"passed": 1, "failed": 1, "skipped": 1}, ["acme/rail/TestRail/low#01"]),
    "ctest": ("""<?xml version="1.0" encoding="UTF-8"?><testsuite name="Linux-c++" tests="4" failures="1" disabled="1" skipped="1" hostname="" time="0" timestamp="2026-05-01T10:00:00">
        <testcase name="a" classname="a" time="0.003" status="run"><system-out></system-out></testcase>
        <testcase name="b" classname="b" time="0.003" status="fail"><failure message="Failed"/><system-out/></testcase>
        <testcase name="c" classname="c" time="0" status="disabled"><skipped message="Disabled"/><properties/></testcase><testcase name="d" classname="d" time="0" status="notrun"/></testsuite>""",
              {"passed": 1, "failed": 1, "skipped": 1, "never_ran": 1}, ["a/a", "d/d"]),
    "robot framework, rebot --xunit": ("""<?xml version="1.0" encoding="UTF-8"?><testsuite name="Bench" tests="3" errors="0" failures="1" skipped="1" time="0.042" timestamp="2026-05-01T10:00:00.799207">
        <testsuite name="Rail" tests="2" errors="0" failures="1" skipped="0" time="0.03" timestamp="2026-05-01T10:00:00.802">
        <testcase classname="Bench.Rail" name="Rises" time="0.001"/><testcase classname="Bench.Rail" name="Falls" time="0.001"><failure message="1 != 2" type="AssertionError"/></testcase></testsuite>
        <testsuite name="Fan" tests="1"><properties/><testcase classname="Bench.Fan" name="Turns" time="0"><skipped message="no fan" type="SkipExecution"/></testcase></testsuite></testsuite>""",
                                       {"passed": 1, "failed": 1, "skipped": 1}, ["Bench/Fan/Turns"]),
    "nunit, converted": ("""<testsuites><testsuite name="Acme.dll" tests="2"><testsuite name="Acme" tests="2" timestamp="2026-05-01 10:00:00.1234567Z">
        <testcase name="Rail(3.3d)" assertions="1" time="0.05" classname="Acme.RailTests" status="Passed"/>
        <testsuite name="Deep" tests="1"><testcase name="Rail(5d)" time="" classname="Acme.RailTests"><failure message="">  Expected: 5&#xD;&#xA;  But was: 4</failure></testcase></testsuite></testsuite></testsuite></testsuites>""",
                         {"passed": 1, "failed": 1}, ["Acme/RailTests/Rail(3.3d)"]),
    "node --test, without a suite": ("""<?xml version="1.0" encoding="utf-8"?><testsuites><testcase name="rises" time="0.001" classname="test"/>
        <testsuite name="rail" time="0.002" disabled="0" errors="0" tests="2" failures="1" skipped="1"><testcase name="rises" time="0.1"><failure type="testCodeFailure" message="boom">x</failure></testcase>
        <testcase name="later" time="0.1"><skipped type="todo" message="true"/></testcase></testsuite>
        <testsuite name="fan"><testcase name="rises"/></testsuite></testsuites>""", {"passed": 2, "failed": 1, "skipped": 1}, ["test/rises", "rail/rises", "fan/rises"]),
    "nothing at all": ('<testsuites name="none" tests="0"/>', None, []),
}  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("encoding", ["utf-8", "windows-1252", "utf-16"])
def test_junit_of_any_tool_has_equal_counts_and_counts_once(tmp_path, style, encoding):
    text, wanted, paths = STYLES[style]
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + text[text.index("?>") + 2 :] if text.startswith("<?xml") else f'<?xml version="1.0" encoding="{encoding}"?>\n{text}'
    (tmp_path / "r.xml").write_bytes(text.replace("›", ">" if encoding == "utf-8" else "|").replace("3.3d", "3.3µ").encode(encoding))
    found = [import_file(tmp_path / "r.xml", data_dir=tmp_path / "data") for _ in range(2)]
    assert [[new for _, new in one] for one in found] == ([[], []] if wanted is None else [[True], [False]]) and [one[:1] for one in found[0]] == [one[:1] for one in found[1]]
    if wanted is not None:
        (found,) = RunStore(tmp_path / "data").list_runs()
        assert {word: found[word] for word in ("passed", "failed", "errored", "skipped", "never_ran") if found[word]} == wanted
        assert {path.replace("3.3d", "3.3µ") for path in paths} <= {step["step_path"] for step in RunStore(tmp_path / "data").get_steps("last")}


def test_ten_megabytes_of_what_a_test_printed(tmp_path):
    """Also where each line begins as a note of ours does, and none of them ends."""
    printed = "[[PROPERTY|" + "x" * 20 + "\n"
    (tmp_path / "r.xml").write_text(f'<testsuite name="s"><testcase name="a"><system-out>{printed * 330_000}</system-out></testcase><testcase name="b"/></testsuite>')
    assert import_file(tmp_path / "r.xml", data_dir=tmp_path / "data")[0][1] and words(tmp_path / "data") == {"passed": 2}


def test_openhtf(tmp_path):
    record = {"dut_id": "SN9", "station_id": "bench", "start_time_millis": 1000000, "end_time_millis": 1009000, "outcome": "FAIL", "metadata": {"test_name": "rail"}, "phases": [
        {"name": "volts", "start_time_millis": 1000000, "end_time_millis": 1001000, "outcome": "SKIP", "result": {"phase_result": "REPEAT"}, "measurements": {}},
        {"name": "volts", "start_time_millis": 1001000, "end_time_millis": 1002000, "outcome": "PASS", "result": {"phase_result": "CONTINUE"}, "measurements": {
            "v": {"outcome": "PASS", "measured_value": 3.3, "units": {"name": "volt", "code": "VLT", "suffix": "V"}, "validators": ["3.0 <= x <= 3.6"]}}},
        {"name": "amps", "start_time_millis": 1002000, "end_time_millis": 1003000, "outcome": "FAIL", "measurements": {"i": {"outcome": "FAIL", "measured_value": 9}}}]}
    (tmp_path / "r.json").write_text(json.dumps(record))
    ((run_id, _),) = import_file(tmp_path / "r.json", data_dir=tmp_path / "data")
    assert attempts(tmp_path / "data", run_id) == [["skipped", "passed"], ["failed"]]
    volts = next(m for m in RunStore(tmp_path / "data").get_measurements(run_id) if m["measurement_name"] == "v")
    assert (volts["measurement_value"], volts["measurement_units"], volts["limit_low"], volts["limit_high"], volts["dut_serial"]) == (3.3, "V", 3.0, 3.6, "SN9")


@pytest.mark.parametrize(("changed", "said"), [
    ({"attachments": {"a": {"data": "%%%"}}}, "attachment a of phase p is not base64"), ({"attachments": {"a": {"data": 7}}}, "attachment a of phase p"), ({"attachments": [1]}, "openhtf"),
    ({"measurements": {"m": {"measured_value": [[1], []], "dimensions": [{"name": "x"}]}}}, "openhtf"), ({"measurements": {"m": {"measured_value": [1], "dimensions": 3}}}, "openhtf"),
    ({"measurements": {"m": 7}}, "openhtf"), ({"measurements": {"m": {"measured_value": 10**400, "validators": [None, "x <= 1..2"]}}}, ""), ({"result": 7, "options": 7, "outcome": "NEW"}, ""),
])  # fmt: skip
def test_odd_records_of_openhtf_are_read_or_refused_whole(tmp_path, changed, said):
    record = {"phases": [{"name": "p", **changed}], "outcome": "TIMEOUT", "metadata": {"test_name": "a/b"}}
    (tmp_path / "r.json").write_text(json.dumps(record))
    if said:
        with pytest.raises(InvalidArgument, match=said):
            import_file(tmp_path / "r.json", data_dir=tmp_path / "data")
        assert not list((tmp_path / "data").rglob("*.*"))
    else:
        import_file(tmp_path / "r.json", data_dir=tmp_path / "data")
        store = RunStore(tmp_path / "data")
        assert store.get_run("last")["outcome"] == "errored" and [step["step_path"] for step in store.get_steps("last")] == ["a%2Fb/p"]


def test_a_document_type_is_refused_in_any_encoding(tmp_path):
    (tmp_path / "f").write_bytes('<!DOCTYPE a [<!ENTITY b "c">]><testsuite/>'.encode("utf-16"))
    with pytest.raises(InvalidArgument, match="line 1: .*document type"):
        import_file(tmp_path / "f", data_dir=tmp_path / "data")


def test_seconds_of_any_writer():
    told = [("1,234.5", 1234.5), ("1,234", 1234), ("0,015", 0.015), ("12,5", 12.5), ("1234,5", 1234.5), ("1.5", 1.5), ("", 0), ("-3", 0), ("soon", 0), ("NaN", 0)]
    assert [from_junit._us(text) for text, _ in told] == [seconds * 1_000_000 for _, seconds in told]


REPORT = '{"pytest_version": "9", "$report_type": "SessionStart"}\n'


@pytest.mark.parametrize(("text", "said"), [
    (REPORT + "[1]\n" + REPORT, "line 2"), (REPORT + "{\n" + REPORT * 2, "line 2"), (REPORT + '{"$report_type": "TestReport", "nodeid": 7}\n', "line 2"),
    (REPORT + '{"$report_type": "TestReport", "nodeid": "a", "duration": "x"}\n', "line 2"), ('[{"phases": []}, 2]', "record 2"),
    ('{"phases": [], "outcome": "PASS"}\n{"phases"', "line 2"), ('<?xml version="1.0" encoding="KLINGON"?>\n<testsuite/>', "KLINGON"), ("<testsuite>\n<a", "line 2"),
    ('<testsuite>\n<testcase\ntimestamp="2026-13-01T00:00:00"/></testsuite>', "line 2: timestamp of <testcase>: '2026-13"), ("<a:testsuite/>", "line 1"),
])
def test_where_it_is_wrong_is_told(text, said, tmp_path):
    (tmp_path / "f").write_text(text)
    with pytest.raises(InvalidArgument, match=said):
        import_file(tmp_path / "f", kind="openhtf" if "phases" in text else None, data_dir=tmp_path / "data")
    assert not list((tmp_path / "data").rglob("*.arrow"))


@pytest.mark.parametrize("text", ["", "hello", "<a/>", "<testsuite", "{}", "[]x", '{"$report_type": "TestReport"}\n{', '<!DOCTYPE a [<!ENTITY b "c">]><testsuite/>', '{"phases": [1]}'])
def test_what_is_none_is_refused(text, tmp_path):
    (tmp_path / "f").write_text(text)
    with pytest.raises(InvalidArgument):
        import_file(tmp_path / "f", data_dir=tmp_path / "data")
    done = run("import", "-d", tmp_path / "data", tmp_path / "f", LITMUS_PYTHON=sys.executable)
    assert done.returncode == 2 and str(tmp_path / "f") in done.stderr and "Traceback" not in done.stderr

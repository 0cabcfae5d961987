# SPDX-License-Identifier: Apache-2.0
"""`litmus export`: each format is opened by a reader that is not ours, or held against its schema, and the counts are those of the record."""

from __future__ import annotations

import csv
import html.parser
import io
import json
import os
import pathlib
import subprocess
import sys
import uuid
import xml.etree.ElementTree as ET
from collections import Counter

import pytest

from litmus import _litmus
from litmus.data.run_store import RunStore
from litmus.errors import InvalidArgument
from litmus.exports import FORMATS, MissingLibrary, OutputExists, export, format_of

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from test_cli import LITMUS, environment, ok, record, run  # noqa: E402

SCHEMAS = pathlib.Path(__file__).parent / "schemas"
WITHOUT_STDOUT = {name for name, entry in FORMATS.items() if entry.path}

SUITE = '''
    import pytest
    tries = []
    EVIL = "=cmd|' /C calc'!A0 \\x1b[31m \\x00 \\ud800 <b>&amp;]]></script>\\u2028 日本語"
    @pytest.mark.parametrize("volt", [3.3, 5.0])
    def test_rail(volt, record_property):
        record_property("seen", EVIL)
    def test_flaky():
        tries.append(1)
        assert len(tries) > 1
    def test_evil():
        assert 0, EVIL
    @pytest.mark.parametrize("x", [EVIL])
    def test_evil_name(x):
        pass
    def test_not_today():
        pytest.skip("=not today")
    def test_error():
        raise RuntimeError("broken")
    @pytest.mark.skip(reason="no <load> here")
    def test_marked():
        pass
    def test_again():
        assert 0
    def test_after(): pass
    def test_long_after(): pass
'''
BAD = ("failed", "errored", "aborted", "terminated")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A run of every kind of step, with an earlier one that passed; a run with measurements."""
    folder = tmp_path_factory.mktemp("exports")
    record(folder / "a", folder / "data", "def test_a(): pass")
    session = _litmus.Session(str(folder / "data"), daemon=False)
    run_id = "00000000-0000-4000-8000-00000000000a"
    session.emit("run.started", {"dut_serial": "+SN1", "dut_part_number": "P1"}, run_id)
    step = {"step_name": "volts", "step_index": 0, "step_path": "bench/volts"}
    session.emit("test.steps_discovered", {"items": [{"node_id": "volts", "step_path": "bench/volts", "name": "volts"}]}, run_id)
    session.emit("test.step_started", step, run_id)
    for value in (3.25, None, -1.5):
        session.emit("test.measurement", {**step, "measurement_name": "=rail", "value": value, "units": "V", "limit_low": 3.0, "limit_high": 3.5,
                                          "limit_comparator": "GELE", "outcome": "passed"}, run_id)
    session.emit("test.step_ended", {**step, "outcome": "passed"}, run_id)
    session.emit("run.ended", {"outcome": "passed"}, run_id)
    session.close()
    record(folder / "b", folder / "data", SUITE, "--reruns", "1", "--maxfail", "3")
    return folder / "data"


@pytest.fixture(scope="module")
def truth(data):
    """Of the last run, from the read API: steps, their words, attempts."""
    steps = RunStore(data).get_steps("last")
    words = Counter(step["step_outcome"] or "never_ran" for step in steps)
    assert words["never_ran"] >= 2 and words["failed"] >= 2 and words["passed"] >= 3 and words["skipped"] == 1, words
    attempts = [row["attempt_outcomes"] for row in RunStore(data).rows("last").to_dicts() if row["record_type"] == "step"]
    assert ["failed", "passed"] in attempts
    return {"steps": steps, "words": words, "attempts": attempts}


def text(data, kind, *more):
    return ok("export", "-d", data, "-f", kind, *more, LITMUS_PYTHON=sys.executable)


def test_every_format_is_tested():
    assert {name for name in globals() if name.startswith("test_format_")} == {f"test_format_{name}" for name in FORMATS}


# ---- each format, by a reader that is not ours


def test_format_junit(data, truth):
    lxml = pytest.importorskip("lxml.etree")
    junitparser = pytest.importorskip("junitparser")
    document = text(data, "junit")
    lxml.XMLSchema(file=str(SCHEMAS / "junit-10.xsd")).assertValid(lxml.fromstring(document.encode()))
    suite = next(iter(junitparser.JUnitXml.fromstring(document.encode())))
    words = truth["words"]
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (len(truth["steps"]), words["failed"], words["errored"], words["skipped"] + words["never_ran"])
    results = Counter(type(case.result[0]).__name__ if case.result else "passed" for case in suite)
    assert results == {"passed": words["passed"], "Failure": words["failed"], "Error": words["errored"], "Skipped": words["skipped"] + words["never_ran"]}
    root = ET.fromstring(document)
    never = [e for e in root.iter("skipped") if e.get("type") == "litmus.never_ran"]
    assert len(never) == words["never_ran"] and {e.get("message") for e in never} == {"never ran: maxfail", "never ran: skip marker: no <load> here"}
    earlier = sum(len(list(root.iter(tag))) for tag in ("flakyFailure", "flakyError", "rerunFailure", "rerunError"))
    assert earlier == sum(len(a) - 1 for a in truth["attempts"] if a)
    assert len(list(root.iter("flakyFailure"))) == 1


def test_format_ctrf(data, truth):
    jsonschema = pytest.importorskip("jsonschema")
    document = json.loads(text(data, "ctrf"))
    jsonschema.validate(document, json.loads((SCHEMAS / "ctrf.json").read_text()))
    words, summary = truth["words"], document["results"]["summary"]
    assert (summary["tests"], summary["passed"], summary["pending"], summary["skipped"]) == (len(truth["steps"]), words["passed"], words["never_ran"], words["skipped"])
    assert summary["failed"] == sum(words[word] for word in BAD) and summary["flaky"] == 1
    tests = document["results"]["tests"]
    assert Counter(test["status"] for test in tests) == {key: summary[key] for key in ("passed", "failed", "skipped", "pending")}
    assert [1 + test.get("retries", 0) for test in tests if test["status"] != "pending"] == [len(a) for a in truth["attempts"] if a]


def test_format_tap(data, truth, tmp_path):
    parser = pytest.importorskip("tap.parser")
    (tmp_path / "t.tap").write_text(text(data, "tap"), encoding="utf-8")
    lines = [line for line in parser.Parser().parse_file(str(tmp_path / "t.tap")) if line.category == "test"]
    words = truth["words"]
    assert len(lines) == len(truth["steps"]) and sum(not line.ok for line in lines) == sum(words[word] for word in BAD)
    assert sum(line.skip for line in lines) == words["skipped"] + words["never_ran"]
    assert sum("never ran" in line.directive.text for line in lines) == words["never_ran"]


def test_format_csv(data, truth):
    rows = list(csv.DictReader(io.StringIO(text(data, "csv"), newline="")))
    steps = [row for row in rows if row["record_type"] == "step"]
    assert [row["step_outcome"] or None for row in steps] == [step["step_outcome"] for step in truth["steps"]]
    assert [json.loads(row["attempt_outcomes"]) for row in steps] == truth["attempts"]
    cells = [value for row in rows for value in row.values() if value]
    assert not [cell for cell in cells if cell[0] in "=+@\t\r\n"], "a spreadsheet would run it"
    assert any(cell.startswith("'=cmd|") for cell in cells)


def test_format_json(data, truth):
    (found,) = json.loads(text(data, "json"))["runs"]
    assert [step["outcome"] for step in found["steps"]] == [step["step_outcome"] for step in truth["steps"]]
    assert [[a["outcome"] for a in step["attempts"]] for step in found["steps"]] == truth["attempts"]
    assert [step["never_ran_reason"] for step in found["steps"] if step["never_ran"]] == [s["never_ran_reason"] for s in truth["steps"] if s["step_outcome"] is None]
    assert found["counts"] == {"planned": len(truth["steps"]), **truth["words"]}


def test_format_ndjson(data, truth):
    rows = [json.loads(line) for line in text(data, "ndjson").splitlines()]
    assert Counter(row["record_type"] for row in rows) == {"run": 1, "step": len(truth["steps"])}
    assert [row.get("step_outcome") for row in rows[1:]] == [step["step_outcome"] for step in truth["steps"]]


class Page(html.parser.HTMLParser):
    """The JSON of a report and its plain words; outer references are none."""

    def __init__(self, document):
        super().__init__()
        self.json, self.words, self.outer, self._in = [], [], [], None
        self.feed(document)
        self.close()

    def handle_starttag(self, tag, attrs):
        self._in = tag if tag in ("script", "style") else None
        self.json += [""] if dict(attrs).get("type") == "application/json" else []
        self.outer += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        self._in = None

    def handle_data(self, words):
        if self._in == "script" and self.json and not self.words[-1:] == ["end"] and words.lstrip().startswith("["):
            self.json[-1] += words
        elif self._in is None:
            self.words.append(words)


def test_format_html(data, truth):
    page = Page(text(data, "html"))
    (steps,) = (json.loads(found) for found in page.json)
    assert Counter(step[1] for step in steps) == truth["words"] and page.outer == []
    assert f"{truth['words']['never_ran']} never ran" in page.words
    assert "<b>" in steps[[s[0] for s in steps].index("test_it.py::test_evil")][3]


def test_format_reportlog(data, truth):
    """pytest itself reads its reports back."""
    from _pytest.reports import TestReport

    lines = [json.loads(line) for line in text(data, "reportlog").splitlines()]
    assert [lines[0]["$report_type"], lines[-1]["$report_type"], lines[-1]["exitstatus"]] == ["SessionStart", "SessionFinish", 1]
    reports = [TestReport._from_json(line) for line in lines if line.pop("$report_type") == "TestReport"]
    words = truth["words"]
    assert Counter(report.outcome for report in reports) == {
        "passed": words["passed"], "failed": sum(words[word] for word in BAD), "skipped": words["skipped"] + words["never_ran"],
        "rerun": sum(len(a) - 1 for a in truth["attempts"] if a)}
    assert sum(dict(report.user_properties).get("litmus.outcome") == "never_ran" for report in reports) == words["never_ran"]


def test_format_parquet(data, truth, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    ok("export", "-d", data, "-o", tmp_path / "one.parquet", LITMUS_PYTHON=sys.executable)
    assert (tmp_path / "one.parquet").read_bytes() == RunStore(data).find_run_file("last").read_bytes()
    ok("export", "-d", data, "--since", "1d", "-o", tmp_path / "all.parquet", LITMUS_PYTHON=sys.executable)
    kinds = Counter(pq.read_table(tmp_path / "all.parquet")["record_type"].to_pylist())
    assert kinds == {"run": 3, "step": len(truth["steps"]) + 2, "measurement": 3}


def test_format_arrow(data, truth, tmp_path):
    polars = pytest.importorskip("polars")
    ok("export", "-d", data, "--since", "1d", "-f", "arrow", "-o", tmp_path / "all.arrow", LITMUS_PYTHON=sys.executable)
    table = polars.read_ipc(tmp_path / "all.arrow")
    last = table.filter((polars.col("run_id") == truth["steps"][0]["run_id"]) & (polars.col("record_type") == "step"))
    assert last["step_outcome"].to_list() == [step["step_outcome"] for step in truth["steps"]]
    assert last["attempt_outcomes"].to_list() == truth["attempts"]


def book(data, path, *more):
    calamine = pytest.importorskip("python_calamine")
    ok("export", "-d", data, "-o", path, *more, LITMUS_PYTHON=sys.executable)
    found = calamine.load_workbook(str(path))
    sheets = {name: found.get_sheet_by_name(name).to_python() for name in found.sheet_names}
    return {name: [dict(zip(rows[0], row)) for row in rows[1:]] for name, rows in sheets.items()}


def test_format_xlsx(data, truth, tmp_path):
    sheets = book(data, tmp_path / "r.xlsx")
    assert Counter(row["status"] for row in sheets["Steps"]) == truth["words"]
    assert len(sheets["Attempts"]) == sum(map(len, truth["attempts"]))
    assert any(str(row["outputs"]).count("=cmd|") for row in sheets["Steps"])
    (run_id,) = {row["run_id"] for row in sheets["Runs"]}
    measured = book(data, tmp_path / "m.xlsx", "00000000-0000-4000-8000-00000000000a")["Measurements"]
    assert [row["measurement_value"] for row in measured] == [3.25, "", -1.5] and measured[0]["measurement_name"] == "=rail"
    import zipfile

    with zipfile.ZipFile(tmp_path / "m.xlsx") as parts:
        assert not [name for name in parts.namelist() if name.startswith("xl/worksheets") and b"<f>" in parts.read(name)], "a formula"


class Records:
    """What pystdf reads: a list of (record name, fields by name)."""

    def __init__(self, path):
        io_ = pytest.importorskip("pystdf.IO")
        self.found = []
        with open(path, "rb") as file:
            parser = io_.Parser(inp=file)
            parser.addSink(self)
            parser.parse()

    def before_begin(self, source): pass
    def after_begin(self, source): pass
    def before_send(self, source, record): pass
    def before_complete(self, source): pass
    def after_complete(self, source): pass
    def before_cancel(self, source, error): pass
    def after_cancel(self, source, error): pass

    def after_send(self, source, record):
        kind, fields = record
        self.found.append((type(kind).__name__, dict(zip(kind.fieldNames, fields))))

    def of(self, kind):
        return [fields for name, fields in self.found if name.lower() == kind]


def test_format_stdf(data, truth, tmp_path):
    ok("export", "-d", data, "--since", "1d", "-o", tmp_path / "r.stdf", LITMUS_PYTHON=sys.executable)
    records = Records(tmp_path / "r.stdf")
    names = [name.lower() for name, _ in records.found]
    assert names[:2] == ["far", "mir"] and names[-1] == "mrr" and names.count("pir") == names.count("prr") == 3
    tests, words = records.of("ftr"), truth["words"]
    assert sum(t["TEST_FLG"] & 0x10 != 0 for t in tests) == words["never_ran"] + words["skipped"]
    assert len(tests) == 2 + sum(max(1, len(a)) for a in truth["attempts"])
    bad = sum(outcome in BAD for attempts in truth["attempts"] for outcome in attempts)
    assert sum(t["TEST_FLG"] & 0x80 != 0 for t in tests) == bad
    assert tests[0]["TEST_TXT"] == "test_it.py::test_a" and {t["TEST_TXT"] for t in tests} >= {"test_it.py::test_flaky"}
    assert [round(t["RESULT"], 6) for t in records.of("ptr")] == [3.25, 0, -1.5] and records.of("ptr")[1]["TEST_FLG"] & 2
    assert {t["UNITS"] for t in records.of("ptr")} == {"V"} and records.of("ptr")[0]["HI_LIMIT"] == 3.5
    assert sum(t["EXEC_CNT"] == 0 for t in records.of("tsr")) == words["never_ran"]
    assert records.of("prr")[1]["PART_ID"] == "+SN1" and records.of("pcr")[0]["PART_CNT"] == 3


def test_what_stdf_cannot_hold_is_cut_flagged_and_told(tmp_path):
    session = _litmus.Session(str(tmp_path / "data"), daemon=False)
    run_id, step = str(uuid.uuid4()), {"step_name": "gain", "step_index": 0, "step_path": "gain"}
    session.emit("run.started", {}, run_id)
    session.emit("test.step_started", step, run_id)
    for name, value, high in (("much", 1e39, None), ("little", -1e300, None), ("limit", 1.0, 1e40), ("most", 3.402823e38, None), ("fine", 2.0, 3.0)):
        session.emit("test.measurement", {**step, "measurement_name": name, "value": value, "limit_high": high, "outcome": "passed"}, run_id)
    session.emit("test.step_ended", {**step, "outcome": "passed"}, run_id)
    session.emit("run.ended", {"outcome": "passed"}, run_id)
    session.close()
    done = run("export", "-d", tmp_path / "data", "last", "-o", tmp_path / "r.stdf", LITMUS_PYTHON=sys.executable)
    assert done.returncode == 0 and "3 values or limits beyond 3.40282e+38" in done.stderr
    records = Records(tmp_path / "r.stdf")
    tests = {t["TEST_TXT"]: (t["TEST_FLG"] & 4, t["RESULT"]) for t in records.of("ptr")}
    greatest = 3.4028234663852886e38
    assert tests["much"] == (4, greatest) and tests["little"] == (4, -greatest) and tests["limit"] == (4, 1.0) and tests["fine"] == (0, 2.0)
    assert tests["most"][0] == 0 and [t["TEXT_DAT"] for t in records.of("dtr")] == [
        "much: value 1e+39 is beyond a 4-byte float", "little: value -1e+300 is beyond a 4-byte float", "limit: high limit 1e+40 is beyond a 4-byte float"]
    with pytest.warns(UserWarning, match="3 values or limits beyond"):
        export("last", tmp_path / "again.stdf", data_dir=tmp_path / "data")


def test_format_hdf5(data, truth, tmp_path):
    h5py = pytest.importorskip("h5py")
    ok("export", "-d", data, "--since", "1d", "-o", tmp_path / "r.h5", LITMUS_PYTHON=sys.executable)
    with h5py.File(tmp_path / "r.h5") as file:
        assert len(file) == 3
        last = file[truth["steps"][0]["run_id"]]
        assert Counter(word.decode() for word in last["steps"]["status"]) == truth["words"]
        assert last["steps"]["attempts"].tolist() == [len(a) for a in truth["attempts"]] and len(last["attempts"]) == sum(map(len, truth["attempts"]))
        values = file["00000000-0000-4000-8000-00000000000a"]["measurements"]["value"]
        assert values[0] == 3.25 and values[1] != values[1] and values[2] == -1.5


def test_format_tdms(data, truth, tmp_path):
    nptdms = pytest.importorskip("nptdms")
    ok("export", "-d", data, "--since", "1d", "-o", tmp_path / "r.tdms", LITMUS_PYTHON=sys.executable)
    file = nptdms.TdmsFile.read(tmp_path / "r.tdms")
    run_id = truth["steps"][0]["run_id"]
    assert Counter(file[f"{run_id} steps"]["status"][:]) == truth["words"] and len(file.groups()) == 9
    assert len(file[f"{run_id} attempts"]["outcome"]) == sum(map(len, truth["attempts"]))
    values = file["00000000-0000-4000-8000-00000000000a measurements"]["value"][:]
    assert values[0] == 3.25 and values[1] != values[1] and values[2] == -1.5


def test_format_mdf4(data, truth, tmp_path):
    """Written by asammdf, read by mdfreader."""
    mdfreader = pytest.importorskip("mdfreader")
    ok("export", "-d", data, "--since", "1d", "-o", tmp_path / "r.mf4", LITMUS_PYTHON=sys.executable)
    file = mdfreader.Mdf(str(tmp_path / "r.mf4"))
    assert file.MDFVersionNumber >= 410
    status = [word.decode() if isinstance(word, bytes) else str(word) for name in file if name.startswith("status") for word in file.get_channel_data(name)]
    assert Counter(status) == truth["words"] + Counter(passed=2)
    (values,) = [file.get_channel_data(name) for name in file if name.startswith("value")]
    assert values[0] == 3.25 and values[1] != values[1] and values[2] == -1.5


def test_format_atml(data, truth, tmp_path):
    lxml = pytest.importorskip("lxml.etree")
    ok("export", "-d", data, "--since", "1d", "-o", tmp_path / "r.atml.xml", LITMUS_PYTHON=sys.executable)
    document = lxml.parse(str(tmp_path / "r.atml.xml"))
    lxml.RelaxNG(file=str(SCHEMAS / "atml.rng")).assertValid(document)
    names = {"trc": "urn:IEEE-1636.1:2013:TestResultsCollection", "tr": "urn:IEEE-1636.1:2013:TestResults", "c": "urn:IEEE-1671:2010:Common"}

    def found(path, run):
        return document.xpath(f"//trc:TestResults[@uuid='{run}']{path}", namespaces=names)

    last, words = truth["steps"][0]["run_id"], truth["words"]
    outcomes = Counter(e.get("value") if e.get("value") in ("Passed", "Failed") else e.get("qualifier") for e in found("/tr:ResultSet/*/tr:Outcome", last))
    never = {word: n for word, n in outcomes.items() if word.startswith("never ran: ")}
    assert set(never) == {"never ran: maxfail", "never ran: skip marker: no <load> here"} and sum(never.values()) == words["never_ran"]
    assert (outcomes["Passed"], outcomes["Failed"], outcomes["Error"], outcomes["Skipped"]) == (words["passed"], words["failed"], words["errored"], words["skipped"])
    assert len(found("//tr:TestGroup/tr:Test", last)) == sum(len(a) for a in truth["attempts"] if len(a) > 1)
    bench = "00000000-0000-4000-8000-00000000000a"
    assert found("//tr:TestData/c:Datum/@value", bench) == ["3.25", "-1.5"] and found("//c:LimitPair/c:Limit/c:Datum/@value", bench) == ["3.0", "3.5"] * 3
    assert found("/tr:UUT/c:SerialNumber/text()", bench) == ["+SN1"] and found("//c:IdentificationNumber/@number", bench) == ["P1"]


def test_format_pdf(data, truth, tmp_path):
    pypdf = pytest.importorskip("pypdf")
    ok("export", "-d", data, "--since", "1d", "-o", tmp_path / "r.pdf", LITMUS_PYTHON=sys.executable)
    pages = [page.extract_text() for page in pypdf.PdfReader(tmp_path / "r.pdf").pages]
    assert len(pages) == 3 and "=rail = 3.25 V [3, 3.5]" in pages[1]
    lines = Counter(line.split("   ")[0].replace(" ", "_") for line in pages[2].splitlines() if "   test_it.py::" in line)
    assert lines == truth["words"] and pages[2].count("never ran: ") == truth["words"]["never_ran"]


# ---- measurements, many runs, no runs, runs in flight


def test_measurements(data):
    run_id = "00000000-0000-4000-8000-00000000000a"
    rows = [row for row in csv.DictReader(io.StringIO(text(data, "csv", run_id), newline="")) if row["record_type"] == "measurement"]
    assert [row["measurement_value"] for row in rows] == ["3.25", "", "-1.5"], "numbers stay numbers"
    assert {row["measurement_name"] for row in rows} == {"'=rail"} and {row["dut_serial"] for row in rows} == {"'+SN1"}
    (found,) = json.loads(text(data, "json", run_id))["runs"]
    assert [m.get("measurement_value") for m in found["measurements"]] == [3.25, None, -1.5]
    (test,) = json.loads(text(data, "ctrf", run_id))["results"]["tests"]
    assert len(test["extra"]["measurements"]) == 3
    assert text(data, "junit", run_id).count("[[MEASUREMENT|=rail=") == 3


@pytest.mark.parametrize("kind", sorted(set(FORMATS) - WITHOUT_STDOUT - {"parquet", "arrow", "stdf"}))
def test_all_runs_in_one_document(data, kind):
    document = text(data, kind, "--since", "1d")
    ids = [found["test_run_id"] for found in RunStore(data).list_runs()]
    assert len(ids) == 3 and all(run_id in document for run_id in ids)
    assert document.index(ids[2]) < document.index(ids[0]), "oldest first"


@pytest.fixture
def recording(tmp_path):
    """A run in flight: one step passed, one is running, one is not yet there."""
    session = _litmus.Session(str(tmp_path / "data"), daemon=False)
    run_id = "00000000-0000-4000-8000-00000000000b"
    step = [{"step_name": n, "step_index": i, "step_path": f"t/{n}"} for i, n in enumerate("abc")]
    session.emit("run.started", {}, run_id)
    session.emit("test.steps_discovered", {"items": [{"node_id": s["step_path"], "step_path": s["step_path"], "name": s["step_name"]} for s in step]}, run_id)
    session.emit("test.step_started", step[0], run_id)
    session.emit("test.step_ended", {**step[0], "outcome": "passed"}, run_id)
    session.emit("test.step_started", step[1], run_id)
    yield tmp_path / "data"
    session.close()


def test_a_run_in_flight(recording, tmp_path):
    assert json.loads(text(recording, "json"))["runs"][0]["counts"] == {"planned": 3, "passed": 1, "not_yet": 1, "running": 1}
    assert [e.get("type") for e in ET.fromstring(text(recording, "junit")).iter("skipped")] == ["litmus.running", "litmus.not_yet"]
    assert [t["status"] for t in json.loads(text(recording, "ctrf"))["results"]["tests"]] == ["passed", "other", "pending"]
    for name, entry in FORMATS.items():
        export("last", tmp_path / ("f" + entry.extension), format=name, data_dir=recording, force=True)


def test_a_bad_run_whose_steps_say_nothing_is_red(tmp_path):
    """It died before its first step: no consumer may take it for a pass."""
    session = _litmus.Session(str(tmp_path / "data"), daemon=False)
    run_id = "00000000-0000-4000-8000-00000000000c"
    session.emit("run.started", {}, run_id)
    session.emit("test.steps_discovered", {"items": [{"node_id": "a", "step_path": "t/a", "name": "a"}]}, run_id)
    session.emit("run.ended", {"outcome": "aborted", "stop_reason": "crash"}, run_id)
    session.close()
    data = tmp_path / "data"
    assert ET.fromstring(text(data, "junit")).find("testsuite").get("errors") == "1"
    assert json.loads(text(data, "ctrf"))["results"]["summary"]["failed"] == 1
    assert "Bail out!" in text(data, "tap")
    assert json.loads(text(data, "reportlog").splitlines()[-1])["exitstatus"] == 1


def test_a_run_that_planned_nothing(tmp_path):
    session = _litmus.Session(str(tmp_path / "data"), daemon=False)
    session.emit("run.started", {}, "00000000-0000-4000-8000-00000000000d")
    session.emit("run.ended", {"outcome": "passed"}, "00000000-0000-4000-8000-00000000000d")
    session.close()
    for name, entry in FORMATS.items():
        export("last", tmp_path / ("f" + entry.extension), format=name, data_dir=tmp_path / "data", force=True)
    assert (tmp_path / "f.tap").read_text().splitlines()[-1] == "1..0 # SKIP nothing was planned"


# ---- the file, the command line


def test_a_file_is_replaced_only_by_force(data, tmp_path):
    out = tmp_path / "r.csv"
    out.write_text("mine")
    done = run("export", "-d", data, "-o", out, LITMUS_PYTHON=sys.executable)
    assert done.returncode == 2 and "--force" in done.stderr and out.read_text() == "mine"
    ok("export", "-d", data, "-o", out, "--force", LITMUS_PYTHON=sys.executable)
    assert out.read_text().startswith("record_type,") and [p.name for p in tmp_path.iterdir()] == ["r.csv"]
    with pytest.raises(OutputExists):
        export("last", out, data_dir=data)


def test_half_a_file_is_never_there(data, tmp_path, monkeypatch):
    from litmus.exports import as_csv

    def breaks(runs, out):
        out.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(as_csv, "write", breaks)
    with pytest.raises(OSError, match="No space"):
        export("last", tmp_path / "r.csv", data_dir=data)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_export_left_goes_with_the_next_one(data, tmp_path):
    killed = "import os, sys; from litmus.exports import as_csv, export; as_csv.write = lambda runs, out: os.kill(os.getpid(), 9); export('last', sys.argv[1], data_dir=sys.argv[2])"
    assert subprocess.run([sys.executable, "-c", killed, tmp_path / "r.csv", data], env=environment(), timeout=600).returncode == -9
    (left,) = os.listdir(tmp_path)
    table = left.split(".")[3].partition("-")[0]
    others = [f".r.csv.{table}-{os.getpid()}-x.tmp.csv", f".r.csv.{'0' * len(table)}-99999999-x.tmp.csv", f".r.csv.{table}-99999999-x.tmp.json", f".s.csv.{table}-99999999-x.tmp.csv", ".r.csv.tmp.csv"]
    for name in others:  # at work, elsewhere, of another format, of another file, of somebody else
        (tmp_path / name).touch()
    export("last", tmp_path / "r.csv", data_dir=data)
    assert sorted(os.listdir(tmp_path)) == sorted([*others, "r.csv"])


def test_which_format(tmp_path):
    assert [format_of(None, name).name for name in ("a.xml", "a.json", "a.ctrf.json", "A.CSV", "a.parquet")] == ["junit", "json", "ctrf", "csv", "parquet"]
    with pytest.raises(InvalidArgument, match="junit"):
        format_of("junitt", None)
    with pytest.raises(InvalidArgument, match="--format"):
        format_of(None, "report.doc")


@pytest.mark.parametrize(
    "arguments, code, hint",
    [
        (("-f", "csvv"), 2, "did you mean csv?"),
        ((), 2, "--format"),
        (("-f", "csv", "ffffffff"), 3, "ffffffff"),
        (("-f", "csv", "--serial", "-none"), 3, "no run fits"),
        (("-f", "csv", "last", "--since", "1d"), 2, "not both"),
        (("-o", "no/such/folder/x.csv"), 5, "no/such/folder"),
    ],
)
def test_usage(data, arguments, code, hint):
    done = run("export", "-d", data, *arguments, LITMUS_PYTHON=sys.executable)
    assert done.returncode == code and hint in done.stderr and done.stdout == "", done.stderr


def test_a_library_that_is_absent_is_named(data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingLibrary, match=r"pip install 'litmus-recorder\[arrow\]'"):
        export("last", tmp_path / "x.arrow", data_dir=data)


def test_list():
    lines = ok("export", "--list", LITMUS_PYTHON=sys.executable).splitlines()
    assert [line.split()[0] for line in lines] == list(FORMATS)


def test_a_module_in_the_way_is_not_taken(data, tmp_path):
    (tmp_path / "csv.py").write_text("raise SystemExit('mine')")
    done = subprocess.run([LITMUS, "export", "-d", str(data), "-f", "csv"], cwd=tmp_path, capture_output=True, text=True, env=environment(LITMUS_PYTHON=sys.executable))
    assert done.returncode == 0 and done.stdout.startswith("record_type"), done.stderr


def test_full_disk_is_told(data):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        done = subprocess.run([LITMUS, "export", "-d", str(data), "-f", "csv"], stdout=full, stderr=subprocess.PIPE, text=True, env=environment(LITMUS_PYTHON=sys.executable))
    assert done.returncode == 5 and "space" in done.stderr, done.stderr

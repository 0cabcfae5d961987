# SPDX-License-Identifier: Apache-2.0
"""Every format of `litmus export` with every kind of run: read by a reader that is not ours, the steps and their verdicts are those of the record."""

from __future__ import annotations

import csv
import datetime
import io
import json
import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from itertools import count

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from litmus import _litmus
from litmus.data.run_store import RunStore
from litmus.exports import FORMATS, export

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from test_exports import BAD, Page, Records  # noqa: E402

EVIL = "=cmd|' /C calc'!A0 \x1b[31m \x00 \ud800 <b>&amp;]]></script>\u2028 日本語 \r\n\ufffe"
WORDS = ("passed", "failed", "errored", "skipped", "done", "terminated", "aborted", "never ran", "not yet", "running")
number = count(1)

# ---- the runs


class Recording:
    """A run of its own; `names` are its plan, `vectors` of which the last is announced to have."""

    def __init__(self, folder, names=(), vectors=1, **start):
        self.id, self.session = f"{next(number):08d}-0000-4000-8000-000000000000", _litmus.Session(str(folder), daemon=False)
        self.session.emit("run.started", start, self.id)
        items = [{"node_id": name, "step_path": f"t/{i}", "name": name} for i, name in enumerate(names)]
        if vectors > 1:
            items[-1]["vector_count_planned"] = vectors
        self.session.emit("test.steps_discovered", {"items": items}, self.id)
        self.keys = [{"step_name": item["name"], "step_path": item["step_path"], "step_index": i} for i, item in enumerate(items)]

    def start(self, step, **fields):
        self.session.emit("test.step_started", {**step, **fields}, self.id)

    def step(self, step, outcome="passed", measured=(), inputs=None, **fields):
        key = {name: fields.pop(name) for name in ("vector_index", "retry") if name in fields}
        self.start(step, inputs=inputs or {}, **key)
        for one in measured:
            self.session.emit("test.measurement", {**step, **key, **one}, self.id)
        self.session.emit("test.step_ended", {**step, **key, "outcome": outcome, **fields}, self.id)

    def end(self, outcome="passed", **fields):
        self.session.emit("run.ended", {"outcome": outcome, **fields}, self.id)
        self.session.close()


def nothing_planned(folder):
    Recording(folder).end()


def nothing_ran(folder):
    Recording(folder, "abc").end("aborted", stop_reason="crash")


def hostile_text(folder):
    run = Recording(folder, [EVIL, "b", ""], dut_serial=EVIL, operator_id=EVIL, project_name=EVIL, custom_metadata={EVIL: EVIL})
    run.step(run.keys[0], "failed", [{"measurement_name": EVIL, "value": 1.0, "units": EVIL}], {EVIL: EVIL}, message=EVIL, outputs={EVIL: EVIL, "a/b": 1})
    run.step(run.keys[1])
    run.end("failed", stop_reason=EVIL)


def names_alike(folder):
    names = ["Rail", "rail", "RAIL", "a/b", "a\\b", "[x]*?:'\"", "'quoted'", ".", "..", " ", "x" * 5000]
    run = Recording(folder, names)
    for step, name in zip(run.keys, names):
        run.step(step, "passed", [{"measurement_name": name, "value": 1.0}, {"measurement_name": name.upper(), "value": 2.0}], outputs={name: 1.5, name.upper(): "t"})
    run.end()


def values_of_every_kind(folder):
    run = Recording(folder, "v")
    measured = [{"measurement_name": "text", "text": "A-7", "limit_text": "A-7", "limit_comparator": "EQ", "outcome": "passed"}, {"measurement_name": "none"},
                {"measurement_name": "greatest", "value": 1.7e308, "limit_low": -1e308, "limit_high": 1e308, "limit_comparator": "GELE", "outcome": "failed"},
                {"measurement_name": "least", "value": 5e-324}, {"measurement_name": "bool", "value": 1}]  # fmt: skip
    run.step(run.keys[0], "done", measured, {"big": 2**62}, outputs={"b": True, "l": [1, 2], "f": float("inf"), "d": {"k": [None, True]}})
    run.end("done")


def no_finite_number(folder):
    """By another writer; we write none."""
    at = datetime.datetime(2026, 3, 1, tzinfo=datetime.timezone.utc)
    run = {"run_id": f"{next(number):08d}-0000-4000-8000-000000000000", "session_id": "s", "run_started_at": at, "run_ended_at": at, "run_outcome": "passed"}
    step = {**run, "step_name": "a", "step_path": "t/a", "step_index": 0, "vector_index": 0, "step_outcome": "passed", "vector_outcome": "passed", "step_started_at": at, "step_ended_at": at}
    rows = [{"record_type": "run", **run}, {"record_type": "step", **step, "out_x": float("nan"), "in_y": float("inf")}]
    rows += [{"record_type": "measurement", **step, "measurement_name": f"m{value}", "measurement_value": value, "limit_low": -float("inf"), "limit_high": float("nan"),
              "measurement_units": "V", "limit_comparator": "GELE", "measurement_outcome": "passed"} for value in map(float, ("nan", "inf", "-inf", "1"))]  # fmt: skip
    columns = dict.fromkeys(key for row in rows for key in row)
    (folder / "runs/2026-03-01").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([{key: row.get(key) for key in columns} for row in rows]), folder / "runs/2026-03-01/f.parquet")


def attempts_vectors_and_substeps(folder):
    run = Recording(folder, ["flaky", "bad", "swept"], vectors=3)
    for retry, outcome in enumerate(("failed", "errored", "passed")):
        run.step(run.keys[0], outcome, [{"measurement_name": "v", "value": float(retry)}], retry=retry)
    run.step(run.keys[1], "failed")
    run.step(run.keys[2], vector_index=0)
    run.step({"step_name": "part", "step_path": "t/2/part", "parent_path": "t/2", "step_index": 3}, "failed")
    run.step(run.keys[2], "terminated", vector_index=1)
    run.end("terminated")


def in_flight(folder):
    run = Recording(folder, "abc")
    run.step(run.keys[0])
    run.start(run.keys[1])
    return run


def long_text(folder):
    run = Recording(folder, "abc")
    run.step(run.keys[0], "failed", message="m" * 10_000_000)
    run.step(run.keys[1], outputs={"o": "o" * 2_000_000})
    run.end("failed")


RUNS = (nothing_planned, nothing_ran, hostile_text, names_alike, values_of_every_kind, no_finite_number, attempts_vectors_and_substeps, in_flight, long_text)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data directory a run; its truth: how many steps it has, and how many of them are bad."""
    folder, truth, open_ones = tmp_path_factory.mktemp("runs"), {}, []
    for make in RUNS:
        (folder / make.__name__).mkdir()
        open_ones.append(make(folder / make.__name__))
        rows = RunStore(folder / make.__name__).rows("last").to_dicts()
        steps = [row for row in rows if row["record_type"] == "step"]
        truth[make] = len(steps), sum(row["vector_outcome"] in BAD for row in steps), sum(row["record_type"] == "measurement" for row in rows)
    assert [truth[make][0] for make in RUNS] == [0, 3, 3, 11, 1, 1, 6, 3, 3], truth
    yield folder, truth
    for run in filter(None, open_ones):
        run.session.close()


# ---- readers that are not ours: how many steps there are, how many of them are bad, how many measurements; None: the format does not say


def rows_of(rows):
    kinds = Counter(row["record_type"] for row in rows)
    return kinds["step"], sum(row.get("vector_outcome") in BAD for row in rows if row["record_type"] == "step"), kinds["measurement"]


def words_of(words, measurements=None):
    words = [word.decode() if isinstance(word, bytes) else str(word) for word in words]
    return len(words), sum(word in BAD for word in words), measurements


def read_csv(path):
    csv.field_size_limit(2**30)
    return rows_of(list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))))


def read_json(path):
    (run,) = json.loads(path.read_text())["runs"]
    return words_of([step["outcome"] for step in run["steps"]], len(run["measurements"]))


def read_ndjson(path):
    return rows_of([json.loads(line) for line in path.read_text().split("\n") if line])


def read_junit(path):
    cases = [case for case in ET.parse(path).iter("testcase") if case.get("name") != "litmus.run"]
    said = sum((case.findtext("system-out") or "").count("[[MEASUREMENT|") for case in cases)
    return len(cases), sum(case.find("failure") is not None or case.find("error") is not None for case in cases), said


def read_ctrf(path):
    tests = [test for test in json.loads(path.read_text())["results"]["tests"] if test["name"] != "litmus.run"]
    return len(tests), sum(test["status"] == "failed" for test in tests), sum(len(test["extra"].get("measurements", ())) for test in tests)


def read_tap(path):
    lines = [line for line in pytest.importorskip("tap.parser").Parser().parse_file(str(path)) if line.category == "test"]
    return len(lines), sum(not line.ok for line in lines), None


def read_html(path):
    (steps,) = (json.loads(found) for found in Page(path.read_text(encoding="utf-8")).json)
    return words_of([step[1] for step in steps])


def read_reportlog(path):
    from _pytest.reports import TestReport

    lines = [json.loads(line) for line in path.read_text().split("\n") if line]
    reports = [TestReport._from_json(line) for line in lines if line.pop("$report_type") == "TestReport"]
    reports = [report for report in reports if report.outcome != "rerun"]
    return len(reports), sum(report.outcome == "failed" for report in reports), sum(name.startswith("litmus.measurement.") for report in reports for name, _ in report.user_properties)


def read_parquet(path):
    return rows_of(pq.ParquetFile(path).read().to_pylist())


def read_arrow(path):
    return rows_of(pytest.importorskip("polars").read_ipc(path).to_dicts())


def read_xlsx(path):
    book = pytest.importorskip("python_calamine").load_workbook(str(path))
    head, *rows = book.get_sheet_by_name("Steps").to_python()
    return words_of([row[head.index("status")] for row in rows], len(book.get_sheet_by_name("Measurements").to_python()) - 1)


def read_atml(path):
    space = "{urn:IEEE-1636.1:2013:TestResults}"
    outcomes = [step.find(space + "Outcome") for results in ET.parse(path).iter(space + "ResultSet") for step in results if step.tag in (space + "Test", space + "TestGroup")]
    bad = sum(one.get("value") in ("Failed", "Aborted") or one.get("qualifier") in ("Error", "Terminated") for one in outcomes)
    return len(outcomes), bad, None


def read_stdf(path):
    records = Records(path)
    return sum(test["TEST_TYP"] == "F" for test in records.of("tsr")), None, len(records.of("ptr"))


def read_hdf5(path):
    with pytest.importorskip("h5py").File(path) as file:
        (run,) = file.values()
        return words_of(run["steps"]["status"], len(run["measurements"]))


def read_tdms(path):
    file = pytest.importorskip("nptdms").TdmsFile.read(path)
    steps, _, measurements = file.groups()
    return words_of(steps["status"][:] if len(steps) else [], len(measurements["name"]) if len(measurements) else 0)


def read_mdf4(path):
    file = pytest.importorskip("mdfreader").Mdf(str(path))
    return words_of([word for name in file if name.startswith("status") for word in file.get_channel_data(name)])


def read_pdf(path):
    lines = [line for page in pytest.importorskip("pypdf").PdfReader(path).pages for line in page.extract_text().splitlines()]
    return words_of([found[1] for found in (re.match(f"({'|'.join(WORDS)})   ", line) for line in lines) if found])


@pytest.mark.filterwarnings("ignore:.*STDF")
@pytest.mark.parametrize("make", RUNS, ids=lambda make: make.__name__)
def test_every_format_has_every_step(data, tmp_path, make):
    folder, truth = data
    for name, entry in FORMATS.items():
        path = tmp_path / ("run" + entry.extension)
        export("last", path, format=name, data_dir=folder / make.__name__)
        found = globals()["read_" + name](path)
        assert found == tuple(None if said is None else value for said, value in zip(found, truth[make])) and found[0] is not None, name


def text_of(name, path):
    """What a reader finds, as text."""
    if name in ("parquet", "arrow"):
        return str((pq.ParquetFile(path).read() if name == "parquet" else pa.ipc.open_file(path).read_all()).to_pylist())
    if name == "xlsx":
        book = pytest.importorskip("python_calamine").load_workbook(str(path))
        return str([book.get_sheet_by_name(sheet).to_python() for sheet in book.sheet_names])
    if name == "pdf":
        return "".join(page.extract_text() for page in pytest.importorskip("pypdf").PdfReader(path).pages)
    if name == "mdf4":
        file = pytest.importorskip("mdfreader").Mdf(str(path))
        return str([file.get_channel_data(channel) for channel in file]) + path.read_bytes().decode("latin-1")
    return path.read_bytes().decode("latin-1")


@pytest.mark.filterwarnings("ignore:.*STDF")
def test_a_text_that_was_measured_is_told(data, tmp_path):
    for name, entry in FORMATS.items():
        path = tmp_path / ("run" + entry.extension)
        export("last", path, format=name, data_dir=data[0] / "values_of_every_kind")
        assert "A-7" in text_of(name, path), name


IN_FLIGHT = {"csv": ",true\r\n", "json": '"live":true', "ndjson": '"live":true', "ctrf": '"live":true', "parquet": "'live': True", "arrow": "'live': True", "junit": 'name="litmus.live" value="true"'}


@pytest.mark.parametrize("make", [in_flight, attempts_vectors_and_substeps], ids=lambda make: make.__name__)
def test_a_run_in_flight_is_marked_and_no_other(data, tmp_path, make):
    for name, entry in FORMATS.items():
        path = tmp_path / ("run" + entry.extension)
        export("last", path, format=name, data_dir=data[0] / make.__name__)
        text = text_of(name, path)
        marked = "SessionFinish" not in text if name == "reportlog" else IN_FLIGHT.get(name, "in flight") in text
        assert marked == (make is in_flight), name


def test_a_long_text_takes_its_room_once():
    """And not in each row: 100,000 rows with a text of 64 KiB were 26 GB."""
    from litmus.exports import as_mdf4, as_tdms

    texts, cut = ["short"] * 999 + ["m" * 10_000_000], set()
    (channel,) = as_tdms._channels("steps", [{"message": text} for text in texts])
    assert channel.data.nbytes < 100_000 and list(channel.data) == texts
    column = as_mdf4._column(texts, cut)
    assert column.nbytes <= as_mdf4.COLUMN_BYTES and cut == {999} and column[0] == b"short" and set(column[999]) == set(b"m")


FULL = """
import resource, sys
from litmus.errors import StorageError
from litmus.exports import export
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, most))
for name in sys.argv[3:]:
    try:
        export("last", f"{sys.argv[2]}/{name}.x", format=name, data_dir=sys.argv[1])
    except StorageError as error:
        assert "cannot write" in str(error) and f"{name}.x" in str(error), error
    else:
        raise SystemExit(f"{name}: fits into 2000 bytes")
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
from litmus.data.run_store import RunStore
from litmus.exports import as_xlsx, reading
try:
    as_xlsx.write(reading.Runs(RunStore(sys.argv[1]), ["last"]), "/dev/full")  # which is noticed when the archive is closed
except OSError as error:
    assert error.errno == 28, error
else:
    raise SystemExit("fits into /dev/full")
"""


def test_a_disk_that_is_full_leaves_nothing_and_is_told(data, tmp_path):
    """Also by the libraries that have errors of their own, or end the process."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FULL, str(data[0] / "names_alike"), str(tmp_path), *FORMATS], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", (done.returncode, done.stderr)
    assert list(tmp_path.iterdir()) == []

# SPDX-License-Identifier: Apache-2.0
"""The page that the project grew from, "Step results & StepsDiscovered", run as written.

Its two SQL queries and two Python snippets, word for word but for the run id, on a run that a real
pytest recorded and that stopped early; then the same files in pyarrow, Polars and DuckDB.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

duckdb = pytest.importorskip("duckdb")
_litmus = pytest.importorskip("litmus._litmus")

STEP_SUMMARY = """\
-- Step summary for one run
SELECT step_name, step_outcome, step_started_at, step_ended_at
FROM read_parquet('data/runs/**/*.parquet')
WHERE record_type = 'step'
AND run_id = 'abc123'
ORDER BY step_index;
"""
NEVER_RUN = """\
-- Find steps that are frequently skipped or never run
SELECT step_name,
COUNT(*) AS total,
SUM(CASE WHEN step_outcome IS NULL THEN 1 ELSE 0 END) AS never_ran
FROM read_parquet('data/runs/**/*.parquet')
WHERE record_type = 'step'
GROUP BY step_name
HAVING never_ran > 0;
"""
RUN_STORE = """\
from litmus.data.run_store import RunStore
steps = RunStore().get_steps("abc123")
for step in steps:
    print(f"{step['step_name']}: {step['step_outcome']}")
"""
EVENT_STORE = """\
store.events(event_type="test.steps_discovered", session_id=sid)
"""

POWER = """
import pytest

def test_idle(measure):
    measure("idle_current", 0.012, low=0, high=0.02, units="A")

class TestRails:
    @pytest.mark.skip(reason="no load bank")
    def test_load(self):
        pass

    @pytest.mark.parametrize("vin", [4.5, 5.0, 5.5])
    def test_voltage(self, vin, verify):
        verify("v_out", 3.3 if vin < 5.5 else 3.6, low=3.2, high=3.4, units="V")

def test_ripple():
    pass
"""
THERMAL = """
def test_soak():
    pass

def test_cooldown():
    pass
"""
# step_name, vector_index, step_outcome, vector_outcome
EXPECTED = [
    ("test_idle", 0, "passed", "passed"),
    ("test_load", 0, None, None),
    ("test_voltage", 0, "failed", "passed"),
    ("test_voltage", 1, "failed", "passed"),
    ("test_voltage", 2, "failed", "failed"),
    ("test_ripple", 0, None, None),
    ("test_soak", 0, None, None),
    ("test_cooldown", 0, None, None),
]
NEVER_RAN = sorted(name for name, _, step, _ in EXPECTED if step is None)


def environment(**more) -> dict:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("LITMUS_", "PYTEST_"))}
    return {**env, "PYTHONDONTWRITEBYTECODE": "1", "LITMUS_NO_DAEMON": "1", **more}


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Path:
    """A folder with a suite, a litmus.yaml and a recorded run that stopped at its first failure."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "litmus.yaml").write_text("data_dir: data\n")
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "tests").mkdir()
    (folder / "tests" / "test_power.py").write_text(POWER)
    (folder / "tests" / "test_thermal.py").write_text(THERMAL)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider"],
        cwd=folder, env=environment(HOME=str(folder)), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 1 and "1 failed, 3 passed, 1 skipped" in done.stdout, done.stdout + done.stderr
    files = list(folder.glob("data/runs/*/*.parquet"))
    assert len(files) == 1, done.stdout + done.stderr
    return folder


@pytest.fixture
def here(bench, monkeypatch) -> Path:
    """The current directory is the bench's, and nothing else says where the data are."""
    for name in [name for name in os.environ if name.startswith("LITMUS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(bench)
    return bench


@pytest.fixture
def run(here) -> dict:
    from litmus.data.run_store import RunStore

    with RunStore() as store:
        (summary,) = store.list_runs()
    return summary


# ---- the page


def rows_of(query: str) -> list[tuple]:
    """By way of Arrow: DuckDB's fetchall wants pytz for timestamps with a zone."""
    pytest.importorskip("pyarrow")
    table = duckdb.connect().sql(query).to_arrow_table()
    return [tuple(row.values()) for row in table.to_pylist()]


def test_step_summary_query(here, run):
    rows = rows_of(STEP_SUMMARY.replace("abc123", run["test_run_id"]))
    assert [(name, outcome) for name, outcome, _, _ in rows] == [(name, step) for name, _, step, _ in EXPECTED]
    for _, outcome, started, ended in rows:
        assert (started is None, ended is None) == (outcome is None, outcome is None)
        assert started is None or started <= ended


def test_queries_in_the_duckdb_program(here, run):
    program = Path(sys.executable).with_name("duckdb")
    if not program.exists():
        pytest.skip("the duckdb program is not installed")
    for query, count in ((STEP_SUMMARY.replace("abc123", run["test_run_id"]), len(EXPECTED)), (NEVER_RUN, 4)):
        done = subprocess.run([program, "-json", "-c", query], cwd=here, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        rows = json.loads(done.stdout)
        assert len(rows) == count
        assert sorted({row["step_name"] for row in rows if row.get("never_ran", not row.get("step_outcome"))}) == NEVER_RAN


def test_never_run_query(here, run):
    rows = duckdb.connect().execute(NEVER_RUN).fetchall()
    assert sorted(rows) == [(name, 1, 1) for name in NEVER_RAN]


def test_run_store_snippet(here, run):
    for run_id in (run["test_run_id"], run["test_run_id"][:6]):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(RUN_STORE.replace("abc123", run_id), "page", "exec"), {})
        assert out.getvalue().splitlines() == [f"{name}: {step}" for name, _, step, _ in EXPECTED]


def test_event_store_snippet(here, run):
    from litmus.data.event_store import EventStore

    with EventStore() as store:
        (event,) = eval(EVENT_STORE, {"store": store, "sid": run["session_id"]})
    assert event["event_type"] == "test.steps_discovered" and event["run_id"] == run["test_run_id"]
    assert [item["function"] for item in event["items"]] == [name for name, _, _, _ in EXPECTED]
    first, second = event["items"][0], event["items"][2]
    for item in event["items"]:
        assert {"node_id", "name", "file", "module", "class_name", "function"} <= set(item)
    assert (first["node_id"], first["class_name"], first["file"]) == ("tests/test_power.py::test_idle", None, "tests/test_power.py")
    assert (second["node_id"], second["class_name"]) == ("tests/test_power.py::TestRails::test_voltage[4.5]", "TestRails")
    assert first["module"] and second["name"].startswith("test_voltage")


def test_snippet_as_a_script(here, run):
    """In a process of its own, without pytest and its plugin."""
    script = RUN_STORE.replace("abc123", run["test_run_id"][:8])
    done = subprocess.run([sys.executable, "-c", script], cwd=here, env=environment(), capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{name}: {step}" for name, _, step, _ in EXPECTED]


def test_storage(here, run):
    """One file a run, named by time and serial; one run row, a step row a vector, a row a measurement."""
    path = Path(run["file_path"])
    assert path.parent.parent == here / "data" / "runs" and path.parent.name == run["started_at"].strftime("%Y-%m-%d")
    assert path.name == run["started_at"].strftime("%Y%m%dT%H%M%SZ") + ".parquet"
    kinds = "SELECT record_type, COUNT(*) FROM read_parquet('data/runs/**/*.parquet') GROUP BY 1 ORDER BY 1"
    assert duckdb.connect().execute(kinds).fetchall() == [("measurement", 4), ("run", 1), ("step", 8)]
    rows = duckdb.connect().execute(
        """SELECT step_name, vector_index, step_outcome, vector_outcome, step_path, parent_path, step_node_id, step_vector_count,
                  run_outcome, session_id, never_ran_reason, step_message
           FROM read_parquet('data/runs/**/*.parquet') WHERE record_type = 'step' ORDER BY step_index, vector_index"""
    ).fetchall()
    assert [row[:4] for row in rows] == EXPECTED
    assert rows[4][4:8] == (
        "tests/test_power.py/TestRails/test_voltage", "tests/test_power.py/TestRails", "tests/test_power.py::TestRails::test_voltage[5.5]", 3,
    )  # fmt: skip
    assert {row[8] for row in rows} == {"failed"} and {row[9] for row in rows} == {run["session_id"]}
    assert [row[10] for row in rows] == [None, "skip_marker", None, None, None, "maxfail", "maxfail", "maxfail"]
    assert rows[4][11] and rows[1][11] == "no load bank"


# ---- the same files elsewhere


@pytest.fixture(scope="module")
def lot(tmp_path_factory) -> Path:
    """Sixty runs, whose dynamic columns differ: in_* of three types, custom_* in every other one."""
    folder = tmp_path_factory.mktemp("lot")
    for n in range(60):
        session = _litmus.Session(folder / "data", daemon=False)
        run_id = str(uuid.uuid4())
        custom = {f"lot_{n % 2}": n} if n % 2 else {}
        session.emit("run.started", {"dut_serial": f"SN{n:03}", "custom_metadata": custom}, run_id, 10**15 + n * 10**7)
        step = {"step_name": "t", "step_index": 0, "step_path": "f.py/t", "node_id": "f.py::t"}
        session.emit("test.steps_discovered", {"items": [{"name": "t", **step}, {"name": "u", **dict.fromkeys(step), "node_id": "f.py::u"}]}, run_id)
        session.emit("test.step_started", {**step, "inputs": {"vin": [5, 5.5, "five"][n % 3]}}, run_id)
        session.emit("test.step_ended", {**step, "outcome": "passed"}, run_id)
        session.emit("run.ended", {"outcome": "passed"}, run_id)
        assert len(session.close()) == 1
    return folder


def lot_pattern(lot: Path) -> str:
    return str(lot / "data" / "runs" / "**" / "*.parquet")


FIXED = ["record_type", "run_id", "dut_serial", "step_name", "step_outcome", "step_started_at", "attempt_outcomes"]


@pytest.mark.parametrize("options", ["", ", union_by_name = true"])
def test_duckdb_reads_many(lot, options):
    source = f"read_parquet('{lot_pattern(lot)}'{options})"
    answer = duckdb.connect().execute(f"SELECT COUNT(*), COUNT(DISTINCT run_id), COUNT(step_outcome) FROM {source} WHERE record_type = 'step'").fetchone()
    assert answer == (120, 60, 60)
    assert len(rows_of(f"SELECT {', '.join(FIXED)} FROM {source}")) == 180
    if options:
        values = duckdb.connect().execute(f"SELECT in_vin, COUNT(*) FROM {source} WHERE in_vin IS NOT NULL GROUP BY 1 ORDER BY 1").fetchall()
        assert values == [("5", 20), ("5.5", 20), ("five", 20)]


def test_pyarrow_reads_one_and_many(lot):
    dataset = pytest.importorskip("pyarrow.dataset")
    pq = pytest.importorskip("pyarrow.parquet")
    paths = sorted(lot.glob("data/runs/*/*.parquet"))
    one = pq.read_table(paths[0])
    assert one.num_rows == 3 and one.to_pylist() == _litmus.read_parquet(paths[0]).to_dicts()
    meta = pq.read_metadata(paths[0])
    assert meta.metadata[b"schema_version"] == b"1.0" and meta.metadata[b"litmus_version"]
    assert meta.row_group(0).column(0).statistics.has_min_max
    many = dataset.dataset(paths).to_table(columns=FIXED)
    assert many.num_rows == 180
    assert dataset.dataset(paths).to_table(columns=FIXED, filter=dataset.field("step_outcome") == "passed").num_rows == 60


def test_polars_reads_one_and_many(lot):
    polars = pytest.importorskip("polars")
    paths = sorted(lot.glob("data/runs/*/*.parquet"))
    assert polars.read_parquet(paths[0]).to_dicts() == _litmus.read_parquet(paths[0]).to_dicts()
    same_columns = [str(path) for path in paths[:60:6]]
    assert polars.scan_parquet(same_columns).select(FIXED).collect().height == 30
    frames = [polars.read_parquet(path, columns=FIXED) for path in paths]
    assert polars.concat(frames).filter(polars.col("step_outcome") == "passed").height == 60
    whole = polars.concat([polars.read_parquet(path) for path in paths], how="diagonal_relaxed")
    assert whole.height == 180 and "custom_lot_1" in whole.columns
    scanned = polars.scan_parquet(lot_pattern(lot), missing_columns="insert", extra_columns="ignore").select(FIXED).collect()
    assert scanned.height == 180
    golden = sorted((Path(__file__).parent / "golden").glob("v*/*.parquet"))  # of every version; those of v1 lack columns
    for files in (golden + paths[:2], paths[:2] + golden):
        many = polars.scan_parquet(files, missing_columns="insert", extra_columns="ignore").select(FIXED).collect()
        assert many["run_id"].n_unique() == len(files) and many.height == sum(polars.read_parquet(path, columns=["run_id"]).height for path in files)
    with pytest.raises(polars.exceptions.PolarsError, match="missing_columns|extra_columns"):
        polars.scan_parquet(golden + paths[:2]).select(FIXED).collect()
    every = polars.concat([polars.read_parquet(path) for path in golden + paths[:2]], how="diagonal_relaxed")
    assert every.filter(every["measurement_text"].is_not_null()).height == 0 and every["run_id"].n_unique() == len(golden) + 2


def test_tables_without_files_between(here, run):
    """Listings go to pyarrow, Polars and DuckDB as they are."""
    pa = pytest.importorskip("pyarrow")
    polars = pytest.importorskip("polars")
    from litmus.data.run_store import RunStore

    with RunStore() as store:
        runs, steps, measurements = store.runs(), store.steps("last"), store.measurements("last")
    for table in (runs, steps, measurements):
        assert pa.table(table).num_rows == polars.DataFrame(table).height == len(table)
        rows = table  # noqa: F841  DuckDB finds it by its name
        assert duckdb.sql("SELECT COUNT(*) FROM rows").fetchone() == (len(table),)
    frame = polars.DataFrame(steps)
    assert frame["step_outcome"].to_list() == [step for _, _, step, _ in EXPECTED]
    assert duckdb.sql("SELECT COUNT(*) FROM steps WHERE step_outcome IS NULL").fetchone() == (4,)
    assert pa.table(measurements)["measurement_value"].to_pylist() == [0.012, 3.3, 3.3, 3.6]


def test_log_is_arrow_and_complete(here, run):
    pa = pytest.importorskip("pyarrow")
    tables = [pa.ipc.open_file(log).read_all() for log in here.glob(f"data/events/*/{run['session_id']}-*.arrow")]
    (table,) = [table for table in tables if table.column("event_type")[0].as_py() == "session.started"]
    kinds = [json.loads(text)["event_type"] for text in table.column("json").to_pylist()]
    assert kinds[:3] == ["session.started", "run.started", "test.steps_discovered"] and kinds[-1] == "session.ended"
    assert kinds == table.column("event_type").to_pylist()

# SPDX-License-Identifier: Apache-2.0
"""`litmus sql`, litmus.connect() and litmus.scan(): the same rows as the files, and figures worked by hand."""

from __future__ import annotations

import contextlib
import csv
import datetime
import gc
import io
import json
import math
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import litmus
from litmus import _litmus, sql
from litmus.errors import InvalidArgument

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from test_cli import LITMUS, environment, ok, record, run  # noqa: E402

NOW = datetime.datetime(2026, 3, 1, 8, tzinfo=datetime.timezone.utc)


def row(kind, run_id, started, **fields):
    outcome = fields.pop("run_outcome", "passed")
    return {"record_type": kind, "session_id": "s-" + run_id, "run_id": run_id, "run_started_at": started,
            "run_ended_at": started + datetime.timedelta(seconds=9), "run_outcome": outcome, "dut_part_number": "P1", "test_phase": "production", **fields}


def run_rows(number, serial, outcome, steps, day=0, values=()):
    """One run. steps: name -> outcomes of its attempts, [] never ran. values: of the measurement of step "a"."""
    run_id = f"{number:08d}-0000-4000-8000-000000000000"
    started = NOW + datetime.timedelta(days=day, minutes=number)
    common = {"dut_serial": serial, "run_outcome": outcome}
    rows = [row("run", run_id, started, **common)]
    for index, (name, attempts) in enumerate(steps.items()):
        last = attempts[-1] if attempts else None
        at = started if attempts else None
        rows.append(row("step", run_id, started, step_name=name, step_path=f"t.py/{name}", parent_path="t.py", step_index=index, vector_index=0,
                        step_started_at=at, step_ended_at=at, step_outcome=last, vector_outcome=last, attempt_outcomes=attempts,
                        attempt_started_at=[at] * len(attempts), attempt_ended_at=[at] * len(attempts),
                        never_ran_reason=None if attempts else "maxfail", **common))
    for value in values:
        rows.append(row("measurement", run_id, started, step_name="a", step_path="t.py/a", step_index=0, vector_index=0, vector_retry=0,
                        measurement_name="v", measurement_value=value, measurement_units="V", limit_low=1.0, limit_high=5.0, **common))
    return rows


TYPES = {"run_started_at": pa.timestamp("us", "UTC"), "run_ended_at": pa.timestamp("us", "UTC"), "step_started_at": pa.timestamp("us", "UTC"),
         "step_ended_at": pa.timestamp("us", "UTC"), "attempt_outcomes": pa.list_(pa.string()), "attempt_started_at": pa.list_(pa.timestamp("us", "UTC")),
         "attempt_ended_at": pa.list_(pa.timestamp("us", "UTC")), "step_index": pa.int64(), "vector_index": pa.int64(), "vector_retry": pa.int64(),
         "measurement_value": pa.float64(), "limit_low": pa.float64(), "limit_high": pa.float64()}


def put(data_dir, rows, name=None):
    names = list(dict.fromkeys(key for one in rows for key in one))
    schema = pa.schema([(key, TYPES.get(key, pa.string())) for key in names])
    path = data_dir / "runs" / rows[0]["run_started_at"].strftime("%Y-%m-%d") / (name or f"{rows[0]['run_id'][:8]}.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([{key: one.get(key) for key in names} for one in rows], schema), path)
    return path


# Four units. U1 passes at once. U2 fails, passes its retest the next day. U3 dies before its first step, and stays so.
# U4 needs a second attempt of step b. One run has no serial.
HISTORY = [
    run_rows(1, "U1", "passed", {"a": ["passed"], "b": ["passed"], "c": ["done"]}, values=[2.0, 3.0]),
    run_rows(2, "U2", "failed", {"a": ["passed"], "b": ["failed"], "c": []}, values=[4.0]),
    run_rows(3, "U3", "aborted", {"a": [], "b": [], "c": []}),
    run_rows(4, "U4", "passed", {"a": ["passed"], "b": ["failed", "passed"], "c": ["skipped"]}, values=[3.5]),
    run_rows(5, "", "passed", {"a": ["passed"], "b": ["passed"], "c": ["done"]}),
    run_rows(6, "U2", "passed", {"a": ["passed"], "b": ["passed"], "c": ["done"]}, day=1, values=[2.5]),
]


@pytest.fixture
def history(tmp_path):
    for rows in HISTORY:
        put(tmp_path, rows)
    return tmp_path


def ask(data_dir, text, *options):
    out = ok("sql", "-d", data_dir, "--json", *options, "-c", text)
    return [json.loads(line) for line in out.splitlines() if line]


def test_yield_counts_runs_that_measured_nothing_and_knows_the_first_try(history):
    (got,) = ask(history, "FROM yield")
    assert (got["units"], got["runs"], got["first_passed"], got["last_passed"], got["ever_passed"]) == (4, 5, 2, 3, 3)
    assert got["first_pass_yield"] == 0.5 and got["last_pass_yield"] == got["final_yield"] == 0.75
    assert got["runs_without_serial"] == 1
    # A window that holds only the retest of U2 has no first try in it.
    assert ask(history, "SELECT try, tries FROM unit_runs WHERE started_at >= '2026-03-02'") == [{"try": 2, "tries": 2}]


@pytest.mark.parametrize("name", ["we[ird", "a*b?c]", "back\\slash", "it's {a,b} %s"])
def test_a_data_dir_of_any_name(tmp_path, name):
    for rows in HISTORY:
        put(tmp_path / name, rows)
        put(tmp_path / "aXbYc]", [{**one, "run_id": "other" + one["run_id"]} for one in rows])  # that a pattern would take it for
    assert ask(tmp_path / name, "SELECT count(*) AS n, count(DISTINCT run_id) AS runs FROM runs") == [{"n": 6, "runs": 6}]
    ok("compact", "-d", tmp_path / name)
    assert ask(tmp_path / name, "SELECT count(*) AS n FROM runs") == [{"n": 6}]


def test_a_path_that_duckdb_has_no_way_to_write(history, tmp_path_factory):
    """A backslash separates folders there, where a character of patterns stands anywhere in the path."""
    folder, scratch, file = history / "we[ird\\dir", tmp_path_factory.mktemp("tmp") / "a\\[", history / "runs/2026-03-01/x\\y*.parquet"
    shutil.copytree(history / "runs", folder / "runs")
    scratch.mkdir()
    done = run("sql", "-d", history, "-c", "FROM runs", TMPDIR=str(scratch))
    assert done.returncode == 2 and "has a backslash" in done.stderr and "TMPDIR" in done.stderr, done.stderr
    put(history, run_rows(9, "U9", "passed", {"a": ["passed"]})).rename(file)
    for data_dir, path, code in ((folder, folder, 2), (history, file, 4)):
        done = run("sql", "-d", data_dir, "-c", "FROM runs")
        assert done.returncode == code and f"the path {path} has a backslash" in done.stderr and "another name" in done.stderr, done.stderr
        with pytest.raises(InvalidArgument, match="has a backslash"):
            litmus.connect(data_dir)
        ok("runs", "-d", data_dir)


def test_rolled_yield_counts_steps_that_never_ran_and_leaves_out_what_judges_nothing(history):
    steps = {one["step_name"]: one for one in ask(history, "FROM step_yield")}
    assert [(steps[n]["passed"], steps[n]["judged"], steps[n]["left_out"]) for n in "abc"] == [(3, 4, 0), (1, 4, 0), (0, 2, 2)]
    (got,) = ask(history, "FROM rolled_yield")
    assert got["rolled_throughput_yield"] == 0.0  # step c never passes: it does not fall out of the product
    assert (got["defects"], got["opportunities"], got["dpmo"], got["left_out"]) == (6, 10, 600000.0, 2)
    assert ask(history, "SELECT product(yield) y FROM step_yield WHERE step_name <> 'c'") == [{"y": 0.75 * 0.25}]


def test_coverage_pareto_and_flaky(history):
    got = {one["step_name"]: one for one in ask(history, "FROM step_coverage")}
    assert [(got[n]["planned"], got[n]["ran"], got[n]["never_ran"]) for n in "abc"] == [(6, 5, 1), (6, 5, 1), (6, 4, 2)]
    assert got["c"]["usual_reason"] == "maxfail" and got["c"]["first_missed_at"].startswith("2026-03-01 08:02")
    assert [(p["step_name"], p["failures"], p["cumulative_share"]) for p in ask(history, "FROM step_pareto")] == [("b", 1, 1.0)]
    assert ask(history, "FROM flaky_steps") == [{"step_path": "t.py/b", "retried": 1, "flaky": 1, "ran": 5}]


def test_capability_is_what_the_formulas_say(tmp_path):
    values = [2.0, 3.0, 4.0, 3.5, 2.5] * 2
    for number, value in enumerate(values):
        put(tmp_path, run_rows(number, f"U{number}", "passed", {"a": ["passed"]}, values=[value]))
    mean, sd, n = statistics.fmean(values), statistics.stdev(values), len(values)
    ppk = min(5.0 - mean, mean - 1.0) / (3 * sd)
    half = statistics.NormalDist().inv_cdf(0.975) * math.sqrt(1 / (9 * n) + ppk**2 / (2 * (n - 1)))
    (got,) = ask(tmp_path, "FROM capability")
    assert got["n"] == n and got["without_value"] == 0
    for name, wanted in {"mean": mean, "sd": sd, "pp": 4 / (6 * sd), "ppk": ppk, "ppk_low": ppk - half, "ppk_high": ppk + half}.items():
        assert got[name] == pytest.approx(wanted, rel=1e-9), name


def test_only_the_views_that_are_named_are_made_unless_the_catalog_is_asked_for(history):
    assert ask(history, "SELECT count(*) AS n FROM rolled_yield") == [{"n": 1}]  # with those under it
    shown = {one["name"] for one in ask(history, "SHOW TABLES")}
    assert set(sql.VIEWS) <= shown
    done = run("sql", "-d", history, "-c", "FROM stepz")
    assert done.returncode != 0 and "steps" in done.stderr


@pytest.mark.parametrize("text, made", [("SELECT 1", 0), ("FROM read_parquet('d/*.parquet') JOIN 'x.csv' USING (a)", 0), ("SELECT n FROM ( SELECT 1 AS n)", 0), ("FROM litmus_rows", 0),
                                        ("FROM live", 2), ("WITH a AS (SELECT 1) FROM a", len(sql.VIEWS)), ("FROM duckdb_views()", len(sql.VIEWS)), (".tables", len(sql.VIEWS))])  # fmt: skip
def test_text_that_reads_files_only_pays_for_no_view(history, text, made):
    with sql.connect(history, events=False, views=text) as con:
        there = {name for (name,) in con.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()}
        names_alone = text.endswith("FROM a")
        assert made < 3 or ("run_id" in [one[0] for one in con.execute("FROM runs LIMIT 0").description]) != names_alone  # for DuckDB to say which was meant
    assert len(there & set(sql.VIEWS)) == made


def test_plan_drift_names_what_joined_and_left(tmp_path):
    for number, steps in enumerate([{"a": ["passed"], "b": ["passed"]}, {"a": ["passed"], "c": ["passed"]}]):
        rows = run_rows(number, "U1", "passed", steps)
        put(tmp_path, [{**one, "plan_digest": str(number) if one["record_type"] == "run" else None} for one in rows])
    got = ask(tmp_path, "SELECT change, step_path FROM plan_drift ORDER BY ALL")
    assert got == [{"change": "joined", "step_path": "t.py/c"}, {"change": "left", "step_path": "t.py/b"}]


def test_the_views_are_a_naive_reading_of_every_file(history):
    """Whatever was put, copied, removed or damaged before."""
    shutil.copy(history / "runs/2026-03-01/00000001.parquet", history / "runs/2026-03-02")  # the same run twice
    (history / "runs/2026-03-01/00000003.parquet").unlink()
    (history / "runs/2026-03-01/broken.parquet").write_bytes(b"PAR1 no more PAR1")
    done = run("sql", "-d", history, "--json", "-c", "SELECT run_id, step_path, step_outcome FROM steps ORDER BY ALL")
    assert done.returncode == 0 and "broken.parquet" in done.stderr
    seen = {}
    for path in sorted(history.glob("runs/*/0*.parquet")):
        rows = pq.read_table(path).to_pylist()
        seen.setdefault(rows[0]["run_id"], [r for r in rows if r["record_type"] == "step"])
    wanted = [(r["run_id"], r["step_path"], r["step_outcome"]) for rows in seen.values() for r in rows]
    got = [tuple(json.loads(line).values()) for line in done.stdout.splitlines()]
    assert sorted(got, key=str) == sorted(wanted, key=str) and len(got) == 15


def test_the_queries_of_the_user_work_on_the_files_too(history):
    naive = "FROM read_parquet('runs/**/*.parquet', union_by_name = true) WHERE record_type = 'step' AND step_outcome IS NULL"
    done = subprocess.run([LITMUS, "sql", "-d", ".", "--csv", "-c", f"SELECT count(*) AS n {naive}"], cwd=history, capture_output=True, text=True, env=environment())
    assert done.stdout.split() == ["n", "4"]
    assert ask(history, "SELECT count(*) AS n FROM steps WHERE never_ran") == [{"n": 4}]


def test_runs_by_lot_and_by_how_a_commit_starts(tmp_path):
    for number, (lot, commit) in enumerate([("L1", "abc123"), ("L1", "abd456"), ("L2", "abc123"), (None, None)]):
        rows = [{**one, "dut_lot_number": lot, "git_commit": commit} for one in run_rows(number, "U", "passed", {"a": ["passed"]})]
        put(tmp_path, rows)

    def found(*options):
        return sorted(json.loads(line)["test_run_id"][7] for line in ok("runs", "-d", tmp_path, "--json", *options).splitlines())

    assert found("--lot", "L1") == ["0", "1"]
    assert found("--git", "abc") == ["0", "2"] and found("--git", "abc123", "--lot", "L2") == ["2"]
    assert found("--git", "bc") == found("--lot", "L") == []


def test_output_as_csv_parquet_and_from_a_file(history, tmp_path_factory):
    out = list(csv.DictReader(io.StringIO(ok("sql", "-d", history, "--csv", "-c", "SELECT run_id, outcome FROM runs ORDER BY 1;"))))
    assert [one["outcome"] for one in out] == ["passed", "failed", "aborted", "passed", "passed", "passed"]
    elsewhere = tmp_path_factory.mktemp("out")
    script = elsewhere / "it's.sql"
    script.write_text("SELECT * FROM runs -- all\n;\n")
    ok("sql", "-d", history, "-f", script, "--parquet", elsewhere / "it's.parquet")
    assert pq.read_table(elsewhere / "it's.parquet").num_rows == 6


@pytest.mark.parametrize("option", [["--csv"], ["--json"], []])
def test_a_disk_that_is_full_is_told_and_a_reader_that_leaves_is_not(history, option):
    """DuckDB itself says success to both."""
    words = [LITMUS, "sql", "-d", history, *option]
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*words, "-c", "FROM steps"], stdout=full, stderr=subprocess.PIPE, text=True, env=environment())
        assert done.returncode == 5 and "No space left on device" in done.stderr
        done = subprocess.run(words, input="FROM steps;\n", stdout=full, stderr=subprocess.PIPE, text=True, env=environment())
        assert done.returncode == 5 and "No space left on device" in done.stderr
    with subprocess.Popen([*words, "-c", "SELECT repeat('x', 100) FROM range(1000000)"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()) as left:
        assert left.stdout.readline()
        left.stdout.close()
        assert left.stderr.read() == "" and left.wait(100) == 0


@pytest.mark.parametrize("text, wanted", [
    ("""SELECT 'nan'::DOUBLE AS a, '-inf'::DOUBLE AS b, 1e999 AS c, -2 AS d, '-Infinity \\" NaN' AS "In{", NULL AS e""",
     {"a": None, "b": None, "c": None, "d": -2, "In{": '-Infinity \\" NaN', "e": None}),
    ("SELECT ['-inf'::FLOAT, 1, 'nan'] AS l, {'N': 'inf'::DOUBLE, 'I': 'I'} AS s", {"l": [None, 1, None], "s": {"N": None, "I": "I"}}),
])  # fmt: skip
def test_json_has_no_number_that_is_not_finite(history, text, wanted):
    (line,) = ok("sql", "-d", history, "--json", "-c", text).splitlines()
    assert json.loads(line, parse_constant=lambda word: pytest.fail(word)) == wanted
    assert "CREATE TEMP VIEW live" in ok("sql", "-d", history, "--json", "-c", ".schema live")  # no object: as it is


def test_a_folder_whose_name_is_a_pattern(tmp_path):
    odd = tmp_path / "it's [a] *?"
    put(odd, HISTORY[0])
    assert ask(odd, "SELECT count(*) AS n FROM runs") == [{"n": 1}]


def test_nothing_on_record_is_an_empty_answer(tmp_path):
    for view in sql.VIEWS:
        assert ask(tmp_path / "none", f"FROM {view}") == [], view


@pytest.mark.parametrize(("arguments", "code", "said"), [
    (["-c", "SELEC 1"], 2, "syntax error"),
    (["-c", "FROM no_such_view"], 2, "does not exist"),
    (["-c", " ; "], 2, "no SQL"),
    (["-c", "FROM runs", "-f", "x"], 2, "exclude"),
    (["--csv", "--json", "-c", "FROM runs"], 2, "exclude"),
    (["--parquet", "x"], 2, "needs -c or -f"),
    (["--parquet", "/nowhere/x", "-c", "SELECT 1; SELECT 2"], 2, "--parquet takes one query"), (["--parquet", "/dev/full", "-c", "FROM steps"], 5, "No space left on device"),
    (["--memory", "lots", "-c", "FROM runs"], 2, "no memory limit"),
    (["--memory", "1'; DROP TABLE x", "-c", "FROM runs"], 2, "no memory limit"),
    (["-f", "/no/such/file.sql"], 3, "/no/such/file.sql"),
    (["--memory", "10MB", "-c", "SELECT len(list(a)) FROM range(5000000) t(a)"], 2, "--memory"),
])
def test_bad_input(history, arguments, code, said):
    done = run("sql", "-d", history, *arguments)
    assert done.returncode == code and said in done.stderr, done.stderr


def test_a_file_without_a_run_row_is_a_run_and_one_with_two_is_none(history):
    wanted = ask(history, "SELECT * FROM runs ORDER BY run_id"), ask(history, "FROM yield"), ok("export", "-d", history, "--since", "2000-01-01", "--format", "junit")
    def replaced(rows):  # in place, its folder would not tell of it
        next(history.glob(f"runs/*/{rows[0]['run_id'][:8]}.parquet")).unlink()
        put(history, rows)

    replaced(HISTORY[1][1:])
    for _ in range(2):
        found = ask(history, "SELECT * FROM runs ORDER BY run_id"), ask(history, "FROM yield"), ok("export", "-d", history, "--since", "2000-01-01", "--format", "junit")
        assert found == wanted
        ok("compact", "-d", history)
    replaced(HISTORY[0][:1] + HISTORY[0])
    done = run("runs", "-d", history, "--json", "-n", "0")
    assert len(done.stdout.splitlines()) == len(HISTORY) - 1 == ask(history, "SELECT count(*) AS n FROM runs")[0]["n"] and "00000001.parquet" in done.stderr
    assert "it has 2 run rows" in done.stderr


def test_what_is_a_list_in_one_run_and_no_list_in_others_is_a_list(tmp_path):
    """In files of the lake, beside it, and in runs in flight."""
    values = [["p", "q"], "a", 5, True, None, [], "a", ["r"], 2.5]
    sessions = []
    for number, value in enumerate(values):
        if number in (0, 6, 8):
            sessions.append(_litmus.Session(tmp_path, daemon=False))
        session, run_id = sessions[-1], f"00000000-0000-4000-8000-{number:012}"
        key = {"step_name": "s", "step_path": "s", "step_index": number, "vector_index": 0}
        session.emit("run.started", {"custom_metadata": {"a,b 6": value, "c 6,d\\": "t", "c": "u"}}, run_id)
        session.emit("test.step_started", {**key, "inputs": {"X" if number == 1 else "x": value}}, run_id)
        session.emit("test.step_ended", {**key, "outcome": "passed", "outputs": {'"y': value, "z": number}}, run_id)
        if number < 8:
            session.emit("run.ended", {"outcome": "passed"}, run_id)
        if number in (5, 7):
            session.close()
        if number == 5:
            ok("compact", "-d", tmp_path)
    found = litmus.scan("steps", tmp_path).sort_by("step_index")
    of_runs = ask(tmp_path, """SELECT "custom_a,b 6" AS c, "custom_c 6,d\\" AS d, custom_c AS u FROM litmus_rows WHERE record_type = 'run' ORDER BY run_id""")
    hint = run("sql", "-d", tmp_path, "-c", "FROM steps WHERE in_x = 'a'").stderr
    sessions[-1].close()
    wanted = [["p", "q"], ["a"], ["5"], ["true"], None, [], ["a"], ["r"], ["2.5"]]
    assert [found["in_x"].to_pylist(), found['out_"y'].to_pylist(), [row["c"] for row in of_runs]] == [wanted] * 3
    assert found["out_z"].to_pylist() == list(range(9))
    assert {(row["d"], row["u"]) for row in of_runs} == {("t", "u")}, "what looks like the end of a name in a name"
    assert "list_contains" in hint, hint


def test_no_duckdb(history, tmp_path):
    shutil.copy(LITMUS, tmp_path / "litmus")
    done = subprocess.run([tmp_path / "litmus", "sql", "-d", history, "-c", "FROM runs"], env=environment(PATH=str(tmp_path)), capture_output=True, text=True)
    assert done.returncode == 3 and "pip install duckdb-cli" in done.stderr
    done = run("sql", "-c", "FROM runs", LITMUS_DUCKDB="/no/duckdb")
    assert done.returncode == 2 and "LITMUS_DUCKDB" in done.stderr


@pytest.mark.parametrize("option", ["--csv", "--json"])
def test_pythons_duckdb_gives_the_same(history, tmp_path, option):
    """Without the program, the module: here by a PATH and a litmus beside which only Python stands."""
    shutil.copy(LITMUS, tmp_path / "litmus")
    (tmp_path / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "python3").chmod(0o755)
    text = "SELECT dut_serial, outcome, live, duration_s FROM runs ORDER BY run_id"
    done = subprocess.run([tmp_path / "litmus", "sql", "-d", history, option, "-c", text], env=environment(PATH=str(tmp_path)), capture_output=True, text=True)
    by_program = ok("sql", "-d", history, option, "-c", text)
    if option == "--json":
        assert [json.loads(line) for line in done.stdout.splitlines()] == [json.loads(line) for line in by_program.splitlines()], done.stderr
    else:
        assert done.stdout.splitlines()[0] == by_program.splitlines()[0] and len(done.stdout.splitlines()) == 7, done.stderr
    done = subprocess.run([tmp_path / "litmus", "sql", "-d", history, "-c", "SELEC"], env=environment(PATH=str(tmp_path)), capture_output=True, text=True)
    assert done.returncode == 2 and "syntax error" in done.stderr


@pytest.mark.parametrize("command", [["sql", "-c", "FROM runs"], ["yield"], ["export", "--list"]], ids=lambda command: command[0])
def test_a_module_in_the_folder_one_stands_in_is_not_run(history, tmp_path_factory, command):
    """PYTHONPATH=:x is what PYTHONPATH=$PYTHONPATH:x gives; the empty part of it is that folder, too."""
    beside, mark = tmp_path_factory.mktemp("bin"), history / "was-run"
    shutil.copy(LITMUS, beside / "litmus")
    (beside / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (beside / "python3").chmod(0o755)
    for name in ("litmus/__init__.py", "litmus/sql/__init__.py", "duckdb.py", "sitecustomize.py", "csv.py", "json.py", "importlib/__init__.py"):
        (history / name).parent.mkdir(parents=True, exist_ok=True)
        (history / name).write_text(f"open({str(mark)!r}, 'a').write({name!r})")
    for more in ({}, {"PYTHONPATH": ":" + str(beside)}, {"PYTHONPATH": ":"}):
        done = subprocess.run([beside / "litmus", command[0], "-d", ".", *command[1:]], cwd=history, env=environment(PATH=str(beside), **more), capture_output=True, text=True)
        assert not mark.exists(), mark.read_text()
        assert done.returncode == 0 and done.stdout, done.stderr


def test_the_record_is_not_written_to(history, tmp_path_factory):
    """Through the views: they are of a database in memory. What somebody writes on purpose with COPY is not held up, but found out (verify)."""
    before = {path: path.read_bytes() for path in history.rglob("*.parquet")}
    assert ok("sql", "-d", history, "--csv", "-c", "SELECT path IS NULL AS m FROM duckdb_databases() WHERE NOT internal").split() == ["m", "true"]
    for text in ("DELETE FROM runs", "UPDATE steps SET step_outcome = 'passed'", "INSERT INTO measurements (run_id) VALUES ('x')"):
        done = run("sql", "-d", history, "-c", text)
        assert done.returncode == 2 and "table" in done.stderr, text  # DuckDB says that a view is none
    for name in ("runs/2026-03-01/more.parquet", "more.parquet", "lake/../runs/more.parquet"):
        (history / "lake").mkdir(exist_ok=True)
        done = run("sql", "-d", history, "--parquet", history / name, "-c", "FROM runs")
        assert done.returncode == 2 and "in the data directory" in done.stderr
    assert {path: path.read_bytes() for path in history.rglob("*.parquet")} == before
    ok("sql", "-d", history, "--parquet", tmp_path_factory.mktemp("out") / "runs.parquet", "-c", "FROM runs")


def test_a_question_fetches_no_extension(history):
    assert ok("sql", "-d", history, "--csv", "-c", "SELECT current_setting('autoinstall_known_extensions') AS a").split() == ["a", "false"]


ENDLESS = "COPY (SELECT 'started') TO '{pipe}' (FORMAT csv, HEADER false, USE_TMP_FILE false); SELECT sum(hash(a.range + b.range)) FROM range(100000000) a, range(10000000) b"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_query_is_no_slip_of_the_user_and_leaves_nothing(history, tmp_path, number):
    scratch, pipe = tmp_path / "scratch", tmp_path / "pipe"
    scratch.mkdir()
    os.mkfifo(pipe)
    words = [LITMUS, "sql", "-d", history, "--csv", "-c", ENDLESS.format(pipe=pipe)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(TMPDIR=str(scratch)), start_new_session=True,
                          preexec_fn=lambda: signal.signal(number, signal.SIG_DFL)) as sql:  # under nohup it is ignored, and stays so
        assert pipe.read_text() == "started\n"  # waits until DuckDB has opened and left it
        for _ in range(100):  # DuckDB does not hear a Ctrl-C between two statements, so it is pressed until it ends
            sql.send_signal(number)  # to litmus alone: it passes it on
            with contextlib.suppress(subprocess.TimeoutExpired):
                sql.wait(0.2)
            if sql.returncode is not None:
                break
        else:
            os.killpg(sql.pid, signal.SIGKILL)
        assert sql.communicate()[0] == "" and sql.returncode == 128 + number
    assert list(scratch.iterdir()) == []


def test_a_query_that_is_killed_takes_its_duckdb_along_and_the_next_one_clears_up(history, tmp_path):
    scratch, pipe = tmp_path / "scratch", tmp_path / "pipe"
    scratch.mkdir()
    os.mkfifo(pipe)
    with subprocess.Popen([LITMUS, "sql", "-d", history, "--csv", "-c", ENDLESS.format(pipe=pipe)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=environment(TMPDIR=str(scratch))) as sql:  # fmt: skip
        assert pipe.read_text() == "started\n"
        sql.kill()
        assert sql.communicate() == (b"", b"")  # which waits for all who have the pipes: DuckDB, too
    (left,) = scratch.iterdir()
    ok("sql", "-d", history, "-c", "FROM runs", TMPDIR=str(scratch))
    assert list(scratch.iterdir()) == [left]  # so young that it may not be locked yet
    os.utime(left, (1, 1))
    ok("sql", "-d", history, "-c", "FROM runs", TMPDIR=str(scratch))
    assert list(scratch.iterdir()) == []


def test_nothing_is_left_behind(history, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    ok("sql", "-d", history, "-c", "FROM events", TMPDIR=str(scratch))
    assert list(scratch.iterdir()) == []


# ---- Python

def test_connect_shows_what_was_recorded_and_refresh_what_came_since(history):
    with litmus.connect(history) as con:
        assert con.sql("SELECT count(*) FROM runs").fetchone() == (6,)
        assert con.sql("SELECT max(started_at) FROM runs").fetchone()[0].utcoffset() == datetime.timedelta(0)
        put(history, run_rows(7, "U7", "passed", {"a": ["passed"]}))
        assert litmus.refresh(con, history).sql("SELECT count(*) FROM runs").fetchone() == (7,)


def test_a_broken_size_and_an_unknown_view(history):
    with pytest.raises(InvalidArgument):
        litmus.connect(history, memory_limit="lots")
    with pytest.raises(InvalidArgument):
        litmus.scan("stepz", history)
    with pytest.raises(InvalidArgument):
        litmus.scan("runs", history, to="excel")


def test_scan_gives_arrow_and_polars(history):
    table = litmus.scan("steps", history, columns=["step_name", "never_ran"], where="never_ran")
    assert isinstance(table, pa.Table) and table.column_names == ["step_name", "never_ran"] and table.num_rows == 4
    assert litmus.scan("runs", history, since="2026-03-02", to="polars").height == 1
    assert litmus.scan("runs", history, until="2026-03-02").num_rows == 5


def test_without_duckdb_python_says_what_to_install(history, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(sql.NoDuckDB, match="pip install"):
        litmus.connect(history)


# ---- runs as they are recorded, and in flight

def test_recorded_runs_attempts_and_events(tmp_path):
    record(tmp_path / "suite", tmp_path / "data", "def test_one(): pass\ndef test_two(): assert 0\ndef test_three(): pass\n", "-x")
    assert ask(tmp_path / "data", "SELECT step_name, step_outcome, never_ran FROM steps ORDER BY step_index") == [
        {"step_name": "test_one", "step_outcome": "passed", "never_ran": False}, {"step_name": "test_two", "step_outcome": "failed", "never_ran": False},
        {"step_name": "test_three", "step_outcome": None, "never_ran": True}]
    assert ask(tmp_path / "data", "SELECT count(*) AS n FROM attempts WHERE is_final") == [{"n": 2}]
    assert ask(tmp_path / "data", "SELECT count(*) AS n FROM events WHERE event_type = 'test.steps_discovered'") == [{"n": 1}]
    with duckdb.connect() as con:
        naive = con.execute(f"SELECT count(*) FROM read_parquet('{tmp_path}/data/runs/**/*.parquet')").fetchone()
    assert ask(tmp_path / "data", "SELECT count(*) AS n FROM litmus_rows") == [{"n": naive[0]}]


def test_a_run_in_flight_is_in_every_answer_and_marked(tmp_path):
    suite = tmp_path / "suite"
    suite.mkdir()
    os.mkfifo(suite / "started")
    (suite / "test_it.py").write_text("import signal\ndef test_a(): pass\ndef test_b():\n    open('started', 'w').close()\n    signal.pause()\ndef test_c(): pass\n")
    data = tmp_path / "data"
    going = subprocess.Popen([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=suite, env=environment(LITMUS_DATA_DIR=str(data)),
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        (suite / "started").open().close()
        assert ask(data, "SELECT outcome, ended_at, live FROM live") == [{"outcome": None, "ended_at": None, "live": True}]
        assert [tuple(s.values()) for s in ask(data, "SELECT step_name, step_outcome, never_ran, live FROM steps ORDER BY step_index")] == [
            ("test_a", "passed", False, True), ("test_b", None, False, True), ("test_c", None, None, True)]
        assert ask(data, "FROM step_coverage") == []  # in no figure before it has ended
    finally:
        going.send_signal(signal.SIGINT)
        going.wait(30)
    assert ask(data, "SELECT count(*) AS n FROM steps WHERE never_ran AND NOT live") == [{"n": 1}]


def test_what_spills_has_a_folder_of_its_own(history, tmp_path, monkeypatch):
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    asked = [LITMUS, "sql", "--data-dir", str(history), "--csv", "-c", "SELECT current_setting('temp_directory') AS folder"]
    folders = set()
    for _ in range(2):
        done = subprocess.run(asked, capture_output=True, text=True, check=True, env=environment() | {"TMPDIR": str(scratch)})
        folders.add(done.stdout.split()[1])
    assert len(folders) == 2 and all(folder.startswith(f"{scratch}/litmus-query-") for folder in folders)
    assert list(scratch.iterdir()) == []
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    left = [scratch / "litmus-connect-old" / "spill", scratch / "litmus-connect-young" / "spill"]
    for folder in left:
        folder.mkdir(parents=True)
    os.utime(left[0].parent, (0, 0))
    con = litmus.connect(history)
    assert not left[0].parent.exists()
    shutil.rmtree(left[1].parent)
    ((folder,),) = con.execute("SELECT current_setting('temp_directory')").fetchall()
    own = pathlib.Path(folder).parent
    assert own.parent == scratch and own.stat().st_mode & 0o777 == 0o700
    os.utime(own, (0, 0))
    litmus.connect(history).close()
    assert own.exists()  # in use
    con.close()
    del con
    gc.collect()
    assert list(scratch.iterdir()) == []


def test_a_data_dir_whose_name_is_no_utf8_is_told(tmp_path):
    (tmp_path / os.fsdecode(b"d\xff")).mkdir()
    for command in (["sql", "-c", "from runs"], ["yield"]):
        done = run(*command, "-d", tmp_path / os.fsdecode(b"d\xff"))
        assert done.returncode == 2 and "another name" in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_a_data_dir_that_is_not_there_is_told(tmp_path):
    done = run("sql", "-d", tmp_path / "typo", "--json", "-c", "SELECT count(*) AS n FROM runs")
    assert json.loads(done.stdout) == {"n": 0} and "typo is not there" in done.stderr
    assert not (tmp_path / "typo").exists()

# SPDX-License-Identifier: Apache-2.0
"""litmus yield, pareto, coverage, drift: histories small enough to be worked by hand, the traps of other tools among them."""

from __future__ import annotations

import csv
import datetime
import io
import json
import pathlib
import sys

import pytest

import litmus
from litmus.analysis import analyse
from litmus.analysis.numbers import wilson
from litmus.analysis.scope import NothingFound
from litmus.data.run_store import RunStore
from litmus.errors import ConfigError, InvalidArgument

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from test_cli import ok, run  # noqa: E402
from test_sql import HISTORY, NOW, TYPES, ask, put, row, run_rows  # noqa: E402,F401


def store(data_dir, *runs):
    for rows in runs:
        put(data_dir, rows)
    return data_dir


def with_fields(rows, **fields):
    return [{**one, **fields} for one in rows]


def run_only(rows, **fields):
    return [{**one, **(fields if one["record_type"] == "run" else {})} for one in rows]


@pytest.fixture
def history(tmp_path):
    return store(tmp_path, *HISTORY)


def only(report):
    (got,) = report.rows
    return got


# ---- yield


def test_yield_of_a_history_worked_by_hand(history):
    got = only(analyse("yield", data_dir=history))
    assert (got["units"], got["first_passed"], got["last_passed"], got["ever_passed"]) == (4, 2, 3, 3)
    assert (got["first_pass_yield"], got["last_pass_yield"], got["final_yield"]) == (0.5, 0.75, 0.75)
    assert (got["first_failed"], got["first_errored"], got["first_cut_off"]) == (1, 0, 1)
    assert got["rolled_throughput_yield"] == 0.0 and (got["defects"], got["opportunities"], got["dpmo"]) == (6, 10, 600000.0)


def test_the_command_and_the_views_agree(history):
    got, (view,), (rolled,) = only(analyse("yield", data_dir=history)), ask(history, "FROM yield"), ask(history, "FROM rolled_yield")
    assert all(got[name] == view[name] for name in ("units", "first_passed", "last_passed", "ever_passed", "first_pass_yield", "final_yield"))
    assert all(got[name] == rolled[name] for name in ("steps", "defects", "opportunities", "dpmo", "rolled_throughput_yield"))


def test_a_station_that_crashes_early_does_not_look_better(tmp_path):
    """Runs that died before their first measurement are in the denominator."""
    store(tmp_path, *(run_rows(n, f"U{n}", "passed", {"a": ["passed"]}, values=[2.0]) for n in range(3)), run_rows(3, "U3", "aborted", {"a": []}))
    assert only(analyse("yield", data_dir=tmp_path))["first_pass_yield"] == 0.75


def test_a_window_makes_no_retest_a_first_pass(tmp_path):
    """U1 failed before the window and passed in it; U2 failed one evening and passed the next morning."""
    store(tmp_path, run_rows(1, "U1", "failed", {"a": ["failed"]}), run_rows(2, "U1", "passed", {"a": ["passed"]}, day=9),
          run_rows(3, "U2", "failed", {"a": ["failed"]}, day=8), run_rows(4, "U2", "passed", {"a": ["passed"]}, day=9))
    report = analyse("yield", data_dir=tmp_path, since=NOW + datetime.timedelta(days=8))
    got = only(report)
    assert (got["units"], got["first_passed"], got["ever_passed"]) == (1, 0, 1)
    assert report.left_out == {"retests (in last pass and final only)": 1, "retests of units whose first run is not among those chosen": 1}
    days = {one["day"]: one for one in analyse("yield", data_dir=tmp_path, by="day")}
    assert {day: (one["units"], one["first_passed"]) for day, one in days.items()} == {"2026-03-01": (1, 0), "2026-03-09": (1, 0)}


def test_rolled_yield_keeps_a_step_that_always_fails_and_one_that_never_ran(tmp_path):
    runs = [run_rows(n, f"U{n}", "failed", {"good": ["passed"], "bad": ["failed"], "last": [] if n else ["passed"], "info": ["done"]}) for n in range(2)]
    store(tmp_path, *runs)
    report = analyse("yield", data_dir=tmp_path)
    steps = {one["step_path"]: (one["passed"], one["judged"], one["left_out"]) for one in report.table("steps").rows}
    assert steps == {"t.py/good": (2, 2, 0), "t.py/bad": (0, 2, 0), "t.py/last": (1, 2, 0)}  # done: nothing to judge
    assert only(report)["rolled_throughput_yield"] == 0.0
    assert only(analyse("yield", data_dir=tmp_path, step="last"))["rolled_throughput_yield"] == 0.5


def test_a_retest_does_not_mend_the_rolled_yield(tmp_path):
    store(tmp_path, run_rows(1, "U1", "passed", {"a": ["failed", "passed"]}), run_rows(2, "U2", "failed", {"a": ["failed"]}),
          run_rows(3, "U2", "passed", {"a": ["passed"]}), run_rows(4, "U3", "passed", {"a": ["passed"]}))
    assert only(analyse("yield", data_dir=tmp_path))["rolled_throughput_yield"] == pytest.approx(1 / 3)


def test_a_first_attempt_counts_whatever_came_after_it(tmp_path):
    """A retry that skips, or has nothing to judge, hides no failure. Files of other writers have no attempts: then it is the outcome."""
    other = [{name: value for name, value in one.items() if not name.startswith("attempt_")} for one in run_rows(3, "U3", "failed", {"a": ["passed"], "b": ["failed"]})]
    store(tmp_path, run_rows(1, "U1", "passed", {"a": ["failed", "skipped"], "b": ["skipped", "failed"]}), run_rows(2, "U2", "passed", {"a": ["failed", "done"], "b": ["passed"]}), other)
    report = analyse("yield", data_dir=tmp_path)
    steps = {one["step_path"]: (one["passed"], one["judged"], one["left_out"]) for one in report.table("steps").rows}
    assert steps == {"t.py/a": (1, 3, 0), "t.py/b": (1, 2, 1)}
    assert {one["step_path"]: (one["passed"], one["judged"], one["left_out"]) for one in ask(tmp_path, "FROM step_yield")} == steps
    assert ask(tmp_path, "SELECT count(*) AS n, count(*) FILTER (WHERE is_left_out) AS out, count(*) FILTER (WHERE has_passed) AS passed FROM first_steps") == [{"n": 6, "out": 1, "passed": 2}]


def test_a_serial_with_blanks_is_the_same_unit(tmp_path):
    store(tmp_path, run_rows(1, "U1", "passed", {"a": ["passed"]}), run_rows(2, " U1 ", "passed", {"a": ["passed"]}), run_rows(3, "u1", "passed", {"a": ["passed"]}))
    got, (view,) = only(analyse("yield", data_dir=tmp_path)), ask(tmp_path, "FROM yield")
    assert got["units"] == got["ever_passed"] == view["units"] == view["ever_passed"] == 2
    assert only(analyse("yield", data_dir=tmp_path, serial="U1 "))["units"] == 1 and len(RunStore(tmp_path).runs(serial="U1")) == 2
    assert ask(tmp_path, "SELECT a_of, b_of FROM compare('serial=U1', 'serial=u1') WHERE what = 'step'") == [{"a_of": 2, "b_of": 1}]


def test_vectors_are_opportunities_of_their_own(tmp_path):
    def vectors(number, outcomes):
        rows = run_rows(number, f"U{number}", "passed", {f"v{i}": [outcome] for i, outcome in enumerate(outcomes)})
        return [{**one, "step_path": "t.py/v", "vector_index": one["step_index"]} if one["record_type"] == "step" else one for one in rows]

    store(tmp_path, vectors(1, ["passed", "passed"]), vectors(2, ["passed", "failed"]))
    got = only(analyse("yield", data_dir=tmp_path))
    assert (got["steps"], got["rolled_throughput_yield"], got["dpmo"]) == (2, 0.5, 250000.0)


def test_units_are_those_of_a_part_in_a_phase(tmp_path):
    store(tmp_path, run_rows(1, "U1", "passed", {"a": ["passed"]}), with_fields(run_rows(2, "U1", "failed", {"a": ["failed"]}), dut_part_number="P2"),
          with_fields(run_rows(3, "U1", "passed", {"a": ["passed"]}), test_phase="audit"))
    got = {(one["part"], one["phase"]): (one["units"], one["first_passed"]) for one in analyse("yield", data_dir=tmp_path)}
    assert got == {("P1", "audit"): (1, 1), ("P1", "production"): (1, 1), ("P2", "production"): (1, 0)}
    report = analyse("yield", data_dir=tmp_path, by="lot")
    assert only(report)["rolled_throughput_yield"] is None and "several parts or phases" in report.notes[0]


def test_more_than_a_hundred_retests_of_a_serial_count(tmp_path):
    store(tmp_path, *(run_rows(n, "U1", "failed" if n < 120 else "passed", {"a": ["failed" if n < 120 else "passed"]}) for n in range(121)))
    report = analyse("yield", data_dir=tmp_path)
    assert (only(report)["first_passed"], only(report)["last_passed"]) == (0, 1)
    assert report.left_out == {"retests (in last pass and final only)": 120}


def test_two_runs_of_a_serial_in_one_instant_are_two(tmp_path):
    first = run_rows(1, "U1", "failed", {"a": ["failed"]})
    second = with_fields(run_rows(2, "U1", "passed", {"a": ["passed"]}), run_started_at=first[0]["run_started_at"])
    store(tmp_path, first, second)
    got = only(analyse("yield", data_dir=tmp_path))
    assert (got["units"], got["first_passed"], got["last_passed"]) == (1, 0, 1)


def test_what_proves_nothing_about_the_product_is_left_out_and_counted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "litmus.yaml").write_text('golden_units: ["GOLD-1", "REF*"]\n')
    monkeypatch.setitem(TYPES, "step_instruments_mocked", __import__("pyarrow").list_(__import__("pyarrow").bool_()))
    store(tmp_path / "data", run_rows(1, "U1", "failed", {"a": ["failed"]}), run_rows(2, "GOLD-1", "passed", {"a": ["passed"]}),
          run_rows(3, "REF[2]", "failed", {"a": ["failed"]}), run_rows(4, " ", "failed", {"a": ["failed"]}),
          run_rows(5, "U5", "skipped", {"a": ["skipped"]}), with_fields(run_rows(6, "U6", "passed", {"a": ["passed"]}), step_instruments_mocked=[False, True]))
    report = analyse("yield", data_dir=tmp_path / "data")
    assert (only(report)["units"], only(report)["first_passed"]) == (1, 0)
    assert report.left_out == {"runs: golden unit": 2, "runs: mocked instruments": 1, "runs: no serial": 1, "runs: no verdict": 1}
    failures = analyse("pareto", data_dir=tmp_path / "data")
    assert (only(failures)["failures"], failures.left_out) == (2, {"runs: golden unit": 2, "runs: mocked instruments": 1})
    (tmp_path / "litmus.yaml").write_text("golden_units: GOLD-1\n")
    with pytest.raises(ConfigError, match="golden_units must be a list of serials"):
        analyse("yield", data_dir=tmp_path / "data")


def test_golden_by_part_lot_phase_or_station(tmp_path, monkeypatch):
    """A phase of their own marks runs as golden when they are recorded: pytest --litmus-phase audit."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "litmus.yaml").write_text("golden_units:\n- {part: P1, serial: 'REF*'}\n- phase: audit\n- {lot: 'MSA?', station: b1}\n")
    fields = [{}, {"dut_serial": "REF1"}, {"dut_serial": "REF2", "dut_part_number": "P2"}, {"test_phase": "audit"}, {"dut_lot_number": "MSA1", "station_id": "b1"}, {"dut_lot_number": "MSA1"}]
    store(tmp_path / "d", *(with_fields(run_rows(n, f"U{n}", "passed", {"a": ["passed"]}), **one) for n, one in enumerate(fields)))
    for _ in range(2):
        assert [one["left_out"] for one in ask(tmp_path / "d", "SELECT left_out FROM runs ORDER BY run_id")] == [None, "golden unit", None, "golden unit", "golden unit", None]
        assert sum(one["planned"] for one in ask(tmp_path / "d", "FROM step_coverage")) == sum(one["planned"] for one in analyse("coverage", data_dir=tmp_path / "d", all=True)) == 3
        ok("compact", "-d", tmp_path / "d", "-q")
    for slip in ("[{}]", "[{serail: x}]", "[{serial: 7}]", "[7]", '[""]'):
        (tmp_path / "litmus.yaml").write_text(f"golden_units: {slip}\n")
        with pytest.raises(ConfigError, match="golden_units must be a list of serials in quotes.* or of maps"):
            analyse("yield", data_dir=tmp_path / "d")


def test_weeks_are_those_of_the_time_zone(tmp_path):
    late = datetime.timedelta(hours=8)  # Sunday 2026-03-01 16:01 in UTC, Monday 01:01 in Tokyo
    store(tmp_path, [{**one, "run_started_at": one["run_started_at"] + late} for one in run_rows(1, "U1", "passed", {"a": ["passed"]})])
    assert only(analyse("yield", data_dir=tmp_path, by="week", tz="UTC"))["week"] == "2026-W09"
    assert only(analyse("yield", data_dir=tmp_path, by="week", tz="Asia/Tokyo"))["week"] == "2026-W10"
    for zone, week in (("Asia/Tokyo", "W10"), (":/usr/share/zoneinfo/Asia/Tokyo", "W10"), ("", "W09"), ("JST-9,M3.2.0,M11.1.0", "W09"), ("Mars", "W09")):
        done = run("yield", "--by", "part,week", "--csv", "-d", tmp_path, TZ=zone)
        assert f"2026-{week}" in done.stdout and ("is no IANA name" in done.stderr) == (zone[:1] in tuple("JM")), (zone, done.stderr)


def test_the_interval_of_wilson_is_the_published_one():
    # Newcombe 1998, Statistics in Medicine 17, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29 (method 3)
    for n, of, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]:
        assert wilson(n, of) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert wilson(0, 0) == (None, None) and wilson(5, 5)[1] == 1.0


# ---- pareto


def test_pareto_counts_down_and_adds_up(tmp_path):
    steps = {"a": 4, "b": 2, "c": 1, "d": 1}
    store(tmp_path, *(run_rows(n, f"U{n}", "failed", {name: ["failed" if n < k else "passed"] for name, k in steps.items()}) for n in range(5)))
    got = analyse("pareto", data_dir=tmp_path).rows
    assert [(one["step"], one["failures"], one["of"]) for one in got] == [("t.py/a", 4, 5), ("t.py/b", 2, 5), ("t.py/c", 1, 5), ("t.py/d", 1, 5)]
    assert [one["cumulative_share"] for one in got] == [0.5, 0.75, 0.875, 1.0]
    short = analyse("pareto", data_dir=tmp_path, limit=1).rows
    assert [(one["step"], one["failures"], one["share"], one["cumulative_share"]) for one in short] == [("t.py/a", 4, 0.5, 0.5), ("other (3)", 4, 0.5, 1.0)]
    assert only(analyse("pareto", data_dir=tmp_path, by="station"))["failures"] == 5


def test_pareto_of_measurements_counts_each_attempt(tmp_path):
    rows = run_rows(1, "U1", "passed", {"a": ["failed", "passed"]}, values=[9.0, 2.0])
    values = [one for one in rows if one["record_type"] == "measurement"]
    values[0]["measurement_outcome"], values[1]["measurement_outcome"], values[1]["vector_retry"] = "failed", "passed", 1
    store(tmp_path, rows)
    got = only(analyse("pareto", data_dir=tmp_path, by="measurement"))
    assert (got["measurement"], got["failures"], got["of"], got["from_retries"]) == ("v", 1, 2, 0)
    assert "Nothing failed" in analyse("pareto", data_dir=tmp_path).notes[0]


# ---- coverage


def test_coverage_says_how_often_since_when_and_why(tmp_path):
    store(tmp_path, *(run_rows(n, f"U{n}", "failed", {"a": ["failed"], "b": [] if n in (0, 2, 3) else ["passed"], "c": []}, day=n) for n in range(4)))
    got = {one["step"]: one for one in analyse("coverage", data_dir=tmp_path)}
    assert set(got) == {"t.py/b", "t.py/c"} and len(analyse("coverage", data_dir=tmp_path, all=True).rows) == 3
    b, c = got["t.py/b"], got["t.py/c"]
    assert (b["ran"], b["planned"], b["never_ran"], b["reasons"]) == (1, 4, 3, {"maxfail": 3})
    assert (b["last_ran_at"].day, b["missed_since"].day) == (2, 3)  # not the first of the month, when it was missed as well
    assert (c["last_ran_at"], c["missed_since"].day, c["coverage"]) == (None, 1, 0.0)


# ---- drift


def plan(number, names, node=None):
    rows = run_rows(number, f"U{number}", "passed", {name: ["passed"] for name in names})
    for one in rows:
        if one["record_type"] == "step":
            one["step_node_id"] = (node or {}).get(one["step_name"], "t.py::" + one["step_name"])
    return run_only(rows, plan_digest=str(sorted(names)) + str(names), git_commit=f"{number:040x}")


def changes(report):
    return [(one["change"], one["step"], one["was"]) for one in report]


def test_drift_tells_joined_left_and_renamed_apart(tmp_path):
    store(tmp_path, plan(1, ["test_rail", "test_load", "old"]), plan(2, ["test_rail", "test_load", "old"]), plan(3, ["test_rails", "test_load", "fresh"]))
    report = analyse("drift", data_dir=tmp_path)
    assert changes(report) == [("renamed", "t.py/test_rails", "t.py/test_rail"), ("joined", "t.py/fresh", None), ("left", "t.py/old", None)]
    assert report.rows[0]["run"].startswith("00000003") and report.rows[0]["before"].startswith("00000002")
    assert changes(analyse("drift", f"git={1:040x}", "00000003", data_dir=tmp_path)) == changes(report)
    assert analyse("drift", "@3", "@2", data_dir=tmp_path).notes == ["The two plans are the same."]


def test_drift_knows_a_step_by_its_node_id_and_by_its_function(tmp_path):
    moved = [{**one, "step_path": one["step_path"].replace("t.py", "u.py"), "parent_path": "u.py", "step_node_id": "u.py::a"} if one["record_type"] == "step" else one
             for one in plan(2, ["a"])]
    store(tmp_path, plan(1, ["a"]), run_only(moved, plan_digest="moved"), run_only(plan(3, ["zzz"], {"zzz": "u.py::a"}), plan_digest="again"))
    again, first = analyse("drift", data_dir=tmp_path).rows
    assert (first["change"], first["step"], first["was"], first["why"]) == ("renamed", "u.py/a", "t.py/a", "same function, other file")
    assert (again["change"], again["step"], again["was"], again["why"]) == ("renamed", "t.py/zzz", "u.py/a", "same node id")


# ---- sub-steps


def test_a_sub_step_is_in_its_step(tmp_path):
    """Counted by itself it would double its step: 2 planned steps, not 4; one failure, whose value lies near its limit."""
    number = 0
    for serial, station, attempts in (("U1", "one", ["failed"]), ("U1", "one", ["passed"]), ("U2", "two", ["failed", "passed"])):
        number += 1
        rows = run_rows(number, serial, attempts[-1], {"a": attempts, "b": ["passed"]}, values=[5.1])
        rows = [{**one, "measurement_outcome": "failed" if number == 1 else "passed", "step_path": "t.py/a/ramp"} if one["record_type"] == "measurement" else one for one in rows]
        rows += [{**one, "step_name": "ramp", "step_path": one["step_path"] + "/ramp", "parent_path": one["step_path"]} for one in rows if one["record_type"] == "step"]
        store(tmp_path, with_fields(run_only(rows, plan_digest=str(number)), station_id=station))
        ok("compact", "-d", tmp_path, "-q") if number == 2 else None
    steps = {"t.py/a", "t.py/b"}
    def names(found, step="step"):
        return {one[step] for one in found}

    with litmus.connect(tmp_path, events=False) as con:
        assert [(one["step"], one["failures"], one["share"]) for one in analyse("pareto", con=con)] == [("t.py/a", 1, 1.0)]
        coverage = analyse("coverage", con=con, all=True)
        assert names(coverage) == names(analyse("durations", con=con)) == names(analyse("compare", "station=one", "station=two", con=con).table("steps").rows) == steps
        assert coverage.notes[0].startswith("2 planned steps; 2 ran every time")
        kinds = {("U1", "t.py/a", "marginal"), ("U2", "t.py/a", "flaky")}
        assert {(one["serial"], one["step"], one["kind"]) for one in analyse("retest", con=con, all=True).table("cases").rows} == kinds
        for name in ("coverage", "durations", "retest"):  # asked for by name, it is there
            assert "t.py/a/ramp" in names(analyse(name, con=con, step="ramp", **({"all": True} if name == "coverage" else {}))), name
    with litmus.connect(tmp_path, events=False) as con:
        for view in ("step_coverage", "durations", "compare('station=one', 'station=two') WHERE what = 'step'"):
            assert set(con.sql(f"SELECT step_path FROM {view}").fetchall()) == {(step,) for step in steps}, view
        assert con.sql("SELECT step_path, share FROM step_pareto").fetchall() == [("t.py/a", 1.0)] and con.sql("SELECT step_path, flaky FROM flaky_steps").fetchall() == [("t.py/a", 1)]
        assert set(con.sql("SELECT serial, step_path, kind FROM retest").fetchall()) == kinds and con.sql("FROM plan_drift").fetchall() == []


# ---- the commands


def test_json_csv_and_text_say_the_same(history):
    lines = [json.loads(line) for line in ok("yield", "-d", history, "--json").splitlines()]
    assert lines[0]["table"] == "about" and lines[0]["left_out"]["runs: no serial"] == 1 and len(lines[0]["rules"]) == 5
    (first,) = [line for line in lines if line["table"] == "yield"]
    done = run("yield", "-d", history, "--csv")
    (row_,) = csv.DictReader(io.StringIO(done.stdout))
    assert (row_["first_passed"], row_["units"], float(row_["first_pass_yield"])) == (str(first["first_passed"]), str(first["units"]), first["first_pass_yield"])
    assert "left out: 1 runs: no serial" in done.stderr
    text = ok("yield", "-d", history)
    assert "50.00 %  2/4" in text and "\x1b" not in text and "left out" in text
    assert ok("coverage", "-d", history, "--utc").count("maxfail") == 3


@pytest.mark.parametrize("words, code, says", [
    (["yield", "--part", "P2"], 3, "no run has part 'P2'; did you mean 'P1'?"), (["yield", "--by", "weak"], 2, "did you mean 'week'?"),
    (["yield", "--tz", "Mars"], 2, "no time zone 'Mars'"), (["pareto", "--step", "zz"], 3, "no step 'zz' in these runs"), (["drift", "last"], 2, "name two or none"),
    (["yield", "--since", "2199-01-01"], 3, "no run fits these options"), (["yield", "--json", "--csv"], 2, "exclude each other"),
    (["pareto", "--by", "station", "--step", "a"], 2, "counts runs"), (["drift", "last", "00000009"], 3, "no run 00000009"),
])
def test_errors_say_what_to_do(history, words, code, says):
    done = run(*words, "-d", history)
    assert done.returncode == code and says in done.stderr and done.stdout == ""


def test_nothing_on_record(tmp_path):
    done = run("yield", "-d", tmp_path)
    assert done.returncode == 3 and "no run is on record" in done.stderr


def test_a_filter_is_a_text_whatever_is_in_it(history):
    for value in ("O'Brien", "'; DROP TABLE chosen; --", "no?", "{step}", "\\"):
        for words in ({"station": value}, {"git": value}, {"step": value}):
            with pytest.raises(NothingFound):
                analyse("coverage", data_dir=history, **words)
    with pytest.raises(InvalidArgument, match="zero character"):
        analyse("coverage", data_dir=history, serial="a\0b")


def test_python_errors(history):
    with pytest.raises(InvalidArgument, match="no analysis 'yeild'"):
        analyse("yeild", data_dir=history)
    with pytest.raises(InvalidArgument, match="has no option 'colour'"):
        analyse("yield", data_dir=history, colour="red")
    with pytest.raises(NothingFound):
        analyse("yield", data_dir=history, station="nowhere")

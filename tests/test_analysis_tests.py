# SPDX-License-Identifier: Apache-2.0
"""litmus retest, durations, compare and grr: worked by hand, against the MSA manual, SciPy and statsmodels."""

from __future__ import annotations

import datetime
import fractions
import math
import pathlib
import random
import statistics
import sys
import zoneinfo

import numpy as np
import pandas
import pytest
import scipy.stats
import statsmodels.api
import statsmodels.formula.api

from litmus import sql
from litmus.analysis import analyse, grr
from litmus.analysis.retest import kind_of
from litmus.errors import InvalidArgument, LitmusError

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from test_cli import ok  # noqa: E402
from test_sql import ask, put, run_rows  # noqa: E402

CLOSE = 1e-9

# ---- retest


def test_retests_are_told_apart(tmp_path):
    history = {"FLAKY": [["failed", "passed"]], "LATER": [["failed"], ["passed"]], "BAD": [["failed"], ["errored"]], "ONCE": [["failed"]], "GOOD": [["passed"]],
               "NEAR": [["failed"], ["passed"]], "FAR": [["failed"], ["passed"]], "NONE": [["errored"], ["passed"]]}  # fmt: skip
    values = {"NEAR": 5.2, "FAR": 5.3, "NONE": None}  # of "NONE" something was read that is no number; limits 1 to 5: a twentieth of the span is 0.2
    number = 0
    for serial, runs in history.items():
        for day, attempts in enumerate(runs):
            number += 1
            rows = run_rows(number, serial, attempts[-1], {"a": attempts, "b": ["passed"]}, day=day, values=[values[serial]] if serial in values and day == 0 else [])
            put(tmp_path, [{**row, "measurement_outcome": "failed" if row["record_type"] == "measurement" else None} for row in rows])
    report = analyse("retest", data_dir=tmp_path, all=True)
    assert {case["serial"]: case["kind"] for case in report.table("cases").rows} == {
        "FLAKY": "flaky", "LATER": "passed on retest", "BAD": "bad unit", "ONCE": "not retested", "NEAR": "marginal", "FAR": "passed on retest", "NONE": "passed on retest"}  # fmt: skip
    assert {case["serial"]: case["kind"] for case in sql.scan("retest", tmp_path).to_pylist()} == {case["serial"]: case["kind"] for case in report.table("cases").rows}
    (row,) = report.rows
    assert (row["step"], row["cases"], row["flaky"], row["marginal"], row["passed_on_retest"], row["bad_unit"], row["not_retested"]) == ("t.py/a", 7, 1, 1, 3, 1, 1)


def test_an_execution_without_a_verdict_neither_mends_nor_spoils(tmp_path):
    history = {"MENDED": [["failed"], ["passed"], ["skipped"]], "ONCE": [["failed"], ["done"]], "FLAKY": [["failed", "passed"], ["aborted"]], "BAD": [["failed"], ["failed", "skipped"]]}
    for number, (serial, day, attempts) in enumerate((serial, day, attempts) for serial, runs in history.items() for day, attempts in enumerate(runs)):
        put(tmp_path, run_rows(number, serial, "failed", {"a": attempts}, day=day))
    kinds = {"MENDED": "passed on retest", "ONCE": "not retested", "FLAKY": "flaky", "BAD": "bad unit"}
    assert {case["serial"]: case["kind"] for case in analyse("retest", data_dir=tmp_path, all=True).table("cases").rows} == kinds
    assert {case["serial"]: case["kind"] for case in sql.scan("retest", tmp_path).to_pylist()} == kinds


@pytest.mark.parametrize("case, kind", [
    ({"failed_runs": 1, "last_verdict": "passed", "is_mixed": True, "is_near": True, "without_value": 1}, "flaky"),  # one failure was not about a value
    ({"failed_runs": 2, "last_verdict": "passed", "is_mixed": False, "is_near": None, "without_value": 2}, "passed on retest"),
    ({"failed_runs": 2, "last_verdict": "failed", "is_mixed": True, "is_near": True, "without_value": 0}, "bad unit"),
])  # fmt: skip
def test_kinds(case, kind):
    assert kind_of(case) == kind


# ---- durations


def test_durations_are_those_of_the_last_execution(tmp_path):
    seconds = [1.0, 2.0, 4.0, 8.0, 16.0]
    for n, long in enumerate(seconds):
        rows = run_rows(n, f"U{n}", "passed", {"a": ["passed"], "b": []}, day=7 * n)
        put(tmp_path, [{**row, "step_ended_at": row["run_started_at"] + datetime.timedelta(seconds=long)} if row.get("step_started_at") else row for row in rows])
    report = analyse("durations", data_dir=tmp_path)
    (row,) = report.rows
    for name, q in {"median": 50, "p90": 90, "p95": 95, "p99": 99}.items():
        assert row[name] == pytest.approx(np.percentile(seconds, q), rel=CLOSE)
    weeks = [n + n * 60 / 604800 for n in range(5)]
    assert (row["n"], row["longest"], row["share"]) == (5, 16.0, pytest.approx(1.0, rel=CLOSE)) and row["trend"] == pytest.approx(scipy.stats.linregress(weeks, seconds).slope, rel=1e-6)
    (view,) = sql.scan("durations", tmp_path).to_pylist()
    assert all(view[name] == pytest.approx(row[name], rel=CLOSE) for name in ("n", "median", "p90", "p95", "p99", "longest", "total", "share", "trend"))
    (run,) = report.table("runs").rows
    assert (run["part"], run["n"], run["median"]) == ("P1", 5, 9.0)


ZONES = ("Europe/Berlin", "America/St_Johns", "Pacific/Kiritimati", "Australia/Lord_Howe")
BORDERS = ("2024-12-30", "2025-12-29", "2026-01-01", "2026-03-29 01:00", "2026-10-25 01:00", "2027-01-04")  # of weeks, years and summer time


def by_week(starts, durations, zone):
    """What `litmus durations --by week` has to say of runs: week -> n, median, longest, trend, worked out naively."""
    weeks = {}
    for start, long in zip(starts, durations):
        year, week, _ = start.astimezone(zoneinfo.ZoneInfo(zone)).isocalendar()
        weeks.setdefault(f"{year}-W{week:02d}", []).append((start, long))
    for week, runs in sorted(weeks.items()):
        x, y = [fractions.Fraction((start - starts[0]) // datetime.timedelta(microseconds=1), 604_800_000_000) for start, _ in runs], [fractions.Fraction(long, 10**6) for _, long in runs]
        bottom = len(x) * sum(a * a for a in x) - sum(x) ** 2
        trend = float((len(x) * sum(a * b for a, b in zip(x, y)) - sum(x) * sum(y)) / bottom) if bottom else None
        yield week, len(runs), float(np.median([float(long) for long in y])), float(max(y)), trend


def test_durations_by_week_are_a_naive_reading_however_the_runs_lie(tmp_path):
    rng = random.Random(1)
    starts, durations = [], []
    for n in range(40):
        border = datetime.datetime.fromisoformat(rng.choice(BORDERS)).replace(tzinfo=datetime.timezone.utc)
        close = datetime.datetime(2027, 6, 2, tzinfo=datetime.timezone.utc) + n // 20 * datetime.timedelta(microseconds=1)  # of a double few digits tell these apart
        starts.append(close if n % 5 == 0 else border + datetime.timedelta(seconds=n + rng.choice([-1, 0, 1]) * rng.randrange(15 * 3600), microseconds=rng.choice([-1, 0])))
        durations.append(rng.randrange(1, 10**9))
        rows = run_rows(n, f"U{n}", "passed", {"a": ["passed"]})
        end = starts[-1] + datetime.timedelta(microseconds=durations[-1])
        put(tmp_path, [{**row, "run_started_at": starts[-1], "run_ended_at": end, "step_ended_at": end, "step_started_at": starts[-1]} for row in rows])
        if n in (rng.randrange(40), 30):
            ok("compact", "-d", tmp_path)
    wanted = {zone: [[week, n, pytest.approx(median), pytest.approx(longest), trend and pytest.approx(trend, rel=1e-3)] for week, n, median, longest, trend in by_week(starts, durations, zone)] for zone in ZONES}
    for _ in range(2):  # some fresh, then all in the lake
        for zone in ZONES:
            rows = analyse("durations", data_dir=tmp_path, by="week", tz=zone).table("runs").rows
            assert [[row[name] for name in ("week", "n", "median", "longest", "trend")] for row in rows] == wanted[zone], zone
        ok("compact", "-d", tmp_path)


# ---- compare


FISHER = [(8, 10, 1, 6), (0, 5, 5, 5), (0, 3, 0, 9), (90, 100, 70, 100), (9990, 10000, 9970, 10000), (3, 3, 5, 5), (24_000, 25_000, 23_900, 25_010)]


def samples(data_dir, rows):
    """What litmus_sample_tests says of [(name, a, b)]."""
    with sql.connect(data_dir, events=False, views="litmus_sample_tests") as con:
        con.execute("CREATE TEMP TABLE found (measurement_name VARCHAR, step_path VARCHAR, measurement_units VARCHAR, value DOUBLE, is_a BOOLEAN, is_b BOOLEAN)")
        cells = [f"('{name}', NULL, NULL, {value!r}, {is_a}, {not is_a})" for name, a, b in rows for is_a, values in ((True, a), (False, b)) for value in values]
        con.execute("INSERT INTO found VALUES " + ", ".join(cells))
        result = con.execute("FROM litmus_sample_tests('found')")
        names = [column[0] for column in result.description]
        return {row[0]: dict(zip(names, row)) for row in result.fetchall()}


def test_tests_of_values_are_those_of_scipy(tmp_path):
    sets = []
    for seed, digits in [(1, 6), (2, 1), (3, 0)]:  # few digits: many ties
        rng = random.Random(seed)
        sets.append((str(seed), [round(rng.gauss(5, 1), digits) for _ in range(17)], [round(rng.gauss(5.5, 2), digits) for _ in range(23)]))
    found = samples(tmp_path, sets)
    for name, a, b in sets:
        got, welch, order = found[name], scipy.stats.ttest_ind(a, b, equal_var=False), scipy.stats.mannwhitneyu(a, b, method="asymptotic")
        assert (got["a_n"], got["b_n"], got["a_mean"], got["b_sd"]) == (17, 23, pytest.approx(statistics.fmean(a), rel=CLOSE), pytest.approx(statistics.stdev(b), rel=CLOSE))
        assert (got["welch_t"], got["welch_p"]) == (pytest.approx(welch.statistic, rel=CLOSE), pytest.approx(welch.pvalue, rel=CLOSE))
        assert (got["mann_whitney_u"], got["mann_whitney_p"]) == (pytest.approx(order.statistic, rel=CLOSE), pytest.approx(order.pvalue, rel=CLOSE))


def test_samples_that_cannot_be_tested(tmp_path):
    found = samples(tmp_path, [("one", [1.0], [2.0, 3.0]), ("equal", [1.0, 1.0], [1.0, 1.0]), ("alone", [], [1.0, 2.0])])
    assert sorted(found) == ["equal", "one"] and found["one"]["welch_p"] is found["one"]["a_sd"] is found["equal"]["mann_whitney_p"] is None


def test_the_functions_of_sql_are_those_of_scipy(tmp_path):
    """What DuckDB lacks: the incomplete beta function, of the small, the large and the half; the normal distribution; Fisher's test of large sets."""
    special = scipy.special
    wanted = {f"litmus_beta({x}, {a}, {b})": special.betainc(a, b, x) for x, a, b in ((0.3, 2, 0.5), (0.999999, 0.5, 0.5), (1e-9, 0.6, 3), (0.9, 5000, 0.5), (0.5, 300, 200), (0, 1, 1), (1, 1, 1))}
    wanted.update({f"litmus_normal_p({z})": 2 * special.ndtr(-z) for z in (0, 0.01, 0.99, 1, 3, 8)}, **{"litmus_t_p(2.5, 7.3)": 2 * special.stdtr(7.3, -2.5), "litmus_f_p(3.1, 4, 9)": special.fdtrc(4, 9, 3.1)})
    wanted.update({f"litmus_fisher({a}, {n}, {b}, {m})": scipy.stats.fisher_exact([[a, n - a], [b, m - b]]).pvalue for a, n, b, m in FISHER})
    wanted["litmus_fisher(3, 4, 1, 4)"] = 34 / 70  # Fisher's tea, 1935: p of one side 17/70
    wanted["litmus_fisher(1, 1, 0, 0) IS NULL"] = True
    (got,) = ask(tmp_path, "SELECT " + ", ".join(f'{text} AS "{text}"' for text in wanted))
    assert got == {text: pytest.approx(float(value), rel=CLOSE, abs=1e-300) for text, value in wanted.items()}


def test_two_stations(tmp_path):
    for n in range(8):
        rows = run_rows(n, f"U{n}", "failed" if n < 3 else "passed", {"a": ["passed"], "b": ["failed" if n < 3 else "passed"]}, values=[2 + n / 10])
        put(tmp_path, [{**row, "station_id": "old" if n < 4 else "new"} for row in rows])
    report = analyse("compare", "station=old", "station=new", data_dir=tmp_path)
    (first,) = report.rows
    p = scipy.stats.fisher_exact([[1, 3], [4, 0]]).pvalue
    assert (first["a_passed"], first["a_of"], first["b_passed"], first["b_of"]) == (1, 4, 4, 4) and first["p"] == pytest.approx(p, rel=CLOSE)
    assert [(row["step"], row["p"], row["holm"]) for row in report.table("steps").rows] == [("t.py/b", pytest.approx(p), pytest.approx(min(1, 2 * p))), ("t.py/a", 1.0, 1.0)]
    (value,) = report.table("values").rows
    assert (value["a_n"], value["b_n"], value["a_mean"]) == (4, 4, pytest.approx(2.15))
    in_sql = ask(tmp_path, "FROM compare('station=old', 'station=new')")
    assert [(row["step_path"], row["a_passed"], row["a_of"], row["b_passed"], row["b_of"]) for row in in_sql] == [(None, 1, 4, 4, 4), ("t.py/b", 1, 4, 4, 4), ("t.py/a", 4, 4, 4, 4)]
    assert [row["p"] for row in in_sql] == pytest.approx([p, p, 1], rel=CLOSE) and [row["holm"] for row in in_sql] == [None, pytest.approx(2 * p, rel=CLOSE), pytest.approx(1, rel=CLOSE)]
    (of_values,) = ask(tmp_path, "FROM compare_values('station=old', 'station=new')")
    assert all(of_values[name] == pytest.approx(value[name], rel=CLOSE) for name in ("a_n", "b_n", "a_mean", "b_mean", "a_sd", "b_sd", "welch_t", "welch_p", "mann_whitney_u", "mann_whitney_p"))
    with pytest.raises(AssertionError, match="chooses no runs: write NAME=VALUE"):
        ask(tmp_path, "FROM compare('staton=old', 'station=new')")
    for sets, says in ((["station=old"], "takes two sets"), (["staton=old", "x"], "did you mean 'station'"), (["station=old", "station=none"], "no run fits station=none")):
        with pytest.raises(LitmusError, match=says):
            analyse("compare", *sets, data_dir=tmp_path)
    put(tmp_path, [{**row, "station_id": "third"} for row in run_rows(9, "U1", "passed", {"a": ["passed"]})])  # a retest: it has no first run
    (first,) = analyse("compare", "station=old", "station=third", data_dir=tmp_path).rows
    assert (first["b_passed"], first["b_of"], first["b_yield"], first["p"]) == (0, 0, None, None)


def test_a_step_that_one_set_alone_has_is_listed_without_a_p_value(tmp_path):
    steps = {"old": {"a": ["passed"], "gone": ["failed"], "idle": ["passed"]}, "new": {"a": ["failed"], "come": ["passed"], "idle": ["skipped"]}}
    for n, (station, of) in enumerate(steps.items()):
        put(tmp_path, [{**row, "station_id": station} for row in run_rows(n, f"U{n}", "failed", of)])
    report = analyse("compare", "station=old", "station=new", data_dir=tmp_path)
    assert [(row["step"], row["holm"]) for row in report.table("steps").rows] == [("t.py/a", 1.0)]
    alone = [("t.py/gone", 0, 1, 0, 0), ("t.py/idle", 1, 1, 0, 0), ("t.py/come", 0, 0, 1, 1)]
    assert [(row["step"], row["a_passed"], row["a_of"], row["b_passed"], row["b_of"]) for row in report.table("alone").rows] == alone
    in_sql = ask(tmp_path, "FROM compare('station=old', 'station=new')")
    assert [(row["step_path"], row["p"], row["holm"]) for row in in_sql] == [
        (None, 1.0, None), ("t.py/a", 1.0, 1.0), ("t.py/come", None, None), ("t.py/gone", None, None), ("t.py/idle", None, None)]
    assert [row["step"] for row in analyse("compare", "station=old", "station=new", step="come", data_dir=tmp_path).table("alone").rows] == ["t.py/come"]


# ---- gauge R&R

# AIAG, Measurement Systems Analysis, 4th edition, figure III-B 6: three appraisers, three trials, ten parts
MSA = {
    "A": [[0.29, -0.56, 1.34, 0.47, -0.80, 0.02, 0.59, -0.31, 2.26, -1.36], [0.41, -0.68, 1.17, 0.50, -0.92, -0.11, 0.75, -0.20, 1.99, -1.25],
          [0.64, -0.58, 1.27, 0.64, -0.84, -0.21, 0.66, -0.17, 2.01, -1.31]],
    "B": [[0.08, -0.47, 1.19, 0.01, -0.56, -0.20, 0.47, -0.63, 1.80, -1.68], [0.25, -1.22, 0.94, 1.03, -1.20, 0.22, 0.55, 0.08, 2.12, -1.62],
          [0.07, -0.68, 1.34, 0.20, -1.28, 0.06, 0.83, -0.34, 2.19, -1.50]],
    "C": [[0.04, -1.38, 0.88, 0.14, -1.46, -0.29, 0.02, -0.46, 1.77, -1.49], [-0.11, -1.13, 1.09, 0.20, -1.07, -0.67, 0.01, -0.56, 1.45, -1.77],
          [-0.15, -0.96, 0.67, 0.11, -1.45, -0.49, 0.21, -0.49, 1.87, -2.16]],
}  # fmt: skip
CELLS = {str(part): {who: [trial[part] for trial in trials] for who, trials in MSA.items()} for part in range(10)}


def test_the_study_of_the_manual():
    """AIAG MSA, 4th edition, tables III-B 7 and 8: the analysis of variance, and the components."""
    rows, anova, ndc = grr.study(CELLS, -4.0, 4.0)
    table = {row["source"]: row for row in anova}
    assert table["unit"]["squares"] == pytest.approx(88.3619, abs=5e-5) and table["operator"]["squares"] == pytest.approx(3.1673, abs=5e-5)
    assert table["repeatability"]["squares"] == pytest.approx(0.3590 + 2.7589, abs=1e-4) and table["repeatability"]["freedom"] == 78  # the interaction is pooled
    deviation = {row["source"]: row["deviation"] for row in rows}
    for source, wanted in {"repeatability": 0.199933, "operator": 0.226838, "grr": 0.302373, "unit": 1.042327, "total": 1.085}.items():
        assert deviation[source] == pytest.approx(wanted, abs=1e-3), source
    assert ndc == 4 and rows[0]["tolerance"] == pytest.approx(6 * deviation["grr"] / 8)


@pytest.mark.parametrize("lean", [0.0, 0.9])
def test_the_analysis_of_variance_is_that_of_statsmodels(lean):
    """lean: an operator who reads the odd units high, which makes an interaction."""
    cells = {part: {who: [value + (lean if who == "B" and int(part) % 2 else 0.0) for value in trials] for who, trials in row.items()} for part, row in CELLS.items()}
    rows, anova, _ = grr.study(cells, None, None)
    data = pandas.DataFrame([(part, who, value) for part, row in cells.items() for who, trials in row.items() for value in trials], columns=["part", "who", "y"])
    pooled = not any(row["source"] == "interaction" for row in anova)
    assert pooled == (lean == 0.0)
    fitted = statsmodels.formula.api.ols("y ~ C(part) + C(who)" if pooled else "y ~ C(part) * C(who)", data).fit()
    wanted = statsmodels.api.stats.anova_lm(fitted)
    names = {"unit": "C(part)", "operator": "C(who)", "interaction": "C(part):C(who)", "repeatability": "Residual"}
    for row in anova:
        assert row["squares"] == pytest.approx(wanted.loc[names[row["source"]], "sum_sq"], rel=CLOSE) and row["freedom"] == wanted.loc[names[row["source"]], "df"]
    if not pooled:
        assert {row["source"]: row["p"] for row in anova}["interaction"] == pytest.approx(wanted.loc["C(part):C(who)", "PR(>F)"], rel=CLOSE)
    assert rows[0]["tolerance"] is None and math.fsum(row["contribution"] for row in rows if row["source"] in ("grr", "unit")) == pytest.approx(1.0)


def test_values_that_are_alike_have_no_variance():
    """Means of equal values differ from them in the last bit: of no variance at all there is no share, and no interaction."""
    rows, anova, ndc = grr.study({part: {who: [2.1] * 3 for who in "ABC"} for part in map(str, range(7))}, 1.0, 5.0)
    assert {row["variance"] for row in rows} == {0.0} and {row["contribution"] for row in rows} == {None} and ndc is None
    rows, anova, ndc = grr.study({str(part): {who: [0.1 * part] * 3 for who in "ABC"} for part in range(7)}, 1.0, 5.0)
    assert {row["source"]: row["contribution"] for row in rows} == {"unit": 1.0, "total": 1.0, **dict.fromkeys(("grr", "repeatability", "reproducibility", "operator", "interaction"), 0.0)}
    assert ndc is None and {row["f"] for row in anova} == {None}


def test_a_study_on_record(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "litmus.yaml").write_text('golden_units: ["G*"]\n')
    number = 0
    for serial in ("G1", "G2"):
        for who in ("ann", "bob"):
            for value in (2.0, 2.1) if serial == "G1" else (3.0, 3.1, 3.2):
                number += 1
                put(tmp_path / "d", [{**row, "operator_id": who} for row in run_rows(number, serial, "passed", {"a": ["passed"]}, values=[value])])
    report = analyse("grr", "v", data_dir=tmp_path / "d")
    assert report.left_out == {"values: trials beyond the smallest cell": 2} and "2 units x 2 operators x 2 trials" in report.notes[0]
    assert report.rows[1]["variance"] == pytest.approx(0.02 / 5)  # four cells of two values 0.1 apart; no interaction, pooled: 5 degrees of freedom
    for row, in_sql in zip(report.rows, ask(tmp_path / "d", "FROM grr('v')")):
        assert [in_sql[name] for name in ("source", "variance", "deviation", "contribution", "study", "tolerance")] == [row["source"], *(pytest.approx(row[name], rel=CLOSE, abs=1e-15) for name in ("variance", "deviation", "contribution", "study", "tolerance"))]
    with pytest.raises(AssertionError, match="two units and two operators"):
        ask(tmp_path / "d", "FROM grr('v', chosen := 'operator=ann')")
    with pytest.raises(InvalidArgument, match="two units and two operators"):
        analyse("grr", "v", data_dir=tmp_path / "d", operator="ann")
    put(tmp_path / "d", [{**row, "operator_id": "cat"} for row in run_rows(99, "G1", "passed", {"a": ["passed"]}, values=[2.0])])
    with pytest.raises(InvalidArgument, match="not crossed: cat never measured unit G2"):
        analyse("grr", "v", data_dir=tmp_path / "d")

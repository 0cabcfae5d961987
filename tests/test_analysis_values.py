# SPDX-License-Identifier: Apache-2.0
"""litmus capability and control: against published examples, and SciPy's other functions to 1e-9."""

from __future__ import annotations

import math
import pathlib
import random
import statistics
import sys

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from litmus import _litmus, sql
from litmus.analysis import analyse, capability, control, numbers, plots
from litmus.analysis.libraries import MissingLibrary
from litmus.analysis.numbers import c4, chi_square, d2, d3
from litmus.analysis.scope import NothingFound, Scope
from litmus.errors import InvalidArgument, LitmusError

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from test_cli import run  # noqa: E402
from test_sql import put, run_rows  # noqa: E402

CLOSE = 1e-9


def measured(data_dir, values, **fields):
    """A run a value, each of a unit of its own; fields: a function of the place, or a value, for the rows."""
    for n, value in enumerate(values):
        more = {key: field(n) if callable(field) else field for key, field in fields.items()}
        put(data_dir, [{**row, **(more if row["record_type"] != "step" else {})} for row in run_rows(n, f"U{n:04d}", "passed", {"a": ["passed"]}, values=[value])])
    return data_dir


def capability_of(data_dir, **options):
    (row,) = analyse("capability", data_dir=data_dir, **options).rows
    return row


@pytest.mark.parametrize(("low", "high", "seen"), [
    (-math.inf, 5.0, (None, 5.0)), (math.nan, 5.0, (None, 5.0)), (1.0, math.inf, (1.0, None)), (5.0, 1.0, (5.0, 1.0)), (math.nan, -math.inf, None),
])  # fmt: skip
def test_a_limit_that_is_no_number_is_none_and_two_that_contradict_give_no_index(tmp_path, low, high, seen):
    """Only other writers have such; command and view alike."""
    report = analyse("capability", data_dir=measured(tmp_path, [2 + n / 10 for n in range(12)], limit_low=low, limit_high=high))
    in_sql = sql.scan("capability", tmp_path).to_pylist()
    if seen is None:
        assert (report.rows, in_sql, report.left_out) == ([], [], {"values: without a limit": 12})
        return
    (got,), (view,) = report.rows, in_sql
    assert (got["low"], got["high"]) == (view["limit_low"], view["limit_high"]) == seen and got["cp"] is view["cp"] is None
    assert (got["outside"], view["outside"]) == ((12, 12) if seen == (5.0, 1.0) else (0, 0))
    assert got["ppk"] == (pytest.approx(view["ppk"], rel=CLOSE) if view["ppk"] else None) and (got["ppk"] is None) == (seen == (5.0, 1.0))


# ---- constants


def test_constants_of_the_range_are_the_published_ones():
    # ISO 7870-2 / AIAG SPC, appendix: n, d2, d3, c4
    for n, mean, deviation, unbias in [(2, 1.128, 0.853, 0.7979), (3, 1.693, 0.888, 0.8862), (5, 2.326, 0.864, 0.9400), (10, 3.078, 0.797, 0.9727), (25, 3.931, 0.708, 0.9896)]:
        assert (round(d2(n), 3), round(d3(n), 3), round(c4(n), 4)) == (mean, deviation, unbias)
    assert d2(2) == pytest.approx(2 / math.sqrt(math.pi), rel=CLOSE) and d3(2) == pytest.approx(math.sqrt(2 - 4 / math.pi), rel=CLOSE)
    for n in (3, 7, 20):
        cdf = scipy.stats.norm.cdf
        wanted, _ = scipy.integrate.quad(lambda x, n=n: 1 - (1 - cdf(x)) ** n - cdf(x) ** n, -10, 10, epsabs=1e-12)
        assert d2(n) == pytest.approx(wanted, rel=CLOSE)


def test_quantiles_of_chi_square_are_those_of_scipy():
    for freedom in (0.5, 1, 3, 5.445, 9, 40, 499, 500, 501, 7000.5, 2e6):
        for p in (0.001, 0.025, 0.5, 0.975, 0.999):
            assert chi_square(freedom, p) == pytest.approx(scipy.stats.chi2.ppf(p, freedom), rel=CLOSE), (freedom, p)


# ---- capability


def test_capability_of_given_values_is_what_the_books_say(tmp_path):
    values = [round(random.Random(n).gauss(3.1, 0.4), 4) for n in range(30)]
    got = capability_of(measured(tmp_path, values))
    mean, sd, n = statistics.fmean(values), statistics.stdev(values), 30
    within = statistics.fmean(abs(b - a) for a, b in zip(values, values[1:])) / (2 / math.sqrt(math.pi))
    chi2, z = scipy.stats.chi2.ppf, scipy.stats.norm.ppf(0.975)
    for spread, nearer, s, freedom in (("pp", "ppk", sd, n - 1), ("cp", "cpk", within, 0.605 * (n - 1))):
        p, k = 4 / (6 * s), min(5 - mean, mean - 1) / (3 * s)
        half = z * math.sqrt(1 / (9 * n) + k * k / (2 * freedom))
        wanted = {spread: p, spread + "_low": p * math.sqrt(chi2(0.025, freedom) / freedom), spread + "_high": p * math.sqrt(chi2(0.975, freedom) / freedom),
                  nearer: k, nearer + "_low": k - half, nearer + "_high": k + half}  # fmt: skip
        for name, value in wanted.items():
            assert got[name] == pytest.approx(value, rel=CLOSE), name


def test_command_and_views_take_first_attempts_alike(tmp_path):
    """U0's first value failed and was taken again: what counts is the first."""
    values = [5.5] + [round(random.Random(n).gauss(3.1, 0.4), 4) for n in range(29)]
    measured(tmp_path, values)
    rows = run_rows(0, "U0000", "passed", {"a": ["failed", "passed"]}, values=[5.5, 3.0])
    again = [row for row in rows if row["record_type"] == "measurement"][1]
    again["vector_retry"] = 1
    put(tmp_path, rows)
    got, (view,) = capability_of(tmp_path), sql.scan("capability", tmp_path).to_pylist()
    assert got["n"] == view["n"] == 30 and got["outside"] == view["outside"] == 1
    assert all(got[name] == pytest.approx(view[name], rel=CLOSE) for name in ("mean", "sd", "sd_within", "pp", "ppk", "ppk_low", "ppk_high", "cp", "cpk", "cpk_low", "cpk_high"))
    chart = analyse("control", "v", data_dir=tmp_path, all=True)
    points = [point for point in chart.table("points").rows if point["chart"] == "individuals"]
    shown = sorted(sql.scan("control", tmp_path).to_pylist(), key=lambda row: row["started_at"])
    assert [row["value"] for row in shown] == [point["value"] for point in points]
    for row, point in zip(shown, points):
        assert all(row[name] == pytest.approx(point[name], rel=CLOSE) for name in ("center", "lower", "upper"))
        assert row["is_beyond"] == ("N1" in (point["rules"] or ""))


def test_subgroups_have_the_pooled_deviation(tmp_path):
    values = [round(random.Random(n).gauss(3.0 + n // 5, 0.2), 4) for n in range(20)]
    got = capability_of(measured(tmp_path, values, dut_lot_number=lambda n: f"L{n // 5}"), by="lot")
    groups = [values[i : i + 5] for i in range(0, 20, 5)]
    pooled = math.sqrt(sum(statistics.variance(group) for group in groups) / 4)
    assert got["sd_within"] == pytest.approx(pooled / c4(17), rel=CLOSE) and got["subgroups"] == 4
    assert got["cpk"] > 2 * got["ppk"] > 0  # lots that differ: the variation within is not that of all


def test_one_sided_few_equal_and_changed_limits(tmp_path):
    values = [2 + n / 10 for n in range(12)]
    one = capability_of(measured(tmp_path / "one", values, limit_low=None))
    assert (one["cp"], one["pp"]) == (None, None) and one["ppk"] == pytest.approx((5 - statistics.fmean(values)) / (3 * statistics.stdev(values)), rel=CLOSE)
    few = analyse("capability", data_dir=measured(tmp_path / "few", values[:9]))
    assert few.rows[0]["ppk"] is None and "v (n = 9)" in few.notes[0]
    equal = capability_of(measured(tmp_path / "equal", [3.0] * 12))
    assert (equal["sd"], equal["ppk"], equal["cpk"]) == (0.0, None, None)
    changed = analyse("capability", data_dir=measured(tmp_path / "changed", values + values, limit_high=lambda n: 5.0 if n < 12 else 4.5))
    assert [row["n"] for row in changed.rows] == [12, 12] and "limits of v changed: 2 pairs" in changed.notes[0]
    mixed = analyse("capability", data_dir=measured(tmp_path / "mixed", values, measurement_units=lambda n: "V" if n else "mV"))
    assert len(mixed.rows) == 2 and "mixed units: V, mV" in mixed.notes[0]


def test_what_is_no_number_is_no_value(tmp_path):
    """A file of another writer may hold NaN, and a driver gives the largest double for an overflow: the rest is counted, and they are told of."""
    values = [2 + n / 10 for n in range(12)]
    measured(tmp_path, [*values, math.nan, math.inf, -sys.float_info.max])
    report, (view,) = analyse("capability", data_dir=tmp_path), sql.scan("capability", tmp_path).to_pylist()
    assert report.rows[0]["n"] == view["n"] == 12 and report.rows[0]["ppk"] == pytest.approx(view["ppk"], rel=CLOSE) and view["without_value"] == 3
    assert report.left_out == {"values: none, a text, or no number to count with (NaN, infinite, beyond 1e150)": 3}


def test_series_that_hash_alike_stay_apart(tmp_path):
    measured(tmp_path, [n % 5 for n in range(30)], limit_low=lambda n: None if n % 3 else 1.5, limit_high=lambda n: 4.0 + n % 2, measurement_units=lambda n: "V" if n % 2 else None)
    with sql.connect(tmp_path) as con:
        capability.values.load(scope := Scope(con), None)
        rows = capability._sums(scope)
        assert len(rows) == 4 and len({row["moving_range"] for row in rows}) > 1
        assert capability._sums(scope, "1") == rows


def test_first_attempts_only_and_retries_are_counted(tmp_path):
    rows = run_rows(1, "U1", "passed", {"a": ["failed", "passed"]}, values=[9.0, 2.0])
    [one for one in rows if one["record_type"] == "measurement"][1]["vector_retry"] = 1
    put(tmp_path, rows)
    report = analyse("capability", data_dir=tmp_path)
    assert (report.rows[0]["n"], report.rows[0]["mean"], report.left_out) == (1, 9.0, {"values: of retries": 1})


# ---- control


def test_individuals_are_those_of_the_handbook(tmp_path, monkeypatch):
    """NIST/SEMATECH e-Handbook 6.3.2.2: flow rates of ten batches."""
    monkeypatch.setattr(control, "POINTS_MIN", 10)
    flow = [49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6, 52.4, 53.6, 52.1]
    chart, ranges = analyse("control", "v", data_dir=measured(tmp_path, flow)).rows
    assert chart["center"] == pytest.approx(50.81) and ranges["center"] == pytest.approx(1.8778, abs=5e-5)
    # the page divides by 1.128
    assert (chart["upper"], chart["lower"]) == (pytest.approx(55.8041, abs=2e-3), pytest.approx(45.8159, abs=2e-3)) and chart["signals"] == 0
    assert ranges["upper"] == pytest.approx(3.2665 * 1.8778, abs=1e-3) and ranges["lower"] == 0.0


def test_subgroup_charts_use_the_factors_of_the_books(tmp_path, monkeypatch):
    monkeypatch.setattr(control, "POINTS_MIN", 4)
    values = [round(random.Random(n).gauss(3, 0.2), 4) for n in range(20)]
    data_dir = measured(tmp_path, values, dut_lot_number=lambda n: f"L{n // 5:02d}")
    groups = np.array(values).reshape(4, 5)
    spread, mean = float(np.ptp(groups, axis=1).mean()), float(groups.mean())
    means, ranges = analyse("control", "v", data_dir=data_dir, by="lot").rows
    # A2, D3 and D4 of five: 0.577, 0, 2.114
    assert (means["center"], ranges["center"]) == (pytest.approx(mean, rel=CLOSE), pytest.approx(spread, rel=CLOSE))
    assert (means["upper"] - mean) / spread == pytest.approx(0.577, abs=5e-4) and ranges["upper"] / spread == pytest.approx(2.114, abs=1e-3) and ranges["lower"] == 0
    deviation = float(groups.std(axis=1, ddof=1).mean())
    means, deviations = analyse("control", "v", data_dir=data_dir, by="lot", kind="xbar-s").rows
    # A3, B3 and B4 of five: 1.427, 0, 2.089
    assert (means["upper"] - mean) / deviation == pytest.approx(1.427, abs=5e-4) and deviations["upper"] / deviation == pytest.approx(2.089, abs=5e-4)


def test_values_that_are_all_equal_break_no_rule(tmp_path):
    """The mean may differ in the last bit, and nothing is within, or beyond, a deviation of 0."""
    report = analyse("control", "v", data_dir=measured(tmp_path, [2.1] * 20), all=True)
    assert [row["signals"] for row in report.rows] == [0, 0] and not any(point["rules"] for point in report.table("points").rows)
    assert not any(row["is_beyond"] for row in sql.scan("control", tmp_path).to_pylist())


def test_lots_that_differ_and_do_not_vary_are_out_of_control(tmp_path):
    data_dir = measured(tmp_path, [2.1 + (n == 48 or n == 49) for n in range(60)], dut_lot_number=lambda n: f"L{n // 2:02d}")
    for kind in ("xbar-r", "xbar-s"):
        means, spread = analyse("control", "v", data_dir=data_dir, by="lot", kind=kind).rows
        assert (means["upper"], means["signals"], spread["signals"]) == (means["center"], 30, 0)


def test_p_chart_of_first_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(control, "POINTS_MIN", 3)
    runs = [(day, n) for day, count in enumerate([4, 5, 10]) for n in range(count)]
    for number, (day, n) in enumerate(runs):
        put(tmp_path, run_rows(number, f"U{number}", "failed" if n < day else "passed", {"a": ["passed"]}, day=day))
    report = analyse("control", data_dir=tmp_path, kind="p", all=True)
    p = 3 / 19
    for point, n, failed in zip(report.table("points").rows, (4, 5, 10), (0, 1, 2)):
        half = 3 * math.sqrt(p * (1 - p) / n)
        assert (point["n"], point["value"], point["lower"]) == (n, failed / n, max(0.0, p - half)) and point["upper"] == pytest.approx(min(1.0, p + half), rel=CLOSE)


@pytest.mark.parametrize("name, z, at", [
    ("N1/WE1", [0, 3.1, 3.0, -3.1], [1, 3]), ("N2", [0.5] * 8 + [0.1, -0.1], [8]), ("WE4", [-0.5] * 8 + [0.5], [7]), ("N3", [0, 1, 2, 2.1, 2.2, 2.3, 2.2], [5]),
    ("N4", [0.1, -0.1] * 7 + [-0.2], [13]), ("N5/WE2", [2.1, 0, 2.1, 0, 0, 2.1, -2.1], [2]), ("N6/WE3", [1.1, 1.1, 0, 1.1, 1.1, -1.1], [4]),
    ("N7", [0.5, -0.5] * 7 + [0.9, 1.1], [14]), ("N8", [1.1, -1.1] * 4 + [0.9], [7]),
])  # fmt: skip
def test_run_rules_are_broken_where_the_last_point_breaks_them(name, z, at):
    assert [i for i, names in enumerate(control.broken(z)) if name in names] == at


@pytest.mark.parametrize("words, says", [
    (["control", "w"], "no measurement 'w' in these runs; there is 'v'"), (["control", "v"], "too few values for a control chart: 12, at least 20"),
    (["control"], "name a measurement"), (["control", "v", "--kind", "xbar-r"], "needs --by"), (["control", "v", "--kind", "imrr"], "no kind of chart"),
    (["capability", "--plot", "x.gif"], "written as .svg, .png or .pdf"),
])  # fmt: skip
def test_errors_say_what_to_do(tmp_path, words, says):
    measured(tmp_path, [2 + n / 10 for n in range(12)])
    done = run(*words, "-d", tmp_path)
    assert done.returncode in (2, 3) and says in done.stderr and done.stdout == ""


@pytest.mark.parametrize("words", [["capability"], ["control", "v"], ["grr", "v"], ["compare", "serial=U1", "serial=U1"]])
def test_where_nothing_counts_it_is_told_what_was_left_out(tmp_path, words):
    step = {"step_name": "a", "step_path": "t.py/a", "step_index": 0}
    with _litmus.Session(tmp_path, daemon=False) as session:
        session.emit("run.started", {"dut_serial": "U1"}, "00000001-0000-4000-8000-000000000000")
        session.emit("test.step_started", step, "00000001-0000-4000-8000-000000000000")
        session.emit("test.measurement", {**step, "measurement_name": "v", "value": 1.0}, "00000001-0000-4000-8000-000000000000")
        with pytest.raises(LitmusError, match="runs left out: 1 in flight"):
            analyse(*words, data_dir=tmp_path)


def test_mixed_units_and_several_steps_are_no_chart(tmp_path):
    with pytest.raises(InvalidArgument, match="mixed units: 11 in V, 1 in mV"):
        analyse("control", "v", data_dir=measured(tmp_path / "units", [2.0] * 12, measurement_units=lambda n: "V" if n else "mV"))
    with pytest.raises(InvalidArgument, match="2 steps: t.py/a, t.py/b: choose one with --step"):
        analyse("control", "v", data_dir=measured(tmp_path / "steps", [2.0] * 12, step_path=lambda n: "t.py/a" if n else "t.py/b"))
    with pytest.raises(NothingFound, match="nothing was measured"):
        put(tmp_path / "none", run_rows(1, "U1", "passed", {"a": ["passed"]}))
        analyse("capability", data_dir=tmp_path / "none")


# ---- plots


def test_a_plot_is_written_whole_and_replaces_nothing_unasked(tmp_path):
    report = analyse("capability", data_dir=measured(tmp_path / "d", [2 + n / 10 for n in range(12)]))
    path = tmp_path / "v.svg"
    plots.save(report.plot, path)
    text = path.read_text()
    assert text.startswith("<?xml") and "v, n = 12" in text and "high 5" in text
    with pytest.raises(InvalidArgument, match="is there already"):
        plots.save(report.plot, path)
    plots.save(report.plot, path, force=True)
    assert path.read_text() == text and [one.name for one in tmp_path.iterdir() if one.is_file()] == ["v.svg"]
    plots.save(report.plot, tmp_path / "v.png")
    assert (tmp_path / "v.png").read_bytes().startswith(b"\x89PNG")
    assert "<- mean" in plots.as_text(report.plot) and "not in view: low 1, high 5" in plots.as_text(report.plot)
    with pytest.raises(InvalidArgument, match="nothing to draw"):
        plots.save(None, tmp_path / "w.svg")


def test_without_scipy_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    assert capability_of(measured(tmp_path, [2 + n / 10 for n in range(12)]))["cp_low"] is not None  # needs none
    with pytest.raises(MissingLibrary, match=r"chart needs scipy: pip install 'litmus-recorder\[analysis\]'"):
        numbers._moments.__wrapped__(4)

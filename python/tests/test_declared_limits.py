# SPDX-License-Identifier: Apache-2.0
"""Limits that are declared beside a test: marker, side file, part; what wins, and how a slip is told."""

from __future__ import annotations

import pytest
from harness import needs

pytest.importorskip("litmus._litmus")
from litmus import _declared  # noqa: E402
from litmus.errors import ConfigError  # noqa: E402

PART = """part_number: PSU-100
name: supply
revision: B
characteristics:
  rail:
    nominal: 3.3
    tolerance: 5%
    units: V
    spec_ref: DS-12 4.1
  ripple: {high: 0.05, guard_band: 0.01, units: V}
"""
TEST = """
import pytest
def test_part(verify):
    verify("rail", 3.4)
    verify("ripple", 0.045)
@pytest.mark.parametrize("load", [0.1, 1])
def test_side(verify, load): verify("rail", 3.2, units="V")
@pytest.mark.limits(rail=(1, 2), temp={"high": 50, "units": "degC"})
def test_marker(verify):
    verify("temp", 45)
    verify("rail", 3.25)
def test_explicit(verify): verify("rail", 9, (8, 10))
def test_none(verify): verify("other", 1)
"""
SIDE = """limits:
  test_side:
    rail:
      low: 3.25
      high: 3.4
      units: V
      bands:
        - when: {load: {low: 0.5, high: 2}}
          low: 3.1
  test_marker:
    rail: {high: 3.3}
    temp: {high: 40}
"""


def test_what_wins(suite):
    suite.write({"test_a.py": TEST, "test_a.yaml": SIDE, "parts/psu.yaml": PART})
    record = suite.run()
    message = {row["node_id"].split("::")[1]: row.message for row in record.rows}
    assert "ripple = 0.045 V is above 0.04 V by 0.005 V" in message["test_part"]
    assert "rail = 3.2 V is below 3.25 V by 0.05 V (limit 3.25 V to 3.4 V)" in message["test_side[0.1]"]
    assert message["test_side[1]"] is None
    assert "temp = 45 degC is above 40 degC" in message["test_marker"]
    assert message["test_explicit"] is None
    assert "MissingLimitError" in message["test_none"]
    first = record.of("test.measurement")[0]
    assert (first["limit_low"], first["limit_high"], first["units"], first["characteristic_id"], first["spec_ref"]) == (3.135, 3.465, "V", "rail", "DS-12 4.1")
    (started,) = record.of("run.started")
    assert (started["product_id"], started["product_name"], started["product_revision"], started["dut_part_number"]) == ("PSU-100", "supply", "B", "PSU-100")


def test_a_parameter_may_have_limits_of_its_own(suite):
    body = """
        import pytest
        @pytest.mark.limits(rail=(0, 1))
        @pytest.mark.parametrize("volts", [1, pytest.param(3, marks=pytest.mark.limits(rail=(2, 4))), pytest.param(5, marks=pytest.mark.limits(rail=(4, 6)))])
        def test(verify, volts): verify("rail", volts)
    """
    suite.write({"test_a.py": body})
    record = suite.run()
    assert [(event["limit_low"], event["limit_high"], event["outcome"]) for event in record.of("test.measurement")] == [(0, 1, "passed"), (2, 4, "passed"), (4, 6, "passed")]


@pytest.mark.parametrize("arguments", [(), pytest.param(("-n1", "--dist=loadgroup"), marks=needs("xdist"))], ids=["alone", "grouped"])
def test_a_side_file_holds_wherever_its_test_is(suite, arguments):
    """In a folder with brackets, and in a group of pytest-xdist."""
    body = "import pytest\n@pytest.mark.xdist_group('g')\ndef test_a(verify): verify('rail', 3)\nclass TestB:\n def test_a(self, verify): verify('rail', 9)\n"
    suite.write({"v[1]/test_a.py": body, "v[1]/test_a.yaml": "limits:\n  test_a: {rail: [2, 4]}\n  TestB::test_a: {rail: [8, 10]}\n"})
    record = suite.run("-W", "ignore", *arguments)
    assert sorted((event["value"], event["limit_low"], event["outcome"]) for event in record.of("test.measurement")) == [(3, 2, "passed"), (9, 8, "passed")], record.out


@pytest.mark.parametrize("arguments", [(), ("--litmus-off",)], ids=["recorded", "off"])
def test_a_band_fits_parameters_of_every_kind(suite, arguments):
    pytest.importorskip("numpy")
    body = """
        import decimal, enum, fractions, numpy, pytest
        class Mode(enum.Enum): FAST = "fast"
        class Word(str, enum.Enum): FAST = "fast"
        LOADS = [1, 1.0, numpy.int64(1), numpy.float32(1), decimal.Decimal(1), fractions.Fraction(1)]
        @pytest.mark.parametrize("load", LOADS, ids=lambda value: type(value).__name__)
        def test_number(verify, load): verify("rail", 5)
        @pytest.mark.parametrize("mode", ["fast", numpy.str_("fast"), Mode.FAST, Word.FAST], ids=lambda value: type(value).__name__)
        def test_word(verify, mode): verify("rail", 5)
    """
    side = """
        limits:
          test_number: {rail: {low: 0, high: 1, bands: [{when: {load: {low: 0.5, high: 2}}, high: 10}]}}
          test_word: {rail: {low: 0, high: 1, bands: [{when: {mode: [fast, slow]}, high: 10}]}}
    """
    suite.write({"test_a.py": body, "test_a.yaml": side})
    record = suite.run(*arguments)
    assert record.code == 0 and record.summary["passed"] == 10, record.out


def test_no_band_fits(suite):
    suite.write({"test_a.py": "def test(verify): verify('rail', 3)", "test_a.yaml": "limits: {test: {rail: {bands: [{when: {load: 1}, low: 2}]}}}\n"})
    assert "no limit is given, and none of the bands that are declared for it fits the inputs" in suite.run().rows[0].message


def test_limits_hold_without_recording(suite):
    suite.write({"test_a.py": "def test(verify): verify('rail', 3)", "test_a.yaml": "limits: {test: {rail: [1, 2]}}\n"})
    assert suite.run("--litmus-off").code == 1


WRONG = [
    ("limits:\n  test_x:\n    rail: {low: 3, high: 2}\n", "line 3, column 12: the limit of rail cannot judge: low 3 is above high 2"),
    ("limits:\n  test_x:\n    rail: {lwo: 3}\n", "line 3, column 12: the limit of rail has no key `lwo`; did you mean low?"),
    ("limits:\n  test_y:\n    rail: {low: 3}\n", "line 2, column 3: test_a.py has no test `test_y`; did you mean test_x?"),
    ("limits:\n  test_x:\n    rail: {low: 3, comparator: GELL}\n", "line 3, column 20: the limit of rail cannot judge: there is no comparator GELL, did you mean GELE?"),
    ("limits:\n  test_x:\n    rail: {low: '3'}\n", "low is a number, not '3'"),
    ("limits:\n  test_x:\n    rail: {tolerance: 5%}\n", "tolerance needs a nominal"),
    ("limits:\n  test_x:\n    rail:\n      bands:\n        - when: {load: 1}\n          low: 3\n          high: 2\n", "line 6, column 11: the limit of rail cannot judge"),
    ("limits:\n  test_x:\n    rail: {nominal: 3, tolerance: 5%, low: 1}\n", "line 3, column 24: the limit of rail has a tolerance, and bounds beside it"),
    ("limits:\n  test_x:\n    rail: {nominal: 0, tolerance: 5%}\n", "tolerance of 5% is nothing of a nominal of 0"),
    ("limits:\n  test_x:\n    rail: {low: 3, high: 4, guard_band: 51%}\n", "a guard_band of 51% leaves nothing between 3 and 4"),
    ("limits:\n  test_x:\n    rail: {low: 0, bands: [{when: {load: {low: 2, high: 1}}, low: 1}]}\n", "rail, when load: low 2 is above high 1"),
    ("limits:\n  test_x:\n    rail: {low: 0, bands: [{when: {load: {low: no}}, low: 1}]}\n", "rail, when load: low is a number, not 'no'"),
    ("limits:\n  test_x:\n    rail: {low: 0, bands: [{when: {laod: 1}, low: 1}]}\n", "line 3, column 36: a band of rail waits for the input `laod`, which the test has not; did you mean load?"),
    ("limits:\n  test_x:\n    rail: {low: .nan}\n", "line 3: a number is finite"),
    ("limits:\n  test_x: &x\n    <<: *x\n", "line 3: merge keys (`<<`) are not read"),
    ("limits:\n  test_x: 5\n", "line 2, column 3: limits are a mapping from measurement to limit"),
    ("limits:\n  test_x:\n    rail: {low: 0, bands: [{when: {load: []}, low: 1}]}\n", "line 3, column 36: a band of rail does not say what load must be"),
    ("limits:\n  test_x:\n    rail: {nominal: 3, guard_band: 0.1, comparator: NE}\n", "line 3, column 24: the limit of rail: guard_band has no meaning for NE"),
    ("limits:\n  test_x:\n    rail: {nominal: on, guard_band: 0.1}\n", "line 3, column 25: the limit of rail: guard_band needs low or high"),
    ("limits:\n  test_x:\n    rail: {units: V}\n", "line 3, column 5: the limit of rail judges nothing"),
    ("limits:\n  test_x:\n    rail: [null, null]\n", "line 3, column 5: the limit of rail judges nothing"),
    ("limits:\n  test_x:\n    rail: {bands: [{when: {load: 1}, low: 1}, {when: {}, units: V}]}\n", "line 3, column 47: the limit of rail judges nothing"),
    ("limits:\n  test_x:\n    rail: 5\n", "line 3, column 5: the limit of rail is [low, high] or a mapping, not 5"),
    ("limits:\n  test_x:\n    rail: {characteristic: RIAL}\n", "no characteristic `RIAL`; did you mean RAIL?"),
]  # fmt: skip


def test_a_part_that_cannot_be_told(suite):
    suite.write({"test_a.py": "def test_a(): pass", "parts/a.yaml": "part_number: P\n", "parts/b.yaml": "part_number: P\n"})
    assert "b.yaml are both the part `P`" in suite.run("--litmus-dut-part-number=P").err
    suite.write({"parts/b.yaml": "part_number: [P]\n"})
    assert "b.yaml, line 1, column 1: `part_number` is a text, not ['P']" in suite.run().err


@pytest.fixture
def module(tmp_path, request):
    """(items, config) as collection has them, of one test in a module with a side file."""

    class Hook:
        def __init__(self):
            self.reports = []

        def pytest_collectreport(self, report):
            self.reports.append(report)

    class Config:
        hook = Hook()

    class Item:
        path, nodeid, name = tmp_path / "test_a.py", "test_a.py::test_x", "test_x"
        parent = type("parent", (), {"nodeid": "test_a.py"})
        module = type("module", (), {"test_x": print})
        callspec = type("callspec", (), {"params": {"load": 1}})

        def iter_markers(self, name):
            return []

    (tmp_path / "part.yaml").write_text("characteristics: {RAIL: [1, 2]}\n")
    Config._litmus_part = _declared.Part(str(tmp_path / "part.yaml"))
    return Item(), Config()


@pytest.mark.parametrize("text, words", WRONG)
def test_a_slip_in_a_side_file_is_told_at_collection(tmp_path, module, text, words):
    item, config = module
    (tmp_path / "test_a.yaml").write_text(text)
    _declared.collect(config, [item])
    (report,) = config.hook.reports
    assert words in report.longrepr and "test_a.yaml" in report.longrepr
    with pytest.raises((ConfigError, ValueError, TypeError)):
        item._litmus_declared.limit("rail")


def test_a_broken_side_file_leaves_the_plan_on_record(suite):
    suite.write({"test_a.py": "def test_x(verify): pass", "test_b.py": "def test_b(): pass", "test_a.yaml": "limits: {test_x: {rail: {low: 3, high: 2}}}\n"})
    record = suite.run()
    assert "low 3 is above high 2" in record.out and record.code != 0
    assert [(row["node_id"], row.outcome) for row in record.rows] == [("test_a.py::test_x", None), ("test_b.py::test_b", None)]
    assert record.run_ended["outcome"] == "errored" and record.run_ended["stop_reason"] == "collection error"
    assert "low 3 is above high 2" in record.of("diagnostic.error")[0]["message"]


@pytest.mark.parametrize(
    "entry, inputs, low, high",
    [
        ({"nominal": 10, "tolerance": 0.5}, {}, 9.5, 10.5), ({"nominal": -10, "tolerance": "10%"}, {}, -11, -9),
        ({"low": 0, "high": 10, "guard_band": "10%"}, {}, 1, 9), ({"low": 0, "high": 10, "guard_band": 1}, {}, 1, 9),
        ({"low": 1, "bands": [{"when": {"mode": ["a", "b"]}, "low": 2}, {"when": {}, "low": 3}]}, {"mode": "b"}, 2, None),
        ({"low": 1, "bands": [{"when": {"mode": "a"}, "low": 2}, {"when": {}, "low": 3}]}, {"mode": "b"}, 3, None),
        ({"low": 1, "bands": [{"when": {"mode": "a"}, "nominal": 5, "tolerance": 1}]}, {"mode": "a"}, 4, 6),
        ({"low": 1, "bands": [{"when": {"load": {"low": 2}}, "low": 2}]}, {"load": 1}, 1, None),
    ],
)  # fmt: skip
def test_an_entry_comes_to_a_limit(entry, inputs, low, high):
    made = _declared.limit(entry, inputs, "x")
    assert (made.low, made.high) == (low, high)


def test_stronger_bounds_take_the_place_of_the_other_kind():
    assert _declared.over({"low": 1, "high": 2, "units": "V"}, {"nominal": 3, "tolerance": 1}) == {"units": "V", "nominal": 3, "tolerance": 1}
    assert _declared.over({"nominal": 3, "tolerance": 1}, {"high": 5}) == {"nominal": 3, "high": 5}

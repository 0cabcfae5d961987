# SPDX-License-Identifier: Apache-2.0
"""Measurements from a test body: judged as the run schema says (section 5), in the right step."""

from __future__ import annotations

import itertools
import math
import operator

import pytest

from litmus import Limit
from litmus._measure import judge

INF, NAN = math.inf, math.nan

# low, high, nominal, comparator, value, outcome
JUDGED = [
    (None, None, None, None, 1, "done"), (None, None, None, None, None, "errored"), (None, None, None, None, NAN, "errored"),
    (1, 2, None, None, 1, "passed"), (1, 2, None, None, 2, "passed"), (1, 2, None, None, 2.0000001, "failed"),
    (1, 2, None, None, None, "errored"), (1, 2, None, None, NAN, "errored"), (1, None, None, None, INF, "passed"),
    (1, 2, None, "GELE", 1, "passed"), (1, 2, None, "GELT", 2, "failed"), (1, 2, None, "GELT", 1, "passed"),
    (1, 2, None, "GTLE", 1, "failed"), (1, 2, None, "GTLE", 2, "passed"), (1, 2, None, "GTLT", 1, "failed"),
    (1, 2, None, "GTLT", 2, "failed"), (1, 2, None, "GTLT", 1.5, "passed"), (1, None, None, "GE", 1, "passed"),
    (1, None, None, "GT", 1, "failed"), (None, 2, None, "LE", 2, "passed"), (None, 2, None, "LT", 2, "failed"),
    (8, 9, 5, "EQ", 5, "passed"), (None, None, 5, "EQ", 5.1, "failed"), (None, None, 5, "NE", 5.1, "passed"),
    (None, None, 5, "NE", 5, "failed"), (0, 1, None, "GELE", True, "passed"),
    (None, 2, 9, None, 1, "passed"), (None, None, "v1", None, "v1", "passed"), (None, None, "v1", "NE", "v1", "failed"),
    (None, None, True, None, True, "passed"), (None, None, True, None, 0, "failed"), (None, None, "\udc80", None, "\udc80", "passed"), (1, 2, None, None, -INF, "failed"),
]  # fmt: skip

REFUSED = [
    (None, None, 5, None), (None, None, 5, "GELE"), (None, 3, None, "GE"), (3, None, None, "LT"), (1, 2, None, "EQ"),
    (1, None, None, "NE"), (2, 1, None, "GELE"), (2, 1, None, "GTLT"),
    (1, 1, None, "GTLE"), (-INF, INF, None, None), (2, 1, None, "GE"), (2, 1, 1, "EQ"), (0, 1, None, "XX"), (None, None, None, "EQ"), (NAN, 1, None, None), (1, None, "v1", None),
]  # fmt: skip


@pytest.mark.parametrize("low, high, nominal, comparator, value, want", JUDGED)
def test_judge(low, high, nominal, comparator, value, want):
    assert judge(value, low, high, nominal, comparator) == want


EDGES = [-INF, -1.0, -5e-324, 0.0, 5e-324, 1.0, math.nextafter(1, 2), 1e308, INF]


def passes(value: float, low, high, nominal, comparator: str) -> bool:
    """Section 5 of the run schema, read word by word."""
    if comparator in ("EQ", "NE"):
        return (value == nominal) == (comparator == "EQ")
    of_low = {"GE": operator.le, "GT": operator.lt}.get(comparator[:2])
    of_high = {"LE": operator.le, "LT": operator.lt}.get(comparator[-2:])
    return (of_low is None or low is None or of_low(low, value)) and (of_high is None or high is None or of_high(value, high))


@pytest.mark.parametrize("comparator", ["GELE", "GELT", "GTLE", "GTLT", "GE", "GT", "LE", "LT", "EQ", "NE"])
def test_every_comparator_at_every_edge(comparator):
    judged = 0
    for low, high in itertools.product([None, *EDGES], repeat=2):
        try:
            limit = Limit(low, high, 1.0, comparator)
        except ValueError:
            continue
        for value in (*EDGES, True, 1, 2**62):
            said = limit.judge(value)
            assert said == ("passed" if passes(float(value), low, high, 1.0, comparator) else "failed"), (low, high, value)
            assert said == "passed" or limit.violation("m", float(value), "V")
            judged += 1
        assert limit.judge(math.nan) == limit.judge(None) == "errored"
    assert judged > 50


@pytest.mark.parametrize("low, high, nominal, comparator", REFUSED)
def test_a_limit_that_cannot_judge_is_refused(low, high, nominal, comparator):
    with pytest.raises(ValueError):
        judge(1, low, high, nominal, comparator)


def test_recorded(suite):
    suite.write(
        {
            "test_a.py": """
            import pytest, litmus
            @pytest.mark.parametrize("v", [1, 2])
            def test_rail(v, measure):
                assert measure("rail", 3.3, units="V", low=3, high=3.6) == "passed"
                measure("temp", 21)
            def test_bad(measure): assert measure("rail", 4, high=3) == "failed"
            def test_missing(measure): measure("rail", None, high=3)
            def test_function(): litmus.record_measurement("x", True, low=1)
            def test_verify(verify):
                verify("ok", 1, high=2)
                verify("bad", 3, high=2)
            def test_no_limit(verify): verify("x", 1)
            def test_no_number(measure): measure("x", [12])
            def test_bad_limit(measure): measure("x", 1, low=2, high=1)
            """
        }
    )
    record = suite.run()
    want = {
        "test_rail[1]": ("passed", None), "test_rail[2]": ("passed", None),
        "test_bad": ("failed", "rail = 4 is above 3 by 1 (limit <= 3)"),
        "test_missing": ("errored", "could not be measured"), "test_function": ("passed", None),
        "test_verify": ("failed", "bad = 3 is above 2 by 1"), "test_no_limit": ("errored", "MissingLimitError"),
        "test_no_number": ("errored", "TypeError"), "test_bad_limit": ("errored", "low 2 is above high 1"),
    }  # fmt: skip
    for name, (outcome, words) in want.items():
        row = record.row("::" + name)
        assert row.outcome == outcome, row
        assert words is None or words in row.message
    events = record.of("test.measurement")
    assert [(e["measurement_name"], e["outcome"]) for e in events] == [
        ("rail", "passed"), ("temp", "done"), ("rail", "passed"), ("temp", "done"), ("rail", "failed"), ("rail", "errored"),
        ("x", "passed"), ("ok", "passed"), ("bad", "failed"),
    ]  # fmt: skip
    first = events[0]
    assert (first["step_path"], first["vector_index"], first["step_name"]) == ("test_a.py/test_rail", 0, "test_rail")
    assert (first["limit_low"], first["limit_high"], first["limit_comparator"], first["units"]) == (3, 3.6, "GELE", "V")
    assert events[2]["vector_index"] == 1
    assert record.run_ended["outcome"] == "errored"
    if record.parquet is not None:
        rows = [row for row in record.parquet if row["record_type"] == "measurement"]
        assert [row["measurement_name"] for row in rows] == [event["measurement_name"] for event in events]


def test_outside_of_a_recorded_test(suite):
    suite.write({"test_a.py": "import litmus\nassert litmus.record_measurement('x', 1) is None\ndef test(measure): assert measure('x', 1) is None"})
    record = suite.run("--litmus-off")
    assert record.code == 0


def test_verify_holds_without_recording(suite):
    suite.write({"test_a.py": "def test(verify): verify('x', 3, high=2)"})
    assert suite.run("--litmus-off").code == 1


def messages(suite, body: str) -> tuple:
    """(record, the message of each test) of a module of tests."""
    suite.write({"test_a.py": "import pytest, litmus\n" + body})
    record = suite.run()
    return record, {row["node_id"].split("::")[-1]: row.message for row in record.rows if row["planned"]}


def test_texts_and_bools(suite):
    record, said = messages(
        suite,
        """
def test_ok(verify, measure):
    verify("fw", "v1.2", {"nominal": "v1.2"})
    measure("banner", "ready")
    assert measure("mode", "off", {"nominal": "off", "comparator": "NE"}) == "failed"
    verify("locked", True, (1, 1))
def test_wrong(verify): verify("fw", "v1.1", litmus.Limit(nominal="v1.2"))
def test_mixed(verify): verify("fw", "v1.1", (1, 2))
def test_number(verify): verify("fw", 1, {"nominal": "v1.2"})
def test_long(measure): measure("dump", "x" * 10_000_000)
def test_name(measure): measure("n" * 10_000_000, 1)
""",
    )
    assert said["test_ok"] == "mode = 'off' is what it must not be (limit not 'off')"
    assert said["test_wrong"].endswith("fw = 'v1.1' is not 'v1.2' (limit 'v1.2')")
    assert "is a text, and its limit one of numbers" in said["test_mixed"]
    assert "is a number, and its limit a text" in said["test_number"]
    assert "at most 65536 bytes are taken: attach it" in said["test_long"]
    assert "at most 255 bytes are taken: nnn" in said["test_name"]
    first = record.of("test.measurement")[0]
    assert (first["text"], first["value"], first["limit_text"], first["limit_comparator"]) == ("v1.2", None, "v1.2", "EQ")
    if record.parquet is not None:
        rows = [row for row in record.parquet if row["record_type"] == "measurement"]
        assert [row["measurement_text"] for row in rows] == ["v1.2", "ready", "off", None, "v1.1"]


def test_whatever_is_a_number_is_on_record(suite):
    record, said = messages(
        suite,
        """
from decimal import Decimal
from fractions import Fraction
class Volts:  # as pint has it
    magnitude = 1500
    __format__ = lambda self, spec: "mV"
    units = property(lambda self: self)
def test_ok(verify, observe):
    verify("bool", True, nominal=True)
    verify("bounds", 1, (Decimal("0.5"), Fraction(3, 2)))
    verify("bools", 1, (False, True))
    verify("large", 2 ** 64, (2 ** 63, 2 ** 65))
    verify("quantity", Volts(), {"high": 2000, "units": "mV"})
    observe("gain", Decimal("1.5"))
def test_soft(verify):
    with verify.soft():
        verify("a", 3, high=2)
        raise OSError("gone")
def test_array(measure): measure("x", type("Two", (), {"__float__": lambda self: 1 / 0})())
class Complex:  # as numpy has it: float() drops a part of it
    __float__ = lambda self: 1.0
    dtype = type("dtype", (), {"kind": "c"})
def test_complex(measure): measure("x", Complex())
def test_complex_limit(measure): measure("x", 1, low=Complex())
def test_comparator(measure): measure("x", 1, low=1, comparator="\\ud800\\0")
def test_slip(verify): verify("x", 1, lo=1)
@pytest.mark.limits(rail=(1, 2))
def test_name(verify): verify("rial", 1)
def test_twice(measure): measure("x", Volts(), units="V")
def test_none(measure): measure("none", None, {"high": 2, "units": "V"}, units="mV")
""",
    )
    assert said["test_ok"] is None
    assert "Two is not here: division by zero" in said["test_array"]
    assert "not Complex" in said["test_complex"] and "low is a number, not <" in said["test_complex_limit"]
    assert r"there is no comparator '\ud800\x00' (GELE, " in said["test_comparator"]
    assert "there is no 'lo'; did you mean 'low'?" in said["test_slip"]
    assert said["test_name"].startswith("litmus.MissingLimitError: verify('rial'): no limit is given, and none is declared for it; did you mean 'rail'?")
    assert "has units beside it" in said["test_twice"]
    on_record = {e["measurement_name"]: [e[key] for key in ("value", "limit_low", "limit_high", "limit_nominal", "units")] for e in record.of("test.measurement")}
    assert on_record == {
        "bool": [1, None, None, 1, None], "bounds": [1, 0.5, 1.5, None, None], "bools": [1, 0, 1, None, None], "large": [2.0**64, 2.0**63, 2.0**65, None, None],
        "none": [None, None, 2, None, "V"], "quantity": [1500, None, 2000, None, "mV"], "a": [3, None, 2, None, None],
    }  # fmt: skip
    assert [event["value"] for event in record.of("test.observation")] == [1.5]


def test_a_name_is_measured_once(suite):
    record, said = messages(
        suite,
        """
def test_twice(measure):
    measure("rail", 1)
    measure("rail", 2)
def test_repeats(measure, step):
    measure("rail", 1)
    measure("rail", 2, repeat=True)
    measure("rail", 3, fixture_connection="J1")
    with step("inner"): measure("rail", 4)
""",
    )
    assert "DuplicateMeasurementError: rail was measured in test_a.py/test_twice before" in said["test_twice"]
    assert [row.outcome for row in record.rows if row["node_id"].endswith("test_repeats")] == ["passed", "done"]
    assert len(record.of("test.measurement")) == 5


def test_soft_collects_all(suite):
    record, said = messages(
        suite,
        """
def test_soft(verify):
    with verify.soft():
        verify("a", 3, (1, 2), units="V")
        verify("b", 1, (1, 2))
        verify("c", 0, {"low": 1, "comparator": "GT"})
    raise ValueError("not reached")
def test_step(verify, step):
    with step("ramp", soft=True):
        verify("a", 3, (1, 2))
        verify("b", 3, (1, 2))
def test_one_in_another(verify, step):
    with verify.soft():
        verify("a", 3, (1, 2))
        with step("ramp", soft=True): verify("b", 3, (1, 2))
        verify("c", 3, (1, 2))
""",
    )
    assert "2 measurements are outside their limits: a, c" in said["test_soft"]
    assert "2 measurements are outside their limits: a, b" in said["test_step"]
    assert "3 measurements are outside their limits: a, b, c" in said["test_one_in_another"]
    assert [(event["outcome"], event["message"]) for event in record.of("test.step_ended") if event["step_path"].endswith("another/ramp")] == [("failed", "b = 3 is above 2 by 1 (limit 1 to 2)")]
    assert "a = 3 V is above 2 V by 1 V (limit 1 V to 2 V)" in record.out
    assert "c = 0 is below 1 by 1 (limit > 1)" in record.out


def test_sub_steps_nest(suite):
    record, said = messages(
        suite,
        """
def test_nested(step, measure, observe):
    with step("ramp/up"):
        with step("settle", inputs={"ms": 5}):
            measure("t", 1, (0, 2))
        observe("state", "on")
    with step("ramp/up"): pass
    try:
        with step("odd"): raise ValueError("odd one")
    except ValueError: pass
def test_skip(step):
    with step("inner"): pytest.skip("not today")
def test_generator(step, measure):
    def left_open():
        with step("open"): yield
    global kept
    kept = left_open()
    next(kept)
    measure("t", 3, (0, 2))
def test_no_context(step):
    step("on").__enter__()
""",
    )
    steps = {event["step_path"].split("/", 1)[1]: event for event in record.of("test.step_ended")}
    assert {path: event["outcome"] for path, event in steps.items()} == {
        "test_nested/ramp%2Fup": "passed", "test_nested/ramp%2Fup/settle": "passed", "test_nested/ramp%2Fup#2": "done", "test_nested/odd": "errored",
        "test_nested": "errored", "test_skip/inner": "skipped", "test_skip": "skipped", "test_generator/open": "failed", "test_generator": "failed",
        "test_no_context/on": "done", "test_no_context": "passed",
    }  # fmt: skip
    assert steps["test_nested"]["message"] == "odd: odd one"
    assert record.run_ended["outcome"] == "errored"
    settle = steps["test_nested/ramp%2Fup/settle"]
    assert (settle["parent_path"], settle["step_name"], settle["inputs"], settle["step_index"]) == ("test_a.py/test_nested/ramp%2Fup", "settle", {"ms": 5}, 0)
    (observed,) = record.of("test.observation")
    assert (observed["step_path"], observed["name"], observed["value"]) == ("test_a.py/test_nested/ramp%2Fup", "state", "on")
    if record.parquet is not None:
        (row,) = [r for r in record.parquet if r["record_type"] == "step" and r["step_path"].endswith("ramp%2Fup")]
        assert row["out_state"] == "on"


def test_units(suite):
    pytest.importorskip("pint")
    record, said = messages(
        suite,
        """
LIMIT = litmus.Limit(3.2, 3.4, units="V")
def test_converted(verify): verify("rail", 3300, LIMIT, units="mV")
def test_too_high(verify): verify("rail", 3500, LIMIT, units="mV")
def test_other_kind(verify): verify("rail", 3.3, LIMIT, units="A")
def test_no_units(verify): verify("rail", 3.3, LIMIT, units="volts per fortnite")
def test_powers(verify):
    import pytest
    verify("area", 2, {"high": 3e6, "units": "mm^2"}, units="(m**(1))**2")
    for units in ("9**9**9*V", "(9**99)**99*V", "9**(9**9)*V", "V**x", "9^9 ^9 V"):
        with pytest.raises(ValueError, match="powers are to be plain numbers"): verify("rail", 3.3, LIMIT, units=units)
@pytest.mark.parametrize("units, wanted", [("Hz", "rpm"), ("cd", "lm"), ("deg", "percent")])
def test_angle(verify, units, wanted): verify("fan", 60, {"high": 70, "units": wanted}, units=units)
def test_offset(verify):
    verify("heat", 25, {"low": 290, "high": 300, "units": "K"}, units="degC")
    verify("turn", 180, {"low": 3.1, "high": 3.2, "units": "rad"}, units="deg")
    verify("case", 77, {"low": 25, "high": 25, "units": "degC"}, units="degF")
    verify("carrier", 30, {"nominal": 0, "comparator": "EQ", "units": "dBW"}, units="dBm")
def test_ratio(verify):
    import pint
    verify("loss", 0.5, {"low": 50, "high": 50, "units": "%"}, units="dimensionless")
    verify("drift", 500, {"low": 0.05, "high": 0.05, "units": "percent"}, units="ppm")
    verify("duty", pint.Quantity(0.5, ""), {"low": 50, "high": 50, "units": "%"})
    verify("on", True, {"nominal": __import__("numpy").bool_(True)})
def test_without_pint(verify, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pint", None)
    verify("rail", 3300, LIMIT, units="mV")
""",
    )
    assert record.row("test_converted").outcome == "passed"
    assert "rail = 3.5 V is above 3.4 V by 0.1 V (limit 3.2 V to 3.4 V)" in said["test_too_high"]
    assert "is in A and its limit in V: Cannot convert" in said["test_other_kind"]
    for name in ("test_offset", "test_powers", "test_ratio"):
        assert record.row(name).outcome == "passed", said[name]
    for units in ("Hz-rpm", "cd-lm", "deg-percent"):
        assert "only one of them counts angles" in said[f"test_angle[{units}]"]
    assert "is in volts per fortnite and its limit in V" in said["test_no_units"]
    assert "convert one of them, or install pint" in said["test_without_pint"]
    assert [(event["value"], event["units"]) for event in record.of("test.measurement")] == [
        (3.3, "V"), (3.5, "V"), (2e6, "mm^2"), (298.15, "K"), (3.14159265358979, "rad"),
        (25, "degC"), (0, "dBW"), (50, "%"), (0.05, "percent"), (50, "%"), (1, None),
    ]  # fmt: skip


WORDS = [
    ((1, 2), 3, "above 2 V by 1 V (limit 1 V to 2 V)"), ((1, 2), 0.9, "below 1 V by 0.1 V"), ((None, 2, None, "LT"), 2, "on its limit, which is not in it (limit < 2 V)"),
    ((1, 2, None, "GTLE"), 5, "above 2 V by 3 V (limit > 1 V, <= 2 V)"), ((None, None, 5, "EQ"), 5.5, "is not 5 V, off by 0.5 V (limit 5 V)"),
    ((None, None, 5, "NE"), 5, "what it must not be (limit not 5 V)"), ((None, None, 0.3, "EQ"), 0.1 + 0.2, "x = 0.30000000000000004 V is not 0.3 V, off by 5.55e-17 V"),
    ((None, None, True), 0.0, "x = False is not True (limit True)"), ((None, 0.3), 0.1 + 0.2, "x = 0.30000000000000004 V is above 0.3 V by 5.55e-17 V"), ((1,), 0, "below 1 V by 1 V (limit >= 1 V)"),
]  # fmt: skip


@pytest.mark.parametrize("bounds, value, words", WORDS)
def test_a_violation_in_words(bounds, value, words):
    assert words in Limit(*bounds).violation("x", value, "V")


@pytest.mark.parametrize("given", [3, "3", {"lwo": 1}, (1, 2, 3), {"low": "3"}, {"low": 1, "units": 5}])
def test_what_is_no_limit_is_refused(given):
    with pytest.raises(TypeError, match=r"the limit of x(?!.*lwo)|did you mean 'low'"):
        Limit.of(given, "x")


def test_a_violation_shows_the_line_of_the_test(suite):
    test = """
def test_rail(verify):
    verify("rail", 3.47, (3.2, 3.4), units="V")
def test_soft(verify):
    with verify.soft():
        verify("rail", 3.47, (3.2, 3.4))
"""
    suite.write({"test_v.py": test})
    out = suite.run().out
    assert "litmus.LimitFailure: rail = 3.47 V is above 3.4 V" in out
    assert "_measure.py" not in out


def test_attachments(suite):
    record, said = messages(
        suite,
        """
def test_ok(attach, step, tmp_path):
    (tmp_path / "trace.csv").write_text("1,2\\n")
    first = attach(tmp_path / "trace.csv")
    with step("inner"): assert attach(b"1,2\\n", "same.csv") == first
    attach(bytearray(b"x"), name="raw")
    import os
    odd = os.fsencode(tmp_path) + b"/odd\\xff.csv"
    os.rename(tmp_path / "trace.csv", odd)
    assert attach(os.fsdecode(odd)) == attach(b"1,2\\n", "lone\\ud800.csv") == first
def test_no_file(attach): attach("/nowhere/x.csv")
def test_no_name(attach): attach(b"x")
def test_no_content(attach): attach(5, "x")
def test_no_path(attach): attach("/nowhere/\\ud800.csv")
def test_nul(attach): attach("/nowhere/\\0.csv")
def test_nul_name(attach): attach(b"x", "a\\0b")
def test_fails():
    print("captured words")
    raise AssertionError("wrong")
""",
    )
    assert said["test_ok"] is None
    assert "/nowhere/x.csv" in said["test_no_file"] and "StorageError" in said["test_no_file"]
    assert "the name of an attachment" in said["test_no_name"] and "path of a file, or bytes, not int" in said["test_no_content"]
    assert "is no path of a file" in said["test_no_path"]
    assert "has a NUL character" in said["test_nul"] and "name of an attachment has a NUL" in said["test_nul_name"]
    events = {event["name"]: event for event in record.of("test.attachment") if event["name"] != "failure.txt"}
    assert {"trace.csv", "same.csv", "raw", "odd\\xff.csv"} < set(events) and events["same.csv"]["step_path"].endswith("/inner")
    import hashlib

    assert events["trace.csv"]["sha256"] == hashlib.sha256(b"1,2\n").hexdigest() and events["trace.csv"]["size_bytes"] == 4
    if record.parquet is not None:
        (row,) = [r for r in record.parquet if r["record_type"] == "step" and r["step_path"].endswith("/test_fails")]
        (blob,) = record.data_dir.glob("runs/*/*_ref/" + row["out_failure.txt"].rsplit("/", 1)[1])
        text = blob.read_text()
        assert "captured words" in text and "AssertionError: wrong" in text and "call: failed" in text
        assert len(list(record.data_dir.glob("runs/*/*_ref/*.csv"))) == 1

# SPDX-License-Identifier: Apache-2.0
"""Measurements from a test body: judged as the run schema says (section 5), in the right step."""

from __future__ import annotations

import math

import pytest

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
    (0, 1, None, None, "v1", "failed"), (None, None, "\udc80", None, "\udc80", "passed"), (1, 2, None, None, -INF, "failed"),
]  # fmt: skip

REFUSED = [
    (None, None, 5, None), (None, None, 5, "GELE"), (None, 3, None, "GE"), (3, None, None, "LT"), (1, 2, None, "EQ"),
    (1, None, None, "NE"), (2, 1, None, "GELE"), (2, 1, None, "GTLT"),
    (2, 1, None, "GE"), (2, 1, 1, "EQ"), (0, 1, None, "XX"), (None, None, None, "EQ"), (NAN, 1, None, None), (1, None, "v1", None),
]  # fmt: skip


@pytest.mark.parametrize("low, high, nominal, comparator, value, want", JUDGED)
def test_judge(low, high, nominal, comparator, value, want):
    assert judge(value, low, high, nominal, comparator) == want


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
            def test_no_number(measure): measure("x", "12")
            def test_bad_limit(measure): measure("x", 1, low=2, high=1)
            """
        }
    )
    record = suite.run()
    want = {
        "test_rail[1]": ("passed", None), "test_rail[2]": ("passed", None),
        "test_bad": ("failed", "rail = 4 is outside limit high 3 (GELE)"),
        "test_missing": ("errored", "could not be measured"), "test_function": ("passed", None),
        "test_verify": ("failed", "bad = 3 is outside limit high 2"), "test_no_limit": ("errored", "MissingLimitError"),
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

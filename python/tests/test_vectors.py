# SPDX-License-Identifier: Apache-2.0
"""Sweeps in test bodies: every vector is planned and has a row, whatever becomes of the sweep."""

from __future__ import annotations

import copy
import pathlib
import pickle
import re
import subprocess
import sys
import threading

import pytest
from harness import FORKED, needs

pytest.importorskip("litmus._litmus")
import litmus  # noqa: E402
from litmus import _sidefile, _sweep  # noqa: E402
from litmus.errors import ConfigError  # noqa: E402


def steps(record, name: str) -> list:
    """The Parquet rows of a test, in order of their vectors."""
    return [row for row in record.parquet if row["record_type"] == "step" and row["step_name"] == name]


def outcomes(record, name: str) -> list:
    return [row["vector_outcome"] for row in steps(record, name)]


SWEEP = """
import litmus, pytest

@pytest.mark.vectors(voltage=[3.0, 3.3], load=litmus.range(0, 1, 0.5))
def test_all(vectors, verify, observe):
    for v in vectors:
        assert v["voltage"] == v.voltage and v.index < len(vectors)
        observe("fan", v.index)
        verify("rail", v.voltage + v.load, (0, 10))

@pytest.mark.vectors(load=[1, 2, 3, 4])
def test_stops(vectors, verify, record_property):
    for v in vectors:
        record_property("seen", v.load)
        verify("load", v.load, (0, 2))

@pytest.mark.vectors(load=[1, 2, 3, 4])
def test_goes_on(vectors, verify):
    for v in vectors:
        with v:
            if v.load == 3:
                pytest.skip("not this one")
            verify("load", v.load, (2, 3))

@pytest.mark.vectors(load=[1, 2])
def test_measured(vectors, measure):
    for v in vectors:
        measure("load", v.load, (2, 3))
"""


def test_every_vector_has_a_row(suite):
    suite.write({"test_a.py": SWEEP})
    record = suite.run()
    assert record.summary == {"failed": 2, "passed": 2}
    assert len(record.plan) == 6 + 4 + 4 + 2
    rows = steps(record, "test_all")
    assert [(row["vector_index"], row["in_voltage"], row["in_load"], row["out_fan"], row["vector_outcome"]) for row in rows] == [
        (n, voltage, load, n, "passed") for n, (voltage, load) in enumerate([(3.0, 0), (3.0, 0.5), (3.0, 1), (3.3, 0), (3.3, 0.5), (3.3, 1)])
    ]
    assert {(row["step_vector_count"], row["step_node_id"]) for row in rows} == {(6, "test_a.py::test_all")}
    measured = [row for row in record.parquet if row["measurement_name"] == "rail"]
    assert [(row["vector_index"], row["measurement_value"], row["in_load"], row["vector_outcome"]) for row in measured[:2]] == [(0, 3.0, 0, "passed"), (1, 3.5, 0.5, "passed")]
    record.check_order()
    record.check_parquet()


def test_the_first_failure_stops_the_sweep(suite):
    suite.write({"test_a.py": SWEEP})
    record = suite.run("-k", "stops")
    rows = steps(record, "test_stops")
    assert [row["vector_outcome"] for row in rows] == ["passed", "passed", "failed", None]
    assert [row["out_seen"] for row in rows] == [1, 2, 3, None]
    assert (rows[3]["never_ran_reason"], rows[3]["step_message"], rows[3]["in_load"]) == ("sweep_stopped", "vector 3 of 4: failed", 4)
    assert {row["step_outcome"] for row in rows[:3]} == {"failed"}
    assert "1 passed" not in record.line and " 4 planned: 2 passed, 1 failed, 1 never ran" in record.line


def test_with_a_vector_the_sweep_goes_on(suite):
    suite.write({"test_a.py": SWEEP})
    record = suite.run("-k", "goes_on or measured")
    rows = steps(record, "test_goes_on")
    assert [row["vector_outcome"] for row in rows] == ["failed", "passed", "skipped", "failed"]
    assert [row["step_message"] for row in rows] == ["load = 1 is below 2 by 1 (limit 2 to 3)", None, "not this one", "load = 4 is above 3 by 1 (limit 2 to 3)"]
    assert "2 of 4 vectors failed" in record.out and "vector 3: load=4: load = 4 is above" in record.out
    assert outcomes(record, "test_measured") == ["failed", "passed"]
    assert record.run_ended["outcome"] == "failed"


SIDE = """vectors:
  test_a: {load: {start: 0, stop: 0.3, step: 0.1}, mode: slow}
  test_zip:
    zip: {a: [1, 2], b: [3, 4]}
    c: [5, 6]
  test_list:
    - {a: 1, b: [1, 2]}
    - {a: 2}
"""


def test_what_a_side_file_declares(suite):
    test = "import pytest\n" + "\n".join(f"@pytest.mark.vectors(x=[9])\ndef {name}(vectors):\n    for v in vectors: pass" for name in ("test_a", "test_zip", "test_list", "test_marked"))
    suite.write({"test_s.py": test, "test_s.yaml": SIDE})
    record = suite.run()
    assert record.code == 0, record.out
    inputs: dict = {}
    for item in record.plan:
        inputs.setdefault(item["function"], []).append(item["inputs"])
    assert inputs == {
        "test_a": [{"load": load, "mode": "slow"} for load in (0.0, 0.1, 0.2, 0.3)],
        "test_zip": [{"a": 1, "b": 3, "c": 5}, {"a": 1, "b": 3, "c": 6}, {"a": 2, "b": 4, "c": 5}, {"a": 2, "b": 4, "c": 6}],
        "test_list": [{"a": 1, "b": [1, 2]}, {"a": 2}],
        "test_marked": [{"x": 9}],
    }
    assert record.counts() == {"passed": 11}


@pytest.mark.parametrize(
    "side, words",
    [
        ("{load: []}", "line 2, column 12: load has no values"),
        ("{load: {start: 0, stp: 2}}", "line 2, column 29: a range has no key `stp`; did you mean stop?"),
        ("{load: {start: 0}}", "line 2, column 12: a range has start, stop and step; stop is missing"),
        ("{load: {start: 0, stop: 2, step: -1}}", "line 2, column 12: a range from 0 to 2 in steps of -1 never comes to its end"),
        ("{load: {start: 0, stop: 1.1e300}}", "line 2, column 12: the stop of a range is not within 1e+300"),
        ("{load: {start: 0, stop: x}}", "line 2, column 12: the stop of a range is a number, not 'x'"),
        ("{zip: {a: [1], b: [1, 2]}}", "line 2, column 12: inputs side by side are equally many: a has 1, b has 2"),
        ("{zip: 5}", "line 2, column 12: zip is a mapping from input to values, not 5"),
        ("5", "line 2, column 3: vectors are a mapping from input to values, or a list of mappings, not 5"),
        ("[1]", "line 2, column 3: a list of vectors is a list of mappings from input to value, not [1]"),
        ("[]", "line 2, column 3: there is no vector to run"),
        ("{zip: {a: [1]}, a: [1]}", "line 2, column 3: a is swept twice"),
        ("{a: {start: 1, stop: 1001}, b: {start: 1, stop: 1000}}", "line 2, column 3: 1001000 vectors are too many for one test"),
    ],
)
def test_a_slip_in_a_side_file(tmp_path, side, words):
    (tmp_path / "test_s.yaml").write_text(f"vectors:\n  test_a: {side}\n")
    (section,) = _sidefile.SideFiles().sections("vectors", str(tmp_path / "test_s.py"), "test_s.py::test_a")
    with pytest.raises(ConfigError) as caught:
        _sweep.of_yaml(section.value, section.error)
    assert words in str(caught.value)


NAN = float("nan")


@pytest.mark.parametrize(
    "mark, words",
    [
        (pytest.mark.vectors(load=[]), "load has no values"),
        (pytest.mark.vectors(load=[1, NAN]), "load is nan in a vector"),
        (pytest.mark.vectors(load=["x" * 100_000]), "load has a text of 100000 characters"),
        (pytest.mark.vectors([1, 2]), "a list of mappings from input to value"),
        (pytest.mark.vectors({"a": 1}), "a list of mappings from input to value"),
        (pytest.mark.vectors([{"": 1}]), "the name of an input is a non-empty str"),
        (pytest.mark.vectors(), "there is no vector to run"),
        (pytest.mark.vectors([]), "there is no vector to run"),
        (pytest.mark.vectors([{"a": 1}], a=[2]), "a is swept twice"),
    ],
)
def test_a_slip_in_a_marker(mark, words):
    with pytest.raises((TypeError, ValueError)) as caught:
        _sweep.of_marker(mark.mark)
    assert words in str(caught.value)


def test_a_slip_is_an_error_of_collection(suite):
    test = "import pytest\n@pytest.mark.vectors(power=[1])\n@pytest.mark.parametrize('power', [1])\ndef test_a(vectors, power): pass\n"
    test += "@pytest.mark.vectors(load=[1, 2])\ndef test_b(vectors): pass\n"  # has nothing wrong: all of its vectors stay in the plan
    unused = "import pytest\n@pytest.mark.vectors(power=[1])\ndef test_a(): pass\n"
    suite.write({"test_a.py": test, "test_b.py": unused, "test_c.py": "def test_a(vectors): pass\n", "test_c.yaml": "vectors:\n  test_b: {a: 1}\n"})
    suite.write({"test_d.py": "def test_a(): pass\n", "test_d.yaml": "vectors:\n  test_a: {a: 1}\n"})
    record = suite.run()
    assert record.code == 2 and record.reasons() == {"collection_error"} and record.counts() == {None: 6}
    for words in (
        "test_a.py::test_a[1]: power is a parameter of the test, and swept in its vectors",
        "test_b.py::test_a: vectors are declared for it, and it does not go through them",
        "test_d.yaml, line 2, column 3: test_d.py::test_a: vectors are declared for it, and it does not go through them",
        "test_c.yaml, line 2, column 3: test_c.py has no test `test_b`; did you mean test_a?",
    ):
        assert words in record.out


HOSTILE = """
import litmus, pytest

def test_undeclared(vectors): pass

@pytest.mark.vectors(a=[1, 2])
def test_never_taken(vectors): pass

@pytest.mark.vectors(a=[1, 2])
def test_taken_twice(vectors):
    for v in vectors: pass
    for v in vectors: pass

@pytest.mark.vectors(a=[1, 2, 3])
def test_left(vectors):
    for v in vectors:
        if v.a == 2: break

@pytest.mark.vectors(a=[1, 2, 3])
def test_left_after_a_failure(vectors):
    for v in vectors:
        with v: assert v.a != 1
        if v.a == 2: break

@pytest.mark.vectors(a=[1, 1, 1])
def test_the_same_thrice(vectors, verify):
    for v in vectors: verify("a", v.a, (0, 2))

@pytest.mark.vectors(a=[1, 2])
@pytest.mark.parametrize("b", [3, 4])
def test_product(vectors, b, verify):
    for v in vectors: verify("sum", v.a + b, (0, 9))

@pytest.mark.skip(reason="no load")
@pytest.mark.vectors(a=[1, 2, 3])
def test_skipped(vectors): pass

@pytest.mark.xfail(reason="known")
@pytest.mark.vectors(a=[1, 2, 3])
def test_xfail(vectors):
    for v in vectors: assert v.a < 2

@pytest.mark.xfail(strict=True, reason="known")
@pytest.mark.vectors(a=[1, 2, 3])
def test_xfail_goes_on(vectors):
    for v in vectors:
        with v: assert v.a != 2

@pytest.mark.vectors(a=[1, 2])
def test_a_list_of_them(vectors):
    for v in reversed(list(vectors)):
        with v: assert v.a > 1

@pytest.mark.vectors(a=[1, 2])
def test_outside_of_the_loop(vectors):
    for v in vectors: pass
    raise OSError("after it")

@pytest.fixture
def broken(): raise OSError("no")
@pytest.mark.vectors(a=[1, 2])
def test_setup(broken, vectors): pass

@pytest.fixture
def breaks():
    yield
    raise OSError("late")
@pytest.mark.vectors(a=[1, 2])
def test_teardown(breaks, vectors):
    for v in vectors: pass

@pytest.mark.vectors(a=[1, 2])
def test_sub_steps(vectors, step, verify):
    for v in vectors:
        with step("ramp"): verify("v", v.a, (0, 1))

@pytest.mark.vectors(a=[1, 2])
def test_open_sub_step(vectors, step):
    for v in vectors: step("ramp").__enter__()

@pytest.mark.vectors(a=[1, 2])
def test_an_error_is_no_failure(vectors):
    for v in vectors:
        with v: raise OSError("lost")
"""

WANTED = {
    "test_undeclared": ["errored"],
    "test_never_taken": ["errored", None],
    "test_taken_twice": ["passed", "errored"],
    "test_left": ["passed", "passed", None],
    "test_left_after_a_failure": ["failed", "passed", None],
    "test_the_same_thrice": ["passed"] * 3,
    "test_product": ["passed"] * 4,
    "test_skipped": [None] * 3,
    "test_xfail": ["passed", "skipped", None],
    "test_xfail_goes_on": ["passed", "failed", "passed"],
    "test_a_list_of_them": ["passed", "errored"],
    "test_outside_of_the_loop": ["passed", "errored"],
    "test_setup": ["errored", None],
    "test_teardown": ["passed", "errored"],
    "test_sub_steps": ["passed", "failed"],
    "test_open_sub_step": ["errored", None],
    "test_an_error_is_no_failure": ["errored", None],
}


@pytest.mark.parametrize("args", [(), pytest.param(("-n", "2"), marks=needs("xdist"))])
def test_hostile(suite, args):
    suite.write({"test_h.py": HOSTILE})
    record = suite.run(*args)
    assert {name: outcomes(record, name) for name in WANTED} == WANTED
    assert record.summary == {"failed": 8, "error": 3, "passed": 5, "skipped": 1, "xfailed": 2}, record.out
    never = {row["step_name"]: (row["never_ran_reason"], row["step_message"]) for row in record.parquet if row["record_type"] == "step" and row["vector_outcome"] is None}
    assert never == {
        "test_never_taken": ("sweep_stopped", "vector 1 of 2: errored"),
        "test_left": ("sweep_stopped", "vector 2 of 3: the loop was left"),
        "test_left_after_a_failure": ("sweep_stopped", "vector 2 of 3: the loop was left"),
        "test_skipped": ("skip_marker", "no load"),
        "test_xfail": ("sweep_stopped", "vector 2 of 3: skipped"),
        "test_setup": ("sweep_stopped", "vector 1 of 2: errored"),
        "test_open_sub_step": ("sweep_stopped", "vector 1 of 2: errored"),
        "test_an_error_is_no_failure": ("sweep_stopped", "vector 1 of 2: errored"),
    }
    assert record.run_ended["outcome"] == "errored" and record.run_ended["stop_reason"] is None
    record.check_order()
    record.check_parquet()


@pytest.mark.skipif(pytest.version_tuple < (9,), reason="subtests are pytest's own from 9 on")
@pytest.mark.parametrize("args", [(), pytest.param(("-n", "1"), marks=needs("xdist"))])
def test_a_subtest_is_of_the_vector_at_hand(suite, args):
    body = "import pytest\n@pytest.mark.vectors(a=[1, 2, 3])\ndef test(vectors, subtests):\n for v in vectors:\n  with subtests.test(a=v.a): assert v.a != 2\n"
    suite.write({"test_h.py": body})
    record = suite.run(*args)
    assert outcomes(record, "test") == ["passed", "failed", "passed"]
    assert "subtest (a=2): assert 2 != 2" in steps(record, "test")[1]["step_message"]
    assert (record.code, record.run_ended["outcome"]) == (1, "failed")


def test_a_kill_in_the_third(suite):
    test = """
        import os, pytest
        @pytest.mark.vectors(a=[1, 2, 3, 4, 5])
        def test_a(vectors, measure):
            for v in vectors:
                measure("a", v.a)
                if v.a == 3: os.kill(os.getpid(), 9)
    """
    suite.write({"test_a.py": test})
    suite.run()
    subprocess.run([pathlib.Path(sys.executable).with_name("litmus"), "materialize", "-d", suite.data_dir], check=True, capture_output=True)
    rows = [row for row in suite.rows() if row["record_type"] == "step"]
    assert [row["vector_outcome"] for row in rows] == ["passed", "passed", "aborted", None, None]
    assert [row["never_ran_reason"] for row in rows[3:]] == ["crash"] * 2
    assert [row["in_a"] for row in rows] == [1, 2, 3, 4, 5]


def test_an_interrupt_in_the_second(suite):
    suite.write({"test_a.py": "import pytest\n@pytest.mark.vectors(a=[1, 2, 3])\ndef test_a(vectors):\n    for v in vectors:\n        if v.a == 2: raise KeyboardInterrupt\n"})
    record = suite.run()
    assert outcomes(record, "test_a") == ["passed", "terminated", None]
    assert record.reasons() == {"interrupted"}


def test_vectors_of_a_run_that_stopped(suite):
    suite.write({"test_a.py": "import pytest\n@pytest.mark.vectors(a=[1, 2])\n@pytest.mark.parametrize('b', [1, 2])\ndef test_a(vectors, b): assert 0\n"})
    record = suite.run("-x")
    assert [row["never_ran_reason"] for row in steps(record, "test_a")] == [None, "sweep_stopped", "maxfail", "maxfail"]


def test_a_sweep_in_a_forked_child_is_refused(suite):
    suite.write({"conftest.py": FORKED, "test_a.py": SWEEP, "test_b.py": "def test_b(measure): measure('b', 1)\n"})
    record = suite.run("-k", "goes_on or test_b")
    first, *rest = steps(record, "test_goes_on")
    assert first["vector_outcome"] == "errored" and first["step_failed_phase"] == "setup"
    assert "test_a.py::test_goes_on runs in a forked child (pytest-forked), from which no row comes for each of its 4 vectors" in first["step_message"]
    assert [row["never_ran_reason"] for row in rest] == ["sweep_stopped"] * 3
    assert outcomes(record, "test_b") == ["passed"]
    assert suite.run("--litmus-off", "-k", "goes_on").summary["failed"] == 1  # nothing to lose: it runs


def test_without_recording(suite):
    suite.write({"test_a.py": SWEEP})
    assert suite.run("--litmus-off").summary == {"failed": 2, "passed": 2}
    assert not suite.rows()


def test_a_hundred_thousand(suite):
    suite.write({"test_a.py": "import litmus, pytest\n@pytest.mark.vectors(a=litmus.range(1, 100_000))\ndef test_a(vectors):\n    for v in vectors:\n        if v.a == 1000: break\n"})
    out, _ = suite.start().communicate(timeout=600)  # nobody reads so many rows back
    assert "100000 planned: 1000 passed, 99000 never ran" in out


@pytest.mark.parametrize(
    "arguments, values",
    [((0, 2, 0.5), [0, 0.5, 1, 1.5, 2]), ((0, 0.3, 0.1), [0, 0.1, 0.2, 0.3]), ((3, 1, -1), [3, 2, 1]), ((1, 3), [1, 2, 3]), ((1, 1, 5), [1]), ((0, 1, 0.4), [0, 0.4, 0.8])],
)
def test_range(arguments, values):
    assert litmus.range(*arguments) == values


def test_an_input_that_is_not_there():
    from litmus._vectors import Vector

    vector = Vector(None, 2, {"load": 1})
    with pytest.raises(KeyError, match="vector 2 has no input laod; did you mean load"):
        vector["laod"]
    assert "laod" not in vector and vector.get("laod") is None and dict(vector) == {"load": 1}


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda vector: pickle.loads(pickle.dumps(vector))], ids=["copy", "deepcopy", "pickle"])
def test_a_copy_of_a_vector_is_its_inputs(copied):
    """For a process that works on it, say."""
    from litmus._vectors import Vector, VectorsError

    vector = copied(Vector(threading.Lock(), 2, {"load": 1}))  # nobody can copy the session
    assert (vector.index, vector.load) == (2, 1)
    with pytest.raises(VectorsError, match="this is a copy of vector 2"):
        vector.__enter__()


@pytest.mark.parametrize("arguments, error", [((0, 1, 0), ValueError), ((0, 1, -1), ValueError), ((0, float("inf")), ValueError), (("0", 1), TypeError), ((0, 1e9, 1e-9), ValueError), ((0, 1e308, 1e-308), ValueError)])
def test_a_range_that_cannot_be(arguments, error):
    with pytest.raises(error):
        litmus.range(*arguments)


def test_the_page(suite):
    page = (pathlib.Path(__file__).parents[2] / "docs" / "vectors.md").read_text(encoding="utf-8")
    suite.write({name: text for name, text in re.findall(r"```\w+\n# (test_\w+\.\w+)\n(.*?)```", page, re.DOTALL)})
    record = suite.run()
    assert record.code == 0, record.out
    assert record.counts() == {"passed": 6 + 2 + 10 + 1}
    (link,) = steps(record, "test_link")
    assert link["attempt_outcomes"] == ["failed", "passed"]

# SPDX-License-Identifier: Apache-2.0
"""Retries by a policy of ours: one row a step, every attempt in it, the last one counts."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest
from harness import needs

pytest.importorskip("litmus._litmus")
from litmus import _retry, _sidefile  # noqa: E402
from litmus.errors import ConfigError  # noqa: E402


def step(record, name: str) -> dict:
    (row,) = [row for row in record.parquet if row["record_type"] == "step" and row["step_name"] == name]
    return row


SUITE = """
import collections, pytest
N = collections.Counter()

@pytest.fixture
def fresh():
    N["fresh"] += 1
    return N["fresh"]

@pytest.mark.retry(times=3)
def test_passes_in_the_third(fresh, verify):
    verify("level", fresh, (3, 9))

@pytest.mark.retry(times=2, on=["failed"])
def test_never_passes():
    assert 0, "no"

@pytest.mark.retry(times=2, on=["failed"])
def test_an_error_is_no_reason():
    raise OSError("no")

@pytest.mark.retry(times=2, on=[OSError, "KeyError"])
def test_of_a_kind():
    N["kind"] += 1
    if N["kind"] < 3: raise FileNotFoundError("no")

@pytest.fixture(scope="module")
def wide():
    N["wide"] += 1
    if N["wide"] == 1: raise OSError("not yet")

@pytest.mark.retry(times=1)
def test_setup(wide): pass

@pytest.fixture
def closes():
    yield
    N["closes"] += 1
    if N["closes"] == 1: raise OSError("late")

@pytest.mark.retry(times=1)
def test_teardown(closes): pass

@pytest.mark.retry(times=1)
def test_both(closes):
    N["both"] += 1
    N["closes"] = 0
    assert N["both"] > 1, "body"

@pytest.mark.retry(times=1)
def test_measured(measure):
    N["measured"] += 1
    measure("m", N["measured"], (2, 9))

@pytest.mark.retry(times=1)
class TestState:
    def test_self(self):
        assert not hasattr(self, "seen"), "the same instance"
        self.seen = True
        N["self"] += 1
        assert N["self"] > 1

@pytest.mark.retry(times=1)
@pytest.mark.vectors(a=[1, 2, 3])
def test_sweep(vectors, verify):
    N["sweep"] += 1
    for v in vectors: verify("a", v.a, (0, 1 if N["sweep"] == 1 else 9))

@pytest.mark.retry(times=2)
def test_skips():
    pytest.skip("no")

@pytest.mark.retry(times=2)
@pytest.mark.xfail
def test_xfail(): assert 0

def test_plain(): assert 0
"""

ATTEMPTS = {
    "test_passes_in_the_third": ["failed", "failed", "passed"],
    "test_never_passes": ["failed"] * 3,
    "test_an_error_is_no_reason": ["errored"],
    "test_of_a_kind": ["errored", "errored", "passed"],
    "test_setup": ["errored", "passed"],
    "test_teardown": ["errored", "passed"],
    "test_both": ["errored", "errored"],
    "test_measured": ["failed", "passed"],
    "test_self": ["failed", "passed"],
    "test_skips": ["skipped"],
    "test_xfail": ["skipped"],
    "test_plain": ["failed"],
}


@pytest.mark.parametrize("args", [(), pytest.param(("-n", "2", "--dist", "loadfile"), marks=needs("xdist"))])
def test_every_attempt_is_on_record(suite, args):
    suite.write({"test_a.py": SUITE})
    record = suite.run(*args)
    assert {name: step(record, name)["attempt_outcomes"] for name in ATTEMPTS} == ATTEMPTS
    sweep = {row["vector_index"]: row["attempt_outcomes"] for row in record.parquet if row["record_type"] == "step" and row["step_name"] == "test_sweep"}
    assert sweep == {0: ["passed", "passed"], 1: ["failed", "passed"], 2: ["passed"]}
    levels = [(row["measurement_value"], row["measurement_outcome"], row["vector_retry"]) for row in record.parquet if row["measurement_name"] == "level"]
    assert levels == [(1, "failed", 0), (2, "failed", 1), (3, "passed", 2)]
    assert step(record, "test_passes_in_the_third")["vector_retry"] == 2
    assert "late" in step(record, "test_both")["step_message"]
    assert record.summary["failed"] == 3 and record.summary["rerun"] == 12, record.out
    assert record.run_ended["outcome"] == "errored"
    record.check_order()
    record.check_parquet()


def test_only_the_last_failure_counts_for_maxfail(suite):
    test = """
        import pytest
        N = []
        @pytest.mark.retry(times=2)
        def test_1():
            N.append(1)
            assert len(N) > 2
        @pytest.mark.retry(times=1)
        def test_2(): assert 0
        def test_3(): pass
    """
    suite.write({"test_a.py": test})
    record = suite.run("-x", "--junitxml=j.xml", "-p", "no:rerunfailures")
    assert [row["attempts"] for row in record.rows] == [["failed", "failed", "passed"], ["failed", "failed"], []]
    assert record.run_ended["stop_reason"] == "maxfail" and record.reasons() == {"maxfail"}
    assert (suite.path / "j.xml").read_text().count("<testcase ") == 2


def test_a_kill_in_the_second_attempt(suite):
    test = """
        import os, pytest
        N = []
        @pytest.mark.retry(times=2)
        def test_1(measure):
            N.append(1)
            measure("n", len(N))
            if len(N) == 2: os.kill(os.getpid(), 9)
            assert 0
        def test_2(): pass
    """
    suite.write({"test_a.py": test})
    suite.run()
    subprocess.run([pathlib.Path(sys.executable).with_name("litmus"), "materialize", "-d", suite.data_dir], check=True, capture_output=True)
    rows = suite.rows()
    assert [row["attempt_outcomes"] for row in rows if row["record_type"] == "step"] == [["failed", "aborted"], []]
    assert [row["vector_retry"] for row in rows if row["record_type"] == "measurement"] == [0, 1]


def test_where_a_policy_comes_from(suite):
    marks = {"test_file": "@pytest.mark.retry(times=3)", "test_marker": "@pytest.mark.retry(times=2)", "test_config": "", "test_off": "@pytest.mark.retry(times=0)"}
    test = "import pytest\n" + "\n".join(f"{mark}\ndef {name}(): assert 0" for name, mark in marks.items())
    suite.write({"test_a.py": test, "test_a.yaml": "retry:\n  test_file: {times: 1, delay: 0.001}\n", "litmus.yaml": "retry: 3\n"})
    record = suite.run()
    assert {row["name"]: len(row["attempts"]) for row in record.rows} == {"test_file": 2, "test_marker": 3, "test_config": 4, "test_off": 1}


@needs("pytest_rerunfailures")
def test_beside_rerunfailures(suite):
    test = "import pytest\n@pytest.mark.retry(times=1)\ndef test_ours(): assert 0\ndef test_theirs(): assert 0\n"
    suite.write({"test_a.py": test, "litmus.yaml": "retry: 5\n"})
    record = suite.run("--reruns", "2")
    assert {row["name"]: len(row["attempts"]) for row in record.rows} == {"test_ours": 2, "test_theirs": 3}
    suite.write({"test_a.py": "import pytest\n@pytest.mark.flaky(reruns=1)\n@pytest.mark.retry(times=1)\ndef test_both(): pass\n"})
    assert "it has the marker flaky (pytest-rerunfailures) and a retry of ours: remove one" in suite.run().out


@pytest.mark.parametrize(
    "text, words",
    [
        ("{times: -1}", "line 2, column 3: retry: times is -1: 0 to 1000"),
        ("{times: two}", "retry: times is a whole number, not 'two'"),
        ("{time: 2}", "line 2, column 12: retry has no key `time`; did you mean times?"),
        ("{on: [faild]}", "on names faild, which is no outcome and no exception; did you mean failed?"),
        ("{on: [TimeotError]}", "did you mean TimeoutError?"),
        ("{on: [nosuch.Error]}", "nosuch cannot be imported"),
        ("{on: []}", "on is a list of outcomes"),
        ("{delay: '.nan'}", "delay is a number of seconds, not '.nan'"),
        ("{delay: -1}", "delay is -1: 0 to 3600 seconds"),
        ("true", "retry is a number of times, or a mapping of times, on, delay, not True"),
    ],
)
def test_a_slip(tmp_path, text, words):
    (tmp_path / "test_s.yaml").write_text(f"retry:\n  test_a: {text}\n")
    (section,) = _sidefile.SideFiles().sections("retry", str(tmp_path / "test_s.py"), "test_s.py::test_a")
    with pytest.raises(ConfigError) as caught:
        _retry.of_yaml(section.value, section.error)
    assert words in str(caught.value)


def test_a_slip_in_litmus_yaml(suite):
    suite.write({"test_a.py": "def test(): pass\n", "litmus.yaml": "retry:\n  times: 2\n  delays: 1\n"})
    process = suite.run()
    assert process.code == 4 and "litmus.yaml, line 3, column 3: retry has no key `delays`; did you mean delay?" in process.err


def test_a_parameter_may_have_a_policy_of_its_own(suite):
    body = "import pytest\n@pytest.mark.retry(times=0)\n@pytest.mark.parametrize('n', [1, pytest.param(2, marks=pytest.mark.retry(times=2))])\ndef test(n): assert 0"
    suite.write({"test_a.py": body})
    assert [len(row.attempts) for row in suite.run().rows] == [1, 3]

# SPDX-License-Identifier: Apache-2.0
"""Random suites: sweeps and parameters, modules and classes, tests that fail until an attempt, retries of both kinds, skips, -x and
workers. What is on record has to be what a naive reading of the suite says, row by row, attempt by attempt, measurement by measurement.

A suite that fails is had again by its seed: LITMUS_SUITE_SEED=123 pytest python/tests/test_random_suites.py
"""

from __future__ import annotations

import collections
import json
import os
import random

import pytest
from harness import needs

pytest.importorskip("litmus._litmus")

# What a body (of a sweep: a vector) does -> outcome on record, and whether pytest sees a failure.
WORDS = {"pass": "passed", "fail": "failed", "error": "errored", "skip": "skipped", "low": "failed", "setup": "errored"}
RAISES = ("fail", "error", "setup")
FOREVER = 99

CONFTEST = """
import collections, json, pathlib, pytest
DOES = json.loads((pathlib.Path(__file__).parent / "does.json").read_text())
ATTEMPTS = collections.Counter()

@pytest.fixture(autouse=True)
def ready(request):
    ATTEMPTS[request.node.nodeid] += 1
    (word, until), *_ = DOES[request.node.nodeid]
    if word == "setup" and ATTEMPTS[request.node.nodeid] <= until: raise RuntimeError("not ready")

def act(request, measure, vectors=None, goes_on=False):
    does, attempt = DOES[request.node.nodeid], ATTEMPTS[request.node.nodeid]
    def one(word, until):
        measure("m", attempt)
        if attempt > until: return
        if word == "fail": assert False, "wrong"
        if word == "error": raise ValueError("broken")
        if word == "skip": pytest.skip("not now")
        if word == "low": measure("low", 5, (0, 1))
    if vectors is None:
        one(*does[0])
    for v in vectors or ():
        if goes_on:
            with v: one(*does[v.index])
        else:
            one(*does[v.index])
"""


class Planned:
    """One test function, and each of its items: what its vectors (or its one body) do, as (word, until attempt)."""

    def __init__(self, rng: random.Random, number: int):
        self.file, self.in_class, self.name = f"test_m{number % 3}.py", rng.random() < 0.4, f"test_{number}"
        self.params = rng.choice([0, 0, 2, 3])
        self.width = rng.choice([0, 0, 2, 4])  # vectors of the sweep; 0: none
        self.goes_on = rng.random() < 0.4
        self.retries = rng.choice([None, None, 0, 1, 3])  # our own policy
        self.marked = rng.random() < 0.1  # skip marker
        self.items = [[self.does(rng, index) for index in range(self.width or 1)] for _ in range(self.params or 1)]

    def does(self, rng: random.Random, index: int) -> tuple:
        words = ["pass"] * 6 + ["fail", "error", "skip", "low"] + (["setup"] if index == 0 else [])
        return rng.choice(words), rng.choice([1, 1, 2, FOREVER])

    @property
    def path(self) -> str:
        return f"{self.file}/{'TestC/' if self.in_class else ''}{self.name}"

    def node_id(self, item: int) -> str:
        return f"{self.file}::{'TestC::' if self.in_class else ''}{self.name}" + (f"[{item}]" if self.params else "")

    def source(self) -> str:
        marks = [f"@pytest.mark.retry(times={self.retries})"] * (self.retries is not None) + ["@pytest.mark.skip(reason='no')"] * self.marked
        marks += [f"@pytest.mark.parametrize('p', {list(range(self.params))})"] * bool(self.params) + [f"@pytest.mark.vectors(x={list(range(self.width))})"] * bool(self.width)
        arguments = ["request", "measure", *["p"] * bool(self.params), *["vectors"] * bool(self.width)]
        call = f"act(request, measure{f', vectors, {self.goes_on}' if self.width else ''})"
        lines = [*marks, f"def {self.name}({', '.join(['self'] * self.in_class + arguments)}): {call}"]
        return "\n".join(("    " if self.in_class else "") + line for line in lines)


def files_of(tests: list) -> dict:
    found = {"conftest.py": CONFTEST, "does.json": json.dumps({test.node_id(n): does for test in tests for n, does in enumerate(test.items)})}
    for file in sorted({test.file for test in tests}):
        own = [test for test in tests if test.file == file]
        grouped = [test.source() for test in own if not test.in_class] + ["class TestC:", *(test.source() for test in own if test.in_class), "    pass"]
        found[file] = "\n".join(["import pytest", "from conftest import act", *grouped])
    return found


# ---- the naive reading


class Expected:
    """What has to be on record after all of it, or up to `maxfail` failures, ran in this order; `reruns` as of pytest-rerunfailures."""

    def __init__(self, tests: list, maxfail: int = 0, reruns: int = 0):
        self.attempts = collections.defaultdict(list)  # (path, vector) -> outcomes
        self.never_ran: dict = {}  # (path, vector) -> reason
        self.measured: list = []  # (path, vector, attempt, name, value, outcome)
        self.summary: collections.Counter = collections.Counter()
        failures = 0
        for test in in_order(tests):
            for item, does in enumerate(test.items):
                first = item * len(does)
                keys = [(test.path, first + n) for n in range(len(does))]
                if maxfail and failures >= maxfail:
                    self.never_ran.update(dict.fromkeys(keys, "maxfail"))
                elif test.marked:
                    self.never_ran.update(dict.fromkeys(keys, "skip_marker"))
                    self.summary["skipped"] += 1
                else:
                    failures += self.run(test, keys, does, reruns) in ("failed", "error")
        outcomes = {listed[-1] for listed in self.attempts.values()}
        self.outcome = next(word for word in ("errored", "failed", "passed") if word in outcomes)

    def run(self, test: Planned, keys: list, does: list, reruns: int) -> str:
        """An item, attempt after attempt. Returns pytest's word for it."""
        attempt = 0
        while True:
            taken, said, measured_low = self.attempt(test, keys, does, attempt)
            wanted = said in ("failed", "error")
            allowed = reruns if test.retries is None else test.retries
            wanted = wanted or (test.retries is not None and said == "passed" and measured_low)  # what was measured is a reason for ours alone
            if not wanted or attempt == allowed:
                break
            self.summary["rerun"] += 1
            attempt += 1
        self.never_ran.update(dict.fromkeys([key for key in keys[taken:] if key not in self.attempts], "sweep_stopped"))
        self.summary[said] += 1
        return said

    def attempt(self, test: Planned, keys: list, does: list, attempt: int) -> tuple:
        """(vectors taken, pytest's word, whether a measurement was out of its limit)."""
        failed = low = False
        for n, (key, (word, until)) in enumerate(zip(keys, does)):
            word = "pass" if attempt + 1 > until else word
            self.attempts[key].append(WORDS[word])
            if word == "setup":
                return n + 1, "error", low
            self.measured.append((*key, attempt, "m", attempt + 1, "done"))
            if word == "low":
                self.measured.append((*key, attempt, "low", 5, "failed"))
                low = True
            goes_on = test.width and test.goes_on
            if word == "error" or (word in ("fail", "skip") and not goes_on):
                return n + 1, "skipped" if word == "skip" else "failed", low
            failed = failed or word == "fail"
        return len(keys), "failed" if failed else "passed", low


def in_order(tests: list) -> list:
    """As pytest runs them: by file, functions before the class that stands behind them."""
    return sorted(tests, key=lambda test: (test.file, test.in_class))


# ---- the two beside each other


def check(record, tests: list, expected: Expected) -> None:
    steps = {(row["step_path"], row["vector_index"]): row for row in record.parquet if row["record_type"] == "step"}
    assert set(steps) == {(test.path, n) for test in tests for n in range(len(test.items) * len(test.items[0]))}
    assert {key: row["attempt_outcomes"] for key, row in steps.items() if row["attempt_outcomes"]} == dict(expected.attempts)
    assert {key: row["vector_outcome"] for key, row in steps.items()} == {**dict.fromkeys(steps), **{key: listed[-1] for key, listed in expected.attempts.items()}}
    assert {key: row["never_ran_reason"] for key, row in steps.items() if row["vector_outcome"] is None} == expected.never_ran
    measured = [row for row in record.parquet if row["record_type"] == "measurement"]
    told = [(row["step_path"], row["vector_index"], row["vector_retry"], row["measurement_name"], row["measurement_value"], row["measurement_outcome"]) for row in measured]
    assert sorted(told) == sorted(expected.measured)
    for test in tests:
        for n in range(len(test.items) * test.width):
            assert steps[test.path, n]["in_x"] == n % test.width
    (run,) = [row for row in record.parquet if row["record_type"] == "run"]
    assert run["run_outcome"] == expected.outcome
    words = {"passed": "passed", "failed": "failed", "skipped": "skipped", "error": "errors", "rerun": "rerun"}
    said = record.summary
    assert {word: said.get(word, said.get(other, 0)) for word, other in words.items()} == {word: expected.summary[word] for word in words}
    record.check_order()


SEED = os.environ.get("LITMUS_SUITE_SEED")


@pytest.mark.parametrize(
    "arguments, options",
    [
        (("--maxfail=4",), {"maxfail": 4}),
        pytest.param(("--reruns=2",), {"reruns": 2}, marks=needs("pytest_rerunfailures")),
        pytest.param(("-n2", "--reruns=1"), {"reruns": 1}, marks=[needs("xdist"), needs("pytest_rerunfailures")]),
    ],
    ids=" ".join,
)
def test_a_random_suite_is_on_record_as_it_ran(suite, arguments, options):
    rng = random.Random(f"{SEED or 1}{arguments}")
    tests = [Planned(rng, number) for number in range(40)]
    suite.write(files_of(tests))
    check(suite.run(*arguments), tests, Expected(tests, **options))

# SPDX-License-Identifier: Apache-2.0
"""Sweeps in test bodies: `for v in vectors`. Every vector is planned, has a row and a verdict of its own.

A vector is an execution of the step like any other (test.step_started, test.step_ended with its vector_index). The first
starts with the test, before its fixtures, and the last that is taken ends with it: so what setup and teardown
come to has a row. Those between start and end where the loop goes on.
"""

from __future__ import annotations

import collections.abc
import os

import pytest

from litmus.plugin import lazy, load

_measure, _verdict, _sidefile, _sweep, _nearest = load("_measure"), load("_verdict"), load("_sidefile"), load("_sweep"), lazy("_nearest")
from litmus.errors import ConfigError  # noqa: E402


_getpid = os.getpid  # a test may put something else in its place


class VectorsError(Exception):
    """The vectors of a test were used in a way that the plan cannot follow."""


class SweepFailure(_measure.LimitFailure):
    """What failed in vectors that the sweep went on after: their rows have it, it is no verdict on the vector at hand."""


class Sweep:
    """What is planned for one test. `inputs`: what its body gets, vector by vector; `planned`: as they are on record,
    the parameters of the test among them."""

    __slots__ = ("inputs", "planned")

    def __init__(self, inputs: list, params: dict):
        plain_map = load("_plain").plain_map
        self.inputs = inputs
        self.planned = [plain_map({**params, **each}) for each in inputs]


class Vector(collections.abc.Mapping):
    """One vector: a mapping of its inputs, which are attributes, too; `index` is its place in the sweep, from 0.

    `with vector:` lets the sweep go on after it: what fails in it (an assertion, `verify`, pytest.fail) is on record as the
    vector's failure and raised when the loop is over, pytest.skip() skips the vector; an error ends the sweep all the same.
    """

    __slots__ = ("_inputs", "_vectors", "index")

    def __init__(self, vectors: Vectors | None, index: int, inputs: dict):
        self._vectors, self.index, self._inputs = vectors, index, inputs

    def __getitem__(self, name):
        """Errors: KeyError with the nearest name that there is."""
        try:
            return self._inputs[name]
        except KeyError:
            raise KeyError(self._without(name)) from None

    def _without(self, name) -> str:
        return f"vector {self.index} has no input {name}{_nearest.nearest(name, self._inputs)}"

    def __iter__(self):
        return iter(self._inputs)

    def __len__(self) -> int:
        return len(self._inputs)

    def __getattr__(self, name: str):
        if name in Vector.__slots__ or name.startswith("__"):  # of one that is being made, and of those who ask what it can do
            raise AttributeError(name)
        try:
            return self._inputs[name]
        except KeyError:
            raise AttributeError(self._without(name)) from None

    def __repr__(self) -> str:
        return f"vector {self.index}: " + ", ".join(f"{name}={value!r:.60}" for name, value in self._inputs.items())

    def __reduce__(self):
        """A copy, here or in another process, has the inputs; it is no part of the sweep."""
        return Vector, (None, self.index, self._inputs)

    def __enter__(self) -> Vector:
        """Errors: VectorsError for one that the sweep has left: its row is written."""
        if self._vectors is None:
            raise VectorsError(f"this is a copy of vector {self.index}: go through the vectors themselves (for v in vectors)")
        if self.index != self._vectors.taken - 1:
            raise VectorsError(f"vector {self.index} is over, the sweep is at {self._vectors.taken - 1}: go through the vectors themselves (for v in vectors), not a list of them")
        return self

    def __exit__(self, kind, exc, trace) -> bool:
        return exc is not None and self._vectors.go_on_after(self, exc)


class Vectors:
    """The vectors of one execution of a test, to be taken once, in order: `for v in vectors`. `len()` of it: how many are planned."""

    def __init__(self, item, sweep: Sweep):
        self.sweep = sweep
        self.taken = 0
        self.failures: list = []  # words of vectors that the sweep went on after, and that nobody raised yet
        self.worst = None  # (outcome, words) of the worst vector that is over
        self.skipped = None  # why the vector at hand was skipped
        self._properties_seen = 0
        running = _measure.running
        self.execution = running[-1] if running and running[-1].item is item else None
        if self.execution is None:
            return
        if _getpid() != self.execution.owner.pid:
            raise VectorsError(
                f"{item.nodeid} runs in a forked child (pytest-forked), from which no row comes for each of its {len(self)} vectors: "
                "run it without that, or parametrize it with the values"
            )
        self.execution.vectors = self

    def __len__(self) -> int:
        return len(self.sweep.inputs)

    def __iter__(self):
        """Errors: VectorsError the second time."""
        if self.taken:
            raise VectorsError("the vectors of a test are taken once: each has one row. Keep what you need of them, or declare them twice")
        return self._take()

    def _take(self):
        for index, inputs in enumerate(self.sweep.inputs):
            if index:
                self._next(index)
            self.taken = index + 1
            yield Vector(self, index, inputs)
        self.raise_failures()

    def raise_failures(self) -> None:
        """Errors: SweepFailure with all that the sweep went on after."""
        failures, self.failures = self.failures, []
        if len(failures) == 1:
            raise SweepFailure(failures[0])
        if failures:
            raise SweepFailure("\n  ".join([f"{len(failures)} of {len(self)} vectors failed", *failures]))

    def finish(self) -> None:
        """The body returned. Errors: VectorsError when it took no vector; SweepFailure with what nobody raised."""
        if not self.taken:
            raise VectorsError(f"none of the {len(self)} vectors was taken: go through them (for v in vectors), or skip the test")
        self.raise_failures()

    def go_on_after(self, vector: Vector, exc: BaseException) -> bool:
        """Whether the sweep goes on after what left a vector."""
        verdict = _verdict.left_by(exc)
        if vector.index != self.taken - 1 or verdict not in ("failed", "skipped"):
            return False
        words = _verdict.one_line(str(exc)) or type(exc).__name__
        if verdict == "skipped":
            self.skipped = words
            return True
        self.failures.append(f"{vector}: {words}")
        if self.execution is not None:
            self.execution.frame().worsen(verdict, words)
        return True

    # -- on record

    @staticmethod
    def is_told(exc) -> bool:
        """Whether an exception tells of vectors that have it on record."""
        return isinstance(exc, SweepFailure)

    def verdict(self) -> tuple:
        """(outcome, words) of the vector at hand, as far as it judged itself; outcome None: nothing went wrong."""
        if self.execution.measured_failures is not None:
            return self.execution.measured_failures
        return ("skipped", self.skipped) if self.skipped is not None else (None, None)

    def _next(self, index: int) -> None:
        """The vector at hand is over, the next one begins."""
        execution = self.execution
        if execution is None:
            return
        if len(execution.frames) > 1:
            raise VectorsError(f"the sub-step {execution.frames[-1].members['step_name']} is open where the sweep goes on: close it within its vector")
        frame, identity = execution.frame(), execution.identity
        outcome, words = self.verdict()
        if outcome is not None and outcome != "skipped":
            self.worst = self.worst if self.worst and _verdict.worse(self.worst[0], outcome) == self.worst[0] else (outcome, words)
        ended = dict(identity, outcome=outcome or "passed", message=words, failed_phase="call" if outcome in ("failed", "errored") else None)
        ended["vector_outcome"] = ended["outcome"]
        outputs = self.new_properties()
        if outputs:
            ended["outputs"] = load("_plain").plain_outputs(outputs)
        frame.emit("test.step_ended", ended)
        execution.owner.note_outcome((execution.place, index - 1), ended["outcome"])
        self.skipped = None
        execution.identity = dict(identity, vector_index=identity["vector_index"] + 1, inputs=self.sweep.planned[index])
        execution.frames[0] = type(frame)(frame.emit, execution.identity)
        _measure.opened.set(execution)
        frame.emit("test.step_started", execution.identity)

    def new_properties(self) -> list:
        """What record_property got since the last vector was over."""
        properties = getattr(self.execution.item, "user_properties", None) or []
        new = properties[self._properties_seen :]
        self._properties_seen = len(properties)
        return new


class Called:
    """The hook around bodies; registered when a test has a sweep."""

    @pytest.hookimpl(hookwrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem):
        result = yield
        vectors = getattr(pyfuncitem, "funcargs", {}).get("vectors")
        if result.excinfo is None and isinstance(vectors, Vectors):
            try:
                vectors.finish()
            except Exception as exc:
                result.force_exception(exc)


def of_item(item, files) -> Sweep | None:
    """The sweep that is declared for a test: of the profile, else the side file, else the nearest marker. Errors: ConfigError."""
    sections = files.sections("vectors", str(item.path), _sidefile.test_id(item))
    mark = next(iter(_sidefile.marks(item, "vectors")), None)
    if not sections and mark is None:
        return None
    if "vectors" not in getattr(item, "fixturenames", ()):
        words = "vectors are declared for it, and it does not go through them: take the fixture `vectors`"
        raise sections[-1].error(f"{item.nodeid}: {words}") if sections else ConfigError(f"{item.nodeid}: {words}")
    if sections:
        inputs = _sweep.of_yaml(sections[-1].value, sections[-1].error)
    else:
        try:
            inputs = _sweep.of_marker(mark)
        except (TypeError, ValueError) as exc:
            raise ConfigError(f"{item.nodeid}: vectors: {exc}") from None
    callspec = getattr(item, "callspec", None)
    params = dict(callspec.params) if callspec is not None else {}
    twice = next((name for name in inputs[0] if name in params), None)
    if twice is not None:
        words = f"{item.nodeid}: {twice} is a parameter of the test, and swept in its vectors"
        raise sections[-1].error(words, twice) if sections else ConfigError(words)
    return Sweep(inputs, params)


def collect(config, items) -> None:
    """Collection is over: finds the sweep of each test."""
    files = _sidefile.of_config(config)
    found = False
    for item in items:
        if not hasattr(item, "module"):
            continue
        try:
            sweep = of_item(item, files)
        except (ConfigError, OSError) as exc:
            if str(item.path) not in files.wrong:
                files.refuse(config, item, exc)
            continue
        if sweep is not None:
            item._litmus_sweep = sweep
            found = True
    if found:
        config.pluginmanager.register(Called(), "litmus-vectors")

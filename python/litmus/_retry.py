# SPDX-License-Identifier: Apache-2.0
"""Retries: a test that failed runs again, by a policy that is declared for it. Every attempt is on record, the last one counts.

    @pytest.mark.retry(times=2, on=["failed", TimeoutError], delay=0.5)

or `retry:` in a side file or a profile (by test), or in litmus.yaml (for every test that has no other).
"""

from __future__ import annotations

import builtins
import importlib
import math
import time
import types
import warnings

import pytest

from litmus.plugin import lazy, load

_measure, _verdict, _sidefile, _nearest = load("_measure"), load("_verdict"), load("_sidefile"), lazy("_nearest")
from litmus.errors import ConfigError  # noqa: E402

KEYS = ("times", "on", "delay")
OUTCOMES = ("failed", "errored")
TIMES_MAX = 1000
DELAY_MAX = 3600.0  # seconds


class Policy:
    """Whether, and how, a test that did not pass runs again.

    Parameters: times (at most that many further attempts), on (outcomes: failed, errored; exception types, or their names:
    TimeoutError, pyvisa.errors.VisaIOError; default: both outcomes), delay (seconds before the next attempt).

    Errors: TypeError, ValueError.
    """

    __slots__ = ("delay", "on", "times")

    def __init__(self, times=1, on=OUTCOMES, delay=0):
        if isinstance(times, bool) or not isinstance(times, int):
            raise TypeError(f"times is a whole number, not {times!r:.100}")
        if not 0 <= times <= TIMES_MAX:
            raise ValueError(f"times is {times}: 0 to {TIMES_MAX} further attempts are taken")
        if isinstance(delay, bool) or not isinstance(delay, (int, float)):
            raise TypeError(f"delay is a number of seconds, not {delay!r:.100}")
        if not 0 <= delay <= DELAY_MAX or math.isnan(delay):
            raise ValueError(f"delay is {delay}: 0 to {DELAY_MAX:.0f} seconds are taken")
        on = [on] if isinstance(on, (str, type)) else on
        if not isinstance(on, (list, tuple)) or not on:
            raise TypeError(f"on is a list of outcomes ({', '.join(OUTCOMES)}) and exceptions, not {on!r:.100}")
        self.times, self.delay, self.on = times, delay, tuple(map(_cause, on))

    def wants(self, outcome: str, exc: BaseException | None) -> bool:
        """Whether what an attempt came to is a reason for another one."""
        return any(cause == outcome if isinstance(cause, str) else isinstance(exc, cause) for cause in self.on)


def _cause(word):
    """An outcome, or the type of an exception. Errors: TypeError, ValueError."""
    if isinstance(word, type) and issubclass(word, BaseException):
        return word
    if not isinstance(word, str):
        raise TypeError(f"on takes outcomes and exceptions, not {word!r:.100}")
    if word in OUTCOMES:
        return word
    module, _, name = word.rpartition(".")
    try:
        found = getattr(importlib.import_module(module) if module else builtins, name, None)
    except ImportError as exc:
        raise ValueError(f"on names {word}, and {module} cannot be imported: {exc}") from None
    if isinstance(found, type) and issubclass(found, BaseException):
        return found
    raise ValueError(f"on names {word}, which is no outcome and no exception{_nearest.nearest(word, (*OUTCOMES, *_exceptions()))}")


def _exceptions() -> list:
    return [name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, Exception)]


def of_yaml(value, complain) -> Policy:
    """The policy that a file declares: a number of times, or a mapping. Errors: what complain makes."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = {"times": value}
    if not isinstance(value, dict):
        raise complain(f"retry is a number of times, or a mapping of {', '.join(KEYS)}, not {value!r:.100}")
    for key in value:
        if key not in KEYS:
            raise complain(f"retry has no key `{key}`{_nearest.nearest(key, KEYS)}", key)
    try:
        return Policy(**value)
    except (TypeError, ValueError) as exc:
        raise complain(f"retry: {exc}") from None


def of_item(item, files, default: Policy | None, reruns: bool) -> Policy | None:
    """The policy for a test: of the profile, else the side file, else the nearest marker, else litmus.yaml's. Errors: ConfigError.

    Parameter: reruns (pytest-rerunfailures is there, and may be asked for, too).
    """
    sections = files.sections("retry", str(item.path), _sidefile.test_id(item))
    mark = next(iter(_sidefile.marks(item, "retry")), None)
    flaky = reruns and item.get_closest_marker("flaky") is not None
    if not sections and mark is None:
        by_command = reruns and (getattr(item.config.option, "reruns", None) or getattr(item.config.option, "force_reruns", None))
        return None if flaky or by_command else default
    if flaky:
        raise ConfigError(f"{item.nodeid}: it has the marker flaky (pytest-rerunfailures) and a retry of ours: remove one of them")
    if sections:
        return of_yaml(sections[-1].value, sections[-1].error)
    try:
        return Policy(*mark.args, **mark.kwargs)
    except (TypeError, ValueError) as exc:
        raise ConfigError(f"{item.nodeid}: the marker retry: {exc}") from None


def collect(config, items, default: Policy | None) -> None:
    """Collection is over: finds the policy of each test."""
    files = _sidefile.of_config(config)
    reruns = config.pluginmanager.hasplugin("rerunfailures")
    found = False
    for item in items:
        if str(item.path) in files.wrong:
            continue
        try:
            policy = of_item(item, files, default, reruns)
        except (ConfigError, OSError) as exc:
            files.refuse(config, item, exc)
            continue
        if policy is not None and (policy.times or reruns):  # none of ours is none of --reruns, either
            item._litmus_retry = policy
            found = True
    if found:
        config.pluginmanager.register(Retries(), "litmus-retries")


class Retries:
    """Runs tests that have a policy. Registered when there is one.

    An attempt that another one follows is told to pytest like pytest-rerunfailures does: the report of what failed says
    `rerun`, and its teardown is not reported; so it counts for no --maxfail, and every plugin knows the word.
    """

    def __init__(self):
        self.raised: dict = {}  # phase -> what the attempt at hand raised

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item, call) -> None:
        self.raised[call.when] = call.excinfo.value if call.excinfo is not None else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item, nextitem):
        policy = getattr(item, "_litmus_retry", None)
        if policy is None:
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for attempt in range(policy.times + 1):
            item.execution_count = attempt + 1
            reports = self.run(item, nextitem)
            failed = self.reason(item, policy, reports) if attempt < policy.times and not item.session.shouldstop else None
            for report in reports if failed is None else reports[: reports.index(failed) + 1]:
                item.ihook.pytest_runtest_logreport(report=report)
            if failed is None:
                break
            _make_anew(item)
            time.sleep(policy.delay)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def run(self, item, nextitem) -> list:
        """One attempt, with fixtures of its own. Returns its reports, told to nobody yet."""
        from _pytest.runner import runtestprotocol

        self.raised = {}
        return runtestprotocol(item, nextitem=nextitem, log=False)

    def reason(self, item, policy: Policy, reports: list):
        """The report that is a reason for another attempt, made to say so; None: there is none."""
        for report in reports:
            exc = self.raised.get(report.when)
            if report.failed and policy.wants(_verdict.body_outcome(exc) if report.when == "call" else "errored", exc):
                report.outcome = "rerun"
                return report
        running = _measure.running[-1] if _measure.running else None
        measured = running.all_failures if running is not None and running.item is item else None
        call = next((report for report in reports if report.when == "call" and report.passed), None)
        if measured is not None and call is not None and policy.wants(measured[0], None):
            call.outcome, call.longrepr = "rerun", measured[1]  # nothing was raised: what was measured is the reason
            return call
        return None

    @staticmethod
    def pytest_report_teststatus(report):
        return ("rerun", "R", ("RERUN", {"yellow": True})) if report.outcome == "rerun" else None


def _make_anew(item) -> None:
    """Forgets what an attempt leaves in pytest: fixtures of wider scope that failed, the instance of the class, failed subtests."""
    for definitions in getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {}).values():
        for definition in definitions:
            cached = getattr(definition, "cached_result", None)
            if cached is not None and cached[2] is not None:
                _finish(definition, item)
    if getattr(item, "_instance", None) is not None:
        del item._instance  # pytest makes it, and the method bound to it, when it is asked for
        item._obj = None
    try:
        from _pytest.subtests import failed_subtests_key
    except ImportError:
        return
    failed = item.config.stash.get(failed_subtests_key, {})
    for key in [key for key in failed if key in (item.nodeid, getattr(item, "id", None))]:
        del failed[key]


def _finish(definition, item) -> None:
    """A fixture of wider scope that could not be set up: what it had opened is closed, the next attempt sets it up again."""
    try:
        definition.finish(types.SimpleNamespace(node=item))
    except Exception as exc:
        warnings.warn(pytest.PytestWarning(f"retry: the fixture {definition.argname} could not be finished: {exc!r}"), stacklevel=2)

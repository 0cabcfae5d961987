# SPDX-License-Identifier: Apache-2.0
"""Yield, Pareto, coverage, drift and other figures over everything on record, exact and with their rules.

    import litmus.analysis

    report = litmus.analysis.analyse("yield", part="PN7", since="2026-05-01", by="week")
    for row in report:
        print(row["week"], row["first_passed"], row["units"], row["first_pass_yield"])

An analysis is a module of this package with a function `analyse(scope, *arguments, **options) -> Report`, one row of
ANALYSES here and one of the table of commands (src/cmd/main.c). docs/analysis.md says what each counts.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

from litmus.analysis.report import Column, Report, Table
from litmus.errors import InvalidArgument

__all__ = ["ANALYSES", "Column", "Report", "Table", "analyse"]

_STEPS, _VALUES = "litmus_count, litmus_step_counts, litmus_step_runs_counted", "first_measurements"
# name -> (module, its options, the views that it asks beside runs: each costs time)
ANALYSES = {
    "yield": ("yields", ("by", "step", "limit"), _STEPS),
    "pareto": ("pareto", ("by", "step", "limit"), _STEPS),
    "coverage": ("coverage", ("step", "all", "limit"), f"{_STEPS}, litmus_step_times"),
    "drift": ("drift", ("limit",), ""),
    "capability": ("capability", ("step", "by", "limit"), _VALUES),
    "retest": ("retest", ("step", "all", "limit"), "litmus_count, litmus_picked_steps, litmus_step_paths"),
    "durations": ("durations", ("by", "step", "limit"), ""),
    "grr": ("grr", ("step", "by"), _VALUES),
    "compare": ("compare", ("step", "measurement", "limit"), f"{_STEPS}, {_VALUES}, litmus_fisher, litmus_sample_tests"),
    "control": ("control", ("kind", "step", "by", "all"), _VALUES),
}
_NO_HISTORY = ("pareto", "coverage", "drift", "retest", "durations")  # which runs of a unit came before is nothing to these


def analyse(name: str, *arguments: str, data_dir: str | os.PathLike | None = None, con=None, since: Any = None, until: Any = None, tz: str | None = None,
            **options: Any) -> Report:  # fmt: skip
    """The answer of an analysis.

    Args:
        name: one of ANALYSES.
        arguments: what it is about, where the analysis takes some: of drift, two runs.
        data_dir: the data directory; None: LITMUS_DATA_DIR, litmus.yaml, LITMUS_HOME, XDG.
        con: a connection of `litmus.connect()` to use, which then holds a few tables more; None: one of its own.
        since, until: on the start of a run: datetime, ISO 8601 text or microseconds since 1970; `since` inclusive.
        tz: IANA time zone of days, weeks and months; None: UTC.
        options: filters (serial, part, lot, station, operator, phase, project, git), and those of the analysis's `analyse`.

    Returns:
        Report: rows of plain values, rules, and what is left out of them. Times are UTC.

    Raises:
        NothingFound: no run, step or measurement fits; the text gives near names.
        InvalidArgument: no such analysis, filter, group or time zone.
        NoDuckDB: duckdb is not installed.
    """
    from litmus.sql import connect

    if name not in ANALYSES:
        raise InvalidArgument(f"no analysis {name!r}: {', '.join(ANALYSES)}")
    if con is not None:
        return _answer(con, name, arguments, options, since, until, tz)
    with connect(data_dir, events=False, views=f"runs, {ANALYSES[name][2]}") as own:
        return _answer(own, name, arguments, options, since, until, tz)


def _answer(con, name: str, arguments: tuple[str, ...], options: dict[str, Any], since: Any, until: Any, tz: str | None) -> Report:
    from litmus.analysis.scope import FILTERS, NothingFound, Scope, TooFew

    module, known, _ = ANALYSES[name]
    unknown = [word for word in options if word not in known and word not in FILTERS]
    if unknown:
        raise InvalidArgument(f"{name} has no option {unknown[0]!r}: {', '.join((*known, *FILTERS))}")
    scope = Scope(con, since=since, until=until, tz=tz, history=name not in _NO_HISTORY, **{word: value for word, value in options.items() if word in FILTERS})
    own = {word: value for word, value in options.items() if word in known and value is not None}
    try:
        report = importlib.import_module(f"litmus.analysis.{module}").analyse(scope, *arguments, **own)
    except (NothingFound, TooFew) as reason:
        raise type(reason)(f"{reason}{scope.why_fewer()}") from None
    report.filters = scope.about()
    return report

# SPDX-License-Identifier: Apache-2.0
"""Excel: sheets Runs, Steps, Attempts, Measurements, written row by row. Text is text, never a formula or a link.

A sheet that is full (1,048,576 rows) goes on in the next: Steps, Steps 2, ... Cells hold 32,767 characters at most.
"""

from __future__ import annotations

import datetime
import gc
import re
import sys
import traceback

import xlsxwriter
import xlsxwriter.exceptions

from litmus.exports.text import to_json

ROWS_MAX, TEXT_MAX = 1_048_576, 32_767
_STEPS = ("run_id", "step_index", "step_name", "step_path", "vector_index", "node_id", "status", "outcome", "never_ran_reason", "never_ran_cause", "message", "started_at", "ended_at",
          "seconds", "attempts", "inputs", "outputs")
_ATTEMPTS = ("run_id", "step_index", "step_path", "vector_index", "attempt", "outcome", "started_at", "ended_at", "seconds")
_MEASUREMENTS = ("run_id", "step_index", "step_path", "vector_index", "vector_retry", "measurement_name", "measurement_value", "measurement_text", "measurement_units", "limit_low", "limit_high", "limit_nominal",
                 "limit_text", "limit_comparator", "measurement_outcome", "measurement_timestamp")


class _Sheet:
    def __init__(self, book, title: str, names: tuple, time_format):
        self.book, self.title, self.names, self.time_format, self.number = book, title, names, time_format, 0
        self._next()

    def _next(self) -> None:
        self.number += 1
        self.sheet = self.book.add_worksheet(self.title if self.number == 1 else f"{self.title} {self.number}")
        self.sheet.write_row(0, 0, self.names)
        self.sheet.freeze_panes(1, 0)
        self.row = 1

    def add(self, values) -> None:
        if self.row == ROWS_MAX:
            self._next()
        for column, value in enumerate(values):
            if isinstance(value, datetime.datetime):
                self.sheet.write_datetime(self.row, column, value.astimezone(datetime.timezone.utc).replace(tzinfo=None), self.time_format)
            elif isinstance(value, bool):
                self.sheet.write_boolean(self.row, column, value)
            elif isinstance(value, (int, float)):
                self.sheet.write_number(self.row, column, value)
            elif value is not None and value not in ("", {}, []):
                text = value if isinstance(value, str) else to_json(value)
                self.sheet.write_string(self.row, column, re.sub("[\ud800-\udfff\ufffe\uffff\x00-\x08\x0b\x0c\x0e-\x1f]", "\ufffd", text)[:TEXT_MAX])
        self.row += 1


def _add_run(run, steps, attempts, measurements) -> None:
    for s in run.steps:
        steps.add((run.id, s.index, s.title, s.path, s.vector_index, s.node_id, s.word, s.outcome, s.reason, s.cause, s.message, s.started, s.ended,
                   s.seconds if s.ran else None, len(s.attempts), s.inputs, s.outputs))
        for a in s.attempts:
            attempts.add((run.id, s.index, s.path, s.vector_index, a.number, a.outcome, a.started, a.ended, a.seconds))
    for _, m in run.measurements:
        measurements.add((run.id, *(m.fields.get(name) for name in _MEASUREMENTS[1:])))


def write(runs, path: str) -> None:
    try:
        _write(runs, path)
    except (OSError, xlsxwriter.exceptions.FileCreateError) as error:  # which is none of OSError's
        told = error if isinstance(error, OSError) else error.args[0] if error.args and isinstance(error.args[0], OSError) else OSError(str(error))
        failed = OSError(told.errno, told.strerror) if told.errno else OSError(str(told))
        _close_quietly(error, told)
    else:
        return
    raise failed


def _close_quietly(*errors: BaseException) -> None:
    """The archive that could not be written is open in the frames of the error; it would be closed when these go, and complain again, to stderr."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        for error in errors:
            traceback.clear_frames(error.__traceback__)
            error.__traceback__ = error.__context__ = None
        gc.collect()
    finally:
        sys.unraisablehook = hook


def _write(runs, path: str) -> None:
    with xlsxwriter.Workbook(path, {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False, "nan_inf_to_errors": True}) as book:
        times = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss.000"})
        sheets = [_Sheet(book, *what, times) for what in (("Runs", ("run_id", "name", "value")), ("Steps", _STEPS), ("Attempts", _ATTEMPTS), ("Measurements", _MEASUREMENTS))]
        for run in runs:
            for name, value in run.facts().items():
                sheets[0].add((run.id, name, value))
            _add_run(run, *sheets[1:])

# SPDX-License-Identifier: Apache-2.0
"""ASAM MDF 4: three channel groups a run (steps, attempts, measurements), one record a row.

The master channel of a group is the time in seconds since the run's start: of a step or an attempt its start, of a
measurement when it was taken. A step that never ran has no time: it stands at the time of the one before it, with an
empty `outcome` and `status` never_ran. Text is UTF-8; each text of a column takes the room of the longest, so where that is
more than 64 MiB they are cut, though not below 255 bytes.
"""

from __future__ import annotations

import asammdf
import numpy

from litmus.exports.text import real, to_json, words

COLUMN_BYTES = 64 << 20
_STEPS = ("name", "path", "vector_index", "status", "outcome", "never_ran_reason", "message", "seconds", "attempts")
_ATTEMPTS = ("step", "attempt", "outcome", "seconds")
_MEASUREMENTS = ("step_path", "vector_index", "vector_retry", "name", "value", "text", "units", "limit_low", "limit_high", "comparator", "outcome")


def _since(run, times: list) -> numpy.ndarray:
    """Seconds since the run's start, never falling; what has no time keeps that of the row before."""
    seconds, last = [], 0.0
    for time in times:
        if time is not None and run.started is not None:
            last = max(last, (time - run.started).total_seconds())
        seconds.append(last)
    return numpy.array(seconds, dtype=numpy.float64)


def _column(values: list, cut: set) -> numpy.ndarray:
    if all(isinstance(value, int) for value in values):
        return numpy.array(values, dtype=numpy.int64)
    if all(isinstance(value, float) for value in values):
        return numpy.array(values, dtype=numpy.float64)
    texts = [words(value).replace("\0", "\ufffd").encode() for value in values]
    bytes_max = max(255, COLUMN_BYTES // len(texts))
    cut.update(i for i, text in enumerate(texts) if len(text) > bytes_max)
    return numpy.array([text if len(text) <= bytes_max else text[:bytes_max].decode(errors="ignore").encode() for text in texts], dtype=numpy.bytes_)


def _add(file, run, kind: str, names: tuple, rows: list, times: list) -> int:
    """How many of the rows have a text that was cut."""
    if not rows:
        return 0
    seconds = _since(run, times)
    cut: set = set()
    columns = [_column(list(values), cut) for values in zip(*rows)]
    signals = [asammdf.Signal(samples=column, timestamps=seconds, name=name, encoding="utf-8" if column.dtype.kind == "S" else None) for name, column in zip(names, columns)]
    file.append(signals, acq_name=f"{run.id} {kind}", comment=to_json(run.facts()) if kind == "steps" else "", common_timebase=True)
    return len(cut)


def _add_run(file, run) -> int:
    cut = _add(file, run, "steps", _STEPS, [(s.title, s.path, s.vector_index, s.word, s.outcome, s.reason, s.message, float(s.seconds), len(s.attempts)) for s in run.steps], [s.started for s in run.steps])
    attempts = [(i, a) for i, s in enumerate(run.steps) for a in s.attempts]
    cut += _add(file, run, "attempts", _ATTEMPTS, [(i, a.number, a.outcome, float(a.seconds)) for i, a in attempts], [a.started for _, a in attempts])
    return cut + _add(
        file, run, "measurements", _MEASUREMENTS,
         [(m.fields.get("step_path") or "", m.vector_index, m.vector_retry, m.name, real(m.value), m.text, m.units, real(m.limit_low), real(m.limit_high), m.fields.get("limit_comparator"), m.outcome)
          for _, m in run.measurements], [m.taken for _, m in run.measurements])  # fmt: skip


def write(runs, path: str) -> None:
    with asammdf.MDF(version="4.10") as file:
        first, cut = None, 0
        for run in runs:
            first = first or run.started
            cut += _add_run(file, run)
        if first is not None:
            file.header.start_time = first
        file.save(path, overwrite=True, compression=1)
    if cut:
        runs.note(f"{cut} row{'s have texts that were' if cut != 1 else ' has texts that were'} cut: in MDF each text of a column takes the room of the longest")

# SPDX-License-Identifier: Apache-2.0
"""HDF5: a group a run, its facts as attributes, with one table each for steps, attempts and measurements.

Text is UTF-8, times are microseconds since 1970 (-1: none), numbers that are not there NaN. A step that never ran has an
empty `outcome` and status `never_ran`.
"""

from __future__ import annotations

import h5py
import numpy

from litmus.exports.text import microseconds, plain, real, words

_TEXT, _TIME, _INT, _REAL = h5py.string_dtype(), numpy.int64, numpy.int64, numpy.float64
_STEPS = (("index", _INT), ("name", _TEXT), ("path", _TEXT), ("vector_index", _INT), ("node_id", _TEXT), ("status", _TEXT), ("outcome", _TEXT), ("never_ran_reason", _TEXT),
          ("never_ran_cause", _TEXT), ("message", _TEXT), ("started_us", _TIME), ("ended_us", _TIME), ("attempts", _INT), ("inputs", _TEXT), ("outputs", _TEXT))
_ATTEMPTS = (("step", _INT), ("attempt", _INT), ("outcome", _TEXT), ("started_us", _TIME), ("ended_us", _TIME))
_MEASUREMENTS = (("step_index", _INT), ("step_path", _TEXT), ("vector_index", _INT), ("vector_retry", _INT), ("name", _TEXT), ("value", _REAL), ("text", _TEXT), ("units", _TEXT), ("limit_low", _REAL),
                 ("limit_high", _REAL), ("comparator", _TEXT), ("outcome", _TEXT), ("taken_us", _TIME))


def _text(value) -> str:
    """What HDF5 takes: no NUL either."""
    return words(value).replace("\0", "\ufffd")


def _table(group, name: str, columns: tuple, rows: list) -> None:
    group.create_dataset(name, data=numpy.array(rows, dtype=numpy.dtype(list(columns))), chunks=True if rows else None, compression="gzip" if rows else None)


def _add_run(group, run) -> None:
    for name, value in {**run.facts(), "live": run.live}.items():
        value = plain(value)
        group.attrs[name] = value if isinstance(value, (bool, int, float)) else _text(value)
    _table(group, "steps", _STEPS, [(s.index, _text(s.title), _text(s.path), s.vector_index, _text(s.node_id), s.word, _text(s.outcome), _text(s.reason), _text(s.cause), _text(s.message),
                                     microseconds(s.started), microseconds(s.ended), len(s.attempts), _text(s.inputs), _text(s.outputs)) for s in run.steps])
    _table(group, "attempts", _ATTEMPTS, [(i, a.number, _text(a.outcome), microseconds(a.started), microseconds(a.ended)) for i, s in enumerate(run.steps) for a in s.attempts])
    _table(group, "measurements", _MEASUREMENTS, [(m.fields.get("step_index", -1), _text(m.fields.get("step_path")), m.vector_index, m.vector_retry, _text(m.name), real(m.value), _text(m.text), _text(m.units),
                                                   real(m.limit_low), real(m.limit_high), _text(m.fields.get("limit_comparator")), _text(m.outcome), microseconds(m.taken)) for _, m in run.measurements])


def write(runs, path: str) -> None:
    # In memory: the library ends the process, by a signal, when it cannot write its file.
    with h5py.File(path, "w", driver="core", backing_store=False) as file:
        file.attrs["format"], file.attrs["version"] = "litmus-runs", 1
        for run in runs:
            _add_run(file.create_group(run.id), run)
        file.flush()
        image = file.id.get_file_image()
    with open(path, "wb") as out:
        out.write(image)

# SPDX-License-Identifier: Apache-2.0
"""TDMS, for LabVIEW and DIAdem: three groups a run (steps, attempts, measurements), a channel a column.

Times are microseconds since 1970 (-1: none), numbers that are not there NaN. A table without rows has a group without channels.
"""

from __future__ import annotations

import numpy
from nptdms import ChannelObject, GroupObject, RootObject, TdmsWriter

from litmus.exports.text import microseconds, plain, real, words


def _steps(run):
    for s in run.steps:
        yield {"index": s.index, "name": words(s.title), "path": words(s.path), "vector_index": s.vector_index, "node_id": words(s.node_id), "status": s.word,
               "outcome": words(s.outcome), "never_ran_reason": words(s.reason), "message": words(s.message), "started_us": microseconds(s.started), "ended_us": microseconds(s.ended),
               "seconds": s.seconds, "attempts": len(s.attempts), "inputs": words(s.inputs), "outputs": words(s.outputs)}


def _attempts(run):
    for i, s in enumerate(run.steps):
        for a in s.attempts:
            yield {"step": i, "attempt": a.number, "outcome": words(a.outcome), "started_us": microseconds(a.started), "ended_us": microseconds(a.ended)}


def _measurements(run):
    for _, m in run.measurements:
        yield {"step_index": m.fields.get("step_index", -1), "step_path": words(m.fields.get("step_path")), "vector_index": m.vector_index, "vector_retry": m.vector_retry,
               "name": words(m.name), "value": real(m.value), "text": words(m.text), "units": words(m.units), "limit_low": real(m.limit_low), "limit_high": real(m.limit_high),
               "comparator": words(m.fields.get("limit_comparator")), "outcome": words(m.outcome), "taken_us": microseconds(m.taken)}


def _channels(group: str, rows: list):
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows]
        kind = {int: numpy.int64, float: numpy.float64}.get(type(values[0]))
        yield ChannelObject(group, name, numpy.array(values, dtype=kind or object))  # without a type, each text gets the room of the longest


def write(runs, path: str) -> None:
    with TdmsWriter(path) as file:
        file.write_segment([RootObject(properties={"format": "litmus-runs", "version": 1})])
        for run in runs:
            facts = {**run.facts(), "live": run.live}
            facts = {name: value if isinstance(value, (bool, int, float)) else words(value) for name, value in plain(facts).items()}
            for kind, rows in (("steps", _steps(run)), ("attempts", _attempts(run)), ("measurements", _measurements(run))):
                group = f"{run.id} {kind}"
                file.write_segment([GroupObject(group, properties=facts if kind == "steps" else {}), *_channels(group, list(rows))])

# SPDX-License-Identifier: Apache-2.0
"""TDMS, for LabVIEW and DIAdem: three groups a run (steps, attempts, measurements), a channel a column.

Times are microseconds since 1970 (-1: none), numbers that are not there NaN. A table without rows has a group without channels.
"""

from __future__ import annotations

import numpy
from nptdms import ChannelObject, GroupObject, RootObject, TdmsWriter

from litmus.exports.text import plain, to_json


def _us(time) -> int:
    return -1 if time is None else round(time.timestamp() * 1_000_000)


def _text(value) -> str:
    return "" if value in (None, {}) else str(value if isinstance(value, str) else to_json(value)).encode("utf-8", "replace").decode()


def _real(value) -> float:
    return float("nan") if value is None else float(value)


def _steps(run):
    for s in run.steps:
        yield {"index": s.index, "name": _text(s.title), "path": _text(s.path), "vector_index": s.vector_index, "node_id": _text(s.node_id), "status": s.word,
               "outcome": _text(s.outcome), "never_ran_reason": _text(s.reason), "message": _text(s.message), "started_us": _us(s.started), "ended_us": _us(s.ended),
               "seconds": s.seconds, "attempts": len(s.attempts), "inputs": _text(s.inputs), "outputs": _text(s.outputs)}


def _attempts(run):
    for i, s in enumerate(run.steps):
        for a in s.attempts:
            yield {"step": i, "attempt": a.number, "outcome": _text(a.outcome), "started_us": _us(a.started), "ended_us": _us(a.ended)}


def _measurements(run):
    for _, m in run.measurements:
        yield {"step_index": m.fields.get("step_index", -1), "step_path": _text(m.fields.get("step_path")), "vector_index": m.vector_index, "vector_retry": m.vector_retry,
               "name": _text(m.name), "value": _real(m.value), "units": _text(m.units), "limit_low": _real(m.limit_low), "limit_high": _real(m.limit_high),
               "comparator": _text(m.fields.get("limit_comparator")), "outcome": _text(m.outcome), "taken_us": _us(m.taken)}


def _channels(group: str, rows: list):
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows]
        kind = {int: numpy.int64, float: numpy.float64}.get(type(values[0]))
        yield ChannelObject(group, name, numpy.array(values, dtype=kind) if kind else values)


def write(runs, path: str) -> None:
    with TdmsWriter(path) as file:
        file.write_segment([RootObject(properties={"format": "litmus-runs", "version": 1})])
        for run in runs:
            facts = {**run.fields, "outcome": run.outcome or "in flight", "live": run.live, **{f"count_{word}": n for word, n in run.counts().items()}}
            facts = {name: value if isinstance(value, (bool, int, float)) else _text(value) for name, value in plain(facts).items()}
            for kind, rows in (("steps", _steps(run)), ("attempts", _attempts(run)), ("measurements", _measurements(run))):
                group = f"{run.id} {kind}"
                file.write_segment([GroupObject(group, properties=facts if kind == "steps" else {}), *_channels(group, list(rows))])

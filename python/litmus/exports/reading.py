# SPDX-License-Identifier: Apache-2.0
"""One reading of a run, which every format shares: its facts, its steps with their attempts, its measurements.

Finished runs and runs in flight read the same. Times are datetimes in UTC.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from litmus.errors import LitmusError

BAD = ("failed", "errored", "terminated", "aborted")  # outcomes that are none to be content with
_NOT_OF_RUN = ("step_", "vector_", "attempt_", "measurement_", "limit_", "in_", "out_", "parent_", "never_ran_")
WORDS = ("passed", "failed", "errored", "skipped", "done", "terminated", "aborted", "never_ran", "not_yet", "running")


class Attempt(NamedTuple):
    """One execution of a step; in a run in flight the last one may be without outcome and end."""

    number: int  # 1: the first
    outcome: str | None
    started: Any
    ended: Any

    @property
    def seconds(self) -> float:
        return _seconds(self.started, self.ended)


class Measurement:
    """One measurement: `fields` has every column that is its own and not NULL."""

    __slots__ = ("fields", "inputs", "limit_high", "limit_low", "name", "outcome", "taken", "text", "units", "value", "vector_index", "vector_retry")

    def __init__(self, row: dict):
        self.fields = row
        self.name = row.get("measurement_name") or ""
        self.value, self.units, self.outcome = row.get("measurement_value"), row.get("measurement_units"), row.get("measurement_outcome")
        self.text = row.get("measurement_text")
        self.limit_low, self.limit_high = row.get("limit_low"), row.get("limit_high")
        self.taken = row.get("measurement_timestamp")
        self.vector_index, self.vector_retry = row.get("vector_index") or 0, row.get("vector_retry") or 0

    @property
    def said(self):
        """The value: a number or a text; None: there is none."""
        return self.text if self.value is None else self.value


class Step:
    """One planned step (one vector of it), or one that ran without being planned.

    `word` is its outcome, or "never_ran"; in a run in flight "not_yet" and "running". `message` is one line,
    `why` says why it never ran. `inputs` and `outputs` are its in_* and out_* columns.
    """

    __slots__ = ("attempts", "cause", "cls", "ended", "failed_phase", "file", "function", "index", "inputs", "markers", "measurements", "message", "module",
                 "name", "node_id", "outcome", "outputs", "parent", "path", "reason", "started", "vector_index", "word")

    def __init__(self, row: dict, live: bool):
        get = row.get
        self.index, self.name, self.path, self.parent = get("step_index") or 0, get("step_name") or "", get("step_path") or "", get("parent_path") or ""
        self.vector_index = get("vector_index") or 0
        self.node_id, self.file, self.module, self.cls, self.function = (get("step_" + k) for k in ("node_id", "file", "module", "class", "function"))
        self.markers = [m for m in (get("step_markers") or "").split(",") if m]
        self.outcome = get("vector_outcome") or get("step_outcome")  # older writers filled the rollup alone
        self.started, self.ended = get("step_started_at"), get("step_ended_at")
        self.message, self.failed_phase = get("step_message"), get("step_failed_phase")
        self.reason, self.cause = get("never_ran_reason"), get("never_ran_cause")
        began, ended = get("attempt_started_at") or [], get("attempt_ended_at") or []
        self.attempts = [Attempt(i + 1, outcome, *(times[i] if i < len(times) else None for times in (began, ended))) for i, outcome in enumerate(get("attempt_outcomes") or [])]
        self.inputs = {key[3:]: value for key, value in row.items() if key.startswith("in_")}
        self.outputs = {key[4:]: value for key, value in row.items() if key.startswith("out_")}
        self.measurements: list[Measurement] = []
        if self.outcome is not None:
            self.word = self.outcome
        elif self.started is not None:
            self.word = "running" if live else "aborted"
        else:
            self.word = "not_yet" if live else "never_ran"

    @property
    def title(self) -> str:
        """Its name for people: the node id's last part has the parameters."""
        tail = (self.node_id or "").rpartition("::")[2]
        return tail if tail and tail.startswith(self.name) else self.name or self.path

    @property
    def ran(self) -> bool:
        return self.word not in ("never_ran", "not_yet")

    @property
    def seconds(self) -> float:
        return _seconds(self.started, self.ended)

    @property
    def why(self) -> str:
        """Why it has no outcome, in words: "never ran: maxfail", "not yet run"; else the message."""
        if self.word == "never_ran":
            return ": ".join(filter(None, ["never ran", (self.reason or "unknown").replace("_", " "), self.message]))
        return {"not_yet": "not yet run", "running": "still running"}.get(self.word) or self.message or ""


class Run:
    """One run. `fields` has the columns of its run row that are not NULL; `live`: it is in flight."""

    def __init__(self, table, found: dict):
        self.id, self.live, self.path, self.table = found["run_id"], bool(found["live"]), found["path"], table
        self.fields: dict[str, Any] = {}
        self.steps: list[Step] = []
        self.measurements: list[tuple[Step | None, Measurement]] = []
        owners: dict[tuple, Step] = {}
        taken = []
        own = set()
        for row in rows_of(table):
            kind = row.pop("record_type", None)
            if kind == "run" or not self.fields:  # files of other writers may have no run row: each row tells of the run
                self.fields = row if kind == "run" else {key: value for key, value in row.items() if not key.startswith(_NOT_OF_RUN)}
                own = {key for key in row if key.startswith(("run_", "dut_", "station_", "session_", "operator_", "product_", "git_"))}
            if kind == "step":
                step = Step(row, self.live)
                self.steps.append(step)
                owners.setdefault((step.path, step.vector_index), step)
                owners.setdefault((step.index, step.path), step)
                owners.setdefault((step.index, None), step)
            elif kind == "measurement":
                taken.append((row.get("step_index"), row.get("step_path"), row.get("vector_index"), Measurement({k: v for k, v in row.items() if k not in own})))
        for index, path, vector, measurement in taken:
            owner = owners.get((path, vector)) or owners.get((index, path)) or owners.get((index, None))
            if owner is not None:
                owner.measurements.append(measurement)
            self.measurements.append((owner, measurement))

    @property
    def outcome(self) -> str | None:
        """None: in flight."""
        return None if self.live else self.fields.get("run_outcome")

    @property
    def started(self):
        return self.fields.get("run_started_at")

    @property
    def ended(self):
        """The end; of a run in flight, the latest time that a step has."""
        ended = self.fields.get("run_ended_at")
        if ended is None:
            ended = max((t for step in self.steps for t in (step.ended, step.started) if t is not None), default=self.started)
        return ended

    @property
    def seconds(self) -> float:
        return _seconds(self.started, self.ended)

    @property
    def title(self) -> str:
        return self.fields.get("project_name") or self.fields.get("dut_part_number") or "litmus"

    def counts(self) -> dict[str, int]:
        """Steps by word, zeros left out; `planned` is their number."""
        found = Counter(step.word for step in self.steps)
        return {"planned": len(self.steps), **{word: found[word] for word in (*WORDS, *sorted(set(found) - set(WORDS))) if found[word]}}

    def facts(self) -> dict[str, Any]:
        """What a format can say of the run as names and values: its fields, outcome, and counts by word."""
        return {**self.fields, "outcome": self.outcome or "in flight", **{f"count_{word}": n for word, n in self.counts().items()}}

    @property
    def hidden_trouble(self) -> str | None:
        """Why the run is bad though no step of it is; None: its steps say it all. No format may look green then."""
        if self.live or self.outcome not in BAD or any(step.word in BAD for step in self.steps):
            return None
        return ": ".join(filter(None, [f"the run {'was ' if self.outcome in ('aborted', 'terminated') else ''}{self.outcome}", self.fields.get("stop_reason")]))


class Runs:
    """Runs by name or id, each read when its turn comes. Iterating twice reads twice.

    Args:
        store: a RunStore.
        names: ids, prefixes, "last", "@2".
        left_out: called with (name, error) for a run that cannot be read; None: the error is raised.
        note: called with what a format could not say; None: it is a Python warning.
    """

    def __init__(self, store, names: list[str], left_out=None, note=None):
        self.store, self.names, self._left_out, self.note = store, list(dict.fromkeys(names)), left_out, note or warnings.warn

    def __len__(self) -> int:
        return len(self.names)

    def tables(self) -> Iterator[tuple[dict, Any]]:
        """(what `find` says, table of every row) of each."""
        for name in list(self.names):
            try:
                found = self.store._query.find(name)
                yield found, self.store.rows(name)
            except LitmusError as error:
                if self._left_out is None:
                    raise
                self.names.remove(name)
                self._left_out(name, error)

    def __iter__(self) -> Iterator[Run]:
        for found, table in self.tables():
            yield Run(table, found)


def rows_of(table) -> Iterator[dict]:
    """The rows as dicts without what is NULL or an empty list."""
    names, columns = [], []
    for name in table.column_names:
        values = table.column(name)
        if any(value is not None and value != [] for value in values):
            names.append(name)
            columns.append(values)
    for values in zip(*columns):
        yield {name: value for name, value in zip(names, values) if value is not None and value != []}


def _seconds(started, ended) -> float:
    return max(0.0, (ended - started).total_seconds()) if started is not None and ended is not None else 0.0


def finite(value) -> bool:
    """Whether it is a number that JSON and XML can say."""
    return isinstance(value, (int, float)) and math.isfinite(value)

# SPDX-License-Identifier: Apache-2.0
"""Results of other tools as runs of their own: JUnit XML, pytest-reportlog, OpenHTF.

    from litmus.imports import import_file

    for run_id, new in import_file("junit.xml"):
        ...

A reader (`from_*.py` beside this file) turns the text of a file into Runs; what is here puts them on record. The id
of a run follows from the file's bytes, so the same file again makes no second run; unless the first was broken off.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import os
import tempfile
from typing import Any, NamedTuple

from litmus.errors import InvalidArgument, LitmusError, StorageError

__all__ = ["KINDS", "Attempt", "Run", "Step", "import_file", "kind_of"]

KINDS = ("junit", "reportlog", "openhtf")
BYTES_MAX = 1 << 30
REASONS = ("skip_marker", "sweep_stopped", "maxfail", "interrupted", "crash", "instrument_error", "collection_error", "unknown")
_SEVERITY = ("passed", "done", "skipped", "failed", "errored", "terminated", "aborted")


def after_call(message: str | None, of_call: str | None) -> str | None:
    """The message of what failed after the call of a test, which may have failed itself: as litmus has it."""
    return "; ".join(filter(None, [message, of_call and f"call failed: {of_call}"])) or None


class Attempt(NamedTuple):
    """One execution. Times are microseconds since 1970. measurements: maps of the event test.measurement. data: "in" and "out", each name -> value.
    attachments: (name, media type or None, bytes) of each."""

    outcome: str
    started: int
    ended: int
    message: str | None = None
    phase: str | None = None
    measurements: tuple = ()
    data: dict = {}  # noqa: RUF012: nobody writes to it
    attachments: tuple = ()


class Step(NamedTuple):
    """One step as the file has it; without attempts it never ran, and `reason` says why."""

    name: str
    parent: str
    node_id: str
    file: str | None
    attempts: list
    reason: str | None = None
    message: str | None = None


class Run(NamedTuple):
    """One run; `facts` are fields of the event run.started, `outcome` None: the worst of its steps."""

    facts: dict
    steps: list
    started: int
    ended: int
    outcome: str | None = None
    stop_reason: str | None = None


def kind_of(raw: bytes, path: str) -> str:
    """Which kind of file it is, by its first characters. Raises InvalidArgument when it is none of them."""
    head = raw[:4096].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")  # UTF-16, too: what a shell of Windows redirects
    if head.startswith(b"<"):
        return "junit"
    if head.startswith(b"{"):
        return "reportlog" if b'"$report_type"' in head.split(b"\n", 1)[0] or b'"pytest_version"' in head.split(b"\n", 1)[0] else "openhtf"
    raise InvalidArgument(f"{path}: neither JUnit XML, nor a log of pytest-reportlog, nor a record of OpenHTF: --junit, --reportlog or --openhtf say which it is")


def import_file(path: str | os.PathLike, *, kind: str | None = None, data_dir: str | os.PathLike | None = None) -> list[tuple[str, bool]]:
    """Puts what a file says on record.

    Args:
        path: the file.
        kind: "junit", "reportlog" or "openhtf"; None: by looking into it.
        data_dir: the data directory, as RunStore takes it.

    Returns:
        (run id, whether it is new) of each run in the file.

    Raises:
        InvalidArgument: the file is not of that kind; nothing of it was recorded.
        StorageError: it cannot be read, or the run cannot be recorded.
    """
    import importlib

    path = os.fspath(path)
    try:
        with open(path, "rb") as file:
            raw = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}", errno=error.errno) from error
    if len(raw) > BYTES_MAX:
        raise InvalidArgument(f"{path}: larger than {BYTES_MAX >> 30} GiB")
    kind = kind or kind_of(raw, path)
    if kind not in KINDS:
        raise InvalidArgument(f"no kind of file {kind!r}: {', '.join(KINDS)}")
    try:
        runs = importlib.import_module("litmus.imports.from_" + kind).read(raw)
    except InvalidArgument as error:
        raise InvalidArgument(f"{path}: {error}") from None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise InvalidArgument(f"{path}: not what {kind} files look like: {error}") from None
    digest = hashlib.sha256(raw).hexdigest()
    source = {"source": os.path.basename(path), "source_kind": kind, "source_sha256": digest}
    _rehearse(runs, source, path)
    with _alone(data_dir):
        return [_put(run, f"{kind}:{digest}:{number}", source, data_dir) for number, run in enumerate(runs)]


@contextlib.contextmanager
def _alone(data_dir: Any):
    """One import at a time: whether a file is on record already is true until it is."""
    from litmus import _litmus

    folder = _litmus.data_dir(data_dir)
    try:
        os.makedirs(folder, exist_ok=True)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StorageError(f"cannot use the data_dir {folder}: {error.strerror or error}", errno=error.errno) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _id_of(key: str) -> str:
    h = hashlib.sha256(key.encode()).hexdigest()
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-8{h[17:20]}-{h[20:32]}"


def _worst(run: Run) -> str:
    last = [step.attempts[-1].outcome for step in run.steps if step.attempts]
    return max((word for word in last if word in _SEVERITY), key=_SEVERITY.index, default="passed") if any(word not in ("skipped", "done") for word in last) else "passed"


def _rehearse(runs: list[Run], source: dict, path: str) -> None:
    """Everything is recorded in a data_dir that goes away: what no record can hold is found before any of the file is on record."""
    from litmus import _litmus

    with tempfile.TemporaryDirectory(prefix="litmus-import-") as scratch:
        try:
            with _litmus.Session(scratch, daemon=False) as session:
                for number, run in enumerate(runs):
                    _emit(session, run, _id_of(str(number)), source)
        except StorageError:
            raise
        except (LitmusError, ValueError, TypeError, OverflowError) as error:
            raise InvalidArgument(f"{path}: nothing of it was recorded: {error}") from None


def _unused_id(run: Run, key: str, data_dir: Any) -> tuple[str, bool]:
    """(id, whether it is new). One that an import was broken off in has another end than the file says: the whole run comes beside it."""
    from litmus.data.run_store import RunStore

    with RunStore(data_dir) as store:
        for number in itertools.count():
            run_id = _id_of(key if number == 0 else f"{key}:{number}")
            found = store.get_run(run_id)
            if found is None or (found["outcome"], found["stop_reason"]) == (run.outcome or _worst(run), run.stop_reason):
                return run_id, found is None
    raise AssertionError("there is always a next number")


def _put(run: Run, key: str, source: dict, data_dir: Any) -> tuple[str, bool]:
    from litmus import _litmus

    run_id, new = _unused_id(run, key, data_dir)
    if new:
        with _litmus.Session(data_dir, payload={"client": "litmus import", "session_type": "import"}, daemon=False) as session:
            _emit(session, run, run_id, source)
    return run_id, new


def _emit(session, run: Run, run_id: str, source: dict) -> None:
    """All events of a run, the plan first: whatever breaks it off, what is missing never ran."""
    session.emit("run.started", {"client": "litmus import", **run.facts, "custom_metadata": {**run.facts.get("custom_metadata", {}), **source}}, run_id, run.started)
    keys, seen = [], {}
    for index, step in enumerate(run.steps):
        path = f"{step.parent}/{step.name}" if step.parent else step.name
        vector = seen[path] = seen.get(path, -1) + 1
        keys.append({"step_name": step.name, "step_index": index, "step_path": path, "parent_path": step.parent, "vector_index": vector})
    session.emit("test.steps_discovered", {"items": [{"node_id": step.node_id, "name": step.name, "file": step.file, **{k: key[k] for k in ("step_path", "vector_index")}}
                                                     for step, key in zip(run.steps, keys)]}, run_id, run.started)
    for step, key in zip(run.steps, keys):
        _put_step(session, run_id, step, key, run.started)
    session.emit("run.ended", {"outcome": run.outcome or _worst(run), "stop_reason": run.stop_reason}, run_id, run.ended)


def _put_step(session, run_id: str, step: Step, key: dict, at: int) -> None:
    code = {"node_id": step.node_id, "file": step.file, "function": step.name}
    own = {name: value for name, value in key.items() if name != "parent_path"}
    if not step.attempts:
        session.emit("test.step_not_run", {"node_id": step.node_id, "step_path": key["step_path"], "vector_index": key["vector_index"],
                                           "reason": step.reason if step.reason in REASONS else "unknown", "message": step.message}, run_id, at)
    for retry, attempt in enumerate(step.attempts):
        session.emit("test.step_started", {**key, **code, "retry": retry, "inputs": attempt.data.get("in")}, run_id, attempt.started)
        for measurement in attempt.measurements:
            session.emit("test.measurement", {**own, "retry": retry, **measurement}, run_id, attempt.ended)
        for name, mime, content in attempt.attachments:
            uri, digest, size = session.store(name, content)
            session.emit("test.attachment", {**own, "retry": retry, "name": name, "uri": uri, "sha256": digest, "size_bytes": size, "mime_type": mime}, run_id, attempt.ended)
        session.emit("test.step_ended", {**key, **code, "retry": retry, "outcome": attempt.outcome, "vector_outcome": attempt.outcome, "message": attempt.message,
                                         "failed_phase": attempt.phase, "outputs": attempt.data.get("out")}, run_id, attempt.ended)

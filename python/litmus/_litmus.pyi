# SPDX-License-Identifier: Apache-2.0
"""The extension's types. The docstrings are in the extension itself: `help(litmus._litmus.Session)`."""

import os
from typing import Any, Literal, TypedDict

_Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]
_Outcome = str
_JSONLike = Any

class RunResult(TypedDict):
    """What became of a run that a session ended."""

    run_id: str
    path: str
    outcome: _Outcome
    planned: int
    steps: int
    measurements: int
    never_ran: int
    counts: dict[_Outcome, int]
    materializer: Literal["daemon", "in-process"]

class FieldDeclaration(TypedDict):
    name: str
    type: str
    need: Literal["required", "optional", "key"]
    default: Any
    meaning: str

class EventDeclaration(TypedDict):
    scope: Literal["session", "run", "any"]
    meaning: str
    fields: list[FieldDeclaration]

class FoundRun(TypedDict):
    run_id: str
    path: str | None
    session_id: str
    live: bool

version: str
codes: dict[str, int]

class Session:
    def __init__(
        self,
        data_dir: _Path | None = None,
        session_id: str | None = None,
        joined: bool = False,
        payload: dict[str, _JSONLike] | None = None,
        daemon: bool = True,
        durability: str | None = None,
        group_ms: int = 100,
        daemon_exe: _Path | None = None,
    ) -> None: ...
    @property
    def id(self) -> str: ...
    @property
    def data_dir(self) -> str: ...
    @property
    def log_path(self) -> str: ...
    @property
    def rows(self) -> int: ...
    @property
    def closed(self) -> bool: ...
    def emit(
        self,
        event_type: str,
        payload: dict[str, _JSONLike] | None,
        run_id: str | None = None,
        occurred_at: int | None = None,
        id: str | None = None,
    ) -> str: ...
    def store(self, name: str, content: _Path | bytes, sync: bool = True, /) -> tuple[str, str, int]: ...
    def close(self, outcome: _Outcome | None = None, wait: float = 10.0) -> list[RunResult]: ...
    def __enter__(self) -> Session: ...
    def __exit__(self, *exc: object) -> None: ...

class Table:
    @property
    def num_rows(self) -> int: ...
    @property
    def column_names(self) -> list[str]: ...
    @property
    def run_id(self) -> str | None: ...
    @property
    def file_path(self) -> str | None: ...
    @property
    def live(self) -> bool | None: ...
    def to_dicts(self, text_times: bool = False, equal: dict[str, Any] | None = None) -> list[dict[str, Any]]: ...
    def column(self, name: str) -> list[Any]: ...
    def find_text(self, prefix: str) -> list[tuple[int, str, str]]: ...
    def __len__(self) -> int: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    def __arrow_c_schema__(self) -> object: ...

class Query:
    def __init__(self, data_dir: _Path | None = None) -> None: ...
    @property
    def data_dir(self) -> str: ...
    @property
    def is_behind(self) -> bool: ...
    def runs(
        self,
        limit: int = 0,
        offset: int = 0,
        since: int | None = None,
        until: int | None = None,
        serial: str | None = None,
        part: str | None = None,
        station: str | None = None,
        operator: str | None = None,
        phase: str | None = None,
        outcome: str | None = None,
        project: str | None = None,
        finished_only: bool = False,
        run_id: str | None = None,
        lot: str | None = None,
        git: str | None = None,
        text: str | None = None,
    ) -> Table: ...
    def find(self, run: str, /) -> FoundRun: ...
    def steps(self, run: str, /) -> Table: ...
    def measurements(self, run: str, /) -> Table: ...
    def rows(self, run: str, /) -> Table: ...
    def damaged(self) -> list[tuple[str, str]]: ...
    def events(
        self,
        session_id: str | None = None,
        run_id: str | None = None,
        event_type: str | None = None,
        role: str | None = None,
        since: int | None = None,
        limit: int = 0,
    ) -> Table: ...
    def sql_setup(self, scratch: str, events: bool = False, since: int | None = None, memory_limit: str | None = None, views: str | None = None) -> str: ...
    def close(self) -> None: ...

class Follow:
    def __init__(
        self,
        data_dir: _Path | None = None,
        session_id: str | None = None,
        run_id: str | None = None,
        event_type: str | None = None,
        role: str | None = None,
    ) -> None: ...
    def poll(self) -> list[str]: ...
    def close(self) -> None: ...

def config(folder: _Path | None = None) -> dict[str, Any]: ...
def data_dir(arg: _Path | None = None) -> str: ...
def event_types() -> dict[str, EventDeclaration]: ...
def read_parquet(path: _Path, /) -> Table: ...
def start_daemon(data_dir: _Path | None = None, exe: _Path | None = None) -> None: ...

class Limit:
    def __init__(
        self, what: str, low: float | None = None, high: float | None = None, nominal: float | str | None = None, comparator: str | None = None
    ) -> None: ...
    @property
    def comparator(self) -> str | None: ...
    def judge(self, value: float | str | None, /) -> Literal["passed", "failed", "done", "errored"]: ...

class Channel:
    uri: str
    def __init__(
        self, session: Session, channel_id: str, type: str | None = "float64", units: str | None = None, run_id: str | None = None,
        instrument_role: str | None = None, method: str | None = None, resource: str | None = None,
    ) -> None: ...
    def sample(self, value: float, time_ns: int = 0, /) -> None: ...
    def block(self, data: Any, start_ns: int, interval_ns: float, times: Any = None, /) -> None: ...
    def arrow(self, schema: Any, array: Any, start_ns: int, interval_ns: float, /) -> int: ...
    def close(self, reason: str | None = None, /) -> None: ...

def read_channel(
    uri: str, data_dir: Any = None, from_ns: int = ..., to_ns: int = ..., points: int = 0, view: str = "minmax"
) -> tuple[str, bytes, bytes]: ...

def yaml_file(path: Any, /) -> dict[str, Any]: ...
def yaml_locate(path: Any, keys: tuple[bytes, ...], /) -> tuple[int, int]: ...

# SPDX-License-Identifier: Apache-2.0
"""Everything on record in SQL, by the installed DuckDB, and as Arrow, Polars or pandas.

    import litmus

    con = litmus.connect()
    con.sql("SELECT step_name, count(*) FROM steps WHERE never_ran GROUP BY ALL").show()
    litmus.scan("measurements", since="2026-05-01", to="polars")

The views (runs, steps, attempts, measurements, events, live, and those for analysis) are in views.sql
beside this file; `litmus sql` has the same. docs/user-guide.md has more.
"""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import tempfile
import time
import weakref
from typing import Any

from litmus import _litmus
from litmus.data._common import time_us
from litmus.errors import InvalidArgument, LitmusError

__all__ = ["VIEWS", "NoDuckDB", "connect", "refresh", "scan"]

VIEWS = ("runs", "steps", "attempts", "measurements", "events", "live",
         "unit_runs", "counted_rows", "counted_steps", "yield", "first_steps", "step_yield", "rolled_yield", "step_coverage", "step_pareto", "flaky_steps",
         "first_measurements", "capability", "control", "durations", "retest", "plan_drift")
_PREFIX, _YOUNG_S = "litmus-connect-", 60
_TIMES = {"runs": "started_at", "live": "started_at", "unit_runs": "started_at", "steps": "run_started_at", "attempts": "run_started_at",
          "measurements": "run_started_at", "first_measurements": "run_started_at", "control": "started_at", "plan_drift": "started_at", "events": "received_at"}


class NoDuckDB(LitmusError, ImportError):
    """DuckDB, or the library that a result is wanted for, is not installed; the text says how to get it."""

    code = "EINVAL"


def _need(name: str, extra: str):
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise NoDuckDB(f"{name} is not installed: pip install {extra}") from None


def _lock(folder: str) -> int | None:
    """The descriptor that holds it; None: another process does, or it is no folder of ours."""
    fd = None
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return fd
    except OSError:
        if fd is not None:
            os.close(fd)
        return None


class _Scratch(tempfile.TemporaryDirectory):
    """Locked as long as it is in use."""

    def __init__(self):
        super().__init__(prefix=_PREFIX)
        self._locked = _lock(self.name)

    def cleanup(self) -> None:
        super().cleanup()
        if self._locked is not None:
            os.close(self._locked)
            self._locked = None


def _clear_left() -> None:
    """What one that was killed has left; its spilled rows may be gigabytes. A young one may be on its way to be locked."""
    for folder in glob.glob(glob.escape(tempfile.gettempdir()) + f"/{_PREFIX}*"):
        lock = _lock(folder)
        if lock is None:
            continue
        told = os.fstat(lock)
        if told.st_uid == os.geteuid() and time.time() - told.st_mtime > _YOUNG_S:
            shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def connect(data_dir: str | os.PathLike | None = None, *, events: bool = True, since: Any = None, memory_limit: str | None = None, views: str | None = None):
    """A DuckDB connection, in memory, with the views over every finished run and every run in flight.

    It shows what was on record when it was made; `refresh` brings it up to date. Nothing on record can be
    changed through the views. Times are UTC.

    Args:
        data_dir: the data directory; None: LITMUS_DATA_DIR, litmus.yaml, LITMUS_HOME, XDG.
        events: load the events, too; without, the view `events` is empty and opening is quicker.
        since: events received then or later: datetime, ISO 8601 text or microseconds since 1970.
        memory_limit: such as "2GB"; None: LITMUS_SQL_MEMORY, or 80 % of the machine's.
        views: SQL, or names, of the views that are wanted: only those, and those under them, are made, which is quicker.
            None: all.

    Returns:
        duckdb.DuckDBPyConnection. Close it, or use it in a `with`.

    Raises:
        NoDuckDB: duckdb is not installed.
        InvalidArgument: memory_limit is no size.
    """
    duckdb = _need("duckdb", "'litmus-recorder[sql]'")
    # A folder of its own, that nobody can guess or else write to, for what does not fit into memory.
    _clear_left()
    spill = _Scratch()
    con = duckdb.connect(":memory:", config={"temp_directory": spill.name + "/spill"})
    weakref.finalize(con, spill.cleanup)
    try:
        return refresh(con, data_dir, events=events, since=since, memory_limit=memory_limit, views=views)
    except BaseException:
        con.close()
        raise


def refresh(con, data_dir: str | os.PathLike | None = None, *, events: bool = True, since: Any = None, memory_limit: str | None = None,
            views: str | None = None):  # fmt: skip
    """Makes the views of a connection anew, over what is on record now. Arguments as `connect`; returns `con`."""
    query = _litmus.Query(data_dir)
    # The query holds the files of the lake as they are: as long as there are views over them.
    weakref.finalize(con, query.close)
    with _Scratch() as scratch:
        con.execute(query.sql_setup(scratch, events, time_us(since), memory_limit, views))
    return con


def scan(view: str = "steps", data_dir: str | os.PathLike | None = None, *, columns: list[str] | None = None, where: str | None = None,
         since: Any = None, until: Any = None, to: str = "arrow", memory_limit: str | None = None):
    """The rows of a view: `litmus.scan("measurements", columns=["measurement_value"], to="pandas")`.

    Args:
        view: one of `litmus.sql.VIEWS`.
        data_dir: as `connect`.
        columns: these only; None: all.
        where: a condition in SQL.
        since, until: on the start of the run (of events: when they were received), `since` inclusive.
        to: "arrow" (pyarrow.Table), "polars" or "pandas".
        memory_limit: as `connect`.

    Raises:
        NoDuckDB: duckdb, or the library asked for, is not installed.
        InvalidArgument: no such view or kind of result.
    """
    kinds = {"arrow": ("pyarrow", "fetch_arrow_table"), "polars": ("polars", "pl"), "pandas": ("pandas", "df")}
    if view not in VIEWS:
        raise InvalidArgument(f"no view {view!r}: {', '.join(VIEWS)}")
    if to not in kinds:
        raise InvalidArgument(f"no kind of result {to!r}: {', '.join(kinds)}")
    bounds = [(op, time_us(value)) for op, value in ((">=", since), ("<", until)) if value is not None]
    if bounds and view not in _TIMES:
        raise InvalidArgument(f"the view {view} has no time: filter with connect()")
    module, method = kinds[to]
    _need(module, module)
    clauses = [f"({where})"] if where else []
    clauses += [f"{_TIMES[view]} {op} make_timestamptz({us})" for op, us in bounds]
    names = "*" if columns is None else ", ".join('"' + name.replace('"', '""') + '"' for name in columns)
    with connect(data_dir, events=view == "events", memory_limit=memory_limit, views=view) as con:
        result = con.execute(f'SELECT {names} FROM "{view}"' + (" WHERE " + " AND ".join(clauses) if clauses else ""))
        if method == "fetch_arrow_table" and hasattr(result, "to_arrow_table"):  # its name since DuckDB 1.5
            method = "to_arrow_table"
        return getattr(result, method)()

# SPDX-License-Identifier: Apache-2.0
"""Runs, their steps and their measurements.

    from litmus.data.run_store import RunStore

    for step in RunStore().get_steps("last"):
        print(f"{step['step_name']}: {step['step_outcome']}")

Finished runs are read from their Parquet files, runs in flight from their logs through the same
fold: the same rows either way. A step whose `step_outcome` is None never ran; in a run in flight,
it has not run yet.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from litmus import _litmus
from litmus.data._common import Store, ref_dir_for, time_us
from litmus.errors import DataUnavailable, LitmusError, RunNotFound

__all__ = ["RunStore"]


class RunStore(Store):
    """Runs of one data directory.

    A run is named by its id, by a prefix that fits no other run (hex digits and dashes, any case),
    by "last" or by "@2" (the second newest). Times are UTC: datetimes with a zone, but text
    "YYYY-MM-DD HH:MM:SS[.ffffff]" in step dicts. Every dict of a run in flight has `live` True.

    Args:
        data_dir: the data directory; None: LITMUS_DATA_DIR, litmus.yaml, LITMUS_HOME, XDG.

    Raises:
        ConfigError: litmus.yaml cannot be used.
        StorageError: the directory cannot be read.
    """

    def __init__(self, data_dir: str | os.PathLike | None = None):
        self._query = _litmus.Query(data_dir)

    @property
    def data_dir(self) -> str:
        """The data directory in force, an absolute path."""
        return self._query.data_dir

    @property
    def is_behind(self) -> bool:
        """Did another process keep the catalog locked at the last question, so that what came of late may be missing?

        Each such answer also warns with `litmus.errors.CatalogBehind`.
        """
        return self._query.is_behind

    # -- dicts

    def list_runs(self, limit: int | None = 50, offset: int = 0, text: str | None = None) -> list[dict[str, Any]]:
        """Run summaries, newest first.

        Args:
            limit: at most so many; None or 0: all.
            offset: leave out so many of the newest: a page is `limit=20, offset=40`.
            text: words, as in `runs`.

        Returns:
            Dicts with test_run_id, session_id, slot_id, started_at, ended_at, dut_serial,
            dut_part_number, product_id, station_id, station_name, station_type, station_hostname,
            fixture_id, test_phase, operator, outcome, total_measurements, total_steps,
            project_name, file_path; then the number of planned steps by outcome (passed, failed,
            errored, skipped, done, terminated, aborted, never_ran, running, planned), live,
            stop_reason, running_step. A run in flight has no outcome, ended_at and file_path;
            running_step is the step of it that started last and is under way.
        """
        return self.runs(limit=limit or 0, offset=offset, text=text).to_dicts()

    def get_run(self, run: str) -> dict[str, Any] | None:
        """One run summary as in `list_runs`; None when no run has that id.

        Raises:
            AmbiguousRunId: the prefix fits several runs; the text names them.
            InvalidArgument: an empty id.
        """
        try:
            found = self._query.find(run)
        except RunNotFound:
            return None
        rows = self._query.runs(run_id=found["run_id"]).to_dicts()
        return rows[0] if rows else None

    def get_steps(self, run: str) -> list[dict[str, Any]]:
        """The planned steps of a run, in the order of the plan, those that never ran included.

        Returns:
            Dicts with run_id, step_index, step_name, step_path, parent_path, vector_index,
            step_node_id, step_outcome (None: never ran), outcome (the same), started_at, ended_at
            (text), duration_s (seconds), has_measurements, measurement_count, vector_count,
            retry_count, markers, file_path; then step_message, step_failed_phase,
            never_ran_reason, never_ran_cause (id of the event that caused it), live.

        Raises:
            RunNotFound: no run has that id; the text gives near matches.
            AmbiguousRunId, InvalidArgument: as in `get_run`.
            DataUnavailable: its file cannot be read.
        """
        return self._query.steps(run).to_dicts(text_times=True)

    def get_measurements(self, run: str) -> list[dict[str, Any]]:
        """The measurements of a run, by step_index, measurement_name, vector_index, vector_retry.

        Returns:
            Dicts with every column of the run's file by name, in its own type, and file_path.

        Raises:
            As `get_steps`.
        """
        table = self._query.measurements(run)
        rows = table.to_dicts()
        if table.live:
            for row in rows:
                row["live"] = True
        return rows

    def get_measurement(self, file_path: str | os.PathLike, name: str, step_index: int | None = None) -> list[dict[str, Any]]:
        """The measurements of one name in one run file, in file order.

        Args:
            file_path: the run file.
            name: measurement name.
            step_index: of this step only; None: of any.

        Returns:
            Dicts as in `get_measurements`. [] when the file has no such column or cannot be decoded.

        Raises:
            DataUnavailable: the file is not there; `status` is what the catalog knows of it, else
                "missing".
        """
        path = os.fspath(file_path)
        if not os.path.exists(path):
            raise DataUnavailable(path, self._status_of(path))
        wanted: dict[str, Any] = {"record_type": "measurement", "measurement_name": name}
        if step_index is not None:
            wanted["step_index"] = step_index
        try:
            rows = _litmus.read_parquet(path).to_dicts(equal=wanted)
        except DataUnavailable:
            return []
        for row in rows:
            row["file_path"] = path
        return rows

    def _status_of(self, path: str) -> str:
        absolute = os.path.abspath(path)
        try:
            damaged = {os.path.abspath(name) for name, _ in self._query.damaged()}
        except LitmusError:
            return "missing"
        return "quarantined" if absolute in damaged else "missing"

    # -- files

    def find_run_file(self, run: str) -> Path | None:
        """The file of a run; None when the run is unknown or in flight, or its file is gone.

        Raises:
            AmbiguousRunId, InvalidArgument: as in `get_run`.
        """
        try:
            path = self._query.find(run)["path"]
        except RunNotFound:
            return None
        return Path(path) if path and os.path.exists(path) else None

    def ref_dir_for(self, file_path: str | os.PathLike) -> Path:
        """The folder of the blobs of a run file: `{stem}_ref` beside it. It need not be there."""
        return ref_dir_for(file_path)

    def find_channel_refs(self, sessions: Iterable[str]) -> list[dict[str, Any]]:
        """Where finished runs refer to channels (`channel://{channel_id}?session={session_id}`).

        Args:
            sessions: the first 8 characters of session ids (more are cut off); empty: nothing.

        Returns:
            Dicts with file_path, step_index, measurement_name, col_name, row_idx (of the file),
            uri, channel_id, session_short, session_id.
        """
        wanted = {session[:8].lower() for session in sessions}
        found: list[dict[str, Any]] = []
        if not wanted:
            return found
        for path in self.runs(finished_only=True).column("file_path"):
            try:
                table = _litmus.read_parquet(path)
            except LitmusError:  # removed or damaged meanwhile: not in any listing
                continue
            found.extend(_channel_refs(path, table, wanted))
        return found

    def notify_new_run(self, file_path: str | os.PathLike) -> None:
        """Indexes a run file now, rather than at the next question. Failure is no error."""
        try:
            self._query.runs(limit=1)
        except LitmusError:
            pass

    # -- tables

    def runs(
        self,
        limit: int = 0,
        *,
        offset: int = 0,
        since: Any = None,
        until: Any = None,
        serial: str | None = None,
        part: str | None = None,
        station: str | None = None,
        operator: str | None = None,
        phase: str | None = None,
        outcome: str | None = None,
        project: str | None = None,
        lot: str | None = None,
        git: str | None = None,
        text: str | None = None,
        finished_only: bool = False,
    ) -> _litmus.Table:
        """Run summaries as a Table, newest first; Arrow takes it without copying.

        Args:
            limit: at most so many; 0: all.
            offset: leave out so many of the newest.
            since, until: on started_at, `since` inclusive: datetime, ISO 8601 text, microseconds.
            serial, part, station, operator, phase, outcome, project, lot: exact values; None: any.
            git: a commit, or how it starts.
            text: words, each of which is, in any case, somewhere in serial, part, lot, product, slot, station, fixture, phase, operator
                or project, or starts the run's id or git commit.
            finished_only: no runs in flight.
        """
        return self._query.runs(
            limit=limit,
            offset=offset,
            since=time_us(since),
            until=time_us(until),
            serial=serial,
            part=part,
            station=station,
            operator=operator,
            phase=phase,
            outcome=outcome,
            project=project,
            lot=lot,
            git=git,
            text=text,
            finished_only=finished_only,
        )

    def steps(self, run: str) -> _litmus.Table:
        """The steps of `get_steps` as a Table; Arrow takes it without copying. Raises as `get_steps`."""
        return self._query.steps(run)

    def measurements(self, run: str) -> _litmus.Table:
        """The measurements of `get_measurements` as a Table. Raises as `get_steps`."""
        return self._query.measurements(run)

    def rows(self, run: str) -> _litmus.Table:
        """Every row and column of a run, as its file has them or will have them. Raises as `get_steps`."""
        return self._query.rows(run)

    def close(self) -> None:
        """Gives everything back; a second call does nothing. Tables handed out stay valid."""
        self._query.close()


def _channel_refs(path: str, table: _litmus.Table, wanted: set[str]) -> Iterable[dict[str, Any]]:
    refs = table.find_text("channel://")
    if not refs:
        return
    columns = {name: table.column(name) for name in ("step_index", "measurement_name", "session_id") if name in table.column_names}
    none = [None] * len(table)
    for row, name, uri in refs:
        channel_id, _, query = uri[len("channel://") :].partition("?")
        session = next((part[8:] for part in query.split("&") if part.startswith("session=")), "")
        own = columns.get("session_id", none)[row] or ""
        session_id = session if len(session) == 36 or not own.startswith(session) else own
        if session_id[:8].lower() not in wanted:
            continue
        yield {
            "file_path": path,
            "step_index": columns.get("step_index", none)[row],
            "measurement_name": columns.get("measurement_name", none)[row],
            "col_name": name,
            "row_idx": row,
            "uri": uri,
            "channel_id": channel_id,
            "session_short": session_id[:8],
            "session_id": session_id,
        }

# SPDX-License-Identifier: Apache-2.0
"""The events as they were recorded, and as they come.

    from litmus.data.event_store import EventStore

    store = EventStore()
    store.events(event_type="test.steps_discovered", session_id=sid)

An event is a flat dict: id, event_type, occurred_at, received_at (ISO 8601 text, UTC), session_id,
run_id, and the fields of its type.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from litmus import _litmus
from litmus.data._common import Store, time_us
from litmus.errors import EventError, InvalidArgument, LitmusError

__all__ = ["EventStore", "Subscription"]

POLL_SECONDS = 0.05  # how late a new event may be told
_OVERLAP_US = 60_000_000  # events this much older than their subscription cannot come again


class EventStore(Store):
    """Events of one data directory.

    Args:
        data_dir: the data directory; None: LITMUS_DATA_DIR, litmus.yaml, LITMUS_HOME, XDG.
        daemon: start the runs daemon when this store records events of a run.

    Raises:
        ConfigError: litmus.yaml cannot be used.
        StorageError: the directory cannot be read.
    """

    def __init__(self, data_dir: str | os.PathLike | None = None, *, daemon: bool = True):
        self._query = _litmus.Query(data_dir)
        self._daemon = daemon
        self._lock = threading.Lock()
        self._sessions: dict[str, _litmus.Session] = {}
        self._subscriptions: list[Subscription] = []
        self._session_id = str(uuid.uuid4())

    @property
    def data_dir(self) -> str:
        """The data directory in force, an absolute path."""
        return self._query.data_dir

    # -- reading

    def events(
        self,
        session_id: str | uuid.UUID | None = None,
        run_id: str | uuid.UUID | None = None,
        event_type: str | None = None,
        role: str | None = None,
        since: Any = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Events that fit every given filter, received_at ascending; [] when there are none.

        Args:
            session_id, run_id, event_type: exact; the ids may be a uuid.UUID.
            role: `role` or `instrument_role` is it, or `channel_id` starts with it and a dot.
            since: received then or later: datetime, ISO 8601 text or microseconds since 1970.
            limit: the N most recent of them; None or 0: all.
        """
        return _parsed(self.table(session_id, run_id, event_type, role, since, limit))

    def table(
        self,
        session_id: str | uuid.UUID | None = None,
        run_id: str | uuid.UUID | None = None,
        event_type: str | None = None,
        role: str | None = None,
        since: Any = None,
        limit: int | None = None,
    ) -> _litmus.Table:
        """As `events`, as a Table (id, event_type, occurred_at, received_at, session_id, run_id, json)."""
        self.flush()
        return self._query.events(
            session_id=_id_text(session_id),
            run_id=_id_text(run_id),
            event_type=event_type,
            role=role,
            since=time_us(since),
            limit=limit or 0,
        )

    def sessions(self) -> list[dict[str, Any]]:
        """All `session.started` events."""
        return self.events(event_type="session.started")

    def events_for_unmaterialized_runs(self, since: Any = None) -> list[dict[str, Any]]:
        """Events of the runs that have a run.started and no run.materialized.

        Args:
            since: received then or later; None: all.
        """
        runs = self._unmaterialized()
        if not runs:
            return []
        table = self.table(since=since)
        pairs = zip(table.column("run_id"), table.column("json"))
        return [json.loads(text) for run_id, text in pairs if run_id in runs]

    def _unmaterialized(self) -> set[str]:
        started = set(self.table(event_type="run.started").column("run_id"))
        return started - set(self.table(event_type="run.materialized").column("run_id"))

    def on_event(
        self,
        callback: Callable[[dict[str, Any]], Any],
        session_id: str | uuid.UUID | None = None,
        run_id: str | uuid.UUID | None = None,
        event_type: str | None = None,
        role: str | None = None,
        since: Any = None,
        *,
        replay: str = "matching",
    ) -> Subscription:
        """Calls `callback` with each event that fits; each id once, past events first.

        Past events are told before this returns, in the caller's thread; new ones within some 50 ms
        of being recorded, by whatever process, in a thread of the subscription. A callback that
        raises is reported (logger "litmus") and called again for the next event.

        Args:
            callback: takes one event dict; InvalidArgument when it cannot be called.
            session_id, run_id, event_type, role, since: as in `events`.
            replay: which past events: "matching" (all that fit), "unmaterialized_runs" (those of
                runs without a file yet) or "none".

        Returns:
            A handle; calling it ends the subscription.
        """
        if replay not in ("matching", "unmaterialized_runs", "none"):
            raise InvalidArgument(f"replay {replay!r} is none of matching, unmaterialized_runs, none")
        if not callable(callback):
            raise InvalidArgument(f"the callback {callback!r} cannot be called")
        filters = {"session_id": _id_text(session_id), "run_id": _id_text(run_id), "event_type": event_type, "role": role}
        # Opened first: what is recorded while the past is read comes both ways, and is told once.
        subscription = Subscription(callback, _litmus.Follow(self.data_dir, **filters), time_us(since))
        try:
            if replay != "none":
                past = self.events(**filters, since=since)
                if replay == "unmaterialized_runs":
                    runs = self._unmaterialized()
                    past = [event for event in past if event.get("run_id") in runs]
                for event in past:
                    subscription.tell(event)
        except BaseException:
            subscription()
            raise
        subscription.start()
        with self._lock:
            self._subscriptions = [s for s in self._subscriptions if s.active]
            self._subscriptions.append(subscription)
        return subscription

    # -- recording

    def emit(self, event: dict[str, Any]) -> str:
        """Puts one event on record; returns its id. When this returns, SIGKILL cannot lose it.

        Args:
            event: flat dict with `event_type` and the fields of that type. `session_id` missing: one
                session of this store. `id`, `occurred_at` missing: a new one, now. `received_at` is
                stamped anew. Nothing is added: to record a session from its start to its end, emit
                `session.started` and `session.ended` too.

        Raises:
            EventError: the event breaks its declaration; the text names the field.
            StorageError: it cannot be written.
        """
        fields = dict(event)
        event_type = fields.pop("event_type", None)
        if not isinstance(event_type, str):
            raise EventError('field "event_type" is missing', code="EEVENT")
        fields.pop("received_at", None)
        session_id = str(fields.pop("session_id", None) or self._session_id)
        run_id, event_id = fields.pop("run_id", None), fields.pop("id", None)
        occurred_at = time_us(fields.pop("occurred_at", None))
        session = self._session(session_id)
        return session.emit(
            event_type, fields, None if run_id is None else str(run_id), occurred_at, None if event_id is None else str(event_id)
        )

    def _session(self, session_id: str) -> _litmus.Session:
        with self._lock:
            session = self._sessions.get(session_id)
            if session is None:
                session = _litmus.Session(self.data_dir, session_id=session_id, joined=True)
                self._sessions[session_id] = session
                if self._daemon:
                    self._start_daemon()
            return session

    def _start_daemon(self) -> None:
        from litmus import _exe

        self._daemon = False
        try:
            _litmus.start_daemon(self.data_dir, _exe.find())
        except LitmusError:  # nothing is lost: the next daemon finds the log
            pass

    def flush(self) -> None:
        """Makes emitted events visible to other processes. They are already: nothing is buffered."""

    def close(self) -> None:
        """Ends the subscriptions and seals this store's logs; a second call does nothing."""
        with self._lock:
            subscriptions, self._subscriptions = self._subscriptions, []
            sessions, self._sessions = self._sessions, {}
        for subscription in subscriptions:
            subscription()
        self._query.close()
        for session in sessions.values():
            session.close()


class Subscription:
    """What `EventStore.on_event` returns. Calling it ends the subscription; again: nothing."""

    def __init__(self, callback: Callable[[dict[str, Any]], Any], follow: _litmus.Follow, since_us: int | None):
        self._callback = callback
        self._follow = follow
        self._since_us = since_us
        self._stop = threading.Event()
        # Ids of past events that may come again as new ones; None once they cannot.
        self._told: set[str] | None = set()
        self._told_from_us = time.time_ns() // 1000 - _OVERLAP_US
        self._thread: threading.Thread | None = None

    @property
    def active(self) -> bool:
        """False once it was ended."""
        return not self._stop.is_set()

    def tell(self, event: dict[str, Any]) -> None:
        """Calls the callback unless the event was told before."""
        if self._told is not None and (time_us(event.get("received_at")) or 0) >= self._told_from_us:
            if event["id"] in self._told:
                return
            self._told.add(event["id"])
        try:
            self._callback(event)
        except Exception:
            logging.getLogger("litmus").exception("a callback of on_event failed; the next events still go to it")

    def start(self) -> None:
        """Starts telling of new events."""
        self._thread = threading.Thread(target=self._run, name="litmus-events", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                texts = self._follow.poll()
            except LitmusError:
                logging.getLogger("litmus").exception("on_event cannot read the logs; trying again")
                texts = []
            for text in texts:
                event = json.loads(text)
                if self._stop.is_set():
                    return
                if self._since_us is None or (time_us(event.get("received_at")) or 0) >= self._since_us:
                    self.tell(event)
            self._told = None  # what was recorded while the past was read has come by now
            self._stop.wait(POLL_SECONDS)

    def __call__(self) -> None:
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=5)
        self._follow.close()

    close = __call__


def _parsed(table: _litmus.Table) -> list[dict[str, Any]]:
    return [json.loads(text) for text in table.column("json")]


def _id_text(value: str | uuid.UUID | None) -> str | None:
    return str(value) if isinstance(value, uuid.UUID) else value

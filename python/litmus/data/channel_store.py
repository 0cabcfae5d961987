# SPDX-License-Identifier: Apache-2.0
"""Channels: sampled signals of a session. What is here lists them; `litmus.channel` reads them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from litmus._channels import uri_of
from litmus.data._common import Store
from litmus.data.event_store import EventStore

__all__ = ["ChannelStore"]


class ChannelStore(Store):
    """The channels of one data directory.

    Args:
        data_dir: the data directory; None: LITMUS_DATA_DIR, litmus.yaml, LITMUS_HOME, XDG.
    """

    def __init__(self, data_dir: str | os.PathLike | None = None):
        self._events = EventStore(data_dir, daemon=False)

    @property
    def data_dir(self) -> str:
        """The data directory in force, an absolute path."""
        return self._events.data_dir

    def channels(self, session_id: str | None = None) -> list[dict[str, Any]]:
        """The channels that were opened (`channel.started`), oldest first; [] when there are none.

        Args:
            session_id: of this session only; None: of all.

        Returns:
            Dicts with channel_id, session_id, run_id, units, instrument_role, method, resource,
            started_at (ISO 8601 text), closed_at (None while open) and uri.
        """
        closed: dict[tuple[str, str], list[str]] = {}
        for event in self._events.events(session_id=session_id, event_type="channel.closed"):
            closed.setdefault((event["session_id"], event["channel_id"]), []).append(event["occurred_at"])
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for event in self._events.events(session_id=session_id, event_type="channel.started"):
            key = (event["session_id"], event["channel_id"])
            ends = closed.get(key)
            closed_at = ends.pop(0) if ends else None
            if key in found:  # it was opened again
                found[key]["closed_at"] = closed_at
                continue
            found[key] = {
                "channel_id": event["channel_id"],
                "session_id": event["session_id"],
                "run_id": event.get("run_id"),
                "units": event.get("units"),
                "instrument_role": event.get("instrument_role"),
                "method": event.get("method"),
                "resource": event.get("resource"),
                "started_at": event["occurred_at"],
                "closed_at": closed_at,
                "uri": uri_of(event["channel_id"], event["session_id"]),
            }
        return list(found.values())

    def files(self) -> list[Path]:
        """The files at `channels/{day}/`, by path, no links among them; [] when there are none."""
        days = [day for day in Path(self.data_dir, "channels").glob("*") if not day.name.startswith(".") and not day.is_symlink()]
        return sorted(path for day in days for path in day.glob("*") if path.is_file() and not path.is_symlink() and not path.name.startswith("."))

    def close(self) -> None:
        """Gives everything back; a second call does nothing."""
        self._events.close()

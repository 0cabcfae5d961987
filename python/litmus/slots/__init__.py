# SPDX-License-Identifier: Apache-2.0
"""Several units at once: what a test can say to the other slots. `litmus slots run` starts them (litmus.slots.__main__).

    from litmus import slots

    def test_thermal(...):
        slots.sync("chamber at 85 C", timeout=600)     # goes on when every slot is there

Outside of a slot `sync` returns at once, so that the same test runs alone.
"""

from __future__ import annotations

import os

__all__ = ["SlotsError", "SyncTimeout", "current", "sync"]

SOCKET = "LITMUS_SLOT_SOCKET"
SLOT = "LITMUS_SLOT_ID"
INDEX = "LITMUS_SLOT_INDEX"
TIMEOUT_MAX = 10**9  # seconds; what a socket can wait


class SlotsError(Exception):
    """The slots cannot be reached: `litmus slots run` is gone, or it refused what was said."""


class SyncTimeout(SlotsError):
    """Not every slot came to the sync point in time. `missing`: the ids of those that did not."""

    def __init__(self, name: str, timeout: float, missing: list):
        super().__init__(f"sync point {name!r}: {', '.join(missing) or 'nobody'} did not arrive within {timeout} s")
        self.missing = missing


def current() -> tuple | None:
    """(id, 0-based index) of the slot that this process is of; None outside of one."""
    slot, index = os.environ.get(SLOT), os.environ.get(INDEX, "")
    return (slot, int(index) if index.isdigit() else 0) if slot else None


def sync(name: str, timeout: float = 60.0) -> list:
    """Waits until every slot that still runs is at the point of that name; then all go on. The same name again is another point.

    Parameters: name (at most 255 bytes), timeout (seconds).

    Returns: the ids of the slots that will not come, because they have ended. Errors: SyncTimeout, SlotsError, ValueError.
    """
    import json
    import socket
    import time

    if not isinstance(name, str) or not name or len(name.encode()) > 255:
        raise ValueError(f"the name of a sync point is a text of 1 to 255 bytes, not {name!r:.80}")
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 <= timeout <= TIMEOUT_MAX:  # NaN, too
        raise ValueError(f"the timeout of a sync point is 0 to {TIMEOUT_MAX} seconds, not {timeout!r}")
    slot, path = current(), os.environ.get(SOCKET)
    if slot is None or not path:
        return []
    _on_record(slot[0], name)
    deadline = time.monotonic() + timeout
    with socket.socket(socket.AF_UNIX) as channel:
        try:
            channel.connect(path)
            channel.sendall(json.dumps({"slot": slot[0], "name": name}).encode() + b"\n")
            channel.settimeout(max(timeout, 0.001))
            try:
                answer = _line(channel, deadline)
            except socket.timeout:
                channel.settimeout(5)
                channel.shutdown(socket.SHUT_WR)  # we do not wait any longer: who was not there?
                answer = _line(channel, time.monotonic() + 5)
        except (OSError, ValueError) as exc:
            raise SlotsError(f"sync point {name!r}: litmus slots does not answer: {exc}") from None
    if "missing" in answer:
        raise SyncTimeout(name, timeout, answer["missing"])
    if "error" in answer:
        raise SlotsError(f"sync point {name!r}: {answer['error']}")
    return answer["ended"]


def _line(channel, deadline: float) -> dict:
    """One line of JSON. Errors: OSError (socket.timeout), ValueError."""
    import json
    import socket
    import time

    received = b""
    while not received.endswith(b"\n"):
        more = channel.recv(65536)
        if not more:
            raise OSError("it is gone")
        received += more
        if time.monotonic() > deadline and not received.endswith(b"\n"):
            raise socket.timeout
    return json.loads(received)


def _on_record(slot: str, name: str) -> None:
    from litmus.plugin import load

    running = load("_measure").running
    if running:
        running[-1].owner.part.emit("sync.arrived", {"slot_id": slot, "name": name})

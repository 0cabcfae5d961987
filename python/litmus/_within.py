# SPDX-License-Identifier: Apache-2.0
"""Work that may hang: a driver that connects, a scanner that is asked."""

from __future__ import annotations

import threading

from litmus.plugin import load


class TooLong(Exception):
    """The work was not done in its time."""


def within(seconds: float, name: str, work):
    """What `work` returns. A thread of that name does it, so that one that hangs can be left behind.

    Errors: TooLong; whatever Exception the work raises; RuntimeError when it tries to end the process.
    """
    box: dict = {}

    def run() -> None:
        try:
            box["value"] = work()
        except BaseException as exc:
            box["error"] = exc

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    thread.join(min(seconds, threading.TIMEOUT_MAX))
    error = box.get("error")
    if isinstance(error, Exception):
        raise error
    if error is not None:
        raise RuntimeError(f"it raised {type(error).__name__}: {load('_verdict').one_line(error)}")
    if "value" not in box:
        raise TooLong(f"not done within {seconds} s")
    return box["value"]

# SPDX-License-Identifier: Apache-2.0
"""A forked child dies of SIGTERM as if we were not there, from its first moment on.

Python forgets a signal that reaches a child between fork and the end of its own preparations, if
a handler is set; so the signal waits while we put the default action back.

The interpreter keeps what is registered here to its very end, and with it all that these functions can
reach: hence a module of its own, that knows nothing of pytest (else the last collections of garbage,
which find almost nothing in a plain pytest, go through all of pytest again).
"""

from __future__ import annotations

import os
import signal
import threading

_handler = None  # ours, while it is set
_mine = threading.local()
_registered = False


def install(handler) -> None:
    """`handler` is the one for SIGTERM from now on, until `remove`."""
    global _handler, _registered
    _handler = handler
    if not _registered:
        _registered = True
        os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)


def remove() -> None:
    """Forgets the handler."""
    global _handler
    _handler = None


def _before() -> None:
    _mine.mask = None
    if _handler is not None:
        _mine.mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))


def _in_parent() -> None:
    mask = getattr(_mine, "mask", None)
    if mask is not None and signal.SIGTERM not in mask:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))


def _in_child() -> None:
    if _handler is not None and signal.getsignal(signal.SIGTERM) is _handler:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _in_parent()

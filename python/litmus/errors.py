# SPDX-License-Identifier: Apache-2.0
"""What litmus raises. Every class is a LitmusError, and where Python has a word for the case
(ValueError, LookupError, OSError) also that, so that code that knows nothing of litmus catches it.
"""

from __future__ import annotations

import sys
import warnings

__all__ = [
    "AmbiguousRunId",
    "Busy",
    "Cancelled",
    "CatalogBehind",
    "ConfigError",
    "DataUnavailable",
    "EventError",
    "FormatVersionError",
    "InvalidArgument",
    "LakeHeld",
    "LitmusError",
    "OutOfMemory",
    "OutsideLimit",
    "RunNotFound",
    "StateError",
    "StorageError",
    "TimedOut",
    "from_code",
    "warn_behind",
    "warn_lake",
]


class LitmusError(Exception):
    """Base of every error of litmus. `str()` is one line that names the file and the remedy.

    Attributes:
        code: name of the core's error code, e.g. "ENOSPC" (`litmus.h`, LITMUS_CODES).
        errno: errno of the failing call of the operating system, or None.
    """

    code: str = ""
    errno: int | None = None

    def __init__(self, text: str = "", *, code: str | None = None, errno: int | None = None):
        super().__init__(text)
        self.text = text
        if code is not None:
            self.code = code
        if errno is not None:
            self.errno = errno

    def __str__(self) -> str:
        return self.text


class EventError(LitmusError, ValueError):
    """An event breaks its declaration; the text names the field."""

    code = "EEVENT"


class InvalidArgument(LitmusError, ValueError):
    """An argument is not usable."""

    code = "EINVAL"


class RunNotFound(LitmusError, LookupError):
    """No run has that id; the text gives near matches."""

    code = "ENOENT"


class AmbiguousRunId(LitmusError, LookupError):
    """A prefix fits several runs; the text names the candidates."""

    code = "EAMBIGUOUS"


class StorageError(LitmusError, OSError):
    """The operating system refused or failed: disk full, no permission, read error, not there."""

    code = "EIO"


class DataUnavailable(LitmusError):
    """A run's file cannot be read.

    Attributes:
        file_path: the file.
        status: why: "missing", "damaged", or the status that the catalog noted ("quarantined").
    """

    code = "EDAMAGED"

    def __init__(self, file_path: str, status: str = "missing", text: str = "", *, code: str | None = None, errno: int | None = None):
        super().__init__(text or f"{file_path}: {status}", code=code or ("ENOENT" if status == "missing" else None), errno=errno)
        self.file_path = file_path
        self.status = status


class ConfigError(LitmusError):
    """litmus.yaml cannot be used; the text names file, line and remedy."""

    code = "ECONFIG"


class FormatVersionError(LitmusError):
    """Written by a newer version of litmus."""

    code = "EVERSION"


class Busy(LitmusError):
    """Held by another process."""

    code = "EBUSY"


class StateError(LitmusError, RuntimeError):
    """Called out of order, e.g. an event for a session that is closed."""

    code = "ESTATE"


class OutOfMemory(LitmusError, MemoryError):
    """The core got no memory."""

    code = "ENOMEM"


class OutsideLimit(LitmusError, AssertionError):
    """The core verified a value that is outside its limit; it is on record."""

    code = "ELIMIT"


class TimedOut(LitmusError, TimeoutError):
    """Nobody answered a question of the core in time."""

    code = "ETIMEDOUT"


class Cancelled(LitmusError):
    """The operator gave no answer to a question of the core."""

    code = "ECANCELED"


class CatalogBehind(RuntimeWarning):
    """Another process keeps a lock: an answer may be without the runs and events that came of late, or as a prune or import left them half way."""


class LakeHeld(RuntimeWarning):
    """Another process keeps the lock of the lake: each run is read from its own file, which takes longer. Nothing is missing."""


_CLASSES: dict[str, type[LitmusError]] = {
    "EINVAL": InvalidArgument,
    "EEVENT": EventError,
    "EIO": StorageError,
    "ENOSPC": StorageError,
    "EPERM": StorageError,
    "ENOENT": StorageError,
    "EDAMAGED": DataUnavailable,
    "EVERSION": FormatVersionError,
    "EBUSY": Busy,
    "EAMBIGUOUS": AmbiguousRunId,
    "ENOMEM": OutOfMemory,
    "ECONFIG": ConfigError,
    "ESTATE": StateError,
    "ELIMIT": OutsideLimit,
    "ETIMEDOUT": TimedOut,
    "ECANCELED": Cancelled,
}


def from_code(code: int, os_errno: int, text: str, subject: str = "", file_path: str | None = None) -> LitmusError:
    """The exception for an error of the core. The extension calls this for every failure.

    Args:
        code: number of the code (`_litmus.codes` has the names).
        os_errno: errno of the failing call, 0 if none.
        text: what failed, where and what to do.
        subject: "run" when a run was looked for.
        file_path: the file that it is about, if it is about one.
    """
    from litmus import _litmus

    name = next((name for name, number in _litmus.codes.items() if number == code), "unknown")
    if name == "ENOENT" and subject == "run":
        return RunNotFound(text, code=name, errno=os_errno or None)
    found = _CLASSES.get(name, LitmusError)
    if found is DataUnavailable:
        return DataUnavailable(file_path or "", "damaged", text, code=name, errno=os_errno or None)
    return found(text, code=name, errno=os_errno or None)


def warn_behind(data_dir: str, held_up: str = "") -> None:
    """Warns whoever asked, on their own line, that the answer may not be the newest. The extension calls this.

    Args:
        data_dir: whose answer it is.
        held_up: who keeps a prune or import that was broken off from being finished; "": the catalog is locked.
    """
    text = f"what came of late may be missing: another process keeps {data_dir}/catalog.sqlite locked (end it, then ask again)"
    if held_up:
        text = f"{data_dir} is shown as it is: {held_up}; a prune or import was broken off, and is not finished"
    _warn(CatalogBehind(text))


def warn_lake(data_dir: str, who: str) -> None:
    """The same for the lock of the lake, which `who` keeps."""
    _warn(LakeHeld(f"{data_dir}: not waited for: {who}; each run is read from its own file, which takes longer"))


def _warn(warning: Warning) -> None:
    frame, level = sys._getframe(1), 2
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "litmus":
        frame, level = frame.f_back, level + 1
    warnings.warn(warning, stacklevel=level)

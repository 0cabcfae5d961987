# SPDX-License-Identifier: Apache-2.0
"""What the stores share."""

from __future__ import annotations

import datetime
import os
import re
from pathlib import Path


def ref_dir_for(file_path: str | os.PathLike) -> Path:
    """The folder of the blobs of a run file: `{stem}_ref` beside it. It need not be there."""
    path = Path(file_path)
    return path.with_name(path.stem + "_ref")


def time_us(value: datetime.datetime | datetime.date | str | int | None) -> int | None:
    """A time as microseconds since 1970-01-01T00:00:00Z.

    Takes a datetime (without a zone: UTC), a date, ISO 8601 text, or the number itself.
    Raises InvalidArgument for what is no time.
    """
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    try:
        if isinstance(value, str):
            text = re.sub(r"[.,](\d+)(?=\D|$)", lambda m: "." + m[1][:6].ljust(6, "0"), value.strip())  # Python 3.9 wants six; .NET writes seven
            value = datetime.datetime.fromisoformat(text[:-1] + "+00:00" if text[-1:] in ("Z", "z") else text)
        elif not isinstance(value, datetime.datetime) and isinstance(value, datetime.date):
            value = datetime.datetime(value.year, value.month, value.day)
        if value.tzinfo is None:
            value = value.replace(tzinfo=datetime.timezone.utc)
        since = value - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    except (ValueError, TypeError, AttributeError):
        from litmus.errors import InvalidArgument

        raise InvalidArgument(f"{value!r} is no time: give a datetime, ISO 8601 text or microseconds since 1970") from None
    return (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds


class Store:
    """A store over a data directory: opened by its constructor, closed by `close` or `with`."""

    def __enter__(self):
        return self

    def __exit__(self, *exc) -> None:
        self.close()

    def close(self) -> None:
        raise NotImplementedError

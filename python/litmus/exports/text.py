# SPDX-License-Identifier: Apache-2.0
"""Text that is safe where it goes: XML, HTML, CSV, JSON. What a run says is never trusted."""

from __future__ import annotations

import datetime
import json
import re

_NOT_XML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]")
_XML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
_MARKUP = re.compile("[&<>\"'\n\r\t]")


def xml(value) -> str:
    """Text for XML, in an element or an attribute. A character that XML cannot have becomes #x1B, as pytest writes it."""
    found = _NOT_XML.sub(lambda m: f"#x{ord(m[0]):02X}", str(value))
    return _MARKUP.sub(lambda m: _XML[m[0]], found)


def attributes(**values) -> str:
    """ name="value" for each that is not None; class_ stands for class, a_b for a-b."""
    return "".join(f' {name.rstrip("_").replace("_", "-")}="{xml(value)}"' for name, value in values.items() if value is not None)


def when(value) -> str | None:
    """A time as 2026-05-16T14:30:00.000000Z."""
    if not isinstance(value, datetime.datetime):
        return value
    return value.astimezone(datetime.timezone.utc).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def plain(value):
    """A value as JSON can have it: times as text, what is not finite as null."""
    if isinstance(value, datetime.datetime):
        return when(value)
    if isinstance(value, float):
        return value if value == value and value not in (float("inf"), float("-inf")) else None
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return value.hex()
    return value


def to_json(value) -> str:
    """JSON on one line. A lone half of a character (a surrogate) is written as its escape."""
    text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return re.sub("[\ud800-\udfff\u2028\u2029]", lambda m: f"\\u{ord(m[0]):04x}", text)


_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")


def cell(value) -> str:
    """A cell of CSV. Text that a spreadsheet would take for a formula gets a ' in front; numbers never do.

    Text that starts with ' and then would be one gets another, so that taking one ' away always gives the text.
    """
    if value is None:
        return ""
    if value == []:  # most lists of most rows
        return "[]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime.datetime):
        return when(value)
    text = to_json(value) if isinstance(value, (list, dict)) else str(value)
    text = re.sub("[\ud800-\udfff\0]", "\ufffd", text)
    return "'" + text if _FORMULA.match(text) else text


def microseconds(time) -> int:
    """Since 1970; -1: none."""
    return -1 if time is None else round(time.timestamp() * 1_000_000)


def real(value) -> float:
    """NaN stands for none."""
    return float("nan") if value is None else float(value)


def words(value) -> str:
    """Text that UTF-8 can have, "" for none; what is no text as JSON."""
    return "" if value in (None, {}) else encode(value if isinstance(value, str) else to_json(value)).decode()


def encode(text: str) -> bytes:
    """UTF-8, whatever halves of characters are in it."""
    return text.encode("utf-8", "replace")

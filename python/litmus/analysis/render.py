# SPDX-License-Identifier: Apache-2.0
"""A Report as text for a screen, as JSON lines, as CSV."""

from __future__ import annotations

import csv
import datetime
import io
import json
import math
import textwrap
import zoneinfo
from typing import Any, Iterator

from litmus.analysis import plots
from litmus.analysis.report import Column, Report, Table

__all__ = ["as_csv", "as_json", "as_text"]

WIDTH = 150


def _share(value: float) -> str:
    """Never 100 % of what is not all, never 0 % of what is some."""
    text = f"{100 * value:.2f}"
    if text == "100.00" and value < 1:
        text = ">99.99"
    elif text == "0.00" and value > 0:
        text = "<0.01"
    return text + " %"


def _cell(column: Column, row: dict[str, Any], zone: datetime.tzinfo) -> str:
    value = row.get(column.name)
    if value is None:
        return "-"
    if column.kind == "share":
        counts = f"  {row[column.of[0]]:,}/{row[column.of[1]]:,}" if column.of else ""
        return _share(value) + counts
    if column.kind == "time":
        return value.astimezone(zone).strftime("%Y-%m-%d %H:%M") if isinstance(value, datetime.datetime) else str(value)
    if column.kind == "count":
        return f"{value:,}"
    if column.kind == "index":
        return f"{value:.3f}"
    if column.kind == "number":
        return f"{value:.6g}" if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return ", ".join(f"{word} {n:,}" for word, n in value.items()) or "-"
    text = str(value)
    if column.name in ("run", "before") and len(text) == 36:
        text = text[:8]
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _lines(table: Table, zone: datetime.tzinfo, color: bool) -> Iterator[str]:
    columns = [column for column in table.columns if column.head is not None]
    cells = [[_cell(column, row, zone) for column in columns] for row in table.rows]
    shown = [i for i in range(len(columns)) if any(line[i] != "-" for line in cells) or i == 0]
    widths = {i: max(len(columns[i].head), *(len(line[i]) for line in cells)) for i in shown}

    def line(words: list[str]) -> str:
        parts = (words[i].ljust(widths[i]) if columns[i].kind == "text" or columns[i].kind == "time" else words[i].rjust(widths[i]) for i in shown)
        return "  ".join(parts).rstrip()

    head = line([column.head for column in columns])
    yield f"\033[1m{head}\033[0m" if color else head
    yield from map(line, cells)
    if table.more:
        yield f"... and {table.more:,} more ({table.more_by} for all)"


def _zone(report: Report) -> datetime.tzinfo:
    try:
        return zoneinfo.ZoneInfo(report.filters.get("tz", "UTC"))
    except zoneinfo.ZoneInfoNotFoundError:
        return datetime.timezone.utc


def as_text(report: Report, color: bool = False) -> str:
    """Tables, notes, the plot, then what is left out and the rules."""
    zone, parts = _zone(report), []
    for table in report.tables:
        if table.rows:
            title = [table.title] if table.title else []
            parts.append("\n".join([*title, *_lines(table, zone, color)]))
    parts += ["\n".join(report.notes)] if report.notes else []
    if report.plot is not None:
        parts.append(plots.as_text(report.plot))
    if report.left_out:
        parts.append("\n".join(["left out", *(f"  {n:>8,}  {what}" for what, n in report.left_out.items())]))
    rules = [textwrap.fill(rule, WIDTH, initial_indent="  ", subsequent_indent="    ") for rule in report.rules]
    parts.append("\n".join(["rules", *rules]))
    return "\n\n".join(parts) + "\n"


def _plain(value: Any) -> Any:
    """What JSON has: times as ISO 8601 in UTC, what is not finite as null."""
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if not isinstance(value, (str, int, float, bool, dict, list, type(None))) else value


def as_json(report: Report) -> Iterator[str]:
    """One object a line: first what holds for all ("table": "about"), then each row with the name of its table."""
    def dump(value: dict[str, Any]) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)

    yield dump({"table": "about", "analysis": report.analysis, "filters": report.filters, "left_out": report.left_out, "notes": report.notes, "rules": report.rules})
    for table in report.tables:
        for row in table.rows:
            yield dump({"table": table.name, **{name: _plain(value) for name, value in row.items()}})


def as_csv(table: Table) -> str:
    """The rows of a table, every column, with a line of names first."""
    out = io.StringIO()
    names = [column.name for column in table.columns]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    for row in table.rows:
        cells = [_plain(row.get(name)) for name in names]
        writer.writerow([json.dumps(cell) if isinstance(cell, (dict, list)) else cell for cell in cells])
    return out.getvalue()

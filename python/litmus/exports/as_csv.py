# SPDX-License-Identifier: Apache-2.0
"""CSV (RFC 4180): the rows of the run files, every column of any of them. Lists are JSON; an empty cell is NULL."""

from __future__ import annotations

import csv
import io

from litmus.exports.text import cell


def write(runs, out) -> None:
    names = dict.fromkeys(name for _, table in runs.tables() for name in table.column_names)
    text = io.TextIOWrapper(out, encoding="utf-8", errors="replace", newline="", write_through=False)
    lines = csv.writer(text, lineterminator="\r\n")
    lines.writerow(names)
    for _, table in runs.tables():
        nothing, present = [None] * len(table), set(table.column_names)
        columns = [table.column(name) if name in present else nothing for name in names]
        lines.writerows([cell(value) for value in row] for row in zip(*columns))
    text.flush()
    text.detach()

# SPDX-License-Identifier: Apache-2.0
"""CSV (RFC 4180): the rows of the run files, every column of any of them. Lists are JSON; an empty cell is NULL.

With a run in flight among them there is one column more, `live`, that says which rows are of such.
"""

from __future__ import annotations

import csv
import io

from litmus.exports.text import cell


def write(runs, out) -> None:
    names, in_flight = {}, False
    for found, table in runs.tables():
        names.update(dict.fromkeys(table.column_names))
        in_flight = in_flight or found["live"]
    text = io.TextIOWrapper(out, encoding="utf-8", errors="replace", newline="", write_through=False)
    lines = csv.writer(text, lineterminator="\r\n")
    marked = ["live"] if in_flight else []
    lines.writerow([*names, *marked])
    for found, table in runs.tables():
        nothing, present = [None] * len(table), set(table.column_names)
        columns = [table.column(name) if name in present else nothing for name in names]
        columns += [["true" if found["live"] else "false"] * len(table) for _ in marked]
        lines.writerows([cell(value) for value in row] for row in zip(*columns))
    text.flush()
    text.detach()

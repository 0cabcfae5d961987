# SPDX-License-Identifier: Apache-2.0
"""NDJSON: every row of the run files as an object on a line, with `live`; what is NULL is left out."""

from __future__ import annotations

from litmus.exports.reading import rows_of
from litmus.exports.text import encode, to_json


def write(runs, out) -> None:
    for found, table in runs.tables():
        for row in rows_of(table):
            if found["live"]:
                row["live"] = True
            out.write(encode(to_json(row) + "\n"))

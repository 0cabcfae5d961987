# SPDX-License-Identifier: Apache-2.0
"""`litmus sql` where only Python's duckdb is there: this module's main with -cmd FILE [-csv|-jsonlines] [-bail] [-c SQL]."""

from __future__ import annotations

import csv
import json
import sys


def _show(con, text: str, kind: str) -> None:
    """Runs each statement; prints the rows of those that have some."""
    for statement in con.extract_statements(text):
        result = con.execute(statement)
        if not result.description or result.description[0][0] in ("Count", "Success"):
            continue
        names = [column[0] for column in result.description]
        if kind == "-csv":
            out = csv.writer(sys.stdout, lineterminator="\n")
            out.writerow(names)
            while rows := result.fetchmany(10_000):
                out.writerows(["NULL" if cell is None else cell for cell in row] for row in rows)
        elif kind == "-jsonlines":
            while rows := result.fetchmany(10_000):
                for row in rows:
                    print(json.dumps(dict(zip(names, row)), default=str, ensure_ascii=False, separators=(",", ":")))
        else:
            rows = [["NULL" if cell is None else str(cell) for cell in row] for row in result.fetchmany(1_000)]
            widths = [max(len(line[i]) for line in [names, *rows]) for i in range(len(names))]
            for line in [names, ["-" * width for width in widths], *rows]:
                print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def main(arguments: list[str]) -> int:
    """Runs what the arguments say; 1 when a statement failed."""
    try:
        return _session(arguments)
    except BrokenPipeError:
        return 0


def _session(arguments: list[str]) -> int:
    import duckdb

    setup, text, kind = None, None, "-table"
    words = iter(arguments)
    for word in words:
        if word == "-cmd":
            setup = next(words)
        elif word == "-c":
            text = next(words)
        elif word in ("-csv", "-jsonlines"):
            kind = word
    con = duckdb.connect(":memory:")
    with open(setup, encoding="utf-8", errors="surrogateescape") as file:
        con.execute(file.read())
    code, pending = 0, ""
    lines = [text + "\n;"] if text is not None else sys.stdin
    if text is None and sys.stdin.isatty():
        print("litmus sql: end a statement with a semicolon, leave with Ctrl-D", file=sys.stderr)
    for line in lines:
        pending += line
        if not line.rstrip().endswith(";"):
            continue
        code |= _try(con, pending, kind)
        pending = ""
    return code | (_try(con, pending, kind) if pending.strip() else 0)


def _try(con, text: str, kind: str) -> int:
    import duckdb

    try:
        _show(con, text, kind)
    except (duckdb.Error, KeyboardInterrupt) as error:
        print(error if str(error) else "interrupted", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

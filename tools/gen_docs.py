#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/events.md and docs/run-schema.md from the tables events.def and columns.def.

    tools/gen_docs.py           write both
    tools/gen_docs.py --check   exit 1 if one is not what the tables say
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOTE = "<!-- made by tools/gen_docs.py from {}: change the table, then run it -->\n"
STRING = r'"((?:[^"\\]|\\.)*)"'
TYPES = {"STR": "string", "INT": "int64", "NUM": "number", "BOOL": "bool", "UUID": "uuid", "TIME": "time (ISO 8601, UTC)", "MAP": "object", "LIST": "list",
         "LIST_STR": "list of strings", "LIST_MAP": "list of objects", "ANY": "any"}
COLUMN_TYPES = {"STR": "utf8", "TIME": "timestamp[us, UTC]", "INT": "int64", "INT32": "int32", "REAL": "float64", "BOOL": "bool", "STRS": "list<utf8>", "TIMES": "list<timestamp[us, UTC]>"}
SCOPES = {"NO_RUN": "null", "RUN": "set", "ANY": "set or null"}
NEEDS = {"REQ": "required", "OPT": "optional", "KEY": "key required, may be null"}


def read_def(name):
    text = (ROOT / "src/model" / name).read_text()
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def unescape(text):
    return text.replace('\\"', '"').replace("|", "\\|")


def events():
    text = read_def("events.def")
    macros = {m[1]: m[2] for m in re.finditer(r"#define (\w+)((?:.*\\\n)*.*)\n", text)}
    text = re.sub(r"#define (?:.*\\\n)*.*\n", "", text)
    out = ["# Events\n", NOTE.format("src/model/events.def"),
           "Every event has the envelope `id`, `event_type`, `occurred_at`, `received_at`, `session_id`, `run_id`, and the fields below, at one level of one JSON",
           "object. A writer writes every field; a reader takes an absent optional one as its default and passes over names that it does not know.",
           "Names that start with `x_` are free for own use.\n"]
    for block in re.split(r"\nEVENT\(", text)[1:]:
        for macro, body in macros.items():
            block = re.sub(rf"\b{macro}\b", lambda m, b=body: b, block)
        head = re.match(rf"(\w+), {STRING}, (\w+), {STRING}", block)
        out += [f"## {head[2]}\n", f"{head[4][0].upper()}{head[4][1:]}. `run_id` is {SCOPES[head[3]]}.\n", "| field | type | need | default | meaning |", "|---|---|---|---|---|"]
        for f in re.finditer(rf"\bF\({STRING}, (\w+), (\w+), (?:{STRING}|NULL), {STRING}\)", block):
            default = f"`{unescape(f[4])}`" if f[4] is not None else ""
            out.append(f"| `{f[1]}` | {TYPES[f[2]]} | {NEEDS[f[3]]} | {default} | {unescape(f[5])} |")
        out.append("")
    return "\n".join(out)


def source(text):
    text = text.strip()
    if text == "NO":
        return "NULL"
    if text == "KIND":
        return "the kind"
    if text == "ATTEMPTS":
        return "one an execution"
    match = re.match(r"(\w+)\((\w+)(?:, (\w+))?\)", text)
    where = {"RUN": "run", "STEP": "step", "MEAS": "measurement", "OWNER": "owning step", "OWNER_OR": "owning step"}[match[1]]
    return where + {"EMPTY": ", else `\"\"`", "ONE": ", else 1", None: ""}[match[3]]


def columns():
    out = ["# The run file's columns\n", NOTE.format("src/model/columns.def"),
           "One Parquet file a run: a `run` row, a `step` row for every planned vector of every step (and every sub-step that ran), a `measurement` row for every",
           "measurement. All columns are nullable and all of these are in every file; `in_*`, `out_*`, `custom_*` (what the run brought) and `step_instruments_*` follow",
           "them, sorted. **A step row with `step_outcome` NULL never ran**; `never_ran_reason` says why.\n",
           "| # | column | type | on a run row | on a step row | on a measurement row | meaning |", "|---|---|---|---|---|---|---|"]
    text = re.sub(r"\s*\n\s+", " ", read_def("columns.def"))
    part = r"([A-Z_]+(?:\([^)]*\))?)"
    for number, m in enumerate(re.finditer(rf"COLUMN\((\w+), (\w+), {part}, {part}, {part}, {STRING}\)", text), 1):
        cells = [source(m[i]) for i in (3, 4, 5)]
        out.append(f"| {number} | `{m[1]}` | {COLUMN_TYPES[m[2]]} | {cells[0]} | {cells[1]} | {cells[2]} | {unescape(m[6])} |")
    return "\n".join(out) + "\n"


def main():
    check = "--check" in sys.argv[1:]
    stale = []
    for name, text in (("events.md", events()), ("run-schema.md", columns())):
        path = ROOT / "docs" / name
        if check and (not path.exists() or path.read_text() != text):
            stale.append(f"docs/{name} is not what the tables say: run tools/gen_docs.py")
        elif not check:
            path.write_text(text)
    print("\n".join(stale), end="\n" if stale else "")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The house rules as a test: `make lint`, and part of `make test`.

Rules: every C file starts with its licence line; no line over 180 columns; no function over 70
lines; banned calls have a better one; no file of ours names a host of a package registry or a path
of one machine; no data_dir in the tree; layers: a stage includes base, model and what lies before it, never what comes after.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINE_MAX = 180
FUNCTION_MAX = 70
BANNED = {
    "strcpy": "snprintf or lt_buf_add",
    "strcat": "lt_buf_add",
    "sprintf": "snprintf",
    "vsprintf": "vsnprintf",
    "gets": "fgets",
    "strtok": "a loop over lt_str",
    "alloca": "lt_arena_alloc",
    "tmpnam": "lt_io_publish",
    "mktemp": "lt_io_publish",
    "atoi": "strtoll with its end checked",
    "system": "lt_daemon_spawn or execve",
    "popen": "execve",
    "signal": "sigaction",
}
PRIVATE = re.compile(r"https?://[^ \")]*(pypi|npmjs|pythonhosted|crates\.io|debian\.org)|(^|[^A-Za-z0-9_.])/(work|farm|root)/")
# what a stage may include besides itself
LAYERS = {
    "base": set(),
    "model": {"base"},
    "log": {"base", "model"},
    "channel": {"base", "model", "log"},
    "accumulate": {"base", "model", "log"},
    "materialize": {"base", "model", "log", "channel", "accumulate", "query/catalog.h", "query/catalog_queue.h"},
    "query": {"base", "model", "log", "accumulate", "materialize"},
    "retain": {"base", "model", "log", "accumulate", "materialize", "query", "emit/session.h"},
    "prove": {"base", "model", "log", "channel", "accumulate", "materialize", "query"},
    "evidence": {"base", "model", "log", "accumulate", "materialize", "query", "prove"},
    "serve": {"base", "model", "log", "accumulate", "materialize", "query"},
    "doctor": {"base", "model", "log", "channel", "accumulate", "materialize", "query", "prove", "serve"},
    "emit": {"base", "model", "log", "channel", "materialize", "serve/daemon.h"},
}


def tracked(*patterns):
    out = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / line for line in out.stdout.splitlines() if (ROOT / line).is_file()]


def functions(lines):
    """(name, first line, length) of each function: a `{` at the end of an unindented line, up to `}` in column 0."""
    start = name = None
    for number, line in enumerate(lines, 1):
        if start is None and re.match(r"^[A-Za-z_].*\)\s*\{$", line) and not line.startswith(("struct", "enum", "typedef", "union", "#")):
            start, name = number, re.sub(r"\(.*", "", line).split()[-1]
        elif start is None and re.match(r"^[A-Za-z_ ].*\)\s*\{$", line) and not line.startswith(("    ", "#")):
            start, name = number, line.strip()
        elif start is not None and line == "}":
            yield name, start, number - start + 1
            start = None


def check_c(path, found):
    text = path.read_text()
    lines = text.splitlines()
    relative = path.relative_to(ROOT)
    if "SPDX-License-Identifier: Apache-2.0" not in "\n".join(lines[:2]):
        found.append(f"{relative}:1: no licence line")
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_MAX:
            found.append(f"{relative}:{number}: {len(line)} columns, at most {LINE_MAX}")
        code = re.sub(r'"(\\.|[^"\\])*"|/\*.*?\*/|//.*', "", line)
        for name, better in BANNED.items():
            if name == "system" and relative.parts[0] == "tests":
                continue  # a test may call rm
            if re.search(rf"(?<![\w>.]){name}\(", code) and not line.lstrip().startswith("*"):
                found.append(f"{relative}:{number}: {name} is banned, use {better}")
    for name, first, length in functions(lines):
        if length > FUNCTION_MAX:
            found.append(f"{relative}:{first}: {name} has {length} lines, at most {FUNCTION_MAX}")
    check_layer(relative, lines, found)


def check_layer(relative, lines, found):
    parts = relative.parts
    if parts[0] != "src" or parts[1] not in LAYERS:
        return
    for number, line in enumerate(lines, 1):
        match = re.match(r'#include "([a-z]+)/([^"]+)"', line)
        if not match or match[1] == parts[1] or match[1] not in LAYERS:
            continue
        allowed = LAYERS[parts[1]]
        if match[1] not in allowed and f"{match[1]}/{match[2]}" not in allowed:
            found.append(f"{relative}:{number}: src/{parts[1]} must not include {match[1]}/{match[2]}")


def main():
    found = []
    for path in tracked("src/*.c", "src/*.h", "include/*.h", "examples/*.c", "tests/*.c", "bench/*.c", "python/*.c", "python/*.h"):
        check_c(path, found)
    for path in tracked():
        if path.name == "litmus-format":
            found.append(f"{path.parent.relative_to(ROOT)}: a data_dir, recorded by hand and committed")
        if path == pathlib.Path(__file__).resolve() or path.suffix in {".arrow", ".parquet", ".png"}:
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if PRIVATE.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: names a registry host or a path of one machine")
    print("\n".join(found) if found else "tidy: nothing to say")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

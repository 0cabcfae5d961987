# SPDX-License-Identifier: Apache-2.0
"""Lets clang read each C file of ours as build/asan was compiled, with its warnings as errors: the fuzz targets are built by it, and so may be the users' programs.
Writes nothing. Where there is no clang it says so, and that is no failure."""

import concurrent.futures
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def ours(entry):
    path = (pathlib.Path(entry["directory"]) / entry["file"]).resolve().relative_to(ROOT)
    return path.parts[0] not in ("subprojects", "build")


def read(entry):
    words = shlex.split(entry["command"])
    words = ["clang", *words[1 : words.index("-MD")], "-fsyntax-only", entry["file"]]
    return subprocess.run(words, cwd=entry["directory"], capture_output=True, text=True)


def main():
    if shutil.which("clang") is None:
        print("second compiler: there is no clang here")
        return 0
    entries = {entry["file"]: entry for entry in json.loads((ROOT / "build/asan/compile_commands.json").read_text()) if ours(entry)}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        wrong = [done.stderr for done in pool.map(read, entries.values()) if done.returncode != 0]
    sys.stderr.write("".join(wrong))
    print(f"second compiler: {len(entries)} files, {len(wrong)} of which clang complains")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

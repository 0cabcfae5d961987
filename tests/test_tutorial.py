# SPDX-License-Identifier: Apache-2.0
"""docs/bench.md is the example bench suite, file by file, and what it prints: both are held against the real ones.

    python tests/test_tutorial.py   # writes files and outputs into the page anew
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile


ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE, SUITE = ROOT / "docs/bench.md", ROOT / "examples/bench_suite"
FILE = re.compile(r"```(yaml|python)\n# (\S+)\n(.*?)```", re.S)
CONSOLE = re.compile(r"```console\n(.*?)```", re.S)

# Where these are set pytest shortens no line of its summary to the terminal's width: the page shows what a person sees.
OF_CI = ("CI", "BUILD_NUMBER")

# What differs from run to run: ids, times, durations, places.
VARIES = [
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "9de36657-43e4-4a6d-84db-38381313f446"),
    (r"\b[0-9a-f]{8}\b", "9de36657"),
    (r"\d{8}T\d{6}Z", "20261123T232142Z"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?(\.\d+)?Z?", "2026-11-23 23:21:42"),
    (r"\b20\d\d-\d\d-\d\d\b", "2026-11-23"),
    (r"\b[\d.]+ m?s\b", "1 ms"),
    (r"\b[\d.]+s\b", "0.1s"),
    (r'"(\w*(seconds|ms|offset))":[\d.]+', r'"\1":0.1'),
    (r" +", " "),
]


def settled(text: str) -> str:
    for pattern, instead in VARIES:
        text = re.sub(pattern, instead, text)
    return text


def run(command: str, folder: pathlib.Path) -> str:
    """What a command prints, in UTC, its last lines on stderr left to the failure."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("LITMUS_", "PYTEST_")) and key not in OF_CI}
    env.update(TZ="UTC", COLUMNS="100", NO_COLOR="1", PYTHONDONTWRITEBYTECODE="1", PATH=f"{ROOT / '.venv/bin'}:{env['PATH']}")
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode in (0, 1) and "Traceback" not in done.stderr, done.stdout + done.stderr
    return done.stdout.replace(str(folder), "/tmp/bench")


def commands(block: str) -> list[str]:
    return re.findall(r"^\$ (.*)$", block, re.M)


def shown(block: str, folder: pathlib.Path) -> str:
    """The block as it should be: each command and its output."""
    return "\n".join(f"$ {command}\n{run(command, folder)}" for command in commands(block))


def test_its_files_are_those_of_the_suite():
    found = FILE.findall(PAGE.read_text())
    assert {name for _, name, _ in found} >= {str(path.relative_to(SUITE)) for path in SUITE.rglob("*.py")}
    for _, name, text in found:
        assert text == without_licence((SUITE / name).read_text()), f"docs/bench.md shows another {name}: python tests/test_tutorial.py"


def test_its_commands_print_what_it_shows(tmp_path):
    folder = shutil.copytree(SUITE, tmp_path / "bench")
    blocks = CONSOLE.findall(PAGE.read_text())
    assert len(blocks) > 5
    for block in blocks:
        assert settled(shown(block, folder)) == settled(block)


def without_licence(text: str) -> str:
    return text.removeprefix("# SPDX-License-Identifier: Apache-2.0\n")


def main() -> None:
    """Writes the page."""
    page = FILE.sub(lambda m: f"```{m[1]}\n# {m[2]}\n{without_licence((SUITE / m[2]).read_text())}```", PAGE.read_text())
    with tempfile.TemporaryDirectory() as place:
        folder = shutil.copytree(SUITE, pathlib.Path(place) / "bench")
        PAGE.write_text(CONSOLE.sub(lambda m: f"```console\n{shown(m[1], folder)}```", page))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""docs/analysis.md shows what the commands print: each block that starts with "$ litmus" is run over the example line.

    python tests/test_analysis_docs.py   # writes the output of each block anew
"""

from __future__ import annotations

import pathlib
import re
import shlex
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import example_line  # noqa: E402
from test_cli import run  # noqa: E402

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs/analysis.md"
BLOCK = re.compile(r"```console\n\$ litmus ([^\n]*)\n(.*?)```", re.S)


def output(command: str, data_dir: pathlib.Path) -> str:
    """What the command prints, in UTC; its rules, which the page has once, are left off."""
    done = run(*shlex.split(command), "-d", data_dir, TZ="UTC")
    assert done.returncode == 0, done.stderr
    return re.sub(r"\n\nrules\n.*", "\n", done.stdout, flags=re.S)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    data_dir = example_line.write(tmp_path_factory.mktemp("line"))
    run("compact", "-d", data_dir)  # one file instead of 68: each command is quicker
    return data_dir


@pytest.mark.parametrize("command, shown", BLOCK.findall(PAGE.read_text()))
def test_the_page_shows_what_the_command_prints(data_dir, command, shown):
    assert output(command, data_dir) == shown


def main() -> None:
    """Writes the page."""
    with tempfile.TemporaryDirectory() as folder:
        data_dir = example_line.write(pathlib.Path(folder))
        PAGE.write_text(BLOCK.sub(lambda m: f"```console\n$ litmus {m[1]}\n{output(m[1], data_dir)}```", PAGE.read_text()))


if __name__ == "__main__":
    main()

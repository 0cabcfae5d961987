# SPDX-License-Identifier: Apache-2.0
"""`litmus export` hands over to this: its own options, checked and in long form, then -- and the runs."""

from __future__ import annotations

import os
import sys
import warnings

from litmus.errors import CatalogBehind, LakeHeld, LitmusError
from litmus.exports import FORMATS, format_of, write

_FILTERS = ("serial", "part", "lot", "git", "station", "operator", "phase", "outcome", "project", "since", "until", "limit")
_NUMBERS = ("since", "until", "limit")
# exit codes of the program, by the library's codes (src/cmd/cli.c)
_EXITS = {"EINVAL": 2, "EEVENT": 2, "ECONFIG": 2, "ENOENT": 3, "EAMBIGUOUS": 3, "EDAMAGED": 4, "EVERSION": 4}
FOUND_NONE, DAMAGED = 3, 4


def options_of(words: list[str]) -> tuple[dict, list[str]]:
    """({"format": "csv", "force": True, ...}, what follows --)."""
    end = words.index("--") if "--" in words else len(words)
    said: dict = {}
    for word in words[:end]:
        name, equals, value = word[2:].partition("=")
        said[name.replace("-", "_")] = value if equals else True
    return said, words[end + 1 :]


def complain(text: str) -> None:
    print(f"litmus: {text}", file=sys.stderr)


def exit_of(error: LitmusError) -> int:
    complain(str(error))
    return _EXITS.get(error.code, 5)


def _list() -> int:
    for entry in FORMATS.values():
        needs = f"  (pip install 'litmus-recorder[{entry.extra}]')" if entry.extra else ""
        print(f"{entry.name:<10} {entry.extension:<11} {entry.says}{needs}")
    return 0


def _names(store, said: dict, runs: list[str]) -> list[str]:
    """Ids of the runs that are meant: those named, those that the filters choose, or the last one."""
    if runs:
        return [store._query.find(run)["run_id"] for run in runs]
    filters = {name: int(said[name]) if name in _NUMBERS else said[name] for name in _FILTERS if name in said}
    if not filters:
        return [store._query.find("last")["run_id"]]
    return list(reversed(store._query.runs(**filters).column("test_run_id")))


def run(said: dict, runs: list[str]) -> int:
    from litmus.data.run_store import RunStore
    from litmus.exports.reading import Runs

    output = said.get("output")
    entry = format_of(said.get("format"), output)
    if output is None:
        output = "-"
    if runs and any(name in said for name in _FILTERS):
        complain("name runs, or choose them by options, not both")
        return 2
    missed = []

    def left_out(name, error):
        missed.append(name)
        complain(f"left out: run {name}: {error}")

    with RunStore(said.get("data_dir")) as store:
        names = _names(store, said, runs)
        if not names:
            complain("no run fits these options")
            return FOUND_NONE
        several = Runs(store, names, left_out if len(names) > 1 else None, complain)
        write(entry, several, output, said.get("force", False))
        if output != "-" and not said.get("quiet"):
            complain(f"{len(several)} run{'s' if len(several) != 1 else ''} as {entry.name} in {output}")
    return DAMAGED if missed else 0


def _tell_lake(shown):
    return lambda message, category, *rest: complain(str(message)) if category is LakeHeld else shown(message, category, *rest)


def exit_code(work) -> int:
    """The exit code of a command whose work this is: what it gives, or that of what stopped it, told on stderr."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CatalogBehind)  # the program that hands over has told
            warnings.showwarning = _tell_lake(warnings.showwarning)
            return work()
    except LitmusError as error:
        return exit_of(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        complain(f"cannot write: {error.strerror or error}")
        return 5


def main(words: list[str]) -> int:
    """Does what the words say; gives an exit code."""
    said, runs = options_of(words)
    return exit_code(_list if said.get("list") else lambda: run(said, runs))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

# SPDX-License-Identifier: Apache-2.0
"""`litmus yield` and its like hand over to this: options, checked and in long form, then -- and the analysis."""

from __future__ import annotations

import os
import sys
from typing import Any

from litmus.analysis import analyse, plots, render
from litmus.exports.__main__ import complain, exit_code, options_of

_NUMBERS = ("since", "until", "limit")
PERIODS = {"day", "week", "month"}
_SCREEN = ("json", "csv", "color", "quiet", "utc", "plot", "force")


def local_zone(said: dict[str, Any], quiet: bool) -> str:
    """The IANA name of the time zone that this machine is set to; "UTC" if that has none (it is a rule, say: TZ=EST5EDT,M3.2.0)."""
    import zoneinfo

    place = os.environ.get("TZ")
    name = (os.path.realpath("/etc/localtime") if place is None else place).lstrip(":")
    name = name.rpartition("/zoneinfo/")[2].removeprefix("posix/").removeprefix("right/") if name.startswith("/") else name
    try:
        return zoneinfo.ZoneInfo(name).key if name else "UTC"
    except (KeyError, ValueError, OSError):
        if place is not None and not quiet and not PERIODS.isdisjoint(str(said.get("by")).split(",")):
            complain(f"TZ={place} is no IANA name of a time zone: days, weeks and months are those of UTC; --tz names another")
        return "UTC"


def run(said: dict[str, Any], words: list[str]) -> int:
    """Prints the answer; gives an exit code."""
    screen = {name: said.pop(name, False) for name in _SCREEN}
    options = {name.replace("-", "_"): int(value) if name in _NUMBERS else value for name, value in said.items()}
    if screen["utc"]:
        options["tz"] = "UTC"
    if options.get("tz") is None:
        options["tz"] = local_zone(options, bool(screen["quiet"]))
    report = analyse(words[0], *words[1:], **options)
    if screen["plot"]:
        plots.save(report.plot, screen["plot"], bool(screen["force"]))
    if screen["json"]:
        sys.stdout.writelines(line + "\n" for line in render.as_json(report))
    elif screen["csv"]:
        sys.stdout.write(render.as_csv(report.tables[0]))
        if not screen["quiet"]:
            for what, n in report.left_out.items():
                complain(f"left out: {n:,} {what}")
    else:
        sys.stdout.write(render.as_text(report, screen["color"]))
    sys.stdout.flush()
    return 0


def main(words: list[str]) -> int:
    """Does what the words say; gives an exit code."""
    said, arguments = options_of(words)
    return exit_code(lambda: run(said, arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

# SPDX-License-Identifier: Apache-2.0
"""The serial of the device under test, scanned at the start of a run: by the hook pytest_litmus_scan, else by a question.

    scan: prompt                     # in litmus.yaml: the operator is asked
    scan: {by: prompt, message: Scan the board, pattern: "SN-[0-9]{6}", timeout: 30}
    scan: {by: hook, timeout: 5}     # where there is no hook, the run cannot start
"""

from __future__ import annotations

from litmus.plugin import lazy, load

_within, _nearest = load("_within"), lazy("_nearest")

KEYS = ("by", "message", "pattern", "timeout")
SOURCES = ("hook", "prompt")


class ScanError(Exception):
    """There is no serial, and the run was to have one; the text says why."""


def policy(settings) -> dict:
    """What litmus.yaml says of scanning, as a dict; {} when it says nothing. Errors: ConfigError."""
    given = settings.data.get("scan")
    if given is None:
        return {}
    document = settings.document
    found = {"by": given} if isinstance(given, str) else given
    if not isinstance(found, dict):
        raise document.error(f"`scan` is `prompt`, `hook` or a mapping, not {given!r}", "scan")
    for key in found:
        if key not in KEYS:
            raise document.error(f"no key `{key}`{_nearest.nearest(key, KEYS)}", "scan", key)
    if found.get("by", "hook") not in SOURCES:
        raise document.error(f"`scan` is by `prompt` or by `hook`, not {found['by']!r}", "scan")
    timeout = found.get("timeout", 60)
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout <= 0:
        raise document.error(f"`timeout` is a number of seconds above 0, not {timeout!r}", "scan", "timeout")
    return found


def scan(config, settings, part) -> tuple | None:
    """(serial, where it is from); None when nobody is there to give one. `part` puts the question on record.

    Errors: ScanError; ConfigError for what litmus.yaml says.
    """
    how = policy(settings)
    hook = config.hook.pytest_litmus_scan
    seconds = how.get("timeout", 60)
    serial = source = None
    try:
        if hook.get_hookimpls():
            source = "hook"
            serial = _within.within(seconds, "litmus-scan", lambda: hook(config=config))
        if serial is None and how.get("by") == "prompt":
            source = "prompt"
            serial = load("prompts").scan_for(part, how.get("message", "Serial of the device under test"), how.get("pattern"), seconds)
    except _within.TooLong:
        raise ScanError(f"the scanner gave no serial within {seconds} s; `scan: {{timeout: N}}` in litmus.yaml says how long it may take") from None
    except Exception as exc:
        raise ScanError(f"the serial could not be scanned: {type(exc).__name__}: {load('_verdict').one_line(exc)}") from exc
    if serial is None and how.get("by") == "hook":
        raise ScanError("`scan: hook` in litmus.yaml, and no hook pytest_litmus_scan gave a serial")
    if serial is None:
        return None
    if not isinstance(serial, str) or not serial.strip() or len(serial) > 255:
        raise ScanError(f"the scanner gave {serial!r:.80}, which is no serial")
    return serial.strip(), source

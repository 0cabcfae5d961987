# SPDX-License-Identifier: Apache-2.0
"""What pytest's reports say, in our words: outcome, failed phase, one line of reason.

The rules are those of the run schema, section 6; nothing here keeps state.
"""

from __future__ import annotations

import sys

# The severity ladder: the worse of two outcomes wins, a tie keeps the first.
SEVERITY = {
    None: -1,
    "skipped": 1,
    "done": 2,
    "passed": 3,
    "failed": 4,
    "errored": 5,
    "terminated": 6,
    "aborted": 7,
}

MESSAGE_MAX = 2000


def worse(a: str | None, b: str | None) -> str | None:
    """The more severe of two outcomes; a tie keeps `a`, None loses against everything."""
    return b if SEVERITY[b] > SEVERITY[a] else a


def worst(outcomes) -> str | None:
    """The most severe of many outcomes, None of none."""
    return max(outcomes, key=SEVERITY.__getitem__, default=None)


def one_line(text: object) -> str:
    """The first line of a text that has one, without control characters, at most MESSAGE_MAX long."""
    try:
        text = text if type(text) is str else str(text)
    except Exception as exc:  # a __str__ that raises is the user's, and no reason to lose the verdict
        text = f"<unprintable {type(text).__name__}: {type(exc).__name__}>"
    text = text.lstrip()[: 4 * MESSAGE_MAX]
    line = text.splitlines()[0] if text else ""
    if not line.isprintable():
        line = "".join(c if c.isprintable() or "\ud800" <= c <= "\udfff" else " " for c in line)
    line = line.strip()
    return line if len(line) <= MESSAGE_MAX else line[: MESSAGE_MAX - 3] + "..."


def body_outcome(exc: BaseException | None) -> str:
    """`failed` for a verdict, `errored` for an accident, of what a test body raised.

    None stands for a failure without an exception of its own: a strict xpass, a failing subtest.
    """
    if exc is None or isinstance(exc, AssertionError):
        return "failed"
    from _pytest.outcomes import Failed

    if isinstance(exc, Failed):
        return "failed"
    doctest = sys.modules.get("doctest")
    if doctest is not None:
        # A doctest's verdict is its output; an exception in an example is none.
        if isinstance(exc, doctest.DocTestFailure):
            return "failed"
        parts = getattr(exc, "failures", None)
        if type(exc).__name__ == "MultipleDoctestFailures" and parts:
            return worst(body_outcome(part) for part in parts)
    parts = getattr(exc, "exceptions", None)
    if isinstance(parts, (tuple, list)) and parts and "ExceptionGroup" in _base_names(exc):
        return worst(body_outcome(part) for part in parts)
    return "errored"


def left_by(exc: BaseException) -> str:
    """The outcome of a part of a body that an exception left: also skipped and terminated."""
    from _pytest.outcomes import Exit, Skipped

    if isinstance(exc, Skipped):
        return "skipped"
    return "terminated" if isinstance(exc, (KeyboardInterrupt, SystemExit, Exit)) else body_outcome(exc)


def reported_outcome(report) -> str:
    """Like body_outcome, for a report that came from another process without its exception."""
    longrepr = report.longrepr
    message = _last_error(longrepr) if isinstance(longrepr, str) else getattr(getattr(longrepr, "reprcrash", None), "message", None)
    if not message:
        return "failed"
    name = one_line(message).split(":")[0]
    return "failed" if name in ("AssertionError", "Failed") or name.startswith("assert ") else "errored"


def _base_names(exc: BaseException) -> set:
    return {base.__name__ for base in type(exc).__mro__}


def skip_reason(report) -> str:
    """Why a report says skipped: `xfail: reason` for an expected failure, else the skip's words."""
    wasxfail = getattr(report, "wasxfail", None)
    if wasxfail is not None:
        wasxfail = str(wasxfail)
        if wasxfail.startswith("reason: "):
            wasxfail = wasxfail[len("reason: ") :]
        return one_line(f"xfail: {wasxfail}" if wasxfail else "xfail")
    longrepr = report.longrepr
    text = longrepr[2] if isinstance(longrepr, tuple) and len(longrepr) == 3 else _crash(longrepr)
    text = str(text)
    if text.startswith("Skipped: "):
        text = text[len("Skipped: ") :]
    return "" if text == "Skipped" else one_line(text)


def failure(report, exc: BaseException | None = None) -> str:
    """One line saying why a report says failed."""
    text = one_line(_crash(report.longrepr))
    if text or exc is None:
        return text
    return one_line(f"{type(exc).__name__}: {exc}")


def _last_error(traceback: str) -> str | None:
    """What the last exception of a printed traceback says: the first line of its `E` block (pytest-forked sends text)."""
    found, inside = None, False
    for line in traceback.splitlines():
        begins = line.startswith("E  ")
        if begins and not inside:
            found = line[1:].strip()
        inside = begins
    return found


TEXT_MAX = 256 * 1024  # characters of an attached text


def bounded(text: str) -> str:
    """The text, or its beginning and its end, and between them in words how much is left out."""
    if len(text) <= TEXT_MAX:
        return text
    half = TEXT_MAX // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters are left out ...\n{text[-half:]}"


def report_text(failed, sections, message: str | None = None) -> str:
    """What pytest shows of one test: the tracebacks of the reports that failed, captured output and log. "" if there is nothing.

    Each part is bounded by itself, so that a flood of output leaves the traceback whole.
    """
    parts = [message] if message else []
    parts += [bounded(f"{report.when}: {report.outcome}\n{report.longreprtext}") for report in failed]
    parts += [bounded(f"---- {title} ----\n{content}") for title, content in sections]
    return "\n".join(parts)


def _crash(longrepr: object) -> object:
    if longrepr is None:
        return ""
    if isinstance(longrepr, str):
        return _last_error(longrepr) or longrepr
    crash = getattr(longrepr, "reprcrash", None)
    message = getattr(crash, "message", None)
    if message:
        return message
    text = getattr(longrepr, "errorstring", None)  # a fixture that was not found
    if text:
        return text
    places = getattr(longrepr, "reprlocation_lines", None)  # a doctest
    if places:
        message = getattr(places[0][0], "message", "")
        lines = [line for line in places[0][1] if line.strip()]
        raised = next((line for line in lines if line.startswith("UNEXPECTED EXCEPTION: ")), None)
        if raised is not None and message == "UnexpectedException":
            return f"{message}: {raised.partition(': ')[2]}"
        wanted = "Expected:"
        if wanted in lines:
            at = lines.index(wanted)
            got = lines.index("Got:") if "Got:" in lines else -1
            if 0 < got < len(lines) - 1 and at + 1 < len(lines):
                return f"{message}: expected {lines[at + 1].strip()}, got {lines[got + 1].strip()}"
        return message or lines[-1]
    chain = getattr(longrepr, "chain", None)
    if chain and chain[-1][1] is not None:
        return chain[-1][1].message
    return longrepr

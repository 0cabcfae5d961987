# SPDX-License-Identifier: Apache-2.0
"""Questions to the operator: `confirm`, `choose`, `text`, `number`, `scan`; each with its answer on record.

A question is answered by whoever comes first: a test double (`answers`), the terminal, or another thread by
`answer`. Who answered what, how and when is on record as dialog.opened and dialog.responded.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import threading
import time
import uuid

__all__ = ["PromptCancelled", "PromptError", "PromptTimeout", "answer", "answers", "choose", "confirm", "number", "pending", "scan", "text"]


class PromptError(Exception):
    """A question that cannot be asked, or an answer that cannot be one."""


class PromptTimeout(PromptError):
    """Nobody answered in time."""


class PromptCancelled(PromptError):
    """The operator gave no answer (end of input)."""


TEXT_MAX = 64 * 1024  # characters of a question, and of an answer
TIMEOUT_MAX = 10**9  # seconds; what a wait can be

_lock = threading.Lock()
_open: dict = {}  # dialog id -> _Dialog
_doubles: list = []  # the innermost is last


class _Dialog:
    def __init__(self, kind: str, message: str, title: str, hint: str, parse):
        for what, words in (("the question", message), ("its title", title)):
            if not isinstance(words, str):
                raise PromptError(f"{what} is a text, not {words!r:.100}")
            if len(words) > TEXT_MAX:
                raise PromptError(f"{what} has {len(words)} characters, at most {TEXT_MAX} are shown: {words[:40]}...")
        self.id, self.kind, self.message, self.title, self.hint, self.parse = str(uuid.uuid4()), kind, message, title, hint, parse
        self.wake = os.pipe()
        self.given = None  # (value, choice, words, who, via)

    def take(self, words, who, via: str) -> None:
        """An answer as it was given. Errors: PromptError when it cannot be one."""
        if isinstance(words, str) and len(words) > TEXT_MAX:
            raise PromptError(f"an answer of {len(words)} characters is too long: at most {TEXT_MAX} are taken")
        value, choice = self.parse(words)
        with _lock:
            if self.given is None:
                self.given = (value, choice, str(words), who, via)
                os.write(self.wake[1], b"x")


def confirm(message: str, *, title: str = "", timeout: float | None = None) -> bool:
    """Yes or no. timeout: seconds; None: as long as it takes. Errors: PromptTimeout, PromptCancelled, PromptError."""

    def parse(words):
        word = ("yes" if words else "no") if isinstance(words, bool) else str(words).strip().lower()
        if word not in ("y", "yes", "n", "no"):
            raise PromptError(f"{words!r} is neither yes nor no")
        return word[0] == "y", None

    return _ask(_Dialog("confirm", message, title, "[y/n]", parse), timeout)


def choose(message: str, options, *, title: str = "", timeout: float | None = None) -> str:
    """One of `options`, by its number (from 1) or its text. Returns the text."""
    if isinstance(options, str) or not hasattr(options, "__iter__"):
        raise PromptError(f"the options of {message!r} are a list of texts, not {options!r:.100}")
    options = [str(option) for option in options]
    if not options:
        raise PromptError(f"{message!r} has nothing to choose from")

    def parse(words):
        word = str(words).strip()
        if word in options:
            return word, options.index(word)
        if word.isdecimal() and len(word) < 10 and 1 <= int(word) <= len(options):
            return options[int(word) - 1], int(word) - 1
        raise PromptError(f"{word!r} is none of 1 to {len(options)} ({', '.join(options)})")

    hint = "".join(f"\n  {i}  {option}" for i, option in enumerate(options, 1)) + "\n "
    return _ask(_Dialog("choice", message, title, hint, parse), timeout)


def text(message: str, *, title: str = "", timeout: float | None = None, empty: bool = False) -> str:
    """A line of text; not an empty one unless `empty`."""

    def parse(words):
        word = str(words).strip()
        if not word and not empty:
            raise PromptError("an answer is needed")
        return word, None

    return _ask(_Dialog("input", message, title, "", parse), timeout)


def number(message: str, *, low: float | None = None, high: float | None = None, title: str = "", timeout: float | None = None) -> float:
    """A number, from `low` to `high`."""
    for bound in (low, high):
        if bound is not None and (isinstance(bound, bool) or not isinstance(bound, (int, float)) or bound != bound):
            raise PromptError(f"the bounds of {message!r} are numbers, not {bound!r:.100}")
    if low is not None and high is not None and not low <= high:
        raise PromptError(f"no number can be the answer to {message!r}: low {low} is above high {high}")

    def parse(words):
        try:
            value = float(words)
        except (TypeError, ValueError, OverflowError):
            raise PromptError(f"{words!r:.100} is no number") from None
        if value != value or (low is not None and value < low) or (high is not None and value > high):
            raise PromptError(f"{words} is not from {low if low is not None else '-inf'} to {high if high is not None else 'inf'}")
        return value, None

    return _ask(_Dialog("input", message, title, "", parse), timeout)


def scan(message: str, *, pattern: str | None = None, title: str = "", timeout: float | None = None) -> str:
    """What a scanner types: one line without control characters, all of it like `pattern` (a regular expression)."""
    return _ask(_scanned(message, pattern, title), timeout)


def _scanned(message: str, pattern: str | None, title: str) -> _Dialog:
    try:
        re.compile(pattern or "")
    except (re.error, TypeError) as exc:
        raise PromptError(f"the pattern of {message!r} is no regular expression: {exc}") from None

    def parse(words):
        word = "".join(c for c in str(words) if c.isprintable()).strip()
        if not word or (pattern is not None and not re.fullmatch(pattern, word)):
            raise PromptError(f"{word!r} is no code that is expected" + (f" ({pattern})" if pattern else ""))
        return word, None

    return _Dialog("input", message, title, "(scan)", parse)


def scan_for(part, message: str, pattern: str | None, timeout: float) -> str:
    """`scan` before any test runs: `part` is who records."""
    return _ask(_scanned(message, pattern, ""), timeout, part)


def pending() -> list:
    """The questions that wait: dicts of dialog_id, dialog_type, title, message."""
    with _lock:
        return [{"dialog_id": d.id, "dialog_type": d.kind, "title": d.title, "message": d.message} for d in _open.values() if d.given is None]


def answer(dialog_id: str, value, by: str | None = None) -> None:
    """Answers a question that waits in this process. Errors: PromptError for one that does not, or a value that cannot be its answer."""
    with _lock:
        dialog = _open.get(dialog_id)
    if dialog is None:
        raise PromptError(f"no question {dialog_id} waits for an answer")
    dialog.take(value, by, "api")


@contextlib.contextmanager
def answers(*values, by: str = "double"):
    """A test double: in this `with`, questions get these answers in turn (a callable gets the question's message). Errors:
    PromptError when there are more questions than answers, or some are left."""
    left = list(values)
    _doubles.append((left, by))
    try:
        yield left
        if left:
            raise PromptError(f"{len(left)} answers were not asked for")
    finally:
        _doubles.remove((left, by))


# ---- asking ----


def _part():
    from litmus._measure import running

    return (running[-1], running[-1].owner.part) if running else (None, None)


def _ask(dialog: _Dialog, timeout: float | None, part=None):
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 <= timeout <= TIMEOUT_MAX):
        raise PromptError(f"the timeout of {dialog.message!r:.100} is a number of seconds, 0 to {TIMEOUT_MAX}, not {timeout!r:.100} (None: as long as it takes)")
    execution, part = (None, part) if part is not None else _part()
    step = execution.identity.get("step_name") if execution is not None else None

    def emit(event_type: str, payload: dict) -> None:
        if part is not None and part.session is not None:
            part.emit(event_type, dict(payload, dialog_id=dialog.id, dialog_type=dialog.kind))

    emit("dialog.opened", {"title": dialog.title, "message": dialog.message, "step_name": step})
    began, response = time.monotonic(), "cancelled"
    with _lock:
        _open[dialog.id] = dialog
    try:
        _wait(dialog, None if timeout is None else began + timeout)
        response = "answered"
        return dialog.given[0]
    except PromptTimeout:
        response = "timed_out"
        raise
    finally:
        with _lock:
            del _open[dialog.id]
        for fd in dialog.wake:
            os.close(fd)
        value, choice, words, who, via = dialog.given if response == "answered" else (None,) * 5
        operator = getattr(part, "operator", None)
        emit("dialog.responded", {
            "response_type": response, "duration_seconds": time.monotonic() - began, "value": words, "choice": choice,
            "answered_by": who or operator, "answered_via": via,
        })  # fmt: skip


def _wait(dialog: _Dialog, deadline: float | None) -> None:
    if _doubles:
        left, by = _doubles[-1]
        if not left:
            raise PromptError(f"no answer is left for {dialog.message!r}")
        given = left.pop(0)
        dialog.take(given(dialog.message) if callable(given) else given, by, "double")
        return
    try:
        tty = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        tty = None
    try:
        if tty is None and deadline is None:
            raise PromptError(f"nobody can answer {dialog.message!r}: there is no terminal; give a timeout for who answers by litmus.prompts.answer")
        _listen(dialog, tty, deadline)
    finally:
        if tty is not None:
            os.close(tty)


def _listen(dialog: _Dialog, tty: int | None, deadline: float | None) -> None:
    def show(words: str) -> None:
        if tty is not None:
            os.write(tty, "".join(c if c.isprintable() or c == "\n" else "?" for c in words).encode())

    question = f"\n{dialog.title + ': ' if dialog.title else ''}{dialog.message} {dialog.hint}> "
    show(question)
    line = b""
    while dialog.given is None:
        seconds = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([dialog.wake[0], *([tty] if tty is not None else [])], [], [], seconds)
        if not ready:
            show("(time is up)\n")
            raise PromptTimeout(f"nobody answered {dialog.message!r} in time")
        if dialog.given is not None or tty not in ready:
            continue
        more = os.read(tty, 4096)
        if not more:
            raise PromptCancelled(f"no answer to {dialog.message!r}: end of input")
        line += more
        if not line.endswith((b"\n", b"\r")):
            continue
        try:
            dialog.take(line.decode(errors="replace").rstrip("\r\n"), None, "terminal")
        except PromptError as exc:
            show(f"{exc}{question}")
        line = b""

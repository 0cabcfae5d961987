# SPDX-License-Identifier: Apache-2.0
"""Questions to the operator: by a double, by another thread, on a terminal, by nobody; all on record."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest
from harness import addopts

pytest.importorskip("litmus._litmus")
from litmus import prompts  # noqa: E402
from litmus.data.event_store import EventStore  # noqa: E402


def test_a_double_answers_every_kind():
    with prompts.answers("y", False, "2", "red", " x ", "4.5", lambda message: message[-3:], "SN-1\r"):
        assert prompts.confirm("LED green?") is True
        assert prompts.confirm("Smoke?") is False
        assert prompts.choose("Colour?", ["red", "green"]) == "green"
        assert prompts.choose("Colour?", ["red", "green"]) == "red"
        assert prompts.text("Note?") == "x"
        assert prompts.number("Volts?", low=0, high=5) == 4.5
        assert prompts.text("what is it") == " it".strip()
        assert prompts.scan("Serial?", pattern="SN-[0-9]+") == "SN-1"
    assert prompts.pending() == []


@pytest.mark.parametrize(
    "ask, given, words",
    [
        (lambda: prompts.confirm("?"), "maybe", "neither yes nor no"),
        (lambda: prompts.choose("?", ["a", "b"]), "3", "none of 1 to 2"),
        (lambda: prompts.choose("?", ["a", "b"]), "²", "none of 1 to 2"),
        (lambda: prompts.choose("?", ["a", "b"]), "1" * 5000, "none of 1 to 2"),
        (lambda: prompts.choose("?", []), "1", "nothing to choose"),
        (lambda: prompts.choose("?", 5), "1", "are a list of texts, not 5"),
        (lambda: prompts.number("?"), "five", "no number"),
        (lambda: prompts.number("?", low=1), "0", "not from 1 to inf"),
        (lambda: prompts.number("?"), "nan", "not from"),
        (lambda: prompts.number("?"), 10**400, "no number"),
        (lambda: prompts.text("?"), " ", "an answer is needed"),
        (lambda: prompts.text("?"), "x" * 100_000, "an answer of 100000 characters is too long"),
        (lambda: prompts.scan("?", pattern="A+"), "AB", "no code that is expected"),
    ],
)
def test_what_is_no_answer(ask, given, words):
    with pytest.raises(prompts.PromptError, match=words), prompts.answers(given):
        ask()


@pytest.mark.parametrize(
    "ask, words",
    [
        (lambda: prompts.confirm(5), "the question is a text, not 5"), (lambda: prompts.choose("c", "abc"), "are a list of texts"), (lambda: prompts.number("n", low=2, high=1), "low 2 is above high 1"),
        (lambda: prompts.scan("s", pattern="("), "no regular expression"), (lambda: prompts.text("t", timeout="5"), "a number of seconds, 0 to 1000000000, not '5'"), (lambda: prompts.text("t", timeout=-1), "not -1"),
        (lambda: prompts.text("t", timeout=float("inf")), r"0 to 1000000000, not inf \(None: as long as it takes\)"), (lambda: prompts.text("t" * 100_000), "the question has 100000 characters"),
        (lambda: prompts.number("n", low="3"), "the bounds of 'n' are numbers, not '3'"), (lambda: prompts.number("n", high=float("nan")), "numbers, not nan"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_at_once(ask, words):
    with pytest.raises(prompts.PromptError, match=words):
        ask()


def test_a_double_has_as_many_answers_as_questions():
    with pytest.raises(prompts.PromptError, match="no answer is left"), prompts.answers():
        prompts.text("?")
    with pytest.raises(prompts.PromptError, match="1 answers were not asked for"), prompts.answers("x"):
        pass


def run(tmp_path, body: str, *arguments: str, terminal: list | None = None, session: bool = True):
    """A pytest of one test without a terminal, or with one on which `terminal` is typed after each question."""
    (tmp_path / "test_p.py").write_text(body)
    env = {key: value for key, value in os.environ.items() if not key.startswith(("LITMUS_", "PYTEST_"))}
    env.update(LITMUS_DATA_DIR=str(tmp_path / "data"), LITMUS_NO_DAEMON="1", PYTEST_ADDOPTS=addopts(body, *arguments))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--litmus-operator", "ann", *arguments]
    if terminal is None:
        done = subprocess.run(command, env=env, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, start_new_session=session, timeout=600)
        return done.returncode, done.stdout
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execve(command[0], command, env)
    seen, answered = b"", 0
    while True:
        try:
            more = os.read(master, 4096)
        except OSError:  # the other end is gone
            break
        if not more:
            break
        seen += more
        while answered < len(terminal) and seen.count(b"> ") > answered:
            os.write(master, terminal[answered])
            answered += 1
    os.close(master)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode()


def dialogs(tmp_path) -> list[tuple]:
    with EventStore(tmp_path / "data", daemon=False) as store:
        found = [e for e in store.events(limit=0) if e["event_type"].startswith("dialog.")]
    opened = {e["dialog_id"]: e for e in found if e["event_type"] == "dialog.opened"}
    out = []
    for e in found:
        if e["event_type"] == "dialog.responded":
            assert e["duration_seconds"] >= 0 and e["dialog_type"] == opened[e["dialog_id"]]["dialog_type"]
            assert opened[e["dialog_id"]]["step_name"] == "test_a" and e["run_id"]
            out.append((e["dialog_type"], e["response_type"], e["value"], e["choice"], e["answered_by"], e["answered_via"]))
    return out


def test_on_the_terminal_until_the_answer_is_one(tmp_path):
    body = "def test_a(prompt):\n    assert prompt.number('Volts?', high=5) == 3\n    assert prompt.choose('Colour?', ['red', 'green']) == 'green'\n"
    code, seen = run(tmp_path, body, terminal=[b"nine\n", b"9\n", b"3\n", b"2\n"])
    assert code == 0, seen
    assert "no number" in seen and "9 is not from" in seen
    assert dialogs(tmp_path) == [("input", "answered", "3", None, "ann", "terminal"), ("choice", "answered", "2", 1, "ann", "terminal")]


def test_control_c_ends_the_run_and_is_on_record(tmp_path):
    code, seen = run(tmp_path, "def test_a(prompt):\n    prompt.text('Note?')\ndef test_b(): pass\n", terminal=[b"\x03"])
    assert code == 2, seen
    assert dialogs(tmp_path) == [("input", "cancelled", None, None, "ann", None)]


def test_without_a_terminal(tmp_path):
    code, seen = run(tmp_path, "def test_a(prompt):\n    prompt.confirm('LED?')\n")
    assert code == 1 and "there is no terminal" in seen
    assert dialogs(tmp_path) == [("confirm", "cancelled", None, None, "ann", None)]


def test_nobody_answers_in_time(tmp_path):
    code, seen = run(tmp_path, "def test_a(prompt):\n    prompt.confirm('LED?', timeout=0.05)\n")
    assert code == 1 and "PromptTimeout" in seen
    assert dialogs(tmp_path) == [("confirm", "timed_out", None, None, "ann", None)]


def test_another_thread_answers(tmp_path):
    body = """
import threading
from litmus import prompts

def answer():
    while not prompts.pending():
        threading.Event().wait(0.001)
    (asked,) = prompts.pending()
    assert asked["message"] == "LED?" and asked["dialog_type"] == "confirm"
    prompts.answer(asked["dialog_id"], "y", by="bob")

def test_a(prompt):
    thread = threading.Thread(target=answer)
    thread.start()
    assert prompt.confirm("LED?", timeout=600) is True
    thread.join()
"""
    code, seen = run(tmp_path, body)
    assert code == 0, seen
    assert dialogs(tmp_path) == [("confirm", "answered", "y", None, "bob", "api")]
    with pytest.raises(prompts.PromptError, match="waits"):
        prompts.answer("none", "y")



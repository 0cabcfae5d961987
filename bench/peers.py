# SPDX-License-Identifier: Apache-2.0
"""The peers: one venv, pinned; a peer that cannot be had is a note, never a number."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

import support

VENV = support.BUILD / "bench-venv"
REPORTLOG = VENV / "reportlog"  # the plugin alone, to be put on the path of any interpreter
PINS = ["testerkit==0.6.0", "duckdb==1.5.6", "filelock==3.20.0"]  # the last two: what testerkit 0.6.0 was made for
REPORTLOG_PIN = "pytest-reportlog==1.0.0"
TESTERKIT = "testerkit 0.6.0"
REPORTLOG_NAME = "pytest-reportlog 1.0.0"


def _pip(python: pathlib.Path, *words: str) -> str | None:
    """None, or why pip could not."""
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet", *words]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines() or ["no word why"]
    return None if done.returncode == 0 else lines[-1][:300]


class Peers:
    """Which peers there are. Looks once; installs only where that is wanted."""

    def __init__(self, table: support.Table):
        self.table = table
        self.wanted = os.environ.get("LITMUS_BENCH_PEERS", "1") != "0"
        self.may_install = support.QUICK == 0
        self.reportlog = self.wanted and self._there(REPORTLOG / "pytest_reportlog", REPORTLOG_PIN, self._install_reportlog)
        self.testerkit = self.wanted and self._there(next(iter(VENV.glob("lib/*/site-packages/testerkit-0.6.0.dist-info")), VENV / "none"),
                                                     PINS[0], self._install_testerkit)  # fmt: skip
        self._helper = None
        self._pids: list[int] = []
        self.data_dir = support.DATA / "testerkit"

    def _there(self, sign: pathlib.Path, name: str, install) -> bool:
        if sign.exists():
            return True
        if not self.may_install:
            self.table.note(f"{name} is not installed, and a quick run installs nothing: no figures of it")
            return False
        print(f"installing {name} into {VENV.relative_to(support.ROOT)}", flush=True)
        trouble = None
        if not (VENV / "bin/python").exists():
            done = subprocess.run([sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True)
            trouble = None if done.returncode == 0 else "python -m venv failed"
        trouble = trouble or install()
        if trouble:
            self.table.note(f"{name} cannot be installed ({trouble}): no figures of it")
        return trouble is None

    def _install_reportlog(self) -> str | None:
        return _pip(VENV / "bin/python", "--no-deps", "--target", str(REPORTLOG), REPORTLOG_PIN)

    def _install_testerkit(self) -> str | None:
        return _pip(VENV / "bin/python", *PINS)

    def testerkit_helper(self) -> support.Helper | None:
        """testerkit at work in a data_dir of its own, or None."""
        if self._helper is None and self.testerkit:
            folder = support.fresh("testerkit")
            self._helper = support.Helper(VENV / "bin/python", support.BENCH / "peer_testerkit.py", folder, cwd=folder,
                                          TESTERKIT_HOME=str(folder / "home"))  # fmt: skip
        return self._helper

    def ask(self, do: str, **arguments):
        """testerkit's answer, None when it is not there or fails (noted)."""
        helper = self.testerkit_helper()
        if helper is None:
            return None
        self._signal(signal.SIGCONT)
        try:
            answer = helper.ask(do, **arguments)
            self._pids = [*helper.ask("daemons"), helper.process.pid]
            time.sleep(support.size(20, 5, 5) / 100)  # what it still has in hand
            self._signal(signal.SIGSTOP)
            return answer
        except support.CannotMeasure as exc:
            self.table.note(f"testerkit: {exc}")
            if helper.process.poll() is not None:
                self.testerkit, self._helper = False, None
            return None

    @contextlib.contextmanager
    def running(self):
        """Lets testerkit's daemons run for a command of its own."""
        self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            self._signal(signal.SIGSTOP)

    def _signal(self, number: int) -> None:
        """Stops its processes between its turns, so that what they do in the background is not in ours."""
        for pid in self._pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def end(self) -> None:
        if self._helper is not None:
            self._signal(signal.SIGCONT)
            self._helper.end()
            self._helper = None

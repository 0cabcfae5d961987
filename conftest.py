# SPDX-License-Identifier: Apache-2.0
"""What all of our own tests need, wherever they are started from: nothing of whoever starts them reaches what they start."""

import os
import pathlib
import re
import signal
import sys

import pytest

# A shell starts its background jobs with SIGINT ignored, and so would be everything that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Ours are read by what is tested, but for those that say how to test; the others change what pytest, git or Python print and do.
STAY = re.compile("LITMUS_(HOME|RECORDING|SOAK.*|.*_SEED|TEST_.*|BENCH_.*)")
GO = re.compile(
    "LITMUS_.*|GIT_.*|PYTEST_(ADDOPTS|PLUGINS|DISABLE_PLUGIN_AUTOLOAD|THEME.*)|PYTHON(PATH|WARNINGS|STARTUP|OPTIMIZE|DONTWRITEBYTECODE|UTF8|IOENCODING)"
    "|CI|BUILD_NUMBER|GITHUB_ACTIONS|COLUMNS|LINES|(NO|FORCE|PY|CLI)_?COLORS?(_FORCE)?|MAKEFLAGS|MFLAGS"
)
for name in [name for name in os.environ if GO.fullmatch(name) and not STAY.fullmatch(name)]:
    del os.environ[name]
os.environ.update(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1", LC_ALL="C.UTF-8")

# Our own runs are recorded too, but not in the home of who runs them.
os.environ.setdefault("LITMUS_HOME", str(pathlib.Path(__file__).parent / "build/test-data"))

# The litmus and the pytest beside this Python, not another's.
os.environ["PATH"] = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


@pytest.fixture(scope="session", autouse=True)
def temporary_folders(tmp_path_factory):
    """A pytest that a test starts has its own: else it would clear away what our former runs left, minutes of work."""
    folder = tmp_path_factory.getbasetemp() / "tmp"
    folder.mkdir()
    os.environ["TMPDIR"] = str(folder)

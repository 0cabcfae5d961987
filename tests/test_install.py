# SPDX-License-Identifier: Apache-2.0
"""What a user installs: the wheel of build/dist in a Python of their own, library and program below a prefix. Needs `make` and build/dev."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

from test_cli import environment

ROOT = pathlib.Path(__file__).resolve().parent.parent


def said(*command, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_alone_records(tmp_path):
    """Program, package, plugin and man pages come with it, and it needs nothing but pytest."""
    (wheel,) = (ROOT / "build" / "dist").glob("litmus_recorder-*.whl")
    site = tmp_path / "site"
    said(sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", site, wheel)
    assert (site / "share/man/man1/litmus.1").exists() and (site / "share/bash-completion/completions/litmus").exists()
    (tmp_path / "test_it.py").write_text("def test_a(verify): verify('volt', 3.3, low=3, high=4)\ndef test_b(): assert 0\ndef test_c(): pass\n")
    alone = environment(PYTHONPATH=str(site), PATH=f"{site}/bin:/usr/bin:/bin", LITMUS_DATA_DIR=str(tmp_path / "data"))
    program = "import sys, pytest, litmus; assert litmus.__file__.startswith(sys.argv[1]), litmus.__file__; raise SystemExit(pytest.main(['-q', '-x', '-p', 'no:cacheprovider']))"
    done = subprocess.run([sys.executable, "-c", program, site], cwd=tmp_path, env=alone, capture_output=True, text=True, timeout=600)
    assert done.returncode == 1 and "3 planned: 1 passed, 1 failed, 1 never ran" in done.stdout, done.stdout + done.stderr
    assert "test_c" in said(site / "bin/litmus", "show", "last", cwd=tmp_path, env=alone)


def test_library_and_program_below_a_prefix(tmp_path):
    """As `make install` puts them there; the executive builds with what pkg-config says, outside of this tree."""
    meson = pathlib.Path(sys.executable).parent / "meson"
    said(meson, "install", "-C", ROOT / "build/dev", "--quiet", "--no-rebuild", "--skip-subprojects", "--destdir", tmp_path)
    (config,) = tmp_path.rglob("litmus.pc")
    (program,) = tmp_path.rglob("bin/litmus")
    assert list(tmp_path.rglob("man1/litmus-gate.1")) and list(tmp_path.rglob("litmus-daemon.service"))
    shutil.copy(ROOT / "examples/test_executive.c", tmp_path)
    found = os.environ | {"PKG_CONFIG_LIBDIR": str(config.parent), "PKG_CONFIG_SYSROOT_DIR": str(tmp_path)}
    flags = said("pkg-config", "--cflags", "--libs", "litmus", env=found).split()
    said("cc", "-std=c17", "-o", tmp_path / "executive", tmp_path / "test_executive.c", *flags, f"-Wl,-rpath,{config.parent.parent}")
    env = environment(PATH=f"{program.parent}:/usr/bin:/bin")
    said(tmp_path / "executive", tmp_path / "data", env=env)
    assert "10 planned = 10 passed" in said(program, "show", "last", "-d", tmp_path / "data", env=env)

# SPDX-License-Identifier: Apache-2.0
"""Where the `litmus` program is that belongs to this package."""

from __future__ import annotations

import os
import sys


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def find() -> str | None:
    """Path of the `litmus` program, or None: then PATH decides.

    Looked for beside the interpreter, in the environment that holds this package, and in the
    folders for scripts (`pip install --user`), in that order.
    """
    beside = os.path.join(os.path.dirname(sys.executable or ""), "litmus")
    if sys.executable and _is_program(beside):
        return beside
    # {prefix}/lib/python3.x/site-packages/litmus/_exe.py
    prefix = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 4))
    candidate = os.path.join(prefix, "bin", "litmus")
    if _is_program(candidate):
        return candidate
    import sysconfig

    for scheme in (None, f"{os.name}_user"):
        try:
            folder = sysconfig.get_path("scripts", scheme) if scheme else sysconfig.get_path("scripts")
        except KeyError:
            continue
        candidate = os.path.join(folder or "", "litmus")
        if _is_program(candidate):
            return candidate
    return None

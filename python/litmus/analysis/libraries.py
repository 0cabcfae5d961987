# SPDX-License-Identifier: Apache-2.0
"""Libraries that only some figures need: imported when they are, with a word on how to get them."""

from __future__ import annotations

import importlib
from types import ModuleType

from litmus.errors import LitmusError

__all__ = ["MissingLibrary", "need"]


class MissingLibrary(LitmusError, ImportError):
    """A library that this figure needs is not installed; the text says how to get it."""

    code = "EINVAL"


def need(name: str, what: str) -> ModuleType:
    """The module of that name. `what`: what needs it, for the message. Raises MissingLibrary."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingLibrary(f"{what} needs {name.partition('.')[0]}: pip install 'litmus-recorder[analysis]'") from None

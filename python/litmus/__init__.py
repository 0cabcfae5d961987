# SPDX-License-Identifier: Apache-2.0
"""Litmus: a flight recorder for tests.

With this package installed, `pytest` records: the whole plan before the first test starts, every
event as it happens, one Parquet file a run. Reading back: `litmus.data.run_store.RunStore`.

Importing this package costs next to nothing (pytest imports it in every process that has it
installed): everything behind it loads on first use.
"""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = [
    "DuplicateMeasurementError", "Limit", "LimitFailure", "MissingLimitError", "__version__", "channel", "connect", "custom", "open_channel", "product", "prompts", "range",
    "record_measurement", "refresh", "scan", "zip",
]  # fmt: skip

_LAZY = {
    "connect": "litmus.sql",
    "refresh": "litmus.sql",
    "scan": "litmus.sql",
    "channel": "litmus._channels",
    "open_channel": "litmus._channels",
    "custom": "litmus._measure",
    "product": "litmus._sweep",
    "range": "litmus._sweep",
    "zip": "litmus._sweep",
    "record_measurement": "litmus._measure",
    "DuplicateMeasurementError": "litmus._measure",
    "Limit": "litmus._limits",
    "LimitFailure": "litmus._measure",
    "MissingLimitError": "litmus._measure",
    "prompts": "litmus.prompts",
}


def __getattr__(name: str):
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'litmus' has no attribute {name!r}")
    import importlib

    value = importlib.import_module(module)
    if module != f"litmus.{name}":
        value = getattr(value, name)
    globals()[name] = value
    return value

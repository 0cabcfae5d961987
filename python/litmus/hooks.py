# SPDX-License-Identifier: Apache-2.0
"""Hooks of pytest that litmus calls; a conftest.py or a plugin may have them."""

from __future__ import annotations

import pytest


@pytest.hookspec(firstresult=True)
def pytest_litmus_scan(config):
    """Gives the serial of the device under test, when nobody else has said it: called once a session, after run.started and before
    the plan, in a thread of its own and for at most `scan: {timeout: 60}` seconds (litmus.yaml).

    Returns: the serial (str), or None to leave it to the next implementation. An exception, an empty serial or a scanner that is too
    slow ends the run as errored, with the whole plan on record.
    """

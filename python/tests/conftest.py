# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the Python tests; the work is in harness.py."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("harness")

from harness import Suite  # noqa: E402


@pytest.fixture
def suite(tmp_path) -> Suite:
    return Suite(tmp_path)


@pytest.fixture
def fake_suite(tmp_path) -> Suite:
    """A suite that records with the stand-in, whatever is installed."""
    made = Suite(tmp_path)
    made.use_fake()
    return made

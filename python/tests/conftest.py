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
def data_dir(tmp_path) -> str:
    return str(tmp_path / "data")


@pytest.fixture
def session(data_dir):
    """An open session of the extension, without a daemon."""
    with pytest.importorskip("litmus._litmus").Session(data_dir, daemon=False) as opened:
        yield opened


@pytest.fixture
def fake_suite(tmp_path) -> Suite:
    """A suite that records with the stand-in, whatever is installed."""
    made = Suite(tmp_path)
    made.use_fake()
    return made

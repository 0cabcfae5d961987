# SPDX-License-Identifier: Apache-2.0
"""A bench without hardware: a supply whose 1.8 V rail sags under load."""
import pytest


class Supply:
    """Stands in for a power supply and the board behind it."""

    def read(self, rail: str, load_a: float) -> float:
        droop = 0.35 if rail == "1V8" else 0.02
        return {"3V3": 3.31, "1V8": 1.81, "0V9": 0.90}[rail] - droop * load_a


@pytest.fixture(scope="session")
def supply():
    return Supply()

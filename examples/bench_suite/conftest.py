# SPDX-License-Identifier: Apache-2.0
"""The bench: the board is powered for the session, its rails are read over the dmm's relay card."""
import litmus
import pytest

RELAYS = {"rail_3v3": 110, "rail_1v8": 120, "rail_0v9": 130}
TAPS = {0: 1, 100: 2, 200: 3}  # of the load bank, by milliamperes


@pytest.fixture(scope="session", autouse=True)
def powered(psu):
    psu.write("VOLT 5.000")
    psu.write("OUTP 1")
    yield
    psu.write("OUTP 0")


@pytest.fixture
def rail(dmm):
    """rail(name, load_ma): volts."""
    return lambda name, load_ma=0: float(dmm.query(f"MEAS:VOLT? (@{RELAYS[name] + TAPS[load_ma]})"))


@pytest.fixture
def operator():
    """Answers in the operator's place. Without it, the question is asked on the terminal."""
    with litmus.prompts.answers("yes", by="demo"):
        yield

# SPDX-License-Identifier: Apache-2.0
import pytest

attempts = []


@pytest.mark.retry(times=1)
def test_uart_sync():
    """The UART needs a second try after power-up: both attempts are on record."""
    attempts.append(1)
    assert len(attempts) > 1, "no sync byte within 50 ms"


@pytest.mark.parametrize("baud", [9600, 115200])
def test_uart_baud(baud):
    assert baud % 300 == 0


def test_can_termination(dmm, verify):
    verify("termination", float(dmm.query("MEAS:RES? (@141)")), (57, 63), units="ohm", instrument_name="dmm")


def test_power_led(operator, prompt):
    assert prompt.confirm("Is the green LED on?")

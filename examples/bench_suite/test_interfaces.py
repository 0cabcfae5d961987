# SPDX-License-Identifier: Apache-2.0
import pytest


def test_uart_loopback():
    assert b"ping" == bytes([112, 105, 110, 103])


@pytest.mark.parametrize("baud", [9600, 115200])
def test_uart_baud(baud):
    assert baud % 300 == 0


def test_can_termination():
    assert abs(60.2 - 60) < 1

# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest


def test_ripple(scope, channel, verify):
    """The waveform goes into a channel, its peak-to-peak value is judged."""
    volts = scope.query_ascii_values("WAV:DATA? (@1)", container=np.array)
    wave = channel("scope.ch1", units="V")
    wave.block(volts, interval=float(scope.query("WAV:XINC?")))
    verify("ripple_vpp", np.ptp(volts), instrument_name="scope", instrument_channel="1")


class TestRails:
    def test_3v3(self, rail, verify, vectors):
        """A sweep: every vector is planned, and has a row."""
        for vector in vectors:
            verify("rail_3v3", rail("rail_3v3", vector.load_ma), instrument_name="dmm")

    @pytest.mark.parametrize("load_ma", [0, 100, 200])
    def test_1v8(self, rail, verify, load_ma):
        verify("rail_1v8", rail("rail_1v8", load_ma), instrument_name="dmm")

    def test_0v9(self, rail, verify):
        verify("rail_0v9", rail("rail_0v9"), instrument_name="dmm")


@pytest.mark.skip(reason="no thermal chamber on this bench")
def test_hot_start():
    raise AssertionError("never reached")

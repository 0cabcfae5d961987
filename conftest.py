# SPDX-License-Identifier: Apache-2.0
"""What all of our own tests need, wherever they are started from."""

import signal

# A shell starts its background jobs with SIGINT ignored, and so would be everything that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

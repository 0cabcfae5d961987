# SPDX-License-Identifier: Apache-2.0
"""Intervals and quantiles that need no library."""

from __future__ import annotations

import math
from statistics import NormalDist

__all__ = ["Z95", "wilson"]

# Two-sided 95 % quantile of the normal distribution.
Z95 = NormalDist().inv_cdf(0.975)


def wilson(n: int, of: int, z: float = Z95) -> tuple[float, float] | tuple[None, None]:
    """The score interval of a share (Wilson 1927): n of `of`, at the quantile z. (None, None) of nothing."""
    if of == 0:
        return None, None
    p, zz = n / of, z * z
    middle = (p + zz / (2 * of)) / (1 + zz / of)
    half = z / (1 + zz / of) * math.sqrt(p * (1 - p) / of + zz / (4 * of * of))
    return max(0.0, middle - half) if n else 0.0, min(1.0, middle + half) if n < of else 1.0

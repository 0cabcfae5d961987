# SPDX-License-Identifier: Apache-2.0
"""Intervals, and the constants of samples from a normal distribution."""

from __future__ import annotations

import functools
import math
from statistics import NormalDist

from litmus.analysis.libraries import need

__all__ = ["Z95", "c4", "d2", "d3", "wilson"]

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


def c4(n: int) -> float:
    """Mean of the deviation (n - 1) of n values of a normal distribution, in its deviations."""
    return math.sqrt(2 / (n - 1)) * math.exp(math.lgamma(n / 2) - math.lgamma((n - 1) / 2))


@functools.lru_cache(maxsize=64)
def _moments(n: int) -> tuple[float, float]:
    """Mean and deviation of the range W of n values: P(W <= w) is n times the integral of f(x) (F(x + w) - F(x))^(n - 1)."""
    if n == 2:  # the distance of two: closed, and without SciPy, which takes longer to import than most charts to make
        return 2 / math.sqrt(math.pi), math.sqrt(2 - 4 / math.pi)
    np, ndtr = need("numpy", "this chart"), need("scipy.special", "this chart").ndtr
    x = np.linspace(-9, 9, 721)  # smooth, and nothing at the ends: the trapezoid rule is exact there
    nodes, weights = np.polynomial.legendre.leggauss(200)
    w, weights = 10 * (nodes + 1), 10 * weights
    density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    above = 1 - n * (x[1] - x[0]) * ((ndtr(x + w[:, None]) - ndtr(x)) ** (n - 1) @ density)
    mean, square = weights @ above, weights @ (2 * w * above)
    return float(mean), math.sqrt(square - mean * mean)


def d2(n: int) -> float:
    """Mean of the range of n values of a normal distribution, in its deviations."""
    return _moments(n)[0]


def d3(n: int) -> float:
    """Deviation of the range of n values of a normal distribution, in its deviations."""
    return _moments(n)[1]

# SPDX-License-Identifier: Apache-2.0
"""Intervals, and the constants of samples from a normal distribution."""

from __future__ import annotations

import functools
import math
from statistics import NormalDist

from litmus.analysis.libraries import need

__all__ = ["Z95", "c4", "chi_square", "d2", "d3", "wilson"]

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


# Cornish and Fisher's series of chi square in falling half powers of the degrees of freedom (Goldberg and Levine 1946); from 500 on 1e-11 is left out.
_CHI_SQUARE = (
    (lambda z: 1.0, 1), (lambda z: z * math.sqrt(2), 1), (lambda z: 2 * (z**2 - 1), 3), (lambda z: z**3 - 7 * z, 9 * math.sqrt(2)),
    (lambda z: -6 * z**4 - 14 * z**2 + 32, 405), (lambda z: 9 * z**5 + 256 * z**3 - 433 * z, 4860 * math.sqrt(2)),
    (lambda z: 12 * z**6 - 243 * z**4 - 923 * z**2 + 1472, 25515), (lambda z: -3753 * z**7 - 4353 * z**5 + 289517 * z**3 + 289717 * z, 9185400 * math.sqrt(2)),
)  # fmt: skip


@functools.lru_cache(maxsize=1024)
def chi_square(freedom: float, p: float) -> float:
    """The p quantile of chi square; freedom need not be whole; p not in the far tails. (SciPy's is as exact, and takes 0.6 s of processor to import.)"""
    z = NormalDist().inv_cdf(p)
    if freedom > 500:
        return math.fsum(z_part(z) / part * freedom ** (1 - power / 2) for power, (z_part, part) in enumerate(_CHI_SQUARE))
    a, near = freedom / 2, 1 - 2 / (9 * freedom) + z * math.sqrt(2 / (9 * freedom))
    x = a * near**3 if near > 0.3 else math.exp((math.log(p) + math.lgamma(a + 1)) / a)  # Wilson and Hilferty 1931; what few degrees come to at 0
    for _ in range(100):  # Newton's method on ln x
        density = math.exp(a * math.log(x) - x - math.lgamma(a))
        step = (density * _gamma_series(a, x) - p) / density
        x *= math.exp(-max(-1.0, min(1.0, step)))
        if abs(step) < 1e-13:
            break
    return 2 * x


def _gamma_series(a: float, x: float) -> float:
    """The incomplete gamma function P(a, x) without its factor x^a e^-x / gamma(a)."""
    total = term = 1 / a
    while term > 1e-17 * total:
        a += 1
        term *= x / a
        total += term
    return total


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

"""Comparing a few repeated measurements honestly: intervals, Welch's test, Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A mean with its Student confidence interval; the interval is NaN for fewer than two values."""

    count: int
    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        if self.count < 2:
            return f"{self.mean:.4f} (a single run)"
        return f"{self.mean:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True)
class Comparison:
    """Two samples compared: the difference of their means, its interval, and the p-value against "no difference"."""

    difference: float
    low: float
    high: float
    p: float


def estimate(values: Sequence[float], level: float = 0.95) -> Estimate:
    """Mean and two-sided `level` confidence interval by Student's t with n - 1 degrees of freedom.

    >>> interval = estimate([0.96, 0.97, 0.98])
    >>> round(interval.mean, 3), round(interval.low, 3), round(interval.high, 3)
    (0.97, 0.945, 0.995)
    """
    from scipy import stats

    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return Estimate(len(values), mean, math.nan, math.nan)
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * math.sqrt(_variance(values) / len(values))
    return Estimate(len(values), mean, mean - half, mean + half)


def welch(first: Sequence[float], second: Sequence[float], level: float = 0.95) -> Comparison:
    """Welch's two-sided t-test of unequal variances: mean(first) - mean(second), at least two values each.

    Two constant samples have no spread to compare with: p is then 1 for equal means and 0 for different ones.
    """
    from scipy import stats

    a, b = _variance(first) / len(first), _variance(second) / len(second)
    difference = math.fsum(first) / len(first) - math.fsum(second) / len(second)
    error = math.sqrt(a + b)
    if error == 0:
        return Comparison(difference, difference, difference, 1.0 if difference == 0 else 0.0)
    # Welch-Satterthwaite
    freedom = (a + b) ** 2 / (a**2 / (len(first) - 1) + b**2 / (len(second) - 1))
    half = float(stats.t.ppf((1 + level) / 2, freedom)) * error
    p = 2 * float(stats.t.sf(abs(difference) / error, freedom))
    return Comparison(difference, difference - half, difference + half, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: adjusted p-values that keep the chance of any false alarm among all below the level.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = running
    return adjusted


def _variance(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)

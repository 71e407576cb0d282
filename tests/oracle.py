"""Points and true values for the tests of accuracy: awkward inputs, and slopes by differences of the textbook
function in high precision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import mpmath
import numpy as np

from actc.operators import OPERATORS, Operator

U = 2.0**-53
TINY = float(np.finfo(np.float64).smallest_subnormal)
LARGEST = float(np.finfo(np.float64).max)

#: Values for arguments after the first that have no default.
OTHERS = {"y": 1.7, "z": -0.6, "low": -0.7, "high": 1.3, "weight": 0.25, "threshold": 0.3, "value": -0.4}

Point = tuple[float, ...]
Values = tuple[mpmath.mpf, mpmath.mpf, mpmath.mpf]

#: Rows that evaluate to a number for a number: all but constants and comparisons.
ROWS = [row for row in OPERATORS.values() if row.arity and row.derivative != ("0", "0")]


def second_arguments(row: Operator) -> list[float]:
    """An ordinary value for each argument after the first."""
    first_default = row.arity - len(row.defaults)
    return [
        float(row.defaults[i - first_default]) if i >= first_default else OTHERS[row.arguments[i]]
        for i in range(1, row.arity)
    ]


def points(row: Operator, count: int = 25) -> np.ndarray:
    """First arguments over the whole domain: both signs, every magnitude, the region where activations bend, close to
    kinks and poles, at the edges of the exponential's range, huge and subnormal."""
    rng = np.random.default_rng(7)
    magnitudes = np.exp(rng.uniform(math.log(1e-310), math.log(1.7e308), count))
    small = np.exp(rng.uniform(math.log(1e-20), 0, count))
    ordinary = np.concatenate([rng.uniform(-9, 9, 2 * count), rng.uniform(-40, 40, count), np.arange(-12, 12.5, 0.5)])
    tails = rng.uniform(-760, 760, count)
    special = [0.0, TINY, 2.2e-308, 1e-160, 1e-8, 1.0, 709.7, 709.8, 710.5, 719.4, 745.0, 1e5, 1e9, 1e154, 1e200, 1e300]
    special += [26.6, 26.72, 27.1, 37.6, 38.31397164448872, 38.5, LARGEST]
    corners = (*row.kinks, *row.poles, -2.0, -0.75, 8.0)
    near = [np.nextafter(c, side) for c in corners for side in (-9, 99)]
    near += [c * scale for c in corners for scale in (1 + 1e-9, 1 - 1e-6)]
    x = np.concatenate([magnitudes, small, ordinary, tails, special, near])
    x = np.unique(np.concatenate([x, -x]))
    low, high = row.domain
    if (low, high) == (-1.0, 1.0):
        x = np.concatenate([x, np.linspace(-1, 1, count), 1 - small, small - 1])
    return x[(x >= low) & (x <= high)] + 0.0


def is_corner(row: Operator, x: float) -> bool:
    """Whether the first argument stands at a kink, a jump or a pole, where differences mean nothing."""
    at_jump = row.name == "floor" and x == math.floor(x)
    return at_jump or any(abs(x - c) <= abs(c) * 1e-12 for c in (*row.kinks, *row.poles))


@cache
def slopes(row: Operator, point: Point, argument: int = 0) -> Values:
    """The oracle's value, first and second derivative by one argument at ``point``, by central differences.

    Digits grow until two precisions agree; a second derivative need only agree as far as the bound of the first one's
    error can tell.
    """
    x = point[argument]
    magnitudes = [0.0, *(math.log10(abs(a)) for a in point if a)]
    lost = 2 * (max(magnitudes) - min(magnitudes)) if x else 660
    before = None
    # A zero is believed at the last precision only: enough to see e^−745 beside 1, and the squares of the arguments'
    # ratios.
    for digits in (60, 200, 420 + int(lost)):
        after = _differences(row, point, argument, digits)
        if before is not None and _settled(before, after, x):
            break
        before = after
    return after


def _settled(before: Values, after: Values, x: float) -> bool:
    if any(mpmath.isfinite(a) != mpmath.isfinite(b) for a, b in zip(after, before, strict=True)):
        return False
    if all(0 < abs(v) < mpmath.mpf("1e-340") for v in (*before, *after)):
        return True
    f, f1, f2 = (
        mpmath.isnan(a) or (abs(a - b) <= abs(a) * 1e-22 and a != 0) for a, b in zip(after, before, strict=True)
    )
    irrelevant = max(abs(after[2]), abs(before[2])) * abs(x) <= abs(after[1]) * 1e-6
    coarse = abs(after[2] - before[2]) <= abs(after[2]) * 1e-3 and after[2] != 0
    return f and f1 and (f2 or irrelevant or coarse)


def _differences(row: Operator, point: Point, argument: int, digits: int) -> Values:
    with mpmath.workdps(digits):
        x = point[argument]
        h = min(abs(mpmath.mpf(x)), mpmath.mpf(1)) * mpmath.mpf(10) ** -min(digits // 4, 40)
        if x == 0:
            h = mpmath.mpf(10) ** -330
        args = [mpmath.mpf(a) for a in point]
        values = []
        for step in (-h, mpmath.mpf(0), h):
            args[argument] = mpmath.mpf(x) + step
            values.append(row.oracle(*args))
        left, middle, right = values
        return middle, (right - left) / (2 * h), (right - 2 * middle + left) / h**2


def bound(value: mpmath.mpf, x: float, slope: mpmath.mpf) -> mpmath.mpf:
    """8u·(|f| + |x·f'|), and fifty units of the subnormal range, where the precision of intermediate results ends."""
    return 8 * U * (abs(value) + abs(x * slope)) + 50 * TINY


def excess(got: float, true: mpmath.mpf, x: float, slope: mpmath.mpf) -> float:
    """The error of ``got`` over its bound: at most 1 passes. Values beyond float64 have to come out infinite, those
    outside the domain as NaN."""
    if mpmath.isnan(true):
        return 0.0 if math.isnan(got) else math.inf
    if abs(true) > mpmath.mpf(LARGEST) * (1 + mpmath.mpf(2) ** -54):
        return 0.0 if math.isinf(got) and (got > 0) == (true > 0) else math.inf
    if not math.isfinite(got):
        return math.inf
    return float(abs(mpmath.mpf(got) - true) / bound(true, x, slope))


def combinations(values: Sequence[float]) -> np.ndarray:
    """All pairs of the values, as two rows."""
    return np.array([(a, b) for a in values for b in values]).T

"""Points and true values for the tests of accuracy: awkward inputs, and slopes by differences in 150-digit
arithmetic."""

from __future__ import annotations

import math

import mpmath
import numpy as np

from actc.operators import OPERATORS, Operator

U = 2.0**-53
TINY = float(np.finfo(np.float64).smallest_subnormal)

#: Values for arguments after the first that have no default.
OTHERS = {"y": 1.7, "z": -0.6, "low": -0.7, "high": 1.3, "weight": 0.25, "threshold": 0.3, "value": -0.4}


def second_arguments(row: Operator) -> list[float]:
    """An ordinary value for each argument after the first."""
    first_default = row.arity - len(row.defaults)
    return [
        float(row.defaults[i - first_default]) if i >= first_default else OTHERS[row.arguments[i]]
        for i in range(1, row.arity)
    ]


def points(row: Operator, count: int = 40) -> np.ndarray:
    """First arguments over the whole domain: both signs, every magnitude, close to kinks and poles, huge and
    subnormal."""
    rng = np.random.default_rng(7)
    magnitudes = np.exp(rng.uniform(math.log(1e-310), math.log(1.7e308), count))
    ordinary = np.concatenate(
        [rng.normal(0, 1, count), rng.normal(0, 10, count), rng.uniform(-760, 760, count), np.arange(-12, 12.5, 0.5)]
    )
    special = [
        0.0,
        5e-324,
        2.2e-308,
        1e-160,
        1e-8,
        1.0,
        709.7,
        710.5,
        745.0,
        1e5,
        1e9,
        1e154,
        1e200,
        1e300,
        1.7976931348623157e308,
    ]
    corners = (*row.kinks, *row.poles, -2.0, -0.75, 8.0)
    near = [np.nextafter(c, side) for c in corners for side in (-9, 99)]
    near += [c * scale for c in corners for scale in (1 + 1e-9, 1 - 1e-6)]
    x = np.concatenate([magnitudes, ordinary, special, near])
    x = np.unique(np.concatenate([x, -x]))
    low, high = row.domain
    return x[(x >= low) & (x <= high)]


def slopes(row: Operator, x: float, rest: list[float]) -> tuple[mpmath.mpf, mpmath.mpf, mpmath.mpf]:
    """The oracle's value, first and second derivative at ``x``, by central differences of the textbook function.

    Digits grow until two results agree; zeros are believed at 700 digits only, enough to see e^−2|x| beside 1.
    """
    digits = 130 + int(2 * abs(math.log10(abs(x)))) if x else 700
    before = _differences(row, x, rest, digits)
    while True:
        digits *= 2
        after = _differences(row, x, rest, digits)
        pairs = zip(after, before, strict=True)
        settled = all(a == b or not mpmath.isfinite(a) or abs(a - b) <= abs(a) * 1e-25 for a, b in pairs)
        if (settled and all(after)) or digits >= 700:
            return after
        before = after


def _differences(row: Operator, x: float, rest: list[float], digits: int) -> tuple[mpmath.mpf, mpmath.mpf, mpmath.mpf]:
    with mpmath.workdps(digits):
        at = mpmath.mpf(x)
        h = min(abs(at), mpmath.mpf(1)) * mpmath.mpf(10) ** -40 if x else mpmath.mpf(10) ** -330
        others = [mpmath.mpf(r) for r in rest]
        left, middle, right = (row.oracle(at + k * h, *others) for k in (-1, 0, 1))
        return middle, (right - left) / (2 * h), (right - 2 * middle + left) / h**2


def bound(value: mpmath.mpf, x: float, slope: mpmath.mpf) -> mpmath.mpf:
    """8u·(|f| + |x·f'|), and half a unit of the subnormal range, below which no format can tell values apart."""
    return 8 * U * (abs(value) + abs(x * slope)) + TINY


UNARY = [row for row in OPERATORS.values() if row.arity - len(row.defaults) == 1]

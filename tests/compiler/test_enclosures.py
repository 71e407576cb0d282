"""Enclosures hold every value, for every row, on every kind of interval; and are tight where they should be."""

from __future__ import annotations

import math
from fractions import Fraction

import flint
import mpmath
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from actc.enclosures import Limits, Region, precision
from actc.expr import Expr, apply, symbol
from actc.operators import OPERATORS, Operator
from actc.parsing import parse
from tests.oracle import second_arguments
from tests.strategies import expressions

X = symbol("x")
ROWS = [row for row in OPERATORS.values() if row.arity]


def exact(end: float | Fraction) -> Fraction | float:
    return Fraction(end) if math.isfinite(end) else end


def outside(e: Expr, low: float, high: float, points: np.ndarray) -> list[float]:
    """The points whose true value does not lie within the bounds."""
    bounds = Region(exact(low), exact(high)).bounds(e)
    ends = [mpmath.mpf(str(float(b))) if not b.is_finite() else _number(b) for b in bounds]
    values = [e.evaluate_mp(40, **({"x": p} if e.symbols else {})) for p in points]
    with mpmath.workdps(60):
        slack = mpmath.mpf(10) ** -38
        return [
            p
            for p, v in zip(points, values, strict=True)
            if mpmath.isfinite(v) and not ends[0] - slack * abs(v) <= v <= ends[1] + slack * abs(v)
        ]


def _number(ball: flint.arb) -> mpmath.mpf:
    mantissa, exponent = ball.mid().man_exp()
    with mpmath.workdps(60):
        return mpmath.mpf(int(mantissa)) * mpmath.mpf(2) ** int(exponent)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_on_every_kind_of_interval(row: Operator) -> None:
    rng = np.random.default_rng(0)
    required = row.arity - len(row.defaults) - 1
    e = apply(row.name, X, *second_arguments(row)[:required], *row.defaults)
    ends = [0.0, -2.5, 3.0, 1.0, -1.0, 0.5, *rng.normal(0, 4, 4), *rng.normal(0, 60, 2), math.inf, -math.inf]
    for a in ends:
        for b in ends:
            if a < b:
                low, high = max(a, -1e3), min(b, 1e3)
                inside = [*rng.uniform(low, high, 4), np.nextafter(low, math.inf), np.nextafter(high, -math.inf)]
                assert outside(e, a, b, np.array(inside)) == [], (a, b)


@settings(max_examples=150)
@example(parse("erfc(1000000)"), 0.0, 1.0)
@given(expressions(names=("x",), size=6), st.floats(-9, 9), st.floats(0.01, 20))
def test_compositions(e: Expr, low: float, width: float) -> None:
    points = np.linspace(low, low + width, 7)[1:-1]
    assert outside(e, low, low + width, points) == []


@pytest.mark.parametrize(
    ("text", "low", "high", "bounds"),
    [
        ("exp(x)", -math.inf, math.inf, (0, math.inf)),
        ("exp(x)", 0, math.inf, (1, math.inf)),
        ("tanh(exp(x))", -math.inf, 0, (0, 0.7615941559557649)),
        ("x**2", -1, 2, (0, 4)),
        ("x**-2", 1, math.inf, (0, 1)),
        ("1/x", 0, math.inf, (0, math.inf)),
        ("abs(x) - 1", -3, 2, (-1, 2)),
        ("cosh(x)", -1, math.inf, (1, math.inf)),
        ("i1e(x)", 0, math.inf, (0, 0.21909197495053096)),
        ("where(x > 0, x, 5)", 1, 2, (1, 2)),
        ("log(x)", 0, 1, (-math.inf, 0)),
        ("beta*0 + tanh(beta)", 0, 1, (-1, 1)),
    ],
)
def test_bounds_are_tight(text: str, low: float, high: float, bounds: tuple[float, float]) -> None:
    found = Region(exact(low), exact(high)).bounds(parse(text))
    assert [float(b) for b in found] == pytest.approx(bounds, rel=1e-15)


def test_limits_of_products_are_not_guessed() -> None:
    """x·exp(−x) at infinity is ∞·0: nothing is known of it by its parts."""
    for text in ("x*exp(-x)", "exp(x)*exp(-x)", "x - x", "x/x"):
        low, high = Limits(math.inf).bounds(parse(text))
        assert not low.is_finite() and not high.is_finite() and low < high


@pytest.mark.parametrize(
    ("text", "place", "bounds"),
    [
        ("exp(-x) + tanh(x)", math.inf, (1, 1)),
        ("x + softplus(x)", -math.inf, (-math.inf, -math.inf)),
        ("silu(x) + 1", 0, (1, 1)),
        ("sin(x)", math.inf, (-1, 1)),
        ("sigmoid(x)**2", -math.inf, (0, 0)),
        # The value there is not the limit, and the limit nothing that its parts tell.
        ("tanh(x)/x", 0, (-math.inf, math.inf)),
        ("sign(x)", 0, (-math.inf, math.inf)),
        ("tanh(sign(exp(-x)))", math.inf, (-1, 1)),
        ("hardshrink(x)", Fraction(1, 2), (-math.inf, math.inf)),
        ("softshrink(x, -1)", -1, (-math.inf, math.inf)),
        ("tanh(1/x)", 0, (-1, 1)),
        ("exp(-x)**(1/x)", math.inf, (-math.inf, math.inf)),
    ],
)
def test_limits(text: str, place: float | Fraction, bounds: tuple[float, float]) -> None:
    found = Limits(exact(place)).bounds(parse(text))
    assert tuple(float(b) for b in found) == bounds


def _far(value: mpmath.mpf, bounds: tuple[flint.arb, flint.arb]) -> mpmath.mpf:
    low, high = (mpmath.mpf(str(float(b))) for b in bounds)
    return max(low - value, value - high, 0)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(expressions(names=("x",), size=4), st.sampled_from([0, 1, -1, math.inf, -math.inf]))
def test_values_go_to_limits(e: Expr, place: float) -> None:
    bounds = Limits(exact(place)).bounds(e)
    for side in (1, -1) if math.isfinite(place) else (math.copysign(1, place),):
        far, near = (
            (mpmath.mpf(place) + side * mpmath.mpf(10) ** -n) if math.isfinite(place) else side * mpmath.mpf(10) ** n
            for n in (6, 50)
        )
        with mpmath.workdps(60):
            before, after = (e.evaluate_mp(60, **({"x": x} if e.symbols else {})) for x in (far, near))
        if mpmath.isfinite(before) and mpmath.isfinite(after):
            # Logarithms are slow: the exponent of the distance is eight times as large.
            assert _far(after, bounds) <= max(_far(before, bounds) / 3, (1 + abs(after)) * mpmath.mpf(10) ** -6)


def test_the_precision_outside_is_left_alone() -> None:
    before = flint.ctx.prec
    with precision(300):
        assert flint.ctx.prec == 300
    Region().bounds(parse("exp(x)"))
    assert flint.ctx.prec == before

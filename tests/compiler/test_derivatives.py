"""Derivatives against the slopes of the value itself, in many digits."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from actc.derivatives import derivative, fold
from actc.errors import ExpressionError, ParseError
from actc.expr import Expr, apply, constant, postorder, symbol
from actc.operators import OPERATORS
from actc.parsing import parse
from tests.strategies import expressions

X = symbol("x")
SMOOTH = [row for row in OPERATORS.values() if row.analytic and row.name not in ("tan", "pow")]


def by_differences(e: Expr, name: str, order: int, **point: float) -> mpmath.mpf:
    """The ``order``-th partial derivative by central differences of the oracle."""
    with mpmath.workdps(120):
        h = mpmath.mpf(10) ** -15
        total = mpmath.mpf(0)
        for k in range(order + 1):
            moved = {**point, name: mpmath.mpf(point[name]) + (mpmath.mpf(order) / 2 - k) * h}
            total += (-1) ** k * mpmath.binomial(order, k) * e.evaluate_mp(110, **moved)
        return total / h**order


@settings(max_examples=150)
@given(expressions(rows=SMOOTH, names=("x", "beta"), size=5), st.floats(-3, 3), st.floats(-2, 2), st.integers(0, 4))
def test_smooth_compositions(e: Expr, x: float, beta: float, order: int) -> None:
    point = {"x": x, "beta": beta}
    for name in e.symbols:
        wanted = by_differences(e, name, order, **{n: point[n] for n in e.symbols})
        assume(mpmath.isfinite(wanted) and abs(wanted) < mpmath.mpf(10) ** 30)
        # Differences step over a hole, such as that of softplus(x, beta) at beta = 0.
        assume(mpmath.isfinite(e.evaluate_mp(30, **{n: point[n] for n in e.symbols})))
        d = derivative(e, name, order)
        assert len(postorder(d)) < 30_000
        got = d.evaluate_mp(30, **{n: point[n] for n in d.symbols})
        assert abs(got - wanted) <= mpmath.mpf("1e-15") * max(abs(wanted), mpmath.mpf("1e-5"))


@pytest.mark.parametrize(
    ("text", "name", "wanted"),
    [
        ("x**3", "x", "3*x**2"),
        ("x**2", "x", "2*x"),
        ("x", "x", "1"),
        ("5", "x", "0"),
        ("y", "x", "0"),
        ("a*x", "a", "x"),
        ("a*x + b", "b", "1"),
        ("exp(2*x)", "x", "exp(2*x)*2"),
        ("abs(x)", "x", "sign(x)"),
        ("relu(x)", "x", "where(x > 0, 1, 0)"),
        ("where(x > 0, x, 0.1*x)", "x", "where(x > 0, 1, 0.1)"),
        ("x > 0", "x", "0"),
        ("floor(x)*x", "x", "floor(x)"),
        ("sum_n(x, x, x)", "x", "3"),
        ("left(x, y)", "y", "0"),
        ("hardtanh(x)", "x", "where((x > -1)*(x < 1), 1, 0)"),
        ("clamp(x, -1, 2)", "x", "where((x >= -1)*(x <= 2), 1, 0)"),
    ],
)
def test_simple_forms(text: str, name: str, wanted: str) -> None:
    assert derivative(text, name) is parse(wanted)


def test_order_zero_is_the_expression_itself() -> None:
    e = parse("mish(x)*beta")
    assert derivative(e, "x", 0) is e


@settings(max_examples=50)
@given(expressions(rows=SMOOTH, names=("x",), size=4))
def test_orders_compose(e: Expr) -> None:
    assert derivative(derivative(e, "x"), "x", 2) is derivative(e, "x", 3)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("x", "x", -1), ValueError, "0 or more"),
        (("x", "lambda", 1), ExpressionError, "no name for a parameter"),
        (("x", "2", 1), ExpressionError, "no name for a parameter"),
        (("x", "sin", 1), ExpressionError, "is an operator"),
        (("sigmiod(x)", "x", 1), ParseError, "did you mean"),
        (("x", "x", 1.5), TypeError, "whole number"),
        (("x", "x", True), TypeError, "whole number"),
        (("x", X, 1), TypeError, "name"),
        ((3, "x", 1), TypeError, "text or an expression"),
    ],
)
def test_wrong_arguments(arguments: tuple[str, str, int], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        derivative(*arguments)


@pytest.mark.parametrize(
    ("text", "at", "wanted"),
    [
        ("relu(x)", 0.0, 0.0),
        ("abs(x)", 0.0, 0.0),
        ("max(x, 0)", 0.0, 0.5),
        ("min(x, 0)", 0.0, 0.5),
        ("max(x, x)", 1.0, 1.0),
        ("max_n(x, 0, 0)", 0.0, 0.25),
        ("leaky_relu(x)", 0.0, 0.01),
        ("relu6(x)", 6.0, 0.0),
        ("clamp(x, -1, 1)", 1.0, 1.0),
        ("hardtanh(x)", 1.0, 0.0),
        ("hypot(x, 0)", 0.0, 0.0),
        ("div_no_nan(1, x)", 0.0, 0.0),
        ("x**2", 0.0, 0.0),
        ("x**1", 0.0, 1.0),
        ("x**0", 0.0, 0.0),
        ("sinc(x)", 0.0, 0.0),
        ("tanhshrink(x)", 0.0, 0.0),
        ("where(x > 0, 1/x, 0)", 0.0, 0.0),
        ("where(x > 0, log(x), 0)", -1.0, 0.0),
        ("relu(x)/relu(x)", -1.0, math.nan),
    ],
)
def test_conventions_at_corners(text: str, at: float, wanted: float) -> None:
    np.testing.assert_array_equal(derivative(text).evaluate(x=at), wanted)


def test_a_branch_not_taken_poisons_nothing() -> None:
    d = derivative("where(x > 0, log(x), exp(1/x))")
    assert np.isfinite(d.evaluate(x=np.array([-1.0, 2.0, -1e-3, 1e300]))).all()


def test_a_shared_graph_stays_small() -> None:
    e = X
    for _ in range(200):
        e = apply("sin", e) * e
    assert len(postorder(derivative(e))) < 3000


def test_fold_uses_structural_facts_only() -> None:
    zero, one = constant(0), constant(1)
    assert fold("mul", zero, X) is zero
    assert fold("mul", X, one) is X
    assert fold("add", zero, X) is X
    assert fold("sub", X, zero) is X
    assert fold("div", zero, X) is zero
    assert fold("pow", X, one) is X
    assert fold("where", X, one, one) is one
    assert fold("where", one, X, zero) is X
    assert fold("add", constant(2), constant(3)) is constant(5)

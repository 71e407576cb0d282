"""Safe mode's promise, finite in and finite out, for values and derivatives; and GRAFS's bound."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actc.derivatives import derivative
from actc.errors import ActcError
from actc.expr import Expr, apply, symbol
from actc.operators import OPERATORS, Operator
from actc.parsing import parse
from actc.safety import lower
from actc.spaces import Space
from tests.strategies import expressions

X = symbol("x")
SPACE = Space("aquasurf_three_node")


def awkward_points() -> np.ndarray:
    """Both signs of zero, every magnitude, the ends of the range, kinks, and where exponentials overflow."""
    rng = np.random.default_rng(0)
    magnitudes = np.exp(rng.uniform(math.log(5e-324), math.log(1.7e308), 60))
    special = [0.0, 5e-324, 2.2e-308, 1e-160, 1e-8, 1.3e154, 709.5, 710.0, 745.0, 1.7e308, np.finfo(np.float64).max]
    x = np.concatenate([magnitudes, special, rng.normal(0, 3, 40), rng.normal(0, 100, 20), np.arange(0, 6.5, 0.5)])
    return np.concatenate([x, -x])


POINTS = awkward_points()


def check_promise(e: Expr, x: np.ndarray = POINTS) -> None:
    safe = lower(e, safe=True)
    assert lower(safe, safe=True) is safe
    for order in range(3):
        inputs = {name: np.roll(x, i) for i, name in enumerate(sorted(safe.symbols))}
        y = np.broadcast_to(safe.evaluate(**inputs), x.shape)
        wrong = ~np.isfinite(y)
        assert not wrong.any(), (str(e), order, x[wrong][:3], y[wrong][:3])
        if "x" not in safe.symbols:
            break
        safe = derivative(safe, "x")
        assert safe.name == "saturate" or not safe.symbols


@pytest.mark.parametrize("row", [r for r in OPERATORS.values() if r.arity], ids=lambda row: row.name)
def test_every_row(row: Operator) -> None:
    required = row.arity - len(row.defaults)
    check_promise(apply(row.name, *(symbol(n) for n in ("x", "y", "z")[:required])))
    check_promise(apply(row.name, *(symbol(n) for n in ("x", "a", "b")[: row.arity])))


@pytest.mark.parametrize("row", [r for r in OPERATORS.values() if r.arity and r.safe is None], ids=lambda row: row.name)
def test_rows_without_a_safe_text_are_finite_as_they_are(row: Operator) -> None:
    symbols = [symbol(n) for n in ("x", "a", "b")[: row.arity]]
    e = apply(row.name, *symbols)
    assert np.isfinite(
        e.evaluate(**{s.name: np.roll(POINTS, i) for i, s in enumerate(symbols) if s.name in e.symbols})
    ).all()


@pytest.mark.parametrize("start", range(0, 13, 2))
def test_a_sample_of_the_papers_space(start: int) -> None:
    for i in range(start, len(SPACE), 13 * 13):
        check_promise(SPACE[i])


@pytest.mark.large
def test_the_whole_of_the_papers_space() -> None:
    for i in range(len(SPACE)):
        check_promise(SPACE[i])


@settings(max_examples=300)
@given(expressions(names=("x", "y", "beta"), size=6))
def test_any_expression(e: Expr) -> None:
    check_promise(e)


@settings(max_examples=300)
@given(expressions(size=8), st.sampled_from([None, 0.5, 10.0]), st.booleans())
def test_lowering_twice_changes_nothing_more(e: Expr, clamp: float | None, safe: bool) -> None:
    once = lower(e, safe, clamp)
    assert lower(once, safe, clamp) is once


@settings(max_examples=200)
@given(expressions(size=8))
def test_ieee_changes_nothing(e: Expr) -> None:
    assert lower(e) is e


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1/x", "saturate(div_no_nan(1, x))"),
        ("x", "saturate(x)"),
        ("x**0.5", "saturate(pow_no_nan(x, 0.5))"),
        ("log(x)", "saturate(log(max(x, 1.2e-38)))"),
        ("exp(exp(x))", "saturate(exp(saturate(exp(x))))"),
        ("tanh(x)", "saturate(tanh(x))"),
        ("1*sinh(x)", "saturate(sinh(x))"),
        ("sum_n(x, y, z)", "saturate(sum_n(x, y, z))"),
    ],
)
def test_what_safe_mode_writes(text: str, wanted: str) -> None:
    assert lower(parse(text), safe=True) is parse(wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1/x", "bound(1/x)"),
        ("tanh(x)", "tanh(x)"),
        ("exp(sin(x))", "bound(exp(sin(x)))"),
        ("exp(exp(x))", "bound(exp(bound(exp(x))))"),
        ("hardtanh(x)", "hardtanh(x)"),
        ("hardtanh(x, -100, 100)", "bound(hardtanh(x, -100, 100))"),
        ("bound(1/x)", "bound(1/x)"),
        ("bound(1/x, 5)", "bound(bound(1/x), 5)"),
        ("x", "x"),
    ],
)
def test_what_the_clamp_writes(text: str, wanted: str) -> None:
    assert lower(parse(text), clamp=10) is parse(wanted)


@settings(max_examples=200)
@given(expressions(names=("x",), size=8))
def test_clamped_operators_keep_to_the_bound(e: Expr) -> None:
    if e.kind == "apply" and e.name not in ("bound", "saturate"):
        y = lower(e, clamp=7.5).evaluate(x=POINTS)
        assert (np.isnan(y) | (abs(y) <= 7.5)).all()


def test_safe_and_clamped_keeps_both_promises() -> None:
    e = lower(parse("exp(x)/x - log(x)"), safe=True, clamp=10)
    y = e.evaluate(x=POINTS)
    assert np.isfinite(y).all() and abs(y).max() <= 10
    assert np.isfinite(derivative(e).evaluate(x=POINTS)).all()


@pytest.mark.parametrize("clamp", [0, -1, math.inf, -math.inf, math.nan, True, "10", [10]])
def test_bad_bounds_are_refused(clamp: object) -> None:
    with pytest.raises(ValueError, match=r"clamp=.*: write .*a finite number above 0"):
        lower(X, clamp=clamp)  # type: ignore[arg-type]


def test_a_bound_beyond_every_type_is_refused() -> None:
    with pytest.raises(ActcError):
        lower(1 / X, clamp=10**1000)


def test_the_derivative_of_a_safe_expression_is_safe() -> None:
    d = derivative(lower(parse("x*log(x)"), safe=True))
    assert d.name == "saturate"
    assert "div_no_nan" in str(d)
    assert np.isfinite(d.evaluate(x=POINTS)).all()


def test_saturation_keeps_what_fits_and_nan() -> None:
    e = lower(parse("x*1e300"), safe=True)
    np.testing.assert_array_equal(
        e.evaluate(x=np.array([2.0, 1e300, -1e300])), [2e300, 1.7976931348623157e308, -1.7976931348623157e308]
    )
    assert np.isnan(e.evaluate(x=math.nan))

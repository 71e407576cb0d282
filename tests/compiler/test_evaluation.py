"""Values in float64 and to any number of digits, always in bounded time."""

from __future__ import annotations

import math
import time
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from actc.derivatives import derivative
from actc.evaluation import constant_value
from actc.expr import Expr, apply, symbol
from actc.operators import OPERATORS
from actc.parsing import parse
from tests.strategies import expressions

X = symbol("x")


def tower(name: str, levels: int) -> Expr:
    e = X
    for _ in range(levels):
        e = apply(name, e)
    return e


# --- float64 --------------------------------------------------------------------------------------------------------


def test_inputs_by_position_by_name_and_broadcast() -> None:
    e = parse("x**2 + y*beta")
    assert float(e.evaluate(3, 2, beta=0.5)) == 10.0
    assert float(e.evaluate(3, beta=0.5, y=2)) == 10.0
    grid = e.evaluate(x=np.arange(3)[:, None], y=[1, 2], beta=1)
    assert grid.shape == (3, 2) and grid.dtype == np.float64
    np.testing.assert_array_equal(grid, np.arange(3)[:, None] ** 2 + np.array([1, 2]))


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (2, 3)])
def test_shapes(shape: tuple[int, ...]) -> None:
    for text in ("gelu(x)", "2", "x", "where(x > 0, 1, 2)"):
        assert parse(text).evaluate(np.zeros(shape)).shape == shape


def test_a_constant_takes_its_input_for_the_shape() -> None:
    np.testing.assert_array_equal(parse("pi/2").evaluate([0.0, 1.0]), [math.pi / 2] * 2)
    assert float(parse("pi/2").evaluate()) == math.pi / 2


def test_the_result_is_a_fresh_array() -> None:
    x = np.arange(3.0)
    y = parse("x").evaluate(x)
    y[0] = 7
    assert x[0] == 0


@pytest.mark.parametrize(
    ("arguments", "named", "message"),
    [
        ((), {}, "no value for beta, x; give it by name, as in beta=1.0"),
        ((1.0,), {}, "no value for beta"),
        ((1.0, 2.0), {"beta": 1.0}, "2 inputs given, but the expression has 1: x"),
        ((1.0,), {"x": 1.0, "beta": 1.0}, "x given twice"),
        ((1.0,), {"beta": 1.0, "gamma": 1.0}, "gamma does not occur"),
    ],
)
def test_wrong_inputs(arguments: tuple[float, ...], named: dict[str, float], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        parse("x*beta").evaluate(*arguments, **named)


def test_parameters_may_bear_any_name() -> None:
    e = parse("x*self*root*values*inputs*name")
    assert float(e.evaluate(x=1, self=2, root=3, values=5, inputs=7, name=11)) == 2310
    assert e.evaluate_mp(x=1, self=2, root=3, values=5, inputs=7, name=11) == 2310


@pytest.mark.parametrize(
    ("text", "x", "value"),
    [
        ("1/x", 0.0, math.inf),
        ("1/x", -0.0, -math.inf),
        ("0/x", 0.0, math.nan),
        ("log(x)", 0.0, -math.inf),
        ("log(x)", -1.0, math.nan),
        ("x**0.5", -1.0, math.nan),
        ("x**(1/3)", -8.0, math.nan),
        ("exp(x)", 1000.0, math.inf),
        ("x - x", math.inf, math.nan),
        ("0**x", 0.0, 1.0),
        ("where(x > 0, 1, 1/x)", 0.0, math.inf),
        ("where(x > 0, 1/x, 7)", 0.0, 7.0),
        ("x > 0", math.nan, 0.0),
        ("x != x", math.nan, 1.0),
        ("1e400*x", 1.0, math.inf),
        ("-1e400*x", 1.0, -math.inf),
        ("x**1e400", 1.5, math.inf),
        ("x*1e-400", 1.0, 0.0),
    ],
)
def test_ieee_values(text: str, x: float, value: float) -> None:
    np.testing.assert_array_equal(parse(text).evaluate(x), value)


def test_constants_are_rounded_once() -> None:
    assert constant_value(parse("0.1 + 0.2")) == 0.3
    assert constant_value(parse("1e300*1e300/1e300")) == 1e300
    assert constant_value(parse("sqrt(2)**2 - 2")) == 0.0
    assert constant_value(parse("1/0")) == math.inf
    assert math.isnan(constant_value(parse("0/0")))
    assert constant_value(parse("-1e400")) == -math.inf


# --- any number of digits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("digits", [1, 15, 50, 300])
def test_digits(digits: int) -> None:
    value = parse("exp(x)*pi").evaluate_mp(digits, x=1)
    with mpmath.workdps(digits + 20):
        assert abs(value - mpmath.e * mpmath.pi) <= value * mpmath.mpf(10) ** (1 - digits)


@pytest.mark.parametrize(
    ("text", "x", "value"),
    [
        ("(1e300 + x - 1e300)*1e300", "1e-300", 1),
        ("cosh(x)**2 - sinh(x)**2", 300, 1),
        ("exp(x) - 1 - x", "1e-150", "5e-301"),
        ("where(1 + x > 1, 3, 4)", "1e-150", 3),
        ("where(max(1 + x, 1) == 1, 3, 4)", "1e-150", 4),
        ("acosh(1 + x)*1e100", "1e-200", "1.4142135623730950488016887242097"),
        ("sin(x) - sin(x)", 0.3, 0),
        ("tan(pi/4) - 1", 0, 0),
        ("1/x", 0, mpmath.inf),
        ("log(x)", 0, -mpmath.inf),
        ("log(x)", -1, mpmath.nan),
        ("sqrt(x)", -1, mpmath.nan),
        ("0/x", 0, mpmath.nan),
        ("10**(10**x)", 10, "1e10000000000"),
        # What is not chosen may be undefined.
        ("prelu(exp(x), log(x))", -1, "0.36787944117144232159552377016146"),
        ("elu(exp(x), log(x))", -1, "0.36787944117144232159552377016146"),
        ("threshold(x, -2, log(x))", -1, -1),
        ("sign(gelu(x))", -2965764, -1),
        ("erfc(x)", 1000000, "3.1593476125994294336592942074e-434294481910"),
        # Where neither fifty digits nor a thousand show the one that matters.
        ("log1p(x - 1)", "1e-300", "-690.77552789821370520539743640531"),
        ("where(softplus(x) > x, 1, x)", 1e4, 1),
        ("floor(tanh(x))", 9999, 0),
        ("1 + exp(-x) - 1", 5000, "3.369694148308917514450032323813220167955e-2172"),
        ("tanh(x)**0.5 - 1", 3000, "-1.710442899412898860866432436988156909963e-2606"),
        # What thousands of digits put where an operator jumps or ends is there.
        ("floor(sin(x)**2 + cos(x)**2)", 1.7, 1),
        ("sign(cosh(x)**2 - sinh(x)**2 - 1)", 2.5, 0),
        ("sqrt(sin(x)**2 + cos(x)**2 - 1)", -2.2, 0),
        ("where(cos(x)**2 >= 1 - sin(x)**2, 5, 6)", 0.3, 5),
    ],
)
def test_cancellation_zeros_and_poles(text: str, x: float | str, value: object) -> None:
    got = parse(text).evaluate_mp(30, x=x)
    with mpmath.workdps(40):
        wanted = mpmath.mpf(value)
        close = got == wanted or abs(got - wanted) <= abs(wanted) * mpmath.mpf("1e-28")
    assert close or (mpmath.isnan(got) and mpmath.isnan(wanted))


def test_poles_are_found_by_precision() -> None:
    assert mpmath.isinf(parse("tan(pi/2)").evaluate_mp())
    assert mpmath.isinf(parse("1/sin(pi)").evaluate_mp())
    assert parse("sin(pi)").evaluate_mp() == 0


@settings(max_examples=300)
@given(expressions(names=("x",), size=6), st.floats(-20, 20))
def test_float64_agrees_with_many_digits_where_it_is_well_conditioned(e: Expr, x: float) -> None:
    """The two evaluations share no code. A change of x by its last bit must not matter more than the tolerance."""
    nearby = [x, np.nextafter(x, 99), np.nextafter(x, -99)]
    got = e.evaluate(x=np.array(nearby))
    with np.errstate(all="ignore"):
        intermediate = [n.evaluate(x=x) for n in _nodes(e)]
    assume(all(np.isfinite(v) and (v == 0 or 1e-100 < abs(v) < 1e100) for v in intermediate))
    # What underflows may decide a choice.
    zeros = [n for n, v in zip(_nodes(e), intermediate, strict=True) if v == 0]
    assume(all(n.evaluate_mp(25, **({"x": x} if n.symbols else {})) == 0 for n in zeros))
    assume(np.ptp(got) <= 1e-11 * abs(got[0]))
    slopes = [abs(float(derivative(e, "x").evaluate(x=v))) for v in nearby]
    assume(all(math.isfinite(s) and s < 1e6 for s in slopes))
    true = e.evaluate_mp(25, x=x)
    assume(not math.isinf(float(true)))
    scale = max(abs(float(v)) for v in intermediate)
    assert abs(float(true) - got[0]) <= 1e-9 * max(scale, abs(got[0]))


def _nodes(e: Expr) -> list[Expr]:
    from actc.expr import postorder

    return postorder(e)


# --- bounded time ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["9**9**9**9", "10**(10**10)", "x**1e400", "1e400**1e400", "0**-1", "exp(exp(9**9))"])
def test_huge_numbers_end_at_once(text: str) -> None:
    start = time.process_time()
    e = parse(text)
    inputs: dict[str, Any] = {name: 1.5 for name in e.variables}
    assert e.evaluate(**inputs) == math.inf
    assert e.evaluate_mp(**inputs) > mpmath.mpf("1e1000000000")
    for order in range(3):
        derivative(e, "x", order).latex()
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("(x < 0)**(7763446403**7763446403)", 0.0),
        ("(x < 0)**-(7763446403**7763446403)", math.inf),
        ("(x > 0)**(7763446403**7763446403)", 1.0),
        ("(-(x > 0))**(7763446403**7763446403)", 1.0),
    ],
)
def test_powers_of_zero_and_one_need_no_digits(text: str, value: float) -> None:
    """mpmath would write out the exponent, of more digits than there is memory."""
    assert parse(text).evaluate_mp(x=1.5) == value


def test_saturated_functions_of_numbers_without_end() -> None:
    """mpmath would write out the whole part of a number of a billion digits."""
    assert mpmath.isnan(parse("atanh(mish(2**leaky_relu(expm1(x))))").evaluate_mp(x=30))


@pytest.mark.parametrize("name", [row.name for row in OPERATORS.values() if row.arity - len(row.defaults) == 1])
def test_towers_of_every_row_end(name: str) -> None:
    start = time.process_time()
    e = tower(name, 20)
    for x in (-3.0, 0.0, 0.7, 1e300):
        e.evaluate(x=x)
        e.evaluate_mp(x=x)
    assert time.process_time() - start < 10


def test_chaos_ends_without_a_value() -> None:
    e = X
    for _ in range(3000):
        e = apply("sin", 1000 * e)
    start = time.process_time()
    assert mpmath.isnan(e.evaluate_mp(x=0.3))
    assert time.process_time() - start < 20


def test_towers_of_powers_end() -> None:
    e = X
    for _ in range(20):
        e = e**e
    assert e.evaluate(x=1.5) == math.inf
    assert mpmath.isinf(e.evaluate_mp(x=1.5))
    assert e.evaluate_mp(x=1) == 1

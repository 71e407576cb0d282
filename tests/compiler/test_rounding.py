"""Values rounded once: against mpmath, rounded by exact rational arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import actc
from actc.expr import Expr, apply, constant, symbol
from actc.operators import OPERATORS, Operator
from actc.rounding import BFLOAT16, FLOAT16, FLOAT32, Format, bounds, rounded
from tests.oracle import second_arguments
from tests.strategies import expressions

FORMATS = {"bfloat16": BFLOAT16, "float16": FLOAT16, "float32": FLOAT32}


def inputs(form: Format) -> np.ndarray:
    """All numbers of a 16-bit format, in the order of their bits."""
    bits = np.arange(65536, dtype=np.uint32)
    with np.errstate(all="ignore"):
        numbers = bits.astype(np.uint16).view(np.float16) if form is FLOAT16 else (bits << 16).view(np.float32)
        return numbers.astype(np.float64)


def nearest(value: Any, form: Format) -> float:
    """An mpmath number rounded to the format, ties to even."""
    if not mpmath.isfinite(value) or value == 0:
        return float(value)
    sign, mantissa, exponent, size = value._mpf_
    weight = max(size + exponent - 1, form.least) - (form.digits - 1)
    if size + exponent - 1 > form.most:
        return -math.inf if sign else math.inf
    units = round(Fraction(mantissa) * Fraction(2) ** (exponent - weight))
    found = float(units * Fraction(2) ** weight) if units.bit_length() + weight - 1 <= form.most else math.inf
    return -found if sign else found


def disagreement(
    expression: Expr, x: np.ndarray, form: Format, digits: int = 60
) -> list[tuple[float, float, float]]:
    """Inputs at which the rounded value is not mpmath's; infinities may differ in sign, where they are poles."""
    found = rounded(expression, x, form).values
    wrong = []
    for number, value in zip(x.tolist(), found.tolist(), strict=True):
        true = nearest(expression.evaluate_mp(digits=digits, x=number), form)
        pole = math.isinf(value) and math.isinf(true)
        if not (value == true or (math.isnan(value) and math.isnan(true)) or pole):
            wrong.append((number, value, true))
    return wrong


def sample(form: Format, count: int, seed: int) -> np.ndarray:
    """Finite numbers of the format of every size, and those at which much happens."""
    x = inputs(FLOAT16 if form is FLOAT16 else BFLOAT16)
    x = x[np.isfinite(x) & ~((x == 0) & np.signbit(x))]
    ordinary = x[(np.abs(x) > 1e-3) & (np.abs(x) < 100)]
    rng = np.random.default_rng(seed)
    special = [0.0, 1.0, -1.0, 0.5, -0.5, 2.0, 3.0, -3.0, 2.5, 6.0, 7.0, x.max(), x.min(), x[x > 0].min()]
    return np.concatenate([rng.choice(x, count), rng.choice(ordinary, count), special])


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_formats(form: Format) -> None:
    rng = np.random.default_rng(3)
    values = np.ldexp(rng.uniform(-2, 2, 3000), rng.integers(form.least - 30, form.most + 3, 3000))
    middles = form.rounded(values[:1000])
    units = np.exp2(np.maximum(np.frexp(middles)[1] - 1, form.least) - form.digits)
    values = np.concatenate(
        [values, middles + units, np.nextafter(middles + units, 9e99), [0.0, form.end, form.largest]]
    )
    values = values[np.isfinite(values)]
    for value, found in zip(values.tolist(), form.rounded(values).tolist(), strict=True):
        assert found == nearest(mpmath.mpf(value), form), value
    assert np.signbit(form.rounded(np.array(-0.0))) and np.isnan(form.rounded(np.array(math.nan)))
    assert form.rounded(np.array(-math.inf)) == -math.inf


@pytest.mark.parametrize("row", [row for row in OPERATORS.values() if row.arity], ids=lambda row: row.name)
def test_every_operator(row: Operator) -> None:
    """Alone, and of an argument that is not exact."""
    rest = [constant(a) for a in second_arguments(row)]
    for k, inner in enumerate((symbol("x"), actc.parse("0.1*x + tanh(x)"))):
        form = (BFLOAT16, FLOAT16)[k]
        x = sample(form, 8, k)
        assert not disagreement(apply(row.name, inner, *rest), x[np.abs(x) < 1e4], form)


@given(expressions(names=("x",)), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_compositions(expression: Expr, seed: int) -> None:
    x = sample(BFLOAT16, 12, seed)
    held = bounds(expression, x)
    for number, low, high, state in zip(x.tolist(), held.low, held.high, held.state, strict=True):
        if state == 3:
            true = expression.evaluate_mp(digits=60, x=number)
            # mpmath has no waves of numbers of thousands of digits.
            untold = mpmath.isnan(true) and high - low == math.inf
            assert (low == high == true) or low < true < high or untold, number


#: Cancellation, poles, jumps, ends of domains, saturation to the last digit, underflow, powers of negative bases.
AWKWARD = [
    "x - tanh(x)", "tanh(x) - erf(x)", "log(sigmoid(x))", "cosh(x)/sinh(x)", "sqrt(x)*sqrt(x)", "1/(x - 1)",
    "1/relu(x)", "x*(1/x)", "floor(3*tanh(x))", "sign(x - 1/3)", "where(x < 1/3, 1/x, x**5)", "x**7", "(-2)**x",
    "tanh(x)**x",
    "sinh(x)**cosh(x)", "exp(x)**sigmoid(x)", "asin(x)", "log(x)/log1p(x)", "acos(x) - 1", "softplus(-x)/erfc(x)",
    "relu(x)**tanh(x)", "abs(x)/softsign(x)",
    "sin(100*x)", "0*(1/x)", "max(log(x), -1)", "where(log(x) < 0, 1, 2)", "0/0", "1/0", "pi", "1.00390625", "x/3",
    "hypot(x, x/7)", "i0e(x)*i1e(x)", "1.00390625*x", "gelu_tanh(x)/gelu(x)",
]  # fmt: skip


@pytest.mark.parametrize("text", AWKWARD)
def test_awkward_functions(text: str) -> None:
    expression = actc.parse(text)
    for form in (BFLOAT16, FLOAT16):
        x = sample(form, 12, 5)
        assert not disagreement(expression, x[np.abs(x) < 300], form)


def test_special_inputs_are_as_written() -> None:
    for text in ("silu(x)", "1/x", "exp(-x)", "x - x", "sqrt(x)", "2", "-abs(x)"):
        expression, special = actc.parse(text), np.array([math.inf, -math.inf, math.nan, -0.0])
        found = rounded(expression, special, BFLOAT16).values
        written = expression.evaluate(x=special)
        assert np.array_equal(found, BFLOAT16.rounded(written), equal_nan=True)
        assert np.array_equal(np.signbit(found), np.signbit(written)) or text == "x - x"


@pytest.mark.parametrize("form", [BFLOAT16, FLOAT16], ids=["bfloat16", "float16"])
def test_ties(form: Format) -> None:
    """Products of two numbers, of which many are exactly in the middle; x/2 and 3x/2 of the smallest numbers."""
    x = inputs(form)
    x = x[np.isfinite(x)]
    for factor in (Fraction(3, 2), Fraction(1, 2), 1 + Fraction(1, 2 ** (form.digits - 1))):
        expression = apply("mul", constant(factor), symbol("x"))
        exact = x * float(factor)
        assert np.array_equal(rounded(expression, x, form).values, form.rounded(exact))
        assert len(rounded(expression, x, form).undecided) <= 2**12
    assert rounded(actc.parse("x**3"), np.array([7.0]), BFLOAT16).values[0] == 344  # 343 is a tie; the even side
    assert rounded(actc.parse("x**3 + 10**-9"), np.array([7.0]), BFLOAT16).values[0] == 344
    assert rounded(actc.parse("x**3 - 10**-9"), np.array([7.0]), BFLOAT16).values[0] == 342


@pytest.mark.parametrize("text", ["sigmoid(x) + elu(x)", "x + 2 - sigmoid(x)", "x - tanh(x)/2"])
def test_values_just_beside_ties(text: str) -> None:
    """Closer to the middle of two numbers than float64 can tell, on one side of it or the other."""
    expression = actc.parse(text)
    for form, numbers in ((BFLOAT16, [446.0, 502.0, 261.0, -131.5]), (FLOAT16, [63.34375, 70.03125, 129.0625, -33.0])):
        assert not disagreement(expression, np.array(numbers), form, digits=400)
        x = sample(form, 8, 1)
        assert not disagreement(expression, x[np.abs(x) < 500], form, digits=400)


def test_high_powers_of_what_is_close_to_one() -> None:
    """(1 - e^-x)^(e^x) is 1/e far out, and tanh(x)^x is 1."""
    x = np.array([800.0, 5000.0, 1e30])
    one, almost = FLOAT32.rounded(np.array([1.0, math.exp(-1)]))
    assert (rounded(actc.parse("sigmoid(x)**exp(x)"), x, FLOAT32).values == almost).all()
    assert (rounded(actc.parse("erf(x)**x"), x, FLOAT32).values == one).all()
    assert (rounded(actc.parse("exp(x)*log(sigmoid(x))"), x, FLOAT32).values == -1).all()


def test_ends_of_the_range() -> None:
    for form in (BFLOAT16, FLOAT16):
        end = constant(Fraction(form.end))
        x = np.array([1.0])
        assert rounded(end + symbol("x") - 1, x, form).values[0] == math.inf
        below = rounded(end - symbol("x") * constant(Fraction(1, 10**30)), x, form).values[0]
        assert below == form.largest


@pytest.mark.parametrize("text", ["gelu(x)", "x*erfc(softplus(x))", "mish(x) - x/3"])
def test_every_input_of_some_functions(text: str) -> None:
    """Balls of 300 bits, rounded by rational arithmetic."""
    from actc.enclosures import ball, precision, value_in_balls

    expression = actc.parse(text)
    for form in (BFLOAT16, FLOAT16):
        x = inputs(form)
        x = x[np.isfinite(x) & (x != 0) & (np.abs(x) < 60)]
        found = rounded(expression, x, form).values
        with precision(300):
            held = [value_in_balls(expression, {"x": ball(v)}).mid().man_exp() for v in x.tolist()]
        with mpmath.workprec(300):
            for number, value, (mantissa, exponent) in zip(x.tolist(), found.tolist(), held, strict=True):
                assert value == nearest(mpmath.mpf((int(mantissa), int(exponent))), form), number

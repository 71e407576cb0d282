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


def disagreement(expression: Expr, x: np.ndarray, form: Format) -> list[tuple[float, float, float]]:
    """Inputs at which the rounded value is not mpmath's; infinities may differ in sign, where they are poles."""
    found = rounded(expression, x, form).values
    wrong = []
    for number, value in zip(x.tolist(), found.tolist(), strict=True):
        true = nearest(expression.evaluate_mp(digits=60, x=number), form)
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
    values = np.concatenate([values, middles + units, np.nextafter(middles + units, 9e99), [0.0, form.end, form.largest]])
    values = values[np.isfinite(values)]
    for value, found in zip(values.tolist(), form.rounded(values).tolist(), strict=True):
        assert found == nearest(mpmath.mpf(value), form), value
    assert np.signbit(form.rounded(np.array(-0.0))) and np.isnan(form.rounded(np.array(math.nan)))
    assert form.rounded(np.array(-math.inf)) == -math.inf


@pytest.mark.parametrize("row", [row for row in OPERATORS.values() if row.arity], ids=lambda row: row.name)
def test_every_operator(row: Operator) -> None:
    """Alone, and of an argument that is not exact."""
    rest = [constant(a) for a in second_arguments(row)]
    x = symbol("x")
    for k, inner in enumerate((x, actc.parse("0.1*x + sin(x)"))):
        for form in (BFLOAT16, FLOAT16):
            assert not disagreement(apply(row.name, inner, *rest), sample(form, 25, 10 * k + form.digits), form)


@given(expressions(names=("x",)), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_compositions(expression: Expr, seed: int) -> None:
    x = sample(BFLOAT16, 12, seed)
    held = bounds(expression, x)
    for number, low, high, state in zip(x.tolist(), held.low, held.high, held.state, strict=True):
        if state == 3:
            true = expression.evaluate_mp(digits=60, x=number)
            assert (low == high == true) or low < true < high, number

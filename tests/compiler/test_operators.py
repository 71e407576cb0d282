"""Every row of the operator table: its value and slopes against the oracle, and what it says about itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy
import torch
import torch.nn.functional as F

from actc.derivatives import derivative
from actc.errors import ExpressionError
from actc.expr import Expr, apply, constant, symbol
from actc.operators import OPERATORS, Law, Operator, operator
from actc.program import Program
from tests.oracle import LARGEST, ROWS, TINY, excess, is_corner, points, second_arguments, slopes

Array = np.ndarray


by_row = partial(pytest.mark.parametrize, "row", ids=lambda row: row.name)


def aten(roots: Sequence[Expr], inputs: Mapping[str, Array], dtype: torch.dtype = torch.float64) -> list[Array]:
    """The values of the roots by their ATen source, each in the shape of the inputs."""
    program = Program.of(roots)
    namespace: dict[str, Any] = {"torch": torch, "math": math}
    exec(program.aten_source(), namespace)
    results = namespace["forward"](*(torch.tensor(inputs[name]).to(dtype) for name in program.inputs))
    shape = np.broadcast_shapes(*(a.shape for a in inputs.values()))
    return [np.broadcast_to(torch.as_tensor(r, dtype=dtype).double().numpy(), shape) for r in results]


def worst_excess(row: Operator, x: Array, arguments: Sequence[float], place: int) -> dict[str, tuple[float, str]]:
    """The largest error over its bound, by the way of computing, and where it is, as argument ``place`` runs over x."""
    names = row.arguments
    e = apply(row.name, *(symbol(f"{n}_" if n not in ("x", "y", "z") else n) for n in names))
    free = [a.name for a in e.args]
    roots = [e, derivative(e, free[place])]
    inputs = {name: np.asarray(value) for name, value in zip(free, arguments, strict=True)}
    inputs[free[place]] = x
    ways = {
        "numpy": [r.evaluate(**{n: inputs[n] for n in {*r.symbols, *e.variables}}) for r in roots],
        "aten": aten(roots, {n: np.broadcast_to(a, x.shape) for n, a in inputs.items()}),
    }
    worst: dict[str, tuple[float, str]] = {}
    for i, value in enumerate(x):
        point = (*arguments[:place], float(value), *arguments[place + 1 :])
        f, f1, f2 = slopes(row, point, place)
        smooth = not is_corner(row, point[0]) and not mpmath.isnan(f1)
        for way, computed in ways.items():
            for what, got, true, slope in (("value", computed[0], f, f1), ("slope", computed[1], f1, f2)):
                if what == "slope" and not smooth:
                    continue
                got_here = float(np.broadcast_to(got, x.shape)[i])
                over = excess(got_here, true, float(value), slope)
                if over > worst.get(f"{what} by {way}", (0.0,))[0]:
                    where = f"at {point!r}: {got_here!r}, true {mpmath.nstr(true, 17)}"
                    worst[f"{what} by {way}"] = over, where
    return worst


@by_row(ROWS)
def test_value_and_slope_in_float64(row: Operator) -> None:
    worst = worst_excess(row, points(row), [0.0, *second_arguments(row)], 0)
    assert {k: v for k, v in worst.items() if v[0] > 1} == {}


def other_places() -> list[tuple[Operator, int]]:
    return [(row, place) for row in ROWS for place in range(1, row.arity) if row.name != "where" or place == 1]


@pytest.mark.parametrize(("row", "place"), other_places(), ids=lambda value: getattr(value, "name", value))
def test_value_and_slope_by_the_other_arguments(row: Operator, place: int) -> None:
    rng = np.random.default_rng(place)
    magnitudes = np.exp(rng.uniform(math.log(1e-100), math.log(1e100), 12))
    x = np.concatenate([magnitudes, -magnitudes, rng.uniform(-9, 9, 24), rng.uniform(-0.5, 2, 12)])
    if row.name in ("hardshrink", "softshrink"):
        x = abs(x)  # defined for positive ones only
    for first in (0.3, -1.3, 3.7, -21.5, 1e-9):
        if row.domain[0] <= first <= row.domain[1]:
            worst = worst_excess(row, x, [first, *second_arguments(row)], place)
            assert {k: v for k, v in worst.items() if v[0] > 1} == {}, first


#: From the smallest subnormal to the largest number, where products, quotients and exponentials leave the range.
EXTREMES = (TINY, 3e-308, 1e-16, 0.7, 800.0, 1e16, 1e200, LARGEST)


@pytest.mark.parametrize(("row", "place"), other_places(), ids=lambda value: getattr(value, "name", value))
def test_value_and_slopes_for_extremes_of_two_arguments(row: Operator, place: int) -> None:
    x = np.array([*EXTREMES, *(-v for v in EXTREMES)])
    second = x[x > 0] if row.name in ("hardshrink", "softshrink") else x
    others = second_arguments(row)
    for value in second:
        arguments = [0.0, *others]
        arguments[place] = float(value)
        # Where both are equal there may be a kink.
        worst = worst_excess(row, x[abs(x) != abs(value)], arguments, 0)
        assert {k: v for k, v in worst.items() if v[0] > 1} == {}
    for value in x:
        worst = worst_excess(row, second[abs(second) != abs(value)], [float(value), *others], place)
        assert {k: v for k, v in worst.items() if v[0] > 1} == {}


# --- special values -------------------------------------------------------------------------------------------------

UNARY = [row for row in OPERATORS.values() if row.arity - len(row.defaults) == 1]
X = symbol("x")


def both_ways(e: Expr, x: Array) -> dict[str, Array]:
    return {"numpy": e.evaluate(x=x), "aten": aten([e], {"x": x})[0]}


@by_row(UNARY)
def test_at_infinity(row: Operator) -> None:
    for way, got in both_ways(apply(row.name, X), np.array([-math.inf, math.inf])).items():
        np.testing.assert_array_equal(got, row.at_infinity, err_msg=way)
        zeros = got == 0
        assert (np.signbit(got) == np.signbit(row.at_infinity))[zeros].all(), (way, got)


@by_row(ROWS)
def test_nan_propagates(row: Operator) -> None:
    arguments = [0.3, *second_arguments(row)]
    unused = {"left": (1,), "right": (0,), "where": (0, 2), "threshold": (1, 2)}
    # The slope of a leaky line is a number at NaN on one side only; 0.3 lies on the other.
    unread = {"leaky_relu": (1,), "prelu": (1,), "rrelu": (1, 2), "elu": (1,), "celu": (1,), "hardshrink": (1,)}
    for place in range(row.arity):
        if place in unused.get(row.name, ()) + unread.get(row.name, ()):
            continue
        symbols = [symbol(f"a{i}") for i in range(row.arity)]
        inputs = {s.name: np.array([v]) for s, v in zip(symbols, arguments, strict=True)}
        inputs[f"a{place}"] = np.array([math.nan])
        e = apply(row.name, *symbols)
        used = {name: inputs[name] for name in e.symbols}
        assert np.isnan(e.evaluate(**used)).all(), place
        assert np.isnan(aten([e], inputs)[0]).all(), place


@by_row([row for row in UNARY if row.parity])
def test_parity(row: Operator) -> None:
    x = np.concatenate([points(row, 10), [0.0]])
    sign = -1.0 if row.parity == "odd" else 1.0
    e = apply(row.name, X)
    mirrored = both_ways(e, -x)
    for way, y in both_ways(e, x).items():
        np.testing.assert_allclose(mirrored[way], sign * y, rtol=1e-15, err_msg=way)


@by_row([row for row in UNARY if row.monotone])
def test_monotone(row: Operator) -> None:
    x = np.unique(np.concatenate([points(row, 30), np.linspace(-30, 30, 3001)]))
    x = x[(x >= row.domain[0]) & (x <= row.domain[1])]
    for way, y in both_ways(apply(row.name, X), x).items():
        with np.errstate(invalid="ignore"):
            steps = np.diff(y) * row.monotone
        # Two neighbours may be rounded in opposite directions.
        assert (np.isnan(steps) | (steps >= -1e-15 * abs(y[1:]))).all(), way


@by_row([row for row in UNARY if not row.monotone])
def test_rows_that_are_not_called_monotone_are_not(row: Operator) -> None:
    steps = np.diff(apply(row.name, X).evaluate(x=np.linspace(max(row.domain[0], -12), min(row.domain[1], 12), 2001)))
    assert (steps > 0).any()
    assert (steps < 0).any()


@by_row([row for row in OPERATORS.values() if row.arity])
def test_image_holds_every_value_and_is_tight(row: Operator) -> None:
    rng = np.random.default_rng(0)
    low, high = row.image
    first = np.concatenate([points(row, 60), np.linspace(-20, 20, 20001)])
    first = first[(first >= row.domain[0]) & (first <= row.domain[1])]
    required = row.arity - len(row.defaults)
    symbols = [symbol(f"a{i}") for i in range(required)]
    inputs = {s.name: first for s in symbols}
    if required > 1:
        inputs = {s.name: rng.choice([*points(row, 5), 0.0, 1.0, 2.0, 3.0, 4.0], 20_000) for s in symbols}
    e = apply(row.name, *symbols)
    y = e.evaluate(**{name: inputs[name] for name in e.symbols})
    y = y[~np.isnan(y)]
    assert y.min() >= low - 1e-15 * abs(low)
    assert y.max() <= high + 1e-15 * abs(high)
    for bound, reached in ((low, y.min()), (high, y.max())):
        assert abs(reached) > 1e2 if math.isinf(bound) else abs(bound - reached) <= 1e-6 * max(1, abs(bound))


@by_row([row for row in OPERATORS.values() if row.arity - len(row.defaults) == 1])
def test_no_value_is_below_the_image_or_above(row: Operator) -> None:
    """What is hardly outside it is seen by mpmath alone."""
    grid = np.linspace(max(row.domain[0], -20), min(row.domain[1], 20), 4001)[1:-1]
    values = apply(row.name, symbol("x")).evaluate(x=grid)
    rest = [mpmath.mpf(d.numerator) / d.denominator for d in row.defaults]
    with mpmath.workdps(40):
        for end, sign, at in ((0, 1, int(np.nanargmin(values))), (1, -1, int(np.nanargmax(values)))):
            a, b = mpmath.mpf(float(grid[max(at - 2, 0)])), mpmath.mpf(float(grid[min(at + 2, grid.size - 1)]))
            for _ in range(110 if math.isfinite(row.image[end]) else 0):
                c, d = (2 * a + b) / 3, (a + 2 * b) / 3
                first, second = (sign * row.oracle(x, *rest) for x in (c, d))
                a, b = (a, d) if first < second else (c, b)
            bound = mpmath.mpf(row.image[end])
            found = row.oracle((a + b) / 2, *rest)
            # A bound that is not whole is rounded.
            assert mpmath.isinf(bound) or sign * (found - bound) >= -abs(bound) * mpmath.mpf(2) ** -50


@by_row([row for row in OPERATORS.values() if row.continuous and row.defaults and not row.poles])
def test_rows_with_optional_arguments_above_0_are_continuous(row: Operator) -> None:
    rng = np.random.default_rng(0)
    for rest in rng.uniform(0.1, 3, (20, len(row.defaults))):
        e = apply(row.name, symbol("x"), *(constant(float(r)) for r in rest))
        at = np.concatenate([[0.0], rest, -rest, rng.uniform(-4, 4, 50)])
        before, after = (e.evaluate(x=at + step) for step in (-1e-9, 1e-9))
        np.testing.assert_allclose(before, after, atol=1e-7)


# --- laws -----------------------------------------------------------------------------------------------------------


@by_row([row for row in OPERATORS.values() if row.laws])
def test_laws(row: Operator) -> None:
    rng = np.random.default_rng(1)
    a, b, c = (np.concatenate([rng.normal(0, 3, 200), rng.integers(-2, 3, 200)]) for _ in range(3))
    rest = second_arguments(row)[1:]

    def f(*args: Array) -> Array:
        symbols = [symbol(f"a{i}") for i in range(len(args))]
        return apply(row.name, *symbols, *rest[: row.arity - len(args)]).evaluate(
            **{s.name: v for s, v in zip(symbols, args, strict=True)}
        )

    with np.errstate(all="ignore"):
        for law in row.laws:
            if law is Law.COMMUTATIVE:
                np.testing.assert_array_equal(f(a, b), f(b, a))
            elif law is Law.ASSOCIATIVE:
                np.testing.assert_allclose(f(f(a, b), c), f(a, f(b, c)), rtol=1e-13, atol=1e-13)
            elif law is Law.IDEMPOTENT:
                np.testing.assert_array_equal(f(a, a), a)
            elif law is Law.INVOLUTION:
                np.testing.assert_allclose(f(f(a)), a, rtol=1e-15)
            else:
                fixed = [np.full_like(a, v) for v in second_arguments(row)]
                once = f(a, *fixed)
                np.testing.assert_array_equal(f(once, *fixed), once)


@by_row([row for row in OPERATORS.values() if row.sympy is not None and row.arity])
def test_sympy_text(row: Operator) -> None:
    assert row.sympy is not None
    arguments = [0.3, *second_arguments(row)]
    if row.domain[0] > 0.3:
        arguments[0] = 1.5
    numbers = [f"Float('{a!r}', 40)" for a in arguments]
    value = sympy.sympify(row.sympy.format(*(f"({n})" for n in numbers)))
    with mpmath.workdps(40):
        true = row.oracle(*(mpmath.mpf(repr(a)) for a in arguments))
        assert abs(mpmath.mpf(str(sympy.N(value, 30))) - true) <= abs(true) * mpmath.mpf(10) ** -25


def test_names_and_aliases_find_their_row() -> None:
    for row in OPERATORS.values():
        for name in (row.name, *row.aliases):
            assert operator(name) is row
    with pytest.raises(ExpressionError, match="did you mean 'sigmoid'"):
        operator("sigmiod")


@by_row(list(OPERATORS.values()))
def test_the_oracle_is_independent_of_the_definition(row: Operator) -> None:
    """A row is primitive, with code for numpy and ATen, or defined; never both, so that there is one truth."""
    assert (row.definition is None) == (row.numpy is not None) == (row.aten is not None)
    assert row.derivative is None or row.differential is None
    assert row.derivative is None or len(row.derivative) == row.arity


# --- torch ----------------------------------------------------------------------------------------------------------

TorchFunction = Callable[[torch.Tensor], torch.Tensor]

#: What torch computes for the rows that bear its names, defaults for the other arguments.
TORCH: dict[str, TorchFunction] = {
    **{name: getattr(torch, name) for name in OPERATORS if hasattr(torch, name) and OPERATORS[name] in UNARY},
    **{name: getattr(F, name) for name in OPERATORS if hasattr(F, name) and OPERATORS[name] in UNARY},
    "log_sigmoid": F.logsigmoid,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "i0e": torch.special.i0e,
    "i1e": torch.special.i1e,
}


def torch_value_and_slope(f: TorchFunction, x: Array, dtype: torch.dtype) -> tuple[Array, Array]:
    t = torch.tensor(x, dtype=dtype, requires_grad=True)
    y = f(t)
    (slope,) = torch.autograd.grad(y.sum(), t)
    return y.detach().double().numpy(), slope.double().numpy()


def test_torch_has_most_rows() -> None:
    assert len(TORCH) >= 48
    assert TORCH.keys() >= {"celu", "elu", "gelu", "hardshrink", "hardtanh", "mish", "relu", "selu", "silu", "softplus"}


@by_row([row for row in UNARY if row.kinks and row.name in TORCH])
def test_kinks_follow_torch(row: Operator) -> None:
    kinks = np.array([k for c in row.kinks for k in (c, -c)])
    e = apply(row.name, X)
    value, slope = torch_value_and_slope(TORCH[row.name], kinks, torch.float64)
    np.testing.assert_array_equal(e.evaluate(x=kinks), value)
    np.testing.assert_allclose(derivative(e).evaluate(x=kinks), slope, rtol=1e-15, atol=1e-16)


# Of odd functions torch loses the sign in these two, and softshrink's depends on the length of the tensor.
@by_row([row for row in UNARY if row.name in TORCH and row.name not in ("tanhshrink", "i1e", "softshrink")])
def test_signs_of_zeros_follow_torch(row: Operator) -> None:
    zeros = np.array([0.0, -0.0])
    value, _ = torch_value_and_slope(TORCH[row.name], zeros, torch.float64)
    for way, got in both_ways(apply(row.name, X), zeros).items():
        np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(value[value == 0]), err_msg=way)


@pytest.mark.parametrize(
    ("name", "function", "tie"),
    [("max", torch.maximum, (0.5, 0.5)), ("min", torch.minimum, (0.5, 0.5)), ("hypot", torch.hypot, None)],
)
def test_ties_follow_torch(name: str, function: Any, tie: tuple[float, float] | None) -> None:
    a = torch.tensor(0.7 if tie else 0.0, dtype=torch.float64, requires_grad=True)
    b = a.detach().clone().requires_grad_()
    wanted = [g.item() for g in torch.autograd.grad(function(a, b), (a, b))]
    e = apply(name, X, symbol("y"))
    value = a.item()
    got = [float(derivative(e, v).evaluate(x=value, y=value)) for v in ("x", "y")]
    assert got == [0.0 if math.isnan(w) else w for w in wanted]
    assert tie is None or tuple(got) == tie


@pytest.mark.parametrize("bounds", [(-0.5, 0.5), (1.0, -1.0)])
@pytest.mark.parametrize("x", [-2.0, -0.5, 0.1, 0.5, 2.0])
def test_clamp_follows_torch(x: float, bounds: tuple[float, float]) -> None:
    inputs = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (x, *bounds)]
    value = torch.clamp(*inputs)
    slopes_wanted = [g.item() for g in torch.autograd.grad(value, inputs)]
    e = apply("clamp", X, symbol("a"), symbol("b"))
    point = dict(zip(("x", "a", "b"), (x, *bounds), strict=True))
    assert float(e.evaluate(**point)) == value.item()
    if bounds[0] <= bounds[1]:
        assert [float(derivative(e, n).evaluate(**point)) for n in point] == slopes_wanted
    else:
        assert [float(derivative(e, n).evaluate(**point)) for n in point] == [0.0, 0.0, 1.0]


def float32_grid(row: Operator) -> Array:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 20_000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    dense = [np.linspace(-r, r, n) for r, n in ((20, 20_001), (110, 10_001), (1, 10_001))]
    x = np.unique(np.concatenate([bits[np.isfinite(bits)], *dense]).astype(np.float32)).astype(np.float64)
    return x[(x >= row.domain[0]) & (x <= row.domain[1])]


@by_row([row for row in UNARY if row.name in TORCH])
def test_float32_is_no_worse_than_torch(row: Operator) -> None:
    """Largest and mean error against float64, in units of u·(|f| + |x·f'|) with the u of float32: an argument that is
    rounded is forgiven, as the bound in float64 does."""
    x = float32_grid(row)
    e = apply(row.name, X)
    roots = [e, derivative(e), derivative(e, order=2)]
    true = [np.broadcast_to(r.evaluate(x=x), x.shape) for r in roots]
    ours = aten(roots[:2], {"x": x}, torch.float32)
    theirs = torch_value_and_slope(TORCH[row.name], x, torch.float32)
    for what, mine, other, f, slope in zip(("value", "slope"), ours, theirs, true, true[1:], strict=False):
        with np.errstate(all="ignore"):
            seen = np.isfinite(f) & (abs(f) < 3e38) & (abs(x * slope) < 1e300)
            unit = 2.0**-24 * (abs(f) + abs(x * slope)) + 2.0**-149
            mine_error, other_error = ((abs(v - f) / unit)[seen] for v in (mine, other))
        other_error = np.minimum(np.nan_to_num(other_error, nan=math.inf), 1e30)
        assert mine_error.max() <= max(1.01 * other_error.max(), 4.0), (what, x[seen][mine_error.argmax()])
        assert mine_error.mean() <= max(1.01 * other_error.mean(), 1.0), what

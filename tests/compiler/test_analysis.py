"""What a function is: breakpoints, tails, range, monotony, parity, zeros, smoothness, cost."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import actc
from actc.analysis import Cost, analyse, cost
from actc.breakpoints import breakpoints
from actc.operators import OPERATORS

INF = math.inf


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("relu(x - 1)", [(1.0, "kink")]),
        ("max(x**2, x)", [(0.0, "kink"), (1.0, "kink")]),
        ("hard_sigmoid(2*x)", [(-1.25, "kink"), (1.25, "kink")]),
        ("elu(x)", []),
        ("elu(x, 2)", [(0.0, "kink")]),
        ("leaky_relu(x, 1)", []),
        ("relu(relu(x))", [(0.0, "kink")]),
        ("relu(x)**2", []),
        ("sqrt(x**2)", [(0.0, "kink")]),
        ("sqrt((x**2 - 2)**2)", [(-math.sqrt(2), "kink"), (math.sqrt(2), "kink")]),
        ("sqrt(abs(x - 3))", [(3.0, "kink")]),
        ("hardshrink(x)", [(-0.5, "jump"), (0.5, "jump")]),
        ("threshold(x, 1, 20)", [(1.0, "jump")]),
        ("where(x == 0, 5, x)", [(0.0, "jump")]),
        ("x*sign(x)", [(0.0, "kink")]),
        ("1/x", [(0.0, "pole")]),
        ("log(x)", [(0.0, "pole")]),
        ("100 + log(abs(x - 2))", [(2.0, "pole")]),
        ("1/(x**2 - 2)", [(-math.sqrt(2), "pole"), (math.sqrt(2), "pole")]),
        ("atanh(x)", [(-1.0, "pole"), (1.0, "pole")]),
        ("sqrt(x)", [(0.0, "edge")]),
        ("asin(x)", [(-1.0, "edge"), (1.0, "edge")]),
        ("sin(x)/x", [(0.0, "hole")]),
        ("sinc(x)", []),
        ("relu(1e-6 - abs(x - 0.25))", [(0.249999, "kink"), (0.25, "kink"), (0.250001, "kink")]),
        ("exp(x)/(1 + exp(x))**2", []),
        ("x*erfc(softplus(x))", []),
        ("3", []),
    ],
)
def test_breakpoints(text: str, expected: list[tuple[float, str]]) -> None:
    found = breakpoints(actc.parse(text))
    assert [b.kind for b in found] == [kind for _, kind in expected]
    np.testing.assert_allclose([b.at for b in found], [at for at, _ in expected], rtol=1e-14, atol=1e-300)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "text",
    ["max(1e308*x, -1e308*x)", "max(x**1e300, 1/x)", "x + 1/0", "x*log(0)", "exp(exp(exp(x)))", "floor(1e308*x)*1e308"],
)
def test_what_overflows_is_nothing_to_warn_of(text: str) -> None:
    breakpoints(actc.parse(text))


def test_periodic_functions_have_the_breakpoints_near_zero() -> None:
    poles = [b.at for b in breakpoints(actc.parse("tan(x)")) if b.kind == "pole"]
    np.testing.assert_allclose(poles, (np.arange(-6, 6) + 0.5) * math.pi, rtol=1e-14)
    jumps = {b.at for b in breakpoints(actc.parse("floor(x)")) if b.kind == "jump"}
    assert jumps >= {float(k) for k in range(-15, 16)}


@pytest.mark.parametrize("name", [n for n, row in OPERATORS.items() if row.arity == 1 and (row.kinks or row.poles)])
def test_breakpoints_of_the_table_are_found(name: str) -> None:
    row = OPERATORS[name]
    found = {b.at: b.kind for b in breakpoints(actc.parse(f"{name}(x)"))}
    # A row may list a place where only a higher derivative jumps.
    for place in row.poles:
        assert found.get(place) in ("pole", "jump", "edge")
    assert {p for p in found if abs(p) < 16} <= set(row.kinks) | set(row.poles) | set(row.domain)


def test_one_sided_limits() -> None:
    (kink,) = breakpoints(actc.parse("where(x > 0.5, 3*x, x**2 + 1.25)"))
    assert (kink.kind, kink.exact) == ("kink", True)
    np.testing.assert_allclose((kink.left, kink.right, kink.slope_left, kink.slope_right), (1.5, 1.5, 1, 3), rtol=1e-9)
    (pole,) = breakpoints(actc.parse("abs(x)**-0.25"))
    assert pole.order == pytest.approx(-0.25)
    (pole,) = breakpoints(actc.parse("1/(x - 3)**2"))
    assert pole.order == pytest.approx(-2, rel=1e-3)


@pytest.mark.parametrize(
    ("text", "left", "right"),
    [
        ("tanh(x)", -1.0, 1.0),
        ("sigmoid(x)", 0.0, 1.0),
        ("silu(x)", 0.0, INF),
        ("x*erfc(softplus(x))", -INF, 0.0),
        ("erfc(softplus(x))**2", 1.0, 0.0),
        ("atan(x)", -math.pi / 2, math.pi / 2),
        ("1/x", 0.0, 0.0),
        ("log(1 + x**2)", INF, INF),
        ("1/log(2 + x**2)", 0.0, 0.0),
        ("x*(sqrt(x**2 + 1) - x)", -INF, 0.5),
        ("sin(x)/x", 0.0, 0.0),
        ("sinh(exp(x))", 0.0, INF),
        ("-x**3", INF, -INF),
        ("abs(x)**0.1", INF, INF),
        ("selu(x)", -1.7580993408473766, INF),
        ("exp(x)/(1 + exp(x))", 0.0, 1.0),
    ],
)
def test_limits(text: str, left: float, right: float) -> None:
    found = analyse(text)
    assert (found.left.kind, found.right.kind) == ("limit", "limit")
    np.testing.assert_allclose((found.left.value, found.right.value), (left, right), rtol=1e-14, atol=0)


@pytest.mark.parametrize("text", ["sin(x)", "x*sin(x)", "sin(x/20)", "sin(x/100)", "tan(x/50)", "x - floor(x)"])
def test_tails_without_a_limit(text: str) -> None:
    found = analyse(text)
    assert (found.left.kind, found.right.kind) == ("oscillates", "oscillates")
    assert found.intervals[0].direction == found.intervals[-1].direction == "oscillating"


def test_tails_outside_the_domain() -> None:
    assert analyse("log(x)").left.kind == "undefined"
    assert analyse("x**x").left.kind == "undefined"
    assert analyse("x**x").domain == ((0.0, INF),)
    # Far out its exponents would have thousands of digits.
    assert analyse("log(sigmoid(x))**exp(x)").right.kind == "undefined"
    nowhere = analyse("sqrt(-1 - x**2)")
    assert (nowhere.domain, nowhere.monotone) == ((), "undefined")


@pytest.mark.parametrize(
    ("text", "period"), [("sin(x/20)", 20 * math.pi), ("sin(x/100)", 100 * math.pi), ("abs(sin(x))", math.pi)]
)
def test_what_swings_slowly_or_touches_zero_has_all_its_zeros_near_zero(text: str, period: float) -> None:
    zeros = np.array([low for low, high in analyse(text).zeros if low == high])
    np.testing.assert_allclose(zeros[np.abs(zeros) < 3.5 * period] / period, np.arange(-3, 4), rtol=1e-13, atol=1e-13)


def test_what_is_nearly_zero_is_no_zero() -> None:
    assert analyse("(x - 1)**2 + 1e-32").zeros == ()
    assert (analyse("1e-30*tanh(x)").infimum.value, analyse("1e-30*tanh(x)").supremum.value) == (-1e-30, 1e-30)


def test_a_neighbour_makes_no_kink() -> None:
    # At -1e-7 nothing happens: the kink at 0 is near.
    assert [b.at for b in breakpoints(actc.parse("relu(x) + abs(x + 1e-7) - (x + 1e-7)*sign(x + 1e-7)"))] == [0.0]


def test_parity_is_looked_at_far_out() -> None:
    assert analyse("relu(x - 10000)").parity == "neither"
    assert analyse("relu(x - 10000) + relu(-x - 10000)").parity == "even"


def test_asymptotes_and_growth() -> None:
    right = analyse("softplus(x) + 1").right
    assert (right.slope, right.offset) == (1.0, 1.0)
    late = analyse("relu(x - 10000)").right
    assert (late.slope, late.offset) == (1.0, -10000.0)
    bent = analyse("x*atan(x)").right
    assert (bent.slope, bent.offset) == pytest.approx((math.pi / 2, -1.0), rel=1e-15)
    stairs = analyse("floor(x)").right
    assert (stairs.value, stairs.slope, stairs.offset) == (INF, 1.0, None)
    swinging = analyse("x*(2 + sin(x))").right
    assert (swinging.value, swinging.slope) == (INF, None)
    assert analyse("silu(x)*erfc(i0e(x))").right.slope == 1.0
    assert analyse("log(x)").right.slope == 0.0
    assert analyse("x**2").right.slope == INF
    growing = analyse("exp(x**2/8)").right
    assert growing.growth_power == 2.0
    assert growing.growth_factor == pytest.approx(0.125)
    assert analyse("sinh(exp(x))").right.growth_power == INF
    assert analyse("x**9").right.growth_power == 0.0


@pytest.mark.parametrize(
    ("text", "low", "low_attained", "high", "high_attained"),
    [
        ("tanh(x)", -1.0, False, 1.0, False),
        ("relu6(x)", 0.0, True, 6.0, True),
        ("relu(x)", 0.0, True, INF, False),
        ("exp(-x**2)", 0.0, False, 1.0, True),
        ("sin(x)", -1.0, True, 1.0, True),
        ("silu(x)", -0.2784645427610738, True, INF, False),
        ("x*erfc(softplus(x))", -INF, False, 0.08545094, True),
        ("1/x", -INF, False, INF, False),
        ("asin(x)", -math.pi / 2, True, math.pi / 2, True),
        ("x*sin(x)", -INF, False, INF, False),
        ("sin(x)/x", -0.21723362821, True, 1.0, False),
        ("3", 3.0, True, 3.0, True),
        ("where(x > 0, 1 - x, x)", -INF, False, 1.0, False),
    ],
)
def test_range(text: str, low: float, low_attained: bool, high: float, high_attained: bool) -> None:
    found = analyse(text)
    np.testing.assert_allclose((found.infimum.value, found.supremum.value), (low, high), rtol=1e-6)
    assert (found.infimum.attained, found.supremum.attained) == (low_attained, high_attained)


@pytest.mark.parametrize("name", [n for n, row in OPERATORS.items() if row.arity == 1 and n != "i0e_minus_i1e"])
def test_what_the_table_declares(name: str) -> None:
    """Image, monotony and parity of a row are those of its function."""
    row = OPERATORS[name]
    found = analyse(f"{name}(x)")
    assert found.infimum.value >= row.image[0] - 1e-6
    assert found.supremum.value <= row.image[1] + 1e-6
    if row.monotone and found.domain == ((-INF, INF),):
        wanted = (
            {"constant", "increasing", "non-decreasing"}
            if row.monotone > 0
            else {"constant", "decreasing", "non-increasing"}
        )
        assert found.monotone in wanted
    if row.parity:
        assert found.parity == row.parity


@pytest.mark.parametrize(
    ("text", "monotone", "turning"),
    [
        ("tanh(x)", "increasing", []),
        ("erfc(x)", "decreasing", []),
        ("relu(x)", "non-decreasing", []),
        ("max(x, 0)**2", "non-decreasing", []),
        ("x/abs(x)", "non-decreasing", []),
        ("hardshrink(x)", "non-decreasing", []),
        ("1/x", "neither", []),
        ("x**3 - x", "neither", [-1 / math.sqrt(3), 1 / math.sqrt(3)]),
        ("abs(x - 1)", "neither", [1.0]),
        ("exp(x)/(1 + exp(x))**2", "neither", [0.0]),
        ("3", "constant", []),
        ("sigmoid(10*x)", "increasing", []),
    ],
)
def test_monotony(text: str, monotone: str, turning: list[float]) -> None:
    found = analyse(text)
    assert found.monotone == monotone
    np.testing.assert_allclose(found.turning_points, turning, rtol=1e-12, atol=1e-15)
    ends = [(i.low, i.high) for i in found.intervals]
    assert ends[0][0] == -INF and ends[-1][1] == INF
    assert all(a[1] == b[0] for a, b in itertools.pairwise(ends))


@pytest.mark.parametrize(
    ("text", "parity", "evidence"),
    [
        ("tanh(x)*x", "even", "exact"),
        ("x**3 - x", "odd", "exact"),
        ("sin(x)/x", "even", "exact"),
        ("hardshrink(x)", "odd", "exact"),
        ("exp(x) + exp(-x)", "even", "numeric"),
        ("sigmoid(x) - 0.5", "odd", "numeric"),
        ("silu(x)", "neither", "numeric"),
    ],
)
def test_parity(text: str, parity: str, evidence: str) -> None:
    found = analyse(text)
    assert (found.parity, found.parity_evidence) == (parity, evidence)


@pytest.mark.parametrize(
    ("text", "zeros"),
    [
        ("x**3 - x", [(-1, -1), (0, 0), (1, 1)]),
        ("relu(x - 1)", [(-INF, 1)]),
        ("exp(x)", []),
        ("sigmoid(x)", []),
        ("1/x", []),
        ("log(1 + x**2)", [(0, 0)]),
        ("x**2 - 2", [(-math.sqrt(2), -math.sqrt(2)), (math.sqrt(2), math.sqrt(2))]),
        ("softshrink(x)", [(-0.5, 0.5)]),
    ],
)
def test_zeros(text: str, zeros: list[tuple[float, float]]) -> None:
    np.testing.assert_allclose(np.array(analyse(text).zeros).reshape(-1, 2), np.array(zeros).reshape(-1, 2), rtol=1e-12)


def test_smoothness() -> None:
    orders = {
        "hardshrink(x)": -1,
        "relu(x)": 0,
        "relu(x)**2": 1,
        "elu(x)": 1,
        "relu(x)**3": 2,
        "tanh(x)": INF,
        "asin(x)": INF,
        # Limits without a value, and slopes that are infinite, oscillate or grow like a logarithm.
        "abs(x)*log(abs(x))": 0,
        "x*sin(1/x)": 0,
        "x**2*log(abs(x))": 1,
        "abs(x)**2.5": 2,
        "sin(x)/x": 3,
    }
    assert {text: analyse(text).smoothness for text in orders} == orders


def test_domain() -> None:
    assert analyse("tanh(x)").domain == ((-INF, INF),)
    assert analyse("log(x)").domain == ((0.0, INF),)
    assert analyse("sqrt(x**2 - 1)").domain == ((-INF, -1.0), (1.0, INF))
    # Overflow on the way is no end of a domain.
    assert analyse("exp(x)/(1 + exp(x))**2").domain == ((-INF, INF),)


def test_cost_counts_special_functions() -> None:
    assert cost(actc.parse("x*x + 1")) == Cost(2, 0)
    assert cost(actc.parse("tanh(x) + exp(tanh(x))")) == Cost(3, 2)
    assert cost(actc.parse("relu(x)")) == Cost(1, 0)
    assert cost(actc.parse("x"), actc.parse("sqrt(x)/2")).special == 2
    assert analyse("tanh(x)").backward.instructions > analyse("tanh(x)").forward.instructions


def test_as_json() -> None:
    data = json.loads(json.dumps(analyse("log(x)").to_dict(), allow_nan=False))
    assert data["right"]["value"] == "inf"
    assert data["left"]["value"] is None
    assert data["breakpoints"][0]["kind"] == "pole"
    assert data["evidence"] == "numeric"


def test_other_names_are_refused() -> None:
    with pytest.raises(actc.ExpressionError, match="depends on y"):
        analyse("x*y")
    with pytest.raises(actc.ExpressionError, match="beta"):
        analyse("beta*x")


@given(
    shift=st.integers(-8, 8), scale=st.integers(1, 9), text=st.sampled_from(["relu", "abs", "hardtanh", "sign", "tanh"])
)
@settings(max_examples=25)
def test_a_shifted_function_has_shifted_breakpoints(shift: int, scale: int, text: str) -> None:
    plain = [(b.at, b.kind) for b in breakpoints(actc.parse(f"{text}(x)"))]
    moved = [(b.at, b.kind) for b in breakpoints(actc.parse(f"{text}({scale}*x + {shift})"))]
    assert [kind for _, kind in moved] == [kind for _, kind in plain]
    np.testing.assert_allclose(
        [at for at, _ in moved], [(at - shift) / scale for at, _ in plain], rtol=1e-14, atol=1e-300
    )

"""Gaussian moments against closed forms and mpmath, the bound they state, and integrals that do not exist."""

import itertools
import math

import mpmath
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import actc
from actc.init.moments import gain, gaussian_moments

ROOT = math.sqrt(2 * math.pi)

CLOSED_FORMS = [
    # text, mean, second moment at N(0, 1)
    ("relu(x)", 1 / ROOT, 0.5),
    ("x", 0.0, 1.0),
    ("x**2", 1.0, 3.0),
    ("x**4", 3.0, 105.0),
    ("abs(x)", 2 / ROOT, 1.0),
    ("exp(x)", math.exp(0.5), math.exp(2)),
    ("cosh(x)", math.exp(0.5), (1 + math.exp(2)) / 2),
    ("erf(x)", 0.0, 4 / math.pi * math.atan(math.sqrt(5)) - 1),
    ("sin(x)", 0.0, (1 - math.exp(-2)) / 2),
    ("cos(3*x)", math.exp(-4.5), (1 + math.exp(-18)) / 2),
    ("exp(-x**2)", 1 / math.sqrt(3), 1 / math.sqrt(5)),
    ("exp(x**2/8)", 1 / math.sqrt(0.75), 1 / math.sqrt(0.5)),
    ("sign(x)", 0.0, 1.0),
    ("x > 0", 0.5, 0.5),
    ("log(abs(x))", -(np.euler_gamma + math.log(2)) / 2, (np.euler_gamma + math.log(2)) ** 2 / 4 + math.pi**2 / 8),
    ("sqrt(abs(x))", 2**0.25 * math.gamma(0.75) / math.sqrt(math.pi), 2 / ROOT),
    (
        "abs(x)**-0.25",
        2**-0.125 * math.gamma(0.375) / math.sqrt(math.pi),
        2**-0.25 * math.gamma(0.25) / math.sqrt(math.pi),
    ),
    ("3", 3.0, 9.0),
    ("gelu(x)", 1 / (2 * math.sqrt(math.pi)), 1 / 3 + 1 / (2 * math.pi * math.sqrt(3))),
]


@pytest.mark.parametrize(("text", "mean", "second"), CLOSED_FORMS)
def test_closed_forms(text: str, mean: float, second: float) -> None:
    found = gaussian_moments(text)
    assert found.exists and found.reason is None
    assert abs(found.mean - mean) <= found.mean_error + 4e-16 * abs(mean)
    assert abs(found.second - second) <= found.second_error + 4e-16 * second
    assert abs(found.var - (second - mean**2)) <= found.var_error + 8e-16 * second
    assert found.error <= 1e-12 * max(1.0, second)


TEXTS = """
relu(x - 1); leaky_relu(x); elu(x); selu(x); softplus(x); silu(x); mish(x); tanh(x); sigmoid(x); hard_sigmoid(2*x);
hardtanh(x); hardshrink(x); softshrink(x); relu6(3*x); softsign(x); atan(x); asinh(x); erfc(softplus(x))**2;
x*erfc(softplus(x)); log_sigmoid(x)*asinh(x); max(x**2, x); tanhshrink(x); cube(x); bessel_i0e(x); bessel_i1e(x);
sinc(x); min(x, sin(x)); where(x > 0.3, exp(-x), x**2); tanh(20*x); sin(x)/x; floor(x); threshold(x, 1, 20);
hardswish(x)
"""


#: Ends of panels on which all of these functions are smooth, short where tanh(20·x) bends.
CUTS = sorted({*range(-12, 13), *(k / 2 for k in range(-9, 10)), -1.25, 1.25, -0.2, -0.1, 0.1, 0.2, 0.3})


@pytest.mark.parametrize("text", [text.strip() for text in TEXTS.split(";")])
def test_against_mpmath(text: str) -> None:
    e = actc.parse(text)
    nodes, weights = np.polynomial.legendre.leggauss(14)
    with mpmath.workdps(20):
        first = second = absolute = mpmath.mpf(0)
        for low, high in itertools.pairwise(mpmath.mpf(c) if c != 0.3 else mpmath.mpf(3) / 10 for c in CUTS):
            for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True):
                point = (low + high) / 2 + (high - low) / 2 * node
                value, share = e.evaluate_mp(18, x=point), mpmath.npdf(point) * weight * (high - low) / 2
                first, second, absolute = (
                    first + value * share,
                    second + value**2 * share,
                    absolute + abs(value) * share,
                )
    found = gaussian_moments(text)
    assert found.exists
    # numpy's nodes and weights are good to 1e-16; so is this reference, apart from what the panels leave:
    # 1e-13 where tanh(20·x) bends.
    slack = 1e-12 if "20" in text else 4e-15
    assert abs(found.mean - first) <= found.mean_error + slack * absolute
    assert abs(found.second - second) <= found.second_error + slack * second
    assert abs(found.var - (second - first**2)) <= found.var_error + 2 * slack * second


def _normal(m: mpmath.mpf, s: mpmath.mpf) -> tuple[mpmath.mpf, mpmath.mpf]:
    return mpmath.ncdf(m / s), mpmath.npdf(m / s)


def _relu(m: mpmath.mpf, s: mpmath.mpf) -> tuple[mpmath.mpf, mpmath.mpf]:
    cumulative, density = _normal(m, s)
    return m * cumulative + s * density, (m * m + s * s) * cumulative + m * s * density


def _abs(m: mpmath.mpf, s: mpmath.mpf) -> tuple[mpmath.mpf, mpmath.mpf]:
    return 2 * _relu(m, s)[0] - m, m * m + s * s


def _bump(m: mpmath.mpf, s: mpmath.mpf) -> tuple[mpmath.mpf, mpmath.mpf]:
    def power(k: int) -> mpmath.mpf:
        width = 1 + 2 * k * s * s
        return mpmath.exp(-k * m * m / width) / mpmath.sqrt(width)

    return power(1), power(2)


#: Functions of u = a·x + b with the moments for u ~ N(m, s²).
EXACT = {
    "relu(a*x + b)": _relu,
    "abs(a*x + b)": _abs,
    "a*x + b > 0": lambda m, s: (_normal(m, s)[0],) * 2,
    "sin(a*x + b)": lambda m, s: (
        mpmath.sin(m) * mpmath.exp(-s * s / 2),
        (1 - mpmath.cos(2 * m) * mpmath.exp(-2 * s * s)) / 2,
    ),
    "exp((a*x + b)/10)": lambda m, s: (mpmath.exp(m / 10 + s * s / 200), mpmath.exp(m / 5 + s * s / 50)),
    "(a*x + b)**3": lambda m, s: (m**3 + 3 * m * s**2, m**6 + 15 * m**4 * s**2 + 45 * m**2 * s**4 + 15 * s**6),
    "exp(-(a*x + b)**2)": _bump,
}


@given(
    text=st.sampled_from(sorted(EXACT)),
    slope=st.floats(0.02, 30) | st.floats(-30, -0.02),
    shift=st.floats(-5, 5),
    mean=st.floats(-3, 3),
    var=st.floats(0.01, 10),
)
@example(text="relu(a*x + b)", slope=-10.2, shift=-0.0011273603535855005, mean=1.652239697575352, var=0.01)
@example(text="exp((a*x + b)/10)", slope=-30.0, shift=2.43731140107751, mean=0.006783034931234653, var=10.0)
@settings(max_examples=100)
def test_the_bound_covers_the_error(text: str, slope: float, shift: float, mean: float, var: float) -> None:
    found = gaussian_moments(text, mean, var, a=slope, b=shift)
    with mpmath.workdps(60):
        a, b = mpmath.mpf(slope), mpmath.mpf(shift)
        first, second = EXACT[text](a * mean + b, abs(a) * mpmath.sqrt(mpmath.mpf(var)))
        if second > 1e300:
            return
        assert found.exists
        assert abs(found.mean - first) <= found.mean_error
        assert abs(found.second - second) <= found.second_error
        assert abs(found.var - (second - first**2)) <= found.var_error


def test_bounds_are_tight_for_ordinary_functions() -> None:
    means, variances = np.meshgrid([-3.0, -1.0, 0.0, 1.0, 3.0], [0.01, 0.1, 1.0, 10.0])
    for text in ("relu(x)", "silu(x)", "gelu(x)", "tanh(x)", "erf(x)", "mish(x)", "elu(x)", "x*erfc(softplus(x))"):
        found = gaussian_moments(text, means, variances)
        magnitude = gaussian_moments(f"abs({text})", means, variances).mean
        assert (found.mean_error <= 1e-12 * magnitude).all()
        assert (found.second_error <= 1e-12 * found.second).all()


@pytest.mark.parametrize(
    ("text", "mean", "second", "words"),
    [
        ("1/x", math.nan, math.inf, "pole x = 0"),
        ("1/x**2", math.inf, math.inf, "pole x = 0"),
        ("-1/(x - 1)**2", -math.inf, math.inf, "pole x = 1"),
        ("sinh(exp(x))", math.inf, math.inf, "x → +∞"),
        ("exp(x**2)", math.inf, math.inf, "x → -∞"),
        ("-exp(x**2)", -math.inf, math.inf, "x → -∞"),
        ("sinh(x**3)", math.nan, math.inf, "x → -∞"),
        ("tan(x)", math.nan, math.inf, "pole"),
        ("exp(30*x)", math.inf, math.inf, "range of float64"),
        ("log(x)", math.nan, math.nan, "undefined for x < 0"),
        ("asin(x)", math.nan, math.nan, "undefined for x < -1 and x > 1"),
    ],
)
def test_integrals_that_do_not_exist(text: str, mean: float, second: float, words: str) -> None:
    found = gaussian_moments(text)
    assert not found.exists
    assert words in found.reason
    np.testing.assert_equal((found.mean, found.second), (mean, second))
    assert not math.isfinite(found.var)


def test_a_second_moment_alone_may_be_missing() -> None:
    for text, mean, words in (
        ("abs(x)**-0.6", 2**-0.3 * math.gamma(0.2) / math.sqrt(math.pi), "pole"),
        ("exp(x**2/3)", math.sqrt(3), "x → +∞"),
        ("exp(20*x)", math.exp(200), "float64"),
    ):
        found = gaussian_moments(text)
        assert not found.exists and words in found.reason and found.second == math.inf
        assert found.mean == pytest.approx(mean, rel=1e-9)


def test_overflow_on_the_way_is_no_overflow() -> None:
    # exp(x) overflows at 710, 35 standard deviations out, where the function itself is 1e-308.
    found = gaussian_moments("exp(x)/(1 + exp(x))**2", var=400.0)
    same = gaussian_moments("sigmoid(x)*sigmoid(-x)", var=400.0)
    assert found.exists
    assert abs(found.mean - same.mean) <= found.mean_error + same.mean_error


def test_arrays_agree_with_single_calls_and_keep_their_shape() -> None:
    means, variances = np.linspace(-2, 2, 3)[:, None], np.array([0.0, 0.5, 4.0])
    many = gaussian_moments("max(x**2, x)", means, variances)
    assert many.mean.shape == many.error.shape == many.gain.shape == many.exists.shape == many.reason.shape == (3, 3)
    for i, j in np.ndindex(3, 3):
        one = gaussian_moments("max(x**2, x)", float(means[i, 0]), float(variances[j]))
        assert abs(one.mean - many.mean[i, j]) <= one.mean_error
        assert abs(one.second - many.second[i, j]) <= one.second_error
    assert gaussian_moments("x", np.zeros((0, 2))).mean.shape == (0, 2)


def test_no_variance_gives_the_value() -> None:
    found = gaussian_moments("softplus(x)", mean=2.0, var=0.0)
    assert found.mean == pytest.approx(math.log1p(math.exp(2)), rel=1e-15)
    assert (found.var, found.exists) == (0.0, True)
    assert not gaussian_moments("1/x", var=0.0).exists


def test_parameters_and_gain() -> None:
    assert gaussian_moments("x*sigmoid(beta*x)", beta=0.0).second == pytest.approx(0.25)
    assert gain("relu(x)") == pytest.approx(math.sqrt(2))
    assert gain("leaky_relu(x, s)", s=0.5) == pytest.approx(1 / math.sqrt(0.625))
    assert gain("x - x") == math.inf


@pytest.mark.parametrize(
    ("arguments", "parameters", "error", "words"),
    [
        (("x*y",), {}, actc.ExpressionError, "depends on y"),
        (("beta*x",), {}, actc.ExpressionError, "beta"),
        (("x",), {"beta": 1.0}, actc.ExpressionError, "no parameter"),
        (("x", 0.0, -1.0), {}, ValueError, "var"),
        (("x", math.nan), {}, ValueError, "mean"),
        (("sin(",), {}, actc.ParseError, "closed"),
    ],
)
def test_bad_input_names_the_cause(arguments: tuple, parameters: dict, error: type, words: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(error, match=words):
        gaussian_moments(*arguments, **parameters)


def test_narrow_features_are_found() -> None:
    # A bump of width 1e-4 and a step of the same width, between the first nodes.
    bump = gaussian_moments("exp(-(1e4*(x - 0.3))**2)")
    width = 1e-4 * math.sqrt(math.pi) * math.exp(-0.045) / ROOT
    assert bump.mean == pytest.approx(width, rel=1e-6)
    step = gaussian_moments("tanh(1e4*(x - 0.3))")
    assert step.mean == pytest.approx(math.erfc(0.3 / math.sqrt(2)) - 1, abs=1e-7)


def test_cancellation_is_in_the_bound() -> None:
    found = gaussian_moments("(x + 1e10) - 1e10")
    assert found.error > 1e-9
    assert abs(found.second - 1) <= found.second_error

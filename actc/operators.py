"""The operator table: one row says everything about one operator.

Parsing, printing, evaluation, derivatives, safety, code generation, documentation and the property tests range over
the rows;
nothing else lists operators by name. To add an operator is to add a row.

A row is either **primitive** (it carries code for numpy and ATen) or **defined** (``definition``, a text over other
rows). Every
row has its own mpmath function, in textbook form and independent of the definition, as the oracle.

Texts in a row (``definition``, ``derivative``, ``differential``, ``safe``) are expressions over the names in its
signature.
They are written for accuracy in floating point: the bound that the tests hold them to is
|error| ≤ 8u·(|f| + |x·f'|) with u the unit roundoff, for the value and likewise for the first derivative.
"""

from __future__ import annotations

import difflib
import importlib
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from fractions import Fraction
from functools import cached_property
from operator import methodcaller
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from actc.errors import ExpressionError
from actc.polynomials import (
    ERFCX,
    I0E_FAR,
    I0E_NEAR,
    I1E_SLOPE_FAR,
    I1E_SLOPE_MIDDLE,
    I1E_SLOPE_NEAR,
    SLOPE_FAR,
    SLOPE_MIDDLE,
    SLOPE_NEAR,
)

if TYPE_CHECKING:
    from actc.expr import Expr

INF = math.inf
NAN = math.nan


class Law(Enum):
    """Algebraic laws that rules quantify over."""

    COMMUTATIVE = auto()  #: f(a, b) = f(b, a)
    ASSOCIATIVE = auto()  #: f(f(a, b), c) = f(a, f(b, c))
    IDEMPOTENT = auto()  #: f(a, a) = a
    INVOLUTION = auto()  #: f(f(a)) = a
    PROJECTION = auto()  #: f(f(a)) = f(a)


class _Lazy:
    """A module imported at its first use, since importing actc must stay cheap."""

    def __init__(self, module: str, member: str = "") -> None:
        self._module, self._member = module, member

    @cached_property
    def _target(self) -> Any:
        module = importlib.import_module(self._module)
        return getattr(module, self._member) if self._member else module

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._target, attribute)


mp = _Lazy("mpmath", "mp")
special = _Lazy("scipy.special")
enclosures = _Lazy("actc.enclosures")


@dataclass(frozen=True, eq=False)
class Operator:
    """One row. Intervals are closed pairs of floats, ``(-inf, inf)`` for all reals."""

    #: Name, argument names and defaults, as the user may call it: ``"leaky_relu(x, negative_slope=0.01)"``.
    signature: str
    #: The oracle: takes and returns mpmath numbers; complex results count as outside the domain.
    mpmath: Callable[..., Any]
    #: Text over other rows; None for a primitive.
    definition: str | None = None
    #: Partial derivatives as texts, one an argument; None: those of the definition.
    derivative: tuple[str, ...] | None = None
    #: Or the differential as one text over the arguments and their differentials dx, dy, ...: for operators that
    #: select, so that a
    #: branch not taken cannot poison the result by 0·inf.
    differential: str | None = None
    #: float64 arrays to a float64 array; None: evaluate the definition.
    numpy: Callable[..., Any] | None = None
    #: Python code over torch tensors: ``{0}`` an argument, which may be a number; ``{t0}`` one that must be a tensor.
    aten: str | None = None
    #: The value in balls, ``flint.arb`` to ``flint.arb``; None: arb's method of that name, or by the definition.
    ball: Callable[..., Any] | None = None
    #: Whether ``"definition"``, and the derivatives by which arguments, are true to float64 only, as a series cut short
    #: is: no proof may use them. The row's ``ball`` is exact.
    rounded: frozenset[str] = frozenset()
    #: Whether it is continuous, but at its ``poles`` and where its domain ends, for optional arguments above 0.
    continuous: bool = True
    #: Intervals to an interval that holds the values; None: what monotony, definition and image tell.
    bounds: Callable[..., Any] | None = None
    #: The same of the limits of its arguments and values; None: as ``bounds`` or what stands for it.
    limits: Callable[..., Any] | None = None
    #: Machine instructions an element of a primitive in float32, about: as a compiler for NVIDIA's GPUs writes it.
    instructions: int = 1
    #: How many times as long as an elementary function's the value takes in balls, about.
    effort: int = 1
    #: Text over rows that ONNX has, for an operator that it lacks, accurate in float32; None: ONNX has it.
    onnx: str | None = None
    #: The value at rational arguments where it is rational; None where it seldom is.
    exact: Callable[..., Any] | None = None
    #: Whether it is real-analytic inside its domain, so that it vanishes at isolated points only, or everywhere.
    analytic: bool = False
    #: Code in sympy's names; None: that of the definition.
    sympy: str | None = None
    #: What safe mode writes instead; None where every finite argument gives a finite value.
    safe: str | None = None
    #: Where the real function is defined, by its first argument.
    domain: tuple[float, float] = (-INF, INF)
    #: The smallest interval that holds every value, defaults for the arguments after the first.
    image: tuple[float, float] = (-INF, INF)
    #: First-argument values at which the derivative jumps; the derivative there is torch's.
    kinks: tuple[float, ...] = ()
    #: First-argument values at which the function itself is infinite or jumps.
    poles: tuple[float, ...] = ()
    #: +1 never decreasing, -1 never increasing, 0 neither, in the first argument over the domain, defaults for the
    #: rest.
    monotone: int = 0
    #: "even", "odd" or "".
    parity: str = ""
    laws: frozenset[Law] = frozenset()
    #: Values returned at -inf and +inf, by the first argument, defaults for the rest: what the definition gives in
    #: IEEE arithmetic.
    at_infinity: tuple[float, float] = (NAN, NAN)
    #: LaTeX with ``{0}``, ``{1}`` for arguments; empty: the name in upright letters.
    latex: str = ""
    aliases: tuple[str, ...] = ()
    #: Where the definition comes from and which convention it follows.
    source: str = ""
    variadic: bool = False

    name: str = field(init=False)
    arguments: tuple[str, ...] = field(init=False)
    defaults: tuple[Fraction, ...] = field(init=False)

    def __post_init__(self) -> None:
        name, _, rest = self.signature.partition("(")
        parts = [p.strip() for p in rest.rstrip(")").split(",") if p.strip()]
        pairs = [p.partition("=") for p in parts]
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "arguments", tuple(p[0].strip() for p in pairs))
        object.__setattr__(self, "defaults", tuple(Fraction(p[2].strip()) for p in pairs if p[1]))

    def __repr__(self) -> str:
        return f"<operator {self.signature}>"

    @property
    def arity(self) -> int:
        """Number of arguments, defaults included; for variadic rows the smallest number."""
        return len(self.arguments)

    @property
    def primitive(self) -> bool:
        return self.definition is None

    def complete(self, args: tuple[Expr, ...]) -> tuple[Expr, ...]:
        """The arguments with defaults filled in. Raises ExpressionError for a wrong number of them."""
        from actc.expr import constant

        least, most = self.arity - len(self.defaults), self.arity
        if len(args) < least or (len(args) > most and not self.variadic):
            wanted = f"{least} or more" if self.variadic else str(most) if least == most else f"{least} to {most}"
            plural = "" if wanted == "1" else "s"
            raise ExpressionError(
                f"{self.name} takes {wanted} argument{plural}, got {len(args)}; write {self.signature}"
            )
        missing = most - len(args)
        return args + tuple(constant(d) for d in self.defaults[len(self.defaults) - missing :]) if missing > 0 else args

    def text(self, which: str) -> Expr | None:
        """The row's text ``definition``, ``differential``, ``safe`` or ``onnx`` as an expression over its argument
        names, or None."""
        return self._texts.get(which)

    @cached_property
    def _texts(self) -> dict[str, Expr]:
        from actc.parsing import parse_row

        texts = {name: getattr(self, name) for name in ("definition", "differential", "safe", "onnx")}
        return {which: parse_row(text, self) for which, text in texts.items() if text is not None}

    @property
    def compares(self) -> bool:
        """Whether it is a comparison: 1 or 0, also of what is undefined."""
        return self.image == (0.0, 1.0) and self.derivative == ("0", "0")

    @cached_property
    def divisors(self) -> tuple[int, ...]:
        """The places of optional arguments by which the definition divides: softplus is undefined where β is 0."""
        steps = self.steps if self.definition is not None and self.defaults else ()
        below = {name for node in steps if node.name == "div" for name in node.args[1].symbols}
        optional = range(self.arity - len(self.defaults), self.arity)
        return tuple(i for i in optional if self.arguments[i] in below)

    @property
    def has_endless_poles(self) -> bool:
        """Whether it has more poles than ``poles`` lists, as tan has; then it has no value there."""
        return self.analytic and not self.continuous

    @cached_property
    def oracle(self) -> Callable[..., Any]:
        """``mpmath`` over the reals: NaN outside the domain and for NaN arguments."""
        if self.name == "where" or self.compares or self.definition in self.arguments:
            return self.mpmath
        real = _real(self.mpmath)

        def chosen(*args: Any) -> Any:
            from actc.enclosures import by_definition

            if any(map(mp.isnan, args)):
                # The definition may not take the argument that is undefined.
                return by_definition(self, args, _mp_number, lambda row, given: row.oracle(*given))
            return real(*args)

        return chosen if self.chooses else real

    def usual(self, args: Sequence[Expr]) -> bool:
        """Whether optional arguments have their defaults, for which the row tells kinks, poles and the image."""
        given = args[self.arity - len(self.defaults) :] if not self.variadic else ()
        return all(a.value == d for a, d in zip(given, self.defaults, strict=False))

    @cached_property
    def chooses(self) -> bool:
        """Whether arguments after the first may be undefined where it is not: it takes one of them, or none."""
        root = "" if self.definition is None else self.steps[-1].name
        return self.name == "where" or self.definition in self.arguments or (root == "where" and self.arity > 1)

    @cached_property
    def in_balls(self) -> Callable[..., Any]:
        """The value at ``flint.arb`` balls, a ball that holds it; NaN where that may be undefined."""
        if self.ball is not None:
            return self.ball
        if self.definition is None:
            return methodcaller(self.name)
        steps = self._ball_steps

        def value(*args: Any) -> Any:
            values = list(args[: self.arity])
            for function, places in steps:
                values.append(function(*[values[i] for i in places]))
            # A variadic row folds its definition over the arguments.
            return value(values[-1], *args[self.arity :]) if len(args) > self.arity else values[-1]

        return value

    @cached_property
    def _ball_steps(self) -> list[tuple[Callable[..., Any], list[int]]]:
        """The definition as straight-line code in balls, those of its parts written out: functions, and where their
        arguments stand, those of the row first."""
        steps: list[tuple[Callable[..., Any], list[int]]] = []

        def add(function: Callable[..., Any], *places: int) -> int:
            steps.append((function, list(places)))
            return self.arity + len(steps) - 1

        def inline(row: Operator, places: list[int]) -> int:
            if row.ball is not None or row.definition is None or len(places) > row.arity:
                return add(row.in_balls, *places)
            at: dict[Expr, int] = {}
            for node in row.steps:
                if node.value is not None:
                    at[node] = add(enclosures.constant_ball(node.value))
                elif node.kind == "symbol":
                    at[node] = places[row.arguments.index(node.name)]
                else:
                    at[node] = inline(operator(node.name), [at[a] for a in node.args])
            return at[row.steps[-1]]

        last = inline(self, list(range(self.arity)))
        # The value is what stands last.
        return steps if last == self.arity + len(steps) - 1 else [*steps, (lambda a: a, [last])]

    @cached_property
    def steps(self) -> list[Expr]:
        """The parts of the definition, each after its own."""
        from actc.expr import postorder

        return postorder(self._texts["definition"])

    @cached_property
    def partials(self) -> tuple[Expr, ...] | None:
        """The texts of ``derivative`` as expressions over the argument names."""
        from actc.parsing import parse_row

        return None if self.derivative is None else tuple(parse_row(t, self) for t in self.derivative)


def _mp_number(value: Fraction) -> Any:
    return mp.mpf(value.numerator) / value.denominator


def _real(function: Callable[..., Any]) -> Callable[..., Any]:
    """An mpmath function that answers NaN instead of a complex number, and infinities instead of raising at a pole."""

    def evaluate(*args: Any) -> Any:
        if any(mp.isnan(a) for a in args):
            return mp.nan
        try:
            value = function(*args)
        except ZeroDivisionError:
            return mp.nan
        return mp.nan if isinstance(value, mp.mpc) else value

    return evaluate


def _mp_div(a: Any, b: Any) -> Any:
    if b == 0:
        return mp.nan if a == 0 else mp.inf * mp.sign(a)
    return a / b


#: Every float's range ends at 2^1024; far beyond, mpmath would spend time and memory on digits of the exponent itself.
_HUGE = 1100


def _mp_exp(a: Any) -> Any:
    if mp.isinf(a) or a == 0 or mp.mag(a) < _HUGE:
        return mp.exp(a)
    return mp.inf if a > 0 else mp.zero


def _mp_pow(a: Any, b: Any) -> Any:
    if not mp.isfinite(b) or b == 0:
        return a**b
    if a == 0:
        return mp.zero if b > 0 else mp.inf
    if abs(a) == 1 or mp.isinf(a):
        # A number too large for its last digit to be seen is even; mpmath would write out its digits.
        return a ** (b if mp.mag(b) < _HUGE else 2)
    if mp.mag(b) + mp.mag(mp.log(abs(a))) > _HUGE:
        return mp.inf if (b > 0) == (abs(a) > 1) else mp.zero
    return a**b


def _mp_wave(function: str) -> Callable[[Any], Any]:
    return lambda a: getattr(mp, function)(a) if a == 0 or (mp.isfinite(a) and mp.mag(a) < 4 * _HUGE) else mp.nan


def _mp_floor(a: Any) -> Any:
    return a if a == 0 or not mp.isfinite(a) or mp.mag(a) > _HUGE else mp.floor(a)


def _mp_erfc(a: Any) -> Any:
    # mpmath takes its square as a float64.
    if mp.isinf(a) or mp.mag(a) > 500:
        return mp.zero if a > 0 else mp.mpf(2)
    # 2 − erfc(−a) differs from 2 by less than e^(−a²); mpmath would sum a² terms to find that out.
    return mp.mpf(2) if a < 0 and a * a > mp.prec else mp.erfc(a)


def _mp_i(order: int, a: Any) -> Any:
    if mp.isinf(a):
        return mp.zero
    if abs(a) > max(100, mp.prec):
        # DLMF 10.40.1, the exponential cancelled by hand; terms shrink to e^(−2|a|), below this precision.
        total, term, k, n = mp.one, mp.one, 1, 4 * order * order
        while abs(term) > mp.eps:
            term *= -(mp.mpf(n) - (2 * k - 1) ** 2) / (k * 8 * abs(a))
            total, k = total + term, k + 1
        value = total / mp.sqrt(2 * mp.pi * abs(a))
        return value if order % 2 == 0 or a > 0 else -value
    return mp.besseli(order, a) * mp.exp(-abs(a))


def _mp_tanh(a: Any) -> Any:
    # 1 − tanh(a) is below every precision that is asked for.
    return mp.tanh(a) if abs(a) < 10**6 else mp.sign(a)


def _mp_softplus(a: Any, beta: Any) -> Any:
    t = beta * a
    # e^−t is below every precision that is asked for.
    return a if t > 10**5 else mp.log1p(_mp_exp(t)) / beta


def _mp_clip(a: Any, low: Any, high: Any) -> Any:
    return min(max(a, low), high)


def _polynomial(coefficients: tuple[Fraction, ...] | tuple[float, ...], variable: str) -> str:
    """Horner's scheme as text, lowest power first in ``coefficients``."""
    text = f"({coefficients[-1]})"
    for c in reversed(coefficients[:-1]):
        text = f"(({c}) + {variable}*{text})"
    return text


def _pieces(near: tuple[float, ...], middle: tuple[float, ...], far: tuple[float, ...]) -> str:
    """The even function of :mod:`actc.polynomials` in three pieces."""
    return (
        f"where(abs(x) < 2, {_polynomial(near, '(abs(x) - 1)')}, "
        f"where(abs(x) < 8, {_polynomial(middle, '((abs(x) - 5)/3)')}/abs(x)/abs(x), "
        f"{_polynomial(far, '(14/abs(x) - 1)')}/abs(x)/sqrt(abs(x))))"
    )


def _bessel(near: tuple[float, ...], far: tuple[float, ...]) -> str:
    return f"where(a < 8, {_polynomial(near, '(a/4 - 1)')}, {_polynomial(far, '(16/a - 1)')}/sqrt(a))"


def _difference(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(p - q for p, q in itertools.zip_longest(a, b, fillvalue=0.0))


#: i1e(x)/x = (i0e − i1e)(|x|) − i1e′(|x|), where nothing cancels.
_I1E = (
    f"where(abs(x) < 2, x*{_polynomial(_difference(SLOPE_NEAR, I1E_SLOPE_NEAR), '(abs(x) - 1)')}, "
    f"where(abs(x) < 8, {_polynomial(_difference(SLOPE_MIDDLE, I1E_SLOPE_MIDDLE), '((abs(x) - 5)/3)')}/x, "
    f"sign(x)*{_polynomial(_difference(SLOPE_FAR, I1E_SLOPE_FAR), '(14/abs(x) - 1)')}/sqrt(abs(x))))"
)
#: x·cosh x − sinh x = x³ Σ x^(2k-2)·2k/(2k+1)!, k = 1…; eleven terms leave under 1e-19 relative on |x| ≤ 1.
_SHRINK = tuple(Fraction(2 * k, math.factorial(2 * k + 1)) for k in range(1, 12))
#: t·e^t − e^t + 1 = t² Σ t^k·(k+1)/(k+2)!, k = 0…; twenty terms leave under 1e-18 on [−1, 0].
_CELU_SLOPE = tuple(Fraction(k + 1, math.factorial(k + 2)) for k in range(20))
#: (x·cos x − sin x)/x² = −x Σ (−x²)^(k-1)·2k/(2k+1)!: the same coefficients with alternating signs.
_SINC_SLOPE = tuple(c if k % 2 == 0 else -c for k, c in enumerate(_SHRINK))

_C, _A, _I = Law.COMMUTATIVE, Law.ASSOCIATIVE, Law.IDEMPOTENT
_HALF = (-0.5, 0.5)
SELU_SCALE, SELU_ALPHA = "1.0507009873554804934193349852946", "1.6732632423543772848170429916717"
_FLOAT64_MAX = float(np.finfo(np.float64).max)


def _erfc(a: Any) -> Any:
    # scipy's own result is 0 where the true one is below the normal range.
    return np.where(a > 26, special.erfcx(a) * np.exp(-np.square(a)), special.erfc(a))


def _compare(
    name: str,
    sign: str,
    oracle: Callable[[Any, Any], bool],
    numpy: Callable[..., Any],
    laws: frozenset[Law] = frozenset(),
) -> Operator:
    return Operator(
        f"{name}(x, y)",
        continuous=False,
        mpmath=lambda a, b: mp.one if oracle(a, b) else mp.zero,
        numpy=lambda a, b: numpy(a, b).astype(np.float64),
        aten=f"{{0}} {sign} {{1}}",
        sympy={"eq": "Piecewise((1, Eq({0}, {1})), (0, True))", "ne": "Piecewise((1, Ne({0}, {1})), (0, True))"}.get(
            name, f"Piecewise((1, {{0}} {sign} {{1}}), (0, True))"
        ),
        exact=lambda a, b: int(oracle(a, b)),
        ball=lambda a, b: enclosures.decided(enclosures.compare_balls(name, a, b)),
        bounds=lambda a, b: enclosures.compare(name, a, b),
        limits=lambda a, b: enclosures.limit_of_comparison(name, a, b),
        derivative=("0", "0"),
        image=(0.0, 1.0),
        laws=laws,
        latex={"le": r"{0} \leq {1}", "ge": r"{0} \geq {1}", "eq": "{0} = {1}", "ne": r"{0} \neq {1}"}.get(
            name, f"{{0}} {sign} {{1}}"
        ),
        source="1 where it holds, else 0, also where an argument is NaN (except ne)",
    )


_ROWS = (
    # --- arithmetic ----------------------------------------------------------------------------------------------
    Operator(
        "pi()",
        analytic=True,
        mpmath=lambda: +mp.pi,
        ball=lambda: enclosures.pi(),
        bounds=lambda: enclosures.hull([enclosures.pi()]),
        numpy=lambda: np.float64(math.pi),
        aten="math.pi",
        sympy="pi",
        derivative=(),
        image=(math.pi, math.pi),
        latex=r"\pi",
    ),
    Operator(
        "add(x, y)",
        analytic=True,
        mpmath=lambda a, b: a + b,
        ball=lambda a, b: enclosures.total(a, b),
        bounds=lambda a, b: enclosures.add(a, b),
        numpy=np.add,
        aten="{0} + {1}",
        sympy="{0} + {1}",
        derivative=("1", "1"),
        safe="saturate(x + y)",
        laws=frozenset({_C, _A}),
    ),
    Operator(
        "sub(x, y)",
        analytic=True,
        mpmath=lambda a, b: a - b,
        ball=lambda a, b: enclosures.total(a, -b),
        bounds=lambda a, b: enclosures.add(a, enclosures.negative(b)),
        numpy=np.subtract,
        aten="{0} - {1}",
        sympy="{0} - {1}",
        derivative=("1", "-1"),
        safe="saturate(x - y)",
    ),
    Operator(
        "mul(x, y)",
        analytic=True,
        mpmath=lambda a, b: a * b,
        ball=lambda a, b: a * b,
        bounds=lambda a, b: enclosures.multiply(a, b),
        limits=lambda a, b: enclosures.limit_of_product(a, b),
        numpy=np.multiply,
        aten="{0} * {1}",
        sympy="{0} * {1}",
        derivative=("y", "x"),
        safe="saturate(x*y)",
        laws=frozenset({_C, _A}),
    ),
    Operator(
        "div(x, y)",
        instructions=9,
        analytic=True,
        mpmath=_mp_div,
        ball=lambda a, b: enclosures.ratio(a, b),
        bounds=lambda a, b: enclosures.multiply(a, enclosures.reciprocal(b)),
        limits=lambda a, b: enclosures.limit_of_product(a, enclosures.limit_of_reciprocal(b)),
        numpy=np.divide,
        # torch computes number/tensor as number·(1/tensor), which rounds twice and makes 0/tiny NaN.
        aten="{t0} / {1}",
        sympy="{0} / {1}",
        derivative=("1/y", "-(x/y)/y"),
        safe="saturate(div_no_nan(x, y))",
    ),
    Operator(
        "neg(x)",
        analytic=True,
        mpmath=lambda a: -a,
        ball=lambda a: -a,
        numpy=np.negative,
        aten="-{0}",
        sympy="-{0}",
        derivative=("-1",),
        monotone=-1,
        parity="odd",
        laws=frozenset({Law.INVOLUTION}),
        at_infinity=(INF, -INF),
    ),
    Operator(
        "pow(x, y)",
        instructions=75,
        analytic=True,
        mpmath=_mp_pow,
        ball=lambda a, b: enclosures.raised(a, b),
        bounds=lambda a, b: enclosures.power(a, b),
        limits=lambda a, b: enclosures.limit_of_power(a, b),
        numpy=np.power,
        aten="torch.pow({0}, {1})",
        sympy="{0}**{1}",
        # Where y - 1 is rounded, one of the two ways back shows it: log x would magnify what is lost, and a whole
        # number lose its parity. x/x is 1 for all but 0 and the infinities.
        derivative=(
            "where(y == 0, 0, where(((y - 1 + 1 != y) + (y - (y - 1) > 1) + (y - (y - 1) < 1))*(x/x == 1), "
            "y*x**y/x, y*x**(y - 1)))",
            "where((x == 0)*(y >= 0), 0, x**y*log(x))",
        ),
        safe="saturate(pow_no_nan(x, y))",
    ),
    Operator(
        "square(x)",
        analytic=True,
        mpmath=lambda a: a * a,
        definition="x*x",
        derivative=("2*x",),
        safe="saturate(square(x))",
        image=(0.0, INF),
        parity="even",
        at_infinity=(INF, INF),
        latex="{0}^2",
    ),
    Operator(
        "cube(x)",
        analytic=True,
        mpmath=lambda a: a**3,
        definition="x*x*x",
        derivative=("3*square(x)",),
        safe="saturate(cube(x))",
        monotone=1,
        parity="odd",
        at_infinity=(-INF, INF),
        latex="{0}^3",
    ),
    Operator(
        "reciprocal(x)",
        analytic=True,
        mpmath=lambda a: _mp_div(mp.one, a),
        definition="1/x",
        derivative=("-square(1/x)",),
        safe="saturate(div_no_nan(1, x))",
        poles=(0.0,),
        parity="odd",
        laws=frozenset({Law.INVOLUTION}),
        at_infinity=(-0.0, 0.0),
        aliases=("inv",),
        latex="{0}^{{-1}}",
    ),
    Operator(
        "abs(x)",
        exact=abs,
        mpmath=lambda a: abs(a),
        ball=abs,
        bounds=lambda a: enclosures.absolute(a),
        numpy=np.abs,
        aten="torch.abs({t0})",
        sympy="Abs({0})",
        derivative=("sign(x)",),
        image=(0.0, INF),
        kinks=(0.0,),
        parity="even",
        laws=frozenset({Law.PROJECTION}),
        at_infinity=(INF, INF),
        aliases=("fabs",),
        latex=r"\left|{0}\right|",
    ),
    Operator(
        "sign(x)",
        exact=lambda a: (a > 0) - (a < 0),
        mpmath=lambda a: mp.sign(a),
        ball=lambda a: a.sgn(),
        numpy=np.sign,
        # torch.sign answers 0 for NaN.
        aten="torch.where({t0} == {t0}, torch.sign({t0}), {t0})",
        sympy="sign({0})",
        derivative=("0",),
        image=(-1.0, 1.0),
        poles=(0.0,),
        monotone=1,
        parity="odd",
        laws=frozenset({Law.PROJECTION}),
        at_infinity=(-1.0, 1.0),
        aliases=("sgn",),
    ),
    Operator(
        "floor(x)",
        continuous=False,
        exact=math.floor,
        mpmath=_mp_floor,
        numpy=np.floor,
        aten="torch.floor({t0})",
        sympy="floor({0})",
        derivative=("0",),
        monotone=1,
        laws=frozenset({Law.PROJECTION}),
        at_infinity=(-INF, INF),
        latex=r"\left\lfloor {0} \right\rfloor",
    ),
    Operator(
        "hypot(x, y)",
        instructions=25,
        mpmath=lambda a, b: mp.hypot(a, b),
        ball=lambda a, b: (a * a + b * b).sqrt(),
        bounds=lambda a, b: enclosures.norm(a, b),
        numpy=np.hypot,
        aten="torch.hypot({t0}, {t1})",
        onnx="a = max(abs(x), abs(y)); b = min(abs(x), abs(y)); where(b < a, a*sqrt(1 + square(b/a)), a*sqrt(2))",
        sympy="sqrt({0}**2 + {1}**2)",
        derivative=("hypot_slope(x, y)", "hypot_slope(y, x)"),
        safe="saturate(hypot(x, y))",
        image=(0.0, INF),
        laws=frozenset({_C, _A}),
    ),
    Operator(
        "hypot_slope(x, y)",
        continuous=False,
        mpmath=lambda a, b: a / mp.hypot(a, b) if a else mp.zero,
        # By the larger of the two, as hypot itself overflows and has few digits in the subnormal range.
        definition="m = saturate(max(abs(x), abs(y))); a = div_no_nan(x, m); "
        "div_no_nan(a, hypot(a, div_no_nan(y, m)))",
        derivative=(
            "s = hypot_slope(y, x); s*div_no_nan(s, hypot(x, y))",
            "-hypot_slope(y, x)*div_no_nan(hypot_slope(x, y), hypot(x, y))",
        ),
        safe="saturate(hypot_slope(x, y))",
        image=(-1.0, 1.0),
        poles=(0.0,),
        monotone=1,
        parity="odd",
        source="∂hypot/∂x: x/hypot(x, y), 0 at the origin",
    ),
    # --- choice --------------------------------------------------------------------------------------------------
    Operator(
        "max(x, y)",
        exact=max,
        mpmath=lambda a, b: max(a, b),
        ball=lambda a, b: a.max(b),
        bounds=lambda a, b: enclosures.larger(a, b),
        numpy=np.maximum,
        aten="torch.maximum({t0}, {t1})",
        sympy="Max({0}, {1})",
        differential="where(x > y, dx, where(x < y, dy, (dx + dy)/2))",
        laws=frozenset({_C, _A, _I}),
        aliases=("maximum",),
        latex=r"\max({0}, {1})",
        source="ties split the gradient, as torch.maximum",
    ),
    Operator(
        "min(x, y)",
        exact=min,
        mpmath=lambda a, b: min(a, b),
        ball=lambda a, b: a.min(b),
        bounds=lambda a, b: enclosures.smaller(a, b),
        numpy=np.minimum,
        aten="torch.minimum({t0}, {t1})",
        sympy="Min({0}, {1})",
        differential="where(x < y, dx, where(x > y, dy, (dx + dy)/2))",
        laws=frozenset({_C, _A, _I}),
        aliases=("minimum",),
        latex=r"\min({0}, {1})",
        source="ties split the gradient, as torch.minimum",
    ),
    Operator(
        "where(x, y, z)",
        continuous=False,
        mpmath=lambda c, a, b: a if c != 0 else b,
        ball=lambda c, a, b: enclosures.choose(c, a, b),
        bounds=lambda c, a, b: enclosures.choice(c, a, b),
        numpy=lambda c, a, b: np.where(c != 0, a, b),
        aten="torch.where({0} != 0, {t1}, {t2})",
        sympy="Piecewise(({1}, Ne({0}, 0)), ({2}, True))",
        differential="where(x, dy, dz)",
    ),
    _compare("lt", "<", lambda a, b: a < b, np.less),
    _compare("le", "<=", lambda a, b: a <= b, np.less_equal),
    _compare("gt", ">", lambda a, b: a > b, np.greater),
    _compare("ge", ">=", lambda a, b: a >= b, np.greater_equal),
    _compare("eq", "==", lambda a, b: a == b, np.equal, frozenset({_C})),
    _compare("ne", "!=", lambda a, b: a != b, np.not_equal, frozenset({_C})),
    Operator(
        "clamp(x, low, high)",
        mpmath=_mp_clip,
        definition="min(max(x, low), high)",
        differential="where(low > high, dhigh, where((x >= low)*(x <= high), dx, where(x < low, dlow, dhigh)))",
        monotone=1,
        laws=frozenset({Law.PROJECTION}),
        aliases=("clip",),
        source="gradient 1 at both ends, as torch.clamp",
    ),
    Operator("left(x, y)", mpmath=lambda a, b: a, definition="x", source="GRAFS figure 1, L"),
    Operator("right(x, y)", mpmath=lambda a, b: b, definition="y", source="GRAFS figure 1, R"),
    Operator(
        "sum_n(x, y)",
        mpmath=lambda *a: mp.fsum(a),
        definition="x + y",
        variadic=True,
        safe="saturate(x + y)",
        source="AQuaSurF appendix B, n-ary node",
    ),
    Operator(
        "prod_n(x, y)",
        mpmath=lambda *a: mp.fprod(a),
        definition="x*y",
        variadic=True,
        safe="saturate(x*y)",
        source="AQuaSurF appendix B, n-ary node",
    ),
    Operator(
        "max_n(x, y)",
        mpmath=lambda *a: max(a),
        definition="max(x, y)",
        variadic=True,
        source="AQuaSurF appendix B, n-ary node",
    ),
    Operator(
        "min_n(x, y)",
        mpmath=lambda *a: min(a),
        definition="min(x, y)",
        variadic=True,
        source="AQuaSurF appendix B, n-ary node",
    ),
    # --- safety: what safe mode writes ---------------------------------------------------------------------------
    Operator(
        "div_no_nan(x, y)",
        continuous=False,
        mpmath=lambda a, b: mp.zero if b == 0 else a / b,
        definition="where(y == 0, 0, x/y)",
        derivative=("div_no_nan(1, y)", "-div_no_nan(div_no_nan(x, y), y)"),
        safe="saturate(div_no_nan(x, y))",
        source="PANGAEA §4.1: 0 where the divisor is 0",
    ),
    Operator(
        "pow_no_nan(x, y)",
        continuous=False,
        mpmath=lambda a, b: mp.zero if (a == 0 and b < 0) or (a < 0 and b != _mp_floor(b)) else _mp_pow(a, b),
        definition="where((x < 0)*(y != floor(y)) + (x == 0)*(y < 0), 0, x**y)",
        derivative=(
            "where(((y - 1 + 1 != y) + (y - (y - 1) > 1) + (y - (y - 1) < 1))*(x/x == 1), "
            "div_no_nan(y*pow_no_nan(x, y), x), y*pow_no_nan(x, y - 1))",
            "where(x > 0, x**y*log(x), 0)",
        ),
        safe="saturate(pow_no_nan(x, y))",
        poles=(0.0,),
        source="0 at the pole and outside the domain",
    ),
    Operator(
        "saturate(x)",
        mpmath=lambda a: _mp_clip(a, -mp.mpf(_FLOAT64_MAX), mp.mpf(_FLOAT64_MAX)),
        ball=lambda a: a.max(-_FLOAT64_MAX).min(_FLOAT64_MAX),
        numpy=lambda a: np.clip(a, -_FLOAT64_MAX, _FLOAT64_MAX),
        aten="torch.clamp({t0}, torch.finfo({t0}.dtype).min, torch.finfo({t0}.dtype).max)",
        sympy="{0}",
        differential="saturate(dx)",
        monotone=1,
        parity="odd",
        laws=frozenset({Law.PROJECTION}),
        at_infinity=(-_FLOAT64_MAX, _FLOAT64_MAX),
        source="clamped to the finite range of the type it is computed in; at the root also of the stored type",
    ),
    Operator(
        "bound(x, limit=10)",
        mpmath=lambda a, b: _mp_clip(a, -b, b),
        definition="clamp(x, -limit, limit)",
        monotone=1,
        parity="odd",
        image=(-10.0, 10.0),
        at_infinity=(-10.0, 10.0),
        source="GRAFS §3.3, unbounded operations constrained to |y| ≤ ℓ",
    ),
    # --- roots, exponentials, logarithms -------------------------------------------------------------------------
    Operator(
        "sqrt(x)",
        instructions=9,
        analytic=True,
        mpmath=lambda a: mp.sqrt(a),
        numpy=np.sqrt,
        aten="torch.sqrt({t0})",
        sympy="sqrt({0})",
        derivative=("1/(2*sqrt(x))",),
        safe="sqrt(max(x, 0))",
        domain=(0.0, INF),
        image=(0.0, INF),
        monotone=1,
        at_infinity=(NAN, INF),
        latex=r"\sqrt{{{0}}}",
    ),
    Operator(
        "exp(x)",
        instructions=9,
        analytic=True,
        mpmath=_mp_exp,
        numpy=np.exp,
        aten="torch.exp({t0})",
        sympy="exp({0})",
        derivative=("exp(x)",),
        safe="saturate(exp(x))",
        image=(0.0, INF),
        monotone=1,
        at_infinity=(0.0, INF),
        latex="e^{{{0}}}",
    ),
    Operator(
        "expm1(x)",
        instructions=20,
        analytic=True,
        mpmath=lambda a: _mp_exp(a) - 1 if abs(a) > 1 else mp.expm1(a),
        ball=lambda a: enclosures.expm1(a),
        numpy=np.expm1,
        aten="torch.expm1({t0})",
        onnx="t = tanh(min(x, 1)/2); where(x < 1, 2*t/(1 - t), exp(x) - 1)",
        sympy="exp({0}) - 1",
        derivative=("exp(x)",),
        safe="saturate(expm1(x))",
        image=(-1.0, INF),
        monotone=1,
        at_infinity=(-1.0, INF),
        latex="e^{{{0}}} - 1",
    ),
    Operator(
        "log(x)",
        instructions=18,
        analytic=True,
        mpmath=lambda a: mp.log(a),
        numpy=np.log,
        aten="torch.log({t0})",
        sympy="log({0})",
        derivative=("1/x",),
        safe="log(max(x, 1.2e-38))",
        domain=(0.0, INF),
        poles=(0.0,),
        monotone=1,
        at_infinity=(NAN, INF),
        aliases=("ln",),
        latex=r"\log({0})",
        source="safe mode clamps just above float32's smallest normal number, since some devices flush subnormals",
    ),
    Operator(
        "log1p(x)",
        instructions=30,
        analytic=True,
        mpmath=lambda a: mp.log1p(a),
        numpy=np.log1p,
        aten="torch.log1p({t0})",
        # What rounding 1 + x leaves out, the quotient puts back.
        onnx="u = 1 + x; where(abs(x) < 1, where(u == 1, x, log(u)*(x/(u - 1))), log(u))",
        sympy="log(1 + {0})",
        derivative=("1/(1 + x)",),
        safe="log1p(max(x, -0.9999999))",
        domain=(-1.0, INF),
        poles=(-1.0,),
        monotone=1,
        at_infinity=(NAN, INF),
        latex=r"\log(1 + {0})",
    ),
    # --- trigonometric -------------------------------------------------------------------------------------------
    Operator(
        "sin(x)",
        instructions=129,
        analytic=True,
        mpmath=_mp_wave("sin"),
        numpy=np.sin,
        aten="torch.sin({t0})",
        sympy="sin({0})",
        derivative=("cos(x)",),
        image=(-1.0, 1.0),
        parity="odd",
    ),
    Operator(
        "cos(x)",
        instructions=129,
        analytic=True,
        mpmath=_mp_wave("cos"),
        numpy=np.cos,
        aten="torch.cos({t0})",
        sympy="cos({0})",
        derivative=("-sin(x)",),
        image=(-1.0, 1.0),
        parity="even",
    ),
    Operator(
        "tan(x)",
        instructions=140,
        continuous=False,
        analytic=True,
        mpmath=_mp_wave("tan"),
        numpy=np.tan,
        aten="torch.tan({t0})",
        sympy="tan({0})",
        derivative=("1 + square(tan(x))",),
        safe="saturate(tan(x))",
        parity="odd",
    ),
    Operator(
        "asin(x)",
        instructions=25,
        analytic=True,
        mpmath=lambda a: mp.asin(a),
        numpy=np.arcsin,
        aten="torch.asin({t0})",
        sympy="asin({0})",
        derivative=("1/sqrt((1 - x)*(1 + x))",),
        safe="asin(clamp(x, -1, 1))",
        domain=(-1.0, 1.0),
        image=(-math.pi / 2, math.pi / 2),
        monotone=1,
        parity="odd",
        aliases=("arcsin",),
        latex=r"\arcsin({0})",
    ),
    Operator(
        "acos(x)",
        instructions=25,
        analytic=True,
        mpmath=lambda a: mp.acos(a),
        numpy=np.arccos,
        aten="torch.acos({t0})",
        sympy="acos({0})",
        derivative=("-1/sqrt((1 - x)*(1 + x))",),
        safe="acos(clamp(x, -1, 1))",
        domain=(-1.0, 1.0),
        image=(0.0, math.pi),
        monotone=-1,
        aliases=("arccos",),
        latex=r"\arccos({0})",
    ),
    Operator(
        "atan(x)",
        instructions=25,
        analytic=True,
        mpmath=lambda a: mp.atan(a),
        numpy=np.arctan,
        aten="torch.atan({t0})",
        sympy="atan({0})",
        derivative=("square(1/hypot(x, 1))",),
        image=(-math.pi / 2, math.pi / 2),
        monotone=1,
        parity="odd",
        at_infinity=(-math.pi / 2, math.pi / 2),
        aliases=("arctan",),
        latex=r"\arctan({0})",
    ),
    Operator(
        "sinc_unnormalized(x)",
        analytic=True,
        mpmath=lambda a: mp.one if a == 0 else _mp_wave("sin")(a) / a,
        rounded=frozenset({"x"}),
        definition="where(x == 0, 1, sin(x)/x)",
        derivative=(f"where(abs(x) < 1, -x*{_polynomial(_SINC_SLOPE, 'square(x)')}, (cos(x) - sin(x)/x)/x)",),
        image=(-0.2172336282113, 1.0),
        parity="even",
        source="CAFE §3.1.1; Ramachandran et al. 2017: sin(x)/x",
    ),
    Operator(
        "sinc(x)",
        analytic=True,
        mpmath=lambda a: mp.one if a == 0 else mp.nan if mp.isinf(a) else _mp_wave("sinpi")(a) / (mp.pi * a),
        # x − 2·floor((x + 1)/2) is exact and in [−1, 1]: sin(πx) from a rounded πx would lose its zeros.
        rounded=frozenset({"x"}),
        definition="a = abs(x); where(x == 0, 1, sin(pi*(a - 2*floor((a + 1)/2)))/(pi*a))",
        derivative=(
            f"where(abs(x) < 0.3, -pi*pi*x*{_polynomial(_SINC_SLOPE, 'square(pi*x)')}, "
            "(cos(pi*(x - 2*floor((x + 1)/2))) - sinc(x))/x)",
        ),
        image=(-0.2172336282113, 1.0),
        parity="even",
        source="torch.sinc: sin(πx)/(πx)",
    ),
    # --- hyperbolic ----------------------------------------------------------------------------------------------
    Operator(
        "sinh(x)",
        instructions=30,
        analytic=True,
        mpmath=lambda a: mp.sinh(a) if abs(a) < 1e6 else (_mp_exp(a) - _mp_exp(-a)) / 2,
        numpy=np.sinh,
        # torch's vectorised code overflows a little below float64's end.
        aten="torch.where(torch.abs({t0}) < 88, torch.sinh({t0}), "
        "torch.sign({t0})*torch.exp(torch.abs({t0})/2)*(torch.exp(torch.abs({t0})/2)/2))",
        sympy="sinh({0})",
        derivative=("cosh(x)",),
        safe="saturate(sinh(x))",
        monotone=1,
        parity="odd",
        at_infinity=(-INF, INF),
    ),
    Operator(
        "cosh(x)",
        instructions=15,
        analytic=True,
        mpmath=lambda a: (_mp_exp(a) + _mp_exp(-a)) / 2,
        bounds=lambda a: enclosures.even(a, lambda b: b.cosh(), INF),
        numpy=np.cosh,
        aten="torch.where(torch.abs({t0}) < 88, torch.cosh({t0}), "
        "torch.exp(torch.abs({t0})/2)*(torch.exp(torch.abs({t0})/2)/2))",
        sympy="cosh({0})",
        derivative=("sinh(x)",),
        safe="saturate(cosh(x))",
        image=(1.0, INF),
        parity="even",
        at_infinity=(INF, INF),
    ),
    Operator(
        "tanh(x)",
        instructions=20,
        analytic=True,
        mpmath=_mp_tanh,
        ball=lambda a: enclosures.tanh(a),
        numpy=np.tanh,
        aten="torch.tanh({t0})",
        sympy="tanh({0})",
        derivative=("square(1/cosh(x))",),
        image=(-1.0, 1.0),
        monotone=1,
        parity="odd",
        at_infinity=(-1.0, 1.0),
    ),
    Operator(
        "asinh(x)",
        instructions=70,
        analytic=True,
        mpmath=lambda a: mp.asinh(a),
        numpy=np.arcsinh,
        aten="torch.asinh({t0})",
        sympy="asinh({0})",
        derivative=("1/hypot(x, 1)",),
        monotone=1,
        parity="odd",
        at_infinity=(-INF, INF),
        aliases=("arcsinh",),
        latex=r"\operatorname{{arcsinh}}({0})",
    ),
    Operator(
        "acosh(x)",
        instructions=70,
        analytic=True,
        mpmath=lambda a: mp.acosh(a),
        numpy=np.arccosh,
        aten="torch.acosh({t0})",
        sympy="acosh({0})",
        derivative=("1/(sqrt(x - 1)*sqrt(x + 1))",),
        safe="acosh(max(x, 1))",
        domain=(1.0, INF),
        image=(0.0, INF),
        monotone=1,
        at_infinity=(NAN, INF),
        aliases=("arccosh",),
        latex=r"\operatorname{{arccosh}}({0})",
    ),
    Operator(
        "atanh(x)",
        instructions=40,
        analytic=True,
        mpmath=lambda a: mp.atanh(a),
        numpy=np.arctanh,
        aten="torch.atanh({t0})",
        sympy="atanh({0})",
        derivative=("1/((1 - x)*(1 + x))",),
        safe="atanh(clamp(x, -0.9999999, 0.9999999))",
        domain=(-1.0, 1.0),
        poles=(-1.0, 1.0),
        monotone=1,
        parity="odd",
        aliases=("arctanh",),
        latex=r"\operatorname{{arctanh}}({0})",
    ),
    # --- special functions ---------------------------------------------------------------------------------------
    Operator(
        "erf(x)",
        instructions=25,
        effort=4,
        analytic=True,
        mpmath=lambda a: mp.sign(a) if a * a > mp.prec else mp.erf(a),
        ball=lambda a: enclosures.erf(a),
        numpy=lambda a: special.erf(a),
        aten="torch.erf({t0})",
        sympy="erf({0})",
        derivative=("2/sqrt(pi)*exp(-square(x))",),
        image=(-1.0, 1.0),
        monotone=1,
        parity="odd",
        at_infinity=(-1.0, 1.0),
    ),
    Operator(
        "erfc(x)",
        instructions=47,
        effort=6,
        analytic=True,
        mpmath=_mp_erfc,
        ball=lambda a: enclosures.erfc(a),
        numpy=_erfc,
        aten="torch.erfc({t0})",
        onnx=f"q = 1/(x + 2); where(x < 0.5, 1 - erf(x), {_polynomial(ERFCX, '(5*q - 1)')}*q*exp(-square(x)))",
        sympy="erfc({0})",
        derivative=("-2/sqrt(pi)*exp(-square(x))",),
        image=(0.0, 2.0),
        monotone=-1,
        at_infinity=(2.0, 0.0),
    ),
    Operator(
        "i0e(x)",
        instructions=50,
        effort=10,
        mpmath=lambda a: _mp_i(0, a),
        ball=lambda a: enclosures.bessel(0, a),
        bounds=lambda a: enclosures.even(a, lambda b: b.bessel_i(0, scaled=True), 0.0),
        numpy=lambda a: special.i0e(a),
        aten="torch.special.i0e({t0})",
        onnx=f"a = abs(x); {_bessel(I0E_NEAR, I0E_FAR)}",
        sympy="besseli(0, {0})*exp(-Abs({0}))",
        derivative=("-sign(x)*i0e_minus_i1e(x)",),
        image=(0.0, 1.0),
        kinks=(0.0,),
        parity="even",
        at_infinity=(0.0, 0.0),
        aliases=("bessel_i0e",),
        source="PANGAEA table 4.1",
    ),
    Operator(
        "i1e(x)",
        effort=10,
        analytic=True,
        mpmath=lambda a: _mp_i(1, a),
        ball=lambda a: a.sgn() * enclosures.bessel(1, a),
        bounds=lambda a: enclosures.odd_hump(a, lambda b: b.bessel_i(1, scaled=True), *enclosures.I1E_PEAK),
        rounded=frozenset({"definition"}),
        # scipy's and torch's, both Cephes, lose four bits below 8.
        definition=_I1E,
        sympy="besseli(1, {0})*exp(-Abs({0}))",
        derivative=("i1e_slope(x)",),
        image=(-0.21909197495053095, 0.21909197495053095),
        parity="odd",
        at_infinity=(-0.0, 0.0),
        aliases=("bessel_i1e",),
        source="PANGAEA table 4.1",
    ),
    Operator(
        "i0e_minus_i1e(x)",
        effort=20,
        mpmath=lambda a: _mp_i(0, a) - _mp_i(1, abs(a)),
        ball=lambda a: enclosures.bessel(0, a) - enclosures.bessel(1, a),
        rounded=frozenset({"definition", "x"}),
        definition=_pieces(SLOPE_NEAR, SLOPE_MIDDLE, SLOPE_FAR),
        image=(0.0, 1.0),
        kinks=(0.0,),
        parity="even",
        at_infinity=(0.0, 0.0),
        source="i0e(|x|) − i1e(|x|), which is −d i0e/dx for x > 0, without its cancellation",
    ),
    Operator(
        "i1e_slope(x)",
        effort=20,
        mpmath=lambda a: mp.mpf(0.5) if a == 0 else _mp_i(0, a) - _mp_i(1, abs(a)) * (1 + 1 / abs(a)),
        ball=lambda a: enclosures.bessel_slope(a),
        rounded=frozenset({"definition", "x"}),
        definition=_pieces(I1E_SLOPE_NEAR, I1E_SLOPE_MIDDLE, I1E_SLOPE_FAR),
        image=(-0.0196253794026, 0.5),
        kinks=(0.0,),
        parity="even",
        at_infinity=(-0.0, -0.0),
        source="d i1e/dx without its cancellation",
    ),
    # --- activations ---------------------------------------------------------------------------------------------
    Operator(
        "sigmoid(x)",
        analytic=True,
        mpmath=lambda a: 1 / (1 + _mp_exp(-a)),
        ball=lambda a: 1 / enclosures.total(enclosures.ONE, (-a).exp()),
        definition="where(x < 0, exp(-abs(x)), 1)/(1 + exp(-abs(x)))",
        derivative=("sigmoid(x)*sigmoid(-x)",),
        image=(0.0, 1.0),
        monotone=1,
        at_infinity=(0.0, 1.0),
        aliases=("sigma", "logistic"),
        latex=r"\sigma({0})",
    ),
    Operator(
        "log_sigmoid(x)",
        analytic=True,
        mpmath=lambda a: -_mp_softplus(-a, mp.one),
        definition="min(x, 0) - log1p(exp(-abs(x)))",
        derivative=("sigmoid(-x)",),
        image=(-INF, 0.0),
        monotone=1,
        at_infinity=(-INF, 0.0),
        aliases=("logsigmoid", "logsig"),
        latex=r"\log \sigma({0})",
    ),
    Operator(
        "softplus(x, beta=1)",
        analytic=True,
        mpmath=lambda a, b: _mp_softplus(a, b),
        ball=lambda a, b: enclosures.total((a * b).max(0), (-abs(a * b)).exp().log1p()) / b,
        rounded=frozenset({"definition", "beta"}),
        # A small β magnifies an exponential below the normal range: as a square its root keeps the digits.
        definition="t = abs(beta*x); g = exp(-t/2); where(beta*x > 0, x, 0) + "
        "where((abs(beta) < 1)*(t > 99), g*(g/beta), log1p(exp(-t))/beta)",
        derivative=(
            "sigmoid(beta*x)",
            "t = min(abs(beta*x), 4000); g = exp(-t/2); "
            "-where(t > 99, (t + 1)*square(g/beta), (t*sigmoid(-t) + log1p(exp(-t)))/beta/beta)",
        ),
        safe="saturate(softplus(x, beta))",
        image=(0.0, INF),
        monotone=1,
        at_infinity=(0.0, INF),
        source="log(1 + e^(βx))/β; torch's threshold at 20 is an approximation that is not made here",
    ),
    Operator(
        "softsign(x)",
        mpmath=lambda a: mp.sign(a) if mp.isinf(a) else a / (1 + abs(a)),
        definition="x/(1 + abs(x))",
        derivative=("square(1/(1 + abs(x)))",),
        image=(-1.0, 1.0),
        monotone=1,
        parity="odd",
    ),
    Operator(
        "relu(x)",
        mpmath=lambda a: max(a, mp.zero),
        ball=lambda a: a.max(0),
        numpy=lambda a: np.where(a < 0, 0.0, a),
        aten="torch.relu({t0})",
        sympy="Max({0}, 0)",
        differential="where(x > 0, dx, 0)",
        image=(0.0, INF),
        kinks=(0.0,),
        monotone=1,
        laws=frozenset({Law.PROJECTION}),
        at_infinity=(0.0, INF),
        latex=r"\operatorname{{ReLU}}({0})",
    ),
    Operator(
        "relu6(x)",
        mpmath=lambda a: _mp_clip(a, mp.zero, mp.mpf(6)),
        definition="where(x < 0, 0, min(x, 6))",
        differential="where((x > 0)*(x < 6), dx, 0)",
        image=(0.0, 6.0),
        kinks=(0.0, 6.0),
        monotone=1,
        laws=frozenset({Law.PROJECTION}),
        at_infinity=(0.0, 6.0),
    ),
    Operator(
        "leaky_relu(x, negative_slope=0.01)",
        mpmath=lambda a, s: a if a > 0 else s * a,
        definition="where(x > 0, x, negative_slope*x)",
        kinks=(0.0,),
        monotone=1,
        at_infinity=(-INF, INF),
        aliases=("lrelu",),
        safe="saturate(leaky_relu(x, negative_slope))",
    ),
    Operator(
        "prelu(x, weight)",
        mpmath=lambda a, s: a if a > 0 else s * a,
        definition="where(x > 0, x, weight*x)",
        kinks=(0.0,),
        safe="saturate(prelu(x, weight))",
    ),
    Operator(
        "rrelu(x, lower=1/8, upper=1/3)",
        mpmath=lambda a, low, high: a if a > 0 else (low + high) / 2 * a,
        # Halved before they are added: the sum could overflow.
        definition="where(x > 0, x, x*(lower/2 + upper/2))",
        kinks=(0.0,),
        monotone=1,
        at_infinity=(-INF, INF),
        safe="saturate(rrelu(x, lower, upper))",
        source="torch.nn.RReLU in evaluation mode; its random slopes in training are no function of x",
    ),
    Operator(
        "elu(x, alpha=1)",
        mpmath=lambda a, s: a if a >= 0 else s * mp.expm1(a),
        definition="where(x < 0, alpha*expm1(min(x, 0)), x)",
        # A large α magnifies an exponential below the normal range: as a square its root keeps the digits.
        derivative=(
            "g = exp(min(x, 0)/2); where(x > 0, 1, where(alpha*alpha > 1, alpha*g*g, alpha*exp(min(x, 0))))",
            "where(x > 0, 0, expm1(min(x, 0)))",
        ),
        image=(-1.0, INF),
        monotone=1,
        at_infinity=(-1.0, INF),
        safe="saturate(elu(x, alpha))",
    ),
    Operator(
        "celu(x, alpha=1)",
        mpmath=lambda a, s: a if a > 0 else s * mp.expm1(a / s) if s != 0 else mp.zero,
        ball=lambda a, s: a.max(0) + (0 if s.is_zero() else s * (a.min(0) / s).expm1()),
        rounded=frozenset({"definition", "alpha"}),
        # Close to 0 it is x to the last digit, where x/α may have lost all of its own below the normal range.
        definition="where(alpha == 0, max(x, 0), where(x >= -1e-17*abs(alpha), x, alpha*expm1(min(x, 0)/alpha)))",
        derivative=(
            "where(x > 0, 1, exp(min(x, 0)/alpha))",
            # e^t − 1 and t·e^t agree to the first order in t; below −800 the exponential is 0, but ∞·0 were NaN.
            "t = max(min(x, 0)/alpha, -800); "
            f"where(abs(t) > 1, (1 - t)*exp(t) - 1, -t*t*{_polynomial(_CELU_SLOPE, 't')})",
        ),
        image=(-1.0, INF),
        monotone=1,
        at_infinity=(-1.0, INF),
        safe="saturate(celu(x, alpha))",
        source="torch's form also for a negative α, which Barron 2017 leaves out",
    ),
    Operator(
        "selu(x)",
        mpmath=lambda a: mp.mpf(SELU_SCALE) * (a if a > 0 else mp.mpf(SELU_ALPHA) * mp.expm1(a)),
        definition=f"where(x < 0, {SELU_SCALE}*{SELU_ALPHA}*expm1(min(x, 0)), {SELU_SCALE}*x)",
        derivative=(f"where(x > 0, {SELU_SCALE}, {SELU_SCALE}*{SELU_ALPHA}*exp(min(x, 0)))",),
        image=(-1.758099340847377, INF),
        kinks=(0.0,),
        monotone=1,
        at_infinity=(-1.7580993408473768, INF),
        safe="saturate(selu(x))",
    ),
    Operator(
        "gelu(x)",
        analytic=True,
        mpmath=lambda a: a * _mp_erfc(-a / mp.sqrt(2)) / 2,
        definition="x*(erfc(-x*sqrt(1/2))/2)",
        # Factors g of e^(−x²/2), which alone would lose its digits below the normal range.
        derivative=("g = exp(-square(x)/4); erfc(-x*sqrt(1/2))/2 + x*g*g/sqrt(2*pi)",),
        image=(-0.1699712074800, INF),
        at_infinity=(NAN, INF),
        latex=r"\operatorname{{GELU}}({0})",
        source="erf form, as torch.nn.GELU()",
    ),
    Operator(
        # |x| > 100 saturates the sigmoid to 0 or 1 exactly, and clamping there keeps x³ from overflowing.
        "gelu_tanh(x)",
        analytic=True,
        mpmath=lambda a: a / (1 + _mp_exp(-2 * mp.sqrt(2 / mp.pi) * (a + mp.mpf("0.044715") * a**3))),
        ball=lambda a: a / (1 + (-(8 / enclosures.pi()).sqrt() * (a + a**3 * 44715 / 10**6)).exp()),
        rounded=frozenset({"definition", "x"}),
        definition="x*sigmoid(sqrt(8/pi)*(clamp(x, -100, 100) + 0.044715*cube(clamp(x, -100, 100))))",
        image=(-0.1700407505713, INF),
        at_infinity=(NAN, INF),
        source="PANGAEA §4.7's form, as torch.nn.GELU('tanh')",
    ),
    Operator(
        # Factors of e^(x/2): e^x alone would lose its digits below the normal range before x multiplies it.
        "silu(x)",
        analytic=True,
        mpmath=lambda a: a / (1 + _mp_exp(-a)),
        definition="g = exp(-abs(x)/2); where(x < 0, x*g*g, x)/(1 + square(g))",
        derivative=("g = exp(-abs(x)/2); s = 1 + x*sigmoid(-x); where(x < 0, s*g*g, s)/(1 + square(g))",),
        image=(-0.2784645427611, INF),
        at_infinity=(NAN, INF),
        aliases=("swish",),
        latex=r"\operatorname{{SiLU}}({0})",
    ),
    Operator(
        # tanh(softplus(x)) = n/(n + 2) with n = e^x(e^x + 2), on the right divided through by e^2x; w = e^−|x| = g².
        "mish(x)",
        analytic=True,
        mpmath=lambda a: a * _mp_tanh(_mp_softplus(a, mp.one)),
        definition="g = exp(-abs(x)/2); w = square(g); "
        "where(x < 0, x*g*g*(w + 2)/(w*(w + 2) + 2), x*(1 + 2*w)/(1 + 2*w + 2*w*w))",
        derivative=(
            "g = exp(-abs(x)/2); w = square(g); n = w*(w + 2) + 2; q = 1 + 2*w + 2*w*w; "
            "where(x < 0, ((w + 2)/n + x*(1 + w)/square(n/2))*g*g, (1 + 2*w)/q + 4*w*w*x*(1 + w)/square(q))",
        ),
        image=(-0.3088434130172504, INF),
        at_infinity=(NAN, INF),
        latex=r"\operatorname{{Mish}}({0})",
    ),
    Operator(
        "elish(x)",
        mpmath=lambda a: (a if a >= 0 else mp.expm1(a)) / (1 + _mp_exp(-a)),
        definition="where(x >= 0, x, expm1(min(x, 0)))*sigmoid(x)",
        image=(-0.17157287525381, INF),
        at_infinity=(-0.0, INF),
        source="Basirat and Roth 2018; PANGAEA §4.7",
    ),
    Operator(
        "hard_elish(x)",
        mpmath=lambda a: (a if a >= 0 else mp.expm1(a)) * _mp_clip((a + 1) / 2, mp.zero, mp.one),
        definition="where(x >= 0, x, expm1(min(x, 0)))*hardtanh((x + 1)/2, 0, 1)",
        # By cases of x itself: (x + 1)/2 rounds onto its kink before x reaches it.
        derivative=(
            "where(x <= -1, 0, where(x < 0, (exp(min(x, 0))*(x + 1) + expm1(min(x, 0)))/2, where(x < 1, x + 1/2, 1)))",
        ),
        image=(-0.0996731515288, INF),
        kinks=(-1.0, 0.0, 1.0),
        at_infinity=(-0.0, INF),
        source="Basirat and Roth 2018",
    ),
    Operator(
        "hardtanh(x, min_val=-1, max_val=1)",
        mpmath=_mp_clip,
        definition="min(max(x, min_val), max_val)",
        differential="where(min_val > max_val, dmax_val, "
        "where((x > min_val)*(x < max_val), dx, where(x <= min_val, dmin_val, dmax_val)))",
        image=(-1.0, 1.0),
        kinks=(-1.0, 1.0),
        monotone=1,
        laws=frozenset({Law.PROJECTION}),
        at_infinity=(-1.0, 1.0),
    ),
    Operator(
        "hardsigmoid(x)",
        mpmath=lambda a: _mp_clip(a + 3, mp.zero, mp.mpf(6)) / 6,
        definition="min(max(x + 3, 0), 6)/6",
        differential="where((x > -3)*(x < 3), dx/6, 0)",
        image=(0.0, 1.0),
        kinks=(-3.0, 3.0),
        monotone=1,
        at_infinity=(0.0, 1.0),
        source="torch.nn.Hardsigmoid",
    ),
    Operator(
        "hard_sigmoid(x)",
        mpmath=lambda a: _mp_clip(a / 5 + mp.mpf("0.5"), mp.zero, mp.one),
        definition="min(max(0.2*x + 0.5, 0), 1)",
        differential="where((x > -2.5)*(x < 2.5), 0.2*dx, 0)",
        image=(0.0, 1.0),
        kinks=(-2.5, 2.5),
        monotone=1,
        at_infinity=(0.0, 1.0),
        source="PANGAEA §4.7",
    ),
    Operator(
        "hardswish(x)",
        mpmath=lambda a: a * _mp_clip(a + 3, mp.zero, mp.mpf(6)) / 6,
        definition="x*(min(max(x + 3, 0), 6)/6)",
        derivative=("where(x <= -3, 0, where(x >= 3, 1, x/3 + 0.5))",),
        image=(-0.375, INF),
        kinks=(-3.0, 3.0),
        at_infinity=(NAN, INF),
    ),
    Operator(
        "hardshrink(x, lambd=0.5)",
        mpmath=lambda a, b: a if abs(a) > b else mp.zero,
        definition="where(abs(x) <= lambd, 0, x)",
        poles=_HALF,
        monotone=1,
        parity="odd",
        at_infinity=(-INF, INF),
    ),
    Operator(
        "softshrink(x, lambd=0.5)",
        mpmath=lambda a, b: a - b if a > b else a + b if a < -b else mp.zero,
        definition="where(x > lambd, x - lambd, where(x >= -lambd, 0, x + lambd))",
        kinks=_HALF,
        monotone=1,
        parity="odd",
        at_infinity=(-INF, INF),
        safe="saturate(softshrink(x, lambd))",
    ),
    Operator(
        # x − tanh x cancels below 1: there it is (x·cosh x − sinh x)/cosh x with the numerator's own series.
        "tanhshrink(x)",
        analytic=True,
        mpmath=lambda a: a - _mp_tanh(a),
        ball=lambda a: a - a.tanh(),
        rounded=frozenset({"definition"}),
        definition=f"where(abs(x) < 1, cube(x)*{_polynomial(_SHRINK, 'square(x)')}/cosh(x), x - tanh(x))",
        derivative=("square(tanh(x))",),
        monotone=1,
        parity="odd",
        at_infinity=(-INF, INF),
    ),
    Operator(
        "threshold(x, threshold, value)",
        continuous=False,
        mpmath=lambda a, t, v: a if a > t else v,
        definition="where(x <= threshold, value, x)",
    ),
)


def _names() -> dict[str, Operator]:
    table: dict[str, Operator] = {}
    for row in _ROWS:
        for name in (row.name, *row.aliases):
            if name in table:
                raise AssertionError(f"two rows of the operator table claim the name {name!r}")
            table[name] = row
    return table


_BY_NAME = _names()

#: The rows by their own names, in the table's order.
OPERATORS = MappingProxyType({row.name: row for row in _ROWS})


def is_operator(name: str) -> bool:
    """Whether a row has that name or alias."""
    return name in _BY_NAME


def operator(name: str) -> Operator:
    """The row of that name or alias. Raises ExpressionError naming the nearest known one."""
    row = _BY_NAME.get(name)
    if row is None:
        raise ExpressionError(f"unknown operator {name[:40]!r}{suggestion(name)}")
    return row


def suggestion(name: str, known: Iterable[str] = ()) -> str:
    """``"; did you mean 'tanh'?"`` for the nearest of the known names (operators' when none are given), or nothing."""
    # difflib is quadratic in the length: a name of a megabyte has no near neighbour anyway.
    close = difflib.get_close_matches(name.lower(), list(known or _BY_NAME), n=1, cutoff=0.6) if len(name) <= 40 else []
    return f"; did you mean {close[0]!r}?" if close else ""

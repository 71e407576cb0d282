"""Rewrite rules as data, and the simplifier that applies them.

A rule reads like the identity it states. ``FLOAT`` marks those that change no bit of a float64 value, ``REAL`` those
that are true over the reals wherever the left side is defined. In a pattern ``a``, ``b``, ``c`` stand for any
expression and ``k`` for a constant.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from functools import cache, cached_property, lru_cache, reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from actc.expr import Expr, apply, constant, postorder, symbol
from actc.normal_form import (
    ARITHMETIC,
    MAX_TERMS,
    Knowledge,
    Product,
    Sum,
    doubts,
    expr_of,
    is_arithmetic,
    looks_negative,
    negated,
    normal,
    sort_key,
    sum_of,
    total_function,
    vanished,
)
from actc.operators import OPERATORS, SELU_ALPHA, SELU_SCALE, Law, Operator, operator
from actc.parsing import parse

if TYPE_CHECKING:
    from actc.enclosures import Region
    from actc.samples import Sampler


class Holds(Enum):
    """Where a rule is true."""

    FLOAT = "bit for bit in float64"
    REAL = "over the reals, wherever the left side is defined"


#: What a rule asks of the expressions that its letters stand for, in a case.
Condition = Callable[[dict[str, Expr], "Case"], bool]


@dataclass(frozen=True)
class Rule:
    """``pattern`` → ``result`` for every binding for which ``when`` is known and that ``condition`` accepts."""

    name: str
    pattern: Expr
    result: Expr
    holds: Holds
    when: Expr | None = None
    condition: Condition | None = None

    @cached_property
    def needs(self) -> frozenset[str]:
        """The operators that the arguments of what it matches have, "" for a constant: most rules need no closer
        look."""
        asked = (a for a in self.pattern.args if a.kind != "symbol" or a.name == "k")
        return frozenset("" if a.kind == "symbol" else a.name for a in asked)

    @cached_property
    def needs_in_normal_form(self) -> frozenset[str]:
        """The same of a normal form, in which what is simpler negated is no negation."""
        return self.needs - {"neg"}

    def applies(self, binding: dict[str, Expr], case: Case | None) -> bool:
        """Whether what the rule asks for is known of the expressions that its letters stand for."""
        if self.when is not None and (
            case is None or not case.knows(self.when.name, *(instantiate(side, binding) for side in self.when.args))
        ):
            return False
        return self.condition is None or self.condition(binding, case or everywhere())


def rule(
    name: str,
    pattern: str,
    result: str,
    holds: Holds = Holds.REAL,
    when: str = "",
    condition: Condition | None = None,
) -> Rule:
    """One row of a rule table; ``when`` is an inequality that must hold wherever both sides are defined, a strict one
    but for isolated points."""
    return Rule(name, parse(pattern), parse(result), holds, parse(when) if when else None, condition)


def _total(*names: str) -> Condition:
    return lambda binding, case: all(total_function(binding[n], case) for n in names)


def _finite(*names: str) -> Condition:
    """What is infinite on an interval obeys fewer laws: ∞/(1 + ∞) is undefined."""
    return lambda binding, case: all(case.finite(binding[n]) for n in names)


def _vanishes_rarely(name: str) -> Condition:
    """0 has no sign: 1/(-relu(x)) is ∞ for x < 0, as 1/0 is."""
    return lambda binding, case: case.vanishes_rarely(binding[name])


def _never_infinite_to_zero(binding: dict[str, Expr], case: Case) -> bool:
    """∞**0 is undefined, and 0**0 is 1."""
    base, exponent = binding["a"], binding["b"]
    return case.finite(base) and (case.vanishes_rarely(base) or case.vanishes_rarely(exponent))


def _defined_with(other: str, name: str) -> Condition:
    """Wherever the one is defined, so is the other."""
    # Of what is infinite on an interval, 0/0 and 1/0 have a doubt in common.
    finite = _finite(other, name)
    return lambda binding, case: (
        (needed := doubts(binding[name], case)) <= doubts(binding[other], case)
        and (not needed or finite(binding, case))
    )


def _needed_or_total(name: str, other: str) -> Condition:
    """At 0, on an interval, elu is 0 without its second argument."""
    return lambda binding, case: (
        case.vanishes_rarely(binding[name])
        or (case.finite(binding[other]) and total_function(binding[other], case))
    )


def _no_product(binding: dict[str, Expr], case: Case) -> bool:
    """Powers whose exponent is a whole number are products."""
    exponent = binding["b"].value
    return (exponent is None or exponent.denominator != 1) and case.finite(binding["a"])


def _undefined_power(binding: dict[str, Expr], case: Case) -> bool:
    base, exponent = binding["a"], binding["b"]
    if exponent.value is not None:
        return exponent.value.denominator != 1 and case.positive(-base)
    return case.varies(exponent) and case.positive(-base)


FLOAT, REAL = Holds.FLOAT, Holds.REAL

#: Bit-identical clean-ups, safe on the way to a kernel.
TIDY = (
    rule("neg-neg", "-(-a)", "a", FLOAT),
    rule("times-one", "a*1", "a", FLOAT),
    rule("over-one", "a/1", "a", FLOAT),
    rule("over-minus-one", "a/-1", "-a", FLOAT),
    rule("times-minus-one", "a*-1", "-a", FLOAT),
    rule("minus-neg", "a - (-b)", "a + b", FLOAT),
    rule("plus-neg", "a + (-b)", "a - b", FLOAT),
    rule("neg-times-neg", "(-a)*(-b)", "a*b", FLOAT),
    rule("power-one", "a**1", "a", FLOAT),
    rule("abs-neg", "abs(-a)", "abs(a)", FLOAT),
    rule("abs-abs", "abs(abs(a))", "abs(a)", FLOAT),
    rule("relu-relu", "relu(relu(a))", "relu(a)", FLOAT),
    rule("max-same", "max(a, a)", "a", FLOAT),
    rule("min-same", "min(a, a)", "a", FLOAT),
    rule("where-same", "where(a, b, b)", "b", FLOAT),
    rule("left", "left(a, b)", "a", FLOAT),
    rule("right", "right(a, b)", "b", FLOAT),
    rule("square-abs", "square(abs(a))", "square(a)", FLOAT),
)

#: Names for compositions, written out so that equal functions meet; :data:`RECOGNISE` reads them backwards.
EXPAND = (
    rule("square", "square(a)", "a**2"),
    rule("cube", "cube(a)", "a**3"),
    rule("reciprocal", "reciprocal(a)", "1/a"),
    rule("expm1", "expm1(a)", "exp(a) - 1"),
    rule("log1p", "log1p(a)", "log(a + 1)"),
    rule("erfc", "erfc(a)", "1 - erf(a)"),
    rule("silu", "silu(a)", "a*sigmoid(a)"),
    rule("log-sigmoid", "log_sigmoid(a)", "-softplus(-a)"),
    rule("tanhshrink", "tanhshrink(a)", "a - tanh(a)"),
    rule("softsign", "softsign(a)", "a/(1 + abs(a))", condition=_finite("a")),
    rule("elish", "elish(a)", "where(a >= 0, a, exp(a) - 1)*sigmoid(a)"),
    rule("below", "a < b", "b > a"),
    rule("at-most", "a <= b", "b >= a"),
    rule("rrelu", "rrelu(a, b, c)", "where(a > 0, a, a*(b + c)/2)"),
    rule("threshold", "threshold(a, b, c)", "where(b >= a, c, a)"),
    rule("bound", "bound(a, b)", "min(max(a, -b), b)"),
    rule("mish", "mish(a)", "a*tanh(softplus(a))"),
    rule("relu", "relu(a)", "max(a, 0)"),
    rule("relu6", "relu6(a)", "min(max(a, 0), 6)"),
    rule("clamp", "clamp(a, b, c)", "min(max(a, b), c)"),
    rule("hardtanh", "hardtanh(a, b, c)", "min(max(a, b), c)"),
    rule("hardsigmoid", "hardsigmoid(a)", "min(max(a + 3, 0), 6)/6"),
    rule("hardswish", "hardswish(a)", "a*(min(max(a + 3, 0), 6)/6)"),
    rule("hard-sigmoid", "hard_sigmoid(a)", "min(max(0.2*a + 0.5, 0), 1)"),
    rule("prelu", "prelu(a, b)", "where(a > 0, a, b*a)"),
    rule("leaky-relu", "leaky_relu(a, b)", "where(a > 0, a, b*a)"),
)

#: Identities that shorten, applied after the arithmetic is in normal form.
SHORTEN = (
    rule("log-exp", "log(exp(a))", "a"),
    rule("exp-zero", "exp(0)", "1"),
    rule("exp-log", "exp(log(a))", "a", when="a >= 0"),
    rule("log-one", "log(1)", "0"),
    rule("log-zero", "log(0)", "-1/0"),
    rule("atanh-one", "atanh(1)", "1/0"),
    rule("sqrt-square", "sqrt(a**2)", "abs(a)"),
    rule("abs-square", "abs(a)**2", "a**2"),
    rule("abs-even", "abs(a**2)", "a**2"),
    rule("abs-exp", "abs(exp(a))", "exp(a)"),
    rule("sigmoid-of-growth", "exp(a)/(1 + exp(a))", "sigmoid(a)", condition=_finite("a")),
    rule("sigmoid-of-decay", "b/(1 + exp(-a))", "b*sigmoid(a)"),
    rule("sigmoid-of-exp", "b/(1 + exp(a))", "b*sigmoid(-a)"),
    rule("softplus-of-exp", "log(1 + exp(a))", "softplus(a)"),
    rule("log-of-sigmoid", "log(sigmoid(a))", "-softplus(-a)"),
    rule("softplus-reflection", "softplus(-a)", "softplus(a) - a", condition=_finite("a")),
    rule("sigmoid-reflection", "sigmoid(-a)", "1 - sigmoid(a)"),
    rule("tanh-of-sinh", "sinh(a)/cosh(a)", "tanh(a)", condition=_finite("a")),
    rule("max-of-negatives", "max(-a, a)", "abs(a)"),
    rule("sigmoid-zero", "sigmoid(0)", "1/2"),
    rule("cosh-zero", "cosh(0)", "1"),
    rule("cos-zero", "cos(0)", "1"),
    rule("i0e-zero", "i0e(0)", "1"),
    rule("sinc-zero", "sinc_unnormalized(0)", "1"),
    rule("power-zero", "a**0", "1", condition=_total("a")),
    rule("half-power", "a**0.5", "sqrt(a)"),
    rule("pow-of-one", "1**a", "1", condition=_total("a")),
    rule("equals-itself", "a == a", "1", condition=_total("a")),
    rule("differs-from-itself", "a != a", "0", condition=_total("a")),
    rule("hypot-zero", "hypot(a, 0)", "abs(a)"),
    rule("where-of-equals", "where(a, b, b)", "b"),
    rule("not-above-itself", "a > a", "0"),
    rule("max-of-floor", "max(a, floor(a))", "a"),
    rule("min-of-floor", "min(a, floor(a))", "floor(a)"),
    rule("tan-atan", "tan(atan(a))", "a", condition=_finite("a")),
    rule("atanh-tanh", "atanh(tanh(a))", "a"),
    rule("sinh-asinh", "sinh(asinh(a))", "a"),
    rule("asinh-sinh", "asinh(sinh(a))", "a"),
    rule("log-of-reflected-sigmoid", "log(1 - sigmoid(a))", "-softplus(a)"),
    rule("power-of-exp", "exp(a)**b", "exp(a*b)", condition=_finite("a")),
    rule("power-of-sigmoid", "sigmoid(a)**b", "exp(b*(a - softplus(a)))", condition=_no_product),
    rule("power-of-reciprocal", "(1/a)**b", "a**(-b)", condition=_never_infinite_to_zero),
    rule("bessel-difference", "i0e(a) - i1e(a)", "i0e_minus_i1e(a)", when="a >= 0"),
)

#: What is known of the values decides.
DECIDE = (
    rule("max-of-ordered", "max(a, b)", "a", when="a >= b", condition=_defined_with("a", "b")),
    rule("max-of-reversed", "max(a, b)", "b", when="a <= b", condition=_defined_with("b", "a")),
    rule("min-of-ordered", "min(a, b)", "b", when="a >= b", condition=_defined_with("b", "a")),
    rule("min-of-reversed", "min(a, b)", "a", when="a <= b", condition=_defined_with("a", "b")),
    rule("max-absorbs-min", "max(a, min(a, b))", "a", condition=_defined_with("a", "b")),
    rule("min-absorbs-max", "min(a, max(a, b))", "a", condition=_defined_with("a", "b")),
    rule("abs-right", "abs(a)", "a", when="a >= 0"),
    rule("abs-left", "abs(a)", "-a", when="a <= 0"),
    rule("sign-right", "sign(a)", "1", when="a > 0", condition=_total("a")),
    rule("sign-left", "sign(a)", "-1", when="a < 0", condition=_total("a")),
    rule("elu-right", "elu(a, b)", "a", when="a >= 0", condition=_finite("b")),
    rule("elu-left", "elu(a, b)", "b*(exp(a) - 1)", when="a <= 0", condition=_needed_or_total("a", "b")),
    rule("selu-right", "selu(a)", f"{SELU_SCALE}*a", when="a >= 0"),
    rule("selu-left", "selu(a)", f"{SELU_SCALE}*{SELU_ALPHA}*(exp(a) - 1)", when="a <= 0"),
    rule("where-above", "where(a > b, c, d)", "c", when="a > b", condition=_total("a", "b")),
    rule("where-not-above", "where(a > b, c, d)", "d", when="a <= b"),
    rule("where-greater", "where(a > b, a, b)", "max(a, b)", condition=_defined_with("b", "a")),
    rule("where-at-least-greater", "where(a >= b, a, b)", "max(a, b)", condition=_defined_with("b", "a")),
    rule("where-smaller", "where(a > b, b, a)", "min(a, b)", condition=_defined_with("a", "b")),
    rule("where-at-least-smaller", "where(a >= b, b, a)", "min(a, b)", condition=_defined_with("a", "b")),
    rule("where-of-truth", "where(a > b, 1, 0)", "a > b"),
    rule("where-of-weak-truth", "where(a >= b, 1, 0)", "a >= b"),
    rule("where-at-least", "where(a >= b, c, d)", "c", when="a >= b", condition=_total("a", "b")),
    rule("where-less", "where(a >= b, c, d)", "d", when="a < b"),
    rule("negative-over-zero", "-a/0", "-(a/0)"),
    rule("over-zero", "a/0", "1/0", when="a > 0", condition=_total("a")),
    rule("over-minus-zero", "a/0", "-1/0", when="a < 0", condition=_total("a")),
    rule("infinite-sum", "1/0 + a", "1/0", condition=_total("a")),
    rule("times-infinite", "1/0*a", "1/0", when="a > 0", condition=_total("a")),
    rule("times-minus-infinite", "1/0*a", "-1/0", when="a < 0", condition=_total("a")),
    rule("infinite-over", "1/0/a", "1/0", when="a > 0", condition=_total("a")),
    rule("infinite-over-negative", "1/0/a", "-1/0", when="a < 0", condition=_total("a")),
    rule("zero-to-positive", "0**a", "0", when="a > 0", condition=_total("a")),
    rule("zero-to-negative", "0**a", "1/0", when="a < 0", condition=_total("a")),
    rule("negative-base", "a**b", "0/0", condition=_undefined_power),
    rule("log-of-negative", "log(a)", "0/0", when="a < 0"),
    rule("sqrt-of-negative", "sqrt(a)", "0/0", when="a < 0"),
)

#: What loses digits, written so that it keeps them.
STABILISE = (
    rule("log-of-growth", "log(exp(a) + 1)", "softplus(a)"),
    rule("named-log-sigmoid", "log(sigmoid(a))", "log_sigmoid(a)"),
    rule("growth-over-growth", "exp(a)/(exp(a) + 1)", "sigmoid(a)", condition=_finite("a")),
    rule("over-growth", "b/(exp(a) + 1)", "b*sigmoid(-a)"),
    rule("tanh-above-minus-one", "tanh(a) + 1", "2*sigmoid(2*a)"),
    rule("tanh-below-one", "1 - tanh(a)", "2*sigmoid(-2*a)"),
    rule("cosh-above-one", "cosh(a) - 1", "2*sinh(a/2)**2"),
    rule("elu-above-minus-one", "elu(a, 1) + 1", "where(a > 0, a + 1, exp(a))"),
    rule("log-of-cosh", "log(cosh(a))", "abs(a) + (softplus(-2*abs(a)) - log(2))"),
    rule("root-of-squares", "sqrt(a**2 + b**2)", "hypot(a, b)"),
)

#: Compositions that have a name, shown by it.
RECOGNISE = (
    rule("is-below", "k > a", "a < k"),
    rule("is-at-most", "k >= a", "a <= k"),
    rule("is-relu", "max(a, 0)", "relu(a)"),
    rule("is-silu", "a*sigmoid(a)", "silu(a)"),
    rule("is-softsign", "a/(abs(a) + 1)", "softsign(a)", condition=_finite("a")),
    rule("is-mish", "a*tanh(softplus(a))", "mish(a)"),
    rule("is-expm1", "exp(a) - 1", "expm1(a)"),
    rule("is-erfc", "1 - erf(a)", "erfc(a)"),
    rule("is-log-sigmoid", "a - softplus(a)", "log_sigmoid(a)", condition=_finite("a")),
    rule("is-softplus-reflected", "softplus(a) - a", "softplus(-a)", condition=_finite("a")),
    rule("is-log1p", "log(a + 1)", "log1p(a)"),
    rule("is-tanhshrink", "a - tanh(a)", "tanhshrink(a)"),
    rule("is-sigmoid-reflected", "1 - sigmoid(a)", "sigmoid(-a)"),
    rule("is-leaky-relu", "where(a > 0, a, k*a)", "leaky_relu(a, k)"),
    rule("is-hardsigmoid", "1/6*relu6(a + 3)", "hardsigmoid(a)"),
    rule("is-relu6", "min(relu(a), 6)", "relu6(a)"),
    rule("is-hard-sigmoid", "min(relu(0.2*a + 0.5), 1)", "hard_sigmoid(a)"),
    rule("is-minus-expm1", "1 - exp(a)", "-expm1(a)"),
    rule("is-minus-erfc", "erf(a) - 1", "-erfc(a)"),
    rule("is-erfc-reflected", "erf(a) + 1", "erfc(-a)"),
    rule("is-minus-sigmoid-reflected", "sigmoid(a) - 1", "-sigmoid(-a)"),
    rule("is-minus-tanhshrink", "tanh(a) - a", "-tanhshrink(a)"),
    rule("is-multiple-of-erfc", "k - k*erf(a)", "k*erfc(a)"),
)

#: Signs that names bring with them.
SIGNS = (
    rule("neg-times", "(-a)*b", "-(a*b)", FLOAT),
    rule("neg-over", "(-a)/b", "-(a/b)", FLOAT),
    rule("over-neg", "a/(-b)", "-(a/b)", FLOAT, condition=_vanishes_rarely("b")),
    rule("neg-multiple", "-(k*a)", "(-k)*a", FLOAT),
)

RULES = (*TIDY, *EXPAND, *SHORTEN, *DECIDE, *STABILISE, *RECOGNISE, *SIGNS)


def simplified(root: Expr) -> Expr:
    """The normal form with compositions shown by their names. Simplifying again changes nothing."""
    form = canonical(root)
    # Reading names back into the normal form must lead to the same form; where it does not, the next round starts from
    # what it led to.
    for _ in range(8):
        again = canonical(named(form))
        if again is form:
            return named(form)
        form = again
    return form


def tidied(root: Expr) -> Expr:
    """The expression without what changes no bit of its value."""
    return _tidying().fixed(root)


@cache
def _tidying() -> _Rewriter:
    return _Rewriter(_index(TIDY), arithmetic=False)


def canonical(root: Expr) -> Expr:
    """The normal form in which equal functions meet as far as the rules reach: names written out, arithmetic in
    order."""
    return everywhere().canonical(root)


@cache
def everywhere() -> Case:
    """The case in which nothing is known of x."""
    return Case()


def named(form: Expr) -> Expr:
    """A normal form with compositions shown by their names."""
    return _names().fixed(form)


@cache
def _names() -> _Rewriter:
    return _Rewriter(_index((*TIDY, *SIGNS, *RECOGNISE)), arithmetic=False, pairs=True)


def stabilised(expression: Expr) -> Expr:
    """The expression with parts that lose digits written so that they keep them, over the reals the same."""
    return _stabilising().fixed(expression)


@cache
def _stabilising() -> _Rewriter:
    return _Rewriter(_index((*TIDY, *SIGNS, *STABILISE, *RECOGNISE)), arithmetic=False, pairs=True)


class Case(Knowledge):
    """Expressions in x as they are between two numbers: their normal forms there, and what is known of their values.

    >>> case = Case(Fraction(0), math.inf)
    >>> str(case.canonical(parse("abs(x) + elu(x)")))
    '2*x'
    """

    def __init__(self, low: Fraction | float = -math.inf, high: Fraction | float = math.inf) -> None:
        # python-flint comes in here, for those who simplify.
        from actc.enclosures import Region

        super().__init__()
        self.low, self.high = low, high
        self._varies: WeakKeyDictionary[Expr, bool] = WeakKeyDictionary()
        self.region = Region(low, high)
        self._rewriter = _Rewriter(_index((*EXPAND, *SHORTEN, *DECIDE)), arithmetic=True, case=self)

    def canonical(self, root: Expr) -> Expr:
        """The normal form in this case; what it is for a part stays known."""
        return self._rewriter.fixed(root)

    def knows(self, relation: str, a: Expr, b: Expr) -> bool:
        """Whether an inequality such as ``("lt", a, b)`` is known to hold wherever both sides are defined, a strict one
        but for isolated points."""
        low, high = (a, b) if relation in ("lt", "le") else (b, a)
        if relation in ("le", "ge"):
            return self.at_least(high, low)
        return self.positive(self.canonical(apply("sub", high, low)))

    def at_least(self, a: Expr, b: Expr) -> bool:
        """Whether the first is known to be nowhere below the second, both in normal form."""
        if a.value is not None and b.value is not None:
            return a.value >= b.value
        if self.bounds(a)[0] >= self.bounds(b)[1]:
            return True
        return self._line_above(sum_of(a), sum_of(b))

    def _line_above(self, a: Sum, b: Sum) -> bool:
        """Whether the difference is a line in x that is nowhere below 0; balls do not see that 0.2*x + 0.5 reaches 1 at
        2.5."""
        if any(a.get(p) != b.get(p) for p in a.keys() | b.keys() if p and p != _LINEAR):
            return False
        slope, level = (a.get(p, Fraction(0)) - b.get(p, Fraction(0)) for p in (_LINEAR, ()))
        end = self.low if slope > 0 else self.high
        return level >= 0 if not slope else isinstance(end, Fraction) and slope * end + level >= 0

    def positive(self, a: Expr) -> bool:
        """Whether it is known to be above 0 but at isolated points."""
        if a.value is not None:
            return a.value > 0
        low = self.bounds(a)[0]
        return bool(low > 0) or (bool(low >= 0) and self.vanishes_rarely(a))

    def bounds(self, a: Expr) -> tuple[Any, Any]:
        # Ends of intervals tell nothing of what stays at a pole: 1/-relu(x) is negative, or ∞.
        return self.region.bounds(named(a)) if self.finite(a) else self.region.anything

    def _has_few_zeros(self, a: Expr) -> bool:
        # elu(x) is x on one side of 0 and analytic on the other.
        return super()._has_few_zeros(a) or self._on_pieces(a, Case.vanishes_rarely)

    def varies(self, a: Expr) -> bool:
        """Whether it is known to take no value but at isolated points: it is no constant, and between the places where
        it is split one analytic function but for poles."""
        if a.kind == "symbol" or not a.symbols:
            return a.kind == "symbol"
        if a not in self._varies:
            self._varies[a] = all(map(self._smooth, postorder(a))) and (
                all(points.varies(a) for points in self._inside)
                if self._is_one_function(a)
                else self._on_pieces(a, Case.varies)
            )
        return self._varies[a]

    def _on_pieces(self, a: Expr, holds: Callable[[Case, Expr], bool]) -> bool:
        """Whether something is known of a function of x on all pieces between 0 and poles on lines."""
        if a.symbols != {"x"}:
            return False
        ends = sorted({p for p in (Fraction(0), *_poles_on_lines(a)) if self.low < p < self.high})
        pieces = (_piece(low, high) for low, high in pairwise((self.low, *ends, self.high)))
        return bool(ends) and all(holds(piece, piece.canonical(a)) for piece in pieces)

    def _is_one_function(self, a: Expr) -> bool:
        """Whether what is smooth is meromorphic.

        Beyond a pole of its argument, other operators than those of arithmetic go on as another function:
        atan(1/x) + atan(x) is π/2 and -π/2, and atan(tan(x)) is x for small x alone.
        """
        poles: set[Expr] = set()
        for node in postorder(a):
            below = not poles.isdisjoint(node.args)
            if below and not is_arithmetic(node):
                return False
            if below or self._has_poles(node):
                poles.add(node)
        return True

    def _has_poles(self, node: Expr) -> bool:
        """Whether an operator may have poles inside the case, with values on both sides."""
        if node.kind != "apply":
            return False
        row = operator(node.name)
        if row.has_endless_poles:
            return not all(end.is_finite() for end in self.region.bounds(node))
        divisors = [node.args[i] for i in row.divisors]
        if node.name == "div" or (node.name == "pow" and (node.args[1].value is None or node.args[1].value < 0)):
            divisors = [node.args[node.name == "div"]]
        return any(may_take(a, 0, self.region) for a in divisors) or any(
            may_take(node.args[0], p, self.region) for p in row.poles if p not in row.domain
        )

    @cached_property
    def _inside(self) -> tuple[Sampler, ...]:
        from actc.samples import POINTS, Sampler

        steps = POINTS[2:16:4]
        if isinstance(self.low, Fraction) and isinstance(self.high, Fraction):
            return (Sampler([self.low + (self.high - self.low) * p / (p + 1) for p in steps]),)
        ends = [(self.low, 1), (self.high, -1)]
        # Where there is no end, points on both sides of 0, since a pole may stand there.
        found = [Sampler([end + p * s for p in steps]) for end, s in ends if isinstance(end, Fraction)]
        return tuple(found or [Sampler([p * s for p in steps]) for _, s in ends])

    def _smooth(self, node: Expr) -> bool:
        if node.kind != "apply" or not node.args:
            return True
        row = operator(node.name)
        low, high = self.region.bounds(node.args[0])
        if row.analytic:
            ends = [end for end in row.domain if math.isfinite(end)]
            if node.name == "pow" and ((exponent := node.args[1].value) is None or exponent.denominator != 1):
                ends = [0.0]
            # An argument that touches an end of the domain, and turns back, leaves different functions on both sides:
            # sqrt(x**2) is x and -x.
            return (
                all(low > end or high < end for end in ends)
                or _goes_one_way(node.args[0])
                or (ends == [0.0] and _is_above_zero(node.args[0]))
            )
        # Off its kinks such an operator is analytic.
        return bool(row.kinks) and row.usual(node.args) and all(k <= low or k >= high for k in row.kinks)


@lru_cache(maxsize=16)
def _piece(low: Fraction | float, high: Fraction | float) -> Case:
    return Case(low, high)


#: Places at which an expression is split into pieces.
_MOST_PLACES = 3


def _poles_on_lines(a: Expr) -> list[Fraction]:
    """Where a quotient's parts that are lines in x vanish, some of which may be poles."""
    nodes = postorder(a)
    if not any(node.name in ("div", "pow") for node in nodes):
        return []
    lines = [total for node in nodes if (total := sum_of(node)).keys() <= {_LINEAR, ()} and total.get(_LINEAR)]
    return [-line.get((), Fraction(0)) / line[_LINEAR] for line in lines][:_MOST_PLACES]


def may_take(a: Expr, level: float, region: Region) -> bool:
    """Whether it may have a value inside a region, and not only come near to it at an end."""
    low, high = region.bounds(a)
    if low > level or high < level:
        return False
    # What is strictly monotone takes its bounds at ends alone.
    if (low >= level or high <= level) and _goes_one_way(a):
        return False
    if level != 0 or a.kind != "apply":
        return True
    if a.name in ("mul", "neg"):
        return any(may_take(b, 0, region) for b in a.args)
    if a.name in ("div", "pow"):
        return may_take(a.args[0], 0, region)
    if a.name == "add" and all(region.bounds(b)[0] >= 0 for b in a.args):
        return all(may_take(b, 0, region) for b in a.args)
    return not _is_above_zero(a)


def _goes_one_way(a: Expr) -> bool:
    """Whether it is strictly monotone in one name, as far as its rows tell."""
    if a.kind == "symbol":
        return True
    terms = [product for product in sum_of(a) if product]
    if len(terms) != 1 or len(terms[0]) != 1 or terms[0][0][1] != 1 or sum_of(a)[terms[0]] == 0:
        return False
    ((factor, _),) = terms[0]
    if factor is not a:
        return _goes_one_way(factor)
    return _reaches_no_end(operator(a.name)) and len(a.args) == 1 and _goes_one_way(a.args[0])


def _reaches_no_end(row: Operator) -> bool:
    """Whether it is analytic and monotone on all reals: then it takes no value that is an end of its image."""
    return row.analytic and row.monotone != 0 and row.domain == (-math.inf, math.inf)


def _is_above_zero(a: Expr) -> bool:
    """Whether it is above 0 everywhere, isolated points included, as far as its rows tell."""
    if a.value is not None:
        return a.value > 0
    if a.name in ("add", "mul", "div"):
        return all(map(_is_above_zero, a.args))
    return a.kind == "apply" and operator(a.name).image[0] >= 0 and _reaches_no_end(operator(a.name))


#: x alone, as a product.
_LINEAR = ((symbol("x"), 1),)

#: Operators with the laws of max and min.
_LATTICES = frozenset(
    row.name for row in OPERATORS.values() if row.laws >= {Law.COMMUTATIVE, Law.ASSOCIATIVE, Law.IDEMPOTENT}
)

#: Links of a sum.
_CHAIN = frozenset({"add", "sub", "neg"})

#: For each operator whose chains are rewritten as a whole, what else is a link of them.
_LINKS = dict.fromkeys(_CHAIN, _CHAIN)
_LINKS |= {name: frozenset({name}) for name in _LATTICES}

_Index = dict[str, tuple[Rule, ...]]


@lru_cache(maxsize=8)
def _index(rules: tuple[Rule, ...]) -> _Index:
    table: dict[str, list[Rule]] = {}
    for r in rules:
        table.setdefault(r.pattern.name, []).append(r)
    return {name: tuple(rows) for name, rows in table.items()}


class _Rewriter:
    """Bottom-up rewriting to a fixed point, each distinct node once."""

    #: No chain of rewrites at one node is nearly this long; a cycle of rules would be.
    LONGEST = 100

    #: Sums of more terms are not searched for pairs that have a name, nor operands of max compared that are further
    #: apart.
    MOST_TERMS = 12

    #: Parts whose fixed points stay known, more only of larger expressions.
    REMEMBERED = 20_000

    def __init__(self, index: _Index, arithmetic: bool, pairs: bool = False, case: Case | None = None) -> None:
        self.index, self.arithmetic, self.pairs, self.case = index, arithmetic, pairs, case
        self.done: dict[Expr, Expr] = {}
        self.limit = self.REMEMBERED
        self.depth = 0
        self._lock = threading.RLock()

    def fixed(self, root: Expr) -> Expr:
        """The fixed point of an expression; what it is for a part stays known."""
        with self._lock:
            full = len(self.done) > self.limit
            if full:
                self.done.clear()
            found = self(root)
            if full:
                # One that fills the memory by itself would be rewritten from the start again and again.
                self.limit = max(self.REMEMBERED, 2 * len(self.done))
            return found

    def __call__(self, root: Expr) -> Expr:
        stack = [root]
        while stack:
            node = stack[-1]
            waiting = [a for a in self.parts(node) if a not in self.done] if node not in self.done else []
            if waiting:
                stack.extend(waiting)
                continue
            stack.pop()
            if node not in self.done:
                self.done[node] = self.finish(self.rebuilt(node))
        return self.done[root]

    def parts(self, node: Expr) -> list[Expr]:
        """What must be at its fixed point before the node: its arguments, for a long sum or maximum all its terms at
        once."""
        chain = _LINKS.get(node.name) if self.arithmetic or node.name not in _CHAIN else None
        if chain is None:
            return list(node.args)
        terms: dict[Expr, None] = {}
        links: dict[Expr, None] = {node: None}
        for link in (stack := [node]):
            for a in link.args:
                if a.name in chain and a not in self.done:
                    if a not in links:
                        links[a] = None
                        stack.append(a)
                else:
                    terms[a] = None
            if len(links) > MAX_TERMS:
                return list(node.args)
        return list(terms)

    def rebuilt(self, node: Expr) -> Expr:
        """The node over the fixed points of its parts."""
        if all([a in self.done for a in node.args]):
            return node.with_args(tuple([self.done[a] for a in node.args]))
        built: dict[Expr, Expr] = {}
        stack = [node]
        while stack:
            top = stack[-1]
            links = [a for a in top.args if a not in self.done and a not in built]
            if links:
                stack.extend(links)
                continue
            built[stack.pop()] = top.with_args(tuple(self.done[a] if a in self.done else built[a] for a in top.args))
        return built[node]

    def finish(self, node: Expr) -> Expr:
        """The fixed point of a node whose parts are at theirs."""
        changed = self.by_structure(node) if self.arithmetic and node.kind == "apply" else node
        if changed.name in _LATTICES and changed.kind == "apply":
            changed = self.by_order(changed)
        if changed is node or (changed.name in _CHAIN and node.name in ARITHMETIC):
            # The terms of a sorted sum are at their fixed points already, so rules are all that is left to try.
            ordered, changed = changed, self.by_rule(changed)
            if changed is ordered:
                return ordered
        if self.depth > self.LONGEST:
            return node
        self.depth += 1
        try:
            return self(changed)
        finally:
            self.depth -= 1

    def by_structure(self, node: Expr) -> Expr:
        row = operator(node.name)
        if not _INFINITE.keys().isdisjoint(node.args) and (found := _at_infinity(node)) is not None:
            return found
        if row.variadic:
            return reduce(lambda a, b: row.steps[-1].substitute({"x": a, "y": b}), node.args)
        if node.name not in ARITHMETIC:
            return _by_law(node)
        if node._normal or self.case is None or all((total := sum_of(node)).values()):
            return normal(node)
        return expr_of({p: c for p, c in total.items() if c or vanished(p, self.case)})

    def by_rule(self, node: Expr) -> Expr:
        rules = self.index.get(node.name, ()) if node.kind == "apply" else ()
        names = {a.name for a in node.args}
        for r in rules:
            needs = r.needs_in_normal_form if self.arithmetic else r.needs
            binding = match(r.pattern, node, normal=self.arithmetic) if needs <= names else None
            if binding is not None and r.applies(binding, self.case):
                return instantiate(r.result, binding)
        longer = self.pairs and node.name in ("add", "sub") and not names.isdisjoint(_CHAIN)
        return self.by_pair(node) if longer else node

    def by_order(self, node: Expr) -> Expr:
        """A chain of one operator such as max without the links that a rule drops beside another one."""
        parts = _flat(node)
        kept = dict.fromkeys(parts)
        # Only what is known of values, which is asked in a case, drops an operand that is no other one's double.
        if len(parts) > 2 and self.case is not None:
            for i, a in enumerate(parts):
                for b in parts[i + 1 : i + self.MOST_TERMS]:
                    if a in kept and b in kept and (one := self(apply(node.name, a, b))) in (a, b):
                        del kept[b if one is a else a]
        return reduce(lambda a, b: apply(node.name, a, b), kept)

    def by_pair(self, node: Expr) -> Expr:
        """A longer sum with two of its terms replaced by the name that a rule has for them, as 1 - erf(a) among
        others."""
        link = node
        for _ in range(self.MOST_TERMS):
            link = link.args[0] if link.name in _CHAIN else link
        if link.name not in _CHAIN and 2 < len(total := sum_of(node)) <= self.MOST_TERMS:
            # Two terms that stood together before have been looked at with that link.
            before, added = ({} if node.args[0].name not in _CHAIN else sum_of(node.args[0])), sum_of(node.args[1])
            for pair in self.pairs_of(total):
                if all(product in before and product not in added for product in pair):
                    continue
                two = expr_of({product: total[product] for product in pair})
                named = self.by_rule(two)
                if named is not two:
                    rest = expr_of({product: c for product, c in total.items() if product not in pair})
                    return apply("sub", named, negated(rest)) if looks_negative(rest) else apply("add", rest, named)
        return node

    def pairs_of(self, total: Sum) -> Iterator[tuple[Product, Product]]:
        """Terms that may have a name together: one is a function, the other a number or the function's argument."""
        for product in total:
            for factor, _ in product:
                if factor.name in self.summed:
                    argument = sum_of(factor.args[0])
                    others = [(), *argument] if len(argument) == 1 else [()]
                    yield from ((product, q) for q in others if q in total and q != product)

    @cached_property
    def summed(self) -> set[str]:
        """The functions that occur in rules for sums."""
        rules = [r for name in ("add", "sub") for r in self.index.get(name, ())]
        return {n.name for r in rules for n in postorder(r.pattern) if n.kind == "apply"} - ARITHMETIC


_INFINITY, _UNDEFINED = parse("1/0"), parse("0/0")

#: What is infinite or undefined everywhere, in normal form.
_INFINITE = {_INFINITY: math.inf, -_INFINITY: -math.inf, _UNDEFINED: math.nan}


def _at_infinity(node: Expr) -> Expr | None:
    """The value of an operator at infinite constants, if it is a whole number or infinite itself."""
    from actc.enclosures import BITS, ball, precision, value_at_balls

    row = operator(node.name)
    if _UNDEFINED in node.args and not (row.compares or row.chooses):
        return _UNDEFINED
    numbers = [_INFINITE.get(a, a.value) for a in node.args]
    if None in numbers:
        return None
    with precision(BITS):
        value = value_at_balls(row, [ball(n) for n in numbers if n is not None])
    if value.is_finite():
        return constant(int(value.unique_fmpz())) if value.is_exact() and value.is_integer() else None
    return _UNDEFINED if value.is_nan() else next((e for e, n in _INFINITE.items() if value == n), None)


def _by_law(node: Expr) -> Expr:
    """What the operator's row alone tells: exact values, commuting and associating arguments, parity, f(f(a)) and f(a,
    a)."""
    row, args = operator(node.name), node.args
    values = [a.value for a in args if a.value is not None]
    if node.name == "where" and args[0].value is not None:
        return args[1] if args[0].value else args[2]
    if row.exact is not None and len(values) == len(args):
        return constant(Fraction(row.exact(*values)))
    if row.name in _LATTICES:
        result, *rest = sorted(_flat(node), key=lambda e: (e.kind == "constant", sort_key(e)))
        for part in rest:
            result = apply(row.name, result, part)
        return result
    if Law.COMMUTATIVE in row.laws and sort_key(args[1]) < sort_key(args[0]):
        return apply(row.name, args[1], args[0])
    if len(args) == 1 and args[0].name == node.name:
        if Law.PROJECTION in row.laws:
            return args[0]
        if Law.INVOLUTION in row.laws:
            return args[0].args[0]
    if row.parity and len(args) == 1:
        if args[0].value == 0 and row.parity == "odd" and 0.0 not in row.poles:
            return args[0]
        # 1/0 is ∞, with or without a sign before the 0.
        if looks_negative(args[0]) and not (0.0 in row.poles and math.isinf(row.image[1])):
            flipped = apply(row.name, negated(args[0]))
            return flipped if row.parity == "even" else apply("neg", flipped)
    return node


def _flat(node: Expr) -> list[Expr]:
    """The operands of a chain of one operator such as max, each once; the two of the node itself where they are too
    many."""
    parts: dict[Expr, None] = {}
    stack = [node]
    while stack:
        top = stack.pop()
        if top.name == node.name:
            stack.extend(reversed(top.args))
        else:
            parts[top] = None
        if len(parts) + len(stack) > MAX_TERMS:
            return list(dict.fromkeys(node.args))
    return list(parts)


def match(
    pattern: Expr, node: Expr, binding: dict[str, Expr] | None = None, normal: bool = True
) -> dict[str, Expr] | None:
    """The binding of the pattern's letters under which it is the node, or None. In a normal form ``-a`` also matches
    what is simpler negated."""
    binding = {} if binding is None else binding
    if pattern.kind == "symbol":
        if pattern.name == "k" and node.value is None:
            return None
        known = binding.get(pattern.name)
        if known is None:
            return {**binding, pattern.name: node}
        return binding if known is node else None
    if pattern.kind == "constant":
        return binding if pattern is node else None
    negates = pattern.name == "neg" and pattern.args[0].kind == "symbol"
    if normal and negates and node.name != "neg" and looks_negative(node):
        return match(pattern.args[0], negated(node), binding, normal)
    if node.name != pattern.name or node.kind != "apply" or len(node.args) != len(pattern.args):
        return None
    orders = [node.args]
    if len(node.args) == 2 and Law.COMMUTATIVE in operator(node.name).laws:
        orders.append(node.args[::-1])
    for order in orders:
        found: dict[str, Expr] | None = binding
        for p, n in zip(pattern.args, order, strict=True):
            found = match(p, n, found, normal) if found is not None else None
        if found is not None:
            return found
    return None


def instantiate(template: Expr, binding: dict[str, Expr]) -> Expr:
    """The template with its letters replaced. Templates are small, which makes recursion the fastest way."""
    if template.kind != "apply":
        return binding[template.name] if template.kind == "symbol" else template
    return template.with_args(tuple([instantiate(a, binding) for a in template.args]))

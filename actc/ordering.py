"""Proofs that one function of x is nowhere below another.

Their difference is a quotient of polynomials, whose factors are looked at one by one: a factor to an even power needs
no proof. Each other one is shown to keep its sign on boxes, by enclosures, or because it is monotone there and has
that sign at one end; which is asked of its derivative in turn.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

from actc.derivatives import derivative
from actc.enclosures import Limits, Region, steady
from actc.expr import Expr, apply, constant, postorder
from actc.operators import operator
from actc.quotients import NoQuotient, quotients
from actc.rules import Case, may_take, named

End = Fraction | float

#: Boxes that one proof may look at, and derivatives that it may take.
_BOXES = 40
_ORDERS = 4
#: Nodes of a derivative that is still worth looking at.
_LONGEST = 120

#: Where a function that is somewhere negative mostly shows it.
_PROBES = tuple(Fraction(p, 1000) for p in (1, 90, 313, 712, 1171, 1931, 3137, 7919, 31415))


def nonnegative(expression: Expr, case: Case) -> bool:
    """Whether a proof was found that an expression in x, in normal form, is at least 0 wherever the case has it
    defined.

    >>> from actc.parsing import parse
    >>> positive = Case(Fraction(0), math.inf)
    >>> nonnegative(positive.canonical(parse("exp(x) - 1 - x")), positive)
    True
    >>> nonnegative(positive.canonical(parse("x - tanh(2*x)")), positive)
    False
    """
    if case.bounds(expression)[0] >= 0:
        return True
    if not case.finite(expression):
        return False
    probes = [p for probe in _PROBES for p in (probe, -probe) if case.low < p < case.high]
    if any(_at(p).bounds(expression)[1] < 0 for p in probes):
        return False
    return _keeps_sign(expression, case) or _keeps_sign(_core(expression, case), case)


@lru_cache(maxsize=4096)
def _core(expression: Expr, case: Case) -> Expr:
    """Something of the same sign with fewer factors: those to an even power, and those whose bounds tell their sign,
    are left out."""
    try:
        found = quotients(expression)
        sides = [found.factors(polynomial) for polynomial in found.parts[0]]
    except NoQuotient:
        return expression
    sign, core = 1, constant(1)
    for constant_sign, factors in sides:
        sign *= constant_sign
        for factor, multiplicity in factors:
            low, high = case.bounds(case.canonical(factor))
            if multiplicity % 2 == 0 or low >= 0:
                continue
            if high <= 0:
                sign = -sign
            else:
                core = apply("mul", core, factor)
    return case.canonical(core if sign > 0 else -core)


def _keeps_sign(expression: Expr, case: Case) -> bool:
    boxes = [(case.low, case.high)]
    for _ in range(_BOXES):
        if not boxes:
            return True
        low, high = boxes.pop()
        if not _shown(expression, low, high, case, _ORDERS):
            middle = _middle(low, high)
            if _at(middle).bounds(expression)[1] < 0:
                return False
            boxes += [(low, middle), (middle, high)]
    return not boxes


def _shown(expression: Expr, low: End, high: End, case: Case, orders: int) -> bool:
    found = _region(low, high).bounds(named(expression))
    if found[0] >= 0:
        return True
    if orders == 0 or found[1] < 0:
        return False
    here = _region(low, high)
    nodes = [node for node in postorder(expression) if node.kind == "apply" and node.symbols]
    if any(_rounded_slope(node) or not _continuous(node, here) for node in nodes):
        return False
    slope = derivative(expression)
    if len(postorder(slope)) > _LONGEST:
        return False
    form = case.canonical(slope)
    middle = _middle(low, high)
    for rising in dict.fromkeys((form, _core(form, case))):
        steep, start = _at(middle).bounds(rising), low
        if steep[1] < 0:
            rising, start = case.canonical(-rising), high
        elif not steep[0] > 0:
            continue
        if _starts(expression, start, case) and _shown(rising, low, high, case, orders - 1):
            return True
    return False


def _rounded_slope(node: Expr) -> bool:
    """Whether the table's derivative of this node is right to float64 only."""
    row = operator(node.name)
    return any(a in row.rounded and arg.symbols for a, arg in zip(row.arguments, node.args, strict=False))


def _continuous(node: Expr, region: Region) -> bool:
    """Whether an operator can neither jump, nor have a pole, nor be undefined inside the region: only then does a sign
    of the derivative tell where the value goes."""
    row, first = operator(node.name), node.args[0]
    if not steady(row, [region.bounds(a) for a in node.args]) or any(may_take(first, p, region) for p in row.poles):
        return False
    low, high = region.bounds(first)
    if low < row.domain[0] or high > row.domain[1]:
        return False
    if node.name == "div":
        return not may_take(node.args[1], 0, region)
    if node.name == "pow":
        exponent = node.args[1].value
        if exponent is not None and exponent > 0:
            return exponent.denominator == 1 or bool(low >= 0)
        whole = exponent is not None and exponent.denominator == 1
        return bool(low >= 0 or whole) and not may_take(first, 0, region)
    return True


def _starts(expression: Expr, place: End, case: Case) -> bool:
    """Whether the limit at an end is known to be at least 0."""
    limits = _limits(place)
    if limits.bounds(expression)[0] >= 0:
        return True
    if isinstance(place, float) or not limits.is_reached(expression):
        return False
    # Balls around constants do not cancel; constants do.
    value = case.canonical(expression.substitute({"x": place})).value
    return value is not None and value >= 0


@lru_cache(maxsize=4096)
def _limits(place: End) -> Limits:
    return Limits(place)


@lru_cache(maxsize=4096)
def _region(low: End, high: End) -> Region:
    return Region(low, high)


def _at(place: End) -> Region:
    return _region(place, place)


def _middle(low: End, high: End) -> Fraction:
    # Comparisons, since a fraction may be beyond float64.
    if low == -math.inf and high == math.inf:
        return Fraction(0)
    if low == -math.inf:
        return 2 * min(-Fraction(1), Fraction(high)) if high <= 0 else Fraction(0)
    if high == math.inf:
        return 2 * max(Fraction(1), Fraction(low)) if low >= 0 else Fraction(0)
    return (Fraction(low) + Fraction(high)) / 2

"""Equal forms of one expression, among which a purpose chooses.

Nothing here knows which form is good: each rewrite is true over the reals on an interval of x, undefined where the
expression is, and that is all that is asked of it. Names are read in, quotients of polynomials in exponentials are
factored or nested, and what approaches a line is written as that line and what decays: tanh(x) - erf(x) is
erfc(x) - 2*sigmoid(-2*x) for x > 0, where nothing cancels but what is small.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from actc.equivalence import bends
from actc.expr import Expr, apply, constant, hidden, postorder, rebuild
from actc.normal_form import doubts, expr_of, looks_negative, negated, sum_of, total_function
from actc.operators import operator
from actc.parsing import parse
from actc.quotients import WRITTEN_OUT, NoQuotient, Quotients, factored, is_arithmetic, quotients
from actc.rules import Case, everywhere, named, simplified, stabilised, tidied

End = Fraction | float

#: What a function does for arguments below and above 0: a line, and a multiple of what decays. ``a`` is the argument.
DECAYING: Mapping[str, tuple[tuple[str, int, str] | None, tuple[str, int, str] | None]] = {
    "sigmoid": (None, ("1", -1, "sigmoid(-a)")),
    "tanh": (("-1", 2, "sigmoid(2*a)"), ("1", -2, "sigmoid(-2*a)")),
    "erf": (("-1", 1, "erfc(-a)"), ("1", -1, "erfc(a)")),
    "softplus": (None, ("a", 1, "softplus(-a)")),
}

#: Pieces into which an expression is cut where its operators bend; one with more is looked at as a whole only.
_MOST_INTERVALS = 5
#: Nodes of the largest normal form that is rewritten, and of all pieces together; of a larger one the rules' forms do.
_REWRITTEN, _MOST_NODES = 16, 60


@dataclass(frozen=True)
class Form:
    """An expression that is the function for x between ``low`` and ``high``."""

    expression: Expr
    low: End = -math.inf
    high: End = math.inf

    @property
    def everywhere(self) -> bool:
        """Whether it is the function for every x."""
        return self.low == -math.inf and self.high == math.inf


def forms(expression: Expr, pieces: bool = True) -> list[Form]:
    """Equal forms; the expression as it is comes first. Without ``pieces`` all are the function for every x."""
    simple = simplified(expression)
    found = {e: Form(e) for e in (expression, stabilised(expression), simple)}
    normal = everywhere().canonical(simple)
    # A constant is one number, however it is written.
    if normal.symbols and len(postorder(normal)) <= _REWRITTEN:
        for low, high in [(-math.inf, math.inf), *(_pieces(expression, normal) if pieces else ())]:
            here = everywhere() if (low, high) == (-math.inf, math.inf) else Case(low, high)
            for e in _rewritten(here.canonical(normal), here):
                found.setdefault(e, Form(e, low, high))
    jumps = _jumps(expression)
    return [form for form in found.values() if _jumps(form.expression) <= jumps]


def _jumps(expression: Expr) -> set[Expr]:
    """What jumps, of a part that is computed: floor(exp(x*log(2))) is not floor(2**x) at 3 in floating point."""
    computed = (node for node in postorder(expression) if any(a.args for a in node.args))
    return {node for node in computed if set(operator(node.name).derivative or ()) == {"0"}}


def _pieces(expression: Expr, normal: Expr) -> list[tuple[End, End]]:
    """Intervals of x between which operators bend, if they are few."""
    if expression.symbols != {"x"}:
        return []
    ends: list[End] = [-math.inf, *bends(expression, normal), math.inf]
    found = list(itertools.pairwise(ends))
    few = len(found) <= min(_MOST_INTERVALS, _MOST_NODES // len(postorder(expression, normal)))
    return found if few else []


def _rewritten(normal: Expr, case: Case) -> Iterator[Expr]:
    """Other forms of a normal form of the case."""
    yield named(normal)
    yield stabilised(_near_one(normal, case, {}))
    if not case.finite(normal):
        # What is infinite on an interval has no arithmetic: ∞/∞ is undefined, and 1/0 has no other sign than 1/-0.
        return
    yield from _conjugated(normal, case)
    for form in _as_quotients(normal, case):
        yield from (form, stabilised(form))
    decaying, hides = _decaying(normal, case)
    if hides:
        marked = case.canonical(decaying)
        for form in (marked, *_as_quotients(marked, case)):
            yield stabilised(form.substitute(hides))
            yield stabilised(_near_one(form, case, hides).substitute(hides))


def _decaying(expression: Expr, case: Case) -> tuple[Expr, Mapping[str, Expr]]:
    """The expression with what approaches a line written as that line and a symbol, and what the symbols stand for."""
    hides: dict[Expr, Expr] = {}

    def build(node: Expr, args: tuple[Expr, ...]) -> Expr:
        sides = DECAYING.get(node.name)
        if sides is None or node.kind != "apply" or any(a.value != 1 for a in args[1:]):
            return node.with_args(args)
        low, high = case.region.bounds(node.args[0])
        side = sides[1] if low >= 0 else sides[0] if high <= 0 else None
        if side is None:
            return node.with_args(args)
        line, factor, rest = side
        small = tidied(parse(rest).substitute({"a": node.args[0]}))
        if not total_function(small, case):
            # A symbol does not tell where it is undefined.
            return node.with_args(args)
        mark = hides.setdefault(small, hidden(len(hides)))
        return apply("add", parse(line).substitute({"a": args[0]}), apply("mul", factor, mark))

    return rebuild(expression, build), {mark.name: small for small, mark in hides.items()}


def _near_one(expression: Expr, case: Case, hides: Mapping[str, Expr]) -> Expr:
    """Powers and logarithms by log1p: what they are of may be near 1."""

    def build(node: Expr, args: tuple[Expr, ...]) -> Expr:
        power = node.name == "pow" and bool(args[1].symbols)
        # 0**0 is 1, and exp(0*log(0)) is undefined.
        power = power and case.positive(node.args[0].substitute(hides))
        if not power and node.name != "log":
            return node.with_args(args)
        above = case.canonical(args[0] - 1)
        logarithm = apply("log1p", next(_as_quotients(above, case), above))
        return apply("exp", args[1] * logarithm) if power else logarithm

    return rebuild(expression, build)


def _conjugated(normal: Expr, case: Case) -> Iterator[Expr]:
    """c sqrt(a) + b as (c² a - b²)/(c sqrt(a) - b), in which other terms cancel."""
    total = sum_of(normal)
    for product, c in total.items():
        if len(product) == 1 and product[0][0].name == "sqrt" and product[0][1] == 1 and len(total) > 1:
            root = expr_of({product: c})
            rest = expr_of({p: k for p, k in total.items() if p != product})
            under = case.canonical(root - rest)
            over = case.canonical(c * c * product[0][0].args[0] - rest * rest)
            if looks_negative(under):
                over, under = negated(over), negated(under)
            if case.vanishes_rarely(under) and doubts(normal, case) <= doubts(under, case):
                yield named(next(_as_quotients(over, case), over) / under)


# --- quotients of polynomials ----------------------------------------------------------------------------------------

#: Coefficients by the powers of the generators.
Terms = Mapping[tuple[int, ...], int]


def _as_quotients(expression: Expr, case: Case) -> Iterator[Expr]:
    """Arithmetic as one quotient of polynomials, factored and nested; in growing exponentials and in decaying ones.

    None where cancelling or a common denominator would change the function: what is infinite on an interval, and what
    is undefined where the quotient is not, such as log(x)**0.
    """
    if (is_arithmetic(expression) or expression.name in WRITTEN_OUT) and case.finite(expression):
        with suppress(NoQuotient):
            yield from _written_out(expression, case, quotients(expression))


def _written_out(expression: Expr, case: Case, found: Quotients) -> Iterator[Expr]:
    ((top, bottom),) = found.parts
    growing = found.generators
    if not top or not growing or not doubts(expression, case) <= _doubts_of(found, case):
        return
    highest = [int(max(pair)) for pair in zip(top.degrees(), bottom.degrees(), strict=True)]
    grows = [g.name == "exp" for g in growing]
    decaying = [_exponential(g, -1) if exp else g for g, exp in zip(growing, grows, strict=True)]
    for generators, turned in ((growing, [False] * len(growing)), (decaying, grows))[: 1 + any(grows)]:
        parts = [_turned(part, highest, turned) for part in (top, bottom)]
        for write in (_factored, _nested):
            over, under = (write(part, generators) for part in parts)
            yield tidied(over if under.value == 1 else apply("div", over, under))
        yield from _one_above(parts[0], parts[1], generators)


def _doubts_of(found: Quotients, case: Case) -> set[Expr]:
    """The parts that decide where the quotient is undefined; its denominator vanishes where one of the expression
    does."""
    ((top, bottom),) = found.parts
    degrees = zip(found.generators, top.degrees(), bottom.degrees(), strict=False)
    return set().union(*(doubts(g, case) for g, *powers in degrees if any(powers)))


def _one_above(top: Any, bottom: Any, generators: Sequence[Expr]) -> Iterator[Expr]:
    """c p/q as c/(1 + (q - p)/p), which does not overflow where p and q do."""
    content, factors = factored(top)
    exponential = [i for i, g in enumerate(generators) if g.name == "exp"]
    grown = [any(factor.degrees()[i] for i in exponential) for factor, _ in factors]
    outside = _times(constant(int(content)), constant(1))
    inside = top.context().constant(1)
    for (factor, power), inner in zip(factors, grown, strict=True):
        if inner:
            inside *= factor ** int(power)
        else:
            outside = _times(outside, _expanded(_terms(factor), generators), int(power))
    rest = bottom - inside
    if any(grown) and rest:
        yield tidied(outside / (1 + _nested(rest, generators) / _nested(inside, generators)))


def _turned(polynomial: Any, highest: Sequence[int], turned: Sequence[bool]) -> Any:
    """The polynomial in 1/g times the highest power of g, for every generator g that is turned."""
    return polynomial.context().from_dict(
        {
            tuple(n - p if t else p for p, n, t in zip(powers, highest, turned, strict=False)): number
            for powers, number in _terms(polynomial).items()
        }
    )


def _factored(polynomial: Any, generators: Sequence[Expr]) -> Expr:
    content, factors = factored(polynomial)
    result = constant(int(content))
    for factor, power in sorted(factors, key=lambda each: len(each[0])):
        result = _times(result, _expanded(_terms(factor), generators), int(power))
    return result


def _expanded(terms: Terms, generators: Sequence[Expr]) -> Expr:
    """The sum of the terms, one that is added first."""
    result = constant(0)
    for powers, number in sorted(terms.items(), key=lambda item: (item[1] < 0, [-p for p in item[0]])):
        term = constant(abs(number))
        for generator, power in zip(generators, powers, strict=False):
            if generator.name == "exp" and power:
                term = _times(term, _exponential(generator, power))
            else:
                term = _times(term, generator, power)
        result = _plus(result, term, number)
    return result


def _nested(polynomial: Any, generators: Sequence[Expr]) -> Expr:
    """By Horner's rule in the generator of the highest power, and so on in the coefficients."""
    return _horner(_terms(polynomial), generators)


def _terms(polynomial: Any) -> Terms:
    return {tuple(map(int, powers)): int(number) for powers, number in polynomial.to_dict().items()}


def _horner(terms: Terms, generators: Sequence[Expr]) -> Expr:
    highest = [max(powers[i] for powers in terms) for i in range(len(generators))]
    if not any(highest):
        (number,) = terms.values()
        return constant(number)
    place = highest.index(max(highest))
    coefficients: dict[int, dict[tuple[int, ...], int]] = {}
    for powers, number in terms.items():
        rest = (*powers[:place], 0, *powers[place + 1 :])
        coefficients.setdefault(powers[place], {})[rest] = number
    degrees = sorted(coefficients, reverse=True)
    result = _horner(coefficients[degrees[0]], generators)
    for degree, lower in itertools.pairwise(degrees):
        result = _plus(_times(result, generators[place], degree - lower), _horner(coefficients[lower], generators))
    return _times(result, generators[place], degrees[-1])


def _exponential(generator: Expr, power: int) -> Expr:
    return apply("exp", everywhere().canonical(power * generator.args[0]))


def _times(product: Expr, factor: Expr, power: int = 1) -> Expr:
    for _ in range(power if factor.value != 1 else 0):
        product = factor if product.value == 1 else -factor if product.value == -1 else product * factor
    return product


def _plus(total: Expr, term: Expr, sign: int = 1) -> Expr:
    if term.name == "neg" or (term.value is not None and term.value < 0):
        term, sign = -term if term.value is not None else term.args[0], -sign
    if total.value == 0:
        return term if sign > 0 else -term
    return total + term if sign > 0 else total - term

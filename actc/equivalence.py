"""Whether two expressions are one function, and which of many are: equal wherever both are defined, but for isolated
points.

Three steps decide. The normal forms of equal functions mostly meet, and then the rules that led there are the proof.
Functions whose values differ at one of a few dozen points are different, and that point is the witness. What is left
is compared case by case, between the places where an operator in them bends: there absolute values, maxima and choices
are resolved by proofs of order, and quotients of polynomials decide. Where that proves nothing, agreement to 40 digits
at some hundred points is called ``numeric``.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache, cached_property, lru_cache

from actc.expr import Expr, apply, postorder, symbol
from actc.normal_form import sum_of
from actc.operators import operator
from actc.ordering import nonnegative
from actc.parsing import parse
from actc.quotients import same
from actc.rules import Case, everywhere
from actc.samples import LARGEST, POINTS, Sampler, Token

PROVED, NUMERIC, DIFFERENT = "proved", "numeric", "different"

X = symbol("x")

#: Points at which both values must be known before an agreement means anything.
_FEWEST = 6


@dataclass(frozen=True)
class Equivalence:
    """What :func:`equivalent` found.

    ``verdict`` is ``"proved"``, ``"numeric"`` (they agree to 40 digits at every point that was looked at, and no proof
    was found) or ``"different"``; then ``witness`` gives the free names' values at a point where they differ. It is
    None where values are beyond all digits, so that nothing is known of the two.
    """

    verdict: str
    witness: dict[str, float] | None = None
    _pair: tuple[Expr, Expr] | None = field(default=None, repr=False, compare=False)

    def __bool__(self) -> bool:
        return self.verdict != DIFFERENT

    @cached_property
    def exceptions(self) -> tuple[float, ...]:
        """Isolated points where only one of the two is defined, or their values differ; found among the places where
        an operator bends, has a pole or ends. Of functions of x alone.

        >>> equivalent("x*x**-1", "1").exceptions
        (0.0,)
        """
        if self._pair is None or not self or any(e.symbols - {"x"} for e in self._pair):
            return ()
        return tuple(float(p) for p in bends(*self._pair) if not _agree_at(p, *self._pair))


def equivalent(a: str | Expr, b: str | Expr) -> Equivalence:
    """Whether two texts or expressions are the same function, wherever both are defined but for isolated points, and
    have the same domain.

    Raises ParseError for a text that is no expression.

    >>> equivalent("max(x, 0)", "relu(x)").verdict
    'proved'
    >>> found = equivalent("silu(x)", "gelu(x)")
    >>> found.verdict, found.witness is not None
    ('different', True)
    """
    first, second = parse(a), parse(b)
    form, other = everywhere().canonical(first), everywhere().canonical(second)
    if form is other:
        return Equivalence(PROVED, _pair=(first, second))
    coarse = _coarse()
    found, wanted = coarse.fingerprint(form), coarse.fingerprint(other)
    place = difference(found, wanted)
    if place is not None:
        return Equivalence(DIFFERENT, coarse.point(place, first.symbols | second.symbols))
    if proved(form, other):
        return Equivalence(PROVED, _pair=(first, second))
    fine = _fine(form, other)
    place = difference(fine.fingerprint(form), fine.fingerprint(other))
    if place is not None:
        return Equivalence(DIFFERENT, fine.point(place, first.symbols | second.symbols))
    if not comparable(found, wanted):
        return Equivalence(DIFFERENT)
    return Equivalence(NUMERIC, _pair=(first, second))


def agree(form: Expr, other: Expr) -> bool:
    """Whether two normal forms have the same 40 digits at some hundred points."""
    fine = _fine(form, other)
    return difference(fine.fingerprint(form), fine.fingerprint(other)) is None


def proved(form: Expr, other: Expr) -> bool:
    """Whether a proof was found that two normal forms are one function."""
    if same(form, other, everywhere()):
        return True
    if form.symbols | other.symbols != {"x"} or len(postorder(form, other)) > LARGEST:
        return False
    ends = [-math.inf, *bends(form, other), math.inf]
    for low, high in itertools.pairwise(ends):
        here = _case(low, high)
        first, second = here.canonical(form), here.canonical(other)
        if first is not second and not same(first, second, here):
            return False
    return True


class ProvingCase(Case):
    """A case in which inequalities are proved, where bounds do not tell them."""

    def __init__(self, low: Fraction | float, high: Fraction | float) -> None:
        super().__init__(low, high)
        self._bounded = Case(low, high)
        self._nonnegative: dict[Expr, bool] = {}

    def at_least(self, a: Expr, b: Expr) -> bool:
        return super().at_least(a, b) or self._proved(apply("sub", a, b))

    def positive(self, a: Expr) -> bool:
        return super().positive(a) or (self.varies(a) and self._proved(a))

    def _proved(self, difference: Expr) -> bool:
        if difference.symbols != {"x"}:
            return False
        form = self._bounded.canonical(difference)
        if form not in self._nonnegative:
            self._nonnegative[form] = nonnegative(form, self._bounded)
        return self._nonnegative[form]


@lru_cache(maxsize=64)
def _case(low: Fraction | float, high: Fraction | float) -> ProvingCase:
    return ProvingCase(low, high)


@cache
def _coarse() -> Sampler:
    """At the few dozen points that every two functions are compared at."""
    return Sampler(POINTS)


@lru_cache(maxsize=4)
def sampler(points: tuple[Fraction, ...]) -> Sampler:
    """The sampler at those values of x, to 40 digits."""
    return Sampler(points, 40)


def difference(first: Sequence[Token], second: Sequence[Token]) -> int | None:
    """The place of the first of two fingerprints' values that differ; one that nobody knows differs from none."""
    return next((i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b and "?" not in (a, b)), None)


def comparable(first: Sequence[Token], second: Sequence[Token]) -> bool:
    """Whether so many values of two fingerprints are known that their agreement means anything."""
    return sum("?" not in pair for pair in zip(first, second, strict=True)) >= _FEWEST


#: Distances from a bend, near and far, at which both sides of it are looked at.
_STEPS = tuple(Fraction(n, 2**k) for n, k in ((1, 40), (1, 20), (3, 12), (5, 8), (11, 7), (21, 6)))


def _fine(*forms: Expr) -> Sampler:
    """Some hundred points at 40 digits: tails, tiny arguments of both signs, both sides of every bend."""
    rng = random.Random(0)
    points = [Fraction(rng.randrange(1, 2**20), 2 ** rng.randrange(10, 60)) for _ in range(50)]
    points += [Fraction(rng.randrange(1, 2**13), 2**8) for _ in range(40)]
    ends = bends(*forms)
    # A witness is told in float64, which must still tell it from the bend.
    around = [(a + b) / 2 for a, b in itertools.pairwise(ends)]
    around += [b + s * sign * (1 + abs(b)) for b in ends for s in _STEPS for sign in (1, -1)]
    return sampler(tuple(dict.fromkeys([q for p in points for q in (p, -p)] + around)))


def bends(*forms: Expr) -> list[Fraction]:
    """Where an operator in them that stands on a line bends, has a pole or ends, or the two that it compares cross."""
    nodes = postorder(*forms)
    # Of large expressions it is not asked: each maximum in them compares all its operands.
    return sorted({Fraction(0)}.union(*(_bends(node) for node in nodes if node.args and len(nodes) <= LARGEST)))


def _bends(node: Expr) -> Iterator[Fraction]:
    row = operator(node.name)
    for level in (*row.kinks, *row.poles, *(end for end in row.domain if math.isfinite(end))):
        yield from _crossing(node.args[0], Fraction(level))
    if node.name in ("div", "pow"):
        yield from _crossing(node.args[node.name == "div"], Fraction(0))
    if len(node.args) == 2 and (node.name in ("max", "min") or row.compares):
        for a, b in itertools.combinations(_compared(node), 2):
            yield from _crossing(apply("sub", a, b), Fraction(0))


def _compared(node: Expr) -> list[Expr]:
    """The operands of nested maxima and minima."""
    return [p for a in node.args for p in (_compared(a) if a.name in ("max", "min") else [a])]


def _crossing(line: Expr, level: Fraction) -> Iterator[Fraction]:
    total = sum_of(everywhere().canonical(line))
    slope = total.get(((X, 1),))
    if slope and total.keys() <= {((X, 1),), ()}:
        yield (level - total.get((), 0)) / slope


def _agree_at(point: Fraction, first: Expr, second: Expr) -> bool:
    a, b = (e.evaluate_mp(30, **({"x": point} if e.symbols else {})) for e in (first, second))
    return bool(a == b or (a != a and b != b) or abs(a - b) <= abs(a) * 1e-25)

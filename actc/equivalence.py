"""Whether two expressions are one function, and which of many are: equal wherever both are defined, but for isolated
points.

Three steps decide. The normal forms of equal functions mostly meet, and then the rules that led there are the proof.
Functions whose values differ at one of a few dozen points are different, and that point is the witness. What is left
is compared case by case, between the places where an operator in them bends: there absolute values, maxima and choices
are resolved by proofs of order, and quotients of polynomials decide. Where that proves nothing, agreement to 40 digits
at some hundred points, and of their difference with 0 to thousands, is called ``numeric``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache, cached_property, lru_cache

import mpmath

from actc.bends import X, bends, corners, few_points, levels, points, points_on_line
from actc.evaluation import nearest
from actc.expr import Expr, apply, constant, is_writable, postorder, rebuild
from actc.operators import operator
from actc.ordering import nonnegative
from actc.parsing import parse
from actc.quotients import same
from actc.rules import Case, canonical, everywhere
from actc.samples import LARGEST_PURSUED, POINTS, Sampler, Token, differ

PROVED, NUMERIC, DIFFERENT = "proved", "numeric", "different"

#: Points at which both values must be known before an agreement means anything.
_FEWEST = 6


@dataclass(frozen=True)
class Equivalence:
    """What :func:`equivalent` found.

    ``verdict`` is ``"proved"``, ``"numeric"`` (they agree at every point that was looked at, and no proof was found)
    or ``"different"``; then ``witness`` gives the free names' values at a point where they differ: floats, or a
    Fraction where float64 has no number that will do. It is None where values are beyond all digits, so that nothing is
    known of the two.
    """

    verdict: str
    witness: Mapping[str, float | Fraction] | None = None
    _pair: tuple[Expr, Expr] | None = field(default=None, repr=False, compare=False)

    def __bool__(self) -> bool:
        return self.verdict != DIFFERENT

    @cached_property
    def exceptions(self) -> tuple[float, ...]:
        """Isolated points where only one of the two is defined, or their values differ; found among the places where
        an operator bends, has a pole or ends, and within the range of float64. Of functions of x alone.

        >>> equivalent("x*x**-1", "1").exceptions
        (0.0,)
        """
        if self._pair is None or not self or any(e.symbols - {"x"} for e in self._pair):
            return ()
        found = (nearest(p) for p in bends(*self._pair) if not _agree_at(p, *self._pair))
        return tuple(filter(math.isfinite, found))


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
    anywhere = coarse.point(0, first.symbols | second.symbols)
    for place in coarse.apart(form, other)[:_TRIED]:
        if not _isolated(form, other, {n: coarse.inputs(n)[place] for n in anywhere}):
            return Equivalence(DIFFERENT, coarse.point(place, anywhere))
    if proved(form, other):
        return Equivalence(PROVED, _pair=(first, second))
    form, other = settled(form), settled(other)
    witness = disagreement(form, other)
    if witness is not None:
        return Equivalence(DIFFERENT, {**anywhere, **witness})
    if not comparable(coarse.fingerprint(form), coarse.fingerprint(other)):
        return Equivalence(DIFFERENT)
    return Equivalence(NUMERIC, _pair=(first, second))


#: How many points at which two functions differ are looked at from beside, and from where.
_TRIED, _ASIDE = 8, Fraction(3, 2**240)

#: Points at which the other names have their values, while one is looked at.
_HELD = (0, 3)


def disagreement(form: Expr, other: Expr) -> dict[str, float | Fraction] | None:
    """A point at which two normal forms certainly differ, looked for along each of their names, while the others have
    one value and then another, and last those beside where anything bends."""
    names = sorted(form.symbols | other.symbols)
    if not names:
        return None if _parting(form, other) is None else {}
    held = [{n: _coarse().inputs(n)[place] for n in names} for place in (_HELD if len(names) > 1 else _HELD[:1])]
    for name in names:
        for usual in held:
            given = {n: v for n, v in usual.items() if n != name}
            if (witness := _witness(form, other, name, given)) is not None:
                return witness
    for name, given in corners(held[0], form, other) if len(names) > 1 else ():
        if (witness := _witness(form, other, name, given, briefly=True)) is not None:
            return witness
    return None


def _witness(
    form: Expr, other: Expr, name: str, given: Mapping[str, Fraction], briefly: bool = False
) -> dict[str, float | Fraction] | None:
    """Values of the names, of which all but one are given, at which two normal forms certainly differ."""
    raw = [e.substitute({**given, name: X}) for e in (form, other)]
    first, second = map(canonical, raw)
    if first is second:
        return None
    point = _shortest(first, second, points_on_line(*raw)) if briefly else _parting(first, second)
    if point is None or (given and _isolated(form, other, {**given, name: Fraction(point)})):
        return None
    return {**{n: float(v) for n, v in given.items()}, name: point}


def _parting(form: Expr, other: Expr) -> float | Fraction | None:
    """A point at which two functions of x certainly differ."""
    point = _shortest(form, other, points(form, other))
    return _shortest(form, other, few_points(form, other), far=True) if point is None else point


def _shortest(form: Expr, other: Expr, many: tuple[Fraction, ...], far: bool = False) -> float | Fraction | None:
    """One of the points, or next to it, at which two functions of x certainly differ, in as few digits as will do; in
    float64 if they do so there."""
    for place in _apart(form, other, many, far)[:_TRIED]:
        point = many[place]
        told = nearest(point)
        short = [Fraction(told)] if math.isfinite(told) else []
        short += [*(point.limit_denominator(10**digits) for digits in (15, 30, 60)), point]
        held = next((q for q in short if _parts(form, other, q, far)), None)
        if held is not None:
            return told if held == told else held
    return None


def _apart(form: Expr, other: Expr, at: tuple[Fraction, ...], far: bool) -> list[int]:
    """The places of the points at which two functions of x certainly differ: in their first 40 digits, or however
    ``far`` behind."""
    if not far:
        return Sampler(at, 40).apart(form, other)
    few = Sampler(at, 2)
    signs = few.signs(canonical(apply("sub", form, other)))
    both = zip(few.values(form), few.values(other), signs, strict=True)
    return [i for i, (a, b, s) in enumerate(both) if a.is_finite() and b.is_finite() and s in (-1, 1)]


def _parts(form: Expr, other: Expr, point: Fraction, far: bool) -> bool:
    """Whether two functions of x differ at a point that is not whole, and beside it."""
    if point.denominator == 1 or not _apart(form, other, (point,), far):
        return False
    return not _isolated(form, other, {"x": point})


def _isolated(form: Expr, other: Expr, point: Mapping[str, Fraction]) -> bool:
    """Whether two functions that differ at a point do not do so beside it, as where an exponent happens to be whole."""
    beside = {n: v + min(abs(v), Fraction(1)) * _ASIDE for n, v in point.items()}
    if not all(map(is_writable, beside.values())):
        return False
    there = form.substitute(beside), other.substitute(beside)
    return not any(_apart(*there, (Fraction(0),), far) for far in (False, True))


@lru_cache(maxsize=1024)
def settled(form: Expr) -> Expr:
    """A normal form some of whose values nobody knows, with arguments that are, as far as thousands of digits show,
    where an operator jumps or ends put right there: floor(sin(x)**2 + cos(x)**2) is taken for floor(1). Others as they
    are."""
    if "?" not in _coarse().fingerprint(form) or len(postorder(form)) > LARGEST_PURSUED:
        return form
    return canonical(rebuild(form, _settled))


def _settled(node: Expr, args: tuple[Expr, ...]) -> Expr:
    node = node.with_args(args)
    if not args:
        return node
    if (row := operator(node.name)).compares:
        sign = _side(*args)
        # What is undefined compares otherwise.
        return node if sign is None else apply(node.name, _put(sign, args[0]), _put(0, args[1]))
    steps = row.derivative == ("0",)
    # On the side on which it is would depend how an operator is infinite.
    jumps = [(arg, level) for arg, level in levels(node) if not _infinite(node, level)]
    for a in args[:1] if steps else args[1:] if node.name == "pow" else ():
        jumps += _nearest(a)
    for arg, level in jumps:
        sign = _side(arg, constant(level)) if arg in args else None
        if sign == 0 or (sign and steps):
            # A function of steps is the same all the way to the next one.
            put = _put(level + Fraction(sign, 2), arg)
            args = tuple(put if a is arg else a for a in args)
    return node.with_args(args)


def _put(level: Fraction | int, form: Expr) -> Expr:
    """The number, where an expression is defined."""
    return canonical(apply("add", level, _defined_as(form)))


def _defined_as(form: Expr) -> Expr:
    """0 where an expression is defined."""
    return canonical(apply("mul", 0, form))


def _infinite(node: Expr, level: Fraction) -> bool:
    """Whether an operator goes to both infinities at one of its levels."""
    row = operator(node.name)
    if node.name in ("div", "pow"):
        return node.name == "div" or not (node.args[1].value or 0) > 0
    return level in row.poles and level not in row.domain and math.isinf(row.image[1])


def _nearest(arg: Expr) -> Iterator[tuple[Expr, Fraction]]:
    """The whole number that the values of an expression hardly leave."""
    values = [v for v in _coarse().values(arg) if v.is_finite()]
    level = round(float(values[0])) if values and abs(values[0]) < 2**50 else 0
    if values and all(abs(v - level) < 0.25 for v in values):
        yield arg, Fraction(level)


def _side(a: Expr, b: Expr) -> int | None:
    """The sign of a difference: 0 where nothing tells it from 0 at any point, another one of constants; or None."""
    form = canonical(apply("sub", a, b))
    sign = _coarse().signs(form)[0]
    alone = not form.symbols or (sign == 0 and disagreement(form, _defined_as(form)) is None)
    return int(sign) if alone and isinstance(sign, float) else None


def proved(form: Expr, other: Expr) -> bool:
    """Whether a proof was found that two normal forms are one function."""
    if len(postorder(form, other)) > LARGEST_PURSUED:
        return False
    if same(form, other, everywhere()):
        return True
    names = form.symbols | other.symbols
    if len(names) != 1:
        return False
    if names != {"x"}:
        form, other = (canonical(e.substitute(dict.fromkeys(names, X))) for e in (form, other))
    ends = [-math.inf, *bends(form, other), math.inf]
    for low, high in itertools.pairwise(ends):
        here = _case(low, high)
        first, second = here.canonical(form), here.canonical(other)
        if first is not second and not same(first, second, here):
            return False
    # Arguments of order are long: what they say of values is looked at as well.
    at = points_on_line(form, other)
    seen = Sampler(at).apart(form, other)
    return all(_isolated(form, other, {"x": at[place]}) for place in seen[:_TRIED])


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
    """The place of the first of two fingerprints' values that differ."""
    return next((i for i, pair in enumerate(zip(first, second, strict=True)) if differ(*pair)), None)


def comparable(first: Sequence[Token], second: Sequence[Token]) -> bool:
    """Whether so many values of two fingerprints are known that their agreement means anything: numbers, where others
    are unknown."""
    known = [pair for pair in zip(first, second, strict=True) if "?" not in pair]
    return sum(pair[0] != "nan" or len(known) == len(first) for pair in known) >= _FEWEST


def _agree_at(point: Fraction, first: Expr, second: Expr) -> bool:
    a, b = (e.evaluate_mp(30, **({"x": point} if e.symbols else {})) for e in (first, second))
    # Infinities agree with themselves alone.
    return bool(a == b or (a != a and b != b) or (mpmath.isfinite(a) and abs(a - b) <= abs(a) * 1e-25))

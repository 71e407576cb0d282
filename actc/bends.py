"""Where functions of x bend, jump or end, and the points at which functions that look equal may still differ."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from actc.breakpoints import candidates
from actc.derivatives import derivative
from actc.enclosures import ball, precision, value_in_balls
from actc.evaluation import nearest
from actc.expr import Expr, apply, is_writable, postorder, symbol
from actc.normal_form import sum_of
from actc.operators import operator
from actc.rules import canonical
from actc.samples import LARGEST_PURSUED, POINTS

X = symbol("x")


def bends(*forms: Expr) -> list[Fraction]:
    """Where an operator in them that stands on a line bends, has a pole or ends, or the two that it compares cross."""
    nodes = postorder(*forms)
    # Of large expressions it is not asked: each maximum in them compares all its operands.
    found = (_crossing(*test) for node in nodes if node.args and len(nodes) <= LARGEST_PURSUED for test in levels(node))
    return sorted({Fraction(0)}.union(*found))


def levels(node: Expr) -> Iterator[tuple[Expr, Fraction]]:
    """Functions, and for each a value at which the operator of a node bends, jumps, has a pole or ends."""
    row = operator(node.name)
    if row.definition is not None and not row.usual(node.args):
        # Kinks move with the other arguments.
        written_out = row.steps[-1].substitute(dict(zip(row.arguments, node.args, strict=False)))
        for part in postorder(written_out):
            if part.args:
                yield from levels(part)
    for level in (*row.kinks, *row.poles, *(end for end in row.domain if math.isfinite(end))):
        yield node.args[0], Fraction(level)
    if node.name == "div":
        yield node.args[1], Fraction(0)
    if node.name == "pow" and not _whole(node.args[1]):
        yield node.args[0], Fraction(0)
    if node.name == "where":
        yield node.args[0], Fraction(0)
    if len(node.args) == 2 and (node.name in ("max", "min") or row.compares):
        for a, b in itertools.combinations(_compared(node), 2):
            yield apply("sub", a, b), Fraction(0)


def _whole(exponent: Expr) -> bool:
    """Whether a power is a polynomial."""
    return exponent.value is not None and exponent.value.denominator == 1 and exponent.value >= 0


def _compared(node: Expr) -> list[Expr]:
    """The operands of nested maxima and minima."""
    return [p for a in node.args for p in (_compared(a) if a.name in ("max", "min") else [a])]


def _crossing(line: Expr, level: Fraction) -> Iterator[Fraction]:
    total = sum_of(canonical(line))
    slope = total.get(((X, 1),))
    if slope and total.keys() <= {((X, 1),), ()}:
        yield (level - total.get((), 0)) / slope


#: How many of the places where something bends are looked at from both sides, how many of these from near by, and how
#: many where values have thousands of digits.
_MOST, _FINEST, _FEW = 64, 16, 8

#: How much of the way from one bend to the next the point between them lies: no two short numbers make it whole.
_BETWEEN = Fraction(4097, 8191)

#: Distances from a bend at which both sides of it are looked at: those that float64 sees, and smaller ones.
_STEPS = tuple(Fraction(n, 2**k) for n, k in ((43007, 17), (11263, 17), (2561, 17), (97, 17), (1, 20), (1, 40)))
_SMALL_STEPS = tuple(Fraction(n, 2**k) for n, k in ((3, 53), (1, 80), (1, 120), (1, 200)))

#: How far float64 may be off the place where a function touches a value, and the bits to which that place is found.
_REACH, _HALVINGS, _BITS = Fraction(1, 2**22), 270, 400
#: Of the halvings, the first steps that are secants.
_SECANTS = 40
#: Values of nodes that are computed to find such places: a wave has hundreds, and at a pole every halving is needed.
_MOST_WORK = 200_000


#: Intervals of all sizes, shorter ones where float64 looks too, but does not see what is small beside 1.
_SIZES = (*range(-1112, -40, 16), *range(-40, -4, 4), *(k / 4 for k in range(-16, 80)), *range(20, 64, 2))
# At no simple number, where a function would be 0 and not change its sign.
_GRID = [Fraction(2) ** math.floor(k) * Fraction(2 ** (k % 1) * 1.0078) for k in (*_SIZES, *range(64, 1024, 16))]
_ALL = [pair for a, b in itertools.pairwise(_GRID) for pair in ((a, b), (-b, -a))]


def points(*forms: Expr) -> tuple[Fraction, ...]:
    """Some hundred values of x, none of them whole: tails, tiny ones of both signs, both sides of every bend."""
    rng = random.Random(0)
    found = [Fraction(2 * rng.randrange(2**19) + 1, 2 ** rng.randrange(21, 61)) for _ in range(50)]
    found += [Fraction(2 * rng.randrange(2**12) + 1, 2**8) for _ in range(40)]
    for power in (-999, -200, -120, -45, -42, -36, -30, -20, -10, 30, 200):
        found.append(rng.randrange(2**52 + 1, 2**53, 2) * Fraction(2) ** power + (Fraction(3, 8) if power > 0 else 0))
    ends = places(*forms)
    around = _between(ends) + _beside(ends[:_MOST], _STEPS) + _beside(ends[:_FINEST], _SMALL_STEPS)
    return tuple(filter(is_writable, dict.fromkeys([q for p in found for q in (p, -p)] + around)))


def _between(ends: Sequence[Fraction]) -> list[Fraction]:
    """One between every two that follow each other, widest intervals first."""
    widest = sorted(itertools.pairwise(sorted(ends)), key=lambda pair: pair[0] - pair[1])
    return [p for a, b in widest if (p := _shortened(a + (b - a) * _BETWEEN)).denominator > 1]


def _shortened(point: Fraction) -> Fraction:
    """A number of about 64 bits near the point."""
    scale = Fraction(2) ** (64 - point.numerator.bit_length() + point.denominator.bit_length())
    return round(point * scale) / scale


def few_points(*forms: Expr) -> tuple[Fraction, ...]:
    """A few of them, for values of thousands of digits."""
    # None that another name is held at.
    beside = _beside(places(*forms)[:_FEW], (_STEPS[2], _STEPS[5], _SMALL_STEPS[3]))
    return (*POINTS[4:12], *filter(is_writable, beside))


#: Far out, where another name is held too.
_TAILS = tuple(Fraction(p, 2**3) * sign for p in (2**23 + 5, 2**43 + 3) for sign in (1, -1))


def points_on_line(*forms: Expr) -> tuple[Fraction, ...]:
    """Some dozen: tails, one between every two bends that are exact, and both sides of the first of them."""
    ends = sorted(bends(*forms), key=abs)
    found = [*POINTS[4:8], *_between(ends), *_beside(ends[:_FEW], (_STEPS[2], _STEPS[5])), *_TAILS]
    return tuple(filter(is_writable, dict.fromkeys(found)))


def corners(usual: Mapping[str, Fraction], *forms: Expr) -> Iterator[tuple[str, dict[str, Fraction]]]:
    """Each name with values of the others, in tails and beside the places where any of them bends; so it is seen where
    several names must be beyond 50, say. The values are numbers of float64, and of two names never the same.

    ``usual``: the value of each name while it is looked where another one bends.
    """
    ends = {b for name in usual for b in bends(*(e.substitute({**usual, name: X}) for e in forms))}
    first = sorted(ends, key=abs)[:_FEW]
    pools = {}
    for k, (name, value) in enumerate(usual.items()):
        share = 1 + Fraction(k, 16)
        beside = _beside(first, [s * share for s in (_STEPS[2], _STEPS[5])])
        rounded = [Fraction(f) for f in map(nearest, beside) if math.isfinite(f)]
        pools[name] = [value, *(p for p in rounded if p.denominator > 1), *(t * share for t in _TAILS)]
    rng = random.Random(0)
    for name in usual:
        rest = {n: pool for n, pool in pools.items() if n != name}
        alike = list(zip(*rest.values(), strict=False))
        mixed = [tuple(map(rng.choice, rest.values())) for _ in alike] if len(rest) > 1 else []
        yield from ((name, dict(zip(rest, values, strict=True))) for values in (*alike, *mixed))


def _beside(ends: Sequence[Fraction], steps: Sequence[Fraction]) -> list[Fraction]:
    """Both sides of places; beside one whose side at a step is whole, 3/8 further."""
    found = (b + s * sign * size for s in steps for b in ends for size in _scales(b) for sign in (1, -1))
    return [p if p.denominator > 1 else p + Fraction(3, 8) for p in found]


def _scales(place: Fraction) -> tuple[Fraction, ...]:
    """1 and the size of the place, the larger first."""
    size = abs(place)
    return (Fraction(1),) if size in (0, 1) else (max(size, Fraction(1)), min(size, Fraction(1)))


@lru_cache(maxsize=64)
def places(*forms: Expr) -> tuple[Fraction, ...]:
    """Where an operator bends, has a pole or ends: on lines, exactly; elsewhere to many digits where its sign tells it,
    and last what only float64 shows.

    Those on lines stand outwards from 0, the others by how ordinary they are: a wave such as sin(1/x) has any number of
    tiny ones.
    """
    exact = sorted(bends(*forms), key=abs)
    rough = {p for form in forms for p in _seen(form)}.difference(map(nearest, exact))
    most_usual = sorted(map(Fraction, rough), key=_unusual)[:_FINEST]
    near = [(p - _REACH * (1 + abs(p)), p + _REACH * (1 + abs(p))) for p in most_usual]
    nodes = postorder(*forms)
    tests = dict.fromkeys(t for node in nodes if node.args and len(nodes) <= LARGEST_PURSUED for t in levels(node))
    curved: dict[Expr, None] = {}
    for function, level in tests:
        shifted = canonical(apply("sub", function, level))
        if shifted.symbols == {"x"} and not list(_crossing(shifted, Fraction(0))):
            # Where it touches the level, or nearly does, its derivative changes its sign.
            curved |= dict.fromkeys((shifted, derivative(shifted)))
    fine = _roots(curved, near + _ALL)
    # What float64 shows is left out where it is known better.
    seen = map(Fraction, rough.difference(map(nearest, fine)))
    return (*exact, *sorted(fine.difference(exact), key=_unusual), *sorted(seen, key=_unusual))


def _unusual(place: Fraction) -> tuple[float, Fraction]:
    """How many orders of magnitude lie between a number and 1; which number it is decides between equal ones."""
    return abs(math.log(abs(place.numerator)) - math.log(place.denominator)) if place else math.inf, place


def _seen(form: Expr) -> Sequence[float]:
    small = form.symbols == {"x"} and len(postorder(form)) <= LARGEST_PURSUED
    return candidates(form).tolist() if small else ()


@dataclass(frozen=True)
class _Change:
    """A function's values of opposite signs at the ends of an interval."""

    value: Callable[[Any], Any]
    ends: tuple[Fraction, Fraction]
    values: tuple[Any, Any]

    def root(self) -> tuple[Fraction, int]:
        """Where it changes its sign, by the secant between two points (regula falsi in its Illinois form), and by
        halves where that does not end; and how many values that took."""
        (low, high), (at_low, at_high) = map(ball, self.ends), self.values
        middle, moved, step = low, 0, 0
        for step in range(_HALVINGS):
            share = at_low / (at_low - at_high)
            if step >= _SECANTS or not share.is_finite():
                share = 0.5
            middle = (low + share * (high - low)).mid()
            found = self.value(middle)
            if found * at_low > 0:
                low, at_low, at_high = middle, found.mid(), at_high / (2 if moved < 0 else 1)
                moved = -1
            elif found * at_high > 0:
                high, at_high, at_low = middle, found.mid(), at_low / (2 if moved > 0 else 1)
                moved = 1
            else:
                break
        mantissa, exponent = middle.man_exp()
        return int(mantissa) * Fraction(2) ** int(exponent), step + 1


def _roots(functions: Iterable[Expr], brackets: Sequence[tuple[Fraction, Fraction]]) -> set[Fraction]:
    """Where functions change their signs, in those intervals at whose ends they have two: the most ordinary ones of
    each, as many as so much work finds."""
    with precision(_BITS):
        found: set[Fraction] = set()
        work = 0
        for changes in itertools.zip_longest(*(_changes(f, brackets) for f in functions)):
            for size, change in filter(None, changes):
                if work > _MOST_WORK:
                    return found
                root, steps = change.root()
                found.add(root)
                work += steps * size
        return found


def _changes(function: Expr, brackets: Sequence[tuple[Fraction, Fraction]]) -> list[tuple[int, _Change]]:
    def value(x: Any) -> Any:
        return value_in_balls(function, {"x": x})

    known = {end: value(ball(end)) for end in dict.fromkeys(itertools.chain.from_iterable(brackets))}
    found = [_Change(value, (a, b), (known[a], known[b])) for a, b in brackets if known[a] * known[b] < 0]
    size = len(postorder(function))
    return [(size, change) for change in sorted(found, key=lambda each: _unusual(each.ends[0]))]

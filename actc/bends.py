"""Where functions of x bend, jump or end, and the points at which functions that look equal may still differ."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from fractions import Fraction

from actc.breakpoints import candidates
from actc.derivatives import derivative
from actc.expr import Expr, apply, postorder, symbol
from actc.normal_form import sum_of
from actc.operators import operator
from actc.rules import canonical
from actc.samples import LARGEST, POINTS, Sampler

X = symbol("x")


def bends(*forms: Expr) -> list[Fraction]:
    """Where an operator in them that stands on a line bends, has a pole or ends, or the two that it compares cross."""
    nodes = postorder(*forms)
    # Of large expressions it is not asked: each maximum in them compares all its operands.
    found = (_crossing(*test) for node in nodes if node.args and len(nodes) <= LARGEST for test in levels(node))
    return sorted({Fraction(0)}.union(*found))


def levels(node: Expr) -> Iterator[tuple[Expr, Fraction]]:
    """Functions, and for each a value at which the operator of a node bends, jumps, has a pole or ends."""
    row = operator(node.name)
    for level in (*row.kinks, *row.poles, *(end for end in row.domain if math.isfinite(end))):
        yield node.args[0], Fraction(level)
    if node.name in ("div", "pow"):
        yield node.args[node.name == "div"], Fraction(0)
    if node.name == "where":
        yield node.args[0], Fraction(0)
    if len(node.args) == 2 and (node.name in ("max", "min") or row.compares):
        for a, b in itertools.combinations(_compared(node), 2):
            yield apply("sub", a, b), Fraction(0)


def _compared(node: Expr) -> list[Expr]:
    """The operands of nested maxima and minima."""
    return [p for a in node.args for p in (_compared(a) if a.name in ("max", "min") else [a])]


def _crossing(line: Expr, level: Fraction) -> Iterator[Fraction]:
    total = sum_of(canonical(line))
    slope = total.get(((X, 1),))
    if slope and total.keys() <= {((X, 1),), ()}:
        yield (level - total.get((), 0)) / slope


#: Places where something bends, those nearest 0, that are looked at from both sides.
_MOST = 64

#: Distances from a bend, far and near, at which both sides of it are looked at.
_STEPS = tuple(
    Fraction(n, 2**k)
    for n, k in ((21, 6), (11, 7), (5, 8), (3, 12), (1, 20), (1, 40), (3, 53), (1, 80), (1, 120), (1, 200))
)

#: How far float64 may be off the place where a function touches a value, and the bits to which that place is found.
_REACH, _HALVINGS, _BITS = Fraction(1, 2**22), 230, 400


def points(*forms: Expr) -> tuple[Fraction, ...]:
    """Some hundred values of x, none of them whole: tails, tiny ones of both signs, both sides of every bend."""
    rng = random.Random(0)
    found = [Fraction(2 * rng.randrange(2**19) + 1, 2 ** rng.randrange(21, 61)) for _ in range(50)]
    found += [Fraction(2 * rng.randrange(2**12) + 1, 2**8) for _ in range(40)]
    for power in (-999, -200, -120, -45, -42, -36, -30, -20, -10, 30, 200):
        found.append(rng.randrange(2**52 + 1, 2**53, 2) * Fraction(2) ** power)
    ends = places(*forms)
    widest = sorted(itertools.pairwise(ends), key=lambda pair: pair[0] - pair[1])
    around = [(a + b) / 2 for a, b in widest]
    around += _beside(sorted(ends, key=abs)[:_MOST], _STEPS)
    return tuple(dict.fromkeys([q for p in found for q in (p, -p)] + around))


def few_points(*forms: Expr) -> tuple[Fraction, ...]:
    """A few of them, for values of thousands of digits."""
    # None that another name is held at.
    return (*POINTS[4:12], *_beside(sorted(places(*forms), key=abs)[:8], (_STEPS[2], _STEPS[5])))


def _beside(ends: Sequence[Fraction], steps: Sequence[Fraction]) -> list[Fraction]:
    return [b + s * sign * (1 + abs(b)) for s in steps for b in ends for sign in (1, -1)]


def places(*forms: Expr) -> list[Fraction]:
    """Where an operator bends, has a pole or ends: exactly on lines, to many digits where float64 shows it."""
    exact = bends(*forms)
    rough = {Fraction(float(p)) for form in forms for p in _seen(form)} - {Fraction(float(p)) for p in exact}
    near = sorted(rough, key=abs)[:_MOST]
    fine: set[Fraction] = set()
    if near:
        tests = {(f, level) for node in postorder(*forms) if node.args for f, level in levels(node) if "x" in f.symbols}
        for function, level in tests:
            shifted = canonical(apply("sub", function, level))
            if list(_crossing(shifted, Fraction(0))):
                continue
            for crossing in (shifted, derivative(shifted)):
                for place, root in _roots(crossing, near):
                    rough.discard(place)
                    fine.add(root)
    return sorted(rough | fine | set(exact))


def _seen(form: Expr) -> Sequence[float]:
    small = form.symbols == {"x"} and len(postorder(form)) <= LARGEST
    return candidates(form).tolist() if small else ()


def _roots(function: Expr, near: Sequence[Fraction]) -> Iterator[tuple[Fraction, Fraction]]:
    """Of places next to which a function changes its sign: the place, and where that is."""

    def signs(at: Sequence[Fraction]) -> list[int]:
        values = Sampler(at, bits=_BITS).values(function)
        return [int(v > 0) - int(v < 0) for v in values]

    ends = [(p - _REACH * (1 + abs(p)), p + _REACH * (1 + abs(p))) for p in near]
    left, right = (signs([end[side] for end in ends]) for side in (0, 1))
    changing = [i for i in range(len(near)) if left[i] * right[i] < 0]
    brackets = [(*ends[i], left[i]) for i in changing]
    for _ in range(_HALVINGS if brackets else 0):
        middles = [(a + b) / 2 for a, b, _ in brackets]
        brackets = [
            (m, m, s) if sign == 0 else (m, b, s) if sign == s else (a, m, s)
            for (a, b, s), m, sign in zip(brackets, middles, signs(middles), strict=True)
        ]
    for i, (a, b, _) in zip(changing, brackets, strict=True):
        yield near[i], (a + b) / 2

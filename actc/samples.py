"""Values of expressions at chosen points in ball arithmetic, and fingerprints that equal functions share.

Precision is raised until a value's leading digits are certain, so that rounding neither splits a class nor joins two.
"""

from __future__ import annotations

import itertools
import math
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import flint

from actc.enclosures import ball, precision, value_at_balls
from actc.expr import Expr, postorder
from actc.operators import operator
from actc.quotients import without_cancellation
from actc.rules import canonical, named

#: Both signs and tails, both sides of the places where operators bend (0, 1/2, 1, 2.5, 3, 6), nothing special
#: otherwise. Few bits, so that they and their squares are exact. The first eight tell most functions apart.
POINTS = tuple(
    Fraction(p, 2**13) * sign
    for p in (1367, 4211, 8431, 20149, 11, 3989, 13451, 21011, 24103, 47981, 83561, 254003)
    for sign in (1, -1)
)

#: Binary scales of the values of other names, which 2^23 to 2^24 is divided by: mostly ordinary, tiny and large too.
_SCALES = (*range(19, 25), *range(20, 24), 34, 8)

_BITS, _MOST_BITS = 96, 8192
#: What is smaller counts as 0 in a fingerprint: 8,192 bits do not tell a difference of ordinary numbers from it, and
#: of two spellings of one function only one may cancel.
_TINY = flint.arb((1, -7000))
#: Points at which thousands of bits tell nothing but 0, after which fewer are asked for.
_GIVEN_UP = 24
#: Bits of a value that must be certain beyond those of the fingerprint, so that no rounding falls the other way.
_SPARE = 32
_SMALLEST = sys.float_info.min


#: Nodes of the largest expressions of which more digits are asked for, point by point, and inequalities proved.
LARGEST_PURSUED = 400

#: Expressions whose values are remembered: two generations of this many.
_REMEMBERED = 4096


#: A value as a fingerprint has it: the leading digits of π times the value, 0 where it is nearly so, "nan" where it is
#: undefined, "?" where nobody knows.
Token = float | str
_ZERO: Token = 0.0


class Sampler:
    """Expressions' values at given x, with those of the last few thousand parts remembered.

    Every other free name has values of its own, the same wherever it occurs, and equal ones at x and -x that follow
    each other. ``digits``: those of a fingerprint.
    """

    def __init__(self, points: Sequence[Fraction], digits: int = 16, bits: int = 0) -> None:
        self.points = points
        self._digits, self._bits = digits, bits or _BITS + 4 * digits
        self._inputs: dict[str, Sequence[Fraction]] = {"x": points}
        self._young: dict[Expr, list[Any]] = {}
        self._old: dict[Expr, list[Any]] = {}
        self._finer: dict[int, Sampler] = {}

    def inputs(self, name: str) -> Sequence[Fraction]:
        """The values of a free name."""
        if name not in self._inputs:
            # A generator of its own for each name, and the same values in every process; 24 bits, so that no two names
            # and no name and x have equal values or opposite ones.
            rng = random.Random(name)
            bits = [rng.randrange(2**23 + 1, 2**24, 2) * rng.choice((1, -1)) for _ in self.points[::2]]
            some = [n * Fraction(2) ** -rng.choice(_SCALES) for n in bits]
            self._inputs[name] = [v for v in some for _ in (0, 1)][: len(self.points)]
        return self._inputs[name]

    def point(self, place: int, names: Iterable[str]) -> dict[str, float]:
        """The values of free names at one of the points."""
        return {name: float(self.inputs(name)[place]) for name in sorted(names)}

    def values(self, expression: Expr) -> list[Any]:
        """Balls that hold the values; NaN where it is undefined or cannot be told."""
        with precision(self._bits):
            return self._values(expression)

    def varies(self, expression: Expr) -> bool:
        """Whether it certainly has two different values at the points."""
        known = [v for v in self.values(expression) if v.is_finite()]
        return any(not a.overlaps(b) for a, b in itertools.pairwise(known))

    def _values(self, expression: Expr) -> list[Any]:
        waiting = [expression]
        while waiting:
            node = waiting[-1]
            missing = [a for a in node.args if self._recalled(a) is None]
            if missing:
                waiting += missing
                continue
            waiting.pop()
            if node not in self._young:
                self._remember(node, self._node(node))
        return self._young[expression]

    def _recalled(self, node: Expr) -> list[Any] | None:
        found = self._young.get(node)
        if found is None and (found := self._old.get(node)) is not None:
            self._young[node] = found
        return found

    def _remember(self, node: Expr, values: list[Any]) -> None:
        if len(self._young) > _REMEMBERED:
            self._old, self._young = self._young, {}
        self._young[node] = values

    def _node(self, node: Expr) -> list[Any]:
        if node.value is not None:
            return [ball(node.value)] * len(self.points)
        if node.kind == "symbol":
            return [ball(v) for v in self.inputs(node.name)]
        row = operator(node.name)
        if not node.args:
            return [row.in_balls()] * len(self.points)
        value, columns = row.in_balls, [self._recalled(a) or self._values(a) for a in node.args]
        found = []
        places = len(self.points) if node.symbols else 1
        for args in itertools.islice(zip(*columns, strict=True), places):
            for a in args:
                if not a.is_finite():
                    found.append(value_at_balls(row, args))
                    break
            else:
                v = value(*args)
                found.append(value_at_balls(row, args) if v.is_nan() else v)
        return found if node.symbols else found * len(self.points)

    def fingerprint(self, expression: Expr) -> tuple[Token, ...]:
        """The leading digits of the values; equal functions have equal ones, whatever their spelling, where both are
        known."""
        return tuple(self._pursued(expression, self._token))

    def signs(self, expression: Expr) -> tuple[Token, ...]:
        """The signs of the values: 1, -1, or 0 where thousands of bits do not tell a value from it."""
        return tuple(self._pursued(expression, _sign))

    def apart(self, first: Expr, second: Expr) -> list[int]:
        """The places of the points at which two expressions certainly have different values."""
        tokens = zip(self.fingerprint(first), self.fingerprint(second), strict=True)
        balls = zip(self.values(first), self.values(second), strict=True)
        # Fingerprints do not tell values near 0 apart.
        return [
            i
            for i, (pair, (a, b)) in enumerate(zip(tokens, balls, strict=True))
            if differ(*pair) or (a.is_finite() and b.is_finite() and not a.overlaps(b))
        ]

    def _pursued(self, expression: Expr, told: Callable[[Any], Token | None]) -> Iterator[Token]:
        """What each value tells, at whatever precision it takes."""
        exhausted = 0
        for i, v in enumerate(self.values(expression)):
            token = told(v)
            if token is None:
                most = _MOST_BITS if exhausted < _GIVEN_UP else 4 * self._bits
                token, bits = self._certain(expression, i, told, most)
                exhausted += bits == most and token in (_ZERO, "?")
            yield token

    def _certain(
        self, expression: Expr, place: int, told: Callable[[Any], Token | None], most: int
    ) -> tuple[Token, int]:
        """What the value at one point tells, and the bits that it took; of a large expression it stays unknown."""
        bits = self._bits
        if len(postorder(expression)) > LARGEST_PURSUED:
            return "?", bits
        fixed = expression.substitute({n: self.inputs(n)[place] for n in expression.symbols})
        writings = [fixed]
        while bits < most:
            bits = min(4 * bits, most)
            if bits not in self._finer:
                self._finer[bits] = Sampler((Fraction(0),), self._digits, bits)
            for writing in writings:
                (v,) = self._finer[bits].values(writing)
                if (token := told(v)) is not None:
                    return token, bits
                if len(writings) == 1 and v.is_finite() and most == _MOST_BITS:
                    # Where balls are finite the expression is defined, so that rules and arithmetic tell what cancels.
                    form = canonical(fixed)
                    writings += dict.fromkeys((named(form), without_cancellation(form)))
        # What thousands of bits do not tell from 0. Where they tell a jump, a pole or an end of the domain from its
        # neighbourhood no better, as floor(erf(99999)), rounded numbers would only guess.
        return (_ZERO if v.is_finite() and v.abs_upper() < _TINY else "?"), bits

    def _token(self, v: Any) -> Token | None:
        """The leading digits of a ball, the same for every ball around a number; None if they are not certain."""
        if v.is_finite():
            if v.is_zero():
                return _ZERO
            if v.rel_accuracy_bits() < _SPARE + 4 * self._digits:
                return _ZERO if v.abs_upper() < _TINY else None
            with precision(self._bits):
                # A value of few bits may lie half way between two roundings; a multiple by π does not.
                multiple = v * flint.arb.pi()
            number = float(multiple)
            if self._digits <= 16 and _SMALLEST < abs(number) < math.inf:
                return number
            return _ZERO if v.abs_lower() < _TINY else multiple.str(self._digits - 1, radius=False)
        if v.is_nan():
            return "nan"
        return float(v) if v.is_exact() else None


def _sign(v: Any) -> Token | None:
    """The sign of every number in a ball; None if they have not the same."""
    if v.is_nan():
        return "nan"
    if v.contains(0):
        return _ZERO if v.is_zero() else None
    return 1.0 if v > 0 else -1.0


def differ(a: Token, b: Token) -> bool:
    """Whether two values are certainly different; one that nobody knows differs from none."""
    return a != b and "?" not in (a, b)

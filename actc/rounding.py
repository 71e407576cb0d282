"""The real values of a function of x, each rounded once to a floating-point format of few digits.

float64 with bounds of its own error decides nearly all of them. Balls decide the others, with as many digits as it
takes: where digits cancel, where an intermediate result leaves float64's range, and close to the middle between two
numbers of the format.
"""

from __future__ import annotations

import functools
import itertools
import math
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from actc.derivatives import derivative
from actc.evaluation import constant_value, value_at
from actc.expr import Expr, apply, constant, postorder, rebuild, symbol
from actc.operators import Operator, operator
from actc.parsing import parse
from actc.program import Program
from actc.rules import simplified, stabilised

Floats = npt.NDArray[np.float64]

#: Half the distance from 1 to the next float64, the smallest one and the largest.
_U, _TINY, _LARGEST = 2.0**-53, 5e-324, sys.float_info.max

#: Elements that are bounded at once: all of a long expression stays in the cache.
_SLAB = 8192

#: Where so many neighbours are undecided, intervals around all of them are tried, so often at most.
_MANY, _TRIES = 32, 64

#: Bits of the balls that are tried.
_BITS = (96, 320, 1280, 8192)
_ENOUGH = 1280

#: From here on no digits tell whether an exponent is whole.
_ENDLESS = 2.0**1000


@dataclass(frozen=True)
class Format:
    """A binary floating-point format with subnormal numbers and infinities.

    ``digits`` are those of the significand, the hidden one included, ``least`` and ``most`` the exponents e of the
    smallest and largest normal numbers 1.f·2^e.

    >>> float(BFLOAT16.rounded(np.array(1.005)))
    1.0078125
    """

    digits: int
    least: int
    most: int

    def rounded(self, values: Any) -> Any:
        """The nearest numbers of the format, ties to even, as float64; beyond its range infinite.

        To add a number whose last bit weighs as much as the result's rounds there, and to subtract it again is exact.
        """
        with np.errstate(all="ignore"):
            power = (np.asarray(values, np.float64).view(np.int64) & (0x7FF << 52)).view(np.float64)
            shift = np.clip(power, 2.0**self.least, 2.0 ** (self.most + 2)) * (1.5 * 2.0 ** (53 - self.digits))
            found = np.copysign((values + shift) - shift, values)
            # The shift is a number even where the value is none.
            return np.where(np.abs(found) > self.largest, np.copysign(math.inf, values), found)

    def rounded_within(self, held: Bounds) -> tuple[Any, Any]:
        """What values between bounds are rounded to, at least and at most."""
        with np.errstate(all="ignore"):
            ends = []
            for end, inwards in ((held.low, math.inf), (held.high, -math.inf)):
                # Strictly inside the middle of two numbers, nothing is rounded as the middle is.
                finer = Format(self.digits + 1, self.least, self.most)
                middle = ~held.exact & (finer.rounded(end) == end) & (self.rounded(end) != end)
                ends.append(self.rounded(np.where(middle, np.nextafter(end, inwards), end)))
        return ends[0], ends[1]

    @property
    def end(self) -> float:
        """From here on numbers are rounded to infinity."""
        return math.ldexp(2.0 - math.ldexp(1.0, -self.digits), self.most)

    @property
    def largest(self) -> float:
        """The largest finite number."""
        return math.ldexp(2.0 - math.ldexp(1.0, 1 - self.digits), self.most)


BFLOAT16 = Format(8, -126, 127)
FLOAT16 = Format(11, -14, 15)
FLOAT32 = Format(24, -126, 127)


@dataclass(frozen=True)
class Rounded:
    """``values`` are float64 numbers of the format; ``undecided`` the places that float64 did not decide."""

    values: Floats
    undecided: npt.NDArray[np.intp]


def rounded(expression: Expr, x: Floats, form: Format) -> Rounded:
    """The function's real values at the numbers in ``x``, rounded once to the format; NaN where it is undefined.

    At ±∞, NaN and −0 they are what the text as written gives in float64; so are infinities at poles, and the sign of
    a zero.
    """
    if not expression.symbols and len(x) > 1:
        return Rounded(np.full(x.shape, rounded(expression, np.zeros(1), form).values), np.empty(0, np.intp))
    found, decided = np.empty(x.shape), ~np.isfinite(x) | ((x == 0) & np.signbit(x))
    found[decided] = form.rounded(written(expression, x[decided]))

    states = np.full(x.shape, UNKNOWN)

    def decide(writing: Expr, inward: bool = False) -> None:
        where = np.flatnonzero(~decided)
        held = bounds(writing, x[where], inward)
        low, high = form.rounded_within(held)
        # Another form is the same function where that is defined, and may be defined elsewhere.
        known = states[where] != UNKNOWN
        new = held.state if writing is expression else np.where(held.state == UNDEFINED, UNDEFINED, UNKNOWN)
        states[where] = np.where(known, states[where], new)
        found[where] = np.where(states[where] == UNDEFINED, math.nan, low)
        decided[where] = np.where(
            states[where] == DEFINED, (low == high) & (held.state == DEFINED), states[where] != UNKNOWN
        )

    decide(expression)
    # What the text loses by cancellation, a form that rules give may keep.
    stable = expression if decided.all() else stabilised(expression)
    if stable is not expression:
        decide(stable)
    if not decided.all():
        # Definitions tell the sign of what underflows.
        decide(expression, inward=True)
    if np.count_nonzero(~decided & (states == DEFINED)) > _MANY:
        # Exact halves, which no digits of quotients tell.
        decide(simplified(expression))
    undecided = np.flatnonzero(~decided)
    defined = undecided[states[undecided] == DEFINED]
    if len(defined) > _MANY:
        decided[defined] = _by_intervals(stable, x[defined], form, found, defined)
    rest = np.flatnonzero(~decided)
    found[rest] = _by_balls(expression, x[rest], form, states[rest] == DEFINED)
    poles, zeros = states == POLE, np.flatnonzero(found == 0)
    found[poles] = form.rounded(written(expression, x[poles]))
    found[zeros] = np.copysign(found[zeros], written(expression, x[zeros]))
    return Rounded(found, undecided)


def written(expression: Expr, x: Floats) -> Floats:
    """The text as written, in float64."""
    return expression.evaluate(x=x) if expression.symbols else np.full(x.shape, constant_value(expression))


# --- float64 from below and from above --------------------------------------------------------------------------------

#: What is known of a value: a real number; infinite, where something is divided by exactly 0; nothing; that it is
#: undefined. Of several the least is known of what is made of them.
DEFINED, POLE, UNKNOWN, UNDEFINED = 3, 2, 1, 0


@dataclass(frozen=True)
class Bounds:
    """Arrays of float64 around a function's values: where ``low`` and ``high`` are equal they are the value itself,
    elsewhere it lies strictly between them (an infinite one is no bound). ``state`` says what else is known."""

    low: Any
    high: Any
    state: Any = DEFINED

    @functools.cached_property
    def exact(self) -> Any:
        return self.low == self.high


def bounds(expression: Expr, x: Floats, inward: bool = False) -> Bounds:
    """Bounds of a function's real values at exact, finite numbers; ``inward``: by definitions down to primitive rows.

    Sums, products and quotients of numbers are as wrong as error-free transformations say (Knuth, Dekker), so that
    exact ones stay exact. Other rows are wrong by at most 8u(|f| + |x·f'|), which the table's tests hold them to.
    """
    found = Bounds(np.empty(x.shape), np.empty(x.shape), np.empty(x.shape, np.int8))
    with np.errstate(all="ignore"):
        for start in range(0, len(x), _SLAB):
            part = slice(start, start + _SLAB)
            known: dict[Expr, Bounds] = {}
            for node in postorder(expression):
                if node.kind == "symbol":
                    known[node] = Bounds(x[part], x[part])
                elif not node.symbols:
                    known[node] = _constant(node)
                else:
                    known[node] = _applied(operator(node.name), [known[a] for a in node.args], inward)
            last = known[expression]
            found.low[part], found.high[part], found.state[part] = last.low, last.high, last.state
    return found


@functools.lru_cache(maxsize=4096)
def _constant(node: Expr) -> Bounds:
    value = np.float64(constant_value(node))
    if node.value is not None and math.isfinite(value) and node.value == Fraction(float(value)):
        return Bounds(value, value)
    # The nearest float64, so that its neighbours are on both sides.
    low, high = np.nextafter(value, -math.inf), np.nextafter(value, math.inf)
    if math.isfinite(value):
        return Bounds(low, high)
    return Bounds(value, value, UNDEFINED if math.isnan(value) else POLE)


def _number(value: Fraction) -> Bounds:
    return _constant(constant(value))


def _applied(row: Operator, args: Sequence[Bounds], inward: bool) -> Bounds:
    if not args:
        return _constant(apply(row.name))
    if row.name in _ROWS:
        return _ROWS[row.name](row, args)
    rest = args[row.arity - len(row.defaults) :] if row.defaults else []
    usual = all(np.ndim(a.low) == 0 and a.exact and a.low == float(d) for a, d in zip(rest, row.defaults, strict=True))
    alone = usual and row.arity - len(row.defaults) == 1
    numbers = alone and bool(np.all(args[0].exact))
    whole = row.analytic or row.primitive or "definition" in row.rounded
    if (
        alone
        and whole
        and (numbers or row.monotone)
        and not (inward and "definition" not in row.rounded and row.definition)
    ):
        return _at_ends(row, args)
    if row.name in _EVEN:
        return _at_ends(row, [_absolute(row, args)])
    if row.name in _STEEPEST:
        return _lipschitz(row, args)
    if row.name in _TEXTS:
        return _by_text(_TEXTS[row.name], row, args)
    from actc.enclosures import by_definition

    found: Bounds = by_definition(row, args, _number, lambda inner, given: _applied(inner, given, inward))
    return found


def _state(args: Sequence[Bounds]) -> Any:
    """What is known of a value made of these."""
    states = [a.state for a in args if a.state is not DEFINED]
    if not states:
        return DEFINED
    least = functools.reduce(np.minimum, states)
    return np.where(least == POLE, UNKNOWN, least)


def _around(low: Any, high: Any, state: Any, exact: Any = False) -> Bounds:
    """Rounded ends: the value is strictly between their neighbours, unless it is exact. What overflowed is large."""
    down = np.where(exact, low, np.minimum(np.nextafter(low, -math.inf), _LARGEST))
    up = np.where(exact, high, np.maximum(np.nextafter(high, math.inf), -_LARGEST))
    return Bounds(np.where(np.isnan(down), -math.inf, down), np.where(np.isnan(up), math.inf, up), state)


def _ends(found: Sequence[Any]) -> tuple[Any, Any]:
    return functools.reduce(np.minimum, found), functools.reduce(np.maximum, found)


def _arithmetic(args: Sequence[Bounds], low: Any, high: Any, exact: Any) -> Bounds:
    """Of a result between these ends; poles are computed with as float64 does it."""
    state = _state(args)
    if state is not DEFINED:
        poles = functools.reduce(np.logical_or, [a.state == POLE for a in args]) & (state == UNKNOWN)
        poles &= functools.reduce(np.logical_and, [a.state >= POLE for a in args])
        still = poles & (low == high) & np.isinf(low)
        state = np.where(still, POLE, state)
        nothing = poles & np.isnan(low) & functools.reduce(np.logical_and, [a.exact for a in args])
        state, exact = np.where(nothing, UNDEFINED, state), exact | still
    return _around(low, high, state, exact)


def _folded(step: Callable[[Operator, Bounds, Bounds], Bounds]) -> Callable[[Operator, Sequence[Bounds]], Bounds]:
    return lambda row, args: functools.reduce(lambda a, b: step(row, a, b), args)


def _sum(row: Operator, a: Bounds, b: Bounds) -> Bounds:
    if row.name == "sub":
        b = Bounds(-b.high, -b.low, b.state)
    (low, low_rest), (high, high_rest) = _two_sum(a.low, b.low), _two_sum(a.high, b.high)
    exact = a.exact & b.exact
    found = _arithmetic([a, b], low, high, exact & (low_rest == 0))
    # An end that is exact is an end already, since one of the two is strictly inside its own.
    down, up = np.where(~exact & (low_rest == 0), low, found.low), np.where(~exact & (high_rest == 0), high, found.high)
    for one, other in ((a, b), (b, a)):
        # However small what is added, its sign tells the side.
        down, up = (
            np.where(other.low >= 0, np.maximum(down, one.low), down),
            np.where(other.high <= 0, np.minimum(up, one.high), up),
        )
    return Bounds(down, up, found.state)


def _two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """The rounded sum, and what rounding left out."""
    total = a + b
    back = total - a
    return total, (a - (total - back)) + (b - back)


def _product(row: Operator, a: Bounds, b: Bounds) -> Bounds:
    low, high = _ends([_times(p, q) for p in _distinct(a) for q in _distinct(b)])
    zero = a.exact & (a.low == 0) | b.exact & (b.low == 0)
    return _signed(a, b, _arithmetic([a, b], low, high, zero | a.exact & b.exact & _is_product(a.low, b.low, low)))


def _signed(a: Bounds, b: Bounds, found: Bounds) -> Bounds:
    """A product or quotient has the sign that those of its parts give it, also where it underflows."""
    if not np.any((found.low < 0) & (found.high > 0)):
        return found
    sign = _sign(a) * _sign(b)
    low, high = (
        np.where(sign > 0, np.maximum(found.low, 0.0), found.low),
        np.where(sign < 0, np.minimum(found.high, 0.0), found.high),
    )
    return Bounds(low, high, found.state)


def _sign(a: Bounds) -> Any:
    """That of all values between the ends, or 0."""
    return np.where(a.low >= 0, 1, np.where(a.high <= 0, -1, 0)) * ~(a.exact & (a.low == 0))


def _distinct(a: Bounds) -> tuple[Any, ...]:
    return (a.low,) if a.low is a.high else (a.low, a.high)


def _times(a: Any, b: Any) -> Any:
    # An infinite end is a limit, and nothing times what grows without bound is nothing.
    product = a * b
    return np.where(np.isnan(product), 0.0, product)


def _is_product(a: Any, b: Any, product: Any) -> Any:
    """Whether a·b is this number exactly (Dekker); not of numbers that may be too small to tell."""
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    rest = ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2
    return (rest == 0) & (np.abs(product) > 2.0**-960)


def _halves(a: Any) -> tuple[Any, Any]:
    large = a * 134217729.0
    high = large - (large - a)
    return high, a - high


def _quotient(row: Operator, args: Sequence[Bounds]) -> Bounds:
    a, b = args
    low, high = _ends([np.where(np.isnan(q := p / r), 0.0, q) for p in _distinct(a) for r in _distinct(b)])
    nothing, zero = a.exact & (a.low == 0), b.exact & (b.low == 0)
    exact = nothing & ~zero | a.exact & b.exact & _is_product(low, b.low, a.low)
    found = _signed(a, b, _arithmetic(args, low, high, exact))
    away = (b.low >= 0) | (b.high <= 0)
    if np.all(away & ~zero):
        return found
    other = np.where(zero & nothing, UNDEFINED, np.where(zero & (_sign(a) != 0), POLE, UNKNOWN))
    state = np.where((away & ~zero) | (_state(args) < DEFINED), found.state, other)
    pole = np.where(a.low >= 0, math.inf, -math.inf) * np.copysign(1.0, b.low)
    return Bounds(np.where(state == POLE, pole, found.low), np.where(state == POLE, pole, found.high), state)


def _choice(row: Operator, args: Sequence[Bounds]) -> Bounds:
    condition, a, b = args
    # In Python's and torch's arithmetic NaN is not 0.
    yes = np.where(condition.exact, condition.low != 0, (condition.low >= 0) | (condition.high <= 0))
    yes = (yes & (condition.state >= POLE)) | (condition.state == UNDEFINED)
    no = condition.exact & (condition.low == 0) & (condition.state == DEFINED)
    low, high = np.minimum(a.low, b.low), np.maximum(a.high, b.high)
    either = ~(yes | no)
    if np.any(either):
        low, high = np.nextafter(low, -math.inf), np.nextafter(high, math.inf)
    unknown = np.minimum(np.minimum(a.state, b.state), np.where(condition.state == UNKNOWN, UNKNOWN, DEFINED))
    return Bounds(
        np.where(yes, a.low, np.where(no, b.low, low)),
        np.where(yes, a.high, np.where(no, b.high, high)),
        np.where(yes, a.state, np.where(no, b.state, np.where(unknown < DEFINED, UNKNOWN, DEFINED))),
    )


def _comparison(row: Operator, args: Sequence[Bounds]) -> Bounds:
    a, b = args if row.name in ("lt", "le", "eq", "ne") else args[::-1]
    exact = a.exact & b.exact
    # Unless both are exact, a value is strictly on its side of an end.
    less, more = np.where(exact, a.low < b.low, a.high <= b.low), np.where(exact, a.low > b.low, b.high <= a.low)
    same = exact & (a.low == b.low)
    yes, no = {
        "lt": (less, more | same),
        "le": (less | same, more),
        "eq": (same, less | more),
        "ne": (less | more, same),
    }[{"gt": "lt", "ge": "le"}.get(row.name, row.name)]
    undefined = (a.state == UNDEFINED) | (b.state == UNDEFINED)
    unknown = ~undefined & ((a.state == UNKNOWN) | (b.state == UNKNOWN) | ~(yes | no))
    value = np.where(undefined, float(row.name == "ne"), 1.0 * yes)
    state = np.where(~undefined & ((a.state == UNKNOWN) | (b.state == UNKNOWN)), UNKNOWN, DEFINED)
    return Bounds(np.where(unknown, -1.0, value), np.where(unknown, 2.0, value), state)


def _selected(args: Sequence[Bounds], low: Any, high: Any) -> Bounds:
    """Of a value that is one of several: both ends may be reached, unless they meet."""
    apart = low != high
    state = _state(args)
    return Bounds(
        np.where(apart, np.nextafter(low, -math.inf), low), np.where(apart, np.nextafter(high, math.inf), high), state
    )


def _larger(row: Operator, a: Bounds, b: Bounds) -> Bounds:
    return _selected([a, b], np.maximum(a.low, b.low), np.maximum(a.high, b.high))


def _smaller(row: Operator, a: Bounds, b: Bounds) -> Bounds:
    return _selected([a, b], np.minimum(a.low, b.low), np.minimum(a.high, b.high))


def _absolute(row: Operator, args: Sequence[Bounds]) -> Bounds:
    (a,) = args
    low = np.where(a.low > 0, a.low, np.where(a.high < 0, -a.high, 0.0))
    return (
        _selected(args, low, np.maximum(-a.low, a.high))
        if np.any((a.low < 0) & (a.high > 0))
        else Bounds(np.where(a.low >= 0, a.low, -a.high), np.where(a.low >= 0, a.high, -a.low), _state(args))
    )


def _relu(row: Operator, args: Sequence[Bounds]) -> Bounds:
    return _selected(args, np.where(args[0].low < 0, 0.0, args[0].low), np.where(args[0].high < 0, 0.0, args[0].high))


def _saturated(row: Operator, args: Sequence[Bounds]) -> Bounds:
    (a,) = args
    state = a.state if a.state is DEFINED else np.where(a.state == POLE, DEFINED, a.state)
    return Bounds(np.clip(a.low, -_LARGEST, _LARGEST), np.clip(a.high, -_LARGEST, _LARGEST), state)


def _stairs(row: Operator, args: Sequence[Bounds]) -> Bounds:
    """sign and floor: what they are just above the lower and just below the upper end."""
    (a,) = args
    assert row.numpy is not None
    if row.name == "floor":
        low, high = np.floor(a.low), np.where(a.exact, np.floor(a.high), np.ceil(a.high) - 1)
    else:
        low = np.where(a.exact, np.sign(a.low), np.where(a.low >= 0, 1.0, -1.0))
        high = np.where(a.exact, np.sign(a.high), np.where(a.high <= 0, -1.0, 1.0))
    return _selected(args, low, high)


def _power(row: Operator, args: Sequence[Bounds]) -> Bounds:
    a, b = args
    if np.ndim(b.low) == 0 and b.exact and b.low in (2.0, 3.0):
        square = _product(row, a, a)
        # Never negative, and 0 only where it is known to be.
        square = Bounds(
            np.where(
                square.exact, square.low, np.maximum(square.low, np.where((a.low >= 0) | (a.high <= 0), 0.0, -_TINY))
            ),
            square.high,
            square.state,
        )
        return square if b.low == 2.0 else _product(row, square, a)
    # By the size of the base, in which it is monotone, as in the exponent: extreme at corners.
    size = Bounds(np.abs(np.where(a.low >= 0, a.low, a.high)), np.abs(np.where(a.low >= 0, a.high, a.low)))
    corners = [_of_row(row, pair, DEFINED) for pair in itertools.product(_distinct(size), _distinct(b))]
    low, high = np.maximum(_ends([c.low for c in corners])[0], 0.0), _ends([c.high for c in corners])[1]
    zero = a.exact & (a.low == 0)
    positive, negative = (a.low >= 0) & ~zero, (a.high <= 0) & ~zero
    whole = b.exact & (np.floor(b.low) == b.low)
    odd = b.exact & (np.mod(b.low, 2) == 1)
    between = np.where(b.exact, ~whole, np.floor(b.low) == np.ceil(b.high) - 1)
    vanishes = zero & np.where(b.exact, b.low > 0, b.low >= 0)
    low, high = np.where(vanishes, 0.0, low), np.where(vanishes, 0.0, high)
    low, high = np.where(negative & odd, -high, low), np.where(negative & odd, -low, high)
    state, fine = _state(args), positive | vanishes | negative & whole
    pole = zero & np.where(b.exact, b.low < 0, b.high <= 0) & (state == DEFINED)
    # No digits tell whether such an exponent is whole: as at a pole, it is what float64 makes of it.
    pole |= negative & ~whole & ((b.low >= _ENDLESS) | (b.high <= -_ENDLESS)) & (state == DEFINED)
    other = np.where(pole, POLE, np.where(negative & between, UNDEFINED, UNKNOWN))
    state = np.where((state == DEFINED) & ~fine, other, state)
    return Bounds(np.where(pole, math.inf, low), np.where(pole, math.inf, high), state)


def _at_ends(row: Operator, args: Sequence[Bounds]) -> Bounds:
    """A row of one argument, monotone or at numbers, by its values at the ends."""
    a, state = args[0], _state(args)
    low, high = a.low, a.high
    first, last = row.domain
    if row.domain != (-math.inf, math.inf):
        outside = (high < first) | (low > last) | ~a.exact & ((high == first) | (low == last))
        inside = (low >= first) & (high <= last)
        for pole in row.poles:
            inside &= ~a.exact | (low != pole)
        state = np.minimum(state, np.where(outside, UNDEFINED, np.where(inside, DEFINED, UNKNOWN)))
        low, high = np.clip(low, first, last), np.clip(high, first, last)
        if 0.0 in row.poles:
            # Closer to it, slopes leave float64's range.
            high = np.where(a.exact, high, np.maximum(high, 2.0**-1021))
    rest = [b.low for b in args[1:]]
    at = [_of_row(row, [end, *rest], state) for end in ((low,) if a.low is a.high else (low, high))]
    lower, upper = (at[0], at[-1]) if row.monotone >= 0 else (at[-1], at[0])
    found_low, found_high = lower.low, upper.high
    if row.analytic and row.monotone and row.domain == (-math.inf, math.inf):
        # What rises without end never gets to its limits; those that are not whole are rounded.
        least, most = row.image
        found_low = np.maximum(found_low, least) if least == round(least, 0) else found_low
        found_high = np.minimum(found_high, most) if most == round(most, 0) else found_high
    first_end, last_end = (a.low, a.high) if row.monotone >= 0 else (a.high, a.low)
    for point, value in _exact_values(row):
        exact = True if row.monotone else a.exact
        found_low = np.where(exact & (first_end == point), value, found_low)
        found_high = np.where(exact & (last_end == point), value, found_high)
    return Bounds(found_low, found_high, state)


@functools.cache
def _exact_values(row: Operator) -> list[tuple[float, float]]:
    """Where a row has a whole number or a half as its value: many an activation takes all negative numbers there."""
    from actc.enclosures import ball, precision

    found = []
    with precision(96):
        for point in (0.0, 1.0):
            value = row.in_balls(ball(point), *map(ball, row.defaults))
            if value.is_finite() and value.is_exact():
                found.append((point, float(value)))
    return found


def _of_row(row: Operator, args: Sequence[Any], state: Any) -> Bounds:
    """A row at numbers; infinite ones are limits."""
    steep = _CONDITION.get(row.name)
    found, *slopes = _evaluated(_row_program(row, len(args), steep is None), args)
    error = (8 + 8 * (steep or 0)) * _U * np.abs(found) + 50 * _TINY
    for a, slope in zip(args, slopes, strict=False):
        error = error + np.where(np.isfinite(a) & (slope != 0), 8 * _U * np.abs(a * slope), 0.0)
    # What overflows may be wrong by as much as all the rest.
    low = np.where(np.isinf(found), np.where(found > 0, _LARGEST / 2, -math.inf), found - error)
    high = np.where(np.isinf(found), np.where(found < 0, -_LARGEST / 2, math.inf), found + error)
    return _around(low, high, state)


@functools.lru_cache(maxsize=256)
def _row_program(row: Operator, count: int, slopes: bool) -> Program:
    """The row's value and, if asked for, its slope by each argument that has not its default."""
    names = [f"a{i}" for i in range(count)]
    whole = apply(row.name, *map(symbol, names))
    return Program.of([whole, *(derivative(whole, name) for name in names[: row.arity - len(row.defaults)] if slopes)])


def _evaluated(program: Program, args: Sequence[Any]) -> list[Any]:
    results: list[Any] = []
    for step in program.instructions:
        if step.op == "input":
            results.append(args[int(str(step.name)[1:])])
        elif step.op == "constant":
            results.append(np.float64(step.value))
        else:
            numpy = operator(step.op).numpy
            assert numpy is not None
            results.append(numpy(*(results[a] for a in step.args)))
    return [results[place] for place in program.outputs]


def _lipschitz(row: Operator, args: Sequence[Bounds]) -> Bounds:
    """By its value in the middle and how steep it is anywhere."""
    (a,) = args
    middle = np.where(a.exact, a.low, a.low / 2 + a.high / 2)
    at = _of_row(row, [middle], _state(args))
    reach = _STEEPEST[row.name] * np.maximum(a.high - middle, middle - a.low)
    return _around(at.low - reach, at.high + reach, at.state)


def _by_text(text: str, row: Operator, args: Sequence[Bounds]) -> Bounds:
    known = dict(zip(map(symbol, row.arguments), args, strict=True))
    for node in postorder(parse(text)):
        if node not in known:
            known[node] = (
                _applied(operator(node.name), [known[a] for a in node.args], False) if node.symbols else _constant(node)
            )
    return known[parse(text)]


def _hypotenuse(row: Operator, args: Sequence[Bounds]) -> Bounds:
    a, b = (_absolute(row, [each]) for each in args)
    state = _state(args)
    low = _of_row(row, [np.maximum(a.low, 0.0), np.maximum(b.low, 0.0)], state)
    return Bounds(low.low, _of_row(row, [a.high, b.high], state).high, state)


#: Rows that are monotone in abs(x).
_EVEN = frozenset({"cosh", "i0e"})

#: Where |x·f'| is at most so many times |f|; waves are reduced exactly, however far out.
_CONDITION = (
    dict.fromkeys(("sin", "cos"), 0)
    | dict.fromkeys(("tanh", "erf", "atan", "asinh", "i0e", "i1e"), 1)
    | {"i0e_minus_i1e": 2}
)

#: At most so steep are the waves, and Bessel's functions (DLMF 10.29).
_STEEPEST = {"sin": 1.0, "cos": 1.0, "i1e": 0.5, "i0e_minus_i1e": 1.5, "i1e_slope": 1.0}

#: What rows mean whose definition is true to float64 only, or jumps, for arguments that are not exact.
_TEXTS = {
    "tan": "sin(x)/cos(x)",
    "gelu_tanh": "x*sigmoid(sqrt(8/pi)*(x + 0.044715*x*x*x))",
    "softplus": "(max(beta*x, 0) + log1p(exp(-abs(beta*x))))/beta",
    "celu": "where(alpha == 0, max(x, 0), max(x, 0) + alpha*expm1(min(x, 0)/alpha))",
}

_ROWS: dict[str, Callable[[Operator, Sequence[Bounds]], Bounds]] = {
    **dict.fromkeys(("add", "sub", "sum_n"), _folded(_sum)),
    **dict.fromkeys(("mul", "prod_n"), _folded(_product)),
    **dict.fromkeys(("max", "max_n"), _folded(_larger)),
    **dict.fromkeys(("min", "min_n"), _folded(_smaller)),
    **dict.fromkeys(("lt", "le", "gt", "ge", "eq", "ne"), _comparison),
    **dict.fromkeys(("sign", "floor"), _stairs),
    "neg": lambda row, args: Bounds(-args[0].high, -args[0].low, args[0].state),
    "abs": _absolute,
    "relu": _relu,
    "saturate": _saturated,
    "div": _quotient,
    "where": _choice,
    "pow": _power,
    "hypot": _hypotenuse,
}


# --- balls ------------------------------------------------------------------------------------------------------------


def real_values(expression: Expr, x: Floats, bits: int = 256) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """The float64 numbers next to the function's real values, by balls of so many bits, and where these tell them."""
    from actc.enclosures import ball, precision, value_in_balls

    with precision(bits):
        held = [value_in_balls(expression, {"x": ball(v)}) for v in x.tolist()]
        known = [v.is_nan() or v.is_exact() or v.rel_accuracy_bits() > 50 for v in held]
        return np.array([float(v.mid()) if v.is_finite() else float(v) for v in held]), np.array(known, bool)


def _by_intervals(expression: Expr, x: Floats, form: Format, found: Floats, places: npt.NDArray[np.intp]) -> Any:
    """Which values were found because they are the same number on all of an interval, as far out they mostly are."""
    from actc.enclosures import Region

    done, order = np.zeros(len(x), bool), np.argsort(x)
    middle = int(np.searchsorted(x[order], 0.0))
    waiting, tries = deque([(0, middle), (middle, len(x))]), 0
    while waiting and tries < _TRIES:
        first, end = waiting.popleft()
        if end - first < _MANY:
            continue
        tries += 1
        ends = [Fraction(float(x[order[k]])) for k in (first, end - 1)]
        low, high = Region(ends[0], ends[1], bits=256).bounds(expression)
        value = float(form.rounded(_outward(low, -math.inf)))
        if value == float(form.rounded(_outward(high, math.inf))):
            done[order[first:end]] = True
            found[places[order[first:end]]] = value
        else:
            waiting += [(first, (first + end) // 2), ((first + end) // 2, end)]
    return done


def _by_balls(expression: Expr, x: Floats, form: Format, defined: npt.NDArray[np.bool_]) -> Floats:
    """``defined``: where the function is known to be, so that more digits always tell."""
    found, waiting = np.full(len(x), math.nan), np.arange(len(x))
    close = _by_logarithms(expression) if len(x) else expression
    for bits in _BITS:
        if close is not expression and len(waiting):
            # Equal where the function is defined; elsewhere it may be anything.
            certain = waiting[defined[waiting]]
            values, settled = _settled(close, x[certain], form, bits)
            settled &= np.isfinite(values)
            found[certain[settled]] = values[settled]
            waiting = np.setdiff1d(waiting, certain[settled])
        if len(waiting):
            values, settled = _settled(expression, x[waiting], form, bits)
            found[waiting[settled]] = values[settled]
            waiting = waiting[~settled]
        if bits >= _ENOUGH:
            # Where no digits tell whether the function is defined, the text says what it is.
            beyond, waiting = waiting[~defined[waiting]], waiting[defined[waiting]]
            found[beyond] = form.rounded(written(expression, x[beyond]))
    for place in waiting.tolist():
        # Thousands of digits put it halfway between two numbers, or where an operator jumps: there it is.
        found[place] = form.rounded(np.float64(value_at(expression, float(x[place]), 40)))
    return found


def _settled(expression: Expr, x: Floats, form: Format, bits: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Values rounded to the format by balls of so many bits, and where these tell them."""
    from actc.enclosures import ball, precision, value_in_balls

    with precision(bits):
        held = [value_in_balls(expression, {"x": ball(v)}) for v in x.tolist()]
        middles = np.array([float(v.mid()) if v.is_finite() else math.nan for v in held])
        radii = np.array([float(v.rad()) for v in held])
        with np.errstate(all="ignore"):
            # The float64 next to a middle that is none, and a radius that is rounded, may be on the wrong side.
            error = radii * (1 + 4 * _U) + 2 * _U * np.abs(middles) + _TINY
            low, high = form.rounded(middles - error), form.rounded(middles + error)
        settled = low == high
        for k in np.flatnonzero(~settled).tolist():
            value = _rounded_ball(held[k], form)
            settled[k] = value is not None
            low[k] = math.nan if value is None else value
    return low, settled


#: Logarithms of what is close to 1 far out, by how far it is from there.
_LOGARITHMS = {
    "sigmoid": "log_sigmoid(x)",
    "tanh": "log1p(-2*sigmoid(-2*x))",
    "erf": "log1p(-erfc(x))",
}


def _by_logarithms(expression: Expr) -> Expr:
    """Its powers and logarithms of such rows by these: a ball around 1 does not tell what high powers of it are."""

    def build(node: Expr, args: tuple[Expr, ...]) -> Expr:
        text = _LOGARITHMS.get(args[0].name) if args and args[0].kind == "apply" else None
        if text is None or node.name not in ("log", "pow") or not args[-1].symbols:
            return node.with_args(args)
        logarithm = rebuild(parse(text), lambda n, a: args[0].args[0] if n.kind == "symbol" else n.with_args(a))
        return logarithm if node.name == "log" else apply("exp", apply("mul", args[1], logarithm))

    return rebuild(expression, build)


def _rounded_ball(value: Any, form: Format) -> float | None:
    """The number of the format that is nearest to all of the ball, if there is one."""
    if not value.is_finite():
        return float(value) if value.is_nan() or value.is_exact() else None
    low = float(form.rounded(_outward(value.lower(), -math.inf)))
    high = float(form.rounded(_outward(value.upper(), math.inf)))
    if low == high:
        return low
    middle = form.end if math.isinf(high) else -form.end if math.isinf(low) else (low + high) / 2
    if value > middle:
        return high
    if value < middle:
        return low
    return float(form.rounded(middle)) if value.is_exact() else None


def _outward(end: Any, towards: float) -> float:
    """A float64 that is not on this side of the end of a ball."""
    found = float(end)
    return found if found == end else math.nextafter(found, towards)

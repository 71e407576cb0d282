"""Bounds that every value of an expression keeps to, on an interval of x: ball arithmetic at the ends.

An interval is a pair of exact ``flint.arb`` numbers, lower and upper, infinities allowed. It encloses the values of
the real function where that is defined; what an operator does to intervals follows from its row: a monotone row maps
ends to ends, ``bounds`` says it for the others, and a definition is followed inwards.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache, partial
from operator import itemgetter
from typing import Any

import flint
import mpmath

from actc.expr import Expr, postorder
from actc.operators import Operator, operator

Interval = tuple[Any, Any]

#: Enough that what cancels in ordinary expressions leaves the sign to be seen.
BITS = 128

INFINITY = flint.arb.pos_inf()
ZERO, ONE = flint.arb(0), flint.arb(1)
REALS: Interval = (-INFINITY, INFINITY)

#: The highest value of e^-x I1(x) lies between these x, and is at most this.
I1E_PEAK = ((1.5, 1.6), 0.219091974950531)


_precision = threading.RLock()


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Balls of so many bits within. The precision is one for all threads, which therefore take turns."""
    with _precision, flint.ctx.workprec(bits):
        yield


def ball(value: Fraction | float) -> Any:
    """The number as a ball: exact for a fraction whose denominator is a power of two, and for infinities."""
    if isinstance(value, float):
        return flint.arb(value)
    return flint.arb(flint.fmpq(value.numerator, value.denominator))


def constant_ball(value: Fraction) -> Callable[[], Any]:
    """A function that gives the number as a ball: one object for one of a few binary digits."""
    if value.denominator & (value.denominator - 1) or value.numerator.bit_length() > BITS:
        return partial(ball, value)
    exact = flint.arb((value.numerator, 1 - value.denominator.bit_length()))
    return lambda: exact


def hull(values: Iterable[Any]) -> Interval:
    """The smallest interval around balls; all reals if one of them is no number."""
    found = list(values)
    if any(v.is_nan() for v in found):
        return REALS
    return min(v.lower() for v in found), max(v.upper() for v in found)


class Region:
    """The open interval of x from ``low`` to ``high``, and what is known of expressions in x there.

    >>> from actc.parsing import parse
    >>> low, high = Region(Fraction(0), math.inf).bounds(parse("exp(x) + tanh(x)"))
    >>> float(low), float(high)
    (1.0, inf)
    """

    #: The bounds of what nothing is known of.
    anything = REALS

    #: Parts whose bounds stay known.
    REMEMBERED = 20_000

    def __init__(self, low: Fraction | float = -math.inf, high: Fraction | float = math.inf, bits: int = BITS) -> None:
        self.low, self.high, self._bits = low, high, bits
        with precision(bits):
            self._x = hull([ball(low), ball(high)])
        self._known: dict[Expr, Interval] = {}
        self._undefined: dict[Expr, bool] = {}
        self._limit = self.REMEMBERED

    def bounds(self, expression: Expr) -> Interval:
        """An interval that holds every value; parameters and inputs other than x may be anything."""
        known = self._known
        if expression not in known:
            full = len(known) > self._limit
            if full:
                known.clear()
                self._undefined.clear()
            with precision(self._bits):
                for node in postorder(expression, known=known):
                    known[node] = self._bounds(node)
            if full:
                # One that fills the memory by itself would be walked from the start again and again.
                self._limit = max(self.REMEMBERED, 2 * len(known))
        return known[expression]

    def _bounds(self, node: Expr) -> Interval:
        if node.value is not None:
            return hull([ball(node.value)])
        if node.kind == "symbol":
            return self._x if node.name == "x" else REALS
        row, args = operator(node.name), [self._known[a] for a in node.args]
        if row.compares and any(map(self._may_be_undefined, node.args)):
            # Of what is undefined no comparison holds, but that it differs.
            return hull([*image(row, args), ONE if node.name == "ne" else ZERO])
        if node.name == "where" and self._may_be_undefined(node.args[0]):
            return hull([*args[1], *image(row, args)])
        return image(row, args)

    def _may_be_undefined(self, root: Expr) -> bool:
        """Whether it is not known to have a value, or may be infinite, which sums and products may make undefined."""
        for node in postorder(root, known=self._undefined):
            self._undefined[node] = node.kind == "apply" and self._leaves_its_domain(node)
        return self._undefined[root]

    def _leaves_its_domain(self, node: Expr) -> bool:
        row = operator(node.name)
        if row.compares:
            return False
        if any([self._undefined[a] for a in node.args]):
            return True
        if node.name == "div":
            low, high = self._known[node.args[1]]
            return bool(low <= 0 <= high)
        if node.name == "pow":
            low, _ = self._known[node.args[0]]
            exponent = node.args[1].value
            return bool(low <= 0) and (exponent is None or exponent.denominator != 1 or exponent < 0)
        if not node.args:
            return False
        if row.has_endless_poles:
            return not all(end.is_finite() for end in self._known[node])
        if any(low <= 0 <= high for low, high in (self._known[node.args[i]] for i in row.divisors)):
            return True
        low, high = self._known[node.args[0]]
        return bool(low < row.domain[0] or high > row.domain[1] or any(low <= p <= high for p in row.poles))


class Limits(Region):
    """Where expressions go as x goes to a place, from either side: the bounds hold every number, and every infinity,
    that their values come near to.

    That is not the value at the place. tanh(x)/x has none at 0, and goes to 1; sign(x) has 0 there, and goes to 1 or
    -1: where a part is at a pole or a jump, or takes a form such as 0·∞, its limit may be anything.

    >>> from actc.parsing import parse
    >>> low, high = Limits(math.inf).bounds(parse("exp(-x) + tanh(x)"))
    >>> float(low), float(high)
    (1.0, 1.0)
    """

    def __init__(self, place: Fraction | float) -> None:
        super().__init__(place, place)

    def is_reached(self, expression: Expr) -> bool:
        """Whether it is known to be continuous at the place, so that its limit is its value."""
        self.bounds(expression)
        return all(end.is_finite() for node in postorder(expression) for end in self.bounds(node))

    def _bounds(self, node: Expr) -> Interval:
        if node.kind != "apply":
            return super()._bounds(node)
        row, args = operator(node.name), [self._known[a] for a in node.args]
        if not steady(row, args) or any(args[0][0] <= p <= args[0][1] for p in row.poles):
            return REALS
        return image(row, args, limits=True)


def image(row: Operator, args: Sequence[Interval], limits: bool = False) -> Interval:
    """An interval that holds the operator's values at arguments from intervals; or with ``limits`` whatever the values
    go to where the arguments go to numbers, or infinities, in the intervals."""
    bounds = row.limits if limits and row.limits is not None else row.bounds
    if bounds is not None:
        return bounds(*args)
    usual = _is_usual(row, args)
    stated = hull(map(_rounded, row.image)) if usual else REALS
    if row.monotone and usual and row.arity == 1 + len(row.defaults):
        low, high = (_end(row, args, side) for side in (0, 1))
        return _within((low[0], high[1]) if row.monotone > 0 else (high[0], low[1]), stated)
    if row.definition is not None and "definition" not in row.rounded:
        return _within(_defined(row, args, limits), stated)
    # Neither monotone nor written exactly over other rows.
    if not all(end.is_finite() for ends in args for end in ends):
        return stated
    return _within(hull([row.in_balls(*(low.union(high) for low, high in args))]), stated)


def steady(row: Operator, args: Sequence[Interval]) -> bool:
    """Whether arguments from intervals are known to leave the operator continuous, but at its poles and where its
    domain ends."""
    # Where λ is below 0, softshrink jumps; poles move with λ.
    given = args[row.arity - len(row.defaults) : row.arity]
    return row.continuous and (_is_usual(row, args) or not (row.poles or any(low <= 0 for low, _ in given)))


def _is_usual(row: Operator, args: Sequence[Interval]) -> bool:
    """Whether optional arguments have their defaults."""
    optional = args[row.arity - len(row.defaults) : row.arity]
    return all(a[0] == a[1] == ball(d) for a, d in zip(optional, row.defaults, strict=True))


def _within(found: Interval, stated: Interval) -> Interval:
    return max(found[0], stated[0]), min(found[1], stated[1])


def _end(row: Operator, args: Sequence[Interval], side: int) -> Interval:
    """The value of a monotone row at one end of its first argument, or the limit there."""
    domain = ball(row.domain[side])
    at = max(args[0][0], domain) if side == 0 else min(args[0][1], domain)
    if at.is_finite():
        value = row.in_balls(at, *(low for low, _ in args[1:]))
        found = hull([value])
        if found[0].is_finite() and found[1].is_finite():
            return found
    else:
        side = int(at > 0)
    return hull([_rounded(row.image[side if row.monotone > 0 else 1 - side])])


def _rounded(stated: float) -> Any:
    """A value of the table, which is rounded unless it is whole."""
    whole = math.isinf(stated) or stated == round(stated)
    return ball(stated) if whole else flint.arb(stated, abs(stated) * 2.0**-50)


def _defined(row: Operator, args: Sequence[Interval], limits: bool) -> Interval:
    return by_definition(row, args, lambda value: hull([ball(value)]), partial(image, limits=limits))


def by_definition(
    row: Operator, args: Sequence[Any], number: Callable[[Fraction], Any], apply: Callable[[Operator, list[Any]], Any]
) -> Any:
    """A row's definition at arguments of some arithmetic: ``number`` brings constants into it, ``apply`` operators."""
    done: dict[Expr, Any] = {}
    for node in row.steps:
        if node.value is not None:
            done[node] = number(node.value)
        elif node.kind == "symbol":
            done[node] = args[row.arguments.index(node.name)]
        else:
            done[node] = apply(operator(node.name), [done[a] for a in node.args])
    result = done[row.steps[-1]]
    # A variadic row folds its definition over the arguments.
    return result if len(args) <= row.arity else by_definition(row, [result, *args[row.arity :]], number, apply)


#: Any value at all, where a ball of finite size cannot tell.
_ANY = flint.arb(0, flint.arb.pos_inf())


def value_at_balls(row: Operator, args: Sequence[Any]) -> Any:
    """The operator's value at balls: NaN where it is certainly undefined, exact infinities at poles, the whole line
    where that, or its size, is unknown."""
    if all(a.is_finite() for a in args):
        found = row.in_balls(*args)
        if not found.is_nan() or _undefined(row, args):
            return found
        if not all(a.is_exact() for a in args):
            return _ANY
    if row.name == "where":
        condition, first, second = args
        if condition.is_zero():
            return second
        # In Python's and torch's arithmetic NaN is not 0.
        return first if condition.is_nan() or not condition.contains(0) else _ANY
    if row.chooses and "definition" not in row.rounded:
        # It may not take the argument that is infinite or undefined.
        return by_definition(row, args, ball, value_at_balls)
    if any(a.is_nan() for a in args):
        return ball(Fraction(int(row.oracle(*([mpmath.nan] * 2))))) if row.compares else flint.arb.nan()
    if not all(a.is_finite() or a.is_exact() for a in args):
        return _ANY
    # Balls know little of poles and infinities.
    with mpmath.workprec(flint.ctx.prec + 20):
        numbers = [_number(a.mid()) for a in args]
        found = _by_oracle(row, mpmath.mp.prec, *numbers)
        # An argument that was selected keeps its radius.
        for a, number in zip(args, numbers, strict=True):
            if number == found and a.is_finite():
                return a
        if all(a.is_exact() for a in args):
            return ball_of(found)
        # Anything else has its value from the infinite ones, unless the size or the sign of a finite one decides.
        ends = (row.oracle(*map(_number, end)) for end in zip(*((a.lower(), a.upper()) for a in args), strict=True))
        return ball_of(found) if all(end == found or (end != end and found != found) for end in ends) else _ANY


def _number(a: Any) -> Any:
    """An exact ball as an mpmath number."""
    return mpmath.mpf(tuple(map(int, a.man_exp())) if a.is_finite() else float(a))


@lru_cache(maxsize=1024)
def _by_oracle(row: Operator, bits: int, *numbers: Any) -> Any:
    """The value that mpmath has at a precision, which is the one in force: what is infinite often is so everywhere."""
    return row.oracle(*numbers)


def ball_of(number: Any) -> Any:
    """An mpmath number as a ball, rounded to the precision."""
    if not mpmath.isfinite(number):
        return flint.arb(float(number))
    sign, mantissa, exponent, _ = number._mpf_
    return flint.arb((-mantissa if sign else mantissa, exponent))


def _undefined(row: Operator, args: Sequence[Any]) -> bool:
    if row.name == "pow":
        return bool(args[0] < 0) and not args[1].contains_integer()
    if row.name == "div":
        return bool(args[0].is_zero() and args[1].is_zero())
    return bool(args[0] < row.domain[0] or args[0] > row.domain[1])


def value_in_balls(root: Expr, inputs: Mapping[str, Any]) -> Any:
    """A ball that holds the value, where balls hold those of the symbols; as :func:`value_at_balls`."""
    values: list[Any] = []
    for row, function, places in _steps(root):
        if row is None:
            values.append(function(inputs))
            continue
        args = [values[i] for i in places]
        if not row.analytic:
            values.append(value_at_balls(row, args))
            continue
        # NaN stays NaN on the way through these, so that a number needs no second look.
        found = function(*args)
        values.append(found if found.is_finite() else value_at_balls(row, args))
    return values[-1]


@lru_cache(maxsize=256)
def _steps(root: Expr) -> list[tuple[Operator | None, Callable[..., Any], list[int]]]:
    """The expression as straight-line code: operators and where their arguments stand; functions of the inputs."""
    steps: list[tuple[Operator | None, Callable[..., Any], list[int]]] = []
    index: dict[Expr, int] = {}
    for node in postorder(root):
        index[node] = len(steps)
        if node.kind == "symbol":
            steps.append((None, itemgetter(node.name), []))
        elif node.value is not None:
            steps.append((None, partial(_constant, constant_ball(node.value)), []))
        else:
            row = operator(node.name)
            if node.args:
                steps.append((row, row.in_balls, [index[a] for a in node.args]))
            else:
                steps.append((None, partial(_constant, row.in_balls), []))
    return steps


def _constant(number: Callable[[], Any], inputs: Mapping[str, Any]) -> Any:
    return number()


# --- what the rows of the table say of intervals -------------------------------------------------------------------


def add(a: Interval, b: Interval) -> Interval:
    return hull([a[0] + b[0]])[0], hull([a[1] + b[1]])[1]


def negative(a: Interval) -> Interval:
    return -a[1], -a[0]


def multiply(a: Interval, b: Interval) -> Interval:
    # Nothing times what grows without bound is nothing.
    return hull(ZERO if u.is_zero() or v.is_zero() else u * v for u in a for v in b)


def reciprocal(a: Interval) -> Interval:
    if a[0] < 0 < a[1] or a[0] == a[1] == 0:
        return REALS
    low = -INFINITY if a[1].is_zero() else 1 / a[1]
    high = INFINITY if a[0].is_zero() else 1 / a[0]
    return hull([low, high])


def power(a: Interval, b: Interval) -> Interval:
    exponent = b[0].unique_fmpz() if b[0] == b[1] else None
    if exponent is not None:
        n = int(exponent)
        if n < 0:
            return reciprocal(power(a, (ball(Fraction(-n)),) * 2))
        if n == 0:
            return ONE, ONE
        if n % 2 == 0:
            a = absolute(a)
        return hull(end if end.is_zero() else end**n for end in a)
    if a[0] >= 0:
        return exponential(multiply(b, (_log(a[0]), _log(a[1]))))
    return REALS


def limit_of_product(a: Interval, b: Interval) -> Interval:
    """Of limits: 0·∞ may be anything."""
    if any(u[0] <= 0 <= u[1] and not (v[0].is_finite() and v[1].is_finite()) for u, v in ((a, b), (b, a))):
        return REALS
    return multiply(a, b)


def limit_of_reciprocal(a: Interval) -> Interval:
    """Of limits: 0 may be come to from both sides."""
    return REALS if a[0] <= 0 <= a[1] else reciprocal(a)


def limit_of_power(a: Interval, b: Interval) -> Interval:
    """Of limits: 0**0 and ∞**0 may be anything, as may be the sign of a negative number's power."""
    if a[0] > 0:
        return exponential(limit_of_product(b, (_log(a[0]), _log(a[1]))))
    exponent = b[0].unique_fmpz() if b[0] == b[1] else None
    if exponent is None or exponent == 0:
        return REALS if a[0] < 0 or exponent == 0 else exponential(limit_of_product(b, (_log(a[0]), _log(a[1]))))
    found = power(a, (abs(b[0]),) * 2)
    return found if exponent > 0 else limit_of_reciprocal(found)


def _log(end: Any) -> Any:
    return -INFINITY if end.is_zero() else end.log() if end.is_finite() else INFINITY


def exponential(a: Interval) -> Interval:
    return hull(end.exp() if end.is_finite() else INFINITY if end > 0 else ZERO for end in a)


def absolute(a: Interval) -> Interval:
    if a[0] >= 0:
        return a
    return negative(a) if a[1] <= 0 else (ZERO, max(-a[0], a[1]))


def even(a: Interval, value: Callable[[Any], Any], limit: float) -> Interval:
    """Of a function that is even and monotone in abs(x)."""
    return hull(value(end) if end.is_finite() else ball(limit) for end in absolute(a))


def odd_hump(a: Interval, value: Callable[[Any], Any], peak: tuple[float, float], highest: float) -> Interval:
    """Of an odd function that rises from 0 to ``highest``, somewhere between the ends of ``peak``, and falls to 0."""
    if a[0] < 0 < a[1]:
        return hull([flint.arb(0, highest)])
    if a[0] < 0:
        return negative(odd_hump(negative(a), value, peak, highest))
    low, high = hull(value(end) if end.is_finite() else ZERO for end in a)
    return low, (high if a[1] <= peak[0] or a[0] >= peak[1] else ball(highest))


def larger(a: Interval, b: Interval) -> Interval:
    return max(a[0], b[0]), max(a[1], b[1])


def smaller(a: Interval, b: Interval) -> Interval:
    return min(a[0], b[0]), min(a[1], b[1])


def choice(condition: Interval, a: Interval, b: Interval) -> Interval:
    if condition[0] > 0 or condition[1] < 0:
        return a
    if condition[0] == condition[1] == 0:
        return b
    return min(a[0], b[0]), max(a[1], b[1])


def norm(a: Interval, b: Interval) -> Interval:
    """Of hypot."""
    ends = zip(absolute(a), absolute(b), strict=True)
    return hull((u * u + v * v).sqrt() if u.is_finite() and v.is_finite() else INFINITY for u, v in ends)


def compare(name: str, a: Interval, b: Interval) -> Interval:
    """Of the comparison with that name, such as ``lt``."""
    if name in ("gt", "ge"):
        name, a, b = {"gt": "lt", "ge": "le"}[name], b, a
    if name == "lt":
        yes, no = a[1] < b[0], a[0] >= b[1]
    elif name == "le":
        yes, no = a[1] <= b[0], a[0] > b[1]
    else:
        same, apart = a[0] == a[1] == b[0] == b[1], a[1] < b[0] or b[1] < a[0]
        yes, no = (same, apart) if name == "eq" else (apart, same)
    return (ONE, ONE) if yes else (ZERO, ZERO) if no else (ZERO, ONE)


def limit_of_comparison(name: str, a: Interval, b: Interval) -> Interval:
    """Of limits: equal ones may be come to from both sides."""
    return compare(name, a, b) if a[1] < b[0] or b[1] < a[0] else (ZERO, ONE)


def compare_balls(name: str, a: Any, b: Any) -> Interval:
    """Of two balls. One object is one number: its ball overlaps itself, but it has no other value than itself."""
    if a is b and a.is_finite():
        a = b = ZERO
    return compare(name, (a, a), (b, b))


# --- and of single values ------------------------------------------------------------------------------------------


def pi() -> Any:
    return flint.arb.pi()


def decided(truth: Interval) -> Any:
    return truth[0] if truth[0] == truth[1] else flint.arb.nan()


def choose(condition: Any, a: Any, b: Any) -> Any:
    if condition.is_nan():
        return a.union(b)
    return b if condition.is_zero() else a if not condition.contains(0) else a.union(b)


def bessel(order: int, a: Any) -> Any:
    """e^-abs(a) times the modified Bessel function of order 0 or 1 at abs(a). Of wide balls by their ends, since for
    some of them flint takes most of a second."""
    a = abs(a)
    if a.rel_accuracy_bits() > 30 or not a.is_finite():
        return a.bessel_i(order, scaled=True)
    ends = max(a.lower(), ZERO), a.upper()
    if order == 0:
        low, high = even(ends, lambda b: b.bessel_i(0, scaled=True), 0.0)
    else:
        low, high = odd_hump(ends, lambda b: b.bessel_i(1, scaled=True), *I1E_PEAK)
    return low.union(high)


def bessel_slope(a: Any) -> Any:
    """The derivative of e^-abs(a) I1(a)."""
    if a.is_zero():
        return flint.arb(1) / 2
    a = abs(a)
    first, second = (bessel(n, a) for n in (0, 1))
    return first - second * (1 + 1 / a)


def total(a: Any, b: Any) -> Any:
    """a + b. What is far below the last digit of the other widens its ball by no more than itself, where rounding would
    by a digit: so 1 + e^−x tells, for every x, that it is close to 1."""
    found = a + b
    error = found.rad()
    if error > a.rad() + b.rad():
        for large, small in ((a, b), (b, a)):
            if abs(small) < error:
                return _near(large, small)
    return found


def _near(a: Any, distance: Any) -> Any:
    """All that is not farther than this from a ball."""
    return flint.arb(a.mid(), a.rad() + distance.abs_upper())


def tanh(a: Any) -> Any:
    """tanh; far out within 2e^(−2|a|) of ±1."""
    return _near(a.sgn(), 2 * (-2 * abs(a)).exp()) if abs(a) > flint.ctx.prec else a.tanh()


def erf(a: Any) -> Any:
    """erf; far out within e^(−a²) of ±1 (DLMF 7.8.3)."""
    return _near(a.sgn(), (-a * a).exp()) if abs(a) > flint.ctx.prec else a.erf()


def expm1(a: Any) -> Any:
    """expm1; far to the left within e^a of −1."""
    return _near(-ONE, a.exp()) if a < -flint.ctx.prec else a.expm1()


def erfc(a: Any) -> Any:
    """erfc, which is above 0: far out, where arb's balls reach below, e^(−a²)/(a√π)·(1 − δ) with 0 < δ < 1/(2a²) (DLMF
    7.12.1); far to the left within e^(−a²) of 2."""
    if a < -flint.ctx.prec:
        return _near(flint.arb(2), (-a * a).exp())
    found = a.erfc()
    if not (found.contains(0) and a > 100):
        return found
    return (-a * a).exp() / (a * pi().sqrt()) * (1 - ZERO.union(1 / (2 * a * a)))


def ratio(a: Any, b: Any) -> Any:
    """a/b; infinite where the divisor is exactly 0 and the dividend certainly not."""
    return a / b if not b.is_zero() or a.contains(0) else a.sgn() * INFINITY


def raised(a: Any, b: Any) -> Any:
    """a**b; infinite for a negative power of exactly 0."""
    return INFINITY if a.is_zero() and b < 0 else a**b

"""What a function of one variable is: limits, range, kinks, monotony, parity, zeros, smoothness, and what an
element of it costs.

Everything here is found numerically, in float64 on a grid that sees all scales and by mpmath where float64
cannot tell, and says so; what is read off the structure of the expression is marked exact. Functions of x
alone; give parameters values first (``expression.substitute``).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import mpmath
import numpy as np

from actc.breakpoints import (
    DENSE,
    Breakpoint,
    breakpoints,
    candidates,
    default_grid,
    evaluator,
    is_continuous_at,
    nice,
    one_variable,
    zero_crossings,
)
from actc.derivatives import derivative
from actc.evaluation import value_at
from actc.expr import Expr, postorder
from actc.operators import OPERATORS, operator
from actc.parsing import parse
from actc.program import Program

Floats = np.ndarray[Any, np.dtype[np.float64]]

NUMERIC, EXACT = "numeric", "exact"

#: |x| at which tails are looked at, and by what it is multiplied: enough neighbours that a function that oscillates
#: does not rise or fall through all of them by chance, and irrational ones, so that no scale has whole numbers alone.
_SCALES = (10, 10**2, 10**4, 10**8, 10**16, 10**32)
_SPREAD = (3, 4, 5, 6, 7, 8, 10)
_DIGITS = 40

#: Up to this many places are worth mpmath's time; more belong to a function that oscillates.
_FEW = 32


@dataclass(frozen=True)
class Tail:
    """What the function does as x → ±∞.

    ``kind``: ``"limit"`` (finite or infinite ``value``), ``"oscillates"`` or ``"undefined"`` (``value`` NaN).
    Where the limit is infinite and f(x)/x has one (finite or infinite), ``slope`` is it, and ``offset`` the limit of
    f(x) − slope·x if both are finite. ``constant``: the function has the value ``value`` from some point on.
    ``growth`` tells how fast log|f| grows: c·|x|^power (power 0 for anything up to polynomials, ``inf`` for
    faster than any power).
    """

    kind: str
    value: float
    slope: float | None = None
    offset: float | None = None
    constant: bool = False
    growth_power: float = 0.0
    growth_factor: float = 0.0
    evidence: str = NUMERIC


@dataclass(frozen=True)
class Bound:
    """An infimum or supremum: ``value``, whether it is ``attained``, and ``at`` (a place, ±inf for a tail, a
    pole or jump's place).
    """

    value: float
    attained: bool
    at: float


@dataclass(frozen=True)
class Interval:
    """A stretch of the real line on which the function is ``"increasing"``, ``"decreasing"``, ``"constant"``,
    or ``"oscillating"`` (an unbounded stretch, in which turns, jumps or poles follow without end).
    """

    low: float
    high: float
    direction: str


@dataclass(frozen=True)
class Cost:
    """Operations an element of a straight-line program, inputs and constants apart; ``special``: divisions,
    roots and transcendental functions among them.
    """

    instructions: int
    special: int


@dataclass(frozen=True)
class Analysis:
    """Everything about a function of x; see the classes of its parts.

    ``zeros`` are intervals, of length 0 where it vanishes at a point. ``smoothness``: how many derivatives
    are continuous everywhere on its domain, -1 for a function with jumps or poles, 3 for at least 3, inf
    where no operator in it can lose smoothness.
    """

    text: str
    domain: tuple[tuple[float, float], ...]
    left: Tail
    right: Tail
    infimum: Bound
    supremum: Bound
    breakpoints: tuple[Breakpoint, ...]
    intervals: tuple[Interval, ...]
    monotone: str
    turning_points: tuple[float, ...]
    zeros: tuple[tuple[float, float], ...]
    parity: str
    parity_evidence: str
    smoothness: float
    forward: Cost
    backward: Cost
    evidence: str = NUMERIC

    def to_dict(self) -> dict[str, Any]:
        """The analysis as nested dictionaries and lists for JSON: infinities as "inf" and "-inf", NaN as None."""
        result = jsonable(asdict(self))
        assert isinstance(result, dict)
        return result


def jsonable(value: Any) -> Any:
    """``value`` with floats that JSON lacks replaced: "inf", "-inf", and None for NaN."""
    if isinstance(value, Mapping):
        return {k: jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(v) for v in value]
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


@lru_cache(maxsize=256)
def analyse(expression: str | Expr) -> Analysis:
    """What the function of x is. Raises ParseError, and ExpressionError unless x is the only free name.

    >>> found = analyse("tanh(x)")
    >>> found.right.value, found.supremum.attained, found.monotone, found.parity
    (1.0, False, 'increasing', 'odd')
    """
    with np.errstate(all="ignore"):
        return _analyse(one_variable(parse(expression)))


def _analyse(e: Expr) -> Analysis:
    slope = derivative(e)
    f = evaluator(e)
    breaks = breakpoints(e)
    where = domain(e)
    # Where the domain has an end there is nothing to look at beyond it.
    left = tail(e, -1) if where and math.isinf(where[0][0]) else Tail("undefined", math.nan)
    right = tail(e, 1) if where and math.isinf(where[-1][1]) else Tail("undefined", math.nan)
    turning = _turning_points(slope, breaks)
    intervals = _intervals(slope, where, turning, breaks, left, right)
    infimum, supremum = _range(f, left, right, breaks, turning, where)
    parity, evidence = _parity(e, f)
    return Analysis(
        text=str(e),
        domain=where,
        left=left,
        right=right,
        infimum=infimum,
        supremum=supremum,
        breakpoints=breaks,
        intervals=intervals,
        monotone=_monotone(intervals, breaks),
        turning_points=turning,
        zeros=_zeros(e, intervals, turning, breaks),
        parity=parity,
        parity_evidence=evidence,
        smoothness=_smoothness(e, breaks, where),
        forward=cost(e),
        backward=cost(e, slope),
    )


# --- tails -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def tail(expression: Expr, side: int) -> Tail:
    """What a function of x does as x → +∞ (``side`` 1) or −∞ (``side`` -1); numeric."""
    rows: list[list[Any]] = []
    places: list[list[Any]] = []
    with mpmath.workdps(60):
        for scale in _SCALES:
            points = [side * scale * mpmath.e / 10 * s for s in _SPREAD]
            values = [_value(expression, p) for p in points]
            if rows and any(mpmath.isinf(v) for v in values):
                break
            rows.append(values)
            places.append(points)
        growth = _growth(rows, places)
        kind, value = _limit(rows)
        slope = offset = None
        if kind == "limit" and mpmath.isinf(value):
            ratio_kind, ratio = _limit(
                [[v / p for v, p in zip(vs, ps, strict=True)] for vs, ps in zip(rows, places, strict=True)]
            )
            if ratio_kind == "limit":
                slope = float(ratio) + 0.0
            if slope and math.isfinite(slope):
                offset = _offset(ratio, rows, places)
        constant = kind == "limit" and bool(mpmath.isfinite(value)) and _constant_tail(expression, side)
        return Tail(kind, float(value) + 0.0, slope, offset, constant, *growth)


def _offset(slope: Any, rows: list[list[Any]], places: list[list[Any]]) -> float | None:
    """The limit of f(x) − slope·x if it is finite."""
    exact = nice(float(slope), 1e-13)
    steep = mpmath.mpf(exact.numerator) / exact.denominator if exact.denominator <= 1000 else slope
    # Beyond 1e16 the difference would be lost in the digits that the evaluation has.
    noise = mpmath.mpf(10) ** (2 - _DIGITS)
    kind, rest = _limit(
        [
            [mpmath.chop(v - steep * p, noise * abs(p)) for v, p in zip(vs, ps, strict=True)]
            for vs, ps in zip(rows[:5], places[:5], strict=True)
        ]
    )
    return float(rest) + 0.0 if kind == "limit" and mpmath.isfinite(rest) else None


def _value(expression: Expr, point: Any) -> Any:
    try:
        return value_at(expression, point, _DIGITS)
    except (OverflowError, MemoryError, ValueError, ZeroDivisionError):
        return mpmath.nan


def _limit(rows: list[list[Any]]) -> tuple[str, Any]:
    tail_rows = rows[-4:]
    if any(mpmath.isnan(v) for row in tail_rows[-2:] for v in row):
        return "undefined", mpmath.nan
    tail_rows = [row for row in tail_rows if not any(mpmath.isnan(v) for v in row)]
    flat = [v for row in tail_rows for v in row]
    if any(mpmath.isinf(v) for v in flat):
        return "limit", flat[-1]
    steps = [b - a for a, b in itertools.pairwise(flat)]
    far = flat[-2 * len(_SPREAD) :]
    if len(tail_rows) > 1 and max(far) - min(far) <= max(map(abs, far)) * mpmath.mpf(10) ** -20:
        return "limit", flat[-1]
    spreads = [max(row) - min(row) for row in tail_rows]
    firsts = [row[0] for row in tail_rows]
    sizes = [max(map(abs, row)) for row in tail_rows]
    if all(b <= a * mpmath.mpf("0.55") for a, b in itertools.pairwise(sizes)) and len(sizes) > 2:
        # Halved whenever log x doubles: 1/log x does this, and whatever is faster.
        return "limit", mpmath.mpf(0)
    # The last scale decides: a dip before the tail proper is no oscillation.
    last = steps[1 - len(_SPREAD) :]
    calm = spreads[-1] < 1e-6 * (1 + sizes[-1]) and spreads[-1] <= spreads[0] * mpmath.mpf("0.75")
    if any(s > 0 for s in last) and any(s < 0 for s in last) and not calm:
        swing = all(min(map(abs, b)) > 2 * max(map(abs, a)) for a, b in itertools.pairwise(tail_rows))
        grows = swing and len(tail_rows) > 2 and len({mpmath.sign(v) for v in tail_rows[-1]}) == 1
        return ("limit", mpmath.sign(flat[-1]) * mpmath.inf) if grows else ("oscillates", mpmath.nan)
    moves = [abs(b - a) for a, b in itertools.pairwise(firsts)]
    # One move alone shows no trend: so few scales are left where the next one is beyond mpmath's range.
    if len(moves) > 1 and all(b <= a * mpmath.mpf("0.75") for a, b in itertools.pairwise(moves)):
        # The scales are each other's squares: what a power of x approaches is reached, what a logarithm does is not.
        return "limit", firsts[-1] if moves[-1] <= moves[-2] * mpmath.mpf("0.01") else _extrapolated(firsts)
    return "limit", (mpmath.sign(steps[-1]) * mpmath.inf if steps[-1] != 0 else flat[-1])


def _extrapolated(values: list[Any]) -> Any:
    a, b, c = values[-3:] if len(values) > 2 else (values[0], values[0], values[-1])
    bend = (c - b) - (b - a)
    return c - (c - b) ** 2 / bend if bend != 0 else c


def _growth(rows: list[list[Any]], places: list[list[Any]]) -> tuple[float, float]:
    """(power, factor) such that log|f| grows like factor·|x|^power; (0, 0) for polynomials and below."""
    logs = [
        (abs(p[-1]), mpmath.log(abs(v[-1])))
        for v, p in zip(rows, places, strict=True)
        if mpmath.isfinite(v[-1]) and v[-1] != 0
    ]
    logs = [(x, height) for x, height in logs if height > 1]
    if len(logs) < 2:
        # One finite value at x = 10 and none beyond: faster than any scale here can tell.
        return (math.inf, math.inf) if len(rows) < 3 and len(rows) < len(_SCALES) else (0.0, 0.0)
    (x0, h0), (x1, h1) = logs[-2:]
    power = float(mpmath.log(h1 / h0) / mpmath.log(x1 / x0))
    if power < 0.5:
        return 0.0, 0.0
    power = round(power) if abs(power - round(power)) < 1e-3 else power
    return (power, float(h1 / x1**power)) if power < 50 else (math.inf, math.inf)


def _constant_tail(expression: Expr, side: int) -> bool:
    slope = derivative(expression)
    return (
        all(_value(slope, mpmath.mpf(side * p)) == 0 for p in (17.3, 171.9, 2031.7))
        if slope.symbols
        else slope.value == 0
    )


# --- where it is defined, turns and vanishes ---------------------------------------------------------------------


@lru_cache(maxsize=512)
def domain(e: Expr) -> tuple[tuple[float, float], ...]:
    """Intervals where a function of x is a real number, single points apart; numeric, on [-1e6, 1e6]."""
    f = evaluator(e)
    grid = default_grid()
    # A hair off the grid: holes and ends are breakpoints, not stretches.
    points = grid[:-1] + 0.4999 * np.diff(grid)
    if not np.isnan(f(points)).any():
        return ((-math.inf, math.inf),)
    edges = zero_crossings(lambda x: np.where(np.isnan(f(x)), np.nan, 1.0))
    ends = [-math.inf, *(float(p) for p in edges), math.inf]
    pieces: list[tuple[float, float]] = []
    for a, b in itertools.pairwise(ends):
        # NaN in float64 may be an overflow on the way, as in exp(x)/(1 + exp(x)); mpmath has no largest number.
        if not mpmath.isnan(_value(e, _between(a, b))):
            joined = bool(pieces) and pieces[-1][1] == a
            pieces = [*pieces[:-1], (pieces[-1][0], b)] if joined else [*pieces, (a, b)]
    return tuple(pieces)


def _between(a: float, b: float) -> float:
    """A place inside the stretch, and no whole number where the ends are: x**x has values at some of those alone."""
    if math.isinf(a):
        return 0.0 if math.isinf(b) else b - max(0.9137, abs(b) * 0.09137123)
    return a + max(0.9137, abs(a) * 0.09137123) if math.isinf(b) else a + 0.4999 * (b - a)


def _snapped(e: Expr, place: float) -> float:
    """The simple fraction near ``place`` if the function vanishes exactly there, otherwise the place."""
    simple = float(nice(place, 1e-4))
    return simple if simple != place and _value(e, simple) == 0 else place


def _changes_sign(e: Expr, place: float, step: float, thorough: bool = True) -> bool:
    """Whether the sign changes there in truth: far out, float64 may only have seen rounding, or underflow."""
    before, after = (float(v) for v in evaluator(e)(np.array([place - step, place + step])))
    if abs(place) < 2 * DENSE and before * after < 0:
        return True
    if not thorough:
        return False
    with mpmath.workdps(60):
        low, high = (_value(e, mpmath.mpf(place) + side * mpmath.mpf(step)) for side in (-1, 1))
    return bool(low * high < 0)


def _touches(e: Expr, place: float, turning: tuple[float, ...]) -> bool:
    """Whether it touches zero there as far as float64 can name the place: abs(sin(x)) does at 3.14159…, which is not
    quite π.
    """
    if place not in turning or nice(place).denominator <= 1000 or abs(place) > 2 * DENSE:
        return False
    step = 2 * float(np.spacing(abs(place)))
    here, *around = (abs(_value(e, place + shift)) for shift in (0, -step, step))
    return bool(2 * here <= max(around))


def _turning_points(slope: Expr, breaks: tuple[Breakpoint, ...]) -> tuple[float, ...]:
    """Where the derivative changes its sign, at smooth places and at kinks."""
    if not slope.symbols:
        return ()
    places = zero_crossings(evaluator(slope))
    few = places.size <= _FEW
    elsewhere = [b.at for b in breaks if b.kind in ("pole", "jump", "edge")]
    kinks = [b.at for b in breaks if b.kind in ("kink", "hole")]
    found: list[float] = []
    for p in sorted({_snapped(slope, float(p)) if few else float(p) for p in places} | set(kinks)):
        scale = max(1.0, abs(p))
        near = any(q != p and abs(p - q) <= 1e-6 * scale for q in (*elsewhere, *kinks, *found))
        if not near and p not in elsewhere and _changes_sign(slope, p, 1e-6 * scale, few):
            found.append(p)
    return tuple(found)


def _zeros(
    e: Expr, intervals: tuple[Interval, ...], turning: tuple[float, ...], breaks: tuple[Breakpoint, ...]
) -> tuple[tuple[float, float], ...]:
    if not e.symbols:
        return ((-math.inf, math.inf),) if e.value == 0 else ()
    f = evaluator(e)
    stretches = [(i.low, i.high) for i in intervals if i.direction == "constant"]
    flat = [(low, high) for low, high in stretches if float(f(np.array([_between(low, high)]))[0]) == 0]
    if len(flat) <= _FEW:
        flat = [(low, high) for low, high in flat if _value(e, _between(low, high)) == 0]
    crossings = zero_crossings(f).tolist()
    few = len(crossings) <= _FEW
    places = {_snapped(e, p) if few else p for p in crossings} | set(turning[:_FEW]) | {b.at for b in breaks[:_FEW]}
    points: list[tuple[float, float]] = []
    poles = [b.at for b in breaks if b.kind == "pole"]
    for p in sorted(places):
        close = 1e-9 * max(1.0, abs(p))
        if any(low <= p <= high for low, high in flat) or any(abs(p - q) <= close for q in poles):
            continue
        jump = any(b.at == p and b.kind in ("jump", "edge") for b in breaks)
        if (not jump and _changes_sign(e, p, close, few)) or (few and _value(e, p) == 0) or _touches(e, p, turning):
            points.append((p, p))
    return tuple(sorted(flat + points))


# --- monotony and range ------------------------------------------------------------------------------------------


def _intervals(
    slope: Expr,
    domain: tuple[tuple[float, float], ...],
    turning: tuple[float, ...],
    breaks: tuple[Breakpoint, ...],
    left: Tail,
    right: Tail,
) -> tuple[Interval, ...]:
    flat_ends = zero_crossings(evaluator(slope)).tolist() if slope.symbols else []
    closed_off = {b.at for b in breaks if b.kind not in ("kink", "hole")}
    few = len(flat_ends) <= _FEW
    known = [*turning, *(b.at for b in breaks)]
    more = (_snapped(slope, p) if few else p for p in flat_ends)
    # What was found twice was found to the last bit but one.
    cuts = sorted({*known, *(p for p in more if not np.isclose(p, known, rtol=1e-12, atol=1e-15).any())})
    pieces: list[Interval] = []
    for low, high in domain:
        ends = [low, *(c for c in cuts if low < c < high), high]
        for a, b in itertools.pairwise(ends):
            direction = _direction(slope, a, b, len(cuts) <= _FEW)
            if any(math.isinf(end) and _goes_on(t, direction) for end, t in ((a, left), (b, right))):
                direction = "oscillating"
            if pieces and pieces[-1].high == a and pieces[-1].direction == direction and a not in closed_off:
                a = pieces.pop().low
            pieces.append(Interval(a, b, direction))
    return tuple(pieces)


def _goes_on(t: Tail, direction: str) -> bool:
    """Whether more follows beyond the last place that was found: turns, poles or, as in floor(x), jumps."""
    return t.kind == "oscillates" or (direction == "constant" and math.isinf(t.value))


def _direction(slope: Expr, low: float, high: float, thorough: bool) -> str:
    """Of a stretch without turning points inside: by the derivative's sign somewhere in it, which mpmath
    knows without underflow.
    """
    a = low if math.isfinite(low) else min(-40.0, high - 40.0)
    b = high if math.isfinite(high) else max(40.0, low + 40.0)
    signs = np.sign(evaluator(slope)(a + (b - a) * np.linspace(0.01, 0.99, 197)))
    ups, downs = int((signs > 0).sum()), int((signs < 0).sum())
    if (math.isinf(low) or math.isinf(high)) and min(ups, downs) > 20:
        return "oscillating"
    if max(ups, downs) > 150 and a > -2 * DENSE and b < 2 * DENSE:
        return "increasing" if ups > downs else "decreasing"
    for share in (0.3711, 0.6173, 0.1329) if thorough else ():
        sign = _value(slope, a + (b - a) * share)
        if sign != 0 and not mpmath.isnan(sign):
            return "increasing" if sign > 0 else "decreasing"
    if thorough or ups == downs:
        return "constant"
    return "increasing" if ups > downs else "decreasing"


def _monotone(intervals: tuple[Interval, ...], breaks: tuple[Breakpoint, ...]) -> str:
    """One word: increasing, decreasing, non-decreasing, non-increasing, constant or neither; undefined on an empty
    domain.
    """
    directions = {i.direction for i in intervals}
    if not intervals:
        return "undefined"
    for b in breaks:
        if b.kind == "pole" and math.isfinite(b.at) and not (math.isnan(b.left) or math.isnan(b.right)):
            return "neither"
        if b.kind == "jump":
            between = b.right if math.isnan(b.value) else b.value
            steps = {s for s in (np.sign(between - b.left), np.sign(b.right - between)) if s}
            directions |= {"increasing" if s > 0 else "decreasing" for s in steps}
    if directions == {"constant"}:
        return "constant"
    if "decreasing" not in directions:
        return "non-decreasing" if "constant" in directions else "increasing"
    if "increasing" not in directions:
        return "non-increasing" if "constant" in directions else "decreasing"
    return "neither"


def _range(
    f: Callable[[Floats], Floats],
    left: Tail,
    right: Tail,
    breaks: tuple[Breakpoint, ...],
    turning: tuple[float, ...],
    domain: tuple[tuple[float, float], ...],
) -> tuple[Bound, Bound]:
    """Infimum and supremum from tails, breakpoints, turning points and, for functions that oscillate, the grid."""
    bounds: list[Bound] = []
    for t, at in ((left, -math.inf), (right, math.inf)):
        if t.kind == "limit":
            bounds.append(Bound(t.value, t.constant, at))
    for b in breaks:
        bounds += [Bound(v, False, b.at) for v in (b.left, b.right) if not math.isnan(v)]
        if math.isfinite(b.value):
            bounds.append(Bound(b.value, True, b.at))
    places = np.array(turning, dtype=np.float64)
    bounds += [Bound(float(v), True, float(p)) for p, v in zip(places, f(places), strict=True) if math.isfinite(v)]
    ends = {e for piece in domain for e in piece if math.isfinite(e)} - {b.at for b in breaks}
    bounds += [Bound(float(v), True, p) for p in ends if math.isfinite(v := float(f(np.array([p]))[0]))]
    if "oscillates" in (left.kind, right.kind) or not bounds:
        grid = default_grid()
        values = f(grid)
        finite = np.isfinite(values)
        for pick in (np.argmin, np.argmax):
            if finite.any():
                i = int(pick(values[finite]))
                bounds.append(Bound(float(values[finite][i]), True, float(grid[finite][i])))
        bounds += [
            Bound(s * math.inf, False, t_at)
            for t, t_at in ((left, -math.inf), (right, math.inf))
            if t.kind == "oscillates"
            for s in _unbounded_swings(f, t_at)
        ]
    if not bounds:
        return Bound(math.nan, False, math.nan), Bound(math.nan, False, math.nan)
    return _extreme(bounds, -1.0), _extreme(bounds, 1.0)


def _unbounded_swings(f: Callable[[Floats], Floats], side: float) -> list[float]:
    """Signs of the infinities that an oscillation approaches: its envelope doubles where the distance does."""
    x = math.copysign(1.0, side) * np.geomspace(20.0, 40.0, 4001)
    near, far, farther = f(x), f(4 * x), f(16 * x)
    return [
        s
        for s in (-1.0, 1.0)
        if float(np.nanmax(s * farther)) > 1.5 * float(np.nanmax(s * far)) > 2.25 * float(np.nanmax(s * near)) > 0
    ]


def _extreme(bounds: list[Bound], sign: float) -> Bound:
    best = max(sign * b.value for b in bounds)
    rounding = 1e-15 * min(1.0, max((abs(b.value) for b in bounds if math.isfinite(b.value)), default=0.0))
    equal = [
        b
        for b in bounds
        if sign * b.value == best
        or (math.isfinite(best) and math.isclose(sign * b.value, best, rel_tol=1e-13, abs_tol=rounding))
    ]
    # Of equals, a place where it is attained, and a finite one.
    return min(equal, key=lambda b: (not b.attained, math.isinf(b.at), abs(b.at)))


# --- parity, smoothness, cost ------------------------------------------------------------------------------------


def _parity(e: Expr, f: Callable[[Floats], Floats]) -> tuple[str, str]:
    structural = _structural_parity(e)
    if structural:
        return structural, EXACT
    x = np.concatenate([np.linspace(0.013, 6.007, 211), np.geomspace(7.03, 9e5, 80)])
    here, there = f(x), f(-x)
    size = np.maximum(np.abs(here), np.abs(there))
    keep = np.isfinite(size)
    if keep.sum() >= 10 and bool((np.isfinite(here) == np.isfinite(there)).all()):
        for name, gap in (("even", here - there), ("odd", here + there)):
            if bool((np.abs(gap[keep]) <= 1e-12 * size[keep] + 1e-300).all()):
                return name, NUMERIC
    return "neither", NUMERIC


def _structural_parity(e: Expr) -> str:
    """Parity read off the rows and the laws of sums and products; empty where that cannot tell."""
    known: dict[Expr, str] = {}
    for node in postorder(e):
        if "x" not in node.symbols:
            known[node] = "even"
        elif node.kind == "symbol":
            known[node] = "odd"
        else:
            known[node] = _node_parity(node, [known[a] for a in node.args])
    return known[e]


def _node_parity(node: Expr, args: list[str]) -> str:
    if all(a == "even" for a in args):
        return "even"
    if not all(args):
        return ""
    if node.name in ("add", "sub", "neg"):
        return args[0] if len(set(args)) == 1 else ""
    if node.name in ("mul", "div"):
        return "odd" if args.count("odd") == 1 else "even"
    if (
        node.name == "pow"
        and args == ["odd", "even"]
        and node.args[1].value is not None
        and node.args[1].value.denominator == 1
    ):
        return "odd" if node.args[1].value.numerator % 2 else "even"
    row = operator(node.name)
    # The row's parity is in its first argument, the others being the defaults.
    usual = all(
        a.value == d
        for a, d in zip(node.args[1:], row.defaults[len(row.defaults) - len(node.args) + 1 :], strict=False)
    )
    return row.parity if args[0] == "odd" and (len(args) == 1 or (row.defaults and usual)) else ""


def _smoothness(e: Expr, breaks: tuple[Breakpoint, ...], domain: tuple[tuple[float, float], ...]) -> float:
    if any(b.interrupts for b in breaks):
        return -1
    if any(b.kind == "kink" for b in breaks):
        return 0
    inside = [float(p) for p in candidates(e) if abs(p) <= 64.0 and any(low < p < high for low, high in domain)]
    places = inside[:24]
    if not places:
        return math.inf
    # A place where the function has a limit but no value is no kink to `breakpoints`, whatever its slope does there.
    for order in (1, 2, 3) if any(b.kind == "hole" for b in breaks) else (2, 3):
        slope = derivative(e, order=order)
        higher = evaluator(slope)
        if not all(is_continuous_at(higher, p) or _continuous(slope, p) for p in places):
            return order - 1
    return 3


def _continuous(e: Expr, place: float) -> bool:
    """As :func:`is_continuous_at`, where float64 may cancel: the sides agree and, coming closer, values settle."""
    with mpmath.workdps(60):
        left, right = ([_value(e, place + side * mpmath.mpf(10) ** -n) for n in (6, 9, 12)] for side in (-1, 1))
    near = 1e-6 * (1 + abs(left[2]))
    if not all(map(mpmath.isfinite, (*left, *right))) or abs(left[2] - right[2]) > near:
        return False
    return all(abs(c - b) <= max(0.9 * abs(b - a), near) for a, b, c in (left, right))


def cost(*roots: Expr) -> Cost:
    """Operations an element of the program that computes all of ``roots``.

    >>> cost(parse("tanh(x) + 1"))
    Cost(instructions=2, special=1)
    """
    program = Program.of(roots)
    operations = [OPERATORS[i.op] for i in program.instructions if i.op not in ("input", "constant")]
    return Cost(len(operations), sum(is_special(row.name) for row in operations))


@lru_cache(maxsize=256)
def is_special(name: str) -> bool:
    """Whether a primitive operator is more than an addition, a product or a choice: its derivative leaves
    what those can express.
    """
    return _special(name, frozenset())


def _special(name: str, above: frozenset[str]) -> bool:
    row = operator(name)
    if name in above:
        return True
    definition = row.text("definition")
    texts = row.partials if row.partials is not None else (definition,) if definition is not None else ()
    below = {node.name for text in texts for node in postorder(text) if node.kind == "apply"}
    return any(_special(other, above | {name}) for other in below)

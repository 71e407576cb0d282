"""Where a function of one variable is not smooth: kinks, jumps, poles and the ends of its domain, found from
the operator table.

An expression written out in primitive operators can only lose its smoothness where some operator's argument
meets a kink, a pole or an end of the domain that its row declares, where two arguments compared by it are
equal, or where a divisor or base is zero. Those places are crossings of numeric functions, bracketed on a
grid and bisected to the last bit. Candidates are then judged by one-sided limits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from actc.derivatives import derivative
from actc.errors import ExpressionError
from actc.evaluation import value_at
from actc.expr import Expr
from actc.operators import OPERATORS, Operator
from actc.program import Program

Floats = np.ndarray[Any, np.dtype[np.float64]]

#: Breakpoints beyond this many are left to adaptive quadrature and to the reader's imagination: the function
#: is periodic.
MOST = 400

#: The grid has a point every 1/128 up to here.
DENSE = 16.0

#: So many of its cells lie between two places beyond that it tells apart.
_APART = 8


@dataclass(frozen=True)
class Breakpoint:
    """One place where the function or its first derivative is not continuous.

    ``kind``: ``"kink"`` (only the derivative jumps or is infinite), ``"jump"``, ``"pole"`` (the function is
    unbounded), ``"edge"`` (it is undefined on one side), ``"hole"`` (undefined at the point alone). ``left``
    and ``right`` are the function's one-sided limits, ``slope_left`` and ``slope_right`` those of the
    derivative, NaN where undefined; ``value`` is the function there. ``order``: near it f grows like |x −
    at|^order on the worse side (negative at a pole, 0 for a logarithm). Found and judged numerically;
    ``exact`` tells that ``at`` itself is an exact number.
    """

    at: float
    kind: str
    left: float
    right: float
    value: float
    slope_left: float
    slope_right: float
    order: float
    exact: bool

    @property
    def interrupts(self) -> bool:
        """Whether the function is not continuous here although it has values on both sides."""
        return self.kind == "jump" or (self.kind == "pole" and not (math.isnan(self.left) or math.isnan(self.right)))


def one_variable(expression: Expr) -> Expr:
    """The expression unchanged if it depends on x alone. Raises ExpressionError naming what else occurs in it."""
    others = [v for v in expression.variables if v != "x"]
    if others:
        raise ExpressionError(f"this needs a function of x alone, and {expression} also depends on {', '.join(others)}")
    if expression.parameters:
        names = ", ".join(expression.parameters)
        raise ExpressionError(
            f"{expression} has the parameters {names}; give their values, as in {expression.parameters[0]}=1.0"
        )
    return expression


def trace(program: Program, x: Floats) -> list[Any]:
    """The float64 value of every instruction of a one-variable program at ``x`` (any shape)."""
    results: list[Any] = []
    with np.errstate(all="ignore"):
        for instruction in program.instructions:
            if instruction.op == "input":
                results.append(x)
            elif instruction.op == "constant":
                results.append(np.float64(instruction.value if instruction.value is not None else math.nan))
            else:
                numpy = OPERATORS[instruction.op].numpy
                assert numpy is not None
                results.append(numpy(*(results[a] for a in instruction.args)))
    return results


def evaluator(expression: Expr) -> Callable[[Floats], Floats]:
    """The expression in x as a function of float64 arrays."""
    program = Program.of([expression])

    def evaluate(x: Floats) -> Floats:
        return np.asarray(np.broadcast_to(trace(program, x)[program.outputs[0]], np.shape(x)), dtype=np.float64)

    return evaluate


@lru_cache(maxsize=1)
def default_grid() -> Floats:
    """Points on [-1e6, 1e6] that see all scales: dense on [-16, 16], logarithmic towards 0 and outwards."""
    dense = np.arange(-128 * DENSE, 128 * DENSE + 1) / 128
    outwards = np.concatenate([np.geomspace(1e-12, 1e-2, 40), np.geomspace(DENSE, 1e6, 600)])
    return np.unique(np.concatenate([dense, outwards, -outwards]))


# --- candidates --------------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
@np.errstate(all="ignore")
def candidates(expression: Expr) -> Floats:
    """A sorted, read-only superset, on [-1e6, 1e6], of the places where the function of x is not analytic.

    Raises ExpressionError unless x is the only free name.
    """
    program = Program.of([one_variable(expression)])
    places = _located(lambda x: _tests(program, x))
    jumps = _leaps(lambda x: _leapers(program, x), default_grid())
    found = np.unique(np.concatenate([places, jumps]))
    places = _merged(np.array([float(nice(p)) for p in found]))
    places.flags.writeable = False
    return places


def _tests(program: Program, x: Floats) -> list[Floats]:
    """Functions whose sign, or being defined, changes wherever smoothness can be lost."""
    values = trace(program, x)
    tests: dict[tuple[int, int, float], Any] = {}
    for instruction in program.instructions:
        if not instruction.args:
            continue
        row = OPERATORS[instruction.op]
        first = instruction.args[0]
        for level in (*row.kinks, *row.poles, *(end for end in row.domain if math.isfinite(end))):
            tests[first, -1, level] = values[first] - level
        if len(instruction.args) == 2 and _selects(row):
            tests[first, instruction.args[1], 0.0] = values[first] - values[instruction.args[1]]
        elif len(instruction.args) == 3 and _selects(row):
            tests[first, -1, 0.0] = values[first]
        elif len(instruction.args) > 1 and not _polynomial(row):
            for a in instruction.args:
                tests[a, -1, 0.0] = values[a]
    root = values[program.outputs[0]]
    tests[-1, -1, 0.0] = np.where(np.isnan(root), np.nan, 1.0)
    return [np.asarray(np.broadcast_to(t, x.shape), dtype=np.float64) for t in tests.values() if np.ndim(t) or t == 0]


def _leapers(program: Program, x: Floats) -> list[Floats]:
    """Values of operators that may jump where their rows don't say: periodic ones such as tan and floor."""
    values = trace(program, x)
    wanted = [
        i
        for i, ins in enumerate(program.instructions)
        if len(ins.args) == 1
        and not (OPERATORS[ins.op].kinks or OPERATORS[ins.op].poles)
        and not all(map(math.isfinite, OPERATORS[ins.op].image))
    ]
    return [np.asarray(np.broadcast_to(values[i], x.shape), dtype=np.float64) for i in wanted]


def _polynomial(row: Operator) -> bool:
    """Whether the row is a sum, difference or product: its partial derivatives are arguments and constants,
    not all zero.
    """
    partials = row.partials
    return partials is not None and all(p.kind != "apply" for p in partials) and not all(p.value == 0 for p in partials)


def _selects(row: Operator) -> bool:
    """Whether the row chooses by comparing: its slope is a choice as well (max, where) or zero throughout
    (comparisons).
    """
    return row.text("differential") is not None or (
        row.partials is not None and all(p.value == 0 for p in row.partials)
    )


def _category(values: Floats) -> Any:
    return np.where(np.isnan(values), 2.0, np.sign(values))


def _located(tests: Callable[[Floats], list[Floats]]) -> Floats:
    """Crossings on the default grid, and then on a finer one around each: what is narrow hides between its
    points, as the two outer kinks of relu(1e-6 - abs(x - 0.3)) do, but rarely alone.
    """
    first = _crossings(tests, default_grid())
    if not 0 < first.size <= 48:
        return first
    steps = np.geomspace(1e-11, 1e-2, 40)
    around = first[:, None] + np.concatenate([-steps, steps]) * np.maximum(1.0, np.abs(first))[:, None]
    return np.concatenate([first, _crossings(tests, np.unique(around))])


def _crossings(tests: Callable[[Floats], list[Floats]], grid: Floats) -> Floats:
    """Where any of the functions changes its sign or definedness, or touches zero, to the last bit."""
    on_grid = tests(grid)
    if not on_grid:
        return np.empty(0)
    stacked = np.stack(on_grid)
    kinds = _category(stacked)
    which, cell = np.nonzero(kinds[:, 1:] != kinds[:, :-1])
    which, cell = _seen(which, cell, grid)
    low, high = grid[cell], grid[cell + 1]
    start = kinds[which, cell]
    for _ in range(80):
        middle = low + (high - low) / 2
        if not np.any((middle > low) & (middle < high)):
            break
        same = _category(np.stack(tests(middle))[which, np.arange(middle.size)]) == start
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    # Of the two neighbours the one where the function is nearer to zero (or defined).
    ends = np.stack([low, high])
    gap = np.abs(np.stack([np.stack(tests(e))[which, np.arange(e.size)] for e in ends]))
    gap = np.where(np.isnan(gap), np.inf, gap)
    crossed = ends[np.argmin(gap, axis=0), np.arange(low.size)] if low.size else np.empty(0)
    return np.concatenate([crossed, _touching(tests, grid, stacked)])


def _seen(which: Any, cell: Any, grid: Floats) -> tuple[Any, Any]:
    """Those found where the grid is dense, and those beyond that it tells apart: of a periodic function it sees a
    random part far out.
    """
    keep = np.ones(which.size, dtype=bool)
    far = np.abs(grid[cell]) > DENSE
    for function in np.flatnonzero(np.bincount(which[far], minlength=1) > 8):
        for side in (-1, 1):
            beyond = np.flatnonzero((which == function) & far & (np.sign(grid[cell]) == side))
            outwards = beyond[np.argsort(side * cell[beyond])]
            crowded = np.flatnonzero(np.abs(np.diff(cell[outwards])) < _APART)
            keep[outwards[crowded[0] :] if crowded.size else outwards[:0]] = False
    which, cell = which[keep], cell[keep]
    order = np.argsort(np.abs(grid[cell]), kind="stable")[: 2 * MOST]
    return which[order], cell[order]


def _touching(tests: Callable[[Floats], list[Floats]], grid: Floats, stacked: Floats) -> Floats:
    """Where one of the functions touches zero without crossing it, as x² does, or crosses it twice between two points
    of the grid."""
    size = np.abs(stacked)
    inner = (
        (size[:, 1:-1] < size[:, :-2])
        & (size[:, 1:-1] <= size[:, 2:])
        & (size[:, 1:-1] < size.max(axis=1, where=np.isfinite(size), initial=0.0)[:, None])
    )
    inner &= (size[:, :-2] > 0) & (size[:, 2:] > 0)
    which, cell = np.nonzero(inner)
    which, cell = _seen(which, cell, grid)
    if not which.size:
        return np.empty(0)
    low, high = grid[cell], grid[cell + 2]
    beside = np.minimum(size[which, cell], size[which, cell + 2])
    pick = np.arange(which.size)

    side = np.sign(stacked[which, cell + 1])
    through = np.zeros(which.size, dtype=bool)

    def at(x: Floats) -> Floats:
        found = np.stack(tests(x))[which, pick]
        through[found * side < 0] = True
        return np.nan_to_num(np.abs(found), nan=np.inf)

    ratio = (math.sqrt(5) - 1) / 2
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    fa, fb = at(a), at(b)
    for _ in range(75):
        left = fa <= fb
        low, high = np.where(left, low, a), np.where(left, b, high)
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        fa, fb = at(a), at(b)
    best = np.array([float(nice(p, 1e-7)) for p in (low + high) / 2])
    exact = at(best) == 0
    best = np.where(exact, best, (low + high) / 2)
    return best[exact | through | (at(best) <= 1e-13 * beside)]


def _leaps(functions: Callable[[Floats], list[Floats]], grid: Floats) -> Floats:
    """Where any of the functions jumps: cells whose change is unlike their neighbours' and does not shrink on
    bisection.
    """
    on_grid = functions(grid)
    if not on_grid:
        return np.empty(0)
    stacked = np.stack(on_grid)
    change = np.diff(stacked, axis=1)
    size = np.abs(change)
    around = np.maximum(np.pad(size, ((0, 0), (1, 0)))[:, :-1], np.pad(size, ((0, 0), (0, 1)))[:, 1:])
    # A pole with opposite signs: on both sides the values grow towards it.
    height = np.pad(np.abs(stacked), ((0, 0), (1, 1)), mode="edge")
    opposed = (
        (np.sign(stacked[:, 1:]) * np.sign(stacked[:, :-1]) < 0)
        & (height[:, 1:-2] > height[:, :-3])
        & (height[:, 2:-1] > height[:, 3:])
    )
    seen = np.isfinite(change) & (size > 1e-9 * (np.abs(stacked[:, 1:]) + np.abs(stacked[:, :-1])))
    which, cell = np.nonzero(seen & ((size > 8 * around) | opposed))
    which, cell = _seen(which, cell, grid)
    if not which.size:
        return np.empty(0)
    pick = np.arange(which.size)
    low, high = grid[cell], grid[cell + 1]
    first = size[which, cell]
    f_low, f_high = stacked[which, cell], stacked[which, cell + 1]
    for _ in range(80):
        middle = low + (high - low) / 2
        if not np.any((middle > low) & (middle < high)):
            break
        f = np.stack(functions(middle))[which, pick]
        right = np.abs(f_high - f) > np.abs(f - f_low)
        low, f_low = np.where(right, middle, low), np.where(right, f, f_low)
        high, f_high = np.where(right, high, middle), np.where(right, f_high, f)
    leapt = np.abs(f_high - f_low) > 0.3 * first
    return np.where(np.abs(low) < np.abs(high), low, high)[leapt]


def nice(x: float, tolerance: float = 1e-15) -> Fraction:
    """The simple fraction that ``x`` is up to rounding, or ``x`` itself."""
    simple = Fraction(x).limit_denominator(1000)
    return (
        simple
        if abs(simple - Fraction(x)) <= Fraction(tolerance) * max(abs(simple), Fraction(1, 1000))
        else Fraction(x)
    )


def _merged(places: Floats) -> Floats:
    """One place for those that are neighbours up to rounding, the simplest number among or between them."""
    places = np.unique(places)
    if places.size < 2:
        return places
    apart = np.diff(places) > np.maximum(16 * np.spacing(np.abs(places[1:])), 1e-15)
    groups = np.split(places, np.flatnonzero(apart) + 1)
    return np.array([g[0] if g.size == 1 else _simplest(float(g[0]), float(g[-1])) for g in groups])


def _simplest(low: float, high: float) -> float:
    between = float(nice(low / 2 + high / 2, 1e-12))
    return between if low <= between <= high else low if abs(low) < abs(high) else high


@np.errstate(all="ignore")
def steep_places(expression: Expr) -> Floats:
    """Where an operator's argument passes quickly through [-36, 36]: a narrow bump or step may hide there from
    a quadrature's first nodes.
    """
    program = Program.of([one_variable(expression)])

    def tests(x: Floats) -> list[Floats]:
        values = trace(program, x)
        inner = {
            ins.args[0] for ins in program.instructions if len(ins.args) == 1 and ins.args[0] >= len(program.inputs)
        }
        return [
            np.asarray(np.broadcast_to(values[a] - level, x.shape), dtype=np.float64)
            for a in sorted(inner)
            for level in (-36.0, -6.0, 0.0, 6.0, 36.0)
        ]

    places = _merged(_located(tests))
    if places.size < 2:
        return np.empty(0)
    gap = np.diff(places)
    return places[np.minimum(np.append(gap, np.inf), np.append(np.inf, gap)) < 0.5]


# --- judgement ---------------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
@np.errstate(all="ignore")
def breakpoints(expression: Expr) -> tuple[Breakpoint, ...]:
    """The kinks, jumps, poles, edges and holes of a function of x on [-1e6, 1e6], sorted; of a periodic one
    those nearest to 0.

    Raises ExpressionError unless x is the only free name.
    """
    places = candidates(expression)
    if not places.size:
        return ()
    slope = derivative(expression)
    f, d = evaluator(expression), evaluator(slope)
    found: list[Breakpoint] = []
    rechecks = 12
    gaps = np.diff(places, prepend=-np.inf, append=np.inf)
    for place, room in zip(places, np.minimum(gaps[:-1], gaps[1:]) / 4, strict=True):
        judged = _judge(f, d, float(place), float(room))
        # Far out, float64's own overflow and underflow look like poles, jumps and ends of the domain.
        if judged is not None and abs(judged.at) > DENSE and rechecks:
            rechecks -= 1
            judged = _judge(_oracle(expression), _oracle(slope), float(place), float(room))
        if judged is not None:
            found.append(judged)
    return tuple(found)


def _oracle(expression: Expr) -> Callable[[Floats], Floats]:
    """As :func:`evaluator`, by mpmath: slow, and without overflow on the way."""

    def evaluate(x: Floats) -> Floats:
        return np.array([float(value_at(expression, v, 20)) for v in x.tolist()])

    return evaluate if expression.symbols else evaluator(expression)


def _judge(
    f: Callable[[Floats], Floats], d: Callable[[Floats], Floats], at: float, room: float
) -> Breakpoint | None:
    """What happens at a candidate; ``room``: how far away nothing else does."""
    left, left_order = _one_sided(f, at, -1.0, room)
    right, right_order = _one_sided(f, at, 1.0, room)
    slope_left, _ = _one_sided(d, at, -1.0, room)
    slope_right, _ = _one_sided(d, at, 1.0, room)
    value = float(f(np.array([at]))[0])
    # Where it is continuous from a side, the value is that side's limit without the error of extrapolating.
    left, right = (value if _close(limit, value) else limit for limit in (left, right))
    kind = _kind(left, right, value, slope_left, slope_right)
    if kind is None:
        return None
    return Breakpoint(
        at,
        kind,
        left,
        right,
        value,
        slope_left,
        slope_right,
        min(left_order, right_order),
        nice(at).denominator <= 1000,
    )


def _kind(left: float, right: float, value: float, slope_left: float, slope_right: float) -> str | None:
    if math.isinf(left) or math.isinf(right):
        return "pole"
    if math.isnan(left) and math.isnan(right):
        return None
    if math.isnan(left) or math.isnan(right):
        return "edge"
    if not _close(left, right):
        return "jump"
    if math.isnan(value):
        return "hole"
    if not _close(left, value):
        return "jump"
    if math.isinf(slope_left) or math.isinf(slope_right):
        return "kink"
    if math.isnan(slope_left) or math.isnan(slope_right):
        return None
    return None if math.isclose(slope_left, slope_right, rel_tol=1e-5, abs_tol=1e-7) else "kink"


def _one_sided(
    function: Callable[[Floats], Floats], at: float, side: float, room: float = 1e-3
) -> tuple[float, float]:
    """(limit, order) of the function as x → at from the side: ±inf with the exponent at a pole, else the
    value and 0.
    """
    coarse = max(min(1e-3, room), float(np.spacing(abs(at))) * 2**24)
    # 0 has neighbours at every scale; other places only down to their own spacing.
    steps = np.geomspace(coarse, 1e-250 if at == 0 else coarse * 2.0**-20, 9)
    values = function(at + side * steps)
    last = float(values[-1])
    if np.isnan(values[-3:]).all():
        return math.nan, 0.0
    if _unbounded(values):
        sizes = np.abs(values)
        finite = np.isfinite(sizes) & (sizes > 0)
        t, v = np.log(steps[finite]), np.log(sizes[finite])
        order = float((v[-1] - v[-2]) / (t[-1] - t[-2])) if t.size > 1 else -math.inf
        heading = values[finite]
        direction = (
            last if math.isinf(last) else float(heading[-1] - heading[-2]) if heading.size > 1 else float(heading[-1])
        )
        return math.copysign(math.inf, direction), order
    a, b, c = (float(v) for v in function(at + side * coarse * np.array([2.0**-10, 2.0**-13, 2.0**-16])))
    # Aitken's extrapolation is exact where the rest shrinks like a power of the distance.
    bend = (c - b) - (b - a)
    usable = math.isfinite(bend) and abs(bend) > 1e-9 * abs(c)
    return (c - (c - b) * (c - b) / bend if usable else c), 0.0


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-8)


def _unbounded(values: Floats) -> bool:
    """Whether values at geometrically shrinking distances grow for ever: like a power, or by equal steps like
    a logarithm.
    """
    if np.isinf(values).any():
        return True
    step = np.diff(values)
    return bool(((step > 0).all() or (step < 0).all()) and abs(step[-1]) > 0.8 * abs(step[2]))


@np.errstate(all="ignore")
def is_continuous_at(function: Callable[[Floats], Floats], at: float) -> bool:
    """Whether both one-sided limits exist, are finite and agree."""
    left, _ = _one_sided(function, at, -1.0)
    right, _ = _one_sided(function, at, 1.0)
    return math.isfinite(left) and math.isclose(left, right, rel_tol=1e-4, abs_tol=1e-6)


@np.errstate(all="ignore")
def zero_crossings(function: Callable[[Floats], Floats]) -> Floats:
    """Where a function changes its sign or definedness or touches zero, on the default grid; one place for each."""
    return _merged(np.sort(_crossings(lambda x: [function(x)], default_grid())))

"""What is known of the values in a program before it runs, from the rows' images and plain arithmetic."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

from actc.expr import apply, symbol
from actc.operators import OPERATORS
from actc.program import Program

#: The least and the largest value; -0 is less than 0.
Range = tuple[float, float]
_ALL = (-math.inf, math.inf)


def ranges(program: Program) -> list[Range]:
    """For each instruction an interval that holds its value, NaN and roundings apart, whatever the inputs are."""
    found: list[Range] = []
    for each in program.instructions:
        if each.op == "input":
            found.append(_ALL)
        elif each.op == "constant":
            assert each.value is not None
            found.append(_ALL if math.isnan(each.value) else (each.value, each.value))
        else:
            given = [found[i] for i in each.args]
            if each.op == "mul" and each.args[0] == each.args[1]:
                given = [_absolute(given[0])] * 2
            known = _RULES[each.op](*given) if each.op in _RULES else _image(each.op)
            found.append(_ALL if any(map(math.isnan, known)) else known)
    return found


@functools.cache
def _image(name: str) -> Range:
    row = OPERATORS.get(name)
    # That of a row of several arguments is for the defaults of all but the first.
    if row is None or not (row.arity == 1 or row.compares):
        return _ALL
    low, high = row.image
    return (-0.0 if low == 0 and _keeps_negative_zero(name) else low, high)


def _keeps_negative_zero(name: str) -> bool:
    """Whether a row that is nowhere below 0 is -0 at -0, as roots are."""
    value = float(apply(name, *[symbol("x")] * OPERATORS[name].arity).evaluate(x=-0.0))
    return value == 0 and math.copysign(1, value) < 0


def _hypot(x: Range, y: Range) -> Range:
    (a, b), (c, d) = _absolute(x), _absolute(y)
    return (max(a, c), b + d)


def _absolute(x: Range) -> Range:
    return (max(0.0, x[0], -x[1]), max(-x[0], x[1]))


def _exp(x: Range) -> Range:
    return tuple(math.exp(end) if end < 700 else math.inf for end in x)  # type: ignore[return-value]


def _product(x: Range, y: Range) -> Range:
    ends = [a * b for a in x for b in y]
    return _ALL if any(map(math.isnan, ends)) else _hull(*ends)


def _hull(*ends: float) -> Range:
    ordered = sorted(ends, key=lambda end: (end, math.copysign(1, end)))
    return (ordered[0], ordered[-1])


def _chosen(choose: Callable[..., float], x: Range, y: Range) -> Range:
    """The least or the largest of two; of zeros it may be either."""
    low, high = (choose(*ends) for ends in zip(x, y, strict=True))
    negative = low == 0 and any(math.copysign(1, end) < 0 for end in (x[0], y[0]))
    return (-0.0 if negative else low, high + 0.0)


#: Rows whose value can be told more closely from their arguments' than by their image.
_RULES: dict[str, Callable[..., Range]] = {
    "add": lambda x, y: (x[0] + y[0], x[1] + y[1]),
    "sub": lambda x, y: (x[0] - y[1], x[1] - y[0]),
    "neg": lambda x: (-x[1], -x[0]),
    "mul": _product,
    "div": lambda x, y: _product(x, (1 / y[1], 1 / y[0])) if y[0] > 0 else _ALL,
    "abs": _absolute,
    "exp": _exp,
    "hypot": _hypot,
    "max": functools.partial(_chosen, max),
    "min": functools.partial(_chosen, min),
    "where": lambda _, x, y: (_hull(x[0], y[0])[0], _hull(x[1], y[1])[1]),
}

"""What is known of the values in a program before it runs, from the rows' images and plain arithmetic."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

from actc.expr import apply, symbol
from actc.operators import OPERATORS, Operator
from actc.program import Program

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
            known = _RULES[each.op](*given) if each.op in _RULES else _image(OPERATORS.get(each.op))
            found.append(_ALL if any(map(math.isnan, known)) else known)
    return found


def negative_zeros(program: Program) -> frozenset[int]:
    """The instructions whose value may be -0, whose powers have other signs than those of 0."""
    values = ranges(program)
    found: set[int] = set()
    for i, each in enumerate(program.instructions):
        low, high = values[i]
        if each.op == "constant":
            may = each.value == 0 and math.copysign(1, each.value) < 0
        elif low > 0 or high < 0 or each.op in ("abs", "hypot"):
            may = False
        elif each.op == "add":
            may = found.issuperset(each.args)
        elif each.op == "sub":
            first, second = each.args
            may = first in found and values[second][0] <= 0 <= values[second][1]
        elif each.op in ("mul", "div"):
            may = each.args[0] != each.args[1] and any(values[a][0] < 0 or a in found for a in each.args)
        elif each.op in ("max", "min", "where"):
            may = not found.isdisjoint(each.args[-2:])
        else:
            may = low < 0 or _keeps_negative_zero(each.op)
        if may:
            found.add(i)
    return frozenset(found)


@functools.cache
def _keeps_negative_zero(name: str) -> bool:
    """Whether a row that is nowhere below 0 is -0 at -0, as roots are."""
    value = float(apply(name, *[symbol("x")] * OPERATORS[name].arity).evaluate(x=-0.0))
    return value == 0 and math.copysign(1, value) < 0


def _image(row: Operator | None) -> Range:
    # That of a row of several arguments is for the defaults of all but the first.
    return row.image if row is not None and (row.arity == 1 or row.compares) else _ALL


def _hypot(x: Range, y: Range) -> Range:
    (a, b), (c, d) = _absolute(x), _absolute(y)
    return (max(a, c), b + d)


def _absolute(x: Range) -> Range:
    return (max(x[0], -x[1], 0.0), max(-x[0], x[1]))


def _exp(x: Range) -> Range:
    return tuple(math.exp(end) if end < 700 else math.inf for end in x)  # type: ignore[return-value]


def _product(x: Range, y: Range) -> Range:
    ends = [a * b for a in x for b in y]
    return _ALL if any(map(math.isnan, ends)) else (min(ends), max(ends))


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
    "max": lambda x, y: (max(x[0], y[0]), max(x[1], y[1])),
    "min": lambda x, y: (min(x[0], y[0]), min(x[1], y[1])),
    "where": lambda _, x, y: (min(x[0], y[0]), max(x[1], y[1])),
}

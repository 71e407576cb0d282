"""Which candidates are the same function, and need to be trained only once."""

from __future__ import annotations

import numpy as np

from actc.expr import Expr
from actc.parsing import parse
from actc.rules import simplify

# Both signs, both tails, both sides of the kinks that operators have (0, 1/2, 1, 5/2, 3, 6), and no special values.
_HALF = (1e-3, 0.03, 0.21, 0.49, 0.52, 0.97, 1.03, 1.71, 2.41, 2.57, 2.93, 3.13, 4.9, 5.83, 6.19, 9.7, 17.3, 31.1)
POINTS = np.array([*(-point for point in _HALF), *_HALF])
DIGITS = 9


def canonical(expression: Expr | str) -> str:
    """The text that stands for a class of equivalent functions, whatever the spelling.

    >>> canonical("max(x, 0) * 1") == canonical("relu(x)")
    True
    """
    return str(simplify(_expr(expression)))


def fingerprint(expression: Expr | str) -> str:
    """The values at a few dozen points to nine digits, parameters at fixed values: it catches what the rules don't.

    >>> fingerprint("max(abs(x), log(sigmoid(x)))") == fingerprint("abs(x)")
    True
    """
    expr = _expr(expression)
    inputs = {name: np.roll(POINTS, 7 * place) for place, name in enumerate(expr.variables)}
    parameters = {name: 0.83 + 0.37 * place for place, name in enumerate(expr.parameters)}
    with np.errstate(all="ignore"):
        result = np.broadcast_to(expr.evaluate(**inputs, **parameters), POINTS.shape)
    # Adding zero makes one zero of +0 and -0.
    return " ".join(f"{value + 0.0:.{DIGITS - 1}e}" for value in result)


def _expr(expression: Expr | str) -> Expr:
    return parse(expression) if isinstance(expression, str) else expression

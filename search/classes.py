"""How a candidate is written down: one text for every spelling of a function."""

from __future__ import annotations

from actc.expr import Expr
from actc.purposes import simplify


def canonical(expression: Expr | str) -> str:
    """The simplified text of a function.

    >>> canonical("max(x, 0) * 1") == canonical("relu(x)")
    True
    """
    return str(simplify(expression))

"""The journey of one activation, pass by pass: text → Expr → safe Expr → tidy Expr → derivatives → Program.

Each pass is a function from expressions to expressions; what a pass decides stands in its result as ordinary nodes, so
that the text of the lowered expression alone determines everything after it. Rooms that emit code start from
:func:`program`.
"""

from __future__ import annotations

from collections.abc import Sequence

from actc.derivatives import derivative
from actc.expr import Expr
from actc.parsing import parse
from actc.program import Program, within_onnx
from actc.rules import tidied
from actc.safety import lower


def lowered(activation: str | Expr, *, safe: bool = False, clamp: float | None = None) -> Expr:
    """Parse, then write safety out. The function stays the one that the user wrote, never another member of its class.

    Raises :class:`actc.ParseError` for a text that is no expression, ValueError for a clamp that is no bound.

    >>> from actc.pipeline import lowered
    >>> str(lowered("log(x)", safe=True))
    'saturate(log(max(x, 1.2e-38)))'
    """
    return lower(parse(activation), safe=safe, clamp=clamp)


def partial(expression: Expr, names: Sequence[str], orders: Sequence[int]) -> Expr:
    """The mixed partial derivative of a lowered expression: ``orders[i]`` times by ``names[i]``. A safe expression's
    is safe."""
    for name, order in zip(names, orders, strict=True):
        expression = derivative(expression, name, order)
    return expression


def program(roots: Sequence[Expr], *, onnx: bool = False, keep: frozenset[str] = frozenset()) -> Program:
    """Straight-line code for the roots together: tidied by rules that change no bit, subexpressions shared, constants
    rounded once. ``onnx``: over operators that ONNX has. ``keep``: rows that are not to be written out."""
    tidy = [tidied(root) for root in roots]
    return Program.of([within_onnx(root) for root in tidy] if onnx else tidy, keep=keep)

"""Derivatives of any order, as expressions."""

from __future__ import annotations

import operator
from collections.abc import Callable
from fractions import Fraction

from actc.expr import Expr, apply, constant, postorder, symbol
from actc.operators import operator as row_of
from actc.parsing import parse
from actc.program import instantiate

_ZERO, _ONE = constant(0), constant(1)


def derivative(expression: str | Expr, name: str = "x", order: int = 1) -> Expr:
    """The ``order``-th partial derivative with respect to an input or parameter.

    At kinks the value is torch's convention, as the operator's row states it. The derivative of an expression that ends
    in ``saturate`` (safe mode) is again safe. Raises ExpressionError for a name that is no identifier, ValueError for a
    negative order, TypeError for other types.

    >>> import actc
    >>> str(actc.derivative("x**3", "x"))
    '3*x**2'
    """
    result = parse(expression)
    if not isinstance(name, str):
        raise TypeError(f"the variable is given by its name, as in 'x'; got {type(name).__name__}")
    if not isinstance(order, int) or isinstance(order, bool):
        raise TypeError(f"the order of a derivative is a whole number, got {order!r}")
    if order < 0:
        raise ValueError(f"the order of a derivative is 0 or more, got {order}")
    target = symbol(name)
    for _ in range(order):
        result = _differentiate(result, target)
    return result


def _differentiate(root: Expr, target: Expr) -> Expr:
    from actc.safety import lower

    slope: dict[Expr, Expr] = {}
    for node in postorder(root):
        if node is target:
            slope[node] = _ONE
        elif target.name not in node.symbols:
            slope[node] = _ZERO
        else:
            slope[node] = _chain(node, [slope[a] for a in node.args])
    # `saturate` at the root is safe mode's promise, so the derivative makes it too.
    return lower(slope[root], safe=True) if root.name == "saturate" else slope[root]


def _chain(node: Expr, slopes: list[Expr]) -> Expr:
    row = row_of(node.name)
    if row.variadic and len(node.args) > row.arity:
        first = apply(row.name, *node.args[: row.arity])
        head = _chain(first, slopes[: row.arity])
        for argument, s in zip(node.args[row.arity :], slopes[row.arity :], strict=True):
            first, head = apply(row.name, first, argument), _chain_two(row.name, first, argument, head, s)
        return head
    values = dict(zip(row.arguments, node.args, strict=True))
    differential = row.text("differential")
    if differential is not None:
        values.update((f"d{a}", s) for a, s in zip(row.arguments, slopes, strict=True))
        return _tidy(differential, values)
    if row.partials is not None:
        total = _ZERO
        for partial, s in zip(row.partials, slopes, strict=True):
            if s is not _ZERO:
                total = fold("add", total, fold("mul", _tidy(partial, values), s))
        return total
    definition = row.text("definition")
    assert definition is not None
    inner = instantiate(definition, values)
    return _through(inner, dict(zip(node.args, slopes, strict=True)))


def partial_derivative(node: Expr, k: int) -> Expr | None:
    """That of an application by its argument k, all arguments held to be independent, as its row's text says it; None
    where the row has no such text."""
    row = row_of(node.name)
    if row.partials is None or row.text("differential") is not None or len(node.args) != row.arity:
        return None
    return _tidy(row.partials[k], dict(zip(row.arguments, node.args, strict=True)))


def _chain_two(name: str, a: Expr, b: Expr, da: Expr, db: Expr) -> Expr:
    return _chain(apply(name, a, b), [da, db])


def _through(inner: Expr, known: dict[Expr, Expr]) -> Expr:
    """The differential of ``inner`` when those of some nodes below it are known already."""
    slope = dict(known)
    for node in postorder(inner):
        if node not in slope:
            slope[node] = _chain(node, [slope[a] for a in node.args]) if node.kind == "apply" else _ZERO
    return slope[inner]


def _tidy(template: Expr, values: dict[str, Expr]) -> Expr:
    done: dict[Expr, Expr] = {}
    for node in postorder(template):
        if node.kind == "symbol":
            done[node] = values[node.name]
        elif node.kind == "constant":
            done[node] = node
        else:
            done[node] = fold(node.name, *(done[a] for a in node.args))
    return done[template]


def fold(name: str, *args: Expr) -> Expr:
    """The application with exact zeros and ones folded away: structural facts of differentiation, where 0 means "does
    not depend on it"."""
    a, b = args[0] if args else None, args[1] if len(args) > 1 else None
    if name == "add" and a is not None and b is not None:
        if a is _ZERO or b is _ZERO:
            return b if a is _ZERO else a
    elif name == "sub" and a is not None and b is _ZERO:
        return a
    elif name == "mul" and a is not None and b is not None:
        if a is _ZERO or b is _ZERO:
            return _ZERO
        if a is _ONE or b is _ONE:
            return b if a is _ONE else a
    elif name == "div" and a is not None and (a is _ZERO or b is _ONE):
        return a
    elif name == "pow" and a is not None and b is not None:
        if b is _ZERO or b is _ONE:
            return _ONE if b is _ZERO else a
    elif name == "where" and args[1] is args[2]:
        return args[1]
    elif name == "where" and args[0].value is not None:
        return args[1] if args[0].value else args[2]
    if name in _EXACT and a is not None and b is not None and a.value is not None and b.value is not None:
        return constant(_EXACT[name](a.value, b.value))
    return apply(name, *args)


_EXACT: dict[str, Callable[[Fraction, Fraction], int | Fraction]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "lt": lambda a, b: int(a < b),
    "gt": lambda a, b: int(a > b),
    "eq": lambda a, b: int(a == b),
    "ne": lambda a, b: int(a != b),
}

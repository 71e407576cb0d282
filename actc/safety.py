"""Safety made explicit: an expression rewritten so that nothing about it depends on a flag.

``ieee`` (the default) changes nothing: poles give infinities, points outside a domain NaN. ``safe`` promises finite
values and finite
derivatives for finite inputs. ``clamp`` bounds every unbounded operation, as GRAFS §3.3 does with ℓ = 10.
"""

from __future__ import annotations

import math
import sys
from fractions import Fraction

from actc.arguments import flag, refused
from actc.expr import Expr, apply, constant, rebuild
from actc.operators import Operator, operator
from actc.program import instantiate

_LARGEST = Fraction(sys.float_info.max)


def lower(expression: Expr, safe: bool = False, clamp: float | None = None) -> Expr:
    """The expression with safety written out as nodes: ``div_no_nan``, ``pow_no_nan``, ``saturate``, ``bound``,
    clamped arguments.

    Every operator whose row has a ``safe`` text is replaced by it; all others give a finite value for finite
    arguments. Since then every
    argument is finite, no ∞ − ∞ or 0·∞ can arise. ``saturate`` at the root also promises a finite result in the type
    it is stored in, and
    makes :func:`actc.derivative` return safe derivatives. Lowering twice changes nothing more.

    ``clamp``: ℓ > 0; the result of every operator with an unbounded image is limited to [-ℓ, ℓ]. Raises
    :class:`actc.errors.ArgumentError` for any other ℓ, and for a ``safe`` that is neither True nor False.

    >>> import actc
    >>> from actc.safety import lower
    >>> str(lower(actc.parse("1/x"), safe=True))
    'saturate(div_no_nan(1, x))'
    """
    flag("safe", safe)
    limit = None if clamp is None else _limit(clamp)

    def build(node: Expr, args: tuple[Expr, ...]) -> Expr:
        result = node.with_args(args)
        if node.kind != "apply":
            return _saturated(node) if safe and node.value is not None and abs(node.value) > _LARGEST else result
        if node.name in ("saturate", "bound"):
            return args[0] if _covers(args[0], node, limit) else result
        if safe:
            result = _safe(operator(node.name), args, limit)
        if limit is not None and not _bounded(operator(node.name), args):
            result = apply("bound", result, limit)
        return result

    lowered = rebuild(expression, build)
    return _saturated(lowered) if safe or expression.name == "saturate" else lowered


def _limit(clamp: float) -> Expr:
    if isinstance(clamp, bool) or not isinstance(clamp, (int, float)) or not 0 < clamp < math.inf:
        raise refused("clamp", clamp, "write the bound on every operation's size, a finite number above 0")
    return constant(clamp)


def _covers(inner: Expr, outer: Expr, limit: Expr | None) -> bool:
    """Whether ``inner`` keeps to the range that ``outer``, a ``saturate`` or ``bound`` around it, would enforce."""
    if inner.name == "bound" and inner.args[1] is limit:
        return outer.name == "saturate" or outer.args[1] is limit
    return inner.name == outer.name == "saturate"


def _bounded(row: Operator, args: tuple[Expr, ...]) -> bool:
    """Whether the values are bounded; a row states its image for the defaults."""
    optional = args[row.arity - len(row.defaults) :]
    return all(map(math.isfinite, row.image)) and tuple(a.value for a in optional) == row.defaults


def _safe(row: Operator, args: tuple[Expr, ...], limit: Expr | None) -> Expr:
    template = row.text("safe")
    if template is None:
        return apply(row.name, *args)
    if template.name == row.name:
        # A clamped argument that safe mode wrote before is no operator of the user's, to be bounded in its turn.
        bare = tuple(a.args[0] if a.name == "bound" and a.args[1] is limit else a for a in args)
        if _is_safe(template, bare):
            return apply(row.name, *bare)
    if len(args) > row.arity:
        return _saturated(apply(row.name, *args))
    result = instantiate(template, dict(zip(row.arguments, args, strict=True)))
    return result.args[0] if result.args and _covers(result.args[0], result, None) else result


def _is_safe(template: Expr, args: tuple[Expr, ...]) -> bool:
    """Whether the arguments are clamped already as the row's safe text ``template`` clamps them."""
    return all(
        wanted.kind == "symbol" or (given.args and wanted is _reclamped(wanted, given))
        for wanted, given in zip(template.args, args, strict=True)
    )


def _reclamped(wanted: Expr, given: Expr) -> Expr:
    return given.with_args((wanted.args[0], *given.args[1:])) if given.name == wanted.name else given


def _saturated(node: Expr) -> Expr:
    return node if node.name == "saturate" else apply("saturate", node)

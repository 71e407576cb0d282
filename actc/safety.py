"""Safety made explicit: an expression rewritten so that nothing about it depends on a flag.

``ieee`` (the default) changes nothing: poles give infinities, points outside a domain NaN. ``safe`` promises finite
values and finite
derivatives for finite inputs. ``clamp`` bounds every unbounded operation, as GRAFS §3.3 does with ℓ = 10.
"""

from __future__ import annotations

import math

from actc.expr import Expr, apply, constant, rebuild
from actc.operators import operator
from actc.program import instantiate


def lower(expression: Expr, safe: bool = False, clamp: float | None = None) -> Expr:
    """The expression with safety written out as nodes: ``div_no_nan``, ``pow_no_nan``, ``saturate``, ``bound``,
    clamped arguments.

    Every operator whose row has a ``safe`` text is replaced by it; all others give a finite value for finite
    arguments. Since then every
    argument is finite, no ∞ − ∞ or 0·∞ can arise. ``saturate`` at the root also promises a finite result in the type
    it is stored in, and
    makes :func:`actc.derivative` return safe derivatives. Lowering twice changes nothing more.

    ``clamp``: ℓ > 0; the result of every operator with an unbounded image is limited to [-ℓ, ℓ]. Raises ValueError for
    any other ℓ.

    >>> import actc
    >>> from actc.safety import lower
    >>> str(lower(actc.parse("1/x"), safe=True))
    'saturate(div_no_nan(1, x))'
    """
    if clamp is not None and not (math.isfinite(clamp) and clamp > 0):
        raise ValueError(f"clamp is the bound ℓ on |y|, a finite number above 0; got {clamp!r}")

    def build(node: Expr, args: tuple[Expr, ...]) -> Expr:
        result = node.with_args(args)
        if node.kind != "apply":
            return result
        row = operator(node.name)
        if safe and (node.name != "saturate"):
            result = _safe(node.name, args)
        if clamp is not None and not all(map(math.isfinite, row.image)) and node.name not in ("bound", "saturate"):
            result = apply("bound", result, constant(clamp))
        return result

    lowered = rebuild(expression, build)
    return _saturated(lowered) if safe else lowered


def _safe(name: str, args: tuple[Expr, ...]) -> Expr:
    row = operator(name)
    template = row.text("safe")
    if template is None:
        return apply(name, *args)
    if len(args) > row.arity:
        return _saturated(apply(name, *args))
    return instantiate(template, dict(zip(row.arguments, args, strict=True)))


def _saturated(node: Expr) -> Expr:
    return node if node.name == "saturate" else apply("saturate", node)

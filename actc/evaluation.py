"""The value of an expression: in float64 by numpy, and to any number of digits by mpmath, the oracle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from actc.enclosures import BITS, ball, precision, value_at_balls
from actc.expr import Expr, postorder
from actc.operators import OPERATORS, operator

if TYPE_CHECKING:
    import mpmath

#: Two evaluations at growing precision must agree; a result of exactly zero is believed only at this many digits,
#: enough to see e^−1000 beside 1 and the cancellation of the smallest float64 cubed. :func:`value_at` is content with
#: fewer.
_ZERO_DIGITS, _FEW_ZERO_DIGITS = 1200, 300
#: Nodes times digits^1.5, roughly the time of one evaluation: some seconds.
_MAX_WORK = 1e8


def evaluate(root: Expr, /, *inputs: Any, **values: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """See :meth:`actc.expr.Expr.evaluate`."""
    from actc.program import Program

    names = root.variables
    # A constant function of x still takes its x, and has its shape.
    wanted = names or ("x",)
    if len(inputs) > len(wanted):
        raise TypeError(
            f"{len(inputs)} inputs given, but the expression has {len(names)}: {', '.join(names) or 'none'}"
        )
    given = dict(zip(wanted, inputs, strict=False))
    if clash := given.keys() & values.keys():
        raise TypeError(f"{', '.join(sorted(clash))} given twice, by position and by name")
    given.update(values)
    _check_names(root, given)
    arrays = {name: np.asarray(value, dtype=np.float64) for name, value in given.items()}
    program = Program.of([root])
    shape = np.broadcast_shapes(*(a.shape for a in arrays.values()))
    with np.errstate(all="ignore"):
        results: list[Any] = []
        for instruction in program.instructions:
            if instruction.op == "input":
                results.append(arrays[str(instruction.name)])
            elif instruction.op == "constant":
                results.append(np.float64(instruction.value))
            else:
                numpy = OPERATORS[instruction.op].numpy
                assert numpy is not None
                results.append(numpy(*(results[a] for a in instruction.args)))
    return np.array(np.broadcast_to(np.asarray(results[program.outputs[0]], dtype=np.float64), shape))


def evaluate_mp(root: Expr, /, digits: int = 50, **values: Any) -> mpmath.mpf:
    """See :meth:`actc.expr.Expr.evaluate_mp`."""
    return _evaluate_mp(root, digits, _ZERO_DIGITS, values)


def value_at(root: Expr, x: Any, digits: int) -> mpmath.mpf:
    """As :func:`evaluate_mp` for a function of x, and many times as fast where it vanishes, since a zero or a pole is
    believed at fewer digits. Good enough to say what a function looks like; no oracle."""
    return _evaluate_mp(root, digits, _FEW_ZERO_DIGITS, {"x": x})


def _evaluate_mp(root: Expr, digits: int, zero_digits: int, values: dict[str, Any]) -> mpmath.mpf:
    import mpmath

    _check_names(root, values)
    nodes = postorder(root)
    working = digits + 15
    with mpmath.workdps(working):
        before, _ = _evaluate_mp_once(nodes, values)
    while True:
        working *= 2
        with mpmath.workdps(working):
            after, cancelled = _evaluate_mp_once(nodes, values)
        last = working > 8 * _ZERO_DIGITS or len(nodes) * (2 * working) ** 1.5 > _MAX_WORK
        final = last or working >= zero_digits
        settled = _settled(before, after, digits, working, final) if final or not cancelled else None
        if settled is not None or last:
            with mpmath.workdps(digits):
                return mpmath.mpf("nan") if settled is None else +settled
        before = after


def _settled(before: Any, after: Any, digits: int, working: int, final: bool) -> Any:
    """The value on which two evaluations agree, or None. ``final``: the later one sees enough digits to believe in a
    zero or a pole."""
    import mpmath

    with mpmath.workdps(working):
        if mpmath.isnan(before) and mpmath.isnan(after):
            return after
        if after == before:
            return after if after != 0 or final else None
        if not (mpmath.isfinite(before) and mpmath.isfinite(after)):
            return None
        if abs(before - after) <= abs(after) * mpmath.mpf(10) ** -digits:
            return after
        # Nothing but rounding errors is left where the value follows the precision down, and their inverse where it
        # follows up.
        far = mpmath.mpf(10) ** (working // 4)
        if final and max(abs(before) * far, abs(after) * far**2) < 1:
            return mpmath.mpf(0)
        if final and abs(before) > far and abs(after) > far**2:
            return mpmath.sign(after) * mpmath.inf
    return None


def _check_names(root: Expr, given: dict[str, Any]) -> None:
    if missing := sorted(root.symbols - given.keys()):
        raise TypeError(f"no value for {', '.join(missing)}; give it by name, as in {missing[0]}=1.0")
    if unknown := sorted(given.keys() - root.symbols - {"x", "y", "z"}):
        raise TypeError(f"{', '.join(unknown)} does not occur in {root}")


def _evaluate_mp_once(nodes: Sequence[Expr], values: dict[str, Any]) -> tuple[Any, bool]:
    """The last node's value, and whether digits may have been lost unseen on the way: as in exp(x) − 1 for a tiny x,
    where all of them cancel at any low precision."""
    done: dict[Expr, Any] = {}
    cancelled = False
    for node in nodes:
        if node.kind == "symbol":
            done[node] = _to_mp(values[node.name])
        elif node.value is not None:
            done[node] = _to_mp(node.value)
        else:
            row, args = operator(node.name), [done[a] for a in node.args]
            done[node] = row.oracle(*args)
            if all(args):
                cancelled |= args[0] == args[1] if row.compares else row.analytic and done[node] == 0
    return done[nodes[-1]], cancelled


def _to_mp(value: Any) -> Any:
    import mpmath

    if isinstance(value, Fraction):
        return mpmath.mpf(value.numerator) / value.denominator
    return mpmath.mpf(value if isinstance(value, (int, mpmath.mpf, str)) else float(value))


@lru_cache(maxsize=4096)
def constant_value(node: Expr) -> float:
    """The float64 nearest to an expression without free names; ``nan`` and ``inf`` as float64 arithmetic has them."""
    if node.value is not None:
        try:
            return node.value.numerator / node.value.denominator
        except OverflowError:
            return math.inf if node.value > 0 else -math.inf
    nearest = _nearest_to_ball(node)
    return float(evaluate_mp(node, 40)) if nearest is None else nearest


def _nearest_to_ball(root: Expr) -> float | None:
    """The float64 nearest to every number in the ball that holds a constant, if there is one: a hundredth of the time
    that mpmath takes."""
    with precision(BITS):
        balls: dict[Expr, Any] = {}
        for node in postorder(root):
            if node.value is not None:
                balls[node] = ball(node.value)
            else:
                balls[node] = value_at_balls(operator(node.name), [balls[a] for a in node.args])
        found = balls[root]
        if found.is_finite():
            low, high = float(found.lower()), float(found.upper())
            return low if low == high else None
        return float(found) if found.is_nan() or found.is_exact() else None

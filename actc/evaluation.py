"""The value of an expression: in float64 by numpy, and to any number of digits by mpmath, the oracle."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from actc.expr import Expr, postorder
from actc.operators import OPERATORS, operator

if TYPE_CHECKING:
    import mpmath

#: Two evaluations at growing precision must agree; a result of exactly zero is believed only at this many digits,
#: enough to see
#: e^−1000 beside 1 and the cancellation of the smallest float64 cubed.
_ZERO_DIGITS = 1200


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
    import mpmath

    _check_names(root, values)
    working = digits + 15
    with mpmath.workdps(working):
        before = _evaluate_mp_once(root, values)
    while True:
        working *= 2
        with mpmath.workdps(working):
            after = _evaluate_mp_once(root, values)
            agree = (mpmath.isnan(before) and mpmath.isnan(after)) or before == after
            close = agree or (
                mpmath.isfinite(before)
                and mpmath.isfinite(after)
                and abs(before - after) <= abs(after) * mpmath.mpf(10) ** -digits
            )
        if (close and (after != 0 or working >= _ZERO_DIGITS)) or working > 8 * _ZERO_DIGITS:
            return after
        before = after


def _check_names(root: Expr, given: dict[str, Any]) -> None:
    if missing := sorted(root.symbols - given.keys()):
        raise TypeError(f"no value for {', '.join(missing)}; give it by name, as in {missing[0]}=1.0")
    if unknown := sorted(given.keys() - root.symbols - {"x", "y", "z"}):
        raise TypeError(f"{', '.join(unknown)} does not occur in {root}")


def _evaluate_mp_once(root: Expr, values: dict[str, Any]) -> Any:
    done: dict[Expr, Any] = {}
    for node in postorder(root):
        if node.kind == "symbol":
            done[node] = _to_mp(values[node.name])
        elif node.value is not None:
            done[node] = _to_mp(node.value)
        else:
            done[node] = operator(node.name).oracle(*(done[a] for a in node.args))
    return done[root]


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
            return math.copysign(math.inf, node.value)
    return float(evaluate_mp(node, 40))

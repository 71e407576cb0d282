"""The value of an expression: in float64 by numpy, and to any number of digits by mpmath, the oracle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from actc.expr import Expr, postorder
from actc.operators import OPERATORS, Operator, operator

if TYPE_CHECKING:
    import mpmath

#: Balls are asked for the value with ever more digits; what so many do not tell from zero, from a pole or from a place
#: where an operator jumps is believed to be there. :func:`value_at` believes it sooner.
_ZERO_DIGITS, _FEW_ZERO_DIGITS = 9600, 300
#: Digits of mpmath's evaluations that tell what is believed, at most.
_BELIEVED_DIGITS = 2400
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
    working, most = digits + 15, max(_ZERO_DIGITS, 4 * digits)
    while True:
        last = working >= most or len(nodes) * (2 * working) ** 1.5 > _MAX_WORK
        found = _seen(nodes, values, digits, working)
        if found is None and (last or working >= zero_digits):
            found = _believed(nodes, values, digits, min(working, max(_BELIEVED_DIGITS, 4 * digits)))
        if found is not None or last:
            with mpmath.workdps(digits):
                return mpmath.mpf("nan") if found is None else +found
        working = min(2 * working, most)


def _seen(nodes: Sequence[Expr], values: dict[str, Any], digits: int, working: int) -> Any:
    """The value by mpmath with so many digits, if balls of as many tell that these are enough; None if they do not."""
    import flint
    import mpmath

    from actc.enclosures import ball_of, precision, value_in_balls

    with mpmath.workdps(working):
        bits = mpmath.mp.prec
        with precision(bits):
            held = value_in_balls(nodes[-1], {name: _to_ball(values[name]) for name in nodes[-1].symbols})
            if not held.is_exact() and not held.is_nan() and held.rel_accuracy_bits() < 3.33 * digits:
                return None
            found = _evaluate_mp_once(nodes, values)
            if held.is_nan() or not mpmath.isfinite(found):
                known = held.is_nan() if mpmath.isnan(found) else held.is_exact() and float(held) == found
            else:
                known = not abs(ball_of(found) - held) > abs(held) * flint.arb(10) ** -digits
    return found if known else None


def _to_ball(value: Any) -> Any:
    import flint
    import mpmath

    from actc.enclosures import ball, ball_of

    if isinstance(value, (Fraction, int)):
        return ball(Fraction(value))
    if isinstance(value, str):
        return flint.arb(value)
    return ball_of(value) if isinstance(value, mpmath.mpf) else flint.arb(float(value))


def _believed(nodes: Sequence[Expr], values: dict[str, Any], digits: int, working: int) -> Any:
    """The value on which evaluations by mpmath with half of the digits and with all of them agree, or None."""
    import mpmath

    with mpmath.workdps(working // 2):
        before = _evaluate_mp_once(nodes, values, believing=True)
    with mpmath.workdps(working):
        after = _evaluate_mp_once(nodes, values, believing=True)
        if after == before or (mpmath.isnan(before) and mpmath.isnan(after)):
            return after
        if not (mpmath.isfinite(before) and mpmath.isfinite(after)):
            return None
        if abs(before - after) <= abs(after) * mpmath.mpf(10) ** -digits:
            return after
        # Nothing but rounding errors is left where the value follows the precision down, and their inverse where it
        # follows up.
        far = mpmath.mpf(10) ** (working // 4)
        if max(abs(before) * far, abs(after) * far**2) < 1:
            return mpmath.mpf(0)
        if abs(before) > far and abs(after) > far**2:
            return mpmath.sign(after) * mpmath.inf
    return None


def _check_names(root: Expr, given: dict[str, Any]) -> None:
    if missing := sorted(root.symbols - given.keys()):
        raise TypeError(f"no value for {', '.join(missing)}; give it by name, as in {missing[0]}=1.0")
    if unknown := sorted(given.keys() - root.symbols - {"x", "y", "z"}):
        raise TypeError(f"{', '.join(unknown)} does not occur in {root}")


def _evaluate_mp_once(nodes: Sequence[Expr], values: dict[str, Any], believing: bool = False) -> Any:
    """``believing``: arguments that three quarters of the digits do not tell from a place where an operator jumps or
    ends are there."""
    done: dict[Expr, Any] = {}
    for node in nodes:
        if node.kind == "symbol":
            done[node] = _to_mp(values[node.name])
        elif node.value is not None:
            done[node] = _to_mp(node.value)
        else:
            row, args = operator(node.name), [done[a] for a in node.args]
            done[node] = row.oracle(*(_put_there(row, args) if believing and args else args))
    return done[nodes[-1]]


def _put_there(row: Operator, args: list[Any]) -> list[Any]:
    import mpmath

    first, *rest = args
    if not mpmath.isfinite(first):
        return args
    if row.compares:
        places = [b for b in rest if mpmath.isfinite(b)]
    else:
        places = [mpmath.mpf(p) for p in (*row.kinks, *row.domain) if math.isfinite(p)]
        if row.derivative == ("0",) and mpmath.mag(first) < mpmath.mp.prec:
            places.append(mpmath.nint(first))
    far = mpmath.mpf(10) ** (3 * mpmath.mp.dps // 4)
    return [next((p for p in places if abs(first - p) * far <= max(1, abs(p))), first), *rest]


def _to_mp(value: Any) -> Any:
    import mpmath

    if isinstance(value, Fraction):
        return mpmath.mpf(value.numerator) / value.denominator
    return mpmath.mpf(value if isinstance(value, (int, mpmath.mpf, str)) else float(value))


@lru_cache(maxsize=4096)
def constant_value(node: Expr) -> float:
    """The float64 nearest to an expression without free names; ``nan`` and ``inf`` as float64 arithmetic has them."""
    if node.value is not None:
        return nearest(node.value)
    found = nearest_to_ball(node)
    return float(evaluate_mp(node, 40)) if found is None else found


def nearest(number: Fraction) -> float:
    """The nearest number of float64, infinite ones included."""
    try:
        return number.numerator / number.denominator
    except OverflowError:
        return math.inf if number > 0 else -math.inf


@lru_cache(maxsize=4096)
def nearest_to_ball(root: Expr) -> float | None:
    """The float64 nearest to every number in the ball that holds a constant, if there is one: a hundredth of the time
    that mpmath takes."""
    from actc.enclosures import BITS, precision, value_in_balls

    with precision(BITS):
        found = value_in_balls(root, {})
        if found.is_finite():
            low, high = float(found.lower()), float(found.upper())
            return low if low == high else None
        return float(found) if found.is_nan() or found.is_exact() else None

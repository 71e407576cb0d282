"""Are the classes of the AQuaSurF three-node space right? Its 5,103 members are evaluated by mpmath alone, at some
hundred points: no class may hold two functions, and no function may have two classes.

python bench/classes.py prints a table, and exits with 1 if a class is wrong. Nothing of actc's own evaluation is used:
the operators are written out below.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from multiprocessing import get_context
from typing import Any

from mpmath import libmp, mp
from rich.console import Console
from rich.progress import track
from rich.table import Table

from actc.class_listing import summary
from actc.classes import EquivalenceClass, unique
from actc.spaces import AQUASURF_BINARY, AQUASURF_UNARY, Space

#: Both see e^−1600 beside 1, which is what erfc(−40) is beside 2; what they do not agree on is not settled.
PRECISIONS = (1000, 1400)
#: A sum is 0 if so many digits of its terms cancel.
CANCELLED = 900
#: Powers are computed to so many digits, of bases and exponents that are known to more; exponents of 10^50 take fifty.
OF_POWERS = 300
#: Bits of a value that are kept, and those that are compared: 216 and 40 digits.
KEPT, COMPARED = 720, 134
#: The share of merges that have to be proved.
ENOUGH = 0.95

#: A number, an infinity or "undefined" as mpmath has it inside: sign, mantissa, exponent and bits of the mantissa.
Value = tuple[int, int, int, int]
Real = Any


def selu(x: Real) -> Real:
    """Klambauer et al. 2017, with the constants of TensorFlow and torch."""
    scale, alpha = mp.mpf("1.0507009873554804934193349852946"), mp.mpf("1.6732632423543772848170429916717")
    return scale * (x if x > 0 else alpha * mp.expm1(x))


UNARY: dict[str, Callable[[Real], Real]] = {
    "0": lambda x: mp.zero,
    "1": lambda x: mp.one,
    "x": lambda x: x,
    "-x": lambda x: -x,
    "abs(x)": abs,
    "reciprocal(x)": lambda x: 1 / x,
    "square(x)": lambda x: x * x,
    "exp(x)": mp.exp,
    "sigmoid(x)": lambda x: 1 / (1 + mp.exp(-x)),
    "erf(x)": mp.erf,
    "erfc(x)": mp.erfc,
    "sinh(x)": mp.sinh,
    "cosh(x)": mp.cosh,
    "tanh(x)": mp.tanh,
    "asinh(x)": mp.asinh,
    "atan(x)": mp.atan,
    "expm1(x)": mp.expm1,
    "log(sigmoid(x))": lambda x: -mp.log1p(mp.exp(-x)),
    "relu(x)": lambda x: x if x > 0 else mp.zero,
    "elu(x)": lambda x: x if x > 0 else mp.expm1(x),
    "selu(x)": selu,
    "swish(x)": lambda x: x / (1 + mp.exp(-x)),
    "softplus(x)": lambda x: mp.log1p(mp.exp(x)),
    "softsign(x)": lambda x: x / (1 + abs(x)),
    "hard_sigmoid(x)": lambda x: min(max(x / 5 + mp.mpf("0.5"), mp.zero), mp.one),
    "i0e(x)": lambda x: mp.besseli(0, x) * mp.exp(-abs(x)),
    "i1e(x)": lambda x: mp.besseli(1, x) * mp.exp(-abs(x)),
}


def total(x: Real, y: Real) -> Real:
    """The sum, 0 where all digits cancel."""
    z = x + y
    return z if abs(z) > max(abs(x), abs(y)) * mp.mpf(10) ** -CANCELLED else mp.zero


def quotient(x: Real, y: Real) -> Real:
    """As IEEE arithmetic has it: x/0 is an infinity with the sign of x, and 0/0 undefined."""
    return x / y if y else mp.sign(x) * mp.inf if x else mp.nan


def power(x: Real, y: Real) -> Real:
    """As IEEE arithmetic has it: 0 to a negative power is infinite, a negative number to one that is not whole is
    undefined, and everything to the power 0 is 1."""
    if not x:
        return mp.zero if y > 0 else mp.inf if y else mp.one
    if x < 0 and not mp.isint(y):
        return mp.nan
    with mp.workdps(OF_POWERS):
        return x**y


BINARY: dict[str, Callable[[Real, Real], Real]] = {
    "x + y": total,
    "x - y": lambda x, y: total(x, -y),
    "x * y": lambda x, y: x * y,
    "x / y": quotient,
    "x ** y": power,
    "max(x, y)": max,
    "min(x, y)": min,
}


# --- points ----------------------------------------------------------------------------------------------------------


def ordinary_points() -> list[Fraction]:
    """200 points: tiny ones, the inside, tails, both sides of 0 and of hard_sigmoid's kinks; of few bits and none of
    them, nor its reciprocal or square, a whole number, since a negative number has a power there and none beside it."""
    rng = random.Random(0)
    found = [Fraction(2 * k + 3, 2**e) for k, e in enumerate((60, 56, 50, 44, 40, 34, 30, 24, 20, 16, 13, 10))]
    found += [Fraction(5, 2) + sign * Fraction(3, 2**e) for e in (50, 40, 30, 20, 12, 8) for sign in (1, -1)]
    found += [Fraction(2 * rng.randrange(2**5, 5 * 2**10) + 1, 2**11) for _ in range(46)]
    found += [Fraction(2 * rng.randrange(5 * 2**10, 40 * 2**10) + 1, 2**11) for _ in range(30)]
    return found


def crossings() -> list[Fraction]:
    """Both sides of every place in (-40, 40) where two of the unary functions cross, so that max or min switches or a
    sign changes; found on a grid of step 1/32 and then by halving."""
    # So few bits that x³ is exact in those that are compared: no rounding falls one way here and another there.
    step, near = Fraction(1, 32), Fraction(1, 2**28)
    grid = [step * k + step / 2 for k in range(-40 * 32, 40 * 32)]
    with mp.workdps(60):
        rows = [[f(real(p)) for f in UNARY.values()] for p in bar(grid, "crossings", len(grid))]
        places = list[Fraction]()
        for (low, before), (_, after) in itertools.pairwise(zip(grid, rows, strict=True)):
            for (i, f), (j, g) in itertools.combinations(enumerate(UNARY.values()), 2):
                if low < 0 < low + step or (before[i] - before[j]) * (after[i] - after[j]) >= 0:
                    continue
                a, b, rises = low, low + step, after[i] > after[j]
                while b - a > near:
                    middle = (a + b) / 2
                    over = f(real(middle)) > g(real(middle))
                    a, b = (a, middle) if over == rises else (middle, b)
                places.append(a)
    places.sort()
    apart = [p for q, p in itertools.pairwise([Fraction(-99), *places]) if p - q > 64 * near]
    return [p + s * 3 * near for p in apart for s in (-1, 2)]


def points() -> list[Fraction]:
    """All points, each followed by its opposite."""
    return [q for p in dict.fromkeys(map(abs, ordinary_points() + crossings())) for q in (p, -p)]


def real(point: Fraction) -> Real:
    """The point, which has few bits."""
    return mp.mpf(point.numerator) / point.denominator


# --- values ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """The values of all members at one point: ``values[places[k]]`` is that of member k."""

    values: list[Value]
    places: list[int]


def column(point: Fraction) -> Column:
    """The members' values at a point, in the order of the space.

    Raises ArithmeticError where the two precisions have different digits.
    """
    seen: dict[Value, int] = {}
    coarse, fine = (evaluated(point, digits) for digits in PRECISIONS)
    places = []
    for k, (a, b) in enumerate(zip(coarse, fine, strict=True)):
        if rounded(a, COMPARED) != rounded(b, COMPARED):
            raise ArithmeticError(f"member {k} at {float(point)!r}: {PRECISIONS} digits do not settle the value")
        places.append(seen.setdefault(rounded(b, KEPT), len(seen)))
    return Column(list(seen), places)


def evaluated(point: Fraction, digits: int) -> Iterator[Value]:
    with mp.workdps(digits):
        parts = [f(real(point)) for f in UNARY.values()]
        for f in BINARY.values():
            for a, b in itertools.product(parts, parts):
                yield f(a, b)._mpf_


def rounded(value: Value, bits: int) -> Value:
    return libmp.mpf_pos(value, bits, libmp.round_nearest)


# --- classes ---------------------------------------------------------------------------------------------------------

#: What counts as the same function, by name: the options of :func:`actc.unique`.
SYMMETRIES: dict[str, dict[str, bool]] = {
    "equal": {},
    "up to sign": {"up_to_sign": True},
    "up to sign, reflection and scale": dict.fromkeys(("up_to_sign", "up_to_reflection", "up_to_scale"), True),
}

#: The values of a function of x at all points, 40 digits of each.
Key = tuple[Any, ...]


def key(
    values: Sequence[Value], sign: bool = False, reflection: bool = False, scale: bool = False
) -> tuple[Key, Value]:
    """The function's values, the same for all that count as it, real factors included; and its own factor."""
    turned = [values]
    if reflection:
        turned.append([v for pair in zip(values[1::2], values[::2], strict=True) for v in pair])
    sizes = [size(each) if scale else libmp.fone for each in turned]
    found = [([divided(v, by) for v in each], by) for each, by in zip(turned, sizes, strict=True)]
    if sign:
        found += [([libmp.mpf_neg(v) for v in each], by) for each, by in found]
    return max((tuple(rounded(v, COMPARED) for v in each), by) for each, by in found)


def size(values: Sequence[Value]) -> Value:
    """The absolute value at the first point that has one."""
    return next((libmp.mpf_abs(v) for v in values if v[1]), libmp.fone)


def divided(value: Value, by: Value) -> Value:
    return libmp.mpf_div(value, by, KEPT) if value[1] and by != libmp.fone else value


def rational(value: Value) -> bool:
    """Whether it is a quotient of numbers of 100 digits, as products of three constants of SELU are, to 210 digits."""
    exact = Fraction(*libmp.to_rational(value))
    return abs(exact.limit_denominator(10**100) - exact) < exact / 10**210


def compared(
    classes: Sequence[EquivalenceClass], numbers: dict[Any, int], keys: Sequence[Key], at: Sequence[Fraction]
) -> dict[str, Any]:
    """What is wrong with the classes: members that differ from the first of their class somewhere, and classes that
    differ nowhere. ``numbers``: every member's place in the space; ``keys``: its key, by place."""
    merges, owners = [], defaultdict[Key, list[EquivalenceClass]](list)
    for c in classes:
        first = keys[numbers[c.representative]]
        owners[first].append(c)
        for member, verdict in zip(c.members, c.verdicts, strict=True):
            other = keys[numbers[member]]
            if other is not first:
                place = next(k for k, (a, b) in enumerate(zip(first, other, strict=True)) if a != b)
                # Behind the values a key tells which rational factor the function has.
                where = {"x": str(at[place]) if place < len(at) else "everywhere", "verdict": verdict}
                merges.append({"function": str(c.representative), "member": str(member), **where})
    found = summary(classes)
    return {
        "classes": len(classes),
        "functions": len(set(keys)),
        "proved": found["proved"] / (found["proved"] + found["numeric"]),
        "false merges": merges,
        "false splits": [[str(c.representative) for c in same] for same in owners.values() if len(same) > 1],
    }


def checked(
    space: Space, columns: Sequence[Column], symmetry: dict[str, bool], at: Sequence[Fraction]
) -> dict[str, Any]:
    """The classes of the space up to a symmetry, compared with the values."""
    functions: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for k in range(space.count):
        functions[tuple(c.places[k] for c in columns)].append(k)
    keys: list[Key] = [()] * space.count
    seen = defaultdict[Key, list[tuple[Value, Key]]](list)
    options = {option.removeprefix("up_to_"): value for option, value in symmetry.items()}
    for places, members in functions.items():
        found, factor = key([c.values[p] for c, p in zip(columns, places, strict=True)], **options)
        # 1 and e, say, are not the same up to a rational factor.
        near = (same for other, same in seen[found] if rational(libmp.mpf_div(factor, other, KEPT)))
        chosen = next(near, (*found, len(seen[found])))
        if chosen[-1] == len(seen[found]):
            seen[found].append((factor, chosen))
        for k in members:
            keys[k] = chosen
    return compared(unique(space, **symmetry), {member: k for k, member in enumerate(space)}, keys, at)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    chosen = parser.parse_args()
    assert (tuple(UNARY), tuple(BINARY)) == (AQUASURF_UNARY, AQUASURF_BINARY)
    space, at = Space("aquasurf_three_node"), points()
    with ProcessPoolExecutor(chosen.processes, get_context("spawn")) as executor:
        columns = list(bar(executor.map(column, at), "values by mpmath", len(at)))
    rows = {name: checked(space, columns, symmetry, at) for name, symmetry in SYMMETRIES.items()}
    if chosen.json:
        print(json.dumps({"points": len(at), **rows}, ensure_ascii=False))
    else:
        render(rows, len(at))
    return int(any(row["false merges"] or row["false splits"] or row["proved"] < ENOUGH for row in rows.values()))


def bar(steps: Iterable[Any], text: str, count: int) -> Iterable[Any]:
    """The steps, with a progress bar on a terminal."""
    console = Console(stderr=True)
    return track(steps, text, count, console=console, disable=not console.is_terminal)


def render(rows: dict[str, dict[str, Any]], count: int) -> None:
    """Print the table, and everything that is wrong."""
    console = Console(highlight=False)
    table = Table("same function", "classes", "by mpmath", "false merges", "false splits", "merges proved")
    for name, row in rows.items():
        wrong = [str(len(row[what])) for what in ("false merges", "false splits")]
        table.add_row(name, f"{row['classes']:,}", f"{row['functions']:,}", *wrong, f"{row['proved']:.1%}")
    console.print(f"5,103 members at {count} points, to 40 digits")
    console.print(table)
    for name, row in rows.items():
        for each in (*row["false merges"], *row["false splits"]):
            console.print(f"{name}: {each}", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())

"""Makes actc/coefficients.py: polynomials of least largest error for functions on one interval each.

python bench/polynomials.py [NAME ...] prints the tuples, all or those named, with the largest error of each; redirected
into a file it is the module. The fit is Remez's exchange on a fine grid, in 60-digit arithmetic. Coefficients for
float32 are rounded one after the other, lowest first, each time with the others fitted anew, so that the rounding of
one is taken up by those behind it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import mpmath as mp
import numpy as np

Function = Callable[[Any], Any]


class Fit(NamedTuple):
    #: What is approximated, and the factor that turns its error into that of the function computed with it.
    function: Function
    weight: Function
    low: float
    high: float
    #: In float32, in float64, and in the fast version; 0 where there is none.
    degrees: tuple[int, int, int]
    #: What the comment says.
    text: str


def minimax(t: Sequence[Any], values: Sequence[Any], weights: Sequence[Any], degree: int) -> tuple[list[Any], Any]:
    """Coefficients, lowest first, and the largest weighted error on the grid ``t``."""
    count, points = degree + 2, len(t)
    chosen = [round((points - 1) * (1 - np.cos(np.pi * k / (count - 1))) / 2) for k in range(count)]
    best: tuple[list[Any], Any] = ([], mp.inf)
    for _ in range(10):
        matrix, right = mp.matrix(count, count), mp.matrix(count, 1)
        for i, k in enumerate(chosen):
            for j in range(degree + 1):
                matrix[i, j] = t[k] ** j
            matrix[i, degree + 1] = (-1) ** i / weights[k]
            right[i] = values[k]
        solution = mp.lu_solve(matrix, right)
        coefficients = [solution[j] for j in range(degree + 1)]
        errors = [w * (v - mp.polyval(coefficients[::-1], x)) for x, v, w in zip(t, values, weights, strict=True)]
        largest = max(map(abs, errors))
        if largest < best[1]:
            best = (coefficients, largest)
        if largest <= mp.mpf("1.01") * abs(solution[degree + 1]):
            break
        chosen = _extrema(errors)
        while len(chosen) > count:
            chosen = chosen[1:] if abs(errors[chosen[0]]) < abs(errors[chosen[-1]]) else chosen[:-1]
        if len(chosen) < count:
            break
    return best


def _extrema(errors: Sequence[Any]) -> list[int]:
    """Where the error is largest in each run of one sign."""
    runs: list[int] = []
    for k, error in enumerate(errors):
        if runs and (errors[runs[-1]] > 0) == (error > 0):
            if abs(error) > abs(errors[runs[-1]]):
                runs[-1] = k
        else:
            runs.append(k)
    return runs


def fit(task: Fit, degree: int, rounded: bool) -> tuple[tuple[float, ...], Any]:
    """The coefficients and the largest weighted error. ``rounded``: each is a float32 number."""
    points = 24 * (degree + 3)
    middle, half = (mp.mpf(task.low) + task.high) / 2, (mp.mpf(task.high) - task.low) / 2
    grid = [middle - half * mp.cos(mp.pi * k / (points - 1)) for k in range(points)]
    # At 0 most of the functions are a limit: a step away from it that no rounding sees.
    grid = [x if abs(x) > 1e-25 else mp.mpf(1e-25) for x in grid]
    weights = [max(task.weight(x), mp.mpf(10) ** -30) for x in grid]
    values = [task.function(x) for x in grid]

    def error(coefficients: Sequence[float]) -> Any:
        return max(
            abs(w * (v - mp.polyval(coefficients[::-1], x))) for x, v, w in zip(grid, values, weights, strict=True)
        )

    best, _ = minimax(grid, values, weights, degree)
    found = tuple(float(c) for c in best)
    if rounded:
        # Where the variable changes its sign, to fit anew divides by nearly 0: there it is better to stop early.
        counts = {*range(min(4, degree + 1)), degree}
        tried = (_rounded(grid, values, weights, best, count) for count in sorted(counts))
        found = min(tried, key=error)
    return found, error(found)


def _rounded(t: Sequence[Any], values: Sequence[Any], weights: Sequence[Any], best: Sequence[Any],
             count: int) -> tuple[float, ...]:  # fmt: skip
    """float32 coefficients, the lowest ``count`` of which are rounded with those behind them fitted anew."""
    degree, found = len(best) - 1, list[float]()
    while len(found) < count:
        found.append(float(np.float32(float(best[0]))))
        kept = [k for k in range(len(t)) if abs(t[k]) > 1e-8]
        values = [(values[k] - found[-1]) / t[k] for k in kept]
        weights = [weights[k] * abs(t[k]) for k in kept]
        t = [t[k] for k in kept]
        best, _ = minimax(t, values, weights, degree - len(found))
    return (*found, *(float(np.float32(float(c))) for c in best))


def odd(function: Function, high: Any, degrees: tuple[int, int, int], name: str) -> Fit:
    """(f(x) − x)/x³ as a function of u = x², for f(x) = x + x³·P(u)."""
    return Fit(
        lambda u: (function(mp.sqrt(u)) - mp.sqrt(u)) / mp.sqrt(u) ** 3,
        lambda u: mp.sqrt(u) ** 3 / function(mp.sqrt(u)),
        0,
        high,
        degrees,
        f"({name}(x) − x)/x³ at u = x²",
    )


def scaled_i(order: int, x: Any) -> Any:
    """I(x)·e^(−x), also where I would overflow (DLMF 10.40.1)."""
    if x < 100:
        return mp.besseli(order, x) * mp.exp(-x)
    total = term = mp.mpf(1)
    k = 1
    while abs(term) > mp.eps:
        term *= -(mp.mpf(4 * order * order) - (2 * k - 1) ** 2) / (8 * k * x)
        total, k = total + term, k + 1
    return total / mp.sqrt(2 * mp.pi * x)


def slope(x: Any) -> Any:
    return scaled_i(0, x) - scaled_i(1, x)


def i1e_slope(x: Any) -> Any:
    return slope(x) - (scaled_i(1, x) / x if x else mp.mpf(0.5))


def erfcx_scaled(t: Any) -> Any:
    x = 3 * (1 + t) / (1 - t)
    return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)


def erfc_by(q: Any) -> Any:
    x = (1 / q - 1) / mp.mpf("0.45")
    return mp.exp(x * x) * mp.erfc(x) / q


def below_1(x: Any) -> Any:
    """By which an error of log erfc(x) becomes one of erf(x) = 1 − erfc(x)."""
    return mp.erfc(x) / mp.erf(x)


def relative(function: Function) -> Function:
    return lambda t: 1 / abs(function(t))


def near(
    function: Function, high: float, degrees: tuple[int, int, int], text: str, weight: Function | None = None
) -> Fit:
    """e^(x/2)·f(x), which is flatter, on [0, high] at t = 2x/high − 1."""
    half = mp.mpf(high) / 2

    def shifted(t: Any) -> Any:
        return mp.exp(half * (1 + t) / 2) * function(half * (1 + t))

    limited = weight and (lambda t: weight(half * (1 + t)) / mp.exp(half * (1 + t) / 2))
    return Fit(shifted, limited or relative(shifted), -1, 1, degrees, f"e^(x/2)·{text} at t = 2x/{high} − 1")


def even(function: Function, high: float, degrees: tuple[int, int, int], text: str) -> Fit:
    return Fit(
        lambda u: function(mp.sqrt(u)), relative(lambda u: function(mp.sqrt(u))), 0, high, degrees, f"{text} at u = x²"
    )


def far(function: Function, low: float, power: float, degrees: tuple[int, int, int], text: str) -> Fit:
    """x^power·f(x) on [low, ∞) at t = 2·low/x − 1."""

    def shifted(t: Any) -> Any:
        # Far beyond 1e20 nothing changes any more.
        x = 2 * mp.mpf(low) / max(1 + t, mp.mpf(10) ** -20)
        return x**power * function(x)

    return Fit(shifted, relative(shifted), -1, 1, degrees, f"x^{power}·{text} at t = 2·{low}/x − 1")


def whole(
    function: Function, power: float, degrees: tuple[int, int, int], text: str, weight: Function | None = None
) -> Fit:
    """(1 + x/4)^power·f(x) on [0, ∞) at t = (4 − x)/(4 + x)."""

    def argument(t: Any) -> Any:
        # Far beyond 1e20 nothing changes any more.
        return 4 * (1 - t) / max(1 + t, mp.mpf(10) ** -20)

    def scaled(t: Any) -> Any:
        return (1 + argument(t) / 4) ** power * function(argument(t))

    limited = weight and (lambda t: weight(argument(t)) / (1 + argument(t) / 4) ** power)
    return Fit(scaled, limited or relative(scaled), -1, 1, degrees, f"(1 + x/4)^{power}·{text} at t = (4 − x)/(4 + x)")


def curved(x: Any) -> Any:
    """1/(|f| + |x·f′|), f the slope of i1e, about its zero, and else 1/|f|: by which its error is measured."""
    f = i1e_slope(x)
    change = x * (-slope(x) - f) - f + scaled_i(1, x) / x if 0.5 < x < 4 else 0
    return 1 / (abs(f) + abs(change))


ERFCX_TEXT = "(1 + 2x)·e^(x²)·erfc(x) at t = (x − 3)/(x + 3)"
FITS = {
    "EXP": Fit(lambda r: (mp.expm1(r) - r) / r**2, abs, -0.3467, 0.3467, (5, 10, 0), "(e^r − 1 − r)/r²"),
    "EXP_WIDE": Fit(lambda r: (mp.expm1(r) - r) / r**2, abs, -0.5, 0.5, (6, 11, 0), "(e^r − 1 − r)/r²"),
    "EXPM1": Fit(lambda x: mp.expm1(x) / x, lambda x: x / mp.expm1(x), -0.5, 0.5, (0, 0, 4), "(e^x − 1)/x"),
    "LOG": Fit(lambda f: (mp.log1p(f) - f) / f**2, abs, -0.25, 0.5, (8, 20, 0), "(log(1 + f) − f)/f²"),
    "LOG1P": Fit(lambda x: mp.log1p(x) / x, lambda x: x / mp.log1p(x), -0.25, 0.25, (0, 0, 4), "log(1 + x)/x"),
    "LOG1P_UNIT": Fit(lambda x: mp.log1p(x) / x, lambda x: x / mp.log1p(x), 0, 1, (0, 0, 5), "log(1 + x)/x"),
    "SIN": odd(mp.sin, 0.617, (3, 6, 0), "sin"),
    "SIN_WIDE": odd(mp.sin, mp.mpf("2.468"), (0, 0, 2), "sin"),
    "TAN": odd(mp.tan, 0.617, (0, 0, 3), "tan"),
    "COS": Fit(
        lambda u: (mp.cos(mp.sqrt(u)) - 1 + u / 2) / u**2,
        lambda u: u**2,
        0,
        0.617,
        (2, 5, 0),
        "(cos(x) − 1 + x²/2)/x⁴ at u = x²",
    ),
    "ASIN": odd(mp.asin, 0.25, (4, 12, 2), "asin"),
    "ATAN": odd(mp.atan, 1, (8, 19, 3), "atan"),
    "TANH": odd(mp.tanh, 0.36, (4, 10, 2), "tanh"),
    "SINH": odd(mp.sinh, 1, (3, 6, 1), "sinh"),
    "ASINH": odd(mp.asinh, 1, (7, 18, 3), "asinh"),
    # 1/2 ≤ (1 + f)² ≤ 2 gives |t| ≤ 0.3432 for t = f/(1 + f/2), and log(1 + f) is 2·atanh(t/2).
    "LOG2": Fit(
        lambda u: (2 * mp.atanh(mp.sqrt(u) / 2) - mp.sqrt(u)) / mp.sqrt(u) ** 3 / mp.log(2),
        lambda u: mp.log(2) * mp.sqrt(u) ** 3 / (2 * mp.atanh(mp.sqrt(u) / 2)),
        0,
        0.1178,
        (3, 8, 0),
        "(2·atanh(t/2) − t)/(t³·log 2) at u = t²",
    ),
    "ATANH_WIDE": odd(mp.atanh, 0.25, (0, 0, 2), "atanh"),
    "ERF": Fit(
        lambda u: mp.erf(mp.sqrt(u)) / mp.sqrt(u) - 1,
        lambda u: mp.sqrt(u) / mp.erf(mp.sqrt(u)),
        0,
        1,
        (6, 11, 3),
        "erf(x)/x − 1 at u = x²",
    ),
    "ERF_TAIL": Fit(lambda x: mp.log(mp.erfc(x)), below_1, 1, 4, (6, 0, 0), "log erfc(x)"),
    "ERF_TAIL_WIDE": Fit(lambda x: mp.log(mp.erfc(x)), below_1, 1, 6, (0, 17, 0), "log erfc(x)"),
    # To x = 10.06, where float32 ends, and 27.2 for float64.
    "ERFCX": Fit(erfcx_scaled, relative(erfcx_scaled), -1, 0.541, (10, 0, 0), ERFCX_TEXT),
    "ERFCX_WIDE": Fit(erfcx_scaled, relative(erfcx_scaled), -1, 0.802, (0, 23, 0), ERFCX_TEXT),
    "ERF_TAIL_BINARY": Fit(lambda x: mp.log(mp.erfc(x), 2), below_1, 1, 4, (0, 0, 3), "log2 erfc(x)"),
    "ERFC": Fit(erfc_by, relative(erfc_by), 0.181, 1, (0, 0, 5), "e^(x²)·erfc(x)/q at q = 1/(1 + 0.45·x)"),
    "I0E_NEAR": even(lambda x: mp.besseli(0, x), 64, (10, 18, 0), "I0(x)"),
    "I1E_NEAR": even(lambda x: mp.besseli(1, x) / x, 64, (10, 18, 0), "I1(x)/x"),
    "I0E_FAR": far(lambda x: scaled_i(0, x), 8, 0.5, (6, 24, 0), "i0e(x)"),
    "I1E_FAR": far(lambda x: scaled_i(1, x), 8, 0.5, (6, 24, 0), "i1e(x)"),
    "SLOPE_NEAR": near(slope, 8, (18, 29, 0), "(i0e − i1e)(x)"),
    "SLOPE_FAR": far(slope, 8, 1.5, (8, 28, 0), "(i0e − i1e)(x)"),
    "I1E_SLOPE_NEAR": near(i1e_slope, 8, (18, 29, 0), "i1e'(x)", curved),
    "I1E_SLOPE_FAR": far(i1e_slope, 8, 1.5, (8, 28, 0), "i1e'(x)"),
    "I0E": whole(lambda x: scaled_i(0, x), 0.5, (0, 0, 9), "i0e(x)"),
    "I1E": whole(lambda x: scaled_i(1, x) / x if x else mp.mpf(0.5), 1.5, (0, 0, 8), "i1e(x)/x"),
    "SLOPE": whole(slope, 1.5, (0, 0, 11), "(i0e − i1e)(x)"),
    "I1E_SLOPE": whole(i1e_slope, 1.5, (0, 0, 11), "i1e'(x)", curved),
}  # fmt: skip


#: What float64 computes for float32: on its shorter interval, of what has one of its own for float64.
MIDDLE = ("ERFCX",)

HEAD = '''"""Polynomials for the device functions, lowest power first, and 2/π; made by bench/polynomials.py."""

'''
TAIL = '''

def words(fraction: int, width: int, count: int) -> tuple[int, ...]:
    """width + 2 zeros and then the leading bits of a fraction in units of 2^-1216, as numbers of that width."""
    stream = fraction >> (1216 + width + 2 - width * count)
    return tuple(stream >> (width * (count - 1 - k)) & (2**width - 1) for k in range(count))
'''


def text(name: str) -> str:
    """The tuples of that name, as Python source."""
    task, lines = FITS[name], list[str]()
    versions = dict(zip(("32", "64", "FAST"), task.degrees, strict=True))
    if versions["64"] or name in MIDDLE:
        versions["MIDDLE"] = next(d for d in range(1, 40) if fit(task, d, rounded=False)[1] < 2.0**-33)
    for suffix, degree in versions.items():
        if degree:
            found, error = fit(task, degree, rounded=suffix in ("32", "FAST"))
            interval = f"[{mp.nstr(mp.mpf(task.low), 5)}, {mp.nstr(mp.mpf(task.high), 5)}]"
            lines.append(f"#: {task.text} on {interval}; error at most 2^{float(mp.log(error, 2)):.1f}.")
            lines.append(f"{name}_{suffix} = (")
            lines.extend(f"    {c!r}," for c in found)
            lines.append(")")
    return "\n".join(lines)


def main() -> None:
    names = sys.argv[1:]
    mp.mp.dps = 60
    if names:
        print("\n".join(text(name) for name in names))
        return
    print(HEAD + "\n".join(text(name) for name in FITS))
    mp.mp.prec = 1400
    digits = f"{int(mp.floor(mp.ldexp(2 / mp.pi, 1216))):X}"
    print("#: ⌊2^1216·2/π⌋.\nTWO_OVER_PI = int(")
    print("\n".join(f'    "{digits[k : k + 76]}"' for k in range(0, len(digits), 76)) + ",\n    16,\n)")
    print(TAIL, end="")


if __name__ == "__main__":
    main()

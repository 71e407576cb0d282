"""How long tables take to build, and whether they are right, over the classes of the three-node space.

python bench/tables.py [--step N] [--check N] [--every] [--seed S] [--json FILE] builds the bfloat16 and the float16
table of every N-th class, value and slope, and times each from text to the last entry (CPU milliseconds). Then mpmath
checks, for as many random classes, a random thousand entries and as many of those that float64 did not decide, as far
as up to 960 digits tell them and the function is defined; --every checks all. It exits with 1 where an entry is wrong.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import random
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import torch
from rich.progress import track

import actc
from actc.derivatives import derivative
from actc.expr import Expr
from actc.kernels.table import numbers
from actc.operators import operator
from actc.rounding import BFLOAT16, FLOAT16, FLOAT32, Format, rounded

TYPES = {torch.bfloat16: BFLOAT16, torch.float16: FLOAT16}
LIMITS = {"median": 20.0, "worst": 300.0}
INPUTS, UNDECIDED, DIGITS = 1000, 1000, 60


def timed(text: str, dtype: torch.dtype, slope: bool) -> tuple[float, int]:
    """CPU milliseconds from text to table, and how many entries float64 left undecided."""
    start = time.process_time()
    expression = actc.parse(text)
    found = rounded(derivative(expression) if slope else expression, numbers(dtype), FLOAT32 if slope else TYPES[dtype])
    return (time.process_time() - start) * 1e3, len(found.undecided)


def quantiles(times: list[float]) -> dict[str, float]:
    shares = {"median": 0.5, "90 %": 0.9, "99 %": 0.99, "worst": 1.0}
    return {name: round(float(np.quantile(times, share)), 1) for name, share in shares.items()}


def true_value(expression: Expr, x: float, form: Format) -> Any:
    """By mpmath alone, with digits until two precisions agree; None where they do not, or agree on the middle between
    two numbers of the format, since more digits may show on which side it is."""
    before = None
    for digits in (DIGITS, 4 * DIGITS, 16 * DIGITS):
        with mpmath.workdps(digits):
            known: dict[Expr, Any] = {}
            for node in actc.expr.postorder(expression):
                if node.kind == "symbol":
                    known[node] = mpmath.mpf(x)
                elif node.value is not None:
                    known[node] = mpmath.mpf(node.value.numerator) / node.value.denominator
                else:
                    known[node] = operator(node.name).oracle(*(known[a] for a in node.args))
            found = known[expression]
        if before is not None:
            if not mpmath.isfinite(found) and (found == before or (mpmath.isnan(found) and mpmath.isnan(before))):
                return found
            if mpmath.isfinite(found) and mpmath.isfinite(before):
                with mpmath.workdps(digits):
                    agree = abs(found - before) <= abs(found) * mpmath.mpf(10) ** (-DIGITS // 2) and found != 0
                    if agree and found._mpf_[3] != form.digits + 1:
                        return found
        before = found
    return None


def nearest(value: Any, form: Format) -> float:
    """Rounded by rational arithmetic, ties to even."""
    if not mpmath.isfinite(value):
        return float(value)
    sign, mantissa, exponent, size = value._mpf_
    if size + exponent - 1 > form.most:
        return -math.inf if sign else math.inf
    weight = max(size + exponent - 1, form.least) - (form.digits - 1)
    if size + exponent < weight - 2:
        return 0.0
    units = round(Fraction(mantissa) * Fraction(2) ** (exponent - weight))
    found = float(units * Fraction(2) ** weight) if units.bit_length() + weight - 1 <= form.most else math.inf
    return -found if sign else found


def wrong_entries(
    text: str, dtype: torch.dtype, rng: random.Random, every: bool
) -> tuple[list[tuple[float, float, float]], int, int]:
    """(x, entry, true value) where they differ, and how many were checked and how many mpmath did not tell."""
    expression, form, x = actc.parse(text), TYPES[dtype], numbers(dtype)
    found = rounded(expression, x, form)
    finite = np.flatnonzero(np.isfinite(x) & ~((x == 0) & np.signbit(x))).tolist()
    undecided = found.undecided.tolist()
    places = {*rng.sample(finite, INPUTS), *rng.sample(undecided, min(UNDECIDED, len(undecided)))}
    places = {*finite} if every else places
    wrong, told, untold = [], 0, 0
    for place in places:
        true = true_value(expression, float(x[place]), form)
        # Where the function is undefined or has a pole, float64 says how the text ends.
        if true is None or not mpmath.isfinite(true):
            untold += 1
            continue
        if math.isnan(found.values[place]) and "**" in text:
            # A negative number to a power that is whole but for its last digits, of which mpmath sees too few.
            untold += 1
            continue
        told += 1
        if nearest(true, form) != found.values[place]:
            wrong.append((float(x[place]), float(found.values[place]), float(true)))
    return wrong, told, untold


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--step", type=int, default=1, help="every N-th class (default: all)")
    parser.add_argument("--check", type=int, default=100, help="classes that mpmath checks (default: %(default)s)")
    parser.add_argument("--every", action="store_true", help="every entry of these, which takes hours")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    classes = [str(c.representative) for c in actc.unique(actc.Space("aquasurf_three_node"), prove=False)]
    rounded(actc.parse("tanh(x) + 10**-99"), numbers(torch.float16), FLOAT16)
    times: dict[str, list[float]] = {}
    slowest: dict[str, tuple[float, str]] = {}
    for text in track(classes[:: chosen.step], "building", disable=not sys.stderr.isatty()):
        for dtype in TYPES:
            for slope in (False, True):
                name = f"{str(dtype).removeprefix('torch.')} {'slope' if slope else 'value'}"
                took, _ = timed(text, dtype, slope)
                times.setdefault(name, []).append(took)
                slowest[name] = max(slowest.get(name, (0.0, "")), (took, text))
    for name, each in times.items():
        print(name, len(each), quantiles(each), "slowest:", slowest[name][1])
    rng = random.Random(chosen.seed)
    checks = []
    for text in track(
        rng.sample(classes, min(chosen.check, len(classes))), "checking", disable=not sys.stderr.isatty()
    ):
        for dtype in TYPES:
            wrong, told, untold = wrong_entries(text, dtype, rng, chosen.every)
            checks.append({"text": text, "dtype": str(dtype), "told": told, "untold": untold, "wrong": wrong})
            if wrong:
                print("wrong:", text, dtype, wrong[:3], len(wrong), flush=True)
    told, bad = sum(c["told"] for c in checks), [c for c in checks if c["wrong"]]
    untold = sum(c["untold"] for c in checks)
    print(f"checked {told} entries of {len(checks)} tables, {untold} not told; {len(bad)} tables wrong")
    if chosen.json:
        machine = {"processor": platform.machine(), "python": platform.python_version(), "numpy": np.__version__}
        facts = {"machine": machine, "date": time.strftime("%Y-%m-%d"), "step": chosen.step}
        timing = {
            name: {**quantiles(each), "tables": len(each), "slowest": slowest[name][1]} for name, each in times.items()
        }
        chosen.json.write_text(json.dumps({**facts, "limits": LIMITS, "times": timing, "checks": checks}, indent=1))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

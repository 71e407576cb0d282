"""Why the AQuaSurF paper counts 2,913 functions in its three-node space: it compares float32 outputs, which tell equal
functions apart where they round differently.

python bench/paper_outputs.py prints what sets that count apart from the number of functions, and what it is with other
points and libraries: numpy, torch and, where it is installed, TensorFlow, which the paper used.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch.nn import functional as F

from actc.classes import float32_values, paper_points, unique
from actc.expr import Expr
from actc.operators import OPERATORS
from actc.parsing import parse
from actc.samples import Sampler
from actc.spaces import AQUASURF_BINARY, AQUASURF_UNARY, Space

#: A library's unary and binary functions, in the order of the space.
Library = tuple[list[Callable[[Any], Any]], list[Callable[[Any, Any], Any]]]


def by_numpy() -> Library:
    """What ``actc unique --mode outputs`` computes."""
    unary = [partial(float32_values, parse(text)) for text in AQUASURF_UNARY]
    return unary, [OPERATORS[parse(text).name].numpy for text in AQUASURF_BINARY]  # type: ignore[misc]


def by_torch() -> Library:
    """torch's own kernels."""
    unary = [
        torch.zeros_like, torch.ones_like, torch.clone, torch.neg, torch.abs, torch.reciprocal, torch.square, torch.exp,
        torch.sigmoid, torch.erf, torch.erfc, torch.sinh, torch.cosh, torch.tanh, torch.asinh, torch.atan, torch.expm1,
        F.logsigmoid, F.relu, F.elu, F.selu, F.silu, F.softplus, F.softsign, lambda x: (0.2 * x + 0.5).clamp(0, 1),
        torch.special.i0e, torch.special.i1e,
    ]  # fmt: skip
    return unary, [torch.add, torch.sub, torch.mul, torch.div, torch.pow, torch.maximum, torch.minimum]


def by_tensorflow() -> Library:
    """TensorFlow's kernels."""
    import tensorflow as tf  # type: ignore[import-not-found]

    m, nn = tf.math, tf.nn
    unary = [
        tf.zeros_like, tf.ones_like, tf.identity, m.negative, m.abs, m.reciprocal, m.square, m.exp, m.sigmoid, m.erf,
        m.erfc, m.sinh, m.cosh, m.tanh, m.asinh, m.atan, m.expm1, m.log_sigmoid, nn.relu, nn.elu, nn.selu, nn.swish,
        m.softplus, nn.softsign, lambda x: tf.clip_by_value(0.2 * x + 0.5, 0, 1), m.bessel_i0e, m.bessel_i1e,
    ]  # fmt: skip
    return unary, [m.add, m.subtract, m.multiply, m.divide, m.pow, m.maximum, m.minimum]


def outputs(library: Library, points: Any) -> np.ndarray:
    """The members' float32 values at the points, a row for each, with one kind of NaN as in print."""
    unary, binary = library
    with np.errstate(all="ignore"):
        parts = [f(points) for f in unary]
        rows = np.array([np.float32(f(a, b)) for f in binary for a in parts for b in parts])
    rows[np.isnan(rows)] = np.nan
    return rows


def names(rows: np.ndarray) -> list[bytes]:
    """What tells the rows apart, as their text would."""
    return [row.tobytes() for row in rows]


def without_signed_zeros(rows: np.ndarray) -> np.ndarray:
    return rows + np.float32(0)


def splits(rows: np.ndarray, points: np.ndarray) -> Iterator[tuple[str, str, str]]:
    """Functions that the outputs tell apart: the reason, and two texts of one function; as many as there are outputs
    of it beyond the first."""
    space = Space("aquasurf_three_node")
    numbers = {member: k for k, member in enumerate(space)}
    truth = Sampler(tuple(Fraction(float(p)) for p in points))
    plain, signed = names(without_signed_zeros(rows)), names(rows)
    for c in unique(space):
        printed: dict[bytes, Expr] = {}
        for member in c.members:
            printed.setdefault(signed[numbers[member]], member)
        seen: dict[bytes, Expr] = {}
        for member in printed.values():
            number = numbers[member]
            other = seen.setdefault(plain[number], member)
            if other is not member:
                yield "-0.0 beside 0.0", str(other), str(member)
        first, *others = seen.values()
        for other in others:
            a, b = rows[numbers[first]], rows[numbers[other]]
            places = np.flatnonzero((a != b) & ~(np.isnan(a) & np.isnan(b)))
            true = truth.fingerprint(first)
            undefined = all(true[k] == "nan" for k in places)
            yield "undefined, but erfc rounds to 2" if undefined else "rounding", str(first), str(other)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="samples of 1,000 points")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    chosen = parser.parse_args()
    points = paper_points()
    rows = outputs(by_numpy(), points)
    found = defaultdict[str, list[tuple[str, str]]](list)
    for reason, *pair in splits(rows, points):
        found[reason].append(tuple(pair))
    functions, counted = len(unique(Space("aquasurf_three_node"))), len(set(names(rows)))
    split = sum(map(len, found.values()))

    libraries: dict[str, tuple[Library, Callable[[np.ndarray], Any]]] = {
        "numpy": (by_numpy(), np.asarray),
        "torch": (by_torch(), torch.from_numpy),
    }
    if importlib.util.find_spec("tensorflow"):
        libraries["TensorFlow"] = (by_tensorflow(), np.asarray)
    variants = []
    for name, (library, wrapped) in libraries.items():
        places = {"equally spaced": [np.linspace(-5, 5, 1000, dtype=np.float32)]}
        places["N(0, 1)"] = [paper_points(seed) for seed in range(chosen.seeds)]
        for kind, samples in places.items():
            some = [outputs(library, wrapped(p)) for p in samples]
            for zeros, these in (("-0.0 is not 0.0", some), ("-0.0 is 0.0", map(without_signed_zeros, some))):
                counts = [len(set(names(each))) for each in these]
                variants.append({"by": name, "points": kind, "zeros": zeros, "least": min(counts), "most": max(counts)})

    result = {
        "functions": functions,
        "splits": found,
        "merges": functions + split - counted,
        "counted": counted,
        "variants": variants,
    }
    if chosen.json:
        print(json.dumps(result, ensure_ascii=False))
    else:
        render(result)


def render(result: dict[str, Any]) -> None:
    """Print the sum, examples of each reason, and the table of variants."""
    console = Console(highlight=False)
    terms = [f"{result['functions']:,} functions"]
    terms += [f"+ {len(pairs)} split ({reason})" for reason, pairs in result["splits"].items()]
    console.print(*terms, f"- {result['merges']} merged = {result['counted']:,} outputs", soft_wrap=True)
    for reason, pairs in result["splits"].items():
        for a, b in pairs[:4]:
            console.print(f"  {reason}: {a} and {b}")
    table = Table("computed by", "points", "zeros", "outputs")
    for row in result["variants"]:
        least, most = f"{row['least']:,}", f"{row['most']:,}"
        table.add_row(row["by"], row["points"], row["zeros"], least if least == most else f"{least} to {most}")
    console.print(table)


if __name__ == "__main__":
    main()

"""Whether stable forms are what they promise: float32 errors of text and form at points that the choice did not see.

python bench/stable.py [--space NAME] [--json FILE] compares, for a member of every class of the space, the text with
actc.simplify(text, "stable") on 10,000 random points of [-20, 20]: mean and largest error in units in the last place,
with each primitive rounded to float32 and with torch's own float32 functions. The real values are told by balls of 192
bits; a few of them are checked with mpmath. It exits with 1 where a form is worse than its text by more than 0.05 units
in the mean or 0.5 at most.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from rich.progress import track

import actc
from actc.accuracy import Sample, errors_beside, float32_value
from actc.expr import Expr
from actc.program import Program
from actc.purposes import instructions, simplify

POINTS, SLICE = 10_000, 500
MEAN, MOST = 0.05, 0.5


def points(seed: int) -> np.ndarray:
    """Float32 numbers that no part of the choice has seen."""
    return np.sort(np.random.default_rng(seed).uniform(-20, 20, POINTS).astype(np.float32))


def by_torch(expression: Expr, x: np.ndarray) -> np.ndarray:
    """The value in float32 by torch's functions."""
    program = Program.of([expression])
    names: dict[str, Any] = {"torch": torch, "math": __import__("math")}
    exec(program.aten_source(), names)
    (found,) = names["forward"](*[torch.from_numpy(x)] * len(program.inputs))
    return np.broadcast_to(np.asarray(found, dtype=np.float32), x.shape)


def by_rounding(expression: Expr, x: np.ndarray) -> np.ndarray:
    """The value with every primitive rounded to float32."""
    return np.broadcast_to(float32_value(expression, {"x": x}), x.shape)


FUNCTIONS = {"rounded": by_rounding, "torch": by_torch}


def measured(texts: list[str], seed: int) -> list[dict[str, Any]]:
    """Text and form, and the errors of both."""
    torch.set_num_threads(1)
    x = points(seed)
    pairs = [(actc.parse(text), simplify(text, "stable")) for text in texts]
    truths = [np.empty(POINTS) for _ in texts]
    # A slice of the points at a time, so that parts that members share are worked out once and fit into memory.
    for start in range(0, POINTS, SLICE):
        here = [Fraction(float(v)) for v in x[start : start + SLICE]]
        for truth, (text, _) in zip(truths, pairs, strict=True):
            truth[start : start + SLICE] = Sample((text,), here).truth
    rows = []
    for truth, (text, form) in zip(truths, pairs, strict=True):
        row: dict[str, Any] = {"text": str(text), "form": str(form), "checked": check(text, x, truth)}
        row["instructions"] = [instructions(text), instructions(form)]
        for name, function in FUNCTIONS.items():
            both = [errors_beside(truth, function(e, x)) for e in (text, form)]
            known = ~np.isnan(truth)
            row[name] = {
                "mean": [float(e[known].mean()) if known.any() else 0.0 for e in both],
                "most": [float(e[known].max(initial=0)) for e in both],
            }
        rows.append(row)
    return rows


def check(text: Expr, x: np.ndarray, truth: np.ndarray) -> bool:
    """Whether mpmath has the same real values at a few of the points."""
    for i in range(0, POINTS, POINTS // 7):
        value = text.evaluate_mp(30, **({"x": float(x[i])} if text.symbols else {}))
        if not np.isnan(truth[i]) and not np.isclose(float(value), truth[i], rtol=1e-15, atol=0, equal_nan=False):
            return False
    return True


def worse(row: dict[str, Any]) -> bool:
    """Whether the form breaks the promise."""
    return any(
        f["mean"][1] > f["mean"][0] + MEAN or f["most"][1] > f["most"][0] + MOST for f in (row[n] for n in FUNCTIONS)
    )


def batches(texts: list[str], seed: int, processes: int) -> Iterable[list[dict[str, Any]]]:
    pieces = [texts[i : i + 50] for i in range(0, len(texts), 50)]
    with ProcessPoolExecutor(processes, get_context("spawn")) as executor:
        found = executor.map(measured, pieces, itertools.repeat(seed))
        yield from track(found, "classes by fifties", total=len(pieces))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", default="aquasurf_three_node")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every N-th class")
    parser.add_argument("--seed", type=int, default=2026, help="of the points")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", metavar="FILE", help="write the figures there, with the machine they were taken on")
    chosen = parser.parse_args()
    texts = [str(c.representative) for c in actc.unique(actc.Space(chosen.space))][:: chosen.every]
    rows = [row for batch in batches(texts, chosen.seed, chosen.processes) for row in batch]
    bad = [row for row in rows if worse(row) or not row["checked"]]
    changed = [row for row in rows if row["form"] != row["text"]]
    gains = sorted(changed, key=lambda row: row["rounded"]["mean"][1] - row["rounded"]["mean"][0])
    print(f"{len(rows)} classes, {len(changed)} with a form that is not the text, {len(bad)} worse than it")
    for name in FUNCTIONS:
        means = np.array([row[name]["mean"] for row in rows])
        quantiles = " ".join(f"{a:.3g}->{b:.3g}" for a, b in np.quantile(means, (0.5, 0.9, 0.95, 0.99, 1), axis=0))
        print(f"{name}: mean error, quantiles 50 90 95 99 100 % of the classes: {quantiles}")
    for title, some in (("worse", bad), ("the largest improvements", gains[:10])):
        for row in some:
            (mean, after), (most, least) = row["rounded"]["mean"], row["rounded"]["most"]
            figures = f"mean {mean:.3g} -> {after:.3g}, most {most:.3g} -> {least:.3g}"
            print(f"{title}: {row['text']}  ->  {row['form']}   {figures}")
    if chosen.json:
        machine = {"processor": platform.processor() or platform.machine(), "python": platform.python_version()}
        with open(chosen.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine, "date": time.strftime("%Y-%m-%d"), "rows": changed}, file, indent=1)
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())

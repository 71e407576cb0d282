"""What simplifying one expression costs: milliseconds of CPU time, in families of up to 50 nodes, for each purpose.

python bench/simplify.py [--json FILE] prints for each family the quantiles of the times, and the expression that was
worst; of the random ones a tenth is taken for the purposes that measure errors. Families are random trees and random
graphs with shared parts over all operators, nests, sums, products, maxima and towers of powers of single ones, and
members of the three-node space. Each purpose has a process of its own, which is warm, and to which the expressions are
new; Python's collector of garbage runs between expressions, not within.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import random
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from actc.expr import Expr, apply, constant, postorder, symbol
from actc.operators import OPERATORS
from actc.parsing import parse
from actc.purposes import simplify
from actc.spaces import Space

#: Nodes of the largest expressions.
LARGEST = 50

#: The purposes, and by what the number of random expressions is divided.
PURPOSES = {"canonical": 1, "stable": 10, "cheap": 10}
QUANTILES = {"median": 0.5, "90 %": 0.9, "99 %": 0.99}

SPACE = Space("aquasurf_three_node")

_LEAVES = [symbol("x"), symbol("x"), symbol("y"), symbol("beta"), constant(0), constant(2), constant(-1), constant(0.1)]
_ROWS = [row for row in OPERATORS.values() if row.arguments]


def graphs(count: int, seed: int) -> Iterator[Expr]:
    """Random expressions whose parts occur again and again."""
    rng = random.Random(seed)
    for _ in range(count):
        pool = rng.sample(_LEAVES, 4)
        while len(postorder(pool[-1])) < LARGEST - 2 and len(pool) < 4 * LARGEST:
            row = rng.choice(_ROWS)
            recent = [pool[-1 - min(int(rng.expovariate(0.5)), len(pool) - 1)] for _ in range(row.arity)]
            pool.append(apply(row.name, *recent))
        yield next(e for e in reversed(pool) if len(postorder(e)) <= LARGEST)


def trees(count: int, seed: int) -> Iterator[Expr]:
    """Random expressions whose parts are drawn one by one."""
    rng = random.Random(seed)

    def tree(nodes: int) -> Expr:
        fitting = [row for row in _ROWS if row.arity < nodes]
        if not fitting:
            return rng.choice(_LEAVES)
        row = rng.choice(fitting)
        cuts = sorted(rng.sample(range(1, nodes - 1), row.arity - 1))
        return apply(row.name, *(tree(b - a) for a, b in zip([0, *cuts], [*cuts, nodes - 1], strict=True)))

    for _ in range(count):
        yield tree(rng.randint(10, LARGEST))


def families(count: int, seed: int = 0) -> dict[str, Iterator[Expr]]:
    """The families by name; ``count`` random expressions of either kind."""
    unary = [row.name for row in _ROWS if row.arity - len(row.defaults) == 1]
    several = range(2, 13)
    members = random.Random(3 * seed + 2).sample(range(len(SPACE)), min(count, len(SPACE)))
    powers = [
        "(((x + 1)**64 + 1)**64 + 1)**64",
        "**".join(["x"] * 25),
        "(" * 24 + "x" + ")**x" * 24,
        "(" * 24 + "x" + ")**0.5" * 24,
        "2**(2**(2**(2**(2**x))))",
        "1e300**1e300 + x**1e300 + exp(exp(exp(exp(9))))",
    ]
    return {
        "random graphs": graphs(count, 3 * seed),
        "random trees": trees(count, 3 * seed + 1),
        "nests": (parse(f"{f}(" * 40 + "x" + ")" * 40) for f in unary),
        "nests with a term": (parse(f"{f}(x - " * 16 + "x" + ")" * 16) for f in unary),
        "sums": (parse(" + ".join(f"{f}({k}*x)" for k in several)) for f in unary),
        "products": (parse("*".join(f"{f}(x + {k})" for k in several)) for f in unary),
        "maxima": (parse(f"max_n({', '.join(f'{f}({k}*x)' for k in several)})") for f in unary),
        "choices": (parse("".join(f"where({f}(x) > {k}, x, " for k in range(8)) + "x" + ")" * 8) for f in unary),
        "powers": map(parse, powers),
        "three-node space": (SPACE[k] for k in members),
    }


def measured(name: str, expressions: Iterator[Expr], purpose: str) -> dict[str, object]:
    """Quantiles of the milliseconds that the members of a family take, and the slowest member."""
    times = []
    for expression in expressions:
        gc.collect(1)
        gc.disable()
        start = time.process_time()
        simplify(expression, purpose)
        times.append((1e3 * (time.process_time() - start), str(expression)))
        gc.enable()
    times.sort()
    quantiles = {q: round(times[int(len(times) * share)][0], 1) for q, share in QUANTILES.items()}
    worst, text = times[-1]
    row = {"purpose": purpose, "family": name, "expressions": len(times), **quantiles}
    row |= {"worst": round(worst, 1), "slowest": text}
    print("  ".join(f"{key} {str(value)[:60]}" for key, value in row.items()), flush=True)
    return row


def rows_of(purpose: str, count: int, seed: int) -> list[dict[str, object]]:
    """The rows of a purpose."""
    # What the rows' texts say is read once in a process.
    for row in _ROWS:
        simplify(apply(row.name, *(symbol("x") for _ in row.arguments)), purpose)
    return [measured(name, expressions, purpose) for name, expressions in families(count, seed).items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="random expressions of either kind")
    parser.add_argument("--seed", type=int, default=0, help="of the random expressions")
    parser.add_argument("--json", metavar="FILE", help="write the rows there, with the machine they were taken on")
    chosen = parser.parse_args()
    rows = []
    for purpose, share in PURPOSES.items():
        with ProcessPoolExecutor(1, get_context("spawn")) as executor:
            rows += executor.submit(rows_of, purpose, chosen.count // share, chosen.seed).result()
    if chosen.json:
        machine = {"processor": platform.processor() or platform.machine(), "python": platform.python_version()}
        with open(chosen.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine, "date": time.strftime("%Y-%m-%d"), "rows": rows}, file, indent=2)


if __name__ == "__main__":
    main()

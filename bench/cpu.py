"""Are activations on the CPU as fast as memory? Against torch.compile, torch's own operations and a copy.

python bench/cpu.py [--json FILE] [--functions N] [--dtype NAME] times 20 named functions, forward and backward, at
64 K, 1 M and 8 M elements in bfloat16 and float32: ours, composed torch operations, the same under torch.compile, and a
copy, in turns. Every result is a new tensor; a large one costs page faults, unless the allocator keeps what was freed.
So everything is timed twice: as it comes, and with memory kept. For each set of rows it prints how many times faster
ours is, the median and the range over the functions, and the rows where it is slower than the better of the two by more
than a tenth. Errors are those of float32 results against float64, in units in the last place.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import json
import platform
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import actc
from actc.files import write_atomically

# PYTHONSAFEPATH leaves the folder of a script out; it comes last, so that nobody's package is hidden.
sys.path.append(str(Path(__file__).parent))

from competitors import composed
from measuring import HostClock, interleaved, quantiles

#: What the papers discovered, and what networks use.
NAMED = [
    *("erfc_softplus_squared", "log_sigmoid_times_asinh", "x_times_erfc_elu", "swish_times_erfc_bessel_i0e"),
    *("asinh_elu_swish", "neg_swish_swish", "selu_sinh_expm1_atan", "min_softplus_squared_neg_x", "grafs_vit_1"),
    *("tanh_times_min_zero", "sigmoid_times_erf", "relu", "silu", "gelu", "tanh", "softplus", "elu", "selu", "mish"),
    "hardswish",
]
TYPES = ["bfloat16", "float32"]
SIZES = [2**16, 2**20, 2**23]


def keep_memory() -> None:
    """From now on the C library gives no memory back to the system, and makes none anew that it has."""
    libc = ctypes.CDLL(None)
    trim_threshold, mmap_threshold = -1, -3
    libc.mallopt(mmap_threshold, 2**30)
    libc.mallopt(trim_threshold, 2**31 - 1)


@functools.cache
def compiled(text: str) -> Callable[..., Tensor]:
    """By torch.compile, once for all sizes."""
    return torch.compile(composed(text), dynamic=True)


def timed(name: str, dtype: torch.dtype, elements: int, direction: str, kept: bool) -> dict[str, Any]:
    """A row: quantiles of the microseconds of each way."""
    text = str(actc.library[name].expr)
    x = torch.randn(elements, generator=torch.Generator().manual_seed(0)).to(dtype)
    ways = {"actc": actc.compile(text), "torch": composed(text), "torch.compile": compiled(text)}
    calls: dict[str, Callable[[], object]] = {"copy": x.clone}
    for way, function in ways.items():
        if direction == "forward":
            calls[way] = _called(function, x)
        else:
            calls[way] = _differentiated(function, x)
    sample = interleaved(calls, HostClock(lambda: None), seconds=0.5, least=9, most=200)
    times = {way: {k: 1e3 * v for k, v in quantiles(each).items()} for way, each in sample.items()}
    row = {"function": name, "dtype": str(dtype)[6:], "elements": elements, "direction": direction}
    return row | {"memory": "kept" if kept else "as it comes", "microseconds": times}


def _called(function: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], object]:
    def call() -> Tensor:
        with torch.no_grad():
            return function(x)

    return call


def _differentiated(function: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], object]:
    leaf = x.clone().requires_grad_()
    y = function(leaf)
    grad = torch.ones_like(y)
    return lambda: torch.autograd.grad(y, leaf, grad, retain_graph=True)


def errors(name: str) -> dict[str, float]:
    """The largest error of each way in float32, at normally distributed numbers, and the mean."""
    expression = actc.library[name].expr
    x = torch.randn(2**20, generator=torch.Generator().manual_seed(1)) * 2
    exact = np.asarray(expression.evaluate(x=x.numpy().astype(np.float64)))
    found = {}
    for way, function in {"actc": actc.compile(expression), "torch": composed(str(expression))}.items():
        units = abs(function(x).numpy() - exact) / np.spacing(abs(exact.astype(np.float32)))
        found |= {f"{way} largest": float(units.max()), f"{way} mean": float(units.mean())}
    return found


def report(rows: Sequence[dict[str, Any]]) -> None:
    sets: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        sets.setdefault((row["dtype"], row["direction"], row["memory"], row["elements"]), []).append(row)
    for key, members in sets.items():
        times = [{way: each["median"] for way, each in row["microseconds"].items()} for row in members]
        ratios = {
            "compile/actc": [t["torch.compile"] / t["actc"] for t in times],
            "torch/actc": [t["torch"] / t["actc"] for t in times],
            "actc/copy": [t["actc"] / t["copy"] for t in times],
        }
        shown = (f"{name} {np.median(r):.2f} ({min(r):.2f}-{max(r):.2f})" for name, r in ratios.items())
        print(*key, *shown, sep="  ", flush=True)
        for row, t in zip(members, times, strict=True):
            if t["actc"] > 1.1 * min(t["torch"], t["torch.compile"]):
                print("   slower:", row["function"], *(f"{way} {v:.0f}" for way, v in t.items()), "µs", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--functions", type=int, default=len(NAMED), help="the first so many")
    parser.add_argument("--dtype", choices=TYPES, action="append")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    rows: list[dict[str, Any]] = []
    for kept in (False, True):
        if kept:
            keep_memory()
        for dtype in asked.dtype or TYPES:
            for direction in ("forward", "backward"):
                for elements in SIZES:
                    for name in NAMED[: asked.functions]:
                        rows.append(timed(name, getattr(torch, dtype), elements, direction, kept))
                report(rows[-len(SIZES) * asked.functions :])
    accuracy = {name: errors(name) for name in NAMED[: asked.functions]}
    for name, found in accuracy.items():
        print(name, *(f"{k} {v:.3g}" for k, v in found.items()), sep="  ")
    if asked.json:
        machine = {"machine": platform.processor() or platform.machine(), "threads": torch.get_num_threads()}
        about = machine | {"torch": torch.__version__, "python": platform.python_version()}
        write_atomically(asked.json, json.dumps({"about": about, "rows": rows, "errors": accuracy}, indent=1) + "\n")


if __name__ == "__main__":
    main()

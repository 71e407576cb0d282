"""From text to first result: a table beside torch.compile, on expressions that neither has seen.

python bench/compile_latency.py [--count N] [--slow M] [--seed S] [--json FILE] draws N expressions of the three-node
space. Each is parsed, compiled by actc with backend="table" and applied to 65,536 bfloat16 numbers; torch.compile does
the same, with a cold cache, on M of them. Wall milliseconds, quantiles.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import actc
from actc.kernels.aten import tensor_function
from actc.pipeline import program


def by_table(text: str, x: torch.Tensor) -> float:
    start = time.perf_counter()
    actc.compile(text, backend="table")(x)
    return (time.perf_counter() - start) * 1e3


def by_torch(text: str, x: torch.Tensor) -> float:
    start = time.perf_counter()
    torch.compiler.reset()
    function = tensor_function(program([actc.parse(text)]), ("x",))
    torch.compile(lambda t: function(t.float())[0], fullgraph=True)(x)
    return (time.perf_counter() - start) * 1e3


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--slow", type=int, default=10, help="of them by torch.compile")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    classes = [str(c.representative) for c in actc.unique(actc.Space("aquasurf_three_node"), prove=False)]
    with_x = [text for text in classes if "x" in actc.parse(text).symbols]
    texts = random.Random(chosen.seed).sample(with_x, chosen.count)
    x = torch.linspace(-8, 8, 2**16).bfloat16()
    # What is loaded once, by the first expression of all.
    by_table("tanh(x)*0.123", x)
    by_torch("tanh(x)*0.123", x)
    times = {"table": [by_table(text, x) for text in texts], "torch.compile": []}
    for text in texts[: chosen.slow]:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
            times["torch.compile"].append(by_torch(text, x))
    found = {
        name: {"count": len(each), **{str(q): round(float(np.quantile(each, q)), 1) for q in (0.1, 0.5, 0.9, 1.0)}}
        for name, each in times.items()
        if each
    }
    for name, each in found.items():
        print(name, each)
    if chosen.json:
        machine = {"processor": platform.machine(), "threads": torch.get_num_threads(), "torch": torch.__version__}
        chosen.json.write_text(
            json.dumps({"machine": machine, "date": time.strftime("%Y-%m-%d"), "times": found}, indent=1)
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

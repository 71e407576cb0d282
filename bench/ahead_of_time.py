"""Would the kernels run at the speed of memory? Read from the machine code of all classes of the three-node space.

python bench/ahead_of_time.py compiles, for each class, the kernels of the value and of the gradient in bfloat16 and
float32, counts instructions an element, and compares them with what an H100 can execute while it waits for memory. It
needs no GPU, and about half an hour on two cores; --sample N takes every class with a chance of N in all.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch
import triton

from actc import Space, unique
from actc.kernels import ahead_of_time, compile, device
from actc.kernels.triton_source import kernel_source

#: Instructions an element that an H100 has time for: by type, of the value and of the gradient. From its copy
#: bandwidth, 3.0 TB/s, its 132 multiprocessors and four instructions of 32 threads a cycle.
BUDGETS = {
    ("bfloat16", "value"): 45,
    ("bfloat16", "gradients"): 67,
    ("float32", "value"): 89,
    ("float32", "gradients"): 134,
}

RESULTS = Path(__file__).parent / "results"
#: Classes that are measured together.
BATCH = 16


@dataclass(frozen=True)
class Kernel:
    """One kernel's figures; `calls`: the device functions that it is made of, and how often."""

    expression: str
    dtype: str
    direction: str
    instructions: float
    special: float
    registers: int
    spills: int
    narrowest_access: int
    calls: dict[str, int]

    @property
    def reason(self) -> str:
        """Why there are so many instructions: what the device functions in it take by themselves, the most first."""
        costs = {name: cost * count for name, count in self.calls.items() if (cost := alone(name)) is not None}
        parts = sorted(costs.items(), key=lambda part: -part[1])
        shown = ", ".join(
            f"{name.removeprefix('fast_')} {cost:.0f}{f' in {count} calls' if (count := self.calls[name]) > 1 else ''}"
            for name, cost in parts
        )
        rest = self.instructions - sum(costs.values())
        more, fewer = f"{rest:.0f} more for reading, writing and arithmetic", "fewer together, as they share some"
        return f"alone, its functions take these instructions: {shown}; {more if rest > 0 else fewer}"

    @property
    def within_budget(self) -> bool:
        return self.instructions <= BUDGETS[self.dtype, self.direction]


@cache
def functions() -> dict[str, dict[str, dict[str, float]]]:
    """What bench/device_functions.py found."""
    text = (RESULTS / "device_functions.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, dict[str, float]]] = json.loads(text)["functions"]
    return found


def alone(name: str) -> float | None:
    """The instructions of one call of a device function, of those that were measured."""
    found = functions().get(name.removeprefix("fast_"), {})
    cost = found.get("fast cost" if name.startswith("fast_") else "cost")
    return None if cost is None else cost["instructions"]


def measured(expressions: Sequence[str]) -> list[Kernel]:
    """The kernels of some classes."""
    kernels = [(expression, dtype, direction) for expression in expressions for dtype, direction in BUDGETS]
    wanted = [
        ahead_of_time.specification(compile(expression), getattr(torch, dtype), direction == "gradients")
        for expression, dtype, direction in kernels
    ]
    return [
        Kernel(
            *kernel,
            report.instructions_per_element,
            report.special_per_element,
            report.registers,
            report.spills,
            min((*report.load_bytes, *report.store_bytes)),
            dict(Counter(re.findall(r"device\.(\w+)", kernel_source(each, "kernel", device).text))),
        )
        for kernel, each, report in zip(kernels, wanted, ahead_of_time.reports(wanted), strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, metavar="N", help="so many classes, drawn with seed 0")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path, default=RESULTS / "ahead_of_time.json")
    chosen = parser.parse_args()
    start = time.perf_counter()
    classes = [str(each.representative) for each in unique(Space("aquasurf_three_node"), prove=False)]
    if chosen.sample:
        classes = random.Random(0).sample(classes, chosen.sample)
    print(f"{len(classes)} classes, sorted in {time.perf_counter() - start:.0f} s", flush=True)
    kernels: list[Kernel] = []
    with ProcessPoolExecutor(chosen.processes) as pool:
        for found in pool.map(measured, [classes[i : i + BATCH] for i in range(0, len(classes), BATCH)]):
            kernels += found
            print(f"{len(kernels)} kernels in {time.perf_counter() - start:.0f} s", flush=True)
    report(kernels)
    chosen.json.parent.mkdir(exist_ok=True)
    head: dict[str, object] = {"target": "sm_90", "triton": triton.__version__, "torch": torch.__version__}
    head |= {"date": time.strftime("%Y-%m-%d")}
    head |= {"budgets": {f"{dtype} {direction}": budget for (dtype, direction), budget in BUDGETS.items()}}
    head |= {"classes": len(classes), "kernels": len(kernels)}
    head |= {"spilling": sum(each.spills > 0 for each in kernels)}
    head |= {"narrower_than_16_bytes": sum(each.narrowest_access < 16 for each in kernels)}
    head |= {"within_budget": {name: round(share, 4) for name, share, _ in summary(kernels)}}
    outside = (each for _, _, some in summary(kernels) for each in some)
    rows = [json.dumps(asdict(each) | {"reason": each.reason}) for each in outside]
    text = json.dumps(head, indent=2)[:-2] + ',\n  "outside": [\n    ' + ",\n    ".join(rows) + "\n  ]\n}\n"
    chosen.json.write_text(text, encoding="utf-8")


def summary(kernels: list[Kernel]) -> list[tuple[str, float, list[Kernel]]]:
    """For each type and direction the share within the budget, and the kernels outside, the worst first."""
    lines = []
    for dtype, direction in BUDGETS:
        these = [each for each in kernels if (each.dtype, each.direction) == (dtype, direction)]
        outside = sorted((k for k in these if not k.within_budget), key=lambda k: -k.instructions)
        lines.append((f"{dtype} {direction}", 1 - len(outside) / len(these), outside))
    return lines


def report(kernels: list[Kernel]) -> None:
    print(f"spilling: {sum(each.spills > 0 for each in kernels)} of {len(kernels)} kernels")
    print(f"narrower than 16 bytes: {sum(each.narrowest_access < 16 for each in kernels)} of {len(kernels)} kernels")
    for name, share, outside in summary(kernels):
        print(f"{name}: {100 * share:.1f} % within the budget")
        for kernel in outside:
            print(f"    {kernel.instructions:6.1f}  {kernel.expression}: {kernel.reason}")


if __name__ == "__main__":
    main()

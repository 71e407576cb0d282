"""Slabs: intermediate results stay small beside the tensors, and offsets beyond 2^31 are right."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from actc.kernels import compile

MB = 2**20
#: The finite ones: the bits of NaN, which infinities lead to, depend on the instructions that happen to be used.
EVERY_BFLOAT16 = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
EVERY_BFLOAT16 = EVERY_BFLOAT16[EVERY_BFLOAT16.isfinite()]


def peak(run: Callable[[], object], folder: Path) -> int:
    """The largest number of bytes that torch's allocator had handed out at any time since the start of `run`."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        kept = run()
    del kept
    profiler.export_chrome_trace(str(folder / "trace.json"))
    events = json.loads((folder / "trace.json").read_text())["traceEvents"]
    changes = [e for e in events if e["name"] == "[memory]"]
    changes.sort(key=lambda e: e["ts"])
    return max(itertools.accumulate(change["args"]["Bytes"] for change in changes))


def layouts() -> dict[str, Tensor]:
    x = torch.randn(2, 16, 256, 512, generator=torch.Generator().manual_seed(0))
    return {
        "contiguous": x,
        "channels last": x.to(memory_format=torch.channels_last),
        "bfloat16": torch.cat([x, x]).bfloat16(),
        "strided": torch.cat([x, x], 3)[..., ::2],
    }


@pytest.mark.parametrize("layout", layouts())
def test_intermediate_results_take_slabs(layout: str, tmp_path: Path) -> None:
    """On 4 million elements, with a parameter for each channel: the result, or the gradients, and little else.

    One intermediate result in float64 would take 32 MB.
    """
    x = layouts()[layout].requires_grad_()
    size = x.numel() * x.element_size()
    f = compile("x*erfc(tanh(beta*x))", backend="aten")
    beta = torch.rand(16, 1, 1, generator=torch.Generator().manual_seed(1)).requires_grad_()
    grad = torch.ones_like(x)
    assert 0 <= peak(lambda: f(x, beta=beta), tmp_path) - size < 8 * MB
    y = f(x, beta=beta)
    assert 0 <= peak(lambda: torch.autograd.grad(y, (x, beta), grad), tmp_path) - size < 24 * MB


@pytest.mark.large
def test_more_than_two_to_the_31_elements() -> None:
    """Every finite bfloat16 number over and over: each block of the result is the result of one block.

    4 GB of input and as much of output.
    """
    count, rest = 2**31 // EVERY_BFLOAT16.numel() + 3, 12345
    x = torch.empty(count * EVERY_BFLOAT16.numel() + rest, dtype=torch.bfloat16)
    x[:-rest].view(count, -1).copy_(EVERY_BFLOAT16)
    x[-rest:] = EVERY_BFLOAT16[:rest]
    f = compile("x*sigmoid(x)")
    expected = f(EVERY_BFLOAT16).view(torch.int16)
    with torch.no_grad():
        y = f(x).view(torch.int16)
    for block in y[:-rest].view(count, -1):
        assert torch.equal(block, expected)
    assert torch.equal(y[-rest:], expected[:rest])

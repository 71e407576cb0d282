"""Lookups on a GPU, as Triton kernels: the tables stay in its caches."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from .triton_backend import BLOCK, WARPS, require_device


@triton.jit
def places(index_pointer, element, mask, length, SLICED: tl.constexpr):  # type: ignore[no-untyped-def]
    """Where the entries of elements stand; SLICED: in a table for each `length` of them."""
    index = tl.load(index_pointer + element, mask=mask, other=0).to(tl.int32) & 0xFFFF
    if SLICED:
        index = element // length * 65536 + index
    return index


@triton.jit
def take(  # type: ignore[no-untyped-def]
    out_pointer, table_pointer, index_pointer, numel, length, SLICED: tl.constexpr, BLOCK: tl.constexpr
):
    """out = table[index]."""
    start = tl.program_id(0).to(tl.int64) * BLOCK
    lanes = tl.arange(0, BLOCK)
    mask = start + lanes < numel
    index = places(index_pointer, start + lanes, mask, length, SLICED)
    found = tl.load(table_pointer + index, mask=mask)
    tl.store(out_pointer + start + lanes, found, mask=mask)


@triton.jit
def take_times(  # type: ignore[no-untyped-def]
    out_pointer, table_pointer, index_pointer, grad_pointer, numel, length, SLICED: tl.constexpr, BLOCK: tl.constexpr
):
    """out = table[index]*grad, rounded once."""
    start = tl.program_id(0).to(tl.int64) * BLOCK
    lanes = tl.arange(0, BLOCK)
    mask = start + lanes < numel
    index = places(index_pointer, start + lanes, mask, length, SLICED)
    slope = tl.load(table_pointer + index, mask=mask)
    grad = tl.load(grad_pointer + start + lanes, mask=mask).to(tl.float64)
    # Exact; rounded to odd on the way through float32, so that the last rounding sees what was cut off.
    product = grad * slope.to(tl.float64)
    near = product.to(tl.float32)
    rest = product - near.to(tl.float64)
    bits = near.to(tl.int32, bitcast=True)
    outwards = (rest > 0) == (product > 0)
    uneven = (rest == rest) & (rest != 0) & ((bits & 1) == 0) & (tl.abs(near) < float("inf"))
    bits += tl.where(uneven, tl.where(outwards, 1, -1), 0)
    tl.store(out_pointer + start + lanes, bits.to(tl.float32, bitcast=True), mask=mask)


def launch(table: Tensor, indices: Tensor, grad: Tensor | None, out: Tensor, slices: int) -> None:
    """`lookup.take` or, with a gradient, `lookup.take_times`. Raises `BackendError` where Triton cannot run."""
    require_device(indices.device)
    numel = indices.numel()
    grid = (triton.cdiv(numel, BLOCK), 1, 1)
    function: Any = take if grad is None else take_times
    read = (table, indices) if grad is None else (table, indices, grad)
    with torch.cuda.device_of(indices):
        function[grid](out, *read, numel, numel // slices, SLICED=slices > 1, BLOCK=BLOCK, num_warps=WARPS)

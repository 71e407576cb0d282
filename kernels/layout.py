"""Which memory a result gets, and how large tensors are cut into slabs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor


def result_shape(inputs: Sequence[Tensor]) -> torch.Size:
    """The shape that the inputs broadcast to."""
    first = inputs[0].shape
    if all(each.shape == first for each in inputs):
        return first
    return torch.broadcast_shapes(*(each.shape for each in inputs))


def result_dtype(inputs: Sequence[Tensor]) -> torch.dtype:
    """The type torch's own pointwise operations would give: a 0-d tensor does not widen one that has dimensions."""
    first = inputs[0].dtype
    if all(each.dtype == first for each in inputs):
        return first
    deciding = [each for each in inputs if each.dim() > 0] or inputs
    dtype = deciding[0].dtype
    for each in deciding[1:]:
        dtype = torch.promote_types(dtype, each.dtype)
    return dtype


def empty_result(inputs: Sequence[Tensor]) -> Tensor:
    """Memory for a result: in the memory format of the first input that has the result's shape, else contiguous."""
    if len(inputs) == 1:
        return torch.empty_like(inputs[0])
    shape, dtype = result_shape(inputs), result_dtype(inputs)
    for each in inputs:
        if each.shape == shape:
            return torch.empty_like(each, dtype=dtype)
    return inputs[0].new_empty(shape, dtype=dtype)


def slabs(tensors: Sequence[Tensor], limit: int) -> Iterator[list[Tensor]]:
    """Views of at most `limit` elements that cover `tensors` together, in the memory order of the first.

    All tensors have one shape (expanded where they broadcast). Offsets are Python integers, so sizes beyond 2**31
    elements are no special case. Every slab is a quarter of `limit` or more, except where a tensor ends.
    """
    sizes, strides = _coalesced(tensors)
    inner = len(sizes)
    elements = 1
    while inner > 0 and elements * sizes[inner - 1] <= limit:
        inner -= 1
        elements *= sizes[inner]
    split = inner - 1
    if split < 0:
        yield [t.as_strided(sizes, s, t.storage_offset()) for t, s in zip(tensors, strides, strict=True)]
        return
    pieces = math.ceil(sizes[split] / (limit // elements))
    length = math.ceil(sizes[split] / pieces)
    for prefix in itertools.product(*(range(size) for size in sizes[:split])):
        for start in range(0, sizes[split], length):
            index = (*prefix, start)
            shape = [min(length, sizes[split] - start), *sizes[inner:]]
            yield [
                t.as_strided(shape, s[split:], t.storage_offset() + sum(i * n for i, n in zip(index, s, strict=False)))
                for t, s in zip(tensors, strides, strict=True)
            ]


def _coalesced(tensors: Sequence[Tensor]) -> tuple[list[int], list[list[int]]]:
    """Sizes and, per tensor, strides with dimensions sorted by the first tensor's strides and merged where possible."""
    first = tensors[0]
    order = sorted((d for d in range(first.dim()) if first.shape[d] != 1), key=first.stride, reverse=True)
    sizes: list[int] = []
    strides: list[list[int]] = [[] for _ in tensors]
    for d in order:
        size = first.shape[d]
        if sizes and all(s[-1] == t.stride(d) * size for t, s in zip(tensors, strides, strict=True)):
            sizes[-1] *= size
            for t, s in zip(tensors, strides, strict=True):
                s[-1] = t.stride(d)
        else:
            sizes.append(size)
            for t, s in zip(tensors, strides, strict=True):
                s.append(t.stride(d))
    return sizes, strides

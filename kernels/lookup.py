"""Lookups: what stands in tables of 65,536 entries at places given by 16-bit numbers' own bits.

All tensors lie without gaps and in one dimension. `indices` are int16; the bits are read as a number without sign, so
that negative numbers and every NaN have places of their own. With `slices`, a tensor of several tables stands behind
each other in `table`, and the elements are as many runs of equal length, the first of which reads the first table.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .rounding import store_

#: How many 16-bit numbers there are.
ENTRIES = 1 << 16

#: Elements at a time: indices take four bytes each, products eight.
_SLAB = 2**16


def take(table: Tensor, indices: Tensor, out: Tensor, slices: int = 1) -> None:
    """Writes `table[indices]` into `out`, of the table's 16-bit type."""
    if indices.device.type != "cpu":
        from .gathers import launch

        launch(table, indices, None, out, slices)
        return
    for part, places, found in _runs(table, slices, indices, out):
        torch.index_select(part, 0, _unsigned(places), out=found)


def take_times(table: Tensor, indices: Tensor, grad: Tensor, out: Tensor, slices: int = 1) -> None:
    """Writes `table[indices]`, float32, times `grad` into `out`, rounded once to its type."""
    if indices.device.type != "cpu":
        from .gathers import launch

        launch(table, indices, grad, out, slices)
        return
    for part, places, scale, found in _runs(table, slices, indices, grad, out):
        # A product of 24 and 24 bits is exact.
        store_(found, part[_unsigned(places)].double() * scale.double(), saturate=False)


def _runs(table: Tensor, slices: int, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The table of each run, and slabs of the tensors in it."""
    for part, *runs in zip(table.view(slices, ENTRIES), *(t.view(slices, -1) for t in tensors), strict=True):
        for views in zip(*(run.split(_SLAB) for run in runs), strict=True):
            yield part, *views


def _unsigned(indices: Tensor) -> Tensor:
    return indices.to(torch.int32) & (ENTRIES - 1)

"""Lookups: what stands in tables of 65,536 entries at places given by 16-bit numbers' own bits.

All tensors lie without gaps and in one dimension. `indices` are int16; the bits are read as a number without sign, so
that negative numbers and every NaN have places of their own. With `slices`, a tensor of several tables stands behind
each other in `table`, and the elements are as many runs of equal length, the first of which reads the first table.
"""

from __future__ import annotations

from torch import Tensor

#: How many 16-bit numbers there are.
ENTRIES = 1 << 16


def take(table: Tensor, indices: Tensor, out: Tensor, slices: int = 1) -> None:
    """Writes `table[indices]` into `out`, of the table's 16-bit type."""
    _run(table, indices, None, out, slices)


def take_times(table: Tensor, indices: Tensor, grad: Tensor, out: Tensor, slices: int = 1) -> None:
    """Writes `table[indices]`, float32, times `grad`, of the type of `out`, into `out`, rounded once."""
    _run(table, indices, grad, out, slices)


def _run(table: Tensor, indices: Tensor, grad: Tensor | None, out: Tensor, slices: int) -> None:
    if indices.device.type == "cpu":
        from .cpu_lookup import run
    else:
        from .gathers import launch as run
    run(table, indices, grad, out, slices)

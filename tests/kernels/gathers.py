"""Lookups by Triton kernels, as on a GPU; run by `test_table.py` in a process with Triton's interpreter on."""

from __future__ import annotations

import pytest
import torch

from actc.kernels import gathers
from actc.kernels.lookup import ENTRIES, take, take_times

SLICES = (1, 3)


@pytest.mark.parametrize("slices", SLICES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_values(dtype: torch.dtype, slices: int) -> None:
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(slices * ENTRIES, generator=generator).to(dtype)
    indices = torch.randint(-(2**15), 2**15, (slices * 1237,), generator=generator).to(torch.int16)
    found, true = torch.empty(len(indices), dtype=dtype), torch.empty(len(indices), dtype=dtype)
    gathers.launch(table, indices, None, found, slices)
    take(table, indices, true, slices)
    assert torch.equal(found, true)


@pytest.mark.parametrize("slices", SLICES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_gradients(dtype: torch.dtype, slices: int) -> None:
    """Rounded once: to the bit, but that the interpreter cuts bfloat16 off where a GPU rounds."""
    generator = torch.Generator().manual_seed(1)
    table = torch.randn(slices * ENTRIES, generator=generator) * 10.0 ** torch.randint(-6, 3, (slices * ENTRIES,))
    table[7], table[8] = torch.inf, torch.nan
    indices = torch.randint(-(2**15), 2**15, (slices * 1237,), generator=generator).to(torch.int16)
    indices[:2] = torch.tensor([7, 8])
    grad = torch.randn(len(indices), generator=generator).to(dtype)
    found, true = torch.empty(len(indices), dtype=dtype), torch.empty(len(indices), dtype=dtype)
    gathers.launch(table, indices, grad, found, slices)
    take_times(table, indices, grad, true, slices)
    if dtype is torch.float16:
        assert torch.equal(found.nan_to_num(7.0), true.nan_to_num(7.0))
    else:
        apart = found.view(torch.int16).int() - true.view(torch.int16).int()
        assert ((apart == 0) | (apart == -1) | true.isnan()).all() and (found.isnan() == true.isnan()).all()

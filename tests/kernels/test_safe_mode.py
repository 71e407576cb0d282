"""Safe mode's promise through the registered operation: on every finite 16-bit number, and on float32 at large, value
and derivative of every member of the papers' space are finite."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from actc.kernels import compile
from actc.search.spaces import UNARY, BinaryOfUnaries

SPACE = BinaryOfUnaries()
#: Elements a call: the intermediate results stay in the cache and in memory that the allocator keeps.
PIECE = 2**14


def every_finite(dtype: torch.dtype) -> Tensor:
    """All finite numbers of a 16-bit type, both zeros and the subnormals included."""
    numbers = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    return numbers[numbers.isfinite()]


def wide_grid() -> Tensor:
    """float32 of both signs: every exponent with several significands, the ends of the subnormal, normal and finite
    ranges, the neighbours of kinks, poles and the edges of exponentials, and numbers whose sums cancel."""
    rng = np.random.default_rng(0)
    exponents = np.arange(255, dtype=np.uint32)[:, None] << np.uint32(23)
    significands = np.array([0, 1, 2**22, 2**23 - 1, *rng.integers(0, 2**23, 4)], dtype=np.uint32)
    corners = [0, 0.5, 1, 2, 2.5, 3, 6, 9, 13, 16.6, 26, 37, 44, 80, 87, 88, 88.7, 89.4, 103, 104, 709.8, 745, 1.8e19]
    nearby = np.array(corners, dtype=np.float32).view(np.uint32)[:, None] + np.arange(9, dtype=np.uint32)
    below = np.array(corners[1:], dtype=np.float32).view(np.uint32)[:, None] - np.arange(9, dtype=np.uint32)
    bits = np.concatenate([(exponents | significands).ravel(), nearby.ravel(), below.ravel()])
    x = np.concatenate([bits.view(np.float32), np.linspace(0, 12, 2401, dtype=np.float32)])
    return torch.from_numpy(np.concatenate([x, -x]))


GRIDS = {
    "bfloat16": every_finite(torch.bfloat16),
    "float16": every_finite(torch.float16),
    "float32": wide_grid(),
}


def alternating(x: Tensor, first: int) -> Tensor:
    """Gradients of 1 and −1 in turn."""
    signs = torch.ones_like(x)
    signs[first % 2 :: 2] = -1
    return signs


def test_the_grids_hold_every_number() -> None:
    assert [len(grid) for grid in GRIDS.values()][:2] == [2**16 - 2**8, 2**16 - 2**11]
    for grid in GRIDS.values():
        assert grid.isfinite().all()
        assert {grid.max().item(), -grid.min().item()} == {torch.finfo(grid.dtype).max}
        assert (grid == 0).sum() >= 2 and torch.signbit(grid[grid == 0]).any()
    exponents = GRIDS["float32"].view(torch.int32) >> 23
    assert len(exponents.unique()) == 2 * 255


@pytest.mark.parametrize("right", range(len(UNARY)), ids=UNARY)
def test_every_member_of_the_papers_space(right: int) -> None:
    for index in range(right, len(SPACE), len(UNARY)):
        f = compile(SPACE[index], safe=True)
        for grid in GRIDS.values():
            for piece in grid.split(PIECE):
                x = piece.clone().requires_grad_()
                y = f(x)
                y.backward(alternating(piece, index))
                assert x.grad is not None
                bad = ~(y.isfinite() & x.grad.isfinite())
                assert not bad.any(), (str(f.expr), piece.dtype, piece[bad][:3], y[bad][:3], x.grad[bad][:3])


@pytest.mark.parametrize("index", range(11, len(SPACE), 211))
def test_the_opposite_gradient_gives_the_opposite(index: int) -> None:
    """So that each number of :func:`test_every_member_of_the_papers_space` stands for both signs."""
    f = compile(SPACE[index], safe=True)
    for grid in GRIDS.values():
        x = grid[::17].clone().requires_grad_()
        y = f(x)
        down, up = (torch.autograd.grad(y, x, torch.full_like(y, s), retain_graph=True)[0] for s in (-1, 1))
        assert torch.equal(down, -up)

"""Safe mode's promise through the registered operation: on every finite 16-bit number, and on float32 at large, value
and derivative of every member of the papers' space are finite."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

import actc
from actc.kernels import compile
from actc.kernels.compiled import FLOATING
from actc.spaces import AQUASURF_UNARY as UNARY
from actc.spaces import Space

SPACE = Space("aquasurf_three_node")
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
    """By the reference, which compiles nothing."""
    for index in range(right, len(SPACE), len(UNARY)):
        check_every_number(index, "aten")


@pytest.mark.parametrize("index", range(3, len(SPACE), 101))
def test_members_of_the_papers_space_by_machine_code(index: int) -> None:
    check_every_number(index, "cpu")


def check_every_number(index: int, backend: str) -> None:
    f = compile(SPACE[index], safe=True, backend=backend)
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


def awkward(dtype: torch.dtype) -> Tensor:
    """Both zeros, kinks, ordinary numbers, and the ends of the subnormal, normal and finite ranges."""
    info = torch.finfo(dtype)
    ends = [info.smallest_normal * info.eps, info.tiny, info.max / 2, info.max]
    positive = torch.tensor([0.0, 1e-3, 0.5, 1.0, 2.5, 3.0, 11.3, 20.0, 88.7, 104.0, 300.0, *ends], dtype=dtype)
    return torch.cat([positive, -positive])


def arguments(count: int, dtype: torch.dtype) -> list[Tensor]:
    """All combinations of awkward numbers for up to two arguments, random ones and normal noise for more."""
    values = awkward(dtype)
    if count <= 2:
        return [torch.stack(each) for each in zip(*itertools.product(values, repeat=count), strict=True)]
    generator = torch.Generator().manual_seed(count)
    chosen = values[torch.randint(len(values), (count, 3000), generator=generator)]
    noise = torch.randn(count, 3000, generator=generator).to(dtype)
    return list(torch.where(torch.rand(3000, generator=generator) < 0.4, noise, chosen))


def check_gradients(activation: object, dtype: torch.dtype) -> None:
    """Value, gradients by every argument, and for few arguments all second derivatives."""
    f = compile(activation, safe=True)
    leaves = [each.requires_grad_() for each in arguments(len(f.variables + f.parameters), dtype)]
    inputs, parameters = leaves[: len(f.variables)], leaves[len(f.variables) :]
    y = f(*inputs, **dict(zip(f.parameters, parameters, strict=True)))
    assert y.isfinite().all()
    first = torch.autograd.grad(y, leaves, alternating(y, 0), create_graph=len(leaves) <= 3)
    assert all(each.isfinite().all() for each in first)
    for slope in first:
        if slope.requires_grad:
            second = torch.autograd.grad(slope, leaves, torch.ones_like(y), retain_graph=True, allow_unused=True)
            assert all(each is None or each.isfinite().all() for each in second)


@pytest.mark.parametrize("dtype", FLOATING, ids=str)
@pytest.mark.parametrize(
    "text",
    [
        "silu(x)*y",
        "x*sigmoid(beta*x)",
        "x**y",
        "x/y",
        "hypot(x, y)",
        "atan(x/y)",
        "log(x*x + y*y)",
        "sqrt(x*y)",
        "where(x > y, x**y, y**x)",
        "asin(x)/acos(y)",
        "tan(x)*y",
        "exp(beta*x)/y",
        "softplus(x, beta)",
        "celu(x, alpha)",
        "elu(x, alpha)",
        "rrelu(x, lower, upper)",
    ],
)
def test_gradients_by_every_argument(text: str, dtype: torch.dtype) -> None:
    check_gradients(text, dtype)


@pytest.mark.parametrize("dtype", FLOATING, ids=str)
def test_the_library(dtype: torch.dtype) -> None:
    for name in actc.library:
        check_gradients(actc.library[name], dtype)


@pytest.mark.parametrize("index", range(5, len(SPACE), 97))
def test_second_derivatives_of_the_papers_space(index: int) -> None:
    for dtype in FLOATING:
        check_gradients(SPACE[index], dtype)

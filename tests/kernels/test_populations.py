"""Many activations at once: to the bit what separate calls give."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

from actc.errors import ArgumentError
from actc.kernels import compile, population
from actc.kernels.errors import BackendError, TensorShapeError
from actc.kernels.populations import Population

TEXTS = ["relu(x)", "tanh(x)", "x*x/3", "1/x", "log(x)"]


def separately(several: Population, x: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """Value and gradient by one call a slice."""
    count = len(several.activations)
    values: list[Tensor] = []
    grads: list[Tensor] = []
    for activation, part, scale in zip(
        several.activations, x.chunk(count, several.dim), grad.chunk(count, several.dim), strict=True
    ):
        leaf = part.detach().clone().requires_grad_()
        y = compile(activation.lowered, backend="table")(leaf)
        values.append(y.detach())
        grads.extend(torch.autograd.grad(y, leaf, scale))
    return torch.cat(values, several.dim), torch.cat(grads, several.dim)


def same(a: Tensor, b: Tensor) -> bool:
    a, b = a.contiguous(), b.contiguous()
    return bool(((a.view(torch.int16) == b.view(torch.int16)) | (a.isnan() & b.isnan())).all())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "shape, dim", [((5, 7, 3), 0), ((10, 4), 0), ((3, 5), 1), ((2, 3, 15), -1), ((5, 0), 0), ((0, 2), 0)]
)
def test_slices(dtype: torch.dtype, shape: tuple[int, ...], dim: int) -> None:
    generator = torch.Generator().manual_seed(1)
    x, grad = (torch.randn(shape, generator=generator).to(dtype) * 3 for _ in range(2))
    several = population(TEXTS, dim)
    leaf = x.clone().requires_grad_()
    y = several(leaf)
    (slope,) = torch.autograd.grad(y, leaf, grad)
    assert y.shape == slope.shape == x.shape and y.dtype == slope.dtype == dtype
    if x.numel():
        for got, true in zip((y.detach(), slope), separately(several, x, grad), strict=True):
            assert same(got, true)


@pytest.mark.parametrize(
    "turn", [lambda t: t.transpose(1, 2), lambda t: t[:, ::2], lambda t: t.to(memory_format=torch.channels_last)]
)
def test_strides(turn: object) -> None:
    assert callable(turn)
    x = turn(torch.linspace(-3, 3, 5 * 4 * 4 * 6).bfloat16().reshape(5, 4, 4, 6)).requires_grad_()
    several = population(TEXTS)
    y = several(x)
    grad = torch.ones((), dtype=x.dtype).expand(y.shape)
    (slope,) = torch.autograd.grad(y, x, grad)
    for got, true in zip((y.detach(), slope), separately(several, x.detach(), grad), strict=True):
        assert same(got, true)


def test_safe_members() -> None:
    several = population([compile("1/x", safe=True), "1/x"])
    x = torch.tensor([[0.0, 1e-30], [0.0, 1e-30]]).bfloat16().requires_grad_()
    y = several(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert y[0].isfinite().all() and slope[0].isfinite().all() and y[1, 0] == torch.inf


def test_it_is_a_module() -> None:
    several = population(TEXTS)
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(2)).half()
    for other in (pickle.loads(pickle.dumps(several)), copy.deepcopy(several)):
        assert same(other(x), several(x))
    assert not list(several.parameters()) and "5 activations along dimension 0" in repr(several)
    assert torch.nn.Sequential(several)(x).shape == x.shape


def test_what_is_refused() -> None:
    several = population(TEXTS)
    with pytest.raises(TensorShapeError, match=r"a population of 5 needs an input with a multiple of 5 slices"):
        several(torch.ones(4, 2).half())
    with pytest.raises(TensorShapeError, match=r"dimension 0, got shape \(\)"):
        several(torch.ones(()).half())
    with pytest.raises(BackendError, match=r"input is of torch\.float32"):
        several(torch.ones(5))
    with pytest.raises(BackendError, match=r"depends on x, beta"):
        population(["beta*x"])
    wrong: Any
    for wrong in ([], "relu(x)", 3):
        with pytest.raises(ArgumentError, match="give a sequence of activations"):
            population(wrong)

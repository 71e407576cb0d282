"""Every operator's derivatives, in reverse and forward mode, and what torch demands of a registered operation."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

from actc.kernels import CompiledActivation, compile
from actc.kernels.key import Key, derivative_key
from actc.operators import Operator
from tests.kernels.samples import ROWS, covering, sample

FORWARD, BACKWARD = torch.ops.actc.forward.default, torch.ops.actc.backward.default


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_gradcheck_and_gradgradcheck(row: Operator) -> None:
    """First and second derivatives by every argument, in reverse and forward mode and mixed, against differences."""
    found = sample(row)
    leaves = found.leaves()
    assert leaves[0].numel() >= 3
    assert torch.autograd.gradcheck(found, leaves, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(found, leaves, check_fwd_over_rev=True, check_rev_over_rev=True)


def key_of(activation: CompiledActivation) -> str:
    """The text that stands in exported models."""
    names = activation.variables + activation.parameters
    key = Key(str(activation.lowered), activation.variables, activation.parameters, (0,) * len(names), "aten")
    assert json.loads(str(key))["expression"] == str(activation.lowered)
    return str(key)


def check_operations(inputs: list[Tensor], params: list[Tensor], key: str) -> None:
    torch.library.opcheck(FORWARD, (inputs, params, key))
    y = FORWARD(inputs, params, key)
    grad = torch.ones_like(y, requires_grad=True)
    needed = [i for i, each in enumerate([*inputs, *params]) if each.requires_grad]
    torch.library.opcheck(BACKWARD, (grad, inputs, params, key, needed))


@pytest.mark.parametrize("activation", covering(6), ids=range(6))
def test_opcheck_with_every_operator(activation: CompiledActivation) -> None:
    check_operations([torch.tensor([1.45, 0.3, 3.1], requires_grad=True)], [], key_of(activation))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_opcheck_with_inputs_and_parameters(dtype: torch.dtype) -> None:
    key = key_of(compile("silu(x)*y + tanh(beta*x)", safe=True))
    x = torch.randn(2, 3, 4, 4).to(dtype).to(memory_format=torch.channels_last).requires_grad_()
    y = torch.randn(3, 1, 1).to(dtype).requires_grad_()
    beta = torch.rand(3, 1, 1, requires_grad=True)
    check_operations([x, y], [beta], key)
    check_operations([x.detach(), y.detach()], [beta], key)


@pytest.mark.parametrize("shape", [(), (0, 3), (5,)])
def test_opcheck_of_derivatives(shape: tuple[int, ...]) -> None:
    key = derivative_key(derivative_key(key_of(compile("tanh(beta*x)*x")), 0), 1)
    check_operations([torch.randn(shape, requires_grad=True)], [torch.rand((), requires_grad=True)], key)

"""An activation as composed torch operations, for tracers that should see through it (torch.compile, ONNX).

An opaque operation cannot be fused with its neighbours, and an ONNX file can hold no operation of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from actc.derivatives import derivative

from .aten import expression_of, saturates, tensor_function
from .key import Key
from .layout import result_dtype, result_shape


class Composed:
    """The function of `key` in float64 for float64 tensors and in float32 for all others, rounded to the result's type.

    `forward(*inputs, *params)` is differentiable by the derivatives that the operator table states, not by torch's
    derivatives of the composition, which are NaN where a branch not taken is infinite. `value` is the same without any
    autograd around it.
    """

    def __init__(self, key: Key) -> None:
        self._count = len(key.variables)
        expression = expression_of(key)
        slopes = [derivative(expression, name) for name in key.names]
        self._function = tensor_function([expression], key.names)
        self._gradient = tensor_function(slopes, key.names)
        self._saturate = saturates(expression)
        self._saturate_gradient = [saturates(each) for each in slopes]
        self._differentiable = _differentiable(self)

    def forward(self, *tensors: Tensor) -> Tensor:
        """The value, differentiable once; arguments are inputs, then parameters."""
        # Without gradients torch.compile mistakes a Function's first tensor for the context, if there are two.
        if torch.is_grad_enabled() and any(each.requires_grad for each in tensors):
            return self._differentiable.apply(*tensors)
        return self.value(*tensors)

    def value(self, *tensors: Tensor) -> Tensor:
        """The value; arguments as for `forward`."""
        inputs = tensors[: self._count]
        shape, dtype, compute = result_shape(inputs), result_dtype(inputs), _compute_type(inputs)
        (value,) = self._function(*(each.to(compute) for each in tensors))
        if not isinstance(value, Tensor):
            return torch.full(shape, value, dtype=dtype, device=inputs[0].device)
        if value.shape != shape:
            value = value.expand(shape).contiguous()
        return _stored(value, dtype, self._saturate)

    def gradients(self, grad: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        """`grad` times each partial derivative, summed to the shape and converted to the type of each argument."""
        compute = _compute_type(tensors[: self._count])
        values = self._gradient(*(each.to(compute) for each in tensors))
        scale = grad.to(compute)
        return tuple(
            _stored((scale * value).sum_to_size(each.shape), each.dtype, limited)
            for value, each, limited in zip(values, tensors, self._saturate_gradient, strict=True)
        )


def _differentiable(composed: Composed) -> type[torch.autograd.Function]:
    # A class for each activation, since torch.compile traces a Function's closure but no argument that is an object.
    class ComposedFunction(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *tensors: Tensor) -> Tensor:
            ctx.save_for_backward(*tensors)
            return composed.value(*tensors)

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
            return composed.gradients(grad, *ctx.saved_tensors)

    return ComposedFunction


def _compute_type(inputs: Sequence[Tensor]) -> torch.dtype:
    return torch.float64 if any(each.dtype == torch.float64 for each in inputs) else torch.float32


def _stored(value: Tensor, dtype: torch.dtype, saturate: bool) -> Tensor:
    if saturate:
        largest = torch.finfo(dtype).max
        value = value.clamp(-largest, largest)
    return value.to(dtype)

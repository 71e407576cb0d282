"""An activation as composed torch operations, for tracers that should see through it (torch.compile, ONNX).

An opaque operation cannot be fused with its neighbours, and an ONNX file can hold no operation of ours.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from actc import pipeline
from actc.derivatives import derivative
from actc.program import Program

from .aten import WITHOUT_FLOAT64, TensorFunction, expression_of, saturates, tensor_function
from .key import Key
from .layout import result_dtype, result_shape


class Composed:
    """The function of `key` in float32, rounded to the result's type; in float64 where an input has that type, or where
    float32 would make zero or infinity of a constant of the function.

    `forward(*inputs, *params)` is differentiable by the derivatives that the operator table states, not by torch's
    derivatives of the composition, which are NaN where a branch not taken is infinite. `value` is the same without any
    autograd around it, and `in_onnx` is `value` over operators that ONNX has.
    """

    def __init__(self, key: Key) -> None:
        self._names, self._count = key.names, len(key.variables)
        self._expression = expression_of(key)
        slopes = [derivative(self._expression, name) for name in key.names]
        value, gradient = pipeline.program([self._expression]), pipeline.program(slopes)
        self._wide = not (_fits_float32(value) and _fits_float32(gradient))
        self._function = tensor_function(value, key.names)
        self._gradient = tensor_function(gradient, key.names)
        self._saturate = saturates(self._expression)
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
        return self._evaluated(self._function, tensors)

    def in_onnx(self, *tensors: Tensor) -> Tensor:
        """The value by operators that ONNX has; arguments as for `forward`."""
        return self._evaluated(self._onnx_function, tensors)

    def gradients(self, grad: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        """`grad` times each partial derivative, summed to the shape and converted to the type of each argument."""
        compute = self._compute_type(tensors[: self._count])
        values = self._gradient(*(each.to(compute) for each in tensors))
        scale = grad.to(compute)
        return tuple(
            _stored((scale * value).sum_to_size(each.shape), each.dtype, limited)
            for value, each, limited in zip(values, tensors, self._saturate_gradient, strict=True)
        )

    @functools.cached_property
    def _onnx_function(self) -> TensorFunction:
        return tensor_function(pipeline.program([self._expression], onnx=True), self._names)

    def _evaluated(self, function: TensorFunction, tensors: Sequence[Tensor]) -> Tensor:
        inputs = tensors[: self._count]
        shape, dtype, compute = result_shape(inputs), result_dtype(inputs), self._compute_type(inputs)
        (value,) = function(*(each.to(compute) for each in tensors))
        if not isinstance(value, Tensor):
            return torch.full(shape, value, dtype=dtype, device=inputs[0].device)
        if value.shape != shape:
            value = value.expand(shape).contiguous()
        return _stored(value, dtype, self._saturate)

    def _compute_type(self, inputs: Sequence[Tensor]) -> torch.dtype:
        wide = self._wide and inputs[0].device.type not in WITHOUT_FLOAT64
        return torch.float64 if wide or any(each.dtype == torch.float64 for each in inputs) else torch.float32


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


def _fits_float32(program: Program) -> bool:
    limits = torch.finfo(torch.float32)
    constants = (abs(each.value) for each in program.instructions if each.value)
    return all(limits.tiny <= each <= limits.max or not math.isfinite(each) for each in constants)


def _stored(value: Tensor, dtype: torch.dtype, saturate: bool) -> Tensor:
    if saturate:
        largest = torch.finfo(dtype).max
        value = value.clamp(-largest, largest)
    return value.to(dtype)

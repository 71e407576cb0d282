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
from actc.program import Instruction, Program

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
        self._wide = not all(map(fits_float32, (*value.instructions, *gradient.instructions)))
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
        function, constants = self._for_onnx
        wide = (torch.tensor(each, dtype=torch.float64, device=tensors[0].device) for each in constants)
        return self._evaluated(function, (*tensors, *wide))

    def gradients(self, grad: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        """`grad` times each partial derivative, summed to the shape and converted to the type of each argument."""
        compute = self._compute_type(tensors[: self._count])
        values = self._gradient(*(_converted(each, compute) for each in tensors))
        scale = _converted(grad, compute)
        return tuple(
            _stored((scale * value).sum_to_size(each.shape), each.dtype, limited)
            for value, each, limited in zip(values, tensors, self._saturate_gradient, strict=True)
        )

    @functools.cached_property
    def _for_onnx(self) -> tuple[TensorFunction, list[float]]:
        """A function of the arguments and of the constants that do not fit float32, and these constants: torch's
        exporter stores a number as float32, but a tensor as it is."""
        program = pipeline.program([self._expression], onnx=True)
        constants = {i: f"_constant{i}" for i, each in enumerate(program.instructions) if not fits_float32(each)}
        instructions = tuple(
            Instruction("input", name=constants[i]) if i in constants else each
            for i, each in enumerate(program.instructions)
        )
        names = tuple(constants.values())
        function = tensor_function(
            Program((*program.inputs, *names), instructions, program.outputs), (*self._names, *names)
        )
        return function, [value for i in constants if (value := program.instructions[i].value) is not None]

    def _evaluated(self, function: TensorFunction, tensors: Sequence[Tensor]) -> Tensor:
        inputs = tensors[: self._count]
        shape, dtype, compute = result_shape(inputs), result_dtype(inputs), self._compute_type(inputs)
        (value,) = function(*(_converted(each, compute) for each in tensors))
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


def exporting() -> bool:
    """Whether torch.export traces; `torch.compiler.is_exporting` is true for all that torch 2.11 compiles."""
    return torch.compiler._is_exporting_flag


def fits_float32(instruction: Instruction) -> bool:
    """Whether an instruction is no constant that float32 would make zero or infinity of."""
    if not instruction.value or not math.isfinite(instruction.value):
        return True
    limits = torch.finfo(torch.float32)
    return limits.tiny <= abs(instruction.value) <= limits.max


def _stored(value: Tensor, dtype: torch.dtype, saturate: bool) -> Tensor:
    if saturate:
        largest = torch.finfo(dtype).max
        value = value.clamp(-largest, largest)
    return _converted(value, dtype)


def _converted(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    # A conversion that is none gives the tensor itself: torch 2.11, which makes every tensor inside a Function a result
    # of it, would then have one result twice, and lose its gradient without a word.
    return tensor if tensor.dtype == dtype else tensor.to(dtype)

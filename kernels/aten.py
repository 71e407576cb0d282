"""The reference backend: composed torch operations, evaluated in float64 and rounded once.

Every tensor is computed on in slabs, so that the intermediate results of a long expression take a few megabytes and
not a multiple of the tensor's size.
"""

from __future__ import annotations

import itertools
import linecache
import math
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from actc import pipeline
from actc.derivatives import derivative
from actc.expr import Expr
from actc.parsing import parse
from actc.program import Program

from .cache import Cache
from .key import Key
from .layout import empty_result, result_shape, slabs
from .rounding import store_

# Measured with x*sigmoid(x) in bfloat16 on one x86-64 core: 2**16 to 2**17 elements (1 MB of float64) are fastest.
_SLAB = {"cpu": 2**17}
# On an accelerator a launch costs as much as thousands of elements.
_SLAB_ELSEWHERE = 2**22
#: Kinds of devices that have no float64.
WITHOUT_FLOAT64 = {"mps"}

TensorFunction = Callable[..., Sequence[Tensor | float]]

_numbers = itertools.count()
#: Names of sources whose functions are gone. They leave linecache when the next one comes: the collector may run while
#: linecache walks over its names, as every debugger and doctest makes it do, and there a missing one is a KeyError.
_gone: deque[str] = deque()


def tensor_function(program: Program, arguments: Sequence[str]) -> TensorFunction:
    """A Python function of tensors named `arguments` that returns the outputs of `program` in a sequence.

    It computes in the type of the tensors it is given and broadcasts them. An output without arguments may come back as
    a Python number. The generated source stands in `linecache` as long as the function lives, so that tracebacks,
    debuggers and torch.compile see it.
    """
    source = program.aten_source("program")
    while _gone:
        linecache.cache.pop(_gone.popleft(), None)
    filename = f"<actc.kernels.aten {next(_numbers)}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    namespace: dict[str, Any] = {"torch": torch, "math": math}
    exec(compile(source, filename, "exec"), namespace)
    function: TensorFunction = namespace["program"]
    weakref.finalize(function, _gone.append, filename)
    used = [arguments.index(name) for name in program.inputs]
    if used == list(range(len(arguments))):
        return function
    return lambda *tensors: function(*(tensors[i] for i in used))


def expression_of(key: Key) -> Expr:
    """The function or derivative that `key` names."""
    return pipeline.partial(parse(key.expression), key.names, key.order)


def saturates(expression: Expr) -> bool:
    """Whether results beyond the storage type's range are to be stored as its largest finite number."""
    return expression.kind == "apply" and expression.name == "saturate"


class AtenKernel:
    """One activation (or one derivative of it) as functions of tensors of any shape, strides and device.

    `inputs` are float64, float32, bfloat16 or float16 tensors that broadcast against each other, `params` tensors of
    any of these types that broadcast to the result's shape. Parameter gradients are summed in float64, in an order
    that depends only on shapes and strides, and rounded once.
    """

    def __init__(self, key: Key) -> None:
        self._names = key.names
        self._expression = expression_of(key)
        self._saturate = saturates(self._expression)
        self._function = tensor_function(pipeline.program([self._expression]), self._names)
        self._gradients = Cache(self._gradient_function, size=64)

    def _gradient_function(self, needed: tuple[int, ...]) -> tuple[TensorFunction, list[bool]]:
        roots = [derivative(self._expression, self._names[i]) for i in needed]
        return tensor_function(pipeline.program(roots), self._names), [saturates(root) for root in roots]

    def forward(self, inputs: Sequence[Tensor], params: Sequence[Tensor]) -> Tensor:
        """The value: shape, type and memory format as `layout.empty_result` says."""
        out = empty_result(inputs)
        elements = out.numel()
        if elements == 0:
            return out
        compute, limit = _settings(out.device)
        operands = [*inputs, *params]
        if elements <= limit:
            (value,) = self._function(*(each.to(compute) for each in operands))
            store_(out, _as_tensor(value, out, compute), self._saturate)
            return out
        for views in slabs([out, *_expanded(operands, out.shape, compute, limit)], limit):
            (value,) = self._function(*(each.to(compute) for each in views[1:]))
            store_(views[0], _as_tensor(value, out, compute), self._saturate)
        return out

    def backward(
        self, grad: Tensor, inputs: Sequence[Tensor], params: Sequence[Tensor], needed: Sequence[int]
    ) -> list[Tensor]:
        """`grad` (of the result's shape) times the derivative by each needed argument, summed to that one's shape.

        `needed` are positions among inputs and params together; each gradient has its argument's shape and type.
        """
        operands = [*inputs, *params]
        shape = result_shape(inputs)
        results = [torch.empty_like(operands[i]) for i in needed]
        elements = grad.numel()
        if elements == 0:
            return [each.zero_() for each in results]
        compute, limit = _settings(grad.device)
        function, saturate = self._gradients[tuple(needed)]
        if elements <= limit:
            values = function(*(each.to(compute) for each in operands))
            scale = grad.to(compute)
            for result, value, limited in zip(results, values, saturate, strict=True):
                product = scale * value
                store_(result, product if product.shape == result.shape else product.sum_to_size(result.shape), limited)
            return results
        sums = [
            each if each.shape == shape else torch.zeros(each.shape, dtype=compute, device=grad.device)
            for each in results
        ]
        reference = next((each for each in inputs if each.shape == shape), grad)
        tensors = [reference, grad, *_expanded(operands, shape, compute, limit), *(each.expand(shape) for each in sums)]
        for _, scale, *views in slabs(tensors, limit):
            values = function(*(each.to(compute) for each in views[: len(operands)]))
            scale = scale.to(compute)
            for total, view, value, limited in zip(sums, views[len(operands) :], values, saturate, strict=True):
                if total.shape == shape:
                    store_(view, scale * value, limited)
                else:
                    _accumulate_(view, scale * value)
        for result, total, limited in zip(results, sums, saturate, strict=True):
            if total is not result:
                store_(result, total, limited)
        return results


def _settings(device: torch.device) -> tuple[torch.dtype, int]:
    """The type to compute in, and how many elements at a time."""
    kind = device.type
    return torch.float32 if kind in WITHOUT_FLOAT64 else torch.float64, _SLAB.get(kind, _SLAB_ELSEWHERE)


def _as_tensor(value: Tensor | float, like: Tensor, compute: torch.dtype) -> Tensor:
    """A root may be a number (no arguments) or a comparison (a tensor of bool)."""
    if isinstance(value, Tensor):
        return value.to(compute)
    return torch.full((), value, dtype=compute, device=like.device)


def _expanded(operands: Sequence[Tensor], shape: torch.Size, compute: torch.dtype, limit: int) -> list[Tensor]:
    """All operands in one shape; small ones are converted here, once, and not again in every slab."""
    return [(each.to(compute) if each.numel() <= limit else each).expand(shape) for each in operands]


def _accumulate_(target: Tensor, values: Tensor) -> None:
    """Adds `values` to the expanded tensor `target`, summed over the dimensions in which `target` is expanded."""
    repeated = [d for d in range(target.dim()) if target.stride(d) == 0]
    sizes = [1 if d in repeated else size for d, size in enumerate(target.shape)]
    once = target.as_strided(sizes, target.stride(), target.storage_offset())
    once += values.sum(repeated, keepdim=True) if repeated else values

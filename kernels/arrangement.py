"""How the tensors of one call lie in memory, and what backends that walk over memory make of it."""

from __future__ import annotations

import functools
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from actc.derivatives import derivative
from actc.expr import Expr

from .aten import AtenKernel, expression_of, saturates
from .cache import Cache
from .key import Key
from .layout import empty_result
from .placement import CHANNEL, ELEMENT, Place, Unfit, place
from .rounding import store_
from .straight_line import Operand, Specification

#: Type, shape, strides and device of a tensor, and whether it starts at a multiple of 16 bytes.
Description = tuple[torch.dtype, torch.Size, tuple[int, ...], torch.device, bool]
Descriptions = tuple[Description, ...]


def described(tensors: Sequence[Tensor]) -> Descriptions:
    """What plans are made for."""
    return tuple([(t.dtype, t.shape, t.stride(), t.device, t.data_ptr() % 16 == 0) for t in tensors])


class Arrangement:
    """Where the operands of a call lie against its result, which is dense; the first ``count`` operands are inputs.

    Raises `Unfit` for operands that are broadcast in more than one way.
    """

    def __init__(self, operands: Descriptions, grad: Description | None, count: int) -> None:
        like = empty_result([_meta(each) for each in operands[:count]])
        self.device = operands[0][3]
        self.shape, self.strides, self.dtype = like.shape, like.stride(), like.dtype
        self.elements = like.numel()
        self.places = [place(_meta(each), like) for each in operands]
        self.grad_place = None if grad is None else place(_meta(grad), like)
        geometries = {(each.channels, each.inner) for each in self.places if each.kind == CHANNEL}
        if len(geometries) > 1:
            raise Unfit("its operands are broadcast along different dimensions")
        #: In memory order the result is [outer, channels, inner].
        self.channels, self.inner = geometries.pop() if geometries else (1, 1)

    def empty(self, dtype: torch.dtype) -> Tensor:
        """Memory that lies as the result does."""
        return torch.empty_strided(self.shape, self.strides, dtype=dtype, device=self.device)

    def prepared(self, operand: Tensor, lies: Place) -> Tensor:
        """The operand in memory that can be walked over."""
        if operand.device != self.device:
            # A number in a tensor on the CPU; to copy it could not be captured in a graph.
            return torch.full((), operand.item(), dtype=operand.dtype, device=self.device)
        if lies.as_it_is:
            return operand
        if lies.kind == ELEMENT:
            return self.empty(operand.dtype).copy_(operand)
        return operand.permute(lies.order).reshape(-1).contiguous()

    def returned(self, found: Tensor, operand: Tensor) -> Tensor:
        """A gradient in the strides that the fake kernel promises."""
        if operand.stride() == self.strides and operand.device == self.device:
            return found
        result = torch.empty_like(operand)
        same = result.stride() == found.stride() and result.device == found.device
        return found if same else result.copy_(found)

    def total(self, sums: Tensor, operand: Tensor, lies: Place, saturate: bool) -> Tensor:
        """The gradient by an operand, from sums [parts, its elements]."""
        total = sums.sum(0)
        if operand.dtype == total.dtype and operand.device == total.device and lies.as_it_is and not saturate:
            return total.view(operand.shape)
        result = torch.empty_like(operand)
        target = result.permute(lies.order)
        store_(target, total.view(target.shape), saturate)
        return result


class Source(Protocol):
    """What a kernel writes and reads: by position among those needed, results that it stores and that it sums; by
    position, operands that it reads."""

    @property
    def stored(self) -> tuple[int, ...]: ...
    @property
    def summed(self) -> tuple[int, ...]: ...
    @property
    def read(self) -> tuple[int, ...]: ...


class Plan(ABC):
    """What is done with tensors of certain descriptions: the value or, where ``needed`` says by which, gradients."""

    source: Source

    def __init__(
        self, key: Key, operands: Descriptions, grad: Description | None, needed: tuple[int, ...] | None
    ) -> None:
        self.lies = Arrangement(operands, grad, len(key.variables))
        self.needed = needed
        expression = expression_of(key)
        self._saturate = [] if needed is None else [_slope_saturates(expression, key.names[i]) for i in needed]
        named = zip(key.names, operands, self.lies.places, strict=True)
        types = tuple(Operand(name, _name(each[0]), lies.kind) for name, each, lies in named)
        self.prepare(Specification(expression, types, _name(self.lies.dtype), needed, self.lies.inner > 1))

    @abstractmethod
    def prepare(self, specification: Specification) -> None:
        """Makes the kernel, with its ``source``."""

    @abstractmethod
    def sums(self, position: int) -> Tensor:
        """Memory for partial sums of the gradient by an operand, [parts, its elements]."""

    @abstractmethod
    def launch(self, results: list[Tensor], grad: list[Tensor], operands: list[Tensor]) -> None:
        """Runs the kernel on results, sums among them, and on prepared tensors."""

    def run(self, grad: Tensor | None, operands: Sequence[Tensor]) -> list[Tensor]:
        """The value in a list, or the gradient by each operand that is needed."""
        lies, source = self.lies, self.source
        if grad is None or self.needed is None or lies.grad_place is None:
            out = lies.empty(lies.dtype)
            if lies.elements:
                self.launch([out], [], self._read(operands))
            return [out]
        needed = [operands[i] for i in self.needed]
        if not lies.elements:
            return [torch.zeros_like(each) for each in needed]
        stored = [lies.empty(needed[k].dtype) for k in source.stored]
        sums = [self.sums(self.needed[k]) for k in source.summed]
        self.launch([*stored, *sums], [lies.prepared(grad, lies.grad_place)], self._read(operands))
        results: list[Tensor] = [grad] * len(needed)
        for k, found in zip(source.stored, stored, strict=True):
            results[k] = lies.returned(found, needed[k])
        for k, found in zip(source.summed, sums, strict=True):
            results[k] = lies.total(found, needed[k], lies.places[self.needed[k]], self._saturate[k])
        return results

    def _read(self, operands: Sequence[Tensor]) -> list[Tensor]:
        return [self.lies.prepared(operands[i], self.lies.places[i]) for i in self.source.read]


class PlannedKernel:
    """One activation (or one derivative of it) by plans; see `AtenKernel` for shapes and types.

    What plans do not cover (operands that are broadcast in more than one way) is left to composed torch operations,
    with a warning.
    """

    plan: type[Plan]

    def __init__(self, key: Key) -> None:
        self._key = key
        self._forward_plans: Cache[Descriptions, Plan | str] = Cache(self._forward_plan, size=256)
        self._backward_plans: Cache[tuple[Descriptions, tuple[int, ...]], Plan | str] = Cache(
            self._backward_plan, size=256
        )

    def forward(self, inputs: Sequence[Tensor], params: Sequence[Tensor]) -> Tensor:
        operands = [*inputs, *params]
        plan = self._forward_plans[described(operands)]
        if isinstance(plan, str):
            return self._composed.forward(inputs, params)
        return plan.run(None, operands)[0]

    def backward(
        self, grad: Tensor, inputs: Sequence[Tensor], params: Sequence[Tensor], needed: Sequence[int]
    ) -> list[Tensor]:
        operands = [*inputs, *params]
        plan = self._backward_plans[described([grad, *operands]), tuple(needed)]
        if isinstance(plan, str):
            return self._composed.backward(grad, inputs, params, needed)
        return plan.run(grad, operands)

    @functools.cached_property
    def _composed(self) -> AtenKernel:
        return AtenKernel(self._key)

    def _forward_plan(self, operands: Descriptions) -> Plan | str:
        return self._planned(operands, None, None)

    def _backward_plan(self, asked: tuple[Descriptions, tuple[int, ...]]) -> Plan | str:
        (grad, *operands), needed = asked
        return self._planned(tuple(operands), grad, needed)

    def _planned(
        self, operands: Descriptions, grad: Description | None, needed: tuple[int, ...] | None
    ) -> Plan | str:
        try:
            return self.plan(self._key, operands, grad, needed)
        except Unfit as reason:
            warnings.warn(f"{self._key.expression} runs as composed torch operations: {reason}", stacklevel=2)
            return str(reason)


@functools.lru_cache(maxsize=1024)
def _slope_saturates(expression: Expr, name: str) -> bool:
    return saturates(derivative(expression, name))


def _meta(described: Description) -> Tensor:
    dtype, shape, strides, _, _ = described
    return torch.empty_strided(shape, strides, dtype=dtype, device="meta")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")

"""The Triton backend: one kernel for the value, one for all gradients, at the speed of memory.

What is to be done for tensors of given types, shapes and strides is worked out once, as a `_Plan`; a call looks it up
and launches a compiled kernel. Configurations are fixed, nothing is timed and nothing waits for the device, so that
calls can be captured in CUDA graphs and two runs give the same bits.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from actc.derivatives import derivative
from actc.files import write_atomically

from .aten import AtenKernel, expression_of, saturates
from .cache import Cache
from .errors import BackendError
from .key import Key
from .layout import empty_result
from .placement import CHANNEL, ELEMENT, Place, Unfit, place
from .rounding import store_
from .straight_line import Operand, Specification
from .triton_source import kernel_source, module_source

#: Elements of a program: 8 a thread at 4 warps, the fewest for accesses of 16 bytes to 16-bit tensors.
BLOCK, WARPS = 1024, 4
#: Programs that sum gradients: enough to fill the largest GPUs, few enough for the second step to cost nothing.
PROGRAMS = 1024
#: Most columns of a tile where gradients are summed along rows.
COLUMNS = 64

#: Type, shape, strides and device of a tensor, and whether it starts at a multiple of 16 bytes.
_Description = tuple[torch.dtype, torch.Size, tuple[int, ...], torch.device, bool]
_Descriptions = tuple[_Description, ...]


class TritonKernel:
    """One activation (or one derivative of it) by generated Triton kernels; see `AtenKernel` for shapes and types.

    Functions of float64 tensors, or with constants beyond float32's range, are computed in float64, all others in
    float32; those of 16-bit tensors by functions as accurate as their type. What kernels do not cover (operands that
    are broadcast in more than one way) is left to composed torch operations, with a warning. Raises `BackendError`
    where Triton cannot run.
    """

    def __init__(self, key: Key) -> None:
        require_triton()
        self._key = key
        self._forward_plans: Cache[_Descriptions, _Plan | str] = Cache(self._forward_plan, size=256)
        self._backward_plans: Cache[tuple[_Descriptions, tuple[int, ...]], _Plan | str] = Cache(
            self._backward_plan, size=256
        )

    def forward(self, inputs: Sequence[Tensor], params: Sequence[Tensor]) -> Tensor:
        operands = [*inputs, *params]
        plan = self._forward_plans[_described(operands)]
        if isinstance(plan, str):
            return self._composed.forward(inputs, params)
        return plan.run(None, operands)[0]

    def backward(
        self, grad: Tensor, inputs: Sequence[Tensor], params: Sequence[Tensor], needed: Sequence[int]
    ) -> list[Tensor]:
        operands = [*inputs, *params]
        plan = self._backward_plans[_described([grad, *operands]), tuple(needed)]
        if isinstance(plan, str):
            return self._composed.backward(grad, inputs, params, needed)
        return plan.run(grad, operands)

    @functools.cached_property
    def _composed(self) -> AtenKernel:
        return AtenKernel(self._key)

    def _forward_plan(self, operands: _Descriptions) -> _Plan | str:
        return self._plan(operands, None, None)

    def _backward_plan(self, asked: tuple[_Descriptions, tuple[int, ...]]) -> _Plan | str:
        (grad, *operands), needed = asked
        return self._plan(tuple(operands), grad, needed)

    def _plan(
        self, operands: _Descriptions, grad: _Description | None, needed: tuple[int, ...] | None
    ) -> _Plan | str:
        try:
            return _Plan(self._key, operands, grad, needed)
        except Unfit as reason:
            warnings.warn(f"{self._key.expression} runs as composed torch operations: {reason}", stacklevel=2)
            return str(reason)


class _Plan:
    """What `forward` or `backward` does with tensors of these descriptions: `grad` and `needed` are None for the
    value."""

    def __init__(
        self, key: Key, operands: _Descriptions, grad: _Description | None, needed: tuple[int, ...] | None
    ) -> None:
        like = empty_result([_meta(each) for each in operands[: len(key.variables)]])
        self._device = operands[0][3]
        require_device(self._device)
        self._shape, self._strides, self._dtype = like.shape, like.stride(), like.dtype
        self._elements = like.numel()
        self._places = [place(_meta(each), like) for each in operands]
        self._grad_place = None if grad is None else place(_meta(grad), like)
        geometries = {(each.channels, each.inner) for each in self._places if each.kind == CHANNEL}
        if len(geometries) > 1:
            raise Unfit("its operands are broadcast along different dimensions")
        self._channels, self._inner = geometries.pop() if geometries else (1, 1)
        self._needed = needed
        expression = expression_of(key)
        described = tuple(
            Operand(name, _name(each[0]), lies.kind)
            for name, each, lies in zip(key.names, operands, self._places, strict=True)
        )
        specification = Specification(expression, described, _name(self._dtype), needed, self._inner > 1)
        self._source, self._function = _kernel(specification)
        self._compute = getattr(torch, self._source.compute)
        self._saturate = [] if needed is None else [saturates(derivative(expression, key.names[i])) for i in needed]
        self._configure()
        self._start: Any = self._first_start

    def _configure(self) -> None:
        """The grid, the arguments after the pointers, and how many partial sums there are."""
        elements, channels, inner = self._elements, self._channels, self._inner
        form, self._parts, rows = self._source.form, 1, 1
        blocks = math.ceil(elements / BLOCK)
        if form == "flat":
            programs, constants = blocks, [elements, BLOCK]
        elif form == "numbers":
            programs = min(blocks, PROGRAMS)
            constants = [elements, BLOCK, PROGRAMS]
        else:
            columns = min(_power_of_two(inner), BLOCK) if form == "rows" else min(_power_of_two(channels), COLUMNS)
            rows = BLOCK // columns
            outer = elements // max(channels * inner, 1)
            across = channels if form == "rows" else math.ceil(channels / columns)
            tiles = math.ceil(outer / rows) * (math.ceil(inner / columns) if form == "rows" else 1)
            # A constant of the kernel: it must not change with the size of a batch, or each would be compiled anew.
            most = max(1, PROGRAMS // max(across, 1))
            self._parts = min(tiles, most)
            programs, constants = across * self._parts, [outer, rows, columns, most]
        # Within a tile, offsets are of 32 bits.
        if rows * channels * inner + BLOCK >= 2**31:
            raise Unfit("a row of its operands is too long")
        if self._source.channels:
            constants += [channels, inner]
        self._grid, self._constants = (programs, 1, 1), constants

    def run(self, grad: Tensor | None, operands: Sequence[Tensor]) -> list[Tensor]:
        """The value in a list, or the gradient by each operand that is needed."""
        if grad is None or self._needed is None or self._grad_place is None:
            out = torch.empty_strided(self._shape, self._strides, dtype=self._dtype, device=self._device)
            if self._elements:
                self._launch([out], [], operands)
            return [out]
        needed = [operands[i] for i in self._needed]
        if not self._elements:
            return [torch.zeros_like(each) for each in needed]
        stored = [self._empty(needed[k].dtype) for k in self._source.stored]
        sums = [self._sums(self._needed[k]) for k in self._source.summed]
        self._launch([*stored, *sums], [self._prepared(grad, self._grad_place)], operands)
        results: list[Tensor] = [grad] * len(needed)
        for k, found in zip(self._source.stored, stored, strict=True):
            results[k] = self._returned(found, needed[k])
        for k, found in zip(self._source.summed, sums, strict=True):
            results[k] = self._total(found, needed[k], self._places[self._needed[k]], self._saturate[k])
        return results

    def _launch(self, results: list[Tensor], grad: list[Tensor], operands: Sequence[Tensor]) -> None:
        read = [self._prepared(operands[i], self._places[i]) for i in self._source.read]
        arguments = (*results, *grad, *read, *self._constants)
        if self._device.type == "cuda" and self._device.index != torch.cuda.current_device():
            with torch.cuda.device(self._device):
                self._start(*arguments)
        else:
            self._start(*arguments)

    def _first_start(self, *arguments: Any) -> None:
        compiled = self._function[self._grid](*arguments, num_warps=WARPS, enable_fp_fusion=True)
        # To find the compiled kernel takes Triton another 5 µs. The interpreter has none.
        if compiled is not None:
            self._start = compiled[self._grid]

    def _empty(self, dtype: torch.dtype) -> Tensor:
        return torch.empty_strided(self._shape, self._strides, dtype=dtype, device=self._device)

    def _prepared(self, operand: Tensor, lies: Place) -> Tensor:
        if operand.device != self._device:
            # A number in a tensor on the CPU; to copy it could not be captured in a graph.
            return torch.full((), operand.item(), dtype=operand.dtype, device=self._device)
        if lies.as_it_is:
            return operand
        if lies.kind == ELEMENT:
            return self._empty(operand.dtype).copy_(operand)
        return operand.permute(lies.order).reshape(-1).contiguous()

    def _returned(self, found: Tensor, operand: Tensor) -> Tensor:
        """In the strides that the fake kernel promises."""
        if operand.stride() == self._strides and operand.device == self._device:
            return found
        result = torch.empty_like(operand)
        same = result.stride() == found.stride() and result.device == found.device
        return found if same else result.copy_(found)

    def _sums(self, position: int) -> Tensor:
        along = self._places[position].kind == CHANNEL
        shape = (self._parts, self._channels) if along else (self._grid[0],)
        return torch.empty(shape, dtype=self._compute, device=self._device)

    def _total(self, sums: Tensor, operand: Tensor, lies: Place, saturate: bool) -> Tensor:
        total = sums.sum(0)
        if operand.dtype == total.dtype and operand.device == total.device and lies.as_it_is and not saturate:
            return total.view(operand.shape)
        result = torch.empty_like(operand)
        target = result.permute(lies.order)
        store_(target, total.view(target.shape), saturate)
        return result


def require_triton() -> None:
    """Raises `BackendError` if Triton is not there."""
    if importlib.util.find_spec("triton") is None:
        raise BackendError(
            'backend="triton" needs the package triton, which is not installed: pip install triton (there are builds '
            'for Linux), or leave backend="auto"'
        )


def require_device(device: torch.device) -> None:
    """Raises `BackendError` if Triton cannot run there."""
    import triton

    if device.type not in ("cuda", "xpu") and not (device.type == "cpu" and triton.knobs.runtime.interpret):
        raise BackendError(
            f'backend="triton" runs on GPUs, and the input is on {device}: move it, for example with .to("cuda"), or '
            'leave backend="auto"; for debugging, TRITON_INTERPRET=1 in the environment runs kernels on the CPU'
        )


def load(source: str) -> ModuleType:
    """The module with this source, from a file beside Triton's own cache: Triton, debuggers and profilers read it."""
    import triton

    folder = Path(triton.knobs.cache.dir, "actc")
    folder.mkdir(parents=True, exist_ok=True)
    name = f"actc_{hashlib.sha256(source.encode()).hexdigest()[:24]}"
    path = folder / f"{name}.py"
    if not path.exists() or path.read_text(encoding="utf-8") != source:
        write_atomically(path, source)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.lru_cache(maxsize=4096)
def _kernel(specification: Specification) -> tuple[Any, Any]:
    """The source of a kernel, and the function that Triton compiles."""
    from . import device

    name = "value" if specification.needed is None else "gradients"
    source = kernel_source(specification, name, device)
    return source, getattr(load(module_source([source.text])), name)


def _described(tensors: Sequence[Tensor]) -> _Descriptions:
    return tuple([(t.dtype, t.shape, t.stride(), t.device, t.data_ptr() % 16 == 0) for t in tensors])


def _meta(described: _Description) -> Tensor:
    dtype, shape, strides, _, _ = described
    return torch.empty_strided(shape, strides, dtype=dtype, device="meta")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _power_of_two(number: int) -> int:
    """The smallest one that is at least `number`."""
    return 1 << max(number - 1, 0).bit_length()

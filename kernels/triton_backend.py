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
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from actc.files import write_atomically

from .arrangement import Plan, PlannedKernel
from .errors import BackendError
from .key import Key
from .placement import CHANNEL, Unfit
from .straight_line import Specification
from .triton_source import KernelSource, kernel_source, module_source

#: Elements of a program: 8 a thread at 4 warps, the fewest for accesses of 16 bytes to 16-bit tensors.
BLOCK, WARPS = 1024, 4
#: Programs that sum gradients: enough to fill the largest GPUs, few enough for the second step to cost nothing.
PROGRAMS = 1024
#: Most columns of a tile where gradients are summed along rows, if there are rows enough to fill it.
COLUMNS = 64


class _Plan(Plan):
    source: KernelSource

    def prepare(self, specification: Specification) -> None:
        require_device(self.lies.device)
        self.source, self._function = _kernel(specification)
        self._configure()
        self._start: Any = self._first_start

    def _configure(self) -> None:
        """The grid, the arguments after the pointers, and how many partial sums there are."""
        elements, channels, inner = self.lies.elements, self.lies.channels, self.lies.inner
        form, self._parts = self.source.form, 1
        blocks = math.ceil(elements / BLOCK)
        if form == "flat":
            programs, constants = blocks, [elements, BLOCK]
        elif form == "numbers":
            programs = min(blocks, PROGRAMS)
            constants = [elements, BLOCK, PROGRAMS]
        else:
            outer = elements // max(channels * inner, 1)
            rows, columns = _tile(form, outer, channels, inner)
            across = channels if form == "rows" else math.ceil(channels / columns)
            tiles = math.ceil(outer / rows) * (math.ceil(inner / columns) if form == "rows" else 1)
            # A constant of the kernel: it must not change with the size of a batch, or each would be compiled anew.
            most = max(1, PROGRAMS // max(across, 1))
            self._parts = min(tiles, most)
            programs, constants = across * self._parts, [outer, rows, columns, most]
        # The channel that a program begins at is of 32 bits.
        if form == "columns" and channels + BLOCK >= 2**31:
            raise Unfit("a row of its operands is too long")
        if self.source.channels:
            constants += [channels, inner]
        self._grid, self._constants = (programs, 1, 1), constants

    def launch(self, results: list[Tensor], grad: list[Tensor], operands: list[Tensor]) -> None:
        arguments = (*results, *grad, *operands, *self._constants)
        device = self.lies.device
        if device.type == "cuda" and device.index != torch.cuda.current_device():
            with torch.cuda.device(device):
                self._start(*arguments)
        else:
            self._start(*arguments)

    def _first_start(self, *arguments: Any) -> None:
        compiled = self._function[self._grid](*arguments, num_warps=WARPS, enable_fp_fusion=False)
        # To find the compiled kernel takes Triton another 5 µs. The interpreter has none.
        if compiled is not None:
            self._start = compiled[self._grid]

    def sums(self, position: int) -> Tensor:
        along = self.lies.places[position].kind == CHANNEL
        shape = (self._parts, self.lies.channels) if along else (self._grid[0],)
        return torch.empty(shape, dtype=getattr(torch, self.source.compute), device=self.lies.device)


class TritonKernel(PlannedKernel):
    """One activation (or one derivative of it) by generated Triton kernels; see `AtenKernel` for shapes and types.

    Functions of float64 tensors, or with constants beyond float32's range, are computed in float64, all others in
    float32; those of 16-bit tensors by functions as accurate as their type. Raises `BackendError` where Triton cannot
    run.
    """

    plan = _Plan

    def __init__(self, key: Key) -> None:
        require_triton()
        super().__init__(key)


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
    if not path.exists() or path.read_bytes() != source.encode():
        write_atomically(path, source)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.lru_cache(maxsize=4096)
def _kernel(specification: Specification) -> tuple[KernelSource, Any]:
    """The source of a kernel, and the function that Triton compiles."""
    from . import device

    name = "value" if specification.needed is None else "gradients"
    source = kernel_source(specification, name, device)
    return source, getattr(load(module_source([source.text])), name)


def _tile(form: str, outer: int, channels: int, inner: int) -> tuple[int, int]:
    """Rows and columns of a program's tile: no more rows than there are, lest the rest be idle."""
    if form == "rows":
        columns = min(_power_of_two(inner), BLOCK)
        return min(_power_of_two(outer), BLOCK // columns), columns
    rows = min(_power_of_two(outer), BLOCK // min(_power_of_two(channels), COLUMNS))
    return rows, min(_power_of_two(channels), BLOCK // rows)


def _power_of_two(number: int) -> int:
    """The smallest one that is at least `number`."""
    return 1 << max(number - 1, 0).bit_length()

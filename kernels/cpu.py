"""The CPU backend: machine code for the value and for all gradients, made in milliseconds by LLVM.

What is to be done for tensors of given types, shapes and strides is worked out once; a call walks over memory in as
many threads as torch uses. Sums are made of parts that depend on shapes alone, so two runs give the same bits.
"""

from __future__ import annotations

import ctypes
import functools
import math
from typing import Any

import torch
from torch import Tensor

from . import threads
from .arrangement import Plan, PlannedKernel
from .cpu_source import CpuSource, cpu_source
from .errors import BackendError
from .placement import CHANNEL
from .straight_line import Specification

#: Elements from which on a further thread saves more time than it takes to wake it.
SHARE = 2**15
#: Elements of a partial sum, at least, and the number of parts at most.
PART, PARTS = 2**15, 64


class _Plan(Plan):
    source: CpuSource

    def prepare(self, specification: Specification) -> None:
        lies = self.lies
        require_cpu(lies.device)
        self.source, self._function, _ = _kernel(specification)
        along = any(each.kind == CHANNEL for each in lies.places)
        #: Rows, elements of one, and rows after which the channels begin again.
        self._rows, self._run, self._channels = 1, lies.elements, 1
        if along and lies.elements:
            self._run, self._channels = (lies.inner, lies.channels) if lies.inner > 1 else (lies.channels, 1)
            self._rows = lies.elements // self._run
        needed, places = self.needed or (), lies.places
        widest = max((places[needed[k]].channels for k in self.source.summed), default=1) or 1
        parts = math.ceil(lies.elements / PART)
        # Sums take no more memory than the tensor does.
        self._parts = max(1, min(parts, PARTS, lies.elements // (8 * widest)))

    def sums(self, position: int) -> Tensor:
        return torch.zeros(self._parts, self.lies.places[position].channels, dtype=torch.float64)

    def launch(self, results: list[Tensor], grad: list[Tensor], operands: list[Tensor]) -> None:
        stored = len(self.source.stored)
        walked = [*results[:stored], *grad]
        tensors = [*walked, *operands]
        sums = results[stored:]
        pieces = self._parts if sums else min(threads.count(), max(1, self.lies.elements // SHARE))
        calls = []
        for part in range(pieces):
            at = [each.data_ptr() for each in tensors]
            if self._rows == 1:
                # Whole cache lines to each thread.
                first, last = (min(self._run, -(-self._run * k // pieces) + 63 & ~63) for k in (part, part + 1))
                run, rows = last - first, (0, 1)
                for k, each in enumerate(tensors):
                    if each.numel() != 1 or k < len(walked):
                        at[k] += first * each.element_size()
            else:
                run, rows = self._run, (self._rows * part // pieces, self._rows * (part + 1) // pieces)
            if run and rows[0] < rows[1]:
                totals = [each.data_ptr() + part * each.stride(0) * 8 for each in sums]
                calls.append((*rows, run, self._channels, *at[:stored], *totals, *at[stored:]))
        self._start(calls)

    def _start(self, calls: list[tuple[int, ...]]) -> None:
        workers = min(threads.count(), len(calls), max(1, self.lies.elements // SHARE))
        if workers == 1:
            for each in calls:
                self._function(*each)
        else:
            threads.spread(self._several, [(calls[k::workers],) for k in range(workers)])

    def _several(self, calls: list[tuple[int, ...]]) -> None:
        for each in calls:
            self._function(*each)


class CpuKernel(PlannedKernel):
    """One activation (or one derivative of it) by machine code for this processor; see `AtenKernel` for shapes and
    types.

    Functions of float64 tensors, or with constants beyond float32's range, are computed in float64, all others in
    float32. Gradients by parameters are summed in float64 and rounded once. Raises `BackendError` for tensors
    elsewhere.
    """

    plan = _Plan


def require_cpu(device: torch.device) -> None:
    """Raises `BackendError` for a device that is no CPU."""
    if device.type != "cpu":
        raise BackendError(
            f'backend="cpu" runs on CPUs, and the input is on {device}: move it with .to("cpu"), or leave '
            'backend="auto"'
        )


@functools.lru_cache(maxsize=1024)
def _kernel(specification: Specification) -> tuple[CpuSource, Any, Any]:
    """The source of a kernel, the function, and what holds its machine code."""
    from .llvm import Library, lanes

    source = cpu_source(specification, lanes())
    library = Library(source.text)
    pointers = len(source.stored) + len(source.summed) + (specification.needed is not None) + len(source.read)
    prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4, *[ctypes.c_void_p] * pointers)
    return source, prototype(library.address("kernel")), library

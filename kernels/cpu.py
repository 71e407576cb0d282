"""The CPU backend: machine code for the value and for all gradients, made in milliseconds by LLVM.

What is to be done for tensors of given types, shapes and strides is worked out once; a call walks over memory in as
many threads as torch uses. Sums are made of parts that depend on shapes alone, so two runs give the same bits.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from . import threads
from .arrangement import Plan, PlannedKernel
from .cpu_source import CpuSource, cpu_source
from .errors import BackendError
from .llvm import Library, vectors
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
        self.source, self._library = _kernel(specification)
        self._address = self._library.address("kernel")
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
        walked, sums = [*results[:stored], *grad], results[stored:]
        tensors = [*walked, *operands]
        starts = [each.data_ptr() for each in tensors]
        # Every piece of a row reads the same numbers.
        steps = [each.element_size() if k < len(walked) or each.numel() > 1 else 0 for k, each in enumerate(tensors)]
        most = min(threads.count(), max(1, self.lies.elements // SHARE))
        pieces = self._parts if sums else most
        calls = []
        for part in range(pieces):
            if self._rows == 1:
                # Whole cache lines to each thread.
                first, last = (min(self._run, (-(-self._run * k // pieces) + 63) & ~63) for k in (part, part + 1))
                rows, run = (0, 1), last - first
                at = [start + first * step for start, step in zip(starts, steps, strict=True)]
            else:
                rows, run = (self._rows * part // pieces, self._rows * (part + 1) // pieces), self._run
                at = starts
            if run and rows[0] < rows[1]:
                totals = [each.data_ptr() + part * each.stride(0) * 8 for each in sums]
                calls.append((*rows, run, self._channels, *at[:stored], *totals, *at[stored:]))
        threads.run(self._address, calls, min(most, len(calls)))


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
def _kernel(specification: Specification) -> tuple[CpuSource, Library]:
    source = cpu_source(specification, *vectors())
    return source, Library(source.text)

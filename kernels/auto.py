"""The backend "auto": the fastest one that there is for the device that the tensors are on."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from .aten import AtenKernel
from .cpu import CpuKernel
from .errors import BackendError
from .key import Key
from .triton_backend import TritonKernel, require_triton


def choice() -> tuple[str, str]:
    """The backend of this machine's fastest device, and why."""
    if not torch.cuda.is_available():
        return "aten", "auto: composed torch operations, which run on every device"
    missing = _missing()
    if missing:
        return "aten", f"auto: composed torch operations, since {missing}"
    return "triton", "auto: Triton kernels for tensors on a GPU, composed torch operations for others"


class AutoKernel:
    """`TritonKernel` for tensors on a GPU, `AtenKernel` for others, each made when it is first needed."""

    def __init__(self, key: Key) -> None:
        self._key = key

    def forward(self, inputs: Sequence[Tensor], params: Sequence[Tensor]) -> Tensor:
        return self._for(inputs[0]).forward(inputs, params)

    def backward(
        self, grad: Tensor, inputs: Sequence[Tensor], params: Sequence[Tensor], needed: Sequence[int]
    ) -> list[Tensor]:
        return self._for(grad).backward(grad, inputs, params, needed)

    def _for(self, tensor: Tensor) -> AtenKernel | CpuKernel | TritonKernel:
        if tensor.device.type == "cpu":
            return self._cpu
        return self._triton if tensor.device.type == "cuda" and not _missing() else self._aten

    @functools.cached_property
    def _cpu(self) -> CpuKernel:
        return CpuKernel(self._key)

    @functools.cached_property
    def _triton(self) -> TritonKernel:
        return TritonKernel(self._key)

    @functools.cached_property
    def _aten(self) -> AtenKernel:
        return AtenKernel(self._key)


@functools.cache
def _missing() -> str:
    """Why there is no Triton on a machine with a GPU, said once; empty if there is."""
    try:
        require_triton()
    except BackendError as error:
        warnings.warn(f"activations run as composed torch operations: {error}", stacklevel=2)
        return str(error)
    return ""

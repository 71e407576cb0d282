"""Kernels compiled for a named target, on any machine; no GPU is needed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import torch

from . import device, machine_code
from .compiled import CompiledActivation
from .placement import ELEMENT, NUMBER
from .straight_line import Operand, Specification
from .triton_backend import BLOCK, PROGRAMS, WARPS, load
from .triton_source import KernelSource, kernel_source, module_source

#: Elements a thread holds, of NVIDIA's 32 in step.
_PER_THREAD = BLOCK // (32 * WARPS)


def specification(activation: CompiledActivation, dtype: torch.dtype, backward: bool) -> Specification:
    """The value's or the gradients' kernel for tensors of one shape and type; parameters are single numbers."""
    name = str(dtype).removeprefix("torch.")
    operands = [Operand(each, name, ELEMENT) for each in activation.variables]
    operands += [Operand(each, name, NUMBER) for each in activation.parameters]
    needed = tuple(range(len(operands))) if backward else None
    return Specification(activation.lowered, tuple(operands), name, needed)


def compiled(specification: Specification, name: str, target: str) -> Any:
    """Triton's compiled kernel, called `name`, for a target such as "sm_90" or "gfx942".

    Raises ValueError for a target of another form, and Triton's errors for one that it does not know.
    """
    source, kernel = _kernel(specification, name)
    return machine_code.compiled(kernel, source.signature, _constants(source), target, warps=WARPS)


def launched(specification: Specification, name: str) -> str:
    """How to launch the kernel of `compiled`, and with what arguments, as comments of PTX."""
    source, _ = _kernel(specification, name)
    numbers = {f"{each.name}_pointer" for each in specification.operands if each.place == NUMBER}
    blocks = f"ceil(numel / {BLOCK})"
    grid = blocks if source.form == "flat" else f"min({blocks}, {PROGRAMS})"
    lines = [
        f"Launch a grid of {grid} blocks of {32 * WARPS} threads.",
        "Every pointer must be a multiple of 16 bytes, and numel, the number of elements, a multiple of 16: accesses",
        "of 16 bytes are guarded by their first element alone, so any other numel reads and writes out of bounds.",
        "Tensors are dense, all in one order.",
        "Arguments, in this order:",
        *(f"    {each}: {_described(each, kind, numbers)}" for each, kind in source.signature.items()),
        "    two more pointers, which Triton adds and this kernel does not use: 0 and 0",
    ]
    if source.form != "flat":
        lines.append("Each of the gradients by parameters is the sum of its partial sums, one from every block.")
    return "".join(f"// {line}\n" for line in lines)


def _described(argument: str, kind: str, numbers: Collection[str]) -> str:
    if kind[0] != "*":
        return f"integer of {kind[1:]} bits"
    what = "one number" if argument in numbers else "a tensor"
    if argument.endswith("_sums_pointer"):
        what = "partial sums, one from every block"
    return f"pointer to {kind[1:]}, {what}"


def reports(specifications: Iterable[Specification], target: str = "sm_90") -> list[machine_code.Report]:
    """Registers, spills, widths and instructions of each kernel for one of NVIDIA's targets."""
    binaries = [compiled(each, "kernel", target).asm["cubin"] for each in specifications]
    return machine_code.read(binaries, _PER_THREAD, target)


def _kernel(specification: Specification, name: str) -> tuple[KernelSource, Any]:
    source = kernel_source(specification, name, device)
    return source, getattr(load(module_source([source.text])), name)


def _constants(source: KernelSource) -> dict[str, int]:
    return {"BLOCK": BLOCK} if source.form == "flat" else {"BLOCK": BLOCK, "PROGRAMS": PROGRAMS}

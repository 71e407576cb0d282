"""What the compiler makes of a Triton kernel, read from the machine code; no GPU is needed.

Kernels are compiled ahead of time for a named target. For NVIDIA's, the binary is disassembled by the tools in Triton's
wheel, and the instructions are counted that a thread executes when no slow path is taken.
"""

from __future__ import annotations

import itertools
import re
import struct
import subprocess
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

#: One instruction: address, predicate, name with modifiers, operands.
_INSTRUCTION = re.compile(r"/\*([0-9a-f]{4,})\*/\s+(?:@(!?U?P\w+)\s+)?([A-Z][\w.]*)\s*([^;]*);")
_LABEL = re.compile(r"\b0x([0-9a-f]+)")
_WIDTHS = {"U8": 1, "S8": 1, "U16": 2, "S16": 2, "64": 8, "128": 16}


@dataclass(frozen=True)
class Report:
    """What one thread of a kernel does and holds."""

    registers: int
    #: Instructions that move registers to and from local memory.
    spills: int
    #: Width in bytes of each instruction that reads and writes global memory.
    load_bytes: tuple[int, ...]
    store_bytes: tuple[int, ...]
    #: All but slow paths: what is called, or follows the end of the kernel, runs for few elements, if any.
    instructions: int
    slow_instructions: int
    #: Those for the special-function unit, conversions between integers and floating point included.
    special: int
    elements_per_thread: int

    @property
    def instructions_per_element(self) -> float:
        return self.instructions / self.elements_per_thread

    @property
    def special_per_element(self) -> float:
        return self.special / self.elements_per_thread


def gpu_target(name: str) -> GPUTarget:
    """``"sm_90"`` or ``"gfx942"`` as Triton writes it. Raises ValueError for other names."""
    if match := re.fullmatch(r"sm_(\d+)", name):
        return GPUTarget("cuda", int(match[1]), 32)
    if re.fullmatch(r"gfx\w+", name):
        # AMD's datacentre chips (gfx9…) run 64 threads in step, the others 32.
        return GPUTarget("hip", name, 64 if name.startswith("gfx9") else 32)
    raise ValueError(f"unknown target {name!r}; write sm_90 (NVIDIA) or gfx942 (AMD), for example")


def compiled(
    kernel: Any,
    signature: Mapping[str, str],
    constants: Mapping[str, Any],
    target: str = "sm_90",
    *,
    divisible: Collection[str] | None = None,
    warps: int = 4,
) -> Any:
    """The kernel compiled for a target: Triton's ``CompiledKernel``, whose ``asm`` has every stage by name.

    ``kernel`` is a ``triton.jit`` function, ``signature`` its arguments' types by name (``"*bf16"``, ``"i64"``), the
    ``constants`` among them left out. The arguments named in ``divisible`` are multiples of 16, without which no access
    is 16 bytes wide; None: all pointers and integers. Nothing is rounded once but what ``tl.fma`` says.
    """
    wide = {n for n, t in signature.items() if t[0] in "*iu"} if divisible is None else set(divisible)
    names = [p.name for p in kernel.params]
    attributes = {(i,): [["tt.divisibility", 16]] for i, name in enumerate(names) if name in wide}
    types = {name: signature.get(name, "constexpr") for name in names}
    source = ASTSource(kernel, types, dict(constants), attributes)
    options = {"num_warps": warps, "enable_fp_fusion": False}
    return triton.compile(source, target=gpu_target(target), options=options)


def report(
    kernel: Any,
    signature: Mapping[str, str],
    constants: Mapping[str, Any],
    elements_per_thread: int,
    target: str = "sm_90",
    **options: Any,
) -> Report:
    """Compiles a kernel for one of NVIDIA's targets and counts; the arguments are those of :func:`compiled`."""
    binary = compiled(kernel, signature, constants, target, **options).asm["cubin"]
    return read([binary], elements_per_thread, target)[0]


def read(binaries: Sequence[bytes], elements_per_thread: int, target: str = "sm_90") -> list[Report]:
    """The reports on binaries for a target that hold one kernel each. Many at once take a fifth of the time: the
    disassembler needs 0.3 s to start."""
    found = []
    for binary, text in zip(binaries, disassembled(binaries, target), strict=True):
        code = [(int(address, 16), predicate, name.split("."), operands) for address, predicate, name, operands in
                _INSTRUCTION.findall(text)]  # fmt: skip
        body = _main_path(code)
        kinds = [name for _, _, name, _ in body]
        found.append(
            Report(
                registers=_registers(binary),
                spills=sum(name[0] in ("LDL", "STL") for _, _, name, _ in code),
                load_bytes=tuple(_width(name) for name in kinds if name[0] == "LDG"),
                store_bytes=tuple(_width(name) for name in kinds if name[0] == "STG"),
                instructions=len(body),
                slow_instructions=sum(name[0] != "NOP" for _, _, name, _ in code) - len(body),
                special=sum(name[0] in ("MUFU", "I2F", "F2I", "FRND", "FCHK") for name in kinds),
                elements_per_thread=elements_per_thread,
            )
        )
    return found


def disassembled(binaries: Sequence[bytes], target: str) -> list[str]:
    """The SASS of kernels' binaries for one of NVIDIA's targets, as nvdisasm prints it; addresses go on from one to the
    next."""
    codes = [_instructions(binary) for binary in binaries]
    generation = int(target.removeprefix("sm_"))
    name = f"SM{generation}{'a' if generation >= 90 else ''}"
    text = _tool(triton.knobs.nvidia.nvdisasm.path, b"".join(codes), "-b", name)
    lines = [line for line in text.splitlines() if _INSTRUCTION.search(line)]
    # Every instruction since Volta has 16 bytes.
    ends = list(itertools.accumulate((len(code) // 16 for code in codes), initial=0))
    assert len(lines) == ends[-1], text[:1000]
    return ["\n".join(lines[a:b]) for a, b in itertools.pairwise(ends)]


def _registers(binary: bytes) -> int:
    usage = re.search(r"\bREG:(\d+)", _tool(triton.knobs.nvidia.cuobjdump.path, binary, "-res-usage"))
    assert usage
    return int(usage[1])


def _tool(tool: str, content: bytes, *options: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernel.cubin")
        path.write_bytes(content)
        return subprocess.run([tool, *options, str(path)], capture_output=True, text=True, check=True).stdout


def _instructions(binary: bytes) -> bytes:
    """The section of the only kernel in an ELF file of 64 bits (System V ABI, chapter 4)."""
    (table,) = struct.unpack_from("<Q", binary, 0x28)
    size, count, of_names = struct.unpack_from("<HHH", binary, 0x3A)
    # Of each header: where its name is, where the section starts, its length.
    headers = [struct.unpack_from("<I20xQQ", binary, table + i * size) for i in range(count)]
    names = headers[of_names][1]
    (found,) = (h for h in headers if binary[names + h[0] :].startswith(b".text."))
    return binary[found[1] : found[1] + found[2]]


_Code = list[tuple[int, str, list[str], str]]


def _main_path(code: _Code) -> _Code:
    """Up to the kernel's end, which slow paths follow, without the blocks that call one."""
    end = next(i for i, (_, predicate, name, _) in enumerate(code) if name[0] == "EXIT" and not predicate)
    code = code[: end + 1]
    labels = {int(found[1], 16) for _, _, name, operands in code if name[0] == "BRA"
              and (found := _LABEL.search(operands))}  # fmt: skip
    blocks: list[_Code] = [[]]
    for instruction in code:
        if instruction[0] in labels:
            blocks.append([])
        blocks[-1].append(instruction)
        if instruction[2][0] == "BRA":
            blocks.append([])
    hot = (block for block in blocks if not any(name[0] == "CALL" for _, _, name, _ in block))
    return [instruction for block in hot for instruction in block if instruction[2][0] != "NOP"]


def _width(name: list[str]) -> int:
    return next((_WIDTHS[part] for part in name if part in _WIDTHS), 4)

"""Programs as Triton kernels, in source code that reads like the expression.

A kernel is flat: operands of the result's shape lie in memory as the result does. Other operands are one number, or a
vector along one dimension of the result ("channels"), which in memory order is [outer, channels, inner]. A backward
kernel recomputes what it needs from the inputs. Where it sums gradients, a fixed number of programs walk over the
result, each thread adds up what it meets, and every program stores its partial sums; a second step adds these. No
atomics, so that two runs agree to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from .placement import CHANNEL, ELEMENT, NUMBER
from .straight_line import LARGEST, SIXTEEN_BITS, Body, Specification

_SHORT = {"float64": "fp64", "float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


@dataclass(frozen=True)
class KernelSource:
    """The text of a kernel's function, and what to call it with, in this order."""

    text: str
    #: Positions of the operands that are written: of those in `needed`, or 0 for the value.
    stored: tuple[int, ...]
    #: Positions in `needed` of gradients that are summed; each gets a buffer for partial sums.
    summed: tuple[int, ...]
    #: Positions of the operands that are read.
    read: tuple[int, ...]
    #: "flat", or how partial sums are made: "numbers", "columns" or "rows".
    form: str
    #: The type that it computes in.
    compute: str
    #: Whether CHANNELS and INNER are among its arguments.
    channels: bool
    #: Its arguments' types by name as Triton writes them, constants left out.
    signature: dict[str, str]


def kernel_source(specification: Specification, name: str, device: ModuleType, prefix: str = "device.") -> KernelSource:
    """The kernel called `name`; functions of the module `device` are written with `prefix`.

    Its arguments are: pointers to what is stored (and to partial sums), to the gradient, to the operands, and then

    - flat: numel, BLOCK; and CHANNELS, INNER where an operand lies along channels
    - numbers: the same and PROGRAMS
    - columns, rows: outer (how often channels and inner repeat), ROWS, COLUMNS, CHANNELS, INNER, PROGRAMS
    """
    return _Writer(specification, name, device, prefix).kernel()


class _Writer(Body):
    def __init__(self, specification: Specification, name: str, device: ModuleType, prefix: str) -> None:
        super().__init__(specification, frozenset(vars(device)), prefix, fast=True)
        self._name = name
        self._along = any(specification.operands[i].place == CHANNEL for i in self.read)

    def kernel(self) -> KernelSource:
        constants = {
            "flat": ["BLOCK"],
            "numbers": ["BLOCK", "PROGRAMS"],
            "columns": ["ROWS", "COLUMNS", "PROGRAMS"],
            "rows": ["ROWS", "COLUMNS", "PROGRAMS"],
        }[self.form]
        channels = self._along or self.form in ("columns", "rows")
        if channels:
            constants += ["CHANNELS", "INNER"]
        signature = self._signature()
        arguments = [*signature, *(f"{each}: tl.constexpr" for each in constants)]
        lines = [*self._opening(), *self._loads(), *self._indented(self.lines), *self._stores(), *self._closing()]
        body = "".join(f"    {line}\n" if line else "\n" for line in lines)
        text = (
            f"@triton.jit\ndef {self._name}(\n    {_wrapped(arguments)},\n):\n"
            f'    """{self._description()}"""\n{body}'
        )
        stored, summed, read = tuple(self.stored), tuple(self.summed), tuple(self.read)
        return KernelSource(text, stored, summed, read, self.form, self.compute, channels, signature)

    def _signature(self) -> dict[str, str]:
        operands = self.spec.operands
        types = {f"{self._result(k)}_pointer": self._stored_type(k) for k in self.stored}
        types |= {f"{self._result(k)}_sums_pointer": self.compute for k in self.summed}
        types |= {} if self.spec.needed is None else {"grad_pointer": self.spec.dtype}
        types |= {f"{self.names[i]}_pointer": operands[i].dtype for i in self.read}
        count = "numel" if self.form in ("flat", "numbers") else "outer"
        return {**{name: f"*{_SHORT[dtype]}" for name, dtype in types.items()}, count: "i32"}

    def _stored_type(self, k: int) -> str:
        return self.spec.dtype if self.spec.needed is None else self.spec.operands[self.spec.needed[k]].dtype

    def _description(self) -> str:
        text = str(self.spec.expression).replace("\\", "\\\\").replace('"""', "'''")
        if self.spec.needed is None:
            return text
        return f"grad times the derivatives of {text}"

    def _result(self, k: int) -> str:
        return "out" if self.spec.needed is None else f"grad_{self.names[self.spec.needed[k]]}"

    def _type(self, text: str) -> str:
        return f"{text}.to(tl.{self.compute})"

    def _element(self, pointer: str, dtype: str) -> str:
        """An element at each lane, in the type that is computed in."""
        loaded = f"tl.load({pointer} + start + lanes, mask=mask)"
        if dtype == "bfloat16" and self.compute == "float32":
            return f"{self.prefix}widened({loaded})"
        return self._type(loaded)

    def _number_operands(self) -> list[str]:
        return [
            f"{self.names[i]} = {self._type(f'tl.load({self.names[i]}_pointer)')}"
            for i in self.read
            if self.spec.operands[i].place == NUMBER
        ]

    def _opening(self) -> list[str]:
        """Where the program is, up to `mask` and, within a loop, `start` and `lanes`."""
        numbers = self._number_operands()
        sums = self._accumulators()
        if self.form == "flat":
            return [
                *numbers,
                "start = tl.program_id(0).to(tl.int64) * BLOCK",
                "lanes = tl.arange(0, BLOCK)",
                "mask = start + lanes < numel",
            ]
        if self.form == "numbers":
            return [
                *numbers,
                "lanes = tl.arange(0, BLOCK)",
                *sums,
                "for block in range(tl.program_id(0), tl.cdiv(tl.cast(numel, tl.int64), BLOCK), PROGRAMS):",
                "    start = tl.cast(block, tl.int64) * BLOCK",
                "    mask = start + lanes < numel",
            ]
        channels = [self.names[i] for i in self.read if self.spec.operands[i].place == CHANNEL]
        if self.form == "columns":
            return [
                *numbers,
                "part = tl.program_id(0) // tl.cdiv(CHANNELS, COLUMNS)",
                "channel = tl.program_id(0) % tl.cdiv(CHANNELS, COLUMNS) * COLUMNS + tl.arange(0, COLUMNS)",
                "inside = channel < CHANNELS",
                *(f"{n} = {self._type(f'tl.load({n}_pointer + channel, mask=inside)')}[None, :]" for n in channels),
                f"row = {self.prefix}counted(ROWS, ROWS * CHANNELS)",
                "lanes = row[:, None] * CHANNELS + channel[None, :]",
                *sums,
                "for block in range(part, tl.cdiv(tl.cast(outer, tl.int64), ROWS), PROGRAMS):",
                "    first_row = tl.cast(block, tl.int64) * ROWS",
                "    start = first_row * CHANNELS",
                "    mask = (first_row + row < outer)[:, None] & inside[None, :]",
            ]
        return [
            *numbers,
            "part = tl.program_id(0) // CHANNELS",
            "channel = tl.program_id(0) % CHANNELS",
            *(f"{n} = {self._type(f'tl.load({n}_pointer + channel)')}" for n in channels),
            f"row = {self.prefix}counted(ROWS, ROWS * CHANNELS * INNER)",
            "column = tl.arange(0, COLUMNS)",
            "lanes = row[:, None] * (CHANNELS * INNER) + column[None, :]",
            *sums,
            "across: tl.constexpr = (INNER + COLUMNS - 1) // COLUMNS",
            "for block in range(part, tl.cdiv(tl.cast(outer, tl.int64), ROWS) * across, PROGRAMS):",
            "    first_row = tl.cast(block, tl.int64) // across * ROWS",
            f"    first_column = {self.prefix}remainder(tl.cast(block, tl.int64), across, INNER + COLUMNS) * COLUMNS",
            "    start = (first_row * CHANNELS + channel) * INNER + first_column",
            "    mask = (first_row + row < outer)[:, None] & (first_column + column < INNER)[None, :]",
        ]

    def _accumulators(self) -> list[str]:
        shape = "(BLOCK // 8,)" if self.form == "numbers" else "(ROWS, COLUMNS)"
        return [f"{self._result(k)}_sum = tl.zeros({shape}, tl.{self.compute})" for k in self.summed]

    def _indented(self, lines: list[str]) -> list[str]:
        return lines if self.form == "flat" else [f"    {line}" for line in lines]

    def _loads(self) -> list[str]:
        lines = []
        if self._along and self.form in ("flat", "numbers"):
            within = f"{self.prefix}remainder(start, CHANNELS * INNER, CHANNELS * INNER + BLOCK)"
            lines.append(f"channel = ({within} + lanes) // INNER % CHANNELS")
        if self.spec.needed is not None:
            lines.append(f"grad = {self._element('grad_pointer', self.spec.dtype)}")
        for i in self.read:
            name, place = self.names[i], self.spec.operands[i].place
            if place == ELEMENT:
                lines.append(f"{name} = {self._element(f'{name}_pointer', self.spec.operands[i].dtype)}")
            elif place == CHANNEL and self.form in ("flat", "numbers"):
                lines.append(f"{name} = {self._type(f'tl.load({name}_pointer + channel)')}")
        return self._indented(lines)

    def _stores(self) -> list[str]:
        lines = []
        for k, (value, limited) in enumerate(zip(self.values, self.saturate, strict=True)):
            result = self._result(k)
            if self.spec.needed is not None:
                value = f"grad * {value}"
            if k in self.summed:
                if self.form == "numbers":
                    lines.append(f"{result} = tl.where(mask, {value}, 0.0)")
                    lines.append(f"{result}_sum += tl.sum(tl.reshape({result}, (BLOCK // 8, 8)), axis=1)")
                else:
                    lines.append(f"{result}_sum += tl.where(mask, {value}, 0.0)")
                continue
            dtype = self._stored_type(k)
            if limited:
                lines.append(f"{result} = {value}")
                # Triton 3.9 cannot compile tl.clamp of float64 that keeps NaN.
                keeps = "propagate_nan=tl.PropagateNan.ALL"
                most = LARGEST[dtype]
                value = f"tl.minimum(tl.maximum({result}, -{most}, {keeps}), {most}, {keeps})"
            if self.compute == "float64" and dtype in SIXTEEN_BITS:
                # The interpreter does not convert float64 to bfloat16.
                value = f"({value}).to(tl.float32)"
            elif dtype == "bfloat16":
                value = f"{self.prefix}narrowed({value})"
            lines.append(f"tl.store({result}_pointer + start + lanes, {value}, mask=mask)")
        return self._indented(lines)

    def _closing(self) -> list[str]:
        lines = []
        for k in self.summed:
            operand = self.spec.operands[(self.spec.needed or ())[k]]
            result = self._result(k)
            if operand.place == NUMBER:
                lines.append(f"tl.store({result}_sums_pointer + tl.program_id(0), tl.sum({result}_sum))")
            elif self.form == "columns":
                lines.append(f"{result}_sum = tl.sum({result}_sum, axis=0)")
                lines.append(f"tl.store({result}_sums_pointer + part * CHANNELS + channel, {result}_sum, mask=inside)")
            else:
                lines.append(f"tl.store({result}_sums_pointer + tl.program_id(0), tl.sum({result}_sum))")
        return lines


def module_source(kernels: Sequence[str]) -> str:
    """A module that holds kernels."""
    return "import triton\nimport triton.language as tl\n\nfrom actc.kernels import device\n\n\n" + "\n\n".join(kernels)


def _wrapped(arguments: list[str]) -> str:
    lines, line = [], ""
    for each in arguments:
        if line and len(line) + len(each) > 100:
            lines.append(line)
            line = ""
        line += f", {each}" if line else each
    return ",\n    ".join([*lines, line])

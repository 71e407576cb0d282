"""Programs as Triton kernels, in source code that reads like the expression.

A kernel is flat: operands of the result's shape lie in memory as the result does. Other operands are one number, or a
vector along one dimension of the result ("channels"), which in memory order is [outer, channels, inner]. A backward
kernel recomputes what it needs from the inputs. Where it sums gradients, a fixed number of programs walk over the
result, each thread adds up what it meets, and every program stores its partial sums; a second step adds these. No
atomics, so that two runs agree to the last bit.
"""

from __future__ import annotations

import builtins
import functools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from actc.derivatives import derivative
from actc.expr import Expr
from actc.operators import OPERATORS
from actc.program import Instruction, Program

from . import partials
from .aten import saturates
from .composed import fits_float32
from .placement import CHANNEL, ELEMENT, NUMBER
from .ranges import ranges

_SIXTEEN_BITS = ("bfloat16", "float16")
_SHORT = {"float64": "fp64", "float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
#: Largest finite numbers by the name of the type.
_LARGEST = {
    "float64": "1.7976931348623157e308",
    "float32": "3.4028234663852886e38",
    "bfloat16": "3.3895313892515355e38",
    "float16": "65504.0",
}


@dataclass(frozen=True)
class Operand:
    """One argument of the expression: its name there, its type ("bfloat16") and how it lies (`placement`)."""

    name: str
    dtype: str
    place: str


@dataclass(frozen=True)
class Specification:
    """What a kernel computes: the expression of the operands, stored as `dtype`, or, where `needed` names operands by
    position, the gradients by these. `inner`: whether channels have further dimensions inside, in memory order."""

    expression: Expr
    operands: tuple[Operand, ...]
    dtype: str
    needed: tuple[int, ...] | None = None
    inner: bool = False


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


class _Writer:
    def __init__(self, specification: Specification, name: str, device: ModuleType, prefix: str) -> None:
        self._spec, self._name, self._device, self._prefix = specification, name, device, prefix
        operands = specification.operands
        roots = [specification.expression]
        if specification.needed is not None:
            roots = [derivative(specification.expression, operands[i].name) for i in specification.needed]
        self._fast = specification.dtype in _SIXTEEN_BITS
        self._saturate = [saturates(root) for root in roots]
        self._program = self._straight(roots)
        wide = specification.dtype == "float64" or not all(map(fits_float32, self._program.instructions))
        if wide and self._fast:
            self._fast = False
            self._program = self._straight(roots)
        self._compute = "float64" if wide else "float32"
        self._names = [_own_name(each.name, i, device) for i, each in enumerate(operands)]
        self._read = [i for i, each in enumerate(operands) if each.name in self._program.inputs]
        needed = specification.needed or ()
        self._summed = [k for k, i in enumerate(needed) if operands[i].place != ELEMENT]
        self._stored = [k for k in range(len(roots)) if k not in self._summed]
        self._form = "flat"
        if self._summed:
            along = any(operands[needed[k]].place == CHANNEL for k in self._summed)
            self._form = ("rows" if specification.inner else "columns") if along else "numbers"
        scalar = (NUMBER, CHANNEL) if self._form == "rows" else (NUMBER,)
        self._truths = _truths(self._program, {each.name for each in operands if each.place in scalar})
        self._ranges = ranges(self._program)
        self._beside_logarithm = partials.beside_logarithm(self._program)
        self._along = any(operands[i].place == CHANNEL for i in self._read)

    def _straight(self, roots: Sequence[Expr]) -> Program:
        keep = whole_rows(self._device, self._fast)
        return partials.program(roots, self._spec.expression, keep, lambda name: self._function(name) is not None)

    def _function(self, name: str) -> str | None:
        """What the module calls the function for an operator, None where it has none."""
        return next((each for each in _functions(name, self._fast) if hasattr(self._device, each)), None)

    def kernel(self) -> KernelSource:
        constants = {
            "flat": ["BLOCK"],
            "numbers": ["BLOCK", "PROGRAMS"],
            "columns": ["ROWS", "COLUMNS", "PROGRAMS"],
            "rows": ["ROWS", "COLUMNS", "PROGRAMS"],
        }[self._form]
        channels = self._along or self._form in ("columns", "rows")
        if channels:
            constants += ["CHANNELS", "INNER"]
        signature = self._signature()
        arguments = [*signature, *(f"{each}: tl.constexpr" for each in constants)]
        lines = [*self._opening(), *self._loads(), *self._instructions(), *self._stores(), *self._closing()]
        body = "".join(f"    {line}\n" if line else "\n" for line in lines)
        text = (
            f"@triton.jit\ndef {self._name}(\n    {_wrapped(arguments)},\n):\n"
            f'    """{self._description()}"""\n{body}'
        )
        stored, summed, read = tuple(self._stored), tuple(self._summed), tuple(self._read)
        return KernelSource(text, stored, summed, read, self._form, self._compute, channels, signature)

    def _signature(self) -> dict[str, str]:
        operands = self._spec.operands
        types = {f"{self._result(k)}_pointer": self._stored_type(k) for k in self._stored}
        types |= {f"{self._result(k)}_sums_pointer": self._compute for k in self._summed}
        types |= {} if self._spec.needed is None else {"grad_pointer": self._spec.dtype}
        types |= {f"{self._names[i]}_pointer": operands[i].dtype for i in self._read}
        count = "numel" if self._form in ("flat", "numbers") else "outer"
        return {**{name: f"*{_SHORT[dtype]}" for name, dtype in types.items()}, count: "i32"}

    def _stored_type(self, k: int) -> str:
        return self._spec.dtype if self._spec.needed is None else self._spec.operands[self._spec.needed[k]].dtype

    def _description(self) -> str:
        text = str(self._spec.expression).replace("\\", "\\\\").replace('"""', "'''")
        if self._spec.needed is None:
            return text
        return f"grad times the derivatives of {text}"

    def _result(self, k: int) -> str:
        return "out" if self._spec.needed is None else f"grad_{self._names[self._spec.needed[k]]}"

    def _type(self, text: str) -> str:
        return f"{text}.to(tl.{self._compute})"

    def _element(self, pointer: str, dtype: str) -> str:
        """An element at each lane, in the type that is computed in."""
        loaded = f"tl.load({pointer} + start + lanes, mask=mask)"
        if dtype == "bfloat16" and self._compute == "float32":
            return f"{self._prefix}widened({loaded})"
        return self._type(loaded)

    def _number_operands(self) -> list[str]:
        return [
            f"{self._names[i]} = {self._type(f'tl.load({self._names[i]}_pointer)')}"
            for i in self._read
            if self._spec.operands[i].place == NUMBER
        ]

    def _opening(self) -> list[str]:
        """Where the program is, up to `mask` and, within a loop, `start` and `lanes`."""
        numbers = self._number_operands()
        sums = self._accumulators()
        if self._form == "flat":
            return [
                *numbers,
                "start = tl.program_id(0).to(tl.int64) * BLOCK",
                "lanes = tl.arange(0, BLOCK)",
                "mask = start + lanes < numel",
            ]
        if self._form == "numbers":
            return [
                *numbers,
                "lanes = tl.arange(0, BLOCK)",
                *sums,
                "for block in range(tl.program_id(0), tl.cdiv(tl.cast(numel, tl.int64), BLOCK), PROGRAMS):",
                "    start = tl.cast(block, tl.int64) * BLOCK",
                "    mask = start + lanes < numel",
            ]
        channels = [self._names[i] for i in self._read if self._spec.operands[i].place == CHANNEL]
        if self._form == "columns":
            return [
                *numbers,
                "part = tl.program_id(0) // tl.cdiv(CHANNELS, COLUMNS)",
                "channel = tl.program_id(0) % tl.cdiv(CHANNELS, COLUMNS) * COLUMNS + tl.arange(0, COLUMNS)",
                "inside = channel < CHANNELS",
                *(f"{n} = {self._type(f'tl.load({n}_pointer + channel, mask=inside)')}[None, :]" for n in channels),
                "row = tl.arange(0, ROWS)",
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
            "row = tl.arange(0, ROWS)",
            "column = tl.arange(0, COLUMNS)",
            "lanes = row[:, None] * (CHANNELS * INNER) + column[None, :]",
            *sums,
            "across = tl.cdiv(INNER, COLUMNS)",
            "for block in range(part, tl.cdiv(tl.cast(outer, tl.int64), ROWS) * across, PROGRAMS):",
            "    first_row = tl.cast(block, tl.int64) // across * ROWS",
            "    first_column = tl.cast(block % across, tl.int32) * COLUMNS",
            "    start = (first_row * CHANNELS + channel) * INNER + first_column",
            "    mask = (first_row + row < outer)[:, None] & (first_column + column < INNER)[None, :]",
        ]

    def _accumulators(self) -> list[str]:
        shape = "(BLOCK // 8,)" if self._form == "numbers" else "(ROWS, COLUMNS)"
        return [f"{self._result(k)}_sum = tl.zeros({shape}, tl.{self._compute})" for k in self._summed]

    def _indented(self, lines: list[str]) -> list[str]:
        return lines if self._form == "flat" else [f"    {line}" for line in lines]

    def _loads(self) -> list[str]:
        lines = []
        if self._along and self._form in ("flat", "numbers"):
            lines.append("channel = ((start % (CHANNELS * INNER)).to(tl.int32) + lanes) // INNER % CHANNELS")
        if self._spec.needed is not None:
            lines.append(f"grad = {self._element('grad_pointer', self._spec.dtype)}")
        for i in self._read:
            name, place = self._names[i], self._spec.operands[i].place
            if place == ELEMENT:
                lines.append(f"{name} = {self._element(f'{name}_pointer', self._spec.operands[i].dtype)}")
            elif place == CHANNEL and self._form in ("flat", "numbers"):
                lines.append(f"{name} = {self._type(f'tl.load({name}_pointer + channel)')}")
        return self._indented(lines)

    def _instructions(self) -> list[str]:
        lines: list[str] = []
        code: list[str] = []
        counts: dict[str, int] = {}
        names = {each.name: own for each, own in zip(self._spec.operands, self._names, strict=True)}
        for i, instruction in enumerate(self._program.instructions):
            if instruction.op == "input":
                code.append(names[str(instruction.name)])
                continue
            if instruction.op == "constant":
                assert instruction.value is not None
                code.append(_literal(instruction.value))
                continue
            counts[instruction.op] = counts.get(instruction.op, 0) + 1
            code.append(f"{instruction.op}_{counts[instruction.op]}")
            lines.append(f"{code[i]} = {self._right_side(i, code)}")
        self._values = [code[o] for o in self._program.outputs]
        return self._indented(lines)

    def _right_side(self, i: int, code: Sequence[str]) -> str:
        program, instruction = self._program, self._program.instructions[i]
        args = [code[a] for a in instruction.args]
        number = [program.instructions[a].op == "constant" for a in instruction.args]
        if i in self._truths and instruction.op in _LOGIC:
            return f" {_LOGIC[instruction.op]} ".join(args)
        if instruction.op == "where":
            condition = args[0] if instruction.args[0] in self._truths else f"{args[0]} != 0"
            if number[1] and (number[2] or self._compute == "float64"):
                args[1] = self._typed(args[1])
            if number[2] and self._compute == "float64":
                args[2] = self._typed(args[2])
            return f"tl.where({condition}, {args[1]}, {args[2]})"
        cheap = self._by_arithmetic(instruction, args)
        if cheap is not None:
            return cheap
        function = self._function(instruction.op)
        if function is None:
            row = OPERATORS[instruction.op]
            assert row.aten is not None and "torch" not in row.aten and "{t" not in row.aten, row.name
            right = row.aten.format(*args)
            if row.compares and i not in self._truths:
                return self._type(f"({right})")
            return right
        given = [self._typed(a) if constant else a for a, constant in zip(args, number, strict=True)]
        given += self._known(i)
        return f"{self._prefix}{function}({', '.join(given)})"

    def _known(self, i: int) -> list[str]:
        """What a function may rely on, as its arguments by name."""
        instruction = self._program.instructions[i]
        ranges = [self._ranges[a] for a in instruction.args]
        if instruction.op in ("pow", "pow_by_x"):
            if ranges[0][0] >= 0 or i in self._beside_logarithm:
                return ["negative=False"]
            return ["short=True"] if ranges[1][0] >= -1 and ranges[1][1] <= 1 else []
        # The reciprocal of what is larger is below the normal range.
        most = math.inf if instruction.op == "div_by_x" else 2.0**126
        if instruction.op in ("div_by_x", "div_by_y") and ranges[1][0] >= 2.0**-126 and ranges[1][1] <= most:
            return ["near=True"]
        if instruction.op == "hypot" and ranges[1][0] >= 2.0**-40 and ranges[1][1] <= 2.0**40:
            return ["moderate=True"]
        return []

    def _by_arithmetic(self, instruction: Instruction, args: Sequence[str]) -> str | None:
        """Division as a multiplication, where that is exact or accurate enough; powers as products; and signs."""
        if not instruction.args:
            return None
        name, last = instruction.op, self._program.instructions[instruction.args[-1]].value
        if name == "neg":
            # In Triton 3.6, -x is 0 - x, and so the zero of the wrong sign.
            return f"-1.0 * {args[0]}"
        if name == "div" and last and math.isfinite(last):
            exact = abs(math.frexp(last)[0]) == 0.5 and fits_float32(Instruction("constant", value=1 / last))
            return f"{args[0]} * {_literal(1 / last)}" if exact or self._fast else None
        if name == "div" and self._compute == "float32":
            low, high = self._ranges[instruction.args[1]]
            first = self._program.instructions[instruction.args[0]].value
            # Of what is larger than that, the reciprocal is below the normal range.
            if low >= 2.0**-126 and (high <= 2.0**126 or (first is not None and abs(first) <= 1)):
                reciprocal = f"{self._prefix}reciprocal_near({args[1]})"
                return reciprocal if first == 1 else f"{args[0]} * {reciprocal}"
        products = {2.0: "{0} * {0}", 3.0: "{0} * {0} * {0}", 4.0: "({0} * {0}) * ({0} * {0})"}
        return products[last].format(args[0]) if name == "pow" and last in products else None

    def _typed(self, literal: str) -> str:
        """A constant of the type that is computed in: by itself it would be float32, or whatever holds it."""
        return f"tl.full((), {literal}, tl.{self._compute})"

    def _stores(self) -> list[str]:
        lines = []
        for k, (value, limited) in enumerate(zip(self._values, self._saturate, strict=True)):
            result = self._result(k)
            if self._spec.needed is not None:
                value = f"grad * {value}"
            if k in self._summed:
                if self._form == "numbers":
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
                most = _LARGEST[dtype]
                value = f"tl.minimum(tl.maximum({result}, -{most}, {keeps}), {most}, {keeps})"
            if self._compute == "float64" and dtype in _SIXTEEN_BITS:
                # The interpreter does not convert float64 to bfloat16.
                value = f"({value}).to(tl.float32)"
            elif dtype == "bfloat16":
                value = f"{self._prefix}narrowed({value})"
            lines.append(f"tl.store({result}_pointer + start + lanes, {value}, mask=mask)")
        return self._indented(lines)

    def _closing(self) -> list[str]:
        lines = []
        for k in self._summed:
            operand = self._spec.operands[(self._spec.needed or ())[k]]
            result = self._result(k)
            if operand.place == NUMBER:
                lines.append(f"tl.store({result}_sums_pointer + tl.program_id(0), tl.sum({result}_sum))")
            elif self._form == "columns":
                lines.append(f"{result}_sum = tl.sum({result}_sum, axis=0)")
                lines.append(f"tl.store({result}_sums_pointer + part * CHANNELS + channel, {result}_sum, mask=inside)")
            else:
                lines.append(f"tl.store({result}_sums_pointer + tl.program_id(0), tl.sum({result}_sum))")
        return lines


#: What is done to truths by arithmetic on their zeros and ones, where all that counts is whether the result is zero.
_LOGIC = {"mul": "&", "add": "|"}


def _truths(program: Program, single: set[str]) -> frozenset[int]:
    """Comparisons, and sums and products of such, that are used only as conditions, and so may stay boolean.

    `single` are the inputs that are single numbers: Triton's interpreter cannot combine their truths with others'.
    """
    instructions = program.instructions
    numbers: set[int] = set()
    truths: set[int] = set()
    for i, each in enumerate(instructions):
        if each.op == "constant" or (each.name in single if each.op == "input" else numbers.issuperset(each.args)):
            numbers.add(i)
        alike = len({a in numbers for a in each.args}) == 1
        compares = each.op in OPERATORS and OPERATORS[each.op].compares
        if compares or (each.op in _LOGIC and alike and truths.issuperset(each.args)):
            truths.add(i)
    truths.difference_update(program.outputs)
    count = -1
    while count != len(truths):
        count = len(truths)
        for i, each in enumerate(instructions):
            if i in truths and each.op in _LOGIC and truths.issuperset(each.args):
                continue
            if each.op in _LOGIC:
                truths.discard(i)
            truths.difference_update(each.args[each.op == "where" :])
    return frozenset(truths)


def module_source(kernels: Sequence[str]) -> str:
    """A module that holds kernels."""
    return "import triton\nimport triton.language as tl\n\nfrom actc.kernels import device\n\n\n" + "\n\n".join(kernels)


@functools.cache
def whole_rows(device: ModuleType, fast: bool) -> frozenset[str]:
    """Rows with a definition for which the module `device` has a function all the same, `fast` ones counted."""
    rows = (row for row in OPERATORS.values() if not row.primitive)
    return frozenset(row.name for row in rows if any(hasattr(device, name) for name in _functions(row.name, fast)))


def _functions(name: str, fast: bool) -> list[str]:
    """What an operator's function may be called, the best first."""
    return [f"fast_{name}", name] if fast else [name]


def _own_name(name: str, position: int, device: ModuleType) -> str:
    """The operand's name in a kernel: its own, where that can be confused with nothing else there."""
    ordinary = re.fullmatch(r"[A-Za-z]+(_[A-Za-z]+)*_?", name) is not None
    affixes = name.startswith("grad") or name.endswith(("_pointer", "_sum"))
    taken = name in _TAKEN or hasattr(device, name) or hasattr(builtins, name)
    return name if ordinary and not affixes and not taken else f"operand{position}"


#: Names that kernels use for themselves.
_TAKEN = {
    *("triton", "tl", "device", "out", "start", "lanes", "mask", "numel", "outer", "block", "part", "channel"),
    *("inside", "row", "column", "across", "first_row", "first_column"),
    *("BLOCK", "PROGRAMS", "ROWS", "COLUMNS", "CHANNELS", "INNER"),
}


def _literal(value: float) -> str:
    if math.isfinite(value):
        return repr(value) if math.copysign(1, value) > 0 else f"({value!r})"
    text = 'float("nan")' if value != value else f'float("{"inf" if value > 0 else "-inf"}")'
    return text


def _wrapped(arguments: list[str]) -> str:
    lines, line = [], ""
    for each in arguments:
        if line and len(line) + len(each) > 100:
            lines.append(line)
            line = ""
        line += f", {each}" if line else each
    return ",\n    ".join([*lines, line])

"""The lines of a kernel between its loads and its stores: a program as Python over ``tl`` and the device functions.

Triton compiles these lines for GPUs (:mod:`.triton_source`); for CPUs they are run once and record what they do
(:mod:`.cpu_source`).
"""

from __future__ import annotations

import builtins
import functools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from actc.derivatives import derivative
from actc.expr import Expr
from actc.operators import OPERATORS
from actc.program import Instruction, Program

from . import partials
from .aten import saturates
from .composed import fits_float32
from .placement import CHANNEL, ELEMENT, NUMBER
from .ranges import ranges

SIXTEEN_BITS = ("bfloat16", "float16")


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


class Body:
    """What a kernel computes, and in which lines. ``functions`` are the names of the device functions, which are
    written with ``prefix``; ``fast``: whether results of 16 bits are computed by the functions for these."""

    def __init__(self, specification: Specification, functions: frozenset[str], prefix: str, fast: bool) -> None:
        self.spec, self._functions, self.prefix = specification, functions, prefix
        operands = specification.operands
        roots = [specification.expression]
        if specification.needed is not None:
            roots = [derivative(specification.expression, operands[i].name) for i in specification.needed]
        self._fast = fast and specification.dtype in SIXTEEN_BITS
        self.saturate = [saturates(root) for root in roots]
        self.program = self._straight(roots)
        wide = specification.dtype == "float64" or not all(map(fits_float32, self.program.instructions))
        if wide and self._fast:
            self._fast = False
            self.program = self._straight(roots)
        self.compute = "float64" if wide else "float32"
        self.names = [_own_name(each.name, i, functions) for i, each in enumerate(operands)]
        self.read = [i for i, each in enumerate(operands) if each.name in self.program.inputs]
        needed = specification.needed or ()
        self.summed = [k for k, i in enumerate(needed) if operands[i].place != ELEMENT]
        self.stored = [k for k in range(len(roots)) if k not in self.summed]
        self.form = "flat"
        if self.summed:
            along = any(operands[needed[k]].place == CHANNEL for k in self.summed)
            self.form = ("rows" if specification.inner else "columns") if along else "numbers"
        scalar = (NUMBER, CHANNEL) if self.form == "rows" else (NUMBER,)
        self._truths = _truths(self.program, {each.name for each in operands if each.place in scalar})
        self._ranges = ranges(self.program)
        self._both_slopes = partials.both_slopes(self.program)
        #: One line an instruction, and where the results stand.
        self.lines, self.values = self._written()

    def _straight(self, roots: Sequence[Expr]) -> Program:
        keep = whole_rows(self._functions, self._fast)
        return partials.program(roots, self.spec.expression, keep, lambda name: self._function(name) is not None)

    def _function(self, name: str) -> str | None:
        """What the module calls the function for an operator, None where it has none."""
        return next((each for each in _functions(name, self._fast) if each in self._functions), None)

    def _written(self) -> tuple[list[str], list[str]]:
        lines: list[str] = []
        code: list[str] = []
        counts: dict[str, int] = {}
        names = {each.name: own for each, own in zip(self.spec.operands, self.names, strict=True)}
        for i, instruction in enumerate(self.program.instructions):
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
        return lines, [code[o] for o in self.program.outputs]

    def _right_side(self, i: int, code: Sequence[str]) -> str:
        program, instruction = self.program, self.program.instructions[i]
        args = [code[a] for a in instruction.args]
        number = [program.instructions[a].op == "constant" for a in instruction.args]
        if i in self._truths and instruction.op in _LOGIC:
            return f" {_LOGIC[instruction.op]} ".join(args)
        if instruction.op == "where":
            condition = args[0] if instruction.args[0] in self._truths else f"{args[0]} != 0"
            if number[1] and (number[2] or self.compute == "float64"):
                args[1] = self._typed(args[1])
            if number[2] and self.compute == "float64":
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
                return f"({right}).to(tl.{self.compute})"
            return right
        given = [self._typed(a) if constant else a for a, constant in zip(args, number, strict=True)]
        given += self._known(i)
        return f"{self.prefix}{function}({', '.join(given)})"

    def _known(self, i: int) -> list[str]:
        """What a function may rely on, as its arguments by name."""
        instruction = self.program.instructions[i]
        ranges = [self._ranges[a] for a in instruction.args]
        if instruction.op in ("pow", "pow_by_x", "pow_by_y"):
            if math.copysign(1, ranges[0][0]) > 0 or i in self._both_slopes:
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
        name, last = instruction.op, self.program.instructions[instruction.args[-1]].value
        if name == "neg":
            # In Triton 3.6, -x is 0 - x, and so the zero of the wrong sign.
            return f"-1.0 * {args[0]}"
        if name == "div" and last and math.isfinite(last):
            exact = abs(math.frexp(last)[0]) == 0.5 and fits_float32(Instruction("constant", value=1 / last))
            return f"{args[0]} * {_literal(1 / last)}" if exact or self._fast else None
        if name == "div" and self.compute == "float32":
            low, high = self._ranges[instruction.args[1]]
            first = self.program.instructions[instruction.args[0]].value
            # Of what is larger than that, the reciprocal is below the normal range.
            if low >= 2.0**-126 and (high <= 2.0**126 or (first is not None and abs(first) <= 1)):
                reciprocal = f"{self.prefix}reciprocal_near({args[1]})"
                return reciprocal if first == 1 else f"{args[0]} * {reciprocal}"
        products = {2.0: "{0} * {0}", 3.0: "{0} * {0} * {0}", 4.0: "({0} * {0}) * ({0} * {0})"}
        return products[last].format(args[0]) if name == "pow" and last in products else None

    def _typed(self, literal: str) -> str:
        """A constant of the type that is computed in: by itself it would be float32, or whatever holds it."""
        return f"tl.full((), {literal}, tl.{self.compute})"


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


@functools.cache
def whole_rows(functions: frozenset[str], fast: bool) -> frozenset[str]:
    """Rows with a definition for which there is a device function all the same, `fast` ones counted."""
    rows = (row for row in OPERATORS.values() if not row.primitive)
    return frozenset(row.name for row in rows if not functions.isdisjoint(_functions(row.name, fast)))


def _functions(name: str, fast: bool) -> list[str]:
    """What an operator's function may be called, the best first."""
    return [f"fast_{name}", name] if fast else [name]


def _own_name(name: str, position: int, functions: frozenset[str]) -> str:
    """The operand's name in a kernel: its own, where that can be confused with nothing else there."""
    ordinary = re.fullmatch(r"[A-Za-z]+(_[A-Za-z]+)*_?", name) is not None
    affixes = name.startswith("grad") or name.endswith(("_pointer", "_sum"))
    taken = name in _TAKEN or name in functions or hasattr(builtins, name)
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

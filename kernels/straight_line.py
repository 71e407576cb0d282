"""The lines of a kernel between its loads and its stores: a program as Python over ``tl`` and the device functions.

Triton compiles these lines for GPUs (:mod:`.triton_source`); for CPUs they are run once and record what they do
(:mod:`.cpu_source`).
"""

from __future__ import annotations

import builtins
import functools
import math
import re
from collections import Counter
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
from .ranges import negative_zeros, ranges

SIXTEEN_BITS = ("bfloat16", "float16")
#: Largest finite numbers by the name of the type.
LARGEST = {
    "float64": 1.7976931348623157e308,
    "float32": 3.4028234663852886e38,
    "bfloat16": 3.3895313892515355e38,
    "float16": 65504.0,
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
        self._ranges, self._negative_zeros = ranges(self.program), negative_zeros(self.program)
        self._both_slopes = partials.both_slopes(self.program)
        used = {a for each in self.program.instructions for a in each.args}
        #: Gradients that are nothing else as well.
        self._last = frozenset(self.program.outputs) - used if specification.needed is not None else frozenset()
        #: What is a product or a quotient that was rounded, or one of those passed on.
        self._rounded: set[int] = set()
        #: One line an instruction, and where the results stand.
        self.lines, self.values = self._written()

    def _straight(self, roots: Sequence[Expr]) -> Program:
        keep = whole_rows(self._functions, self._fast)
        return partials.program(roots, self.spec.expression, keep, lambda name: self._function(name) is not None)

    def _function(self, name: str) -> str | None:
        """What the module calls the function for an operator, None where it has none."""
        return next((each for each in _functions(name, self._fast) if each in self._functions), None)

    def _written(self) -> tuple[list[str], list[str]]:
        lines: dict[int, str] = {}
        code: list[str] = []
        counts: dict[str, int] = {}
        uses = Counter(a for each in self.program.instructions for a in each.args) + Counter(self.program.outputs)
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
            fused = self._fused_product(i, code)
            if fused is not None:
                uses[fused] -= 1
                if not uses[fused]:
                    del lines[fused]
            lines[i] = f"{code[i]} = {self._right_side(i, code) if fused is None else self._fused(i, fused, code)}"
            rounded = instruction.op in ("mul", "div", "pow") and not self._exact(i)
            if rounded or (instruction.op in _PASSING and not self._rounded.isdisjoint(instruction.args)):
                self._rounded.add(i)
        return list(lines.values()), [code[o] for o in self.program.outputs]

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
        product = self._product(i, code)
        if product is not None:
            return " * ".join(product)
        if instruction.op == "neg":
            # In Triton 3.6, -x is 0 - x, and so the zero of the wrong sign.
            return f"-1.0 * {args[0]}"
        if instruction.op == "div" and program.instructions[instruction.args[0]].value == 1 and self._reciprocal(i):
            return f"{self.prefix}reciprocal_near({args[1]})"
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
            positive = ranges[0][0] >= 0 and instruction.args[0] not in self._negative_zeros
            if positive or i in self._both_slopes:
                return ["negative=False"]
            return ["short=True"] if ranges[1][0] >= -1 and ranges[1][1] <= 1 else []
        if instruction.op == "div" and self._fast:
            return ["above=True"] if ranges[1][0] >= 2.0**-124 else []
        # The reciprocal of what is larger is below the normal range.
        most = math.inf if instruction.op == "div_by_x" else 2.0**126
        if instruction.op in ("div_by_x", "div_by_y") and ranges[1][0] >= 2.0**-126 and ranges[1][1] <= most:
            return ["near=True"]
        if instruction.op == "hypot" and ranges[1][0] >= 2.0**-40 and ranges[1][1] <= 2.0**40:
            return ["moderate=True"]
        return []

    def _product(self, i: int, code: Sequence[str]) -> tuple[str, str] | None:
        """The two factors of what is written as a product: multiplications, divisions where that is exact or accurate
        enough, and small powers."""
        instructions, instruction = self.program.instructions, self.program.instructions[i]
        if instruction.op == "mul":
            one, other = instruction.args
            return code[one], code[other]
        if instruction.op == "div":
            one, other = instruction.args
            last = instructions[other].value
            if last and math.isfinite(last):
                return (code[one], _literal(1 / last)) if self._exact(i) or self._fast else None
            if self._reciprocal(i) and instructions[one].value != 1:
                return code[one], f"{self.prefix}reciprocal_near({code[other]})"
        if instruction.op == "pow" and instructions[instruction.args[1]].value in _POWERS:
            one, other = instruction.args
            first, second = _POWERS[instructions[other].value or 0]
            return first.format(code[one]), second.format(code[one])
        return None

    def _reciprocal(self, i: int) -> bool:
        """Whether the denominator of a division is known to have a normal reciprocal, or one that does not matter."""
        numerator, denominator = self.program.instructions[i].args
        low, high = self._ranges[denominator]
        first = self.program.instructions[numerator].value
        # Of what is larger than that, the reciprocal is below the normal range.
        within = high <= 2.0**126 or (first is not None and abs(first) <= 1)
        return self.compute == "float32" and low >= 2.0**-126 and within

    def _exact(self, i: int) -> bool:
        """Whether a multiplication or division is by a power of two."""
        instruction = self.program.instructions[i]
        numbers = [self.program.instructions[a].value for a in instruction.args]
        if instruction.op == "div":
            last = numbers[1]
            return _power_of_two(last) and fits_float32(Instruction("constant", value=1 / (last or 1)))
        return instruction.op == "mul" and any(map(_power_of_two, numbers))

    def _fused_product(self, i: int, code: Sequence[str]) -> int | None:
        """The side of a sum or difference that is a product and rounded with it, once; the compiler fuses nothing.

        Beside another product none is: where the two are equal their difference would be what rounding took from one,
        and a root of it NaN. But of a gradient nothing is taken any more.
        """
        instruction = self.program.instructions[i]
        if instruction.op not in ("add", "sub") or i in self._truths:
            return None
        for one, other in (instruction.args, instruction.args[::-1]):
            if self._exact(one) or other not in self._rounded or i in self._last:
                factors = self._product(one, code)
                if factors is not None and not all(map(_LITERAL.fullmatch, factors)):
                    return one
        return None

    def _fused(self, i: int, one: int, code: Sequence[str]) -> str:
        """The sum i, of which ``one`` is the product."""
        instruction = self.program.instructions[i]
        first, second = sorted(self._product(one, code) or (), key=lambda text: _LITERAL.fullmatch(text) is not None)
        left = one == instruction.args[0]
        other = code[instruction.args[1 if left else 0]]
        if instruction.op == "sub" and left:
            other = _opposite(other)
        elif instruction.op == "sub" and _LITERAL.fullmatch(second):
            second = _opposite(second)
        elif instruction.op == "sub":
            first = _opposite(first)
        wide = self.compute == "float64"
        given = [self._typed(each) if wide and _LITERAL.fullmatch(each) else each for each in (second, other)]
        return f"tl.fma({first}, {', '.join(given)})"

    def _typed(self, literal: str) -> str:
        """A constant of the type that is computed in: by itself it would be float32, or whatever holds it."""
        return f"tl.full((), {literal}, tl.{self.compute})"


#: Powers as two factors.
_POWERS = {2.0: ("{0}", "{0}"), 3.0: ("{0} * {0}", "{0}"), 4.0: ("({0} * {0})", "({0} * {0})")}
#: Rows whose value may be that of an argument, or its opposite.
_PASSING = ("neg", "abs", "max", "min", "where", "relu", "saturate", "mul", "div")
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


def _power_of_two(value: float | None) -> bool:
    return value is not None and abs(math.frexp(value)[0]) == 0.5


def _opposite(text: str) -> str:
    literal = _LITERAL.fullmatch(text)
    return _literal(-float(literal[1] or literal[2])) if literal else f"-1.0 * {text}"


#: What ``_literal`` writes.
_LITERAL = re.compile(r'\(?(-?\d[\d.e+-]*)\)?|float\("(-?\w+)"\)')


def _literal(value: float) -> str:
    if math.isfinite(value):
        return repr(value) if math.copysign(1, value) > 0 else f"({value!r})"
    text = 'float("nan")' if value != value else f'float("{"inf" if value > 0 else "-inf"}")'
    return text

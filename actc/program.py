"""Programs: expressions as straight-line code in single-assignment form, shared subexpressions computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

from actc.evaluation import constant_value
from actc.expr import VARIABLES, Expr, apply, constant, postorder, rebuild
from actc.operators import OPERATORS, Operator, operator


@dataclass(frozen=True)
class Instruction:
    """One line. ``op`` is ``"input"`` (with ``name``), ``"constant"`` (with ``value``, rounded once to float64) or a
    primitive operator."""

    op: str
    args: tuple[int, ...] = ()
    value: float | None = None
    name: str | None = None


@dataclass(frozen=True)
class Program:
    """Straight-line code for one or more expressions.

    ``inputs`` are the variables in the order x, y, z and then the parameters, sorted; ``outputs`` index into
    ``instructions``.
    """

    inputs: tuple[str, ...]
    instructions: tuple[Instruction, ...]
    outputs: tuple[int, ...]

    @staticmethod
    def of(roots: Sequence[Expr], expand: bool = True, keep: frozenset[str] = frozenset()) -> Program:
        """The program that computes ``roots``. ``expand``: definitions are written out down to primitive operators and
        to the rows that ``keep`` names.

        Equal subexpressions are one instruction, since expressions are interned; parts without a free name are
        constants, evaluated to 50 digits and rounded once.
        """
        return _program(tuple(roots), expand, keep)

    def aten_source(self, function_name: str = "forward") -> str:
        """Python source of ``function_name(inputs...) -> tuple of outputs`` over torch tensors; it needs ``torch`` and
        ``math``.

        Outputs that depend on no input are numbers. Inputs must share one floating dtype.
        """
        lines: list[str] = []
        code: dict[int, str] = {}
        tensors: dict[int, str] = {}
        anchor = self.inputs[0] if self.inputs else None
        conditions = self._pure_conditions()
        # A parameter may be named v3; the prefix of the function's own names is one that no input's name starts with.
        prefixes = ("_" * i + "v" for i in count())
        local = next(p for p in prefixes if not any(name.startswith(p) for name in self.inputs))

        def as_tensor(i: int) -> str:
            if self.instructions[i].op != "constant":
                return code[i]
            if i not in tensors:
                tensors[i] = f"{local}{i}"
                lines.append(f"{local}{i} = torch.full((), {code[i]}, dtype={anchor}.dtype, device={anchor}.device)")
            return tensors[i]

        for i, instruction in enumerate(self.instructions):
            if instruction.op == "input":
                code[i] = str(instruction.name)
                continue
            if instruction.op == "constant":
                code[i] = number_source(instruction.value)
                continue
            row = OPERATORS[instruction.op]
            assert row.aten is not None
            template = row.aten
            if row.name == "where":
                if instruction.args[0] in conditions:
                    template = template.replace("{0} != 0", "{0}")
                # torch.where takes the type of its tensors, so one of the two may stay a number.
                number = next((k for k in (2, 1) if self.instructions[instruction.args[k]].op == "constant"), None)
                if number is not None:
                    template = template.replace(f"{{t{number}}}", f"{{{number}}}")
            named = {f"t{k}": as_tensor(a) for k, a in enumerate(instruction.args) if f"{{t{k}}}" in template}
            right = template.format(*(code[a] for a in instruction.args), **named)
            if row.compares and i not in conditions:
                right = f"({right}).to({anchor}.dtype)"
            code[i] = f"{local}{i}"
            lines.append(f"{local}{i} = {right}")
        results = ", ".join(code[o] for o in self.outputs)
        body = "".join(f"    {line}\n" for line in lines)
        return f"def {function_name}({', '.join(self.inputs)}):\n{body}    return ({results},)\n"

    def _pure_conditions(self) -> set[int]:
        """Comparisons that are used only as the condition of a choice, and may stay boolean."""
        pure = {i for i, ins in enumerate(self.instructions) if ins.op in OPERATORS and OPERATORS[ins.op].compares}
        pure.difference_update(self.outputs)
        for instruction in self.instructions:
            pure.difference_update(instruction.args[1:] if instruction.op == "where" else instruction.args)
        return pure


def number_source(value: float | None) -> str:
    """A float64 as Python source: negative ones in parentheses, infinities and NaN by name."""
    assert value is not None
    if value != value:
        return "math.nan"
    if value in (float("inf"), float("-inf")):
        return "math.inf" if value > 0 else "(-math.inf)"
    return repr(value) if value >= 0 and repr(value)[0] != "-" else f"({value!r})"


#: Nodes whose expansions stay known: so few that letting them go takes no time.
_REMEMBERED = 2_000

_expansions: dict[frozenset[str], dict[Expr, Expr]] = {}


def expand(root: Expr, keep: frozenset[str] = frozenset()) -> Expr:
    """The expression over primitive operators and the rows in ``keep``: every other definition written out, shared
    parts still shared."""
    done = _expansions.setdefault(keep, {})
    if len(done) > _REMEMBERED:
        # Another thread may be reading the old one.
        done = _expansions[keep] = {}
    for node in postorder(root, known=done):
        args = tuple([done[a] for a in node.args])
        done[node] = _expanded(operator(node.name), args, keep) if node.kind == "apply" else node
    return done[root]


def within_onnx(root: Expr) -> Expr:
    """What ``expand`` gives, with the operators that ONNX lacks written out over those that it has.

    min(max(a, b), c) becomes -max(-max(a, b), -c), to the same bits: onnxscript's optimizer makes one Clip of the pair
    and names its constants by the tensor, so that two of one tensor leave an invalid model.
    """
    other = {"max": "min", "min": "max"}

    def build(node: Expr, args: tuple[Expr, ...]) -> Expr:
        if node.kind == "apply" and node.name in other and any(a.kind == "apply" and a.name in other for a in args):
            return apply("neg", apply(other[node.name], *(apply("neg", a) for a in args)))
        row = operator(node.name) if node.kind == "apply" and node.symbols else None
        text = row.text("onnx") if row else None
        if row is None or text is None:
            return node.with_args(args)
        return instantiate(text, dict(zip(row.arguments, args, strict=True)), frozenset())

    return rebuild(expand(root), build)


@lru_cache(maxsize=4096)
def _expanded(row: Operator, args: tuple[Expr, ...], keep: frozenset[str] = frozenset()) -> Expr:
    # Within a constant no choice is made: constants are evaluated as a whole.
    if row.name == "where" and not args[0].symbols and (args[1].symbols or args[2].symbols):
        return args[1] if constant_value(args[0]) != 0 else args[2]
    if row.name == "pow" and args[1].value == -2:
        # torch.pow squares before it divides, and x² overflows or underflows long before 1/x² does.
        inverse = apply("div", constant(1), args[0])
        return apply("mul", inverse, inverse)
    if row.primitive:
        return apply(row.name, *args)
    if len(args) > row.arity:
        first = _expanded(row, args[: row.arity], keep)
        for i in range(row.arity, len(args)):
            first = _expanded(row, (first, args[i]), keep)
        return first
    if row.name in keep:
        return apply(row.name, *args)
    definition = row.text("definition")
    assert definition is not None
    return instantiate(definition, dict(zip(row.arguments, args, strict=True)), keep)


def instantiate(template: Expr, values: dict[str, Expr], keep: frozenset[str] | None = None) -> Expr:
    """A row's text with arguments put in; factors and divisors of one disappear, which changes no bit of the value.
    With ``keep``, its own rows are written out too, but for those."""
    one = constant(1)

    def build(node: Expr, args: tuple[Expr, ...]) -> Expr:
        if node.kind == "symbol":
            return values[node.name]
        if node.name == "mul" and one in args:
            return args[1] if args[0] is one else args[0]
        if node.name == "div" and args[1] is one:
            return args[0]
        if node.kind == "apply" and keep is not None:
            return _expanded(operator(node.name), args, keep)
        return node.with_args(args)

    return rebuild(template, build)


@lru_cache(maxsize=1024)
def _program(roots: tuple[Expr, ...], expanded: bool, keep: frozenset[str]) -> Program:
    if expanded:
        roots = tuple(expand(r, keep) for r in roots)
    symbols = frozenset().union(*(r.symbols for r in roots))
    inputs = (*(v for v in VARIABLES if v in symbols), *sorted(symbols.difference(VARIABLES)))
    instructions = [Instruction("input", name=name) for name in inputs]
    index: dict[Expr, int] = {}
    numbers: dict[str, int] = {}
    # Constants of one value are one instruction, so that different nodes may be one too: 0 + x and (0 + 0) + x.
    steps: dict[tuple[str, tuple[int, ...]], int] = {}

    def number(node: Expr) -> int:
        value = constant_value(node)
        name = repr(value)
        if name not in numbers:
            numbers[name] = len(instructions)
            instructions.append(Instruction("constant", value=value))
        index[node] = numbers[name]
        return index[node]

    for node in postorder(*roots):
        if node.kind == "symbol":
            index[node] = inputs.index(node.name)
        elif node.symbols:
            args = tuple(index[a] if a in index else number(a) for a in node.args)
            index[node] = steps.setdefault((node.name, args), len(instructions))
            if index[node] == len(instructions):
                instructions.append(Instruction(node.name, args))
    outputs = tuple(index[r] if r in index else number(r) for r in roots)
    return Program(inputs, tuple(instructions), outputs)

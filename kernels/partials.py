"""Partial derivatives that have a device function of their own.

A row says its derivatives as texts over other rows. Where one is cheaper computed whole, the device module has a
function NAME_by_ARGUMENT for it, ``pow_by_x`` for example, and what the text was written out to is replaced by a call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from actc import pipeline
from actc.derivatives import partial_derivative
from actc.expr import Expr, postorder
from actc.operators import OPERATORS
from actc.program import Instruction, Program


def program(roots: Sequence[Expr], of: Expr, keep: frozenset[str], has: Callable[[str], bool]) -> Program:
    """The program of derivatives ``of`` an expression, with an instruction NAME_by_ARGUMENT for each partial derivative
    of which ``has`` says that there is a function so called. ``keep``: rows that are not to be written out."""
    inside = set(postorder(*roots))
    found: list[tuple[str, Expr, Expr]] = []
    for node in postorder(of, *roots):
        # By a constant, as in x**3 and x/2, the text is cheaper.
        if node.args and node.args[-1].symbols:
            for k, argument in enumerate(OPERATORS[node.name].arguments):
                name = f"{node.name}_by_{argument}"
                whole = partial_derivative(node, k) if has(name) else None
                if whole is not None and whole in inside:
                    found.append((name, node, whole))
    parts = [part for _, node, whole in found for part in (whole, *node.args)]
    together = pipeline.program([*roots, *parts], keep=keep)
    instructions, outputs = list(together.instructions), iter(together.outputs)
    results = tuple(next(outputs) for _ in roots)
    for name, node, _ in found:
        at, *args = (next(outputs) for _ in range(1 + len(node.args)))
        if instructions[at].args and max(args) < at:
            instructions[at] = Instruction(name, tuple(args))
    return _without_unused(Program(together.inputs, tuple(instructions), results))


def _without_unused(program: Program) -> Program:
    instructions = program.instructions
    used = set(program.outputs) | {i for i, each in enumerate(instructions) if each.op == "input"}
    for i in reversed(range(len(instructions))):
        if i in used:
            used.update(instructions[i].args)
    kept = sorted(used)
    number = {old: new for new, old in enumerate(kept)}
    renumbered = (
        Instruction(each.op, tuple(number[a] for a in each.args), each.value, each.name)
        for each in (instructions[i] for i in kept)
    )
    return Program(program.inputs, tuple(renumbered), tuple(number[o] for o in program.outputs))


def both_slopes(program: Program) -> frozenset[int]:
    """Where ``pow_by_x`` and ``pow_by_y`` of the same power are used in one sum only. That is NaN for a base below 0,
    since the second is, so what signs odd powers have there does not matter; -0, where such a sum is a pole of either
    sign or of both, counts as 0."""
    instructions = program.instructions
    uses = Counter(a for each in instructions for a in each.args) + Counter(program.outputs)

    def factors(i: int) -> set[int]:
        """What a term that is used once is a product of."""
        if uses[i] > 1 or instructions[i].op not in ("mul", "neg"):
            return {i}
        return {i}.union(*(factors(a) for a in instructions[i].args))

    found: set[int] = set()
    for each in instructions:
        if each.op in ("add", "sub"):
            both = {i for i in set().union(*(factors(a) for a in each.args)) if uses[i] == 1}
            slopes = [{instructions[i].args: i for i in both if instructions[i].op == f"pow_by_{k}"} for k in "xy"]
            found.update(each[args] for args in slopes[0].keys() & slopes[1].keys() for each in slopes)
    return frozenset(found)

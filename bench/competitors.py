"""What is compared with: a function as one would write it with torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import actc
from actc import pipeline
from actc.operators import OPERATORS
from actc.program import number_source

#: By the operator's name here, for those whose formula nobody would write out.
TORCH = {
    "sigmoid": torch.sigmoid, "log_sigmoid": F.logsigmoid, "softplus": F.softplus, "softsign": F.softsign,
    "elu": F.elu, "selu": F.selu, "silu": F.silu, "swish": F.silu, "mish": F.mish, "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"), "relu": F.relu, "hardsigmoid": F.hardsigmoid,
    "i0e": torch.special.i0e, "i1e": torch.special.i1e, "sinh": torch.sinh, "cosh": torch.cosh, "sign": torch.sign,
    "reciprocal": torch.reciprocal, "square": torch.square,
}  # fmt: skip


@cache
def composed(text: str) -> Callable[..., Tensor]:
    """The function over torch's operations, as one would write it by hand; arguments are inputs, then parameters."""
    expression = actc.parse(text)
    program = pipeline.program([expression], keep=frozenset(TORCH))
    code: list[str] = []
    lines: list[str] = []
    anchor = program.inputs[0]
    for i, each in enumerate(program.instructions):
        if each.op in ("input", "constant"):
            code.append(str(each.name) if each.op == "input" else number_source(each.value))
            continue
        arguments = [code[a] for a in each.args]
        numbers = [program.instructions[a].op == "constant" for a in each.args]
        template = OPERATORS[each.op].aten or ""
        if each.op in TORCH:
            right = f"TORCH[{each.op!r}]({', '.join(arguments)})"
        else:
            if any(numbers) and each.op in ("max", "min", "hypot"):
                tensor = f"torch.full((), {{}}, dtype={anchor}.dtype, device={anchor}.device)"
                arguments = [tensor.format(a) if n else a for a, n in zip(arguments, numbers, strict=True)]
            right = template.format(*arguments, **{f"t{k}": a for k, a in enumerate(arguments)})
            if OPERATORS[each.op].compares:
                right = f"({right}).to({anchor}.dtype)"
        lines.append(f"v{i} = {right}")
        code.append(f"v{i}")
    names = [*expression.variables, *expression.parameters]
    body = "".join(f"    {line}\n" for line in lines)
    namespace: dict[str, Any] = {"torch": torch, "math": math, "TORCH": TORCH}
    exec(f"def function({', '.join(names)}):\n{body}    return {code[program.outputs[0]]}\n", namespace)
    function: Callable[..., Tensor] = namespace["function"]
    return function

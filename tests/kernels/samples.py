"""One activation an operator, with ordinary arguments: away from kinks, poles and ties, inside the domain."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from actc.derivatives import derivative
from actc.expr import VARIABLES, Expr, apply, symbol
from actc.kernels import CompiledActivation, compile
from actc.operators import OPERATORS, Operator
from tests.oracle import second_arguments

#: No kink or pole of any row, none of the oracle's second arguments.
_POINTS = (-2.3, -0.85, -0.15, 0.42, 0.9, 1.45, 2.8, 3.6)
_LARGEST = 1e4


@dataclasses.dataclass(frozen=True)
class Sample:
    """`function(*tensors)` is one operator applied to all of its arguments, the first a vector, the rest numbers."""

    name: str
    activation: CompiledActivation
    tensors: tuple[Tensor, ...]

    def __call__(self, *tensors: Tensor) -> Tensor:
        count = len(self.activation.variables)
        parameters = dict(zip(self.activation.parameters, tensors[count:], strict=True))
        return self.activation(*tensors[:count], **parameters)

    def leaves(self, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
        """Fresh tensors to differentiate by."""
        return tuple(each.to(dtype, copy=True).requires_grad_() for each in self.tensors)


def expression(row: Operator) -> Expr:
    """The operator applied to x, y, z and to parameters named like its arguments; a constant times x."""
    return apply(row.name, *map(symbol, _names(row))) if row.arity else apply(row.name) * symbol("x")


def _names(row: Operator) -> list[str]:
    return [name if name in VARIABLES else f"{name}_" for name in row.arguments]


def sample(row: Operator) -> Sample:
    """At those points where the value and the first two derivatives by x are finite and of ordinary size."""
    e = expression(row)
    values = dict(zip(_names(row)[1:], second_arguments(row), strict=True))
    x = np.array(_POINTS)
    keep = np.ones_like(x, dtype=bool)
    for order in range(3):
        root = derivative(e, "x", order)
        used = {name: values[name] for name in root.symbols - {"x"}}
        with np.errstate(all="ignore"):
            keep &= np.abs(root.evaluate(x=x, **used)) < _LARGEST
    activation = compile(e)
    names = (*activation.variables, *activation.parameters)
    tensors = tuple(torch.tensor(x[keep] if n == "x" else values[n], dtype=torch.float64) for n in names)
    return Sample(row.name, activation, tensors)


ROWS = list(OPERATORS.values())


def covering(groups: int) -> list[CompiledActivation]:
    """A few activations of x > 0 that contain every operator between them."""
    inner = {(-1.0, 1.0): "tanh(x)", (1.0, np.inf): "x + 1"}
    terms = [
        f"{row.name}({', '.join([inner.get(row.domain, 'x'), *map(repr, second_arguments(row))])})"
        if row.arity
        else row.name
        for row in ROWS
    ]
    return [compile(" + ".join(terms[start::groups])) for start in range(groups)]

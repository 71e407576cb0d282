"""Families of candidates, indexed without being held in memory."""

from __future__ import annotations

import functools
from typing import Protocol

from actc.expr import Expr
from actc.parsing import parse

UNARY = (
    "0", "1", "x", "-x", "abs(x)", "reciprocal(x)", "square(x)", "exp(x)", "sigmoid(x)",
    "erf(x)", "erfc(x)", "sinh(x)", "cosh(x)", "tanh(x)", "asinh(x)", "atan(x)", "expm1(x)", "log(sigmoid(x))",
    "relu(x)", "elu(x)", "selu(x)", "swish(x)", "softplus(x)", "softsign(x)", "hard_sigmoid(x)", "i0e(x)", "i1e(x)",
)  # fmt: skip
BINARY = ("x + y", "x - y", "x * y", "x / y", "x ** y", "max(x, y)", "min(x, y)")


class Space(Protocol):
    """A finite, indexed family of expressions in x."""

    @property
    def name(self) -> str:
        """The schema text that names the space."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Expr: ...


class BinaryOfUnaries:
    """`binary(unary(x), unary(x))` over the 27 unary and 7 binary operators of the AQuaSurF paper, table 4: 5,103
    members.

    >>> space = BinaryOfUnaries()
    >>> len(space), str(space[0]), str(space[2 * 27 * 27 + 2 * 27 + 10])
    (5103, '0 + 0', 'x*erfc(x)')
    """

    name = "binary(unary(x),unary(x))"

    def __len__(self) -> int:
        return len(BINARY) * len(UNARY) ** 2

    def __getitem__(self, index: int) -> Expr:
        """Member `index`, counting the right-hand unary fastest; raises `IndexError` outside the space."""
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is outside the {len(self)} members of {self.name}")
        rest, right = divmod(index, len(UNARY))
        binary, left = divmod(rest, len(UNARY))
        return _parsed(BINARY[binary]).substitute({"x": _parsed(UNARY[left]), "y": _parsed(UNARY[right])})


@functools.cache
def _parsed(text: str) -> Expr:
    return parse(text)

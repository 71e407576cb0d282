"""Random expressions over every row of the operator table, for hypothesis."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from hypothesis import strategies as st

from actc.expr import Expr, apply, constant, symbol
from actc.operators import OPERATORS, Operator

#: Inputs, parameters, and parameters that bear the names that printing and generated code would like to use.
NAMES = ("x", "y", "z", "beta", "a_1", "t0", "t1", "v3", "é", "lambda_", "type", "match", "self", "root")


def constants() -> st.SearchStrategy[Expr]:
    """Small, negative, fractional, decimal, huge and tiny numbers."""
    numbers = st.one_of(
        st.integers(-3, 3).map(Fraction),
        st.integers(-(10**40), 10**40).map(Fraction),
        st.fractions(max_denominator=10**6),
        st.floats(allow_nan=False, allow_infinity=False),
        st.builds(lambda d, e: Fraction(d) * Fraction(10) ** e, st.integers(-999, 999), st.integers(-350, 350)),
    )
    return numbers.map(constant)


def leaves(names: Sequence[str] = NAMES) -> st.SearchStrategy[Expr]:
    """Symbols and constants."""
    return st.one_of(st.sampled_from(names).map(symbol), constants())


@st.composite
def expressions(
    draw: st.DrawFn, rows: Sequence[Operator] = tuple(OPERATORS.values()), names: Sequence[str] = NAMES, size: int = 12
) -> Expr:
    """Graphs with sharing: each step applies a row to nodes made before."""
    nodes = draw(st.lists(leaves(names), min_size=1, max_size=4))
    steps = st.tuples(st.sampled_from(rows), st.lists(st.integers(0, 40), min_size=5, max_size=5), st.integers(0, 2))
    for row, picks, more in draw(st.lists(steps, max_size=size)):
        count = row.arity + more if row.variadic else row.arity - min(more, len(row.defaults))
        nodes.append(apply(row.name, *(nodes[-1 - pick % len(nodes)] for pick in picks[:count])))
    return nodes[-1]

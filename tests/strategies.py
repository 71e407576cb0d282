"""Random expressions for property tests: every row of the operator table, shared subexpressions, awkward constants."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import strategies as st

from actc.expr import Expr, apply, constant, symbol
from actc.operators import OPERATORS

CONSTANTS = st.one_of(
    st.integers(-5, 5).map(constant),
    st.sampled_from([Fraction(1, 2), Fraction(1, 3), Fraction(-7, 10), Fraction(1, 100), Fraction(10) ** 30]).map(
        constant
    ),
    st.fractions(-100, 100, max_denominator=1000).map(constant),
)


def expressions(
    symbols: tuple[str, ...] = ("x", "beta"), operators: tuple[str, ...] = tuple(OPERATORS), nodes: int = 12
) -> st.SearchStrategy[Expr]:
    """Expressions of up to about ``nodes`` nodes over the given symbols and operators."""
    leaves = st.one_of(st.sampled_from(symbols).map(symbol), CONSTANTS)

    def grow(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
        def application(name: str) -> st.SearchStrategy[Expr]:
            row = OPERATORS[name]
            extra = 2 if row.variadic else 0
            counts = st.integers(row.arity - len(row.defaults), row.arity + extra)
            return counts.flatmap(lambda n: st.tuples(*[inner] * n)).map(lambda args: apply(name, *args))

        return st.sampled_from(operators).flatmap(application)

    return st.recursive(leaves, grow, max_leaves=nodes)

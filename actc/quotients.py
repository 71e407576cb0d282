"""Expressions as quotients of polynomials over what is no arithmetic in them: algebraic identities become decidable.

Exponentials and what is made of them, such as tanh, become powers of few; so sinh(x)/(exp(x) - 1) and
(1 + exp(-x))/2 are the same quotient. Factors of the numerator carry its sign.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import flint

from actc.expr import Expr, apply, constant, postorder, rebuild
from actc.normal_form import Product, doubts, expr_of, is_arithmetic, sort_key, sum_of
from actc.parsing import parse
from actc.rules import Case, canonical

#: What is arithmetic of simpler functions, most of it exponentials; ``a`` is the argument.
WRITTEN_OUT = {
    "gelu": "a*(1 + erf(a/sqrt(2)))/2",
    "sinh": "(exp(a) - exp(-a))/2",
    "cosh": "(exp(a) + exp(-a))/2",
    "tanh": "(exp(2*a) - 1)/(exp(2*a) + 1)",
    "sigmoid": "exp(a)/(1 + exp(a))",
}

#: Polynomials of more terms are not worth their multiplication.
_MOST_TERMS = 400
_HIGHEST_POWER = 64
_MOST_GENERATORS = 12


class NoQuotient(Exception):
    """The quotient would be of more terms than a proof may have, or divide by zero."""


@dataclass(frozen=True)
class Quotients:
    """The quotients of several expressions over the same generators: atoms, and roots of exponentials."""

    parts: tuple[tuple[Any, Any], ...]
    generators: tuple[Expr, ...]

    def factors(self, polynomial: Any) -> tuple[int, list[tuple[Expr, int]]]:
        """The sign of the constant factor, and the irreducible factors with their multiplicities. Raises NoQuotient."""
        content, factors = factored(polynomial)
        return (1 if content > 0 else -1), [(self.expression(f), int(m)) for f, m in factors]

    def expression(self, polynomial: Any) -> Expr:
        """The polynomial written out."""
        total = constant(0)
        for powers, coefficient in polynomial.terms():
            term = constant(int(coefficient))
            for generator, power in zip(self.generators, powers, strict=False):
                if power:
                    term = apply("mul", term, apply("pow", generator, int(power)))
            total = apply("add", total, term)
        return total


def quotients(*expressions: Expr) -> Quotients:
    """Numerators and denominators of expressions in normal form. Raises NoQuotient."""
    expanded = [_written_out(_without_minima(e)) for e in expressions]
    atoms: dict[Expr, None] = {}
    steps: dict[Product, Fraction] = {}
    stack = list(expanded)
    seen = set()
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        # A term 0·log(x) says where the exponential is undefined, and no power can say that.
        if node.name == "exp" and all(sum_of(node.args[0]).values()):
            for product, c in sum_of(node.args[0]).items():
                step = steps.get(product, abs(c))
                steps[product] = Fraction(
                    math.gcd(step.numerator, c.numerator), math.lcm(step.denominator, c.denominator)
                )
        elif is_arithmetic(node):
            stack.extend(node.args)
        elif node.kind != "constant" or _long(node):
            atoms[_magnitude(node)] = None
    roots = {product: apply("exp", expr_of({product: step})) for product, step in steps.items()}
    generators = (*sorted(atoms, key=sort_key), *roots.values())
    if len(generators) > _MOST_GENERATORS:
        raise NoQuotient
    context = flint.fmpz_mpoly_ctx.get([f"g{i}" for i in range(max(1, len(generators)))], flint.Ordering.lex)
    variables = dict(zip(generators, context.gens(), strict=False))
    one = context.constant(1)
    done: dict[Expr, tuple[Any, Any]] = {}

    def power(base: Any, exponent: int) -> Any:
        if exponent > _HIGHEST_POWER or len(base) ** min(exponent, 8) > _MOST_TERMS**2:
            raise NoQuotient
        return base**exponent

    for node in postorder(*expanded):
        if node in variables:
            done[node] = variables[node], one
        elif node.value is not None and _long(node):
            variable = variables.get(_magnitude(node))
            if variable is None:
                continue
            done[node] = (variable if node.value > 0 else -variable), one
        elif node.value is not None:
            done[node] = context.constant(node.value.numerator), context.constant(node.value.denominator)
        elif node.name == "exp" and all(product in roots for product in sum_of(node.args[0])):
            top = bottom = one
            for product, c in sum_of(node.args[0]).items():
                n = int(c / steps[product])
                factor = power(variables[roots[product]], abs(n))
                top, bottom = (top * factor, bottom) if n > 0 else (top, bottom * factor)
            done[node] = top, bottom
        elif is_arithmetic(node) and all(a in done for a in node.args):
            done[node] = _combined(node, [done[a] for a in node.args], power)
            if max(map(len, done[node])) > _MOST_TERMS:
                raise NoQuotient
    return Quotients(tuple(done[e] for e in expanded), generators)


def without_cancellation(expression: Expr) -> Expr:
    """An expression in normal form as one quotient of polynomials, in which whatever cancels has done so: 1 - tanh(x)
    is 2/(exp(2*x) + 1). As it is if that is too long."""
    try:
        found = quotients(expression)
    except NoQuotient:
        return expression
    ((top, bottom),) = found.parts
    return found.expression(top) / found.expression(bottom)


def factored(polynomial: Any) -> tuple[Any, list[tuple[Any, int]]]:
    """The constant factor, and the irreducible ones with their multiplicities. Raises NoQuotient."""
    try:
        found: tuple[Any, list[tuple[Any, int]]] = polynomial.factor()
    except OverflowError as error:
        # python-flint 0.9 cannot sort factors with coefficients of more than 31 bits.
        raise NoQuotient from error
    return found


def _combined(node: Expr, args: Sequence[tuple[Any, Any]], power: Any) -> tuple[Any, Any]:
    (p, q), *rest = args
    if node.name == "neg":
        return -p, q
    if node.name == "pow":
        n = int(node.args[1].value or 0)
        if n <= 0 and p.is_zero():
            raise NoQuotient
        return (power(p, n), power(q, n)) if n >= 0 else (power(q, -n), power(p, -n))
    ((r, s),) = rest
    if node.name == "mul":
        p, q = p * r, q * s
    elif node.name == "div":
        if r.is_zero():
            raise NoQuotient
        p, q = p * s, q * r
    else:
        p, q = (p * s + r * q if node.name == "add" else p * s - r * q), q * s
    common = p.gcd(q)
    return (p, q) if common.is_one() or p.is_zero() else (p // common, q // common)


def _long(node: Expr) -> bool:
    """A constant of so many digits, as those of selu, that it is treated as a letter: factoring would take them apart,
    and python-flint 0.9 cannot sort such factors."""
    value = node.value
    return value is not None and max(value.numerator.bit_length(), value.denominator.bit_length()) > 50


def _magnitude(node: Expr) -> Expr:
    """A constant without its sign, so that c and -c are one letter; anything else as it is."""
    return node if node.value is None else constant(abs(node.value))


@cache
def _template(name: str) -> Expr:
    return parse(WRITTEN_OUT[name])


def _written_out(expression: Expr) -> Expr:
    def build(node: Expr, args: tuple[Expr, ...]) -> Expr:
        if node.name in WRITTEN_OUT and node.kind == "apply":
            return _written_out(_template(node.name).substitute({"a": args[0]}))
        return _grown(args[0]) if node.name == "exp" else node.with_args(args)

    return rebuild(expression, build)


def _without_minima(form: Expr) -> Expr:
    """A normal form with min(a, b) as -max(-a, -b), so that the two are one letter."""

    def build(node: Expr, args: tuple[Expr, ...]) -> Expr:
        if node.name == "min" and node.kind == "apply":
            return -canonical(apply("max", *(-a for a in args)))
        return node.with_args(args)

    return rebuild(form, build) if any(node.name == "min" for node in postorder(form)) else form


def _grown(exponent: Expr) -> Expr:
    """The exponential of a sum; e^softplus(a) is 1 + e^a."""
    rest, factors = dict(sum_of(exponent)), constant(1)
    for product, c in sum_of(exponent).items():
        ((part, power),) = product if len(product) == 1 else ((exponent, 0),)
        if part.name == "softplus" and part.args[1].value == 1 and power == 1 and c.denominator == 1:
            del rest[product]
            factors = apply("mul", factors, apply("pow", 1 + _grown(part.args[0]), int(c)))
    return apply("mul", factors, apply("exp", expr_of(rest))) if rest else factors


def same(a: Expr, b: Expr, case: Case) -> bool:
    """Whether the two, in normal form, are equal by arithmetic alone, and undefined at the same places."""
    if not (case.finite(a) and case.finite(b)):
        return False
    try:
        (p, q), (r, s) = quotients(a, b).parts
    except NoQuotient:
        return False
    return bool(p * s == r * q) and doubts(a, case) == doubts(b, case)

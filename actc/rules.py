"""Rewrite rules as data, and the simplifier that applies them.

A rule reads like the identity it states. ``FLOAT`` marks those that change no bit of a float64 value, ``REAL`` those
that are true over the reals wherever the left side is defined. In a pattern ``a``, ``b``, ``c`` stand for any
expression and ``k`` for a constant.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from functools import lru_cache

from actc.expr import Expr, apply, constant
from actc.normal_form import ARITHMETIC, expr_of, looks_negative, negated, sort_key, sum_of, total_function
from actc.operators import Law, operator
from actc.parsing import parse


class Holds(Enum):
    """Where a rule is true."""

    FLOAT = "bit for bit in float64"
    REAL = "over the reals, wherever the left side is defined"


@dataclass(frozen=True)
class Rule:
    """``pattern`` → ``result`` for every binding that ``condition`` accepts."""

    name: str
    pattern: Expr
    result: Expr
    holds: Holds
    condition: Callable[[dict[str, Expr]], bool] | None = None


def rule(
    name: str,
    pattern: str,
    result: str,
    holds: Holds = Holds.REAL,
    condition: Callable[[dict[str, Expr]], bool] | None = None,
) -> Rule:
    """One row of a rule table."""
    return Rule(name, parse(pattern), parse(result), holds, condition)


def _total(*names: str) -> Callable[[dict[str, Expr]], bool]:
    return lambda binding: all(total_function(binding[n]) for n in names)


FLOAT, REAL = Holds.FLOAT, Holds.REAL

#: Bit-identical clean-ups, safe on the way to a kernel.
TIDY = (
    rule("neg-neg", "-(-a)", "a", FLOAT),
    rule("times-one", "a*1", "a", FLOAT),
    rule("over-one", "a/1", "a", FLOAT),
    rule("over-minus-one", "a/-1", "-a", FLOAT),
    rule("times-minus-one", "a*-1", "-a", FLOAT),
    rule("minus-neg", "a - (-b)", "a + b", FLOAT),
    rule("plus-neg", "a + (-b)", "a - b", FLOAT),
    rule("neg-times-neg", "(-a)*(-b)", "a*b", FLOAT),
    rule("power-one", "a**1", "a", FLOAT),
    rule("abs-neg", "abs(-a)", "abs(a)", FLOAT),
    rule("abs-abs", "abs(abs(a))", "abs(a)", FLOAT),
    rule("relu-relu", "relu(relu(a))", "relu(a)", FLOAT),
    rule("max-same", "max(a, a)", "a", FLOAT),
    rule("min-same", "min(a, a)", "a", FLOAT),
    rule("where-same", "where(a, b, b)", "b", FLOAT),
    rule("left", "left(a, b)", "a", FLOAT),
    rule("right", "right(a, b)", "b", FLOAT),
    rule("square-abs", "square(abs(a))", "square(a)", FLOAT),
)

#: Names for compositions, written out so that equal functions meet; :data:`RECOGNISE` reads them backwards.
EXPAND = (
    rule("square", "square(a)", "a**2"),
    rule("cube", "cube(a)", "a**3"),
    rule("reciprocal", "reciprocal(a)", "1/a"),
    rule("expm1", "expm1(a)", "exp(a) - 1"),
    rule("log1p", "log1p(a)", "log(a + 1)"),
    rule("erfc", "erfc(a)", "1 - erf(a)"),
    rule("silu", "silu(a)", "a*sigmoid(a)"),
    rule("log-sigmoid", "log_sigmoid(a)", "-softplus(-a)"),
    rule("tanhshrink", "tanhshrink(a)", "a - tanh(a)"),
    rule("softsign", "softsign(a)", "a/(1 + abs(a))"),
    rule("mish", "mish(a)", "a*tanh(softplus(a))"),
    rule("relu", "relu(a)", "max(a, 0)"),
    rule("relu6", "relu6(a)", "min(max(a, 0), 6)"),
    rule("clamp", "clamp(a, b, c)", "min(max(a, b), c)"),
    rule("hardtanh", "hardtanh(a, b, c)", "min(max(a, b), c)"),
    rule("hardsigmoid", "hardsigmoid(a)", "min(max(a + 3, 0), 6)/6"),
    rule("hardswish", "hardswish(a)", "a*(min(max(a + 3, 0), 6)/6)"),
    rule("hard-sigmoid", "hard_sigmoid(a)", "min(max(0.2*a + 0.5, 0), 1)"),
    rule("prelu", "prelu(a, b)", "where(a > 0, a, b*a)"),
    rule("leaky-relu", "leaky_relu(a, b)", "where(a > 0, a, b*a)"),
)

#: Identities that shorten, applied after the arithmetic is in normal form.
SHORTEN = (
    rule("log-exp", "log(exp(a))", "a"),
    rule("exp-zero", "exp(0)", "1"),
    rule("log-one", "log(1)", "0"),
    rule("sqrt-square", "sqrt(a**2)", "abs(a)"),
    rule("abs-square", "abs(a)**2", "a**2"),
    rule("abs-even", "abs(a**2)", "a**2"),
    rule("abs-exp", "abs(exp(a))", "exp(a)"),
    rule("sigmoid-of-growth", "exp(a)/(1 + exp(a))", "sigmoid(a)"),
    rule("sigmoid-of-decay", "b/(1 + exp(-a))", "b*sigmoid(a)"),
    rule("sigmoid-of-exp", "b/(1 + exp(a))", "b*sigmoid(-a)"),
    rule("softplus-of-exp", "log(1 + exp(a))", "softplus(a)"),
    rule("log-of-sigmoid", "log(sigmoid(a))", "-softplus(-a)"),
    rule("softplus-reflection", "softplus(-a)", "softplus(a) - a"),
    rule("sigmoid-reflection", "sigmoid(-a)", "1 - sigmoid(a)"),
    rule("tanh-of-sinh", "sinh(a)/cosh(a)", "tanh(a)"),
    rule("max-of-negatives", "max(-a, a)", "abs(a)"),
    rule("sigmoid-zero", "sigmoid(0)", "1/2"),
    rule("cosh-zero", "cosh(0)", "1"),
    rule("cos-zero", "cos(0)", "1"),
    rule("i0e-zero", "i0e(0)", "1"),
    rule("sinc-zero", "sinc_unnormalized(0)", "1"),
    rule("power-zero", "a**0", "1", condition=_total("a")),
    rule("half-power", "a**0.5", "sqrt(a)"),
    rule("pow-of-one", "1**a", "1", condition=_total("a")),
)

#: Compositions that have a name, shown by it.
RECOGNISE = (
    rule("is-relu", "max(a, 0)", "relu(a)"),
    rule("is-silu", "a*sigmoid(a)", "silu(a)"),
    rule("is-softsign", "a/(abs(a) + 1)", "softsign(a)"),
    rule("is-mish", "a*tanh(softplus(a))", "mish(a)"),
    rule("is-expm1", "exp(a) - 1", "expm1(a)"),
    rule("is-erfc", "1 - erf(a)", "erfc(a)"),
    rule("is-log-sigmoid", "a - softplus(a)", "log_sigmoid(a)"),
    rule("is-log1p", "log(a + 1)", "log1p(a)"),
    rule("is-tanhshrink", "a - tanh(a)", "tanhshrink(a)"),
    rule("is-sigmoid-reflected", "1 - sigmoid(a)", "sigmoid(-a)"),
    rule("is-leaky-relu", "where(a > 0, a, k*a)", "leaky_relu(a, k)"),
    rule("is-hardsigmoid", "1/6*relu6(a + 3)", "hardsigmoid(a)"),
    rule("is-relu6", "min(relu(a), 6)", "relu6(a)"),
)

RULES = (*TIDY, *EXPAND, *SHORTEN, *RECOGNISE)


def simplify(expression: str | Expr, holds: Holds = Holds.REAL) -> Expr:
    """A simpler expression of the same function, compositions shown by their names.

    With ``Holds.REAL`` (the default) the result equals the expression over the reals, wherever that is defined; off
    isolated points (x/x is 1). With ``Holds.FLOAT`` only rules that change no bit apply. Simplifying again changes
    nothing.

    >>> import actc
    >>> str(actc.simplify("max(x, 0) + 0*x"))
    'relu(x)'
    >>> str(actc.simplify("x/(1 + exp(-x))"))
    'silu(x)'
    """
    root = parse(expression)
    if holds is Holds.FLOAT:
        return _Rewriter(_index(TIDY), arithmetic=False)(root)
    form = canonical(root)
    # Reading names back into the normal form must lead to the same form; where it does not, the next round starts from
    # what it led to.
    for _ in range(8):
        named = _Rewriter(_index(RECOGNISE), arithmetic=False, pairs=True)(form)
        again = canonical(named)
        if again is form:
            return named
        form = again
    return form


def canonical(root: Expr) -> Expr:
    """The normal form in which equal functions meet as far as the rules reach: names written out, arithmetic in
    order."""
    return _Rewriter(_index((*EXPAND, *SHORTEN)), arithmetic=True)(root)


#: Links of a sum.
_CHAIN = frozenset({"add", "sub", "neg"})

_Index = dict[str, tuple[Rule, ...]]


@lru_cache(maxsize=8)
def _index(rules: tuple[Rule, ...]) -> _Index:
    table: dict[str, list[Rule]] = {}
    for r in rules:
        table.setdefault(r.pattern.name, []).append(r)
    return {name: tuple(rows) for name, rows in table.items()}


class _Rewriter:
    """Bottom-up rewriting to a fixed point, each distinct node once."""

    #: No chain of rewrites at one node is nearly this long; a cycle of rules would be.
    LONGEST = 100

    #: Sums of more terms are not searched for pairs that have a name.
    MOST_TERMS = 12

    def __init__(self, index: _Index, arithmetic: bool, pairs: bool = False) -> None:
        self.index, self.arithmetic, self.pairs = index, arithmetic, pairs
        self.done: dict[Expr, Expr] = {}
        self.depth = 0

    def __call__(self, root: Expr) -> Expr:
        stack = [root]
        while stack:
            node = stack[-1]
            waiting = [a for a in self.parts(node) if a not in self.done] if node not in self.done else []
            if waiting:
                stack.extend(waiting)
                continue
            stack.pop()
            if node not in self.done:
                self.done[node] = self.finish(self.rebuilt(node))
        return self.done[root]

    def parts(self, node: Expr) -> list[Expr]:
        """What must be at its fixed point before the node: its arguments, for a long sum all its terms at once."""
        if not self.arithmetic or node.name not in _CHAIN:
            return list(node.args)
        terms: dict[Expr, None] = {}
        links: dict[Expr, None] = {node: None}
        for link in (stack := [node]):
            for a in link.args:
                if a.name in _CHAIN and a.kind == "apply" and a not in self.done:
                    if a not in links:
                        links[a] = None
                        stack.append(a)
                else:
                    terms[a] = None
        return list(terms)

    def rebuilt(self, node: Expr) -> Expr:
        """The node over the fixed points of its parts."""
        built: dict[Expr, Expr] = {}
        stack = [node]
        while stack:
            top = stack[-1]
            links = [a for a in top.args if a not in self.done and a not in built]
            if links:
                stack.extend(links)
                continue
            built[stack.pop()] = top.with_args(tuple(self.done[a] if a in self.done else built[a] for a in top.args))
        return built[node]

    def finish(self, node: Expr) -> Expr:
        """The fixed point of a node whose parts are at theirs."""
        changed = self.by_structure(node) if self.arithmetic and node.kind == "apply" else node
        if changed is node or changed.name in _CHAIN:
            # The terms of a sorted sum are at their fixed points already, so rules are all that is left to try.
            ordered, changed = changed, self.by_rule(changed)
            if changed is ordered:
                return ordered
        if self.depth > self.LONGEST:
            return node
        self.depth += 1
        try:
            return self(changed)
        finally:
            self.depth -= 1

    @staticmethod
    def by_structure(node: Expr) -> Expr:
        return expr_of(sum_of(node)) if node.name in ARITHMETIC else _by_law(node)

    def by_rule(self, node: Expr) -> Expr:
        for r in self.index.get(node.name, ()) if node.kind == "apply" else ():
            binding = match(r.pattern, node)
            if binding is not None and (r.condition is None or r.condition(binding)):
                return instantiate(r.result, binding)
        return self.by_pair(node) if self.pairs and node.name in ("add", "sub") else node

    def by_pair(self, node: Expr) -> Expr:
        """A longer sum with two of its terms replaced by the name that a rule has for them, as 1 - erf(a) among
        others."""
        total = sum_of(node)
        if 2 < len(total) <= self.MOST_TERMS:
            for pair in itertools.combinations(total, 2):
                two = expr_of({product: total[product] for product in pair})
                named = self.by_rule(two)
                if named is not two:
                    rest = expr_of({product: c for product, c in total.items() if product not in pair})
                    return apply("sub", named, negated(rest)) if looks_negative(rest) else apply("add", rest, named)
        return node


def _by_law(node: Expr) -> Expr:
    """What the operator's row alone tells: exact values, commuting and associating arguments, parity, f(f(a)) and f(a,
    a)."""
    row, args = operator(node.name), node.args
    values = [a.value for a in args if a.value is not None]
    if node.name == "where" and args[0].value is not None:
        return args[1] if args[0].value else args[2]
    if row.exact is not None and len(values) == len(args):
        return constant(Fraction(row.exact(*values)))
    if {Law.COMMUTATIVE, Law.ASSOCIATIVE, Law.IDEMPOTENT} <= row.laws:
        parts = _flat(node, row.name)
        result, *rest = sorted(dict.fromkeys(parts), key=lambda e: (e.kind == "constant", sort_key(e)))
        for part in rest:
            result = apply(row.name, result, part)
        return result
    if Law.COMMUTATIVE in row.laws and sort_key(args[1]) < sort_key(args[0]):
        return apply(row.name, args[1], args[0])
    if len(args) == 1 and args[0].name == node.name:
        if Law.PROJECTION in row.laws:
            return args[0]
        if Law.INVOLUTION in row.laws:
            return args[0].args[0]
    if row.parity and len(args) == 1:
        if args[0].value == 0 and row.parity == "odd" and 0.0 not in row.poles:
            return args[0]
        if looks_negative(args[0]):
            flipped = apply(row.name, negated(args[0]))
            return flipped if row.parity == "even" else apply("neg", flipped)
    return node


def _flat(node: Expr, name: str) -> list[Expr]:
    parts: list[Expr] = []
    stack = [node]
    while stack:
        top = stack.pop()
        if top.name == name and top.kind == "apply":
            stack.extend(reversed(top.args))
        else:
            parts.append(top)
    return parts


def match(pattern: Expr, node: Expr, binding: dict[str, Expr] | None = None) -> dict[str, Expr] | None:
    """The binding of the pattern's letters under which it is the node, or None. ``-a`` also matches what is simpler
    negated."""
    binding = {} if binding is None else binding
    if pattern.kind == "symbol":
        if pattern.name == "k" and node.value is None:
            return None
        known = binding.get(pattern.name)
        if known is None:
            return {**binding, pattern.name: node}
        return binding if known is node else None
    if pattern.kind == "constant":
        return binding if pattern is node else None
    if pattern.name == "neg" and pattern.args[0].kind == "symbol" and node.name != "neg" and looks_negative(node):
        return match(pattern.args[0], negated(node), binding)
    if node.name != pattern.name or node.kind != "apply" or len(node.args) != len(pattern.args):
        return None
    orders = [node.args]
    if len(node.args) == 2 and Law.COMMUTATIVE in operator(node.name).laws:
        orders.append(node.args[::-1])
    for order in orders:
        found: dict[str, Expr] | None = binding
        for p, n in zip(pattern.args, order, strict=True):
            found = match(p, n, found) if found is not None else None
        if found is not None:
            return found
    return None


def instantiate(template: Expr, binding: dict[str, Expr]) -> Expr:
    """The template with its letters replaced."""
    return template.substitute(binding)

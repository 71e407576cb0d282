"""Sums of products in normal form: the arithmetic part of an expression, written in one way.

A sum is a map from products to rational coefficients, a product a map from factors to integer exponents. Terms collect,
constants fold exactly, equal factors become powers; products of sums are not multiplied out. All of this is true over
the reals, not in floating point.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Any
from weakref import WeakKeyDictionary

from actc.expr import MAX_BITS, Expr, applied, apply, constant, postorder
from actc.operators import operator

#: (factor, exponent) pairs in canonical order; the empty product is 1.
Product = tuple[tuple[Expr, int], ...]
Sum = dict[Product, Fraction]

#: Integer powers beyond this stay powers of one factor.
MAX_EXPONENT = 64

#: Longer sums, products and chains of max, and arithmetic on them, stay as they are written; each is then one factor.
#: So the work on an expression grows with its size, however often its parts occur in each other.
MAX_TERMS = 128

_ONE = Fraction(1)

ARITHMETIC = frozenset({"add", "sub", "mul", "div", "neg", "pow"})


def sum_of(node: Expr) -> Sum:
    """The normal form of an arithmetic node whose arguments are in normal form; any other node is a single factor.

    The result is shared: do not change it.
    """
    if node.name not in ARITHMETIC:
        return _alone(node)
    stack = [node]
    while stack:
        top = stack[-1]
        waiting = [a for a in top.args if a._sum is None and a.name in ARITHMETIC] if top._sum is None else ()
        if waiting:
            stack.extend(waiting)
        else:
            stack.pop()
            if top._sum is None:
                top._sum = _sum(top)
    return node._sum or {}


def is_arithmetic(node: Expr) -> bool:
    """Whether the node is a sum, a product, a quotient or a whole power."""
    if node.kind != "apply" or node.name not in ARITHMETIC:
        return False
    if node.name == "div":
        return node.args[1].value != 0
    exponent = node.args[-1].value
    return node.name != "pow" or (exponent is not None and exponent.denominator == 1)


def _alone(node: Expr) -> Sum:
    """The sum of a constant, or of a node that is one factor."""
    if node.value is not None:
        return {(): node.value} if node.value else {}
    return {((node, 1),): _ONE}


def _sum(node: Expr) -> Sum:
    total = {} if any(a._long for a in node.args) else _combined(node)
    # What an addition leaves as it was is not looked at again.
    new = sum_of(node.args[1]) if node.name in ("add", "sub") else total
    node._long = any(a._long for a in node.args) or _is_long(total, new)
    return _alone(node) if node._long else total


def _is_long(total: Sum, new: Sum) -> bool:
    # Sums that double at every step would grow numbers without end, and sums of sums of sums write each term again and
    # again.
    return len(total) > MAX_TERMS or any(
        len(p) > MAX_TERMS or (p in total and _too_long(total[p])) for p in new
    )


def _combined(node: Expr) -> Sum:
    a = sum_of(node.args[0])
    if node.name == "neg":
        return _scaled(a, Fraction(-1))
    b = sum_of(node.args[1])
    alone = _alone(node)
    if node.name in ("add", "sub"):
        sign = 1 if node.name == "add" else -1
        total = dict(a)
        for product, c in b.items():
            if not _collected(total, product, sign * c):
                return alone
        return total if all(total.values()) else _without_zeros(total)
    if node.name == "mul":
        if _is_number(a) or _is_number(b):
            return _scaled(b, a[()]) if _is_number(a) else _scaled(a, b[()])
        return _or(_product([(a, 1), (b, 1)]), alone)
    if node.name == "div":
        if not b or 0 in b.values():
            return alone
        return _scaled(a, 1 / b[()]) if _is_number(b) else _or(_product([(a, 1), (b, -1)]), alone)
    exponent = node.args[1].value
    if (
        exponent is None
        or exponent.denominator != 1
        or not 0 < abs(exponent) <= MAX_EXPONENT
        or not a
        or 0 in a.values()
    ):
        return alone
    return _or(_product([(a, int(exponent))]), alone)


def _collected(total: Sum, product: Product, c: Fraction) -> bool:
    """Add c times the product to the sum, if that is the sum of the two: ∞ - ∞ is not 0·∞ and 2·∞ - ∞ not ∞."""
    before = total.get(product)
    if before is not None and not (before > 0 < c or before < 0 > c or before == c or _is_finite(product)):
        return False
    total[product] = c if before is None else before + c
    return True


def _is_finite(product: Product) -> bool:
    return all(_everywhere().finite(factor) for factor, _ in product)


def _or(total: Sum | None, otherwise: Sum) -> Sum:
    return otherwise if total is None else total


def _is_number(total: Sum) -> bool:
    return tuple(total) == ((),)


def normal(node: Expr) -> Expr:
    """An arithmetic node whose arguments are in normal form, in normal form."""
    return node if node._normal else expr_of(sum_of(node))


def _built(name: str, *args: Expr) -> Expr:
    """A piece of a normal form, which is in normal form itself."""
    node = applied(name, args)
    node._normal = True
    return node


def expr_of(total: Sum) -> Expr:
    """The expression of a sum in normal form: ``sum_of(expr_of(s)) == s``."""
    terms = sorted(total.items(), key=lambda item: (not item[0], _product_key(item[0])))
    if not terms:
        return constant(0)
    # A positive term leads where there is one: 1 - x, not -x + 1.
    lead = next((i for i, (_, c) in enumerate(terms) if c.numerator > 0), 0)
    terms.insert(0, terms.pop(lead))
    result = _term(*terms[0])
    # Whether a term with the coefficient 0 stays depends on the case.
    build = _built if all(total.values()) else apply
    for product, c in terms[1:]:
        below = c.numerator < 0
        result = build("sub" if below else "add", result, _term(product, -c if below else c))
    if result.name in ARITHMETIC and not _is_long(total, total):
        result._sum = total
    return result


def looks_negative(node: Expr) -> bool:
    """Whether every coefficient is negative, or as many as not with a negative one in front: then ``-node`` is the
    simpler one."""
    total = sum_of(node)
    balance = sum(1 if c.numerator < 0 else -1 for c in total.values())
    return balance > 0 or (balance == 0 and bool(total) and leading_coefficient(total) < 0)


def leading_coefficient(total: Sum) -> Fraction:
    """The coefficient of the product that comes first in canonical order, of those that have one other than 0."""
    first = min((p for p, c in total.items() if c), key=lambda p: (not p, _product_key(p)), default=None)
    return Fraction(0) if first is None else total[first]


def negated(node: Expr) -> Expr:
    """``-node`` in normal form."""
    return expr_of(_scaled(sum_of(node), Fraction(-1)))


class Knowledge:
    """What is known of expressions' values; what it takes to find out is remembered."""

    def __init__(self) -> None:
        self._rarely: WeakKeyDictionary[Expr, bool] = WeakKeyDictionary()
        self._finite: WeakKeyDictionary[Expr, bool] = WeakKeyDictionary()

    def bounds(self, a: Expr) -> tuple[Any, Any]:
        """Numbers that no value is below and above."""
        raise NotImplementedError

    def varies(self, a: Expr) -> bool:
        """Whether it is known to take no value but at isolated points."""
        raise NotImplementedError

    def vanishes_rarely(self, a: Expr) -> bool:
        """Whether it is known to vanish at isolated points only."""
        if a.value is not None or a.kind == "symbol":
            return a.value != 0
        if a not in self._rarely:
            self._rarely[a] = self._has_few_zeros(a)
        return self._rarely[a]

    def _has_few_zeros(self, a: Expr) -> bool:
        if a.name == "exp":
            # 0 at −∞ alone.
            return self.finite(a)
        if a.name in ("abs", "neg", "mul", "max", "min", "where"):
            # Its zeros are some of theirs.
            return all(map(self.vanishes_rarely, a.args[a.name == "where" :]))
        low, high = self.bounds(a)
        return bool(low > 0 or high < 0) or self.varies(a)

    def finite(self, a: Expr) -> bool:
        """Whether it and its parts are known to be infinite at isolated points only: 1/relu(x) is so on half the
        line."""
        if a not in self._finite:
            for node in postorder(a, known=self._finite):
                self._finite[node] = all(self._finite[b] for b in node.args) and not self._may_stay_at_a_pole(node)
        return self._finite[a]

    def _may_stay_at_a_pole(self, node: Expr) -> bool:
        if node.kind != "apply":
            return False
        row = operator(node.name)
        if node.name in ("div", "pow"):
            power = node.args[1].value if node.name == "pow" else None
            return (power is None or power < 0) and not self.vanishes_rarely(node.args[node.name == "div"])
        if not any(map(math.isinf, row.image)) or not row.poles:
            return False
        low, high = self.bounds(node.args[0])
        return any(low <= p <= high for p in row.poles) and not self.varies(node.args[0])

    def stays_inside(self, node: Expr) -> bool:
        """Whether the operator's argument is known to stay in its domain, at whose ends it may be infinite."""
        row = operator(node.name)
        low, high = self.bounds(node.args[0])
        least, most = row.domain
        return bool(low > least if least in row.poles else low >= least) and bool(
            high < most if most in row.poles else high <= most
        )


def _everywhere() -> Knowledge:
    """What the operators' rows and a few values tell, of all x."""
    from actc.rules import everywhere

    return everywhere()


def total_function(node: Expr, known: Knowledge) -> bool:
    """Whether it is known to be a number everywhere but at isolated points."""
    return all(_doubt(n, known) is None for n in postorder(node))


def doubts(node: Expr, known: Knowledge) -> set[Expr]:
    """The parts that decide where it is undefined: denominators that may vanish, and what may leave its domain.

    A choice, which may not take what is undefined, is one part, and a comparison is defined everywhere.
    """
    found: set[Expr] = set()
    waiting, seen = [node], {node}
    while waiting:
        part = waiting.pop()
        if part.kind == "apply" and operator(part.name).chooses:
            if not total_function(part, known):
                found.add(part)
            continue
        if (doubt := _doubt(part, known)) is not None:
            found.add(doubt)
        if part.kind != "apply" or not operator(part.name).compares:
            waiting += [a for a in part.args if a not in seen]
            seen.update(part.args)
    return found


def _doubt(node: Expr, known: Knowledge) -> Expr | None:
    if node.kind != "apply":
        return None
    if node.name == "div":
        return None if known.vanishes_rarely(node.args[1]) else node.args[1]
    if node.name == "pow":
        base, exponent = node.args[0], node.args[1].value
        if exponent is None or exponent.denominator != 1:
            return node
        return None if exponent >= 0 or known.vanishes_rarely(base) else base
    row = operator(node.name)
    if row.has_endless_poles:
        return None if known.varies(node.args[0]) or all(end.is_finite() for end in known.bounds(node)) else node
    for i in row.divisors:
        if not known.vanishes_rarely(node.args[i]):
            return node.args[i]
    return None if row.domain == (-math.inf, math.inf) or known.stays_inside(node) else node


def vanished(product: Product, known: Knowledge) -> Product:
    """What is left of 0 times the product: the factors that may be undefined or, below the line, 0."""
    return tuple(
        (factor, 1 if e > 0 else -1)
        for factor, e in product
        if not (total_function(factor, known) and (e > 0 or known.vanishes_rarely(factor)))
    )


def _cancels(factor: Expr) -> bool:
    # x/x is 1 off an isolated point; relu(x)/relu(x) is undefined on half the line.
    return _everywhere().vanishes_rarely(factor) and total_function(factor, _everywhere())


def _without_zeros(total: Sum) -> Sum:
    """The sum without the terms that are 0 and everywhere defined."""
    kept = {p: c for p, c in total.items() if c}
    for product in total.keys() - kept.keys():
        if left := vanished(product, _everywhere()):
            # c·∞ + 0·∞ is not c·∞: what has a term of its own stays as it is.
            kept.setdefault(left if kept.get(left, 0) == 0 or _is_finite(left) else product, Fraction(0))
    return kept


def _scaled(total: Sum, by: Fraction) -> Sum:
    scaled = {p: c * by for p, c in total.items()}
    return scaled if by else _without_zeros(scaled)


def _product(parts: list[tuple[Sum, int]]) -> Sum | None:
    """The product of sums to integer powers, or None where writing it as one would change what it is defined on."""
    coefficient = Fraction(1)
    exponents: dict[Expr, int] = {}
    exponential: Sum = {}
    for total, power in parts:
        if not total:
            others = _product([part for part in parts if part[0]]) if power > 0 else None
            return None if others is None else _scaled(others, Fraction(0))
        if len(total) == 1:
            ((product, c),) = total.items()
        else:
            # Sums as factors are scaled to a leading coefficient of one, so that 2x + 2 and x + 1 are the same factor,
            # and signed by their constant, so that 1 - erf(x) stays what it is.
            c = abs(leading_coefficient(total))
            if c == 0:
                return None
            if total.get((), leading_coefficient(total)) < 0 and (power > 0 or _has_inverse(expr_of(total))):
                c = -c
            product = ((expr_of(_scaled(total, 1 / c)), 1),)
        if power < 0 and not all(_has_inverse(factor) for factor, _ in product):
            product, c, power = *_inverse(product, c, -power), 1
        coefficient *= c**power
        for factor, e in product:
            if factor.name == "exp":
                for p, scale in sum_of(factor.args[0]).items():
                    if not _collected(exponential, p, scale * e * power):
                        return None
                continue
            before = exponents.get(factor, 0)
            # x/x is 1 off an isolated point; relu(x)/relu(x) is undefined on half the line.
            if before * e * power < 0 and not _cancels(factor):
                return None
            exponents[factor] = before + e * power
    if any(not c and vanished(p, _everywhere()) for p, c in exponential.items()):
        return None
    exponential = {p: c for p, c in exponential.items() if c}
    if exponential:
        exponents[apply("exp", expr_of(exponential))] = 1
    kept = tuple(sorted(((f, e) for f, e in exponents.items() if e), key=lambda pair: sort_key(pair[0])))
    if len(kept) == 1 and kept[0][1] == 1 and kept[0][0].name in ("add", "sub"):
        # A lone sum takes the coefficient in: 2·(x + 1) is 2x + 2.
        return _scaled(sum_of(kept[0][0]), coefficient)
    return {kept: coefficient}


def _has_inverse(factor: Expr) -> bool:
    """Whether 1/(a·b) is 1/a·1/b for it: not where a part is infinite, nor where it is 0 on an interval, for 0 has no
    sign: 1/(x·relu(x)) is ∞ for x < 0, as 1/0 is."""
    return _everywhere().finite(factor) and _everywhere().vanishes_rarely(factor)


def _inverse(product: Product, c: Fraction, power: int) -> tuple[Product, Fraction]:
    """``1/(c·product)**power`` with what has no inverse as one factor, 1 over it, which may be multiplied."""
    c **= power
    # What is positive leaves the sign of the rest to decide.
    positive = {f for f, _ in product if f.name == "exp" and _has_inverse(f)}
    kept = tuple((f, -e * power) for f, e in product if f in positive)
    rest = tuple((f, e * power) for f, e in product if f not in positive)
    common = math.gcd(*(e for _, e in rest))
    if c < 0 and common % 2 == 0:
        common = 1
    base = expr_of({tuple((f, e // common) for f, e in rest): Fraction(1 if c > 0 else -1)})
    return (*kept, (_built("div", constant(1), base), common)), 1 / abs(c)


def _is_inverse(factor: Expr) -> bool:
    return factor.name == "div" and factor.args[0] is constant(1) and factor.args[1].value is None and factor._normal


def _too_long(value: Fraction) -> bool:
    return max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS


def _term(product: Product, c: Fraction) -> Expr:
    if not product:
        return constant(c)
    if c == 1 and len(product) == 1 and product[0][1] == 1:
        return product[0][0]
    inverses = [(f.args[1], e) for f, e in product if _is_inverse(f)]
    above, below = (_factors([(f, e) for f, e in product if not _is_inverse(f)], sign) for sign in (1, -1))
    divisors = [*([] if below is None else [below]), *(_power(f, e) for f, e in inverses)]
    result = constant(c) if above is None else above
    for divisor in divisors:
        result = _built("div", result, divisor)
    if above is None or c == 1:
        return result
    return _built("neg", result) if c == -1 else (_built if c else apply)("mul", constant(c), result)


def _factors(product: Iterable[tuple[Expr, int]], sign: int) -> Expr | None:
    result: Expr | None = None
    for factor, e in product:
        if e * sign > 0:
            power = _power(factor, e * sign)
            result = power if result is None else _built("mul", result, power)
    return result


def _power(factor: Expr, exponent: int) -> Expr:
    return factor if exponent == 1 else _built("pow", factor, constant(exponent))


def _product_key(product: Product) -> tuple[object, ...]:
    return (sum(e if _is_inverse(f) else -e for f, e in product), tuple((sort_key(f), -e) for f, e in product))


def digest(node: Expr) -> bytes:
    """Fourteen bytes that name the expression, the same in every run, process and machine.

    The first two are its depth, so that a nest of products grows at its end and its parts stay parts.
    """
    if node._digest is None:
        stack = [node]
        while stack:
            top = stack[-1]
            waiting = [a for a in top.args if a._digest is None]
            if waiting:
                stack.extend(waiting)
                continue
            stack.pop()
            if top._digest is None:
                below = [digest(a) for a in top.args]
                depth = 1 + int.from_bytes(max(below, default=b"")[:2])
                parts = [top.kind.encode(), top.name.encode(), str(top.value).encode(), *below]
                named = hashlib.blake2b(b"|".join(parts), digest_size=12).digest()
                top._digest = min(depth, 0xFFFF).to_bytes(2) + named
    assert node._digest is not None
    return node._digest


def sort_key(node: Expr) -> tuple[int, str, bytes]:
    """The order of factors, terms and the arguments of commutative operators, the same in every run and process:
    inputs and parameters first, by name, then functions by name."""
    return (0 if node.kind == "symbol" else 1, node.name, digest(node))

"""Rules and the simplifier: every identity against mpmath or bit for bit, and simplification as a whole."""

from __future__ import annotations

import collections
import functools
import itertools
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import actc
from actc.enclosures import Region
from actc.expr import Expr, apply, constant, postorder, symbol
from actc.normal_form import MAX_TERMS
from actc.purposes import simplify
from actc.rules import DECIDE, RULES, Holds, Rule, canonical, instantiate, simplified, tidied
from tests.strategies import expressions

POINTS = (-40.0, -2.5, -1.0, -0.3, 0.0, 0.45, 1.0, 3.2, 25.0)
SPECIAL = np.array([-np.inf, -1e308, -2.5, -1.0, -5e-324, -0.0, 0.0, 5e-324, 0.7, 1.0, 3.25, 1e308, np.inf, np.nan])


def bindings(rule: Rule) -> list[dict[str, Expr]]:
    """The rule's letters bound to inputs, its constant to several numbers."""
    letters = dict(zip("abc", map(symbol, "xyz"), strict=True))
    constants = [constant(k) for k in (3, -2, 0.3)] if "k" in rule.pattern.symbols else [constant(1)]
    return [{n: letters.get(n, k) for n in rule.pattern.symbols} for k in constants]


def grid(expression: Expr, points: tuple[float, ...]) -> list[dict[str, float]]:
    names = sorted(expression.symbols)
    return [dict(zip(names, values, strict=True)) for values in itertools.product(points, repeat=len(names))]


def value(expression: Expr, values: dict[str, float]) -> mpmath.mpf:
    return expression.evaluate_mp(digits=40, **{n: v for n, v in values.items() if n in expression.symbols})


def agree(a: mpmath.mpf, b: mpmath.mpf) -> bool:
    return bool(abs(a - b) <= mpmath.mpf(10) ** -30 * (1 + abs(a)))


def test_rules_have_their_own_names() -> None:
    assert len({r.name for r in RULES}) == len(RULES)


@pytest.mark.parametrize("rule", [r for r in RULES if r.name != "negative-base"], ids=lambda r: r.name)
def test_rule_holds(rule: Rule) -> None:
    for binding in bindings(rule):
        left, right = instantiate(rule.pattern, binding), instantiate(rule.result, binding)
        assert right.symbols <= left.symbols
        if rule.holds is Holds.FLOAT:
            names = sorted(left.symbols)
            mesh = dict(zip(names, np.meshgrid(*[SPECIAL] * len(names)), strict=True))
            a, b = left.evaluate(**mesh), right.evaluate(**{n: mesh[n] for n in names})
            np.testing.assert_array_equal(a, b)
            np.testing.assert_array_equal(np.signbit(a)[~np.isnan(a)], np.signbit(b)[~np.isnan(b)])
            continue
        condition = None if rule.when is None else instantiate(rule.when, binding)
        tried = 0
        for values in grid(left, POINTS if len(left.symbols) < 3 else POINTS[1:-2]):
            if condition is not None and not value(condition, values):
                continue
            true, got = value(left, values), value(right, values)
            if mpmath.isfinite(true) or rule in DECIDE:
                tried += 1
                assert agree(true, got) or true == got or (mpmath.isnan(true) and mpmath.isnan(got)), values
        assert tried >= len(POINTS) // 3 or not left.symbols


#: What is infinite, 0 or undefined on one side of 0.
ONE_SIDED = (
    *("1/relu(x)", "-1/relu(x)", "1/-relu(x)", "x/relu(x)", "log(relu(x))", "atanh(sign(x))"),
    *("relu(x)", "1/0", "x"),
)


def same_on_both_sides(e: Expr, simple: Expr) -> bool:
    """Whether the two have the same values, infinite and undefined ones too."""
    for x in (-1.25, 0.75, 2.5):
        a, b = value(e, {"x": x}), value(simple, {"x": x})
        if not (a == b or agree(a, b) or (mpmath.isnan(a) and mpmath.isnan(b))):
            return False
    return True


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_rule_holds_where_a_part_is_infinite_or_asks(rule: Rule) -> None:
    letters = sorted(rule.pattern.symbols - {"k"})
    for parts in itertools.product(map(actc.parse, ONE_SIDED), repeat=len(letters)):
        if len(letters) < 3 or parts[1] is parts[2]:
            e = instantiate(rule.pattern, dict(zip(letters, parts, strict=True)) | {"k": constant(3)})
            assert same_on_both_sides(e, simplified(e)), e


@pytest.mark.parametrize("factor", ["sign(x)", "exp(x)", "x", "tanh(x)"])
@pytest.mark.parametrize("part", ["1/relu(x)", "-1/relu(x)", "1/(x > 0)", "2/relu(-x)"])
def test_nothing_times_infinity_beside_infinity_is_undefined(factor: str, part: str) -> None:
    e = actc.parse(f"0*({factor}*({part})) + {part}")
    assert same_on_both_sides(e, simplified(e))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(expressions(names=("x", "y"), size=5), st.sampled_from(ONE_SIDED), st.sampled_from(ONE_SIDED))
def test_simplified_value_where_a_part_is_infinite(e: Expr, x: str, y: str) -> None:
    e = e.substitute({"x": actc.parse(x), "y": actc.parse(y)})
    assert same_on_both_sides(e, simplified(e))


@pytest.mark.parametrize(
    ("text", "simple"),
    [
        ("(-1 - x**2)**tanh(x)", "0/0"),
        ("(-1 - x**2)**0.5", "0/0"),
        ("(-1 - x**2)**floor(x)", "(-(x**2) - 1)**floor(x)"),
        ("(-1 - x**2)**3", "-(x**2 + 1)**3"),
        ("x**tanh(x)", "x**tanh(x)"),
    ],
)
def test_negative_base(text: str, simple: str) -> None:
    """A negative number has real powers at whole exponents only, which most functions seldom are."""
    assert canonical(actc.parse(text)) is canonical(actc.parse(simple))


@pytest.mark.parametrize(
    ("text", "simple"),
    [
        ("x*sigmoid(x)", "silu(x)"),
        ("x/(1 + exp(-x))", "silu(x)"),
        ("2*x*sigmoid(x)", "2*silu(x)"),
        ("max(x, 0) + 0*x", "relu(x)"),
        ("exp(x) - 1", "expm1(x)"),
        ("log(sigmoid(x))", "log_sigmoid(x)"),
        ("-softplus(-x)", "log_sigmoid(x)"),
        ("log(exp(x) + 1)", "softplus(x)"),
        ("exp(x)*exp(-x)", "1"),
        ("x*x*x/x", "x**2"),
        ("(2*x + 2)*(x + 1)", "2*(x + 1)**2"),
        ("erfc(softplus(x))**2", "erfc(softplus(x))**2"),
        ("sqrt(x**2)", "abs(x)"),
        ("where(x > 0, x, 0.1*x)", "leaky_relu(x, 0.1)"),
        ("min(max(x + 3, 0), 6)/6", "hardsigmoid(x)"),
        ("max(max(x, 1), max(2, x))", "max(x, 2)"),
    ],
)
def test_simplified_form(text: str, simple: str) -> None:
    assert str(simplify(text)) == simple


@pytest.mark.parametrize("text", ["relu(x)/relu(x)", "log(x)*0", "log(x) - log(x)", "sqrt(x)/sqrt(x)", "sqrt(x)**0"])
def test_nothing_that_shrinks_where_it_is_defined_disappears(text: str) -> None:
    assert simplify(text).symbols == {"x"}


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("x*2 + 1", "1 + x + x"),
        ("a*b*x", "x*b*a"),
        ("-(x - y)", "y - x"),
        ("silu(x)", "x*(1 - sigmoid(-x))"),
        ("softplus(x)", "x + softplus(-x)"),
        ("1/(x*y)", "1/x/y"),
        ("tanh(-x)", "-tanh(x)"),
        ("max(x, 0)", "relu(x)"),
        ("exp(x)**2", "exp(2*x)"),
        ("max(log(x) + 9, log(x))", "log(x) + 9"),
        ("max(sqrt(x), -1)", "sqrt(x)"),
        ("max(log(1 + x**2), -1)", "log(1 + x**2)"),
        ("tanhshrink(tanhshrink(-tanhshrink(x)))", "-tanhshrink(tanhshrink(tanhshrink(x)))"),
    ],
)
def test_equal_functions_meet(a: str, b: str) -> None:
    assert canonical(actc.parse(a)) is canonical(actc.parse(b))


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(expressions(names=("x", "beta")))
def test_simplifying_twice_changes_nothing(e: Expr) -> None:
    once = simplify(e)
    assert simplify(once) is once
    tidy = tidied(e)
    assert tidied(tidy) is tidy


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(expressions(names=("x", "beta"), size=7), st.floats(-8, 8), st.floats(-3, 3))
def test_simplified_value_is_the_value(e: Expr, x: float, beta: float) -> None:
    values = {k: v for k, v in {"x": x, "beta": beta}.items() if k in e.symbols}
    true = e.evaluate_mp(digits=40, **values)
    simple = simplify(e)
    if mpmath.isfinite(true):
        assert agree(true, simple.evaluate_mp(digits=40, **{k: v for k, v in values.items() if k in simple.symbols}))


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(expressions(names=("x",)))
def test_tidying_changes_no_bit(e: Expr) -> None:
    a, b = e.evaluate(x=SPECIAL), tidied(e).evaluate(x=SPECIAL)
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(np.signbit(a)[~np.isnan(a)], np.signbit(b)[~np.isnan(b)])


def towers(step: Callable[[Expr], Expr], height: int) -> Expr:
    e = symbol("x")
    for _ in range(height):
        e = step(e)
    return e


X = symbol("x")
#: Expressions by what happens at every level, and how many levels: written out they would be endless.
TOWERS: dict[str, tuple[Callable[[Expr], Expr], int]] = {
    "doubled": (lambda e: e + e * 2, 600),
    "squared": (lambda e: e * e + e, 200),
    "terms": (lambda e: e + apply("sin", e), 200),
    "factors": (lambda e: e * apply("sin", e), 400),
    "maxima": (lambda e: apply("max", e, apply("sin", e)), 60),
    "powers": (lambda e: X**e, 300),
    "powers to the left": (lambda e: e**X, 300),
    "constant powers": (lambda e: constant(2) ** e, 300),
    "whole powers": (lambda e: (e + 1) ** 64, 300),
    "choices": (lambda e: apply("where", e > X, e, e + 1), 400),
    "square roots": (lambda e: apply("sqrt", e), 1000),
    "hardswish": (lambda e: apply("hardswish", e), 40),
}


@pytest.mark.parametrize("name", TOWERS)
def test_work_grows_with_size(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each node of the expression, nodes built and nodes bounded are at most some times what a chain may hold."""
    work = collections.Counter[str]()
    build, bound = actc.expr._intern, Region._bounds

    def counted(*what: Any) -> Expr:
        work["built"] += 1
        return build(*what)

    def bounded(self: Region, node: Expr) -> Any:
        work["bounded"] += 1
        return bound(self, node)

    step, height = TOWERS[name]
    e = towers(step, height)
    monkeypatch.setattr(actc.expr, "_intern", counted)
    monkeypatch.setattr(Region, "_bounds", bounded)
    once = simplify(e)
    assert work["built"] < 8 * MAX_TERMS * len(postorder(e)) and work["bounded"] < 20 * len(postorder(e))
    assert simplify(once) is once


def test_long_sums_and_products_end() -> None:
    terms = [apply("sin", X * k) for k in range(1000)]
    for name in ("add", "mul", "max"):
        assert len(postorder(simplify(functools.reduce(lambda a, b: apply(name, a, b), terms)))) < 4 * len(terms)


def test_long_chains_keep_their_value() -> None:
    """More terms than are sorted, which is where a chain is cut."""
    for name in ("add", "max"):
        e = functools.reduce(lambda a, b: apply(name, a, b), [apply("sin", X * k) for k in range(300, 0, -1)])
        assert agree(e.evaluate_mp(digits=40, x=0.7), simplify(e).evaluate_mp(digits=40, x=0.7))


@pytest.mark.parametrize(
    ("text", "simple"),
    [
        ("0*log(x) + 2*log(y)", "0*log(x) + 2*log(y)"),
        ("(0*log(x) + 0*log(y))*(x + 1)", "(0*log(x) + 0*log(y))*(x + 1)"),
        (f"max_n({', '.join(f'tanh(x) + {3 * k}' for k in range(14))})", "tanh(x) + 39"),
    ],
)
def test_long_and_vanishing_terms(text: str, simple: str) -> None:
    assert canonical(actc.parse(text)) is canonical(actc.parse(simple))
    assert canonical(canonical(actc.parse(text))) is canonical(actc.parse(text))

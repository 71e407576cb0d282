"""Nodes: interned in every thread and process, freed when nobody holds them, and of any depth."""

from __future__ import annotations

import copy
import gc
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings

from actc.derivatives import derivative
from actc.errors import ExpressionError
from actc.expr import Expr, _nodes, apply, as_expr, constant, postorder, symbol, tree_size
from actc.parsing import parse
from actc.safety import lower
from tests.strategies import expressions

X, Y = symbol("x"), symbol("y")


# --- building -------------------------------------------------------------------------------------------------------


def test_python_operators_build_nodes() -> None:
    assert X + 1 is parse("x + 1")
    assert 1 + X is parse("1 + x")
    assert X - 1 is parse("x - 1")
    assert 1 - X is parse("1 - x")
    assert X * 0.1 is parse("x*0.1")
    assert 2 * X is parse("2*x")
    assert X / Y is parse("x/y")
    assert 1 / X is parse("1/x")
    assert X**2 is parse("x**2")
    assert 2**X is parse("2**x")
    assert -X is parse("-x")
    assert abs(X) is parse("abs(x)")
    assert (X < 1) is parse("x < 1")
    assert (X <= Y) is parse("x <= y")
    assert (X > 1) is parse("x > 1")
    assert (X >= Y) is parse("x >= y")
    assert X + Fraction(1, 3) is parse("x + 1/3")
    assert X * np.float64(0.5) is parse("x*0.5")
    assert np.float64(0.5) * X is parse("0.5*x")


def test_equality_is_identity() -> None:
    assert symbol("x") == X
    assert X + 1 != 1 + X
    assert len({X + 1, X + 1, 1 + X}) == 2


def test_an_expression_has_no_truth_value() -> None:
    with pytest.raises(TypeError, match="no truth value"):
        bool(X > 0)
    with pytest.raises(TypeError, match="no truth value"):
        min(X, Y)


def test_constants_have_one_form() -> None:
    assert -constant(3) is constant(-3)
    assert constant(2) / 3 is constant(Fraction(2, 3))
    assert constant(0.1) is constant(Fraction(1, 10))
    assert constant(-0.0) is constant(0)
    assert constant(1) / 0 is not constant(0)
    assert (constant(1) / 0).kind == "apply"
    assert constant(1) + 2 is not constant(3)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), 10**500, Fraction(1, 10**500)])
def test_constants_beyond_every_type_are_refused(value: float) -> None:
    with pytest.raises(ExpressionError):
        constant(value)


def test_a_quotient_of_huge_constants_stays_a_division() -> None:
    e = constant(10**400) / constant(Fraction(1, 10**400))
    assert e.name == "div"
    assert parse(str(e)) is e


@pytest.mark.parametrize("value", ["x", None, True, 1j, [X], np.arange(3)])
def test_other_types_are_refused(value: object) -> None:
    with pytest.raises(TypeError, match="expected an expression or a number"):
        as_expr(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["", "1x", "a b", "lambda", "None", "inf", "e", "torch", "math", "sin", "pi", "__class__", "x.y"]
)
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(ExpressionError):
        symbol(name)


def test_names_are_compared_in_normal_form() -> None:
    assert symbol("ﬁ") is symbol("fi") is parse("ﬁ")
    assert symbol("ｘ") is X


def test_the_class_is_not_called() -> None:
    with pytest.raises(TypeError, match=r"actc\.parse"):
        Expr("x")


def test_variables_and_parameters() -> None:
    e = parse("z*b + x*a + pi")
    assert e.variables == ("x", "z")
    assert e.parameters == ("a", "b")
    assert parse("1").variables == parse("1").parameters == ()


# --- walking --------------------------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(expressions())
def test_postorder_lists_each_node_once_after_its_arguments(e: Expr) -> None:
    nodes = postorder(e)
    place = {node: i for i, node in enumerate(nodes)}
    assert len(place) == len(nodes)
    assert nodes[-1] is e
    assert all(place[a] < place[n] for n in nodes for a in n.args)
    assert e.symbols == {n.name for n in nodes if n.kind == "symbol"}


def test_postorder_of_several_roots() -> None:
    assert postorder(X + Y, X, Y * X) == [X, Y, X + Y, Y * X]


def test_substitution_is_simultaneous() -> None:
    assert parse("x*y").substitute({"x": Y, "y": X}) is parse("y*x")
    assert parse("silu(x)*y").substitute({"x": 2}) is parse("silu(2)*y")
    assert parse("-x").substitute({"x": 2}) is constant(-2)
    e = parse("x + 1")
    assert e.substitute({"q": 3}) is e


def test_tree_size_counts_shared_parts_as_often_as_they_occur() -> None:
    e = X
    for _ in range(100):
        e = e + e
    assert tree_size(e) == 2**101 - 1
    assert tree_size(e, limit=1000) == float("inf")


# --- one object -----------------------------------------------------------------------------------------------------


@settings(max_examples=300)
@given(expressions())
def test_copies_and_pickles_are_the_same_object(e: Expr) -> None:
    assert copy.copy(e) is e
    assert copy.deepcopy([e])[0] is e
    assert pickle.loads(pickle.dumps(e)) is e


def test_a_fresh_process_interns_what_it_unpickles() -> None:
    e = parse("t = gelu(x)*beta; where(t > 0.1, t, leaky_relu(t))")
    program = (
        "import pickle, sys; from actc.parsing import parse\n"
        "e = pickle.loads(sys.stdin.buffer.read())\n"
        "assert e is parse(str(e)); sys.stdout.buffer.write(pickle.dumps(e))"
    )
    run = subprocess.run([sys.executable, "-c", program], input=pickle.dumps(e), capture_output=True, check=True)
    assert pickle.loads(run.stdout) is e


def test_threads_share_nodes() -> None:
    texts = [f"sin(x*{i}) + exp(beta/{i + 1})**{i % 7}" for i in range(300)]
    results: list[list[Expr]] = []
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        found = [parse(t) for t in texts]
        for t in texts:
            parse(t + "*1.5")  # made and dropped at once, while others make the same
        results.append(found)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        sys.setswitchinterval(interval)
    assert len(results) == 8
    for found in results[1:]:
        assert all(a is b for a, b in zip(found, results[0], strict=True))


def test_nodes_are_freed() -> None:
    gc.collect()
    before = len(_nodes)
    kept = [parse(f"sin(x + {i} + 1/7919)*q{i}") for i in range(1000)]
    assert len(_nodes) > before + 3000
    del kept
    gc.collect()
    assert len(_nodes) <= before + 10


# --- depth ----------------------------------------------------------------------------------------------------------

DEEP: dict[str, Callable[[Expr, int], Expr]] = {
    "sum": lambda e, i: e + i,
    "calls": lambda e, i: apply("sin", e),
    "squares": lambda e, i: e * e,
    "choice": lambda e, i: apply("where", e, X, e),
    "defined": lambda e, i: apply("silu", e),
}


@pytest.mark.parametrize("name", DEEP)
def test_depth_is_no_limit(name: str) -> None:
    step = DEEP[name]
    e = X
    for i in range(10_000):
        e = step(e, i)
    assert str(e) and e.latex()
    assert pickle.loads(pickle.dumps(e)) is e
    assert e.evaluate(x=0.5).shape == ()
    assert derivative(e).symbols <= {"x"}
    assert lower(e, safe=True, clamp=10).symbols == {"x"}
    assert e.substitute({"x": Y}).variables == ("y",)


def test_deep_graphs_are_freed_without_recursion() -> None:
    e = symbol("only_here")
    for _ in range(100_000):
        e = -e
    before = len(_nodes)
    del e
    gc.collect()
    assert len(_nodes) <= before - 100_000

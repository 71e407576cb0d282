"""Programs: the ATen source computes what numpy does, nothing twice, and constants are rounded once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actc.derivatives import derivative
from actc.expr import Expr, apply, postorder, symbol
from actc.operators import OPERATORS
from actc.parsing import parse
from actc.program import Program, expand, number_source
from tests.strategies import expressions

X = symbol("x")

#: Rows whose value both libraries round correctly. (torch 2.13 on a CPU gives sqrt(2) one unit too low.)
ARITHMETIC = [
    row
    for row in OPERATORS.values()
    if all(
        node.name in {"abs", "add", "sub", "mul", "div", "neg", "max", "min", "where", "floor", "sign", "relu"}
        or node.kind != "apply"
        or OPERATORS[node.name].derivative == ("0", "0")
        for node in postorder(expand(apply(row.name, *(symbol(f"a{i}") for i in range(row.arity)))))
    )
]


def run(source: str, *inputs: Any, name: str = "forward") -> tuple[Any, ...]:
    namespace: dict[str, Any] = {"torch": torch, "math": math}
    exec(source, namespace)
    results: tuple[Any, ...] = namespace[name](*inputs)
    return results


def aten(e: Expr, **inputs: np.ndarray) -> np.ndarray:
    program = Program.of([e])
    (value,) = run(program.aten_source(), *(torch.tensor(inputs[n], dtype=torch.float64) for n in program.inputs))
    return np.asarray(torch.as_tensor(value, dtype=torch.float64))


GRID = np.array(
    [-1e300, -37.5, -3.0, -1.0, -0.3, -1e-9, -0.0, 0.0, 1e-300, 0.5, 1.0, 2.0, 8.25, 1e9, np.inf, -np.inf, np.nan]
)


@settings(max_examples=500)
@given(expressions(rows=ARITHMETIC))
def test_arithmetic_is_bit_for_bit_that_of_numpy(e: Expr) -> None:
    inputs = {name: np.roll(GRID, i) for i, name in enumerate(sorted(e.symbols))}
    expected = e.evaluate(**inputs)
    np.testing.assert_array_equal(np.broadcast_to(aten(e, **inputs), expected.shape), expected)


@settings(max_examples=500)
@given(expressions(size=5), st.integers(0, 1))
def test_any_expression_runs_and_has_the_same_special_values_as_its_parts(e: Expr, order: int) -> None:
    """Functions of two libraries differ by an ulp, which later steps may magnify, so that only each step can be
    compared: with arguments by numpy, the step by ATen."""
    e = derivative(e, "x", order)
    inputs = {name: np.roll(GRID[:-3], i) for i, name in enumerate(sorted(e.symbols))}
    for node in postorder(expand(e)):
        if node.kind == "apply" and node.symbols:
            step = apply(node.name, *(symbol(f"a{i}") if a.symbols else a for i, a in enumerate(node.args)))
            values = {
                f"a{i}": np.broadcast_to(a.evaluate(**{n: inputs[n] for n in a.symbols}), GRID[:-3].shape)
                for i, a in enumerate(node.args)
                if a.symbols
            }
            want = step.evaluate(**values)
            np.testing.assert_allclose(aten(step, **values), want, rtol=4e-14, atol=1e-290, err_msg=node.name)


def test_derivatives_share_with_the_value() -> None:
    e = parse("x*exp(-x**2)")
    both = Program.of([e, derivative(e)])
    apart = len(Program.of([e]).instructions) + len(Program.of([derivative(e)]).instructions)
    assert len(both.instructions) < apart - 3
    assert [i.op for i in both.instructions].count("exp") == 1


@settings(max_examples=300)
@example(symbol("x"), parse("(0 + 0 + x) + (0 + x)"), False)
@given(expressions(), expressions(), st.booleans())
def test_nothing_is_computed_twice_and_everything_is_used(a: Expr, b: Expr, expanded: bool) -> None:
    program = Program.of([a, b], expand=expanded)
    assert len(set(map(repr, program.instructions))) == len(program.instructions)
    used = {arg for ins in program.instructions for arg in ins.args} | set(program.outputs)
    inputs = set(range(len(program.inputs)))
    assert used | inputs == set(range(len(program.instructions)))
    for i, ins in enumerate(program.instructions):
        assert all(arg < i for arg in ins.args)
        if expanded and ins.op not in ("input", "constant"):
            assert OPERATORS[ins.op].aten is not None
    if not expanded:
        assert set(program.inputs) == a.symbols | b.symbols


def test_inputs_come_in_order() -> None:
    assert Program.of([parse("b + z + a + x")]).inputs == ("x", "z", "a", "b")


def test_what_the_definition_drops_is_no_input() -> None:
    assert Program.of([parse("left(x, y)")]).inputs == ("x",)
    assert Program.of([parse("left(x, y)")], expand=False).inputs == ("x", "y")
    assert Program.of([parse("where(1 > 0, x, y)")]).inputs == ("x",)


def test_constants_are_rounded_once() -> None:
    program = Program.of([parse("x*(0.1 + 0.2) + sqrt(2)*sqrt(2)")])
    assert sorted(i.value for i in program.instructions if i.value is not None) == [0.3, 2.0]
    program = Program.of([parse("x + pi*1e300*1e300/1e300")])
    assert [i.value for i in program.instructions if i.op == "constant"] == [math.pi * 1e300]


@pytest.mark.parametrize(
    ("text", "value"),
    [("2/3", 2 / 3), ("pi", math.pi), ("1/0", math.inf), ("-1/0", -math.inf), ("-1e400", -math.inf), ("1e-400", 0.0)],
)
def test_a_constant_root(text: str, value: float) -> None:
    program = Program.of([parse(text)])
    assert program.inputs == ()
    assert run(program.aten_source()) == (value,)


def test_roots_may_repeat_and_may_be_inputs_and_constants() -> None:
    program = Program.of([X, parse("x + 1"), X, parse("3"), parse("nan_ - nan_")])
    x, n = torch.tensor([1.0, 2.0]), torch.tensor([math.inf])
    got = run(program.aten_source(), n, x) if program.inputs == ("nan_", "x") else run(program.aten_source(), x, n)
    assert got[0] is x and got[2] is x and got[3] == 3.0
    assert got[4].isnan().all()


def test_numbers_as_source() -> None:
    assert number_source(math.nan) == "math.nan"
    assert number_source(-math.inf) == "(-math.inf)"
    assert number_source(-0.0) == "(-0.0)"
    assert number_source(-1.5) == "(-1.5)"
    assert number_source(1e300) == "1e+300"


@pytest.mark.parametrize("name", ["v", "v1", "v2", "_v1", "k1", "forward", "print", "tensor", "args", "é"])
def test_parameters_never_meet_generated_names(name: str) -> None:
    e = parse(f"relu({name})*x + exp({name} + 1)")
    inputs = {"x": np.array([1.0, 2.0]), name: np.array([0.5, -0.5])}
    np.testing.assert_allclose(aten(e, **inputs), e.evaluate(**inputs), rtol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("row", [r for r in OPERATORS.values() if r.arity], ids=lambda row: row.name)
def test_the_type_of_the_inputs_is_kept(row: Any, dtype: torch.dtype) -> None:
    e = apply(row.name, *(symbol(n) for n in ("x", "a", "b")[: row.arity]))
    program = Program.of([e, derivative(e)])
    inputs = [torch.rand(3, 1, dtype=dtype), torch.rand(2, dtype=dtype), torch.rand((), dtype=dtype)]
    for result in run(program.aten_source(), *inputs[: len(program.inputs)]):
        assert not isinstance(result, torch.Tensor) or result.dtype == dtype


def test_the_function_bears_the_name_asked_for() -> None:
    source = Program.of([X + 1]).aten_source("backward")
    assert source.startswith("def backward(x):\n")
    assert run(source, torch.tensor(1.0), name="backward")[0].item() == 2.0


def test_comparisons_used_as_numbers() -> None:
    x = np.array([-1.0, 0.0, 1.0, np.nan])
    for text in (
        "(x > 0)*x",
        "where((x > 0)*(x < 2), x, 7)",
        "x > 0",
        "where(x > 0, x > 0.5, x)",
        "(x > 0) + (x == x)",
    ):
        np.testing.assert_array_equal(aten(parse(text), x=x), parse(text).evaluate(x=x))


def test_programs_are_cached_and_equal() -> None:
    assert Program.of([X + 1]) is Program.of([parse("x + 1")])
    assert Program.of([X + 1]) == Program.of((X + 1,))


def test_rows_that_are_kept_are_not_written_out() -> None:
    program = Program.of([parse("silu(x)*mish(silu(x))")], keep=frozenset({"silu"}))
    operators = [each.op for each in program.instructions]
    assert operators.count("silu") == 1 and "mish" not in operators and "exp" in operators

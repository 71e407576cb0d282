"""Ranges hold the values of every instruction, whatever the inputs."""

from __future__ import annotations

import torch
from hypothesis import given, settings

from actc import pipeline
from actc.expr import Expr
from actc.kernels.aten import tensor_function
from actc.kernels.ranges import negative_zeros, ranges
from actc.parsing import parse
from actc.program import Program
from tests.strategies import expressions

POINTS = torch.tensor([0, 1e-300, 1e-8, 0.3, 1.0, 1.7, 5.0, 40.0, 800.0, 1e160, 1e308, torch.inf], dtype=torch.float64)


@given(expressions(names=("x", "beta")))
@settings(max_examples=50)
def test_values_lie_within(expression: Expr) -> None:
    program = pipeline.program([expression])
    every = Program(program.inputs, program.instructions, tuple(range(len(program.instructions))))
    points = torch.cat([POINTS, -POINTS])
    tensors = [points if name == "x" else points.flip(0)[:, None] for name in program.inputs]
    values, zeros = tensor_function(every, program.inputs)(*tensors), negative_zeros(program)
    for i, (value, (low, high)) in enumerate(zip(values, ranges(program), strict=True)):
        found = torch.as_tensor(value, dtype=torch.float64)
        found = found[~found.isnan()]
        below, above = (end * (1 + sign * 1e-9 * (1 if end > 0 else -1)) for end, sign in ((low, -1), (high, 1)))
        assert ((found >= below) & (found <= above)).all(), (low, high)
        assert i in zeros or not ((found == 0) & found.signbit()).any(), i


def test_what_kernels_rely_on() -> None:
    """Denominators of logistic functions, and rows whose image is that of their defaults alone."""
    program = pipeline.program([parse("x/(1 + exp(-abs(x)))")])
    assert ranges(program)[program.instructions[-1].args[1]] == (1.0, 2.0)
    kept = pipeline.program([parse("softplus(x, beta)")], keep=frozenset({"softplus"}))
    assert ranges(kept)[-1] == (-float("inf"), float("inf"))
    assert ranges(pipeline.program([parse("sigmoid(x)")], keep=frozenset({"sigmoid"})))[-1] == (0.0, 1.0)


def test_what_may_be_negative_zero() -> None:
    for text, may in (("relu(x)", True), ("max(x, 0)", True), ("max(x - 0.5, 0)", False), ("sqrt(x)", True),
                      ("abs(x)", False), ("exp(x)*sigmoid(x)", False), ("x*exp(x)", True), ("x*x", False)):  # fmt: skip
        program = pipeline.program([parse(text)], keep=frozenset({"sigmoid"}))
        assert (program.outputs[0] in negative_zeros(program)) == may, text

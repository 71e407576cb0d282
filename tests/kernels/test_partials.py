"""Partial derivatives that are computed whole, read from the kernels' text; test_device measures their errors."""

from __future__ import annotations

import re

import pytest
import torch

from actc.derivatives import derivative
from actc.kernels import compile
from actc.program import Program
from actc.rules import tidied

pytest.importorskip("triton")

from actc.kernels import ahead_of_time, device, partials
from actc.kernels.triton_source import kernel_source


def calls(text: str, operator: str, dtype: torch.dtype = torch.float32) -> list[str]:
    """The calls of an operator's functions in the gradients' kernel."""
    wanted = ahead_of_time.specification(compile(text), dtype, backward=True)
    return re.findall(rf"device\.((?:fast_)?{operator}\w*\(.*\))", kernel_source(wanted, "kernel", device).text)


def test_powers() -> None:
    """The gradient of a negative base is NaN where the exponent varies too: there it is not told apart."""
    both = [f"pow_by_{argument}(sinh_1, tanh_1, negative=False)" for argument in "xy"]
    assert calls("sinh(x)**tanh(x)", "pow") == both
    assert calls("x**n", "pow") == ["pow_by_x(x, n)", "pow_by_y(x, n)"]
    assert calls("exp(x)**n", "pow")[0] == "pow_by_x(exp_1, n, negative=False)"
    assert calls("x**sigmoid(y)", "pow")[0] == "pow_by_x(x, sigmoid_1, short=True)"


def test_constants_stay_with_the_text() -> None:
    assert calls("x**3", "pow") == calls("x/3", "div") == []


def test_quotients() -> None:
    """Whole for results of 16 bits only: otherwise by divisions, as torch's."""
    assert calls("erf(x)/sinh(x)", "div", torch.bfloat16) == [
        "fast_div_by_x(tl.full((), 1.0, tl.float32), sinh_1)",
        "fast_div_by_y(erf_1, sinh_1)",
    ]
    assert calls("x/(1 + exp(-abs(x)))", "div", torch.bfloat16)[0].endswith("near=True)")
    assert all(call.startswith("div(") for call in calls("erf(x)/sinh(x)", "div"))


def test_nothing_else_changes() -> None:
    """Without such functions the program is the derivatives'."""
    expression = compile("x**sinh(x)").lowered
    root = derivative(expression, "x")
    assert partials.program([root], expression, frozenset(), lambda name: False) == Program.of([tidied(root)])

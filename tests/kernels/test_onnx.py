"""ONNX models, run by onnxruntime."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import actc
from actc import pipeline
from actc.derivatives import derivative
from actc.expr import Expr, apply, constant, symbol
from actc.kernels.aten import tensor_function
from actc.operators import OPERATORS, Operator
from tests.oracle import second_arguments

onnxruntime = pytest.importorskip("onnxruntime")

Array = np.ndarray[Any, np.dtype[Any]]

U = 2.0**-24
TINY = float(np.finfo(np.float32).smallest_subnormal)
#: 1.7 as an exponent is rounded to float32, which no bound in terms of x sees; saturate limits to the type's range; and
#: the slopes of these slopes are second derivatives of i0e and i1e, whose digits cancel in float32.
NO_VALUE, NO_SLOPE = {"pow", "pow_no_nan", "saturate"}, {"pow", "pow_no_nan", "i0e_minus_i1e", "i1e_slope"}


class Several(nn.Module):
    """Functions of the same tensors, as one module."""

    def __init__(self, function: Callable[..., Sequence[Tensor | float]]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.as_tensor(y) for y in self.function(*tensors))


def session(model: nn.Module, arguments: tuple[Tensor, ...]) -> Callable[..., list[Array]]:
    """Exports the model and gives a function that runs it; the first dimension of each argument may vary."""
    batch = {0: torch.export.Dim("batch", min=1, max=1 << 20)}
    shapes: Any = tuple(batch for _ in arguments)
    if isinstance(model, Several | actc.Activation):  # which take any number of tensors
        shapes = (shapes,)
    program = torch.onnx.export(model, arguments, dynamo=True, dynamic_shapes=shapes, verbose=False)
    assert program is not None
    return running(program.model_proto.SerializeToString())


def running(model: bytes) -> Callable[..., list[Array]]:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    loaded = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    names = [each.name for each in loaded.get_inputs()]

    def run(*arguments: Tensor) -> list[Array]:
        found: list[Array] = loaded.run(None, dict(zip(names, (a.numpy() for a in arguments), strict=True)))
        return found

    return run


def of_x(row: Operator) -> Expr:
    return apply(row.name, symbol("x"), *(constant(Fraction(a)) for a in second_arguments(row)))


def points() -> Array:
    """Both signs, every magnitude of float32, where activations bend, subnormals, infinities."""
    rng = np.random.default_rng(3)
    magnitudes = np.exp(np.concatenate([rng.uniform(-80, 80, 200), rng.uniform(-12, 0, 150)]))
    ordinary = np.concatenate([rng.uniform(0, 9, 150), rng.uniform(0, 100, 80)])
    special = [0.0, 1.0, 0.5, 2.0, 8.0, 1e4, 3.4e38, 1e-40, 1 - 2**-24, np.inf]
    x = np.concatenate([magnitudes, ordinary, special])
    return np.concatenate([x, -x]).astype(np.float32)


def worst(e: Expr, row: Operator, x: Array, got: Array) -> tuple[float, float]:
    """The largest error over u·(|f| + |x·f'|) and where it is; infinite where a value that is not finite is wrong."""
    wide = x.astype(np.float64)
    inside = (x >= row.domain[0]) & (x <= row.domain[1])
    with np.errstate(all="ignore"):
        true, slope = e.evaluate(x=wide), derivative(e).evaluate(x=wide)
        growth = np.where(np.isfinite(wide * slope), abs(wide * slope), 0)
        nearest = true.astype(np.float32)
        error = abs(got - true) / (U * (abs(true) + growth) + 50 * TINY)
        exact = (got == nearest) | (np.isnan(got) & np.isnan(nearest))
    error = np.where(exact, 0, np.where(np.isfinite(got) & np.isfinite(nearest), error, np.inf))[inside]
    return float(error.max()), float(x[inside][error.argmax()])


@pytest.mark.slow
def test_every_operator_and_its_slope_is_as_accurate_as_float32_allows() -> None:
    """Operators that ONNX lacks are made of those that it has; against float64, which no code is shared with."""
    x = points()
    cases = {}
    for row in OPERATORS.values():
        if row.arity and row.name not in NO_VALUE:
            cases[row.name] = (row, of_x(row))
        if row.arity and row.name not in NO_SLOPE and derivative(of_x(row)).symbols:
            cases[f"slope of {row.name}"] = (row, derivative(of_x(row)))
    program = pipeline.program([e for _, e in cases.values()], onnx=True)
    run = session(Several(tensor_function(program, ["x"])), (torch.tensor(x[:8]),))
    found = {}
    for (name, (row, e)), y in zip(cases.items(), run(torch.tensor(x)), strict=True):
        found[name] = worst(e, row, x, np.broadcast_to(y, x.shape).astype(np.float64))
    assert len(found) > 130
    assert {name: each for name, each in found.items() if each[0] > 8} == {}


class Net(nn.Module):
    """Parameters per layer and channel, safe mode, two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.first = actc.Activation(
            "x*erfc(beta*x)", per="channel", channels=4, channel_dim=-1, bounds={"beta": (0, 1.5)}
        )
        self.second = actc.Activation("a*i0e(x)*y", initial={"a": 0.5})
        self.third = actc.Activation("log(x)", safe=True)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.third(self.second(self.first(self.linear(x)), y))


def net() -> tuple[Net, tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    torch.manual_seed(0)
    model = Net()
    with torch.no_grad():
        model.first.beta.copy_(torch.tensor([0.5, 1.0, 2.0, -1.0]))
    return model, (torch.randn(3, 4), torch.randn(3, 4)), (torch.randn(7, 4), torch.randn(7, 4))


def test_a_model_with_parameters_and_any_batch_size() -> None:
    model, example, other = net()
    run = session(model, example)
    for arguments in (example, other):
        torch.testing.assert_close(torch.tensor(run(*arguments)[0]), model(*arguments).detach(), rtol=2e-6, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_the_older_exporter(tmp_path: Path) -> None:
    model, example, other = net()
    stored = tmp_path / "model.onnx"
    names = ["x", "y"]
    axes = {name: {0: "batch"} for name in names}
    torch.onnx.export(model, example, stored, dynamo=False, input_names=names, dynamic_axes=axes)
    run = running(stored.read_bytes())
    torch.testing.assert_close(torch.tensor(run(*other)[0]), model(*other).detach(), rtol=2e-6, atol=1e-6)


def test_safe_mode_gives_finite_values() -> None:
    layer = nn.Sequential(actc.Activation("1/x", safe=True), actc.Activation("x*exp(x)", safe=True))
    x = torch.tensor([0.0, -0.0, 1e-45, -1e-38, 3e38, -3e38, 1.0])
    (y,) = session(layer, (x,))(x)
    assert np.isfinite(y).all()
    torch.testing.assert_close(torch.tensor(y), layer(x), rtol=1e-6, atol=0)


@pytest.mark.parametrize("safe", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "clamp(x, -1, 1) - clamp(x, -2, 1.5)",
        "max(max(x, 1), 2) + max(max(x, 0), 3) - min(min(x, 1), 2)*min(min(x, 0), 3)",
        "gelu_tanh(x) + sinh(x)*cosh(x)",
        "hardtanh(x) + hardtanh(x, low, 2)",
    ],
)
def test_several_bounds_of_one_tensor(text: str, safe: bool) -> None:
    """onnxscript's optimizer names the constants of a Clip by the tensor, and two of one tensor would clash."""
    layer = actc.Activation(text, safe=safe)
    x = torch.tensor([-3.0, -2.0, -1.5, -0.0, 0.0, 0.5, 1.75, 2.5, 4.0, math.nan])
    (y,) = session(layer, (x,))(x)
    torch.testing.assert_close(torch.tensor(y), layer(x).detach(), rtol=2e-6, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_types_other_than_float32(dtype: torch.dtype) -> None:
    """16 bits are computed in float32; float64 stays, as far as the runtime has it, with the polynomials of float32."""
    x = torch.linspace(-4, 4, 33).to(dtype)
    layer = actc.Activation("tanh(x) + i1e(x)")
    (y,) = session(layer, (x,))(x)
    tolerance = max(float(torch.finfo(dtype).eps), 1e-8)
    torch.testing.assert_close(torch.tensor(y), layer(x), rtol=tolerance, atol=tolerance)


def test_constants_beyond_float32_are_kept() -> None:
    layer = actc.Activation("x*1e39 + x*1e-50*1e45 - 3e200*min(x, 0)*1e-170")
    x = torch.tensor([0.0, 1e-3, -2e-38, 1e-20])
    (y,) = session(layer, (x,))(x)
    torch.testing.assert_close(torch.tensor(y), layer(x), rtol=1e-7, atol=0)


def test_an_exported_program_is_refused() -> None:
    """It holds operations of actc: an ONNX model is made of the module itself."""
    exported = torch.export.export(actc.Activation("tanh(x)"), (torch.ones(3),))
    with pytest.raises(Exception, match=r"actc\.forward"):
        torch.onnx.export(exported, dynamo=True, verbose=False)

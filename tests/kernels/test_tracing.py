"""Tracers: torch.compile, torch.export, torch.fx, torch.jit.trace and CUDA graphs see what eager code computes."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.testing import CompileCounterWithBackend
from torch._functorch.aot_autograd import make_boxed_func

import actc
from actc.kernels import CompiledActivation, compile
from actc.kernels.composed import Composed
from actc.kernels.key import Key
from tests.kernels.samples import covering

#: Poles, domains left, overflow on both sides, a power at 0, cancellation.
SAFE = ("1/x", "log(x)*x", "x**x", "sinh(x)/sigmoid(x)", "exp(x) - cosh(x)", "i1e(x)/square(x)", "atanh(x)*1e30")


@pytest.fixture(autouse=True)
def nothing_compiled_before() -> None:
    """torch.compile gives up on code that it has compiled eight times."""
    torch.compiler.reset()


class Parametric(nn.Module):
    """Parameters per layer and per channel, with bounds and without; two inputs; a number as a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.scaled = actc.Activation("x*sigmoid(beta*x)", per="channel", channels=3, bounds={"beta": (0, 1.5)})
        self.linear = nn.Conv2d(3, 3, 1)
        self.shaped = actc.Activation("alpha*erfc(x)", initial={"alpha": 0.5})
        self.gated = compile("silu(x)*y + c")
        with torch.no_grad():
            self.scaled.beta.copy_(torch.tensor([0.7, 1.0, 2.0]))

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(self.scaled(x))
        return self.gated(x, self.shaped(x), c=0.25)


def parametric() -> Parametric:
    torch.manual_seed(0)
    return Parametric()


def images(batch: int) -> Tensor:
    return torch.randn(batch, 3, 4, 4, generator=torch.Generator().manual_seed(batch))


def gradients(model: nn.Module, call: Callable[[Tensor], Tensor], x: Tensor) -> dict[str, Tensor]:
    """The value and all gradients of the mean square."""
    model.zero_grad()
    x = x.clone().requires_grad_()
    y = call(x)
    y.square().mean().backward()
    found = {name: p.grad for name, p in model.named_parameters()} | {"x": x.grad}
    assert all(g is not None for g in found.values())
    return {"y": y.detach()} | {name: g.clone() for name, g in found.items() if g is not None}


def awkward(dtype: torch.dtype) -> Tensor:
    """Every power of two with both signs, zeros, the largest and smallest numbers, and where exponentials overflow."""
    limits = torch.finfo(dtype)
    powers = 2.0 ** torch.arange(-1074, 1024, dtype=torch.float64)
    special = [0, limits.max, limits.tiny, limits.tiny * limits.eps, 1, 1 - limits.eps, 88.7, 89, 104, 709.7, 710, 746]
    x = torch.cat([powers, torch.tensor(special, dtype=torch.float64)])
    x = torch.cat([x, -x]).to(dtype)
    return x[torch.isfinite(x)].requires_grad_()


# --- torch.compile --------------------------------------------------------------------------------------------------


def test_one_dynamic_graph_trains() -> None:
    """One compilation without a break serves several batch sizes, forward and backward."""
    model = parametric()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend=counter)
    for batch in (2, 5):
        expected = gradients(model, model, images(batch))
        torch.testing.assert_close(gradients(model, compiled, images(batch)), expected, rtol=2e-6, atol=1e-6)
    assert counter.frame_count == 1


def test_opaque_operations_stay_whole() -> None:
    """One operation forward and one backward, with the bits that eager code gives, where that was asked for."""
    text, x = "x*sigmoid(beta*x)", torch.linspace(-4, 4, 999).requires_grad_()
    called: dict[bool, set[str]] = {}
    for opaque in (False, True):
        f = compile(text, opaque=opaque)
        beta = torch.tensor(1.7, requires_grad=True)
        operations = called.setdefault(opaque, set())

        def seen(graph: torch.fx.GraphModule, example: object, operations: set[str] = operations) -> object:
            operations |= {str(node.target) for node in graph.graph.nodes if node.op == "call_function"}
            return make_boxed_func(graph.forward)

        @torch.compile(fullgraph=True, backend=aot_autograd(fw_compiler=seen, bw_compiler=seen))
        def call(x: Tensor, beta: Tensor, f: CompiledActivation = f) -> Tensor:
            return f(x, beta=beta)

        found = [torch.autograd.grad(y.sum(), (x, beta)) for y in (call(x, beta), f(x, beta=beta))]
        if opaque:
            assert torch.equal(call(x, beta), f(x, beta=beta))
            assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert called[True] >= {"actc.forward.default", "actc.backward.default"}
    assert not any("actc" in each for each in called[False]) and not any("sigmoid" in each for each in called[True])


@pytest.mark.slow
def test_inductor() -> None:
    """Generated code gives what eager code gives: a parameter's gradient, finite values and slopes of safe functions,
    and constants beyond float32."""
    learned, safe = compile("x*sigmoid(beta*x)"), compile("log(x)/x - exp(x)", safe=True)
    wide = [compile("x*1e39"), compile("x*1e-50*1e45")]

    @torch.compile(fullgraph=True)
    def all_of_them(x: Tensor, beta: Tensor) -> list[Tensor]:
        return [learned(x, beta=beta), safe(x), *(f(x) for f in wide)]

    x, beta = awkward(torch.float32), torch.tensor(1.5, requires_grad=True)
    y, limited, huge, tiny = all_of_them(x, beta)
    expected = learned(x, beta=beta)
    torch.testing.assert_close(y, expected, rtol=1e-6, atol=1e-38)
    small = (x.abs() < 100).float()
    for got, true in zip(
        torch.autograd.grad((y * small).sum(), (x, beta), retain_graph=True),
        torch.autograd.grad((expected * small).sum(), (x, beta)),
        strict=True,
    ):
        torch.testing.assert_close(got, true, rtol=2e-6, atol=1e-38)
    (slope,) = torch.autograd.grad(limited.sum(), x)
    assert limited.isfinite().all() and slope.isfinite().all()
    torch.testing.assert_close(huge, (x.double() * 1e39).float(), rtol=1e-6, atol=0)
    torch.testing.assert_close(tiny, (x.double() * 1e-5).float(), rtol=1e-6, atol=1e-44)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("text", SAFE)
def test_what_a_tracer_sees_is_safe(text: str, dtype: torch.dtype) -> None:
    f = compile(text, safe=True)
    x = awkward(dtype)
    y = composed(f).forward(x)
    assert y.dtype == dtype and y.isfinite().all()
    for sign in (1.0, -1.0):
        (slope,) = torch.autograd.grad(y, x, torch.full_like(y, sign), retain_graph=True)
        assert slope.isfinite().all()


@pytest.mark.parametrize("activation", covering(6), ids=range(6))
def test_what_a_tracer_sees_agrees_with_the_operation(activation: CompiledActivation) -> None:
    """Every operator, value and slope."""
    x = torch.tensor([1.45, 0.3, 3.1], dtype=torch.float64, requires_grad=True)
    results = []
    for function in (activation, composed(activation).forward):
        y = function(x)
        results.append((y, *torch.autograd.grad(y.sum(), x)))
    torch.testing.assert_close(results[0], results[1], rtol=1e-14, atol=0)


def composed(f: CompiledActivation) -> Composed:
    order = (0,) * len(f.variables + f.parameters)
    return Composed(Key(str(f.lowered), f.variables, f.parameters, order, "aten"))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_types_and_gradient_modes(dtype: torch.dtype) -> None:
    model = parametric().to(dtype)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    x = images(2).to(dtype)
    expected = model(x).detach()
    tolerance = 4 * torch.finfo(dtype).eps
    for mode in (torch.enable_grad, torch.no_grad, torch.inference_mode):
        with mode():
            y = compiled(x)
        assert y.requires_grad == (mode is torch.enable_grad)
        torch.testing.assert_close(y.detach(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("text", ["x**2 + exp(x)", "x*erfc(beta*x)"])
def test_autocast_keeps_the_type_of_the_input(text: str) -> None:
    """Traced or not, an activation computes as without autocast: it takes what the layer before it gives."""
    layer = actc.Activation(text)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.linspace(-2, 2, 33).to(dtype)
        expected = layer(x)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(layer(x), expected)
            y = compiled(x)
        torch.testing.assert_close(y, expected, rtol=2 * torch.finfo(dtype).eps, atol=1e-7)


def test_errors_are_raised_while_tracing() -> None:
    f = compile("x*sigmoid(beta*x)")
    compiled = torch.compile(lambda x, b: f(x, beta=b), backend="eager")
    with pytest.raises(actc.ActcError, match="which does not broadcast to the result's shape"):
        compiled(torch.ones(3), torch.ones(2))


def test_double_backward_through_torch_compile_is_refused() -> None:
    """By torch itself; eager code differentiates to any order."""
    x = torch.ones(3, requires_grad=True)
    y = torch.compile(compile("tanh(x)"), fullgraph=True, backend="aot_eager")(x)
    (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="does not currently support double backward"):
        torch.autograd.grad(slope.sum(), x)


# --- torch.export ---------------------------------------------------------------------------------------------------

LOADED = """
import sys
import torch
import actc.kernels

folder = sys.argv[1]
x = torch.load(f"{folder}/x.pt")
model = torch.export.load(f"{folder}/model.pt2").module()
results = {}
for name, batch in x.items():
    y = model(batch)
    y.square().mean().backward()
    results[name] = y.detach()
torch.optim.SGD(model.parameters(), lr=0.1).step()
torch.save({"y": results, "state": model.state_dict()}, f"{folder}/result.pt")
"""


@pytest.mark.parametrize("strict", [True, False])
def test_a_loaded_export_trains_in_a_fresh_process(strict: bool, tmp_path: Path) -> None:
    model = parametric()
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(model, (images(2),), dynamic_shapes=({0: batch},), strict=strict)
    called = [node.target for node in exported.graph.nodes if node.op == "call_function"]
    assert called.count(torch.ops.actc.forward.default) == 3
    torch.export.save(exported, tmp_path / "model.pt2")
    x = {"two": images(2), "five": images(5)}
    torch.save(x, tmp_path / "x.pt")
    subprocess.run([sys.executable, "-P", "-c", LOADED, str(tmp_path)], check=True, timeout=120)
    result = torch.load(tmp_path / "result.pt")

    for name, each in x.items():
        y = model(each)
        y.square().mean().backward()
        torch.testing.assert_close(result["y"][name], y.detach(), rtol=0, atol=0)
    # A clamped parameter of an exported model keeps the gradient that clamping gives: none outside of its bounds.
    assert model.scaled.beta.grad is not None
    model.scaled.beta.grad[2] = 0
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    torch.testing.assert_close(result["state"], dict(model.state_dict()), rtol=1e-6, atol=1e-7)


# --- torch.fx, torch.jit.trace --------------------------------------------------------------------------------------


def test_symbolic_trace_keeps_one_operation() -> None:
    f = compile("x*sigmoid(beta*x)*y")

    # torch.fx pickles no function whose annotations are text.
    function = lambda x, y, beta: f(x, y, beta=beta) + f(y, x, beta=2.0)  # noqa: E731
    traced = torch.fx.symbolic_trace(function)
    called = [node.target for node in traced.graph.nodes if node.op == "call_function"]
    assert called.count(torch.ops.actc.forward.default) == 2
    arguments = [torch.tensor([0.3, -1.2], requires_grad=True), torch.tensor(0.7), torch.tensor(1.5)]
    for graph in (traced, pickle.loads(pickle.dumps(traced))):
        y = graph(*arguments)
        assert torch.equal(y, function(*arguments))
        (slope,) = torch.autograd.grad(y.sum(), arguments[0])
        (expected,) = torch.autograd.grad(function(*arguments).sum(), arguments[0])
        assert torch.equal(slope, expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_torchscript_by_tracing() -> None:
    model = parametric()
    stored = io.BytesIO()
    torch.jit.save(torch.jit.trace(model, (images(2),)), stored)
    stored.seek(0)
    loaded = torch.jit.load(stored)
    assert torch.equal(loaded(images(5)), model(images(5)))


# --- CUDA graphs ----------------------------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda_graph_replays_forward_and_backward() -> None:
    model = parametric().cuda()
    x = images(2).cuda().requires_grad_()

    def step() -> Tensor:
        y: Tensor = model(x)
        y.square().mean().backward()
        return y

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            model.zero_grad(set_to_none=True)
            x.grad = None
            step()
    torch.cuda.current_stream().wait_stream(side)
    model.zero_grad(set_to_none=True)
    x.grad = None
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = step()
    fresh = torch.randn(x.shape, generator=torch.Generator().manual_seed(9)).cuda()
    with torch.no_grad():
        x.copy_(fresh)
    graph.replay()
    assert x.grad is not None
    replayed = {"y": y.detach().clone(), "x": x.grad.clone()}
    expected = gradients(model, model, fresh)
    torch.testing.assert_close(replayed, {name: expected[name] for name in replayed})

"""How kernels are launched: what an interpreter cannot show."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import actc
from actc import cli
from actc.kernels import CompiledActivation, compile
from actc.kernels.key import Key
from actc.kernels.triton_backend import TritonKernel, _Plan

SWISH = "x*sigmoid(beta*x)"
TYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
#: More elements than 32 bits can number, not a multiple of anything.
BEYOND = 2**31 + 1027


def seeded(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator("cuda").manual_seed(seed), device="cuda")


def room_for(gigabytes: float) -> None:
    free, _ = torch.cuda.mem_get_info()
    if free < gigabytes * 1e9:
        pytest.skip(f"needs {gigabytes} GB of the GPU's memory, and {free / 1e9:.0f} are free")


def trained(f: CompiledActivation, x: Tensor, beta: Tensor, grad: Tensor) -> list[Tensor]:
    """The value, and the gradients by x and beta."""
    leaves = x.detach().requires_grad_(), beta.detach().requires_grad_()
    y = f(leaves[0], beta=leaves[1])
    return [y.detach(), *torch.autograd.grad(y, leaves, grad)]


def swish_in_float64(x: Tensor, beta: Tensor, grad: Tensor) -> list[Tensor]:
    """The same by torch's own sigmoid."""
    x, beta = (each.detach().double().requires_grad_() for each in (x, beta))
    y = x * torch.sigmoid(beta * x)
    return [y.detach(), *torch.autograd.grad(y, (x, beta), grad.double())]


def test_auto_takes_triton() -> None:
    f = compile(SWISH)
    assert (f.backend, f.reason) == ("triton", "auto: Triton kernels for tensors on a GPU, composed torch operations "
                                               "for others")  # fmt: skip


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(), (64, 1, 1), (112,)], ids=["layer", "channel", "neuron"])
def test_two_runs_agree_to_the_last_bit(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    """Millions of elements, so that all multiprocessors sum, in whatever order they come."""
    x, grad = seeded(32, 64, 112, 112).to(dtype), seeded(32, 64, 112, 112, seed=1).to(dtype)
    beta = torch.rand(shape, device="cuda") + 0.5
    first = trained(compile(SWISH), x, beta, grad)
    for _ in range(3):
        assert all(torch.equal(a, b) for a, b in zip(first, trained(compile(SWISH), x, beta, grad), strict=True))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(), (70, 1, 1), (49,), (49, 49)], ids=["layer", "channel", "neuron", "neurons"])
def test_sums_of_many(shape: tuple[int, ...], memory_format: torch.memory_format) -> None:
    """Parameters' gradients over millions of elements, in sizes that fill no tile."""
    x, grad = (seeded(33, 70, 49, 49, seed=s).to(memory_format=memory_format) for s in (0, 1))
    beta = torch.rand(shape, generator=torch.Generator("cuda").manual_seed(2), device="cuda") + 0.5
    terms = x.numel() // max(beta.numel(), 1)
    for got, true in zip(trained(compile(SWISH), x, beta, grad), swish_in_float64(x, beta, grad), strict=True):
        # Sums of terms that cancel err with the root of their number.
        slack = 1e-6 * (terms**0.5 if got.shape == beta.shape else 1)
        torch.testing.assert_close(got.double(), true, rtol=2e-6, atol=slack)


@pytest.mark.parametrize("text", ["x*erf(x)", SWISH, "silu(x)*y"])
def test_more_elements_than_32_bits_number(text: str) -> None:
    """At the front, around 2^31 and at the end, in float16; and a sum over all of them."""
    room_for(30)
    x = torch.empty(BEYOND, dtype=torch.float16, device="cuda")
    generator = torch.Generator("cuda").manual_seed(0)
    for part in x.split(2**28):
        part.normal_(generator=generator)
    f = compile(text)
    beta = torch.tensor(0.75, device="cuda", requires_grad=True)
    inputs, parameters = [x, *[x.roll(1)] * (len(f.variables) - 1)], {"beta": beta} if f.parameters else {}
    leaves = [each.requires_grad_() for each in inputs]
    y = f(*leaves, **parameters)
    slopes = torch.autograd.grad(y, [*leaves, *parameters.values()], torch.ones_like(y))
    for place in (slice(0, 1000), slice(2**31 - 500, 2**31 + 500), slice(BEYOND - 1000, BEYOND)):
        near = [each.detach()[place].clone().requires_grad_() for each in leaves]
        alone = f(*near, **parameters)
        assert torch.equal(y[place], alone)
        found = torch.autograd.grad(alone.sum(), near)
        assert all(torch.equal(s[place], a) for s, a in zip(slopes, found, strict=False))
    if parameters:
        total = torch.zeros((), dtype=torch.float64, device="cuda")
        for part in x.detach().split(2**26):
            s = torch.sigmoid(0.75 * part.double())
            total += (part.double().square() * s * (1 - s)).sum()
        # Terms are of one sign, and each is as accurate as float16.
        assert abs(float(slopes[-1].double() / total) - 1) < 2**-11


def test_channels_beyond_32_bits() -> None:
    """Sums along channels of a tensor with more elements than 32 bits number."""
    room_for(30)
    x = torch.empty(2**31 // 2**20 + 1, 16, 2**16, dtype=torch.bfloat16, device="cuda").fill_(1.0)
    beta = torch.linspace(0, 1.5, 16, device="cuda").reshape(16, 1).requires_grad_()
    y = compile(SWISH)(x, beta=beta)
    (slope,) = torch.autograd.grad(y, beta, torch.ones_like(y))
    s = torch.sigmoid(beta.detach().double())
    # Every term is as accurate as bfloat16.
    torch.testing.assert_close(slope.double(), s * (1 - s) * (x.numel() // 16), rtol=2**-9, atol=0)
    assert torch.equal(y[0], y[-1])


def launched(call: Callable[[], object]) -> list[str]:
    """The names of the kernels that a call launches, not the first one."""
    call()
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        call()
        torch.cuda.synchronize()
    return [event.name for event in profile.events() if event.device_type == torch.autograd.DeviceType.CUDA]


def test_other_strides_cost_one_copy() -> None:
    """Dense tensors are read where they lie, others copied once; results of a copy are right."""
    f, base = compile("x*x"), seeded(64, 64, 64)
    single = seeded(64 * 64).as_strided((64, 1, 64), (64, 7, 1))
    for x in (base, base.permute(2, 0, 1), base[:1], single):
        assert torch.equal(f(x), x.square())
        assert len(launched(lambda x=x: f(x))) == 1  # type: ignore[misc]
    for x in (base[:, ::2], base[:1].expand(9, -1, -1)):
        assert torch.equal(f(x), x.square())
        assert len(launched(lambda x=x: f(x))) == 2  # type: ignore[misc]


def test_addresses_that_are_not_multiples_of_16() -> None:
    """A kernel that was compiled for aligned tensors is not run on others."""
    f, x = compile(SWISH), seeded(4099)
    beta = torch.tensor(0.75, device="cuda")
    whole = f(x, beta=beta)
    for start in (0, 1, 2, 3, 4, 8):
        assert torch.equal(f(x[start:], beta=beta), whole[start:])


@pytest.mark.parametrize("dtype", TYPES)
def test_empty(dtype: torch.dtype) -> None:
    beta = torch.ones(0, 1, device="cuda", requires_grad=True)
    x = torch.ones(3, 0, 4, device="cuda", dtype=dtype, requires_grad=True)
    y = compile(SWISH)(x, beta=beta)
    slopes = torch.autograd.grad(y.sum(), (x, beta))
    assert (y.shape, [s.shape for s in slopes]) == (x.shape, [x.shape, beta.shape])


def test_numbers_on_the_cpu() -> None:
    """A float, and a tensor of one on the CPU with its gradient there; beside a tensor without dimensions too."""
    f = compile(SWISH)
    for x in (seeded(5), seeded(1).squeeze()):
        beta = torch.tensor(0.75, requires_grad=True)
        y = f(x, beta=beta)
        assert torch.equal(y, f(x, beta=0.75)) and torch.equal(y, f(x, beta=beta.detach().cuda()))
        (slope,) = torch.autograd.grad(y.sum(), beta)
        assert slope.device == beta.device
        true = swish_in_float64(x, beta.cuda(), torch.ones_like(x))[2]
        torch.testing.assert_close(slope, true.float().cpu(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(), (48, 1, 1), (40,)], ids=["layer", "channel", "neuron"])
def test_graphs_replay(shape: tuple[int, ...]) -> None:
    """Captured forward and backward compute with what the tensors hold when they are replayed, bit for bit."""
    f, grad = compile(SWISH), seeded(4, 48, 5, 40, seed=1)
    x, beta = seeded(4, 48, 5, 40).requires_grad_(), torch.rand(shape, device="cuda").requires_grad_()

    def step() -> list[Tensor]:
        y = f(x, beta=beta)
        return [y, *torch.autograd.grad(y, (x, beta), grad)]

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    for seed in (2, 3):
        with torch.no_grad():
            x.copy_(seeded(4, 48, 5, 40, seed=seed))
            beta.uniform_(0.5, 1.5)
        graph.replay()
        assert all(torch.equal(a, b) for a, b in zip(captured, step(), strict=True))


def test_several_streams() -> None:
    """Calls on streams of their own, each after work that takes its time, keep to their streams."""
    f, reference = compile(SWISH), compile(SWISH, backend="aten")
    f(seeded(2**22), beta=0.75)
    torch.cuda.synchronize()
    results = []
    for seed, stream in enumerate([torch.cuda.Stream() for _ in range(4)]):
        with torch.cuda.stream(stream):
            torch.cuda._sleep(20_000_000)
            x = seeded(2**22, seed=seed)
            results.append((x, f(x, beta=0.75)))
    torch.cuda.synchronize()
    for x, y in results:
        torch.testing.assert_close(y, reference(x, beta=0.75), rtol=1e-6, atol=1e-7)


def test_compiled_once() -> None:
    """Other batches start the same compiled kernels, and a second call finds its own without Triton's search."""
    kernel = TritonKernel(Key(SWISH, ("x",), ("beta",), (0, 0), "triton"))
    beta, functions = torch.ones(64, 1, 1, device="cuda"), set()
    for batch in (1, 2, 3, 40, 41, 64):
        x = seeded(batch, 64, 16, 16)
        kernel.backward(x, [x], [beta], [0, 1])
    for plan in kernel._backward_plans._values.values():
        assert isinstance(plan, _Plan) and plan._start != plan._first_start
        functions.add(plan._function)
    (function,) = functions
    # Triton makes a variant where a number is 1, and where it is a multiple of 16.
    assert sum(len(each[0]) for each in function.device_caches.values()) <= 3


def test_torch_compile() -> None:
    """It fuses activations with their neighbours; opaque ones stay apart, with the bits of eager code."""
    x, beta = seeded(512, 512).requires_grad_(), torch.tensor(1.25, device="cuda", requires_grad=True)
    for opaque in (False, True):
        torch.compiler.reset()
        f = compile(SWISH, opaque=opaque)

        def call(x: Tensor, beta: Tensor, f: CompiledActivation = f) -> Tensor:
            return 2 * f(x + 1, beta=beta)

        compiled = torch.compile(call)
        both = [(y, *torch.autograd.grad(y.sum(), (x, beta))) for y in (compiled(x, beta), call(x, beta))]
        for got, true in zip(*both, strict=True):
            if opaque:
                assert torch.equal(got, true)
            else:
                torch.testing.assert_close(got, true, rtol=1e-4, atol=1e-5)
        with torch.no_grad():
            assert len(launched(lambda: compiled(x, beta))) == (3 if opaque else 1)  # noqa: B023


def test_autocast() -> None:
    """What comes in as bfloat16 goes out as bfloat16; parameters keep their type."""
    linear, layer = torch.nn.Linear(32, 32).cuda(), actc.Activation(SWISH).cuda()
    with torch.autocast("cuda", dtype=torch.bfloat16):
        hidden = linear(seeded(16, 32))
        y = layer(hidden)
    assert y.dtype == torch.bfloat16 and torch.equal(y, layer(hidden))
    y.float().sum().backward()
    assert layer.beta.grad is not None and layer.beta.grad.dtype == torch.float32 and layer.beta.grad.isfinite()


@pytest.mark.parametrize("text", [SWISH, "silu(x)*y", "erfc(softplus(x))**2", "where(x > 0, alpha*x, gamma*expm1(x))"])
def test_exported_file(text: str, tmp_path: Path) -> None:
    """Tests itself on the GPU in a process that cannot import actc."""
    path = tmp_path / "act.py"
    assert cli.main(["compile", text, "--emit", "triton", "-o", str(path)]) == 0
    code = f"import runpy, sys; sys.modules['actc'] = None; runpy.run_path({str(path)!r}, run_name='__main__')"
    ran = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "ok\n"), ran.stderr[-3000:]


def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    """Sources and machine code are found on the disk."""
    code = f"import torch, actc; actc.compile({SWISH!r})(torch.ones(9, device='cuda'), beta=1.0)"
    environment, found = os.environ | {"TRITON_CACHE_DIR": str(tmp_path / "cache")}, []
    for _ in range(2):
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
        assert ran.returncode == 0, ran.stderr[-3000:]
        files = [each for each in (tmp_path / "cache").rglob("*") if each.suffix in (".cubin", ".hsaco", ".py")]
        found.append({each: each.stat().st_mtime_ns for each in files})
    assert found[0] == found[1] and len(found[0]) >= 2

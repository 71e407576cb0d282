"""The table backend: every 16-bit input, all layouts, derivatives of any order."""

from __future__ import annotations

import importlib.util
import math
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import actc
from actc.kernels import compile, table
from actc.kernels.cache import Cache
from actc.kernels.errors import BackendError
from actc.kernels.lookup import ENTRIES, take, take_times

TYPES = (torch.bfloat16, torch.float16)


def every_input(dtype: torch.dtype) -> Tensor:
    return torch.arange(ENTRIES, dtype=torch.int32).to(torch.int16).view(dtype)


def same(a: Tensor, b: Tensor) -> bool:
    """To the bit, but that any NaN is NaN."""
    as_bits = torch.int16 if a.element_size() == 2 else torch.int32
    return bool(((a.view(as_bits) == b.view(as_bits)) | (a.isnan() & b.isnan())).all())


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    "text", ["x", "relu(x)", "abs(x)*2", "x*x/4", "floor(x/4)", "where(x > 1, x - 1, -x)", "sign(x)"]
)
def test_every_input_of_what_float64_computes_exactly(text: str, dtype: torch.dtype) -> None:
    """Infinities, every NaN and both zeros among them."""
    x, grad = every_input(dtype), every_input(dtype).flip(0)
    found = []
    for backend in ("table", "aten"):
        leaf = x.clone().requires_grad_()
        y = compile(text, backend=backend)(leaf)
        found.append((y.detach(), *torch.autograd.grad(y, leaf, grad)))
    for got, true in zip(*found, strict=True):
        assert got.dtype == dtype and same(got, true)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("text", ["1/x/x", "exp(x*x)", "log(x)", "x**3 - x**5"])
def test_safe_results_stay_finite(text: str, dtype: torch.dtype) -> None:
    x = every_input(dtype)
    x = x[x.isfinite()]
    found = []
    for backend in ("table", "aten"):
        leaf = x.clone().requires_grad_()
        y = compile(text, safe=True, backend=backend)(leaf)
        found.append((y.detach(), *torch.autograd.grad(y.sum(), leaf)))
    for got, true in zip(*found, strict=True):
        assert got.isfinite().all()
        torch.testing.assert_close(got, true, rtol=torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("dtype", TYPES)
def test_gradients_are_rounded_once(dtype: torch.dtype) -> None:
    """The product of a float32 slope and a gradient, halfway between two numbers but for its last bits."""
    generator = torch.Generator().manual_seed(0)
    slope = torch.randn(ENTRIES, generator=generator)
    grad = torch.randn(ENTRIES, generator=generator).to(dtype)
    indices = torch.randperm(ENTRIES, generator=generator).to(torch.int16)
    out = torch.empty(ENTRIES, dtype=dtype)
    take_times(slope, indices, grad, out)
    exact = slope[indices.int() & 0xFFFF].double() * grad.double()
    neighbours = [torch.nextafter(out, torch.full_like(out, end)).double() for end in (-math.inf, math.inf)]
    for other in neighbours:
        assert ((out.double() - exact).abs() <= (other - exact).abs()).all()


def layouts(dtype: torch.dtype) -> dict[str, Tensor]:
    x = torch.linspace(-4, 4, 2 * 6 * 4 * 5).to(dtype).reshape(2, 6, 4, 5)
    return {
        "contiguous": x,
        "channels last": x.to(memory_format=torch.channels_last),
        "transposed": x.transpose(1, 3),
        "strided": x[:, ::2, 1:, ::3],
        "expanded": x[:1].expand(3, 6, 4, 5),
        "one number": x[0, 0, 0, 0],
        "empty": x[:0],
        "offset": x.flatten()[3:],
    }


@pytest.mark.parametrize("name", layouts(torch.float16))
def test_layouts(name: str) -> None:
    x = layouts(torch.bfloat16)[name].detach().requires_grad_()
    y = compile("x*abs(x)", backend="table")(x)
    assert y.stride() == torch.empty_like(x).stride()
    (grad,) = torch.autograd.grad(y, x, torch.full((), 0.5, dtype=x.dtype).expand(x.shape))
    true = compile("x*abs(x)", backend="aten")
    assert torch.equal(y, true(x)) and torch.equal(grad, x.detach().abs())


def test_derivatives_of_any_order() -> None:
    x = torch.linspace(-3, 3, 31).half().requires_grad_()
    y = compile("x**4", backend="table")(x)
    for order, true in enumerate((lambda t: 4 * t**3, lambda t: 12 * t**2, lambda t: 24 * t, lambda t: 24 + 0 * t), 1):
        (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        assert torch.equal(y, true(x.detach().double()).half()), order
    second = torch.func.vmap(torch.func.grad(torch.func.grad(compile("x**3", backend="table"))))(x.detach())
    assert torch.equal(second, (6 * x.detach().double()).half())


def test_what_tables_cannot_hold() -> None:
    with pytest.raises(BackendError, match=r"input is of torch.float32: convert it, for example with .bfloat16()"):
        compile("x*x", backend="table")(torch.ones(3))
    for text in ("x*y", "beta*x"):
        f = compile(text, backend="table")
        with pytest.raises(BackendError, match="write numbers for the others, or leave"):
            f(*[torch.ones(3).half()] * len(f.variables), **dict.fromkeys(f.parameters, 1.0))


def test_tables_are_made_when_needed_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    rounded = table.rounded

    def watched(expression: actc.Expr, *rest: Any) -> Any:
        made.append(str(expression))
        return rounded(expression, *rest)

    monkeypatch.setattr(table, "rounded", watched)
    monkeypatch.setattr(table, "values", Cache(table._values, size=2))
    f = compile("x*0.37", backend="table")
    x = torch.ones(2).half().requires_grad_()
    y = f(x)
    assert made == ["x*0.37"]
    y.sum().backward()
    f(x)
    assert made == ["x*0.37", "0.37"]
    for factor in (2, 3):
        compile(f"x*0.{factor}", backend="table")(x)
    assert len(table.values) == 2
    f(x)
    assert made.count("x*0.37") == 2


def test_threads() -> None:
    x = every_input(torch.bfloat16)
    found: list[Tensor] = []
    f = compile("tanh(x)/3", backend="table")
    threads = [threading.Thread(target=lambda: found.append(f(x))) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(found) == 4 and all(same(each, found[0]) for each in found)


def test_take_reads_bits_without_sign() -> None:
    table_ = torch.arange(ENTRIES, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    indices = torch.tensor([0, 1, 32767, -32768, -1], dtype=torch.int16)
    out = torch.empty(5, dtype=torch.bfloat16)
    take(table_, indices, out)
    assert out.view(torch.int16).tolist() == [0, 1, 32767, -32768, -1]


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs triton")
def test_lookups_on_a_gpu(tmp_path: Path) -> None:
    """Under Triton's interpreter."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "TRITON_CACHE_DIR": str(tmp_path)}
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/kernels/gathers.py"]
    ran = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[2], env=environment)
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-2000:]


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs triton")
@pytest.mark.parametrize("backward", [False, True])
def test_lookups_compile_for_a_gpu(backward: bool) -> None:
    """For sm_90, without spills; indices are read and results stored 16 bytes at once."""
    from actc.kernels import gathers, machine_code
    from actc.kernels.triton_backend import BLOCK

    signature = {"out_pointer": "*bf16", "table_pointer": "*bf16", "index_pointer": "*i16"}
    if backward:
        signature |= {"table_pointer": "*fp32", "grad_pointer": "*bf16"}
    signature |= {"numel": "i32", "length": "i32"}
    kernel = gathers.take_times if backward else gathers.take
    for sliced in (False, True):
        assert machine_code.report(kernel, signature, {"SLICED": sliced, "BLOCK": BLOCK}, 8).spills == 0
    found = machine_code.report(kernel, signature, {"SLICED": False, "BLOCK": BLOCK}, 8)
    assert found.load_bytes.count(16) == (2 if backward else 1) and found.store_bytes == (16,)


def test_never_seen_expressions_of_the_library() -> None:
    """A table differs from composed operations, which round their own errors, by one unit in few places."""
    x = torch.linspace(-6, 6, 4001).bfloat16()
    for name in ("gelu", "mish", "erfc_softplus_squared"):
        got, true = (compile(actc.library[name], backend=b)(x) for b in ("table", "aten"))
        assert (got != true).sum() <= 2 and ((got.double() - true.double()).abs() <= true.double().abs() * 2**-8).all()

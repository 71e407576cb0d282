"""Values and first derivatives of the ATen backend for every kind of tensor."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest
import torch
from torch import Tensor

from actc.kernels import aten, compile
from actc.kernels.errors import TensorShapeError
from actc.parsing import parse

SWISH, GATE = "x*sigmoid(beta*x)", "silu(x)*y"
TYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def swish(x: Tensor, beta: Tensor | float) -> Tensor:
    return x * torch.sigmoid(beta * x)


def reference(x: Tensor) -> Tensor:
    """swish with beta = 1.3 by numpy in float64, rounded once to x's type."""
    exact = parse(SWISH).evaluate(x=x.detach().to(torch.float64).numpy(), beta=1.3)
    if x.dtype == torch.bfloat16:
        return torch.from_numpy(exact).to(torch.float32).to(torch.bfloat16)
    return torch.from_numpy(exact.astype(str(x.dtype).removeprefix("torch.")))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (7,), (2, 3, 4), (1, 1, 1, 1)])
def test_shapes_and_types(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    y = compile(SWISH, backend="aten")(x, beta=1.3)
    assert y.shape == x.shape and y.dtype == dtype
    torch.testing.assert_close(y.detach(), reference(x), rtol=torch.finfo(dtype).eps, atol=0)
    (grad,) = torch.autograd.grad(y.sum(), x)
    assert grad.shape == x.shape and grad.dtype == dtype


def layouts() -> dict[str, Tensor]:
    base = torch.randn(4, 6, 5, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return {
        "contiguous": base,
        "channels last": base.to(memory_format=torch.channels_last),
        "transposed": base.transpose(0, 3),
        "permuted": base.permute(2, 0, 3, 1),
        "strided": base[::2, 1::2, :, ::3],
        "sliced": base[1:3, :, 2:, :],
        "expanded": base[:, :1].expand(4, 6, 5, 8),
        "expanded scalar": torch.tensor(0.7, dtype=torch.float64).expand(4, 6),
        "flipped view": torch.as_strided(base, (3, 4), (1, 9), 5),
        "overlapping": torch.as_strided(base, (5, 4), (1, 1)),
        "channels last 3d": base[:, :, None].contiguous(memory_format=torch.channels_last_3d),
        "offset": base.flatten()[3:],
    }


@pytest.mark.parametrize("name", layouts())
@pytest.mark.parametrize("limit", [None, 1, 7, 64])
def test_layouts(name: str, limit: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same numbers whatever the strides, and torch's memory format; `limit` cuts small tensors into slabs."""
    if limit is not None:
        monkeypatch.setitem(aten._SLAB, "cpu", limit)
    x = layouts()[name].detach().requires_grad_()
    beta = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(x.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    y, expected = compile(SWISH)(x, beta=beta), swish(x, beta)
    torch.testing.assert_close(y, expected)
    assert y.stride() == torch.empty_like(x).stride()
    found = torch.autograd.grad((y * weight).sum(), (x, beta))
    wanted = torch.autograd.grad((expected * weight).sum(), (x, beta))
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("limit", [None, 1, 5, 16, 100])
@pytest.mark.parametrize(
    "shapes",
    [
        ((3, 4), (3, 4)),
        ((3, 1), (1, 4)),
        ((2, 3, 4), (4,)),
        ((), (2, 3)),
        ((5, 1, 2), (1, 3, 1)),
        ((3, 1), (2, 1, 5)),
    ],
)
def test_inputs_broadcast(
    shapes: tuple[tuple[int, ...], ...], limit: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if limit is not None:
        monkeypatch.setitem(aten._SLAB, "cpu", limit)
    generator = torch.Generator().manual_seed(3)
    x, y = (torch.randn(s, generator=generator, dtype=torch.float64, requires_grad=True) for s in shapes)
    found, expected = compile(GATE)(x, y), torch.nn.functional.silu(x) * y
    torch.testing.assert_close(found, expected)
    weight = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad((found * weight).sum(), (x, y)), torch.autograd.grad((expected * weight).sum(), (x, y))
    )


@pytest.mark.parametrize("limit", [None, 1, 11, 40])
@pytest.mark.parametrize("shape", [(), (1,), (6, 1, 1), (6, 5, 8), (1, 5, 1), (8,), (4, 1, 1, 1), (4, 6, 5, 8)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_parameters_broadcast(
    shape: tuple[int, ...], limit: int | None, channels_last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if limit is not None:
        monkeypatch.setitem(aten._SLAB, "cpu", limit)
    x = layouts()["channels last" if channels_last else "contiguous"].detach().requires_grad_()
    beta = torch.rand(shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64, requires_grad=True)
    weight = torch.randn(x.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    found = torch.autograd.grad((compile(SWISH)(x, beta=beta) * weight).sum(), (x, beta))
    wanted = torch.autograd.grad((swish(x, beta) * weight).sum(), (x, beta))
    torch.testing.assert_close(found, wanted)


def test_slabs_cover_a_large_tensor_once() -> None:
    """Half a million elements, more than a slab: value, gradient and a per-channel parameter's gradient."""
    x = torch.randn(3, 5, 200, 201, generator=torch.Generator().manual_seed(6), requires_grad=True)
    beta = torch.rand(5, 1, 1, generator=torch.Generator().manual_seed(7), requires_grad=True)
    wide_x, wide_beta = (t.detach().to(torch.float64).requires_grad_() for t in (x, beta))
    found, wanted = compile(SWISH, backend="aten")(x, beta=beta), swish(wide_x, wide_beta)
    torch.testing.assert_close(found, wanted.to(torch.float32), rtol=6e-8, atol=0)
    grads = torch.autograd.grad(found.sum(), (x, beta))
    exact = torch.autograd.grad(wanted.sum(), (wide_x, wide_beta))
    # The parameter's gradient, too, is summed in float64 and rounded once.
    torch.testing.assert_close(grads, tuple(e.to(torch.float32) for e in exact), rtol=1.2e-7, atol=1e-12)


def test_memory_stays_bounded() -> None:
    """A long expression over 8 M bfloat16 elements (16 MB) allocates little beside its result."""
    f = compile("erfc(softplus(x))**2 + atan(x)*log_sigmoid(x) + tanh(x)*asinh(x)")
    x = torch.zeros(2**23, dtype=torch.bfloat16)
    with torch.profiler.profile(profile_memory=True) as profile:
        f(x)
    current = largest = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            current += event.nbytes()
            largest = max(largest, current)
    assert 2**24 <= largest < 2**24 + 40 * 2**20


@pytest.mark.parametrize("types", list(itertools.product(TYPES, TYPES)))
@pytest.mark.parametrize("shapes", [((3,), (3,)), ((), (3,)), ((3,), ()), ((), ())])
def test_inputs_promote_as_torch_does(types: tuple[torch.dtype, ...], shapes: tuple[tuple[int, ...], ...]) -> None:
    x, y = (torch.ones(s, dtype=t) for s, t in zip(shapes, types, strict=True))
    assert compile("x + y")(x, y).dtype == (x + y).dtype


@pytest.mark.parametrize("types", list(itertools.product(TYPES, TYPES)))
def test_parameters_do_not_promote(types: tuple[torch.dtype, ...]) -> None:
    x, beta = torch.ones(3, dtype=types[0]), torch.ones(3, dtype=types[1], requires_grad=True)
    y = compile(SWISH)(x, beta=beta)
    assert y.dtype == types[0]
    assert torch.autograd.grad(y.sum(), beta)[0].dtype == types[1]


def test_identity_is_a_copy() -> None:
    x = torch.ones(3, requires_grad=True)
    y = compile("x")(x)
    assert y.data_ptr() != x.data_ptr()
    y.detach().fill_(5.0)
    assert x.tolist() == [1, 1, 1]
    assert torch.autograd.grad(y.sum(), x)[0].tolist() == [1, 1, 1]


@pytest.mark.parametrize("text", ["0", "1", "pi", "2*pi", "1 - 1", "beta", "x > 0", "where(x > 0, 1, 0)"])
def test_expressions_of_few_names(text: str) -> None:
    x = torch.linspace(-1, 1, 6, dtype=torch.bfloat16).reshape(2, 3).requires_grad_()
    f = compile(text)
    values = dict.fromkeys(f.parameters, torch.tensor(0.5, requires_grad=True))
    y = f(x, **values)
    assert y.shape == x.shape and y.dtype == x.dtype
    assert torch.autograd.grad(y.sum(), x, allow_unused=True)[0].abs().sum() == 0
    for value in values.values():
        assert torch.autograd.grad(f(x, **values).sum(), value)[0] == 6


def test_parameter_gradients_are_deterministic() -> None:
    x = torch.randn(64, 8, 40, 41)
    beta = torch.rand(8, 1, 1, requires_grad=True)
    weight = torch.randn_like(x)
    grads = [torch.autograd.grad((compile(SWISH)(x, beta=beta) * weight).sum(), beta)[0] for _ in range(3)]
    assert all(torch.equal(grads[0], each) for each in grads)


def test_expanded_and_missing_gradients() -> None:
    x = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    y = torch.randn(4, 5, dtype=torch.float64)
    out = compile(GATE)(x, y)
    (expected,) = torch.autograd.grad((torch.nn.functional.silu(x) * y).sum(), x)
    torch.testing.assert_close(torch.autograd.grad(out.sum(), x)[0], expected)
    assert not compile(GATE)(x.detach(), y).requires_grad
    with torch.no_grad():
        assert not compile(GATE)(x, y).requires_grad


def test_negative_views() -> None:
    """The imaginary part of a conjugate is a view with torch's negative bit set."""
    z = torch.complex(torch.randn(5), torch.randn(5))
    view = torch.conj(z).imag
    assert view.is_neg()
    torch.testing.assert_close(compile("x")(view), -z.imag)


def test_threads_share_the_caches() -> None:
    f, x = compile("tanh(softplus(x)) + x*0.123"), torch.randn(100)
    results: list[Tensor] = []
    threads = [threading.Thread(target=lambda: results.append(f(x))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8 and all(torch.equal(results[0], each) for each in results)


def test_wrong_shapes_and_devices() -> None:
    with pytest.raises(TensorShapeError, match=r"beta has shape \(3,\).*\(2, 4\)"):
        compile(SWISH)(torch.zeros(2, 4), beta=torch.zeros(3))
    with pytest.raises(TensorShapeError, match=r"beta has shape \(2, 2, 4\)"):
        compile(SWISH)(torch.zeros(2, 4), beta=torch.zeros(2, 2, 4))
    with pytest.raises(TensorShapeError, match=r"beta is on meta and x on cpu"):
        compile(SWISH)(torch.zeros(3), beta=torch.zeros(3, device="meta"))
    with pytest.raises(TensorShapeError, match=r"do not broadcast.*x: \(2,\), y: \(3,\)"):
        compile(GATE)(torch.zeros(2), torch.zeros(3))


def test_wrong_arguments() -> None:
    x = torch.zeros(3)
    with pytest.raises(TypeError, match=r"takes 1 tensor.*f\(x, beta=\.\.\.\)"):
        compile(SWISH)(x, x, beta=1.0)
    with pytest.raises(TypeError, match="beta has no value"):
        compile(SWISH)(x)
    with pytest.raises(TypeError, match="no parameter 'gamma'"):
        compile(SWISH)(x, beta=1.0, gamma=2.0)
    with pytest.raises(TypeError, match="x must be a tensor"):
        compile("relu(x)")(1.0)  # type: ignore[arg-type]


def test_meta_and_fake_tensors() -> None:
    y = compile(SWISH)(torch.zeros(2, 3, device="meta"), beta=1.0)
    assert y.device.type == "meta" and y.shape == (2, 3)
    from torch._subclasses import FakeTensorMode

    with FakeTensorMode():
        x = torch.zeros(2, 3, 4, 4).to(memory_format=torch.channels_last)
        assert compile(SWISH)(x, beta=1.0).stride() == x.stride()


def test_saturation_at_the_root() -> None:
    for dtype in TYPES:
        x = torch.tensor([0.0, 1e-3, torch.finfo(dtype).max], dtype=dtype, requires_grad=True)
        y = compile("exp(x)*x + 1/x", safe=True)(x)
        assert y.isfinite().all() and y[2] == torch.finfo(dtype).max
        assert torch.autograd.grad(y.sum(), x)[0].isfinite().all()
        assert not compile("exp(x)*x + 1/x")(x).isfinite().all()


def test_clamp_bounds_the_result() -> None:
    y = compile("exp(x)", clamp=10.0)(torch.tensor([0.0, 5.0, np.inf]))
    assert y.tolist() == [1, 10, 10]


@pytest.mark.large
def test_more_than_two_to_the_31_elements() -> None:
    """4 GB in and 4 GB out: offsets beyond 2**31 land where they should."""
    x = torch.empty(2**31 + 17, dtype=torch.bfloat16)
    pattern = torch.linspace(-8, 8, 4099, dtype=torch.float64).to(torch.bfloat16)
    for start in range(0, x.numel(), 4099 * 4096):
        part = x[start : start + 4099 * 4096]
        part.copy_(pattern.repeat(math_ceil(part.numel(), 4099))[: part.numel()])
    expected = compile("silu(x)")(pattern)
    y = compile("silu(x)")(x)
    assert y.shape == x.shape
    for start in range(0, x.numel(), 4099 * 4096):
        part = y[start : start + 4099 * 4096]
        assert torch.equal(part, expected.repeat(math_ceil(part.numel(), 4099))[: part.numel()])


def math_ceil(a: int, b: int) -> int:
    return -(-a // b)

"""The numbers that kernels compute: tests for every backend that generates code.

A module that imports them says by the fixtures `backend` and `device` which one and where: `test_cpu.py`,
`interpreted.py` for Triton's interpreter, `tests/gpu/test_numerics.py`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from actc.expr import Expr
from actc.kernels import compile
from actc.kernels.arrangement import PlannedKernel
from actc.kernels.key import Key
from actc.kernels.registration import BACKENDS
from actc.kernels.triton_backend import BLOCK
from actc.operators import OPERATORS, Operator
from actc.parsing import parse
from tests.kernels.kernel_accuracy import TYPES, excesses, layouts, parameter_shapes
from tests.kernels.samples import ROWS, expression, sample

NAN, INF = math.nan, math.inf


def tensors_of(row: Operator, dtype: torch.dtype, turn: int, device: str) -> list[Tensor]:
    """Arguments at which the row and its derivatives are of ordinary size: a variable in the layout of this number,
    the others alike, parameters in one shape."""
    found = sample(row)
    x, *others = found.tensors
    lying = list(layouts(x.to(dtype)).values())[turn % 5]
    count = len(found.activation.variables)
    shape = list(parameter_shapes().values())[turn % 5]
    same = [each.to(dtype).expand(lying.shape).clone() for each in others[: count - 1]]
    parameters = [each.to(dtype).expand(shape).clone() for each in others[count - 1 :]]
    return moved([lying, *same, *parameters], device)


def moved(tensors: Sequence[Tensor], device: str) -> list[Tensor]:
    """On the device, lying in memory as they did."""
    memory = [t.as_strided((t.untyped_storage().size() // t.element_size(),), (1,), 0).to(device) for t in tensors]
    return [m.as_strided(t.shape, t.stride(), t.storage_offset()) for m, t in zip(memory, tensors, strict=True)]


#: All pairs of types and layouts, and five of them that hold every type and every layout.
PAIRS = [(dtype, turn) for dtype in TYPES for turn in range(5)]
SOME = [(dtype, turn) for turn, dtype in enumerate([*TYPES, torch.float32])]


@pytest.mark.parametrize("pairs", [SOME, pytest.param(PAIRS, marks=pytest.mark.large)], ids=["some", "all"])
@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_every_operator(row: Operator, pairs: list[tuple[torch.dtype, int]], backend: str, device: str) -> None:
    """Value, gradients and parameter gradients."""
    shift = ROWS.index(row)
    for dtype, turn in pairs:
        for name, excess in excesses(expression(row), tensors_of(row, dtype, turn + shift, device), backend):
            assert excess <= 1, (dtype, turn, name, excess)


def composition(seed: int) -> Expr:
    """A random one of x, y and the parameter beta."""
    rng = random.Random(seed)
    rows = [row for row in OPERATORS.values() if row.arity and not row.variadic]

    def grown(depth: int) -> str:
        if depth == 0:
            return rng.choice(["x", "x", "x", "y", "beta", "beta*x", "0.7", "2"])
        row = rng.choice(rows)
        return f"{row.name}({', '.join(grown(rng.randrange(depth)) for _ in row.arguments)})"

    return parse(f"{grown(3)} + x*beta - y/4")


def composed_tensors(dtype: torch.dtype, seed: int, device: str) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = list(layouts(torch.rand(8, generator=generator, dtype=torch.float64) * 5 - 2.5).values())[seed % 5]
    shape = list(parameter_shapes().values())[seed // 5 % 5]
    y = torch.rand(x.shape, generator=generator, dtype=torch.float64) * 3 - 1.5
    return moved([x.to(dtype), y.to(dtype), (torch.rand(shape, generator=generator) + 0.5).to(dtype)], device)


@pytest.mark.parametrize("seed", [pytest.param(s, marks=[pytest.mark.large] if s >= 20 else []) for s in range(300)])
def test_random_compositions(seed: int, backend: str, device: str) -> None:
    for dtype in TYPES:
        for name, excess in excesses(composition(seed), composed_tensors(dtype, seed, device), backend, depth=3):
            assert excess <= 1, (str(composition(seed)), dtype, name, excess)


#: Zeros, the ends of what is in between, and where exponentials leave the range of a type.
AWKWARD = [0.0, 1e-310, 1e-40, 1e-30, 0.75, 5.0, 12.0, 20.0, 86.0, 90.0, 95.0, 99.6, 103.0, 300.0, 705.0, 711.0, 750.0,
           2.0**20, 2.0**24 + 2, 2.0**48, 1e15, 1e30, 1e200, INF]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
@pytest.mark.parametrize("dtype", TYPES)
def test_awkward_values(row: Operator, dtype: torch.dtype, backend: str, device: str) -> None:
    """At the ends of the range: NaN, infinities, signs of zeros, and numbers as the reference has them on the CPU."""
    x = torch.tensor([NAN, *AWKWARD, *(-a for a in AWKWARD)], dtype=torch.float64).to(dtype)
    if dtype in (torch.bfloat16, torch.float16):
        # Numbers below the normal range of 16 bits the interpreter loads as 0.
        x = torch.where(x.abs() < torch.finfo(dtype).tiny, 0 * x, x)
    assert_as_reference(expression(row), [x, *(each.to(dtype) for each in sample(row).tensors[1:])], backend, device)


@pytest.mark.parametrize("row", [row for row in ROWS if row.arity > 1], ids=lambda row: row.name)
@pytest.mark.parametrize("dtype", TYPES)
def test_awkward_arguments(row: Operator, dtype: torch.dtype, backend: str, device: str) -> None:
    """The same for all arguments but the first, of which the last varies along the last dimension."""
    several = [0.0, 1e-30, 0.5, 1.0, 3.0, 12.0, 1e6, INF]
    if not row.name.startswith("pow"):
        # Of an exponent like that, y − 1 is not told from y.
        several.append(3e38)
    last = torch.tensor([NAN, *several, *(-a for a in several)], dtype=torch.float64).to(dtype)
    first = [0.0, -0.0, 0.75, -2.0, 3.0, -90.0, 99.6, 750.0, 1e20, -INF, INF, NAN]
    x = torch.tensor(first, dtype=torch.float64).to(dtype)
    others = [each.to(dtype) for each in sample(row).tensors[1:-1]]
    assert_as_reference(expression(row), [x[:, None].expand(-1, len(last)), *others, last], backend, device)


@pytest.mark.parametrize("text", ["relu(x)**y", "sqrt(x)**y", "exp(x)**y", "expm1(softplus(x, x))", "celu(x, -1)"])
@pytest.mark.parametrize("dtype", TYPES)
def test_awkward_compositions(text: str, dtype: torch.dtype, backend: str, device: str) -> None:
    """Where one operator relies on what another gives, -0 and what is beyond the range included."""
    values = torch.tensor([0.0, 1.0, 2.0, 3.0, 0.5, 20.0, INF], dtype=torch.float64)
    x, y = torch.cartesian_prod(torch.cat([values, -values, torch.tensor([NAN])]), torch.cat([values, -values])).T
    x, y = (torch.cat([each, torch.tensor([95.0, 99.6, 711.0, 750.0])]).to(dtype) for each in (x, y))
    expression = parse(text)
    assert_as_reference(expression, [x, y][: len(expression.variables)], backend, device)


def assert_as_reference(expression: Expr, tensors: list[Tensor], backend: str, device: str) -> None:
    function, reference = (compile(expression, backend=each) for each in (backend, "aten"))
    count = len(function.variables)
    inputs = [each.expand(tensors[0].shape).clone() for each in tensors[:count]]
    leaves = [each.to(device, copy=True).requires_grad_() for each in (*inputs, *tensors[count:])]
    value = function(*leaves[:count], **dict(zip(function.parameters, leaves[count:], strict=True)))
    slopes = torch.autograd.grad(value.sum(), leaves[:count])
    # Every argument as a tensor of the result's shape: how much it matters tells what an error may be.
    whole = [each.expand(tensors[0].shape).clone().requires_grad_() for each in tensors]
    true = reference(*whole[:count], **dict(zip(function.parameters, whole[count:], strict=True)))
    true_slopes = torch.autograd.grad(true.sum(), whole, create_graph=True)
    assert_alike(value, true, whole, true_slopes)
    for slope, exact in zip(slopes, true_slopes, strict=False):
        bends = torch.autograd.grad(exact.sum(), whole, retain_graph=True)
        assert_alike(slope, exact, whole, bends)


def assert_alike(found: Tensor, exact: Tensor, arguments: Sequence[Tensor], slopes: Sequence[Tensor]) -> None:
    """The same NaN and infinities, numbers to a few units, and where an argument is 0 or infinite the same signs of
    zeros, but of two zeros the larger may be either."""
    got, true = found.detach().cpu(), exact.detach()
    unit, tiny = max(torch.finfo(got.dtype).eps, 1e-15), torch.finfo(got.dtype).tiny
    size = true.double().abs()
    special = torch.zeros_like(true, dtype=torch.bool)
    for each, slope in zip(arguments, slopes, strict=True):
        size = size + (each.detach().double() * slope.detach().double()).abs().nan_to_num(0, 0, 0)
        special |= (each == 0) | each.isinf()
    if len(arguments) > 1:
        special &= arguments[-1] != 0
    close = (got.double() - true.double()).abs() <= 8 * unit * size + 4 * tiny
    same = close & true.isfinite() | (got == true) | got.isnan() & true.isnan()
    same &= ~special | (true != 0) | (torch.signbit(got) == torch.signbit(true))
    assert same.all(), [each.detach()[~same] for each in (*arguments, got, true)]


@pytest.mark.parametrize("dtype", TYPES)
def test_powers_of_awkward_numbers(dtype: torch.dtype, backend: str, device: str) -> None:
    """Values and both slopes, for bases and exponents that are zero, infinite, NaN, subnormal or whole, as torch's."""
    narrow = dtype in (torch.bfloat16, torch.float16)
    # The interpreter does not load subnormal numbers of 16 bits.
    tiny = torch.finfo(dtype).tiny * (1 if narrow else 0.25)
    bases = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -2.0, -0.5, INF, -INF, NAN, tiny]
    exponents = [0.0, -0.0, 1.0, -1.0, 2.0, 3.0, -3.0, 0.5, -1.5, INF, -INF, NAN, tiny, 2.0**24, 2.0**47, 2.0**48]
    x, y = torch.cartesian_prod(*(torch.tensor(each, dtype=torch.float64) for each in (bases, exponents))).unbind(1)
    # torch rounds y − 1, so that it takes a tiny y for 0 there; the last of them is 1 in kernels for 16 bits.
    beyond = y.isfinite() & (y > torch.finfo(dtype).max)
    kept = ~beyond & ~(((x <= 0) | (x == tiny)) & (y == tiny)) & ~((x == -1) & y.isnan() & narrow)
    found = []
    ours, theirs = (device, compile("x**y", backend=backend), dtype), ("cpu", torch.pow, torch.float64)
    for where, function, wide in (ours, theirs):
        leaves = [each[kept].to(where, wide, copy=True).requires_grad_() for each in (x, y)]
        value = function(*leaves)
        found.append([each.detach().cpu() for each in (value, *torch.autograd.grad(value.sum(), leaves))])
    for name, got, true in zip(("value", "by x", "by y"), *found, strict=True):
        rtol = 1e-14 if dtype == torch.float64 else 8 * torch.finfo(dtype).eps
        same = torch.isclose(got, true.to(dtype), rtol=rtol, atol=4 * torch.finfo(dtype).tiny, equal_nan=True)
        assert same.all(), (name, x[kept][~same], y[kept][~same], got[~same], true[~same])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (1, 1), (7,), (BLOCK,), (BLOCK + 1,), (3, BLOCK + 8)])
def test_sizes(dtype: torch.dtype, shape: tuple[int, ...], backend: str, device: str) -> None:
    """Value and both gradients as the reference has them, in blocks that the tensor fills and that it does not."""
    generator = torch.Generator().manual_seed(len(shape))
    x = torch.randn(shape, generator=generator, dtype=torch.float64).to(device, dtype)
    found = []
    for each in (backend, "aten"):
        leaf, beta = x.clone().requires_grad_(), torch.tensor(1.3, device=device, requires_grad=True)
        y = compile("x*sigmoid(beta*x)", backend=each)(leaf, beta=beta)
        found.append([y.detach(), *torch.autograd.grad(y, (leaf, beta), torch.ones_like(y))])
    eps = torch.finfo(dtype).eps
    for got, true in zip(*found, strict=True):
        assert got.shape == true.shape and got.dtype == true.dtype
        sums = math.sqrt(x.numel()) if got.shape != x.shape else 1.0
        torch.testing.assert_close(got, true, rtol=max(2 * eps, 1e-6), atol=max(eps, 1e-6) * max(sums, 1.0))


@pytest.mark.parametrize("shape", [(3, 0, 2), (0, 3, 2), (3, 2, 0)])
def test_nothing_along_channels(shape: tuple[int, ...], backend: str, device: str) -> None:
    x = torch.ones(shape, device=device, requires_grad=True)
    beta = torch.ones(shape[1], 1, device=device, requires_grad=True)
    y = compile("x*sigmoid(beta*x)", backend=backend)(x, beta=beta)
    slopes = torch.autograd.grad(y, (x, beta), y)
    assert [s.shape for s in slopes] == [x.shape, beta.shape] and not slopes[1].any()


def test_two_runs_agree_to_the_last_bit(backend: str, device: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 8, 40, 9, generator=generator).to(device)
    for shape in parameter_shapes_of(x):
        runs = []
        for _ in range(2):
            leaf = x.clone().requires_grad_()
            beta = torch.linspace(0.5, 2, math.prod(shape), device=device).reshape(shape).requires_grad_()
            y = compile("x*sigmoid(beta*x)", backend=backend)(leaf, beta=beta)
            runs.append([y, *torch.autograd.grad(y, (leaf, beta), torch.ones_like(y))])
        assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


def parameter_shapes_of(x: Tensor) -> list[tuple[int, ...]]:
    return [(), (x.shape[1], 1, 1), (x.shape[3],), tuple(x.shape[2:]), (x.shape[0], 1, 1, 1)]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("channels", [1, 3, 8, 70])
def test_bias_and_gate(memory_format: torch.memory_format, channels: int, backend: str, device: str) -> None:
    """Three inputs, one of them a bias along the channels, and a learnable slope along them too."""
    generator = torch.Generator().manual_seed(channels)
    x = torch.randn(3, channels, 5, 7, generator=generator).to(memory_format=memory_format)
    z = torch.randn(x.shape, generator=generator)
    y, beta = torch.randn(channels, 1, 1, generator=generator), torch.rand(channels, 1, 1, generator=generator)
    found = []
    for each in (backend, "aten"):
        leaves = [t.clone().requires_grad_() for t in moved([x, y, z, beta], device)]
        f = compile("silu(beta*(x + y))*z", backend=each)
        value = f(*leaves[:3], beta=leaves[3])
        assert value.stride() == x.stride()
        found.append([value, *torch.autograd.grad(value, leaves, z.to(device))])
    for got, true in zip(*found, strict=True):
        assert got.stride() == true.stride()
        torch.testing.assert_close(got, true, rtol=1e-5, atol=2e-5)


def test_types_of_operands_may_differ(backend: str, device: str) -> None:
    """A float32 parameter of a bfloat16 tensor gets a float32 gradient; a float64 input widens the result."""
    x = torch.randn(5, 8, generator=torch.Generator().manual_seed(2)).to(device, torch.bfloat16).requires_grad_()
    beta = torch.full((8,), 0.9, device=device, requires_grad=True)
    y = compile("x*sigmoid(beta*x)", backend=backend)(x, beta=beta)
    dx, dbeta = torch.autograd.grad(y.sum(), (x, beta))
    assert (y.dtype, dx.dtype, dbeta.dtype) == (torch.bfloat16, torch.bfloat16, torch.float32)
    wide = compile("x*y", backend=backend)(x, x.double())
    assert wide.dtype == torch.float64 and torch.equal(wide, x.double().square())


@pytest.mark.parametrize("text", ["2", "beta", "exp(beta)*3", "where(x > 0, 1, 0)", "x > 0.5", "x", "y"])
def test_functions_of_few_arguments(text: str, backend: str, device: str) -> None:
    f, reference = (compile(text, backend=each) for each in (backend, "aten"))
    x = torch.linspace(-1, 2, 12, device=device).reshape(3, 4).requires_grad_()
    parameters = {name: torch.full((4,), 0.3, device=device, requires_grad=True) for name in f.parameters}
    found = []
    for function in (f, reference):
        y = function(*[x] * len(f.variables), **parameters)
        found.append([y, *torch.autograd.grad(y.sum(), (x, *parameters.values()), allow_unused=True)])
    for got, true in zip(*found, strict=True):
        torch.testing.assert_close(got, true)


def test_constants_beyond_float32_are_computed_in_float64(backend: str, device: str) -> None:
    x = torch.tensor([1.0, -2.0], device=device, requires_grad=True)
    y = compile("x*1e-200*1e200", backend=backend)(x)
    assert y.tolist() == [1.0, -2.0]


@pytest.mark.parametrize("dtype", TYPES)
def test_safe_results_stay_within_the_stored_type(dtype: torch.dtype, backend: str, device: str) -> None:
    x = torch.tensor([0.0, 1e-30, -1e-30, 3.0], dtype=torch.float64).to(device, dtype).requires_grad_()
    y = compile("1/x/x", safe=True, backend=backend)(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert y.isfinite().all() and slope.isfinite().all()
    assert y.dtype == torch.float64 or y[1] in (0, torch.finfo(dtype).max)


def test_what_kernels_do_not_cover_is_said(backend: str, device: str) -> None:
    f, reference = (compile("x*y + beta", backend=each) for each in (backend, "aten"))
    x, y = torch.randn(4, 1, device=device), torch.randn(1, 5, device=device)
    with pytest.warns(UserWarning, match=r"x\*y \+ beta runs as composed torch operations: "):
        assert torch.equal(f(x, y, beta=1.0), reference(x, y, beta=1.0))
    x, beta = torch.randn(2, 3, 4, device=device), torch.randn(2, 1, 4, device=device)
    with pytest.warns(UserWarning, match="dimensions that lie between its own"):
        assert torch.equal(f(x, x, beta=beta), reference(x, x, beta=beta))
    with pytest.warns(UserWarning, match="broadcast along different dimensions"):
        y, beta = torch.ones(4, device=device), torch.ones(3, 1, device=device)
        assert torch.equal(f(x, y, beta=beta), reference(x, y, beta=beta))


def test_names_that_kernels_use_themselves(backend: str, device: str) -> None:
    """A parameter may be called as anything in the kernel, or as what Python means by it."""
    names = ["tl", "x_pointer", "grad", "mask", "mul_1", "é", "grad_x", "lanes", "exp_1", "type", "BLOCK", "operand1"]
    text = "exp(x*y) + " + "*".join(f"({name} + x)" for name in names)
    values = {name: torch.tensor(0.1 + i / 7) for i, name in enumerate(names)}
    x, y = torch.linspace(-1, 1, 5, device=device), torch.linspace(0, 1, 5, device=device)
    found, true = (compile(text, backend=each)(x, y, **values) for each in (backend, "aten"))
    torch.testing.assert_close(found, true)


@pytest.mark.parametrize("text", ["x*sigmoid(beta*x)", "silu(x)*y", "max(x, beta)"])
def test_derivatives_of_any_order(text: str, backend: str, device: str) -> None:
    f = compile(text, backend=backend)
    x = torch.linspace(-2, 2, 6, dtype=torch.float64, device=device).reshape(2, 3).requires_grad_()
    others = [torch.rand(2, 3, dtype=torch.float64, device=device, requires_grad=True) for _ in f.variables[1:]]
    parameters = [torch.tensor(0.7, dtype=torch.float64, device=device, requires_grad=True) for _ in f.parameters]
    arguments = (x, *others, *parameters)

    def function(*tensors: Tensor) -> Tensor:
        count = len(f.variables)
        value: Tensor = f(*tensors[:count], **dict(zip(f.parameters, tensors[count:], strict=True)))
        return value

    assert torch.autograd.gradcheck(function, arguments)
    assert torch.autograd.gradgradcheck(function, arguments)


def test_opcheck(backend: str, device: str) -> None:
    key = str(Key("silu(x)*y + tanh(beta*x)", ("x", "y"), ("beta",), (0, 0, 0), backend))
    x = torch.randn(2, 3, 4, 4, device=device).to(memory_format=torch.channels_last).requires_grad_()
    y = torch.randn(2, 3, 4, 4, device=device, requires_grad=True)
    beta = torch.rand(3, 1, 1, device=device, requires_grad=True)
    torch.library.opcheck(torch.ops.actc.forward.default, ([x, y], [beta], key))
    grad = torch.randn(2, 3, 4, 4, device=device, requires_grad=True)
    torch.library.opcheck(torch.ops.actc.backward.default, (grad, [x, y], [beta], key, [0, 1, 2]))


def test_plans_are_made_once(backend: str, device: str) -> None:
    kernel = BACKENDS[backend](Key("x*x", ("x",), (), (0,), backend))
    assert isinstance(kernel, PlannedKernel)
    for _ in range(3):
        kernel.forward([torch.ones(5, device=device)], [])
    assert len(kernel._forward_plans) == 1
    kernel.forward([torch.ones(6, device=device)], [])
    assert len(kernel._forward_plans) == 2


def test_values_agree_with_numpy(backend: str, device: str) -> None:
    """Not by way of torch at all."""
    x = np.linspace(-5, 5, 2000)
    got = compile("x*sigmoid(x)", backend=backend)(torch.from_numpy(x).to(device))
    np.testing.assert_allclose(got.cpu().numpy(), x / (1 + np.exp(-x)), rtol=1e-14)


@pytest.mark.parametrize("text", ["x**beta", "x**y", "hypot(x, beta)", "where((x > beta)*(beta > 0) + (x < 0), x, 3)"])
@pytest.mark.parametrize("shape", [(), (3, 1, 1), (6,)])
def test_numbers_beside_tensors(text: str, shape: tuple[int, ...], backend: str, device: str) -> None:
    x = layouts(torch.linspace(0.3, 2, 7, dtype=torch.float64))["contiguous"]
    other = x.flip(0) if "y" in text and "beta" not in text else torch.full(shape, 1.6, dtype=torch.float64)
    for dtype in TYPES:
        for name, excess in excesses(parse(text), moved([x.to(dtype), other.to(dtype)], device), backend):
            assert excess <= 1, (dtype, name, excess)

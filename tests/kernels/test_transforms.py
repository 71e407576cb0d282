"""torch.func and the older autograd tools, on functions of inputs and parameters, against torch's own operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

from actc.kernels import Activation, compile

F = compile("x*sigmoid(beta*x) + tanh(alpha*x)*y")


def ours(x: Tensor, y: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return F(x, y, alpha=alpha, beta=beta)


def theirs(x: Tensor, y: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    return x * torch.sigmoid(beta * x) + torch.tanh(alpha * x) * y


def exported(x: Tensor, y: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """The registered operation itself, which is all that an exported model holds."""
    from tests.kernels.test_every_operator import key_of

    result: Tensor = torch.ops.actc.forward.default([x, y], [alpha, beta], key_of(F))
    return result


@pytest.fixture
def tensors() -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 3), (4, 1), (3,), ()]
    return tuple(torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)


def scalar(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda *tensors: (function(*tensors) ** 2).sum()


TRANSFORMS: dict[str, Callable[[Callable[..., Tensor]], Callable[..., Any]]] = {
    "grad": lambda f: grad(scalar(f), argnums=(0, 1, 2, 3)),
    "grad of grad": lambda f: grad(lambda *t: grad(scalar(f), argnums=3)(*t).sum(), argnums=(0, 1, 2, 3)),
    "third derivative": lambda f: grad(grad(grad(scalar(f), argnums=3), argnums=3), argnums=3),
    "jacrev": lambda f: jacrev(f, argnums=(0, 1, 2, 3)),
    "jacfwd": lambda f: jacfwd(f, argnums=(0, 1, 2, 3)),
    "hessian": lambda f: hessian(scalar(f), argnums=(0, 1, 2, 3)),
    "jacfwd of jacfwd": lambda f: jacfwd(jacfwd(scalar(f), argnums=(0, 3)), argnums=(0, 3)),
    "jacrev of jacrev": lambda f: jacrev(jacrev(scalar(f), argnums=(0, 3)), argnums=(0, 3)),
    "jvp": lambda f: lambda *t: jvp(f, t, tuple(torch.ones_like(each) for each in t)),
    "vjp": lambda f: lambda *t: vjp(f, *t)[1](torch.ones(4, 3, dtype=torch.float64)),
    "jvp of vjp": lambda f: lambda *t: jvp(grad(scalar(f)), t, tuple(torch.ones_like(each) for each in t)),
    "vmap": lambda f: vmap(f, in_dims=(0, 0, None, None)),
    "vmap of grad": lambda f: vmap(grad(scalar(f), argnums=(0, 3)), in_dims=(0, 0, None, None)),
    "vmap of hessian": lambda f: vmap(hessian(scalar(f), argnums=(0, 3)), in_dims=(0, 0, None, None)),
    "grad of vmap": lambda f: grad(scalar(vmap(f, in_dims=(0, 0, None, None))), argnums=(0, 1, 2, 3)),
    "vmap of vmap": lambda f: vmap(vmap(f, in_dims=(0, None, 0, None)), in_dims=(0, 0, None, None)),
    "vmap of jvp": lambda f: vmap(lambda *t: jvp(lambda x: f(x, *t[1:]), t[:1], t[:1]), in_dims=(0, 0, None, None)),
}


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("function", [ours, exported])
def test_transforms(name: str, function: Callable[..., Tensor], tensors: tuple[Tensor, ...]) -> None:
    torch.testing.assert_close(TRANSFORMS[name](function)(*tensors), TRANSFORMS[name](theirs)(*tensors))


@pytest.mark.parametrize(
    "dims", [(0, None, None, None), (1, 1, 0, None), (None, None, 0, 0), (None, 0, None, 0), (2, 0, None, None)]
)
@pytest.mark.parametrize("out", [0, -1])
def test_vmap_over_any_dimension(dims: tuple[int | None, ...], out: int) -> None:
    generator = torch.Generator().manual_seed(1)
    tensors = []
    for dim, shape in zip(dims, [(4, 3), (4, 1), (3,), ()], strict=True):
        full = list(shape)
        if dim is not None:
            full.insert(dim, 5)
        tensors.append(torch.randn(full, generator=generator, dtype=torch.float64))
    torch.testing.assert_close(
        vmap(ours, in_dims=dims, out_dims=out)(*tensors), vmap(theirs, in_dims=dims, out_dims=out)(*tensors)
    )
    gradient = [vmap(grad(scalar(f), argnums=(0, 1, 2, 3)), in_dims=dims) for f in (ours, theirs)]
    torch.testing.assert_close(gradient[0](*tensors), gradient[1](*tensors))


def test_gradients_of_single_examples() -> None:
    """Per-sample gradients of a model, the parameters of its activation included."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), Activation("x*sigmoid(beta*x)", per="channel", channels=3), nn.Flatten())
    model = model.double()
    data = torch.randn(5, 2, 6, 6, dtype=torch.float64)
    parameters: dict[str, Tensor] = dict(model.named_parameters())

    def loss(given: dict[str, Tensor], example: Tensor) -> Tensor:
        result: Tensor = functional_call(model, given, (example[None],)).square().sum()
        return result

    together = vmap(grad(loss), in_dims=(None, 0))(parameters, data)
    for i, example in enumerate(data):
        torch.testing.assert_close({k: v[i] for k, v in together.items()}, grad(loss)(parameters, example))


def test_ensembles() -> None:
    """Several models at once, by stacked parameters."""
    layers = [Activation("x*sigmoid(beta*x)", initial={"beta": value}) for value in (0.5, 1.0, 2.0)]
    stacked, _ = torch.func.stack_module_state(layers)
    x = torch.randn(4)
    together = vmap(lambda given: functional_call(layers[0], given, (x,)))(stacked)
    torch.testing.assert_close(together, torch.stack([layer(x) for layer in layers]))


def test_forward_mode_without_torch_func(tensors: tuple[Tensor, ...]) -> None:
    with torch.autograd.forward_ad.dual_level():
        duals = [torch.autograd.forward_ad.make_dual(each, torch.ones_like(each)) for each in tensors]
        found = torch.autograd.forward_ad.unpack_dual(ours(*duals))
        wanted = torch.autograd.forward_ad.unpack_dual(theirs(*duals))
    torch.testing.assert_close(tuple(found), tuple(wanted))


def test_forward_over_reverse_without_torch_func(tensors: tuple[Tensor, ...]) -> None:
    """Hessian-vector products; also where the gradient keeps no graph."""
    for keep in (False, True):
        with torch.autograd.forward_ad.dual_level():
            products = []
            for function in (ours, theirs):
                x = torch.autograd.forward_ad.make_dual(tensors[0].clone().requires_grad_(), torch.ones(4, 3).double())
                (slope,) = torch.autograd.grad(scalar(function)(x, *tensors[1:]), x, create_graph=keep)
                products.append(torch.autograd.forward_ad.unpack_dual(slope).tangent)
        torch.testing.assert_close(products[0], products[1])


def test_autograd_functional(tensors: tuple[Tensor, ...]) -> None:
    functional = torch.autograd.functional
    torch.testing.assert_close(functional.hessian(scalar(ours), tensors), functional.hessian(scalar(theirs), tensors))
    torch.testing.assert_close(functional.jacobian(ours, tensors), functional.jacobian(theirs, tensors))


def test_high_orders() -> None:
    """The sixth derivative, by backward calls."""
    x = torch.linspace(-2, 2, 9, dtype=torch.float64, requires_grad=True)
    y, z = compile("exp(x/2)*sin(x)")(x), torch.exp(x / 2) * torch.sin(x)
    for _ in range(6):
        (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        (z,) = torch.autograd.grad(z.sum(), x, create_graph=True)
        torch.testing.assert_close(y, z)


def test_double_backward_in_sixteen_bits() -> None:
    """A gradient penalty on bfloat16 activations, learnable parameters in float32."""
    x = torch.randn(64, dtype=torch.bfloat16, requires_grad=True)
    layer = Activation("x*sigmoid(beta*x)")
    (slope,) = torch.autograd.grad(layer(x).sum(), x, create_graph=True)
    slope.float().square().sum().backward()
    assert slope.dtype == torch.bfloat16 and x.grad is not None and x.grad.dtype == torch.bfloat16
    wide = x.detach().double().requires_grad_()
    beta = torch.ones((), dtype=torch.float64, requires_grad=True)
    (exact,) = torch.autograd.grad((wide * torch.sigmoid(beta * wide)).sum(), wide, create_graph=True)
    exact.square().sum().backward()
    assert layer.beta.grad is not None and beta.grad is not None
    torch.testing.assert_close(x.grad.double(), wide.grad, rtol=0.02, atol=0.02)
    torch.testing.assert_close(layer.beta.grad.double(), beta.grad, rtol=0.02, atol=0.02)


def test_bounded_parameters_in_nested_forward_mode() -> None:
    layer = Activation("x*sigmoid(beta*x)", bounds={"beta": (0, 3)}, initial={"beta": 1.5}).double()
    x = torch.randn(5, dtype=torch.float64)

    def loss(beta: Tensor) -> Tensor:
        return functional_call(layer, {"beta": beta}, (x,)).sum()

    def plain(beta: Tensor) -> Tensor:
        return (x * torch.sigmoid(beta * x)).sum()

    beta = layer.beta.detach()
    torch.testing.assert_close(jacfwd(jacfwd(loss))(beta), jacfwd(jacfwd(plain))(beta))

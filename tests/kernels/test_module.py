"""`Activation`: parameters, bounds, state, and the tools of torch that see modules."""

from __future__ import annotations

import copy
import functools
import io
import pickle
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from actc.errors import ActcError
from actc.kernels.errors import TensorShapeError
from actc.kernels.module import Activation, parameter_groups
from actc.parsing import parse

SWISH = "x*sigmoid(beta*x)"


def swish(x: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
    return x * torch.sigmoid(beta * x)


def test_one_parameter_a_layer() -> None:
    layer = Activation(SWISH, initial={"beta": 1.5})
    x = torch.randn(4, 3, requires_grad=True)
    torch.testing.assert_close(layer(x), swish(x, torch.tensor(1.5)))
    assert layer.beta.shape == () and layer.beta.item() == 1.5
    assert list(layer.state_dict()) == ["beta"]


@pytest.mark.parametrize(
    ("channel_dim", "shape", "view"),
    [
        (1, (2, 5), (5,)),
        (1, (2, 5, 3), (5, 1)),
        (1, (2, 5, 3, 4), (5, 1, 1)),
        (-1, (2, 3, 5), (5,)),
        (-3, (5, 3, 4), (5, 1, 1)),
    ],
)
def test_one_parameter_a_channel(channel_dim: int, shape: tuple[int, ...], view: tuple[int, ...]) -> None:
    beta = torch.linspace(0.5, 2, 5)
    layer = Activation(SWISH, per="channel", channels=5, channel_dim=channel_dim, initial={"beta": beta})
    x = torch.randn(shape)
    y = layer(x)
    torch.testing.assert_close(y, swish(x, beta.view(view)))
    y.sum().backward()
    assert layer.beta.grad is not None and layer.beta.grad.shape == (5,)


def test_one_parameter_a_neuron() -> None:
    layer = Activation("a*x + b", per="neuron", shape=(3, 4), initial={"a": 2.0})
    x = torch.randn(5, 3, 4)
    torch.testing.assert_close(layer(x), 2 * x + 1)
    layer(x).sum().backward()
    torch.testing.assert_close(layer.a.grad, x.sum(0))
    torch.testing.assert_close(layer.b.grad, torch.full((3, 4), 5.0))


def test_gates_take_two_tensors() -> None:
    a, b = torch.randn(2, 3), torch.randn(2, 3)
    torch.testing.assert_close(Activation("silu(x)*y")(a, b), nn.functional.silu(a) * b)


def test_initial_values() -> None:
    row = SimpleNamespace(expr=parse(SWISH), initial={"beta": 0.25})
    assert Activation(SWISH).beta.item() == 1.0
    assert Activation(row).beta.item() == 0.25
    assert Activation(row, initial={"beta": 3.0}).beta.item() == 3.0
    assert Activation(SWISH, bounds={"beta": (2.0, None)}).beta.item() == 2.0
    layer = Activation(SWISH, initial={"beta": 3.0})
    with torch.no_grad():
        layer.beta.fill_(0.0)
    layer.reset_parameters()
    assert layer.beta.item() == 3.0
    meta = Activation(SWISH, device="meta", initial={"beta": 3.0}).to_empty(device="cpu")
    meta.reset_parameters()
    assert meta.beta.item() == 3.0


def test_bounds_hold_for_the_value_used() -> None:
    layer = Activation("beta*x", bounds={"beta": (0, 2)}, initial={"beta": 1.0})
    x = torch.ones(3)
    for outside, used in ((-1.0, 0.0), (5.0, 2.0), (0.5, 0.5)):
        with torch.no_grad():
            layer.beta.fill_(outside)
        assert layer(x).tolist() == [used] * 3


@pytest.mark.parametrize("direction", [1.0, -1.0])
@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_a_parameter_pushed_out_comes_back(direction: float, optimizer: type[torch.optim.Optimizer]) -> None:
    """It drifts no further than a step or two, so it returns at once when the gradient turns."""
    layer = Activation("beta*x", bounds={"beta": (0, 2)}, initial={"beta": 1.0})
    steps = optimizer(layer.parameters(), lr=0.1)  # type: ignore[call-arg]
    used = []
    for step in range(400):
        sign = direction if step < 200 else -direction
        steps.zero_grad()
        loss = sign * layer(torch.ones(1)).sum()
        loss.backward()
        steps.step()
        used.append(layer(torch.ones(1)).item())
    edge, far = (0.0, 2.0) if direction > 0 else (2.0, 0.0)
    assert used[199] == edge and used[399] == far
    assert all(0 <= value <= 2 for value in used)
    assert used[260] != edge


def test_bounds_work_with_function_transforms() -> None:
    layer = Activation(SWISH, per="channel", channels=2, bounds={"beta": (0, 5)}).double()
    x = torch.randn(3, 2, dtype=torch.float64)

    def loss(parameters: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.func.functional_call(layer, parameters, (x,)).square().sum()

    values = dict(layer.named_parameters())
    forward, reverse = torch.func.hessian(loss)(values), torch.func.jacrev(torch.func.jacrev(loss))(values)
    torch.testing.assert_close(forward, reverse)


def test_bad_arguments() -> None:
    for arguments, message in [
        ({"per": "pixel"}, "per='pixel'"),
        ({"bounds": {"beta": (2, 1)}}, "must be below"),
        ({"bounds": {"gamma": (0, 1)}}, "'gamma', which is no parameter"),
        ({"initial": {"gamma": 1.0}}, "'gamma', which is no parameter"),
        ({"initial": {"beta": -1.0}, "bounds": {"beta": (0, None)}}, "outside its bounds"),
    ]:
        with pytest.raises(ActcError, match=message):
            Activation(SWISH, **arguments)  # type: ignore[arg-type]
    with pytest.raises(TensorShapeError, match="needs channels="):
        Activation(SWISH, per="channel")
    with pytest.raises(TensorShapeError, match="needs shape="):
        Activation(SWISH, per="neuron")
    with pytest.raises(TensorShapeError, match=r"initial value of beta has shape \(2,\)"):
        Activation(SWISH, per="channel", channels=3, initial={"beta": [1.0, 2.0]})
    with pytest.raises(TensorShapeError, match=r"3 channels along dimension 1, and the input has shape \(2, 4\)"):
        Activation(SWISH, per="channel", channels=3)(torch.zeros(2, 4))
    with pytest.raises(TensorShapeError, match="channel_dim"):
        Activation(SWISH, per="channel", channels=3)(torch.zeros(3))
    with pytest.raises(ActcError, match="'training'"):
        Activation("training*x")


def test_repr_says_what_it_is() -> None:
    layer = Activation(SWISH, per="channel", channels=3, channel_dim=-1, bounds={"beta": (0, None)})
    said = "'x*sigmoid(beta*x)', per='channel', shape=(3,), channel_dim=-1, bounds={'beta': (0.0, inf)}"
    assert repr(layer) == f"Activation({said})"
    assert repr(Activation("relu(x)", inplace=True)) == "Activation('relu(x)')"


def test_pickle_deepcopy_and_save() -> None:
    layer = Activation(SWISH, per="channel", channels=3, bounds={"beta": (0, None)}, safe=True)
    x = torch.randn(2, 3)
    buffer = io.BytesIO()
    torch.save(layer, buffer)
    buffer.seek(0)
    copies = [pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer), torch.load(buffer, weights_only=False)]
    for each in copies:
        assert torch.equal(each(x), layer(x)) and each.beta is not layer.beta
        assert repr(each) == repr(layer)


def test_state_dict_of_the_first_version_still_loads() -> None:
    """Frozen: plain tensors by parameter name. Strict loading must accept exactly this for ever."""
    frozen = {"act.alpha": torch.tensor(0.5), "act.beta": torch.tensor(2.0)}
    model = nn.Module()
    model.act = Activation("x*sigmoid(beta*x) + alpha")
    assert list(model.state_dict()) == list(frozen)
    model.load_state_dict(frozen, strict=True)
    assert model.act.beta.item() == 2.0


def test_moves_between_types() -> None:
    layer = Activation(SWISH).to(torch.bfloat16)
    assert layer.beta.dtype == torch.bfloat16
    y = layer(torch.randn(3, dtype=torch.bfloat16))
    y.sum().backward()
    assert y.dtype == torch.bfloat16
    assert layer.beta.grad is not None and layer.beta.grad.dtype == torch.bfloat16
    assert Activation(SWISH, dtype=torch.float64).beta.dtype == torch.float64


def test_inplace_is_accepted_and_has_no_effect() -> None:
    x = torch.full((3,), -1.0)
    assert functools.partial(Activation, "relu(x)")(inplace=True)(x).tolist() == [0, 0, 0]
    assert x.tolist() == [-1, -1, -1]


def test_parameter_groups() -> None:
    shared = Activation(SWISH)
    model = nn.Sequential(nn.Linear(2, 3), shared, nn.Linear(3, 2), shared, Activation("a*x"), Activation("relu(x)"))
    groups = parameter_groups(model, lr=0.1, betas=(0.5, 0.9))
    optimizer = torch.optim.AdamW(groups, lr=0.01, weight_decay=0.3)
    assert [len(g["params"]) for g in optimizer.param_groups] == [4, 2]
    assert [g["weight_decay"] for g in optimizer.param_groups] == [0.3, 0.0]
    assert [g["lr"] for g in optimizer.param_groups] == [0.01, 0.1]
    assert optimizer.param_groups[1]["betas"] == (0.5, 0.9)
    assert len(parameter_groups(nn.Linear(2, 2))) == 1
    assert len(parameter_groups(Activation(SWISH))) == 1


def test_training_learns_the_parameter() -> None:
    torch.manual_seed(0)
    x = torch.randn(256)
    target = swish(x, torch.tensor(3.0))
    layer = Activation(SWISH)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        loss = (layer(x) - target).square().mean()
        loss.backward()
        optimizer.step()
    assert abs(layer.beta.item() - 3.0) < 0.05


def test_autocast_leaves_types_alone() -> None:
    linear, layer = nn.Linear(4, 4), Activation(SWISH)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(linear(torch.randn(2, 4)))
        assert y.dtype == torch.bfloat16
        assert Activation("exp(x)")(torch.zeros(2)).dtype == torch.float32
    y.sum().backward()
    assert layer.beta.grad is not None and layer.beta.grad.dtype == torch.float32

"""`Activation`: parameters, bounds, state, and the tools of torch that see modules."""

from __future__ import annotations

import copy
import functools
import io
import math
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from actc.errors import ActcError, ArgumentError
from actc.kernels.compiled import compile
from actc.kernels.errors import TensorShapeError, TensorTypeError
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


NO_NUMBERS: list[Any] = ["1.0", None, math.nan, math.inf, 1j, [1, "a"], {}, torch.tensor(1j)]
NO_BOUNDS: list[Any] = [1.0, None, "ab", (1,), (1, 2, 3), (2, 1), (1, 1), ("0", "1"), (math.nan, 1), (0, [])]
BAD: list[tuple[dict[str, Any], str]] = [
    ({"per": "pixel"}, "per='pixel': parameters are per \"layer\", \"channel\" or \"neuron\""),
    ({"per": None}, "per=None: parameters are per"),
    ({"channels": 3}, "channels=3: it belongs to per=\"channel\", and per is 'layer'"),
    ({"shape": (3,)}, "shape=(3,): it belongs to per=\"neuron\", and per is 'layer'"),
    *(
        ({"per": "channel", "channels": wrong}, f"channels={wrong!r}: write a whole number above 0")
        for wrong in (-1, 0, 2.5, "3", True, [3])
    ),
    ({"per": "channel", "channels": 10**30}, "torch makes no parameter of shape"),
    ({"per": "neuron", "shape": 3}, "shape=3: write a tuple of whole numbers above 0"),
    ({"per": "neuron", "shape": "ab"}, "shape='ab': write a tuple"),
    ({"per": "neuron", "shape": (4, -1)}, "shape[1]=-1: write a tuple"),
    ({"per": "neuron", "shape": (2.5,)}, "shape[0]=2.5: write a tuple"),
    *(({"channel_dim": wrong}, f"channel_dim={wrong!r}: write a dimension") for wrong in (1.5, "1", None, True)),
    ({"initial": 3}, "initial=3: write a mapping by name of parameter, as in initial={'beta': 1.0}"),
    ({"initial": {"bta": 1.0}}, "initial= names 'bta', which is no parameter; did you mean 'beta'?"),
    ({"initial": {7: 1.0}}, "initial= names 7, which is no parameter: there is beta"),
    *(
        ({"initial": {"beta": wrong}}, f"initial['beta']={wrong!r}: write a finite number")
        for wrong in NO_NUMBERS
    ),
    ({"initial": {"beta": torch.empty((), device="meta")}}, "write a finite number"),
    ({"initial": {"beta": 10**400}}, "write a finite number"),
    ({"initial": {"beta": -1.0}, "bounds": {"beta": (0, None)}}, "it lies outside its bounds (0.0, inf)"),
    ({"bounds": 3}, "bounds=3: write a mapping by name of parameter, as in bounds={'beta': (0, None)}"),
    ({"bounds": {"zeta": (0, 1)}}, "bounds= names 'zeta', which is no parameter"),
    *(
        ({"bounds": {"beta": wrong}}, f"bounds['beta']={wrong!r}: write two numbers, the lower first, or None")
        for wrong in NO_BOUNDS
    ),
    ({"dtype": torch.int32}, "dtype=torch.int32: parameters are of torch.float32, "),
    ({"dtype": torch.complex64}, "dtype=torch.complex64: parameters are of"),
    ({"dtype": "float32"}, "dtype='float32': parameters are of"),
    ({"device": "cup"}, "on device 'cup': "),
    ({"device": torch.float32}, "on device torch.float32: "),
    *(({"safe": wrong}, f"safe={wrong!r}: write True or False") for wrong in ("yes", 1, None)),
    *(({"clamp": wrong}, f"clamp={wrong!r}: write the bound") for wrong in (-1, 0, math.nan, math.inf, "3", [1])),
    ({"backend": "atne"}, "unknown backend 'atne'; did you mean 'aten'?"),
    ({"backend": ["aten"]}, "backend=['aten']: write its name, or \"auto\""),
]


@pytest.mark.parametrize(("options", "said"), BAD, ids=str)
def test_bad_arguments(options: dict[str, Any], said: str) -> None:
    """Each is refused in one line that names the argument, what was given and what to write."""
    with pytest.raises(ActcError) as raised:
        Activation(SWISH, **options)
    assert said in str(raised.value) and "\n" not in str(raised.value)


def test_bad_shapes_and_names() -> None:
    with pytest.raises(TensorShapeError, match="needs channels="):
        Activation(SWISH, per="channel")
    with pytest.raises(TensorShapeError, match="needs shape="):
        Activation(SWISH, per="neuron")
    with pytest.raises(TensorShapeError, match=r"initial value of beta has shape \(2,\)"):
        Activation(SWISH, per="channel", channels=3, initial={"beta": [1.0, 2.0]})
    layer = Activation(SWISH, per="channel", channels=3)
    with pytest.raises(TensorShapeError, match=r"3 channels along dimension 1, and the input has shape \(2, 4\)"):
        layer(torch.zeros(2, 4))
    with pytest.raises(TensorShapeError, match="channel_dim"):
        layer(torch.zeros(3))
    with pytest.raises(TensorTypeError, match="x must be a tensor, not list"):
        layer([1.0])
    with pytest.raises(ArgumentError, match=r"takes 1 tensor\(s\), got 0"):
        layer()
    with pytest.raises(ArgumentError, match="no parameter 'bta'"):
        layer.reset_parameters("bta")
    with pytest.raises(ArgumentError, match="'training'"):
        Activation("training*x")


def test_whole_numbers_of_any_type() -> None:
    numbers: list[Any] = [np.int64(3), torch.tensor(3)]
    for channels in numbers:
        layer = Activation(SWISH, per="channel", channels=channels, channel_dim=channels - 4)
        assert layer.beta.shape == (3,) and layer(torch.zeros(2, 3)).shape == (2, 3)


def test_compiled_functions_keep_their_options() -> None:
    safe = compile("beta/x", safe=True)
    assert Activation(safe).function is safe and compile(safe) is safe
    for options in ({"safe": True}, {"clamp": 3.0}, {"backend": "aten"}):
        with pytest.raises(ArgumentError, match="is compiled already"):
            Activation(safe, **options)


def test_starts_where_the_library_says() -> None:
    """Also by way of actc.compile, and of a pickle of that."""
    row = SimpleNamespace(expr=parse(SWISH), initial={"beta": 0.25})
    compiled = compile(row)
    for each in (row, compiled, pickle.loads(pickle.dumps(compiled))):
        assert Activation(each).beta.item() == 0.25


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


def test_what_the_first_version_saved_still_loads() -> None:
    """`activation_v1.pt` is frozen, and a file like it comes with every change of what pickles hold.

    The first version wrote it by

        layer = Activation("x*sigmoid(beta*x) + alpha/x", per="channel", channels=3, channel_dim=-1,
                           initial={"beta": [0.5, 1.0, 2.0]}, bounds={"beta": (0, 4)}, safe=True)
        with torch.no_grad():
            layer.alpha.fill_(0.25)
        function = actc.compile("silu(x)*y + gamma", clamp=10.0)
        torch.save({"model": nn.Sequential(nn.ReLU(), layer).eval(), "function": function}, "activation_v1.pt")
    """
    saved = torch.load(Path(__file__).parent / "data" / "activation_v1.pt", weights_only=False)
    x = torch.tensor([[-1.0, 0.0, 2.0], [0.5, 1.0, -3.0]])
    layer = saved["model"][1]
    assert repr(layer) == (
        "Activation('x*sigmoid(beta*x) + alpha/x', per='channel', shape=(3,), channel_dim=-1, "
        "bounds={'beta': (0.0, 4.0)})"
    )
    assert not layer.training and repr(layer.function) == "actc.compile('x*sigmoid(beta*x) + alpha/x', safe=True)"
    beta, positive = torch.tensor([0.5, 1.0, 2.0]), torch.relu(x)
    expected = swish(positive, beta) + torch.where(positive == 0, 0.0, 0.25 / positive)
    torch.testing.assert_close(saved["model"](x), expected)
    layer.reset_parameters()
    assert layer.alpha.tolist() == [1.0] * 3 and layer.beta.tolist() == [0.5, 1.0, 2.0]
    y = torch.tensor(20.0)
    assert saved["function"](x, y, gamma=1.0).max() == 10.0
    again = io.BytesIO()
    torch.save(saved, again)


def test_keys_of_the_first_version_still_run() -> None:
    """Frozen: what a model holds that was exported by the first version."""
    key = (
        '{"expression":"x*sigmoid(beta*x)","variables":["x"],"parameters":["beta"],"order":[1,0],"backend":"aten"}'
    )
    x = torch.linspace(-2, 2, 5, dtype=torch.float64, requires_grad=True)
    found = torch.ops.actc.forward([x], [torch.tensor(1.5)], key)
    (slope,) = torch.autograd.grad(swish(x, torch.tensor(1.5, dtype=torch.float64)).sum(), x)
    torch.testing.assert_close(found, slope)


def test_pickles_hold_public_facts_alone() -> None:
    """Private attributes may get other names in a later version."""
    layer = Activation(SWISH, bounds={"beta": (0, 2)})
    state = layer.__getstate__()
    assert set(state["actc.Activation"]) == {"function", "per", "channel_dim", "bounds", "initial"}
    assert state.keys() - {"actc.Activation"} == vars(nn.Module()).keys()
    assert pickle.loads(pickle.dumps(nn.Sequential(layer, layer)))[0].beta is not layer.beta


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


def test_parameter_groups_of_shared_and_frozen_parameters() -> None:
    """Every parameter stands in one group once, so that every optimizer takes them; frozen ones stay as they are."""
    first, second, frozen = Activation(SWISH), Activation(SWISH), Activation("a*x")
    second.beta = first.beta
    frozen.a.requires_grad_(False)
    linear = nn.Linear(2, 2)
    model = nn.Sequential(linear, first, second, frozen, nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)))
    ordinary, own = parameter_groups(model, lr=0.5)
    assert {id(p) for p in own["params"]} == {id(first.beta), id(frozen.a)} and len(own["params"]) == 2
    assert {id(p) for p in ordinary["params"]} == {id(p) for p in model.parameters()} - {id(p) for p in own["params"]}
    optimizer = torch.optim.SGD([ordinary, {**own, "momentum": 0.5}], lr=0.0, weight_decay=0.1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model(torch.ones(3, 2)).sum().backward()
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"1.beta", "2.beta"}


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        (None, {}, "model=None: write the torch.nn.Module"),
        ([nn.Linear(2, 2)], {}, "write the torch.nn.Module"),
        (nn.Linear(2, 2), {"lr": "fast"}, "lr='fast': write a finite number, 0 or more"),
        (nn.Linear(2, 2), {"lr": -1.0}, "lr=-1.0: write"),
        (nn.Linear(2, 2), {"lr": math.nan}, "lr=nan: write"),
        (nn.Linear(2, 2), {"weight_decay": None}, "weight_decay=None: write"),
        (nn.Linear(2, 2), {"params": []}, "params=[]: the parameters are those of the model"),
    ],
    ids=str,
)
def test_bad_parameter_groups(model: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        parameter_groups(model, **options)
    assert said in str(raised.value)


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

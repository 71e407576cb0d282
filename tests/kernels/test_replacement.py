"""`actc.replace`: which places are found, what stands there afterwards, and what stays as it was."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import actc
from actc.errors import ActcError, ArgumentError
from actc.kernels.errors import ReplacementError, TensorShapeError
from actc.kernels.module import Activation
from actc.kernels.replacement import replace

SWISH = "x*sigmoid(beta*x)"


class Block(nn.Module):
    """As torchvision's bottleneck: one ReLU, called at three places with two numbers of channels."""

    def __init__(self, width: int = 4, inplace: bool = True) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(2 * width, width, 1), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.conv3 = nn.Conv2d(width, 2 * width, 1)
        self.relu = nn.ReLU(inplace=inplace)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.conv2(out))
        return self.relu(self.conv3(out) + x)


class Sine(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sin(x)


class Spellings(nn.Module):
    """The same function in every way that torch knows."""

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(x - 1) + torch.relu(x + 1) + x.relu() + F.relu(input=2 * x)
        b = x * 3
        F.relu(b, inplace=True)
        c = x + 2
        c.relu_()
        d = torch.relu_(x - 2)
        return a + b + c + d


class Aside(nn.Identity):
    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.ReLU6()


def convolutional() -> nn.Sequential:
    inner = nn.Sequential(nn.Conv2d(8, 4, 3), nn.ReLU(inplace=True), nn.Tanh())
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), inner, Aside())


def old_and_new(found: Any) -> dict[str, str]:
    return {site.name: type(site.old).__name__ for site in found.sites}


@pytest.mark.parametrize(
    ("what", "names"),
    [
        (nn.ReLU, {"1": "ReLU", "2.1": "ReLU"}),
        ((nn.ReLU, nn.Tanh), {"1": "ReLU", "2.1": "ReLU", "2.2": "Tanh"}),
        (nn.Hardtanh, {"3.unused": "ReLU6"}),
        ("2.*", {"2.0": "Conv2d", "2.1": "ReLU", "2.2": "Tanh"}),
        ("?", {"0": "Conv2d", "1": "ReLU", "2": "Sequential", "3": "Aside"}),
        ("*.unused", {"3.unused": "ReLU6"}),
        (lambda name, module: isinstance(module, nn.ReLU) and module.inplace, {"2.1": "ReLU"}),
        (("1", nn.Tanh), {"1": "ReLU", "2.2": "Tanh"}),
    ],
)
def test_what_is_found(what: Any, names: dict[str, str]) -> None:
    model = convolutional()
    report = replace(model, what, "erf(x)")
    assert report.model is model and old_and_new(report) == names and len(report) == len(names)
    assert all(model.get_submodule(site.name) is site.new for site in report.sites)
    assert [name for name, _ in model.named_children()] == ["0", "1", "2", "3"]
    activations = [module for module in model.modules() if isinstance(module, Activation)]
    assert len(activations) == len(names) == len(set(activations))


def test_values_after_replacing() -> None:
    first, last = nn.Linear(4, 4), nn.Linear(4, 2)
    model = nn.Sequential(first, nn.ReLU(), last)
    x = torch.randn(5, 4)
    expected = last(F.silu(first(x)))
    assert torch.allclose(replace(model, nn.ReLU, "x*sigmoid(x)").model(x), expected, atol=1e-6)


def test_each_attribute_gets_its_own_instance() -> None:
    shared = nn.ReLU()
    block = nn.Sequential(nn.Linear(2, 2), shared)
    model: Any = nn.ModuleDict({"a": block, "b": nn.Sequential(nn.Linear(2, 2), shared, shared), "c": block})
    report = replace(model, nn.ReLU, SWISH)
    assert [site.name for site in report.sites] == ["a.1", "b.1", "b.2"]
    assert len({id(site.new.beta) for site in report.sites}) == 3
    assert model["c"][1] is model["a"][1]
    again = replace(model, "c.*", "relu(x)")
    assert [site.name for site in again.sites] == ["c.0", "c.1"] and again.sites[1].old is report.sites[0].new


def test_activations_can_be_replaced_again() -> None:
    model = nn.Sequential(Activation(SWISH))
    replace(model, Activation, "relu(x)")
    assert repr(model[0]) == "Activation('relu(x)')"


def test_the_report() -> None:
    report = replace(convolutional(), (nn.ReLU, nn.Tanh), "erf(x)")
    assert str(report).splitlines() == [
        "3 replaced",
        "name  was                 is",
        "1     ReLU()              Activation('erf(x)')",
        "2.1   ReLU(inplace=True)  Activation('erf(x)')",
        "2.2   Tanh()              Activation('erf(x)')",
    ]
    with pytest.raises(AttributeError):
        report.model = nn.ReLU()  # type: ignore[misc]
    assert str(pickle.loads(pickle.dumps(report))) == str(report)


def test_device_type_and_mode_stay() -> None:
    model = nn.Sequential(nn.Linear(2, 2).double(), nn.ReLU(), nn.Linear(2, 2).bfloat16(), nn.PReLU(), nn.ReLU())
    model[4].eval()
    replace(model, (nn.ReLU, nn.PReLU), SWISH)
    assert [model[i].beta.dtype for i in (1, 3, 4)] == [torch.float64, torch.float32, torch.float32]
    assert [model[i].training for i in (1, 3, 4)] == [True, True, False]
    with torch.device("meta"):
        empty = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    (site,) = replace(empty, nn.ReLU, SWISH, initial={"beta": 2.0}).sites
    assert site.new.beta.device.type == "meta"
    empty.to_empty(device="cpu")
    site.new.reset_parameters()
    assert site.new.beta.item() == 2.0


def test_sizes_come_from_the_example_input() -> None:
    model = convolutional()
    report = replace(
        model, nn.ReLU, SWISH, per="channel", example_input=torch.zeros(2, 3, 9, 9), bounds={"beta": (0, None)}
    )
    assert [tuple(site.new.beta.shape) for site in report.sites] == [(8,), (4,)]
    per_neuron = replace(model, nn.Tanh, SWISH, per="neuron", example_input=(torch.zeros(1, 3, 9, 9),))
    assert tuple(per_neuron.sites[0].new.beta.shape) == (4, 5, 5)
    assert model[:3](torch.zeros(7, 3, 9, 9)).shape == (7, 4, 5, 5)
    last = nn.Sequential(nn.Linear(3, 5), nn.ReLU())
    report = replace(last, nn.ReLU, SWISH, per="channel", channel_dim=-1, example_input={"input": torch.zeros(2, 7, 3)})
    assert tuple(report.sites[0].new.beta.shape) == (5,)


def test_the_pass_of_the_example_leaves_no_trace() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.ReLU())
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    replace(model, nn.ReLU, SWISH, per="channel", example_input=torch.randn(2, 3, 8, 8, generator=torch.Generator()))
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in model] == [True, False, True, True]
    after = model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_learnable_parameters_are_trained() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    (site,) = replace(model, nn.ReLU, SWISH, per="channel", example_input=torch.zeros(1, 3)).sites
    optimizer = torch.optim.Adam(actc.parameter_groups(model, lr=0.05), lr=0.01)
    for _ in range(3):
        model(torch.randn(8, 3)).square().mean().backward()
        optimizer.step()
    assert not torch.equal(site.new.beta, torch.ones(4))


# --- functions and calls ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [F.relu, torch.relu, torch.Tensor.relu, torch.relu_, torch.Tensor.relu_])
def test_a_function_stands_for_all_its_spellings(what: Callable[..., Any]) -> None:
    model = Spellings()
    report = replace(model, what, "erf(x)")
    x = torch.randn(5)
    kept = x.clone()
    wanted = sum((torch.erf(u) for u in (x - 1, x + 1, x, 2 * x, 3 * x, x + 2, x - 2)), torch.zeros(5))
    assert torch.allclose(report.model(x), wanted, atol=1e-6) and torch.equal(x, kept)
    assert [site.name for site in report.sites] == ["relu", *(f"relu_{n}" for n in range(2, 8))]
    assert len({id(site.new) for site in report.sites}) == 7
    assert isinstance(report.model, torch.fx.GraphModule) and type(report.model).__name__ == "Spellings"
    assert torch.equal(model(x), Spellings()(x))


def test_further_arguments_of_a_call_are_dropped() -> None:
    class Model(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.leaky_relu(F.elu(x, 0.5), negative_slope=0.2, inplace=True) + F.gelu(x, approximate="tanh")

    report = replace(Model(), (F.leaky_relu, F.elu, F.gelu), "2*x")
    assert torch.equal(report.model(torch.ones(2)), torch.full((2,), 6.0))


def test_functions_kept_as_attributes() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.act, self.other = nn.Linear(2, 2), torch.tanh, torch.exp

        def forward(self, x: Tensor) -> Tensor:
            return self.other(self.act(self.linear(x)))

    model = Model()
    report = replace(model, F.tanh, SWISH, per="channel", example_input=torch.zeros(1, 2))
    assert report.model is model and [site.name for site in report.sites] == ["act"]
    assert report.sites[0].old is torch.tanh and "act.beta" in model.state_dict()
    x = torch.randn(3, 2)
    assert torch.allclose(model(x), F.silu(model.linear(x)).exp())


class Mixed(nn.Module):
    """Calls in submodules, an optional argument, and functions that depend on the mode."""

    class Part(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(F.relu(self.linear(x)), 0.5, self.training)

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([self.Part(), self.Part()])
        self.act = nn.Tanh()
        self.bn = nn.BatchNorm1d(4)

    def forward(self, x: Tensor, scale: Tensor | None = None, *, twice: bool = False) -> Tensor:
        for part in self.parts:
            x = part(x)
        x = self.act(self.bn(self.parts[0](x)))
        if scale is not None:
            x = x * scale
        return 2 * x if twice else x


def test_calls_in_submodules() -> None:
    """Names follow the submodules; a module that runs twice has one activation for each place in its code."""
    model = Mixed()
    names = set(model.state_dict())
    report = replace(model, (F.relu, nn.Tanh), SWISH)
    assert [site.name for site in report.sites] == ["act", "parts.0.relu", "parts.1.relu"]
    added = {"act.beta", "parts.0.relu.beta", "parts.1.relu.beta"}
    assert set(report.model.state_dict()) == names | added
    assert report.model.get_parameter("parts.0.linear.weight") is model.get_parameter("parts.0.linear.weight")
    x = torch.randn(3, 4)
    report.model.eval()
    wanted = x
    for part in (model.parts[0], model.parts[1], model.parts[0]):
        wanted = F.silu(part.linear(wanted))  # type: ignore[operator]
    assert torch.allclose(report.model(x), F.silu(model.bn.eval()(wanted)), atol=1e-6)


def test_a_traced_model_is_right_in_both_modes() -> None:
    model = Mixed().eval()
    report = replace(model, F.relu, "relu(x)")
    x = torch.randn(3, 4)
    assert not report.model.training and torch.equal(report.model(x), model(x))
    for mode in (True, False, True):
        model.train(mode), report.model.train(mode)
        torch.manual_seed(0)
        expected = model(x)
        torch.manual_seed(0)
        assert torch.equal(report.model(x), expected)


def test_a_frozen_part_stays_frozen() -> None:
    model = Mixed()
    model.parts[1].eval()
    report = replace(model, F.relu, "relu(x)")
    x = torch.randn(3, 4)
    torch.manual_seed(0)
    expected = model(x)
    torch.manual_seed(0)
    assert torch.equal(report.model(x), expected)


def test_optional_arguments_keep_their_defaults_unless_named() -> None:
    model, x, scale = Mixed().eval(), torch.randn(3, 4), torch.randn(4)
    fixed = replace(model, F.relu, "relu(x)").model
    assert torch.equal(fixed(x, None, twice=False), model(x))
    with pytest.raises(ReplacementError, match=r"traced with scale=None, its default.*example_input"):
        fixed(x, scale)
    with pytest.raises(ReplacementError, match="traced with twice=False"):
        fixed(x, twice=True)
    given = replace(model, F.relu, "relu(x)", example_input={"x": x, "scale": scale}).model
    assert torch.equal(given(x, scale), model(x, scale)) and torch.equal(given(x, scale=scale), model(x, scale))


@pytest.mark.parametrize("how", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_traced_model_can_be_copied(how: Callable[[Any], Any]) -> None:
    model, x, scale = Mixed().eval(), torch.randn(3, 4), torch.randn(4)
    given = replace(model, F.relu, SWISH, example_input=(x, scale)).model
    twin = how(given)
    assert torch.equal(twin(x, scale), given(x, scale))
    assert set(twin.state_dict()) == set(given.state_dict())
    twin.train(), given.train()
    torch.manual_seed(0)
    expected = given(x, scale)
    torch.manual_seed(0)
    assert torch.equal(twin(x, scale), expected)
    with pytest.raises(ReplacementError, match="twice"):
        twin(x, scale, twice=True)


def test_a_traced_model_can_be_compiled_exported_and_traced_again() -> None:
    model = replace(Mixed(), F.relu, SWISH).model.eval()
    x = torch.randn(3, 4)
    expected = model(x)
    torch.testing.assert_close(torch.compile(model, fullgraph=True, backend="aot_eager")(x), expected)
    torch.testing.assert_close(torch.export.export(model, (x,)).module()(x), expected)
    torch.testing.assert_close(torch.fx.symbolic_trace(model)(x), expected)


def test_each_call_gets_its_own() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 1), Block(), Block()).eval()
    x = torch.randn(2, 3, 5, 5)
    expected = model(x)
    report = replace(model, nn.ReLU, "relu(x)*beta", per="channel", each_call=True, example_input=x)
    names = [f"{i}.{name}" for i in (1, 2) for name in ("relu", "relu_2", "relu_3")]
    assert [site.name for site in report.sites] == names
    assert [tuple(site.new.beta.shape) for site in report.sites] == [(4,), (4,), (8,)] * 2
    assert torch.allclose(report.model(x), expected, atol=1e-6)
    assert torch.equal(model(x), expected) and isinstance(model[1].relu, nn.ReLU)
    report.model(x).sum().backward()
    assert all(site.new.beta.grad is not None for site in report.sites)


def test_without_each_call_a_module_called_thrice_stays_one() -> None:
    block = Block()
    report = replace(block, nn.ReLU, SWISH)
    assert len(report) == 1 and report.model is block
    with pytest.raises(ReplacementError, match=r"relu is called with sizes 4 and 8 per channel.*each_call=True"):
        replace(Block(), nn.ReLU, SWISH, per="channel", example_input=torch.zeros(1, 8, 5, 5))


def test_an_in_place_call_whose_result_is_not_used() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x: Tensor) -> Tensor:
            x = x + 1
            y = 2 * x
            self.relu(x)
            return x + y

    report = replace(Model(), nn.ReLU, "erf(x)", each_call=True)
    x = torch.randn(4)
    torch.testing.assert_close(report.model(x), torch.erf(x + 1) + 2 * (x + 1))


@pytest.mark.parametrize(
    ("activation", "what"), [(F.relu, F.relu), (nn.GELU(), nn.GELU), ("gelu", torch.nn.functional.gelu)]
)
@pytest.mark.parametrize("padded", [False, True])
def test_transformer_encoder_layers(activation: Any, what: Any, padded: bool) -> None:
    """Their kernels for evaluation would go on computing ReLU or GELU."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, activation=activation, batch_first=True)
    model = nn.TransformerEncoder(layer, 2).eval()
    x = torch.randn(2, 5, 8)
    mask = torch.zeros(2, 5, dtype=torch.bool)
    mask[0, 3:] = padded
    reference = copy.deepcopy(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = replace(
            model,
            what,
            "x*sin(beta*x)",
            per="channel",
            channel_dim=-1,
            example_input={"src": x, "src_key_padding_mask": mask},
        )
    assert report.model is model and [site.name for site in report.sites] == [
        "layers.0.activation",
        "layers.1.activation",
    ]
    for each in reference.layers:
        assert isinstance(each, nn.TransformerEncoderLayer)
        each.activation = Sine()
        each.activation_relu_or_gelu = 0
    reference.use_nested_tensor = False
    with torch.no_grad():
        torch.testing.assert_close(
            model(x, src_key_padding_mask=mask), reference(x, src_key_padding_mask=mask), rtol=1e-5, atol=1e-6
        )


# --- what cannot be done ----------------------------------------------------------------------------------------------


def test_nothing_found_says_what_there_is() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act, self.out, self.function = nn.GELU(), nn.ModuleList([nn.ELU() for _ in range(6)]), torch.tanh

        def forward(self, x: Tensor) -> Tensor:
            return torch.sigmoid(self.function(self.act(x)))

    for what in (nn.ReLU, "relu", F.relu, lambda name, module: False):
        with pytest.raises(ReplacementError, match="nothing to replace") as raised:
            replace(Model(), what, "erf(x)")
        said = str(raised.value)
        assert "GELU (act)" in said and "ELU (out.0, out.1, out.2 and 3 more)" in said
        assert "torch.tanh (function)" in said and "calls of sigmoid in Model.forward" in said
    with pytest.raises(ReplacementError, match=r"Linear has no torch.nn.ReLU. Activations in it: none"):
        replace(nn.Linear(1, 1), nn.ReLU, "erf(x)")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"activation": "silu(x)*y"},
            ReplacementError,
            r"takes 2 tensors \(x, y\) and the activations of a model take one",
        ),
        ({"activation": "sigmoidd(x)"}, actc.ParseError, "did you mean 'sigmoid'"),
        ({"activation": 3}, TypeError, "an activation is a text"),
        ({"per": "channel"}, ReplacementError, 'per="channel" needs example_input='),
        ({"per": "neuron"}, ReplacementError, 'per="neuron" needs example_input='),
        ({"per": "pixel"}, ActcError, "per='pixel'"),
        ({"channel_dim": "last"}, ArgumentError, "channel_dim='last': write a dimension"),
        ({"each_call": "no"}, ArgumentError, "each_call='no': write True or False"),
        ({"safe": "no"}, ArgumentError, "safe='no': write True or False"),
        ({"backend": "atne"}, ActcError, "did you mean 'aten'"),
        ({"initial": {"gamma": 1.0}}, ActcError, "'gamma', which is no parameter"),
        ({"bounds": {"gamma": (0, 1)}}, ActcError, "'gamma', which is no parameter"),
        ({"initial": {"beta": 5.0}, "bounds": {"beta": (0, 1)}}, ActcError, "outside its bounds"),
        ({"initial": {"beta": [1.0, 2.0]}}, TensorShapeError, r"initial value of beta has shape \(2,\)"),
        ({"what": nn.ReLU()}, ReplacementError, r"not ReLU\(\)"),
        ({"what": 3}, ReplacementError, "a type of modules such as torch.nn.ReLU"),
        ({"what": (nn.ReLU, int)}, ReplacementError, "not builtins.int"),
        (
            {"per": "channel", "example_input": torch.zeros(1, 4)},
            ReplacementError,
            "fails on example_input with RuntimeError",
        ),
        ({"per": "channel", "example_input": (1, 2)}, ReplacementError, "does not fit the forward of Sequential"),
        (
            {"per": "channel", "channel_dim": 4, "example_input": torch.zeros(1, 3, 9, 9)},
            ReplacementError,
            "channel_dim=4",
        ),
        (
            {"what": nn.ReLU6, "per": "channel", "example_input": torch.zeros(1, 3, 9, 9)},
            ReplacementError,
            "no call reached",
        ),
        ({"what": F.relu}, ReplacementError, "nothing to replace"),
    ],
)
def test_an_error_leaves_the_model_as_it_was(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    model = convolutional()
    before = list(model.named_modules())
    options: dict[str, Any] = {"what": nn.ReLU, "activation": SWISH, **arguments}
    with pytest.raises(error, match=message):
        replace(model, options.pop("what"), options.pop("activation"), **options)
    assert list(model.named_modules()) == before


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("encoder.layer.atc", "has no 'encoder.layer.atc'; did you mean 'encoder.layer.act'?"),
        ("GELU", "the type is torch.nn.GELU, without quotation marks"),
        ((), "what to replace is a type of modules"),
        (max, "builtins.max, taken for a predicate of a module's name and the module, fails on 'encoder' with Type"),
        (lambda name: True, "fails on 'encoder' with TypeError"),
        (lambda name, module: torch.ones(2) > 0, "fails on 'encoder' with RuntimeError"),
        (nn.SELU, "modules in spare, which torch sees in a ModuleList or ModuleDict only"),
    ],
)
def test_nothing_found_says_what_could_be_meant(what: Any, said: str) -> None:
    model, encoder = nn.Module(), nn.Module()
    model.encoder, encoder.layer, encoder.layer.act = encoder, nn.Module(), nn.GELU()
    model.spare = [nn.SELU()]  # type: ignore[assignment]
    with pytest.raises(ReplacementError) as raised:
        replace(model, what, SWISH)
    assert said in str(raised.value) and isinstance(encoder.layer.act, nn.GELU)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_models_with_nothing_to_change() -> None:
    with pytest.raises(ReplacementError, match=r"this ReLU is the model itself: make an actc.Activation"):
        replace(nn.ReLU(), nn.ReLU, SWISH)
    scripted = torch.jit.script(convolutional())
    for model in (scripted, torch.jit.freeze(scripted.eval())):
        with pytest.raises(ReplacementError, match="replace in the model first, then script it"):
            replace(model, nn.ReLU, SWISH)


def test_wrapped_and_unfinished_models() -> None:
    """DataParallel, torch.compile, parameters that a first call makes, and frozen ones."""
    x = torch.randn(2, 3)
    parallel = nn.DataParallel(nn.Sequential(nn.Linear(3, 3), nn.ReLU()))
    assert [site.name for site in replace(parallel, nn.ReLU, SWISH).sites] == ["module.1"]
    torch.testing.assert_close(parallel(x), F.silu(parallel.module[0](x)))
    plain = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    compiled: Any = torch.compile(plain, backend="eager")
    compiled(x)
    replace(compiled, nn.ReLU, SWISH)
    torch.testing.assert_close(compiled(x), F.silu(plain[0](x)))
    lazy = nn.Sequential(nn.LazyLinear(4), nn.ReLU())
    assert replace(lazy, nn.ReLU, SWISH).sites[0].new.beta.device.type == "cpu"
    torch.testing.assert_close(lazy(x), F.silu(lazy[0](x)))
    frozen = nn.Sequential(nn.Linear(3, 3), nn.ReLU()).requires_grad_(False)
    assert replace(frozen, nn.ReLU, SWISH).sites[0].new.beta.requires_grad


def test_what_is_no_module() -> None:
    with pytest.raises(ArgumentError, match=r"model=<function .*: write the torch.nn.Module"):
        replace(F.relu, nn.ReLU, "erf(x)")  # type: ignore[arg-type]


def test_models_that_cannot_be_traced() -> None:
    class Branches(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.relu(x) if x.sum() > 0 else x

    class Modes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.relu(x) + 1 if self.training else F.relu(x)

    with pytest.raises(ReplacementError, match=r"torch.fx cannot follow the forward of Branches.*by type or name"):
        replace(Branches(), F.relu, "erf(x)")
    with pytest.raises(ReplacementError, match="makes other calls in training than in evaluation"):
        replace(Modes(), F.relu, "erf(x)")

    class Both(Branches):
        def __init__(self) -> None:
            super().__init__()
            self.act = F.relu

    with pytest.warns(UserWarning, match="calls were not looked for"):
        assert len(replace(Both(), F.relu, "erf(x)")) == 1


def test_constants_of_a_forward() -> None:
    class Model(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.relu(x) * torch.tensor([1.0, 2.0])

    model = Model()
    report = replace(model, F.relu, "relu(x)")
    assert report.model(torch.ones(2)).tolist() == [1.0, 2.0]
    assert not [name for name in vars(model) if "constant" in name]


def test_it_is_a_public_name() -> None:
    assert actc.replace is replace

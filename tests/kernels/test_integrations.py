"""Activations in models of transformers, timm and torchvision: built from configurations, nothing downloaded."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import actc
from actc.kernels.errors import ReplacementError
from actc.kernels.integrations import register_with_transformers
from actc.kernels.module import Activation

SWISH = "x*sigmoid(beta*x)"
SMALL = {
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 32,
    "max_position_embeddings": 16,
}
IDS = torch.arange(12).view(2, 6)


@contextmanager
def uninitialised_memory_is_nan() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def small_model(kind: str, **options: Any) -> nn.Module:
    transformers = pytest.importorskip("transformers")
    if kind == "bert":
        model = transformers.BertModel(transformers.BertConfig(**SMALL, **options))
    else:
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SMALL, **options))
    assert isinstance(model, nn.Module)
    return model.eval()


def activations(model: nn.Module) -> list[Activation]:
    return [module for module in model.modules() if isinstance(module, Activation)]


@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_a_registered_name_is_an_activation(kind: str) -> None:
    pytest.importorskip("transformers")
    register_with_transformers("actc_silu", "x*sigmoid(x)")
    model = small_model(kind, hidden_act="actc_silu")
    twin = small_model(kind, hidden_act="silu")
    twin.load_state_dict(model.state_dict())
    assert len(activations(model)) == 2
    torch.testing.assert_close(model(IDS)[0], twin(IDS)[0])


@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_learnable_parameters_survive_save_and_load(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    options: dict[str, Any] = {"per": "channel", "channels": 16, "channel_dim": -1, "initial": {"beta": 1.5}}
    register_with_transformers("actc_swish", SWISH, **options)
    model: Any = small_model(kind, hidden_act="actc_swish")
    first, second = activations(model)
    assert first.beta is not second.beta and first.beta.tolist() == [1.5] * 16
    with torch.no_grad():
        first.beta.uniform_(0, 2)
        second.beta.uniform_(0, 2)
    model(IDS)[0].sum().backward()
    assert first.beta.grad is not None
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path)
    assert loaded.config.hidden_act == "actc_swish"
    for ours, theirs in zip(activations(model), activations(loaded), strict=True):
        assert torch.equal(ours.beta, theirs.beta)
    assert torch.equal(model(IDS)[0], loaded(IDS)[0])


@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_parameters_that_were_not_saved_start_at_their_initial_values(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    register_with_transformers("actc_affine", "a*relu(x) + b", initial={"a": 0.5, "b": 0.25}, bounds={"b": (0, 1)})
    plain: Any = small_model(kind, hidden_act="relu")
    plain.save_pretrained(tmp_path)
    with uninitialised_memory_is_nan():
        model = type(plain).from_pretrained(tmp_path, hidden_act="actc_affine")
    assert [(each.a.item(), each.b.item()) for each in activations(model)] == [(0.5, 0.25)] * 2
    trained = activations(model)[0].a
    with torch.no_grad():
        trained.fill_(3.0)
    model.initialize_weights()
    assert trained.item() == 3.0


def test_a_fresh_process_registers_before_it_loads(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    register_with_transformers("actc_fresh", "x*erf(beta*x)")
    model: Any = small_model("llama", hidden_act="actc_fresh")
    model.save_pretrained(tmp_path)
    code = f"""
import torch, transformers
from actc.kernels.integrations import register_with_transformers
torch.set_num_threads(1)
try:
    transformers.LlamaForCausalLM.from_pretrained({str(tmp_path)!r})
except KeyError as error:
    assert "actc_fresh" in str(error)
else:
    raise AssertionError("loaded without the activation")
register_with_transformers("actc_fresh", "x*erf(beta*x)")
model = transformers.LlamaForCausalLM.from_pretrained({str(tmp_path)!r})
print(model(torch.arange(12).view(2, 6))[0].double().sum().item())
"""
    found = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert float(found.stdout) == pytest.approx(model(IDS)[0].double().sum().item(), rel=1e-5)


def test_names_and_texts_that_cannot_be_registered() -> None:
    pytest.importorskip("transformers")
    register_with_transformers("actc_name", "erf(x)", safe=True)
    register_with_transformers("actc_name", "erf(x)", safe=True)
    for name, text in (("actc_name", "erf(x)"), ("gelu", "gelu(x)")):
        with pytest.raises(ReplacementError, match=f"already has an activation named '{name}'"):
            register_with_transformers(name, text)
    with pytest.raises(ReplacementError, match="takes 2 tensors, and transformers gives one"):
        register_with_transformers("actc_gate", "silu(x)*y")
    with pytest.raises(actc.ParseError, match="unknown"):
        register_with_transformers("actc_wrong", "sigmoidd(x)")


@pytest.mark.parametrize(("kind", "pattern"), [("bert", "*.intermediate_act_fn"), ("llama", "*.act_fn")])
def test_replacing_in_a_model_of_transformers(kind: str, pattern: str) -> None:
    model: Any = small_model(kind)
    report = actc.replace(
        model, pattern, SWISH, per="channel", channel_dim=-1, example_input={"input_ids": IDS}, initial={"beta": 1.702}
    )
    assert report.model is model and len(report) == 2
    assert [tuple(site.new.beta.shape) for site in report.sites] == [(16,), (16,)]
    model(IDS)[0].sum().backward()
    assert all(site.new.beta.grad is not None for site in report.sites)


# --- timm and torchvision ---------------------------------------------------------------------------------------------


def test_what_timm_does_with_an_act_layer() -> None:
    """timm.layers.create_act_layer and its blocks: a callable that makes a layer, with or without inplace."""
    act_layer = functools.partial(Activation, SWISH)
    layers = [act_layer(inplace=True), act_layer(inplace=False), act_layer()]
    x = torch.randn(3)
    assert all(torch.equal(layer(x), layers[0](x)) for layer in layers)
    assert len({id(layer.beta) for layer in layers}) == 3
    assert callable(act_layer) and not isinstance(act_layer, str)


@pytest.mark.parametrize(
    "name", ["resnet18", "efficientnet_b0", "vit_tiny_patch16_224", "convnext_atto", "mobilenetv3_small_050"]
)
def test_timm_models(name: str) -> None:
    timm = pytest.importorskip("timm")
    size = {"img_size": 32} if name.startswith("vit") else {}
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=3, act_layer=functools.partial(Activation, SWISH), **size)
    torch.manual_seed(0)
    twin = timm.create_model(name, num_classes=3, act_layer=nn.SiLU, **size)
    made = activations(model)
    assert made and len({id(each.beta) for each in made}) == len(made)
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(model.eval()(x), twin.eval()(x), rtol=1e-4, atol=1e-5)
    report = actc.replace(twin, nn.SiLU, SWISH, per="channel", channel_dim=-1 if "vit" in name else 1, example_input=x)
    assert len(report) == len(made)
    torch.testing.assert_close(model(x), twin(x), rtol=1e-4, atol=1e-5)


def test_each_call_in_torchvision() -> None:
    torchvision = pytest.importorskip("torchvision")
    model = torchvision.models.resnet50(num_classes=3).eval()
    x = torch.randn(1, 3, 64, 64)
    expected = model(x)
    report = actc.replace(model, nn.ReLU, "relu(x)*beta", per="channel", each_call=True, example_input=x)
    assert len(report) == 1 + 3 * 16
    torch.testing.assert_close(report.model(x), expected, rtol=1e-4, atol=1e-5)
    assert {name for name in report.model.state_dict() if not name.endswith(".beta")} == set(model.state_dict())


def test_function_calls_in_torchvision() -> None:
    torchvision = pytest.importorskip("torchvision")
    model = torchvision.models.densenet121(num_classes=3).eval()
    x = torch.randn(1, 3, 64, 64)
    expected = model(x)
    report = actc.replace(model, F.relu, "relu(x)")
    assert len(report) == 1
    torch.testing.assert_close(report.model(x), expected, rtol=1e-4, atol=1e-5)

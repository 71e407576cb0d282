"""The function that `actc.compile` returns, as a Python object."""

from __future__ import annotations

import copy
import gc
import importlib.util
import linecache
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import actc
from actc.errors import ActcError, ArgumentError, ParseError
from actc.kernels import compile
from actc.kernels.aten import tensor_function
from actc.kernels.cache import Cache
from actc.kernels.errors import UnknownBackendError
from actc.kernels.key import Key
from actc.parsing import parse
from actc.program import Program


def test_attributes() -> None:
    f = compile("y*silu(beta*x) + alpha", safe=True)
    assert f.variables == ("x", "y") and f.parameters == ("alpha", "beta")
    assert f.expr is parse("y*silu(beta*x) + alpha")
    assert f.lowered.name == "saturate"
    assert f.backend == "cpu" and f.reason.startswith("auto")
    assert compile("x", backend="aten").reason == "asked for"


def test_takes_texts_expressions_and_compiled_functions() -> None:
    expected = compile("x*sigmoid(x)").expr
    assert compile(parse("x*sigmoid(x)")).expr is expected
    assert compile(compile("x*sigmoid(x)")).expr is expected
    with pytest.raises(TypeError, match="an activation is a text"):
        compile(3)
    with pytest.raises(ParseError):
        compile("x*sigmoid(")


def test_unknown_backend_names_the_known_ones() -> None:
    with pytest.raises(UnknownBackendError, match=r"unknown backend 'cuda': known are auto, aten, cpu, table, triton"):
        compile("x", backend="cuda")
    with pytest.raises(UnknownBackendError, match=r"no source of the form 'java': known are aten, torch"):
        compile("x").source("java")


@pytest.mark.parametrize("options", [{}, {"safe": True}, {"clamp": 5.0}, {"safe": True, "backend": "aten"}])
def test_pickle_copy_and_repr(options: dict[str, object]) -> None:
    f = compile("x*sigmoid(beta*x)/x", **options)  # type: ignore[arg-type]
    again = pickle.loads(pickle.dumps(f))
    assert again.lowered is f.lowered and repr(again) == repr(f)
    assert copy.deepcopy(f) is f and copy.copy(f) is f
    evaluated = eval(repr(f), {"actc": __import__("types").SimpleNamespace(compile=compile)})
    assert evaluated.lowered is f.lowered
    x = torch.randn(4)
    assert torch.equal(again(x, beta=2.0), f(x, beta=2.0))


def test_key_round_trip_and_damage() -> None:
    key = Key("x*beta", ("x",), ("beta",), (0, 1), "aten")
    assert Key.parse(str(key)) == key
    for damaged in ("", "{", "[]", "3", '{"expression": "x"}', '{"surprise": 1}'):
        with pytest.raises(ActcError, match="install the version"):
            Key.parse(damaged)


def test_cache_is_bounded() -> None:
    made: list[int] = []

    def make(n: int) -> int:
        made.append(n)
        return n

    cache = Cache(make, size=3)
    for n in (1, 2, 3, 1, 4, 1, 2):
        assert cache[n] == n
    assert len(cache) == 3 and made == [1, 2, 3, 4, 2]


def test_thousands_of_functions_leave_no_trace() -> None:
    """Neither operations nor sources pile up in a search."""
    x = torch.zeros(2)
    for n in range(1100):
        compile(f"x + {n}")(x)
    sources = [name for name in linecache.cache if name.startswith("<actc.kernels")]
    assert len(sources) < 1024 * 4


def test_no_source_leaves_linecache_while_it_is_walked_over() -> None:
    """The collector may run anywhere: a doctest failed with a KeyError of linecache itself."""
    function = tensor_function(Program.of([parse("sin(x) + 1234.5")]), ["x"])
    name = function.__code__.co_filename
    del function
    gc.collect()
    assert name in linecache.cache
    tensor_function(Program.of([parse("sin(x) + 1235.5")]), ["x"])
    assert name not in linecache.cache


def test_sources() -> None:
    text = compile("x*sigmoid(beta*x)").source("aten")
    namespace: dict[str, object] = {}
    exec(text, namespace)
    x, beta = torch.randn(5, dtype=torch.float64), torch.tensor(1.5, dtype=torch.float64)
    (value,) = namespace["value"](x, beta)  # type: ignore[operator]
    torch.testing.assert_close(value, x * torch.sigmoid(beta * x))
    assert len(namespace["slopes"](x, beta)) == 2  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("x*sigmoid(beta*x)", {}),
        ("silu(x)*y", {}),
        ("x*y + z", {}),
        ("1/x", {"safe": True}),
        ("pi + 1", {}),
        ("erfc(softplus(x))**2", {"clamp": 10.0}),
        ("where(x > 0, alpha*x, gamma*expm1(x))", {}),
    ],
)
def test_stand_alone_module(text: str, options: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    """The file tests itself, and computes what actc computes."""
    f = compile(text, **options)  # type: ignore[arg-type]
    namespace: dict[str, object] = {"__name__": "__main__"}
    exec(f.source("torch"), namespace)
    assert capsys.readouterr().out == "ok\n"
    layer = namespace["Activation"]()  # type: ignore[operator]
    tensors = [torch.randn(3, 4, requires_grad=True) for _ in f.variables]
    ones = {name: torch.ones(()) for name in f.parameters}
    torch.testing.assert_close(layer(*tensors), f(*tensors, **ones))
    assert list(layer.state_dict()) == list(f.parameters)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*tensors), layer(*tensors))
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            torch.testing.assert_close(compiled(*tensors), layer(*tensors))


def names_in_a_stand_alone_module() -> list[str]:
    """All words of such a file that can be parameters of a module."""
    found = []
    for word in sorted(set(re.findall(r"[^\W\d]\w*", compile("x*sigmoid(beta*x)").source("torch")))):
        try:
            if parse(f"x*{word}").parameters == (word,) and not hasattr(torch.nn.Module(), word):
                found.append(word)
        except ParseError:
            continue
    assert {"Function", "INPUTS", "_channel_dim", "_used", "ctx", "nn", "self", "slopes", "v2", "value"} <= set(found)
    return [*found, "_own_used", "T"]


def test_stand_alone_module_with_parameters_of_any_name(capsys: pytest.CaptureFixture[str]) -> None:
    names = names_in_a_stand_alone_module()
    for text in (" + ".join(f"sigmoid({name}*x)" for name in names), *(f"x*sigmoid({name}*x)" for name in names)):
        f = compile(text)
        namespace: dict[str, object] = {"__name__": "__main__"}
        exec(f.source("torch"), namespace)
        assert capsys.readouterr().out == "ok\n", text
        layer = namespace["Activation"](bounds={f.parameters[0]: (0, 0.5)})  # type: ignore[operator]
        assert list(layer.state_dict()) == list(f.parameters)
        x, values = torch.randn(3).double(), dict.fromkeys(f.parameters, 1.0) | {f.parameters[0]: 0.5}
        torch.testing.assert_close(layer(x), f(x, **values))
    for name in ("forward", "training", "to"):
        with pytest.raises(ArgumentError, match=f"cannot have a parameter named '{name}'.*rename it"):
            compile(f"{name}*x").source("torch")


def test_stand_alone_module_of_the_library(capsys: pytest.CaptureFixture[str]) -> None:
    """All pass their own test and start where the library says."""
    for known in actc.library.values():
        f = compile(known)
        namespace: dict[str, object] = {"__name__": "__main__"}
        exec(f.source("torch"), namespace)
        assert capsys.readouterr().out == "ok\n", known.name
        trained = actc.Activation(known).state_dict()
        assert namespace["Activation"]().state_dict() == trained  # type: ignore[operator]


def test_stand_alone_module_says_that_it_has_first_derivatives_only() -> None:
    """Nothing is left out silently."""
    namespace: dict[str, object] = {"__name__": "generated"}
    exec(compile("erf(beta*x)").source("torch"), namespace)
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="first derivatives only"):
        torch.autograd.grad(namespace["Activation"]()(x).sum(), x, create_graph=True)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "types", "shapes"),
    [
        ("x*y", (torch.bfloat16, torch.float32), ((2,), ())),
        ("x*y", (torch.bfloat16, torch.float32), ((), (2,))),
        ("x*y", (torch.bfloat16, torch.float16), ((2,), (3, 1))),
        ("x*y + z", (torch.float16, torch.float64, torch.float32), ((), (), ())),
    ],
)
def test_stand_alone_module_promotes_as_actc(text: str, types: Any, shapes: Any) -> None:
    f = compile(text)
    namespace: dict[str, object] = {"__name__": "generated"}
    exec(f.source("torch"), namespace)
    tensors = [torch.full(shape, 1.5, dtype=dtype) for dtype, shape in zip(types, shapes, strict=True)]
    found, wanted = namespace["Activation"]()(*tensors), f(*tensors)  # type: ignore[operator]
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape) and torch.equal(found, wanted)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_stand_alone_module_for_deployment(tmp_path: Path) -> None:
    """Saved by torch.jit.trace, exported, and under autocast."""
    file = tmp_path / "generated.py"
    file.write_text(compile("x*sigmoid(beta*x)").source("torch"))
    spec = importlib.util.spec_from_file_location("generated_activation", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    layer, x = module.Activation(shape=(3,), channel_dim=-1), torch.randn(2, 3)
    torch.jit.trace(layer, (x + 1,)).save(tmp_path / "traced.pt")
    torch.testing.assert_close(torch.jit.load(tmp_path / "traced.pt")(x), layer(x))
    torch.testing.assert_close(torch.export.export(layer, (x + 1,)).module()(x), layer(x))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x).dtype == torch.float32 and layer(torch.nn.Linear(3, 3)(x)).dtype == torch.bfloat16


def test_stand_alone_module_needs_only_torch(tmp_path: Path) -> None:
    """It runs in a process that sees neither this checkout nor the current folder."""
    file = tmp_path / "generated.py"
    file.write_text(compile("x*sigmoid(beta*x)").source("torch"))
    code = f"import runpy, sys; runpy.run_path({str(file)!r}, run_name='__main__'); assert 'actc' not in sys.modules"
    ran = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert ran.stdout == "ok\n", ran.stderr


def test_stand_alone_module_loads_channel_parameters() -> None:
    from actc.kernels.module import Activation

    beta = torch.tensor([0.5, 1.0, 2.0])
    trained = Activation("x*sigmoid(beta*x)", per="channel", channels=3, initial={"beta": beta})
    namespace: dict[str, object] = {"__name__": "generated"}
    exec(trained.function.source("torch"), namespace)
    layer = namespace["Activation"](shape=(3,), channel_dim=1)  # type: ignore[operator]
    layer.load_state_dict(trained.state_dict())
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(layer(x), trained(x))

"""Tensors that are not dense, not real or not plain: computed on as torch does, or refused with the way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from actc.kernels import Activation, compile
from actc.kernels.errors import TensorTypeError

SWISH = "x*sigmoid(beta*x)"
X = torch.linspace(-2, 2, 12).view(4, 3)

REFUSED: dict[str, tuple[Callable[[], Tensor], str]] = {
    "int64": (lambda: X.long(), r"torch\.int64;.*convert it first, for example {}\.float\(\)"),
    "bool": (lambda: X > 0, r"torch\.bool;.*{}\.float\(\)"),
    "float8": (lambda: X.to(torch.float8_e5m2), r"torch\.float8_e5m2;.*{}\.float\(\)"),
    "complex": (lambda: X + 0j, r"torch\.complex64;.*{}\.real and {}\.imag apart"),
    "quantized": (lambda: torch.quantize_per_tensor(X, 0.1, 0, torch.qint8), r"torch\.qint8;.*{}\.dequantize\(\)"),
    "sparse": (lambda: X.to_sparse(), r"of layout sparse_coo;.*{}\.to_dense\(\)"),
    "sparse rows": (lambda: X.to_sparse_csr(), r"of layout sparse_csr;.*{}\.to_dense\(\)"),
    "mkldnn": (lambda: X.to_mkldnn(), r"of layout mkldnn;.*{}\.to_dense\(\)"),
    "nested": (lambda: torch.nested.nested_tensor([X, X[:2]]), r"is not jagged:.*layout=torch\.jagged.*{}\.unbind\(\)"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", REFUSED)
def test_refused_before_anything_is_computed(kind: str) -> None:
    make, said = REFUSED[kind]
    with pytest.raises(TensorTypeError, match=r"^x is .*" + said.replace("{}", "x")):
        compile("relu(x)")(make())
    with pytest.raises(TensorTypeError, match=r"^beta is .*" + said.replace("{}", "beta")):
        compile(SWISH)(X, beta=make())


@pytest.mark.filterwarnings("ignore")
def test_the_ways_out() -> None:
    """What the messages advise gives what torch's own functions give."""
    f = compile("relu(x)")
    for tensor in (X.to_sparse(), X.to_sparse_csr(), X.to_mkldnn()):
        assert torch.equal(f(tensor.to_dense()), torch.relu(X))
    nested = torch.nested.nested_tensor([X, X[:2]])
    for ours, theirs in zip(map(f, nested.unbind()), torch.relu(nested).unbind(), strict=True):
        assert torch.equal(ours, theirs)


class Marked(Tensor):
    """A subclass that says which functions see it."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return super().__torch_function__(func, types, args, kwargs or {})


class Wrapper(Tensor):
    """A subclass without memory of its own; `known` says which operations it can do."""

    held: Tensor
    known = ""

    @staticmethod
    def __new__(cls, held: Tensor) -> Wrapper:
        made: Wrapper = torch.Tensor._make_wrapper_subclass(cls, held.shape, dtype=held.dtype)
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        if not func.name().startswith(cls.known):
            raise NotImplementedError(func.name())
        args, kwargs = tree_map_only(Wrapper, lambda each: each.held, (args, kwargs or {}))
        return tree_map_only(Tensor, cls, func(*args, **kwargs))


class AtenWrapper(Wrapper):
    known = "aten::"


def bare(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    return tensor.held if isinstance(tensor, Wrapper) else tensor.as_subclass(Tensor)


@pytest.mark.parametrize("kind", [Marked, Wrapper, AtenWrapper, nn.Parameter, nn.Buffer])
@pytest.mark.parametrize("text", ["erf(x)", "erf(beta*x)"])
def test_subclasses_give_what_torch_gives(kind: Any, text: str) -> None:
    """The same class, values and gradients as torch's own function."""

    def made() -> Tensor:
        subclass: Tensor = X.clone().as_subclass(Marked) if kind is Marked else kind(X.clone())
        return subclass.requires_grad_()

    ours, theirs = made(), made()
    y, expected = compile(text)(ours, **({"beta": 1.0} if "beta" in text else {})), torch.erf(theirs)
    assert type(y) is type(expected)
    torch.testing.assert_close(bare(y), bare(expected))
    y.sum().backward()
    expected.sum().backward()
    assert type(ours.grad) is type(theirs.grad)
    torch.testing.assert_close(bare(ours.grad), bare(theirs.grad))


def test_what_no_subclass_explains_stays_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any) -> Tensor:
        raise NotImplementedError("no kernel for this device")

    monkeypatch.setattr("actc.kernels.compiled.value", broken)
    with pytest.raises(NotImplementedError, match="no kernel for this device"):
        compile("erf(x)")(X)


@pytest.mark.parametrize("per", [{}, {"per": "channel", "channels": 3, "channel_dim": -1}])
def test_jagged_nested_tensors(per: dict[str, Any]) -> None:
    layer = Activation(SWISH, **per)
    nested = torch.nested.nested_tensor([X, X[:2]], layout=torch.jagged, requires_grad=True)
    y: Any = layer(nested)
    y.values().sum().backward()
    dense = torch.cat([X, X[:2]]).requires_grad_()
    expected = nn.functional.silu(dense)
    expected.sum().backward()
    assert y.layout is torch.jagged and torch.equal(y.offsets(), torch.tensor([0, 4, 6]))
    torch.testing.assert_close(y.values(), expected)
    assert nested.grad is not None
    torch.testing.assert_close(nested.grad.values(), dense.grad)


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Any]:
    distributed = torch.distributed
    if not distributed.is_available() or not distributed.is_gloo_available():
        pytest.skip("needs torch.distributed with gloo")
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    yield distributed.init_device_mesh("cpu", (1,))
    distributed.destroy_process_group()


@pytest.mark.skipif(
    torch.__version__.startswith("2.8."),
    reason="torch 2.8 fails in an assertion of its own for every operation of which it knows no sharding",
)
def test_distributed_tensors(mesh: Any) -> None:
    from torch.distributed.tensor import DTensor, Shard, distribute_tensor

    x = distribute_tensor(X.clone(), mesh, [Shard(0)]).requires_grad_()
    y = Activation(SWISH)(x)
    y.sum().backward()
    assert isinstance(y, DTensor) and y.placements == (Shard(0),)
    torch.testing.assert_close(y.full_tensor(), nn.functional.silu(X))
    plain = X.clone().requires_grad_()
    nn.functional.silu(plain).sum().backward()
    assert isinstance(x.grad, DTensor) and plain.grad is not None
    torch.testing.assert_close(x.grad.full_tensor(), plain.grad)

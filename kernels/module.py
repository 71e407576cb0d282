"""`actc.Activation`: an expression as a layer with learnable parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from actc.errors import ActcError

from .compiled import CompiledActivation, compile
from .errors import TensorShapeError
from .registration import forward_mode, primals

Bounds = tuple[float | None, float | None]


class Activation(nn.Module):
    """An activation function as a module; its free names other than x, y, z are learnable parameters.

    `text` is a text, an `Expr`, an item of `actc.library` or a function made by `actc.compile`. Each parameter is an
    attribute of its own name and stands under that name in the state dict, as a plain tensor and nothing else, so
    state dicts stay readable by every version. Its shape is

    - `per="layer"`: (), one number;
    - `per="channel"`: (channels,), along dimension `channel_dim` of the input;
    - `per="neuron"`: `shape`, which broadcasts against the last dimensions of the input.

    `initial` maps names to numbers or to anything that broadcasts to that shape; what it leaves out starts at the value
    that the library states for it, else at 1. `bounds` maps names to (lowest, highest), None where there is no limit:
    the value used never leaves the bounds. Where a step of the optimizer has carried a parameter outside, gradients
    that push further out are dropped, and those that pull back in pass.

    `safe`, `clamp` and `backend` are those of `actc.compile`. `inplace` is accepted because timm and torchvision pass
    it, and has no effect: the result never shares memory with the input. The module takes as many tensors as the
    expression has variables, and stays a single call in `torch.fx` graphs.

    Raises `ActcError` for parameters that do not exist, cannot be attributes or start outside their bounds, and
    `TensorShapeError` for shapes that do not fit.

    >>> layer = Activation("x*sigmoid(beta*x)", per="channel", channels=3, initial={"beta": 1.5})
    >>> layer.beta.shape
    torch.Size([3])
    >>> layer(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 3, 8, 8])
    """

    def __init__(
        self,
        text: Any,
        *,
        per: str = "layer",
        channels: int | None = None,
        channel_dim: int = 1,
        shape: Sequence[int] | None = None,
        initial: Mapping[str, Any] | None = None,
        bounds: Mapping[str, Bounds] | None = None,
        safe: bool = False,
        clamp: float | None = None,
        backend: str = "auto",
        inplace: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if isinstance(text, CompiledActivation):
            self._function = text
        else:
            self._function = compile(text, safe=safe, clamp=clamp, backend=backend)
        self._per, self._channel_dim = per, channel_dim
        names = self._function.parameters
        size = _parameter_shape(per, channels, shape) if names else ()
        self._bounds = {name: _limits(name, pair) for name, pair in (bounds or {}).items()}
        self._initial = _starting_values(text, names, initial or {}, self._bounds)
        for name in names:
            try:
                self.register_parameter(name, nn.Parameter(torch.empty(size, device=device, dtype=dtype)))
            except KeyError as error:
                raise ActcError(
                    f"a module cannot have a parameter named {name!r}, an attribute of torch.nn.Module: rename it"
                ) from error
        for name in self._bounds.keys() - set(names):
            raise ActcError(f"bounds for {name!r}, which is no parameter: there is {_listed(names)}")
        self.reset_parameters()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Tensor: ...

    @property
    def function(self) -> CompiledActivation:
        """The function itself, which takes parameters as keywords."""
        return self._function

    def reset_parameters(self, *names: str) -> None:
        """Sets the parameters of these names to their initial values; without a name, all of them."""
        with torch.no_grad():
            for name in names or self._initial:
                parameter, value = getattr(self, name), self._initial[name]
                try:
                    parameter.copy_(_on_cpu(value))
                except RuntimeError as error:
                    given = tuple(_on_cpu(value).shape)
                    raise TensorShapeError(
                        f"the initial value of {name} has shape {given} and the parameter {tuple(parameter.shape)}: "
                        "give one number, or a value of the parameter's shape"
                    ) from error

    def forward(self, *inputs: Tensor) -> Tensor:
        given: Sequence[Any] = inputs
        for each in given:
            if isinstance(each, torch.fx.Proxy):
                tracer: Any = each.tracer
                return tracer.create_proxy("call_module", tracer.path_of_module(self), inputs, {})
        return self._function(*inputs, **{name: self._value(name, inputs[0]) for name in self._function.parameters})

    def extra_repr(self) -> str:
        parts = [repr(str(self._function.expr))]
        if self._function.parameters and self._per != "layer":
            parts.append(f"per={self._per!r}")
            parts.append(f"shape={tuple(getattr(self, self._function.parameters[0]).shape)}")
            if self._per == "channel" and self._channel_dim != 1:
                parts.append(f"channel_dim={self._channel_dim}")
        if self._bounds:
            parts.append("bounds={" + ", ".join(f"{n!r}: {b}" for n, b in self._bounds.items()) + "}")
        return ", ".join(parts)

    def _value(self, name: str, x: Tensor) -> Tensor:
        value = getattr(self, name)
        if name in self._bounds:
            value = _bounded(value, *self._bounds[name])
        if self._per != "channel":
            return value
        dim = self._channel_dim + x.dim() if self._channel_dim < 0 else self._channel_dim
        if not 0 <= dim < x.dim() or x.shape[dim] != value.shape[0]:
            raise TensorShapeError(
                f"{self._function.expr} has {value.shape[0]} channels along dimension {self._channel_dim}, and the "
                f"input has shape {tuple(x.shape)}: set channels= and channel_dim= (-1 is the last one) to match it"
            )
        return value.view(-1, *(1,) * (x.dim() - 1 - dim))


def parameter_groups(
    model: nn.Module, *, lr: float | None = None, weight_decay: float = 0.0, **options: Any
) -> list[dict[str, Any]]:
    """Parameter groups for an optimizer: activation parameters apart from all others.

    The group of the parameters of every `Activation` in `model` gets `lr` (None: the optimizer's own), `weight_decay`
    and further `options`; the other parameters come first, with the optimizer's defaults. A group without parameters is
    left out, and no parameter is named twice.

    >>> model = nn.Sequential(nn.Linear(2, 2), Activation("x*sigmoid(beta*x)"))
    >>> optimizer = torch.optim.AdamW(parameter_groups(model, lr=0.01), lr=0.001, weight_decay=0.1)
    >>> [(len(group["params"]), group["lr"], group["weight_decay"]) for group in optimizer.param_groups]
    [(2, 0.001, 0.1), (1, 0.01, 0.0)]
    """
    activations = [module for module in model.modules() if isinstance(module, Activation)]
    own = {id(p): p for module in activations for p in module.parameters()}
    others = [p for p in model.parameters() if id(p) not in own]
    settings = {"weight_decay": weight_decay, **({} if lr is None else {"lr": lr}), **options}
    groups = [{"params": others}, {"params": list(own.values()), **settings}]
    return [group for group in groups if group["params"]]


def _bounded(parameter: Tensor, low: float, high: float) -> Tensor:
    if torch.compiler.is_exporting() or torch.jit.is_tracing():
        # A strict export detaches what goes through a Function, and TorchScript cannot store one.
        return parameter.clamp(low, high)
    function = _Bounded if torch.compiler.is_compiling() else _BoundedForTransforms
    bounded: Tensor = function.apply(parameter, low, high)
    return bounded


class _Bounded(torch.autograd.Function):
    """The parameter limited to [low, high]; gradients pass unless a descent along them would lead further out."""

    @staticmethod
    def forward(parameter: Tensor, low: float, high: float) -> Tensor:
        return parameter.clamp(low, high)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float, float], output: Tensor) -> None:
        parameter, ctx.low, ctx.high = inputs
        ctx.save_for_backward(parameter)
        ctx.save_for_forward(parameter)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (parameter,) = ctx.saved_tensors
        outward = ((parameter > ctx.high) & (grad < 0)) | ((parameter < ctx.low) & (grad > 0))
        return torch.where(outward, 0.0, grad), None, None


class _BoundedForTransforms(_Bounded):
    """The same with what torch.func needs and torch.compile refuses to trace."""

    generate_vmap_rule = True

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _low: None, _high: None) -> Tensor:
        with forward_mode():
            (parameter,) = primals(ctx.saved_tensors)
            return torch.where((parameter > ctx.high) | (parameter < ctx.low), 0.0, tangent)


def _parameter_shape(per: str, channels: int | None, shape: Sequence[int] | None) -> tuple[int, ...]:
    if per == "layer":
        return ()
    if per == "channel":
        if channels is None:
            raise TensorShapeError('per="channel" needs channels=, the size of the input along channel_dim')
        return (channels,)
    if per == "neuron":
        if shape is None:
            raise TensorShapeError('per="neuron" needs shape=, the shape of the input without its batch dimension')
        return tuple(shape)
    raise ActcError(f'per={per!r}: parameters are per "layer", "channel" or "neuron"')


def _limits(name: str, pair: Bounds) -> tuple[float, float]:
    low, high = pair
    low, high = -math.inf if low is None else float(low), math.inf if high is None else float(high)
    if not low < high:
        raise ActcError(f"the bounds of {name} are ({low}, {high}): the first must be below the second")
    return low, high


def _starting_values(
    activation: Any, names: Sequence[str], given: Mapping[str, Any], bounds: Mapping[str, tuple[float, float]]
) -> dict[str, Any]:
    for name in given:
        if name not in names:
            raise ActcError(f"an initial value for {name!r}, which is no parameter: there is {_listed(names)}")
    known = getattr(activation, "initial", None) or {}
    values: dict[str, Any] = {}
    for name in names:
        low, high = bounds.get(name, (-math.inf, math.inf))
        if name in given:
            value = _on_cpu(given[name])
            if not bool(((value >= low) & (value <= high)).all()):
                raise ActcError(f"the initial value of {name} lies outside its bounds ({low}, {high})")
            values[name] = given[name]
        else:
            values[name] = min(max(float(known.get(name, 1.0)), low), high)
    return values


def _on_cpu(value: Any) -> Tensor:
    # Where a model is made without memory, the device that new tensors go to is "meta".
    return torch.as_tensor(value, dtype=torch.float64, device="cpu")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "none"

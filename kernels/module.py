"""`actc.Activation`: an expression as a layer with learnable parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from actc.arguments import refused, whole
from actc.errors import ArgumentError

from .arguments import (
    listed,
    name_taken,
    parameter_bounds,
    parameter_memory,
    parameter_shape,
    starting_values,
)
from .compiled import CompiledActivation, compile
from .composed import exporting
from .errors import TensorShapeError
from .registration import forward_mode, primals

Bounds = tuple[float | None, float | None]

#: What makes an activation, by its name in pickles, and the attribute that keeps it; where it stands in a pickle.
_STATE = "actc.Activation"
_FACTS = {
    "function": "_function",
    "per": "_per",
    "channel_dim": "_channel_dim",
    "bounds": "_bounds",
    "initial": "_initial",
}


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

    `safe`, `clamp`, `backend` and `opaque` are those of `actc.compile`. `inplace` is accepted because timm and
    torchvision pass it, and has no effect: the result never shares memory with the input. The module takes as many
    tensors as the expression has variables, and stays a single call in `torch.fx` graphs.

    Raises `ArgumentError` for options that cannot be, and for parameters that do not exist, cannot be attributes or
    start outside their bounds; `TensorShapeError` for shapes that do not fit; and the errors of `actc.compile`.

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
        opaque: bool = False,
        inplace: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self._function = compile(text, safe=safe, clamp=clamp, backend=backend, opaque=opaque)
        names = self._function.parameters
        # An activation without parameters takes any of the options, so that they may be the same for all.
        size = parameter_shape(per, channels, shape) if names else ()
        self._per = per
        self._channel_dim = whole("channel_dim", channel_dim, "write a dimension of the input, as in channel_dim=-1")
        self._bounds = parameter_bounds(bounds, names)
        self._initial = starting_values(initial, self._function.initial, names, self._bounds)
        for name in names:
            try:
                self.register_parameter(name, parameter_memory(size, device, dtype))
            except KeyError as error:
                raise name_taken(name) from error
        self.reset_parameters()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Tensor: ...

    @property
    def function(self) -> CompiledActivation:
        """The function itself, which takes parameters as keywords."""
        return self._function

    def reset_parameters(self, *names: str) -> None:
        """Sets the parameters of these names to their initial values; without a name, all of them."""
        for name in names:
            if name not in self._initial:
                raise ArgumentError(f"there is no parameter {name!r}: there is {listed(self._initial)}")
        with torch.no_grad():
            for name in names or self._initial:
                parameter, value = getattr(self, name), self._initial[name]
                try:
                    parameter.copy_(value)
                except RuntimeError as error:
                    raise TensorShapeError(
                        f"the initial value of {name} has shape {tuple(value.shape)} and the parameter "
                        f"{tuple(parameter.shape)}: give one number, or a value of the parameter's shape"
                    ) from error

    def forward(self, *inputs: Tensor) -> Tensor:
        given: Sequence[Any] = inputs
        for each in given:
            if isinstance(each, torch.fx.Proxy):
                tracer: Any = each.tracer
                return tracer.create_proxy("call_module", tracer.path_of_module(self), inputs, {})
        first = inputs[0] if inputs else None
        return self._function(*inputs, **{name: self._value(name, first) for name in self._function.parameters})

    def __getstate__(self) -> dict[str, Any]:
        """What pickles hold: the attributes of every module, and `_FACTS`, by names that no version changes."""
        state = self.__dict__.copy()
        state[_STATE] = {fact: state.pop(attribute) for fact, attribute in _FACTS.items()}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        facts = state.pop(_STATE)
        super().__setstate__(state)
        for fact, attribute in _FACTS.items():
            setattr(self, attribute, facts[fact])

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

    def _value(self, name: str, x: Any) -> Tensor:
        value = getattr(self, name)
        if name in self._bounds:
            value = _bounded(value, *self._bounds[name])
        if self._per != "channel" or not isinstance(x, Tensor):
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
    left out, and no parameter is named twice. Raises `ArgumentError` for what is no model and no setting.

    >>> model = nn.Sequential(nn.Linear(2, 2), Activation("x*sigmoid(beta*x)"))
    >>> optimizer = torch.optim.AdamW(parameter_groups(model, lr=0.01), lr=0.001, weight_decay=0.1)
    >>> [(len(group["params"]), group["lr"], group["weight_decay"]) for group in optimizer.param_groups]
    [(2, 0.001, 0.1), (1, 0.01, 0.0)]
    """
    if not isinstance(model, nn.Module):
        raise refused("model", model, "write the torch.nn.Module that is to be trained")
    if "params" in options:
        raise refused("params", options["params"], "the parameters are those of the model; leave it out")
    if lr is not None and not _is_rate(lr):
        raise refused("lr", lr, "write a finite number, 0 or more, or None for the optimizer's own")
    if not _is_rate(weight_decay):
        raise refused("weight_decay", weight_decay, "write a finite number, 0 or more")
    activations = [module for module in model.modules() if isinstance(module, Activation)]
    own = {id(p): p for module in activations for p in module.parameters()}
    others = [p for p in model.parameters() if id(p) not in own]
    settings = {"weight_decay": weight_decay, **({} if lr is None else {"lr": lr}), **options}
    groups = [{"params": others}, {"params": list(own.values()), **settings}]
    return [group for group in groups if group["params"]]


def _is_rate(value: Any) -> bool:
    # A tensor is left to the optimizer: reading it would wait for its device.
    return isinstance(value, Tensor) or (isinstance(value, (int, float)) and 0 <= value < math.inf)


def _bounded(parameter: Tensor, low: float, high: float) -> Tensor:
    if exporting() or torch.jit.is_tracing():
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

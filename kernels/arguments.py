"""What a caller gives: turned into what is computed with, or refused in one line that says what to write."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from actc.arguments import refused, whole
from actc.errors import ArgumentError
from actc.operators import suggestion

from .errors import TensorShapeError

FLOATING = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def parameter_shape(per: str, channels: Any, shape: Any) -> tuple[int, ...]:
    """The shape of a parameter per layer, channel or neuron; see `Activation`."""
    if per not in ("layer", "channel", "neuron"):
        raise refused("per", per, 'parameters are per "layer", "channel" or "neuron"')
    if channels is not None and per != "channel":
        raise refused("channels", channels, f'it belongs to per="channel", and per is {per!r}')
    if shape is not None and per != "neuron":
        raise refused("shape", shape, f'it belongs to per="neuron", and per is {per!r}')
    if per == "channel":
        if channels is None:
            raise TensorShapeError('per="channel" needs channels=, the size of the input along channel_dim')
        return (whole("channels", channels, "write a whole number above 0", least=1),)
    if per == "neuron":
        if shape is None:
            raise TensorShapeError('per="neuron" needs shape=, the shape of the input without its batch dimension')
        remedy = "write a tuple of whole numbers above 0, as in shape=(64, 7, 7)"
        if not isinstance(shape, Sequence) or isinstance(shape, str):
            raise refused("shape", shape, remedy)
        return tuple(whole(f"shape[{i}]", size, remedy, least=1) for i, size in enumerate(shape))
    return ()


def parameter_bounds(given: Any, names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """(lowest, highest) by parameter, infinite where there is no limit."""
    bounds = {}
    for name, pair in _by_name("bounds", given, names, "{'beta': (0, None)}").items():
        remedy = "write two numbers, the lower first, or None for no limit, as in (0, None)"
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise refused(f"bounds[{name!r}]", pair, remedy)
        low, high = (_limit(each, end) for each, end in zip(pair, (-math.inf, math.inf), strict=True))
        if not low < high:
            raise refused(f"bounds[{name!r}]", pair, remedy)
        bounds[name] = low, high
    return bounds


def starting_values(
    given: Any, known: Mapping[str, float], names: Sequence[str], bounds: Mapping[str, tuple[float, float]]
) -> dict[str, Tensor]:
    """For each parameter what it starts at, in float64: `given`, else `known` for the activation, else 1."""
    given = _by_name("initial", given, names, "{'beta': 1.0}")
    values = {}
    for name in names:
        low, high = bounds.get(name, (-math.inf, math.inf))
        if name in given:
            value = _finite(name, given[name])
            if not bool(((value >= low) & (value <= high)).all()):
                raise refused(f"initial[{name!r}]", given[name], f"it lies outside its bounds ({low}, {high})")
        else:
            value = _on_cpu(min(max(float(known.get(name, 1.0)), low), high))
        values[name] = value
    return values


def parameter_memory(
    size: tuple[int, ...], device: torch.device | str | None, dtype: torch.dtype | None
) -> torch.nn.Parameter:
    """A parameter with anything in it."""
    if dtype is not None and dtype not in FLOATING:
        raise refused("dtype", dtype, f"parameters are of {', '.join(map(str, FLOATING))}")
    try:
        return torch.nn.Parameter(torch.empty(size, device=device, dtype=dtype))
    except (RuntimeError, TypeError, AssertionError) as error:
        said = str(error).partition("\n")[0]
        raise ArgumentError(f"torch makes no parameter of shape {size} on device {device!r}: {said}") from error


def name_taken(name: str) -> ArgumentError:
    """The error for a parameter whose name a module needs for itself."""
    return ArgumentError(f"a module cannot have a parameter named {name!r}, an attribute of torch.nn.Module: rename it")


def listed(names: Iterable[str]) -> str:
    """The names of parameters in a sentence."""
    return ", ".join(names) or "none"


def _by_name(what: str, given: Any, names: Sequence[str], example: str) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise refused(what, given, f"write a mapping by name of parameter, as in {what}={example}")
    for name in given:
        if name not in names:
            near = suggestion(name, names) if isinstance(name, str) else ""
            raise ArgumentError(
                f"{what}= names {name!r}, which is no parameter{near or f': there is {listed(names)}'}"
            )
    return given


def _limit(value: Any, without: float) -> float:
    if value is None:
        return without
    try:
        return math.nan if isinstance(value, (str, bytes)) else float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return math.nan


def _finite(name: str, value: Any) -> Tensor:
    remedy = "write a finite number, or a tensor or list of them"
    try:
        # Of a complex number torch would take the real part.
        tensor = None if "complex" in str(getattr(value, "dtype", "")) else _on_cpu(value)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise refused(f"initial[{name!r}]", value, remedy) from error
    if tensor is None or not bool(tensor.isfinite().all()):
        raise refused(f"initial[{name!r}]", value, remedy)
    return tensor


def _on_cpu(value: Any) -> Tensor:
    # Where a model is made without memory, the device that new tensors go to is "meta".
    return torch.as_tensor(value, dtype=torch.float64, device="cpu").detach().clone()

"""`actc.replace`: activations in a model in place of those it holds."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor, fx, nn

from actc.arguments import flag, refused, whole

from .arguments import FLOATING
from .call_sites import CallSite, call_sites, in_mode, traced
from .compiled import compile
from .errors import ReplacementError
from .matching import Wanted, What, described
from .module import Activation, Bounds


@dataclass(frozen=True)
class Site:
    """One place: its dotted `name` in the model, the module or function that was there, the activation that is."""

    name: str
    old: Any
    new: Activation


@dataclass(frozen=True)
class Replacement:
    """What `actc.replace` did: `model` is the model to use, `sites` the places; str() is a table of them."""

    model: nn.Module
    sites: tuple[Site, ...]

    def __len__(self) -> int:
        return len(self.sites)

    def __str__(self) -> str:
        rows = [(site.name, described(site.old), repr(site.new)) for site in self.sites]
        widths = [max(len(row[i]) for row in [("name", "was", "is"), *rows]) for i in range(2)]
        lines = ["  ".join([*(c.ljust(w) for c, w in zip(r, widths, strict=False)), r[2]]) for r in rows]
        head = "  ".join([*(c.ljust(w) for c, w in zip(("name", "was"), widths, strict=True)), "is"])
        return "\n".join([f"{len(rows)} replaced", head, *lines])


def replace(
    model: nn.Module,
    what: What,
    activation: Any,
    *,
    per: str = "layer",
    channel_dim: int = 1,
    initial: Mapping[str, Any] | None = None,
    bounds: Mapping[str, Bounds] | None = None,
    safe: bool = False,
    clamp: float | None = None,
    backend: str = "auto",
    opaque: bool = False,
    each_call: bool = False,
    example_input: Any = None,
) -> Replacement:
    """Puts an `Activation` of its own at every place where the model has `what`; returns the model and the places.

    `what` is one of these, or a tuple of them:

    - a type of modules, such as `torch.nn.ReLU`: all modules of it or of a type derived from it;
    - a text: all modules whose dotted name matches it as a whole, `*` and `?` as in file names, dots included:
      `"blocks.*.act"`, `"*.intermediate_act_fn"`;
    - a predicate of the dotted name and the module;
    - a function of torch, such as `torch.nn.functional.relu`, `torch.tanh` or `torch.Tensor.relu`, which stands for all
      its spellings (`F.relu(x)`, `torch.relu(x)`, `x.relu()`, `x.relu_()`), where a module keeps it as an attribute, as
      `torch.nn.TransformerEncoderLayer` does, and where a forward calls it.

    Modules and attributes are changed in the model itself. An instance that several attributes share becomes several
    activations; one that a forward calls several times becomes one, called several times. With `each_call`, every call
    in the code gets its own. For that, and for functions, the model is traced by torch.fx: `report.model` is then a
    `GraphModule` with the same submodules, parameters and names, right in training and in evaluation, whose optional
    arguments keep their defaults unless `example_input` names them. Otherwise `report.model` is `model`.

    `per`, `channel_dim`, `initial`, `bounds`, `safe`, `clamp`, `backend` and `opaque` are those of `Activation`. For
    parameters per channel or neuron, the size at each place is taken from one pass of `example_input` in evaluation
    mode, which leaves training mode and random numbers as they were: a tensor, a tuple of arguments, or a mapping of
    them by name. The activations take their training mode from what they replace, and device and type from it or the
    parameters before it. Optimizers and wrappers such as DistributedDataParallel have to be made afterwards, to know
    the new parameters. An activation never writes into its input, not even where the one that it replaces did.

    Raises `ReplacementError` when there is nothing to replace, naming what the model holds, or when it cannot be done,
    and the errors of `Activation`; the model is then as it was.

    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.ReLU())
    >>> print(replace(model, nn.ReLU, "x*sigmoid(beta*x)", per="channel", example_input=torch.zeros(1, 3, 8, 8)))
    2 replaced
    name  was     is
    1     ReLU()  Activation('x*sigmoid(beta*x)', per='channel', shape=(8,))
    3     ReLU()  Activation('x*sigmoid(beta*x)', per='channel', shape=(4,))
    """
    if not isinstance(model, nn.Module):
        raise refused("model", model, "write the torch.nn.Module whose activations are to be replaced")
    if isinstance(model, torch.jit.ScriptModule):
        raise ReplacementError("torch.jit has compiled this model already: replace in the model first, then script it")
    wanted, example = Wanted(what), _Example(model, example_input)
    function = compile(activation, safe=safe, clamp=clamp, backend=backend, opaque=opaque)
    flag("each_call", each_call)
    whole("channel_dim", channel_dim, "write a dimension of the input, as in channel_dim=-1")
    sized = bool(function.parameters) and per in ("channel", "neuron")
    if len(function.variables) > 1:
        raise ReplacementError(
            f"{function.expr} takes {len(function.variables)} tensors ({', '.join(function.variables)}) and the "
            "activations of a model take one: build the gate into the model with actc.Activation"
        )
    if sized and not example:
        raise ReplacementError(f'per="{per}" needs example_input=, from which the size at each place is taken')
    if function.parameters and isinstance(model, nn.parallel.DistributedDataParallel):
        raise ReplacementError(
            "DistributedDataParallel would not average the gradients of parameters that come after it: replace in the "
            "model first, then wrap it"
        )
    changes = _Changes()
    try:
        result, places = _places(model, wanted, changes, each_call, example)
        if sized:
            example.run(result)
        new: dict[nn.Module, nn.Module] = {}
        sites = []
        for place in places:
            size = _size(place, per, channel_dim, each_call) if sized else {"per": per}
            layer = Activation(function, **size, **_home(place), initial=initial, bounds=bounds)
            new[place.slot] = layer.train(place.slot.training)
            sites.append(Site(place.name, place.slot.old, layer))
    except BaseException:
        changes.undo()
        raise
    for each in (model, result):
        _substitute(each, new)
    for place in places:
        place.settle()
    if isinstance(result, fx.GraphModule):
        result.recompile()
    return Replacement(result, tuple(sites))


class Slot(nn.Module):
    """Stands at a place until it is known what comes there: does what was there before, and notes what it is given."""

    def __init__(self, old: Any, training: bool) -> None:
        super().__init__()
        self.old = old
        self.training = training
        self.inplace = getattr(old, "inplace", False)
        self.seen: set[tuple[torch.Size, torch.device]] = set()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        given = args[0] if args else next(iter(kwargs.values()))
        self.seen.add((given.shape, given.device))
        return self.old(*args, **kwargs)


@dataclass(frozen=True)
class _Place:
    name: str
    slot: Slot
    #: The parameters of what was there and around it, nearest first.
    nearby: Callable[[], Iterator[Tensor]]
    settle: Callable[[], None]


class _Changes:
    """Attributes set on modules, so that they can be taken back."""

    def __init__(self) -> None:
        self._done: list[tuple[nn.Module, str, Any]] = []

    def set(self, module: nn.Module, name: str, value: Any) -> None:
        self._done.append((module, name, getattr(module, name)))
        self._assign(module, name, value)

    def undo(self, owner: tuple[nn.Module, str] | None = None) -> None:
        """Takes back all changes, or those of one attribute of a module."""
        for change in [each for each in reversed(self._done) if owner in (None, each[:2])]:
            self._assign(*change)
            self._done.remove(change)

    @staticmethod
    def _assign(module: nn.Module, name: str, value: Any) -> None:
        if name in module._modules and not isinstance(value, nn.Module):
            delattr(module, name)
        setattr(module, name, value)


class _Example:
    """The example input as arguments of the model; false where there is none."""

    def __init__(self, model: nn.Module, given: Any) -> None:
        self._given = given is not None
        self._args: tuple[Any, ...] = ()
        self._kwargs: Mapping[str, Any] = {}
        if isinstance(given, Mapping):
            self._kwargs = given
        elif given is not None:
            self._args = tuple(given) if isinstance(given, (tuple, list)) else (given,)
        try:
            #: The arguments that it names.
            self.names = inspect.signature(model.forward).bind_partial(*self._args, **self._kwargs).arguments
        except TypeError as error:
            raise ReplacementError(
                f"example_input does not fit the forward of {type(model).__name__} ({error}): it is a tensor, a tuple "
                "of arguments, or a mapping of them by name"
            ) from error

    def __bool__(self) -> bool:
        return self._given

    def run(self, model: nn.Module) -> None:
        """One pass in evaluation mode; leaves training mode and random numbers as they were."""
        accelerators = {p.device for p in model.parameters() if p.device.type not in ("cpu", "meta")}
        kind = next((each.type for each in accelerators), "cuda")
        devices = [each for each in accelerators if each.type == kind]
        try:
            with in_mode(model, False), torch.no_grad(), torch.random.fork_rng(devices, device_type=kind):
                model(*self._args, **self._kwargs)
        except Exception as error:
            raise ReplacementError(
                f"{type(model).__name__} fails on example_input with {type(error).__name__}: {error}"
            ) from error


def _places(
    model: nn.Module, wanted: Wanted, changes: _Changes, each_call: bool, example: _Example
) -> tuple[nn.Module, list[_Place]]:
    """The model to go on with, and the places in it, a slot at each."""
    attributes: dict[tuple[nn.Module, str], _Place] = {}
    for chain, name, old in list(_attributes(model, wanted, [], "")):
        parent, key = chain[-1]
        if (parent, key) not in attributes:
            slot = Slot(old, old.training if isinstance(old, nn.Module) else parent.training)
            changes.set(parent, key, slot)
            attributes[parent, key] = _Place(name, slot, partial(_around, chain, old), lambda: None)
    _leave_fast_paths(model, changes)
    calls: list[_Place] = []
    result: nn.Module = model
    if each_call or wanted.functions:
        graph_module, sites = _calls(model, wanted, each_call, example, bool(attributes))
        owners = {place.slot: owner for owner, place in attributes.items()}
        for site in sites:
            if isinstance(site.old, Slot):
                slot = Slot(site.old.old, site.old.training)
                changes.undo(owners[site.old])
                attributes.pop(owners[site.old], None)
            else:
                slot = Slot(site.old, model.get_submodule(site.path).training)
            site.put(slot)
            calls.append(_Place(site.name, slot, site.nearby, site.settle))
        if graph_module is not None and calls:
            graph_module.recompile()
            result = graph_module
    places = [*attributes.values(), *calls]
    if not places:
        raise wanted.missing_in(model)
    return result, places


def _attributes(
    parent: nn.Module, wanted: Wanted, above: list[tuple[nn.Module, str]], path: str
) -> Iterator[tuple[list[tuple[nn.Module, str]], str, Any]]:
    """Chains of (module, attribute) from the model to what is wanted, its name, and the module or function there.

    What is inside a module that is wanted stays untouched.
    """
    for key, child in parent._modules.items():
        if child is None:
            continue
        chain, name = [*above, (parent, key)], f"{path}{key}"
        if wanted.module(name, child):
            yield chain, name, child
        else:
            yield from _attributes(child, wanted, chain, f"{name}.")
    for key, value in vars(parent).items():
        if wanted.function(value):
            yield [*above, (parent, key)], f"{path}{key}", value


def _calls(
    model: nn.Module, wanted: Wanted, each_call: bool, example: _Example, found: bool
) -> tuple[fx.GraphModule | None, list[CallSite]]:
    """The calls that are wanted, in a trace of the model."""
    if fx.Tracer().is_leaf_module(model, ""):
        # The layers of torch itself call no function that could be replaced, and torch.fx does not look into them.
        return None, []
    try:
        graph_module = traced(model, lambda module: isinstance(module, (Slot, Activation)), example.names)
    except ReplacementError as error:
        if each_call or not found:
            raise
        warnings.warn(f"functions kept as attributes are replaced, calls were not looked for: {error}", stacklevel=4)
        return None, []
    return graph_module, call_sites(
        graph_module, lambda called: wanted.function(called) or (each_call and isinstance(called, Slot))
    )


def _around(chain: Sequence[tuple[nn.Module, str]], old: Any) -> Iterator[Tensor]:
    """The parameters of `old`, then those before it in each module around it, then those after."""
    if isinstance(old, nn.Module):
        yield from old.parameters()
    for parent, key in reversed(chain):
        before = list(takewhile(lambda name: name != key, parent._modules))  # noqa: B023, used at once
        for child in (parent._modules[name] for name in reversed(before)):
            yield from reversed(list(child.parameters())) if child is not None else ()
        yield from parent.parameters()


def _home(place: _Place) -> dict[str, Any]:
    """Device and type of the parameters around a place, but the device of its input where that is known."""
    near = next((each for each in place.nearby() if each.dtype in FLOATING), None)
    home = {} if near is None else {"device": near.device, "dtype": near.dtype}
    devices = {device for _, device in place.slot.seen}
    return {**home, "device": devices.pop()} if len(devices) == 1 else home


def _size(place: _Place, per: str, channel_dim: int, each_call: bool) -> dict[str, Any]:
    shapes = {shape for shape, _ in place.slot.seen}
    if not shapes:
        raise ReplacementError(
            f"no call reached {place.name} when the model was run on example_input in evaluation mode, so the size "
            'there is unknown: leave that place out, or use per="layer"'
        )
    few = any(not -len(shape) <= channel_dim < len(shape) for shape in shapes)
    if per == "channel" and few:
        raise ReplacementError(
            f"the input of {place.name} has shape {tuple(shapes.pop())}: no channel_dim={channel_dim}"
        )
    sizes = {(shape[channel_dim],) if per == "channel" else tuple(shape[1:]) for shape in shapes}
    if len(sizes) > 1:
        said = " and ".join(str(size[0] if per == "channel" else size) for size in sorted(sizes))
        remedy = 'use per="layer"' if each_call else 'give each call its own by each_call=True, or use per="layer"'
        raise ReplacementError(f"{place.name} is called with sizes {said} per {per}: {remedy}")
    size = sizes.pop()
    return (
        {"per": per, "channels": size[0], "channel_dim": channel_dim}
        if per == "channel"
        else {"per": per, "shape": size}
    )


def _leave_fast_paths(model: nn.Module, changes: _Changes) -> None:
    """torch's encoder layers have kernels for evaluation that compute ReLU or GELU, whatever the activation is."""
    layers = {
        module
        for module in model.modules()
        if isinstance(module, nn.TransformerEncoderLayer) and isinstance(module.activation, Slot)
    }
    for layer in layers:
        changes.set(layer, "activation_relu_or_gelu", 0)
    for module in model.modules():
        if isinstance(module, nn.TransformerEncoder) and not layers.isdisjoint(module.modules()):
            changes.set(module, "use_nested_tensor", False)


def _substitute(model: nn.Module, new: Mapping[nn.Module, nn.Module]) -> None:
    for parent in list(model.modules()):
        for key, child in parent._modules.items():
            if child is not None and child in new:
                parent._modules[key] = new[child]

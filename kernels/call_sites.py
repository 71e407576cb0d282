"""The calls in a model's forward, found by torch.fx."""

from __future__ import annotations

import inspect
import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count, takewhile
from typing import Any

import torch
from torch import Tensor, fx, nn

from .errors import ReplacementError

_CONSTANT = "_tensor_constant"


class CallSite:
    """One place in the code of one module's forward that calls a function, a method of Tensor or a module.

    `old` is what it calls, `name` the dotted name of the submodule that can be called there instead, `path` that of the
    module whose forward it is. Where that forward runs several times, as in a recurrent model, one place has several
    nodes in the graph.
    """

    def __init__(self, graph_module: fx.GraphModule, path: str, name: str, nodes: Sequence[fx.Node]) -> None:
        self.path, self.name = path, name
        self.old = _called(graph_module, nodes[0])
        self._graph_module, self._nodes = graph_module, nodes

    def put(self, module: nn.Module) -> None:
        """Lets this place call `module`, with the arguments that it gave so far, the input first."""
        self._graph_module.add_submodule(self.name, module)
        for node in self._nodes:
            subject, others = _subject(node)
            if _in_place(node, self.old):
                _read_result_instead(subject, node)
            node.op, node.target = "call_module", self.name
            node.args, node.kwargs = (subject, *node.args[1:]), others

    def settle(self) -> None:
        """Drops all arguments but the input."""
        for node in self._nodes:
            node.args, node.kwargs = node.args[:1], {}

    def nearby(self) -> Iterator[Tensor]:
        """The parameters used before this place, nearest first."""
        node = self._nodes[0].prev
        while node.op != "root":
            if node.op == "call_module":
                yield from reversed(list(self._graph_module.get_submodule(str(node.target)).parameters()))
            elif node.op == "get_attr":
                found = operator.attrgetter(str(node.target))(self._graph_module)
                yield from [found] if isinstance(found, Tensor) else []
            node = node.prev


def call_sites(graph_module: fx.GraphModule, wanted: Callable[[Any], bool]) -> list[CallSite]:
    """The places that call something `wanted`: modules, functions, and methods such as `torch.Tensor.relu`."""
    places: dict[tuple[str, int, Any], list[fx.Node]] = {}
    runs: Counter[str] = Counter()
    for node in graph_module.graph.nodes:
        if node.op in ("call_function", "call_method", "call_module") and wanted(_called(graph_module, node)):
            run, path = _caller(node)
            places.setdefault((path, runs[run], node.target), []).append(node)
            runs[run] += 1
    sites: list[CallSite] = []
    names: set[str] = set()
    for (path, _, target), nodes in places.items():
        if nodes[0].op == "call_module":
            name = str(target)
            name = _free_name(graph_module, name, names) if name in names else name
        else:
            own = (target if isinstance(target, str) else target.__name__).rstrip("_")
            name = _free_name(graph_module, _joined(path, own), names)
        names.add(name)
        sites.append(CallSite(graph_module, path, name, nodes))
    return sites


def traced(model: nn.Module, is_leaf: Callable[[nn.Module], bool], given: Mapping[str, Any] | None) -> fx.GraphModule:
    """The model as a graph of calls, right in training and in evaluation, with the same submodules and parameters.

    Arguments that have a default can only be given the default, unless `given` names them: another value could have
    led the model another way. Raises `ReplacementError` for models that torch.fx cannot follow.
    """
    before = set(vars(model))
    try:
        graphs = []
        for training in (True, False):
            with in_mode(model, training):
                graphs.append(_Tracer(is_leaf, given).trace(model))
        # A pickle holds the generated code, to be traced again, and that by the tracer that knows no `given`.
        graphs[0]._tracer_cls = fx.Tracer
        graph_module = fx.GraphModule(model, graphs[0], type(model).__name__)
        _Merge(graph_module, model, graphs[1])
    except ReplacementError:
        raise
    except Exception as error:
        said = str(error).strip().partition("\n")[0]
        raise ReplacementError(
            f"torch.fx cannot follow the forward of {type(model).__name__} ({type(error).__name__}: {said}): give its "
            "arguments in example_input=, replace the calls in those submodules that it can follow, or replace modules "
            "by type or name, which needs no torch.fx"
        ) from error
    finally:
        for name in set(vars(model)) - before:
            if name.startswith(_CONSTANT):
                delattr(model, name)
    graph_module.recompile()
    return graph_module


@contextmanager
def in_mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Every submodule in training mode or in evaluation mode, and as it was when it ends."""
    modes = {module: module.training for module in model.modules()}
    try:
        for module in modes:
            module.training = training
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def unchanged(value: Any, default: Any, name: str) -> None:
    """Raises `ReplacementError` for an argument that is not the default with which the model was traced."""
    if isinstance(value, fx.Proxy):
        value.tracer.create_proxy("call_function", unchanged, (value, default, name), {})
    elif value is not default and (isinstance(value, Tensor) or value != default):
        raise ReplacementError(
            f"this model was traced with {name}={default!r}, its default, and could go another way with another value: "
            "name the argument in the example_input of actc.replace"
        )


fx.node.has_side_effect(unchanged)


class TrainingMode(nn.Module):
    """Whether it is in training mode, or with `inverted` whether it is not."""

    def __init__(self, inverted: bool) -> None:
        super().__init__()
        self.inverted = inverted

    def forward(self) -> bool:
        return self.training != self.inverted


class _Tracer(fx.Tracer):
    def __init__(self, is_leaf: Callable[[nn.Module], bool], given: Mapping[str, Any] | None) -> None:
        super().__init__()
        self._is_leaf, self._given = is_leaf, given or {}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return self._is_leaf(m) or super().is_leaf_module(m, module_qualified_name)

    def create_args_for_root(
        self, root_fn: Callable[..., Any], is_module: bool, concrete_args: Any = None
    ) -> tuple[Callable[..., Any], list[Any]]:
        values: list[Any] = [self.root]
        by_name: dict[str, Any] = {}
        for parameter in list(inspect.signature(root_fn).parameters.values())[1:]:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            default = () if parameter.default is parameter.empty else (parameter.default,)
            value: Any = self.create_proxy("placeholder", parameter.name, default, {})
            if default and parameter.name not in self._given:
                unchanged(value, parameter.default, parameter.name)
                value = parameter.default
            if parameter.kind is parameter.KEYWORD_ONLY:
                by_name[parameter.name] = value
            else:
                values.append(value)
        return lambda *args: root_fn(*args, **by_name), values


class _Merge:
    """Makes a graph traced in training right for evaluation too, where the two differ in arguments alone.

    `F.dropout(x, training=self.training)` is such a place: its argument becomes a call of a `TrainingMode`.
    """

    def __init__(self, graph_module: fx.GraphModule, model: nn.Module, evaluation: fx.Graph) -> None:
        self._graph_module, self._model = graph_module, model
        self._modes: dict[tuple[str, bool], str] = {}
        self._twin: dict[fx.Node, fx.Node] = {}
        ours, theirs = list(graph_module.graph.nodes), list(evaluation.nodes)
        if len(ours) != len(theirs):
            raise self._different()
        for node, other in zip(ours, theirs, strict=True):
            self._twin[other] = node
            if node.op != other.op or not (node.target == other.target or self._same_constant(node, other)):
                raise self._different()
            node.args, node.kwargs = (
                self._merged(node.args, other.args, node),
                self._merged(node.kwargs, other.kwargs, node),
            )

    def _merged(self, a: Any, b: Any, node: fx.Node) -> Any:
        if isinstance(b, fx.Node):
            if self._twin[b] is not a:
                raise self._different()
            return a
        if isinstance(a, (tuple, list)) and type(a) is type(b) and len(a) == len(b):
            parts = [self._merged(x, y, node) for x, y in zip(a, b, strict=True)]
            return type(a)(*parts) if hasattr(a, "_fields") else type(a)(parts)
        if isinstance(a, Mapping) and isinstance(b, Mapping) and a.keys() == b.keys():
            return {key: self._merged(a[key], b[key], node) for key in a}
        if isinstance(a, slice) and isinstance(b, slice):
            return slice(*(self._merged(getattr(a, k), getattr(b, k), node) for k in ("start", "stop", "step")))
        if isinstance(a, bool) and isinstance(b, bool) and a != b:
            return self._mode(node, inverted=b)
        if a is b or (type(a) is type(b) and (a == b or (a != a and b != b))):
            return a
        raise self._different()

    def _mode(self, node: fx.Node, inverted: bool) -> fx.Node:
        _, path = _caller(node)
        name = self._modes.get((path, inverted))
        if name is None:
            name = _free_name(self._graph_module, _joined(path, "training_mode"))
            module = TrainingMode(inverted)
            module.training = self._model.get_submodule(path).training
            self._graph_module.add_submodule(name, module)
            self._modes[path, inverted] = name
        with self._graph_module.graph.inserting_before(node):
            return self._graph_module.graph.call_module(name)

    def _same_constant(self, node: fx.Node, other: fx.Node) -> bool:
        names = str(node.target), str(other.target)
        if node.op != "get_attr" or not all(name.startswith(_CONSTANT) for name in names):
            return False
        a, b = (getattr(self._model, name) for name in names)
        return torch.equal(a, b)

    def _different(self) -> ReplacementError:
        return ReplacementError(
            f"the forward of {type(self._model).__name__} makes other calls in training than in evaluation, and a "
            "traced model can make only one set of them: replace modules by type or name, or the calls in those "
            "submodules that make the same in both"
        )


def _called(graph_module: fx.GraphModule, node: fx.Node) -> Any:
    if node.op == "call_module":
        return graph_module.get_submodule(str(node.target))
    return getattr(Tensor, str(node.target), None) if node.op == "call_method" else node.target


def _caller(node: fx.Node) -> tuple[str, str]:
    """Of the module whose forward makes the call: a name for this run of its forward, and its path in the model."""
    stack = list(node.meta.get("nn_module_stack", {}).items())
    if node.op == "call_module":
        stack = stack[:-1]
    return (stack[-1][0], stack[-1][1][0]) if stack else ("", "")


def _subject(node: fx.Node) -> tuple[fx.Node, dict[str, Any]]:
    """The input of a call, and the arguments by name without it."""
    others = dict(node.kwargs)
    subject = node.args[0] if node.args else others.pop("input" if "input" in others else next(iter(others)))
    if not isinstance(subject, fx.Node):
        raise ReplacementError(f"a call whose input is no tensor cannot be replaced: {node.format_node()}")
    return subject, others


def _read_result_instead(subject: fx.Node, node: fx.Node) -> None:
    """What the model reads from the input of an in-place call later on is what the call has written there."""
    later = set(takewhile(lambda each: each is not node, reversed(node.graph.nodes)))
    subject.replace_all_uses_with(node, later.__contains__)


def _in_place(node: fx.Node, called: Any) -> bool:
    if isinstance(called, nn.Module):
        return getattr(called, "inplace", False) is True
    if called.__name__.endswith("_"):
        return True
    try:
        arguments = inspect.signature(called).bind(*node.args, **node.kwargs).arguments
    except (TypeError, ValueError):
        arguments = dict(node.kwargs)
    return arguments.get("inplace", False) is True


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _free_name(graph_module: fx.GraphModule, name: str, taken: set[str] | None = None) -> str:
    numbered = (name if n == 1 else f"{name}_{n}" for n in count(1))
    return next(each for each in numbered if each not in (taken or ()) and not _holds(graph_module, each))


def _holds(module: nn.Module, name: str) -> bool:
    here: Any = module
    for part in name.split("."):
        if not hasattr(here, part):
            return False
        here = getattr(here, part)
    return True

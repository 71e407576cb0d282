"""Which of a model's activations are meant, and which it holds."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from actc.operators import is_operator, suggestion

from .errors import ReplacementError

#: See `actc.replace`: a type of modules, a pattern of names, a function of torch, a predicate, or a tuple of these.
What = type[nn.Module] | str | Callable[..., Any] | tuple[Any, ...]


class Wanted:
    """What `actc.replace` was asked to replace; raises `ReplacementError` for what cannot name an activation."""

    def __init__(self, what: What) -> None:
        self._types: tuple[type[nn.Module], ...] = ()
        self._patterns: list[str] = []
        self._predicates: list[Callable[[str, nn.Module], bool]] = []
        self._functions: list[Any] = []
        wanted = what if isinstance(what, tuple) and what else (what,)
        for each in wanted:
            if isinstance(each, type) and issubclass(each, nn.Module):
                self._types += (each,)
            elif isinstance(each, str):
                self._patterns.append(each)
            elif _is_torch_function(each):
                self._functions += _spellings(each)
            elif callable(each) and not isinstance(each, (type, nn.Module)):
                self._predicates.append(each)
            else:
                raise ReplacementError(
                    "what to replace is a type of modules such as torch.nn.ReLU, a pattern of names such as "
                    "'blocks.*.act', a function of torch such as torch.nn.functional.relu, a predicate on name and "
                    f"module, or a tuple of these, not {described(each)}"
                )
        self._said = " or ".join(described(each) for each in wanted)

    @property
    def functions(self) -> bool:
        """Whether functions are meant, which only a trace finds."""
        return bool(self._functions)

    def module(self, name: str, module: nn.Module) -> bool:
        """Whether this module, at this dotted name, is meant."""
        return (
            isinstance(module, self._types)
            or any(fnmatchcase(name, pattern) for pattern in self._patterns)
            or any(_holds(predicate, name, module) for predicate in self._predicates)
        )

    def missing_in(self, model: nn.Module) -> ReplacementError:
        """The error for a model that holds nothing of what is meant: what it holds, and what could be meant."""
        kind = type(model).__name__
        if self.module("", model):
            return ReplacementError(
                f"nothing to replace: this {kind} is the model itself: make an actc.Activation instead of it"
            )
        names = [name for name, _ in model.named_modules() if name]
        near = "".join(_near(pattern, names) for pattern in self._patterns)
        return ReplacementError(
            f"nothing to replace: {kind} has no {self}{near}. Activations in it: {activations_held(model)}. Name a "
            "module by its type or name, and a function by the function itself"
        )

    def function(self, called: Any) -> bool:
        """Whether this function or method of Tensor is meant."""
        return any(called is each for each in self._functions)

    def __str__(self) -> str:
        return self._said


def _holds(predicate: Callable[[str, nn.Module], bool], name: str, module: nn.Module) -> bool:
    try:
        return bool(predicate(name, module))
    except Exception as error:
        raise ReplacementError(
            f"{described(predicate)}, taken for a predicate of a module's name and the module, fails on {name!r} with "
            f"{type(error).__name__}: {error}"
        ) from error


def _near(pattern: str, names: list[str]) -> str:
    if isinstance(getattr(nn, pattern, None), type):
        return f"; the type is torch.nn.{pattern}, without quotation marks"
    return suggestion(pattern, names)


def described(old: Any) -> str:
    """A module, type or function as the user would write it, in one line."""
    if isinstance(old, nn.Module):
        first, *rest = repr(old).splitlines()
        return first + "...)" if rest else first
    if isinstance(old, str):
        return repr(old)
    name = getattr(old, "__name__", "")
    for owner, space in (
        ("torch", torch),
        ("torch.nn", nn),
        ("torch.nn.functional", nn.functional),
        ("torch.Tensor", Tensor),
    ):
        if name and getattr(space, name, None) is old:
            return f"{owner}.{name}"
    return f"{old.__module__}.{name}" if name else repr(old)


def activations_held(model: nn.Module) -> str:
    """The activations of a model as a sentence: modules, functions kept as attributes, functions that forwards name."""
    modules: dict[str, list[str]] = {}
    functions: dict[str, list[str]] = {}
    calls: dict[str, set[str]] = {}
    hidden: list[str] = []
    for path, module in model.named_modules():
        if path and "activation" in type(module).__module__ + type(module).__name__.lower() and not module._modules:
            modules.setdefault(type(module).__name__, []).append(path)
        for name, value in vars(module).items():
            if _is_torch_function(value) and is_operator(value.__name__.rstrip("_")):
                functions.setdefault(described(value), []).append(f"{path}.{name}" if path else name)
            kept = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
            if name != "_modules" and any(isinstance(each, nn.Module) for each in kept):
                hidden.append(f"{path}.{name}" if path else name)
        if not type(module).__module__.startswith("torch."):
            code = getattr(type(module).forward, "__code__", None)
            for name in getattr(code, "co_names", ()):
                if hasattr(nn.functional, name.rstrip("_")) and is_operator(name.rstrip("_")):
                    calls.setdefault(f"{type(module).__name__}.forward", set()).add(name)
    found = [f"{kind} ({_some(paths)})" for kind, paths in {**modules, **functions}.items()]
    found += [f"calls of {_some(sorted(names))} in {where}" for where, names in calls.items()]
    found += [f"modules in {name}, which torch sees in a ModuleList or ModuleDict only" for name in hidden]
    return "; ".join(found) if found else "none that could be recognised"


def _some(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"


def _is_torch_function(value: Any) -> bool:
    kinds = (types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType)
    return isinstance(value, kinds) and str(getattr(value, "__module__", "torch")).partition(".")[0] == "torch"


def _spellings(function: Any) -> Iterator[Any]:
    """The function under all its names: in torch, in torch.nn.functional and as a method, in place or not."""
    yield function
    name = function.__name__.rstrip("_")
    for space in (torch, nn.functional, Tensor):
        for each in (name, f"{name}_"):
            if hasattr(space, each):
                yield getattr(space, each)

"""A different activation for each slice of one 16-bit tensor, in one pass over the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from actc.arguments import refused, whole
from actc.derivatives import derivative

from . import table
from .aten import saturates
from .cache import Cache
from .compiled import CompiledActivation, compile
from .errors import TensorShapeError
from .key import Key
from .lookup import take, take_times
from .table import bits, expression_for_tables, flat, lying_as, require_sixteen_bits, within_


def population(activations: Sequence[Any], dim: int = 0) -> Population:
    """A module that applies the k-th activation to the k-th slice of its input along a dimension.

    `activations` are what `actc.compile` takes or returned, functions of one input without parameters, as many as the
    input is long along `dim`, or has runs of equal length there: 64 networks of batch 32 side by side may lie along
    one dimension of 2,048. The input is bfloat16 or float16, of any shape, strides and device; results and gradients
    have its type and shape and are, to the bit, those of the separate calls with backend="table". First derivatives
    are supported. Raises `ArgumentError` for no activations, `BackendError` for functions that no table holds and for
    other types, `TensorShapeError` for an input of another length.

    >>> import torch
    >>> several = population(["relu(x)", "x**2", "-x"])
    >>> several(torch.tensor([[-1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]).bfloat16()).tolist()
    [[0.0, 2.0], [9.0, 16.0], [-5.0, -6.0]]
    """
    return Population(activations, dim)


class Population(torch.nn.Module):
    """See `population`. It holds no parameters; its tables are made when they are first needed, one stack of values
    and one of slopes for each type and device: 128 and 256 KiB an activation."""

    #: Types and devices for which tables are kept at once.
    STACKS = 2

    def __init__(self, activations: Sequence[Any], dim: int = 0) -> None:
        super().__init__()
        remedy = "give a sequence of activations, such as ['relu(x)', 'x**2']"
        if isinstance(activations, (str, bytes)) or not isinstance(activations, Sequence) or not len(activations):
            raise refused("activations", activations, remedy)
        self.dim = whole("dim", dim, "write the number of a dimension")
        self.activations = [a if isinstance(a, CompiledActivation) else compile(a) for a in activations]
        self._make()

    def _make(self) -> None:
        self._expressions = [expression_for_tables(Key.parse(a._key)) for a in self.activations]
        self._values: Cache[tuple[torch.dtype, torch.device], Tensor] = Cache(self._stacked_values, self.STACKS)
        self._slopes: Cache[tuple[torch.dtype, torch.device], Tensor] = Cache(self._stacked_slopes, self.STACKS)
        self._saturated = [k for k, e in enumerate(self._expressions) if saturates(derivative(e))]

    def _stacked_values(self, asked: tuple[torch.dtype, torch.device]) -> Tensor:
        return torch.cat([table.values[expression, *asked] for expression in self._expressions])

    def _stacked_slopes(self, asked: tuple[torch.dtype, torch.device]) -> Tensor:
        return torch.cat([table.slopes[expression, *asked] for expression in self._expressions])

    def forward(self, x: Tensor) -> Tensor:
        require_sixteen_bits(x)
        count = len(self.activations)
        if not -x.dim() <= self.dim < x.dim() or x.shape[self.dim] % count:
            raise TensorShapeError(
                f"a population of {count} needs an input with a multiple of {count} slices along dimension {self.dim}, "
                f"got shape {tuple(x.shape)}: give one slice, or equally many, to each activation"
            )
        result: Tensor = _Apply.apply(x, self)
        return result

    def values(self, x: Tensor) -> Tensor:
        """Without autograd."""
        first = self._first(x)
        out = torch.empty_like(first)
        if out.numel():
            take(self._values[x.dtype, x.device], bits(first), flat(out), len(self.activations))
        return out.movedim(0, self.dim)

    def gradients(self, grad: Tensor, x: Tensor) -> Tensor:
        """`grad` times the derivative, without autograd."""
        first = self._first(x)
        out = torch.empty_like(first)
        if out.numel():
            scale = flat(lying_as(out, grad.movedim(self.dim, 0)))
            take_times(self._slopes[x.dtype, x.device], bits(first), scale, flat(out), len(self.activations))
            runs = out.unflatten(0, (len(self.activations), -1))
            for k in self._saturated:
                within_(runs[k])
        return out.movedim(0, self.dim)

    def _first(self, x: Tensor) -> Tensor:
        """With the slices first, also in memory."""
        first = x.movedim(self.dim, 0)
        others = first[0].numel() if first.shape[0] else 0
        dense = torch.empty_like(first, device="meta").stride() == first.stride()
        return first if dense and first.stride(0) == others else first.contiguous()

    def extra_repr(self) -> str:
        return f"{len(self.activations)} activations along dimension {self.dim}"

    def __getstate__(self) -> dict[str, Any]:
        hidden = ("_expressions", "_values", "_slopes", "_saturated")
        return {k: v for k, v in self.__dict__.items() if k not in hidden}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._make()


class _Apply(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, several: Population) -> Tensor:
        ctx.save_for_backward(x)
        ctx.several = several
        return several.values(x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.several.gradients(grad, *ctx.saved_tensors), None

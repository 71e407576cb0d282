"""The table backend: a function of one 16-bit number has 65,536 results, which are made once and looked up.

Values are the real function's, rounded once; slopes likewise, in float32, so that their product with a gradient is
rounded once. Any expression costs the same, and nothing is compiled.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from actc.derivatives import derivative
from actc.expr import Expr
from actc.rounding import BFLOAT16, FLOAT16, FLOAT32, Floats, Format, rounded

from .aten import expression_of, saturates
from .cache import Cache
from .errors import BackendError
from .key import Key
from .lookup import ENTRIES, take, take_times

FORMATS = {torch.bfloat16: BFLOAT16, torch.float16: FLOAT16}

#: Tables that are kept on all devices together: 128 KiB a table of values, 256 KiB one of slopes, so 64 MiB each.
VALUES, SLOPES = 512, 256


@functools.cache
def numbers(dtype: torch.dtype) -> Floats:
    """All numbers of a 16-bit type, in the order of their bits, as float64."""
    bits = torch.arange(ENTRIES, dtype=torch.int32).to(torch.int16)
    return bits.view(dtype).double().numpy()


def entries(expression: Expr, x: Floats, form: Format) -> Floats:
    """The function's values at numbers, rounded once; a safe one's are kept within the format's range."""
    found = rounded(expression, x, form).values
    return np.clip(found, -form.largest, form.largest) if saturates(expression) else found


def _values(asked: tuple[Expr, torch.dtype, torch.device]) -> Tensor:
    expression, dtype, device = asked
    found = entries(expression, numbers(dtype), FORMATS[dtype])
    return torch.from_numpy(found).to(dtype).to(device)


def _slopes(asked: tuple[Expr, torch.dtype, torch.device]) -> Tensor:
    expression, dtype, device = asked
    found = entries(derivative(expression), numbers(dtype), FLOAT32)
    return torch.from_numpy(found.astype(np.float32)).to(device)


#: By expression, type and device; each is made when it is first needed.
values: Cache[tuple[Expr, torch.dtype, torch.device], Tensor] = Cache(_values, size=VALUES)
slopes: Cache[tuple[Expr, torch.dtype, torch.device], Tensor] = Cache(_slopes, size=SLOPES)


class TableKernel:
    """One activation of one input (or one derivative of it), by tables; see `AtenKernel` for shapes and strides.

    Inputs are bfloat16 or float16. Raises `BackendError` for other types, and for functions of several arguments.
    """

    def __init__(self, key: Key) -> None:
        self._expression = expression_for_tables(key)
        self._saturate = saturates(derivative(self._expression))

    def forward(self, inputs: Sequence[Tensor], params: Sequence[Tensor]) -> Tensor:
        (x,) = inputs
        require_sixteen_bits(x)
        out = torch.empty_like(x)
        if out.numel():
            take(values[self._expression, x.dtype, x.device], bits(x), flat(out))
        return out

    def backward(
        self, grad: Tensor, inputs: Sequence[Tensor], params: Sequence[Tensor], needed: Sequence[int]
    ) -> list[Tensor]:
        (x,) = inputs
        require_sixteen_bits(x)
        out = torch.empty_like(x)
        if out.numel() and needed:
            take_times(slopes[self._expression, x.dtype, x.device], bits(x), flat(lying_as(out, grad)), flat(out))
            if self._saturate:
                within_(out)
        return [out for _ in needed]


def expression_for_tables(key: Key) -> Expr:
    """The function that `key` names. Raises `BackendError` if it depends on more than one input."""
    if len(key.names) > 1:
        raise BackendError(
            f'backend="table" serves functions of one input without parameters, and {key.expression} depends on '
            f'{", ".join(key.names)}: write numbers for the others, or leave backend="auto"'
        )
    return expression_of(key)


def require_sixteen_bits(x: Tensor) -> None:
    """Raises `BackendError` for a tensor of more values than a table has."""
    if x.dtype not in FORMATS:
        raise BackendError(
            f'backend="table" holds results for bfloat16 and float16, and the input is of {x.dtype}: convert it, for '
            'example with .bfloat16(), or leave backend="auto"'
        )


def bits(x: Tensor) -> Tensor:
    """The bits of a 16-bit tensor in the order in which `torch.empty_like` lays a result out."""
    return flat(lying_as(torch.empty_like(x, device="meta"), x)).view(torch.int16)


def lying_as(like: Tensor, tensor: Tensor) -> Tensor:
    """The tensor in the strides of another of its shape, which has no gaps."""
    if tensor.stride() == like.stride():
        return tensor
    return torch.empty_strided(like.shape, like.stride(), dtype=tensor.dtype, device=tensor.device).copy_(tensor)


def flat(tensor: Tensor) -> Tensor:
    """A view in one dimension, in memory order, of a tensor without gaps."""
    return tensor.as_strided((tensor.numel(),), (1,), tensor.storage_offset())


def within_(out: Tensor) -> Tensor:
    """Infinities become the largest finite numbers; NaN stays."""
    largest = torch.finfo(out.dtype).max
    return out.clamp_(-largest, largest)

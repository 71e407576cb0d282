"""How an operand lies against a result that is dense in memory."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from torch import Tensor

#: One value for each element of the result; a single number; a vector along the result's channels.
ELEMENT, NUMBER, CHANNEL = "element", "number", "channel"


class Unfit(Exception):
    """Why the flat kernels do not cover an operand."""


@dataclass(frozen=True)
class Place:
    """An operand's kind. For a vector, the result is [outer, `channels`, `inner`] in memory order, and the operand's
    dimensions in the order `order` are the channels. `as_it_is`: it lies in memory so already, or, with a value for
    each element, as the result does."""

    kind: str
    channels: int = 1
    inner: int = 1
    order: tuple[int, ...] = ()
    as_it_is: bool = True


def place(operand: Tensor, result: Tensor) -> Place:
    """How `operand` lies; both may be meta tensors. Raises `Unfit` where it is broadcast over separate dimensions."""
    if operand.shape == result.shape:
        # Along a dimension of one element nothing is ever stepped.
        steps = zip(operand.shape, operand.stride(), result.stride(), strict=True)
        return Place(ELEMENT, as_it_is=all(size == 1 or a == b for size, a, b in steps))
    missing = result.dim() - operand.dim()
    order = tuple(range(operand.dim()))
    if operand.numel() == 1:
        return Place(NUMBER, order=order)
    along = [d for d in order if operand.shape[d] != 1]
    along.sort(key=lambda d: result.stride(d + missing), reverse=True)
    for outer, inner in itertools.pairwise(along):
        if result.stride(outer + missing) != result.stride(inner + missing) * result.shape[inner + missing]:
            raise Unfit("an operand is broadcast along dimensions that lie between its own")
    last = along[-1]
    order = (*(d for d in order if d not in along), *along)
    moved = operand.permute(order)
    return Place(CHANNEL, operand.numel(), result.stride(last + missing), order, moved.is_contiguous())

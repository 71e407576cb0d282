"""Results in float64, stored in the tensor's own type by one rounding.

torch converts float64 to float16 and to bfloat16 through float32, so it rounds twice: a value just above a midpoint
between two 16-bit neighbours first falls onto the midpoint and then to the even side.
"""

from __future__ import annotations

import torch
from torch import Tensor

_EXPONENT_BITS = 0x7FF << 52
# (smallest normal, a power of two that still rounds to infinity, 1.5 * 2**(52 - stored significand bits))
_SIXTEEN_BITS = {
    torch.float16: (2.0**-14, 2.0**17, 1.5 * 2.0**42),
    torch.bfloat16: (2.0**-126, 2.0**129, 1.5 * 2.0**45),
}


def representable(values: Tensor, dtype: torch.dtype) -> Tensor:
    """The 16-bit number nearest to each of `values`, ties to even, still held in float64.

    `values` is a float64 tensor of any shape, `dtype` bfloat16 or float16. NaN, infinities and the sign of zero stay;
    what lies beyond the type's range stays beyond it, so that a conversion to `dtype` is then exact or infinite.

    Adding a number whose last bit weighs as much as the last bit of the 16-bit result makes the float64 addition
    itself round there, in the subnormal range too, and subtracting it again is exact.
    """
    smallest_normal, beyond, scale = _SIXTEEN_BITS[dtype]
    power_of_two = (values.view(torch.int64) & _EXPONENT_BITS).view(torch.float64)
    shift = power_of_two.clamp_(smallest_normal, beyond).mul_(scale)
    return (values + shift).sub_(shift).copysign_(values)


def store_(target: Tensor, values: Tensor, saturate: bool) -> None:
    """Writes `values`, broadcast to the shape of `target`, into `target` with a single rounding.

    With `saturate`, values beyond the range of `target.dtype` become its largest finite number of that sign; NaN stays.
    """
    if saturate:
        largest = torch.finfo(target.dtype).max
        values = values.clamp(-largest, largest)
    if target.dtype in _SIXTEEN_BITS and values.dtype == torch.float64:
        values = representable(values, target.dtype)
    target.copy_(values)

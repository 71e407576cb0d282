"""Is a kernel as accurate as torch's own operations? Values and gradients, measured against float64."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from actc import pipeline
from actc.derivatives import derivative
from actc.expr import Expr
from actc.kernels import compile
from actc.kernels.aten import tensor_function

TYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
#: What an operator's error may be, in units of u·(|f| + Σ|x·∂f/∂x|), u the unit roundoff of the tensors' type.
ROUNDINGS = 8


def layouts(points: Tensor) -> dict[str, Tensor]:
    """`points`, repeated, in tensors of shape (2, 3, 4, 6) that lie in memory in five ways."""
    base = points.repeat(144 // len(points) + 1)[:144].reshape(2, 3, 4, 6)
    spread = torch.zeros(2, 3, 4, 12, dtype=points.dtype)
    spread[..., ::2] = base
    return {
        "contiguous": base,
        "channels last": base.to(memory_format=torch.channels_last),
        "permuted": base.permute(1, 3, 0, 2).contiguous().permute(2, 0, 3, 1),
        "strided": spread[..., ::2],
        "expanded": base[:, :, :1].expand(2, 3, 4, 6),
    }


def parameter_shapes() -> dict[str, tuple[int, ...]]:
    """Shapes that broadcast against (2, 3, 4, 6)."""
    return {"layer": (), "channel": (3, 1, 1), "neuron": (6,), "neurons": (4, 6), "batch": (2, 1, 1, 1)}


def excesses(
    expression: Expr, tensors: Sequence[Tensor], backend: str, depth: int = 1
) -> Iterator[tuple[str, float]]:
    """For the value and each gradient: its name and its largest error over the allowed one; at most 1 passes.

    `tensors` are the variables' and then the parameters'. The allowed error is `ROUNDINGS` units for each of `depth`
    operators inside each other, or that of torch's operations in the type of the tensors where they are worse.
    """
    f = compile(expression, backend=backend)
    names = (*f.variables, *f.parameters)
    count = len(f.variables)
    leaves = [each.detach().requires_grad_() for each in tensors]
    result = f(*leaves[:count], **dict(zip(f.parameters, leaves[count:], strict=True)))
    grad = torch.linspace(-2, 3, result.numel(), dtype=torch.float64).reshape(result.shape).to(result)
    found = [result.detach(), *torch.autograd.grad(result, leaves, grad)]
    exact, scales = _by_torch(f.lowered, names, [each.cpu() for each in tensors], grad.cpu(), torch.float64)
    eager, _ = _by_torch(f.lowered, names, tensors, grad, tensors[0].dtype)
    unit = torch.finfo(result.dtype).eps / 2
    for name, got, true, scale, other, operand in zip(
        ["value", *names], found, exact, scales, eager, [result, *leaves], strict=True
    ):
        assert got.shape == operand.shape and got.dtype == operand.dtype, name
        ordinary = scale.abs() < torch.finfo(got.dtype).max
        smallest = torch.finfo(result.dtype).tiny * max(1.0, operand.numel() and result.numel() / operand.numel())
        allowed = unit * scale + smallest
        ours, theirs = ((each.cpu().double() - true).abs() / allowed for each in (got, other))
        assert ours[ordinary].isfinite().all(), (name, got, true)
        worst = torch.cat([theirs[ordinary & theirs.isfinite()].flatten(), torch.zeros(1)]).max()
        yield name, float((ours[ordinary] / max(float(worst), ROUNDINGS * depth)).max()) if ordinary.any() else 0.0


def _by_torch(
    expression: Expr, names: Sequence[str], tensors: Sequence[Tensor], grad: Tensor, dtype: torch.dtype
) -> tuple[list[Tensor], list[Tensor]]:
    """Value and gradients by torch's operations in `dtype`, and the sizes in proportion to which they may err."""
    wide = [each.detach().to(dtype) for each in tensors]
    shape, scale = grad.shape, grad.to(dtype)
    slopes = [derivative(expression, name) for name in names]
    roots = [expression, *slopes, *(derivative(slope, name) for slope in slopes for name in names)]
    values = [
        torch.as_tensor(each, dtype=dtype).broadcast_to(shape)
        for each in tensor_function(pipeline.program(roots), names)(*wide)
    ]
    first, second = values[1 : 1 + len(names)], values[1 + len(names) :]
    results, scales = [values[0]], [values[0].abs() + sum((t * s).abs() for t, s in zip(wide, first, strict=True))]
    for i, slope in enumerate(first):
        moved = sum((t * s).abs() for t, s in zip(wide, second[i * len(names) :], strict=False))
        results.append((scale * slope).sum_to_size(tensors[i].shape))
        scales.append((scale.abs() * (slope.abs() + moved)).sum_to_size(tensors[i].shape))
    return results, scales

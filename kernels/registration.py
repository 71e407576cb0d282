"""The registered operations and their derivatives of any order.

Two opaque operations serve every activation, which is named by a text (`key.Key`), so that a search over thousands of
functions registers nothing new and an exported model needs only `import actc.kernels` to run:

    actc::forward(Tensor[] inputs, Tensor[] params, str key) -> Tensor
    actc::backward(Tensor grad, Tensor[] inputs, Tensor[] params, str key, int[] needed) -> Tensor[]

With f the function (or derivative) of the key and g a gradient, `forward` is f(t) and `backward` gives,
for each needed argument t_i, g·∂f/∂t_i summed to the shape of t_i. Differentiating `backward` leads to nothing new:

    d⟨c_i, backward_i(g; f)⟩ / dg   = Σ_i c_i · forward(∂f/∂t_i)
    d⟨c_i, backward_i(g; f)⟩ / dt_j = Σ_i backward_j(c_i·g; ∂f/∂t_i)

so derivatives close over the two operations at every order. Around them stand two `autograd.Function`s with
`setup_context`, `jvp` and `vmap`, which torch.func asks for; the same Functions are the operations' autograd kernels,
so that training works after torch.export and fx, where only the operations are left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor

from .aten import AtenKernel
from .auto import AutoKernel
from .cache import Cache
from .cpu import CpuKernel
from .key import Key, derivative_key
from .layout import empty_result, result_dtype
from .table import TableKernel
from .triton_backend import TritonKernel


class Kernel(Protocol):
    """What a backend makes of a key: see `aten.AtenKernel` for shapes and types."""

    def forward(self, inputs: Sequence[Tensor], params: Sequence[Tensor]) -> Tensor: ...

    def backward(
        self, grad: Tensor, inputs: Sequence[Tensor], params: Sequence[Tensor], needed: Sequence[int]
    ) -> list[Tensor]: ...


#: Backends by name.
BACKENDS: dict[str, Callable[[Key], Kernel]] = {
    "aten": AtenKernel,
    "auto": AutoKernel,
    "cpu": CpuKernel,
    "table": TableKernel,
    "triton": TritonKernel,
}


def _kernel(text: str) -> Kernel:
    key = Key.parse(text)
    return BACKENDS[key.backend](key)


_kernels: Cache[str, Kernel] = Cache(_kernel, size=1024)


def _forward(inputs: list[Tensor], params: list[Tensor], key: str) -> Tensor:
    return _kernels[key].forward(inputs, params)


def _backward(grad: Tensor, inputs: list[Tensor], params: list[Tensor], key: str, needed: list[int]) -> list[Tensor]:
    return _kernels[key].backward(grad, inputs, params, needed)


def _forward_fake(inputs: list[Tensor], params: list[Tensor], key: str) -> Tensor:
    return empty_result(inputs)


def _backward_fake(
    grad: Tensor, inputs: list[Tensor], params: list[Tensor], key: str, needed: list[int]
) -> list[Tensor]:
    tensors = [*inputs, *params]
    return [torch.empty_like(tensors[i]) for i in needed]


def forward_mode() -> AbstractContextManager[None]:
    """For the inside of a `jvp`: torch runs it with forward mode off, and an outer jvp would silently find zero."""
    context: AbstractContextManager[None] = torch.autograd.forward_ad._set_fwd_grad_enabled(True)
    return context


def primals(tensors: Iterable[Tensor]) -> list[Tensor]:
    """The tensors that a `jvp` saved, without the tangents of the level that it computes."""
    return [torch.autograd.forward_ad.unpack_dual(each, level=0).primal for each in tensors]


def value(key: str, count: int, *tensors: Tensor) -> Tensor:
    """The value of an activation; `tensors` are `count` inputs and then the params."""
    if not _differentiated(tensors) and _unseen(tensors):
        return _kernels[key].forward(tensors[:count], tensors[count:])
    function = Apply if torch._C._are_functorch_transforms_active() else _EagerApply
    result: Tensor = function.apply(key, count, *tensors)
    return result


def gradients(key: str, count: int, needed: tuple[int, ...], grad: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
    """`grad` times the derivative by each needed tensor, summed to that one's shape; `tensors` as for `value`."""
    if not _differentiated((grad, *tensors)) and _unseen((grad, *tensors)):
        return tuple(_kernels[key].backward(grad, tensors[:count], tensors[count:], needed))
    function = Grad if torch._C._are_functorch_transforms_active() else _EagerGrad
    result: tuple[Tensor, ...] = function.apply(key, count, needed, grad, *tensors)
    return result


def _differentiated(tensors: Iterable[Tensor]) -> bool:
    """Whether autograd, in either mode, has to know of what is computed."""
    if torch.is_grad_enabled():
        for each in tensors:
            if each.requires_grad:
                return True
    return torch.autograd.forward_ad._current_level >= 0


def _unseen(tensors: Iterable[Tensor]) -> bool:
    """Whether nobody is to see the operations on these tensors: no mode, no transform, no type of their own.

    The kernel is then called without torch's dispatcher, which takes as long as all the rest of a call (5 µs).
    """
    if torch._C._len_torch_dispatch_stack() or torch._C._are_functorch_transforms_active():
        return False
    for each in tensors:  # noqa: SIM110 (`all` of a generator takes three times as long)
        if type(each) not in _PLAIN or each.is_meta:
            return False
    return True


_PLAIN = (Tensor, torch.nn.Parameter)


class Apply(torch.autograd.Function):
    """What `value` computes, with all that torch.func asks for."""

    @staticmethod
    def forward(key: str, count: int, *tensors: Tensor) -> Tensor:
        if _unseen(tensors):
            return _kernels[key].forward(tensors[:count], tensors[count:])
        with torch._C._AutoDispatchBelowAutograd():
            return torch.ops.actc.forward.default(tensors[:count], tensors[count:], key)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.key, ctx.count, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors
        needed = tuple(i for i in range(len(tensors)) if ctx.needs_input_grad[i + 2])
        grads = gradients(ctx.key, ctx.count, needed, grad, *tensors)
        return (None, None, *_spread(needed, grads, len(tensors)))

    @staticmethod
    def jvp(ctx: Any, _key: None, _count: None, *tangents: Tensor | None) -> Tensor:
        with forward_mode():
            tensors = primals(ctx.saved_tensors)
            terms = [
                tangent * value(derivative_key(ctx.key, i), ctx.count, *tensors)
                for i, tangent in enumerate(tangents)
                if tangent is not None
            ]
            return _sum(terms).to(result_dtype(tensors[: ctx.count]))

    @staticmethod
    def vmap(info: Any, in_dims: Any, key: str, count: int, *tensors: Tensor) -> tuple[Tensor, int]:
        return value(key, count, *_batched(tensors, in_dims[2:], info.batch_size, count, (0,))), 0


class Grad(torch.autograd.Function):
    """What `gradients` computes, with all that torch.func asks for."""

    @staticmethod
    def forward(key: str, count: int, needed: tuple[int, ...], grad: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        if _unseen((grad, *tensors)):
            return tuple(_kernels[key].backward(grad, tensors[:count], tensors[count:], needed))
        with torch._C._AutoDispatchBelowAutograd():
            return tuple(torch.ops.actc.backward.default(grad, tensors[:count], tensors[count:], key, needed))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.key, ctx.count, ctx.needed, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        grad, *tensors = ctx.saved_tensors
        given = [(i, c) for i, c in zip(ctx.needed, cotangents, strict=True) if c is not None]
        keys = {i: derivative_key(ctx.key, i) for i, _ in given}
        by_grad = None
        if ctx.needs_input_grad[3] and given:
            by_grad = _sum([c * value(keys[i], ctx.count, *tensors) for i, c in given]).to(grad.dtype)
        needed = tuple(j for j in range(len(tensors)) if ctx.needs_input_grad[j + 4])
        by_tensor: tuple[Tensor | None, ...] = (None,) * len(tensors)
        if needed and given:
            terms = [gradients(keys[i], ctx.count, needed, c * grad, *tensors) for i, c in given]
            by_tensor = _spread(needed, [_sum(list(each)) for each in zip(*terms, strict=True)], len(tensors))
        return (None, None, None, by_grad, *by_tensor)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> tuple[Tensor, ...]:
        by_grad, by_tensor = tangents[3], tangents[4:]
        with forward_mode():
            grad, *tensors = primals(ctx.saved_tensors)
            terms = [] if by_grad is None else [gradients(ctx.key, ctx.count, ctx.needed, by_grad, *tensors)]
            terms += [
                gradients(derivative_key(ctx.key, j), ctx.count, ctx.needed, grad * tangent, *tensors)
                for j, tangent in enumerate(by_tensor)
                if tangent is not None
            ]
            return tuple(_sum(list(each)) for each in zip(*terms, strict=True))

    @staticmethod
    def vmap(
        info: Any, in_dims: Any, key: str, count: int, needed: tuple[int, ...], grad: Tensor, *tensors: Tensor
    ) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        dims = in_dims[4:]
        batched = _batched(tensors, dims, info.batch_size, count, (0, *needed))
        grad = _batch_first(grad, in_dims[3], info.batch_size)
        grads = gradients(key, count, needed, grad, *batched)
        return tuple(_reshaped(grads, needed, tensors, dims, info.batch_size)), (0,) * len(needed)


class _EagerApply(Apply):
    """The same without torch.func: Functions with a `setup_context` cost 20 µs more a call (torch 2.13)."""

    setup_context = torch.autograd.Function.setup_context

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Tensor:
        output = Apply.forward(*args)
        Apply.setup_context(ctx, args, output)
        return output


class _EagerGrad(Grad):
    setup_context = torch.autograd.Function.setup_context

    @staticmethod
    def forward(ctx: Any, *args: Any) -> tuple[Tensor, ...]:
        output = Grad.forward(*args)
        Grad.setup_context(ctx, args, output)
        return output


def _forward_autograd(inputs: list[Tensor], params: list[Tensor], key: str) -> Tensor:
    return value(key, len(inputs), *inputs, *params)


def _backward_autograd(
    grad: Tensor, inputs: list[Tensor], params: list[Tensor], key: str, needed: list[int]
) -> list[Tensor]:
    return list(gradients(key, len(inputs), tuple(needed), grad, *inputs, *params))


def _reshaped(
    grads: Sequence[Tensor], needed: Sequence[int], tensors: Sequence[Tensor], dims: Sequence[int | None], size: int
) -> list[Tensor]:
    """Gradients by views that `_batched` made, in the shapes of the tensors with the batch first."""
    return [
        g.reshape(_batch_first(tensors[i], dims[i], size).shape) for g, i in zip(grads, needed, strict=True)
    ]


def _sum(terms: list[Tensor]) -> Tensor:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _spread(needed: Sequence[int], grads: Sequence[Tensor], length: int) -> tuple[Tensor | None, ...]:
    by_position = dict(zip(needed, grads, strict=True))
    return tuple(by_position.get(i) for i in range(length))


def _batch_first(tensor: Tensor, dim: int | None, size: int) -> Tensor:
    """The batch as first dimension, by a view: moved there or, without one, expanded."""
    return tensor.unsqueeze(0).expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)


def _batched(
    tensors: Sequence[Tensor], dims: Sequence[int | None], size: int, count: int, always: Sequence[int]
) -> list[Tensor]:
    """Views that broadcast against each other as the tensors of one example do, batches aligned in front.

    Tensors without a batch stay as they are, except those at the positions in `always`.
    """
    rank = max(t.dim() - (d is not None) for t, d in zip(tensors[:count], dims, strict=False))
    views = []
    for i, (tensor, dim) in enumerate(zip(tensors, dims, strict=True)):
        if dim is not None or i in always:
            tensor = _batch_first(tensor, dim, size)
            tensor = tensor.reshape(size, *(1,) * (rank + 1 - tensor.dim()), *tensor.shape[1:])
        views.append(tensor)
    return views


_library = torch.library.Library("actc", "DEF")
_library.define("forward(Tensor[] inputs, Tensor[] params, str key) -> Tensor")
_library.define("backward(Tensor grad, Tensor[] inputs, Tensor[] params, str key, int[] needed) -> Tensor[]")
_library.impl("forward", _forward, "CompositeExplicitAutograd")
_library.impl("backward", _backward, "CompositeExplicitAutograd")
for _key in ("Autograd", "FuncTorchDynamicLayerFrontMode"):
    _library.impl("forward", _forward_autograd, _key)
    _library.impl("backward", _backward_autograd, _key)
torch.library.register_fake("actc::forward", _forward_fake, lib=_library)
torch.library.register_fake("actc::backward", _backward_fake, lib=_library)

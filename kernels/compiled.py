"""`actc.compile`: an expression as a function of tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from actc.arguments import flag, refused
from actc.errors import ArgumentError
from actc.expr import Expr
from actc.operators import suggestion
from actc.parsing import parse
from actc.pipeline import lowered

from .arguments import FLOATING
from .auto import choice
from .composed import Composed, exporting
from .errors import TensorShapeError, TensorTypeError, UnknownBackendError
from .key import Key
from .layout import result_shape
from .registration import BACKENDS, value


def compile(
    activation: Any, *, safe: bool = False, clamp: float | None = None, backend: str = "auto", opaque: bool = False
) -> CompiledActivation:
    """The activation as a function of tensors, differentiable to any order.

    `activation` is a text, an `Expr`, an item of `actc.library`, or what this function returned. With `safe`, finite
    inputs give finite outputs and finite derivatives; with `clamp`, outputs are limited to [-clamp, clamp]. `backend`
    is "auto", "aten", "cpu", "table" (for one 16-bit input) or "triton". torch.compile is given composed torch
    operations, so that it can fuse them with their neighbours; with `opaque`, one operation that runs on the backend,
    as without torch.compile: not fused, but with the same bits.

    Raises `ParseError` for a text that is no expression, `UnknownBackendError` for an unknown backend, and
    `ArgumentError` for the rest that cannot be.

    >>> import torch
    >>> f = compile("x * sigmoid(beta * x)")
    >>> f(torch.tensor([0.0, 1.0]), beta=0.0)
    tensor([0.0000, 0.5000])
    """
    if isinstance(activation, CompiledActivation):
        if (safe, clamp, backend, opaque) != (False, None, "auto", False):
            raise ArgumentError(
                f"{activation!r} is compiled already: give safe=, clamp=, backend= and opaque= there, or compile its "
                ".expr"
            )
        return activation
    expr = parse(activation) if isinstance(activation, str) else getattr(activation, "expr", activation)
    if not isinstance(expr, Expr):
        raise ArgumentError(
            "an activation is a text such as 'x*sigmoid(x)', an Expr or an item of actc.library, "
            f"not {type(activation).__name__}"
        )
    initial = getattr(activation, "initial", {})
    return CompiledActivation(expr, safe=safe, clamp=clamp, backend=backend, opaque=opaque, initial=initial)


class CompiledActivation:
    """A function of tensors, made by `actc.compile`; immutable and picklable.

    `f(x)` or `f(x, y)` takes a tensor per variable, in the order of `variables`, broadcast against each other: float64,
    float32, bfloat16 or float16, any shape and strides, any device. Parameters are keywords, `f(x, beta=b)`: numbers,
    or tensors that broadcast to the shape of the result. Values are computed in float64 for float64 inputs and in
    float32 for others, by functions that are exact to a few units in the last place, and rounded once to the type of
    the inputs; `backend="aten"`, which is also what devices get that are neither CPU nor GPU, computes in float64 where
    there is one. Derivatives of any order, torch.func, torch.compile, torch.export and
    ONNX export work, and subclasses of Tensor, with these limits:

    - torch.compile (unless `opaque`), ONNX and subclasses that know torch's own operations alone (DTensor, jagged
      nested tensors) compute in float32, or in float64 for float64 inputs and for constants beyond float32's range, so
      that the last bits may differ; the subclasses have first derivatives, and torch refuses double backward through
      torch.compile.
    - An ONNX model is exported from the module, not from an `ExportedProgram`, which holds operations of actc: a
      process that loads one with torch.export.load first imports actc.kernels. What ONNX lacks is accurate to float32's
      precision, also for float64.

    Raises `TensorTypeError` for tensors of other types and layouts, `TensorShapeError` for a parameter of a wrong shape
    or a tensor on another device, `ArgumentError` for missing or unknown arguments.
    """

    __slots__ = (
        "_composed",
        "_key",
        "_options",
        "expr",
        "initial",
        "lowered",
        "parameters",
        "variables",
    )

    def __init__(
        self,
        expr: Expr,
        *,
        safe: bool,
        clamp: float | None,
        backend: str,
        opaque: bool = False,
        initial: Mapping[str, float] = {},
    ) -> None:
        self.expr = expr
        #: The expression with safety written out; what is computed.
        self.lowered = lowered(expr, safe=safe, clamp=clamp)
        #: Names of the inputs, in the order of a call's positional arguments; never empty.
        self.variables: tuple[str, ...] = expr.variables or ("x",)
        #: Names of the keyword arguments.
        self.parameters: tuple[str, ...] = expr.parameters
        #: Values at which the library starts parameters; the others start at 1.
        self.initial: Mapping[str, float] = {name: float(initial[name]) for name in self.parameters if name in initial}
        self._options: Mapping[str, Any] = {
            "safe": safe,
            "clamp": clamp,
            "backend": _known(backend),
            "opaque": flag("opaque", opaque),
        }
        order = (0,) * len(self.variables + self.parameters)
        key = Key(str(self.lowered), self.variables, self.parameters, order, backend)
        self._key = str(key)
        self._composed = Composed(key)

    def __call__(self, /, *inputs: Tensor, **parameters: Tensor | float) -> Tensor:
        if len(inputs) != len(self.variables) or parameters.keys() != set(self.parameters):
            raise ArgumentError(self._wrong_call(len(inputs), parameters))
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            return self._traced(inputs, parameters)
        params = [_as_tensor(parameters[name]) for name in self.parameters]
        if any(isinstance(each, torch.fx.Proxy) for each in (*inputs, *params)):
            return torch.ops.actc.forward.default(list(inputs), params, self._key)
        self._check(inputs, params)
        try:
            return value(self._key, len(inputs), *inputs, *params)
        except NotImplementedError:
            if all(type(each) in (Tensor, torch.nn.Parameter) for each in (*inputs, *params)):
                raise
            # A subclass that knows torch's own operations alone.
            return self._composed.forward(*inputs, *params)

    @property
    def backend(self) -> str:
        """The backend in use on this machine; `reason` says why."""
        return self._choice[0]

    @property
    def reason(self) -> str:
        return self._choice[1]

    @property
    def _choice(self) -> tuple[str, str]:
        backend = self._options["backend"]
        return choice() if backend == "auto" else (backend, "asked for")

    def source(self, form: str = "aten") -> str:
        """Python source of this activation.

        "aten": value and derivatives over torch's operations. "torch": a file of its own that needs only torch, with an
        `nn.Module` and a self-test. "triton": one that needs only torch and triton, with kernels for GPUs.
        """
        from .emission import FORMS

        if form not in FORMS:
            raise UnknownBackendError(f"no source of the form {form!r}: known are {', '.join(FORMS)}")
        return FORMS[form](self)

    def __repr__(self) -> str:
        options = "".join(f", {k}={v!r}" for k, v in self._options.items() if v not in (False, None, "auto"))
        return f"actc.compile({str(self.expr)!r}{options})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (str(self.expr), {**self._options, "initial": self.initial})

    def __copy__(self) -> CompiledActivation:
        return self

    def __deepcopy__(self, memo: Any) -> CompiledActivation:
        return self

    def _traced(self, inputs: tuple[Tensor, ...], parameters: Mapping[str, Tensor | float]) -> Tensor:
        params = []
        for name in self.parameters:
            value = parameters[name]
            if not isinstance(value, Tensor):
                value = torch.full((), value, dtype=torch.float64, device=inputs[0].device)
            params.append(value)
        self._check(inputs, params)
        if torch.onnx.is_in_onnx_export():
            return self._composed.in_onnx(*inputs, *params)
        if torch.compiler.is_compiling() and not (exporting() or self._options["opaque"]):
            return self._composed.forward(*inputs, *params)
        return torch.ops.actc.forward.default(inputs, params, self._key)

    def _check(self, inputs: Sequence[Any], params: Sequence[Any]) -> None:
        device = getattr(inputs[0], "device", None)
        for name, tensor in zip(self.variables + self.parameters, (*inputs, *params), strict=True):
            if (
                not isinstance(tensor, Tensor)
                or tensor.dtype not in FLOATING
                or tensor.layout is not (torch.jagged if tensor.is_nested else torch.strided)
            ):
                raise TensorTypeError(_unfit(name, tensor))
            if tensor.device != device and (tensor.dim() > 0 or tensor.device.type != "cpu"):
                raise TensorShapeError(
                    f"{name} is on {tensor.device} and {self.variables[0]} on {device}: "
                    f"move one, for example {name}.to({str(device)!r})"
                )
        if len(inputs) > 1 or any(each.dim() > 0 for each in params):
            shape = self._shape(inputs)
            for name, tensor in zip(self.parameters, params, strict=True):
                if not _broadcasts(tensor.shape, shape):
                    raise TensorShapeError(
                        f"{name} has shape {tuple(tensor.shape)}, which does not broadcast to the result's shape "
                        f"{tuple(shape)}: give it one element, or reshape it so that its dimensions, counted from the "
                        "last, are 1 or the result's"
                    )

    def _shape(self, inputs: Sequence[Tensor]) -> torch.Size:
        try:
            return result_shape(inputs)
        except RuntimeError as error:
            shapes = ", ".join(f"{v}: {tuple(each.shape)}" for v, each in zip(self.variables, inputs, strict=True))
            raise TensorShapeError(
                f"the inputs of {self.expr} do not broadcast against each other ({shapes}): reshape them so that "
                "dimensions, counted from the last, are equal or 1"
            ) from error

    def _wrong_call(self, given: int, parameters: Mapping[str, Any]) -> str:
        call = f"f({', '.join([*self.variables, *(f'{p}=...' for p in self.parameters)])})"
        if given != len(self.variables):
            return f"{self.expr} takes {len(self.variables)} tensor(s), got {given}: call it as {call}"
        missing = [p for p in self.parameters if p not in parameters]
        unknown = [p for p in parameters if p not in self.parameters]
        said = [f"{p} has no value" for p in missing] + [f"there is no parameter {p!r}" for p in unknown]
        return f"{self.expr}: {'; '.join(said)}: call it as {call}"


def _known(backend: str) -> str:
    if not isinstance(backend, str):
        raise refused("backend", backend, "write its name, or \"auto\"")
    if backend not in BACKENDS:
        known = ["auto", *sorted(BACKENDS.keys() - {"auto"})]
        advice = suggestion(backend, known) or f": known are {', '.join(known)}"
        raise UnknownBackendError(f"unknown backend {backend!r}{advice}")
    return backend


def _unfit(name: str, value: Any) -> str:
    """What is wrong with a value that is no dense tensor of real floating-point numbers, and the way out."""
    if not isinstance(value, Tensor):
        return f"{name} must be a tensor, not {type(value).__name__}: wrap it in torch.tensor(...)"
    if value.is_nested:
        return f"{name} is a nested tensor that is not jagged: make it with layout=torch.jagged, or use {name}.unbind()"
    if value.layout is not torch.strided:
        layout = str(value.layout).removeprefix("torch.").strip("_")
        return f"{name} is a tensor of layout {layout}; activations take dense ones: give {name}.to_dense()"
    if value.is_quantized:
        remedy = f"give {name}.dequantize()"
    elif value.is_complex():
        remedy = f"give {name}.real and {name}.imag apart"
    else:
        remedy = f"convert it first, for example {name}.float()"
    return f"{name} is a tensor of {value.dtype}; activations take float64, float32, bfloat16 and float16: {remedy}"


def _as_tensor(value: Tensor | float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64) if isinstance(value, (int, float)) else value


def _broadcasts(shape: torch.Size, target: torch.Size) -> bool:
    missing = len(target) - len(shape)
    # `in` would not see that a symbolic size is equal.
    return missing >= 0 and all(a == 1 or a == b for a, b in zip(shape, target[missing:], strict=True))


def _rebuild(text: str, options: dict[str, Any]) -> CompiledActivation:
    # Pickles name this function and hold these two arguments: both stay as they are.
    return CompiledActivation(parse(text), **options)

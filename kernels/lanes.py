"""What Triton's language means on a CPU: LLVM's instructions over a few lanes at a time.

The device functions (:mod:`.device`) and the lines of a kernel (:mod:`.triton_source`) are Python over ``tl``. Triton
compiles them for GPUs; here they run as they are, once, on values that write down what is done to them. So CPUs and
GPUs compute with the same coefficients, and Triton is not needed.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any


@dataclass(frozen=True)
class Type:
    """A type of numbers: ``kind`` is "f" for floating point, "i" and "u" for integers with and without sign, "b" for
    truths; ``name`` is LLVM's."""

    kind: str
    bits: int
    name: str


FLOAT64, FLOAT32 = Type("f", 64, "double"), Type("f", 32, "float")
FLOAT16, BFLOAT16 = Type("f", 16, "half"), Type("f", 16, "bfloat")
INT64, INT32 = Type("i", 64, "i64"), Type("i", 32, "i32")
UINT64, UINT32, UINT16 = Type("u", 64, "i64"), Type("u", 32, "i32"), Type("u", 16, "i16")
TRUTH = Type("b", 1, "i1")

_ARITHMETIC = {"f": {"+": "fadd", "-": "fsub", "*": "fmul", "/": "fdiv"}}
_ARITHMETIC |= {k: {"+": "add", "-": "sub", "*": "mul", "<<": "shl"} for k in "iu"}
_ARITHMETIC["i"][">>"], _ARITHMETIC["u"][">>"] = "ashr", "lshr"
for _kind in "iub":
    _ARITHMETIC.setdefault(_kind, {}).update({"&": "and", "|": "or", "^": "xor"})

_COMPARED = {
    "f": {"<": "olt", "<=": "ole", ">": "ogt", ">=": "oge", "==": "oeq", "!=": "une"},
    "i": {"<": "slt", "<=": "sle", ">": "sgt", ">=": "sge", "==": "eq", "!=": "ne"},
    "u": {"<": "ult", "<=": "ule", ">": "ugt", ">=": "uge", "==": "eq", "!=": "ne"},
    "b": {"==": "eq", "!=": "ne"},
}


class Code:
    """LLVM's instructions for ``lanes`` elements at a time, as they are recorded; equal ones are one.

    ``scales``: whether the processor has an instruction for y·2^n.
    """

    def __init__(self, lanes: int, scales: bool) -> None:
        self.lanes, self.scales = lanes, scales
        #: What is done for all elements alike, once, and what is done for each.
        self.before: list[str] = []
        self.lines: list[str] = []
        self.intrinsics: set[str] = set()
        self._known: dict[str, str] = {}

    def named(self, instruction: str, wide: bool) -> str:
        """The name of what an instruction without side effects gives, in every lane another value if ``wide``."""
        if instruction not in self._known:
            name = f"%v{len(self._known)}"
            (self.lines if wide else self.before).append(f"{name} = {instruction}")
            self._known[instruction] = name
        return self._known[instruction]

    def type(self, dtype: Type, wide: bool) -> str:
        return f"<{self.lanes} x {dtype.name}>" if wide else dtype.name

    def intrinsic(self, name: str, *args: Value) -> Value:
        """A function of LLVM's from numbers to one of their type."""
        args = tuple(_alike(self, args))
        dtype, wide = args[0].dtype, args[0].wide
        kind = f"v{self.lanes}" if wide else ""
        suffix = f"{kind}{'f' if dtype.kind == 'f' else 'i'}{dtype.bits}"
        shown = self.type(dtype, wide)
        self.intrinsics.add(f"declare {shown} @llvm.{name}.{suffix}({', '.join([shown] * len(args))})")
        given = ", ".join(f"{shown} {a.text}" for a in args)
        return Value(self, dtype, self.named(f"call {shown} @llvm.{name}.{suffix}({given})", wide), wide)


_Binary = Callable[["Value", Any], "Value"]


def _arithmetic(symbol: str) -> tuple[_Binary, _Binary]:
    """What ``a + b`` and, for a number in front, ``b + a`` mean."""
    return lambda a, b: a._with(symbol, b), lambda a, b: a._with(symbol, b, swapped=True)


def _relation(symbol: str) -> _Binary:
    return lambda a, b: a._compared(symbol, b)


class Value:
    """A number of a type, or ``wide``, one in each lane: the name of an instruction's result, or a constant."""

    __slots__ = ("code", "constant", "dtype", "text", "wide")
    __hash__ = object.__hash__

    def __init__(self, code: Code, dtype: Type, text: str, wide: bool, constant: bool = False) -> None:
        self.code, self.dtype, self.text, self.wide, self.constant = code, dtype, text, wide, constant

    @property
    def shape(self) -> tuple[()]:
        return ()

    @property
    def shown(self) -> str:
        return self.code.type(self.dtype, self.wide)

    def widened(self) -> Value:
        """The same in every lane."""
        if self.wide:
            return self
        shown = self.code.type(self.dtype, True)
        if self.constant:
            return Value(self.code, self.dtype, f"splat ({self.dtype.name} {self.text})", True, True)
        first = self.code.named(f"insertelement {shown} poison, {self.dtype.name} {self.text}, i64 0", False)
        text = self.code.named(
            f"shufflevector {shown} {first}, {shown} poison, <{self.code.lanes} x i32> zeroinitializer", False
        )
        return Value(self.code, self.dtype, text, True)

    def converted(self, to: Type, instruction: str) -> Value:
        text = self.code.named(f"{instruction} {self.shown} {self.text} to {self.code.type(to, self.wide)}", self.wide)
        return Value(self.code, to, text, self.wide)

    def to(self, dtype: Type, bitcast: bool = False) -> Value:
        old, new = self.dtype, dtype
        if bitcast:
            return self.converted(new, "bitcast") if old.name != new.name else self._as(new)
        if old.name == new.name:
            return self._as(new)
        if new.kind == "f":
            if old.kind == "f":
                return self.converted(new, "fpext" if new.bits > old.bits else "fptrunc")
            return self.converted(new, "sitofp" if old.kind == "i" else "uitofp")
        if old.kind == "f":
            return self.converted(new, "fptosi" if new.kind == "i" else "fptoui")
        return self.converted(new, "trunc" if new.bits < old.bits else "sext" if old.kind == "i" else "zext")

    def _as(self, dtype: Type) -> Value:
        return Value(self.code, dtype, self.text, self.wide, self.constant)

    def _with(self, operation: str, other: Any, swapped: bool = False) -> Value:
        a, b = _alike(self.code, (other, self) if swapped else (self, other))
        instruction = _ARITHMETIC[a.dtype.kind][operation]
        return Value(self.code, a.dtype, self.code.named(f"{instruction} {a.shown} {a.text}, {b.text}", a.wide), a.wide)

    def _compared(self, relation: str, other: Any) -> Value:
        a, b = _alike(self.code, (self, other))
        kind = a.dtype.kind
        instruction = f"{'f' if kind == 'f' else 'i'}cmp {_COMPARED[kind][relation]} {a.shown} {a.text}, {b.text}"
        return Value(self.code, TRUTH, self.code.named(instruction, a.wide), a.wide)

    def __neg__(self) -> Value:
        if self.dtype.kind == "f":
            return Value(self.code, self.dtype, self.code.named(f"fneg {self.shown} {self.text}", self.wide), self.wide)
        return self._with("-", 0, swapped=True)

    def __invert__(self) -> Value:
        return self._with("^", -1)

    __add__, __radd__ = _arithmetic("+")
    __sub__, __rsub__ = _arithmetic("-")
    __mul__, __rmul__ = _arithmetic("*")
    __truediv__, __rtruediv__ = _arithmetic("/")
    __and__, __rand__ = _arithmetic("&")
    __or__, __ror__ = _arithmetic("|")
    __xor__, __rxor__ = _arithmetic("^")
    __lshift__, __rlshift__ = _arithmetic("<<")
    __rshift__, __rrshift__ = _arithmetic(">>")
    __lt__, __le__, __gt__, __ge__ = map(_relation, ("<", "<=", ">", ">="))
    __eq__, __ne__ = map(_relation, ("==", "!="))  # type: ignore[assignment]


def constant(code: Code, value: Any, dtype: Type) -> Value:
    """A number in a type."""
    if dtype.kind == "f":
        wide = struct.pack(">d", _float32(value) if dtype is FLOAT32 else float(value)).hex()
        return Value(code, dtype, f"0x{wide.upper()}", False, True)
    if dtype.kind == "b":
        return Value(code, dtype, "true" if value else "false", False, True)
    value &= (1 << dtype.bits) - 1
    return Value(code, dtype, str(value - (1 << dtype.bits) if value >> (dtype.bits - 1) else value), False, True)


def _float32(value: float) -> float:
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def _alike(code: Code, given: Any) -> list[Value]:
    """Numbers and values in one type, all wide if one is."""
    values = [g for g in given if isinstance(g, Value)]
    if values:
        dtype = max((v.dtype for v in values), key=lambda d: (d.kind == "f", d.bits))
        if any(isinstance(g, float) for g in given) and dtype.kind != "f":
            dtype = FLOAT32
    else:
        dtype = FLOAT32
    typed = [g.to(dtype) if isinstance(g, Value) else constant(code, g, dtype) for g in given]
    return [v.widened() for v in typed] if any(v.wide for v in typed) else typed


# --- tl -----------------------------------------------------------------------------------------------------------


class Language:
    """What stands for ``triton.language``: the functions that device functions and kernels call."""

    float64, float32 = FLOAT64, FLOAT32
    int64, int32, uint64, uint32 = INT64, INT32, UINT64, UINT32
    PropagateNan = SimpleNamespace(ALL=True)
    core = SimpleNamespace(builtin=lambda f: f)
    static_range = range

    def __init__(self, code: Code) -> None:
        self.code = code

    def constexpr(self, value: Any) -> Any:
        return value

    def full(self, shape: Any, value: Any, dtype: Type) -> Value:
        return constant(self.code, value, dtype)

    def typed(self, x: Any, dtype: Type) -> Value:
        """A number or a value in a type."""
        return x.to(dtype) if isinstance(x, Value) else constant(self.code, x, dtype)

    def broadcast(self, x: Value, y: Value) -> tuple[Value, Value]:
        return x, y

    def where(self, condition: Value, x: Any, y: Any) -> Value:
        x, y = _alike(self.code, (x, y))
        if condition.wide:
            x, y = x.widened(), y.widened()
        elif x.wide:
            condition = condition.widened()
        text = f"select {condition.shown} {condition.text}, {x.shown} {x.text}, {x.shown} {y.text}"
        return Value(self.code, x.dtype, self.code.named(text, x.wide), x.wide)

    def fma(self, x: Any, y: Any, z: Any) -> Value:
        return self.code.intrinsic("fma", x, y, z)

    def abs(self, x: Value) -> Value:
        return self.code.intrinsic("fabs", x)

    def floor(self, x: Value) -> Value:
        return self.code.intrinsic("floor", x)

    def sqrt(self, x: Value) -> Value:
        return self.code.intrinsic("sqrt", x)

    sqrt_rn = sqrt

    def div_rn(self, x: Any, y: Any) -> Value:
        a, b = _alike(self.code, (x, y))
        return a / b

    def maximum(self, x: Any, y: Any, propagate_nan: bool = False) -> Value:
        return self._chosen(">", x, y, propagate_nan)

    def minimum(self, x: Any, y: Any, propagate_nan: bool = False) -> Value:
        return self._chosen("<", x, y, propagate_nan)

    def _chosen(self, relation: str, x: Any, y: Any, propagate_nan: bool) -> Value:
        if not isinstance(x, Value) or x.constant:
            x, y = y, x
        x, y = _alike(self.code, (x, y))
        if x.dtype.kind != "f":
            return self.where(x._compared(relation, y), x, y)
        if not propagate_nan:
            chosen = self.where(x._compared(relation, y), x, y)
            return chosen if y.constant else self.where(y != y, x, chosen)
        chosen = self.where(y._compared(relation, x), y, x)
        return chosen if y.constant else self.where(y != y, y, chosen)

    def umulhi(self, x: Value, y: Value) -> Value:
        x, y = _alike(self.code, (x, y))
        low = 0xFFFFFFFF
        a, b, c, d = x & low, x >> 32, y & low, y >> 32
        ad, bc, ac = a * d, b * c, a * c
        middle = (ac >> 32) + (ad & low) + (bc & low)
        return b * d + (ad >> 32) + (bc >> 32) + (middle >> 32)

    def scaled(self, y: Any, n: Value) -> Value:
        """y·2^n in float32, rounded once, for integers n."""
        if self.code.scales and n.wide:
            y = self.typed(y, FLOAT32).widened()
            function = f"{y.shown} @llvm.ldexp.v{self.code.lanes}f32.v{self.code.lanes}i32"
            self.code.intrinsics.add(f"declare {function}({y.shown}, {n.shown})")
            text = self.code.named(f"call {function}({y.shown} {y.text}, {n.shown} {n.text})", True)
            return Value(self.code, FLOAT32, text, True)
        half = n >> 1
        low, high = (((k << 23) + 0x3F800000).to(FLOAT32, bitcast=True) for k in (half, n - half))
        return y * low * high


def device_functions(language: Language, coefficients: Any, **instead: Callable[..., Value]) -> SimpleNamespace:
    """The functions of :mod:`.device` over a language, with coefficients from a module or what looks like it, and with
    some functions ``instead`` of its own."""
    namespace: dict[str, Any] = {"__name__": "actc.kernels.device", "tl": language, "triton": _TRITON}
    namespace["coefficients"] = coefficients
    exec(_device_code(), namespace)
    namespace |= instead
    return SimpleNamespace(**namespace)


_TRITON = SimpleNamespace(
    jit=lambda f: f,
    constexpr_function=lambda f: f,
    # Of every instruction of NVIDIA's there is a version without.
    knobs=SimpleNamespace(runtime=SimpleNamespace(interpret=True)),
)


@functools.cache
def _device_code() -> Any:
    spec = importlib.util.find_spec("actc.kernels.device")
    assert spec is not None and spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    tree.body = [node for node in tree.body if not isinstance(node, (ast.Import, ast.ImportFrom))]
    return compile(tree, spec.origin, "exec")

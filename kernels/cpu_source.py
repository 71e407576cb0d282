"""Programs as LLVM's text: loops over memory around the lines of a kernel.

A call works on rows of elements that lie one after the other. Operands of the result's shape are read along with it,
numbers once a row. A vector along channels is read once a row where a row is one channel (``inner``), and along the row
where it is all of them. Gradients by numbers and channels are summed in float64. The few elements that are left at the
end of a row are worked on in a copy, with others beside them that do not count.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any

from .cpu_functions import CpuFunctions, names
from .lanes import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    INT32,
    TRUTH,
    UINT16,
    UINT32,
    Code,
    Language,
    Type,
    Value,
)
from .placement import CHANNEL, ELEMENT, NUMBER
from .straight_line import LARGEST, Body, Specification

TYPES = {"float64": FLOAT64, "float32": FLOAT32, "float16": FLOAT16, "bfloat16": BFLOAT16}
#: What a kernel is given before its pointers.
_COUNTS = ("first", "last", "run", "channels")


@dataclass(frozen=True)
class CpuSource:
    """A kernel in LLVM's text.

    ``kernel`` is given a pointer to 64-bit numbers: first, last, run, channels, and pointers. It works on the rows from
    first to last, each of ``run`` elements; after ``channels`` rows the channels begin again. The pointers are those of
    the results that are ``stored``, by position among those needed, of the float64 sums of those ``summed``, to which
    it adds, of the gradient, if it computes any, and of the operands that are ``read``.
    """

    text: str
    stored: tuple[int, ...]
    summed: tuple[int, ...]
    read: tuple[int, ...]


def cpu_source(specification: Specification, lanes: int, scales: bool) -> CpuSource:
    """The kernel for a specification, by so many lanes at a time; ``scales`` as for `Code`."""
    return _Writer(specification, lanes, scales).source()


@dataclass(frozen=True)
class _Stream:
    """Memory that is walked along a row, from ``start`` on."""

    name: str
    type: Type
    start: str
    read: bool
    written: bool

    @property
    def memory(self) -> str:
        return memory(self.type)


class _Writer(Body):
    def __init__(self, specification: Specification, lanes: int, scales: bool) -> None:
        self._code = Code(lanes, scales)
        self._device = CpuFunctions(self._code)
        super().__init__(specification, names(), "device.", fast=False)
        self._lanes = lanes
        self._compute = TYPES[self.compute]
        self._streams: list[_Stream] = []
        #: Lines at the start of a row, and for each step along it.
        self._row, self._step = self._code.before, self._code.lines
        #: By position, sums in registers: over all rows, and over one row.
        self._over_all: dict[int, str] = {}
        self._over_row: dict[int, str] = {}

    def source(self) -> CpuSource:
        pointers = [f"out{k}" for k in self.stored] + [f"sums{k}" for k in self.summed]
        pointers += ["grad"] if self.spec.needed is not None else []
        pointers += [f"in{i}" for i in self.read]
        grad = None
        if self.spec.needed is not None:
            grad = self._loaded("grad", TYPES[self.spec.dtype])
        scope: dict[str, Any] = {"tl": self._device.tl, "device": self._device}
        for i in self.read:
            scope[self.names[i]] = self._operand(i)
        exec(_compiled("\n".join(self.lines)), scope)
        results = [self._everywhere(eval(text, scope)) for text in self.values]
        if grad is not None:
            results = [grad * each for each in results]
        for k in self.stored:
            self._store(k, results[k])
        for k in self.summed:
            self._add(k, results[k])
        return CpuSource(self._text(pointers), tuple(self.stored), tuple(self.summed), tuple(self.read))

    # --- memory ---------------------------------------------------------------------------------------------------

    def _place(self, k: int) -> str:
        return self.spec.operands[(self.spec.needed or ())[k]].place

    def _operand(self, i: int) -> Value:
        operand = self.spec.operands[i]
        dtype = TYPES[operand.dtype]
        if operand.place == ELEMENT:
            return self._loaded(f"in{i}", dtype)
        if operand.place == CHANNEL and not self.spec.inner:
            return self._loaded(f"in{i}", dtype, f"%in{i}")
        at = f"%in{i}"
        if operand.place == CHANNEL:
            self._row.append(f"%in{i}.at = getelementptr {memory(dtype)}, ptr %in{i}, i64 %channel")
            at = f"%in{i}.at"
        self._row.append(f"%in{i}.number = load {memory(dtype)}, ptr {at}")
        return self._read(f"%in{i}.number", dtype, False)

    def _loaded(self, name: str, dtype: Type, start: str = "") -> Value:
        """The next elements of a stream."""
        self._stream(name, dtype, start, True, False)
        kind = f"<{self._lanes} x {memory(dtype)}>"
        self._step.append(f"%{name}.elements = load {kind}, ptr %{name}.at, align {dtype.bits // 8}")
        return self._read(f"%{name}.elements", dtype, True)

    def _stream(self, name: str, dtype: Type, start: str, read: bool, written: bool) -> None:
        if not start:
            self._row.append(f"%{name}.start = getelementptr {memory(dtype)}, ptr %{name}, i64 %base")
            start = f"%{name}.start"
        self._streams.append(_Stream(name, dtype, start, read, written))

    def _read(self, text: str, dtype: Type, wide: bool) -> Value:
        return loaded(self._code, text, dtype, wide).to(self._compute)

    def _everywhere(self, result: Any) -> Value:
        return self._device.tl.typed(result, self._compute).widened()

    def _store(self, k: int, value: Value) -> None:
        name = self.spec.dtype if self.spec.needed is None else self.spec.operands[self.spec.needed[k]].dtype
        dtype = TYPES[name]
        if self.saturate[k]:
            value = self._device.limited(value, -LARGEST[name], LARGEST[name])
        value = stored(self._device.tl, value, dtype)
        self._stream(f"out{k}", dtype, "", False, True)
        self._step.append(f"store {value.shown} {value.text}, ptr %out{k}.at, align {dtype.bits // 8}")

    def _add(self, k: int, value: Value) -> None:
        """Adds to the sum by position k."""
        lanes, tl = self._lanes, self._device.tl
        if self._place(k) == CHANNEL and not self.spec.inner:
            self._stream(f"sums{k}", FLOAT64, f"%sums{k}", True, True)
            self._step.append(f"%sums{k}.before = load <{lanes} x double>, ptr %sums{k}.at, align 8")
            total = Value(self._code, FLOAT64, f"%sums{k}.before", True) + value.to(FLOAT64)
            self._step.append(f"store <{lanes} x double> {total.text}, ptr %sums{k}.at, align 8")
            return
        counted = tl.where(Value(self._code, TRUTH, "%counts", True), value, 0.0)
        total = Value(self._code, FLOAT64, f"%sum{k}", True) + counted.to(FLOAT64)
        (self._over_all if self._place(k) == NUMBER else self._over_row)[k] = total.text

    # --- the whole ------------------------------------------------------------------------------------------------

    def _text(self, pointers: Sequence[str]) -> str:
        lanes, streams = self._lanes, self._streams
        sums = {**self._over_all, **self._over_row}
        many = f"<{lanes} x double>"
        begin = {k: f"%total{k}" if k in self._over_all else "zeroinitializer" for k in sums}
        arguments = [*(("i64", name) for name in _COUNTS), *(("ptr", name) for name in pointers)]
        blocks: dict[str, list[str]] = {
            "entry": [
                *(f"%{name}.given = getelementptr i64, ptr %given, i64 {k}" for k, (_, name) in enumerate(arguments)),
                *(f"%{name} = load {kind}, ptr %{name}.given" for kind, name in arguments),
                *(f"%{s.name}.copy = alloca <{lanes} x {s.memory}>, align 64" for s in streams),
                *(f"%{s.name}.place = alloca ptr" for s in streams if s.written),
                "br label %rows",
            ],
            "rows": [
                "%row = phi i64 [%first, %entry], [%next.row, %end]",
                *(f"%total{k} = phi {many} [zeroinitializer, %entry], [{t}, %end]" for k, t in self._over_all.items()),
                "%base = mul i64 %row, %run",
                *(["%channel = urem i64 %row, %channels"] if self.spec.inner else []),
                *self._row,
                f"%short = icmp ult i64 %run, {lanes}",
                "br i1 %short, label %few, label %step",
            ],
            "step": [
                "%count = phi i64 [%run, %rows], [%rest, %step], [%left, %few]",
                *(
                    f"%{s.name}.at = phi ptr [{s.start}, %rows], [%{s.name}.next, %step], [%{s.name}.copy, %few]"
                    for s in streams
                ),
                *(
                    f"%sum{k} = phi {many} [{begin[k]}, %rows], [{t}, %step], [%sum{k}.left, %few]"
                    for k, t in sums.items()
                ),
                *(self._counted() if sums else []),
                *self._step,
                f"%rest = sub i64 %count, {lanes}",
                *(f"%{s.name}.next = getelementptr {s.memory}, ptr %{s.name}.at, i64 {lanes}" for s in streams),
                f"%enough = icmp sge i64 %rest, {lanes}",
                "br i1 %enough, label %step, label %last.of.many",
            ],
            "last.of.many": ["%some = icmp sgt i64 %rest, 0", "br i1 %some, label %few, label %last.of.all"],
            "few": [
                "%left = phi i64 [%run, %rows], [%rest, %last.of.many]",
                *(f"%{s.name}.left = phi ptr [{s.start}, %rows], [%{s.name}.next, %last.of.many]" for s in streams),
                *(f"%sum{k}.left = phi {many} [{begin[k]}, %rows], [{t}, %last.of.many]" for k, t in sums.items()),
                *(f"store ptr %{s.name}.left, ptr %{s.name}.place" for s in streams if s.written),
                *(line for s in streams if s.read for line in _copied(s, f"{s.name}.copy", f"{s.name}.left", "left")),
                "br label %step",
            ],
            "last.of.all": [
                "%copied = icmp slt i64 %rest, 0",
                "br i1 %copied, label %back, label %end",
            ],
            "back": [
                *(f"%{s.name}.target = load ptr, ptr %{s.name}.place" for s in streams if s.written),
                *(
                    line
                    for s in streams
                    if s.written
                    for line in _copied(s, f"{s.name}.target", f"{s.name}.copy", "count")
                ),
                "br label %end",
            ],
            "end": [
                *(line for k, total in self._over_row.items() for line in self._summed(k, total, "%channel")),
                "%next.row = add i64 %row, 1",
                "%more = icmp ult i64 %next.row, %last",
                "br i1 %more, label %rows, label %done",
            ],
            "done": [
                *(line for k, total in self._over_all.items() for line in self._summed(k, total, "0")),
                "ret void",
            ],
        }
        body = "".join(f"{name}:\n" + "".join(f"  {line}\n" for line in lines) for name, lines in blocks.items())
        declared = "\n".join(
            [
                *sorted(self._code.intrinsics),
                "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)",
                "declare i64 @llvm.umin.i64(i64, i64)",
                f"declare double @llvm.vector.reduce.fadd.v{lanes}f64(double, {many})",
            ]
        )
        # Vectors of 512 bits are split on some processors unless asked for.
        width = 32 * lanes
        return (
            f"{declared}\n\ndefine void @kernel(ptr %given) #0 {{\n{body}}}\n\n"
            f'attributes #0 = {{ nounwind "prefer-vector-width"="{width}" "min-legal-vector-width"="{width}" }}\n'
        )

    def _counted(self) -> list[str]:
        """Which lanes hold elements that count."""
        lanes = self._lanes
        places = ", ".join(f"i32 {i}" for i in range(lanes))
        return [
            f"%count.small = call i64 @llvm.umin.i64(i64 %count, i64 {lanes})",
            "%count.number = trunc i64 %count.small to i32",
            f"%count.first = insertelement <{lanes} x i32> poison, i32 %count.number, i64 0",
            f"%count.all = shufflevector <{lanes} x i32> %count.first, <{lanes} x i32> poison, "
            f"<{lanes} x i32> zeroinitializer",
            f"%counts = icmp ult <{lanes} x i32> <{places}>, %count.all",
        ]

    def _summed(self, k: int, total: str, at: str) -> list[str]:
        """Adds all lanes of a sum to where it stands in memory. The order is one of pairs, the same in every run."""
        lanes = self._lanes
        return [
            f"%sum{k}.one = call reassoc double @llvm.vector.reduce.fadd.v{lanes}f64(double -0.0, "
            f"<{lanes} x double> {total})",
            f"%sum{k}.at = getelementptr double, ptr %sums{k}, i64 {at}",
            f"%sum{k}.before = load double, ptr %sum{k}.at",
            f"%sum{k}.after = fadd double %sum{k}.before, %sum{k}.one",
            f"store double %sum{k}.after, ptr %sum{k}.at",
        ]


def memory(dtype: Type) -> str:
    """What LLVM calls the type in memory: of bfloat16 it sees the bits."""
    return "i16" if dtype is BFLOAT16 else dtype.name


def loaded(code: Code, text: str, dtype: Type, wide: bool) -> Value:
    """What was read from memory, as a number that can be computed with."""
    if dtype is BFLOAT16:
        return (Value(code, UINT16, text, wide).to(UINT32) << 16).to(FLOAT32, bitcast=True)
    return Value(code, dtype, text, wide)


def stored(tl: Language, value: Value, dtype: Type) -> Value:
    """A number rounded once to the type, as it is written to memory."""
    if dtype.bits == 16 and value.dtype is FLOAT64:
        value = _to_odd(tl, value)
    if dtype is not BFLOAT16:
        return value.to(dtype)
    # The processor's own instruction takes numbers below the normal range for 0.
    i = value.to(UINT32, bitcast=True)
    rounded = (i + ((i >> 16) & 1) + 0x7FFF) >> 16
    return tl.where(value == value, rounded, 0x7FC0).to(UINT16)


def _to_odd(tl: Language, x: Value) -> Value:
    """A float64 number in float32, the last digit odd if digits were lost, so that it may be rounded once more."""
    y = x.to(FLOAT32)
    back = y.to(FLOAT64)
    i = y.to(INT32, bitcast=True)
    i = tl.where(tl.abs(back) > tl.abs(x), i - 1, i)
    return tl.where(back != x, i | 1, i).to(FLOAT32, bitcast=True)


def _copied(stream: _Stream, to: str, of: str, count: str) -> list[str]:
    return [
        f"%{to}.bytes = mul i64 %{count}, {stream.type.bits // 8}",
        f"call void @llvm.memcpy.p0.p0.i64(ptr %{to}, ptr %{of}, i64 %{to}.bytes, i1 false)",
    ]


@functools.lru_cache(maxsize=256)
def _compiled(lines: str) -> CodeType:
    return compile(lines, "<actc.kernels.cpu_source>", "exec")

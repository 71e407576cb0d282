"""Lookups on a CPU, as machine code: with gathers, where the processor has them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable

from torch import Tensor

from . import threads
from .cpu import SHARE
from .cpu_source import TYPES, loaded, memory, stored
from .lanes import FLOAT32, FLOAT64, UINT16, UINT32, Code, Language, Value
from .llvm import Library, vectors


def run(table: Tensor, indices: Tensor, grad: Tensor | None, out: Tensor, slices: int) -> None:
    """`lookup.take` or, with a gradient, `lookup.take_times`."""
    name = str(out.dtype).removeprefix("torch.")
    lanes, _ = vectors()
    length = indices.numel() // slices
    workers = min(threads.count(), max(1, indices.numel() // SHARE))
    pieces = -(-workers // slices)
    many, few = [], []
    for k in range(slices):
        start = table.data_ptr() + k * (table.nbytes // slices)
        # All but what is left at the end, in whole vectors.
        whole = length // lanes
        ends = [k * length + whole * part // pieces * lanes for part in range(pieces + 1)]
        many += [(first, last, start) for first, last in itertools.pairwise(ends)]
        few.append((ends[-1], (k + 1) * length, start))
    pointers = [indices.data_ptr(), *([] if grad is None else [grad.data_ptr()]), out.data_ptr()]
    for width, parts in ((lanes, many), (1, few)):
        calls = [(*each, *pointers) for each in parts if each[0] < each[1]]
        if calls:
            code = _code(name, grad is not None, width)
            threads.run(code.address("kernel"), calls, min(workers, len(calls)))


@functools.cache
def _code(name: str, times: bool, lanes: int) -> Library:
    return Library(_source(name, times, lanes))


def _source(name: str, times: bool, lanes: int) -> str:
    """``kernel`` is given first, last, and pointers to the table, the indices, the gradient, if there is one, and the
    results, and works on whole vectors from first to last."""
    dtype, code = TYPES[name], Code(lanes, False)
    tl = Language(code)
    index = Value(code, UINT16, "%index", True).to(UINT32)
    if times:
        grad = loaded(code, "%grad", dtype, True).to(FLOAT64)
        # A product of 24 and 11 digits is exact.
        result = stored(tl, grad * _gathered(code, index, "float").to(FLOAT64), dtype)
    else:
        # Two entries are read at a time, as there are no gathers of 16 bits.
        pair = _gathered(code, index >> 1, "i32")
        result = (pair >> ((index & 1) << 4)).to(UINT16)
    streams = {"index": "i16", **({"grad": memory(dtype)} if times else {})}
    names = [("i64", "first"), ("i64", "last"), ("ptr", "table"), *(("ptr", each) for each in (*streams, "out"))]
    return "\n".join(
        [
            *sorted(code.intrinsics),
            "define void @kernel(ptr %given) #0 {",
            "entry:",
            *_given(names),
            "  br label %step",
            "step:",
            "  %i = phi i64 [%first.is, %entry], [%next, %step]",
            *(
                line
                for each, kind in streams.items()
                for line in (
                    f"  %{each}.at = getelementptr {kind}, ptr %{each}.is, i64 %i",
                    f"  %{each} = load <{lanes} x {kind}>, ptr %{each}.at, align 2",
                )
            ),
            *(f"  {line}" for line in code.lines),
            "  %out.at = getelementptr i16, ptr %out.is, i64 %i",
            f"  store {result.shown} {result.text}, ptr %out.at, align 2",
            f"  %next = add i64 %i, {lanes}",
            "  %more = icmp ult i64 %next, %last.is",
            "  br i1 %more, label %step, label %done",
            "done:",
            "  ret void",
            "}",
            f'attributes #0 = {{ nounwind "min-legal-vector-width"="{32 * lanes}" }}',
        ]
    )


def _given(names: Iterable[tuple[str, str]]) -> Iterable[str]:
    for k, (kind, name) in enumerate(names):
        yield f"  %{name}.given = getelementptr i64, ptr %given, i64 {k}"
        yield f"  %{name}.is = load {kind}, ptr %{name}.given"


def _gathered(code: Code, index: Value, kind: str) -> Value:
    """What stands in the table at the index, as so many numbers of 32 bits."""
    lanes = code.lanes
    function = f"@llvm.masked.gather.v{lanes}{'f32' if kind == 'float' else 'i32'}.v{lanes}p0"
    many = f"<{lanes} x {kind}>"
    code.intrinsics.add(f"declare {many} {function}(<{lanes} x ptr>, i32, <{lanes} x i1>, {many})")
    at = code.named(f"getelementptr {kind}, ptr %table.is, {index.shown} {index.text}", True)
    given = f"<{lanes} x ptr> {at}, i32 4, <{lanes} x i1> splat (i1 true), {many} poison"
    found = code.named(f"call {many} {function}({given})", True)
    return Value(code, FLOAT32 if kind == "float" else UINT32, found, True)

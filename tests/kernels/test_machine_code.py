"""Counting in machine code, by kernels whose counts are known."""

from __future__ import annotations

from typing import Any

import pytest

triton = pytest.importorskip("triton")

import triton.language as tl  # noqa: E402

from actc.kernels import machine_code  # noqa: E402

POINTERS = {"x_ptr": "*fp32", "y_ptr": "*fp32", "n": "i64"}


@triton.jit
def steps(  # type: ignore[no-untyped-def]
    x_ptr, y_ptr, n, BLOCK: tl.constexpr, COUNT: tl.constexpr, DIVIDE: tl.constexpr
):
    offsets = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    x = tl.load(x_ptr + offsets, mask=mask)
    y = x
    for _ in tl.static_range(COUNT):
        y = tl.fma(x, y, x)
    if DIVIDE:
        y = tl.div_rn(x, y)
    tl.store(y_ptr + offsets, y, mask=mask)


def counted(count: int, divide: bool = False, **options: Any) -> machine_code.Report:
    constants = {"BLOCK": 512, "COUNT": count, "DIVIDE": divide}
    return machine_code.report(steps, POINTERS, constants, elements_per_thread=4, **options)


def test_every_step_is_an_instruction_an_element() -> None:
    few, many = counted(1), counted(11)
    assert many.instructions_per_element - few.instructions_per_element == 10
    assert many.special == many.spills == many.slow_instructions - few.slow_instructions == 0


def test_many_at_once_are_read_as_one_by_one() -> None:
    kinds = ({"COUNT": 3, "DIVIDE": True}, {"COUNT": 1, "DIVIDE": False}, {"COUNT": 7, "DIVIDE": True})
    binaries = [machine_code.compiled(steps, POINTERS, {"BLOCK": 512, **each}).asm["cubin"] for each in kinds]
    found = machine_code.read(binaries, 4)
    assert found == [machine_code.read([binary], 4)[0] for binary in binaries]
    assert len(set(found)) == 3


def test_width_of_accesses() -> None:
    wide, narrow = counted(1), counted(1, divisible=())
    assert wide.load_bytes == wide.store_bytes == (16,)
    assert narrow.load_bytes == narrow.store_bytes == (4,) * 4


def test_slow_paths_are_counted_apart() -> None:
    """A division takes a reciprocal, a check and seven or so more; for extreme arguments it calls a function."""
    plain, divided = counted(1), counted(1, divide=True)
    assert divided.special_per_element == 2
    assert 6 <= divided.instructions_per_element - plain.instructions_per_element <= 12
    assert divided.slow_instructions > plain.slow_instructions + 40



@pytest.mark.parametrize("target", ["sm_80", "sm_90", "sm_100", "gfx942"])
def test_every_target(target: str) -> None:
    constants = {"BLOCK": 512, "COUNT": 1, "DIVIDE": True}
    stages = machine_code.compiled(steps, POINTERS, constants, target).asm
    assert ("cubin" if target.startswith("sm") else "hsaco") in stages


def test_unknown_target() -> None:
    with pytest.raises(ValueError, match="unknown target 'h100'"):
        machine_code.gpu_target("h100")

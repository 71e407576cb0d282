"""Device functions: errors measured in Triton's interpreter, instructions read from machine code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import mpmath as mp
import pytest

from actc import coefficients
from actc.operators import OPERATORS

triton = pytest.importorskip("triton")

import triton.language as tl  # noqa: E402

from actc.kernels import device, machine_code  # noqa: E402

BENCH = Path(__file__).resolve().parents[2] / "bench" / "device_functions.py"

#: Largest errors of libdevice in units in the last place, from the CUDA C++ Programming Guide, mathematical functions.
LIBDEVICE = {
    "sqrt": 0.5, "div": 0.5, "hypot": 3, "exp": 1, "expm1": 1, "log": 1, "log1p": 1, "pow": 4, "sin": 2, "cos": 2,
    "tan": 4, "asin": 2, "acos": 2, "atan": 2, "sinh": 3, "cosh": 2, "tanh": 2, "asinh": 3, "acosh": 4, "atanh": 3,
    "erf": 2, "erfc": 4,
}  # fmt: skip
#: For one number, where 1 + x rounds to 0.75 and the exponent is taken to be that below; everywhere else under 1.
OVER = {"log1p": 1.2}
#: Those of functions that libdevice lacks; of i1e_slope and silu_by_x about zeros by |x·f′|. Powers' slopes are off
#: by more than 2.5 only at the ends of the range, where torch's are off by more than 40.
OWN = {
    "i0e": 4.5, "i1e": 4.5, "i0e_minus_i1e": 7.5, "i1e_slope": 7.5, "sigmoid": 2.5, "log_sigmoid": 2, "softplus": 2,
    "gelu": 4.5, "silu": 5.5, "silu_by_x": 8, "mish": 6.5, "i0e_by_x": 7.5, "pow_by_x": 5, "pow_by_y": 5,
}  # fmt: skip
EXACT = dict.fromkeys(("abs", "sign", "floor", "max", "min", "relu", "saturate"), 0.0)
BOUNDS = LIBDEVICE | OVER | OWN | EXACT

PARTIALS = [f"{name}_by_{argument}" for name, row in OPERATORS.items() for argument in row.arguments]
NAMES = [name for name in (*OPERATORS, *PARTIALS) if hasattr(device, name)]
FAST = [name.removeprefix("fast_") for name in vars(device) if name.startswith("fast_")]


@pytest.fixture(scope="module")
def measured() -> Any:
    """The interpreter has to be chosen before Triton is imported, hence a process of its own."""
    if tuple(map(int, triton.__version__.split(".")[:2])) < (3, 9):
        pytest.skip("the interpreter of this Triton rounds twice in a multiply-add")
    command, environment = [sys.executable, str(BENCH), "--errors", "--few"], os.environ | {"TRITON_INTERPRET": "1"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout)


def test_every_function_has_a_bound() -> None:
    assert set(NAMES) == set(BOUNDS)
    assert set(FAST) == set(device.FAST_ERROR) <= {*NAMES, *PARTIALS}


def test_every_primitive_is_there() -> None:
    """All but those that are Triton's own signs and choice."""
    signs = {"pi", "add", "sub", "mul", "neg", "where", "lt", "le", "gt", "ge", "eq", "ne"}
    assert {row.name for row in OPERATORS.values() if row.primitive} - signs <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_accurate(name: str, measured: Any) -> None:
    """Against numpy's and scipy's float64 functions in float32, mpmath in float64, with zeros of the right sign; slopes
    no worse than torch's own in float32 at the same points."""
    found = measured[name]
    assert found["float32"]["ulp"] <= min(BOUNDS[name], found["float32"].get("torch", BOUNDS[name])), found["float32"]
    assert found["float32"]["signs"]
    assert found["float64"]["ulp"] <= max(BOUNDS[name], 1.2 * (BOUNDS[name] > 0)), found["float64"]["at"]


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", FAST)
def test_fast(name: str, kind: str, measured: Any) -> None:
    """Over all numbers of a 16-bit type."""
    found = measured[name][f"fast {kind}"]
    assert found["relative"] <= device.FAST_ERROR[name], found["at"]


def coefficients_of(name: str) -> tuple[float, ...]:
    found: tuple[float, ...] = getattr(coefficients, name)
    return found


@pytest.mark.parametrize(
    ("name", "function", "points"),
    [
        ("EXP_64", lambda r: (mp.expm1(r) - r) / r**2, (-0.34, 0.1, 0.34)),
        ("LOG_64", lambda f: (mp.log1p(f) - f) / f**2, (-0.24, 0.1, 0.49)),
        ("I0E_NEAR_64", lambda u: mp.besseli(0, mp.sqrt(u)), (0.5, 30, 63)),
    ],
)  # fmt: skip
def test_coefficients(name: str, function: Any, points: tuple[float, ...]) -> None:
    """As the comments beside them say, to 2^-53."""
    with mp.workdps(40):
        for point in points:
            exact = function(mp.mpf(point))
            assert abs(mp.polyval(coefficients_of(name)[::-1], mp.mpf(point)) / exact - 1) < 2.0**-52, point


def test_two_over_pi() -> None:
    with mp.workprec(1300):
        assert int(mp.floor(mp.ldexp(2 / mp.pi, 1216))) == coefficients.TWO_OVER_PI
    words = coefficients.words(coefficients.TWO_OVER_PI, 32, 8)
    assert sum(w << 32 * (7 - k) for k, w in enumerate(words)) == coefficients.TWO_OVER_PI >> (1216 - 256 + 34)


ALL = [*NAMES, *(f"fast_{name}" for name in FAST)]


@triton.jit
def everything(x_ptr, y_ptr, n, BLOCK: tl.constexpr, ONE: tl.constexpr, TWO: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + at, mask=at < n)
    y = x
    for i in tl.static_range(len(ONE)):
        y += ONE[i](x)
    for i in tl.static_range(len(TWO)):
        y += TWO[i](x, y)
    tl.store(y_ptr + at, y, mask=at < n)


@pytest.mark.parametrize("target", ["sm_80", "sm_90", "sm_100", "gfx942"])
@pytest.mark.parametrize("kind", ["fp32", "fp64"])
def test_every_target(kind: str, target: str) -> None:
    functions = [getattr(device, name) for name in (ALL if kind == "fp32" else NAMES)]
    tensors = {f: [each for each in f.params if not each.is_constexpr] for f in functions}
    one = tuple(f for f in functions if len(tensors[f]) == 1)
    two = tuple(f for f in functions if len(tensors[f]) == 2)
    pointers = {"x_ptr": f"*{kind}", "y_ptr": f"*{kind}", "n": "i64"}
    stages = machine_code.compiled(everything, pointers, {"BLOCK": 128, "ONE": one, "TWO": two}, target).asm
    assert ("cubin" if target.startswith("sm") else "hsaco") in stages

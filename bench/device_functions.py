"""Errors and instructions of the device functions.

python bench/device_functions.py [--target sm_90] [--json FILE] prints for each function of actc.kernels.device the
largest error of the accurate one in float32 and float64, in units in the last place, of the fast one the relative error
over all numbers of bfloat16 and float16, and the instructions that one call costs an element on one of NVIDIA's GPUs.
python bench/device_functions.py --errors [--few] measures the errors alone and prints them as JSON. It runs in Triton's
interpreter, so a process of its own has to set TRITON_INTERPRET=1. --few: fewer points, as the tests do.

The interpreter's reciprocals, roots and powers of two are exact to half a unit, NVIDIA's instructions to about one:
what is measured is the worst of three runs, in which they are right and off to either side: reciprocals and roots by
one more unit, powers of two by so much that exp, which is computed as libdevice does it, is off by the one unit that
NVIDIA measured over all its arguments.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import platform
import subprocess
import sys
import warnings
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import torch
import triton
import triton.language as tl

from actc.expr import Expr
from actc.kernels import device, machine_code
from actc.operators import OPERATORS, Operator

Array = np.ndarray[Any, Any]
EXACT = ("abs", "div", "floor", "max", "min", "relu", "saturate", "sign", "sqrt")
RECIPROCAL, ROOT = device.reciprocal_near, device.inverse_root


# Triton takes annotations for its own.
@triton.jit
def one(x_ptr, y_ptr, n, BLOCK: tl.constexpr, FUNCTION: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + at, mask=at < n)
    if x.dtype != tl.float64:
        x = x.to(tl.float32)
    tl.store(y_ptr + at, FUNCTION(x).to(y_ptr.dtype.element_ty), mask=at < n)


@triton.jit
def two(x_ptr, z_ptr, y_ptr, n, BLOCK: tl.constexpr, FUNCTION: tl.constexpr):  # type: ignore[no-untyped-def]
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + at, mask=at < n)
    z = tl.load(z_ptr + at, mask=at < n)
    if x.dtype != tl.float64:
        x = x.to(tl.float32)
        z = z.to(tl.float32)
    tl.store(y_ptr + at, FUNCTION(x, z).to(y_ptr.dtype.element_ty), mask=at < n)


@triton.jit
def reciprocal_above(x):  # type: ignore[no-untyped-def]
    y = 1 / x
    return device.number(device.bits(y) + tl.where((y != 0) & (tl.abs(y) < device.INF), 1, 0))


@triton.jit
def reciprocal_below(x):  # type: ignore[no-untyped-def]
    y = 1 / x
    return device.number(device.bits(y) - tl.where((y != 0) & (tl.abs(y) < device.INF), 1, 0))


@triton.jit
def root_above(x):  # type: ignore[no-untyped-def]
    return device.number(device.bits(tl.rsqrt(x)) + tl.where(x < device.INF, 1, 0))


@triton.jit
def root_below(x):  # type: ignore[no-untyped-def]
    return device.number(device.bits(tl.rsqrt(x)) - tl.where(x < device.INF, 1, 0))


@triton.jit
def power(x):  # type: ignore[no-untyped-def]
    return tl.exp2(x.to(tl.float64)).to(tl.float32)


@triton.jit
def power_above(x):  # type: ignore[no-untyped-def]
    return (tl.exp2(x.to(tl.float64)) * (1 + 1.8e-08)).to(tl.float32)


@triton.jit
def power_below(x):  # type: ignore[no-untyped-def]
    return (tl.exp2(x.to(tl.float64)) * (1 - 1.8e-08)).to(tl.float32)


def names() -> list[str]:
    """The rows, and partial derivatives of rows, that have a device function, if only a fast one."""
    partials = [f"{name}_by_{argument}" for name, row in OPERATORS.items() for argument in row.arguments]
    return [name for name in (*OPERATORS, *partials) if hasattr(device, name) or name in device.FAST_ERROR]


def arity(name: str) -> int:
    """Of tensors: what has a default is known when a kernel is compiled."""
    function = getattr(device, name if hasattr(device, name) else f"fast_{name}")
    parameters = inspect.signature(function.fn).parameters.values()
    return sum(each.default is inspect.Parameter.empty for each in parameters)


def call(name: str, *arguments: Array) -> Array:
    """The function's value in Triton's interpreter."""
    given = [torch.from_numpy(np.ascontiguousarray(a)) for a in arguments]
    result = torch.empty_like(given[0])
    block = 1 << max(1, (len(result) - 1).bit_length())
    kernel = one if len(given) == 1 else two
    kernel[(1,)](*given, result, len(result), block, getattr(device, name))
    return result.numpy()


def partial(name: str) -> tuple[Operator, Expr]:
    """The row and the text of a partial derivative: of ``pow_by_x`` those of ``pow``, by x."""
    row, _, argument = name.rpartition("_by_")
    partials = OPERATORS[row].partials
    assert partials is not None
    return OPERATORS[row], partials[OPERATORS[row].arguments.index(argument)]


def reference(name: str, *arguments: Array) -> Array:
    """In float64 by numpy, or by the text."""
    row, text = partial(name) if name not in OPERATORS else (OPERATORS[name], OPERATORS[name].text("definition"))
    if name == row.name and row.numpy is not None:
        return np.asarray(row.numpy(*arguments))
    assert text is not None
    return text.evaluate(**dict(zip(row.arguments, arguments, strict=True)))


def oracle(name: str, *arguments: Any) -> Any:
    """In mpmath's numbers."""
    if name in OPERATORS:
        return OPERATORS[name].oracle(*arguments)
    row, text = partial(name)
    return text.evaluate_mp(**dict(zip(row.arguments, arguments, strict=True)))


#: Rows whose partial derivatives have a function.
BY_TORCH = {"pow": torch.pow, "silu": torch.nn.functional.silu, "i0e": torch.special.i0e}


def by_autograd(name: str, *arguments: Array) -> Array:
    """A partial derivative as torch's autograd has it."""
    row, _ = partial(name)
    leaves = [torch.from_numpy(a.copy()).requires_grad_() for a in arguments]
    value = BY_TORCH[row.name](*leaves)
    position = row.arguments.index(name.rpartition("_by_")[2])
    (slope,) = torch.autograd.grad(value, leaves[position], torch.ones_like(value))
    return np.asarray(slope)


def awkward(dtype: Any) -> Array:
    """Zeros, infinities, NaN, the ends of the range, and numbers beside those where functions are put together."""
    f = np.finfo(dtype)
    special = [0, f.tiny, f.smallest_subnormal, f.tiny / 2, f.max, np.inf, 1e-20, 1e-10, 1e10, 1e20]
    joints = [1e-9, 0.25, 1 / 3, 0.5, 0.6, 0.785398, 1, 1.5, 2, 3, 4, 8, 20, 30, 87.33, 88.72, 103.97, 2.0**30, 709.78]
    beside = np.array(joints) * (1 + np.arange(-4, 5)[:, None] * float(f.eps) / 2)
    found = np.concatenate([special, beside.ravel()]).astype(dtype)
    return np.concatenate([found, -found, [dtype(np.nan)]])


def points(dtype: Any, count: int, seed: int) -> Array:
    """The awkward numbers, random bit patterns, and as many from intervals about 0."""
    rng = np.random.default_rng(seed)
    whole = {np.float32: np.uint32, np.float64: np.uint64}[dtype]
    random = rng.integers(0, np.iinfo(whole).max, count, dtype=whole, endpoint=True).view(dtype)
    dense = np.concatenate([rng.uniform(-s, s, count // 4) for s in (0.7, 2, 10, 100)]).astype(dtype)
    return np.concatenate([awkward(dtype), random, dense])


def arguments(name: str, dtype: Any, count: int) -> list[Array]:
    first = points(dtype, count, 1)
    if arity(name) == 1:
        return [first]
    second = np.random.default_rng(2).permutation(first)
    if name == "softplus":
        return [first, np.ones_like(first)]
    if name.startswith("pow"):
        # Most powers of random numbers are 0 or infinite: the others too, and whole exponents.
        rng = np.random.default_rng(3)
        base = np.exp(rng.uniform(-5, 5, count)).astype(dtype)
        exponent = rng.uniform(-20, 20, count).astype(dtype)
        exponent[::2] = np.round(exponent[::2])
        base[::4] *= -1
        first, second = np.concatenate([first, base]), np.concatenate([second, exponent])
    grid = np.meshgrid(awkward(dtype)[::3], awkward(dtype)[::3])
    return told(name, np.concatenate([first, grid[0].ravel()]), np.concatenate([second, grid[1].ravel()]))


def told(name: str, x: Array, y: Array) -> list[Array]:
    """Without arguments of which float64 does not tell the parity of y − 1, and exponents whose own digits are few."""
    rounded = (y - 1.0 + 1.0 != y) | (np.abs(y) > 2.0**53)
    untold = (((x == 0) | np.isinf(x)) & rounded) | np.isinf(y) | (np.abs(y) < np.finfo(y.dtype).tiny)
    return [x, np.where(untold, x, y) if name == "pow_by_x" else y]


def unit_errors(found: Array, exact: Array, dtype: Any) -> Array:
    """In units in the last place of the exact value; infinite where one is NaN or infinite and the other is not."""
    rounded = exact.astype(dtype)
    largest = np.finfo(dtype).max
    unit = np.spacing(np.abs(np.where(np.isfinite(rounded), rounded, largest))).astype(np.float64)
    errors = np.abs(found.astype(np.float64) - exact) / unit
    # At the end of the range one of the two may round to infinity.
    edge = (np.abs(exact) > largest * (1 - 1e-6)) & (np.abs(found) > largest * (1 - 1e-6)) & (found * exact > 0)
    same = (found == rounded) | (np.isnan(found) & np.isnan(rounded)) | edge
    errors = np.where(same & ~np.isfinite(errors) | edge, 0, errors)
    return np.where(np.isnan(errors), np.inf, errors)


#: Slopes with an irrational zero.
WITH_ZERO = ("i1e_slope", "silu_by_x")


def steepness(name: str, x: Array) -> Array:
    """|x·f′(x)| where the slope has an irrational zero, by which it is measured there; else 0."""
    slope = np.abs((reference(name, x * (1 + 1e-6)) - reference(name, x * (1 - 1e-6))) / 2e-6)
    return np.where((np.abs(x) > 0.5) & (np.abs(x) < 4), slope, 0)


def accurate_32(name: str, count: int) -> dict[str, Any]:
    given = arguments(name, np.float32, count)
    exact = reference(name, *(a.astype(np.float64) for a in given))
    if name == "saturate":
        exact = np.clip(exact, -np.finfo(np.float32).max, np.finfo(np.float32).max)
    worst, at, signs, theirs = 0.0, 0, True, {}
    if name not in OPERATORS:
        theirs = {"torch": float(unit_errors(by_autograd(name, *given), exact, np.float32).max())}
    runs = [(RECIPROCAL, ROOT, power)]
    if name not in EXACT:
        runs += [(reciprocal_above, root_above, power_above), (reciprocal_below, root_below, power_below)]
    for device.reciprocal_near, device.inverse_root, device.exp2_normal in runs:
        found = call(name, *given)
        errors = unit_errors(found, exact, np.float32)
        if name in WITH_ZERO:
            steep = steepness(name, given[0].astype(np.float64)).astype(np.float32)
            errors = np.where(steep > np.abs(exact), np.abs(found - exact) / np.spacing(steep), errors)
        zero = (exact == 0) & (found == 0)
        signs &= bool(np.all(np.signbit(found[zero]) == np.signbit(exact[zero])))
        if errors.max() >= worst:
            worst, at = float(errors.max()), int(errors.argmax())
    device.reciprocal_near, device.inverse_root, device.exp2_normal = RECIPROCAL, ROOT, power
    return {"ulp": worst, "at": [float(a[at]) for a in given], "signs": signs} | theirs


def accurate_64(name: str, count: int) -> dict[str, Any]:
    given = arguments(name, np.float64, count)
    given = [a[:: max(1, len(a) // (3 * count))] for a in given]
    found, by_numpy = call(name, *given), reference(name, *given)
    steep = steepness(name, given[0]) if name in WITH_ZERO else np.zeros(len(found))
    # Where the two terms of these agree, 1/x has to be seen beside 1.
    mp.mp.prec = 2300 if name in ("i0e_minus_i1e", "i1e_slope") else 140
    worst, at = 0.0, 0
    for i, value in enumerate(found):
        # At infinities mpmath has conventions of its own.
        finite = all(np.isfinite(a[i]) for a in given)
        exact = oracle(name, *(mp.mpf(float(a[i])) for a in given)) if finite else mp.mpf(float(by_numpy[i]))
        near = float(exact)
        if not np.isfinite(near) or not np.isfinite(value):
            error = 0.0 if value == near or (np.isnan(value) and np.isnan(near)) else np.inf
        else:
            error = float(abs(mp.mpf(float(value)) - exact) / float(np.spacing(max(abs(near), steep[i]))))
        if error > worst:
            worst, at = error, i
    return {"ulp": worst, "at": [float(a[at]) for a in given]}


def sixteen_bits(kind: str) -> Array:
    every = np.arange(2**16, dtype=np.uint16)
    if kind == "float16":
        return every.view(np.float16).astype(np.float32)
    return (every.astype(np.uint32) << 16).view(np.float32)


def fast(name: str, kind: str) -> dict[str, Any]:
    """Relative errors, below the normal range of the type in units of its end."""
    x = sixteen_bits(kind)
    given = [x]
    if arity(name) == 2:
        given = told(name, x, np.ones_like(x) if name == "softplus" else np.random.default_rng(4).permutation(x))
    with np.errstate(all="ignore"):
        found = call(f"fast_{name}", *given).astype(np.float64)
        exact = reference(name, *(a.astype(np.float64) for a in given))
        size = np.maximum(np.abs(exact), 2.0**-126 if kind == "bfloat16" else 2.0**-14)
        if name in WITH_ZERO:
            size = np.maximum(size, steepness(name, x.astype(np.float64)))
        if name.startswith("pow"):
            # The logarithm of x as if x were off by 2^-21.
            size = size * (1 + np.abs(given[1]) * 2.0**-7)
        errors = np.abs(found - exact) / size
    largest = {"bfloat16": 3.3895e38, "float16": 65504.0}[kind]
    beyond = (np.abs(exact) > largest) & (np.abs(found) > largest) & (found * exact > 0)
    same = (np.isnan(found) & np.isnan(exact)) | (found == exact) | beyond
    errors = np.where(same, 0, np.where(np.isnan(errors), np.inf, errors))
    at = int(errors.argmax())
    return {"relative": float(errors.max()), "at": [float(a[at]) for a in given]}


def errors(few: bool) -> dict[str, Any]:
    warnings.simplefilter("ignore")
    result: dict[str, Any] = {}
    for name in names():
        with np.errstate(all="ignore"):
            result[name] = {}
            if hasattr(device, name):
                result[name] |= {"float32": accurate_32(name, 30_000 if few else 200_000)}
                result[name] |= {"float64": accurate_64(name, 40 if few else 600)}
            if name in device.FAST_ERROR:
                result[name] |= {f"fast {kind}": fast(name, kind) for kind in ("bfloat16", "float16")}
    return result


def costs(name: str, target: str, kind: str) -> dict[str, float]:
    """Instructions an element that the function adds to a copy."""

    def counted(function: str, kernel: Any) -> machine_code.Report:
        pointers = {p: f"*{kind}" for p in ("x_ptr", "z_ptr", "y_ptr") if kernel is two or p != "z_ptr"}
        constants = {"BLOCK": 1024, "FUNCTION": getattr(device, function)}
        return machine_code.report(kernel, pointers | {"n": "i64"}, constants, 8, target)

    kernel = one if arity(name.removeprefix("fast_")) == 1 else two
    plain, found = counted("abs" if kernel is one else "max", kernel), counted(name, kernel)
    return {
        "instructions": found.instructions_per_element - plain.instructions_per_element,
        "special": found.special_per_element,
        "registers": found.registers,
        "spills": found.spills,
    }


def table(target: str) -> Iterator[tuple[str, dict[str, Any]]]:
    command, environment = [sys.executable, __file__, "--errors"], os.environ | {"TRITON_INTERPRET": "1"}
    run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    print("accurate:       ulp f32  ulp f64  instr. special   fast: bf16 2^  fp16 2^  instr. special")
    for name, found in json.loads(run.stdout).items():
        line = f"{name:14}" + 34 * " "
        if hasattr(device, name):
            found["cost"] = costs(name, target, "fp32")
            figures = [found[kind]["ulp"] for kind in ("float32", "float64")]
            figures += [found["cost"][kind] for kind in ("instructions", "special")]
            line = f"{name:14}" + "{:9.2f}{:9.2f}{:8.1f}{:8.1f}".format(*figures)
        if name in device.FAST_ERROR:
            found["fast cost"] = costs(f"fast_{name}", target, "bf16")
            figures = [np.log2(found[f"fast {kind}"]["relative"]) for kind in ("bfloat16", "float16")]
            figures += [found["fast cost"]["instructions"], found["fast cost"]["special"]]
            line += "      " + "{:9.1f}{:9.1f}{:8.1f}{:8.1f}".format(*figures)
        print(line, flush=True)
        yield name, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="sm_90")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--errors", action="store_true")
    parser.add_argument("--few", action="store_true")
    options = parser.parse_args()
    if options.errors:
        print(json.dumps(errors(options.few)))
        return
    result = dict(table(options.target))
    if options.json:
        versions = {"triton": triton.__version__, "numpy": np.__version__, "python": platform.python_version()}
        # JSON knows no infinity.
        for found in result.values():
            if np.isinf(found.get("float32", {}).get("torch", 0)):
                found["float32"]["torch"] = None
        text = {"date": date.today().isoformat(), "target": options.target, "versions": versions, "functions": result}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Points at which kernels of every type are compared with float64, and what is true there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from actc import pipeline
from actc.expr import Expr
from actc.operators import OPERATORS
from actc.program import Program

from .composed import fits_float32

Array = np.ndarray[Any, Any]

#: How many points are tried and how many kept.
_TRIED, _KEPT = 20_000, 24
#: How far off each step of a fast kernel may be: arithmetic, and functions and what they are given.
_ARITHMETIC, _FUNCTION = 2.0**-20, 2.0**-14
#: How far off the results may then be.
_RESULT = 2.0**-9
#: Half of float16's range.
_ORDINARY = 3e4


@dataclass(frozen=True)
class Points:
    """Inputs that all types hold exactly [inputs, points], parameters that float32 does, values [points] and slopes by
    all arguments [arguments, points], in float64."""

    inputs: list[list[float]]
    parameters: list[float]
    values: list[float]
    slopes: list[list[float]]


def points(value: Expr, slopes: Sequence[Expr], inputs: Sequence[str], starts: Mapping[str, float]) -> Points:
    """Up to 24 points where value and slopes are finite, within float16's range if there are such, and do not depend on
    the last digits of what they are computed from. There may be none. Parameters are near their starts, but of one
    start not all the same."""
    parameters = {name: float(np.float32(start + i / 8)) for i, (name, start) in enumerate(starts.items())}
    rng = np.random.default_rng(0)
    # Eight binary digits, as many as bfloat16 has.
    drawn = rng.integers(128, 256, (len(inputs), _TRIED)) * 2.0 ** rng.integers(-14, 0, (len(inputs), _TRIED))
    drawn *= rng.choice([-1.0, 1.0], drawn.shape)
    given = dict(zip(inputs, drawn, strict=True)) | {n: np.full(_TRIED, v) for n, v in parameters.items()}
    program = pipeline.program([value, *slopes])
    with np.errstate(all="ignore"):
        exact = np.stack([each.evaluate(**{n: given[n] for n in each.symbols}) + np.zeros(_TRIED)
                          for each in (value, *slopes)])  # fmt: skip
        kept = np.isfinite(exact).all(axis=0)
        for _ in range(4):
            steps = _astray(program, given, rng)
            kept &= (np.abs(steps[list(program.outputs)] - exact) <= _RESULT * np.abs(exact)).all(axis=0)
            if all(map(fits_float32, program.instructions)):
                # No step leaves float32's range.
                kept &= ((steps == 0) | (np.abs(np.log2(np.abs(steps))) < 120)).all(axis=0)
        ordinary = kept & (np.abs(exact) < _ORDINARY).all(axis=0)
    chosen = np.flatnonzero(ordinary if ordinary.sum() >= _KEPT else kept)[:_KEPT]
    inputs_there, (values, *slopes_there) = drawn[:, chosen].tolist(), exact[:, chosen].tolist()
    return Points(inputs_there, list(parameters.values()), values, slopes_there)


def _astray(program: Program, given: Mapping[str, Array], rng: np.random.Generator) -> Array:
    """What each instruction gives, every step off by as much as it may be, up or down."""

    def off(value: Array, by: float) -> Array:
        return value * (1 + by * rng.choice([-1.0, 1.0], value.shape))

    found: list[Array] = []
    for each in program.instructions:
        if each.op == "input":
            found.append(given[str(each.name)])
        elif each.op == "constant":
            found.append(np.full(_TRIED, each.value, dtype=np.float64))
        else:
            row = OPERATORS[each.op]
            assert row.numpy is not None, row.name
            by = _ARITHMETIC if each.op in ("add", "sub", "mul", "neg") else _FUNCTION
            exact = each.op in ("neg", "where", "max", "min", "abs", "relu", "saturate") or row.compares
            args = [found[a] if exact or by == _ARITHMETIC else off(found[a], by) for a in each.args]
            result = np.asarray(row.numpy(*args), dtype=np.float64)
            found.append(result if exact else off(result, by))
    return np.stack(found)

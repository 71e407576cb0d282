"""Every row of the operator table: its value and slopes against the oracle, and what it says about itself."""

from __future__ import annotations

import math
from collections.abc import Sequence

import mpmath
import numpy as np
import pytest
import torch

from actc.derivatives import derivative
from actc.expr import Expr, apply, symbol
from actc.operators import Operator
from actc.program import Program
from tests.oracle import ROWS, excess, is_corner, points, second_arguments, slopes

Array = np.ndarray


def by_row(rows: Sequence[Operator]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, ids=[row.name for row in rows])


def aten(roots: Sequence[Expr], dtype: torch.dtype = torch.float64, **inputs: Array) -> list[Array]:
    """The values of the roots by their ATen source, each in the shape of the inputs."""
    program = Program.of(roots)
    namespace = {"torch": torch, "math": math}
    exec(program.aten_source(), namespace)
    results = namespace["forward"](*(torch.tensor(inputs[name]).to(dtype) for name in program.inputs))
    shape = np.broadcast_shapes(*(a.shape for a in inputs.values()))
    return [np.broadcast_to(torch.as_tensor(r, dtype=dtype).double().numpy(), shape) for r in results]


def worst_excess(row: Operator, x: Array, arguments: Sequence[float], place: int) -> dict[str, tuple[float, str]]:
    """The largest error over its bound, by the way of computing, and where it is, as argument ``place`` runs over x."""
    names = row.arguments
    e = apply(row.name, *(symbol(f"{n}_" if n not in ("x", "y", "z") else n) for n in names))
    free = [a.name for a in e.args]
    roots = [e, derivative(e, free[place])]
    inputs = {name: np.asarray(value) for name, value in zip(free, arguments, strict=True)}
    inputs[free[place]] = x
    ways = {
        "numpy": [r.evaluate(**{n: inputs[n] for n in {*r.symbols, *e.variables}}) for r in roots],
        "aten": aten(roots, **{n: np.broadcast_to(a, x.shape) for n, a in inputs.items()}),
    }
    worst: dict[str, tuple[float, str]] = {}
    for i, value in enumerate(x):
        point = (*arguments[:place], float(value), *arguments[place + 1 :])
        f, f1, f2 = slopes(row, point, place)
        smooth = not is_corner(row, point[0]) and not mpmath.isnan(f1)
        for way, computed in ways.items():
            for what, got, true, slope in (("value", computed[0], f, f1), ("slope", computed[1], f1, f2)):
                if what == "slope" and not smooth:
                    continue
                got_here = float(np.broadcast_to(got, x.shape)[i])
                over = excess(got_here, true, float(value), slope)
                if over > worst.get(f"{what} by {way}", (0.0,))[0]:
                    where = f"at {point!r}: {got_here!r}, true {mpmath.nstr(true, 17)}"
                    worst[f"{what} by {way}"] = over, where
    return worst


@by_row(ROWS)
def test_value_and_slope_in_float64(row: Operator) -> None:
    worst = worst_excess(row, points(row), [0.0, *second_arguments(row)], 0)
    assert {k: v for k, v in worst.items() if v[0] > 1} == {}

"""How far an expression's float32 value is from the real one: errors in units of the last place, at sample points.

Every primitive operator is taken to give the float32 nearest to its value, so that what is measured is the form and not
one library's functions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from actc.expr import Expr
from actc.operators import OPERATORS
from actc.program import Program
from actc.samples import Sampler

Errors = npt.NDArray[np.float64]

#: From here on no digit of a float32 is right.
HOPELESS = 2.0**24

#: Bits of the balls that tell the real value, and of it those that must be certain.
_BITS, _CERTAIN = 192, 60


class Sample:
    """Points of x and of other free names, and the real value of a function there: that of the first of its forms that
    balls know.

    ``errors`` of other forms of it are in float32 units in the last place of that value; NaN where it is unknown, and
    HOPELESS at most.
    """

    def __init__(self, function: Sequence[Expr], points: Sequence[Fraction]) -> None:
        self._sampler = _sampler(tuple(points))
        self.x = np.array([float(p) for p in points])
        self.truth = np.full(len(points), math.nan)
        #: Where the first form is certainly undefined.
        self.undefined = np.array([v.is_nan() for v in self._sampler.values(function[0])])
        for form in function:
            if np.any(unknown := np.isnan(self.truth)):
                known = np.array([_number(v) for v in self._sampler.values(form)])
                self.truth = np.where(unknown, known, self.truth)
        self._inputs: dict[str, npt.NDArray[np.float32]] = {}
        self._values: dict[Expr, npt.NDArray[np.float32]] = {}

    def evaluate(self, forms: Sequence[Expr]) -> None:
        """Work out the float32 values of many forms, what they share only once."""
        fresh = [form for form in forms if form not in self._values]
        names = frozenset({"x"}).union(*(form.symbols for form in fresh))
        for name in names - self._inputs.keys():
            self._inputs[name] = np.array(self._sampler.inputs(name), dtype=np.float32)
        found = float32_values(fresh, {name: self._inputs[name] for name in names})
        self._values.update(zip(fresh, found, strict=True))

    def value(self, form: Expr) -> npt.NDArray[np.float32]:
        """The float32 value at each point."""
        if form not in self._values:
            self.evaluate([form])
        return self._values[form]

    def errors(self, form: Expr) -> Errors:
        """The error of each point's value in units in the last place."""
        return errors_beside(self.truth, self.value(form))


def errors_beside(truth: npt.NDArray[np.float64], found: npt.NDArray[np.float32]) -> Errors:
    """Errors of float32 values in units in the last place of the true ones: HOPELESS at most, NaN where there is no
    true one."""
    with np.errstate(all="ignore"):
        rounded = truth.astype(np.float32)
        unit = np.spacing(np.minimum(np.abs(truth), 2.0**127).astype(np.float32))
        errors = np.abs(found.astype(np.float64) - truth) / unit
    # Beyond float32's range the right answer is infinite.
    errors[np.isinf(rounded) & (found == rounded)] = 0
    errors[~(errors < HOPELESS)] = HOPELESS
    errors[np.isnan(truth)] = math.nan
    return errors


def float32_value(form: Expr, inputs: Mapping[str, npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """The value with the result of every operator rounded to float32; the shape is that of the inputs."""
    return float32_values([form], inputs)[0]


def float32_values(
    forms: Sequence[Expr], inputs: Mapping[str, npt.NDArray[np.float32]]
) -> list[npt.NDArray[np.float32]]:
    """The same of several, what they share worked out once."""
    shape = np.broadcast_shapes(*(v.shape for v in inputs.values()))
    program = Program.of(forms)
    values: list[npt.NDArray[np.float64]] = []
    with np.errstate(all="ignore"):
        for step in program.instructions:
            if step.op == "input":
                value = inputs[str(step.name)]
            elif step.op == "constant":
                value = np.asarray(step.value, dtype=np.float32)
            else:
                numpy = OPERATORS[step.op].numpy
                assert numpy is not None
                value = np.asarray(numpy(*(values[a] for a in step.args))).astype(np.float32)
            values.append(np.asarray(value, dtype=np.float64))
        return [np.broadcast_to(values[output], shape).astype(np.float32) for output in program.outputs]


@lru_cache(maxsize=8)
def _sampler(points: tuple[Fraction, ...]) -> Sampler:
    return Sampler(points, bits=_BITS)


def _number(ball: Any) -> float:
    """The value in a ball; NaN where it is undefined or the ball too wide."""
    known = ball.is_zero() or ball.rel_accuracy_bits() >= _CERTAIN if ball.is_finite() else ball.is_exact()
    return float(ball) if known else math.nan

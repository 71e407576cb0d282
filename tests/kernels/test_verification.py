"""Errors against the real function: exact where they can be counted by hand, and found where they are planted."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch
from torch import Tensor

import actc
from actc.errors import ArgumentError
from actc.kernels import verification
from actc.kernels.verification import distance, verify
from actc.rounding import BFLOAT16, FLOAT16, FLOAT32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("text", ["gelu(x)", "log(x)", "1/x", "floor(x)", "asin(x)"])
def test_tables_have_no_error(text: str, dtype: torch.dtype) -> None:
    """The slope is the float32 number that is rounded again where the gradient is 1."""
    found = verify(text, dtype, backend="table")
    assert (found.max_ulp, found.inputs_tried, found.uncertain) == (0, 65536, 0) and math.isnan(found.worst_input)
    assert found.derivative.max_ulp <= 1 and found.derivative.mean_ulp < 1e-3


def test_distance() -> None:
    got = np.array([1.0, 1.0078125, 2.0, math.nan, math.nan, 0.0, math.inf, 3.3895313892515355e38, -0.0])
    true = np.array([1.0, 1.0, 2.0078125, math.nan, 1.0, -0.0, 3.3895313892515355e38, math.inf, 2.0**-134])
    expected = [0.0, 1.0, 0.5, 0.0, math.inf, 0.0, 1.0, 1.0, 0.5]
    assert distance(got, true, BFLOAT16).tolist() == expected


class Wrong:
    """A kernel with an error at one input."""

    def __init__(self, at: float, factor: float) -> None:
        self.at, self.factor = at, factor

    def __call__(self, f: object, x: Tensor, device: object) -> list[np.ndarray]:
        value, slope = COMPUTED(f, x, device)  # type: ignore[arg-type]
        return [np.where(x.numpy() == np.float32(self.at), value * self.factor, value), slope]


COMPUTED = verification._computed


def test_planted_errors_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of all the inputs of a batch, by 20 units in the last place."""
    monkeypatch.setattr(verification, "_computed", Wrong(0.7128906, 1 + 20 * 2.0**-23))
    bits = np.arange(0x3F300000, 0x3F400000, dtype=np.uint32)
    f = actc.compile("x*tanh(x)", backend="aten")
    x = torch.from_numpy(bits.view(np.int32)).view(torch.float32)
    expression, plain = verification._roots(f)[0]
    got, _ = verification._computed(f, x, "cpu")
    for every in (False, True):
        errors, _, uncertain = verification._compared(
            got, bits.view(np.float32).astype(np.float64), expression, expression, plain, 0.0, every
        )
        assert np.argmax(errors) == np.flatnonzero(bits.view(np.float32) == np.float32(0.7128906))[0]
        assert 15 < errors.max() < 45 and not uncertain and np.sort(errors)[-2] <= 0.5001


def test_a_wrong_coefficient_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that is not the one it says, by 1e-5: in every type."""
    wrong, right = actc.compile("x*sigmoid(1.70201*x)"), actc.compile("x*sigmoid(1.702*x)")
    monkeypatch.setattr(verification, "_computed", lambda f, x, device: COMPUTED(wrong, x, device))
    found = verify(right, torch.float32, samples=20000)
    assert found.max_ulp > 100 and found.derivative.max_ulp > 100


def test_errors_of_float32_are_mpmaths() -> None:
    """The reported error at the worst input, and no larger one at others, computed with 50 digits."""
    f = actc.compile("tanh(x) - erf(x)", backend="aten")
    rng = np.random.default_rng(0)
    x = rng.uniform(-3, 3, 300).astype(np.float32)
    got, _ = COMPUTED(f, torch.from_numpy(x), "cpu")
    expression, plain = verification._roots(f)[0]
    errors, _, uncertain = verification._compared(got, x.astype(np.float64), expression, expression, plain, 0.0, False)
    with mpmath.workdps(50):
        for number, value, error in zip(x.tolist(), got.tolist(), errors.tolist(), strict=True):
            true = mpmath.tanh(number) - mpmath.erf(number)
            unit = mpmath.mpf(2) ** (math.frexp(float(true))[1] - 24)
            assert abs(abs(value - true) / unit - error) < 1e-3
    assert not uncertain


def test_samples_are_drawn_by_seed() -> None:
    f = actc.compile("exp(x)", backend="aten")
    first, again, other = (verify(f, torch.float32, samples=5000, seed=seed) for seed in (1, 1, 2))
    assert first == again and first != other
    assert first.inputs_tried == 5000 and 0 < first.max_ulp <= 0.5001 and first.uncertain == 0
    assert math.exp(first.worst_input) > 0


def test_all_inputs_come_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each number once, in order, and progress is told; of a type with fewer of them."""
    told: list[int] = []
    seen: list[np.ndarray] = []
    add = verification._Sum.add
    monkeypatch.setattr(verification, "_ALL", 2**20)
    monkeypatch.setattr(verification, "_BATCH", 2**17)

    def watched(self: verification._Sum, x: np.ndarray, *rest: object) -> None:
        seen.append(x)
        add(self, x, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(verification._Sum, "add", watched)
    found = verify("x*x", torch.float32, every=True, progress=told.append)
    assert found.inputs_tried == 2**20 and told == [k * 2**17 for k in range(1, 9)]
    for part in (0, 1):
        bits = np.concatenate(seen[part::2]).astype(np.float32).view(np.uint32)
        assert np.array_equal(bits, np.arange(2**20))


def test_where_safety_acts() -> None:
    found = verify(actc.compile("1/x", safe=True, backend="table"), torch.float16)
    # Both zeros, and the subnormal numbers up to 2^-16 whose inverse is beyond 65,520.
    x = np.arange(0x400) * 2.0**-24
    with np.errstate(divide="ignore"):
        expected = 2 * int((FLOAT16.rounded(1 / x) == math.inf).sum())
    assert found.saved == expected > 2 and found.max_ulp == 0
    assert verify("1/x", torch.float16).saved == 0
    assert verify(actc.compile("log(x)", safe=True), torch.float32, samples=4000).saved > 1500
    assert FLOAT32.end == 2.0**128 - 2.0**103


def test_what_cannot_be_verified() -> None:
    with pytest.raises(ArgumentError, match="verify takes a function of one input, and beta\\*x has x, beta"):
        verify("beta*x")
    with pytest.raises(ArgumentError, match="bfloat16, float16 and float32 can be verified"):
        verify("x", torch.float64)

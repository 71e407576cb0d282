"""The CPU backend."""

import numpy as np
import pytest
import torch

from actc.kernels import compile
from actc.parsing import parse
from tests.kernels.numerics import *  # noqa: F403


@pytest.fixture
def backend() -> str:
    return "cpu"


@pytest.fixture
def device() -> str:
    return "cpu"


#: Largest errors of float32 functions, in units in the last place. Torch's own are 0.55 for exp, 1.0 expm1, 0.56 tanh,
#: 2.3 sigmoid, 1.5 softplus and log_sigmoid, 2.7 mish; without end for silu and gelu to the left.
ERRORS = {"exp": 0.8, "expm1": 0.9, "tanh": 0.7, "sigmoid": 2.3, "log_sigmoid": 1.5, "softplus": 1.55, "silu": 2.2}
ERRORS |= {"mish": 3.5, "gelu": 6.0, "sin": 1.45, "cos": 1.45, "tan": 3.0}
#: Computed in float64 and rounded once.
ERRORS |= dict.fromkeys(["log", "log1p", "asin", "acos", "atan", "erf", "erfc", "i0e", "i1e"], 0.51)
ERRORS |= dict.fromkeys(["sinh", "cosh", "asinh", "acosh", "atanh"], 0.51)


@pytest.mark.parametrize("name", ERRORS)
def test_errors_in_float32(name: str) -> None:
    """At numbers of every size, and at those that networks see."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 40_000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    usual = [rng.normal(0, 3, 40_000), rng.uniform(-1, 1, 20_000), rng.uniform(-110, 110, 40_000)]
    x = np.concatenate([bits[np.isfinite(bits)], *(each.astype(np.float32) for each in usual)])
    exact = parse(f"{name}(x)").evaluate(x=x.astype(np.float64))
    found = compile(f"{name}(x)", backend="cpu")(torch.from_numpy(x)).numpy()
    with np.errstate(all="ignore"):
        nearest = exact.astype(np.float32)
    assert np.array_equal(np.isnan(found), np.isnan(exact)) and np.array_equal(np.isinf(found), np.isinf(nearest))
    kept = np.isfinite(nearest)
    units = abs(found[kept] - exact[kept]) / np.spacing(abs(nearest[kept])).astype(np.float64)
    assert units.max() <= ERRORS[name]

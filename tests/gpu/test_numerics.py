"""Values and gradients of every operator and of random compositions on a GPU."""

import pytest

pytest.importorskip("triton")

from tests.kernels.numerics import *  # noqa: F403


@pytest.fixture
def backend() -> str:
    return "triton"


@pytest.fixture
def device() -> str:
    return "cuda"

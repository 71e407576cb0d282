"""The CPU backend."""

import pytest

from tests.kernels.numerics import *  # noqa: F403


@pytest.fixture
def backend() -> str:
    return "cpu"


@pytest.fixture
def device() -> str:
    return "cpu"

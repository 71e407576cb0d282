"""The numbers of Triton's kernels under its interpreter.

The interpreter has to be chosen before Triton is imported: `test_triton.py` runs this file, whose name pytest does not
collect by itself, in a process of its own.
"""

import pytest

from tests.kernels.numerics import *  # noqa: F403


@pytest.fixture
def backend() -> str:
    return "triton"


@pytest.fixture
def device() -> str:
    return "cpu"

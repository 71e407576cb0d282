"""Values and gradients of every operator and of random compositions on a GPU, by the tests of the interpreter."""

import pytest

pytest.importorskip("triton")

from tests.kernels.numerics import *  # noqa: F403

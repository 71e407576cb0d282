"""What needs a GPU: marked as such, and skipped, with one reason, where torch finds none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.gpu)


def pytest_runtest_setup() -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch finds no GPU here")

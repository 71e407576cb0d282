"""Worker processes import the objectives by name: their folder goes on the path that they inherit."""

from __future__ import annotations

from pathlib import Path

import pytest

HELPERS = Path(__file__).parent / "helpers"


@pytest.fixture(autouse=True)
def helpers_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HELPERS))

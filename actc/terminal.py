"""Where tables and progress are printed."""

from __future__ import annotations

from typing import NoReturn

from rich.console import Console


class Output(Console):
    """Standard output. Where nobody reads it any more, BrokenPipeError is raised, as ``print`` does; rich itself would
    end the process with a status of its own."""

    def __init__(self) -> None:
        super().__init__(highlight=False)

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError

"""What can go wrong in a search, each with a remedy in its text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from actc.errors import ActcError


class StudyError(ActcError, RuntimeError):
    """A study that can't be opened, written or continued; the text says what to do, and what is recorded stays
    recorded.
    """


class Diverged(ActcError, ArithmeticError):
    """Raised by an objective whose training left the finite numbers; the trial is recorded as `diverged`, not as an
    error.

    `epochs` are the metrics of the epochs before.
    """

    def __init__(self, message: str, epochs: Sequence[Mapping[str, float]] = ()) -> None:
        super().__init__(message)
        self.epochs = tuple(epochs)


class TimedOut(ActcError, TimeoutError):
    """Raised inside a trial that ran past its limit; the trial is recorded as `timed out`."""

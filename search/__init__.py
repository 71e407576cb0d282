"""Searching for activation functions: strategies, tasks, networks, training, and the study that keeps the results."""

from typing import TYPE_CHECKING, Any

if __name__ != "actc.search":
    raise ImportError(f"import this package as actc.search, not as {__name__}")

if TYPE_CHECKING:
    from actc.search.errors import Diverged, StudyError, TimedOut
    from actc.search.execution import SerialExecutor, processes
    from actc.search.record import Record, read
    from actc.search.strategies import Proposal, Strategy
    from actc.search.study import Study
    from actc.search.trial import Outcome, Status, Trial

__all__ = [
    "Diverged",
    "Outcome",
    "Proposal",
    "Record",
    "SerialExecutor",
    "Status",
    "Strategy",
    "Study",
    "StudyError",
    "TimedOut",
    "Trial",
    "processes",
    "read",
]

_HOMES = {
    "errors": ("Diverged", "StudyError", "TimedOut"),
    "execution": ("SerialExecutor", "processes"),
    "record": ("Record", "read"),
    "strategies": ("Proposal", "Strategy"),
    "study": ("Study",),
    "trial": ("Outcome", "Status", "Trial"),
}


def __getattr__(name: str) -> Any:
    # The command line imports this package for its options alone; numpy and the rest can wait until a name is used.
    from importlib import import_module

    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

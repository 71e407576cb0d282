"""The search for better activation functions: studies, strategies, tasks, networks, training."""

from __future__ import annotations

from actc.search.errors import Diverged, StudyError, TimedOut
from actc.search.execution import SerialExecutor, processes
from actc.search.strategies import Proposal, Strategy
from actc.search.study import Study
from actc.search.trial import Outcome, Status, Trial

__all__ = [
    "Diverged",
    "Outcome",
    "Proposal",
    "SerialExecutor",
    "Status",
    "Strategy",
    "Study",
    "StudyError",
    "TimedOut",
    "Trial",
    "processes",
]

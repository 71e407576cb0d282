"""A trial: one candidate, trained once, and everything that is known about it."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Status(enum.StrEnum):
    """How a trial ended; `open` is a trial that was proposed and has no result yet."""

    OPEN = "open"
    DONE = "done"
    DIVERGED = "diverged"
    FAILED = "failed"
    TIMED_OUT = "timed out"


class Stage(enum.StrEnum):
    """`search` trials choose a function; `final` trials retrain the chosen ones and the baselines with fresh seeds."""

    SEARCH = "search"
    FINAL = "final"


@dataclass(frozen=True)
class Outcome:
    """What a worker sends back about one trial.

    `metrics` are the final figures, `epochs` one mapping an epoch, `message` the error's text or the reason for an
    early stop.
    """

    status: Status
    metrics: Mapping[str, float] = field(default_factory=dict)
    epochs: tuple[Mapping[str, float], ...] = ()
    started: float = 0.0
    seconds: float = 0.0
    device: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    message: str = ""


@dataclass(frozen=True)
class Trial:
    """One row of a study.

    `expression` is the canonical text of the class of equivalent functions and what is trained; `proposed` is the
    strategy's own spelling and `origin` what it noted about it (the index in its space, say). `started` is Unix time.
    """

    stage: Stage
    number: int
    expression: str
    proposed: str
    origin: Mapping[str, Any]
    seed: int
    configuration: Mapping[str, Any]
    outcome: Outcome

    @property
    def status(self) -> Status:
        """How it ended."""
        return self.outcome.status

    @property
    def metrics(self) -> Mapping[str, float]:
        """Its final figures; empty without a result."""
        return self.outcome.metrics

    def score(self, metric: str) -> float:
        """The trial's value of `metric`; minus infinity without a finite one, so that it ranks last."""
        value = self.metrics.get(metric, math.nan) if self.status is Status.DONE else math.nan
        return value if math.isfinite(value) else -math.inf

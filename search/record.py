"""A study as it stands on disk, for looking at: nothing here trains or writes."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actc.search.statistics import Comparison, Estimate, estimate, holm, welch
from actc.search.store import Store
from actc.search.study import ranking
from actc.search.trial import Stage, Status, Trial


@dataclass(frozen=True)
class Contender:
    """One function of the final comparison with its runs; `name` is a baseline's name or `trial 17`."""

    name: str
    expression: str
    baseline: bool
    runs: Sequence[Trial]
    values: Sequence[float]
    estimate: Estimate | None
    selection: float

    @property
    def lost(self) -> int:
        """How many of its runs ended without a result."""
        return sum(run.status not in (Status.DONE, Status.OPEN) for run in self.runs)


@dataclass(frozen=True)
class Duel:
    """A found function against a baseline; `adjusted` is the p-value after Holm's correction over all duels."""

    found: Contender
    baseline: Contender
    comparison: Comparison
    adjusted: float


@dataclass(frozen=True)
class Record:
    """All of a study. `goal` is what the last `run` was asked for."""

    directory: Path
    configuration: Mapping[str, Any]
    goal: Mapping[str, Any]
    trials: Sequence[Trial]
    finals: Sequence[Trial]

    @property
    def metric(self) -> str:
        """What the search maximises."""
        return str(self.configuration["metric"])

    @property
    def final_metric(self) -> str:
        """What the final comparison compares."""
        return str(self.configuration["final_metric"])

    @property
    def ranked(self) -> Sequence[Trial]:
        """The finished trials of the search, the best first."""
        return ranking(self.trials, self.metric)

    def contenders(self) -> list[Contender]:
        """The functions of the final comparison: the found ones by rank in the search, then the baselines."""
        groups: dict[str, list[Trial]] = {}
        for trial in self.finals:
            groups.setdefault(trial.expression, []).append(trial)
        found = []
        for expression, runs in groups.items():
            origin = runs[0].origin
            done = [run for run in runs if run.status is Status.DONE]
            values = [run.metrics[self.final_metric] for run in done]
            selecting = [run.metrics.get(self.metric, run.metrics[self.final_metric]) for run in done]
            name = str(origin.get("baseline", f"trial {origin.get('trial')}"))
            selection = sum(selecting) / len(selecting) if selecting else -math.inf
            found.append(
                Contender(
                    name,
                    expression,
                    "baseline" in origin,
                    runs,
                    values,
                    estimate(values) if values else None,
                    selection,
                )
            )
        return found

    def winner(self) -> Contender | None:
        """The found function with the best mean of the *search's* metric over its fresh seeds.

        The final metric isn't used, so that the winner's figure on the test split is as unbiased as everybody's. A
        function that lost a run can't win unless all did.
        """
        found = [contender for contender in self.contenders() if not contender.baseline and contender.values]
        return max(found, key=lambda contender: (-contender.lost, contender.selection), default=None)

    def duels(self) -> list[Duel]:
        """Every found function against every baseline, where both have two values at least."""
        ready = [contender for contender in self.contenders() if len(contender.values) >= 2]
        pairs = [(a, b) for a in ready if not a.baseline for b in ready if b.baseline]
        comparisons = [welch(a.values, b.values) for a, b in pairs]
        adjusted = holm([comparison.p for comparison in comparisons])
        return [Duel(a, b, c, p) for (a, b), c, p in zip(pairs, comparisons, adjusted, strict=True)]

    def counts(self) -> dict[str, int]:
        """How many trials of the search have each status."""
        return {str(status): sum(trial.status is status for trial in self.trials) for status in Status}

    def summary(self) -> dict[str, Any]:
        """The record in short, as JSON values."""
        best, winner = next(iter(self.ranked), None), self.winner()
        return {
            "directory": str(self.directory),
            "configuration": dict(self.configuration),
            "goal": dict(self.goal),
            "trials": self.counts(),
            "best": best and {"trial": best.number, "expression": best.expression, **best.metrics},
            "winner": winner and winner.expression,
            "final": [_contender_summary(contender) for contender in self.contenders()],
            "duels": [_duel_summary(duel) for duel in self.duels()],
            "errors": [
                {"stage": trial.stage, "trial": trial.number, "message": trial.outcome.message}
                for trial in (*self.trials, *self.finals)
                if trial.status is Status.FAILED
            ],
        }


def _contender_summary(contender: Contender) -> dict[str, Any]:
    estimated = contender.estimate
    return {
        "name": contender.name,
        "expression": contender.expression,
        "values": list(contender.values),
        "mean": estimated and estimated.mean,
        "interval": [estimated.low, estimated.high] if estimated and estimated.count > 1 else None,
        "lost": contender.lost,
    }


def _duel_summary(duel: Duel) -> dict[str, Any]:
    return {
        "found": duel.found.expression,
        "baseline": duel.baseline.name,
        "difference": duel.comparison.difference,
        "interval": [duel.comparison.low, duel.comparison.high],
        "p": duel.comparison.p,
        "p_holm": duel.adjusted,
    }


def read(path: str | os.PathLike[str]) -> Record:
    """The study in directory `path`, also while another process runs it. Raises `StudyError` when there is none to
    read.
    """
    with Store(path, writable=False) as store:
        return Record(
            store.directory,
            store.configuration,
            store.value("goal") or {},
            store.trials(Stage.SEARCH),
            store.trials(Stage.FINAL),
        )

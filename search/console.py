"""What a person at the terminal sees of a running study."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from actc.search.trial import Status, Trial


class Watcher(Protocol):
    """Told of every finished trial of one stage."""

    def __call__(self, trial: Trial) -> None: ...


class Display:
    """A progress bar with the best so far on a terminal, a line for each improvement elsewhere, nothing if `silent`."""

    def __init__(self, silent: bool = False) -> None:
        from rich.console import Console

        self.console = Console(quiet=silent, highlight=False, soft_wrap=True, stderr=False)

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(text, markup=False)

    @contextmanager
    def stage(self, title: str, total: int, metric: str, before: list[Trial], keep_best: bool) -> Iterator[Watcher]:
        """Show `total` trials under way, `before` of them finished already; yields what is to be told of each trial.

        `keep_best` shows the best of them, otherwise the last one.
        """
        from rich import progress

        columns = (
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=24),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn(
                "{task.fields[note]}", markup=False, table_column=progress.Column(no_wrap=True, overflow="ellipsis")
            ),
        )
        best = max((trial.score(metric) for trial in before), default=float("-inf"))
        live = self.console.is_terminal and not self.console.quiet
        with progress.Progress(*columns, console=self.console, disable=not live) as bar:
            task = bar.add_task(title, total=total, completed=len(before), note="starting …")

            def watch(trial: Trial) -> None:
                nonlocal best
                score = trial.score(metric)
                better, best = score > best, max(score, best)
                text = described(trial, metric)
                if better or not keep_best:
                    bar.update(task, note=f"best: {text}" if keep_best else text)
                bar.advance(task)
                if not live and (better or not keep_best):
                    self.say(f"{title}: {text}")

            yield watch


def described(trial: Trial, metric: str) -> str:
    """A trial in a line.

    >>> from actc.search.trial import Outcome, Stage
    >>> outcome = Outcome(Status.DONE, {"accuracy": 0.975})
    >>> described(Trial(Stage.SEARCH, 3, "x*erfc(x)", "x*erfc(x)", {}, 1, {}, outcome), "accuracy")
    '0.9750  x*erfc(x)  (trial 3)'
    """
    figure = f"{trial.metrics[metric]:.4f}" if trial.status is Status.DONE else str(trial.status)
    return f"{figure}  {trial.expression}  (trial {trial.number})"


def interrupted(directory: object) -> None:
    """Say how to go on after an interrupt."""
    print(
        f"\nstopped; every finished trial is recorded. Go on with: actc search resume --out {directory}",
        file=sys.stderr,
    )

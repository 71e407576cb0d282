"""The study: what was tried, what came of it, and what to try next."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import numpy as np

from actc.arguments import refused, whole
from actc.classes import Classes
from actc.errors import ExpressionError
from actc.parsing import parse
from actc.search import strategies
from actc.search.classes import canonical
from actc.search.errors import StudyError
from actc.search.execution import Objective, SerialExecutor, evaluate, execute, once
from actc.search.store import Store
from actc.search.strategies import Proposal, Strategy
from actc.search.trial import Outcome, Stage, Status, Trial

ATTEMPTS = 100
HOPELESS = 5

METRIC = {Stage.SEARCH: "metric", Stage.FINAL: "final_metric"}

Proposer = Callable[[Sequence[Trial], np.random.Generator], Iterable[Any]]

# What a stream of random numbers is for; part of its seed, so that the streams are independent.
PROPOSAL, TRAINING, RETRAINING = range(3)


class Study:
    """A search for an activation function, recorded in the directory `path`; a directory that holds it already
    continues it.

    `objective(expr, seed)` returns metrics (a mapping, or one number called `score`); instead of it `task` names a
    ready-made one. `metric` is what is maximised. `strategy` is a name, an object with `ask(history, rng)` or such a
    function. All randomness comes from `seed`. One process may hold a study at a time.

    Raises `StudyError` when the directory holds a different study, or one that can't be used, and
    `actc.errors.ArgumentError` for arguments that cannot be.

    >>> import tempfile
    >>> def objective(expr, seed):
    ...     return -abs(float(expr.evaluate(x=1.0)) - 0.5)
    >>> with tempfile.TemporaryDirectory() as folder, Study(folder, objective, seed=1) as study:
    ...     study.run(5)
    ...     len(study.trials)
    5
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        objective: Objective | None = None,
        *,
        task: str | None = None,
        strategy: str | Strategy | Proposer = "random",
        seed: int = 0,
        metric: str | None = None,
    ) -> None:
        if metric is not None and not isinstance(metric, str):
            raise refused("metric", metric, "write the name of what the objective returns and is to be maximised")
        self.objective = _objective(objective, task)
        self.strategy = _strategy(strategy)
        self.configuration: Mapping[str, Any] = {
            "seed": whole("seed", seed, "write a whole number, 0 or more", least=0),
            "metric": metric or getattr(self.objective, "metric", "score"),
            "final_metric": getattr(final_form(self.objective), "metric", metric or "score"),
            "strategy": dict(self.strategy.configuration()),
            "objective": described(self.objective),
        }
        # Every function is trained once, however it is spelled.
        self._classes = Classes()
        self.store = Store(path, self.configuration)
        try:
            self._refuse_another(self.store.configuration)
            self._trials = self.store.trials(Stage.SEARCH)
            self._finals = self.store.trials(Stage.FINAL)
            try:
                for trial in self._trials:
                    self._classes.place(parse(trial.expression))
            except ExpressionError as error:
                raise self.store.damaged(f"a trial's function can't be read: {error}") from error
        except BaseException:
            self.close()
            raise

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Study:
        """Continue the study in `path`, which must be one of a ready-made task and a named strategy."""
        with Store(path, writable=False) as store:
            configuration = store.configuration
        task, strategy = configuration["objective"].get("task"), configuration["strategy"]["name"]
        if task is None or strategy not in strategies.STRATEGIES:
            raise StudyError(
                f"the study in {path} has an objective or a strategy of its own ({configuration['objective']}, "
                f"{configuration['strategy']}): continue it from Python with Study({str(path)!r}, objective, "
                "strategy=...)"
            )
        return cls(path, task=task, strategy=strategy, seed=configuration["seed"], metric=configuration["metric"])

    def _refuse_another(self, recorded: Mapping[str, Any]) -> None:
        differing = [name for name in self.configuration if recorded.get(name) != self.configuration[name]]
        if differing:
            there = "; ".join(
                f"{name} is {recorded.get(name)!r} there, {self.configuration[name]!r} here" for name in differing
            )
            raise StudyError(
                f"{self.store.directory} already holds another study: {there}. Choose another directory for this one, "
                f"or continue that one with `actc search resume --out {self.store.directory}`"
            )

    @property
    def trials(self) -> Sequence[Trial]:
        """The trials of the search in the order of their numbers, those without a result included."""
        return tuple(self._trials)

    @property
    def finals(self) -> Sequence[Trial]:
        """The retrainings of the best functions and of the baselines."""
        return tuple(self._finals)

    @property
    def best(self) -> Trial | None:
        """The finished trial with the highest metric, the earlier one of equals; None before the first."""
        ranked = ranking(self._trials, self.configuration["metric"])
        return ranked[0] if ranked else None

    def ask(self) -> Trial:
        """Propose the next trial and record it as open.

        Raises `StudyError` when the strategy has nothing new to offer.
        """
        number = len(self._trials)
        rng = np.random.default_rng(self._seed(number, PROPOSAL))
        for _ in range(ATTEMPTS):
            for proposal in self._proposals(rng):
                expression = self._canonical(proposal.expression)
                known = len(self._classes)
                if self._classes.place(parse(expression))[0] == known:
                    origin = dict(proposal.origin)
                    seed = self._seed(number, TRAINING)
                    trial = _open_trial(
                        Stage.SEARCH, number, expression, str(proposal.expression), origin, seed, self.objective
                    )
                    self.store.add([trial])
                    self._trials.append(trial)
                    return trial
        raise StudyError(
            f"the strategy {self.configuration['strategy']} proposed nothing new in {ATTEMPTS} attempts after "
            f"{number} trials: its space is used up, or it keeps coming back to the same functions; ask for fewer "
            "trials or search another space"
        )

    def _proposals(self, rng: np.random.Generator) -> list[Proposal]:
        proposals = self.strategy.ask(self.trials, rng)
        if isinstance(proposals, str) or not isinstance(proposals, Iterable):
            given = reprlib.repr(proposals)
            raise StudyError(f"the strategy {self.configuration['strategy']} gave {given}, no list of proposals")
        return [each if isinstance(each, Proposal) else Proposal(each) for each in proposals]

    def _canonical(self, proposed: Any) -> str:
        try:
            return canonical(proposed)
        except (ExpressionError, TypeError) as error:
            raise StudyError(
                f"the strategy {self.configuration['strategy']} proposed {reprlib.repr(proposed)}: {error}"
            ) from error

    def tell(self, trial: Trial, result: Outcome | Mapping[str, Any] | float) -> Trial:
        """Record the result of an open trial; metrics are enough. Returns the finished trial.

        Raises `StudyError` for a trial that isn't open in this study.
        """
        trials = self._trials if trial.stage is Stage.SEARCH else self._finals
        if not (trial.number < len(trials) and trials[trial.number] == trial and trial.status is Status.OPEN):
            raise StudyError(
                f"trial {trial.number} isn't an open trial of this study; tell() takes what ask() gave, once"
            )
        outcome = (
            result if isinstance(result, Outcome) else evaluate(lambda expr, seed: result, trial.expression, trial.seed)
        )
        finished = replace(trial, outcome=_judged(outcome, self.configuration[METRIC[trial.stage]]))
        self.store.update(finished)
        trials[trial.number] = finished
        return finished

    def run(
        self,
        trials: int,
        executor: Executor | Callable[[], Executor] | None = None,
        *,
        slots: int = 1,
        limit: float | None = None,
        on_trial: Callable[[Trial], None] | None = None,
    ) -> None:
        """Go on until the study has `trials` finished trials; those that an earlier process left open come first.

        `executor` has the `concurrent.futures` interface, or makes such (`actc.search.processes(2)`), which lets dead
        workers be replaced; without it trials run here, one by one. At most `slots` trials run at a time. `limit` is
        the seconds a trial may take. `on_trial` is called with each finished trial. Every result is on disk before the
        next is awaited.

        Raises `StudyError` when the strategy is used up, when a result can't be recorded, and when the first few trials
        all fail.
        """
        whole("trials", trials, "write a whole number, 0 or more", least=0)
        self._execute(self._upcoming(trials), lambda trial: self.objective, executor, slots, limit, on_trial)

    def _upcoming(self, trials: int) -> Iterator[Trial]:
        yield from [trial for trial in self._trials if trial.status is Status.OPEN]
        while len(self._trials) < trials:
            yield self.ask()

    def retrain(
        self,
        functions: Sequence[tuple[str, Mapping[str, Any]]],
        repeats: int,
        executor: Executor | Callable[[], Executor] | None = None,
        *,
        slots: int = 1,
        limit: float | None = None,
        on_trial: Callable[[Trial], None] | None = None,
    ) -> None:
        """Train each of `functions` (canonical text, origin) with the same `repeats` fresh seeds, on the objective's
        final form.

        An objective with a method `final()` is replaced by what that returns: one that measures on the split that the
        search never saw. What is recorded already isn't repeated.
        """
        final = final_form(self.objective)
        planned = {(trial.expression, trial.seed) for trial in self._finals}
        seeds = [self._seed(repeat, RETRAINING) for repeat in range(repeats)]
        missing = [(text, origin, seed) for seed in seeds for text, origin in functions if (text, seed) not in planned]
        new = [
            _open_trial(Stage.FINAL, number, text, text, origin, seed, final)
            for number, (text, origin, seed) in enumerate(missing, start=len(self._finals))
        ]
        self.store.add(new)
        self._finals += new
        wanted = {text for text, _ in functions}
        upcoming = [trial for trial in self._finals if trial.status is Status.OPEN and trial.expression in wanted]
        self._execute(iter(upcoming), lambda trial: final, executor, slots, limit, on_trial)

    def retry(self, status: Status = Status.FAILED) -> int:
        """Open the trials of that status again, for after their cause was removed; returns how many they are."""
        count = 0
        for trials in (self._trials, self._finals):
            for trial in [trial for trial in trials if trial.status is status]:
                trials[trial.number] = replace(trial, outcome=Outcome(Status.OPEN))
                self.store.update(trials[trial.number])
                count += 1
        return count

    def _execute(
        self,
        upcoming: Iterator[Trial],
        objective: Callable[[Trial], Objective],
        executor: Executor | Callable[[], Executor] | None,
        slots: int,
        limit: float | None,
        on_trial: Callable[[Trial], None] | None,
    ) -> None:
        whole("slots", slots, "write a whole number above 0", least=1)
        if limit is not None and not 0 < limit < np.inf:
            raise refused("limit", limit, "write the seconds that a trial may take, a finite number above 0")
        if not (executor is None or isinstance(executor, Executor) or callable(executor)):
            raise refused("executor", executor, "write one of concurrent.futures, or a function that makes one")
        make = SerialExecutor if executor is None else once(executor) if isinstance(executor, Executor) else executor
        for trial, outcome in execute(upcoming, objective, make, slots, limit):
            finished = self.tell(trial, outcome)
            if on_trial is not None:
                on_trial(finished)
            self._stop_if_nothing_works(finished)

    def _stop_if_nothing_works(self, last: Trial) -> None:
        finished = [trial for trial in self._trials if trial.status is not Status.OPEN]
        if len(finished) >= HOPELESS and all(trial.status is Status.FAILED for trial in finished):
            reason = last.outcome.message.strip().splitlines()[-1]
            raise StudyError(
                f"the first {len(finished)} trials all failed, the last one with: {reason}. Mend the objective, then "
                f"go on with `actc search resume --retry-failed --out {self.store.directory}`; the full errors are in "
                "`actc search status`"
            )

    def _seed(self, number: int, purpose: int) -> int:
        return int(np.random.SeedSequence([self.configuration["seed"], number, purpose]).generate_state(1)[0])

    def close(self) -> None:
        """Release the study for other processes."""
        self.store.close()

    def __enter__(self) -> Study:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def ranking(trials: Iterable[Trial], metric: str) -> list[Trial]:
    """The trials that are done, the highest `metric` first, the earlier one of equals."""
    done = [trial for trial in trials if trial.status is Status.DONE]
    return sorted(done, key=lambda trial: (-trial.score(metric), trial.number))


def described(objective: Objective) -> Mapping[str, Any]:
    """What tells one objective from another, as JSON values: its own `configuration()`, or where it is defined."""
    if hasattr(objective, "configuration"):
        return dict(objective.configuration())
    return {"function": _place(objective)}


def final_form(objective: Objective) -> Objective:
    """The objective for the retraining: what its method `final()` returns, otherwise itself."""
    return objective.final() if hasattr(objective, "final") else objective


def _objective(objective: Objective | None, task: str | None) -> Objective:
    if (objective is None) == (task is None):
        raise StudyError("a study needs either an objective or the name of a task, for instance task='digits'")
    if objective is not None:
        if not callable(objective):
            raise refused("objective", objective, "write a function of an expression and a seed that returns metrics")
        return objective
    from actc.search.objective import for_task

    return for_task(str(task))


@dataclass(frozen=True)
class _Function:
    """A proposer that is a plain function, as a strategy."""

    function: Proposer

    def ask(self, history: Sequence[Trial], rng: np.random.Generator) -> Iterable[Any]:
        return self.function(history, rng)

    def configuration(self) -> Mapping[str, Any]:
        return {"name": _place(self.function)}


def _strategy(strategy: str | Strategy | Proposer) -> Strategy:
    if isinstance(strategy, str):
        return strategies.named(strategy)
    if callable(strategy):
        return _Function(strategy)
    if not isinstance(strategy, Strategy):
        raise refused("strategy", strategy, "write a strategy's name, or what has the methods ask and configuration")
    return strategy


def _place(thing: object) -> str:
    """Where a function, or the class of an object, is defined."""
    kind = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{kind.__module__}:{kind.__qualname__}"


def _open_trial(
    stage: Stage,
    number: int,
    expression: str,
    proposed: str,
    origin: Mapping[str, Any],
    seed: int,
    objective: Objective,
) -> Trial:
    return Trial(stage, number, expression, proposed, origin, seed, described(objective), Outcome(Status.OPEN))


def _judged(outcome: Outcome, metric: str) -> Outcome:
    """A trial is done only if its metric is there and all its metrics are finite."""
    if outcome.status is not Status.DONE:
        return outcome
    if metric not in outcome.metrics:
        returned = ", ".join(outcome.metrics) or "nothing"
        message = f"the objective returned {returned}, but not {metric!r}, which the study maximises"
        return replace(outcome, status=Status.FAILED, message=message)
    bad = [name for name, value in outcome.metrics.items() if not np.isfinite(value)]
    if bad:
        return replace(outcome, status=Status.DIVERGED, message=outcome.message or f"{', '.join(bad)} is not finite")
    return outcome

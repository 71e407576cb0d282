"""Strategies: what to try next.

A strategy is any object with `ask(history, rng)`; a plain function of the same two arguments will do. It has no state
of its own: the history (all trials of the search in order, those without a result included) and the generator, which is
seeded by the study's seed and the trial's number alone, are all it may use, so that a study resumes anywhere. Every
strategy named here passes `tests/search/test_strategy_contract.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from actc.expr import Expr
from actc.search.errors import StudyError
from actc.search.trial import Trial
from actc.spaces import Space


@dataclass(frozen=True)
class Proposal:
    """A candidate, and what its strategy wants to remember about it (an index, its parents); JSON values only."""

    expression: Expr | str
    origin: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Strategy(Protocol):
    """What a study asks for candidates."""

    def ask(self, history: Sequence[Trial], rng: np.random.Generator) -> Iterable[Proposal | Expr | str]:
        """Propose one or more candidates, the best first; the study takes the first whose class is new to it."""

    def configuration(self) -> Mapping[str, Any]:
        """What tells this strategy from another, as JSON values."""


def named(name: str) -> Strategy:
    """The strategy of that name with its default settings. Raises `StudyError` for an unknown one."""
    if name not in STRATEGIES:
        raise StudyError(f"unknown strategy {name!r}; there is {', '.join(map(repr, STRATEGIES))}")
    return STRATEGIES[name]()


def _random() -> Strategy:
    from actc.search.strategies.uniform import RandomSearch

    return RandomSearch(Space("binary(unary(x),unary(x))"))


STRATEGIES: Mapping[str, Callable[[], Strategy]] = {"random": _random}

"""What every strategy must keep to; a new one joins by its name in `STRATEGIES`."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import actc
from actc.search import Outcome, Proposal, Status, Study, StudyError, Trial
from actc.search.classes import canonical
from actc.search.strategies import STRATEGIES, named
from actc.search.trial import Stage


def history(length: int, seed: int = 0) -> list[Trial]:
    """Trials of every status, the kinds that a strategy may meet."""
    texts = ["relu(x)", "silu(x)", "x*erf(x)", "1/x", "tanh(x)", "x**2", "max(x, sinh(x))", "i0e(x)", "x - atan(x)"]
    statuses = [Status.DONE, Status.DONE, Status.DIVERGED, Status.DONE, Status.FAILED, Status.TIMED_OUT, Status.OPEN]
    trials = []
    for number in range(length):
        status = statuses[number % len(statuses)]
        metrics = {"score": float(np.sin(number + seed))} if status is Status.DONE else {}
        text = canonical(f"{texts[number % len(texts)]} + {number}")
        trials.append(Trial(Stage.SEARCH, number, text, text, {}, number, {}, Outcome(status, metrics)))
    return trials


def proposals(name: str, trials: Sequence[Trial], seed: int) -> list[tuple[str, Any]]:
    return asked(named(name), trials, seed)


def asked(strategy: Any, trials: Sequence[Trial], seed: int) -> list[tuple[str, Any]]:
    answers = [
        answer if isinstance(answer, Proposal) else Proposal(answer)
        for answer in strategy.ask(trials, np.random.default_rng(seed))
    ]
    return [(str(answer.expression), dict(answer.origin)) for answer in answers]


@pytest.mark.parametrize("name", STRATEGIES)
class TestStrategy:
    @pytest.mark.parametrize("length", [0, 1, 7, 40])
    def test_proposes_expressions_whatever_the_history_holds(self, name: str, length: int) -> None:
        answers = proposals(name, history(length), 1)
        assert answers
        for text, origin in answers:
            assert actc.parse(text) is not None
            assert json.loads(json.dumps(origin)) == origin

    def test_depends_on_history_and_generator_alone(self, name: str) -> None:
        used = named(name)
        for seed in range(5):
            asked(used, history(seed), seed)
        for seed in range(5):
            assert asked(used, history(9), seed) == proposals(name, history(9), seed)

    def test_uses_the_generator_it_is_given(self, name: str) -> None:
        np.random.seed(1)
        first = proposals(name, history(9), 5)
        np.random.seed(2)
        assert proposals(name, history(9), 5) == first
        assert any(proposals(name, history(9), seed) != first for seed in range(6, 12))

    def test_leaves_the_history_as_it_was(self, name: str) -> None:
        trials = history(9)
        asked(named(name), trials, 0)
        assert trials == history(9)

    def test_describes_itself_in_json(self, name: str) -> None:
        configuration = dict(named(name).configuration())
        assert json.loads(json.dumps(configuration)) == configuration
        assert configuration["name"] == name
        assert configuration == dict(named(name).configuration())

    def test_a_study_never_tries_a_class_twice(self, name: str, tmp_path: Path) -> None:
        flatness = importlib.import_module("study_objectives").flatness
        with Study(tmp_path / "study", flatness, strategy=name, seed=4) as study:
            study.run(60)
            expressions = [trial.expression for trial in study.trials]
        assert len(actc.unique(expressions)) == len(expressions) == 60
        assert [canonical(trial.proposed) for trial in study.trials] == expressions


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(StudyError, match=r"unknown strategy 'evolutoin'.*'random'"):
        named("evolutoin")


def test_a_function_is_a_strategy(tmp_path: Path) -> None:
    def doubling(trials: Sequence[Trial], rng: np.random.Generator) -> list[str]:
        return [f"x*{2 ** len(trials)}"]

    with Study(tmp_path / "study", lambda expr, seed: 1.0, strategy=doubling) as study:
        study.run(3)
        assert [trial.expression for trial in study.trials] == [canonical(text) for text in ("x", "x*2", "x*4")]
        assert "doubling" in study.configuration["strategy"]["name"]

"""The study: reproducible, resumable, and clear about what went wrong."""

from __future__ import annotations

import importlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from actc.errors import ArgumentError
from actc.search import Outcome, Status, Study, StudyError, Trial, processes, read
from tests.search.conftest import HELPERS


@pytest.fixture
def objectives() -> Any:
    return importlib.import_module("study_objectives")


def content(trials: Sequence[Trial]) -> list[tuple[Any, ...]]:
    """What two runs of the same study must agree in."""
    return [
        (trial.number, trial.expression, trial.proposed, trial.origin, trial.seed, trial.status, dict(trial.metrics))
        for trial in trials
    ]


def test_two_runs_give_the_same_trials(tmp_path: Path, objectives: Any) -> None:
    runs = []
    for name in ("a", "b"):
        with Study(tmp_path / name, objectives.flatness, seed=11) as study:
            study.run(15)
            runs.append(content(study.trials))
    assert runs[0] == runs[1]
    with Study(tmp_path / "c", objectives.flatness, seed=12) as study:
        study.run(15)
        assert content(study.trials) != runs[0]


def test_processes_give_the_same_trials_as_one(tmp_path: Path, objectives: Any) -> None:
    with Study(tmp_path / "serial", objectives.flatness, seed=5) as study:
        study.run(12)
        serial = content(study.trials)
    with Study(tmp_path / "pool", objectives.flatness, seed=5) as study:
        study.run(12, processes(2), slots=2)
        assert content(study.trials) == serial


def test_ask_and_tell(tmp_path: Path) -> None:
    with Study(tmp_path / "study", lambda expr, seed: 0.0, metric="accuracy") as study:
        first, second = study.ask(), study.ask()
        assert (first.number, second.number, first.status, study.best) == (0, 1, Status.OPEN, None)
        study.tell(second, {"accuracy": 0.5, "epochs": [{"loss": 2.0}, {"loss": 1.0}]})
        study.tell(first, {"accuracy": 0.5})
        assert study.best is study.trials[0]
        assert study.trials[1].outcome.epochs == ({"loss": 2.0}, {"loss": 1.0})
        with pytest.raises(StudyError, match="isn't an open trial"):
            study.tell(first, {"accuracy": 0.9})


def test_every_ending_is_recorded(tmp_path: Path, objectives: Any) -> None:
    with Study(tmp_path / "study", objectives.mixed, seed=1) as study:
        study.run(30)
    for trial in read(tmp_path / "study").trials:
        wanted = {0: Status.FAILED, 1: Status.DIVERGED, 2: Status.DIVERGED}.get(trial.seed % 5, Status.DONE)
        assert trial.status is wanted
        assert trial.outcome.versions["python"] and trial.outcome.device and trial.outcome.started > 0
        if trial.status is Status.FAILED:
            assert "ValueError: unlucky" in trial.outcome.message
        if trial.seed % 5 == 1:
            assert trial.outcome.message == "the loss became inf"
            assert [epoch["loss"] for epoch in trial.outcome.epochs] == [1.0, float("inf")]


def test_a_missing_metric_is_named(tmp_path: Path) -> None:
    with Study(tmp_path / "study", lambda expr, seed: {"acc": 1.0}, metric="accuracy") as study:
        with pytest.raises(StudyError, match="the first 5 trials all failed"):
            study.run(9)
        assert study.trials[0].outcome.message == (
            "the objective returned acc, but not 'accuracy', which the study maximises"
        )


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "the objective returned score=None, which is no number"),
        ("0.5", "the objective returned score='0.5', which is no number"),
        ({"score": [1]}, "the objective returned score=[1], which is no number"),
        ({"score": 10**400}, "which is no number"),
        ({"score": 1.0, "epochs": 3}, "the objective returned epochs=3: return a list with a mapping an epoch"),
        ({"score": 1.0, "epochs": [{"loss": "x"}]}, "the objective returned loss='x', which is no number"),
        ({}, "the objective returned nothing, but not 'score'"),
    ],
    ids=str,
)
def test_what_is_no_metric_fails_the_trial(tmp_path: Path, returned: Any, said: str) -> None:
    with Study(tmp_path / "study", lambda expr, seed: returned) as study:
        study.run(1)
        (trial,) = study.trials
    assert trial.status is Status.FAILED and said in trial.outcome.message.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"seed": -1}, "seed=-1: write a whole number, 0 or more"),
        ({"seed": 1.5}, "seed=1.5: write"),
        ({"seed": "a"}, "seed='a': write"),
        ({"metric": 3}, "metric=3: write the name"),
        ({"strategy": 3}, "strategy=3: write a strategy's name"),
        ({"objective": 3}, "objective=3: write a function"),
    ],
    ids=str,
)
def test_bad_arguments_of_a_study(tmp_path: Path, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        Study(tmp_path / "study", **{"objective": lambda expr, seed: 1.0, **arguments})
    assert said in str(raised.value) and not (tmp_path / "study").exists()


def test_bad_arguments_of_a_run(tmp_path: Path, objectives: Any) -> None:
    with Study(tmp_path / "study", objectives.flatness) as study:
        wrong: list[dict[str, Any]] = [
            {"trials": -1},
            {"trials": "3"},
            {"slots": 0},
            {"limit": -1},
            {"limit": float("nan")},
            {"executor": 3},
        ]
        for options in wrong:
            with pytest.raises(ArgumentError, match=f"^{next(iter(options))}=.*: write"):
                study.run(**{"trials": 1, **options})
        assert not study.trials


@pytest.mark.parametrize("proposals", [None, 3, "relu(x)", ["sigmod(x)"], [None]], ids=str)
def test_a_strategy_that_proposes_no_functions(tmp_path: Path, proposals: Any) -> None:
    with (
        Study(tmp_path / "study", lambda expr, seed: 1.0, strategy=lambda history, rng: proposals) as study,
        pytest.raises(StudyError, match=r"the strategy .*lambda.* (proposed|gave) .*(no list|did you mean|takes text)"),
    ):
        study.run(1)


def test_an_objective_that_always_raises_stops_the_study(tmp_path: Path, objectives: Any) -> None:
    with Study(tmp_path / "study", objectives.raises) as study:
        with pytest.raises(
            StudyError, match=r"all failed, the last one with: ValueError: no such layer.*--retry-failed"
        ):
            study.run(20)
        assert len(study.trials) == 5
        assert study.retry() == 5
        study.objective = objectives.flatness
        study.run(8)
        assert [trial.status for trial in study.trials] == [Status.DONE] * 8


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers on this system")
def test_a_trial_that_hangs_is_stopped(tmp_path: Path, objectives: Any) -> None:
    with Study(tmp_path / "study", objectives.hangs) as study:
        study.run(2, limit=0.2)
        assert [trial.status for trial in study.trials] == [Status.TIMED_OUT] * 2
        assert "0.2 s" in study.trials[0].outcome.message


def test_a_dying_worker_costs_only_the_trial_that_kills_it(tmp_path: Path, objectives: Any) -> None:
    with Study(tmp_path / "study", objectives.dies, seed=2) as study:
        study.run(10, processes(2), slots=2)
        deadly = [trial.number for trial in study.trials if trial.seed % 3 == 0]
        assert deadly
        for trial in study.trials:
            assert trial.status is (Status.FAILED if trial.number in deadly else Status.DONE)
            if trial.number in deadly:
                assert "the worker process died of this trial twice" in trial.outcome.message


def test_a_dying_worker_of_a_borrowed_executor_is_an_error(tmp_path: Path, objectives: Any) -> None:
    pool = processes(1)()
    with (
        Study(tmp_path / "study", objectives.dies, seed=2) as study,
        pytest.raises(StudyError, match=r"actc\.search\.proc"),
    ):
        study.run(10, pool)
    pool.shutdown()


def test_the_strategy_runs_out(tmp_path: Path) -> None:
    def few(trials: Sequence[Trial], rng: Any) -> list[str]:
        return ["x", "relu(x)", "max(x, 0)", "1*x"]

    with Study(tmp_path / "study", lambda expr, seed: 1.0, strategy=few) as study:
        with pytest.raises(StudyError, match="proposed nothing new in 100 attempts after 2 trials"):
            study.run(5)
        assert [trial.status for trial in study.trials] == [Status.DONE] * 2


def test_an_interrupt_leaves_the_trial_open_and_the_study_whole(tmp_path: Path, objectives: Any) -> None:
    calls = 0

    def impatient(expr: Any, seed: int) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return objectives.flatness(expr, seed)

    with Study(tmp_path / "study", impatient, seed=1) as study:
        with pytest.raises(KeyboardInterrupt):
            study.run(6)
        assert [trial.status for trial in study.trials] == [Status.DONE] * 3 + [Status.OPEN]
        study.run(6)
    with Study(tmp_path / "reference", objectives.flatness, seed=1) as reference:
        reference.run(6)
        assert content(study.trials) == content(reference.trials)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_kill_and_resume(tmp_path: Path, objectives: Any, workers: int) -> None:
    """Killed again and again at different moments: nothing lost, nothing doubled, the same trials as without."""
    trials, folder, journal = 60, tmp_path / "study", tmp_path / "journal"
    environment = {**os.environ, "STUDY_JOURNAL": str(journal)}
    environment["PYTHONPATH"] = os.pathsep.join([str(HELPERS), *filter(None, [os.environ.get("PYTHONPATH")])])
    done_before: dict[int, Outcome] = {}
    for goal in (0, 1, 7, 20, 21, 40):
        process = subprocess.Popen(
            [sys.executable, HELPERS / "run_study.py", folder, str(trials), str(workers)],
            env=environment,
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None and finished(folder) < goal:
            time.sleep(0.003)
        process.kill()
        process.wait()
        if folder.joinpath("study.sqlite").exists():
            now = {trial.number: trial.outcome for trial in read(folder).trials if trial.status is not Status.OPEN}
            assert {number: now[number] for number in done_before} == done_before
            done_before = now
    assert len(done_before) >= 40
    with Study(folder, objectives.slow, seed=3) as study:
        study.run(trials)
        resumed = content(study.trials)
    with Study(tmp_path / "reference", objectives.flatness, seed=3) as study:
        study.run(trials)
        assert resumed == content(study.trials)
    # A finished trial is never run again: at most those in flight at the six kills ran twice or more.
    wait_until_quiet(journal)
    repeated = sum(count - 1 for count in Counter(journal.read_text().split()).values())
    assert repeated <= 6 * max(1, workers)


def finished(folder: Path) -> int:
    try:
        connection = sqlite3.connect(f"{(folder / 'study.sqlite').as_uri()}?mode=ro", uri=True)
        try:
            return int(connection.execute("select count(*) from trials where status != 'open'").fetchone()[0])
        finally:
            connection.close()
    except sqlite3.OperationalError:
        return 0


def wait_until_quiet(journal: Path) -> None:
    """Orphaned workers end by themselves, within the trial they are at."""
    size = -1
    while size != journal.stat().st_size:
        size = journal.stat().st_size
        time.sleep(0.2)


def test_retraining_goes_on_where_it_was_left(tmp_path: Path, objectives: Any) -> None:
    functions: list[tuple[str, dict[str, Any]]] = [("relu(x)", {"baseline": "ReLU"}), ("tanh(x)", {"trial": 0})]
    with Study(tmp_path / "study", objectives.flatness) as study:
        study.retrain(functions[:1], 2)
        study.retrain(functions, 3)
        study.retrain(functions, 3)
        assert Counter(trial.expression for trial in study.finals) == {"relu(x)": 3, "tanh(x)": 3}
        assert len({trial.seed for trial in study.finals}) == 3
        assert not {trial.seed for trial in study.finals} & {trial.seed for trial in study.trials}
        assert study.trials == ()


def test_another_study_in_the_directory_is_refused(tmp_path: Path, objectives: Any) -> None:
    with Study(tmp_path / "study", objectives.flatness, seed=1) as study:
        study.run(2)
    with pytest.raises(StudyError, match=r"already holds another study: seed is 1 there, 2 here.*another directory"):
        Study(tmp_path / "study", objectives.flatness, seed=2)
    with pytest.raises(StudyError, match="already holds another study: objective is"):
        Study(tmp_path / "study", objectives.slow, seed=1)
    with Study(tmp_path / "study", objectives.flatness, seed=1) as study:
        assert len(study.trials) == 2


def test_a_study_needs_one_objective(tmp_path: Path, objectives: Any) -> None:
    for arguments in ({}, {"objective": objectives.flatness, "task": "digits"}):
        with pytest.raises(StudyError, match="either an objective or the name of a task"):
            Study(tmp_path / "study", **arguments)


def test_two_processes_cannot_hold_a_study(tmp_path: Path, objectives: Any) -> None:
    with Study(tmp_path / "study", objectives.flatness) as study:
        study.run(1)
        with pytest.raises(StudyError, match="another process is working on the study"):
            Study(tmp_path / "study", objectives.flatness)
        assert len(read(tmp_path / "study").trials) == 1
    Study(tmp_path / "study", objectives.flatness).close()


def test_load_needs_a_ready_made_objective(tmp_path: Path, objectives: Any) -> None:
    Study(tmp_path / "study", objectives.flatness).close()
    with pytest.raises(StudyError, match="continue it from Python with Study"):
        Study.load(tmp_path / "study")
    with pytest.raises(StudyError, match="there is no study in"):
        Study.load(tmp_path / "nothing")


def test_overhead_of_a_trial(tmp_path: Path) -> None:
    def counting(trials: Sequence[Trial], rng: Any) -> list[str]:
        return [f"x*{len(trials) + 2}"]

    with Study(tmp_path / "study", lambda expr, seed: 1.0, strategy=counting) as study:
        study.run(20)
        clock = time.process_time()
        study.run(320)
        # Processor time, since the machine may be busy; the bound is three times what was measured.
        assert (time.process_time() - clock) / 300 < 0.01

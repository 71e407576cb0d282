"""`actc search`: every command, with and without --json, and what it says when something is wrong."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from actc.search import Study, StudyError, read
from actc.search.commands import add_arguments
from actc.search.training import RECIPES, Recipe


def call(*arguments: object) -> int:
    parser = argparse.ArgumentParser(prog="actc search")
    add_arguments(parser)
    parsed = parser.parse_args([str(argument) for argument in arguments])
    return int(parsed.handler(parsed))


RUN = ("run", "--task", "digits", "--strategy", "random", "--seed", 0, "--workers", 1)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One epoch, in this process: these tests are about the commands."""
    from actc.search import execution

    recipe = Recipe(1, 200, 0.02, 0.9, 5e-4, 5)
    monkeypatch.setitem(RECIPES, "digits", recipe)
    monkeypatch.setattr(execution, "processes", lambda workers: execution.SerialExecutor)


@pytest.mark.usefixtures("quick")
def test_run_status_resume_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "demo"
    assert call(*RUN, "--trials", 6, "--finalists", 1, "--repeats", 2, "--out", out) == 0
    shown = capsys.readouterr().out
    assert "search: " in shown and "final comparison" in shown and f"report: {out / 'report.html'}" in shown
    record = read(out)
    assert len(record.trials) == 6 and len(record.finals) == 8
    assert record.goal == {"trials": 6, "finalists": 1, "repeats": 2}

    assert call("status", "--out", out, "--json") == 0
    status = json.loads(capsys.readouterr().out)
    assert status["trials"]["open"] == 0 and status["best"]["expression"] == record.ranked[0].expression
    assert len(status["final"]) == 4 and len(status["duels"]) == 3
    assert call("status", "--out", out) == 0
    assert "mean and 95 % confidence interval" in capsys.readouterr().out

    # The same command again, as after a crash, has nothing left to do.
    assert call(*RUN, "--trials", 6, "--finalists", 1, "--repeats", 2, "--out", out, "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert again["report"] == str(out / "report.html")
    assert [(t.number, t.outcome) for t in read(out).trials] == [(t.number, t.outcome) for t in record.trials]

    (out / "report.html").unlink()
    assert call("report", "--out", out) == 0
    assert (out / "report.html").stat().st_size > 10_000
    assert capsys.readouterr().out.strip() == str(out / "report.html")

    assert call("resume", "--out", out, "--trials", 8, "--workers", 1, "--json") == 0
    more = json.loads(capsys.readouterr().out)
    assert sum(more["trials"].values()) == 8
    assert [(t.number, t.outcome) for t in read(out).trials[:6]] == [(t.number, t.outcome) for t in record.trials]


@pytest.mark.usefixtures("quick")
def test_another_study_in_the_directory(tmp_path: Path) -> None:
    assert call(*RUN, "--trials", 1, "--finalists", 0, "--out", tmp_path, "--json") == 0
    with pytest.raises(StudyError, match="already holds another study: seed is 0 there, 5 here"):
        call("run", "--seed", 5, "--trials", 1, "--out", tmp_path)


@pytest.mark.usefixtures("quick")
def test_an_interrupt_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(self: Study, *arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Study, "run", interrupted)
    assert call(*RUN, "--trials", 2, "--out", tmp_path) == 130
    assert f"actc search resume --out {tmp_path}" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["status", "report", "resume"])
def test_no_study(tmp_path: Path, command: str) -> None:
    with pytest.raises(StudyError, match="there is no study in"):
        call(command, "--out", tmp_path / "nothing")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--trials", "-1", "--out", "x"), "must be a whole number, 0 or more, not '-1'"),
        (("run", "--workers", "0", "--out", "x"), "must be a whole number, 1 or more, not '0'"),
        (("run", "--seed", "one", "--out", "x"), "must be a whole number, 0 or more, not 'one'"),
        (("run", "--limit", "nan", "--out", "x"), "must be a number of seconds above 0, not 'nan'"),
        (("resume", "--limit", "0", "--out", "x"), "must be a number of seconds above 0, not '0'"),
        (("run", "--out", ""), "must name a directory"),
        (("run",), "required: --out"),
        ((), "required: run | resume | status | report"),
    ],
)
def test_bad_arguments(arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        call(*arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="unknown task 'digitz'"):
        call("run", "--task", "digitz", "--out", tmp_path / "study")
    with pytest.raises(StudyError, match="unknown strategy 'evolve'"):
        call("run", "--strategy", "evolve", "--out", tmp_path / "study")
    assert not (tmp_path / "study").exists()

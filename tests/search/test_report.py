"""The report: one file, valid, self-contained, and honest."""

from __future__ import annotations

import errno
import html.parser
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from actc.search import Study, StudyError, read, report
from actc.search.final import BASELINES, contenders
from actc.search.report import figures
from actc.search.report.snippet import snippet
from actc.search.report.wording import code

VOID = {"meta", "br", "wbr", "link", "img", "input", "hr"}


class Checker(html.parser.HTMLParser):
    """Collects what a browser would load, and complains of tags that don't match."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.stack.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "action", "srcset", "data") and not str(value).startswith("#"):
                self.loads.append(f"{tag} {name}={value}")
            if name == "xlink:href":
                self.references.append(str(value)[1:])
            if name == "id":
                self.ids.append(str(value))
            self.references += re.findall(r"url\(#([^)]+)\)", str(value))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.stack and self.stack[-1] == tag, f"</{tag}> where {self.stack[-3:]} is open"
        self.stack.pop()


def checked(path: Path) -> tuple[str, Checker]:
    text = path.read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert checker.stack == []
    return text, checker


def accuracy(expr: Any, seed: int) -> dict[str, Any]:
    """Some functions are better than others, and one in eleven diverges."""
    if len(str(expr)) % 11 == 0:
        return {"accuracy": float("nan")}
    return {"accuracy": 0.9 + len(str(expr)) % 5 / 100 + seed % 11 / 2000, "epochs": [{"loss": 1.0}]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Study(tmp_path / "study", accuracy, metric="accuracy", seed=3) as study:
        study.run(14)
        study.retrain(contenders(study.trials, "accuracy", 3), 5)
    return tmp_path / "study"


def test_it_is_one_valid_file_that_loads_nothing(folder: Path) -> None:
    text, checker = checked(report.write(folder))
    assert text.startswith("<!doctype html>")
    assert checker.loads == []
    assert "://" not in text and "@import" not in text
    assert "script" not in checker.tags
    assert set(checker.references) <= set(checker.ids)
    assert "default-src 'none'" in text
    assert checker.tags.count("svg") >= 5
    assert re.search(r"#0[1-7]0b0c", text) is None, "a colour that should follow the page's light or dark"
    assert "var(--found)" in text and "prefers-color-scheme: dark" in text and "max-width: 40rem" in text
    assert len(text) < 1_000_000


def test_it_says_what_the_study_says(folder: Path) -> None:
    text, _ = checked(report.write(folder))
    record = read(folder)
    plain = re.sub(r"<[^>]+>", "", text)
    winner = record.winner()
    assert winner is not None and not winner.baseline and winner.estimate is not None
    assert winner.expression in html.unescape(plain)
    assert f"{100 * winner.estimate.mean:.2f}\u202f%" in plain
    assert {contender.name for contender in record.contenders() if contender.baseline} == set(BASELINES)
    assert all(len(contender.runs) == 5 for contender in record.contenders())
    assert len(record.duels()) == 9
    assert "corrected for the 9 comparisons by Holm" in plain
    for duel in record.duels():
        assert 0 <= duel.comparison.p <= duel.adjusted <= 1
    verdicts = re.findall(r"(Better than|Worse than|Not told apart from) (\w+)", plain)
    assert len(verdicts) == 3
    for (verdict, name), duel in zip(verdicts, [d for d in record.duels() if d.found == winner], strict=True):
        assert name == duel.baseline.name
        assert (verdict == "Not told apart from") == (duel.adjusted >= 0.05)


def test_it_is_the_same_every_time(folder: Path) -> None:
    assert report.write(folder).read_bytes() == report.write(folder).read_bytes()


@pytest.mark.parametrize("trials", [0, 1])
def test_a_study_in_its_beginnings_has_a_report(tmp_path: Path, trials: int) -> None:
    with Study(tmp_path, accuracy, metric="accuracy") as study:
        study.run(trials)
        if trials:
            study.ask()
    checked(report.write(tmp_path))


def test_text_from_outside_is_escaped(tmp_path: Path) -> None:
    def spiteful(expr: Any, seed: int) -> Any:
        raise ValueError("<script>alert('&')</script>")

    with Study(tmp_path, spiteful) as study, pytest.raises(StudyError):
        study.run(5)
    text, checker = checked(report.write(tmp_path))
    assert "script" not in checker.tags and "&lt;script&gt;" in text


def test_a_report_that_cannot_be_written_leaves_the_old_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = report.write(folder).read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StudyError, match=r"the disk is full.*study itself is safe.*actc search report"):
        report.write(folder)
    assert (folder / "report.html").read_bytes() == before
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_lines_break_where_the_function_or_its_slope_jumps() -> None:
    """ReLU's slope is drawn as two pieces, not as one that rises at 0."""
    paths = re.findall(r'<path d="([^"]*)"[^>]*stroke-dasharray', figures.curve("relu(x)"))
    assert [path.count("M") for path in paths] == [2]


def test_a_power_is_not_broken_in_two() -> None:
    assert code("x**2 * y, z") == "<code>x**<wbr>2 *<wbr> y, <wbr>z</code>"


def test_functions_of_more_than_x_are_reported_too(tmp_path: Path) -> None:
    with Study(tmp_path, lambda expr, seed: 0.5, strategy=lambda history, rng: ["x*sigmoid(beta*x)"]) as study:
        study.run(1)
    text, _ = checked(report.write(tmp_path))
    assert "depends on x, beta" in text
    assert "init.normal_" not in text


@pytest.mark.parametrize("expression", ["x*erfc(x)", "max(x, 1/x)"])
def test_the_snippet_runs(expression: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", snippet(expression)], capture_output=True, text=True, env=os.environ, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "torch.Size([8, 10])\n"

"""The store: what goes in comes out, and a file that can't be used is left alone."""

from __future__ import annotations

import math
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from actc.search import Outcome, Status, Study, StudyError, Trial, read
from actc.search.store import APPLICATION, FORMAT, Store
from actc.search.trial import Stage

DATA = Path(__file__).parent / "data"


def flat(expr: object, seed: int) -> float:
    return 1.0


def trial(number: int, outcome: Outcome, stage: Stage = Stage.SEARCH) -> Trial:
    return Trial(stage, number, "x*erf(x)", "erf(x)*x", {"index": 7}, 2**32 - 1, {"recipe": {"epochs": 3}}, outcome)


OUTCOMES = [
    Outcome(Status.OPEN),
    Outcome(
        Status.DONE,
        {"accuracy": 0.1 + 0.2, "loss": 1e-300},
        ({"loss": 2.5}, {"loss": math.inf}),
        1.7e9,
        0.25,
        "cpu",
        {"python": "3.11.7"},
        "“stopped” after epoch 2",
    ),
    Outcome(Status.FAILED, message="Traceback\n  line\nValueError: 'x'; drop table trials; --\x00"),
]


def test_round_trip(tmp_path: Path) -> None:
    trials = [trial(number, outcome) for number, outcome in enumerate(OUTCOMES)]
    with Store(tmp_path, {"seed": 1}) as store:
        store.add(trials)
        store.add([trial(0, OUTCOMES[1], Stage.FINAL)])
        store.set_value("goal", {"trials": 3, "bound": -math.inf})
    with Store(tmp_path, writable=False) as store:
        assert store.trials(Stage.SEARCH) == trials
        assert store.trials(Stage.FINAL) == [trial(0, OUTCOMES[1], Stage.FINAL)]
        assert store.value("configuration") == {"seed": 1}
        assert store.value("goal") == {"trials": 3, "bound": -math.inf}
        assert store.value("nothing") is None
        assert (store.file.stat().st_mode & 0o777) != 0


def test_nan_survives(tmp_path: Path) -> None:
    with Store(tmp_path, {}) as store:
        store.add([trial(0, Outcome(Status.DIVERGED, {"loss": math.nan}))])
        assert math.isnan(store.trials(Stage.SEARCH)[0].metrics["loss"])


def test_a_trial_is_recorded_once(tmp_path: Path) -> None:
    with Store(tmp_path, {}) as store:
        store.add([trial(0, OUTCOMES[0])])
        with pytest.raises(StudyError):
            store.add([trial(1, OUTCOMES[0]), trial(0, OUTCOMES[0])])
        assert [found.number for found in store.trials(Stage.SEARCH)] == [0]


def frozen(version: int, folder: Path) -> Path:
    """A file as that format's first release wrote it, from its dump."""
    folder.mkdir()
    connection = sqlite3.connect(folder / "study.sqlite")
    connection.executescript((DATA / f"study_v{version}.sql").read_text())
    connection.close()
    return folder


def test_yesterdays_files_stay_readable(tmp_path: Path) -> None:
    record = read(frozen(1, tmp_path / "study"))
    assert record.configuration["seed"] == 7
    assert record.goal == {"trials": 4, "finalists": 1, "repeats": 2}
    assert [found.status for found in record.trials] == [Status.DONE, Status.DIVERGED, Status.FAILED, Status.OPEN]
    assert record.trials[0].expression == "x*erfc(x)"
    assert record.trials[0].metrics == {"score": 0.875}
    assert record.trials[0].outcome.epochs == ({"loss": 1.5}, {"loss": 0.5})
    assert math.isnan(record.trials[1].metrics["score"])
    assert record.finals[0].origin == {"baseline": "ReLU"}


def changed(folder: Path, statement: str) -> Path:
    if not (folder / "study.sqlite").exists():
        Store(folder, {"seed": 1}).close()
    connection = sqlite3.connect(folder / "study.sqlite")
    connection.execute(statement)
    connection.commit()
    connection.close()
    return folder / "study.sqlite"


@pytest.mark.parametrize("writable", [True, False])
def test_a_newer_format_is_refused_and_left_alone(tmp_path: Path, writable: bool) -> None:
    file = changed(tmp_path, f"pragma user_version = {FORMAT + 1}")
    before = file.read_bytes()
    with pytest.raises(
        StudyError, match=rf"newer actc \(study format {FORMAT + 1}; this one knows {FORMAT}\).*--upgrade"
    ):
        Store(tmp_path, {"seed": 1}, writable=writable)
    assert file.read_bytes() == before


def test_any_other_database_is_refused(tmp_path: Path) -> None:
    changed(tmp_path, f"pragma application_id = {APPLICATION + 1}")
    with pytest.raises(StudyError, match="not a study of actc; choose another directory"):
        Store(tmp_path)


def damage(file: Path, kind: str) -> None:
    content = bytearray(file.read_bytes())
    if kind == "text":
        file.write_text("this was a study once\n" * 400)
    elif kind == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif kind == "page":
        # The page after the header's: overwritten in the middle, as a failing disk does.
        content[4096:8192] = b"\xa5" * 4096
        file.write_bytes(content)
    elif kind == "empty":
        file.write_bytes(b"")


@pytest.mark.parametrize("kind", ["text", "cut", "page"])
@pytest.mark.parametrize("writable", [True, False])
def test_a_damaged_file_is_an_error_and_left_alone(tmp_path: Path, kind: str, writable: bool) -> None:
    with Study(tmp_path, lambda expr, seed: 1.0) as study:
        study.run(20)
    file = tmp_path / "study.sqlite"
    damage(file, kind)
    before = file.read_bytes()
    with pytest.raises(StudyError, match=r"is damaged \(.*\.recover.*another directory"):
        Store(tmp_path, writable=writable)
    assert file.read_bytes() == before


def test_an_empty_file_is_no_study(tmp_path: Path) -> None:
    (tmp_path / "study.sqlite").write_bytes(b"")
    with pytest.raises(StudyError, match="not a study of actc"):
        Store(tmp_path)


def test_unreadable_values_are_damage_too(tmp_path: Path) -> None:
    with Study(tmp_path, lambda expr, seed: 1.0) as study:
        study.run(2)
    changed(tmp_path, "update trials set metrics = '{' where number = 1")
    with pytest.raises(StudyError, match="is damaged"):
        read(tmp_path)


@pytest.mark.parametrize(
    "statement",
    [
        "drop table trials",
        "drop table study",
        "delete from study",
        "update study set value = '3'",
        "update study set value = '{}'",
        "alter table trials drop column message",
        "update trials set number = number + 5",
        "update trials set seed = 'first'",
        "update trials set metrics = '[1]'",
        "update trials set epochs = '3'",
        "pragma user_version = 0",
    ],
)
def test_what_a_study_lacks_is_damage_too(tmp_path: Path, statement: str) -> None:
    """Found by whoever opens it, and the study is free afterwards."""
    with Study(tmp_path, flat, seed=1) as study:
        study.run(3)
    file = changed(tmp_path, statement)
    before = file.read_bytes()
    for attempt in (lambda: read(tmp_path), lambda: Study(tmp_path, flat, seed=1)):
        with pytest.raises(StudyError, match=r"is damaged \(.*was left as it is"):
            attempt()
    assert file.read_bytes() == before


def test_a_function_that_cannot_be_read_is_damage(tmp_path: Path) -> None:
    with Study(tmp_path, flat, seed=1) as study:
        study.run(3)
    changed(tmp_path, "update trials set expression = 'foo((' where number = 1")
    for _ in range(2):
        with pytest.raises(StudyError, match=r"is damaged \(a trial's function can't be read"):
            Study(tmp_path, flat, seed=1)


def test_something_else_in_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a" / "study.sqlite").mkdir(parents=True)
    for attempt in (lambda: read(tmp_path / "a"), lambda: Study(tmp_path / "a", flat)):
        with pytest.raises(StudyError, match=r"study\.sqlite is a directory.*move it away"):
            attempt()
    (tmp_path / "b" / "study.lock").mkdir(parents=True)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "study.lock").write_bytes(b"no lock " * 1000)
    for name in ("b", "c"):
        with pytest.raises(StudyError, match=r"study\.lock is no lock.*move it away, it holds nothing of the study"):
            Study(tmp_path / name, flat)


def test_a_closed_study_says_so(tmp_path: Path) -> None:
    with Study(tmp_path, flat) as study:
        study.run(1)
    with pytest.raises(StudyError, match="was closed: open it again"):
        study.run(2)


def test_no_study_there(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"there is no study in .*study.sqlite is missing"):
        read(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_file_in_the_place_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match="can't make the directory"):
        Store(tmp_path / "file", {})


def test_a_full_disk_keeps_what_is_recorded(tmp_path: Path) -> None:
    with Study(tmp_path, lambda expr, seed: {"score": 1.0, "epochs": [{"loss": 1.0}] * 200}) as study:
        study.run(3)
        # SQLite itself then says that the disk is full.
        pages = study.store._rows("pragma page_count")[0][0]
        study.store._rows(f"pragma max_page_count = {pages}")
        with pytest.raises(StudyError, match=r"can't be written: .*full.*actc search resume.*is safe"):
            study.run(30)
    kept = read(tmp_path).trials
    assert [found.status for found in kept[:3]] == [Status.DONE] * 3
    with Study(tmp_path, lambda expr, seed: {"score": 1.0}) as study:
        study.run(10)
        assert [found.status for found in study.trials] == [Status.DONE] * 10


def test_a_full_disk_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("actc.search.store.os.replace", full)
    with pytest.raises(StudyError, match=r"can't be created: No space left on device; free some space"):
        Store(tmp_path / "study", {})
    assert not (tmp_path / "study" / "study.sqlite").exists()
    assert not (tmp_path / "study" / "study.sqlite.draft").exists()


def test_a_copy_of_a_running_study_can_be_read(tmp_path: Path) -> None:
    with Study(tmp_path / "study", lambda expr, seed: 1.0) as study:
        study.run(3)
        shutil.copytree(tmp_path / "study", tmp_path / "copy")
    assert len(read(tmp_path / "copy").trials) == 3

"""Where a study lives: one SQLite file, written by one process.

Optuna's own FAQ warns of SQLite with several writers, so here the study's process is the only one: it holds a lock for
as long as the store is open for writing, and the operating system drops that lock with the process, however it ends.
Readers need no lock. With the write-ahead log and `synchronous=NORMAL` a killed process loses nothing that was
recorded; a power cut may lose the last trials, never the file (sqlite.org, "Write-Ahead Logging"), and those trials are
run again.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from actc.search.errors import StudyError
from actc.search.trial import Outcome, Stage, Status, Trial

FILE = "study.sqlite"
LOCK = "study.lock"
FORMAT = 1
APPLICATION = 0x61637463  # "actc" in ASCII: tells a study from any other SQLite file

SCHEMA = """
create table study (name text primary key, value text not null) without rowid;
create table trials (
    stage text not null,
    number integer not null,
    expression text not null,
    proposed text not null,
    origin text not null,
    seed integer not null,
    configuration text not null,
    status text not null check (status in ('open', 'done', 'diverged', 'failed', 'timed out')),
    metrics text not null,
    epochs text not null,
    started real not null,
    seconds real not null,
    device text not null,
    versions text not null,
    message text not null,
    primary key (stage, number)
) without rowid;
"""
#: What the description of every study says.
CONFIGURATION = {"seed", "metric", "final_metric", "strategy", "objective"}
COLUMNS = (
    "stage, number, expression, proposed, origin, seed, configuration, status, metrics, epochs, started, seconds, "
    "device, versions, message"
)


class Store:
    """The trials and the description of one study, in the directory `path`.

    `configuration` describes the study and is written once, when the directory holds none yet; without it the study
    must exist. `writable=False` opens an existing one without a lock, for a look while another process runs it.

    Raises `StudyError` when the directory or the file can't be used; the file is then left as it was.
    """

    def __init__(
        self, path: str | os.PathLike[str], configuration: Mapping[str, Any] | None = None, writable: bool = True
    ) -> None:
        self.directory = Path(path)
        self.file = self.directory / FILE
        self._lock: sqlite3.Connection | None = None
        self._connection: sqlite3.Connection | None = None
        if self.file.is_dir():
            raise StudyError(f"{self.file} is a directory, and a study is a file: move it away or choose another place")
        if configuration is None and not self.file.exists():
            raise StudyError(
                f"there is no study in {self.directory}: {FILE} is missing; start one with `actc search run`"
            )
        try:
            if writable:
                self._open_for_writing(configuration)
            else:
                self._connection = self._connect(read_only=True)
            self._check()
        except BaseException:
            self.close()
            raise

    def _open_for_writing(self, configuration: Mapping[str, Any] | None) -> None:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StudyError(
                f"can't make the directory {self.directory}: {error.strerror}; choose another one"
            ) from error
        self._lock = _take_lock(self.directory / LOCK)
        if not self.file.exists() and configuration is not None:
            with self._explained("created"):
                _create(self.file, configuration)
        self._connection = self._connect(read_only=False)

    def _connect(self, read_only: bool) -> sqlite3.Connection:
        with self._explained("opened"):
            mode = "ro" if read_only else "rw"
            connection = sqlite3.connect(f"{self.file.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)
            if not read_only:
                connection.execute("pragma synchronous = normal")
            return connection

    def _check(self) -> None:
        with self._explained("read"):
            (application,) = self._rows("pragma application_id")[0]
            (version,) = self._rows("pragma user_version")[0]
            if application != APPLICATION:
                raise StudyError(f"{self.file} is an SQLite file, but not a study of actc; choose another directory")
            if version < 1:
                raise sqlite3.DatabaseError(f"there is no study format {version}")
            if version > FORMAT:
                raise StudyError(
                    f"{self.file} was written by a newer actc (study format {version}; this one knows {FORMAT}): "
                    "upgrade with `pip install --upgrade actc`; the file was left as it is"
                )
            problems = [text for (text,) in self._rows("pragma quick_check(3)") if text != "ok"]
            if problems:
                raise sqlite3.DatabaseError(problems[0].replace("\n", " "))
            if self._lock is not None:
                self._rows("pragma journal_mode = wal")

    def damaged(self, how: object) -> StudyError:
        """The error for a file that holds something else than it should."""
        return StudyError(
            f"{self.file} is damaged ({how}) and was left as it is: restore a copy, save what can be saved with "
            f"`sqlite3 {FILE} .recover`, or start again in another directory"
        )

    @contextmanager
    def _explained(self, action: str) -> Iterator[None]:
        """Turn SQLite's and the system's complaints into one that says what to do."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            said = str(error)
            if "full" in said or "disk I/O" in said:
                remedy = "Free some space there, then start again"
                if action != "created":
                    resume = f"`actc search resume --out {self.directory}`"
                    remedy = f"Free some space there, then continue with {resume}; every trial recorded so far is safe"
                raise StudyError(f"{self.file} can't be {action}: {said}. {remedy}") from error
            if isinstance(error, sqlite3.OperationalError) and not said.startswith("no such"):
                raise StudyError(
                    f"{self.file} can't be {action}: {error}; check that the directory exists, is yours and can be "
                    "written"
                ) from error
            raise self.damaged(error) from error
        except OSError as error:
            raise StudyError(
                f"{self.file} can't be {action}: {error.strerror}; free some space or choose another place"
            ) from error

    def _rows(self, statement: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        if self._connection is None:
            raise StudyError(f"the study in {self.directory} was closed: open it again")
        return self._connection.execute(statement, tuple(values)).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._explained("written"):
            self._rows("begin immediate")
            try:
                yield
                self._rows("commit")
            except BaseException:
                if self._connection is not None and self._connection.in_transaction:
                    self._rows("rollback")
                raise

    def value(self, name: str) -> Any:
        """The JSON value stored under `name`, or None."""
        with self._explained("read"):
            rows = self._rows("select value from study where name = ?", [name])
        return _load(rows[0][0]) if rows else None

    @property
    def configuration(self) -> Mapping[str, Any]:
        """What the study was started with: the values of `CONFIGURATION`."""
        found = self.value("configuration")
        with self._explained("read"):
            if not isinstance(found, Mapping) or not found.keys() >= CONFIGURATION:
                raise sqlite3.DatabaseError("its configuration is not there")
        return found

    def set_value(self, name: str, value: Any) -> None:
        """Store a JSON value under `name`."""
        with self._transaction():
            self._rows("insert or replace into study values (?, ?)", [name, _dump(value)])

    def trials(self, stage: Stage) -> list[Trial]:
        """All trials of one stage in the order of their numbers."""
        with self._explained("read"):
            rows = self._rows(f"select {COLUMNS} from trials where stage = ? order by number", [stage])
            try:
                trials = [_trial(row) for row in rows]
            except (ValueError, TypeError, KeyError) as error:
                raise sqlite3.DatabaseError(f"a trial of stage {stage} can't be read: {error}") from error
            if [trial.number for trial in trials] != list(range(len(trials))):
                raise sqlite3.DatabaseError(f"trials of stage {stage} are missing")
            return trials

    def add(self, trials: Iterable[Trial]) -> None:
        """Record new trials, all or none."""
        rows = [_row(trial) for trial in trials]
        with self._transaction():
            for row in rows:
                self._rows(f"insert into trials ({COLUMNS}) values ({', '.join('?' * len(row))})", row)

    def update(self, trial: Trial) -> None:
        """Record a trial's outcome in place of the one it had."""
        assignments = ", ".join(f"{column.strip()} = ?" for column in COLUMNS.split(","))
        with self._transaction():
            self._rows(
                f"update trials set {assignments} where stage = ? and number = ?",
                [*_row(trial), trial.stage, trial.number],
            )

    def close(self) -> None:
        """Give up the file and the lock; closing twice is harmless."""
        for connection in (self._connection, self._lock):
            if connection is not None:
                connection.close()
        self._connection = self._lock = None

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _take_lock(path: Path) -> sqlite3.Connection:
    """Lock `path` for as long as the returned connection lives; SQLite's own locks work on every platform."""
    connection = None
    try:
        connection = sqlite3.connect(path, timeout=0, isolation_level=None)
        connection.execute("begin exclusive")
    except sqlite3.DatabaseError as error:
        if connection is not None:
            connection.close()
        if "locked" in str(error):
            raise StudyError(
                f"another process is working on the study in {path.parent}; wait for it, or look with `actc search "
                "status`"
            ) from error
        if path.is_dir() or not isinstance(error, sqlite3.OperationalError):
            raise StudyError(f"{path} is no lock ({error}): move it away, it holds nothing of the study") from error
        raise StudyError(f"{path} can't be locked: {error}; check that the directory is yours and has space") from error
    return connection


def _create(file: Path, configuration: Mapping[str, Any]) -> None:
    """Make the whole file beside its place and move it there, so that a half-made study never bears the name."""
    draft = file.with_name(f"{file.name}.draft")
    draft.unlink(missing_ok=True)
    try:
        connection = sqlite3.connect(draft)
        try:
            connection.executescript(SCHEMA)
            connection.execute("insert into study values ('configuration', ?)", [_dump(configuration)])
            connection.execute(f"pragma application_id = {APPLICATION}")
            connection.execute(f"pragma user_version = {FORMAT}")
            connection.commit()
        finally:
            connection.close()
        os.replace(draft, file)
    finally:
        draft.unlink(missing_ok=True)


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they are kept as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _dump(value: Any) -> str:
    return json.dumps(_finite(value), allow_nan=False)


def _load(text: str) -> Any:
    return json.loads(text, object_hook=lambda item: float(item["float"]) if item.keys() == {"float"} else item)


def _row(trial: Trial) -> list[Any]:
    outcome = trial.outcome
    what = [trial.stage, trial.number, trial.expression, trial.proposed, _dump(trial.origin), trial.seed]
    how = [_dump(trial.configuration), outcome.status, _dump(outcome.metrics), _dump(outcome.epochs)]
    where = [outcome.started, outcome.seconds, outcome.device, _dump(outcome.versions), outcome.message]
    return what + how + where


def _trial(row: tuple[Any, ...]) -> Trial:
    stage, number, expression, proposed, origin, seed, configuration, status, metrics, epochs, *rest = row
    started, seconds, device, versions, message = rest
    history = tuple(dict(epoch) for epoch in _load(epochs))
    outcome = Outcome(
        Status(status), dict(_load(metrics)), history, started, seconds, device, dict(_load(versions)), message
    )
    return Trial(
        Stage(stage), number, expression, proposed, dict(_load(origin)), int(seed), dict(_load(configuration)), outcome
    )

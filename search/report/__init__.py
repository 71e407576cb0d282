"""The report of a study: one HTML file that needs nothing else, neither network nor scripts."""

from __future__ import annotations

import os
from pathlib import Path

from actc.files import FileError, write_atomically
from actc.search.errors import StudyError

FILE = "report.html"


def write(path: str | os.PathLike[str]) -> Path:
    """Write `report.html` into the directory of a study from what the study has so far, and return its path.

    The old report stays until the new one is whole. Raises `StudyError` when there is no study, or no space.
    """
    from actc.search.record import read
    from actc.search.report.page import page

    record = read(path)
    try:
        return write_atomically(record.directory / FILE, page(record))
    except FileError as error:
        raise StudyError(
            f"{error}. The study itself is safe: then `actc search report --out {record.directory}`"
        ) from error

"""The report of a study: one HTML file that needs nothing else, neither network nor scripts."""

from __future__ import annotations

import os
from pathlib import Path

from actc.search.errors import StudyError

FILE = "report.html"


def write(path: str | os.PathLike[str]) -> Path:
    """Write `report.html` into the directory of a study from what the study has so far, and return its path.

    The old report stays until the new one is whole. Raises `StudyError` when there is no study, or no space.
    """
    from actc.search.record import read
    from actc.search.report.page import page

    record = read(path)
    text = page(record)
    target = record.directory / FILE
    draft = target.with_name(f".{FILE}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, target)
    except OSError as error:
        raise StudyError(
            f"the report can't be written to {target}: {error.strerror}. The study itself is safe; free some space, "
            f"then `actc search report --out {record.directory}`"
        ) from error
    finally:
        draft.unlink(missing_ok=True)
    return target

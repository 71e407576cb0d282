"""Classes of equal functions as a table for people and as JSON."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from actc.classes import EquivalenceClass
from actc.equivalence import NUMERIC, PROVED
from actc.errors import ParseError
from actc.expr import Expr
from actc.files import FileError
from actc.parsing import parse

#: Classes and members that a table shows.
_ROWS, _MEMBERS = 20, 3


def expressions_in(path: Path) -> Iterator[Expr]:
    """The expressions of a text file, one a line; ``-`` is standard input. Empty lines and those that begin with # are
    skipped.

    Raises FileError for a file that cannot be read, and ParseError, which also names the line, for one that is no
    expression.
    """
    try:
        with sys.stdin if str(path) == "-" else path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                # Some editors begin a file with a byte-order mark.
                text = line.removeprefix("\ufeff").strip()
                if text and not text.startswith("#"):
                    try:
                        yield parse(text)
                    except ParseError as error:
                        problem = f"{path}, line {number}: {error.problem}"
                        raise ParseError(problem, error.text, error.start, error.end) from error
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def summary(classes: Sequence[EquivalenceClass]) -> dict[str, int]:
    """How many expressions and classes there are, and how many members joined a class on what ground."""
    grounds = Counter(verdict for c in classes for verdict in c.verdicts[1:])
    return {
        "expressions": sum(len(c.members) for c in classes),
        "classes": len(classes),
        PROVED: grounds[PROVED],
        NUMERIC: grounds[NUMERIC],
    }


def as_json(classes: Sequence[EquivalenceClass]) -> dict[str, Any]:
    """Everything, members and verdicts in full."""
    return {
        **summary(classes),
        "members": [
            {
                "representative": str(c.representative),
                "members": [str(m) for m in c.members],
                "verdicts": list(c.verdicts),
            }
            for c in classes
        ],
    }


def render(classes: Sequence[EquivalenceClass], proofs: bool = True) -> None:
    """Print the largest classes, and the summary; ``proofs``: whether normal forms were not all that proved."""
    from rich.table import Table

    from actc.terminal import Output

    console = Output()
    table = Table("members", "function", "also written")
    for c in sorted(classes, key=lambda c: -len(c.members))[:_ROWS]:
        others = [str(m) for m in c.members[1 : _MEMBERS + 1]]
        more = ["…"] if len(c.members) > _MEMBERS + 1 else []
        table.add_row(str(len(c.members)), str(c.representative), ", ".join(others + more))
    console.print(table)
    found = summary(classes)
    hidden = f"; the {_ROWS} largest are shown, --json prints all" if len(classes) > _ROWS else ""
    console.print(f"{found['expressions']:,} expressions, {found['classes']:,} functions{hidden}", soft_wrap=True)
    joined = found[PROVED] + found[NUMERIC]
    if joined:
        proved, numeric = found[PROVED], found[NUMERIC]
        ground = "by normal form or proof" if proofs else "by normal form"
        console.print(
            f"{joined:,} joined a class: {proved:,} {ground} ({proved / joined:.1%}), {numeric:,} by their values"
        )

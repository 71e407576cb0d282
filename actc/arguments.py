"""Arguments that are of the wrong type or out of range: refused in one line that says what to write."""

from __future__ import annotations

import operator
import reprlib
from typing import Any

from actc.errors import ArgumentError


def refused(name: str, value: Any, remedy: str) -> ArgumentError:
    """The error for an argument: its name, what was given, what to write instead.

    >>> str(refused("channels", -1, "write a whole number above 0"))
    'channels=-1: write a whole number above 0'
    """
    return ArgumentError(f"{name}={reprlib.repr(value)}: {remedy}")


def flag(name: str, value: Any) -> bool:
    """True or False and nothing else, since "no" would be true."""
    if not isinstance(value, bool):
        raise refused(name, value, "write True or False")
    return value


def whole(name: str, value: Any, remedy: str, least: int | None = None) -> int:
    """A whole number of any integer type, at least ``least``."""
    try:
        number = operator.index(value)
    except (TypeError, RuntimeError) as error:
        raise refused(name, value, remedy) from error
    if isinstance(value, bool) or (least is not None and number < least):
        raise refused(name, value, remedy)
    return number

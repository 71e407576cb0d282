"""Tasks: data in three splits, by name.

A task's `test` split is never looked at during a search; it is for the final comparison alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from actc.search.errors import StudyError


@dataclass(frozen=True)
class Split:
    """`inputs` float32 [n, channels, height, width] with mean 0 and variance 1 over the training split, `labels` int64
    [n].
    """

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Task:
    """A classification task with `classes` classes; chance level is 1 / classes, as the splits are (nearly)
    balanced.
    """

    name: str
    classes: int
    train: Split
    validation: Split
    test: Split
    source: str


@functools.cache
def named(name: str) -> Task:
    """The task of that name, loaded once a process.

    Raises `StudyError` for an unknown name and for data that isn't there.
    """
    if name not in TASKS:
        raise StudyError(f"unknown task {name!r}; there is {', '.join(map(repr, TASKS))}")
    with torch.no_grad():
        return TASKS[name]()


def _digits() -> Task:
    from actc.search.tasks.digits import digits

    return digits()


TASKS: Mapping[str, Callable[[], Task]] = {"digits": _digits}

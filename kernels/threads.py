"""Threads for machine code, which runs without Python's lock."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch


def count() -> int:
    """How many threads torch would use, and so do we."""
    return torch.get_num_threads()


def spread(function: Callable[..., Any], calls: Sequence[Sequence[Any]]) -> None:
    """Calls the function with each of the arguments, all at a time; the last call is made here."""
    waiting = [_pool(os.getpid()).submit(function, *each) for each in calls[:-1]]
    function(*calls[-1])
    for each in waiting:
        each.result()


@functools.lru_cache(maxsize=1)
def _pool(process: int) -> ThreadPoolExecutor:
    # A child that was forked has none of its parent's threads, and starts its own.
    return ThreadPoolExecutor(os.cpu_count(), "actc")

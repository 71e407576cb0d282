"""Machine code in several threads: those that torch's own operations run in, where they can be had.

Threads of ours beside torch's would wait for the same processors, which torch's keep for some milliseconds after each
operation, and to wake one takes 60 µs where an OpenMP region takes 2.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from .llvm import Library

#: ``some(tasks, k)`` runs every task from k on in steps of the number of workers, ``mine(tasks)`` those of its thread.
_TEXT = """
define void @some(ptr %tasks, i64 %first) {
entry:
  %workers.at = getelementptr i64, ptr %tasks, i64 1
  %workers = load i64, ptr %workers.at
  %count.at = getelementptr i64, ptr %tasks, i64 2
  %count = load i64, ptr %count.at
  %size.at = getelementptr i64, ptr %tasks, i64 3
  %size = load i64, ptr %size.at
  %kernel.at = getelementptr i64, ptr %tasks, i64 4
  %kernel = load ptr, ptr %kernel.at
  %arguments = getelementptr i64, ptr %tasks, i64 5
  br label %next
next:
  %k = phi i64 [%first, %entry], [%k.next, %one]
  %there = icmp ult i64 %k, %count
  br i1 %there, label %one, label %done
one:
  %offset = mul i64 %k, %size
  %at = getelementptr i64, ptr %arguments, i64 %offset
  call void %kernel(ptr %at)
  %k.next = add i64 %k, %workers
  br label %next
done:
  ret void
}

define void @mine(ptr %tasks) {
  %number = load ptr, ptr %tasks
  %thread = call i32 %number()
  %first = zext i32 %thread to i64
  call void @some(ptr %tasks, i64 %first)
  ret void
}
"""


def count() -> int:
    """How many threads torch would use, and so do we."""
    return torch.get_num_threads()


def run(kernel: int, calls: Sequence[Sequence[int]], workers: int) -> None:
    """Calls the function at the address ``kernel`` with a pointer to each of the lists of 64-bit numbers."""
    code = _code()
    size = len(calls[0])
    numbers = [number for each in calls for number in each]
    tasks = (ctypes.c_int64 * (5 + len(numbers)))(code.thread_number, workers, len(calls), size, kernel, *numbers)
    if workers == 1:
        code.some(tasks, 0)
    elif code.parallel is not None and os.getpid() == code.process:
        code.parallel(code.mine, tasks, workers, 0)
    else:
        # A child that was forked has none of its parent's OpenMP threads, and would wait for them.
        waiting = [_pool(os.getpid()).submit(code.some, tasks, k) for k in range(1, workers)]
        code.some(tasks, 0)
        for each in waiting:
            each.result()


class _Code:
    def __init__(self) -> None:
        self._library = Library(_TEXT)
        address = self._library.address("some")
        self.some: Callable[..., Any] = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(address)
        self.mine = self._library.address("mine")
        self.process = os.getpid()
        openmp = _openmp()
        self.parallel: Any = getattr(openmp, "GOMP_parallel", None)
        self.thread_number = 0
        if self.parallel is not None:
            self.parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
            self.parallel.restype = None
            self.thread_number = ctypes.cast(openmp.omp_get_thread_num, ctypes.c_void_p).value or 0


@functools.cache
def _code() -> _Code:
    return _Code()


def _openmp() -> Any:
    """The OpenMP that torch has loaded, if this system tells where it is."""
    if not sys.platform.startswith("linux"):
        return None
    for line in Path("/proc/self/maps").read_text().splitlines():
        path = Path(line.rpartition(" ")[2])
        if path.name.startswith(("libgomp", "libiomp", "libomp")):
            return ctypes.CDLL(str(path), mode=os.RTLD_NOLOAD)
    return None


@functools.lru_cache(maxsize=1)
def _pool(process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), "actc")

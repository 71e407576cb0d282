"""A bounded cache that many threads may ask at once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """The values of `make(key)` for the `size` keys asked for last; each is made once, under a lock.

    >>> squares = Cache(lambda n: n * n, size=2)
    >>> squares[3]
    9
    """

    def __init__(self, make: Callable[[K], V], size: int) -> None:
        self._make = make
        self._size = size
        self._values: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.RLock()

    def __getitem__(self, key: K) -> V:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            else:
                self._values[key] = self._make(key)
                if len(self._values) > self._size:
                    self._values.popitem(last=False)
            return self._values[key]

    def __len__(self) -> int:
        return len(self._values)

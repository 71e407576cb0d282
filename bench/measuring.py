"""Time, measured so that two things can be compared: calls take turns, and each begins with a cold cache."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

#: The shares of a sample that its quantiles leave below them.
QUANTILES = {"low": 0.2, "median": 0.5, "high": 0.8}


class Clock(Protocol):
    """Marks on a device's own line of time."""

    def prepare(self) -> None:
        """What is to happen before each call and is not to be measured."""

    def mark(self) -> Any: ...

    def milliseconds(self, start: Any, end: Any) -> float:
        """Between two marks; after `wait`."""

    def wait(self) -> None:
        """Until the device has done all that it was given."""


class DeviceClock:
    """By events. The second-level cache is written over before each call, and the device given so much to do that the
    call's launches are all queued when it begins."""

    def __init__(self) -> None:
        import torch

        self._torch = torch
        size = torch.cuda.get_device_properties(0).L2_cache_size
        self._flushed = torch.empty(2 * size, dtype=torch.uint8, device="cuda")

    def prepare(self) -> None:
        # About a third of a millisecond.
        self._torch.cuda._sleep(600_000)
        self._flushed.zero_()

    def mark(self) -> Any:
        event = self._torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def milliseconds(self, start: Any, end: Any) -> float:
        return float(start.elapsed_time(end))

    def wait(self) -> None:
        self._torch.cuda.synchronize()


class HostClock:
    """What a call takes of the caller's time, the device's included; each call ends with it."""

    def __init__(self, wait: Callable[[], None]) -> None:
        self.wait = wait

    def prepare(self) -> None:
        self.wait()

    def mark(self) -> float:
        self.wait()
        return time.perf_counter()

    def milliseconds(self, start: float, end: float) -> float:
        return 1e3 * (end - start)


def interleaved(
    calls: Mapping[str, Callable[[], object]], clock: Clock, *, seconds: float = 0.15, least: int = 7, most: int = 60
) -> dict[str, list[float]]:
    """Milliseconds of each call, taken in turns: so many rounds as fit in `seconds`, within `least` and `most`."""
    for call in calls.values():
        call()
    clock.wait()
    start = time.perf_counter()
    _round(calls, clock)
    clock.wait()
    rounds = int(seconds / max(time.perf_counter() - start, 1e-9))
    marks = [_round(calls, clock) for _ in range(min(max(rounds, least), most))]
    clock.wait()
    return {name: [clock.milliseconds(*each[name]) for each in marks] for name in calls}


def _round(calls: Mapping[str, Callable[[], object]], clock: Clock) -> dict[str, tuple[Any, Any]]:
    marks = {}
    for name, call in calls.items():
        clock.prepare()
        start = clock.mark()
        call()
        marks[name] = start, clock.mark()
    return marks


def quantiles(sample: Sequence[float]) -> dict[str, float]:
    """Of a sample: those of QUANTILES, between neighbours in proportion, and how many there were."""
    ordered = sorted(sample)

    def at(share: float) -> float:
        place = share * (len(ordered) - 1)
        below = int(place)
        above = min(below + 1, len(ordered) - 1)
        return ordered[below] + (place - below) * (ordered[above] - ordered[below])

    return {name: at(share) for name, share in QUANTILES.items()} | {"rounds": len(ordered)}

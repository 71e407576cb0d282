"""Running trials through anything that has the `concurrent.futures.Executor` interface.

Only text, configuration and seed travel to a worker and only an `Outcome` comes back; workers never see the store.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import platform
import reprlib
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from importlib import metadata
from multiprocessing.connection import wait as wait_for_handles
from typing import Any, ParamSpec, TypeVar

from actc.expr import Expr
from actc.parsing import parse
from actc.search.errors import Diverged, StudyError, TimedOut
from actc.search.trial import Outcome, Status, Trial

P = ParamSpec("P")
T = TypeVar("T")

Objective = Callable[[Expr, int], "Mapping[str, Any] | float"]


class SerialExecutor(Executor):
    """Runs each call where it is submitted, in this thread; a debugger and an interrupt reach it."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run `fn` now; the future that comes back is finished."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def processes(workers: int, threads: int = 1) -> Callable[[], Executor]:
    """A maker of pools of `workers` fresh ("spawn") processes that use `threads` threads each.

    A maker and not a pool, because a pool in which a process died is of no more use. Fresh processes rather than forks:
    forking a process that has started threads or a GPU may hang.
    """
    return functools.partial(_Processes, workers, multiprocessing.get_context("spawn"), _start_worker, (threads,))


class _Processes(ProcessPoolExecutor):
    """A pool that doesn't wait for trials nobody wants any more when it is left early."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As in the base class; with `wait=False` and `cancel_futures=True` running calls are ended, too."""
        workers = list((self._processes or {}).values())
        super().shutdown(wait=wait, cancel_futures=cancel_futures)
        if cancel_futures and not wait:
            for worker in workers:
                worker.terminate()


class _Borrowed(Executor):
    """Somebody else's executor, which isn't ours to shut down."""

    def __init__(self, executor: Executor) -> None:
        self.submit = executor.submit  # type: ignore[method-assign]


def _start_worker(threads: int) -> None:
    """Leave interrupts to the study's process, end with it, and keep to `threads` threads."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def follow() -> None:
            wait_for_handles([parent.sentinel])
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()
    # Whatever the objective imports later (torch, BLAS) reads this when it is loaded.
    os.environ["OMP_NUM_THREADS"] = str(threads)


def evaluate(objective: Objective, expression: str, seed: int, limit: float | None = None) -> Outcome:
    """Call `objective(expr, seed)` and turn whatever happens into an `Outcome`; runs in the worker.

    The objective returns a mapping of metrics, or one number, which becomes the metric `score`; under the key `epochs`
    it may give a list with one mapping an epoch, under `message` a remark. `limit` is in seconds, by an interval timer
    where there is one (POSIX, in a process's main thread); elsewhere a trial isn't interrupted.
    """
    started, clock = time.time(), time.perf_counter()
    status, message = Status.DONE, ""
    metrics: dict[str, float] = {}
    epochs: tuple[Mapping[str, float], ...] = ()
    try:
        with _time_limit(limit):
            returned = objective(parse(expression), seed)
        result: dict[str, Any] = dict(returned) if isinstance(returned, Mapping) else {"score": returned}
        epochs = _figures(result.pop("epochs", ()))
        message = str(result.pop("message", ""))
        metrics = _numbers(result)
    except Diverged as error:
        status, message, epochs = Status.DIVERGED, str(error), _figures(error.epochs)
    except TimedOut as error:
        status, message = Status.TIMED_OUT, str(error)
    except Exception:
        status, message = Status.FAILED, traceback.format_exc()
    seconds = time.perf_counter() - clock
    device = getattr(objective, "device", f"cpu ({platform.machine()})")
    return Outcome(status, metrics, epochs, started, seconds, device, _versions(), message)


def _figures(epochs: Any) -> tuple[Mapping[str, float], ...]:
    if isinstance(epochs, str) or not (isinstance(epochs, Iterable) and all(isinstance(e, Mapping) for e in epochs)):
        raise StudyError(f"the objective returned epochs={reprlib.repr(epochs)}: return a list with a mapping an epoch")
    return tuple(map(_numbers, epochs))


def _numbers(figures: Mapping[Any, Any]) -> dict[str, float]:
    return {str(key): _number(key, value) for key, value in figures.items()}


def _number(key: Any, value: Any) -> float:
    try:
        if isinstance(value, str | bytes):
            raise TypeError("a text")  # "0.5" would pass for a number
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise StudyError(f"the objective returned {key}={reprlib.repr(value)}, which is no number") from error


@functools.cache
def _versions() -> Mapping[str, str]:
    found = {"python": platform.python_version()}
    for name in ("actc", "numpy", "torch", "triton"):
        if name in sys.modules:
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                found[name] = str(getattr(sys.modules[name], "__version__", "source tree"))
    return found


@contextmanager
def _time_limit(seconds: float | None) -> Iterator[None]:
    usable = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if seconds is None or not usable:
        yield
        return

    def ring(number: int, frame: object) -> None:
        raise TimedOut(f"stopped after {seconds:g} s, the limit of a trial")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def execute(
    trials: Iterator[Trial],
    objective: Callable[[Trial], Objective],
    make_executor: Callable[[], Executor],
    slots: int,
    limit: float | None = None,
) -> Iterator[tuple[Trial, Outcome]]:
    """Run `trials`, at most `slots` at a time, and yield each with its outcome as it ends.

    `trials` is drawn from only when a slot is free, so that a strategy sees all results there are. When a worker dies,
    every trial that was in its pool is run again in a new one, alone, so that only a trial that kills workers by itself
    is blamed: it is `failed` when a second worker dies of it.
    """
    executor = make_executor()
    flying: dict[Future[Outcome], Trial] = {}
    suspects: deque[Trial] = deque()
    alone: Trial | None = None
    exhausted = False

    def submitted(trial: Trial) -> Future[Outcome]:
        return executor.submit(evaluate, objective(trial), trial.expression, trial.seed, limit)

    def launch(trial: Trial) -> None:
        future: Future[Outcome]
        try:
            try:
                future = submitted(trial)
            except OSError:
                # A pool that breaks just while it starts a process finds a handle closed; asked again, it knows.
                future = submitted(trial)
        except BrokenExecutor as error:
            future = Future()
            future.set_exception(error)
        flying[future] = trial

    try:
        while True:
            while not exhausted and not suspects and alone is None and len(flying) < slots:
                trial = next(trials, None)
                exhausted = trial is None
                if trial is not None:
                    launch(trial)
            if suspects and not flying:
                alone = suspects.popleft()
                launch(alone)
            if not flying:
                return
            finished, _ = wait(flying, return_when=FIRST_COMPLETED)
            lost = []
            for future in finished:
                trial = flying.pop(future)
                try:
                    outcome = future.result()
                except BrokenExecutor:
                    lost.append(trial)
                    continue
                except Exception:
                    outcome = Outcome(Status.FAILED, started=time.time(), message=traceback.format_exc())
                alone = None
                yield trial, outcome
            if lost:
                for future, trial in list(flying.items()):
                    if not (future.done() and future.exception() is None):
                        del flying[future]
                        lost.append(trial)
                executor.shutdown(wait=False, cancel_futures=True)
                executor = make_executor()
                if alone is not None:
                    yield alone, Outcome(Status.FAILED, started=time.time(), message=DIED)
                    alone = None
                else:
                    suspects.extend(sorted(lost, key=lambda trial: trial.number))
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


DIED = (
    "the worker process died of this trial twice, the second time with nothing beside it: most often the memory ran "
    "out (use fewer workers or a smaller batch), or native code crashed"
)


def once(executor: Executor) -> Callable[[], Executor]:
    """A maker that hands out an executor the caller owns, the first time; it can't be replaced when its workers die."""
    handed = False

    def make() -> Executor:
        nonlocal handed
        if handed:
            raise StudyError(
                "the workers of the given executor died; every finished trial is recorded. Give a function that makes "
                "executors (`actc.search.processes(2)`, for instance) to have them replaced"
            )
        handed = True
        return _Borrowed(executor)

    return make

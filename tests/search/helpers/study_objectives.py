"""Cheap objectives that worker processes can import."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from actc import Expr
from actc.search import Diverged


def flatness(expr: Expr, seed: int) -> Mapping[str, float]:
    """Some number that depends on the function and the seed."""
    with np.errstate(all="ignore"):
        value = np.nan_to_num(expr.evaluate(*[np.linspace(-2, 2, 5)] * len(expr.variables)), posinf=9.0, neginf=-9.0)
    return {"score": float(np.tanh(value).mean()) + seed % 7 / 100}


def slow(expr: Expr, seed: int) -> Mapping[str, float]:
    """The same, but it takes a moment and notes every call."""
    time.sleep(0.02)
    journal = os.environ.get("STUDY_JOURNAL")
    if journal:
        with Path(journal).open("a") as file:
            file.write(f"{seed}\n")
    return flatness(expr, seed)


def raises(expr: Expr, seed: int) -> float:
    """Always fails."""
    raise ValueError("no such layer")


def mixed(expr: Expr, seed: int) -> Mapping[str, float] | float:
    """Fails, diverges, returns NaN or works, by seed."""
    if seed % 5 == 0:
        raise ValueError("unlucky")
    if seed % 5 == 1:
        raise Diverged("the loss became inf", [{"loss": 1.0}, {"loss": float("inf")}])
    if seed % 5 == 2:
        return float("nan")
    return flatness(expr, seed)


def hangs(expr: Expr, seed: int) -> float:
    """Never returns."""
    while True:
        time.sleep(0.05)


def dies(expr: Expr, seed: int) -> Mapping[str, float]:
    """Kills its worker for some of the candidates, as the kernel does when memory runs out."""
    if seed % 3 == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return flatness(expr, seed)

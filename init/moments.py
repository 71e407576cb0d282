"""Gaussian moments of activation functions: E f(X), E f(X)² and Var f(X) for X ~ N(mean, var) (dissertation
§5.4, eq. 5.9 and 5.10).

Integrals that do not exist, or exceed float64, are an answer with a reason: never a number that looks like one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from actc.analysis import Tail, domain, tail
from actc.breakpoints import breakpoints, candidates, evaluator, one_variable, steep_places
from actc.derivatives import derivative
from actc.evaluation import value_at
from actc.expr import Expr
from actc.init.quadrature import HORIZON, Integrals, integrate
from actc.parsing import parse

Floats = np.ndarray[Any, np.dtype[np.float64]]

_UNIT = float(np.finfo(np.float64).eps) / 2
_LARGEST = float(np.finfo(np.float64).max)

#: Pairs integrated at a time: about 60 MB of nodes.
_SLAB = 2048

#: Where float64 is compared with mpmath, to learn how well it evaluates the function: dense near 0, out to ±40.
_PROBES = np.sinh(np.linspace(-4.382, 4.382, 32))


@dataclass(frozen=True)
class Moments:
    """Moments of f(X): floats, or arrays of the shape that mean and var have together.

    ``mean`` = E f, ``second`` = E f², ``var`` = Var f. ``mean_error``, ``second_error`` and ``var_error``
    bound what quadrature and float64 can be off by, and ``error`` is the largest of the first two.
    ``exists``: all three are finite numbers; where they are not, the moments at fault are inf (diverges to
    it, or exceeds float64) or NaN, and ``reason`` says why (None where all is well).
    """

    mean: Any
    var: Any
    second: Any
    mean_error: Any
    var_error: Any
    second_error: Any
    exists: Any
    reason: Any

    @property
    def error(self) -> Any:
        """Bound on the absolute error of ``mean`` and of ``second``."""
        worst = np.maximum(self.mean_error, self.second_error)
        return float(worst) if np.ndim(worst) == 0 else worst

    @property
    def gain(self) -> Any:
        """1/sqrt(E f²): weights with variance gain²/fan_in keep a signal's second moment at 1 behind this
        activation; inf for f = 0.
        """
        with np.errstate(divide="ignore"):
            result = 1.0 / np.sqrt(self.second)
        return float(result) if np.ndim(result) == 0 else result


def gaussian_moments(expression: str | Expr, mean: Any = 0.0, var: Any = 1.0, **parameters: float) -> Moments:
    """Moments of a function of x at X ~ N(mean, var).

    ``mean`` and ``var`` are numbers or arrays, broadcast against each other; many pairs in one call are much
    cheaper than many calls. Parameters of the expression are given by name, as numbers. Adaptive
    Gauss-Kronrod quadrature with breakpoints at the kinks, jumps and poles of the operator table
    (:mod:`actc.breakpoints`); ``var`` 0 gives the function's value. Raises ParseError, ExpressionError for a
    function of more than x or an unknown or missing parameter, ValueError for a negative or non-finite
    ``var`` or a non-finite ``mean``.

    >>> found = gaussian_moments("relu(x)")
    >>> round(found.mean, 12), round(found.second, 12), found.error < 1e-13
    (0.398942280401, 0.5, True)
    >>> gaussian_moments("1/x").reason
    'the mean and the second moment diverge at the pole x = 0'
    """
    e = _closed(parse(expression), parameters)
    means, variances = np.broadcast_arrays(np.asarray(mean, dtype=np.float64), np.asarray(var, dtype=np.float64))
    if not np.isfinite(means).all():
        raise ValueError(f"mean must be finite, got {mean!r}")
    if not (np.isfinite(variances).all() and (variances >= 0).all()):
        raise ValueError(f"var must be finite and not negative, got {var!r}")
    shape = means.shape
    flat_means, stds = means.ravel(), np.sqrt(variances.ravel())
    columns: list[tuple[Any, ...]] = []
    for start in range(0, max(flat_means.size, 1), _SLAB):
        columns.append(_slab(e, flat_means[start : start + _SLAB], stds[start : start + _SLAB]))
    joined = [np.concatenate(parts) for parts in zip(*columns, strict=True)]
    if shape == ():
        return Moments(*(c[0].item() if isinstance(c[0], np.generic) else c[0] for c in joined))
    return Moments(*(c.reshape(shape) for c in joined))


def gain(expression: str | Expr, **parameters: float) -> float:
    """1/sqrt(E f(X)²) for X ~ N(0, 1); see :attr:`Moments.gain`.

    >>> round(gain("relu(x)") ** 2, 12)
    2.0
    """
    return float(gaussian_moments(expression, **parameters).gain)


def _closed(e: Expr, parameters: dict[str, float]) -> Expr:
    from actc.errors import ExpressionError

    if unknown := sorted(parameters.keys() - set(e.parameters)):
        raise ExpressionError(
            f"{', '.join(unknown)} is no parameter of {e}; its parameters: {', '.join(e.parameters) or 'none'}"
        )
    return one_variable(e.substitute({name: float(value) for name, value in parameters.items()}))


def _slab(e: Expr, means: Floats, stds: Floats) -> tuple[Any, ...]:
    n = means.size
    out = {name: np.zeros(n) for name in ("mean", "var", "second", "mean_error", "var_error", "second_error")}
    reasons = np.full(n, None, dtype=object)
    fixed = stds == 0
    if fixed.any():
        _point_values(e, means, fixed, out, reasons)
    open_ = np.flatnonzero(~fixed)
    if open_.size:
        missing = _undefined(e)
        if missing:
            for name in out:
                out[name][open_] = np.nan
            reasons[open_] = missing
        else:
            _integrated(e, means[open_], stds[open_], open_, out, reasons)
    exists = np.isfinite(out["mean"]) & np.isfinite(out["second"]) & np.isfinite(out["var"])
    return (
        out["mean"],
        out["var"],
        out["second"],
        out["mean_error"],
        out["var_error"],
        out["second_error"],
        exists,
        reasons,
    )


def _point_values(e: Expr, means: Floats, fixed: Any, out: dict[str, Floats], reasons: Any) -> None:
    with np.errstate(all="ignore"):
        x = means[fixed]
        values, slopes = evaluator(e)(x), evaluator(derivative(e))(x)
        error = 8 * _UNIT * (np.abs(values) + np.nan_to_num(np.abs(x * slopes)))
        out["mean"][fixed], out["second"][fixed] = values, values**2
        out["mean_error"][fixed], out["second_error"][fixed] = error, 2 * np.abs(values) * error + 4 * _UNIT * values**2
        reasons[fixed] = [
            None if math.isfinite(v * v) else f"the function is not a finite number at x = {p:g}, or its square is not"
            for p, v in zip(x, values, strict=True)
        ]


def _integrated(e: Expr, means: Floats, stds: Floats, where: Any, out: dict[str, Floats], reasons: Any) -> None:
    function = _repaired(e)
    places = _places(e)
    result = integrate(function, means, stds, places)
    mean_excess, second_excess = _evaluation_error(e, means, stds)
    with np.errstate(all="ignore"):
        mean_error, second_error = result.mean_error + mean_excess, result.second_error + second_excess
        var_error = second_error + 2 * np.abs(result.mean) * mean_error
    mean, var, second = result.mean.copy(), result.var.copy(), result.second.copy()
    blame = _overflows(e, function, means, stds, places, result)
    for i in range(means.size):
        verdict = _divergence(e, float(stds[i]))
        too_large = blame[i]
        if verdict is None and too_large is not None:
            verdict = (too_large[0], math.inf, too_large[1])
        if verdict is None and not math.isfinite(result.second[i]):
            verdict = (float(mean[i]), math.inf, "the second moment exceeds the range of float64")
        if verdict is None and math.isfinite(result.bad_low[i]):
            verdict = (
                math.nan,
                math.nan,
                f"the function has no finite value between x = {result.bad_low[i]:g} and {result.bad_high[i]:g}",
            )
        if verdict is not None:
            diverges = not math.isfinite(verdict[0])
            mean[i], second[i], reasons[where[i]] = (verdict[0] if diverges else mean[i]), verdict[1], verdict[2]
            var[i] = math.nan if diverges or math.isnan(verdict[1]) else verdict[1]
            second_error[i] = var_error[i] = math.nan
            if diverges:
                mean_error[i] = math.nan
    for name, values in (
        ("mean", mean),
        ("var", var),
        ("second", second),
        ("mean_error", mean_error),
        ("var_error", var_error),
        ("second_error", second_error),
    ):
        out[name][where] = values


@lru_cache(maxsize=1024)
def _places(e: Expr) -> Floats:
    return np.asarray(np.union1d(candidates(e), steep_places(e)), dtype=np.float64)


# --- which integrals exist ---------------------------------------------------------------------------------------


def _undefined(e: Expr) -> str | None:
    pieces = domain(e)
    if pieces == ((-math.inf, math.inf),):
        return None
    if not pieces:
        return "the function is undefined everywhere"
    gaps = []
    if pieces[0][0] > -math.inf:
        gaps.append(f"x < {pieces[0][0]:g}")
    gaps += [f"{a[1]:g} < x < {b[0]:g}" for a, b in itertools.pairwise(pieces)]
    if pieces[-1][1] < math.inf:
        gaps.append(f"x > {pieces[-1][1]:g}")
    return f"the function is undefined for {' and '.join(gaps)}"


@lru_cache(maxsize=4096)
def _divergence(e: Expr, std: float) -> tuple[float, float, str] | None:
    """(mean, second, reason) where a moment does not exist, the mean being 0 where it does; None if both exist."""
    found = []
    for b in breakpoints(e):
        if b.kind == "pole" and b.order <= -0.49:
            found.append((_signed(b.left, b.right) if b.order <= -0.98 else 0.0, f"the pole x = {b.at:g}", "at"))
    tails: tuple[Tail, Tail] = (tail(e, -1), tail(e, 1))
    for t, name in zip(tails, ("x → -∞", "x → +∞"), strict=True):
        strength = math.inf if t.growth_power > 2 else t.growth_factor * std * std if t.growth_power == 2 else 0.0
        if strength >= 0.25:
            found.append((_signed(t.value, t.value) if strength >= 0.5 else 0.0, name, "for"))
    if not found:
        return None
    means = [f for f in found if f[0] != 0]
    signs = {f[0] for f in means}
    mean = 0.0 if not means else signs.pop() if len(signs) == 1 else math.nan
    guilty = [f"{how} {place}" for _, place, how in (means or found)]
    where = " and ".join(guilty if len(guilty) <= 2 else [guilty[len(guilty) // 2], f"{len(guilty) - 1} more places"])
    return (
        mean,
        math.inf,
        f"{'the mean and the second moment diverge' if means else 'the second moment diverges'} {where}",
    )


def _signed(left: float, right: float) -> float:
    """The infinity that both sides share; NaN for opposite ones, whose difference has no meaning."""
    ends = {v for v in (left, right) if math.isinf(v)}
    return ends.pop() if len(ends) == 1 else math.nan


def _repaired(e: Expr) -> Callable[[Floats], Floats]:
    """The function with what float64 loses on the way put right by mpmath, and values beyond float64 as its
    largest number.
    """
    plain = evaluator(e)

    def function(x: Floats) -> Floats:
        values = plain(x)
        lost = np.isnan(values)
        if lost.any():
            values = values.copy()
            places, back = np.unique(x[lost], return_inverse=True)
            if places.size <= 300:
                values[lost] = np.array([float(value_at(e, p, 20)) for p in places])[back]
        return np.clip(values, -_LARGEST, _LARGEST)

    return function


def _overflows(
    e: Expr, function: Callable[[Floats], Floats], means: Floats, stds: Floats, places: Floats, result: Integrals
) -> list[tuple[float, str] | None]:
    """Where values beyond float64's range matter: (0 or the mean's infinity, reason), by leaving those values
    out once.
    """
    far = np.concatenate([means - HORIZON * stds, means + HORIZON * stds])
    if not (np.abs(function(far)) >= _LARGEST).any():
        return [None] * means.size
    without = integrate(lambda x: np.where(np.abs(v := function(x)) >= _LARGEST, 0.0, v), means, stds, places)
    answers: list[tuple[float, str] | None] = []
    for i in range(means.size):
        with np.errstate(all="ignore"):
            mean_matters = not abs(result.mean[i] - without.mean[i]) <= 1e-15 * abs(result.mean[i])
            second_matters = not abs(result.second[i] - without.second[i]) <= 1e-15 * abs(result.second[i])
        if mean_matters:
            answers.append(
                (math.copysign(math.inf, result.mean[i]), "the mean and the second moment exceed the range of float64")
            )
        elif second_matters:
            answers.append((0.0, "the second moment exceeds the range of float64"))
        else:
            answers.append(None)
    return answers


# --- how well float64 evaluates the function ---------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _excess(e: Expr) -> tuple[Floats, Floats]:
    """At the probes: |f|, and by how much float64 misses the true value beyond the 8u·(|f| + |x f'|) that the
    quadrature allows for.
    """
    with np.errstate(all="ignore"):
        values, slopes = evaluator(e)(_PROBES), evaluator(derivative(e))(_PROBES)
        truth = np.array(
            [
                float(value_at(e, p, 20) - (v if math.isfinite(v) else 0))
                for p, v in zip(_PROBES.tolist(), values.tolist(), strict=True)
            ]
        )
        gap = np.where(np.isfinite(values), np.abs(truth), 0.0)
        allowed = 8 * _UNIT * (np.abs(values) + np.abs(_PROBES * slopes))
        return np.nan_to_num(np.abs(values), posinf=0.0), np.nan_to_num(np.maximum(gap - allowed, 0.0), posinf=0.0)


def _evaluation_error(e: Expr, means: Floats, stds: Floats) -> tuple[Floats, Floats]:
    """What evaluating in float64 adds to the error of E f and E f²: four times the worse end of each stretch
    between probes, by its probability.
    """
    size, excess = _excess(e)
    if not excess.any():
        return np.zeros(means.size), np.zeros(means.size)
    from scipy.special import ndtr

    edges = (np.concatenate([[-np.inf], _PROBES[1:-1], [np.inf]])[None, :] - means[:, None]) / stds[:, None]
    probability = np.diff(ndtr(edges), axis=1)
    worse, larger = np.maximum(excess[1:], excess[:-1]), np.maximum(size[1:], size[:-1])
    with np.errstate(over="ignore", invalid="ignore"):
        return 4 * probability @ worse, 8 * probability @ (worse * (larger + worse))

"""Adaptive quadrature of E f(X) and E f(X)² for X ~ N(mean, std²), many (mean, std) pairs at once.

Gauss-Legendre panels between breakpoints, each with its Kronrod extension as the second rule; panels whose
two rules disagree are halved until the sum of the disagreements is at the level of rounding. A work list
holds the open panels of all pairs together, so that one call of the function serves them all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]

#: |z| beyond which a function that is finite in float64 adds nothing to a second moment that is: exp(-z²/4)
#: is 1e-317 here, and the factor that would make up for it overflows when squared.
HORIZON = 54.0

#: First panels, in standard deviations. Narrow where the mass lies for functions of polynomial growth, wide
#: beyond, where only steep exponentials have theirs: its width is about 1 wherever it lies, so that some node
#: sees it.
_EDGES = np.array([-54.0, -14, -9, -6, -4, -2, 0, 2, 4, 6, 9, 14, 54])

# Kronrod's extension of the 10-point Gauss-Legendre rule (QUADPACK, qk21): positive nodes and weights, outermost first.
_NODES = np.array(
    [
        0.995657163025808080735527280689003, 0.973906528517171720077964012084452, 0.930157491355708226001207180059508,
        0.865063366688984510732096688423493, 0.780817726586416897063717578345042, 0.679409568299024406234327365114874,
        0.562757134668604683339000099272694, 0.433395394129247190799265943165784, 0.294392862701460198131126603103866,
        0.148874338981631210884826001129720, 0.0,
    ]
)  # fmt: skip
_KRONROD = np.array(
    [
        0.011694638867371874278064396062192, 0.032558162307964727478818972459390, 0.054755896574351996031381300244580,
        0.075039674810919952767043140916190, 0.093125454583697605535065465083366, 0.109387158802297641899210590325805,
        0.123491976262065851077958109831074, 0.134709217311473325928054001771707, 0.142775938577060080797094273138717,
        0.147739104901338491374841515972068, 0.149445554002916905664936468389821,
    ]
)  # fmt: skip
_GAUSS = np.array(
    [
        0.0, 0.066671344308688137593568809893332, 0.0, 0.149451349150580593145776339657697, 0.0,
        0.219086362515982043995534934228163, 0.0, 0.269266719309996355091226921569469, 0.0,
        0.295524224714752870173892994651338, 0.0,
    ]
)  # fmt: skip


def _mirror(half: Floats, sign: float) -> Floats:
    return np.concatenate([sign * half, half[-2::-1]])


_NODES, _KRONROD, _GAUSS = _mirror(_NODES, -1.0), _mirror(_KRONROD, 1.0), _mirror(_GAUSS, 1.0)

_UNIT = float(np.finfo(np.float64).eps) / 2
_SMALLEST = float(np.finfo(np.float64).tiny)
_DENSITY_ROOT = (2 * np.pi) ** -0.25


@dataclass(frozen=True)
class Integrals:
    """What :func:`integrate` returns; arrays of shape (n,), one entry a (mean, std) pair.

    The errors bound quadrature and rounding, for a function that is itself within 8u·(|f| + |x·f'|) of the
    truth. ``bad_low`` and ``bad_high`` enclose (in x) where it gave no finite number although the density is
    not negligible there, NaN where all went well.
    """

    mean: Floats
    second: Floats
    var: Floats
    mean_error: Floats
    second_error: Floats
    var_error: Floats
    bad_low: Floats
    bad_high: Floats


def integrate(
    function: Callable[[Floats], Floats],
    means: Floats,
    stds: Floats,
    breakpoints: Floats | None = None,
    tolerance: float = 1e-15,
    max_rounds: int = 80,
    max_panels: int = 4000,
) -> Integrals:
    """E f(X), E f(X)² and Var f(X) for X ~ N(means[i], stds[i]²), each with an error bound (dissertation
    §5.4, eq. 5.9 and 5.10).

    ``function`` maps float64 arrays of any shape to float64 arrays of that shape; ``means`` and ``stds`` have
    shape (n,), ``stds`` positive; ``breakpoints`` (in x, sorted) are where the function or one of its
    derivatives jumps. ``tolerance`` is relative to E|f| and E f², for each panel. The work is bounded by
    ``max_rounds`` halvings and about ``max_panels`` panels a pair; what is left then is in the error bound. A
    moment that overflows is inf.

    >>> import numpy as np
    >>> result = integrate(lambda x: np.maximum(x, 0), np.zeros(1), np.ones(1), breakpoints=np.zeros(1))
    >>> round(float(result.second[0]), 14)
    0.5
    """
    with np.errstate(all="ignore"):
        return _integrate(function, means, stds, breakpoints, tolerance, max_rounds, max_panels)


def _integrate(
    function: Callable[[Floats], Floats],
    means: Floats,
    stds: Floats,
    breakpoints: Floats | None,
    tolerance: float,
    max_rounds: int,
    max_panels: int,
) -> Integrals:
    n = means.size
    breakpoints = np.empty(0) if breakpoints is None else np.asarray(breakpoints, dtype=np.float64)
    work = _initial_panels(means, stds, breakpoints)
    done = np.zeros((_ROWS, n))
    kept: list[tuple[Any, Floats, Floats]] = []
    bad_low, bad_high = np.full(n, np.nan), np.full(n, np.nan)
    opened = np.bincount(work.owner, minlength=n)

    for round_number in range(max_rounds + 1):
        owner = work.owner
        panel = _evaluate(function, work)
        absolute, second, mean_gap, second_gap = (
            panel.sums[_ABSOLUTE],
            panel.sums[_SECOND],
            panel.sums[_MEAN_GAP],
            panel.sums[_SECOND_GAP],
        )
        scale_mean = done[_ABSOLUTE] + _per_owner(owner, np.where(panel.finite, absolute, 0.0), n)
        scale_second = done[_SECOND] + _per_owner(owner, np.where(panel.finite, second, 0.0), n)
        # A gap below the panel's own rounding cannot be narrowed by halving it.
        good = mean_gap <= tolerance * scale_mean[owner] + 4 * _UNIT * absolute
        good &= second_gap <= tolerance * scale_second[owner] + 4 * _UNIT * second
        x_low, x_high = work.x(work.low), work.x(work.high)
        exhausted = x_high - x_low <= 8 * np.spacing(np.maximum(np.abs(x_low), np.abs(x_high)))
        exhausted |= (opened[owner] >= max_panels) | (round_number == max_rounds)
        close = (good & panel.finite) | exhausted | panel.hopeless
        failed = close & ~panel.finite
        np.fmin.at(bad_low, owner[failed], x_low[failed])
        np.fmax.at(bad_high, owner[failed], x_high[failed])
        keep = close & panel.finite
        for row in range(_ROWS):
            done[row] += _per_owner(owner[keep], panel.sums[row][keep], n)
        kept.append((owner[keep], panel.values[keep], panel.roots[keep]))
        if close.all():
            break
        opened = opened + np.bincount(owner[~close], minlength=n)
        work = work.halved(~close)

    mean, second = done[_MEAN], done[_SECOND]
    # The variance from the nodes themselves: second - mean² would cancel.
    var = np.zeros(n)
    for owners, values, roots in kept:
        centred = np.where(roots > 0, values - mean[owners][:, None], 0.0)
        var += _per_owner(owners, ((centred * roots) ** 2).sum(axis=1), n)
    mean_slip, second_slip = _slips(function, means, stds, breakpoints)
    mean_error = done[_MEAN_GAP] + _UNIT * (done[_MEAN_ROUNDING] + mean_slip) + _SMALLEST
    second_error = done[_SECOND_GAP] + _UNIT * (done[_SECOND_ROUNDING] + second_slip) + _SMALLEST
    var_error = second_error + 2 * np.abs(mean) * mean_error
    return Integrals(mean, second, var, mean_error, second_error, var_error, bad_low, bad_high)


@dataclass(frozen=True)
class _Work:
    """Open panels, each an interval of offsets from its anchor: a breakpoint (or the mean) known in x and in z.

    Next to a breakpoint b the offset resolves x - b far below the spacing of x or z, as a logarithm or a root
    there needs.
    """

    low: Floats
    high: Floats
    anchor_x: Floats
    anchor_z: Floats
    std: Floats
    owner: Any

    def x(self, offset: Floats) -> Floats:
        return self.anchor_x + self.std * offset

    def halved(self, which: Any) -> _Work:
        low, high, *rest = (getattr(self, field.name)[which] for field in fields(self))
        middle = low + (high - low) / 2
        return _Work(
            np.concatenate([low, middle]), np.concatenate([middle, high]), *(np.concatenate([r, r]) for r in rest)
        )


def _initial_panels(means: Floats, stds: Floats, breakpoints: Floats) -> _Work:
    n, m, k = means.size, _EDGES.size, breakpoints.size
    edges = np.broadcast_to(_EDGES, (n, m))
    # Which breakpoint an edge is; k for the fixed edges, whose anchor is the mean.
    which = np.full((n, m + k), k)
    if k:
        at = (breakpoints[None, :] - means[:, None]) / stds[:, None]
        edges = np.concatenate([edges, np.clip(at, -HORIZON, HORIZON)], axis=1)
        which[:, m:] = np.where(np.abs(at) < HORIZON, np.arange(k), k)
        order = np.argsort(edges, axis=1, kind="stable")
        edges, which = np.take_along_axis(edges, order, axis=1), np.take_along_axis(which, order, axis=1)
        # A panel between two breakpoints is cut in the middle, so that each half has its own anchor.
        middle = edges[:, :-1] + np.diff(edges, axis=1) / 2
        cut = (which[:, :-1] < k) & (which[:, 1:] < k)
        edges = np.concatenate([edges, np.where(cut, middle, HORIZON)], axis=1)
        which = np.concatenate([which, np.full(cut.shape, k)], axis=1)
        order = np.argsort(edges, axis=1, kind="stable")
        edges, which = np.take_along_axis(edges, order, axis=1), np.take_along_axis(which, order, axis=1)
    low, high = edges[:, :-1], edges[:, 1:]
    keep = high > low
    owner = np.broadcast_to(np.arange(n)[:, None], low.shape)[keep]
    low, high = low[keep], high[keep]
    anchor = np.minimum(which[:, :-1], which[:, 1:])[keep]
    at_mean = anchor == k
    anchor_x = np.where(at_mean, means[owner], np.append(breakpoints, 0.0)[anchor])
    anchor_z = np.where(at_mean, 0.0, (anchor_x - means[owner]) / stds[owner])
    return _Work(low - anchor_z, high - anchor_z, anchor_x, anchor_z, stds[owner], owner)


def _slips(
    function: Callable[[Floats], Floats], means: Floats, stds: Floats, breakpoints: Floats
) -> tuple[Floats, Floats]:
    """What a jump contributes in units of u, its place being rounded in x and in z."""
    if not breakpoints.size:
        return np.zeros(means.size), np.zeros(means.size)
    # A few spacings away on both sides: rounding inside the function may move its jump by some.
    aside = 16 * np.spacing(np.abs(breakpoints))
    left, right = function(breakpoints - aside), function(breakpoints + aside)
    jump, jump_second = (np.nan_to_num(np.abs(d), nan=0.0, posinf=0.0) for d in (right - left, right**2 - left**2))
    z = (breakpoints[None, :] - means[:, None]) / stds[:, None]
    slip = 8 * np.exp(-z * z / 2) * (np.abs(means)[:, None] + np.abs(breakpoints)) / stds[:, None]
    return slip @ jump, slip @ jump_second


_MEAN, _SECOND, _ABSOLUTE, _MEAN_GAP, _SECOND_GAP, _MEAN_ROUNDING, _SECOND_ROUNDING = range(7)
_ROWS = 7


@dataclass(frozen=True)
class _Panels:
    sums: Floats  #: (7, panels), the rows named above
    values: Floats  #: (panels, 21), f at the nodes
    roots: Floats  #: (panels, 21), of the density times the Kronrod weight
    finite: Any  #: (panels,), f is finite at every node that counts
    hopeless: Any  #: (panels,), f is finite at no node


def _evaluate(function: Callable[[Floats], Floats], work: _Work) -> _Panels:
    std = work.std[:, None]
    half = (work.high - work.low)[:, None] / 2
    offset = work.low[:, None] + half * (1 + _NODES)
    z = work.anchor_z[:, None] + offset
    x = work.anchor_x[:, None] + std * offset
    f = function(x)
    root = np.exp(-z * z / 4) * _DENSITY_ROOT
    # f·root first: its square is finite whenever the second moment is, although f² alone may overflow.
    q = f * root
    here = np.isfinite(q)
    first, second = q * root, q * q
    gauss, kronrod = _GAUSS * half, _KRONROD * half
    sums = np.empty((_ROWS, work.low.size))
    sums[_MEAN] = (first * kronrod).sum(axis=1)
    sums[_SECOND] = (second * kronrod).sum(axis=1)
    sums[_ABSOLUTE] = (np.abs(first) * kronrod).sum(axis=1)
    # Where a sum overflows, the moment is inf and no gap needs narrowing.
    sums[_MEAN_GAP] = np.nan_to_num(np.abs(sums[_MEAN] - (first * gauss).sum(axis=1)), nan=0.0, posinf=0.0)
    sums[_SECOND_GAP] = np.nan_to_num(np.abs(sums[_SECOND] - (second * gauss).sum(axis=1)), nan=0.0, posinf=0.0)
    # Rounding: z is off by 4u·|z|, once each for the root, the difference, the quotient and the sum that it comes
    # from, so the density's exponent moves by 4z²u; 8 units for the function and as many for sums. An
    # argument off by u·(|anchor| + |std·offset|), or a function as good as its argument, moves f by |x f'|u:
    # f's variation between neighbouring nodes times |x| and the density.
    relative = 16 + 4 * z * z
    moved = 16 * np.abs(np.diff(f, axis=1)) * (np.abs(work.anchor_x)[:, None] + std * np.abs(offset[:, 1:])) / std
    density = np.maximum(root[:, 1:], root[:, :-1])
    sums[_MEAN_ROUNDING] = (np.abs(first) * relative * kronrod).sum(axis=1) + (moved * density * density).sum(axis=1)
    beside = np.maximum(np.abs(q[:, 1:]), np.abs(q[:, :-1]))
    sums[_SECOND_ROUNDING] = 2 * (second * relative * kronrod).sum(axis=1) + 2 * (moved * density * beside).sum(axis=1)
    return _Panels(sums, f, root * np.sqrt(kronrod), here.all(axis=1), ~here.any(axis=1))


def _per_owner(owner: Any, values: Floats, n: int) -> Floats:
    return np.asarray(np.bincount(owner, weights=values, minlength=n), dtype=np.float64)

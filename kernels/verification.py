"""How far a compiled activation is from the real function: in units in the last place, over every input or a sample.

16-bit results are compared with the real value rounded once; float32 results with the real value itself, of which
float64 knows enough: bounds of its error are computed for every input of a sample and, of all inputs, for every
4,096th, between which they change little. Where an error that float64 cannot exclude would be the largest, balls
decide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from actc.arguments import refused
from actc.derivatives import derivative
from actc.errors import ArgumentError
from actc.expr import Expr
from actc.rounding import FLOAT32, UNDEFINED, UNKNOWN, Floats, Format, bounds, real_values, rounded, written
from actc.rules import stabilised

from .aten import saturates
from .compiled import CompiledActivation, compile
from .table import ENTRIES, FORMATS, numbers

#: All inputs of float32, how many are tried at a time, and in how many of them float64's error is bounded.
_ALL, _BATCH, _STRIDE = 2**32, 2**20, 4096
#: Columns of the profile that a plot shows: neighbours in the order of the numbers.
_COLUMNS = 1024
#: Of float32's unit: an error of the reference below this is not looked into.
_NEGLIGIBLE = 1e-3
#: A batch's inputs whose value balls find.
_MOST_BALLS = 500

Bits = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Errors:
    """Of a value or of a derivative: distances in ulp from the real one; infinite where only one of the two is NaN."""

    max_ulp: float
    mean_ulp: float
    #: Where the largest error is; NaN if there is none.
    worst_input: float
    inputs_tried: int
    #: Inputs at which the error may be larger, since the real value is not known well enough.
    uncertain: int = 0
    #: Finite inputs at which the function as written has no finite value of this type, so that safety had to act.
    saved: int = 0
    #: Inputs, ascending, and the largest error up to the next one.
    profile: tuple[Floats, Floats] = field(default=(np.empty(0), np.empty(0)), repr=False, compare=False)

    def as_json(self) -> dict[str, Any]:
        """Without the profile; what is infinite or NaN as text."""
        found: dict[str, Any] = {}
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if isinstance(value, Errors):
                found[name] = value.as_json()
            elif name != "profile":
                found[name] = value if math.isfinite(value) else str(value)
        return found


@dataclass(frozen=True)
class Verification(Errors):
    """That of the value, and :attr:`derivative`, that of the first derivative."""

    derivative: Errors = field(default_factory=lambda: Errors(0.0, 0.0, math.nan, 0))


def verify(
    activation: Any,
    dtype: torch.dtype = torch.bfloat16,
    *,
    every: bool = False,
    samples: int = 2**20,
    seed: int = 0,
    backend: str = "auto",
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] = lambda done: None,
) -> Verification:
    """The errors of an activation's value and derivative against the real function.

    `activation` is what `actc.compile` takes or returned, a function of one input without parameters. For bfloat16 and
    float16 all 65,536 inputs are tried, infinities and NaN among them. For float32 `samples` numbers drawn by `seed`
    from all, or with `every` all 2^32; `progress` is told how many are done. `device` is where it runs. Raises
    `ArgumentError` for other functions and types.

    >>> found = verify("gelu(x)", torch.bfloat16, backend="table")
    >>> found.max_ulp, found.derivative.max_ulp, found.inputs_tried
    (0.0, 0.0, 65536)
    """
    f = activation if isinstance(activation, CompiledActivation) else compile(activation, backend=backend)
    if f.parameters or len(f.variables) > 1:
        raise ArgumentError(
            f"verify takes a function of one input, and {f.expr} has {', '.join(f.variables + f.parameters)}"
        )
    if dtype in FORMATS:
        sums = [_Sum(), _Sum()]
        x = torch.from_numpy(numbers(dtype)).to(dtype)
        for total, each in zip(sums, _sixteen_bits(f, x, dtype, device), strict=True):
            total.add(x.double().numpy(), *each)
        progress(ENTRIES)
    elif dtype is torch.float32:
        sums = _float32(f, every, samples, seed, device, progress)
    else:
        raise refused("dtype", dtype, "bfloat16, float16 and float32 can be verified")
    value, slope = (total.errors() for total in sums)
    return Verification(**{k: getattr(value, k) for k in value.__dataclass_fields__}, derivative=slope)


def _roots(f: CompiledActivation) -> list[tuple[Expr, Expr]]:
    """What is computed, the value and the slope, and the same as written."""
    return [(f.lowered, f.expr), (derivative(f.lowered), derivative(f.expr))]


def _computed(f: CompiledActivation, x: Tensor, device: torch.device | str) -> list[Floats]:
    """Value and slope, as float64."""
    leaf = x.detach().to(device).requires_grad_()
    y = f(leaf)
    (slope,) = torch.autograd.grad(y, leaf, torch.ones_like(y))
    return [each.detach().cpu().double().numpy() for each in (y, slope)]


_Found = tuple[Floats, npt.NDArray[np.bool_], int]


def _sixteen_bits(f: CompiledActivation, x: Tensor, dtype: torch.dtype, device: torch.device | str) -> Iterator[_Found]:
    form, at = FORMATS[dtype], x.double().numpy()
    for got, (expression, plain) in zip(_computed(f, x, device), _roots(f), strict=True):
        true = rounded(expression, at, form).values
        if saturates(expression):
            true = np.clip(true, -form.largest, form.largest)
        saved = (
            np.isfinite(at) & ~np.isfinite(rounded(plain, at, form).values)
            if plain is not expression
            else np.zeros(at.shape, bool)
        )
        yield distance(got, true, form), saved, 0


def distance(got: Floats, true: Floats, form: Format) -> Floats:
    """In units of the true value's last place; beyond the largest number follows infinity."""
    with np.errstate(all="ignore"):
        beyond = 2.0 ** (form.most + 1)
        a, b = (np.clip(each, -beyond, beyond) for each in (got, true))
        power = (b.view(np.int64) & (0x7FF << 52)).view(np.float64)
        unit = np.clip(power, 2.0**form.least, 2.0**form.most) * 2.0 ** (1 - form.digits)
        apart = np.abs(a - b) / unit
        return np.where(np.isnan(got) | np.isnan(true), np.where(np.isnan(got) & np.isnan(true), 0.0, math.inf), apart)


class _Sum:
    """Errors of many batches together."""

    def __init__(self) -> None:
        self.worst, self.at, self.tried, self.total, self.uncertain, self.saved = -1.0, math.nan, 0, 0.0, 0, 0
        self.highest, self.first = np.zeros(_COLUMNS), np.full(_COLUMNS, math.inf)

    def add(self, x: Floats, errors: Floats, saved: npt.NDArray[np.bool_], uncertain: int) -> None:
        worst = int(np.argmax(errors))
        if errors[worst] > self.worst:
            self.worst, self.at = float(errors[worst]), float(x[worst])
        self.tried += len(x)
        self.total += float(errors[np.isfinite(errors)].sum())
        self.uncertain += uncertain
        self.saved += int(saved.sum())
        finite = np.isfinite(x)
        column = _columns(x[finite])
        np.maximum.at(self.highest, column, errors[finite])
        np.minimum.at(self.first, column, x[finite])

    def errors(self) -> Errors:
        seen = np.isfinite(self.first)
        profile = self.first[seen], self.highest[seen]
        at = self.at if self.worst > 0 else math.nan
        return Errors(self.worst, self.total / self.tried, at, self.tried, self.uncertain, self.saved, profile)


def _columns(x: Floats) -> npt.NDArray[np.intp]:
    """Which column of the profile a number is in: as many for every power of two of float32's."""
    bits = x.astype(np.float32).view(np.uint32).astype(np.int64)
    order = np.where(bits < 2**31, bits, 2**31 - bits)
    return (order + 2**31) * _COLUMNS >> 32


def _float32(
    f: CompiledActivation,
    every: bool,
    samples: int,
    seed: int,
    device: torch.device | str,
    progress: Callable[[int], None],
) -> list[_Sum]:
    sums = [_Sum(), _Sum()]
    roots = [(expression, stabilised(expression), plain) for expression, plain in _roots(f)]
    rng = np.random.default_rng(seed)

    def chunks() -> Iterator[Bits]:
        if every:
            yield from (np.arange(k, k + _BATCH, dtype=np.int64).astype(np.uint32) for k in range(0, _ALL, _BATCH))
        else:
            drawn = rng.integers(0, 2**32, samples, dtype=np.uint32)
            yield from (drawn[k : k + _BATCH] for k in range(0, samples, _BATCH))

    def tried(bits: Bits) -> tuple[Floats, list[_Found]]:
        x = torch.from_numpy(bits.view(np.int32)).view(torch.float32)
        with np.errstate(all="ignore"):
            at = bits.view(np.float32).astype(np.float64)
            found = [
                _compared(got, at, *root, total.worst, every)
                for got, root, total in zip(_computed(f, x, device), roots, sums, strict=True)
            ]
        return at, found

    done = 0
    # numpy and torch let other threads run while they compute.
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for at, found in _ahead(pool, tried, chunks(), 2 * torch.get_num_threads()):
            for total, each in zip(sums, found, strict=True):
                total.add(at, *each)
            done += len(at)
            progress(done)
    return sums


def _ahead(
    pool: ThreadPoolExecutor, function: Callable[[Bits], Any], items: Iterator[Bits], count: int
) -> Iterator[Any]:
    """`pool.map` that holds no more than `count` results."""
    waiting = []
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) >= count:
            yield waiting.pop(0).result()
    yield from (each.result() for each in waiting)


def _compared(got: Floats, x: Floats, expression: Expr, stable: Expr, plain: Expr, worst: float, every: bool) -> _Found:
    """Errors at float32 inputs, those inputs where safety had to act, and how many errors may be above `worst` and
    the largest of these."""
    true, doubt = _known_between(stable, x) if every else _known(stable, x)
    special = ~np.isfinite(x) | ((x == 0) & np.signbit(x))
    true[special], doubt[special] = written(expression, x[special]), 0.0
    if saturates(expression):
        true = np.clip(true, -FLOAT32.largest, FLOAT32.largest)
    errors, margin = distance(got, true, FLOAT32), _in_units(doubt, true)
    for refine in (_known, partial(_by_balls, expression)):
        # What may be the largest is looked at more closely.
        least = max(worst, float(np.max(errors - margin, initial=0.0, where=margin <= _NEGLIGIBLE)))
        open_ = np.flatnonzero((margin > _NEGLIGIBLE) & ~(errors + margin <= least))
        if not len(open_):
            break
        if refine is not _known:
            open_ = open_[np.argsort(-errors[open_])[:_MOST_BALLS]]
        true[open_], doubt[open_] = refine(stable, x[open_])
        if saturates(expression):
            true[open_] = np.clip(true[open_], -FLOAT32.largest, FLOAT32.largest)
        errors[open_], margin[open_] = distance(got[open_], true[open_], FLOAT32), _in_units(doubt[open_], true[open_])
    least = max(worst, float(np.max(errors, initial=0.0, where=margin <= _NEGLIGIBLE)))
    unknown = (margin > _NEGLIGIBLE) & ~(errors + margin <= least)
    # What is not known well enough is no error that was seen.
    seen = np.where(np.isfinite(errors - margin), np.maximum(errors - margin, 0.0), 0.0)
    errors = np.where(unknown, seen, errors)
    saved = np.zeros(x.shape, bool)
    if plain is not expression:
        saved = np.isfinite(x) & ~(np.abs(written(plain, x)) < FLOAT32.end)
    return errors, saved, int(unknown.sum())


def _in_units(doubt: Floats, true: Floats) -> Floats:
    power = (np.clip(true, -1e300, 1e300).view(np.int64) & (0x7FF << 52)).view(np.float64)
    units = doubt / (np.clip(power, 2.0**-126, 2.0**127) * 2.0**-23)
    return np.where(np.isnan(units), math.inf, units)


def _known(expression: Expr, x: Floats) -> tuple[Floats, Floats]:
    """Real values, and by how much they may be wrong; NaN where the function is undefined."""
    held = bounds(expression, x)
    middle = np.where(held.low == held.high, held.low, held.low / 2 + held.high / 2)
    doubt = np.where(held.state == UNKNOWN, math.inf, np.where(held.low == held.high, 0.0, held.high - middle))
    # Infinity begins where float32 ends, for the reference too.
    beyond = (np.minimum(np.abs(held.low), np.abs(held.high)) > 2.0**128) & (np.sign(held.low) == np.sign(held.high))
    middle, doubt = (
        np.where(beyond, held.low * math.inf, middle),
        np.where(beyond & np.isfinite(doubt) | beyond, 0.0, doubt),
    )
    undefined = held.state == UNDEFINED
    return np.where(undefined, math.nan, middle), np.where(undefined, 0.0, doubt)


def _known_between(expression: Expr, x: Floats) -> tuple[Floats, Floats]:
    """The same by float64's value, and by bounds of its error at some of the inputs, which are neighbours."""
    places = np.append(np.arange(0, len(x), _STRIDE), len(x) - 1)
    _, doubt = _known(expression, x[places])
    true = written(expression, x)
    # Between two places the error is taken to be no larger than twice that at either.
    return true, 2 * np.repeat(np.maximum(doubt[:-1], doubt[1:]), _STRIDE)[: len(x)]


def _by_balls(expression: Expr, stable: Expr, x: Floats) -> tuple[Floats, Floats]:
    true, known = real_values(expression, x)
    return true, np.where(known, 0.0, math.inf)

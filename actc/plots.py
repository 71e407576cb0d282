"""Pictures of an activation function and its derivative: matplotlib figures for files and reports, braille
for terminals.

Figures are built with matplotlib's object interface, so nothing here touches pyplot's global state or needs a display.
"""

from __future__ import annotations

import io
import math
import os
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from actc.errors import ActcError
from actc.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from actc.breakpoints import Breakpoint
    from actc.expr import Expr

Floats = np.ndarray[Any, np.dtype[np.float64]]

#: Okabe and Ito's palette, told apart with every common colour vision: blue for the function, vermilion for
#: the derivative.
FUNCTION_COLOUR, DERIVATIVE_COLOUR = "#0072B2", "#D55E00"
_INK, _FAINT = "#333333", "#B8B8B8"

#: Errors beyond are as bad as any.
_MOST_ULP = 1e9

_BRAILLE_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])


class PlotError(ActcError):
    """A picture that cannot be drawn or written."""


@dataclass(frozen=True)
class Curves:
    """Samples of f and f' ready to draw: shape (n,) each, NaN where a line must break."""

    x: Floats
    function: Floats
    derivative: Floats
    poles: tuple[float, ...]
    #: Places where the function jumps: (x, value from the left, value at x, value from the right).
    jumps: tuple[tuple[float, float, float, float], ...]
    #: (lowest, highest) y that the picture shows.
    window: tuple[float, float]


def sample(
    function: Callable[[Floats], Floats],
    derivative: Callable[[Floats], Floats],
    interval: tuple[float, float] = (-5.0, 5.0),
    breaks: Sequence[Breakpoint] = (),
    points: int = 1600,
) -> Curves:
    """Samples of both functions over ``interval``, broken at the breakpoints where they jump or are infinite.

    The functions take float64 arrays of shape (n,) and return such arrays.
    """
    low, high = interval
    inside = [b for b in breaks if low <= b.at <= high]
    places = np.array([b.at for b in inside])
    # Towards a breakpoint the distance shrinks geometrically: a pole's branches reach the edge of the picture.
    near = (high - low) / points * np.geomspace(1e-6, 1.0, 24)
    approach = [place + side * near for place in places for side in (-1, 1)]
    x = np.unique(np.clip(np.concatenate([np.linspace(low, high, points), places, *approach]), low, high))
    f, d = _finite(function(x)), _finite(derivative(x))
    # A formula such as 1/x may go on where the function, log(x), does not.
    d = np.where(np.isnan(f) & ~np.isin(x, places), np.nan, d)
    poles = [b.at for b in inside if b.kind == "pole"]
    jumps = [(b.at, b.left, b.value, b.right) for b in inside if b.kind == "jump"]
    window = _window(function, derivative, interval, poles)
    # The function's line breaks where it jumps, the derivative's at every kink as well.
    f = _broken(f, x, np.array(poles + [j[0] for j in jumps]))
    d = _broken(d, x, places)
    return Curves(x, f, d, tuple(poles), tuple(jumps), window)


def curves_of(expression: Expr, interval: tuple[float, float] | None = None) -> Curves:
    """Samples of a function of x and its derivative; the interval is chosen so that its features are seen.

    Raises ExpressionError unless x is the only free name, PlotError for an empty interval or one without any value.
    """
    from actc.breakpoints import breakpoints, evaluator, one_variable
    from actc.derivatives import derivative

    e = one_variable(expression)
    breaks = breakpoints(e)
    low, high = interval or _interval(e, breaks)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise PlotError(f"cannot draw between {low:g} and {high:g}; give two finite numbers, the smaller one first")
    curves = sample(evaluator(e), evaluator(derivative(e)), (low, high), breaks)
    if not np.isfinite(curves.function).any():
        raise PlotError(f"{e} has no finite value between {low:g} and {high:g}; choose another interval")
    return curves


def figure_of(expression: str | Expr, title: str | None = None, interval: tuple[float, float] | None = None) -> Figure:
    """The figure of a function of x and its derivative; the title is its text unless given. Raises as
    :func:`curves_of`.
    """
    from actc.parsing import parse

    e = parse(expression)
    if title is None:
        title = expression if isinstance(expression, str) else str(expression)
    return figure(curves_of(e, interval), title)


def _interval(e: Expr, breaks: Sequence[Breakpoint]) -> tuple[float, float]:
    from actc.analysis import domain

    pieces = domain(e)
    ends = [pieces[0][0], pieces[-1][1]] if pieces else [-math.inf, math.inf]
    if all(map(math.isfinite, ends)):
        room = 0.15 * (ends[1] - ends[0])
        return ends[0] - room, ends[1] + room
    nearest = min((abs(b.at) for b in breaks), default=0.0)
    reach = 5.0 if nearest < 4 else 1.3 * nearest
    return -reach, reach


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.nan)


def _broken(values: Floats, x: Floats, places: Floats) -> Floats:
    values = values.copy()
    values[np.isin(x, places)] = np.nan
    return values


def _window(
    function: Callable[[Floats], Floats],
    derivative: Callable[[Floats], Floats],
    interval: tuple[float, float],
    poles: Sequence[float],
) -> tuple[float, float]:
    """Lowest and highest y to show: all of both curves if they are tame, otherwise what lies nearer to the origin."""
    low, high = _visible(function, interval, poles)
    d_low, d_high = _visible(derivative, interval, poles)
    # The function comes first: its derivative may enlarge the window by half.
    room = max(0.5 * (high - low), 1.0)
    low, high = min(low, 0.0, max(d_low, low - room)), max(high, 0.0, min(d_high, high + room))
    if low == high:
        low, high = low - 0.5, high + 0.5
    margin = 0.06 * (high - low)
    return low - margin, high + margin


def _visible(
    function: Callable[[Floats], Floats], interval: tuple[float, float], poles: Sequence[float]
) -> tuple[float, float]:
    low, high = interval
    for _ in range(20):
        # An odd number of points would put one on a pole at the middle.
        values = _finite(function(np.linspace(low, high, 800)))
        values = values[np.isfinite(values)]
        if values.size < 8:
            return 0.0, 0.0
        bottom, lower, upper, top = (float(v) for v in np.quantile(values, [0.0, 0.15, 0.85, 1.0]))
        spread = upper - lower
        if poles:
            return max(bottom, lower - 2 * spread - 1), min(top, upper + 2 * spread + 1)
        if top - bottom <= 1.6 * spread + 25:
            return bottom, top
        low, high = 0.8 * low, 0.8 * high
    return max(bottom, -10.0), min(top, 10.0)


def draw(axes: Axes, curves: Curves, title: str = "", legend: bool = True, width: float = 1.0) -> None:
    """Draws f and f' into ``axes``."""
    bottom, top = curves.window
    span = top - bottom
    # Beyond the frame by a little only: a renderer given 1e300 draws nothing.
    clip = (bottom - span, top + span)
    axes.axhline(0, color=_FAINT, linewidth=0.8 * width, zorder=1)
    axes.axvline(0, color=_FAINT, linewidth=0.8 * width, zorder=1)
    for pole in curves.poles:
        axes.axvline(pole, color=_INK, linewidth=0.8 * width, linestyle=(0, (1, 2.5)), zorder=1.5)
    axes.plot(
        curves.x,
        np.clip(curves.derivative, *clip),
        color=DERIVATIVE_COLOUR,
        linewidth=1.5 * width,
        linestyle=(0, (4.5, 1.8)),
        label="$f^{\\prime}(x)$",
        zorder=3,
    )
    axes.plot(
        curves.x,
        np.clip(curves.function, *clip),
        color=FUNCTION_COLOUR,
        linewidth=2.2 * width,
        solid_capstyle="round",
        label="$f(x)$",
        zorder=4,
    )
    for x, left, at, right in curves.jumps:
        for side in (left, right):
            filled = math.isclose(side, at, rel_tol=1e-3, abs_tol=1e-4)
            axes.plot(
                [x],
                [side],
                "o",
                markersize=4.2 * width,
                color=FUNCTION_COLOUR,
                markerfacecolor=FUNCTION_COLOUR if filled else "white",
                zorder=5,
            )
    axes.set_xlim(curves.x[0], curves.x[-1])
    axes.set_ylim(bottom, top)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_FAINT)
    axes.tick_params(colors=_INK, labelsize=9 * width, length=3, color=_FAINT)
    axes.grid(True, color="#ECECEC", linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    if title:
        axes.set_title(title, fontsize=11 * width, color=_INK, family="monospace", pad=10, loc="left")
    if legend:
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(handles[::-1], labels[::-1], frameon=False, fontsize=9.5 * width, labelcolor=_INK, loc="best")


def figure(curves: Curves, title: str = "") -> Figure:
    """A figure of its own, 6.4 by 4.2 inches, of the function (solid) and its derivative (dashed)."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(6.4, 4.2), dpi=160, layout="constrained")
    axes = picture.add_subplot()
    draw(axes, curves, title="\n".join(_wrapped(title)))
    axes.set_xlabel("$x$", color=_INK)
    return picture


def error_figure(profiles: dict[str, tuple[Floats, Floats]], title: str = "") -> Figure:
    """A figure of the largest errors over x, of curves by name: inputs in ascending order, and the error in ulp up to
    the next one."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    picture = Figure(figsize=(6.4, 4.2), dpi=160, layout="constrained")
    axes = picture.add_subplot()
    colours = (FUNCTION_COLOUR, DERIVATIVE_COLOUR)
    for (name, (x, errors)), colour, width in zip(profiles.items(), colours, (1.6, 0.9), strict=False):
        # Infinite errors, of NaN instead of a number, stand at the upper edge.
        axes.step(x, np.minimum(errors, _MOST_ULP), where="post", color=colour, linewidth=width, label=name)
    axes.set_xscale("symlog", linthresh=1e-6, linscale=0.4)
    highest = max((float(e.max(initial=0.0)) for _, e in profiles.values()), default=0.0)
    axes.set_yscale("symlog" if highest > 100 else "linear")
    axes.set_ylim(0, min(max(1.1 * highest, 0.6), _MOST_ULP))
    seen = np.concatenate([np.zeros(1), *(x for x, _ in profiles.values())])
    far = (1e10, 1e20, 1e30) if seen.max() > 1e10 else (1e3,)
    ticks = sorted([0.0, *(sign * t for t in (1.0, *far) for sign in (1, -1))])
    axes.set_xticks([t for t in ticks if seen.min() <= t <= seen.max()])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_title("\n".join(_wrapped(title)), color=_INK)
    axes.set_xlabel("$x$", color=_INK)
    axes.set_ylabel("largest error (ulp)", color=_INK)
    axes.tick_params(colors=_INK, labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(color=_FAINT, linewidth=0.4)
    axes.legend(frameon=False, labelcolor=_INK, loc="best")
    return picture


def _wrapped(title: str, width: int = 62, lines: int = 3) -> list[str]:
    return textwrap.wrap(title, width, max_lines=lines, placeholder=" …", break_long_words=True) or [""]


def save(picture: Figure, path: str | os.PathLike[str]) -> Path:
    """Writes the figure to ``path`` atomically, in the format that its ending names (png, svg, pdf). Raises
    PlotError.
    """
    path = Path(path)
    kind = path.suffix.lstrip(".").lower()
    if kind not in picture.canvas.get_supported_filetypes():
        raise PlotError(
            f"cannot tell the picture's format from {path.name!r}; give the file an ending such as .png, .svg or .pdf"
        )
    buffer = io.BytesIO()
    picture.savefig(buffer, format=kind, metadata={"Date": None} if kind == "svg" else None)
    return write_atomically(path, buffer.getvalue())


def svg(picture: Figure) -> str:
    """The figure as an ``<svg>`` element to put into a page of HTML."""
    buffer = io.StringIO()
    picture.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def terminal(curves: Curves, columns: int = 72, rows: int = 16) -> list[list[tuple[str, str]]]:
    """The picture in braille: rows of (text, "function" | "derivative" | "axis") pieces.

    Each character holds 2 by 4 dots; where both curves share a character the function has it.
    """
    bottom, top = curves.window
    left, right = float(curves.x[0]), float(curves.x[-1])
    layers = {name: np.zeros((rows, columns), dtype=int) for name in ("axis", "derivative", "function")}

    def put(name: str, x: Floats, y: Floats) -> None:
        keep = np.isfinite(y) & (y >= bottom) & (y <= top)
        px = np.rint((x[keep] - left) / (right - left) * (2 * columns - 1)).astype(int)
        py = np.rint((top - y[keep]) / (top - bottom) * (4 * rows - 1)).astype(int)
        np.bitwise_or.at(layers[name], (py // 4, px // 2), _BRAILLE_BITS[py % 4, px % 2])

    def line(y: Floats) -> tuple[Floats, Floats]:
        x = curves.x
        # Eight steps between neighbouring samples fill steep stretches; NaN keeps breaks open.
        t = np.linspace(0, 1, 8)[:, None]
        y = np.where(np.isfinite(y), np.clip(y, bottom - (top - bottom), top + (top - bottom)), np.nan)
        return (x[:-1] + t * np.diff(x)).ravel(), (y[:-1] + t * np.diff(y)).ravel()

    put("axis", np.linspace(left, right, columns), np.zeros(columns))
    if left < 0 < right:
        put("axis", np.zeros(2 * rows), np.linspace(bottom, top, 2 * rows))
    put("derivative", *line(curves.derivative))
    put("function", *line(curves.function))
    picture: list[list[tuple[str, str]]] = []
    for r in range(rows):
        pieces: list[tuple[str, str]] = []
        for c in range(columns):
            name = next((n for n in ("function", "derivative", "axis") if layers[n][r, c]), "axis")
            pieces.append((chr(0x2800 + int(layers[name][r, c])), name))
        picture.append(pieces)
    return picture

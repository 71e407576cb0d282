"""The report's pictures as inline SVG that takes its colours and its font from the page."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from actc.breakpoints import breakpoints, evaluator
from actc.derivatives import derivative
from actc.parsing import parse
from actc.plots import sample
from actc.search.record import Contender
from actc.search.trial import Status, Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Drawn in these colours, which nothing else has, and then renamed to the page's variables: one picture for light and
# dark.
INK, MUTED, GRID, FOUND, SLOPE, BAD, PAPER = (f"#0{digit}0b0c" for digit in "1234567")
VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", FOUND: "found", SLOPE: "slope", BAD: "bad", PAPER: "paper"}

WIDE, NARROW = 8.6, 4.1


@contextmanager
def _canvas(width: float, height: float) -> Iterator[tuple[Figure, Axes]]:
    """A figure of that size in inches without the chrome; matplotlib's settings are as before afterwards."""
    import matplotlib
    from matplotlib.figure import Figure

    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "actc",
        "font.size": 10.5,
        "text.color": INK,
        "axes.edgecolor": GRID,
        "axes.labelcolor": MUTED,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "xtick.color": MUTED,
        "xtick.major.size": 0,
        "ytick.color": MUTED,
        "ytick.major.size": 0,
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots()


def _svg(figure: Figure, label: str) -> str:
    """The figure as an `<svg>` element that scales with its container and is read out as `label`."""
    stream = io.StringIO()
    figure.savefig(
        stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
    )
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r"font-family: [^;\"]*;?", "", text)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", text)
    for colour, name in VARIABLES.items():
        text = text.replace(colour, f"var(--{name})")
    width, _ = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', text).groups()  # type: ignore[union-attr]
    head = f'<svg role="img" aria-label="{label}" style="max-width:{float(width) * 4 / 3:.0f}px"'
    return head + re.sub(r'\s(width|height)="[\d.]+pt"', "", text[len("<svg") :], count=2)


def _both(draw: Iterable[str]) -> str:
    wide, narrow = draw
    return f'<div class="wide">{wide}</div><div class="narrow">{narrow}</div>'


def progress(trials: Sequence[Trial], metric: str) -> str:
    """Every trial's metric and the best so far; what has no metric stands at the bottom."""
    return _both(_progress(trials, metric, width, height) for width, height in ((WIDE, 3.3), (NARROW, 3.2)))


def _progress(trials: Sequence[Trial], metric: str, width: float, height: float) -> str:
    from matplotlib.ticker import MaxNLocator

    scores = [trial.score(metric) for trial in trials]
    best = np.maximum.accumulate(scores) if scores else np.array([])
    share = metric.endswith("accuracy")
    with _canvas(width, height) as (figure, axes):
        numbers = np.array([trial.number for trial in trials])
        shown = np.array(scores)
        if share:
            # Distances near 100 % matter most: the axis is logarithmic in the error rate.
            floor = min([1 - score for score in scores if 0 < 1 - score < np.inf] or [0.01]) / 1.5
            axes.set_yscale(
                "function", functions=(lambda y: -np.log10(np.maximum(1 - y, floor / 9)), lambda t: 1 - 10.0**-t)
            )
            ticks = [1 - error for error in (0.9, 0.5, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.005, 0.002) if error > floor]
            axes.set_ylim(0, 1 - floor)
            axes.set_yticks(ticks, [f"{100 * tick:.4g} %" for tick in ticks])
            axes.minorticks_off()
        finite = np.isfinite(shown)
        axes.plot(
            numbers[finite],
            shown[finite],
            "o",
            color=MUTED,
            markersize=4,
            alpha=0.75,
            label="one candidate, trained once",
        )
        known = np.isfinite(best)
        axes.step(numbers[known], best[known], where="post", color=FOUND, linewidth=2, label="best so far")
        lost = [trial.number for trial in trials if trial.status not in (Status.DONE, Status.OPEN)]
        if lost:
            bottom = axes.get_ylim()[0]
            axes.plot(
                lost, [bottom] * len(lost), "x", color=BAD, markersize=5, clip_on=False, label="diverged or failed"
            )
        axes.set_xlim(-1, max([*numbers, 1]) + 1)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("trial")
        axes.set_ylabel(metric.replace("_", " "))
        figure.legend(
            loc="outside upper left", ncols=3 if width == WIDE else 2, frameon=False, fontsize=9.5, labelcolor=MUTED
        )
        return _svg(figure, f"{metric.replace('_', ' ')} of each trial, and the best so far")


def intervals(contenders: Sequence[Contender], metric: str) -> str:
    """Each function's runs, mean and confidence interval, one row each."""
    return _both(_intervals(contenders, metric, width) for width in (WIDE, NARROW))


def _intervals(contenders: Sequence[Contender], metric: str, width: float) -> str:
    share = metric.endswith("accuracy")
    scale = 100 if share else 1
    letters = 34 if width == NARROW else 80
    with _canvas(width, 0.9 + 0.52 * len(contenders)) as (figure, axes):
        for row, contender in enumerate(contenders):
            colour = MUTED if contender.baseline else FOUND
            name = contender.name if contender.baseline else shortened(contender.expression, letters)
            place: Any = {"xycoords": ("axes fraction", "data"), "xytext": (2, 0), "textcoords": "offset points"}
            axes.annotate(name, (0, row - 0.32), va="center", color=INK, fontsize=9.5, family="monospace", **place)
            values = [scale * value for value in contender.values]
            axes.plot(
                values, [row + 0.08] * len(values), "o", color=colour, markersize=5, alpha=0.45, markeredgewidth=0
            )
            if contender.estimate is not None:
                low, mean, high = (
                    scale * value
                    for value in (contender.estimate.low, contender.estimate.mean, contender.estimate.high)
                )
                if math.isfinite(low):
                    axes.plot([low, high], [row + 0.08] * 2, color=colour, linewidth=2.2, solid_capstyle="round")
                axes.plot(
                    [mean], [row + 0.08], "o", color=colour, markersize=8.5, markeredgecolor=PAPER, markeredgewidth=1.4
                )
        axes.set_ylim(len(contenders) - 0.35, -0.75)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.grid(axis="y", visible=False)
        axes.margins(x=0.06)
        axes.set_xlabel(metric.replace("_", " ") + (", %" if share else ""))
        return _svg(figure, f"{metric.replace('_', ' ')} of the retrained functions with confidence intervals")


def curve(expression: str, colour: str = FOUND) -> str:
    """A function and, dashed, its derivative, on [-5, 5]; a note instead for one of more than x."""
    expr = parse(expression)
    if set(expr.symbols) - {"x"}:
        return f"<p class='note'>depends on {', '.join((*expr.variables, *expr.parameters))}</p>"
    curves = sample(evaluator(expr), evaluator(derivative(expr)), breaks=breakpoints(expr), points=400)
    with _canvas(3.3, 2.3) as (figure, axes):
        axes.set_ylim(*curves.window)
        for y, style in (
            (curves.function, {"color": colour, "linewidth": 2.2}),
            (curves.derivative, {"color": SLOPE, "linestyle": "--"}),
        ):
            # Far outside the frame a renderer would draw nothing.
            axes.plot(curves.x, np.clip(y, -1e3, 1e3), **style)
        axes.axhline(0, color=MUTED, linewidth=0.7)
        axes.axvline(0, color=MUTED, linewidth=0.7)
        axes.set_xlim(-5, 5)
        axes.set_xticks([-4, -2, 0, 2, 4])
        return _svg(figure, "graph of the function and of its derivative")


def shortened(text: str, letters: int) -> str:
    """`text`, cut in the middle if it is longer than that.

    >>> shortened("abcdefghij", 7)
    'abc…hij'
    """
    if len(text) <= letters:
        return text
    half = (letters - 1) // 2
    return f"{text[: letters - 1 - half]}…{text[-half:]}"

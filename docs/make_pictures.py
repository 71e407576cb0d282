"""Draws the pictures of the documents: ``python docs/make_pictures.py [FOLDER]``, by default into docs/."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from actc.breakpoints import breakpoints
from actc.catalogue import Result, library
from actc.derivatives import derivative
from actc.plots import DERIVATIVE_COLOUR, FUNCTION_COLOUR, draw, sample, save

#: Names in the library, and the network and data set whose figures stand below the formula.
DISCOVERED = {
    "atan_times_min_zero": ("WRN-28-10", "CIFAR-100"),
    "log_sigmoid_alpha_times_beta_asinh": ("WRN-10-4", "CIFAR-100"),
    "erfc_softplus_squared": ("CoAtNet", "Imagenette"),
    "neg_x_times_sigmoid_times_hard_sigmoid": ("ResNet-50", "ImageNet"),
    "selu_sinh_expm1_atan": ("ResNet-56", "CIFAR-100"),
    "grafs_vit_4": ("ViT-tiny", "CIFAR-10"),
}
INTERVAL = (-4.0, 4.0)
BASELINE_COLOUR, INK = "#9A9A9A", "#333333"


def functions() -> Figure:
    """Six functions that the papers discovered, beside ReLU."""
    picture = Figure(figsize=(11, 7), layout=ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.15))
    for axes, (name, experiment) in zip(np.ravel(picture.subplots(2, 3)), DISCOVERED.items(), strict=True):
        panel(axes, name, *experiment)
    picture.legend(
        handles=[
            Line2D([], [], color=FUNCTION_COLOUR, linewidth=2.2, label="function"),
            Line2D([], [], color=DERIVATIVE_COLOUR, linewidth=1.5, linestyle="--", label="derivative"),
            Line2D([], [], color=BASELINE_COLOUR, linewidth=1.2, label="ReLU"),
        ],
        loc="outside lower center",
        ncols=3,
        frameon=False,
        labelcolor=INK,
    )
    return picture


def panel(axes: Axes, name: str, network: str, data: str) -> None:
    """One function, its parameters at the values they start from, with its derivative, ReLU, and both accuracies."""
    row = library[name]
    e = row.expr.substitute({p: row.initial[p] for p in row.expr.parameters})
    curves = sample(e.evaluate, derivative(e).evaluate, INTERVAL, breakpoints(e), points=160)
    draw(axes, curves, legend=False)
    axes.plot([INTERVAL[0], 0, INTERVAL[1]], [0, 0, INTERVAL[1]], color=BASELINE_COLOUR, linewidth=1.2, zorder=2)
    reached = next(r for r in row.results if (r.architecture, r.dataset) == (network, data))
    baseline = next(
        r
        for r in library["relu"].results
        if (r.architecture, r.dataset, r.metric) == (network, data, reached.metric)
        and set(r.tables) & set(reached.tables)
    )
    axes.set_title(row.text, fontsize=min(10, 335 / len(row.text)), family="monospace", color=INK, loc="left", pad=20)
    line = f"{network} on {data}: {percent(reached)} (ReLU {percent(baseline)})"
    axes.text(0, 1.035, line, transform=axes.transAxes, fontsize=8.5, color=INK)


def percent(result: Result) -> str:
    """As printed, without the spread; the papers print some accuracies as fractions."""
    return f"{result.printed.partition('±')[0]} %" if result.unit == "%" else f"{100 * result.value:.2f} %"


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    matplotlib.rcParams["svg.hashsalt"] = "actc"  # the same picture, the same file
    print(save(functions(), folder / "functions.svg"))

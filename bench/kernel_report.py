"""What the rows of bench/kernels.py say: figures beside what they should be, and a picture."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]

#: What a tensor has to hold before a kernel's speed is compared with the memory's.
LARGE = 128e6
BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
#: The share of functions that should reach nine tenths of a copy's speed.
SHARES = {"bfloat16": 0.95, "float32": 0.85}
COLOURS = {"actc": "#0072B2", "torch.compile": "#009E73", "torch": "#E69F00", "composed": "#9A9A9A", "liger": "#CC79A7"}


#: What is ours, and so never missing but by a fault.
OURS = ("actc", "copy", "with", "without")


def ratio(row: Row, one: str, other: str) -> float | None:
    """The median time of one over the other's; None where one is missing."""
    times = [row["milliseconds"].get(name) for name in (one, other)]
    return None if None in times else times[0]["median"] / times[1]["median"]


def figures(rows: Iterable[Row], parts: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
    """By what is claimed: the figure, what it should be, and whether it is: not where a row lacks our time. Of `parts`
    those without a row are told."""
    rows = list(rows)
    found: dict[str, dict[str, Any]] = {}

    def put(
        name: str, rows: list[Row], one: str, other: str, figure: Callable[[list[float]], float],
        *, least: float = 0, most: float = 0,
    ) -> None:  # fmt: skip
        values, lost = ratios(rows, one, other), sum(lacks_ours(row, one, other) for row in rows)
        if values or lost:
            value = figure(values) if values else None
            wanted = f"≤ {most:g}" if least == 0 else f"≥ {least:g}"
            met = value is not None and not lost and (value <= most if least == 0 else value >= least)
            found[name] = {"figure": value and round(value, 4), "of": len(values), "wanted": wanted, "met": met}
            found[name] |= {"missing": lost} if lost else {}

    for part in parts:
        if not select(rows, part=part):
            found[f"{part}: rows"] = {"figure": 0, "of": 0, "wanted": "≥ 1", "met": False}
    for dtype, share in SHARES.items():
        for direction in ("forward", "backward"):
            of = select(rows, part="random", dtype=dtype, direction=direction)
            name = f"random functions, {dtype} {direction}"
            put(f"{name}: share at 90 % of a copy's speed", of, "copy", "actc", reached, least=share)
            put(f"{name}: median speed over a copy's", of, "copy", "actc", statistics.median, least=0.9)
            of = select(rows, part="compiled", dtype=dtype, direction=direction)
            put(f"{name}: time over torch.compile's, worst", of, "actc", "torch.compile", max, most=1.03)
    large = [row for row in select(rows, part="sizes") if row["elements"] * BYTES[row["dtype"]] >= LARGE]
    for other, most in (("torch", 1.0), ("liger", 1.0), ("torch.compile", 1.03)):
        for direction in ("forward", "backward"):
            of = select(large, direction=direction)
            name = f"named functions of 128 MB and more, {direction}: time over {other}'s, worst"
            put(name, of, "actc", other, max, most=most)
    costs = [row for row in select(rows, part="parameters")]
    for layout in sorted({row["layout"] for row in costs}):
        name = f"gradients of parameters, {layout}: time over that without, worst"
        put(name, select(costs, layout=layout), "with", "without", max, most=1.15)
    for way, most in (("graph", 1.0), ("calls", 2.0)):
        name = f"4096×128, forward and backward, {way}: time over torch's single operation, worst"
        put(name, select(rows, part="small", way=way), "actc", "torch", max, most=most)
    for row in select(rows, part="training"):
        name = f"{row['network']} with {row['function']}"
        put(f"{name}: time of a step over composed", [row], "actc", "composed", max, most=1)
        memory = {"milliseconds": {name: {"median": each} for name, each in row["megabytes"].items()}}
        put(f"{name}: peak memory over composed", [memory], "actc", "composed", max, most=1)
    return found


def lacks_ours(row: Row, one: str, other: str) -> bool:
    """Whether a time of ours is missing that would be compared with one that was measured or is ours, too."""
    lost = {name for name in (one, other) if name not in row["milliseconds"]}
    return bool(lost & {*OURS}) and lost <= {*OURS}


def select(rows: Iterable[Row], **wanted: Any) -> list[Row]:
    return [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]


def ratios(rows: Iterable[Row], one: str, other: str) -> list[float]:
    return [found for row in rows if (found := ratio(row, one, other)) is not None]


def reached(speeds: list[float]) -> float:
    return sum(speed >= 0.9 for speed in speeds) / len(speeds)


def curves(rows: Iterable[Row], dtype: str, direction: str) -> dict[str, list[tuple[int, float]]]:
    """For each competitor: the median over functions of its speed in units of a copy's, by the number of elements."""
    of = select(rows, part="sizes", dtype=dtype, direction=direction)
    found = {}
    for name in COLOURS:
        points = []
        for elements in sorted({row["elements"] for row in of}):
            speeds = ratios(select(of, elements=elements), "copy", name)
            if speeds:
                points.append((elements, statistics.median(speeds)))
        found[name] = points
    return found


def draw(rows: Iterable[Row], title: str, path: Path) -> None:
    """The picture: speed by size for two types and both directions, and of random functions, the slowest first."""
    from matplotlib.figure import Figure

    rows = list(rows)
    picture = Figure(figsize=(13, 7.5), layout="constrained")
    picture.suptitle(title)
    for line, dtype in zip(picture.subplots(2, 3), SHARES, strict=True):
        for axes, direction in zip(line, ("forward", "backward"), strict=False):
            for name, points in curves(rows, dtype, direction).items():
                if points:
                    axes.plot(*zip(*points, strict=True), "o-", color=COLOURS[name], label=name, markersize=3.5)
            axes.set(xscale="log", xlabel="elements", ylabel="speed, copy = 1", title=f"{dtype}, {direction}")
            axes.set_xscale("log", base=2)
        axes = line[2]
        for direction, style in (("forward", "-"), ("backward", "--")):
            speeds = sorted(ratios(select(rows, part="random", dtype=dtype, direction=direction), "copy", "actc"))
            places = [(i + 0.5) / len(speeds) for i in range(len(speeds))]
            axes.plot(places, speeds, style, color=COLOURS["actc"], label=direction)
        axes.axhline(0.9, color="#D55E00", linewidth=0.8)
        axes.axvline(1 - SHARES[dtype], color="#D55E00", linewidth=0.8)
        axes.set(xlim=(0, 1), xlabel="share of functions", ylabel="speed, copy = 1", title=f"{dtype}, random functions")
    for axes in picture.axes:
        axes.set_ylim(0, 1.15)
        axes.axhline(1, color="#B8B8B8", linewidth=0.8, zorder=0)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            loc = "lower right" if "random" in axes.get_title() else "upper left"
            axes.legend(frameon=False, fontsize=8, loc=loc)
    picture.savefig(path)

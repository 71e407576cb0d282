"""Pictures: what is drawn where, checked on the samples and on pixels."""

import io
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import actc
from actc.plots import PlotError, curves_of, figure_of, save, svg, terminal


def test_lines_break_at_poles_and_jumps() -> None:
    pole = curves_of(actc.parse("1/(x - 1)"))
    assert pole.poles == (1.0,)
    assert np.isnan(pole.function[pole.x == 1.0]).all()
    jump = curves_of(actc.parse("hardshrink(x)"))
    assert [j[0] for j in jump.jumps] == [-0.5, 0.5]
    assert np.isnan(jump.function[np.isin(jump.x, [-0.5, 0.5])]).all()
    kink = curves_of(actc.parse("relu(x)"))
    assert np.isfinite(kink.function).all() and np.isnan(kink.derivative[kink.x == 0.0]).all()


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("100*tanh(x)", -100, 100),
        ("tanh(x)", -1, 1),
        ("relu(x)", 0, 5),
        ("3", 0, 3),
    ],
)
def test_the_window_holds_tame_functions_whole(text: str, low: float, high: float) -> None:
    bottom, top = curves_of(actc.parse(text)).window
    assert bottom <= low + 0.01 * abs(low) and top >= high * 0.99
    assert top - bottom <= 1.5 * (high - low) + 3


@pytest.mark.parametrize("text", ["sinh(exp(x))", "1/x", "x**9", "tan(x)", "exp(x**2)", "1/x**4", "log(abs(x))"])
def test_the_window_stays_small_for_wild_functions(text: str) -> None:
    bottom, top = curves_of(actc.parse(text)).window
    assert -60 < bottom < top < 60


def test_intervals() -> None:
    assert curves_of(actc.parse("asin(x)")).x[0] == pytest.approx(-1.3)
    assert curves_of(actc.parse("relu(x - 20)")).x[-1] == pytest.approx(26)
    assert curves_of(actc.parse("x"), (0, 2)).x[[0, -1]].tolist() == [0, 2]
    with pytest.raises(PlotError, match="smaller one first"):
        curves_of(actc.parse("x"), (2, 0))
    with pytest.raises(PlotError, match="no finite value"):
        curves_of(actc.parse("log(x)"), (-3, -1))


def test_a_figure_shows_both_curves_in_their_colours() -> None:
    buffer = io.BytesIO()
    figure_of("silu(x)").savefig(buffer, format="rgba")
    pixels = np.frombuffer(buffer.getvalue(), dtype=np.uint8).reshape(-1, 4)[:, :3].astype(int)
    for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):
        assert (np.abs(pixels - colour).max(axis=1) < 24).sum() > 300


def test_files_and_inline_svg(tmp_path: Path) -> None:
    figure = figure_of("tan(x)", title="an example")
    assert save(figure, tmp_path / "f.png").stat().st_size > 10_000
    text = svg(figure)
    assert text.startswith("<svg") and ElementTree.fromstring(text).tag.endswith("svg")
    with pytest.raises(PlotError, match=r"\.png"):
        save(figure, tmp_path / "f.bogus")


def test_long_titles_are_wrapped() -> None:
    title = figure_of("x", title="a*b + " * 200).axes[0].get_title(loc="left")
    assert title.count("\n") == 2 and title.endswith("…")


def test_braille() -> None:
    rows = terminal(curves_of(actc.parse("x")), columns=40, rows=10)
    assert len(rows) == 10 and all(len(row) == 40 for row in rows)
    places = [(r, c) for r, row in enumerate(rows) for c, (_, name) in enumerate(row) if name == "function"]
    # A rising line: rows counted downwards fall as columns grow.
    assert np.corrcoef(np.array(places).T)[0, 1] < -0.99

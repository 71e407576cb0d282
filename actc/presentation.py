"""What ``actc show`` prints: a function's portrait as data, as a table, and as a picture."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from actc.analysis import Analysis, Bound, Tail, analyse, cost, jsonable
from actc.breakpoints import Breakpoint
from actc.catalogue import KnownActivation, library
from actc.derivatives import derivative
from actc.errors import ExpressionError
from actc.expr import VARIABLES, Expr
from actc.parsing import parse
from actc.purposes import simplify
from actc.rules import canonical

#: Where two functions are compared to tell whether they are the same; no multiples of one another, both
#: signs, all scales.
_POINTS = np.array(
    [
        -31.7,
        -9.13,
        -5.21,
        -3.07,
        -1.93,
        -1.01,
        -0.53,
        -0.19,
        -0.013,
        0.017,
        0.23,
        0.61,
        1.07,
        2.11,
        3.31,
        5.03,
        8.77,
        29.3,
    ]
)


@dataclass(frozen=True)
class Subject:
    """The function that is shown: as asked for, and closed, with numbers for its parameters."""

    expression: Expr
    closed: Expr
    values: Mapping[str, float] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()
    entry: KnownActivation | None = None

    @staticmethod
    def of(text: str, values: Mapping[str, float]) -> Subject:
        """From a text or a name of the library, and values for parameters (and y, z). Raises ParseError,
        ExpressionError.
        """
        # A name on its own is one of the library; as an expression it would be a lone parameter.
        entry = library[text] if text.isidentifier() and text not in (*VARIABLES, "pi") else None
        expression = entry.expr if entry else parse(text)
        free = (*expression.variables, *expression.parameters)
        unknown = sorted(set(values) - set(free))
        if unknown:
            raise ExpressionError(
                f"{', '.join(unknown)} does not occur in {expression}; its names are {', '.join(free) or 'none'}"
            )
        for name, value in values.items():
            if not math.isfinite(value) or name == "x":
                raise ExpressionError(f"{name}={value:g} cannot be set; parameters, y and z take finite numbers")
        assumed = tuple(p for p in expression.parameters if p not in values)
        initial = entry.initial if entry else {}
        known = {**{p: float(initial.get(p, 1.0)) for p in assumed}, **values}
        return Subject(expression, expression.substitute(known), known, assumed, entry)

    @property
    def has_shape(self) -> bool:
        """Whether, with numbers for its parameters, it depends on x alone."""
        return set(self.closed.variables) <= {"x"}

    def derivatives(self) -> list[tuple[str, Expr]]:
        """Partial derivatives by variables, then parameters, simplified for reading."""
        names = (*(self.expression.variables or ("x",)), *self.expression.parameters)
        # Rows state derivatives for accuracy; that of the written-out form, x*sigmoid(x) for silu, often reads better.
        forms = (self.expression, canonical(self.expression))
        return [(n, min((simplify(derivative(f, n)) for f in forms), key=lambda e: len(str(e)))) for n in names]


def describe(
    subject: Subject, moments: Mapping[str, Any] | None = None, backend: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Everything that is known about the function, ready for JSON; functions of more than x get no analysis of
    their shape. ``moments`` (of :class:`actc.init.moments.Moments`) and ``backend`` (name and reason) come from
    other rooms.
    """
    e = subject.expression
    slopes = subject.derivatives()
    result: dict[str, Any] = {
        "expression": str(e),
        "simplified": str(simplify(e)),
        "stable": str(simplify(e, "stable")),
        "cheap": str(simplify(e, "cheap")),
        "derivatives": {name: str(slope) for name, slope in slopes},
        "latex": e.latex(),
        "variables": list(e.variables),
        "parameters": {p: subject.values[p] for p in e.parameters},
        "assumed": list(subject.assumed),
        "known_as": known_names(subject),
        "cost": {
            "forward": asdict(cost(e)),
            "with_derivatives": asdict(cost(e, *(derivative(e, name) for name, _ in slopes))),
        },
    }
    if subject.has_shape:
        result["analysis"] = analyse(subject.closed).to_dict()
    if moments is not None:
        result["gaussian"] = jsonable(moments)
    if backend is not None:
        result["backend"] = dict(backend)
    return result


def known_names(subject: Subject) -> list[dict[str, str]]:
    """Library entries that are this function: the same text (``exact``), or the same values (``numeric``)."""
    e = subject.expression
    values: Any = None
    found = []
    for name, entry in library.items():
        other = entry.expr
        if other.variables != e.variables or other.parameters != e.parameters:
            continue
        exact = other is e
        if not exact:
            values = _fingerprint(e) if values is None else values
            if not np.allclose(_fingerprint(other), values, rtol=1e-9, atol=1e-12, equal_nan=True):
                continue
            exact = simplify(other) is simplify(e)
        found.append({"name": name, "evidence": "exact" if exact else "numeric", "source": entry.source})
    return found


def _fingerprint(e: Expr) -> Any:
    given = {v: _POINTS * scale for v, scale in zip(e.variables, (1.0, 0.7, -0.9), strict=False)}
    given.update({p: np.array(0.37 + 0.29 * i) for i, p in enumerate(e.parameters)})
    return e.evaluate(**given)


# --- the table ---------------------------------------------------------------------------------------------------


def render(subject: Subject, description: Mapping[str, Any], interval: tuple[float, float] | None = None) -> None:
    """Prints the portrait; on a terminal with a picture in braille."""
    rows = _rows(subject, description)
    if not sys.stdout.isatty():
        # A pipe has no width: nothing is wrapped, coloured or padded there.
        width = max(len(label) for label, _ in rows)
        print("\n".join(f"{label:<{width}}  {value}" for label, value in rows))
        return
    from rich.table import Table
    from rich.text import Text

    from actc.terminal import Output

    console = Output()
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in rows:
        table.add_row(label, Text(value))
    console.print(table)
    if "analysis" in description:
        _draw(console, subject, interval)


def _draw(console: Any, subject: Subject, interval: tuple[float, float] | None) -> None:
    from rich.text import Text

    from actc.plots import DERIVATIVE_COLOUR, FUNCTION_COLOUR, PlotError, curves_of, terminal

    try:
        curves = curves_of(subject.closed, interval)
    except PlotError:
        return
    styles = {"function": FUNCTION_COLOUR, "derivative": DERIVATIVE_COLOUR, "axis": "bright_black"}
    bottom, top = curves.window
    console.print()
    rows = terminal(curves, columns=max(20, min(76, console.width - 10)))
    for i, row in enumerate(rows):
        edge = f"{top:>8.3g} " if i == 0 else f"{bottom:>8.3g} " if i == len(rows) - 1 else " " * 9
        console.print(Text(edge, style="bright_black") + Text.assemble(*((piece, styles[name]) for piece, name in row)))
    low, high = f"{curves.x[0]:.3g}", f"{curves.x[-1]:.3g}"
    console.print(Text(" " * 9 + low + " " * (len(rows[0]) - len(low) - len(high)) + high, style="bright_black"))
    console.print(Text(" " * 9) + Text.assemble(("f(x)", FUNCTION_COLOUR), "  ", ("f′(x)", DERIVATIVE_COLOUR)))


def _rows(subject: Subject, description: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [("function", description["expression"])]
    if subject.entry is not None:
        rows.append(("library", f"{subject.entry.name}: {subject.entry.source}"))
    if description["simplified"] != description["expression"]:
        rows.append(("simplified", description["simplified"]))
    for title, purpose in (("most accurate", "stable"), ("cheapest", "cheap")):
        if description[purpose] not in (description["expression"], *(text for _, text in rows)):
            rows.append((title, _shortened(description[purpose])))
    for name, slope in description["derivatives"].items():
        rows.append(("derivative" if name == "x" else f"by {name}", _shortened(slope)))
    if subject.values:
        said = [
            f"{name} = {value:g}{' (assumed)' if name in subject.assumed and subject.entry is None else ''}"
            for name, value in subject.values.items()
        ]
        rows.append(("with", ", ".join(said)))
    if "analysis" in description:
        rows += _shape(analyse(subject.closed))
    else:
        others = ", ".join(v for v in subject.closed.variables if v != "x")
        rows.append(
            (
                "shape",
                f"a function of more than x; --set {others.partition(',')[0]}=1 fixes {others} and shows the rest",
            )
        )
    if "gaussian" in description:
        rows.append(("x ~ N(0, 1)", _gaussian(description["gaussian"])))
    rows.append(("cost", _cost(description["cost"])))
    names = [f"{k['name']}{'' if k['evidence'] == 'exact' else ' (same values)'}" for k in description["known_as"]]
    rows.append(("known as", ", ".join(names) or "no name in actc.library"))
    if "backend" in description:
        rows.append(("backend", f"{description['backend']['name']}: {description['backend']['reason']}"))
    if "analysis" in description:
        rows.append(("evidence", "numeric, by float64 and mpmath; proved where it says exact"))
    return rows


def _shortened(text: str, length: int = 400) -> str:
    return text if len(text) <= length else f"{text[:length]} … ({len(text)} characters; --json has all)"


def _shape(a: Analysis) -> list[tuple[str, str]]:
    if not a.domain:
        return [("domain", "empty: it has no real value on any interval")]
    kinds = {"kink": "kinks", "jump": "jumps", "pole": "poles", "hole": "undefined at", "edge": "ends of domain"}
    everywhere = a.domain == ((-math.inf, math.inf),)
    held = {b.at for b in a.breakpoints if math.isfinite(b.value)}
    spans = " and ".join(_span(low, high, low in held, high in held) for low, high in a.domain)
    rows = [] if everywhere else [("domain", spans)]
    rows += [("range", _range(a)), ("x → −∞", _tail(a.left, _scale(a))), ("x → +∞", _tail(a.right, _scale(a)))]
    endless = _endless(a)
    for kind, label in kinds.items():
        found = [b for b in a.breakpoints if b.kind == kind]
        if found or kind == "kink":
            places = [((b.at, b.at), _break_text(kind, b)) for b in found]
            rows.append((label, _listed(places, endless) or "none"))
    rows.append(("smoothness", _smoothness(a.smoothness)))
    rows.append(("monotony", _monotony(a)))
    rows.append(("parity", a.parity if a.parity == "neither" else f"{a.parity} ({a.parity_evidence})"))
    rows.append(("zeros", _listed([(zero, _zero_text(a, *zero)) for zero in a.zeros], endless) or "none"))
    return rows


def _endless(a: Analysis) -> bool:
    """Whether the function goes on without end as it does near 0, so that what was found is a part."""
    return any(i.direction == "oscillating" for i in a.intervals)


def _break_text(kind: str, b: Breakpoint) -> str:
    if kind == "kink":
        return f"{number(b.at)} (slope {number(b.slope_left)} to {number(b.slope_right)})"
    if kind == "jump":
        return f"{number(b.at)} ({number(b.left)} to {number(b.right)})"
    return number(b.at)


def _zero_text(a: Analysis, low: float, high: float) -> str:
    if low == high:
        return number(low)
    missed = {b.at for b in a.breakpoints if b.value != 0}
    return f"all of {_span(low, high, low not in missed, high not in missed)}"


def _listed(items: Sequence[tuple[tuple[float, float], str]], endless: bool, most: int = 6) -> str:
    """Texts with the stretches that they stand for: the first few, or those nearest to 0 if they have no end."""
    if not endless or len(items) <= most:
        return ", ".join(text for _, text in items[:most]) + (f" and {len(items) - most} more" if items[most:] else "")
    near = sorted(items, key=lambda item: (abs(sum(item[0])) if math.isfinite(sum(item[0])) else math.inf))[:most]
    return f"{', '.join(text for _, text in sorted(near))} and so on"


def _smoothness(order: float) -> str:
    if order < 0:
        return "not continuous"
    if math.isinf(order):
        return "infinitely often differentiable"
    names = ["continuous", "once continuously differentiable", "twice continuously differentiable"]
    return names[int(order)] if order < 3 else "at least 3 times continuously differentiable"


def _monotony(a: Analysis) -> str:
    if a.monotone in ("increasing", "decreasing", "constant"):
        return a.monotone
    pieces = [((i.low, i.high), f"{i.direction} on {_span(i.low, i.high, False, False)}") for i in a.intervals]
    return (f"{a.monotone}: " if a.monotone != "neither" else "") + _listed(pieces, _endless(a), 5)


def _range(a: Analysis) -> str:
    def place(b: Bound, word: str) -> str:
        return f"{word} {number(b.value, scale)} at x = {number(b.at)}" if b.attained and math.isfinite(b.at) else ""

    low, high, scale = a.infimum, a.supremum, _scale(a)
    where = ", ".join(p for p in (place(low, "minimum"), place(high, "maximum")) if p)
    gaps = any(b.interrupts for b in a.breakpoints) or len(a.domain) > 1
    span = (
        f"{{{number(low.value, scale)}}}"
        if low.value == high.value
        else _span(low.value, high.value, low.attained, high.attained, scale)
    )
    return f"{'within ' if gaps else ''}{span}{f'; {where}' if where and low.value != high.value else ''}"


def _tail(t: Tail, scale: float) -> str:
    if t.kind != "limit":
        return t.kind
    if math.isfinite(t.value):
        return f"{number(t.value, scale)}{' (constant)' if t.constant else ''}"
    if t.growth_power:
        if math.isinf(t.growth_power):
            fast = "faster than exp(x^n) for any n"
        elif t.growth_power % 0.5:
            # x^x is like no exponential of a power.
            fast = "faster than x^n for any n"
        else:
            power = f"^{t.growth_power:g}" if t.growth_power != 1 else ""
            fast = f"like exp({t.growth_factor:.4g}·|x|{power})"
        return f"{number(t.value)}, {fast}"
    if t.slope is None:
        return number(t.value)
    if math.isinf(t.slope):
        return f"{number(t.value)}, faster than linearly"
    if t.slope == 0:
        return f"{number(t.value)}, slower than linearly"
    steep = {1.0: "x", -1.0: "−x"}.get(t.slope, f"{number(t.slope, 0.0)}·x")
    offset = "" if not t.offset else f" {'+' if t.offset > 0 else '−'} {number(abs(t.offset))}"
    return f"{number(t.value)}, {'near' if t.offset is not None else 'like'} the line {steep}{offset}"


def _gaussian(g: Mapping[str, Any]) -> str:
    if not g["exists"]:
        return f"mean {_plain(g['mean'])}, E f² {_plain(g['second'])}: {g['reason']}"
    mean, variance, second = (
        number(0.0 if abs(g[name]) <= g[f"{name}_error"] else g[name], 0.0) for name in ("mean", "var", "second")
    )
    found = f"mean {mean}, variance {variance}, E f² {second}"
    return f"{found} (error at most {g['error']:.1g}), gain 1/√(E f²) = {_plain(g['gain'])}"


def _plain(value: Any) -> str:
    return "undefined" if value is None else number(float(value), 0.0)


def _cost(c: Mapping[str, Mapping[str, int]]) -> str:
    forward, both = c["forward"], c["with_derivatives"]
    counts = f"{forward['instructions']} operations an element, {both['instructions']} with derivatives"
    return f"{counts}; of them {forward['special']} and {both['special']} divisions, roots or special functions"


def number(value: float, scale: float = 1.0) -> str:
    """Six significant digits, the signs of typography, 0 for what is rounding beside ``scale``.

    >>> number(-0.5), number(float("inf")), number(1e-17), number(1e-17, scale=1e-16)
    ('−0.5', '∞', '0', '1e−17')
    """
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{0.0 if abs(value) < 5e-15 * scale else value:.6g}".replace("-", "−")


def _scale(a: Analysis) -> float:
    """The size of the function's values, 1 if they are larger."""
    sizes = [abs(b.value) for b in (a.infimum, a.supremum) if b.value != 0]
    return min([1.0, *sizes])


def _span(low: float, high: float, closed_low: bool, closed_high: bool, scale: float = 1.0) -> str:
    left = "[" if closed_low and math.isfinite(low) else "("
    right = "]" if closed_high and math.isfinite(high) else ")"
    return f"{left}{number(low, scale)}, {number(high, scale)}{right}"


def picture(subject: Subject, path: Path, interval: tuple[float, float] | None = None) -> Path:
    """Writes the figure; returns its path. Raises PlotError, FileError, and ExpressionError for a function of
    more than x.
    """
    from actc.plots import figure_of, save

    values = ", ".join(f"{name} = {value:g}" for name, value in subject.values.items())
    title = f"{subject.expression}{f'  with {values}' if values else ''}"
    return save(figure_of(subject.closed, title, interval), path)

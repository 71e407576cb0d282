"""How the report writes: HTML fragments, and figures with their units."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

NARROW, MINUS = "\u202f", "\u2212"


def escaped(text: object) -> str:
    """`text` as HTML shows it."""
    return html.escape(str(text))


def code(text: str) -> str:
    """An expression; long ones may be broken after an operator or a comma."""
    # A power's two stars stay together.
    breakable = re.sub(r"(, | [+-] |[*][*]|[*/])", r"\1<wbr>", escaped(text))
    return f"<code>{breakable}</code>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are HTML already; a row of one cell is a heading over the rows that follow."""
    heads = "".join(f"<th>{cell}</th>" for cell in head)
    lines = []
    for row in rows:
        if len(row) == 1:
            lines.append(f"<tr class='group'><td colspan='{len(head)}'>{row[0]}</td></tr>")
        else:
            lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>")
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def words(metric: str) -> str:
    """A metric's name for readers."""
    return metric.replace("_", " ")


def figure(value: float, metric: str) -> str:
    """A value of `metric`, accuracies in per cent."""
    text = f"{100 * value:.2f}{NARROW}%" if metric.endswith("accuracy") else f"{value:.4g}"
    return text.replace("-", MINUS)


def between(low: float, high: float, metric: str) -> str:
    """An interval of values of `metric`."""
    return f"{figure(low, metric).removesuffix(f'{NARROW}%')} … {figure(high, metric)}"


def difference(value: float, metric: str) -> str:
    """A signed difference of two values of `metric`, of accuracies in percentage points."""
    text = f"{100 * value:+.2f}" if metric.endswith("accuracy") else f"{value:+.3g}"
    return text.replace("-", MINUS)


def points(metric: str) -> str:
    """The unit of `difference`, with a blank before it."""
    return " points" if metric.endswith("accuracy") else ""


def p_value(value: float) -> str:
    """A p-value to three places."""
    return "&lt; 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"

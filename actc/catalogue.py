"""The activations that the papers discovered or compared, and the well-known ones: ``actc.library``.

The formulas stand in ``catalogue_formulas``, the papers' figures in ``catalogue_results``, one block a printed table;
both are read when the library is first used.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from actc.errors import ActcError

if TYPE_CHECKING:
    from actc.expr import Expr


class UnknownActivationError(ActcError, KeyError):
    """``actc.library`` has no activation of that name."""

    def __str__(self) -> str:
        # KeyError would show the message as a quoted literal.
        return str(self.args[0])


@dataclass(frozen=True)
class Result:
    """One figure of a paper: what an activation reached, on what.

    ``printed`` is the figure as the paper prints it; ``unit`` is ``"%"``, ``"fraction"`` (of one) or ``"loss"``.
    ``runs`` is None where the paper does not say. ``per`` is the granularity of the learnable parameters in that
    experiment, None for an activation without any. ``tables`` names every table that prints the figure.
    """

    printed: str
    unit: str
    metric: str
    architecture: str
    dataset: str
    statistic: str
    runs: int | None
    tables: tuple[str, ...]
    per: str | None = None
    note: str = ""

    @property
    def value(self) -> float:
        """The figure without its spread, in the paper's unit.

        >>> library["alpha_x_minus_beta_log_sigmoid_gamma"].results[1].value
        71.01
        """
        return float(self.printed.partition("±")[0])

    @property
    def spread(self) -> float | None:
        """What the paper prints after ± (``statistic`` says which measure of spread it is), or None."""
        after = self.printed.partition("±")[2]
        return float(after) if after else None

    def __str__(self) -> str:
        unit = {"%": " %", "fraction": "", "loss": ""}[self.unit]
        setting = f"{self.metric} with {self.architecture} on {self.dataset}"
        return f"{self.printed}{unit} {setting} ({'; '.join(self.tables)})"


@dataclass(frozen=True)
class KnownActivation:
    """One activation of the library.

    ``text`` is the formula in the grammar of :func:`actc.parse`; ``source`` the document with its table, section or
    equation. ``per`` is the granularity of the learnable parameters that the source uses (``"layer"``, ``"channel"`` or
    ``"neuron"``; None without parameters) and ``initial`` their initial values, one for each. ``note`` records what the
    source leaves open or does differently.
    """

    name: str
    text: str
    source: str
    per: str | None = None
    initial: Mapping[str, float] = field(default_factory=dict, hash=False)
    results: tuple[Result, ...] = field(default=(), repr=False)
    aliases: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "initial", MappingProxyType(dict(self.initial)))

    @cached_property
    def expr(self) -> Expr:
        """The formula as an expression, parsed when first asked for."""
        from actc.parsing import parse

        return parse(self.text)

    def __str__(self) -> str:
        return self.text

    # A mapping proxy can be neither pickled nor deep-copied.
    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "initial": dict(self.initial)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, initial=MappingProxyType(state["initial"]))


class Library(Mapping[str, KnownActivation]):
    """The known activations by name: a read-only mapping.

    A lookup takes names and aliases; iteration and ``len`` go over the names alone, in the order of the sources.

    >>> library["erfc_softplus_squared"].text
    'erfc(softplus(x))**2'
    >>> library["swish"].name, "swish" in library, "swish" in list(library)
    ('silu', True, False)
    >>> print(max(library["erfc_softplus_squared"].results, key=lambda result: result.value))
    0.8907 validation accuracy with CoAtNet on Imagenette (AQuaSurF table 3)
    """

    @cached_property
    def _rows(self) -> dict[str, KnownActivation]:
        from actc.catalogue_formulas import GROUPS
        from actc.catalogue_results import TABLES

        rows = {row.name: row for _, members in GROUPS for row in members}
        # A table that repeats a figure of an earlier one adds its number to it: the experiment was the same.
        found: dict[str, dict[tuple[str, ...], Result]] = {name: {} for name in rows}
        for table in TABLES:
            for name, result in table.results():
                if rows[name].initial:
                    result = replace(result, per=table.per or rows[name].per)
                experiment = (result.printed, result.metric, result.architecture, result.dataset, result.per or "")
                first = found[name].setdefault(experiment, result)
                if first is not result:
                    found[name][experiment] = replace(first, tables=first.tables + result.tables)
        return {name: replace(row, results=tuple(found[name].values())) for name, row in rows.items()}

    @cached_property
    def _names(self) -> dict[str, str]:
        aliases = {alias: name for name, row in self._rows.items() for alias in row.aliases}
        return {**aliases, **{name: name for name in self._rows}}

    def __getitem__(self, name: str) -> KnownActivation:
        """The activation of that name or alias.

        Raises UnknownActivationError (a KeyError), which names the nearest known name.
        """
        if name in self._names:
            return self._rows[self._names[name]]
        shown = str(name)[:80]
        near = difflib.get_close_matches(shown.strip().lower().replace("-", "_").replace(" ", "_"), self._names, n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"list(actc.library) gives the {len(self)} names it has."
        raise UnknownActivationError(f"actc.library has no activation {shown!r}; {advice}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"<actc.library of {len(self)} activations>"


library = Library()


def markdown() -> str:
    """The library as a page of Markdown: every formula with its source, every figure with its table."""
    from actc.catalogue_formulas import GROUPS

    lines = [
        "# The library",
        "",
        "<!-- Written by `python -c \"from actc.catalogue import markdown; print(markdown(), end='')\"`. -->",
        "",
        f"`actc.library` holds {len(library)} activations: those that the papers discovered or compared, and the",
        "well-known ones. Each has its formula, its source, the initial values of its learnable parameters and, where",
        "a paper gives them, the figures it reached.",
        "",
        "```python",
        "import actc",
        "",
        'row = actc.library["erfc_softplus_squared"]',
        "row.text, row.source     # the formula and where it comes from; row.expr is the parsed expression",
        "row.results              # what it reached: architecture, dataset, metric, figure as printed",
        "```",
    ]
    for heading, members in GROUPS:
        lines += ["", f"## {heading}", "", "| name | formula | parameters | source |", "|---|---|---|---|"]
        for row in members:
            name = f"`{row.name}`" + "".join(f", `{alias}`" for alias in row.aliases)
            start = ", ".join(f"{parameter} = {value:.9g}" for parameter, value in row.initial.items())
            source = row.source + (f". {row.note}" if row.note else "")
            parameters = f"per {row.per}: {start}" if start else ""
            lines.append(f"| {name} | `{row.text}` | {parameters} | {source} |")
    lines += ["", "## Figures", "", "As printed. A figure that several tables repeat stands here once.", ""]
    lines.append("| name | figure | unit | metric | architecture | dataset | statistic | runs | tables |")
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for row in library.values():
        for result in row.results:
            architecture = result.architecture + (f", per {result.per}" if result.per else "")
            statistic = result.statistic + (f" ({result.note})" if result.note else "")
            runs = "" if result.runs is None else str(result.runs)
            figure = (f"`{row.name}`", result.printed, result.unit, result.metric)
            setting = (architecture, result.dataset, statistic, runs, "; ".join(result.tables))
            lines.append(f"| {' | '.join(figure + setting)} |")
    return "\n".join(lines) + "\n"

"""The errors that actc raises on purpose: each names the cause and the remedy in one message."""

from __future__ import annotations


class ActcError(Exception):
    """Base class of every error that actc raises on purpose."""


class ArgumentError(ActcError, ValueError, TypeError):
    """An argument of a type or value that it cannot have; the message names it, what was given and what to write."""


class ExpressionError(ActcError, ValueError):
    """An expression that cannot be built: unknown operator, wrong number of arguments, reserved name."""


class ParseError(ExpressionError):
    """A text that is no expression. The message ends with the user's own text and a caret under the place.

    Attributes: ``problem`` (what is wrong and what to write instead), ``text`` (the whole text as given),
    ``start`` and ``end`` (character offsets into ``text`` of the place).
    """

    #: Characters of the user's text shown on either side of the place.
    MARGIN = 60

    def __init__(self, problem: str, text: str, start: int, end: int) -> None:
        self.problem, self.text = problem, text
        self.start = min(max(start, 0), len(text))
        self.end = max(end, self.start + 1)
        super().__init__(f"{problem}\n{self._excerpt()}")

    def __reduce__(self) -> tuple[type[ParseError], tuple[str, str, int, int]]:
        return type(self), (self.problem, self.text, self.start, self.end)

    def _excerpt(self) -> str:
        line_start = self.text.rfind("\n", 0, self.start) + 1
        line_end = self.text.find("\n", self.start)
        line_end = len(self.text) if line_end < 0 else line_end
        left = max(line_start, self.start - self.MARGIN)
        right = min(line_end, max(self.start + self.MARGIN, left + 2 * self.MARGIN))
        before = "…" if left > line_start else ""
        after = "…" if right < line_end else ""
        shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in self.text[left:right])
        width = max(1, min(self.end, right) - self.start)
        return f"  {before}{shown}{after}\n  {' ' * (len(before) + self.start - left)}{'^' * width}"

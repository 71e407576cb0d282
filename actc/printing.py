"""Expressions to text that parses back to the same node, and to LaTeX."""

from __future__ import annotations

import re
from fractions import Fraction

from actc.expr import Expr, postorder, tree_size
from actc.operators import is_operator, operator

#: Written out without bindings up to this many nodes of the tree and this depth; beyond, shared parts get names.
PLAIN_NODES = 200
PLAIN_DEPTH = 25

_COMPARE, _SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(1, 7)

_INFIX = {
    "lt": (" < ", _COMPARE),
    "le": (" <= ", _COMPARE),
    "gt": (" > ", _COMPARE),
    "ge": (" >= ", _COMPARE),
    "eq": (" == ", _COMPARE),
    "ne": (" != ", _COMPARE),
    "add": (" + ", _SUM),
    "sub": (" - ", _SUM),
    "mul": ("*", _PRODUCT),
    "div": ("/", _PRODUCT),
}  # fmt: skip


def text(root: Expr) -> str:
    """The expression as text; ``parse(text(e)) is e``. Shared subexpressions become bindings where the plain text
    would explode."""
    nodes = postorder(root)
    names = _bindings(root, nodes)
    written: dict[Expr, tuple[str, int]] = {}
    lines: list[str] = []
    for node in nodes:
        piece = _node_text(node, written)
        if node in names:
            lines.append(f"{names[node]} = {piece[0]}")
            piece = (names[node], _ATOM)
        written[node] = piece
    return "; ".join([*lines, written[root][0]])


def _bindings(root: Expr, nodes: list[Expr]) -> dict[Expr, str]:
    uses = dict.fromkeys(nodes, 0)
    depth: dict[Expr, int] = {}
    cut: list[Expr] = []
    for node in nodes:
        for a in node.args:
            uses[a] += 1
    plain = tree_size(root, PLAIN_NODES) <= PLAIN_NODES
    for node in nodes:
        depth[node] = 1 + max((depth[a] for a in node.args), default=0)
        shared = not plain and uses[node] > 1
        if node is not root and node.args and (shared or depth[node] >= PLAIN_DEPTH):
            cut.append(node)
            depth[node] = 0
    taken = root.symbols
    free = (name for i in range(len(cut) + len(taken) + 1) if (name := f"t{i}") not in taken and not is_operator(name))
    return dict(zip(cut, free, strict=False))


def _node_text(node: Expr, written: dict[Expr, tuple[str, int]]) -> tuple[str, int]:
    if node.kind == "symbol":
        return node.name, _ATOM
    if node.value is not None:
        return number_text(node.value)
    args = [written[a] for a in node.args]

    def wrap(i: int, level: int) -> str:
        piece, own = args[i]
        return piece if own >= level else f"({piece})"

    if node.name in _INFIX:
        sign, level = _INFIX[node.name]
        return wrap(0, level + (level == _COMPARE)) + sign + wrap(1, level + 1), level
    if node.name == "neg":
        return "-" + wrap(0, _SIGN), _SIGN
    if node.name == "pow":
        return f"{wrap(0, _ATOM)}**{wrap(1, _ATOM)}", _POWER
    if not args:
        return node.name, _ATOM
    return f"{node.name}({', '.join(_without_defaults(node, [a[0] for a in args]))})", _ATOM


def _without_defaults(node: Expr, pieces: list[str]) -> list[str]:
    row = operator(node.name)
    required = row.arity - len(row.defaults)
    while (
        required < len(pieces) <= row.arity
        and node.args[len(pieces) - 1].value == row.defaults[len(pieces) - 1 - required]
    ):
        pieces = pieces[:-1]
    return pieces


def number_text(value: Fraction) -> tuple[str, int]:
    """An exact number as a decimal where that is short and exact, else as a quotient; with the level it binds at."""
    sign, magnitude = ("-", -value) if value < 0 else ("", value)
    decimal = _decimal(magnitude)
    if decimal is not None:
        return sign + decimal, _SIGN if sign else _ATOM
    return f"{sign}{magnitude.numerator}/{magnitude.denominator}", _PRODUCT


def _decimal(value: Fraction) -> str | None:
    """The exact decimal form with at most 40 digits, in scientific notation where that is shorter; None if there is
    none."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return None
    places = max(twos, fives)
    digits = str(value.numerator * 10**places // value.denominator)
    stripped = digits.rstrip("0") or "0"
    exponent = len(digits) - len(stripped) - places
    if len(stripped) > 40:
        return None if places else digits
    if exponent >= 0:
        plain = stripped + "0" * exponent
    elif -exponent < len(stripped):
        plain = f"{stripped[:exponent]}.{stripped[exponent:]}"
    else:
        plain = f"0.{'0' * (-exponent - len(stripped))}{stripped}"
    point = f"{stripped[0]}.{stripped[1:]}" if len(stripped) > 1 else stripped
    scientific = f"{point}e{exponent + len(stripped) - 1}"
    return plain if len(plain) <= max(len(scientific), 10) or value == 0 else scientific


def latex(root: Expr) -> str:
    r"""LaTeX source, for example ``\frac{x}{1 + \left|x\right|}``, with bindings where :func:`text` has them."""
    nodes = postorder(root)
    names = _bindings(root, nodes)
    written: dict[Expr, tuple[str, int]] = {}
    lines: list[str] = []
    for node in nodes:
        piece = _node_latex(node, written)
        if node in names:
            name = _symbol_latex(names[node])
            lines.append(f"{name} = {piece[0]}")
            piece = (name, _ATOM)
        written[node] = piece
    return r",\quad ".join([*lines, written[root][0]])


# fmt: off
_GREEK = frozenset({
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda",
    "mu", "nu", "xi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
})
# fmt: on


def _symbol_latex(name: str) -> str:
    parts = re.fullmatch(r"([^\W\d_]+)_*(\w*)", name)
    if parts is None:
        return rf"\mathrm{{{name}}}".replace("_", r"\_")
    head, index = parts[1], parts[2].strip("_")
    head = f"\\{head}" if head in _GREEK else head if len(head) == 1 else rf"\mathrm{{{head}}}"
    return f"{head}_{{{index.replace('_', ' ')}}}" if index else head


def _node_latex(node: Expr, written: dict[Expr, tuple[str, int]]) -> tuple[str, int]:
    if node.kind == "symbol":
        return _symbol_latex(node.name), _ATOM
    if node.value is not None:
        value = node.value
        piece, level = number_text(value)
        if level == _PRODUCT:
            return (
                f"{'-' if value < 0 else ''}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}",
                _SIGN if value < 0 else _POWER,
            )
        if "e" in piece:
            digits, exponent = piece.split("e")
            return f"{digits} \\cdot 10^{{{exponent}}}", _PRODUCT
        return piece, level
    args = [written[a] for a in node.args]

    def wrap(i: int, level: int) -> str:
        piece, own = args[i]
        return piece if own >= level else rf"\left({piece}\right)"

    if node.name == "div":
        # Raised to a power, a fraction needs parentheses.
        return rf"\frac{{{args[0][0]}}}{{{args[1][0]}}}", _POWER
    if node.name == "mul":
        return f"{wrap(0, _PRODUCT)} \\cdot {wrap(1, _SIGN + 1)}", _PRODUCT
    if node.name in ("add", "sub"):
        return f"{wrap(0, _SUM)} {'+' if node.name == 'add' else '-'} {wrap(1, _PRODUCT)}", _SUM
    if node.name == "neg":
        return f"-{wrap(0, _SIGN)}", _SIGN
    if node.name == "pow":
        return f"{{{wrap(0, _ATOM)}}}^{{{args[1][0]}}}", _POWER
    if node.name == "where":
        return (
            rf"\begin{{cases}} {args[1][0]} & \text{{if }} {args[0][0]} \\ "
            rf"{args[2][0]} & \text{{otherwise}} \end{{cases}}",
            _ATOM,
        )
    template = operator(node.name).latex
    if node.name in _INFIX:
        return template.format(wrap(0, _SUM), wrap(1, _SUM)), _COMPARE
    if template:
        # A template with a sign of its own binds like a sum, one that raises to a power like a power.
        powered = template.startswith("{0}^")
        level = _SUM if template.endswith("- 1") else _POWER if powered or template.startswith("e^") else _ATOM
        return template.format(*(wrap(i, _ATOM) if powered else a[0] for i, a in enumerate(args))), level
    name = node.name.replace("_", r"\_")
    shown = ", ".join(_without_defaults(node, [a[0] for a in args]))
    return rf"\operatorname{{{name}}}({shown})", _ATOM

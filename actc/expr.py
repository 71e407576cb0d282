"""Expressions: immutable, interned nodes of a directed acyclic graph.

Two structurally equal expressions are the same object, so ``is`` decides equality, dictionaries need no deep hashing
and a shared subexpression is computed once by every pass that walks :func:`postorder`.
"""

from __future__ import annotations

import keyword
import math
import threading
import unicodedata
import weakref
from collections.abc import Container, Iterable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NoReturn

from actc.errors import ExpressionError

if TYPE_CHECKING:
    import mpmath
    import numpy as np

VARIABLES = ("x", "y", "z")

#: Names that people write for a number or an input, where a learnable parameter would be a silent surprise, and those
#: that generated code needs.
RESERVED = {
    "\u0445": "it is the Cyrillic letter; write the Latin x for the input",
    "\u0443": "it is the Cyrillic letter; write the Latin y for the input",
    "e": "write exp(1) for Euler's number, or give the parameter another name",
    "inf": "infinity is no number of an expression; use where(...) to treat a tail on its own",
    "nan": "NaN is no number of an expression",
    "torch": "generated code uses it for the module; give the parameter another name",
    "math": "generated code uses it for the module; give the parameter another name",
}

Number = int | float | Fraction

#: A constant's numerator and denominator stay under about 400 decimal digits, so that no arithmetic on them can
#: explode.
MAX_BITS = 1400

_nodes: weakref.WeakValueDictionary[tuple[Any, ...], Expr] = weakref.WeakValueDictionary()
_lock = threading.RLock()


class Expr:
    """One node: a symbol, an exact rational constant, or an operator applied to arguments.

    Built by :func:`actc.parse`, by :func:`symbol`, :func:`constant`, :func:`apply`, or by Python's operators::

        >>> import actc
        >>> x = actc.parse("x")
        >>> x * 2 + 1 is actc.parse("x*2 + 1")
        True

    ``kind`` is ``"symbol"``, ``"constant"`` or ``"apply"``; ``name`` the symbol's or the operator's name, ``args`` the
    arguments of an application, ``value`` the :class:`fractions.Fraction` of a constant.
    """

    __slots__ = ("__weakref__", "_digest", "_long", "_normal", "_sum", "args", "kind", "name", "symbols", "value")

    kind: str
    name: str
    args: tuple[Expr, ...]
    value: Fraction | None
    symbols: frozenset[str]
    # What actc.normal_form found out about the node; None or False until it is asked.
    _digest: bytes | None
    _sum: dict[tuple[tuple[Expr, int], ...], Fraction] | None
    _normal: bool
    _long: bool

    # numpy scalars on the left would otherwise swallow an Expr into an object array.
    __array_ufunc__ = None

    def __init__(self, *_: object) -> None:
        raise TypeError("build expressions with actc.parse(text), or actc.expr.symbol, constant and apply")

    # --- what occurs in it ---------------------------------------------------------------------------------------

    @property
    def variables(self) -> tuple[str, ...]:
        """The inputs that occur, in the order x, y, z."""
        return tuple(v for v in VARIABLES if v in self.symbols)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The other free names, sorted: the learnable parameters.

        >>> import actc
        >>> actc.parse("x * sigmoid(beta * x)").parameters
        ('beta',)
        """
        return tuple(sorted(self.symbols.difference(VARIABLES)))

    # --- value ---------------------------------------------------------------------------------------------------

    def evaluate(self, /, *inputs: Any, **values: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The value in float64 by numpy: the living definition that backends are compared with.

        Inputs are given in the order of :attr:`variables` or by name, parameters by name; anything that
        ``numpy.asarray(..., dtype=float64)`` takes, broadcast against each other. Returns a float64 array of the
        broadcast shape. Poles give infinities, points outside a domain NaN. Raises TypeError for a missing or unknown
        name.

        >>> import actc
        >>> float(actc.parse("x**2 + y").evaluate(3.0, y=1.0))
        10.0
        """
        from actc.evaluation import evaluate

        return evaluate(self, *inputs, **values)

    def evaluate_mp(self, /, digits: int = 50, **values: Any) -> mpmath.mpf:
        """The real value to ``digits`` correct decimal digits by mpmath, as an ``mpf``: the oracle.

        Values are numbers by name. Precision grows until ball arithmetic tells that it is enough. What 9,600 digits do
        not tell from 0, from a pole or from a place where an operator jumps is taken to be there. ``nan`` outside the
        domain or where that does not settle the value, ``inf`` at poles.
        """
        from actc.evaluation import evaluate_mp

        return evaluate_mp(self, digits, **values)

    def substitute(self, replacements: Mapping[str, Expr | Number]) -> Expr:
        """This expression with symbols replaced, all at once.

        >>> import actc
        >>> str(actc.parse("x*y").substitute({"x": actc.parse("y"), "y": 2}))
        'y*2'
        """
        table = {name: as_expr(value) for name, value in replacements.items()}
        return rebuild(
            self, lambda node, args: table.get(node.name, node) if node.kind == "symbol" else node.with_args(args)
        )

    def with_args(self, args: tuple[Expr, ...]) -> Expr:
        """This application with other arguments; symbols and constants are returned unchanged."""
        # Expressions have no equality but identity.
        if self.kind != "apply" or self.args == args:
            return self
        return applied(self.name, args)

    # --- text ----------------------------------------------------------------------------------------------------

    def __str__(self) -> str:
        from actc.printing import text

        return text(self)

    def __repr__(self) -> str:
        return f"actc.parse({str(self)!r})"

    def latex(self) -> str:
        r"""LaTeX source of the expression.

        >>> import actc
        >>> print(actc.parse("x/(1 + abs(x))").latex())
        \frac{x}{1 + \left|x\right|}
        """
        from actc.printing import latex

        return latex(self)

    # --- identity ------------------------------------------------------------------------------------------------

    def __reduce__(self) -> tuple[Any, tuple[list[tuple[Any, ...]]]]:
        nodes = postorder(self)
        index = {node: i for i, node in enumerate(nodes)}
        return _from_flat, ([(n.kind, n.name, tuple(index[a] for a in n.args), n.value) for n in nodes],)

    def __copy__(self) -> Expr:
        return self

    def __deepcopy__(self, memo: Any) -> Expr:
        return self

    def __bool__(self) -> NoReturn:
        raise TypeError(
            "an expression has no truth value; compare with `is`, or write where(condition, a, b) in its text"
        )

    # --- Python's operators build nodes --------------------------------------------------------------------------

    def __add__(self, other: Expr | Number) -> Expr:
        return apply("add", self, other)

    def __radd__(self, other: Number) -> Expr:
        return apply("add", other, self)

    def __sub__(self, other: Expr | Number) -> Expr:
        return apply("sub", self, other)

    def __rsub__(self, other: Number) -> Expr:
        return apply("sub", other, self)

    def __mul__(self, other: Expr | Number) -> Expr:
        return apply("mul", self, other)

    def __rmul__(self, other: Number) -> Expr:
        return apply("mul", other, self)

    def __truediv__(self, other: Expr | Number) -> Expr:
        return apply("div", self, other)

    def __rtruediv__(self, other: Number) -> Expr:
        return apply("div", other, self)

    def __pow__(self, other: Expr | Number) -> Expr:
        return apply("pow", self, other)

    def __rpow__(self, other: Number) -> Expr:
        return apply("pow", other, self)

    def __neg__(self) -> Expr:
        return apply("neg", self)

    def __abs__(self) -> Expr:
        return apply("abs", self)

    def __lt__(self, other: Expr | Number) -> Expr:
        return apply("lt", self, other)

    def __le__(self, other: Expr | Number) -> Expr:
        return apply("le", self, other)

    def __gt__(self, other: Expr | Number) -> Expr:
        return apply("gt", self, other)

    def __ge__(self, other: Expr | Number) -> Expr:
        return apply("ge", self, other)


def _intern(kind: str, name: str, args: tuple[Expr, ...], value: Fraction | None) -> Expr:
    # The hash of a Fraction is a modular inverse, ten times as slow as that of two integers.
    key = (kind, name, args, value if value is None else (value.numerator, value.denominator))
    with _lock:
        node = _nodes.get(key)
        if node is None:
            node = object.__new__(Expr)
            node.kind, node.name, node.args, node.value = kind, name, args, value
            node._digest, node._sum, node._normal, node._long = None, None, False, False
            if kind == "symbol":
                node.symbols = frozenset((name,))
            elif len(args) == 1 or (len(args) == 2 and args[0].symbols is args[1].symbols):
                node.symbols = args[0].symbols
            else:
                node.symbols = frozenset().union(*(a.symbols for a in args))
            _nodes[key] = node
        return node


def symbol(name: str) -> Expr:
    """The variable (x, y, z) or learnable parameter (any other identifier) of that name.

    Names are compared in the normal form NFKC, as Python compares its own. Raises ExpressionError for what is no name.
    """
    from actc.operators import is_operator

    name = unicodedata.normalize("NFKC", name)
    if name.startswith("__") or not name.isidentifier() or keyword.iskeyword(name):
        raise ExpressionError(
            f"{name!r} is no name for a parameter; use letters, digits and underscores, and no Python keyword"
        )
    if name in RESERVED:
        raise ExpressionError(f"{name!r} is no name for a parameter: {RESERVED[name]}")
    if is_operator(name):
        raise ExpressionError(
            f"{name!r} is an operator and needs its arguments, as in {name}(x); a parameter needs another name"
        )
    return _intern("symbol", name, (), None)


def hidden(place: int) -> Expr:
    """A symbol that stands for an expression for a while: no text can name it."""
    return _intern("symbol", str(place), (), None)


def constant(value: Number) -> Expr:
    """The exact constant. A float stands for the shortest decimal that prints it, so ``constant(0.1)`` is 1/10.

    Raises ExpressionError for infinities, NaN and numbers far beyond every floating-point type.
    """
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ExpressionError(
                f"{value!r} is no constant of an expression; use where(...) to treat a tail on its own"
            )
        value = Fraction(repr(float(value)))
    exact = Fraction(value)
    if not is_writable(exact):
        raise ExpressionError(
            "this constant has over 400 digits, beyond every floating-point type; write a smaller one"
        )
    return _intern("constant", "", (), exact)


def is_writable(value: Fraction) -> bool:
    """Whether a number is short enough for a constant."""
    return max(value.numerator.bit_length(), value.denominator.bit_length()) <= MAX_BITS


def as_expr(value: Expr | Number) -> Expr:
    """An Expr unchanged, a number as a constant. Raises TypeError for anything else."""
    if isinstance(value, Expr):
        return value
    if isinstance(value, (int, float, Fraction)) and not isinstance(value, bool):
        return constant(value)
    raise TypeError(f"expected an expression or a number, got {type(value).__name__}; texts go through actc.parse")


def apply(name: str, *args: Expr | Number) -> Expr:
    """The operator of that name or alias applied to arguments, defaults filled in.

    A negated or divided constant is that constant (``-3``, ``2/3``), so that every constant has one form. Raises
    ExpressionError for an unknown operator or a wrong number of arguments.
    """
    from actc.operators import operator

    row = operator(name)
    nodes = tuple([a if isinstance(a, Expr) else as_expr(a) for a in args])
    return applied(row.name, nodes if len(nodes) == len(row.arguments) else row.complete(nodes))


def applied(name: str, nodes: tuple[Expr, ...]) -> Expr:
    """The operator of that name, its own and no alias, applied to expressions for all its arguments."""
    if name in ("neg", "div") and (last := nodes[-1].value) is not None and (first := nodes[0].value) is not None:
        if name == "neg":
            return constant(-first)
        if last != 0 and is_writable(first / last):
            return constant(first / last)
    return _intern("apply", name, nodes, None)


def postorder(*roots: Expr, known: Container[Expr] = ()) -> list[Expr]:
    """The distinct nodes below the roots, every node after its arguments; but for ``known`` ones, and what is below
    those alone. Iterative: depth is no limit."""
    order: dict[Expr, None] = {}
    stack = list(reversed(roots))
    while stack:
        node = stack[-1]
        if node in order or node in known:
            stack.pop()
            continue
        waiting = [a for a in reversed(node.args) if a not in order and a not in known]
        if waiting:
            stack.extend(waiting)
        else:
            order[node] = None
            stack.pop()
    return list(order)


def rebuild(root: Expr, build: Any) -> Expr:
    """Bottom-up rewrite: ``build(node, new_args)`` gives each distinct node's replacement once."""
    done: dict[Expr, Expr] = {}
    for node in postorder(root):
        done[node] = build(node, tuple(done[a] for a in node.args))
    return done[root]


def tree_size(root: Expr, limit: float = math.inf) -> float:
    """Nodes of the expression written out as a tree, sharing undone; ``inf`` beyond ``limit``."""
    size: dict[Expr, float] = {}
    for node in postorder(root):
        size[node] = 1 + sum(size[a] for a in node.args)
        if size[node] > limit:
            return math.inf
    return size[root]


def _from_flat(rows: Iterable[tuple[Any, ...]]) -> Expr:
    nodes: list[Expr] = []
    for kind, name, indices, value in rows:
        args = tuple(nodes[i] for i in indices)
        if kind == "constant":
            nodes.append(constant(value))
        elif kind == "symbol":
            # As it was: the arguments of a row or a slot have names that no text can write.
            nodes.append(_intern("symbol", name, (), None))
        else:
            nodes.append(apply(name, *args))
    return nodes[-1]

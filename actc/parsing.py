"""Text to expressions: a whitelist over Python's syntax tree. Nothing is ever evaluated as code."""

from __future__ import annotations

import ast
import keyword
import re
import threading
import warnings
from collections.abc import Collection, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NoReturn

from actc.errors import ExpressionError, ParseError
from actc.expr import RESERVED, VARIABLES, Expr, _intern, apply, constant, symbol
from actc.operators import OPERATORS, is_operator, operator, suggestion

if TYPE_CHECKING:
    from actc.operators import Operator

#: Limits on hostile or generated text. The longest function in the literature has under 300 characters.
MAX_CHARACTERS = 150_000
MAX_NODES = 20_000
#: Python's own parser refuses 200 nested parentheses.
MAX_PARENTHESES = 150
#: Decimal digits and powers of ten of a number: the range of float64 with room to spare.
MAX_EXPONENT = 400

# CPython 3.11 keeps the depth of its syntax tree's construction for all threads together, and warning filters are
# global.
_ast_lock = threading.Lock()

_BIND = "name parts of it by bindings, as in t = exp(x); t*t"

_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.Pow: "pow",
}
_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
    ast.Eq: "eq",
    ast.NotEq: "ne",
}

#: All but ASCII letters, digits, blanks and the signs of arithmetic: worth a second look.
_SUSPECT = re.compile(r"[^\w\s.,;=<>+*/^-]|[^\x00-\x7f]|[^\S \t\r\n]")

#: What people paste from papers, and what to write instead.
_TYPOGRAPHY = {
    "−": "-",
    "–": "-",
    "·": "*",
    "×": "*",
    "÷": "/",
    "²": "**2",
    "³": "**3",
    "√": "sqrt(...)",
    "π": "pi",
    "≤": "<=",
    "≥": ">=",
    "σ": "sigmoid(...)",
    "|": "abs(...)",
}

_REMEDY = {
    ast.Attribute: "attribute access is not part of the language; operators are called by name, as in tanh(x)",
    ast.Subscript: "indexing is not part of the language; an activation sees one element at a time",
    ast.Lambda: "write the body alone, with x for the input",
    ast.IfExp: "write where(condition, a, b)",
    ast.BoolOp: "write where(condition, a, b), or multiply conditions, as in (x > 0)*(x < 1)",
    ast.NamedExpr: "bind a name by t = exp(x); t*t",
    ast.List: "lists are not part of the language",
    ast.Tuple: "an expression is one function; separate bindings by semicolons, as in t = exp(x); t*t",
    ast.JoinedStr: "strings are not part of the language",
}


def parse(text: str | Expr) -> Expr:
    """The expression that a text denotes.

    The text is infix arithmetic with ``**`` or ``^`` for powers, calls of the operators of
    :data:`actc.operators.OPERATORS`, comparisons (worth 1 or 0), ``where(condition, a, b)``, and bindings
    ``t = exp(x); t*t``. ``x``, ``y``, ``z`` are inputs, ``pi`` is π, every other free name is a learnable parameter,
    and numbers are exact: 0.1 is 1/10. An :class:`Expr` is returned as it is.

    Raises :class:`ParseError` with a caret under the place and what to write instead; TypeError for anything but text.

    >>> import actc
    >>> actc.parse("x * sigmiod(x)")
    Traceback (most recent call last):
        ...
    actc.errors.ParseError: unknown operator 'sigmiod'; did you mean 'sigmoid'?
      x * sigmiod(x)
          ^^^^^^^
    """
    if isinstance(text, Expr):
        return text
    if not isinstance(text, str):
        raise TypeError(f"actc.parse takes text or an expression, got {type(text).__name__}")
    return _Parser(text).parse()


def parse_row(text: str, row: Operator) -> Expr:
    """A text of an operator's row: the names of its signature and their differentials are symbols, whatever else they
    mean."""
    return _Parser(text, own={*row.arguments, *(f"d{a}" for a in row.arguments)}).parse()


def parse_schema(text: str, slots: Collection[str]) -> Expr:
    """A text in which the names in ``slots`` may be called like operators: a schema, not yet an expression."""
    return _Parser(text, slots=slots).parse()


class _Parser:
    def __init__(self, text: str, own: Collection[str] = (), slots: Collection[str] = ()) -> None:
        self.text = text
        self.own = own
        self.slots = slots
        self.bound: dict[str, Expr] = {}
        self.free: set[str] = set()
        self.count = 0

    def parse(self) -> Expr:
        self.check_surface()
        # Leading blanks would be an indent to Python. '^' binds more loosely than '+' in Python; as '**' it means a
        # power. Places map back through `origin`.
        indent = len(self.text) - len(self.text.lstrip())
        self.code = self.text[indent:].replace("^", "**")
        self.origin: Sequence[int] = range(indent, len(self.text) + 1)
        if "^" in self.text:
            widths = ((i, 2 if self.text[i] == "^" else 1) for i in range(indent, len(self.text)))
            self.origin = [*(i for i, width in widths for _ in range(width)), len(self.text)]
        # Columns of Python's syntax tree count bytes of UTF-8.
        self.lines = self.code.splitlines(keepends=True)
        self.line_starts = [0]
        for line in self.lines:
            self.line_starts.append(self.line_starts[-1] + len(line))
        try:
            with _ast_lock, warnings.catch_warnings():
                warnings.simplefilter("ignore", SyntaxWarning)
                tree = ast.parse(self.code)
        except SyntaxError as error:
            self.fail_syntax(error)
        except (RecursionError, MemoryError):
            self.fail(f"this is nested too deeply; {_BIND}", 0, 1)
        return self.module(tree)

    def check_surface(self) -> None:
        text = self.text
        if not text.strip():
            self.fail("the text is empty; write a function of x, as in x*sigmoid(x)", 0, 1)
        if len(text) > MAX_CHARACTERS:
            self.fail(
                f"the text has {len(text):,} characters and the limit is {MAX_CHARACTERS:,}; {_BIND}",
                MAX_CHARACTERS,
                MAX_CHARACTERS + 1,
            )
        depth = 0
        for suspect in _SUSPECT.finditer(text):
            i, c = suspect.start(), suspect[0]
            if c in "([{":
                depth += 1
                if depth > MAX_PARENTHESES:
                    self.fail(
                        f"more than {MAX_PARENTHESES} nested parentheses; {_BIND}",
                        i,
                        i + 1,
                    )
            elif c in ")]}":
                depth -= 1
            elif c in _TYPOGRAPHY:
                self.fail(f"{c!r} is not part of the language; write {_TYPOGRAPHY[c]}", i, i + 1)
            elif c == "#":
                self.fail("comments are not part of the language", i, i + 1)
            elif not c.isprintable():
                self.fail(f"the text holds the unprintable character U+{ord(c):04X}; remove it", i, i + 1)

    # --- places ----------------------------------------------------------------------------------------------------

    def place(self, line: int, column: int) -> int:
        """Offset into the user's text of a line (from 1) and UTF-8 column (from 0) of the syntax tree."""
        source = self.lines[min(line, len(self.lines)) - 1]
        offset = column if source.isascii() else len(source.encode()[:column].decode(errors="ignore"))
        return self.origin[min(self.line_starts[min(line, len(self.lines)) - 1] + offset, len(self.code))]

    def fail(self, problem: str, start: int, end: int) -> NoReturn:
        raise ParseError(problem, self.text, start, end)

    def fail_at(self, problem: str, node: Any) -> NoReturn:
        self.fail(
            problem,
            self.place(node.lineno, node.col_offset),
            self.place(node.end_lineno or node.lineno, node.end_col_offset or 0),
        )

    def fail_syntax(self, error: SyntaxError) -> NoReturn:
        line, column = error.lineno or 1, max((error.offset or 1) - 1, 0)
        # Unlike the tree's columns, a SyntaxError's count characters.
        start = self.origin[min(self.line_starts[min(line, len(self.lines)) - 1] + column, len(self.code))]
        for word in re.finditer(r"[^\W\d]\w*", self.text):
            if keyword.iskeyword(word[0]):
                self.fail(
                    f"{word[0]!r} is a keyword of the syntax and no name; name a parameter otherwise, as in {word[0]}_",
                    *word.span(),
                )
        if error.msg and "unexpected indent" in error.msg:
            self.fail("lines must not be indented", start, start + 1)
        reason = (error.msg or "invalid syntax").split(". ")[0]
        if "integer string conversion" in reason:
            self.fail("this number is too long: it has more digits than any floating-point type", start, start + 1)
        self.fail(f"this is no expression: {reason}; write for example x*sigmoid(x)", start, start + 1)

    # --- the tree --------------------------------------------------------------------------------------------------

    def module(self, tree: ast.Module) -> Expr:
        if not tree.body:
            self.fail("the text is empty; write a function of x, as in x*sigmoid(x)", 0, 1)
        *bindings, last = tree.body
        for statement in bindings:
            if (
                not isinstance(statement, ast.Assign)
                or len(statement.targets) != 1
                or not isinstance(statement.targets[0], ast.Name)
            ):
                self.fail_at("only bindings may stand before the expression, as in t = exp(x); t*t", statement)
            target = statement.targets[0]
            if (
                target.id in VARIABLES
                or target.id in RESERVED
                or target.id == "pi"
                or target.id in self.bound
                or is_operator(target.id)
            ):
                why = "is bound already" if target.id in self.bound else "has a meaning of its own"
                self.fail_at(f"{target.id!r} {why}; bind another name", target)
            self.bound[target.id] = self.expression(statement.value)
            if target.id in self.free:
                self.fail_at(f"{target.id!r} is used before it is bound; give binding and parameter two names", target)
        if isinstance(last, ast.Assign):
            self.fail_at("the last part must be an expression, as in t = exp(x); t*t", last)
        if not isinstance(last, ast.Expr):
            self.fail_at("statements are not part of the language; write an expression, as in x*sigmoid(x)", last)
        return self.expression(last.value)

    def expression(self, root: ast.expr) -> Expr:
        """Bottom-up without recursion, so that depth is bounded by Python's parser alone."""
        done: dict[ast.expr, Expr] = {}
        stack: list[tuple[ast.expr, bool]] = [(root, False)]
        while stack:
            node, ready = stack.pop()
            if ready:
                done[node] = self.build(node, [done[c] for c in self.children(node)])
                continue
            self.count += 1
            if self.count > MAX_NODES:
                self.fail_at(
                    f"more than {MAX_NODES:,} operations and names; {_BIND}",
                    node,
                )
            self.check(node)
            stack.append((node, True))
            stack.extend((child, False) for child in reversed(self.children(node)))
        return done[root]

    def check(self, node: ast.expr) -> None:
        """Refuse what is not of the language before its parts are looked at, so that the error names the outermost
        cause."""
        if isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Name):
                self.fail_at(
                    _REMEDY.get(type(node.func), "only operators can be called, by name, as in tanh(x)"), node.func
                )
            name = node.func.id
            if name in self.bound or (name in {*VARIABLES, "pi", *self.own} and not is_operator(name)):
                self.fail_at(f"{name!r} is not an operator; write {name}*(...) to multiply", node.func)
            if not (is_operator(name) or name in self.slots):
                known = [*self.slots, *OPERATORS] if self.slots else ()
                self.fail_at(f"unknown operator {name[:40]!r}{suggestion(name, known)}", node.func)
        elif not isinstance(node, (ast.BinOp, ast.UnaryOp, ast.Compare, ast.Name, ast.Constant)):
            self.fail_at(
                _REMEDY.get(
                    type(node),
                    f"{type(node).__name__} is not part of the language; write an expression, as in x*sigmoid(x)",
                ),
                node,
            )

    def children(self, node: ast.expr) -> list[ast.expr]:
        if isinstance(node, ast.BinOp):
            return [node.left, node.right]
        if isinstance(node, ast.UnaryOp):
            return [node.operand]
        if isinstance(node, ast.Compare):
            return [node.left, *node.comparators]
        if isinstance(node, ast.Call):
            return [*node.args, *(k.value for k in node.keywords)]
        return []

    def build(self, node: ast.expr, args: list[Expr]) -> Expr:
        try:
            return self.node(node, args)
        except ParseError:
            raise
        except ExpressionError as error:
            self.fail_at(str(error), node)

    def node(self, node: ast.expr, args: list[Expr]) -> Expr:
        if isinstance(node, ast.BinOp):
            name = _BINARY.get(type(node.op))
            if name is None:
                sign = {ast.BitOr: "|", ast.FloorDiv: "//", ast.Mod: "%", ast.MatMult: "@"}.get(
                    type(node.op), "this operator"
                )
                self.fail_at(
                    f"{sign} is not part of the language; there are + - * / ** and calls, such as abs(x), floor(x)",
                    node,
                )
            return apply(name, *args)
        if isinstance(node, ast.UnaryOp):
            if isinstance(node.op, ast.USub):
                return apply("neg", *args)
            if isinstance(node.op, ast.UAdd):
                return args[0]
            self.fail_at("this sign is not part of the language; write 1 - condition for 'not'", node)
        if isinstance(node, ast.Compare):
            if len(node.ops) > 1:
                self.fail_at("comparisons don't chain; multiply them, as in (0 < x)*(x < 1)", node)
            compare = _COMPARE.get(type(node.ops[0]))
            if compare is None:
                self.fail_at("there are < <= > >= == and != to compare with", node)
            return apply(compare, *args)
        if isinstance(node, ast.Call):
            return self.call(node, args)
        if isinstance(node, ast.Name):
            return self.name(node)
        assert isinstance(node, ast.Constant)
        return self.number(node)

    def call(self, node: ast.Call, args: list[Expr]) -> Expr:
        if any(isinstance(a, ast.Starred) for a in node.args) or any(k.arg is None for k in node.keywords):
            self.fail_at("* is not part of a call", node)
        assert isinstance(node.func, ast.Name)
        if node.func.id in self.slots:
            if node.keywords or not args:
                self.fail_at(f"{node.func.id!r} is called with one or more parts, as in {node.func.id}(x)", node)
            return _intern("apply", node.func.id, tuple(args), None)
        row = operator(node.func.id)
        positional, keywords = (
            args[: len(node.args)],
            dict(zip((k.arg for k in node.keywords), args[len(node.args) :], strict=True)),
        )
        if keywords:
            if len(keywords) < len(node.keywords):
                self.fail_at("an argument is given twice by name", node)
            known = row.arguments[len(positional) :]
            for k in node.keywords:
                if k.arg not in known:
                    self.fail_at(f"{row.name} has no further argument {k.arg!r}; write {row.signature}", node)
            by_default = dict(
                zip(row.arguments[row.arity - len(row.defaults) :], map(constant, row.defaults), strict=True)
            )
            last = max(known.index(k) for k in keywords if k) + 1
            for argument in known[:last]:
                value = keywords.get(argument, by_default.get(argument))
                if value is None:
                    self.fail_at(f"{row.name} needs its argument {argument!r}; write {row.signature}", node)
                positional.append(value)
        return apply(row.name, *positional)

    def name(self, node: ast.Name) -> Expr:
        name = node.id
        if name in self.own:
            return _intern("symbol", name, (), None)
        if name in self.bound:
            return self.bound[name]
        if name == "pi":
            return apply("pi")
        self.free.add(name)
        return symbol(name)

    def number(self, node: ast.Constant) -> Expr:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            kind = {bool: "True and False", str: "strings", bytes: "strings", complex: "complex numbers"}.get(
                type(value), repr(value)
            )
            self.fail_at(f"{kind} cannot stand in an expression of real numbers", node)
        start, end = (
            self.place(node.lineno, node.col_offset),
            self.place(node.end_lineno or node.lineno, node.end_col_offset or 0),
        )
        written = self.text[start:end].replace("_", "")
        exponent = re.search(r"[eE]([+-]?\d+)$", written) if isinstance(value, float) else None
        if len(written) > MAX_EXPONENT or (exponent and (len(exponent[1]) > 6 or abs(int(exponent[1])) > MAX_EXPONENT)):
            self.fail_at(
                f"this number has more than {MAX_EXPONENT} digits or powers of ten, beyond every floating-point type",
                node,
            )
        return constant(Fraction(written) if isinstance(value, float) else value)

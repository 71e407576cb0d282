"""What the language is, and what it refuses: always at once, with a caret, and never running anything."""

from __future__ import annotations

import pickle
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actc.errors import ActcError, ExpressionError, ParseError
from actc.expr import Expr, apply, constant, symbol
from actc.operators import OPERATORS, Operator
from actc.parsing import MAX_CHARACTERS, MAX_NODES, parse

X, Y = symbol("x"), symbol("y")


def refusal(text: str) -> ParseError:
    """The error, raised within a second of this process's time, with the user's own text and a caret in it."""
    start = time.process_time()
    with pytest.raises(ParseError) as caught:
        parse(text)
    assert time.process_time() - start < 1
    error = caught.value
    problem, shown, caret = str(error).rsplit("\n", 2)
    assert problem == error.problem and len(problem) < 400
    assert caret.strip("^ ") == "" and "^" in caret
    assert len(shown) < 300
    assert "\n" not in shown
    assert error.text == text and 0 <= error.start <= len(text)
    return error


def marked(text: str) -> str:
    """The part of the text over the caret."""
    error = refusal(text)
    return text[error.start : error.end]


# --- the language ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("x", X),
        (" x ", X),
        ("\tx\n", X),
        ("x + 1", X + 1),
        ("+x", X),
        ("--x", apply("neg", -X)),
        ("-x**2", -(X**2)),
        ("-x^2", -(X**2)),
        ("x^y^2", X ** (Y**2)),
        ("2*-x", 2 * -X),
        ("x/2/3", X / 2 / 3),
        ("1_000", constant(1000)),
        ("0x10", constant(16)),
        ("1e3", constant(1000)),
        (".5", constant(0.5)),
        ("1/3", constant(1) / 3),
        ("-1/3", constant(-1) / 3),
        ("0.1", constant(0.1)),
        ("x > 0", apply("gt", X, 0)),
        ("x != y", apply("ne", X, Y)),
        ("where(x > 0, x, 0.1*x)", apply("where", apply("gt", X, 0), X, 0.1 * X)),
        ("swish(x)", apply("silu", X)),
        ("leaky_relu(x)", apply("leaky_relu", X, 0.01)),
        ("leaky_relu(x, negative_slope=0.2)", apply("leaky_relu", X, 0.2)),
        ("hardtanh(x, max_val=2)", apply("hardtanh", X, -1, 2)),
        ("hardtanh(max_val=2, x=x)", apply("hardtanh", X, -1, 2)),
        ("max_n(x, y, 1, 2)", apply("max_n", X, Y, 1, 2)),
        ("pi", apply("pi")),
        ("pi()", apply("pi")),
        ("t = exp(x); t*t", apply("exp", X) * apply("exp", X)),
        ("t = x + 1\nt*t", (X + 1) * (X + 1)),
        ("t = x + 1\r\nu = t*t; u + t;", (X + 1) * (X + 1) + (X + 1)),
        ("x + \\\n 1", X + 1),
        ("(x\n + 1)", X + 1),
        ("ｘ + 1", X + 1),
        ("α*x", symbol("α") * X),
        ("type*match*_", symbol("type") * symbol("match") * symbol("_")),
    ],
)
def test_texts_and_their_meaning(text: str, wanted: Expr) -> None:
    assert parse(text) is wanted


def test_an_expression_is_returned_as_it_is() -> None:
    assert parse(X + 1) is X + 1


@pytest.mark.parametrize("value", [None, 3, 0.5, b"x", ["x"], ("x",), {"x": 1}, object()])
def test_other_types_are_refused(value: object) -> None:
    with pytest.raises(TypeError, match=r"actc\.parse takes text or an expression, got "):
        parse(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("row", OPERATORS.values(), ids=lambda row: row.name)
def test_every_row_can_be_called_by_position_and_by_name(row: Operator) -> None:
    names = [f"a{i}" for i in range(row.arity)]
    by_position = f"{row.name}({', '.join(names)})"
    by_name = f"{row.name}({', '.join(f'{a}={n}' for a, n in zip(row.arguments, names, strict=True))})"
    assert parse(by_position) is parse(by_name) is apply(row.name, *map(symbol, names))
    for alias in row.aliases:
        assert parse(by_position.replace(row.name, alias, 1)) is parse(by_position)


# --- what is refused, where, and with what advice ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place", "advice"),
    [
        ("x * sigmiod(x)", "sigmiod", "did you mean 'sigmoid'?"),
        ("Tanh(x)", "Tanh", "did you mean 'tanh'?"),
        ("frobnicate(x)", "frobnicate", "unknown operator 'frobnicate'"),
        ("sin(x, y)", "sin(x, y)", "sin takes 1 argument, got 2; write sin(x)"),
        ("x + sin()", "sin()", "sin takes 1 argument, got 0"),
        ("leaky_relu(x, 1, 2)", "leaky_relu(x, 1, 2)", "takes 1 to 2 arguments, got 3"),
        ("sum_n(x)", "sum_n(x)", "takes 2 or more arguments"),
        ("elu(x, beta=1)", "elu(x, beta=1)", "no further argument 'beta'; write elu(x, alpha=1)"),
        ("elu(x, alpha=1, alpha=2)", "elu(x, alpha=1, alpha=2)", "given twice"),
        ("softplus(beta=2)", "softplus(beta=2)", "needs its argument 'x'"),
        ("sin", "sin", "needs its arguments, as in sin(x)"),
        ("x(3)", "x", "write x*(...)"),
        ("2(x)", "2", "only operators can be called"),
        ("sin(x)(x)", "sin(x)", "only operators can be called"),
        ("x.__class__", "x.__class__", "attribute access"),
        ("().__class__.__bases__[0]", "().__class__.__bases__[0]", "indexing"),
        ("torch.tanh(x)", "torch.tanh", "attribute access is not part of the language; operators are called by name"),
        ("__import__('os').system('true')", "__import__('os').system", "attribute access"),
        ("__import__('os')", "__import__", "unknown operator '__import__'"),
        ("__builtins__", "__builtins__", "is no name for a parameter"),
        ("x.__class__.__mro__", "x.__class__.__mro__", "attribute access"),
        ("eval('1')", "eval", "unknown operator"),
        ("x[0]", "x[0]", "indexing"),
        ("lambda x: x", "lambda x: x", "write the body alone"),
        ("x if x > 0 else 0", "x if x > 0 else 0", "write where(condition, a, b)"),
        ("x > 0 and x < 1", "x > 0 and x < 1", "multiply conditions"),
        ("not x", "not x", "1 - condition"),
        ("~x", "~x", "this sign"),
        ("0 < x < 1", "0 < x < 1", "comparisons don't chain"),
        ("x is y", "x is y", "to compare with"),
        ("x in y", "x in y", "to compare with"),
        ("x % 2", "x % 2", "% is not part of the language"),
        ("x // 2", "x // 2", "// is not part"),
        ("x @ y", "x @ y", "@ is not part"),
        ("x & y", "x & y", "not part of the language"),
        ("|x|", "|", "write abs(...)"),
        ("x << 1", "x << 1", "not part of the language"),
        ("(t := x)", "t := x", "bind a name by t = exp(x); t*t"),
        ("[x for x in y]", "[x for x in y]", "ListComp is not part"),
        ("sum_n(x for x in y)", "(x for x in y)", "GeneratorExp is not part"),
        ("{x: y}", "{x: y}", "Dict is not part"),
        ("x, y", "x, y", "an expression is one function"),
        ("sin(*x)", "*x", "Starred is not part"),
        ("sin(**x)", "sin(**x)", "* is not part of a call"),
        ("f'{x}'", "f'{x}'", "strings are not part"),
        ("'x'", "'x'", "strings cannot stand"),
        ("b'x'", "b'x'", "strings cannot stand"),
        ("1j", "1j", "complex numbers"),
        ("x + None", "None", "None cannot stand"),
        ("True", "True", "True and False"),
        ("...", "...", "Ellipsis"),
        ("await x", "await x", "Await is not part"),
        ("yield x", "yield x", "Yield is not part"),
        ("@x\ndef f(): pass", "def f(): pass", "statements are not part"),
        ("import os; x", "import os", "only bindings may stand before"),
        ("del x", "del x", "statements are not part"),
        ("x += 1", "x += 1", "statements are not part"),
        ("x: int = 1", "x: int = 1", "statements are not part"),
        ("t = x", "t = x", "the last part must be an expression"),
        ("t = u = x; t", "t = u = x", "only bindings may stand before"),
        ("t, u = x, x; t", "t, u = x, x", "only bindings may stand before"),
        ("x = 3; x", "x", "has a meaning of its own"),
        ("sin = 3; x", "sin", "has a meaning of its own"),
        ("pi = 3; x", "pi", "has a meaning of its own"),
        ("t = x; t = y; t", "t", "is bound already"),
        ("t = t; t", "t", "used before it is bound"),
        ("u = t; t = x; u*t", "t", "used before it is bound"),
        ("t = x; t(x)", "t", "is not an operator"),
        ("x\n+ 1", "x", "only bindings may stand before"),
        ("x # squared", "#", "comments are not part"),
        ("e**x", "e", "write exp(1)"),
        ("inf", "inf", "infinity is no number"),
        ("nan", "nan", "NaN is no number"),
        ("lambda*x", "lambda", "as in lambda_"),
        ("x * (1 + ", "(", "was never closed"),
        ("x)", ")", "unmatched ')'"),
        ("x +", "", "this is no expression"),
        ("x x", "", "this is no expression"),
        ("x = ", "", "this is no expression"),
        (";", ";", "this is no expression"),
        ("x²", "²", "write **2"),
        ("√x", "√", "write sqrt(...)"),
        ("x − 1", "−", "write -"),
        ("tanh(\u0445)", "\u0445", "write the Latin x"),
        ("π*x", "π", "write pi"),
        ("x*٣", "٣", "invalid character"),
        ("x\0y", "\0", "U+0000"),
        ("x\ud800", "\ud800", "U+D800"),
        ("x\u202e+1", "\u202e", "U+202E"),
        ("x\u200b", "\u200b", "U+200B"),
        ("\ufeffx", "\ufeff", "U+FEFF"),
        ("x +\u00a01", "\u00a0", "U+00A0"),
        ("x\x0c", "\x0c", "U+000C"),
        ("x\x1b[31m", "\x1b", "U+001B"),
        ("", "", "the text is empty"),
        ("  \n\t ", " ", "the text is empty"),
        ("x**1e401", "1e401", "more than 400"),
        ("1e999999999999", "1e999999999999", "more than 400"),
        ("7" * 5000 + "*x", "7", "this number is too long"),
        ("1e-401", "1e-401", "more than 400"),
        ("2" * 500, "2" * 500, "more than 400"),
    ],
)
def test_refusals(text: str, place: str, advice: str) -> None:
    assert advice in refusal(text).problem
    assert not place or marked(text) == place


#: Long and deep texts; each is refused or read within a second.
HOSTILE = {
    "spaces": " " * 10**6,
    "digits": "1" * 10**6,
    "name": "a" * 10**6,
    "brackets": "[" * 10**6,
    "signs": "-" * 10**6,
    "sum": "x+" * 10**5,
    "nested parentheses": "(" * 10**5 + "x" + ")" * 10**5,
    "fewer nested parentheses": "(" * 60_000 + "x" + ")" * 60_000,
    "newlines": "\n" * 10**6,
    "some signs": "-" * 90_000 + "x",
    "some sum": "x+" * 45_000 + "x",
    "powers": "x^" * 30_000 + "x",
    "some digits": "1" * 90_000,
    "hexadecimal": "0x" + "f" * 90_000,
    "underscores": "1" + "_1" * 40_000,
    "decimals": "1." + "1" * 90_000,
    "exponent": "1e" + "9" * 90_000,
    "call of a long name": "a" * 90_000 + "(x)",
    "attributes": "x" + ".a" * 40_000,
    "not": "not " * 20_000 + "x",
    "lambdas": "lambda:" * 10_000 + "x",
    "ternaries": "x if x else " * 7_000 + "x",
    "comparisons": "x<" * 40_000 + "x",
    "arguments": "sum_n(" + "1," * 40_000 + "1)",
    "quotes": "'" * 90_000,
    "f-strings": "f'{" * 20_000,
    "dots": "." * 90_000,
    "semicolons": "x;" * 40_000,
    "lines": "x\n" * 40_000,
    "backslashes": "\\\n" * 40_000,
    "non-ASCII": "é+" * 30_000 + "é",
    "carets": "^" * 90_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_are_refused_at_once(name: str) -> None:
    refusal(HOSTILE[name])


@pytest.mark.parametrize(
    "text",
    [
        "sin(" * 149 + "x" + ")" * 149,
        "-" * 900 + "x",
        "sum_n(" + "1," * (MAX_NODES // 2) + "x)",
        "sum_n(" + "1," * (MAX_NODES // 2) + "x" + " " * 100_000 + ")",
        "sum_n(" + "é," * (MAX_NODES // 4) + "x)",
        ";".join(f"t_{i} = x" for i in range(MAX_NODES // 2)) + ";x",
        "a" * (MAX_CHARACTERS - 2) + "+x",
        "9**9**9**9",
        "10**(10**10)",
        "x**1e400",
        "0/0 + 1/0 + 0**-1",
    ],
    ids=lambda text: text[:12],
)
def test_long_texts_within_the_limits_are_read_at_once(text: str) -> None:
    start = time.process_time()
    parse(text)
    assert time.process_time() - start < 1


def test_nothing_is_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[object] = []
    monkeypatch.setattr("builtins.eval", called.append)
    monkeypatch.setattr("builtins.exec", called.append)
    before = set(sys.modules)
    for text in ("__import__('antigravity')", "eval('x')", "exec('import this')", "x.__class__()", "f'{print(1)}'"):
        refusal(text)
    assert not called
    assert not {"antigravity", "this"} & (set(sys.modules) - before)


@settings(max_examples=1000)
@given(st.text(max_size=60) | st.text("xyt01.9+-*/^()<>=;,e_ \n[]'\"#:@!&", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        e = parse(text)
    except ParseError as error:
        assert str(error).endswith("^")
    else:
        assert parse(str(e)) is e


@settings(max_examples=1000)
@given(
    st.lists(
        st.sampled_from(["x", "sin", "(", ")", "1", "+", "-", "**", ",", "where", "t", "=", ";", "<"]), max_size=20
    )
)
def test_any_tokens_are_read_or_refused(tokens: list[str]) -> None:
    try:
        e = parse(" ".join(tokens))
    except ParseError as error:
        assert str(error).endswith("^")
    else:
        assert parse(str(e)) is e


# --- the error ------------------------------------------------------------------------------------------------------


def test_the_excerpt_shows_the_line_and_the_place() -> None:
    error = refusal("t = exp(x)\nt * sigmiod(x) + " + "x" * 100)
    assert str(error).splitlines()[1].startswith("  t * sigmiod(x)")
    assert str(error).splitlines()[2] == "      ^^^^^^^"


def test_places_count_characters_and_see_through_carets() -> None:
    assert marked("x^2 + é^3 + ooops(x)") == "ooops"
    assert marked("  é*é + ooops(x)") == "ooops"
    assert marked("t = x^2\n\n\n  ") == "t = x^2"


def test_a_long_line_is_cut_around_the_place() -> None:
    error = refusal("x + " * 200 + "ooops(x)" + " + x" * 200)
    shown, caret = str(error).splitlines()[1:]
    assert shown.startswith("  …") and shown.endswith("…")
    assert shown[caret.index("^") :].startswith("ooops")


def test_the_error_is_a_value_error_and_pickles() -> None:
    error = refusal("sigmiod(x)")
    assert isinstance(error, (ActcError, ExpressionError, ValueError))
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) and again.start == error.start

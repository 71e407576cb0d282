"""The command ``actc``: what a function is, its code, and the search for a better one.

Exit codes: 0 success, 1 a failure on the way, 2 bad input (one clear message on stderr), 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from actc.errors import ActcError, ParseError

#: What ``--emit`` accepts.
FORMS = ("aten", "torch", "triton", "ptx", "latex")


#: Types whose results ``verify`` compares with the real function's.
VERIFIED_TYPES = ("bfloat16", "float16", "float32")

#: Types for which ``--emit ptx`` writes kernels.
PTX_TYPES = ("float64", "float32", "bfloat16", "float16")


class UsageError(ActcError):
    """A command line that cannot be understood or carried out."""


class _Parser(argparse.ArgumentParser):
    """argparse with one-line errors."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; `{self.prog} --help` shows how to write it")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line (``sys.argv`` without the program's name if None); returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        parser = _parser(next((w for w in words if not w.startswith("-")), None))
        chosen = parser.parse_args(_with_leading_minus(words))
        if not hasattr(chosen, "handler"):
            parser.print_help()
            return 0
        handler: Callable[[argparse.Namespace], int | None] = chosen.handler
        code = handler(chosen) or 0
        sys.stdout.flush()
        return code
    except (ActcError, UnicodeDecodeError) as error:
        print(f"actc: {_message(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nactc: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (head, less) has enough; whatever is flushed at exit goes nowhere.
        _silence(sys.stdout)
        return 0
    except OSError as error:
        # stdout redirected to a full disk, for example.
        print(f"actc: cannot write the output: {error.strerror or error}", file=sys.stderr)
        _silence(sys.stdout)
        return 1


def _message(error: Exception) -> str:
    # KeyError's own str() puts the message in quotes.
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return text if isinstance(error, ParseError) else " ".join(text.split())


def _silence(stream: Any) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())


def _with_leading_minus(words: list[str]) -> list[str]:
    """Lets an expression begin with a minus: a blank before it tells argparse that it is no option."""
    return [f" {w}" if w[:1] == "-" and w[1:2] not in ("", "-") and w not in ("-h", "-o") else w for w in words]


def _parser(command: str | None) -> _Parser:
    """The parser; the options of ``command`` in full, those of commands that need a room of their own only then."""
    from actc import __version__

    parser = _Parser(prog="actc", description="A compiler for neural-network activation functions.")
    parser.add_argument("--version", action="version", version=f"actc {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)
    _add_show(commands)
    _add_compile(commands)
    _add_verify(commands)
    _add_unique(commands)
    text = "search for a better activation function"
    search = _command(commands, "search", text)
    if command == "search":
        _add_search_arguments(search)
    return parser


def _command(commands: Any, name: str, text: str) -> argparse.ArgumentParser:
    """A command of that name; ``text`` is what the help says of it."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    return parser


def _add_show(commands: Any) -> None:
    text = "what a function is: derivative, range, kinks, tails, moments, cost, and its picture"
    show = _command(commands, "show", text)
    show.set_defaults(handler=show_command)
    _add_expression(show)
    show.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="the value of a parameter (default: the library's, otherwise 1), or of y or z",
    )
    show.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="draw the function and its derivative; the ending says how: .png, .svg, .pdf",
    )
    show.add_argument("--interval", type=float, nargs=2, metavar=("LOW", "HIGH"), help="the part of the x axis to draw")
    show.add_argument("--backend", action="store_true", help="also say which backend would run it (this loads torch)")
    form = show.add_mutually_exclusive_group()
    form.add_argument(
        "--latex", action="store_true", help="print the function and its derivative as LaTeX and nothing else"
    )
    form.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def _add_compile(commands: Any) -> None:
    text = "the code of a function, to read or to use without actc"
    compile_ = _command(commands, "compile", text)
    compile_.set_defaults(handler=compile_command)
    _add_expression(compile_)
    compile_.add_argument(
        "--emit",
        default="torch",
        metavar="FORM",
        help=f"{', '.join(FORMS)} (default: torch, a file that needs only torch)",
    )
    compile_.add_argument(
        "--target", default="sm_90", metavar="GPU", help="for ptx: what it is for (default: %(default)s)"
    )
    compile_.add_argument(
        "--dtype", default="float32", choices=PTX_TYPES, help="for ptx: the type of the tensors (default: %(default)s)"
    )
    compile_.add_argument("--gradients", action="store_true", help="for ptx: the gradients' kernel, not the value's")
    compile_.add_argument("-o", "--output", type=Path, metavar="FILE", help="where to write it (default: print it)")
    compile_.add_argument("--safe", action="store_true", help="finite values and derivatives for every finite input")
    compile_.add_argument("--clamp", type=float, metavar="L", help="bound every unbounded operation to [-L, L]")
    compile_.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def _add_verify(commands: Any) -> None:
    text = "how far what is computed is from the real function, on every input or a sample"
    verify = _command(commands, "verify", text)
    verify.set_defaults(handler=verify_command)
    _add_expression(verify)
    verify.add_argument(
        "--dtype", default="bfloat16", choices=VERIFIED_TYPES, help="the type of the tensors (default: %(default)s)"
    )
    number = verify.add_mutually_exclusive_group()
    number.add_argument("--all", action="store_true", help="for float32: all 2^32 inputs; 16-bit types always have all")
    number.add_argument("--samples", type=int, default=2**20, metavar="N", help="for float32 (default: %(default)s)")
    verify.add_argument("--seed", type=int, default=0, metavar="S", help="of the sample (default: %(default)s)")
    verify.add_argument("--backend", default="auto", metavar="B", help="whose results (default: %(default)s)")
    verify.add_argument("--safe", action="store_true", help="finite values and derivatives for every finite input")
    verify.add_argument("--clamp", type=float, metavar="L", help="bound every unbounded operation to [-L, L]")
    verify.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw the errors; the ending says how: .png, .svg, .pdf"
    )
    verify.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def verify_command(chosen: argparse.Namespace) -> int:
    """``actc verify``."""
    subject = _subject(chosen.expression, ())
    if chosen.samples < 1 or chosen.seed < 0:
        raise UsageError("--samples is a number of 1 or more, --seed one of 0 or more")
    try:
        import torch

        from actc.kernels import compile
        from actc.kernels.verification import verify
    except ImportError as error:
        raise UsageError(f"verify needs PyTorch, which could not be loaded: {error}") from error
    f = compile(subject.entry or subject.expression, safe=chosen.safe, clamp=chosen.clamp, backend=chosen.backend)
    total = 2**16 if chosen.dtype != "float32" else 2**32 if chosen.all else chosen.samples
    with _progress("verifying", total) as progress:
        dtype = getattr(torch, chosen.dtype)
        found = verify(
            f, dtype, every=chosen.all, samples=chosen.samples, seed=chosen.seed, progress=progress
        )
    parts = {"value": found, "derivative": found.derivative}
    if chosen.plot:
        from actc.plots import error_figure, save

        profiles = {name: part.profile for name, part in parts.items()}
        print(f"wrote {save(error_figure(profiles, f'{f.expr}, {chosen.dtype}'), chosen.plot)}", file=sys.stderr)
    if chosen.json:
        # The value's entries hold those of the derivative.
        facts = {"expression": str(f.expr), "dtype": chosen.dtype, "backend": f.backend, **found.as_json()}
        print(json.dumps(facts, ensure_ascii=False))
        return 0
    print(f"{f.expr} in {chosen.dtype} by {f.backend}: {found.inputs_tried:,} inputs")
    for name, part in parts.items():
        where = "" if part.max_ulp == 0 else f" at x = {part.worst_input!r}"
        print(f"{name:<11} largest error {part.max_ulp:.4g} ulp{where}, mean {part.mean_ulp:.4g} ulp")
        if part.uncertain:
            print(f"{'':<11} at {part.uncertain:,} inputs it may be larger: float64 does not tell")
        if part.saved:
            print(f"{'':<11} safety acts at {part.saved:,} inputs")
    return 0


def _add_unique(commands: Any) -> None:
    text = "which expressions of a file, or of a space, are the same function"
    unique = _command(commands, "unique", text)
    unique.set_defaults(handler=unique_command)
    source = unique.add_mutually_exclusive_group(required=True)
    source.add_argument("file", nargs="?", type=Path, metavar="FILE", help="expressions, one a line; - reads them")
    source.add_argument("--file", dest="option_file", type=Path, metavar="FILE", help="the same by its name")
    source.add_argument("--space", metavar="SCHEMA", help="such as 'binary(unary(x),unary(x))', or a paper's by name")
    unique.add_argument(
        "--mode",
        choices=("functions", "outputs"),
        default="functions",
        help="when two are the same: as functions (default), or if their float32 outputs print alike, as in AQuaSurF",
    )
    for name, meaning in (("sign", "-f(x)"), ("reflection", "f(-x)"), ("scale", "c*f(x), c > 0,")):
        unique.add_argument(f"--up-to-{name}", action="store_true", help=f"{meaning} counts as f(x)")
    unique.add_argument("--no-proofs", action="store_true", help="join what the rules leave apart if values agree")
    unique.add_argument("--processes", type=int, default=1, metavar="N", help="for a space (default: %(default)s)")
    unique.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def unique_command(chosen: argparse.Namespace) -> int:
    """``actc unique``."""
    from actc.class_listing import as_json, expressions_in, render
    from actc.classes import unique
    from actc.spaces import Space

    if chosen.processes < 1:
        raise UsageError(f"--processes {chosen.processes}: write a number of 1 or more")
    file = chosen.file or chosen.option_file
    expressions = Space(chosen.space) if chosen.space is not None else expressions_in(file)
    total = expressions.count if isinstance(expressions, Space) else None
    with _progress("sorting", total) as progress:
        classes = unique(
            expressions,
            up_to_sign=chosen.up_to_sign,
            up_to_reflection=chosen.up_to_reflection,
            up_to_scale=chosen.up_to_scale,
            prove=not chosen.no_proofs,
            by_outputs=chosen.mode == "outputs",
            processes=chosen.processes,
            progress=progress,
        )
    if chosen.json:
        print(json.dumps(as_json(classes), ensure_ascii=False))
    else:
        render(classes, proofs=not chosen.no_proofs)
    return 0


@contextlib.contextmanager
def _progress(text: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal."""
    from rich import progress
    from rich.console import Console

    console = Console(stderr=True)
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(bar_width=24),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(text, total=total)
        yield lambda done: bar.update(task, completed=done)


def _add_expression(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("expression", metavar="EXPR", help="such as 'x*erfc(softplus(x))', or a name of actc.library")


def _add_search_arguments(parser: argparse.ArgumentParser) -> None:
    try:
        commands = importlib.import_module("actc.search.commands")
    except ModuleNotFoundError as error:
        if error.name != "actc.search.commands":
            raise
        raise UsageError("`actc search` is not part of this version of actc") from error
    commands.add_arguments(parser)


def show_command(chosen: argparse.Namespace) -> int:
    """``actc show``."""
    from actc.presentation import describe, picture, render

    subject = _subject(chosen.expression, chosen.set)
    interval = tuple(chosen.interval) if chosen.interval else None
    path = picture(subject, chosen.plot, interval) if chosen.plot else None
    if chosen.latex:
        _show_latex(subject)
    else:
        with _busy("looking at the function"):
            description = describe(subject, _moments(subject), _backend(subject) if chosen.backend else None)
        if chosen.json:
            print(json.dumps(description, indent=2, ensure_ascii=False))
        else:
            render(subject, description, interval)
    if path:
        print(f"wrote {path}", file=sys.stderr)
    return 0


def _moments(subject: Any) -> dict[str, Any] | None:
    from dataclasses import asdict

    from actc.init.moments import gaussian_moments

    if not subject.has_shape:
        return None
    found = gaussian_moments(subject.closed)
    return {**asdict(found), "error": found.error, "gain": found.gain}


def _backend(subject: Any) -> dict[str, str]:
    """Which backend ``actc.compile`` would choose here, and why; this loads torch."""
    try:
        from actc.kernels import compile
    except ImportError as error:
        return {"name": "none", "reason": f"PyTorch could not be loaded: {error}"}
    chosen = compile(subject.expression)
    return {"name": chosen.backend, "reason": chosen.reason}


@contextlib.contextmanager
def _busy(text: str) -> Iterator[None]:
    """A sign of life on a terminal, for long expressions."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{text} …"):
        yield


def _show_latex(subject: Any) -> None:
    print(f"f = {subject.expression.latex()}")
    for name, slope in subject.derivatives():
        print(rf"\frac{{\partial f}}{{\partial {name}}} = {slope.latex()}")


def _subject(text: str, settings: Sequence[str]) -> Any:
    from actc.presentation import Subject

    values: dict[str, float] = {}
    for setting in settings:
        name, equals, number = setting.partition("=")
        try:
            values[name.strip()] = float(number)
        except ValueError:
            equals = ""
        if not equals:
            raise UsageError(f"--set {setting}: write a name, an equals sign and a number, as in --set beta=1.5")
    return Subject.of(text.strip(), values)


def compile_command(chosen: argparse.Namespace) -> int:
    """``actc compile``."""
    from actc.files import write_atomically

    form = chosen.emit.lower()
    if form not in FORMS:
        raise UsageError(f"--emit {chosen.emit}: unknown form; there are {', '.join(FORMS)}")
    subject = _subject(chosen.expression, ())
    source = _latex(subject, chosen) if form == "latex" else _source(subject, form, chosen)
    source = source if source.endswith("\n") else f"{source}\n"
    if chosen.output:
        write_atomically(chosen.output, source)
    if chosen.json:
        print(
            json.dumps(
                {
                    "expression": str(subject.expression),
                    "form": form,
                    "file": chosen.output and str(chosen.output),
                    "source": source,
                },
                ensure_ascii=False,
            )
        )
    elif not chosen.output:
        sys.stdout.write(source)
    return 0


def _latex(subject: Any, chosen: argparse.Namespace) -> str:
    from actc.safety import lower

    return str(lower(subject.expression, safe=chosen.safe, clamp=chosen.clamp).latex())


def _source(subject: Any, form: str, chosen: argparse.Namespace) -> str:
    try:
        from actc.kernels import compile
    except ImportError as error:
        raise UsageError(f"--emit {form} needs PyTorch, which could not be loaded: {error}") from error
    activation = compile(subject.entry or subject.expression, safe=chosen.safe, clamp=chosen.clamp)
    if form != "ptx":
        return str(activation.source(form))
    from actc.kernels.emission import ptx

    return str(ptx(activation, chosen.target, chosen.dtype, chosen.gradients))

"""Every example that a reader can see runs, and prints what it shows: docstrings, the README and docs/."""

import ast
import doctest
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.test_house import ROOT, modules

DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
#: Blocks that run, and blocks that only show something; any other language would be an example that nobody checks.
RUN, SHOWN = {"python", "console"}, {"sh", "text"}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the number of its first line of code, and the code."""

    language: str
    line: int
    code: str


def blocks(document: Path) -> Iterator[Block]:
    """The fenced blocks of a document. Raises AssertionError for a fence that is never closed."""
    language, start, code = None, 0, list[str]()
    for number, line in enumerate(document.read_text(encoding="utf-8").splitlines(), start=1):
        if language is None and line.startswith("```"):
            language, start, code = line[3:].strip(), number + 1, []
        elif language is not None and line.rstrip() == "```":
            yield Block(language, start, "".join(f"{each}\n" for each in code))
            language = None
        elif language is not None:
            code.append(line)
    assert language is None, f"{document.name}:{start - 1}: this block is never closed"


def run_python(block: Block, document: Path, namespace: dict[str, object]) -> None:
    """Runs a block, plain or as a session with `>>>`; line numbers in a traceback are the document's."""
    if block.code.lstrip().startswith(">>>"):
        name = f"{document.name}:{block.line}"
        session = doctest.DocTestParser().get_doctest(block.code, namespace, name, str(document), block.line - 1)
        check(session, doctest.DocTestRunner(optionflags=FLAGS), keep=True)
        namespace.update(session.globs)
    else:
        exec(compile("\n" * (block.line - 1) + block.code, str(document), "exec"), namespace)


def check(test: doctest.DocTest, runner: doctest.DocTestRunner, keep: bool = False) -> None:
    said: list[str] = []
    runner.run(test, out=said.append, clear_globs=not keep)
    assert not runner.failures, "".join(said)


def run_console(block: Block, where: str) -> None:
    """Runs the commands after `$` that call actc, and compares what they print with what is shown, if anything is.

    Shown output that begins with "actc: " is an error message, which goes with exit code 2.
    """
    for step in re.split(r"^\$ ", block.code, flags=re.MULTILINE)[1:]:
        command, _, shown = step.replace("\\\n", " ").partition("\n")
        words = shlex.split(command, comments=True)
        words = words[2:] if words[:2] == ["python", "-m"] else words
        assert words and words[0] == "actc", f"{where}: `{command}` does not call actc; show it in a block marked `sh`"
        result = subprocess.run(
            [sys.executable, "-P", "-m", *words],
            env=os.environ | {"COLUMNS": "100", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )
        assert result.returncode == (2 if shown.startswith("actc: ") else 0), f"{where}: `{command}`\n{result.stdout}"
        if shown.strip():
            fits = doctest.OutputChecker().check_output(shown, result.stdout, FLAGS)
            assert fits, f"{where}: `{command}` shows\n{shown}and prints\n{result.stdout}"


@pytest.mark.parametrize("name", modules())
def test_docstrings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        # What belongs to an extra, or has no build for this system, need not be installed.
        if str(error.name).startswith("actc"):
            raise
        pytest.skip(f"{name} needs {error.name}")
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        check(test, doctest.DocTestRunner(optionflags=FLAGS))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks run from top to bottom, the Python ones in one namespace, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(document):
        where = f"{document.name}:{block.line}"
        assert block.language in RUN | SHOWN, f"{where}: a block is marked {', '.join(sorted(RUN | SHOWN))}"
        if block.language == "python":
            run_python(block, document, namespace)
        elif block.language == "console":
            run_console(block, where)


@pytest.mark.parametrize("document", (*DOCUMENTS, ROOT / "CHANGELOG.md"), ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text):
        path, _, heading = (target[0] or target[1]).partition("#")
        if path.startswith(("https://", "mailto:")):
            continue
        linked = (document.parent / path) if path else document
        assert linked.exists(), f"{document.name} links to {path}, which does not exist"
        if heading:
            lines = linked.read_text(encoding="utf-8").splitlines()
            headings = {re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in lines}
            assert heading in headings, f"{document.name} links to #{heading}, which is no heading of {linked.name}"


def test_the_pictures_are_drawn_by_their_script(tmp_path: Path) -> None:
    pictures = sorted((ROOT / "docs").glob("*.svg"))
    command = [sys.executable, "-P", str(ROOT / "docs" / "make_pictures.py"), str(tmp_path)]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [path.name for path in pictures]
    assert all(path.stat().st_size < 150_000 for path in pictures)


def test_adding_the_operator_of_the_architecture_page(tmp_path: Path) -> None:
    """The page's row, put into a copy of the table, passes the tests that every row has to pass."""
    row = next(
        ast.unparse(node)
        for block in blocks(ROOT / "docs" / "architecture.md")
        if block.language == "python"
        for node in ast.walk(ast.parse(block.code))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Operator"
    )
    for folder in ("actc", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    table = tmp_path / "actc" / "operators.py"
    before, start, after = table.read_text(encoding="utf-8").partition("\n_ROWS = (\n")
    assert start
    table.write_text(f"{before}{start}    {row},\n{after}", encoding="utf-8")
    name = row[row.index("(") + 2 :].partition("(")[0]
    result = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:xdist", "-k", name, "tests/compiler/test_operators.py"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr

"""The command line, as a user meets it."""

import errno
import json
import math
import os
import pty
import subprocess
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest

import actc
from actc import cli, files

PNG = b"\x89PNG\r\n\x1a\n"


def run(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "actc", *words], capture_output=True, text=True, check=False, **options
    )  # type: ignore[call-overload]


def rows(text: str) -> dict[str, str]:
    return {line.partition("  ")[0]: line.partition("  ")[2].strip() for line in text.splitlines()}


def test_show_says_what_a_function_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", "x*erfc(softplus(x))"]) == 0
    found = rows(capsys.readouterr().out)
    assert found["function"] == "x*erfc(softplus(x))"
    assert found["range"] == "(−∞, 0.0854509]; maximum 0.0854509 at x = 0.581337"
    assert found["x → −∞"] == "−∞, near the line x"
    assert found["x → +∞"] == "0"
    assert found["kinks"] == "none"
    assert found["monotony"] == "increasing on (−∞, 0.581337), decreasing on (0.581337, ∞)"
    assert found["parity"] == "neither"
    assert found["x ~ N(0, 1)"].startswith("mean −0.249308, variance 0.239662, E f² 0.301817 (error at most ")
    assert found["x ~ N(0, 1)"].endswith("gain 1/√(E f²) = 1.82024")
    assert "operations an element" in found["cost"]
    assert "numeric" in found["evidence"]
    assert "sigmoid" in found["derivative"]


@pytest.mark.parametrize(
    ("text", "label", "words"),
    [
        ("max(x**2, x)", "kinks", "0 (slope 0 to 1), 1 (slope 1 to 2)"),
        ("hardshrink(x)", "jumps", "−0.5 (−0.5 to 0), 0.5 (0 to 0.5)"),
        ("1/x", "poles", "0"),
        ("1/x", "x ~ N(0, 1)", "mean undefined, E f² ∞: the mean and the second moment diverge at the pole x = 0"),
        ("log(x)", "domain", "(0, ∞)"),
        ("sqrt(x**2 - 1)", "domain", "(−∞, −1] and [1, ∞)"),
        ("relu(x)", "zeros", "all of (−∞, 0]"),
        ("relu(x)", "known as", "relu"),
        ("max(x, 0)", "known as", "relu"),
        ("-x*x", "function", "-x*x"),
        ("tanh(x)", "parity", "odd (exact)"),
        ("sinh(exp(x))", "x → +∞", "faster than exp(x^n) for any n"),
        ("exp(x)", "x → +∞", "like exp(1·|x|)"),
        ("x*sigmoid(beta*x)", "with", "beta = 1 (assumed)"),
        ("silu(x)*y", "shape", "--set y=1"),
        ("erfc_softplus_squared", "library", "AQuaSurF"),
    ],
)
def test_show_in_particular(text: str, label: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", text]) == 0
    assert words in rows(capsys.readouterr().out)[label]


def test_show_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", "x*sigmoid(beta*x)", "--set", "beta=2", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["parameters"] == {"beta": 2.0}
    assert set(data["derivatives"]) == {"x", "beta"}
    assert data["analysis"]["right"]["value"] == "inf"
    moments = data["gaussian"]
    assert moments["gain"] == pytest.approx(1 / math.sqrt(moments["second"]))
    assert moments["error"] < 1e-13
    assert data["known_as"][0]["name"] == "pswish"


def test_show_as_latex(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", "x/(1 + abs(x))", "--latex"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == r"f = \frac{x}{1 + \left|x\right|}"
    assert second.startswith(r"\frac{\partial f}{\partial x} = ")


def test_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("png", "svg", "pdf"):
        assert cli.main(["show", "tanh(x)/x", "--plot", str(tmp_path / f"f.{kind}")]) == 0
    assert (tmp_path / "f.png").read_bytes().startswith(PNG)
    assert ElementTree.parse(tmp_path / "f.svg").getroot().tag.endswith("svg")
    assert (tmp_path / "f.pdf").read_bytes().startswith(b"%PDF")
    # Nothing temporary stays behind.
    assert {p.name for p in tmp_path.iterdir()} == {"f.png", "f.svg", "f.pdf"}


def test_compile_emits_latex(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compile", "tanh(x)", "--emit", "latex"]) == 0
    assert capsys.readouterr().out == "\\operatorname{tanh}(x)\n"
    assert cli.main(["compile", "1/x", "--emit", "latex", "--safe", "-o", str(tmp_path / "f.tex")]) == 0
    assert capsys.readouterr().out == ""
    assert (tmp_path / "f.tex").read_text().endswith("\n")


def test_compile_emits_code_that_runs_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kernels = pytest.importorskip("actc.kernels")
    if not hasattr(kernels, "compile"):
        pytest.skip("this version has no kernels yet")
    path = tmp_path / "activation.py"
    assert cli.main(["compile", "x*sigmoid(beta*x)", "-o", str(path)]) == 0
    source = path.read_text()
    assert "import torch" in source and "import actc" not in source
    ran = subprocess.run([sys.executable, "-P", str(path)], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "ok\n"), ran.stderr
    assert cli.main(["compile", "erfc(x)**2", "--emit", "aten", "--json"]) == 0
    assert "def value" in json.loads(capsys.readouterr().out)["source"]
    assert cli.main(["show", "tanh(x)", "--backend"]) == 0
    assert rows(capsys.readouterr().out)["backend"]


BAD = {
    ("show",): "required: EXPR",
    ("bogus",): "invalid choice",
    ("show", "x", "--bogus"): "--bogus",
    ("show", "foo(x)"): "unknown operator 'foo'",
    ("show", ""): "",
    ("show", "geluu"): "did you mean 'gelu'?",
    ("show", "x", "--set", "beta=1"): "beta does not occur in x",
    ("show", "beta*x", "--set", "beta"): "--set beta=1.5",
    ("show", "beta*x", "--set", "beta=nan"): "finite",
    ("show", "x", "--plot", "f.xyz"): ".png, .svg or .pdf",
    ("show", "x", "--plot", "f"): ".png, .svg or .pdf",
    ("show", "x", "--plot", "missing/f.png"): "the folder missing does not exist",
    ("show", "x*y", "--plot", "f.png"): "also depends on y",
    ("show", "asin(x)", "--interval", "2", "3", "--plot", "f.png"): "no finite value between 2 and 3",
    ("show", "x", "--interval", "3", "2", "--plot", "f.png"): "the smaller one first",
    ("compile", "x", "--emit", "cuda"): "there are aten, torch, triton, ptx, latex",
    ("compile", "x", "--emit", "ptx", "--target", "gfx942"): "write one of NVIDIA's, such as sm_90",
    ("compile", "x", "--emit", "ptx", "--target", "sm_20"): "cannot compile for sm_20",
    ("compile", "x", "--emit", "ptx", "--dtype", "int8"): "invalid choice: 'int8'",
    ("compile", "1/x", "--emit", "latex", "--clamp", "-1"): "clamp=-1.0: write the bound",
    ("compile", "1/x", "--clamp", "0"): "clamp=0.0: write the bound",
    ("compile", "forward*x"): "cannot have a parameter named 'forward'",
    ("compile", "x", "--emit", "latex", "-o", "missing/f"): "the folder missing does not exist",
}


@pytest.mark.parametrize("words", BAD, ids=" ".join)
def test_bad_input_is_one_clear_line(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(list(words)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("actc: ") and BAD[words] in captured.err
    lines = captured.err.splitlines()
    # A text that cannot be parsed is shown with a caret under the place.
    assert len(lines) == 1 or (len(lines) == 3 and set(lines[2].strip()) == {"^"})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["x*sigmod(x)", "x*(", "", "x.real", "__import__('os')", "x+" * 10**6])
def test_every_entrance_says_the_same(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message of the parser, with the caret under the place, wherever a text comes in."""
    from torch import nn

    from actc.search import Study

    with pytest.raises(actc.ParseError) as expected:
        actc.parse(text)
    said = str(expected.value)
    model = nn.Sequential(nn.ReLU())
    for enter in (
        lambda: actc.compile(text),
        lambda: actc.Activation(text),
        lambda: actc.replace(model, nn.ReLU, text),
        lambda: actc.simplify(text),
        lambda: actc.gaussian_moments(text),
    ):
        with pytest.raises(actc.ParseError) as raised:
            enter()
        assert str(raised.value) == said
    with (
        Study(tmp_path / "study", lambda expr, seed: 1.0, strategy=lambda history, rng: [text]) as study,
        pytest.raises(actc.ActcError) as wrapped,
    ):
        study.run(1)
    assert str(wrapped.value).endswith(said)
    for command in ("show", "compile"):
        assert cli.main([command, text]) == 2
        assert capsys.readouterr() == ("", f"actc: {said}\n")


def test_help_and_version() -> None:
    assert run().stdout.startswith("usage: actc")
    assert run("--version").stdout == f"actc {actc.__version__}\n"
    assert "EXPR" in run("show", "--help").stdout


def test_the_script_is_this_command() -> None:
    project = Path(__file__).resolve().parents[1] / "pyproject.toml"
    assert tomllib.loads(project.read_text())["project"]["scripts"]["actc"] == "actc.cli:main"


def test_show_needs_no_torch() -> None:
    code = "import sys; from actc.cli import main; main(['show', 'x*tanh(x)']); print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & {"torch", "matplotlib", "sympy"}


@pytest.mark.parametrize("words", [["show", "tanh(x)"], ["unique", "--space", "unary(x)"]])
def test_a_closed_pipe_is_no_error(words: list[str]) -> None:
    pipe = subprocess.Popen(
        [sys.executable, "-m", "actc", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert pipe.stdout is not None and pipe.stderr is not None
    pipe.stdout.close()
    assert pipe.wait(60) == 0
    assert pipe.stderr.read() == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full exists on Linux")
def test_a_full_disk_behind_the_output() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "actc", "show", "tanh(x)"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "actc: cannot write the output: No space left on device\n"


def test_a_full_disk_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "f.png"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    assert cli.main(["show", "x", "--plot", str(path)]) == 2
    assert (
        capsys.readouterr().err == f"actc: cannot write {path}: the disk is full; free some space or write elsewhere\n"
    )
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_files_follow_links_and_keep_their_mode(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    files.write_atomically(link, "new")
    assert link.is_symlink() and target.read_text() == "new" and target.stat().st_mode & 0o777 == 0o640
    with pytest.raises(files.FileError, match="it is a folder"):
        files.write_atomically(tmp_path, "x")


def test_an_interrupt_is_quiet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "show_command", interrupt)
    assert cli.main(["show", "x"]) == 130
    assert capsys.readouterr().err == "\nactc: interrupted\n"


def test_a_terminal_gets_a_picture() -> None:
    reader, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(
        [sys.executable, "-m", "actc", "show", "tanh(x)"], stdout=terminal, stderr=subprocess.DEVNULL, env=environment
    ):
        os.close(terminal)
        output = b""
        while True:
            try:
                part = os.read(reader, 65536)
            except OSError:
                break
            if not part:
                break
            output += part
    os.close(reader)
    text = output.decode()
    assert "f′(x)" in text
    assert sum("\u2801" <= c <= "\u28ff" for c in text) > 60


def test_search_is_reached_or_says_that_it_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["search", "bogus"]) == 2
    assert capsys.readouterr().err.startswith("actc: ")


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        files.write_atomically(pipe, "whole")
        assert reader.stdout is not None and reader.stdout.read() == b"whole"
    assert pipe.is_fifo()


# --- unique ---------------------------------------------------------------------------------------------------------


def test_unique_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "functions.txt"
    file.write_text("max(x, 0)\n\n# a comment\nrelu(x)\n-relu(x)\nsin(x)**2 + cos(x)**2\n1\n", encoding="utf-8")
    assert cli.main(["unique", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["expressions"], found["classes"], found["proved"], found["numeric"]) == (5, 3, 1, 1)
    assert [c["members"] for c in found["members"]] == [
        ["max(x, 0)", "relu(x)"],
        ["-relu(x)"],
        ["sin(x)**2 + cos(x)**2", "1"],
    ]
    assert cli.main(["unique", str(file), "--up-to-sign"]) == 0
    shown = capsys.readouterr().out
    assert "5 expressions, 2 functions" in shown and "-relu(x)" in shown
    assert cli.main(["unique", "--file", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found


def test_a_byte_order_mark_is_no_part_of_an_expression(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "functions.txt"
    file.write_text("max(x, 0)\nrelu(x)\n", encoding="utf-8-sig")
    assert cli.main(["unique", "--file", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == 1


def test_unique_says_on_what_ground_expressions_are_equal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "functions.txt"
    file.write_text("max(x, 0)\nrelu(x)\nmax(exp(x), x)\nexp(x)\n", encoding="utf-8")
    assert cli.main(["unique", str(file)]) == 0
    assert "2 joined a class: 2 by normal form or proof (100.0%), 0 by their values" in capsys.readouterr().out
    assert cli.main(["unique", str(file), "--no-proofs"]) == 0
    assert "2 joined a class: 1 by normal form (50.0%), 1 by their values" in capsys.readouterr().out


def test_unique_of_a_space(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["unique", "--space", "unary(unary(x))", "--no-proofs"]) == 0
    assert "729 expressions" in capsys.readouterr().out
    assert cli.main(["unique", "--space", "unary(x)", "--mode", "outputs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == 27


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "FILE --file --space is required"),
        (["nowhere.txt"], "nowhere.txt cannot be read: No such file"),
        (["--space", "pangea"], "did you mean 'pangaea'"),
        (["--space", "unary(x"], "never closed"),
        (["--space", "unary(x)", "--processes", "0"], "a number of 1 or more"),
        (["--space", "unary(x)", "--mode", "texts"], "invalid choice"),
    ],
)
def test_unique_with_bad_input(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["unique", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_bad_line_of_a_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "functions.txt"
    file.write_text("x\nx*sigmod(x)\n", encoding="utf-8")
    assert cli.main(["unique", str(file)]) == 2
    said = capsys.readouterr().err
    assert f"{file}, line 2: unknown operator 'sigmod'; did you mean 'sigmoid'?" in said
    assert said.splitlines()[1:] == ["  x*sigmod(x)", "    ^^^^^^"]


def test_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "errors.png"
    assert cli.main(["verify", "gelu(x)", "--backend", "table", "--plot", str(picture)]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "gelu(x) in bfloat16 by table: 65,536 inputs",
        "value       largest error 0 ulp, mean 0 ulp",
        "derivative  largest error 0 ulp, mean 0 ulp",
    ]
    assert f"wrote {picture}" in err and picture.read_bytes().startswith(PNG)
    words = ["verify", "1/x", "--dtype", "float32", "--samples", "3000", "--seed", "4", "--safe", "--json"]
    assert cli.main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["expression"], found["dtype"], found["inputs_tried"]) == ("1/x", "float32", 3000)
    assert 0 < found["max_ulp"] <= 0.5001 and found["saved"] > 0 and found["derivative"]["saved"] > found["saved"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["beta*x"], "verify takes a function of one input"),
        (["x", "--samples", "0"], "--samples is a number of 1 or more"),
        (["x", "--all", "--samples", "5"], "not allowed with argument"),
        (["x", "--dtype", "float64"], "invalid choice"),
        (["x", "--dtype", "float32", "--backend", "table", "--samples", "9"], "convert it"),
    ],
)
def test_verify_with_bad_input(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verify", *words]) == 2
    assert message in capsys.readouterr().err

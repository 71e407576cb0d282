"""The Triton backend: its source, its machine code, files exported from it, and, by `interpreted.py`, its numbers."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import actc
from actc import Space, cli, unique
from actc.kernels import auto, compile
from actc.kernels.auto import AutoKernel
from actc.kernels.errors import BackendError
from actc.kernels.key import Key
from actc.kernels.triton_backend import TritonKernel

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs triton")

ROOT = Path(__file__).parents[2]


def interpreted(*arguments: str, folder: Path, alone: bool = False) -> subprocess.CompletedProcess[str]:
    """Python with these arguments, Triton's interpreter on; `alone`: without this checkout."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "TRITON_CACHE_DIR": str(folder / "cache")}
    python = [sys.executable, "-I"] if alone else [sys.executable]
    where = folder if alone else ROOT
    return subprocess.run([*python, *arguments], capture_output=True, text=True, cwd=where, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize("share", ["not large", pytest.param("large", marks=pytest.mark.large)])
def test_numbers_under_the_interpreter(share: str, tmp_path: Path) -> None:
    path = "tests/kernels/interpreted.py"
    ran = interpreted("-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", share, path, folder=tmp_path)
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-2000:]


def test_source_reads_like_the_expression(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from actc.kernels import device
    from actc.kernels.placement import ELEMENT, NUMBER
    from actc.kernels.straight_line import Operand, Specification
    from actc.kernels.triton_source import kernel_source

    operands = (Operand("x", "float32", ELEMENT), Operand("beta", "float32", NUMBER))
    found = kernel_source(Specification(actc.parse("x*sigmoid(beta*x)"), operands, "float32"), "value", device)
    assert found.text == '''\
@triton.jit
def value(
    out_pointer, x_pointer, beta_pointer, numel, BLOCK: tl.constexpr,
):
    """x*sigmoid(beta*x)"""
    beta = tl.load(beta_pointer).to(tl.float32)
    start = tl.program_id(0).to(tl.int64) * BLOCK
    lanes = tl.arange(0, BLOCK)
    mask = start + lanes < numel
    x = tl.load(x_pointer + start + lanes, mask=mask).to(tl.float32)
    mul_1 = beta * x
    sigmoid_1 = device.sigmoid(mul_1)
    mul_2 = x * sigmoid_1
    tl.store(out_pointer + start + lanes, mul_2, mask=mask)
'''


def test_cpu_tensors_are_refused_with_the_remedy() -> None:
    with pytest.raises(BackendError, match=r'runs on GPUs, and the input is on cpu: move it.*backend="auto"'):
        compile("x*x", backend="triton")(torch.ones(3))


def test_missing_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    """One clear error where it was asked for, one warning where it was chosen."""
    auto._missing.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r"needs the package triton, which is not installed: pip install triton"):
        TritonKernel(Key("x*x", ("x",), (), (0,), "triton"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.warns(UserWarning, match="run as composed torch operations"):
        assert compile("x").backend == "aten"
    assert "not installed" in compile("x").reason
    auto._missing.cache_clear()


def test_auto_is_by_device(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = AutoKernel(Key("x*x", ("x",), (), (0,), "auto"))
    assert kernel.forward([torch.full((2,), 3.0)], []).tolist() == [9.0, 9.0]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert compile("x").backend == "triton" and "tensors on a GPU" in compile("x").reason


def test_importing_kernels_does_not_import_triton() -> None:
    code = "import sys, actc.kernels; assert 'triton' not in sys.modules, 'triton'"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.slow
def test_ahead_of_time(tmp_path: Path) -> None:
    """A sample of the three-node space for sm_90: nothing spills, and every access is 16 bytes wide."""
    from actc.kernels.ahead_of_time import reports, specification

    classes = unique(Space("aquasurf_three_node"), prove=False)
    kernels = [
        (str(each.representative), dtype, backward)
        for each in classes[:: len(classes) // 20][:20]
        for dtype in (torch.bfloat16, torch.float32)
        for backward in (False, True)
    ]
    found = reports(specification(compile(text), dtype, backward) for text, dtype, backward in kernels)
    for kernel, report in zip(kernels, found, strict=True):
        assert report.spills == 0, kernel
        assert {*report.load_bytes, *report.store_bytes} == {16}, kernel


@pytest.mark.parametrize("target", ["sm_80", "sm_90", "sm_100", "gfx942"])
def test_targets(target: str) -> None:
    from actc.kernels.ahead_of_time import compiled, specification

    f = compile("x*sigmoid(beta*x)")
    for backward in (False, True):
        assert compiled(specification(f, torch.bfloat16, backward), "kernel", target).kernel


@pytest.mark.parametrize("form", ["numbers", "columns", "rows", "long rows"])
def test_summing_kernels_compile(form: str) -> None:
    """The kernels that sum parameters' gradients neither spill nor, but for parameters and sums, access less than 16
    bytes at once."""
    from actc.kernels import device, machine_code
    from actc.kernels.placement import CHANNEL, ELEMENT, NUMBER
    from actc.kernels.straight_line import Operand, Specification
    from actc.kernels.triton_backend import load
    from actc.kernels.triton_source import kernel_source, module_source

    place = NUMBER if form == "numbers" else CHANNEL
    operands = (Operand("x", "bfloat16", ELEMENT), Operand("beta", "float32", place))
    expression = actc.parse("x*sigmoid(beta*x)")
    source = kernel_source(Specification(expression, operands, "bfloat16", (0, 1), "rows" in form), "kernel", device)
    assert source.form == form.removeprefix("long ")
    sizes = {
        "numbers": {"BLOCK": 1024, "PROGRAMS": 1024},
        "columns": {"ROWS": 16, "COLUMNS": 64, "PROGRAMS": 64, "CHANNELS": 256, "INNER": 1},
        "rows": {"ROWS": 1, "COLUMNS": 1024, "PROGRAMS": 16, "CHANNELS": 64, "INNER": 1024},
        "long rows": {"ROWS": 1, "COLUMNS": 1024, "PROGRAMS": 16, "CHANNELS": 2, "INNER": 2**32},
    }[form]
    kernel = load(module_source([source.text])).kernel
    found = machine_code.report(kernel, source.signature, sizes, 8)
    assert found.spills == 0
    assert found.load_bytes.count(16) >= 2 and found.store_bytes.count(16) == 1


def test_tiles_are_full() -> None:
    from actc.kernels.triton_backend import BLOCK, _tile

    assert _tile("columns", 4096, 256, 1) == (16, 64) and _tile("columns", 1, 2**22, 1) == (1, BLOCK)
    assert _tile("columns", 4096, 8, 1) == (128, 8) and _tile("columns", 3, 8, 1) == (4, 8)
    assert _tile("rows", 32, 64, 4096) == (1, BLOCK) and _tile("rows", 32, 65536, 2) == (32, 2)


def test_ptx(capsys: pytest.CaptureFixture[str]) -> None:
    for target, name in (("sm_80", "value"), ("sm_90", "gradients")):
        words = ["compile", "x*erf(x)", "--emit", "ptx", "--target", target, "--dtype", "bfloat16"]
        assert cli.main([*words, *(["--gradients"] if name == "gradients" else [])]) == 0
        text = capsys.readouterr().out
        assert f".target {target}" in text and f".entry {name}(" in text
        assert "ld.global.v4.b32" in text
        assert text.startswith("// Launch a grid of ceil(numel / 1024) blocks of 128 threads.")
        body = text.partition(".entry")[2].partition(")")[0]
        arguments = [line for line in text.splitlines() if re.match("//     [a-z_]+: ", line)]
        # And Triton's two.
        assert body.count(".param") == len(arguments) + 2


def test_a_broken_file_in_the_cache_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from actc.kernels.triton_backend import load

    monkeypatch.setattr("triton.knobs.cache.dir", str(tmp_path))
    load("NUMBER = 7")
    (path,) = tmp_path.rglob("actc_*.py")
    path.write_bytes(b"\xff\x00\xfe")
    assert load("NUMBER = 7").NUMBER == 7


@pytest.mark.slow
@pytest.mark.parametrize("text", ["x*sigmoid(beta*x)", "silu(x)*y", "where(x > 0, alpha*x, gamma*expm1(x))", "2"])
def test_exported_file_runs_alone(text: str, tmp_path: Path) -> None:
    """Under the interpreter, in a process that cannot import actc; its gradients in float64 are right."""
    path = tmp_path / "act.py"
    assert cli.main(["compile", text, "--emit", "triton", "-o", str(path)]) == 0
    code = (
        "import runpy, sys, torch; sys.modules['actc'] = None; "
        f"layer = runpy.run_path({str(path)!r}, run_name='__main__')['Activation']().double(); "
        "assert sys.modules['actc'] is None; "
        f"x = [torch.linspace(i - 2, 3, 6).double().requires_grad_() for i in range({1 + ('y' in text)})]; "
        "assert torch.autograd.gradcheck(lambda *tensors: layer(*tensors[:len(x)]), (*x, *layer.parameters()))"
    )
    ran = interpreted("-c", code, folder=tmp_path, alone=True)
    assert (ran.returncode, ran.stdout) == (0, "ok\n"), ran.stderr[-3000:]


#: Runs self-tests, and prints what each says.
RUNNER = """
import contextlib, io, runpy, sys
sys.modules["actc"] = None
for path in sys.argv[1:]:
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            runpy.run_path(path, run_name="__main__")
    except AssertionError as error:
        print("refused:", error)
    else:
        print(said.getvalue().strip())
"""


def self_tests(sources: list[str], folder: Path) -> list[str]:
    """What exported files say when they are run under the interpreter."""
    paths = [folder / f"act{i}.py" for i in range(len(sources))]
    for path, source in zip(paths, sources, strict=True):
        path.write_text(source)
    ran = interpreted("-W", "ignore", "-c", RUNNER, *map(str, paths), folder=folder, alone=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return ran.stdout.splitlines()


@pytest.mark.slow
def test_the_self_test_sees_what_is_wrong(tmp_path: Path) -> None:
    """In kernels of every type, in values, gradients and sums, at the end of the tensor and of a program's steps."""
    source = compile("x*sigmoid(beta*x)").source("triton")

    def changed(kernel: str, old: str, new: str) -> str:
        start = source.index(f"def {kernel}(")
        end = min(i for text in ("@triton.jit", "# The kernels by") if (i := source.find(text, start)) > 0)
        body = source[start:end]
        assert old in body, (kernel, old)
        return source[:start] + body.replace(old, new) + source[end:]

    zeros = "tl.zeros((BLOCK // 8,), tl.float64)"
    wrong = [
        changed("value", "lanes, mul_2", "lanes, 1.01 * mul_2"),
        changed("value_16_bits", "narrowed(mul_2)", "narrowed(1.01 * mul_2)"),
        changed("value_float16", "lanes, mul_2", "lanes, 1.01 * mul_2"),
        changed("value_float64", "lanes, mul_2", "lanes, 1.00001 * mul_2"),
        changed("value", "tl.program_id(0).to(tl.int64) * BLOCK", "tl.program_id(0).to(tl.int64) * 0"),
        changed("value", "lanes < numel", "lanes < numel - 1"),
        changed("gradients", "lanes, grad * add_1", "lanes, -grad * add_1"),
        changed("gradients_16_bits", "narrowed(grad * add_1)", "narrowed(-5.0 * grad * add_1)"),
        changed("gradients_float16", "lanes, grad * add_1", "lanes, 1.01 * grad * add_1"),
        changed("gradients_float64", "lanes, grad * add_1", "lanes, -5.0 * grad * add_1"),
        changed("gradients_float64", zeros, f"{zeros} + 1"),
        changed("gradients", "BLOCK), PROGRAMS)", "BLOCK), PROGRAMS * 2)"),
    ]
    said = self_tests([source, *wrong], tmp_path)
    assert said[0] == "ok"
    for text, report in zip(wrong, said[1:], strict=True):
        assert report.startswith("refused: torch."), text


@pytest.mark.slow
def test_the_self_test_passes_what_is_right(tmp_path: Path) -> None:
    """Beyond the range of float16 and where inputs are rounded, too, unless there is nothing to compare."""
    texts = ["x*1e5", "x**9*100", "relu(x)**5*200", "sin(1000*x)", "log(x - 5)", "erfc(x)/expm1(x)", "x/(x - x)"]
    *right, nothing = self_tests([compile(text).source("triton") for text in texts], tmp_path)
    assert right == ["ok"] * 6
    assert nothing == "refused: at too few points is the function finite and told from its neighbours"


def test_a_difference_of_equal_products_is_zero() -> None:
    """Neither product is rounded with the difference, in the machine code; a product beside what is none is."""
    from actc.kernels import machine_code
    from actc.kernels.ahead_of_time import compiled, specification

    def fused(text: str) -> int:
        kernel = compiled(specification(compile(text), torch.float32, False), "kernel", "sm_90")
        (code,) = machine_code.disassembled([kernel.asm["cubin"]], "sm_90")
        return code.count("FFMA")

    assert fused("x*x - y*y") == fused("abs(x*y) - x*y") == 0
    assert fused("x*y - z") == fused("x*0.3 - 2") == 8

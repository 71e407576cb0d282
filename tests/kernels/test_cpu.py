"""The CPU backend."""

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from actc.kernels import compile, cpu, llvm, threads
from actc.kernels.cpu import CpuKernel
from actc.kernels.errors import BackendError
from actc.kernels.key import Key
from actc.parsing import parse
from tests.kernels.numerics import *  # noqa: F403


@pytest.fixture
def backend() -> str:
    return "cpu"


@pytest.fixture
def device() -> str:
    return "cpu"


#: Largest errors of float32 functions, in units in the last place. Torch's own are 0.55 for exp, 1.0 expm1, 0.56 tanh,
#: 2.3 sigmoid, 1.5 softplus and log_sigmoid, 2.7 mish; without end for silu and gelu to the left.
ERRORS = {"exp": 0.8, "expm1": 0.9, "tanh": 0.7, "sigmoid": 2.3, "log_sigmoid": 1.5, "softplus": 1.55, "silu": 2.2}
ERRORS |= {"mish": 3.5, "gelu": 6.0, "sin": 1.45, "cos": 1.45, "tan": 3.0}
#: Computed in float64 and rounded once.
ERRORS |= dict.fromkeys(["log", "log1p", "asin", "acos", "atan", "erf", "erfc", "i0e", "i1e"], 0.51)
ERRORS |= dict.fromkeys(["sinh", "cosh", "asinh", "acosh", "atanh"], 0.51)


@pytest.mark.parametrize("name", ERRORS)
def test_errors_in_float32(name: str) -> None:
    """At numbers of every size, and at those that networks see."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 40_000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    usual = [rng.normal(0, 3, 40_000), rng.uniform(-1, 1, 20_000), rng.uniform(-110, 110, 40_000)]
    x = np.concatenate([bits[np.isfinite(bits)], *(each.astype(np.float32) for each in usual)])
    exact = parse(f"{name}(x)").evaluate(x=x.astype(np.float64))
    found = compile(f"{name}(x)", backend="cpu")(torch.from_numpy(x)).numpy()
    with np.errstate(all="ignore"):
        nearest = exact.astype(np.float32)
    assert np.array_equal(np.isnan(found), np.isnan(exact)) and np.array_equal(np.isinf(found), np.isinf(nearest))
    kept = np.isfinite(nearest)
    units = abs(found[kept] - exact[kept]) / np.spacing(abs(nearest[kept])).astype(np.float64)
    assert units.max() <= ERRORS[name]


LARGE = 2**20 + 5


def test_a_forked_process_starts_threads_of_its_own() -> None:
    """Torch's own operations on large tensors hang there, so numpy compares."""
    x = torch.linspace(-3, 3, LARGE)
    f = compile("x*sigmoid(x)", backend="cpu")
    expected = f(x)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"same" if np.array_equal(f(x).numpy(), expected.numpy()) else b"other")
        os._exit(0)
    os.close(writing)
    assert os.read(reading, 9) == b"same" and os.waitpid(child, 0)[1] == 0


def test_many_threads_at_once() -> None:
    xs = [torch.randn(LARGE, generator=torch.Generator().manual_seed(k)) for k in range(4)]
    f = compile("tanh(x)*erf(x)", backend="cpu")
    expected = [f(x) for x in xs]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda k: f(xs[k % 4]), range(24)))
    assert all(torch.equal(each, expected[k % 4]) for k, each in enumerate(found))


def test_the_number_of_threads_changes_no_bit() -> None:
    """Neither where Python's threads take the place of OpenMP's."""
    before = torch.get_num_threads()
    x = torch.randn(64, 40, 500, generator=torch.Generator().manual_seed(0)).requires_grad_()
    beta = torch.linspace(0.5, 2, 40).reshape(40, 1).requires_grad_()
    y = compile("x*sigmoid(beta*x)", backend="cpu")(x, beta=beta)
    found = []
    try:
        for number, openmp in ((1, True), (2, True), (5, True), (3, False)):
            torch.set_num_threads(number)
            with pytest.MonkeyPatch.context() as patch:
                if not openmp:
                    patch.setattr(threads._code(), "parallel", None)
                found.append(torch.autograd.grad(y, (x, beta), torch.ones_like(y), retain_graph=True))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def test_machine_code_is_kept_and_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where what was kept is broken, and where nothing can be kept."""
    monkeypatch.setattr(llvm, "cache_folder", lambda: tmp_path / "kept")
    text = "define i64 @seven(ptr %x) {\n  ret i64 7\n}\n"

    def seven() -> int:
        library = llvm.Library(text)
        return int(ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(library.address("seven"))(None))

    assert seven() == 7
    (path,) = (tmp_path / "kept").iterdir()
    whole = path.read_bytes()
    for broken in (whole[:-3], whole[:40], b"", bytes(len(whole))):
        path.write_bytes(broken)
        assert seven() == 7 and path.read_bytes() == whole
    (tmp_path / "file").touch()
    monkeypatch.setattr(llvm, "cache_folder", lambda: tmp_path / "file")
    llvm._say_once.cache_clear()
    with pytest.warns(UserWarning, match="machine code is not kept between processes"):
        assert seven() == 7


def test_tensors_elsewhere_are_refused() -> None:
    with pytest.raises(BackendError, match=r"runs on CPUs, and the input is on meta: move it"):
        CpuKernel(Key("x*x", ("x",), (), (0,), "cpu")).forward([torch.ones(5, device="meta")], [])


@pytest.mark.parametrize(("lanes", "scales"), [(8, False), (16, False), (16, True), (64, False)])
def test_vectors_of_other_processors(lanes: int, scales: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bits by vectors of other lengths, and to the last unit without the instruction for y·2^n."""
    f = compile("silu(x)*tanh(x) + beta*exp(-x)", backend="cpu")
    x = torch.linspace(-90, 60, 1237)
    expected = f(x, beta=0.3)
    monkeypatch.setattr(cpu, "vectors", lambda: (lanes, scales))
    cpu._kernel.cache_clear()
    found = CpuKernel(Key(str(f.lowered), ("x",), ("beta",), (0, 0), "cpu")).forward([x], [torch.tensor(0.3)])
    cpu._kernel.cache_clear()
    torch.testing.assert_close(found, expected, rtol=0 if scales else 3e-7, atol=0 if scales else 1e-44)

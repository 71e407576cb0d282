"""The benchmark of the kernels: its arithmetic, by made-up times, and that what it compares is the same function."""

from __future__ import annotations

import functools
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import actc

pytest.importorskip("triton")

BENCH = Path(__file__).resolve().parents[1] / "bench"


@pytest.fixture(scope="module")
def bench() -> Iterator[Any]:
    """bench/kernels.py with tensors on the CPU; it finds its neighbours as it does when it is run."""
    before = list(sys.path)
    spec = importlib.util.spec_from_file_location("bench_kernels", BENCH / "kernels.py")
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    # Where dataclasses look for their module.
    sys.modules["bench_kernels"] = module
    spec.loader.exec_module(module)
    module.DEVICE = "cpu"
    yield module
    sys.path[:] = before
    for name in ("bench_kernels", "kernel_report", "networks", "measuring"):
        del sys.modules[name]


class MadeUp:
    """A clock on which only what is told takes time."""

    def __init__(self) -> None:
        self.now, self.told = 0.0, list[str]()

    def call(self, name: str, *milliseconds: float) -> Callable[[], None]:
        """Takes the first of these times, then the next, and so on in a circle."""
        turns = [0]

        def called() -> None:
            self.now += milliseconds[turns[0] % len(milliseconds)]
            turns[0] += 1
            self.told.append(name)

        return called

    def prepare(self) -> None:
        self.now += 1000

    def mark(self) -> float:
        return self.now

    def milliseconds(self, start: float, end: float) -> float:
        return end - start

    def wait(self) -> None: ...


def test_calls_take_turns(bench: Any) -> None:
    clock = MadeUp()
    calls = {"a": clock.call("a", 1, 2, 3), "b": clock.call("b", 5)}
    found = bench.interleaved(calls, clock, seconds=0, least=6, most=6)
    # Two rounds go before: one to warm up, one to see how long they take.
    assert found == {"a": [3, 1, 2, 3, 1, 2], "b": [5] * 6}
    assert clock.told == ["a", "b"] * 8


@pytest.mark.parametrize("size", [1, 2, 7, 60])
def test_quantiles(bench: Any, size: int) -> None:
    sample = np.random.default_rng(size).exponential(size=size)
    found = bench.quantiles(sample.tolist())
    assert found.pop("rounds") == size
    assert list(found.values()) == pytest.approx(np.quantile(sample, [0.2, 0.5, 0.8]))


def test_composed_operations_compute_the_function(bench: Any) -> None:
    """By numpy's float64, all that is compared."""
    generator = torch.Generator().manual_seed(0)
    texts = [*bench.NAMED, *bench.random_functions(150, 0)]
    assert len(set(texts)) == len(texts)
    for text in texts:
        e = actc.parse(text)
        values = {n: torch.randn(50, generator=generator, dtype=torch.double) for n in (*e.variables, *e.parameters)}
        with np.errstate(all="ignore"):
            true = np.broadcast_to(e.evaluate(**{n: v.numpy() for n, v in values.items()}), 50)
        got = bench.composed(text)(*values.values())
        np.testing.assert_allclose(torch.as_tensor(got).expand(50).numpy(), true, rtol=1e-12, atol=1e-15, err_msg=text)
    for text, fused in bench.FUSED.items():
        x = torch.randn(50, generator=generator, dtype=torch.double)
        torch.testing.assert_close(fused(x), bench.composed(text)(x))


def test_random_functions_are_those_of_the_seed(bench: Any) -> None:
    first = bench.random_functions(200, 0)
    assert first == bench.random_functions(200, 0) and len(first) == 200
    assert first[:50] == bench.random_functions(50, 0) and first != bench.random_functions(200, 1)


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize(("text", "inputs"), [("silu(x)", 1), ("silu(x)*y", 2), ("x*sigmoid(beta*x)", 1)])
def test_a_row(bench: Any, text: str, inputs: int, direction: str) -> None:
    """What it measures, on the CPU: the bytes are those of the tensors that are read and written."""
    job = bench.Job("sizes", text, "float32", direction, 8192)
    row = bench.passes(job, ("actc", "composed", "torch"), MadeUp())
    tensors = inputs + 1 if direction == "forward" else 2 * inputs + 1
    assert row["bytes"] == tensors * 8192 * 4
    assert row["milliseconds"].keys() == {"actc", "composed", "copy"} | ({"torch"} if text in bench.FUSED else set())


def test_the_cost_of_parameters(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for layout, (shape, size) in bench.SHAPES.items():
        small = (2, *shape[1:2], *(3,) * (len(shape) - 2))
        monkeypatch.setitem(bench.SHAPES, layout, (small, size))
        row = bench.parameters(bench.Job("parameters", bench.SWISH, "float32", layout=layout), MadeUp())
        assert row["milliseconds"].keys() == {"with", "without", "copy"}


def test_small_tensors(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "SMALL", (4, 8))
    monkeypatch.setattr(bench, "HostClock", lambda wait: MadeUp())
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: function)
    row = bench.small(bench.Job("small", "silu(x)", "bfloat16", way="calls"), MadeUp())
    assert row["milliseconds"].keys() == {"actc", "torch", "composed", "torch.compile"}


@pytest.mark.parametrize(("network", "batch"), [("ResNet-20", (2,)), ("GPT", (2, 5))])
def test_training(bench: Any, network: str, batch: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bench.BATCHES, network, batch)
    once = functools.partial(bench.interleaved, least=1, most=1)
    monkeypatch.setattr(bench, "interleaved", lambda calls, clock, **_: once(calls, clock))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3e6)
    row = bench.training(bench.Job("training", bench.SWISH, "float32", network=network), MadeUp())
    assert row["megabytes"] == {"actc": 3, "composed": 3} and row["milliseconds"].keys() == {"actc", "composed"}


@pytest.mark.parametrize("network", ["resnet20", "GPT"])
def test_networks_train_alike(bench: Any, network: str) -> None:
    """With the layer and with composed operations: equal losses, and gradients of every parameter."""
    makers = (
        lambda channels, dim: actc.Activation(bench.SWISH, per="channel", channels=channels, channel_dim=dim),
        lambda channels, dim: bench.Composed(bench.SWISH, channels, dim),
    )
    sums = []
    for make in makers:
        torch.manual_seed(0)
        model = getattr(bench.networks, network)(make)
        generator = torch.Generator().manual_seed(1)
        x = torch.randn(2, 3, 32, 32, generator=generator)
        y = model(torch.arange(6).view(2, 3) if network == "GPT" else x)
        y.square().mean().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        sums.append([y.detach(), *(p.grad for p in model.parameters())])
    for a, b in zip(*sums, strict=True):
        torch.testing.assert_close(a.flatten(), b.flatten(), rtol=1e-3, atol=1e-4)


def made_up(bench: Any, slow: float = 0.5) -> list[dict[str, Any]]:
    """All rows, as if our kernels took 1/0.95 of a copy's time, a tenth of the random ones `slow` times as fast."""
    rng = np.random.default_rng(0)
    rows = []
    for part in bench.PARTS:
        for i, job in enumerate(bench.jobs(part, 40, 0)):
            copy = 1e-3 + (job.elements or 2**26) * 2 / 1e9
            times = {"copy": copy, "actc": copy / 0.95, "torch.compile": copy, "composed": 4 * copy, "torch": copy}
            times |= {"with": 1.1 * copy, "without": copy, "liger": 1.2 * copy}
            if part == "sizes":
                startup = 5e-3
                times = {name: time + startup * rng.uniform(1, 3) for name, time in times.items()} | {"copy": copy}
            if part == "random" and i // 4 % 10 == 0:
                times["actc"] = copy / slow
            row = {name: value for name, value in bench.asdict(job).items() if value is not None}
            row["milliseconds"] = {name: {"median": time} for name, time in times.items()}
            row["megabytes"] = {"actc": 300.0, "composed": 900.0}
            rows.append(row)
    return rows


def test_figures(bench: Any) -> None:
    found = bench.kernel_report.figures(made_up(bench))
    share = found["random functions, bfloat16 forward: share at 90 % of a copy's speed"]
    assert share == {"figure": 0.9, "of": 40, "wanted": "≥ 0.95", "met": False}
    assert found["random functions, float32 backward: share at 90 % of a copy's speed"]["met"]
    assert found["random functions, bfloat16 forward: median speed over a copy's"]["figure"] == 0.95
    worst = found["random functions, float32 forward: time over torch.compile's, worst"]
    assert worst == {"figure": 1.0526, "of": 40, "wanted": "≤ 1.03", "met": False}
    cost = found["gradients of parameters, channels: time over that without, worst"]
    assert cost == {"figure": 1.1, "of": 2, "wanted": "≤ 1.15", "met": True}
    memory = found["GPT with silu(x): peak memory over composed"]
    assert (memory["figure"], memory["met"]) == (0.3333, True)
    assert not any(each["wanted"].endswith(" 0") for each in found.values())


def test_what_is_not_measured_is_not_met(bench: Any) -> None:
    """A row without our time, or a part without rows; but there need not be a competitor."""
    report, rows = bench.kernel_report, made_up(bench)
    name = "named functions of 128 MB and more, forward: time over torch's, worst"
    of = report.figures(rows)[name]["of"]
    # As fast as torch is not met by 1/0.95 of its time.
    assert of > 1 and report.figures(rows)[name]["wanted"] == "≤ 1" and not report.figures(rows)[name]["met"]
    for row in rows:
        row["milliseconds"]["actc"] = row["milliseconds"]["copy"]
    assert report.figures(rows)[name]["met"]
    large = report.select(rows, part="sizes", elements=2**30, direction="forward")
    del large[0]["milliseconds"]["torch"], large[1]["milliseconds"]["actc"]
    found = report.figures(rows)[name]
    assert (found["of"], found["missing"], found["met"]) == (of - 2, 1, False)
    without = [row for row in rows if row["part"] != "small"]
    assert report.figures(without, bench.PARTS)["small: rows"] == {"figure": 0, "of": 0, "wanted": "≥ 1", "met": False}


def test_small_tensors_do_not_count_as_large(bench: Any) -> None:
    rows = [row for row in made_up(bench) if row["part"] == "sizes" and row["elements"] < 2**24]
    assert bench.kernel_report.figures(rows) == {}


def test_a_run_goes_on_where_it_stopped(bench: Any, tmp_path: Path) -> None:
    """Rows are found again by what they measured, and never mixed with another machine's."""
    path, head = tmp_path / "kernels.json", bench.machine(0)
    wanted = [*bench.jobs("sizes", 0, 0)][:3] + [*bench.jobs("small", 0, 0)][:2] + [*bench.jobs("training", 0, 0)][:1]
    results = bench.Results(path, head)
    for job in wanted[:4]:
        results.add(job, {"milliseconds": {"copy": {"median": 0.123456789}}})
    again = bench.Results(path, head)
    assert again.rows == results.rows and [job.key() in again.rows for job in wanted] == [True] * 4 + [False] * 2
    assert json.loads(path.read_text())["rows"][0]["milliseconds"]["copy"]["median"] == 0.12346
    with pytest.raises(SystemExit, match=r"with device none, and this is H100: name another file with --json"):
        bench.Results(path, head | {"device": "H100"})


def test_picture(bench: Any, tmp_path: Path) -> None:
    """Its curves are the rows' medians over functions; it is drawn."""
    rows = made_up(bench)
    points = dict(bench.kernel_report.curves(rows, "bfloat16", "forward")["actc"])
    assert list(points) == bench.SIZES and points[2**30] == pytest.approx(0.95, abs=0.01) and points[2**12] < 0.2
    bench.kernel_report.draw(rows, "made up", tmp_path / "kernels.png")
    assert (tmp_path / "kernels.png").read_bytes().startswith(b"\x89PNG")

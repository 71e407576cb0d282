"""Are the kernels as fast as memory? Against a copy, torch and others, on the GPU of this machine.

python bench/kernels.py [--part NAME ...] [--seconds N] measures, part by part:

    sizes       named functions, every type, 4 K to 1 G elements, forward and backward: our kernel, torch eager as
                composed operations, torch.compile, torch's own fused operation and Liger's where there is one
    random      functions of the three-node space, drawn with --seed, at 128 MB a tensor
    compiled    the same functions beside torch.compile
    parameters  the backward pass with and without the gradients of parameters
    small       4096×128, forward and backward, by calls and by replays of CUDA graphs
    training    steps of ResNet-20 and of a small GPT beside composed operations: time and peak memory

and in each a copy of as many bytes as the kernel reads and writes. Results are written after every row, with the
device, the versions and the date; what the file holds already is not measured again, so a run that was cut off, or that
ended after --seconds, goes on where it stopped. --workers N processes compile beforehand. The last step, and --report
alone, prints what the rows say and draws a picture beside the file.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import actc
from actc import Space
from actc.files import write_atomically

# PYTHONSAFEPATH leaves the folder of a script out; it comes last, so that nobody's package is hidden.
sys.path.append(str(Path(__file__).parent))

import kernel_report
import networks
from competitors import composed
from measuring import Clock, DeviceClock, HostClock, interleaved, quantiles

SWISH = "x*sigmoid(beta*x)"
#: Torch's own operation, by the function's text.
FUSED: dict[str, Callable[..., Tensor]] = {
    "silu(x)": F.silu,
    "gelu(x)": F.gelu,
    "gelu_tanh(x)": partial(F.gelu, approximate="tanh"),
    "mish(x)": F.mish,
}
NAMED = [*FUSED, "relu(x)**2", "silu(x)*y", "gelu_tanh(x)*y", SWISH, "erfc(softplus(x))**2"]
TYPES = ["bfloat16", "float32", "float16", "float64"]
SIZES = [2**12, 2**16, 2**20, 2**24, 2**26, 2**28, 2**30]
#: The last dimension of all tensors, for those whose kernels go row by row.
WIDTH = 4096
@dataclass(frozen=True)
class Job:
    """What one row holds. Fields that do not concern its part are None."""

    part: str
    function: str
    dtype: str
    direction: str | None = None
    elements: int | None = None
    layout: str | None = None
    way: str | None = None
    network: str | None = None

    def key(self) -> tuple[Any, ...]:
        return tuple(asdict(self).values())


# --- competitors ----------------------------------------------------------------------------------------------------


@cache
def liger() -> dict[str, Callable[..., Tensor]]:
    """Liger's kernels by the function's text; none, and a word about it, where they are not installed."""
    try:
        from liger_kernel.ops.geglu import LigerGELUMulFunction
        from liger_kernel.ops.relu_squared import LigerReLUSquaredFunction
        from liger_kernel.ops.swiglu import LigerSiLUMulFunction
    except ImportError as error:
        print(f"without Liger's kernels: {error}", flush=True)
        return {}
    first = lambda x: LigerReLUSquaredFunction.apply(x)[0]  # noqa: E731
    return {"silu(x)*y": LigerSiLUMulFunction.apply, "gelu_tanh(x)*y": LigerGELUMulFunction.apply, "relu(x)**2": first}


def ours(text: str) -> Callable[..., Tensor]:
    f = actc.compile(text)
    count = len(f.variables)
    return lambda *tensors: f(*tensors[:count], **dict(zip(f.parameters, tensors[count:], strict=True)))


def competitors(text: str, names: tuple[str, ...]) -> dict[str, Callable[..., Tensor]]:
    """Of these names those that there are for the function."""
    found: dict[str, Callable[..., Tensor]] = {}
    for name in names:
        if name == "actc":
            found[name] = ours(text)
        elif name == "composed":
            found[name] = composed(text)
        elif name == "torch.compile":
            found[name] = torch.compile(composed(text), dynamic=False)
        elif name == "torch" and text in FUSED:
            found[name] = FUSED[text]
        elif name == "liger" and text in liger():
            found[name] = liger()[text]
    return found


# --- what is timed --------------------------------------------------------------------------------------------------


def drawn(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator(DEVICE).manual_seed(seed), dtype=dtype, device=DEVICE)


def copying(total: int) -> tuple[Callable[[], object], float]:
    """A copy that reads and writes so many bytes together, and how many times it would have to be made: of more than
    8 GB a part is representative."""
    made = min(total, 2**33)
    source = torch.ones(max(made // 2, 1), dtype=torch.uint8, device=DEVICE)
    target = torch.empty_like(source)
    return lambda: target.copy_(source), total / made


def passes(job: Job, names: tuple[str, ...], clock: Clock) -> dict[str, Any]:
    """Times of one direction of a function of tensors that are all of one shape."""
    assert job.elements is not None
    expression, dtype = actc.parse(job.function), getattr(torch, job.dtype)
    count, backward = len(expression.variables), job.direction == "backward"
    shape = (max(job.elements // WIDTH, 1), min(job.elements, WIDTH))
    touched = (2 * count + 1 if backward else count + 1) * job.elements * dtype.itemsize
    try:
        inputs = [drawn(shape, dtype, seed) for seed in range(count)]
        parameters = [torch.full((), 1.25, dtype=dtype, device=DEVICE) for _ in expression.parameters]
        grad = drawn(shape, dtype, 9) if backward else None
        copy, times = copying(touched)
    except torch.OutOfMemoryError:
        return {"bytes": touched, "milliseconds": {}, "missing": dict.fromkeys(("copy", *names), "out of memory")}
    found: dict[str, dict[str, float]] = {}
    missing: dict[str, str] = {}
    functions = list(competitors(job.function, names).items())
    # What they keep for the backward pass would not fit together where tensors are large.
    apart = inputs[0].nbytes > 2**30
    for group in [[each] for each in functions] if apart else [functions]:
        try:
            calls: dict[str, Callable[[], object]] = {"copy": copy}
            for name, function in group:
                # Liger's backward writes over what it was given.
                given = [each.clone() for each in inputs] if name == "liger" else inputs
                calls[name] = timed_call(function, [*given, *parameters], grad)
            found = {name: quantiles(sample) for name, sample in interleaved(calls, clock).items()} | found
        except torch.OutOfMemoryError:
            missing |= {name: "out of memory" for name, _ in group}
    if "copy" in found:
        found["copy"] = {name: value * (1 if name == "rounds" else times) for name, value in found["copy"].items()}
    return {"bytes": touched, "milliseconds": found} | ({"missing": missing} if missing else {})


def timed_call(function: Callable[..., Tensor], tensors: list[Tensor], grad: Tensor | None) -> Callable[[], object]:
    """The forward pass without gradients, or the backward pass alone."""
    if grad is None:

        def forward() -> object:
            with torch.no_grad():
                return function(*tensors)

        return forward
    leaves = [each.detach().requires_grad_() for each in tensors]
    value = function(*leaves)
    return lambda: torch.autograd.grad(value, leaves, grad, retain_graph=True)


SHAPES = {
    "a layer": ((256, 64, 56, 56), ()),
    "channels": ((256, 64, 56, 56), (64, 1, 1)),
    "channels last": ((256, 64, 56, 56), (64, 1, 1)),
    "neurons": ((16384, 4096), (4096,)),
}


def parameters(job: Job, clock: Clock) -> dict[str, Any]:
    """The backward pass with and without the gradient of beta."""
    assert job.layout is not None
    (shape, size), dtype = SHAPES[job.layout], getattr(torch, job.dtype)
    x, grad = (drawn(shape, dtype, seed) for seed in (0, 9))
    if job.layout == "channels last":
        x, grad = (each.contiguous(memory_format=torch.channels_last) for each in (x, grad))
    beta = torch.full(size, 1.25, device=DEVICE)
    calls: dict[str, Callable[[], object]] = {}
    for name in ("with", "without"):
        leaves = [x.detach().requires_grad_()] + ([beta.detach().requires_grad_()] if name == "with" else [])
        value = ours(job.function)(leaves[0], leaves[1] if name == "with" else beta)
        calls[name] = partial(torch.autograd.grad, value, leaves, grad, retain_graph=True)
    total = 3 * x.numel() * x.element_size()
    calls["copy"], _ = copying(total)
    return {"bytes": total, "milliseconds": {n: quantiles(s) for n, s in interleaved(calls, clock).items()}}


SMALL = (4096, 128)


def small(job: Job, clock: Clock) -> dict[str, Any]:
    """Forward and backward of a small tensor, many in a row: by calls, or replayed from a graph."""
    many = 50
    x, grad = (drawn(SMALL, getattr(torch, job.dtype), seed) for seed in (0, 9))
    x.requires_grad_()

    def step(function: Callable[..., Tensor]) -> None:
        for _ in range(many):
            torch.autograd.grad(function(x), x, grad)

    calls: dict[str, Callable[[], object]] = {}
    for name, function in competitors(job.function, ("actc", "torch", "composed", "torch.compile", "liger")).items():
        calls[name] = partial(step, function)
        if job.way == "graph":
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                step(function)
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                step(function)
            calls[name] = graph.replay
    found = interleaved(calls, clock if job.way == "graph" else HostClock(clock.wait), seconds=1)
    return {"milliseconds": {name: quantiles([each / many for each in sample]) for name, sample in found.items()}}


#: Images, or texts and their tokens.
BATCHES = {"ResNet-20": (512,), "GPT": (64, 256)}


class Composed(nn.Module):
    """The layer as one would write it by hand, with a parameter per channel."""

    def __init__(self, text: str, channels: int, dim: int) -> None:
        super().__init__()
        self.function = composed(text)
        shape = (channels, *(1,) * (2 if dim == 1 else 0))
        self.own = nn.ParameterList(torch.ones(shape) for _ in actc.parse(text).parameters)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.own)


def training(job: Job, clock: Clock) -> dict[str, Any]:
    """Whole steps: forward, backward and AdamW, one network after the other, so that memory is each one's own."""
    makers: dict[str, networks.Activation] = {
        "actc": lambda channels, dim: actc.Activation(job.function, per="channel", channels=channels, channel_dim=dim),
        "composed": partial(Composed, job.function),
    }
    found = {name: trained(job, make, clock) for name, make in makers.items()}
    milliseconds, megabytes = ({name: each[k] for name, each in found.items()} for k in (0, 1))
    return {"milliseconds": milliseconds, "megabytes": megabytes}


def trained(job: Job, make: networks.Activation, clock: Clock) -> tuple[dict[str, float], float]:
    """Milliseconds of a step, and megabytes at its peak."""
    torch.manual_seed(0)
    gpt = job.network == "GPT"
    model = (networks.GPT(make) if gpt else networks.resnet20(make)).to(DEVICE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    shape = BATCHES[job.network or ""]
    labels = torch.randint(10, shape, generator=torch.Generator(DEVICE).manual_seed(1), device=DEVICE)
    images = labels if gpt else drawn((*shape, 3, 32, 32), torch.float32, 2)

    def step() -> None:
        with torch.autocast(DEVICE, dtype=torch.bfloat16, enabled=job.dtype == "bfloat16"):
            scores = model(images)
            loss = F.cross_entropy(scores.view(-1, scores.shape[-1]), labels.flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    for _ in range(3):
        step()
    torch.cuda.reset_peak_memory_stats()
    step()
    megabytes = torch.cuda.max_memory_allocated() / 1e6
    return quantiles(interleaved({"step": step}, clock, seconds=2, least=10)["step"]), megabytes


# --- jobs -----------------------------------------------------------------------------------------------------------

#: What each part measures beside the copy.
RIVALS = {
    "sizes": ("actc", "composed", "torch.compile", "torch", "liger"),
    "random": ("actc",),
    "compiled": ("actc", "torch.compile"),
}
PARTS = ("random", "small", "parameters", "training", "sizes", "compiled")


def jobs(part: str, count: int, seed: int) -> Iterator[Job]:
    if part == "sizes":
        for dtype in TYPES:
            for text in NAMED:
                for elements in SIZES:
                    for direction in ("forward", "backward"):
                        yield Job(part, text, dtype, direction, elements)
    elif part in ("random", "compiled"):
        for text in random_functions(count, seed):
            for dtype, elements in (("bfloat16", 2**26), ("float32", 2**25)):
                for direction in ("forward", "backward"):
                    yield Job(part, text, dtype, direction, elements)
    elif part == "parameters":
        for dtype in ("bfloat16", "float32"):
            for layout in SHAPES:
                yield Job(part, SWISH, dtype, layout=layout)
    elif part == "small":
        for dtype in ("bfloat16", "float32"):
            for text in ("silu(x)", "gelu(x)", "relu(x)**2"):
                for way in ("calls", "graph"):
                    yield Job(part, text, dtype, way=way)
    else:
        for network, dtype in (("ResNet-20", "float32"), ("GPT", "bfloat16")):
            for text in ("silu(x)", SWISH, "erfc(softplus(x))**2"):
                yield Job(part, text, dtype, network=network)


def random_functions(count: int, seed: int) -> list[str]:
    """So many members of the three-node space that depend on x, each text once."""
    space = Space("aquasurf_three_node")
    order = np.random.default_rng(seed).permutation(len(space))
    members = (space[int(i)] for i in order)
    texts = dict.fromkeys(str(each) for each in members if each.variables)
    return list(texts)[:count]


def measured(job: Job, clock: Clock) -> dict[str, Any]:
    torch.compiler.reset()
    if job.part == "parameters":
        return parameters(job, clock)
    if job.part == "small":
        return small(job, clock)
    if job.part == "training":
        return training(job, clock)
    return passes(job, RIVALS[job.part], clock)


class Results:
    """The file: what is in it already, and every new row at once."""

    def __init__(self, path: Path, head: Mapping[str, Any]) -> None:
        self.path, self.head = path, dict(head)
        self.rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        if path.exists():
            stored = json.loads(path.read_text(encoding="utf-8"))
            for name in ("device", "torch", "triton", "seed"):
                if stored[name] != self.head[name]:
                    raise SystemExit(
                        f"{path} holds measurements with {name} {stored[name]}, and this is {self.head[name]}: "
                        "name another file with --json"
                    )
            self.head["date"] = stored["date"]
            names = Job.__dataclass_fields__
            self.rows = {tuple(row.get(name) for name in names): row for row in stored["rows"]}

    def add(self, job: Job, row: Mapping[str, Any]) -> None:
        known = {name: value for name, value in asdict(job).items() if value is not None}
        self.rows[job.key()] = known | rounded(row)
        self.write()

    def write(self) -> None:
        rows = list(self.rows.values())
        head = json.dumps(self.head | {"figures": kernel_report.figures(rows, PARTS)}, indent=2, ensure_ascii=False)
        lines = ",\n    ".join(json.dumps(row, ensure_ascii=False) for row in rows)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, f'{head[:-2]},\n  "rows": [\n    {lines}\n  ]\n}}\n')


def rounded(value: Any) -> Any:
    """To five digits, which is more than a measurement has."""
    if isinstance(value, Mapping):
        return {name: rounded(each) for name, each in value.items()}
    return float(f"{value:.5g}") if isinstance(value, float) else value


def machine(seed: int) -> dict[str, Any]:
    import triton

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {"device": device, "torch": torch.__version__, "triton": triton.__version__, "seed": seed,
            "actc": actc.__version__, "date": time.strftime("%Y-%m-%d")}  # fmt: skip


class Untimed:
    """Calls everything once, so that it is compiled."""

    def prepare(self) -> None: ...

    def mark(self) -> None: ...

    def milliseconds(self, start: Any, end: Any) -> float:
        return 0.0

    def wait(self) -> None:
        torch.cuda.synchronize()


def compile_beforehand(job: Job) -> None:
    """In a process of its own: the caches on the disk then hold the job's kernels."""
    settings()
    # What is larger would not fit beside the other processes.
    if job.elements is None or job.elements <= 2**26:
        measured(job, Untimed())
    torch.cuda.empty_cache()


def settings() -> None:
    # A compiled backward pass is called again and again.
    torch._functorch.config.donated_buffer = False
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True


DEVICE = "cuda"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long; the next run goes on")
    parser.add_argument("--count", type=int, default=200, help="random functions")
    parser.add_argument("--seed", type=int, default=0, help="of the random functions")
    parser.add_argument("--workers", type=int, default=0, help="processes that compile beforehand")
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "kernels.json")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    chosen = parser.parse_args()
    if not chosen.report:
        if not torch.cuda.is_available():
            raise SystemExit("torch finds no GPU here: this needs one (--report prints what a file holds)")
        measure(chosen)
    summarise(chosen.json)


def measure(chosen: argparse.Namespace) -> None:
    end = time.monotonic() + chosen.seconds
    settings()
    results, clock = Results(chosen.json, machine(chosen.seed)), DeviceClock()
    for number, part in enumerate(chosen.part):
        wanted = [job for job in jobs(part, chosen.count, chosen.seed) if job.key() not in results.rows]
        # Every part gets its share of the time that is left.
        until = time.monotonic() + (end - time.monotonic()) / (len(chosen.part) - number)
        if wanted and chosen.workers:
            ahead(wanted, chosen.workers, (time.monotonic() + until) / 2)
        for i, job in enumerate(wanted):
            if time.monotonic() > until:
                print(f"{part}: {len(wanted) - i} rows are left for the next run", flush=True)
                break
            row = measured(job, clock)
            gc.collect()
            torch.cuda.empty_cache()
            results.add(job, row)
            times = "  ".join(f"{name} {each['median']:.4g}" for name, each in row["milliseconds"].items())
            which = [v for v in asdict(job).values() if v is not None]
            print(f"{i + 1}/{len(wanted)}  {'  '.join(map(str, which))}:  {times} ms", flush=True)


def ahead(wanted: list[Job], workers: int, until: float) -> None:
    """Compiles what is wanted in several processes, until a moment."""
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    futures = [pool.submit(compile_beforehand, job) for job in wanted]
    done, _ = wait(futures, max(until - time.monotonic(), 0))
    pool.shutdown(wait=True, cancel_futures=True)
    failures = [error for each in done if (error := each.exception())]
    print(f"compiled beforehand: {len(done) - len(failures)} of {len(wanted)}", *failures[:1], flush=True)


def summarise(path: Path) -> None:
    stored = json.loads(path.read_text(encoding="utf-8"))
    for name, each in kernel_report.figures(stored["rows"], PARTS).items():
        mark = "yes" if each["met"] else "NO "
        figure = "nothing" if each["figure"] is None else f"{each['figure']:g}"
        missing = f", {each['missing']} missing" if "missing" in each else ""
        print(f"{mark}  {name}: {figure} ({each['wanted']} wanted; {each['of']} measured{missing})")
    title = f"{stored['device']}, torch {stored['torch']}, triton {stored['triton']}, {stored['date']}"
    kernel_report.draw(stored["rows"], title, path.with_suffix(".png"))


if __name__ == "__main__":
    main()

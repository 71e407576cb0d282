"""Data-parallel training: the gradients of activation parameters are averaged over the processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import actc
from actc.kernels.errors import ReplacementError

# Trains on rows of four examples; run by the test on all of them and by each worker on its half.
TRAINING = """
import torch
from torch import nn
import actc

def trained(rows, wrap):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3),
        actc.Activation("x*sigmoid(beta*x) + alpha", per="channel", channels=3, bounds={"beta": (0, 2)}),
        nn.Flatten(),
        actc.Activation("a*erf(x)"),
        nn.Linear(48, 1),
    )
    data = torch.randn(4, 2, 6, 6)[rows]
    wrapped = wrap(model)
    optimizer = torch.optim.SGD(actc.parameter_groups(wrapped, lr=0.1), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        wrapped(data).square().mean().backward()
        optimizer.step()
    return {"gradients": {n: p.grad for n, p in model.named_parameters()}, "state": model.state_dict()}
"""

WORKER = """
import datetime, sys
from torch import distributed

rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
distributed.init_process_group(
    "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2, timeout=datetime.timedelta(seconds=120)
)
result = trained(slice(2 * rank, 2 * rank + 2), nn.parallel.DistributedDataParallel)
torch.save(result, f"{folder}/{rank}.pt")
distributed.destroy_process_group()
"""


@pytest.mark.skipif(
    not torch.distributed.is_available() or sys.platform == "win32", reason="needs torch.distributed with gloo"
)
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """Two halves of a batch, averaged, are the whole batch: after two steps gradients and state agree."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-P", "-c", TRAINING + WORKER, str(rank), str(tmp_path)], stderr=subprocess.PIPE, text=True
        )
        for rank in (0, 1)
    ]
    try:
        for worker in workers:
            _, errors = worker.communicate(timeout=180)
            assert worker.returncode == 0, errors
    finally:
        for worker in workers:
            worker.kill()
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    namespace: dict[str, Any] = {}
    exec(TRAINING, namespace)
    alone = namespace["trained"](slice(None), lambda model: model)
    assert {"1.alpha", "1.beta", "3.a"} <= set(first["gradients"])
    for what in ("gradients", "state"):
        for name, value in first[what].items():
            assert torch.equal(value, second[what][name]), name
            torch.testing.assert_close(value, alone[what][name], rtol=1e-4, atol=1e-6, msg=name)
    assert first["gradients"]["1.beta"].abs().min() > 0


def test_a_wrapped_model_is_refused() -> None:
    """The wrapper has taken the list of parameters to average already."""
    wrapped = nn.parallel.DistributedDataParallel.__new__(nn.parallel.DistributedDataParallel)
    nn.Module.__init__(wrapped)
    wrapped.module = nn.Sequential(nn.ReLU())
    with pytest.raises(ReplacementError, match="replace in the model first, then wrap it"):
        actc.replace(wrapped, nn.ReLU, "x*sigmoid(beta*x)")
    assert len(actc.replace(wrapped, nn.ReLU, "erf(x)")) == 1

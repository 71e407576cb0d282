"""One training: a network, a split, a recipe, a seed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from actc.search.errors import Diverged
from actc.search.tasks import Split


@dataclass(frozen=True)
class Recipe:
    """How to train. SGD with Nesterov momentum; the learning rate climbs to `learning_rate` and falls to zero in one
    cycle.

    `hopeless_after` is the epoch after which a network that is still at chance level is given up.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float
    weight_decay: float
    hopeless_after: int


RECIPES: Mapping[str, Recipe] = {
    "digits": Recipe(epochs=12, batch_size=60, learning_rate=0.02, momentum=0.9, weight_decay=5e-4, hopeless_after=4)
}


@dataclass(frozen=True)
class Training:
    """What a training leaves: a mapping an epoch, and why it was stopped early, if it was."""

    epochs: list[dict[str, float]]
    message: str = ""


def scale_weights_(model: nn.Module, second_moment: float, generator: torch.Generator) -> None:
    """Draw the weights so that every layer's output has variance 1, given that its inputs are f(z) with z ~ N(0, 1).

    A weight is normal with variance 1 / (fan_in E[f(z)^2]), equation 5.6 of the dissertation with the activation's mean
    and variance from equations 5.9 and 5.10 (their sum of squares is the second moment); the first layer sees the data,
    whose second moment is 1. Biases become zero. This is only the gain: what padding, pooling or a residual branch does
    to the signal is the business of AutoInit proper (dissertation chapter 5).
    """
    moment = 1.0
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            fan_in = layer.weight[0].numel()
            nn.init.normal_(layer.weight, std=1 / math.sqrt(fan_in * moment), generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
            moment = second_moment


def train(
    model: nn.Module, data: Split, validation: Split, classes: int, recipe: Recipe, generator: torch.Generator
) -> Training:
    """Train `model` in place by cross-entropy, the order of the batches from `generator`; the last, partial batch
    counts too.

    Raises `Diverged` as soon as the loss of a batch, or of the validation split, isn't finite.
    """
    steps = math.ceil(len(data) / recipe.batch_size)
    optimizer = torch.optim.SGD(
        model.parameters(), recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay, nesterov=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=steps * recipe.epochs, pct_start=0.2, cycle_momentum=False
    )
    epochs: list[dict[str, float]] = []
    for epoch in range(1, recipe.epochs + 1):
        model.train()
        total = 0.0
        for places in torch.randperm(len(data), generator=generator).split(recipe.batch_size):
            loss = functional.cross_entropy(model(data.inputs[places]), data.labels[places])
            value = loss.item()
            if not math.isfinite(value):
                raise Diverged(f"the loss became {value} in epoch {epoch}", epochs)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += value * len(places)
        there = measure(model, validation)
        if not math.isfinite(there["loss"]):
            raise Diverged(f"the validation loss became {there['loss']} after epoch {epoch}", epochs)
        epochs.append(
            {"training_loss": total / len(data), **{f"validation_{name}": value for name, value in there.items()}}
        )
        if epoch >= recipe.hopeless_after and there["accuracy"] <= 1.5 / classes:
            return Training(epochs, f"stopped after epoch {epoch}: still at chance level")
    return Training(epochs)


@torch.no_grad()
def measure(model: nn.Module, split: Split) -> dict[str, float]:
    """`accuracy` and `loss` (mean cross-entropy) of `model` on `split`."""
    model.eval()
    logits: Tensor = model(split.inputs)
    loss = functional.cross_entropy(logits, split.labels).item()
    return {"accuracy": (logits.argmax(dim=1) == split.labels).double().mean().item(), "loss": loss}


@contextmanager
def single_threaded() -> Iterator[None]:
    """One torch thread: sums come out the same wherever this runs, and tensors this small are slower with more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)

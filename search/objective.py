"""The ready-made objective: train a network on a task with the candidate as its activation."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from actc.expr import Expr
from actc.init.moments import gaussian_moments
from actc.safety import lower
from actc.search.errors import Diverged

DEFAULTS = {"digits": ("small_cnn", "digits")}


@dataclass(frozen=True)
class TaskObjective:
    """`objective(expr, seed)`: accuracy and loss on `split` after training `network` on `task` by `recipe` (all by
    name).

    The expression is compiled with `safe=True` and the weights are scaled by its Gaussian second moment. Raises
    `Diverged` when that moment is zero or infinite, or when the training leaves the finite numbers.
    """

    task: str
    network: str
    recipe: str
    split: str = "validation"

    @property
    def metric(self) -> str:
        """The metric to maximise."""
        return f"{self.split}_accuracy"

    def final(self) -> TaskObjective:
        """The same on the test split, which a search never sees."""
        return replace(self, split="test")

    def configuration(self) -> Mapping[str, Any]:
        """The names, and the recipe's figures, so that a changed recipe makes another study."""
        from actc.search.training import RECIPES

        return {**asdict(self), "recipe": {"name": self.recipe, **asdict(RECIPES[self.recipe])}}

    def __call__(self, expr: Expr, seed: int) -> Mapping[str, Any]:
        """Train once; all randomness comes from `seed`."""
        import torch

        from actc.kernels import Activation
        from actc.search import networks, tasks
        from actc.search.training import RECIPES, measure, scale_weights_, single_threaded, train

        task = tasks.named(self.task)
        moment = second_moment(expr)
        with single_threaded():
            generator = torch.Generator().manual_seed(seed)
            model = networks.build(self.network, lambda: Activation(expr, safe=True), task.classes)
            scale_weights_(model, moment, generator)
            training = train(model, task.train, task.validation, task.classes, RECIPES[self.recipe], generator)
            measured = {split: measure(model, getattr(task, split)) for split in ("validation", self.split)}
        figures = {f"{split}_{name}": value for split, pair in measured.items() for name, value in pair.items()}
        return {**figures, "epochs": training.epochs, "message": training.message}


@functools.lru_cache(maxsize=1024)
def second_moment(expr: Expr) -> float:
    """E[f(z)^2] for z ~ N(0, 1) of the function that is trained, the one with `safe=True`.

    Raises `Diverged` when it can't scale weights: zero, infinite or unknown.
    """
    moments = gaussian_moments(lower(expr, safe=True))
    if not (moments.exists and moments.second > 0):
        reason = moments.reason or "its output is always zero"
        raise Diverged(f"no weights can keep its signal's scale: {reason}")
    return float(moments.second)


def for_task(task: str) -> TaskObjective:
    """The objective of a task with the network and the recipe it is meant for.

    Loads the task, so that missing data is an error here, in the study's process, before anything starts.
    """
    from actc.search import tasks

    tasks.named(task)
    return TaskObjective(task, *DEFAULTS[task])


def description(configuration: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What an objective of that configuration does, as pairs of a name and a text for a reader."""
    from actc.search import tasks

    if "task" not in configuration:
        return [("objective", ", ".join(f"{name} {value}" for name, value in configuration.items()))]

    task, recipe = tasks.named(configuration["task"]), configuration["recipe"]
    splits = f"{len(task.train)} training, {len(task.validation)} validation, {len(task.test)} test images"
    return [
        ("data", f"{task.name}: {splits}; {task.classes} classes. {task.source}"),
        (
            "network",
            f"{configuration['network']}; weights drawn with variance 1 / (fan_in E[f(z)^2]), z ~ N(0, 1); safe=True",
        ),
        ("recipe", ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in recipe.items())),
    ]

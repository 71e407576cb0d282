"""Tasks, networks, initial weights and training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import actc
from actc.search import Diverged, StudyError, networks, tasks
from actc.search.objective import TaskObjective, for_task, second_moment
from actc.search.training import Recipe, scale_weights_, train


def test_digits_is_split_once_and_for_all() -> None:
    task = tasks.named("digits")
    assert (len(task.train), len(task.validation), len(task.test), task.classes) == (600, 600, 597, 10)
    assert torch.bincount(task.train.labels).tolist() == [60] * 10
    assert torch.bincount(task.validation.labels).tolist() == [60] * 10
    assert abs(float(task.train.inputs.mean())) < 1e-5
    assert abs(float(task.train.inputs.var()) - 1) < 1e-2
    assert task.train.inputs.shape == (600, 1, 8, 8) and task.train.inputs.dtype == torch.float32
    # The split must never move: results would no longer compare.
    assert task.test.labels[:3].tolist() == [0, 0, 0]
    assert sum(int(split.labels.sum()) for split in (task.train, task.validation, task.test)) == 8070


def test_the_splits_share_no_image() -> None:
    task = tasks.named("digits")
    images = [image.numpy().tobytes() for split in (task.train, task.validation, task.test) for image in split.inputs]
    assert len(set(images)) == len(images) == 1797


def test_unknown_names_are_errors() -> None:
    with pytest.raises(StudyError, match=r"unknown task 'digit'; there is 'digits'"):
        for_task("digit")
    with pytest.raises(StudyError, match=r"unknown network 'cnn'; there is 'small_cnn'"):
        networks.build("cnn", nn.ReLU, 10)


def test_missing_data_is_an_error_that_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn import datasets

    from actc.search import Study
    from actc.search.tasks.digits import digits

    def gone(*arguments: Any, **options: Any) -> Any:
        raise FileNotFoundError(2, "No such file or directory", "digits.csv.gz")

    monkeypatch.setattr(datasets, "load_digits", gone)
    monkeypatch.setitem(tasks.TASKS, "digits", digits)
    tasks.named.cache_clear()
    try:
        with pytest.raises(StudyError, match=r"digits.csv.gz.*pip install --force-reinstall scikit-learn"):
            Study(tmp_path / "study", task="digits")
        assert not (tmp_path / "study").exists()
    finally:
        tasks.named.cache_clear()


def network(text: str) -> tuple[nn.Module, float]:
    expr = actc.parse(text)
    return networks.build("small_cnn", lambda: actc.Activation(expr, safe=True), 10), second_moment(expr)


@pytest.mark.parametrize("text", ["relu(x)", "silu(x)", "tanh(x)", "x*erfc(x)", "5*sigmoid(x)", "abs(x) - 1"])
def test_scaled_weights_keep_the_variance_at_one(text: str) -> None:
    """Averaged over networks and inputs each pre-activation's second moment is 1."""
    inputs = torch.randn(32, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    seen: dict[int, list[float]] = {}
    for seed in range(20):
        model, moment = network(text)
        scale_weights_(model, moment, torch.Generator().manual_seed(seed))
        signal = inputs
        with torch.no_grad():
            for place, layer in enumerate(model.children()):
                signal = layer(signal)
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    seen.setdefault(place, []).append(float(signal.square().mean()))
    averages = [sum(values) / len(values) for values in seen.values()]
    assert averages == pytest.approx([1.0] * 4, rel=0.3)


def test_the_second_moment() -> None:
    assert second_moment(actc.parse("relu(x)")) == pytest.approx(0.5, rel=1e-9)
    assert second_moment(actc.parse("x**2")) == pytest.approx(3.0, rel=1e-9)
    assert second_moment(actc.parse("exp(x)")) == pytest.approx(math.exp(2), rel=1e-9)
    with pytest.raises(Diverged, match="its output is always zero"):
        second_moment(actc.parse("0*x"))


SHORT = Recipe(epochs=2, batch_size=60, learning_rate=0.02, momentum=0.9, weight_decay=5e-4, hopeless_after=2)


def trained(text: str, seed: int, recipe: Recipe = SHORT) -> Any:
    task = tasks.named("digits")
    model, moment = network(text)
    generator = torch.Generator().manual_seed(seed)
    scale_weights_(model, moment, generator)
    return train(model, task.train, task.validation, task.classes, recipe, generator)


def test_training_learns_and_depends_on_the_seed_alone() -> None:
    first = trained("relu(x)", 1)
    assert [set(epoch) for epoch in first.epochs] == [{"training_loss", "validation_loss", "validation_accuracy"}] * 2
    assert first.epochs[-1]["validation_accuracy"] > 0.3
    torch.manual_seed(99)
    assert trained("relu(x)", 1).epochs == first.epochs
    assert trained("relu(x)", 2).epochs != first.epochs


def test_scaled_weights_let_silu_learn() -> None:
    """After two epochs PyTorch's default weights are still near chance; those scaled by the gain are far from it."""
    task = tasks.named("digits")
    torch.manual_seed(1)
    model, _ = network("silu(x)")
    default = train(model, task.train, task.validation, task.classes, SHORT, torch.Generator().manual_seed(1))
    assert default.epochs[-1]["validation_accuracy"] < 0.3
    assert trained("silu(x)", 1).epochs[-1]["validation_accuracy"] > 0.6


def test_the_hopeless_are_given_up() -> None:
    result = trained("0*x + 1", 1)
    assert len(result.epochs) == 2
    assert result.message == "stopped after epoch 2: still at chance level"


def test_a_loss_that_explodes_is_reported_with_the_epochs_before() -> None:
    with pytest.raises(Diverged, match=r"the loss became (nan|inf) in epoch \d") as caught:
        trained("x**3", 1, Recipe(3, 60, 5.0, 0.9, 0.0, 3))
    assert len(caught.value.epochs) <= 3


def test_the_test_split_belongs_to_the_final() -> None:
    objective = TaskObjective("digits", "small_cnn", "digits")
    assert objective.metric == "validation_accuracy" and objective.final().metric == "test_accuracy"
    result = objective(actc.parse("x/x"), 1)
    assert {name for name in result if "test" in name} == set()
    final = objective.final()(actc.parse("x/x"), 1)
    assert {"test_accuracy", "validation_accuracy"} <= set(final)
    assert objective.configuration()["split"] == "validation"
    assert objective.configuration()["recipe"]["epochs"] > 0


def test_threads_are_as_before() -> None:
    before = torch.get_num_threads()
    TaskObjective("digits", "small_cnn", "digits")(actc.parse("x/x"), 1)
    assert torch.get_num_threads() == before

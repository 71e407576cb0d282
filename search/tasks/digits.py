"""Handwritten digits, 8 x 8 pixels: the data set that scikit-learn carries, so that nothing needs to be downloaded."""

from __future__ import annotations

import numpy as np
import torch

from actc.search.errors import StudyError
from actc.search.tasks import Split, Task

TRAIN_PER_CLASS = 60
VALIDATION_PER_CLASS = 60


def digits() -> Task:
    """The 1,797 digits in a fixed split: 60 a class for training, 60 a class for validation, the other 597 for the
    test.

    So few for training, because with two thirds of the images every sensible activation is right on 98 %, and nothing
    can be told apart. The split is balanced as in the papers (dissertation appendix A.1). Raises `StudyError` without
    the data.
    """
    images, labels = _load()
    # RandomState's stream is frozen for ever, so that the split is the same with every numpy.
    order = np.random.RandomState(0).permutation(len(labels))
    places: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for digit in range(10):
        members = order[labels[order] == digit]
        borders = [TRAIN_PER_CLASS, TRAIN_PER_CLASS + VALIDATION_PER_CLASS]
        for name, part in zip(places, np.split(members, borders), strict=True):
            places[name].extend(part)
    train = images[places["train"]]
    mean, deviation = train.mean(), train.std()

    def split(name: str) -> Split:
        pixels = (images[places[name]] - mean) / deviation
        return Split(
            torch.from_numpy(pixels[:, None].astype(np.float32)),
            torch.from_numpy(labels[places[name]].astype(np.int64)),
        )

    source = "From scikit-learn (load_digits): test set of the UCI Optical Recognition of Handwritten Digits."
    return Task("digits", 10, split("train"), split("validation"), split("test"), source)


def _load() -> tuple[np.ndarray, np.ndarray]:
    try:
        from sklearn import datasets

        bunch = datasets.load_digits()
    except ImportError as error:
        raise StudyError(f"the task 'digits' needs scikit-learn ({error}): pip install scikit-learn") from error
    except OSError as error:
        raise StudyError(
            f"scikit-learn's file of digits can't be read ({error}): pip install --force-reinstall scikit-learn"
        ) from error
    return bunch.images.astype(np.float64), bunch.target

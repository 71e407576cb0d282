"""Three small convolutions for 8 x 8 images."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

WIDTHS = (16, 32, 32)


def small_cnn(activation: Callable[[], nn.Module], classes: int) -> nn.Module:
    """Float [n, 1, 8, 8] to logits [n, classes]; 15,338 parameters for ten classes.

    Neither padding nor pooling nor normalisation: each layer's input is then exactly what the activation put out, and
    the activation has nothing to hide behind.

    >>> sum(p.numel() for p in small_cnn(nn.ReLU, 10).parameters())
    15338
    """
    layers: list[nn.Module] = []
    channels = 1
    for width in WIDTHS:
        layers += [nn.Conv2d(channels, width, kernel_size=3), activation()]
        channels = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * 2 * 2, classes))

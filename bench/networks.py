"""Two networks to time training steps of, with any activation: ResNet-20 and a small GPT."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Makes an activation for so many channels along a dimension.
Activation = Callable[[int, int], nn.Module]


class Block(nn.Module):
    def __init__(self, before: int, after: int, stride: int, activation: Activation) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(after), nn.BatchNorm2d(after)])
        self.activations = nn.ModuleList([activation(after, 1), activation(after, 1)])
        self.stride, self.added = stride, after - before

    def forward(self, x: Tensor) -> Tensor:
        y = self.activations[0](self.norms[0](self.first(x)))
        y = self.norms[1](self.second(y))
        short = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))
        return self.activations[1](y + short)


def resnet20(activation: Activation) -> nn.Module:
    """He et al. 2016, §4.2, for images of 3×32×32 and ten classes."""
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), activation(16, 1)]
    before = 16
    for after in (16, 32, 64):
        for _ in range(3):
            layers.append(Block(before, after, 2 if after != before else 1, activation))
            before = after
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


class Layer(nn.Module):
    def __init__(self, width: int, heads: int, activation: Activation) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.heads, self.mixed, self.joined = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.activation = activation(4 * width, -1)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        parts = self.mixed(self.norms[0](x)).view(batch, length, 3, self.heads, width // self.heads)
        y = F.scaled_dot_product_attention(*parts.permute(2, 0, 3, 1, 4), is_causal=True)
        x = x + self.joined(y.transpose(1, 2).reshape(batch, length, width))
        return x + self.narrow(self.activation(self.wide(self.norms[1](x))))


class GPT(nn.Module):
    """A decoder of 6 layers, width 384, 6 heads, for 256 tokens out of 512."""

    def __init__(self, activation: Activation) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(512, 384), nn.Embedding(256, 384)
        self.layers = nn.Sequential(*(Layer(384, 6, activation) for _ in range(6)))
        self.head = nn.Sequential(nn.LayerNorm(384), nn.Linear(384, 512))

    def forward(self, tokens: Tensor) -> Tensor:
        places = torch.arange(tokens.shape[1], device=tokens.device)
        return self.head(self.layers(self.tokens(tokens) + self.places(places)))

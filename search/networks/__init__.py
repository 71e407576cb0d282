"""Networks by name. Each takes a maker of activation modules, called once for every site."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from actc.search.errors import StudyError
from actc.search.networks.small_cnn import small_cnn

NETWORKS: Mapping[str, Callable[[Callable[[], nn.Module], int], nn.Module]] = {"small_cnn": small_cnn}


def build(name: str, activation: Callable[[], nn.Module], classes: int) -> nn.Module:
    """The network of that name for `classes` classes. Raises `StudyError` for an unknown name."""
    if name not in NETWORKS:
        raise StudyError(f"unknown network {name!r}; there is {', '.join(map(repr, NETWORKS))}")
    return NETWORKS[name](activation, classes)

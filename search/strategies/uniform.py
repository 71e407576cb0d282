"""Random search: every member of the space is as likely as any other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from actc.search.strategies import Proposal
from actc.search.trial import Trial
from actc.spaces import Space

BATCH = 16


@dataclass(frozen=True)
class RandomSearch:
    """Draws uniformly from `space`; the baseline that any cleverer strategy has to beat (AquaSurF paper §6)."""

    space: Space

    def ask(self, history: Sequence[Trial], rng: np.random.Generator) -> Iterator[Proposal]:
        """Propose members with their index in the space; the history is of no use here."""
        for index in rng.integers(len(self.space), size=BATCH):
            yield Proposal(self.space[int(index)], {"index": int(index)})

    def configuration(self) -> Mapping[str, Any]:
        """The name and the space."""
        return {"name": "random", "space": self.space.name}

"""The final comparison: the best functions of a search and the usual ones, retrained with fresh seeds."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from actc.equivalence import equivalent
from actc.search.classes import canonical
from actc.search.study import ranking
from actc.search.trial import Trial

BASELINES: Mapping[str, str] = {"ReLU": "relu(x)", "SiLU": "silu(x)", "GELU": "gelu(x)"}


def contenders(trials: Iterable[Trial], metric: str, count: int) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """Canonical text and origin of the `count` best functions by `metric`, then of the baselines.

    A baseline that the search found again competes once, as a baseline.
    """
    baselines = {canonical(text): {"baseline": name} for name, text in BASELINES.items()}
    better = (t for t in ranking(trials, metric) if not any(equivalent(t.expression, text) for text in baselines))
    found = list(itertools.islice(better, count))
    return [*((trial.expression, {"trial": trial.number}) for trial in found), *baselines.items()]

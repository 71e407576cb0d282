"""actc: a compiler for neural-network activation functions.

Importing this package brings in no torch; the names that need it load it when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from actc.catalogue import KnownActivation, library
from actc.derivatives import derivative
from actc.errors import ActcError, ExpressionError, ParseError
from actc.expr import Expr
from actc.parsing import parse

if TYPE_CHECKING:
    from actc.classes import EquivalenceClass, unique
    from actc.equivalence import Equivalence, equivalent
    from actc.init.moments import gaussian_moments
    from actc.kernels.compiled import compile
    from actc.kernels.module import Activation, parameter_groups
    from actc.kernels.replacement import replace
    from actc.kernels.verification import verify
    from actc.purposes import simplify
    from actc.spaces import Space

__version__ = "0.1.0"

__all__ = [
    "ActcError",
    "Activation",
    "Equivalence",
    "EquivalenceClass",
    "Expr",
    "ExpressionError",
    "KnownActivation",
    "ParseError",
    "Space",
    "compile",
    "derivative",
    "equivalent",
    "gaussian_moments",
    "library",
    "parameter_groups",
    "parse",
    "replace",
    "simplify",
    "unique",
    "verify",
]

#: Where the names live that are imported on first use.
_LAZY = {
    "Activation": "actc.kernels.module",
    "Equivalence": "actc.equivalence",
    "EquivalenceClass": "actc.classes",
    "Space": "actc.spaces",
    "compile": "actc.kernels.compiled",
    "equivalent": "actc.equivalence",
    "gaussian_moments": "actc.init.moments",
    "parameter_groups": "actc.kernels.module",
    "replace": "actc.kernels.replacement",
    "simplify": "actc.purposes",
    "unique": "actc.classes",
    "verify": "actc.kernels.verification",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'actc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})

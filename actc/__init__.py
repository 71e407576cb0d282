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
from actc.rules import simplify

if TYPE_CHECKING:
    from actc.init.moments import gaussian_moments
    from actc.kernels.compiled import compile
    from actc.kernels.module import Activation, parameter_groups
    from actc.kernels.replacement import replace

__version__ = "0.1.0"

__all__ = [
    "ActcError",
    "Activation",
    "Expr",
    "ExpressionError",
    "KnownActivation",
    "ParseError",
    "compile",
    "derivative",
    "gaussian_moments",
    "library",
    "parameter_groups",
    "parse",
    "replace",
    "simplify",
]

#: Where the names live that are imported on first use.
_LAZY = {
    "Activation": "actc.kernels.module",
    "compile": "actc.kernels.compiled",
    "gaussian_moments": "actc.init.moments",
    "parameter_groups": "actc.kernels.module",
    "replace": "actc.kernels.replacement",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'actc' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})

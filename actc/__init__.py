"""actc: a compiler for neural-network activation functions."""

from actc.catalogue import KnownActivation, library
from actc.derivatives import derivative
from actc.errors import ActcError, ExpressionError, ParseError
from actc.expr import Expr
from actc.parsing import parse

__version__ = "0.1.0"

__all__ = ["ActcError", "Expr", "ExpressionError", "KnownActivation", "ParseError", "derivative", "library", "parse"]

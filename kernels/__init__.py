"""From programs to machine code and torch ops.

Importing it registers the operations that exported models call.
"""

if __name__ != "actc.kernels":
    raise ImportError(f"import this package as actc.kernels, not as {__name__}")

from . import registration as registration
from .compiled import CompiledActivation, compile
from .module import Activation, parameter_groups
from .populations import population
from .replacement import Replacement, replace

__all__ = ["Activation", "CompiledActivation", "Replacement", "compile", "parameter_groups", "population", "replace"]

"""Programs as machine code and torch operations. Importing it registers the operations that exported models need."""

from . import registration as registration
from .compiled import CompiledActivation, compile
from .module import Activation, parameter_groups

__all__ = ["Activation", "CompiledActivation", "compile", "parameter_groups"]

"""Errors about tensors: each names the cause and the remedy."""

from __future__ import annotations

from actc.errors import ActcError


class TensorTypeError(ActcError, TypeError):
    """A tensor of a type that activations cannot be computed on."""


class TensorShapeError(ActcError, ValueError):
    """A tensor whose shape or device does not fit the others."""


class UnknownBackendError(ActcError, ValueError):
    """A backend, or a form of source, that does not exist; the message lists those that do."""


class ReplacementError(ActcError, ValueError):
    """Nothing to replace, or a site at which an activation cannot be put."""


class BackendError(ActcError, RuntimeError):
    """A backend that cannot run here: a package is missing, or the tensors are on a device that it knows nothing of."""

"""What the registered operations are told about an activation: one line of text."""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import Any

from actc.errors import ActcError


@dataclasses.dataclass(frozen=True)
class Key:
    """An activation's lowered expression, the order of its arguments, and which derivative of it is meant.

    `order` counts derivatives by variable, then by parameter. The text form is JSON, so that an exported model shows
    what it computes and a process that has never seen the activation can rebuild it.

    >>> key = Key("x * sigmoid(beta * x)", ("x",), ("beta",), (0, 0), "aten")
    >>> Key.parse(str(key)) == key
    True
    >>> key.derivative(0).order
    (1, 0)
    """

    expression: str
    variables: tuple[str, ...]
    parameters: tuple[str, ...]
    order: tuple[int, ...]
    backend: str

    @property
    def names(self) -> tuple[str, ...]:
        """All arguments: variables, then parameters."""
        return self.variables + self.parameters

    def derivative(self, argument: int) -> Key:
        """The key of the derivative by the argument with this position in `names`."""
        order = tuple(n + (i == argument) for i, n in enumerate(self.order))
        return dataclasses.replace(self, order=order)

    def __str__(self) -> str:
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"))

    @staticmethod
    def parse(text: str) -> Key:
        """Raises `ActcError` if `text` is no key that this version of actc understands."""
        try:
            fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(text).items()}
            return Key(**fields)
        except (ValueError, TypeError, AttributeError) as error:
            raise ActcError(
                f"this model holds an activation that this version of actc cannot read ({text[:200]!r}): "
                "install the version of actc that exported it, or export the model again"
            ) from error


@functools.lru_cache(maxsize=4096)
def derivative_key(key: str, argument: int) -> str:
    """The text of the key of the next derivative."""
    return str(Key.parse(key).derivative(argument))

"""Activations for models of other libraries.

timm and torchvision need nothing from here: they take a callable that makes a layer, and
`functools.partial(actc.Activation, "x*sigmoid(x)")` is one, as `act_layer=` in timm.
"""

from __future__ import annotations

from typing import Any

from .errors import ReplacementError
from .module import Activation


def register_with_transformers(name: str, text: Any, **options: Any) -> None:
    """Lets models of transformers be configured with `hidden_act=name`, each layer with an activation of its own.

    `text` and `options` are those of `Activation`; channels are the last dimension there, so parameters per channel
    need `channel_dim=-1`. A configuration saves the name alone: register it in every process before `from_pretrained`
    of a model that uses it. Parameters that the loaded weights lack start at their initial values. Registering a name
    again with the same text and options changes nothing.

    Raises `ReplacementError` for a name that is taken and an activation of several inputs, the errors of `Activation`,
    and ImportError without transformers.

    >>> register_with_transformers("my_swish", "x*sigmoid(beta*x)", initial={"beta": 1.5})
    >>> from transformers import BertConfig
    >>> BertConfig(hidden_act="my_swish").hidden_act
    'my_swish'
    """
    from transformers.activations import ACT2FN

    layer = TransformersActivation(text, **options)
    if len(layer.function.variables) > 1:
        raise ReplacementError(
            f"{layer.function.expr} takes {len(layer.function.variables)} tensors, and transformers gives one: models "
            "with a gate multiply by it themselves, so register the part around x alone"
        )
    entry = (TransformersActivation, {"text": text, **options})
    # ACT2FN makes an activation of what it looks up.
    known = dict(ACT2FN.items()).get(name)
    if name in ACT2FN and repr(known) != repr(entry):
        raise ReplacementError(f"transformers already has an activation named {name!r}: choose another name")
    ACT2FN[name] = entry


class TransformersActivation(Activation):
    """An activation whose parameters `from_pretrained` sets up where the weights it loads lack them.

    Models are made there without memory and each parameter that was not loaded gets memory with anything in it, for
    the model's class to initialise; these classes know no activation with parameters. But every module is asked for
    `_is_hf_initialized` at that time.
    """

    def __init__(self, text: Any, **options: Any) -> None:
        super().__init__(text, **options)
        self._without_memory = {name for name, parameter in self.named_parameters() if parameter.is_meta}

    @property
    def _is_hf_initialized(self) -> bool:
        for name in list(self._without_memory):
            parameter = getattr(self, name)
            if not parameter.is_meta:
                if not getattr(parameter, "_is_hf_initialized", False):
                    self.reset_parameters(name)
                self._without_memory.discard(name)
        return not self._without_memory

    @_is_hf_initialized.setter
    def _is_hf_initialized(self, value: bool) -> None:
        """What transformers notes is found out anew."""

"""The lines that put the found function to use."""

from __future__ import annotations

from actc.errors import ExpressionError
from actc.parsing import parse
from actc.search.errors import Diverged
from actc.search.objective import second_moment


def snippet(expression: str) -> str:
    """A small program that builds and initialises a network with `expression` as its activation; it needs actc and
    torch.
    """
    built = f"""import torch
import actc

activation = actc.Activation({expression!r}, safe=True)
model = torch.nn.Sequential(torch.nn.Linear(64, 128), activation, torch.nn.Linear(128, 10))
"""
    try:
        moment = f"{second_moment(parse(expression)):.6g}"
    except (Diverged, ExpressionError):
        # Without a finite second moment, or a value for its parameters, nothing says how to scale the weights.
        scaled = ""
    else:
        scaled = f"""
# Weights scaled by the activation's gain, as in the search: E[f(z)²] = {moment} for z ~ N(0, 1).
for layer, moment in [(model[0], 1.0), (model[2], {moment})]:
    torch.nn.init.normal_(layer.weight, std=(layer.in_features * moment) ** -0.5)
    torch.nn.init.zeros_(layer.bias)
"""
    return f"{built}{scaled}\nprint(model(torch.randn(8, 64)).shape)\n"

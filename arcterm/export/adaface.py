"""AdaFace's and CVLface's IR networks in the names of IResNet, which compute the same.

One thing differs: the first unit halves its shortcut by taking every other pixel, which an identity
projection does too.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor

State = dict[str, Tensor]

_EPS = 1e-5  # torch's default, which these networks keep
_UNIT = re.compile(r"body\.(\d{1,4})\.((res_layer|shortcut_layer)\.\w+)\.(.+)")
_PARTS = {
    "res_layer.0": "bn1",
    "res_layer.1": "conv1",
    "res_layer.2": "bn2",
    "res_layer.3": "prelu",
    "res_layer.4": "conv2",
    "res_layer.5": "bn3",
    "shortcut_layer.0": "downsample.0",
    "shortcut_layer.1": "downsample.1",
}
_ENDS = {
    "input_layer.0": "conv1",
    "input_layer.1": "bn1",
    "input_layer.2": "prelu",
    "output_layer.0": "bn2",
    "output_layer.3": "fc",
    "output_layer.4": "features",
}
_OUTPUT = ("bn2.", "fc.", "features.")
_SHAPES = {"input_layer.0.weight": (64, 3, 3, 3), "body.0.res_layer.1.weight": (64, 64, 3, 3)}


def is_adaface(state: State) -> bool:
    """Whether a state dict is of an AdaFace or CVLface network of basic units (depths 18, 34, 50 and 101)."""
    return all(key in state and state[key].shape == shape for key, shape in _SHAPES.items())


def rename_arrays(state: State) -> State:
    """Make the state dict of the IResNet that computes the same, the output part last.

    What that does not have keeps its name, but for the unit that it is in.
    """
    starts = sorted(
        {0} | {int(m[1]) for key in state if (m := _UNIT.fullmatch(key)) and m[3] == "shortcut_layer"}
    )
    ours: State = {}
    for key, tensor in state.items():
        ours[_name(key, starts)] = tensor
    if "layer1.0.downsample.0.weight" not in ours:
        ours |= _identity(len(state["body.0.res_layer.1.weight"]))
    if "features.running_mean" in ours:
        ours.setdefault("features.weight", torch.ones_like(ours["features.running_mean"]))
        ours.setdefault("features.bias", torch.zeros_like(ours["features.running_mean"]))
    return dict(sorted(ours.items(), key=lambda pair: pair[0].startswith(_OUTPUT)))


def _name(key: str, starts: list[int]) -> str:
    if found := _UNIT.fullmatch(key):
        place, part, role = int(found[1]), found[2], found[4]
        stage = sum(start <= place for start in starts)
        return f"layer{stage}.{place - starts[stage - 1]}.{_PARTS.get(part, part)}.{role}"
    layer, _, role = key.rpartition(".")
    return f"{_ENDS[layer]}.{role}" if layer in _ENDS else key


def _identity(channels: int) -> State:
    """Make a 1×1 convolution and a batch norm that change nothing: with eps, the variance makes up to 1."""
    ones = torch.ones(channels)
    return {
        "layer1.0.downsample.0.weight": torch.eye(channels).reshape(channels, channels, 1, 1),
        "layer1.0.downsample.1.weight": ones,
        "layer1.0.downsample.1.bias": torch.zeros(channels),
        "layer1.0.downsample.1.running_mean": torch.zeros(channels),
        "layer1.0.downsample.1.running_var": ones - _EPS,
    }

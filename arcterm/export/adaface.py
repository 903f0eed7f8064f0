"""IR networks of AdaFace, CVLface, face.evoLVe and TreB1eN in the names of IResNet, which compute the same.

The first unit halves its shortcut by taking every other pixel, which an identity projection does too.
face.evoLVe's and TreB1eN's units have no norm between the first convolution and the PReLU, which one that
changes nothing stands for. Squeeze and excitation have no biases, and a ReLU: a PReLU of slope 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

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
_EVOLVE_PARTS = {
    "res_layer.0": "bn1",
    "res_layer.1": "conv1",
    "res_layer.2": "prelu",
    "res_layer.3": "conv2",
    "res_layer.4": "bn3",
    "shortcut_layer.0": "downsample.0",
    "shortcut_layer.1": "downsample.1",
}
_EXCITE = {"fc1.weight": "conv1.weight", "fc2.weight": "conv2.weight"}
_ENDS = {
    "input_layer.0": "conv1",
    "input_layer.1": "bn1",
    "input_layer.2": "prelu",
    "output_layer.0": "bn2",
    "output_layer.3": "fc",
    "output_layer.4": "features",
}
_ROLES = ("weight", "bias", "running_mean", "running_var")
_OUTPUT = ("bn2.", "fc.", "features.")
_SHAPES = {"input_layer.0.weight": (64, 3, 3, 3), "body.0.res_layer.1.weight": (64, 64, 3, 3)}


def is_adaface(state: State) -> bool:
    """Whether a state dict is of an IR network of basic units (depths 18, 34, 50 and 100)."""
    return all(key in state and state[key].shape == shape for key, shape in _SHAPES.items())


def is_evolve(state: State) -> bool:
    """Whether an IR network has the units of face.evoLVe and TreB1eN: the second convolution comes fourth."""
    second = state.get("body.0.res_layer.3.weight")
    return second is not None and second.ndim == 4


def rename_arrays(state: State) -> State:
    """Make the state dict of the IResNet that computes the same, the output part last.

    What that does not have keeps its name, but for the unit that it is in.
    """
    scheme = _scheme(state)
    ours = {scheme.rename(key): tensor for key, tensor in state.items()}
    if "layer1.0.downsample.0.weight" not in ours:
        ours |= _identity(len(state["body.0.res_layer.1.weight"]))
    if is_evolve(state):
        for key in [key for key in ours if key.endswith(".prelu.weight")]:
            ours |= _norm(f"{key.removesuffix('prelu.weight')}bn2", len(ours[key]))
    for key in [key for key in ours if key.endswith(".se.conv1.weight")]:
        ours |= _excite(key.removesuffix(".conv1.weight"), ours[key])
    if "features.running_mean" in ours:
        ours.setdefault("features.weight", torch.ones_like(ours["features.running_mean"]))
        ours.setdefault("features.bias", torch.zeros_like(ours["features.running_mean"]))
    return dict(sorted(ours.items(), key=lambda pair: pair[0].startswith(_OUTPUT)))


def file_names(state: State) -> dict[str, str]:
    """The name in such a file of each array that IResNet may have, also of those that are missing."""
    scheme = _scheme(state)
    units = {m[1] for key in state if (m := _UNIT.fullmatch(key))}
    layers = [f"body.{unit}.{part}" for unit in units for part in scheme.parts] + list(_ENDS)
    wanted = [*state, *(f"{layer}.{role}" for layer in layers for role in _ROLES)]
    return {scheme.rename(key): key for key in reversed(wanted)}


@dataclass(frozen=True)
class _Scheme:
    """How a file names its units' parts, at which units its stages begin, and which have an excitation."""

    parts: Mapping[str, str]
    starts: list[int]
    excited: bool

    def rename(self, key: str) -> str:
        """The name in IResNet of an array."""
        m = _UNIT.fullmatch(key)
        if m is None:
            layer, _, role = key.rpartition(".")
            return f"{_ENDS[layer]}.{role}" if layer in _ENDS else key
        stage = sum(start <= int(m[1]) for start in self.starts)
        part, role = self.parts.get(m[2], m[2]), m[4]
        if role in _EXCITE and self.excited:
            part, role = "se", _EXCITE[role]
        return f"layer{stage}.{int(m[1]) - self.starts[stage - 1]}.{part}.{role}"


def _scheme(state: State) -> _Scheme:
    found = [m for key in state if (m := _UNIT.fullmatch(key))]
    starts = sorted({0} | {int(m[1]) for m in found if m[3] == "shortcut_layer"})
    # one unit without would be another network
    excited = {m[1] for m in found if m[4] == "fc2.weight"} == {m[1] for m in found}
    return _Scheme(_EVOLVE_PARTS if is_evolve(state) else _PARTS, starts, excited)


def _identity(channels: int) -> State:
    """Make a 1×1 convolution and a batch norm that change nothing."""
    weight = torch.eye(channels).reshape(channels, channels, 1, 1)
    return {"layer1.0.downsample.0.weight": weight, **_norm("layer1.0.downsample.1", channels)}


def _norm(name: str, channels: int) -> State:
    """Make a batch norm that changes nothing: with eps, the variance makes up to 1."""
    return {
        f"{name}.weight": torch.ones(channels),
        f"{name}.bias": torch.zeros(channels),
        f"{name}.running_mean": torch.zeros(channels),
        f"{name}.running_var": torch.ones(channels) - _EPS,
    }


def _excite(name: str, first: Tensor) -> State:
    """Make what a block of squeeze and excitation lacks: biases of 0, and a PReLU that is a ReLU."""
    narrow, wide = len(first), first.numel() // max(len(first), 1)
    return {
        f"{name}.conv1.bias": torch.zeros(narrow),
        f"{name}.prelu.weight": torch.zeros(narrow),
        f"{name}.conv2.bias": torch.zeros(wide),
    }

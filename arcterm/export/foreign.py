"""Model files of other programs, all read as layers in order, names, and the images that they take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from arcterm_registry import Preprocess
from torch import Tensor

from arcterm.export import adaface, mxnet, torchfile
from arcterm.export import feeding as feeds
from arcterm.export.feeding import Feeding
from arcterm.export.layers import Layer, group_layers
from arcterm.formats.mxnet import params
from arcterm.formats.mxnet import symbol as symbols

_IRESNET, _IRESNET_EPS = "layer1.0.bn1.weight", 1e-5  # arcface_torch's and AdaFace's; ours add 2e-5


@dataclass(frozen=True)
class Foreign:
    """A file's weights. `state` has them by name where names mean something; `head` is (C, D) or None.

    `eps` is what the batch norms of `state` add to their
    variance where a backbone has its names; None if that is what the backbone's do.
    """

    source: str
    layers: list[Layer]
    state: dict[str, Tensor]
    feeding: Feeding
    head: Tensor | None
    eps: float | None = None

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the arrays, as a backbone's `variants` function takes them."""
        named = self.state or {f"{n.name}.{role}": a for n in self.layers for role, a in n.arrays.items()}
        return {name: tuple(tensor.shape) for name, tensor in named.items()}


def read_mxnet(symbol: Path, weights: Path) -> Foreign:
    """Read a network of MXNet: ``prefix-symbol.json`` with ``prefix-NNNN.params``; raises `DataError`."""
    graph, arrays = symbols.read(symbol), params.read(weights)
    inside = graph.preprocess()
    feeding = Feeding(Preprocess(mean=inside[0], scale=inside[1])) if inside else feeds.INSIGHTFACE_2018
    return Foreign(str(weights), mxnet.layers_of(graph, arrays), {}, feeding, mxnet.head_of(arrays))


def read_torch(path: Path) -> Foreign:
    """Read weights of arcface_torch, AdaFace, CVLface, or any state dict; raises `DataError`."""
    state, head = torchfile.read(path)
    feeding = feeds.ARCFACE_TORCH
    if adaface.is_adaface(state):
        state, feeding = adaface.rename_arrays(state), feeds.ADAFACE
    eps = _IRESNET_EPS if _IRESNET in state else None
    return Foreign(str(path), group_layers(state), state, feeding, head, eps)

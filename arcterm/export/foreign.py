"""Model files of other programs, all read as layers in order, names, and the images that they take."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from arcterm_registry import Preprocess
from torch import Tensor

from arcterm.export import adaface, mxnet, torchfile
from arcterm.export.layers import Layer, group_layers
from arcterm.export.others import classweights, foamliu
from arcterm.export.others import feeding as feeds
from arcterm.export.others.feeding import Feeding
from arcterm.export.torchfile import Weights
from arcterm.formats.mxnet import params
from arcterm.formats.mxnet import symbol as symbols

_FIRST = "input_layer.0.weight"
_IRESNET = "layer1.0.bn1.weight"


@dataclass(frozen=True)
class Foreign:
    """A file's weights. `state` has them by name where names mean something; `head` is (C, D) or None.

    `eps` is what the batch norms of `state` add to their variance where a backbone has its names; None if
    that is what the backbone's do. `own_names` has the names in the file where `state` has others. `headless`
    says why there is no `head` where one was expected.
    """

    source: str
    layers: list[Layer]
    state: dict[str, Tensor]
    feeding: Feeding
    head: Tensor | None
    eps: float | None = None
    own_names: dict[str, str] = field(default_factory=dict)
    headless: str = ""

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
    """Read weights of arcface_torch, AdaFace, CVLface, MagFace, or any state dict; raises `DataError`."""
    held = torchfile.read(path)
    state, head = torchfile.split_head(held.arrays)
    head = held.head if head is None else head
    feeding = feeds.ARCFACE_TORCH
    own_names = _own_names(held.arrays, state)
    if features := _magface(held.arrays):
        state, head, feeding = features, classweights.magface(held.arrays), feeds.MAGFACE
        own_names = _own_names(held.arrays, state)
    elif foamliu.is_foamliu(state):
        state, feeding = foamliu.in_order_of_use(state), feeds.FOAMLIU
    elif adaface.is_adaface(state):
        prefix = next(key.removesuffix(_FIRST) for key in held.arrays if key.endswith(_FIRST))
        feeding = _ir_feeding(held, state, prefix)
        own_names = {new: prefix + key for new, key in adaface.file_names(state).items()}
        state = adaface.rename_arrays(state)
    eps = feeding.eps if _IRESNET in state else None
    return Foreign(
        str(path), _named(group_layers(state), own_names), state, feeding, head, eps, own_names, held.headless
    )


def _magface(arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    """The network in a file of MagFace, which has it as ``features``, an IResNet; empty if it is none."""
    for prefix in ("features.module.", "module.features.module.", "module.features.", "features."):
        inside = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
        if _IRESNET in inside:
            return inside
    return {}


def _ir_feeding(held: Weights, state: dict[str, Tensor], prefix: str) -> Feeding:
    """How an IR network is fed: face.evoLVe's by its units, CVLface's by its name and config."""
    if adaface.is_evolve(state):
        return feeds.EVOLVE
    if "net." not in prefix:
        return feeds.ADAFACE
    if not held.color_space:
        return feeds.CVLFACE
    return Feeding(replace(feeds.CVLFACE.preprocess, channels="bgr" if held.color_space == "bgr" else "rgb"))


def _own_names(arrays: dict[str, Tensor], state: dict[str, Tensor]) -> dict[str, str]:
    """The name in the file of each array of the network: wrappers' prefixes were stripped from it."""
    there = {id(tensor): key for key, tensor in arrays.items()}
    return {key: there.get(id(tensor), key) for key, tensor in state.items()}


def _named(layers: list[Layer], own_names: dict[str, str]) -> list[Layer]:
    """The layers by the names that they have in the file."""
    found = {new.rpartition(".")[0]: key.rpartition(".")[0] for new, key in own_names.items()}
    return [replace(layer, name=found.get(layer.name, layer.name)) for layer in layers]

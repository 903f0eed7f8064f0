"""Weighted layers in order of use, by which two programs can be matched without names."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from arcterm.errors import DataError

_KINDS: dict[type[nn.Module], str] = {
    nn.Conv2d: "convolution",
    nn.Linear: "linear",
    nn.BatchNorm1d: "batch norm",
    nn.BatchNorm2d: "batch norm",
    nn.PReLU: "PReLU",
    nn.LayerNorm: "layer norm",
}


_TORCH_EPS = 1e-5  # torch's default, which the other PyTorch trainers keep


@dataclass(frozen=True)
class Layer:
    """One layer's arrays by torch's names: weight, bias, running_mean, running_var.

    `eps` is what a batch norm adds to its variance; `frozen` says that its weight counts as 1.
    """

    kind: str
    name: str
    arrays: dict[str, Tensor]
    eps: float = 0.0
    frozen: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of its weight, or of a batch norm's variance."""
        return tuple(self.arrays.get("weight", self.arrays.get("running_var", torch.empty(0))).shape)

    def __str__(self) -> str:
        return f"{self.kind} {self.name} {self.shape}"


@dataclass(frozen=True)
class Difference:
    """The first difference of a file and a network: what the file has, what the network wants."""

    position: int
    found: str
    wanted: str


@dataclass(frozen=True)
class Fit:
    """How a file fits a network: what the network lacks in it, and what it has that is not needed."""

    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)


def in_order(network: nn.Module, input_size: tuple[int, int]) -> list[tuple[str, nn.Module]]:
    """List name and module of every layer with arrays, in the order of a forward pass without values."""
    twin = copy.deepcopy(network).to("meta").eval()
    used: list[str] = []
    for name, module in twin.named_modules():
        if module._parameters or module._buffers:
            module.register_forward_hook(lambda *_, name=name: used.append(name))
    with torch.no_grad():
        twin(torch.empty(2, 3, *input_size, device="meta"))
    return [(name, network.get_submodule(name)) for name in dict.fromkeys(used)]


def kind_of(module: nn.Module) -> str:
    return _KINDS.get(type(module), type(module).__name__)


def group_layers(state: dict[str, Tensor]) -> list[Layer]:
    """Group a state dict into layers in its order, that of their making; kinds follow from shapes."""
    by_name: dict[str, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        name, _, role = key.rpartition(".")
        if role != "num_batches_tracked":
            by_name.setdefault(name, {})[role] = tensor
    return [Layer(_guess(arrays), name, arrays, eps=_TORCH_EPS) for name, arrays in by_name.items()]


def _guess(arrays: dict[str, Tensor]) -> str:
    if {"running_mean", "running_var"} <= arrays.keys():
        return "batch norm"
    dimensions = arrays["weight"].ndim if "weight" in arrays else 0
    if dimensions == 1:
        return "layer norm" if "bias" in arrays else "PReLU"
    return {4: "convolution", 2: "linear"}.get(dimensions, "other")


def difference(layers: list[Layer], slots: list[tuple[str, nn.Module]]) -> Difference | None:
    """Find the first place where `layers` and a network's `slots` differ; None if each fits its slot."""
    for position in range(max(len(layers), len(slots))):
        layer = layers[position] if position < len(layers) else None
        name, module = slots[position] if position < len(slots) else ("", None)
        if layer is None or module is None or not _fits(layer, module):
            wanted = f"{kind_of(module)} {name} {shape_of(module)}" if module is not None else "nothing more"
            return Difference(position + 1, str(layer) if layer else "nothing more", wanted)
    return None


def shape_of(module: nn.Module) -> tuple[int, ...]:
    """The shape of a module's weight, or of a batch norm's variance, as `Layer.shape`."""
    held = _held(module)
    return tuple(held.get("weight", held.get("running_var", torch.empty(0))).shape)


def _held(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters(recurse=False)), **dict(module.named_buffers(recurse=False))}


def _fits(layer: Layer, module: nn.Module) -> bool:
    if layer.kind != kind_of(module) or layer.shape != shape_of(module):
        return False
    held = _held(module)
    return all(held[role].numel() == a.numel() for role, a in layer.arrays.items() if role in held)


def fill(layers: list[Layer], slots: list[tuple[str, nn.Module]]) -> Fit:
    """Put each layer's arrays into its slot; the two must not differ.

    Raises `DataError` where a layer has an array that its slot has no place for and that changes what it
    computes. What a batch norm adds to its variance may be another number here and there: the running
    variance takes up the difference, so that the same function is computed.
    """
    missing = []
    for layer, (name, module) in zip(layers, slots, strict=True):
        held = _held(module)
        arrays = dict(layer.arrays)
        if layer.frozen and "weight" in arrays:
            arrays["weight"] = torch.ones_like(arrays["weight"])
        if layer.eps and isinstance(module, nn.modules.batchnorm._BatchNorm):
            arrays["running_var"] = arrays["running_var"].double() + layer.eps - module.eps
        for role, tensor in held.items():
            if role in arrays:
                with torch.no_grad():
                    tensor.copy_(arrays.pop(role).reshape(tensor.shape))
            elif role == "bias" or (role == "weight" and layer.kind == "batch norm"):
                nn.init.constant_(tensor, float(role == "weight"))  # 2018's layers may have none
                missing.append(f"{name}.{role}")
        if lost := [role for role, array in arrays.items() if _matters(role, array)]:
            raise DataError(
                f"the {layer.kind} {layer.name!r} has a {lost[0]}, and {name!r} of this backbone has none",
                "other options of the backbone may have it: "
                "`arcterm model import MODEL --backbone NAME --set KEY=VALUE`",
            )
    return Fit(missing)


def fill_by_name(network: nn.Module, state: dict[str, Tensor], eps: float | None = None) -> Fit:
    """Load a network's arrays by name; batch norms of the file used `eps`, or if None the network's."""
    own = network.state_dict()
    network.load_state_dict({key: value for key, value in state.items() if key in own}, strict=False)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_var is not None:
            there = module.eps if eps is None else eps
            module.running_var.copy_(module.running_var.double() + there - module.eps)
    return Fit(unexpected=[k for k in state if k not in own and not k.endswith("num_batches_tracked")])


def _matters(role: str, array: Tensor) -> bool:
    """Whether leaving an array out changes anything: a bias of 0 or a norm's weight of 1 does not."""
    neutral = 1.0 if role == "weight" else 0.0
    return bool((array != neutral).any())

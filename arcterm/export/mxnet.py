"""MXNet's weights in torch's layout, from 2018's ``prefix-symbol.json`` with ``prefix-0000.params``.

Rules: convolutions and fully connected layers have torch's layout, and flattening is C, H, W in both; a gamma
that MXNet fixed counts as 1 whatever was stored; what a batch norm adds is the symbol's, by default 1e-3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from arcterm.errors import DataError
from arcterm.export.layers import Fit, Layer, difference, fill, in_order
from arcterm.formats.mxnet import symbol as symbols
from arcterm.formats.mxnet.symbol import Symbol

Arrays = Mapping[str, NDArray[Any]]

_KINDS = {"conv": "convolution", "fc": "linear", "bn": "batch norm", "prelu": "PReLU"}
_ROLES = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_var": "running_var"}


def layers_of(symbol: Symbol, arrays: Arrays) -> list[Layer]:
    """List a symbol's weighted layers in order of use, float32; raises `DataError` if an array is missing."""
    return [_layer(found, arrays) for found in symbol.layers()]


def _layer(found: symbols.ArrayNode, arrays: Arrays) -> Layer:
    normed = found.kind == "bn"
    held = {_ROLES.get(role, role): _array(found.name, name, arrays) for role, name in found.arrays.items()}
    return Layer(
        _KINDS.get(found.kind, found.kind),
        found.name,
        held,
        eps=float(str(found.attrs["eps"])) if normed else 0.0,
        frozen=normed and bool(found.attrs["fix_gamma"]),
    )


def _array(layer: str, name: str, arrays: Arrays) -> Tensor:
    for key in (f"arg:{name}", f"aux:{name}", name):
        if key in arrays:
            return torch.from_numpy(np.array(arrays[key], np.float32))
    raise DataError(
        f"the array {name!r} of layer {layer!r} is not among the {len(arrays)} that the .params file has",
        "the .params and the -symbol.json belong to different models",
    )


def head_of(arrays: Arrays) -> Tensor | None:
    """Find the class weights (C, D) that a training saved with its network, if it did."""
    for key in ("arg:fc7_weight", "fc7_weight"):
        if key in arrays:
            return torch.from_numpy(np.array(arrays[key], np.float32))
    return None


def load_into(network: nn.Module, symbol: Symbol, arrays: Arrays, input_size: tuple[int, int]) -> Fit:
    """Load the weights of a symbol into `network`; raises `DataError` naming the first layer that differs."""
    layers, slots = layers_of(symbol, arrays), in_order(network, input_size)
    apart = difference(layers, slots)
    if apart:
        raise DataError(f"layer {apart.position}: the file has {apart.found}, the network {apart.wanted}")
    return fill(layers, slots)

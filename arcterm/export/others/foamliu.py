"""foamliu's MobileFaceNet, whose arrays are saved in the order in which it makes them, not of their use."""

from __future__ import annotations

import re

from torch import Tensor

State = dict[str, Tensor]

_BEFORE = ("conv1.0", "conv1.1", "dw_conv.depthwise", "dw_conv.bn1", "dw_conv.pointwise", "dw_conv.bn2")
_AFTER = ("conv2.0", "conv2.1", "gdconv.depthwise", "gdconv.bn", "conv3", "bn")
_LAST = "conv3.weight"
_BLOCK = re.compile(r"features\.(\d{1,3})\.conv\.(.+)")


def is_foamliu(state: State) -> bool:
    return {"dw_conv.pointwise.weight", "gdconv.depthwise.weight", _LAST} <= state.keys()


def in_order_of_use(state: State) -> State:
    """Order the arrays as they are used; the last convolution, of one pixel, as a linear layer."""
    ordered = dict(sorted(state.items(), key=lambda pair: _place(pair[0])))
    if ordered[_LAST].shape[2:] == (1, 1):
        ordered[_LAST] = ordered[_LAST].flatten(1)
    return ordered


def _place(key: str) -> tuple[int, int]:
    """Where an array's layer comes; the layers of a block keep the order that they have."""
    layer = key.rpartition(".")[0]
    if layer in _BEFORE:
        return 0, _BEFORE.index(layer)
    if block := _BLOCK.fullmatch(key):
        return 1, int(block[1])
    return 2, _AFTER.index(layer) if layer in _AFTER else len(_AFTER)

"""Parts that InsightFace's networks share: activations, frozen batch norms and initial weights."""

from __future__ import annotations

import math

from torch import nn

_PLAIN: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "softrelu": nn.Softplus,
}


def activation(kind: str, channels: int) -> nn.Module:
    """A PReLU with a slope per channel that starts at 0.25, or MXNet's `kind`, which has no weights."""
    if kind == "prelu":
        return nn.PReLU(channels)
    if kind not in _PLAIN:
        raise ValueError(f"activation {kind!r} is unknown; it is one of prelu, {', '.join(_PLAIN)}")
    return _PLAIN[kind]()


def embedding_norm(size: int, eps: float) -> nn.BatchNorm1d:
    """The last batch norm, (N, size) → the same; its gain is a parameter that stays 1 (MXNet: fix_gamma)."""
    norm = nn.BatchNorm1d(size, eps=eps)
    norm.weight.requires_grad_(False)
    return norm


def fixed_norm(channels: int, eps: float) -> nn.BatchNorm2d:
    """A map's batch norm, (N, `channels`, H, W) → the same; its gain is a parameter that stays 1."""
    norm = nn.BatchNorm2d(channels, eps=eps)
    norm.weight.requires_grad_(False)
    return norm


def xavier_out(network: nn.Module) -> None:
    """MXNet's Xavier(gaussian, out, 2): weights N(0, 2 / fan_out) and biases 0. Norms and PReLUs are left."""
    for layer in _weighted(network):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out")
        _no_bias(layer)


def gaussian_in(network: nn.Module) -> None:
    """MXNet's Xavier(gaussian, in, 2): weights N(0, 2 / fan_in) and biases 0. Norms and PReLUs are left."""
    for layer in _weighted(network):
        nn.init.kaiming_normal_(layer.weight, mode="fan_in")
        _no_bias(layer)


def uniform_in(network: nn.Module) -> None:
    """MXNet's Xavier(uniform, in, 2): weights within ±√(2 / fan_in), biases 0. Norms and PReLUs are left."""
    for layer in _weighted(network):
        bound = math.sqrt(2 / layer.weight[0].numel())
        nn.init.uniform_(layer.weight, -bound, bound)
        _no_bias(layer)


def _weighted(network: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]


def _no_bias(layer: nn.Conv2d | nn.Linear) -> None:
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)

"""What InsightFace's networks have in common: the last batch norm and how weights start."""

from __future__ import annotations

from torch import nn


def embedding_norm(size: int, eps: float) -> nn.BatchNorm1d:
    """The last batch norm, (N, size) → the same; its gain is a parameter that stays 1 (MXNet: fix_gamma)."""
    norm = nn.BatchNorm1d(size, eps=eps)
    norm.weight.requires_grad_(False)
    return norm


def xavier_out(network: nn.Module) -> None:
    """MXNet's Xavier(gaussian, out, 2): weights N(0, 2 / fan_out) and biases 0. Norms and PReLUs are left."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

"""Networks without values: built and run on the meta device, where only shapes exist."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import torch
from arcterm_registry import get
from torch import Tensor, nn

WEIGHTED = (nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d, nn.PReLU, nn.LayerNorm)


def build(name: str, **options: object) -> nn.Module:
    """The registered backbone `name` on meta, in eval mode."""
    with torch.device("meta"):
        return get("backbone", name).load()(**settings(name, **options)).eval()


def settings(name: str, **options: object) -> dict[str, Any]:
    """Every option of a backbone: `options`, whatever they are, over the declared defaults."""
    return get("backbone", name).settings({}) | options


def count(network: nn.Module) -> int:
    """All parameters, frozen ones too."""
    return sum(p.numel() for p in network.parameters())


def images(number: int, size: tuple[int, int] = (112, 112)) -> Tensor:
    return torch.empty(number, 3, *size, device="meta")


def weighted(network: nn.Module) -> list[str]:
    """Names of the weighted layers, in the order of their registration."""
    return [name for name, layer in network.named_modules() if isinstance(layer, WEIGHTED)]


@dataclass
class Pass:
    """What a forward pass did: its output's shape, and the multiply-adds of one image.

    `layers` are the names of the weighted layers in the order in which they were called.
    """

    shape: tuple[int, ...] = ()
    multiply_adds: int = 0
    layers: list[str] = field(default_factory=list)


def forward(network: nn.Module, x: Tensor) -> Pass:
    """Run `network` on `x`; norms and PReLUs, which take most of a pass on meta, pass on what they get."""
    done = Pass()

    def note(name: str, layer: nn.Module, output: Tensor) -> None:
        done.layers.append(name)
        if isinstance(layer, nn.Conv2d | nn.Linear):
            done.multiply_adds += layer.weight[0].numel() * output[0].numel()

    def attention(q: Tensor, k: Tensor, v: Tensor, **_: object) -> Tensor:
        done.multiply_adds += 2 * q[0].numel() * k.shape[-2]
        return v

    def same(x: Tensor, values: Tensor, *_: object, **__: object) -> Tensor:
        assert x.shape[1] == len(values)
        return x

    hooks = [
        network.get_submodule(name).register_forward_hook(lambda m, _, out, name=name: note(name, m, out))
        for name in weighted(network)
    ]
    functional = "torch.nn.functional."
    with (
        patch(f"{functional}batch_norm", same),
        patch(f"{functional}prelu", same),
        patch(f"{functional}scaled_dot_product_attention", attention),
        torch.no_grad(),
    ):
        done.shape = tuple(network(x).shape)
    for hook in hooks:
        hook.remove()
    return done

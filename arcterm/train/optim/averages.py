"""The exponential moving average of a backbone's weights: less noisy than the weights of any one step."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Average:
    """A copy of `backbone` whose weights and running statistics follow it, after each update of step t by

        average ← d·average + (1 - d)·weight        with   d = min(`decay`, (1 + t) / (10 + t))

    so that the first weights, drawn at random, are forgotten at once (as `ExponentialMovingAverage` of
    TensorFlow with `num_updates`). All ranks have the same average; of statistics each has that of its own.
    """

    def __init__(self, backbone: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(backbone).requires_grad_(False)
        self._backbone = backbone
        self._decay = decay

    @torch.no_grad()
    def begin(self) -> None:
        """Begin with the backbone's weights as they are now."""
        for average, value in zip(_numbers(self.network), _numbers(self._backbone), strict=True):
            average.copy_(value)

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Take in the weights after the update of `step`, in a few launches for all of them."""
        decay = min(self._decay, (1 + step) / (10 + step))
        pairs = list(zip(_numbers(self.network), _numbers(self._backbone), strict=True))
        floats = [(average, value) for average, value in pairs if average.is_floating_point()]
        torch._foreach_lerp_([average for average, _ in floats], [value for _, value in floats], 1 - decay)
        for average, value in pairs:
            if not average.is_floating_point():  # a batch norm's count of batches
                average.copy_(value)


def _numbers(network: nn.Module) -> list[Tensor]:
    """The parameters and buffers as they are now: a module may replace a buffer."""
    return [*(p.detach() for p in network.parameters()), *network.buffers()]


PREFIX = "average."
"""Before the name of an average's own statistics of a rank, beside those of the backbone."""


def named(statistics: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Name the `statistics` of an average as they stand beside those of the backbone."""
    return {PREFIX + name: tensor for name, tensor in statistics.items()}


def part(statistics: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Part a rank's statistics into those of the backbone and those of its average."""
    own = {name: tensor for name, tensor in statistics.items() if not name.startswith(PREFIX)}
    averaged = {n.removeprefix(PREFIX): tensor for n, tensor in statistics.items() if n.startswith(PREFIX)}
    return own, averaged

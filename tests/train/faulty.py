"""Trainings that meet a number that is none: one picture in the data, and networks that do not bear it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from arcterm_registry.contracts import Record
from torch import Tensor, nn

from arcterm.runs.events import Event, Step
from arcterm.train.checkpoint.trained import Trained

from .test_loop import Dots

FLAT = 17


class OneFlat(Dots):
    """Its picture number `FLAT` is grey all over, and so has no deviation."""

    def __getitem__(self, index: int) -> Record:
        record = super().__getitem__(index)
        if index != FLAT:
            return record
        return Record(np.full((112, 112, 3), 90, np.uint8), record.label, record.source)


class Deviation(nn.Module):
    """Divides each picture by its deviation: 0 / 0 where it is flat."""

    def forward(self, x: Tensor) -> Tensor:
        return (x - x.mean((1, 2, 3), keepdim=True)) / x.std((1, 2, 3), keepdim=True)


class Length(nn.Module):
    """Adds nothing, but by a root whose slope has no end at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        far = (x - x.mean((1, 2, 3), keepdim=True)) * self.gain
        return x + 0 * far.square().sum((1, 2, 3), keepdim=True).sqrt()


def network(first: nn.Module) -> nn.Sequential:
    """A network of a few thousand weights, with running statistics, behind `first`."""
    torch.manual_seed(0)
    return nn.Sequential(
        first,
        nn.AvgPool2d(28),
        nn.Flatten(),
        nn.Linear(48, 24),
        nn.BatchNorm1d(24),
        nn.ReLU(),
        nn.Linear(24, 16),
        nn.BatchNorm1d(16, affine=False),
    )


def without_norms(first: nn.Module) -> nn.Sequential:
    """A network that takes each image alone, behind `first`."""
    torch.manual_seed(0)
    return nn.Sequential(
        first, nn.AvgPool2d(28), nn.Flatten(), nn.Linear(48, 24), nn.PReLU(24), nn.Linear(24, 16)
    )


def state_of(trained: Trained) -> dict[str, Tensor]:
    """A copy of the numbers of backbone and head."""
    return copy.deepcopy({**trained.backbone.state_dict(), **trained.head.state_dict(prefix="head.")})


class Kept(list[Event]):
    """A journal that keeps the weights at each `Step` event, which is written after the update."""

    def __init__(self) -> None:
        super().__init__()
        self.trained: Any = None
        self.states: dict[int, dict[str, Tensor]] = {}

    def write(self, event: Event) -> None:
        self.append(event)
        if isinstance(event, Step):
            self.states[event.step] = state_of(self.trained)

    def sync(self) -> None:
        pass

    def flush(self) -> bool:
        return True

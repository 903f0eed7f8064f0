"""A backbone of few weights for the soak: with statistics and chance in it, in no hurry, and one poisonable.

The soak installs this file as a plug-in of its own. Where ``SOAK_POISON`` names a file, the rank that removes
it makes one batch of embeddings that are no numbers.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from arcterm_registry import Backbone
from torch import Tensor, nn

STEP_SECONDS = 0.02

slowly = Backbone(
    summary="Two convolutions, for tests",
    factory="arcterm_slowly:Slowly",
    parameters=4_096,
    gmacs=0.001,
    embedding_size=16,
)


class Slowly(nn.Sequential):
    """Normalised images (N, 3, 112, 112) → embeddings (N, 16)."""

    def __init__(self) -> None:
        layers = [
            nn.AvgPool2d(4),
            nn.Conv2d(3, 8, 3, stride=3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AvgPool2d(3),
        ]
        super().__init__(*layers, nn.Dropout(0.1), nn.Flatten(), nn.Linear(72, 16))

    def forward(self, images: Tensor) -> Tensor:
        """Compute the embeddings, after a while."""
        embeddings: Tensor = super().forward(images)
        if not self.training:
            return embeddings
        time.sleep(STEP_SECONDS)
        return embeddings * float("nan") if _take_poison() else embeddings


def _take_poison() -> bool:
    try:
        Path(os.environ["SOAK_POISON"]).unlink()
    except (KeyError, FileNotFoundError):
        return False
    return True

"""A backbone of few weights, with statistics and chance in it, installed as a plug-in of the tests.

A step takes a while as long as there is the file that ``ARCTERM_TEST_PACE`` names.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from arcterm_registry import Backbone
from torch import Tensor, nn

STEP_SECONDS = 0.4

paced = Backbone(
    summary="Two convolutions, for tests",
    factory="arcterm_paced:Paced",
    parameters=4_096,
    gmacs=0.001,
    embedding_size=16,
)


class Paced(nn.Sequential):
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
        if self.training and Path(os.environ["ARCTERM_TEST_PACE"]).exists():
            time.sleep(STEP_SECONDS)
        embeddings: Tensor = super().forward(images)
        return embeddings

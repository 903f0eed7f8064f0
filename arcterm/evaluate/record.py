"""What a result says of the model that it was made with, and its vectors: one a picture."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from arcterm.features.networks import Networks

FLIP = "the vectors of the image and its mirror image are summed"
NORMS = "removed: vectors are normalised after the sum"


def unit_sum(views: list[Tensor]) -> Tensor:
    """Fuse the views (N, 2, D) of one network into unit vectors (N, D), as `FLIP` and `NORMS` say."""
    (own,) = views
    return F.normalize(own.sum(1), dim=1)


def word_model(networks: Networks) -> str:
    """Word the one model of `networks`, and how images enter it."""
    (facts,) = networks.facts
    return f"{facts.source}, {facts.input_words}"


def record_model(networks: Networks) -> dict[str, Any]:
    """Return what a result says of the one model of `networks`, and how vectors are made."""
    return networks.record()[0] | {"flip": FLIP, "norms": NORMS}

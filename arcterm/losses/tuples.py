"""Losses over embeddings alone. Each meets `arcterm_registry.contracts.TupleLoss`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from arcterm_registry.contracts import TupleLoss, TupleScores
from torch import Tensor

_EPS = 1e-10  # inside the root, as in the head


@dataclass(kw_only=True)
class Triplet(TupleLoss):
    """max(0, ‖a − p‖² − ‖a − n‖² + margin) on normalised embeddings (Schroff et al. 2015, eq. 2).

    With semi-hard mining the batch is anchors, positives, negatives in three equal blocks. Batch-hard takes
    every image as anchor, with its farthest positive and nearest negative in the batch (Hermans et al. 2017,
    arXiv 1703.07737, eq. 5); the batch then has two people or more, each with two images or more.
    """

    margin: float
    mining: str
    bag: int
    images_per_identity: int
    max_ap: float

    def admits(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Semi-hard: farther than the positive by less than the margin; none for a positive beyond max_ap."""
        semi_hard = (positive < negative) & (negative < positive + self.margin)
        return semi_hard & (positive <= self.max_ap) if self.max_ap > 0 else semi_hard

    def score(self, embeddings: Tensor, labels: Tensor, step: int) -> TupleScores:
        """Loss and distances of each triplet of the batch; B / 3 triplets, or B with batch-hard."""
        unit = embeddings * embeddings.square().sum(1, keepdim=True).add(_EPS).rsqrt()
        if self.mining == "batch-hard":
            positive, negative = _hardest(unit.detach(), labels)
            anchors, positives, negatives = unit, unit[positive], unit[negative]
        else:
            anchors, positives, negatives = unit.chunk(3)
        near, far = _squared(anchors, positives), _squared(anchors, negatives)
        return TupleScores((near - far + self.margin).relu(), near, far)


def _squared(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().sum(1)


def _hardest(unit: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """(B,) int64 twice: each image's least similar image of the same person, and most similar of others."""
    cosine = unit @ unit.T
    same = labels[:, None] == labels
    others = torch.eye(len(labels), dtype=torch.bool, device=labels.device).logical_not()
    positive = cosine.masked_fill(~(same & others), torch.inf).argmin(1)
    negative = cosine.masked_fill(same, -torch.inf).argmax(1)
    return positive, negative

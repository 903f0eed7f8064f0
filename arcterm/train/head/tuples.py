"""The head of losses over embeddings alone: no class weights, the whole batch on every rank."""

from __future__ import annotations

import torch
from arcterm_registry.contracts import Feeding, TupleLoss
from torch import Tensor, nn

from arcterm.train.head import collectives
from arcterm.train.head.head import HeadOutput
from arcterm.train.world import World


class TupleHead(nn.Module):
    """The mean loss of the tuples in the global batch, which every rank computes alike.

    `count` is the number of classes in the data. There is nothing to train and nothing to save here.
    """

    def __init__(
        self, classes: int, embedding_size: int, loss: TupleLoss, feeding: Feeding, world: World
    ) -> None:
        super().__init__()
        self.count = classes
        self.embedding_size = embedding_size
        self.loss = loss
        self.feeding = feeding
        self.world = world

    def draw(self, labels: Tensor, step: int) -> None:
        """Draw no rows, as there are none."""

    def forward(self, embeddings: Tensor, labels: Tensor, step: int, drawn: None = None) -> HeadOutput:
        """Score the local `embeddings` (B, D) and `labels` (B,) int64 with those of the other ranks.

        `accuracy`: share of tuples whose positive is nearer than the negative. `angle`: mean angle between
        anchor and positive, degrees. `active`: share of tuples with a loss.
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            exact = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
            whole = self._in_order(collectives.gather_alike(exact, self.world))
            scores = self.loss.score(whole, self._in_order(self.world.gather(labels)), step)
            with torch.no_grad():
                accuracy = (scores.positive < scores.negative).float().mean()
                angle = torch.rad2deg((1 - scores.positive / 2).clamp(-1, 1).acos()).mean()
                active = (scores.losses > 0).float().mean()
        return HeadOutput(loss=scores.losses.mean(), accuracy=accuracy, angle=angle, active=active)

    def _in_order(self, rows: Tensor) -> Tensor:
        """Reorder the rows of all ranks: all anchors, then all positives, then all negatives."""
        if self.feeding.kind != "triplets":
            return rows
        blocks = rows.reshape(self.world.size, 3, -1, *rows.shape[1:])
        return blocks.transpose(0, 1).reshape(rows.shape)

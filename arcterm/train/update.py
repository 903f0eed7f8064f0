"""The update of a step: everything between its backward pass and the next forward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from arcterm.config import TrainConfig
from arcterm.schedules.ramp import ramps
from arcterm.schedules.rate import learning_rate
from arcterm.train.checkpoint.trained import Trained
from arcterm.train.guards.data import step_seed
from arcterm.train.guards.finite import FiniteGuard, gradients
from arcterm.train.guards.scale import GradientScale
from arcterm.train.head.head import Head
from arcterm.train.optim.optimizers import set_rate
from arcterm.train.world import World

Outcome = Literal["updated", "overflowed", "refused"]
"""How a step ended: only the first changed weights; an overflow of scaled gradients is to be expected."""
Follower = Callable[[int], None]
"""Called with its step after an update."""


class Update:
    """Prepares each step and ends it with an update, which all ranks make or none does.

    With `scale` the backbone computes in float16, and the losses see what `enter` makes of its embeddings.
    `followers` see the new weights after each update, in their order; a step that is refused has none.
    """

    def __init__(
        self,
        config: TrainConfig,
        world: World,
        trained: Trained,
        finite: FiniteGuard,
        followers: Sequence[Follower] = (),
        scale: GradientScale | None = None,
    ) -> None:
        self._config = config
        self._world = world
        self._trained = trained
        self._finite = finite
        self._scale = scale
        self._optimizers = (trained.backbone_optimizer, trained.head_optimizer)
        self._followers = tuple(followers)
        self._ramps = ramps(config)

    def prepare(self, step: int) -> float:
        """Set the rate of `step`, which is returned, its margin, scale and seed; drop the last gradients."""
        rate = learning_rate(self._config, step)
        for optimizer in self._optimizers:
            set_rate(optimizer, rate)
            optimizer.zero_grad(set_to_none=True)
        head = self._trained.head
        if isinstance(head, Head) and head.row_update:
            head.row_update.arm()
        for name, ramp in self._ramps.items():
            setattr(self._trained.head.margin, name, ramp.at(step))
        # From run, step and rank: dropout differs between ranks, and a resumed step draws what it would have
        # drawn, without a checkpoint holding the state of a generator.
        torch.manual_seed(step_seed(self._config.seed, step, self._world.rank))
        self._finite.begin()
        return rate

    def enter(self, embeddings: Tensor) -> Tensor:
        """Pass on the `embeddings` (B, D) as the losses are to see them."""
        return self._scale.enter(embeddings) if self._scale else embeddings

    def apply(self, step: int, loss: Tensor) -> Outcome:
        """Update the weights by the gradients of `step`, whose `loss` is that of the global batch.

        No weight changes on any rank where a number of one rank is not finite. But class rows that the
        backward pass has updated stay so if only a gradient of the backbone was at fault.
        """
        if self._scale:
            self._scale.undo(gradients(self._trained)[0])
        # One number that is none would be in every weight after the next step: so it is looked for here.
        if self._finite.bad(loss):
            return self._overflow()
        if self._scale:
            self._scale.settle(overflowed=False)
        # After the average, so that all ranks find the same norm without asking each other. Rows of classes
        # are left alone: their norm would differ from rank to rank.
        if self._config.clip:
            nn.utils.clip_grad_norm_(self._trained.backbone.parameters(), self._config.clip)
        for optimizer in self._optimizers:
            optimizer.step()
        for follow in self._followers:
            follow(step)
        return "updated"

    def _overflow(self) -> Outcome:
        """Lower the scale if that may cure what the guard found, the same on every rank."""
        if not (self._scale and self._scale.can_fall and self._finite.in_backbone_alone):
            return "refused"
        self._scale.settle(overflowed=True)
        return "overflowed"

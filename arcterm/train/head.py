"""The classification head: class weights shared out over the ranks by class range, and its loss.

Every rank sees the embeddings of the whole batch and its own classes. With Z the sum of exp(logit) over the
classes that are *not* the target, the loss of an image is softplus(log Z - s·φ(t)): no cancellation when the
target is nearly certain. `t` is the target's cosine (or raw logit) and φ comes from the loss plug-in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from arcterm_registry.contracts import Margin
from torch import Tensor, nn

from arcterm.train.world import World, shard

_EPS = 1e-10  # inside the root, as MXNet's L2Normalization has it
_ABSENT = -1e30  # a logit that takes no part; finite, so that no infinity meets another
_LINEAR = 50.0  # where softplus(x) is x to the last bit of a float64; torch's own 20 is 2e-9 off
_INIT_ROWS = 1024


@dataclass(frozen=True)
class HeadOutput:
    """`loss` is the mean over the global batch, the same on every rank, with gradient; the rest are scalars.

    `accuracy`: share of images whose margin-free target logit exceeds all others. `angle`: mean target angle,
    degrees.
    """

    loss: Tensor
    accuracy: Tensor
    angle: Tensor


class Head(nn.Module):
    """Rows `classes` of the class weights, and the loss over all of them.

    `weight` is (rows, D) float32, normal with standard deviation √(2 / C); row i is the same whatever the
    number of ranks.
    """

    def __init__(self, classes: int, embedding_size: int, margin: Margin, world: World, seed: int) -> None:
        super().__init__()
        self.count = classes
        self.classes = shard(classes, world.rank, world.size)
        self.margin = margin
        self.world = world
        self.weight = nn.Parameter(_rows(self.classes, classes, embedding_size, seed).to(world.device))
        self.bias = nn.Parameter(torch.zeros(len(self.classes), device=world.device)) if margin.bias else None

    def forward(self, embeddings: Tensor, labels: Tensor, step: int) -> HeadOutput:
        """Loss of the local `embeddings` (B, D) and `labels` (B,) int64 and those of the other ranks."""
        with torch.autocast(embeddings.device.type, enabled=False):
            features = _Gather.apply(embeddings.to(self.weight.dtype), self.world)
            return self._score(features, self.world.gather(labels), step)

    def _score(self, features: Tensor, labels: Tensor, step: int) -> HeadOutput:
        norm = _Replicated.apply(features.square().sum(1).add(_EPS).sqrt(), self.world.size)
        unit, weight = _normalize(features), _normalize(self.weight)
        logits = (
            F.linear(unit, weight) if self.margin.normalized else F.linear(features, self.weight, self.bias)
        )
        mine = (labels >= self.classes.start) & (labels < self.classes.stop)
        local = (labels - self.classes.start).clamp(0, len(self.classes) - 1)
        is_target = F.one_hot(local, len(self.classes)).bool() & mine[:, None]
        others = (logits * self.margin.scale).masked_fill(is_target, _ABSENT)
        rivals = _LogSumExp.apply(others.logsumexp(1), self.world)
        t = _Sum.apply(torch.where(mine, logits.gather(1, local[:, None])[:, 0], 0.0), self.world)
        target = self.margin.target(t, norm, step) * self.margin.scale
        loss = F.softplus(rivals - target, threshold=_LINEAR).mean()
        with torch.no_grad():
            highest = self.world.max(others.amax(1))
            cosine = torch.where(mine, (unit * weight[local]).sum(1), 0.0)
            angle = torch.rad2deg(self.world.sum(cosine).clamp(-1, 1).acos()).mean()
            accuracy = (t * self.margin.scale > highest).float().mean()
        return HeadOutput(loss, accuracy, angle)


def _normalize(x: Tensor) -> Tensor:
    return x * x.square().sum(1, keepdim=True).add(_EPS).rsqrt()


def _rows(wanted: range, classes: int, size: int, seed: int) -> Tensor:
    """Initial weight rows; drawn in blocks, so that a rank draws only what it needs and all agree."""
    blocks = []
    for block in range(wanted.start // _INIT_ROWS, -(-wanted.stop // _INIT_ROWS)):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + block)
        drawn = torch.randn(_INIT_ROWS, size, generator=generator) * math.sqrt(2 / classes)
        first = block * _INIT_ROWS
        blocks.append(drawn[max(wanted.start - first, 0) : wanted.stop - first])
    return torch.cat(blocks) if blocks else torch.empty(0, size)


class _Gather(torch.autograd.Function):
    """All ranks' rows; backward sums every rank's gradient for our rows.

    DDP averages gradients over ranks while the loss is already the mean of the global batch: hence × size.
    """

    @staticmethod
    def forward(ctx: Any, local: Tensor, world: World) -> Tensor:
        ctx.world, ctx.rows = world, local.shape[0]
        return world.gather(local)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        world: World = ctx.world
        if world.size == 1:
            return grads[0], None
        whole = world.sum(grads[0].contiguous().clone())
        return whole[world.rank * ctx.rows : (world.rank + 1) * ctx.rows] * world.size, None


class _LogSumExp(torch.autograd.Function):
    """log Σ exp over the ranks of (B,); the gradient of each rank's part is its share of the sum."""

    @staticmethod
    def forward(ctx: Any, local: Tensor, world: World) -> Tensor:
        whole = world.gather(local[None]).logsumexp(0)
        ctx.save_for_backward(local, whole)
        return whole

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        local, whole = ctx.saved_tensors
        return grads[0] * (local - whole).exp(), None


class _Sum(torch.autograd.Function):
    """Sum over the ranks; every rank's gradient is the whole one, since all compute the same loss."""

    @staticmethod
    def forward(ctx: Any, local: Tensor, world: World) -> Tensor:
        return world.sum(local.clone())

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        return grads[0], None


class _Replicated(torch.autograd.Function):
    """A value that every rank computes alike: its gradient is counted once, not once a rank."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, size: int) -> Tensor:
        ctx.size = size
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        return grads[0] / ctx.size, None

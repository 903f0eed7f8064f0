"""The classification head: class weights shared out over the ranks by class range, and its loss.

Every rank sees the embeddings of the whole batch and its own classes. With Z the sum of exp(logit) over the
classes that are *not* the target, the loss of an image is softplus(log Z - s·φ(t)): no cancellation when the
target is nearly certain. `t` is the target's cosine (or raw logit) and φ comes from the loss plug-in. Z comes
from `stream`, which never holds the logits of more than a few classes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from arcterm_registry.contracts import Margin
from torch import Tensor, nn

from arcterm.train.head import collectives, fused
from arcterm.train.head.partial_fc import sample
from arcterm.train.head.rowgradients import Room
from arcterm.train.head.rowupdate import RowUpdate
from arcterm.train.head.tiled import EPS, LINEAR, Stream, is_simple, streamed
from arcterm.train.world import World, shard

_INIT_ROWS = 1024
_FEW_BLOCKS = 8


@dataclass(frozen=True)
class HeadOutput:
    """`loss` is the mean over the global batch, the same on every rank, with gradient; the rest are scalars.

    `accuracy`: share of images whose margin-free target logit exceeds all others. `angle`: mean target angle,
    degrees. `active`: share of triplets that still have a loss, for losses of triplets. `teacher`: distance
    to a teacher's embeddings.
    """

    loss: Tensor
    accuracy: Tensor
    angle: Tensor
    active: Tensor | None = None
    teacher: Tensor | None = None


def mean(scores: Sequence[HeadOutput]) -> HeadOutput:
    """Average over the parts of a step, which are of one size; the result has no gradient."""
    if len(scores) == 1:
        return scores[0]
    means: dict[str, Any] = {}
    for each in fields(HeadOutput):
        values = [getattr(one, each.name) for one in scores]
        means[each.name] = None if values[0] is None else torch.stack(values).mean()
    return HeadOutput(**means)


@dataclass(frozen=True)
class StepRows:
    """The class rows that take part in a step.

    `index` (n,) int64 are their places among a rank's, `rows` themselves by name, `count` their number over
    all ranks.
    """

    index: Tensor
    rows: dict[str, Tensor]
    count: int


class Head(nn.Module):
    """Rows `classes` of the class weights, and the loss over all of them.

    `weight` is (rows, D) float32, or (rows, K, D) for a loss with K centres a class, normal with standard
    deviation √(2 / C); row i is the same whatever the number of ranks. With `sample_rate` below 1 a step
    compares with that share of the classes, the batch's own always among them (Partial FC, An et al. 2022,
    arXiv 2203.15565); `fetch` gives their rows, by default so that all others get a gradient of 0. `limit` is
    the cosine above which another class counts as 0, `dtype` the type of the large products; `filtered`, the
    way back makes them for the images alone that matter (`filtering.heaviest`). `row_update`, when armed,
    updates the class weights within the backward pass, and they have no gradient then.
    """

    def __init__(
        self,
        classes: int,
        embedding_size: int,
        margin: Margin,
        world: World,
        seed: int,
        *,
        sample_rate: float = 1.0,
        limit: float | None = None,
        dtype: torch.dtype = torch.float32,
        filtered: bool = False,
    ) -> None:
        super().__init__()
        self.count = classes
        self.classes = shard(classes, world.rank, world.size)
        self.margin = margin
        self.world = world
        self.sample_rate = sample_rate
        self.fetch: Callable[[Tensor], dict[str, Tensor]] = self._dense_rows
        self.row_update: RowUpdate | None = None
        self._seed = seed
        self._limit = limit
        self._dtype = dtype
        self._filtered = filtered
        self._room, self._terms = Room(), Room()
        rows = _rows(self.classes, classes, (margin.centers, embedding_size), seed, world.device)
        self.weight = nn.Parameter(rows if margin.centers > 1 else rows[:, 0])
        self.bias = nn.Parameter(torch.zeros(len(self.classes), device=world.device)) if margin.bias else None
        self.own = nn.ParameterDict()
        for number, (name, (low, high)) in enumerate(sorted(margin.class_parameters.items())):
            drawn = _uniform(self.classes, seed + number + 1)
            self.own[name] = nn.Parameter((low + (high - low) * drawn).to(world.device))
        if isinstance(margin, nn.Module) and world.device.type != "cpu":
            margin.to(world.device)
        margin.prepare(round(classes * sample_rate), seed)

    @property
    def remark(self) -> str:
        """What is amiss with how the loss is computed, tried on the device; "" if nothing."""
        if self._dtype != torch.bfloat16 or not is_simple(self.margin, self._limit):
            return ""
        device = self.world.device
        if not fused.available(device) or not (reason := fused.failure(device)):
            return ""
        return (
            f"the head's kernels can't be used: {reason}. Its tiles go through cuBLAS, which takes longer; "
            "Triton needs a C compiler and Python's headers (e.g. `apt install gcc python3-dev`)"
        )

    def sharded(self) -> dict[str, nn.Parameter]:
        """The parameters of this rank's classes by name; the first axis is the class."""
        named = {"weight": self.weight, "bias": self.bias, **{f"own.{k}": v for k, v in self.own.items()}}
        return {name: parameter for name, parameter in named.items() if parameter is not None}

    def replicated(self) -> dict[str, Tensor]:
        """The loss's parameters and buffers by name, the same on every rank."""
        if not isinstance(self.margin, nn.Module):
            return {}
        return {**dict(self.margin.named_buffers()), **dict(self.margin.named_parameters())}

    def draw(self, labels: Tensor, step: int) -> StepRows | None:
        """Draw the class rows of a step by the local `labels` (n,) int64 of all its parts; None if all are.

        Each part of the step is then scored against these rows, so that their gradients add up.
        """
        return None if self.sample_rate == 1.0 else self._draw(self.world.gather(labels), step)

    def forward(
        self, embeddings: Tensor, labels: Tensor, step: int, drawn: StepRows | None = None
    ) -> HeadOutput:
        """Score the local `embeddings` (B, D) and `labels` (B,) int64 with those of the other ranks.

        `drawn` are the class rows of the step, if the batch is a part of one.
        """
        # Embeddings travel and class rows stay: a batch is some thousand rows, the classes are millions.
        with torch.autocast(embeddings.device.type, enabled=False):
            features = collectives.gather(embeddings.to(self.weight.dtype), self.world)
            return self._score(features, self.world.gather(labels), step, drawn)

    def _score(self, features: Tensor, labels: Tensor, step: int, drawn: StepRows | None) -> HeadOutput:
        margin = self.margin
        mine = (labels >= self.classes.start) & (labels < self.classes.stop)
        local = (labels - self.classes.start).clamp(0, len(self.classes) - 1)
        rows: dict[str, Tensor] = dict(self.sharded())
        count = self.count
        if self.sample_rate < 1.0:
            drawn = drawn or self._draw(labels, step)
            rows, count = drawn.rows, drawn.count
            local = torch.searchsorted(drawn.index, local).clamp_(max=len(drawn.index) - 1)
        weight, bias = rows["weight"], rows.get("bias")
        root = features.square().sum(1).add(EPS)
        # Margins and penalties of the norm are computed alike on every rank, the cosines below by each rank
        # for its own classes: the way back to the features sums over ranks, so the norm's part goes in once.
        norm = collectives.count_once(root.sqrt(), self.world)
        raw = not margin.normalized_features and not margin.normalized_weights
        unit = features if raw else features * root.rsqrt()[:, None]

        stream = Stream(
            *(margin, self.world, unit, weight, bias, local, mine),
            dtype=self._dtype,
            limit=self._limit,
            update=self.row_update.take() if self.row_update else None,
            room=self._room,
            terms=self._terms,
            filtered=self._filtered,
        )
        # In this order on all ranks: a target's cosine is known to the rank that has its class alone, what
        # the loss sums over all classes needs it, and what the loss remembers is moved by both before
        # `own_target` and the tiles read it. Each margin sees the whole batch, so all ranks remember the
        # same.
        with torch.no_grad():
            t, cosine = stream.targets()
            margin.observe(t, norm, step, stream.survey(t))
        factor = self._factor(norm)
        total, highest, t = streamed(stream, unit, factor, weight, bias, t)
        own = {name: _of_targets(rows[f"own.{name}"], local, mine, self.world) for name in self.own}
        target = factor * margin.own_target(t, norm, step, own)
        loss = self._loss(total, target, norm)
        if (extra := margin.class_penalty({name: rows[f"own.{name}"] for name in self.own})) is not None:
            loss = loss + collectives.reduce(extra.sum() / count, self.world)
        with torch.no_grad():
            # embeddings and class rows that are no numbers make the loss none, on all ranks alike
            stream.bad = 1 - loss.isfinite().to(loss.dtype)
            angle = torch.rad2deg(cosine.clamp(-1, 1).acos()).mean()
            return HeadOutput(loss, (t > highest).float().mean(), angle)

    def _draw(self, labels: Tensor, step: int) -> StepRows:
        """Draw the class rows of a step by its `labels` (n,), those of all ranks."""
        # The number is fixed, so that shapes are too; which rows follows from (seed, step, class), so a
        # resumed run draws the same. Where two targets share a row, or lie elsewhere, chance fills up.
        mine = (labels >= self.classes.start) & (labels < self.classes.stop)
        local = (labels - self.classes.start).clamp(0, len(self.classes) - 1)
        taken = self.taken(len(self.classes), len(labels))
        index = sample(local, mine, self.classes, taken, self._seed, step)
        sizes = (len(shard(self.count, rank, self.world.size)) for rank in range(self.world.size))
        count = sum(self.taken(rows, len(labels)) for rows in sizes)
        return StepRows(index, self.fetch(index), count)

    def taken(self, rows: int, batch: int) -> int:
        """How many of a rank's `rows` classes take part in a step, always the same; all targets fit in."""
        return min(rows, max(round(self.sample_rate * rows), batch))

    def _dense_rows(self, index: Tensor) -> dict[str, Tensor]:
        return {name: parameter[index] for name, parameter in self.sharded().items()}

    def _factor(self, norm: Tensor) -> Tensor:
        """The factor of c of each image, (B,)."""
        scale = self.margin.scale
        raw_norms = self.margin.normalized_weights and not self.margin.normalized_features
        if isinstance(scale, Tensor):
            return scale * norm if raw_norms else scale.to(norm.dtype).expand(len(norm))
        return norm * scale if raw_norms else norm.new_full((len(norm),), scale)

    def _loss(self, total: Tensor, target: Tensor, norm: Tensor) -> Tensor:
        # softplus of a difference: -log of a probability near 1 would cancel to 0, and its gradient with it
        if self.margin.reduction == "sum":
            positive = F.softplus(-target, threshold=LINEAR)
            rows = self.margin.positive_weight * positive + self.margin.negative_weight * total
        else:
            rows = F.softplus(total - target, threshold=LINEAR)
        extra = self.margin.penalty(norm)
        return (rows if extra is None else rows + extra).mean()


def _of_targets(values: Tensor, local: Tensor, mine: Tensor, world: World) -> Tensor:
    """(n,) values of a rank's classes → (B,) those of the targets, wherever they are."""
    return collectives.reduce(torch.where(mine, values[local], 0.0), world)


def _rows(wanted: range, classes: int, shape: tuple[int, int], seed: int, device: torch.device) -> Tensor:
    """Initial weight rows; drawn in blocks, so that a rank draws only what it needs and all agree."""
    deviation = math.sqrt(2 / classes)

    def draw(generator: torch.Generator) -> Tensor:
        return torch.randn(_INIT_ROWS, *shape, generator=generator).mul_(deviation)

    return _drawn(torch.empty(len(wanted), *shape, device=device), wanted, draw, seed)


def _uniform(wanted: range, seed: int) -> Tensor:
    return _drawn(torch.empty(len(wanted)), wanted, lambda g: torch.rand(_INIT_ROWS, generator=g), seed)


def _drawn(into: Tensor, wanted: range, draw: Callable[[torch.Generator], Tensor], seed: int) -> Tensor:
    """Fill `into`, the rows `wanted`, block by block: with millions of rows there is no room for a copy."""

    def fill(block: int) -> None:
        drawn = draw(torch.Generator().manual_seed(seed * 1_000_003 + block))
        first = block * _INIT_ROWS
        own = range(max(wanted.start, first), min(wanted.stop, first + _INIT_ROWS))
        into[own.start - wanted.start : own.stop - wanted.start] = drawn[own.start - first : own.stop - first]

    blocks = range(wanted.start // _INIT_ROWS, -(-wanted.stop // _INIT_ROWS))
    if len(blocks) < _FEW_BLOCKS:
        for block in blocks:
            fill(block)
        return into
    # torch draws with one thread, whatever it may use, and lets others run meanwhile
    with ThreadPoolExecutor(min(len(blocks), len(os.sched_getaffinity(0)))) as pool:
        list(pool.map(fill, blocks))
    return into

"""The classification head as the contract describes it, with all logits in memory: to try a loss with."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arcterm_registry.contracts import Margin

_EPS = 1e-10  # inside the root of a norm


@dataclass(kw_only=True)
class Problem:
    """A batch `x` (B, D) with `labels` (B,), class weights (C, K, D), and what the loss asks for a class."""

    x: Tensor
    labels: Tensor
    weight: Tensor
    bias: Tensor | None = None
    own: dict[str, Tensor] = field(default_factory=dict)

    def leaves(self) -> list[Tensor]:
        """The tensors that have a gradient."""
        return [self.x, self.weight, *([] if self.bias is None else [self.bias]), *self.own.values()]


def problem(margin: Margin, *, classes: int = 9, batch: int = 12, size: int = 16, seed: int = 0) -> Problem:
    """Some people, more images than people and a class without images."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    own = {
        name: (low + (high - low) * torch.rand(classes, generator=generator)).requires_grad_()
        for name, (low, high) in margin.class_parameters.items()
    }
    return Problem(
        x=(normal(batch, size) * 3).requires_grad_(),
        labels=torch.arange(batch) % (classes - 1),
        weight=normal(classes, margin.centers, size).requires_grad_(),
        bias=torch.zeros(classes, requires_grad=True) if margin.bias else None,
        own=own,
    )


def at_the_edges(margin: Margin, *, classes: int = 9, size: int = 16) -> Problem:
    """Embeddings at cosine exactly 1 and -1 to their class, and one that is zero."""
    given = problem(margin, classes=classes, size=size)
    weight = torch.eye(classes, size)[:, None].repeat(1, margin.centers, 1)
    given.x = torch.cat((weight[:3, 0] * 7, -weight[:3, 0] * 7, torch.zeros(1, size))).requires_grad_()
    given.labels = torch.tensor([0, 1, 2, 0, 1, 2, 3])
    given.weight = weight.requires_grad_()
    return given


def loss_of(margin: Margin, given: Problem, step: int) -> Tensor:
    """The mean loss of the batch as `contracts.Margin` defines it; `margin.observe` is called first."""
    norm = (given.x.square().sum(1) + _EPS).sqrt()
    c = _cosines(margin, given, norm)
    rows = torch.arange(len(given.x))
    t = c[rows, given.labels]
    own = torch.zeros_like(c, dtype=torch.bool)
    own[rows, given.labels] = True
    with torch.no_grad():
        looked = margin.survey(c.detach().clone(), t.detach()[:, None].clone())
        sums = tuple(part.masked_fill(own, 0.0).sum(1) for part in looked)
        margin.observe(t.detach().clone(), norm.detach().clone(), step, sums)
    factor = _factor(margin, norm)
    values = {name: value[given.labels] for name, value in given.own.items()}
    target = factor * margin.own_target(t, norm, step, values)
    others = (factor[:, None] * margin.negatives(c, t[:, None])).masked_fill(own, -torch.inf)
    if margin.reduction == "sum":
        lost = margin.positive_weight * F.softplus(-target)
        lost = lost + margin.negative_weight * F.softplus(others).sum(1)
    else:
        lost = F.softplus(others.logsumexp(1) - target)
    extra = margin.penalty(norm)
    total = (lost if extra is None else lost + extra).mean()
    classwise = margin.class_penalty(given.own)
    return total if classwise is None else total + classwise.mean()


def learned(margin: Margin) -> list[nn.Parameter]:
    """The parameters of the loss."""
    return [p for p in margin.parameters() if p.requires_grad] if isinstance(margin, nn.Module) else []


def _cosines(margin: Margin, given: Problem, norm: Tensor) -> Tensor:
    """c (B, C): of the nearest centre, with the bias."""
    raw = not margin.normalized_weights and not margin.normalized_features
    x = given.x if raw else given.x / norm[:, None]
    weight = given.weight
    if margin.normalized_weights:
        weight = weight / (weight.square().sum(2, keepdim=True) + _EPS).sqrt()
    c = torch.einsum("bd,ckd->bck", x, weight).amax(2)
    return c if given.bias is None else c + given.bias


def _factor(margin: Margin, norm: Tensor) -> Tensor:
    """The factor of c of each image, (B,)."""
    scale = margin.scale if isinstance(margin.scale, Tensor) else torch.tensor(float(margin.scale))
    raw_norms = margin.normalized_weights and not margin.normalized_features
    return norm * scale if raw_norms else scale.expand(len(norm))

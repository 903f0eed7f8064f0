"""Every classification loss by its published formula, in float64 and all at once: the judge of the product.

Angles are angles here (acos and cos), a step's (B, C) logits are one matrix, and nothing of arcterm is used.
Each function takes a `Step` and its loss's options under the names that the declarations use.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

NOTHING: Mapping[str, Tensor] = MappingProxyType({})


def stop(value: Tensor) -> Tensor:
    """A number that the formula treats as a constant in the backward pass."""
    return value.detach()


def lengths(vectors: Tensor) -> Tensor:
    """sqrt(Σ v² + 1e-10), MXNet's L2Normalization."""
    return (vectors.square().sum(-1, keepdim=True) + 1e-10).sqrt()


@dataclass(frozen=True)
class Step:
    """One global batch: cosines c (B, C), raw products (B, C), norms (B,), and what the loss remembers."""

    cosines: Tensor
    products: Tensor
    norm: Tensor
    labels: Tensor
    bias: Tensor | None
    own: Mapping[str, Tensor]
    learned: Mapping[str, Tensor]
    state: Mapping[str, Tensor]
    number: int

    @property
    def classes(self) -> int:
        return self.cosines.shape[1]

    @property
    def is_target(self) -> Tensor:
        return torch.nn.functional.one_hot(self.labels, self.classes).bool()

    @property
    def t(self) -> Tensor:
        return self.pick(self.cosines)

    @property
    def theta(self) -> Tensor:
        return torch.acos(self.t)

    def pick(self, matrix: Tensor) -> Tensor:
        """The column of each row's own class."""
        return matrix[torch.arange(len(self.labels)), self.labels]

    def join(self, target: Tensor, others: Tensor) -> Tensor:
        """(B, C): `target` (B,) in the own class's column, `others` (B, C) elsewhere."""
        return torch.where(self.is_target, target[:, None], others)


class Result(NamedTuple):
    """Logits (B, C), and the mean loss of the batch."""

    logits: Tensor
    loss: Tensor


def cross_entropy(step: Step, z: Tensor, extra: Tensor | float = 0.0) -> Result:
    """-log softmax(z)_y, and what a loss adds to it."""
    return Result(z, (torch.logsumexp(z, 1) - step.pick(z)).mean() + extra)


def decisions(step: Step, z: Tensor, positive: float, negative: float) -> Result:
    """Σ over classes of log(1 + e^-z) where it is the row's own and log(1 + e^z) elsewhere, weighted."""
    signed = torch.where(step.is_target, -z, z)
    part = torch.where(step.is_target, z.new_tensor(positive), z.new_tensor(negative))
    return Result(z, (part * torch.logaddexp(torch.zeros_like(z), signed)).sum(1).mean())


def products(rows: Tensor, weight: Tensor) -> Tensor:
    """(B, C): of several centres a class the nearest counts, and learns alone."""
    if weight.dim() == 2:
        return rows @ weight.T
    every = torch.einsum("bd,ckd->bck", rows, weight)
    return every.gather(2, every.argmax(2, keepdim=True))[..., 0]


def look(
    embeddings: Tensor,
    labels: Tensor,
    weight: Tensor,
    *,
    bias: Tensor | None = None,
    own: Mapping[str, Tensor] = NOTHING,
    learned: Mapping[str, Tensor] = NOTHING,
    state: Mapping[str, Tensor] = NOTHING,
    step: int = 1,
) -> Step:
    """The step of a batch; a `weight` (C, K, D) has K centres a class, of which the nearest counts."""
    x, W = embeddings.double(), weight.double()
    return Step(
        cosines=products(x / lengths(x), W / lengths(W)),
        products=products(x, W),
        norm=lengths(x)[:, 0],
        labels=labels,
        bias=None if bias is None else bias.double(),
        own={name: value.double() for name, value in own.items()},
        learned={name: value.double() for name, value in learned.items()},
        state={name: torch.as_tensor(value).double() for name, value in state.items()},
        number=step,
    )


def detached(t: Tensor, value: Tensor) -> Tensor:
    """`value` with slope 1 in `t`: characteristic gradient detachment, arXiv 2109.05565."""
    return t + stop(value - t)


def by_gradient(gradient: str, t: Tensor, value: Tensor) -> Tensor:
    return {"exact": lambda: value, "detached": lambda: detached(t, value)}[gradient]()


# Plain: Softmax; NormFace, arXiv 1704.06369.


def softmax(step: Step) -> Result:
    assert step.bias is not None
    return cross_entropy(step, step.products + step.bias)


def normface(step: Step, *, scale: float = 64.0) -> Result:
    return cross_entropy(step, scale * step.cosines)


# Angles multiplied: SphereFace, arXiv 1704.08063, annealed as insightface's train_softmax.py of 2018 does;
# SphereFace-R, arXiv 2109.05565, ydwen/opensphere spherefacer.py, magnitude type v0.


def folded(theta: Tensor, margin: float) -> Tensor:
    """ψ(θ) = (-1)^k cos(mθ) - 2k with k = ⌊mθ/π⌋: falls all the way."""
    angle = margin * theta
    k = stop(torch.floor(angle / math.pi))
    return (1 - 2 * (k % 2)) * torch.cos(angle) - 2 * k


def share(
    batches: int,
    classes: int,
    *,
    start: float = 1000.0,
    floor: float = 5.0,
    gamma: float | None = None,
    power: float = 1.0,
    freeze: int | None = None,
) -> float:
    """λ as computed after that many batches."""
    many = classes > 20_000
    gamma = gamma if gamma is not None else (0.06 if many else 0.12)
    freeze = freeze if freeze is not None else (5000 if many else 0)
    if batches <= freeze:
        return start
    return max(floor, start * (1 + gamma * (batches - freeze)) ** -power)


def sphereface(
    step: Step,
    *,
    margin: float = 4.0,
    start: float = 1000.0,
    floor: float = 5.0,
    gamma: float | None = None,
    power: float = 1.0,
    freeze: int | None = None,
) -> Result:
    options = {"start": start, "floor": floor, "gamma": gamma, "power": power, "freeze": freeze}
    part = share(step.number - 1, step.classes, **options)
    target = (part * step.t + folded(step.theta, margin)) / (1 + part)
    return cross_entropy(step, step.norm[:, None] * step.join(target, step.cosines))


def sphereface_r(
    step: Step, *, margin: float = 1.7, scale: float = 30.0, gradient: str = "detached"
) -> Result:
    target = by_gradient(gradient, step.t, folded(step.theta, margin))
    return cross_entropy(step, scale * step.join(target, step.cosines))


# Margins: CosFace, arXiv 1801.09414; ArcFace, combined, arXiv 1801.07698, and insightface's train_softmax.py;
# Li-ArcFace, arXiv 1907.12256; Circle, arXiv 2002.10857, and JDAI-CV/FaceX-Zoo CircleLoss.py.


def added(theta: Tensor, margin: Tensor | float) -> Tensor:
    """cos(θ + m), past π too: what hard classes are compared with."""
    return torch.cos(theta + margin)


def arc(t: Tensor, margin: Tensor | float, fallback: str = "line", easy: bool = False) -> Tensor:
    """ArcFace's target for a margin each row may have of its own."""
    theta = torch.acos(t)
    margin = torch.as_tensor(margin, dtype=t.dtype).expand_as(t)
    if easy:
        return torch.where(theta < math.pi / 2, added(theta, margin), t)
    past = {
        "line": lambda: t - margin * torch.sin(margin),
        "none": lambda: added(theta, margin),
        "clip": lambda: torch.full_like(t, -1.0),
    }[fallback]()
    return torch.where(theta + margin > math.pi, past, added(theta, margin))


def cosface(step: Step, *, margin: float = 0.35, scale: float = 64.0) -> Result:
    return cross_entropy(step, scale * step.join(step.t - margin, step.cosines))


def arcface(
    step: Step,
    *,
    margin: float = 0.5,
    scale: float = 64.0,
    easy_margin: bool = False,
    fallback: str = "line",
    gradient: str = "exact",
) -> Result:
    target = by_gradient(gradient, step.t, arc(step.t, margin, fallback, easy_margin))
    return cross_entropy(step, scale * step.join(target, step.cosines))


def stretched(t: Tensor, m1: float, m2: float, fallback: str) -> Tensor:
    """cos(m1·θ + m2); past θ* = (π - m2)/m1 "line" goes on with slope 1, below -1 by ArcFace's drop."""
    angle = m1 * torch.acos(t) + m2
    drop = m2 * math.sin(m2) + math.cos(m2) - 1
    past = {
        "line": lambda: (t - math.cos((math.pi - m2) / m1)) - 1 - drop,
        "none": lambda: torch.cos(angle),
        "clip": lambda: torch.full_like(t, -1.0),
    }[fallback]()
    return torch.where(angle > math.pi, past, torch.cos(angle))


def combined(
    step: Step,
    *,
    m1: float = 1.0,
    m2: float = 0.3,
    m3: float = 0.2,
    scale: float = 64.0,
    fallback: str = "line",
    gradient: str = "exact",
) -> Result:
    target = by_gradient(gradient, step.t, stretched(step.t, m1, m2, fallback) - m3)
    return cross_entropy(step, scale * step.join(target, step.cosines))


def li_arc(step: Step, *, margin: float = 0.45, scale: float = 64.0, others: str = "linear") -> Result:
    lines = 1 - 2 * torch.acos(step.cosines) / math.pi
    rest = {"linear": lines, "cosine": step.cosines}[others]
    return cross_entropy(step, scale * step.join(1 - 2 * (step.theta + margin) / math.pi, rest))


def circle(step: Step, *, margin: float = 0.25, scale: float = 256.0) -> Result:
    pull = stop((1 + margin - step.t).clamp(min=0))
    push = stop((step.cosines + margin).clamp(min=0))
    target = pull * (step.t - (1 - margin))
    return cross_entropy(step, scale * step.join(target, push * (step.cosines - margin)))


# Hard other classes: arXiv 2004.00288, 1912.00833, 1909.00632 and 2007.10172, and FaceX-Zoo's
# CurricularFace.py, MV_Softmax.py, ArcNegFace.py and NPCFace.py.


def curricular_mean(step: Step, alpha: float) -> Tensor:
    """t̄ ← α·mean(t) + (1 - α)·t̄, from 0."""
    before = step.state.get("t_mean", torch.zeros((), dtype=torch.float64))
    return alpha * stop(step.t).mean() + (1 - alpha) * before


def curricularface(step: Step, *, margin: float = 0.5, scale: float = 64.0, alpha: float = 0.01) -> Result:
    mean = curricular_mean(step, alpha)
    hard = step.cosines > added(step.theta, margin)[:, None]
    others = torch.where(hard, step.cosines * (mean + step.cosines), step.cosines)
    return cross_entropy(step, scale * step.join(arc(step.t, margin), others))


def mv_softmax(
    step: Step, *, margin: float = 0.35, scale: float = 32.0, tau: float = 1.12, base: str = "cosface"
) -> Result:
    t = step.t
    if base == "cosface":
        bar, applies = t - margin, t > margin
    else:
        assert base == "arcface"
        bar, applies = added(step.theta, margin), t > 0
    hard = step.cosines > bar[:, None]
    others = torch.where(hard, tau * step.cosines + tau - 1, step.cosines)
    return cross_entropy(step, scale * step.join(torch.where(applies, bar, t), others))


def arcneg(
    step: Step, *, margin: float = 0.5, scale: float = 64.0, alpha: float = 1.2, sigma: float = 2.0
) -> Result:
    target = arc(step.t, margin)
    w = stop(alpha * torch.exp(-((step.cosines - target[:, None]) ** 2) / sigma))
    return cross_entropy(step, scale * step.join(target, w * step.cosines + w - 1))


def npc_hard(step: Step, m0: float) -> Tensor:
    """Other classes nearer than cos(θ + m0)."""
    return (step.cosines > added(step.theta, m0)[:, None]) & ~step.is_target


def npc(
    step: Step, *, m0: float = 0.4, m1: float = 0.2, tau: float = 1.1, a: float = 0.2, scale: float = 64.0
) -> Result:
    hard = npc_hard(step, m0)
    mean = stop((step.cosines * hard).sum(1) / hard.sum(1).clamp(min=1))
    target = torch.where(step.t > 0, added(step.theta, m0 + m1 * mean), step.t)
    others = torch.where(hard, tau * step.cosines + a, step.cosines)
    return cross_entropy(step, scale * step.join(target, others))


# Adaptive: AdaCos, arXiv 1905.00292, AdaptiveFace, CVPR 2019, and FaceX-Zoo's AdaCos.py and AdaM_Softmax.py;
# AdaFace, arXiv 2204.00964, mk-minchul/AdaFace head.py; MagFace, arXiv 2103.06627, IrvingMeng/MagFace
# magface.py; ElasticFace, arXiv 2109.09416, fdbtrs/ElasticFace losses.py.


def adacos_scale(step: Step) -> Tensor:
    """s̃ ← log(mean_rows Σ_{j≠y} e^{s̃ c_j}) / cos(min(π/4, median θ_y)), from √2·log(C - 1).

    The median of an even number of angles is the lower of the middle two, as torch.median has it.
    """
    first = torch.tensor(math.sqrt(2) * math.log(step.classes - 1), dtype=torch.float64)
    before = step.state.get("scale", first)
    spread = (torch.exp(before * step.cosines) * ~step.is_target).sum(1).mean()
    middle = step.theta.median().clamp(max=math.pi / 4)
    return stop(torch.log(spread) / torch.cos(middle))


def adacos(step: Step) -> Result:
    return cross_entropy(step, adacos_scale(step) * step.cosines)


def adaptiveface(step: Step, *, scale: float = 32.0, weight: float = 70.0) -> Result:
    """Margins are put back into [0, 1] after each step (FaceX-Zoo AM_Softmax): the gradient passes."""
    margin = step.own["margin"] + stop(step.own["margin"].clamp(0, 1) - step.own["margin"])
    z = scale * step.join(step.t - margin[step.labels], step.cosines)
    return cross_entropy(step, z, weight * (1 - margin).mean())


def adaface_statistics(step: Step, alpha: float) -> tuple[Tensor, Tensor]:
    """Running mean and unbiased deviation of the norms, from 20 and 100."""
    norms = stop(step.norm).clamp(0.001, 100)
    mean = step.state.get("mean", torch.tensor(20.0, dtype=torch.float64))
    std = step.state.get("std", torch.tensor(100.0, dtype=torch.float64))
    return alpha * norms.mean() + (1 - alpha) * mean, alpha * norms.std(correction=1) + (1 - alpha) * std


def adaface_quality(step: Step, h: float, alpha: float) -> Tensor:
    """The norm's place in its distribution, within ±1."""
    mean, std = adaface_statistics(step, alpha)
    return (h * (stop(step.norm).clamp(0.001, 100) - mean) / (std + 1e-3)).clamp(-1, 1)


def adaface(
    step: Step, *, margin: float = 0.4, scale: float = 64.0, h: float = 0.333, alpha: float = 0.01
) -> Result:
    k = adaface_quality(step, h, alpha)
    angle = (step.theta - margin * k).clamp(1e-3, math.pi - 1e-3)
    return cross_entropy(step, scale * step.join(torch.cos(angle) - (margin + margin * k), step.cosines))


def magface(
    step: Step,
    *,
    low_margin: float = 0.45,
    high_margin: float = 0.8,
    low_norm: float = 10.0,
    high_norm: float = 110.0,
    weight: float = 35.0,
    scale: float = 64.0,
    easy_margin: bool = True,
) -> Result:
    a = step.norm.clamp(low_norm, high_norm)
    margin = low_margin + (high_margin - low_margin) * (a - low_norm) / (high_norm - low_norm)
    wish = (a / high_norm**2 + 1 / a).mean()
    z = scale * step.join(arc(step.t, margin, easy=easy_margin), step.cosines)
    return cross_entropy(step, z, weight * wish)


def elasticface(
    step: Step,
    *,
    margin: float | None = None,
    sigma: float = 0.05,
    scale: float = 64.0,
    base: str = "arcface",
    plus: bool = False,
    margins: Tensor | None = None,
) -> Result:
    """`margins` (B,) as drawn from N(margin, sigma); plus: the smallest goes to the largest t."""
    mean = margin if margin is not None else {"arcface": 0.5, "cosface": 0.35}[base]
    assert margins is not None or sigma == 0, "the margins that were drawn"
    drawn = torch.full_like(step.t, mean) if margins is None else margins.double()
    if plus:
        nearest_first = stop(step.t).argsort(descending=True)
        drawn = torch.empty_like(drawn).index_copy(0, nearest_first, drawn.sort().values)
    target = arc(step.t, drawn) if base == "arcface" else step.t - drawn
    return cross_entropy(step, scale * step.join(target, step.cosines))


# Several centres a class: Sub-center ArcFace, ECCV 2020; `look` has taken the nearest.


def subcenter(
    step: Step,
    *,
    centers: int = 3,
    over: str = "arcface",
    margin: float | None = None,
    scale: float | None = None,
    **others: Any,
) -> Result:
    given = {name: value for name, value in (("margin", margin), ("scale", scale)) if value is not None}
    return LOSSES[over](step, **given, **others)


# Binary decisions: SphereFace2-C, arXiv 2108.01513, ydwen/opensphere sphereface2.py; UniFace, ICCV 2023,
# CVI-SZU/UniFace head.py. The logits are those of the decisions.


def sphereface2(
    step: Step,
    *,
    margin: float = 0.4,
    scale: float = 40.0,
    alpha: float = 0.7,
    t: float = 3.0,
    weight: float = 50.0,
    gradient: str = "detached",
) -> Result:
    g = 2 * ((step.cosines + 1) / 2) ** t - 1
    kept = by_gradient(gradient, step.cosines, step.join(step.pick(g) - margin, g + margin))
    factor = weight / scale
    return decisions(step, scale * kept + step.learned["b"], factor * alpha, factor * (1 - alpha))


def uniface(step: Step, *, margin: float = 0.4, scale: float = 64.0, weight: float = 1.0) -> Result:
    z = scale * step.join(step.t - margin, step.cosines) - step.learned["b"]
    return decisions(step, z, 1.0, weight)


def sphereface2_bias(
    classes: int, *, margin: float = 0.4, scale: float = 40.0, alpha: float = 0.7, t: float = 3.0
) -> float:
    """b that has no gradient where every cosine is 0 (opensphere's sphereface2.py)."""
    z = alpha / ((1 - alpha) * (classes - 1))
    middle = 2 * 0.5**t - 1
    own, other = scale * (middle - margin), scale * (middle + margin)
    root = math.sqrt((1 - z) ** 2 + 4 * z * math.exp(own - other))
    if z > 1:  # the same without a difference of near numbers
        return math.log((root + z - 1) / 2) - own
    return math.log(2 * z) - other - math.log(1 - z + root)


def uniface_bias(classes: int, rate: float = 1.0) -> float:
    """b₀ = log(10·C·r)."""
    return math.log(10 * classes * rate)


LOSSES: dict[str, Callable[..., Result]] = {
    "softmax": softmax,
    "normface": normface,
    "sphereface": sphereface,
    "sphereface-r": sphereface_r,
    "cosface": cosface,
    "arcface": arcface,
    "combined": combined,
    "li-arc": li_arc,
    "circle": circle,
    "curricularface": curricularface,
    "mv-softmax": mv_softmax,
    "arcneg": arcneg,
    "npc": npc,
    "adacos": adacos,
    "adaptiveface": adaptiveface,
    "adaface": adaface,
    "magface": magface,
    "elasticface": elasticface,
    "subcenter": subcenter,
    "sphereface2": sphereface2,
    "uniface": uniface,
}


def result(
    name: str,
    embeddings: Tensor,
    labels: Tensor,
    weight: Tensor,
    /,
    *,
    bias: Tensor | None = None,
    own: Mapping[str, Tensor] = NOTHING,
    learned: Mapping[str, Tensor] = NOTHING,
    state: Mapping[str, Tensor] = NOTHING,
    step: int = 1,
    **options: Any,
) -> Result:
    """Logits and mean loss of the global batch, float64; `state` as it was before the step."""
    seen = look(embeddings, labels, weight, bias=bias, own=own, learned=learned, state=state, step=step)
    return LOSSES[name](seen, **options)


def naive(name: str, embeddings: Tensor, labels: Tensor, weight: Tensor, /, **rest: Any) -> Tensor:
    """The mean loss of the global batch; arguments as `result` has them."""
    return result(name, embeddings, labels, weight, **rest).loss


def remembered(
    name: str,
    embeddings: Tensor,
    labels: Tensor,
    weight: Tensor,
    /,
    *,
    state: Mapping[str, Tensor] = NOTHING,
    **options: Any,
) -> dict[str, Tensor]:
    """The running values after the step, under the names of `state`; empty for a loss that has none."""
    seen = look(embeddings.detach(), labels, weight.detach(), state=state)
    alpha = options.get("alpha", 0.01)
    kind = options.get("over", "arcface") if name == "subcenter" else name
    if kind == "curricularface":
        return {"t_mean": curricular_mean(seen, alpha)}
    if kind == "adaface":
        return dict(zip(("mean", "std"), adaface_statistics(seen, alpha), strict=True))
    if kind == "adacos":
        return {"scale": adacos_scale(seen)}
    return {}

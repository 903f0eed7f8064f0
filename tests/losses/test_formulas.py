"""The naive losses themselves: against MXNet's numbers, published values, identities and finite differences.

`SETUPS` and `problem` are for whoever compares something with them.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from arcterm_registry import Loss
from torch import Tensor

import arcterm.losses

from . import naive as oracle
from .naive import LOSSES, Step, naive, remembered, result

BATCH, CLASSES, SIZE = 12, 7, 5
LABELS = (4, 4, 0, 6, 2, 2, 0, 1, 5, 0, 6, 1)  # none of class 3
ANGLES = (1.0, 2.3, 0.4, 1.7, 3.05, 1.2, 2.7, 0.75, 2.0, 0.1, 1.4, 2.9)  # of each row with its own class
NEAR = tuple(angle * 0.3 for angle in ANGLES)
NORMS = (0.5, 0.7, 1.0, 4.0, 1.2, 8.0, 5.0, 3.0, 1.5, 6.0, 2.0, 2.5)
QUALITIES = (20.0, 90.0, 1.0, 12.0, 1.2, 30.0, 130.0, 105.0, 60.0, 150.0, 40.0, 35.0)
SOFT = {"scale": 4.0}  # no logit of these drowns the others


def each(*options: dict[str, Any], **over: Sequence[Any]) -> list[dict[str, Any]]:
    """Every `options` with every combination of `over`."""
    found = list(options)
    for name, values in over.items():
        found = [{**one, name: value} for one in found for value in values]
    return found


SETUPS: dict[str, list[dict[str, Any]]] = {
    "softmax": [{}],
    "normface": [{}, SOFT, {"scale": 1024.0}],
    "sphereface": [
        {},
        *each({"start": 2.0, "floor": 0.5}, margin=(1.0, 2.0, 3.0, 4.0)),
        {"start": 0.0, "floor": 0.0},
        {"start": 2.0, "floor": 1.5},
        {"start": 2.0, "floor": 0.0, "gamma": 0.06, "power": 2.0},
        {"start": 0.7, "floor": 0.0, "freeze": 20},
        {"start": 2.0, "floor": 0.0, "freeze": 3, "gamma": 1.0},
        {"start": 2.0, "floor": 0.0, "power": 0.0},
    ],
    "sphereface-r": [{}, *each(SOFT, margin=(1.0, 1.7, 3.3, 4.0), gradient=("exact", "detached"))],
    "cosface": [{}, *each(SOFT, margin=(0.0, 0.35, 1.0))],
    "arcface": [
        {},
        *each(
            SOFT,
            fallback=("line", "none", "clip"),
            gradient=("exact", "detached"),
            easy_margin=(False, True),
        ),
        *each(SOFT, margin=(0.0, 1.55), fallback=("line", "clip")),
    ],
    "combined": [
        {},
        *each(SOFT, fallback=("line", "none", "clip"), gradient=("exact", "detached")),
        *each({**SOFT, "m1": 0.9, "m2": 0.4, "m3": 0.15}, fallback=("line", "none", "clip")),
        *each({**SOFT, "m1": 1.35, "m2": 0.0, "m3": 0.0}, fallback=("line", "none", "clip")),
        *each({**SOFT, "m1": 4.0, "m2": 1.5, "m3": 1.0}, fallback=("line", "none", "clip")),
        *each({**SOFT, "m1": 0.2}, m2=(0.0, 1.5)),
    ],
    "li-arc": [{}, *each(SOFT, others=("linear", "cosine"), margin=(0.0, 0.45, 1.5))],
    "circle": [{}, *each(SOFT, margin=(0.0, 0.25, 1.0))],
    "curricularface": [{}, *each(SOFT, alpha=(0.0, 0.01, 1.0)), {**SOFT, "margin": 1.5}],
    "mv-softmax": [
        {},
        *each(SOFT, base=("cosface", "arcface"), tau=(1.0, 1.12, 2.0)),
        {**SOFT, "base": "arcface", "margin": 1.0},
    ],
    "arcneg": [{}, SOFT, {**SOFT, "alpha": 4.0, "sigma": 0.1}, {**SOFT, "margin": 1.5, "sigma": 100.0}],
    "npc": [
        {},
        SOFT,
        {**SOFT, "m0": 0.0, "m1": 1.5},
        {**SOFT, "m0": 1.5, "m1": 0.0, "tau": 2.0, "a": 1.0},
        {**SOFT, "tau": 0.0, "a": 0.0},
    ],
    "adacos": [{}],
    "adaptiveface": [{}, SOFT, {**SOFT, "weight": 0.0}],
    "adaface": [
        {},
        SOFT,
        *each(SOFT, h=(0.0, 10.0)),
        *each(SOFT, alpha=(0.0, 1.0)),
        {**SOFT, "margin": 1.0},
    ],
    "magface": [
        {},
        *each({**SOFT, "weight": 0.0}, easy_margin=(True, False)),
        *each({**SOFT, "weight": 35.0}, easy_margin=(True, False)),
        {**SOFT, "low_margin": 0.0, "high_margin": 1.5, "easy_margin": False},
        {**SOFT, "low_margin": 0.8, "high_margin": 0.45, "low_norm": 2.0, "high_norm": 50.0},
    ],
    "elasticface": [
        {},
        *each(SOFT, base=("arcface", "cosface"), plus=(False, True)),
        *each({**SOFT, "sigma": 0.0}, base=("arcface", "cosface")),
        *each({**SOFT, "margin": 0.3, "sigma": 0.8}, base=("arcface", "cosface"), plus=(False, True)),
    ],
    "subcenter": [
        {},
        *each({**SOFT, "margin": 0.3}, over=("arcface", "cosface"), centers=(1, 2, 5)),
        *each(SOFT, over=("normface", "curricularface", "uniface", "sphereface2", "adaface", "magface")),
        {"over": "softmax", "centers": 2},
    ],
    "sphereface2": [
        {},
        *each({**SOFT, "weight": 4.0}, gradient=("exact", "detached"), alpha=(0.3, 0.7)),
        *each({**SOFT, "gradient": "exact"}, t=(1.0, 10.0), margin=(0.0, 1.0)),
    ],
    "uniface": [{}, SOFT, {**SOFT, "weight": 0.1, "margin": 1.0}],
}


@dataclass(frozen=True)
class Problem:
    """A loss with its options, and a batch for it; what only some losses need is empty or None elsewhere."""

    name: str
    options: Mapping[str, Any]
    embeddings: Tensor
    labels: Tensor
    weight: Tensor
    bias: Tensor | None = None
    own: Mapping[str, Tensor] = field(default_factory=dict)
    learned: Mapping[str, Tensor] = field(default_factory=dict)
    state: Mapping[str, Tensor] = field(default_factory=dict)
    step: int = 9
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    """Arguments of the naive loss that are no options: `margins` of elasticface."""

    @property
    def rest(self) -> dict[str, Any]:
        """Keywords of the naive loss."""
        named = {"bias": self.bias, "own": self.own, "learned": self.learned, "state": self.state}
        return {**named, "step": self.step, **self.options, **self.extra}

    def loss(self) -> Tensor:
        return naive(self.name, self.embeddings, self.labels, self.weight, **self.rest)

    def leaves(self) -> dict[str, Tensor]:
        """Everything that learns: embeddings, weight, bias, and own and learned by their names."""
        found = {"embeddings": self.embeddings, "weight": self.weight, **self.own, **self.learned}
        return found if self.bias is None else {**found, "bias": self.bias}

    def of(self, leaves: Mapping[str, Tensor]) -> Problem:
        """The same with these in place of its own `leaves`."""
        return replace(
            self,
            embeddings=leaves["embeddings"],
            weight=leaves["weight"],
            bias=leaves.get("bias"),
            own={name: leaves[name] for name in self.own},
            learned={name: leaves[name] for name in self.learned},
        )

    def gradients(self) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and its gradient for each of the leaves."""
        leaves = {name: value.detach().clone().requires_grad_() for name, value in self.leaves().items()}
        loss = self.of(leaves).loss()
        found = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
        return loss.detach(), dict(zip(leaves, found, strict=True))

    def seen(self) -> Step:
        """The batch as the formulas see it."""
        return oracle.look(
            self.embeddings,
            self.labels,
            self.weight,
            bias=self.bias,
            own=self.own,
            learned=self.learned,
            state=self.state,
            step=self.step,
        )

    def remembered(self) -> dict[str, Tensor]:
        """`state` after the step."""
        return remembered(
            self.name, self.embeddings, self.labels, self.weight, state=self.state, **self.options
        )


def unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=-1, keepdim=True)


def directions(angles: Sequence[float], centers: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Unit rows at these angles from their own classes' middles, and unit weights (C, K, D) around those."""
    middles = unit(torch.randn(CLASSES, SIZE, generator=draw, dtype=torch.float64))
    near = 0.1 * unit(torch.randn(SIZE, generator=draw, dtype=torch.float64))
    middles[3] = unit(middles[LABELS[angles.index(max(angles))]] + near)  # two that are opposite one row
    own = middles[list(LABELS)]
    aside = torch.randn(BATCH, SIZE, generator=draw, dtype=torch.float64)
    aside = unit(aside - (aside * own).sum(1, keepdim=True) * own)
    theta = torch.tensor(angles, dtype=torch.float64)[:, None]
    rows = theta.cos() * own + theta.sin() * aside
    around = torch.randn(CLASSES, centers, SIZE, generator=draw, dtype=torch.float64)
    return rows, unit(middles[:, None] + (0.2 * around if centers > 1 else 0))


def memory(kind: str) -> dict[str, Tensor]:
    """What a run in its course would remember."""
    values = {
        "curricularface": {"t_mean": 0.3},
        "adaface": {"mean": 30.0, "std": 8.0},
        "adacos": {"scale": 3.0},
    }.get(kind, {})
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}


def drawn(options: Mapping[str, Any], draw: torch.Generator) -> Tensor:
    """ElasticFace's margins."""
    mean = options.get("margin", {"arcface": 0.5, "cosface": 0.35}[options.get("base", "arcface")])
    return mean + options.get("sigma", 0.05) * torch.randn(BATCH, generator=draw, dtype=torch.float64)


def problem(
    name: str,
    options: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float64,
    *,
    angles: Sequence[float] = ANGLES,
    norms: Sequence[float] | None = None,
) -> Problem:
    """A batch that takes this loss through all branches of its formula; the same numbers in every dtype."""
    options = dict(options or {})
    draw = torch.Generator().manual_seed(5)
    kind = options.get("over", "arcface") if name == "subcenter" else name
    centers = options.get("centers", 3) if name == "subcenter" else 1
    rows, centres = directions(angles, centers, draw)
    norms = norms or (QUALITIES if kind in ("adaface", "magface") else NORMS)
    sizes = 0.3 + 3 * torch.rand(CLASSES, 1, 1, generator=draw, dtype=torch.float64)
    bias = torch.randn(CLASSES, generator=draw, dtype=torch.float64)
    own = 0.3 + 0.1 * torch.rand(CLASSES, generator=draw, dtype=torch.float64)
    own[1], own[2] = -0.2, 1.3  # beyond what counts
    weight = sizes * centres
    margins = drawn(options, draw) if kind == "elasticface" else None
    return Problem(
        name,
        options,
        (torch.tensor(norms, dtype=torch.float64)[:, None] * rows).to(dtype),
        torch.tensor(LABELS),
        (weight if centers > 1 else weight[:, 0]).to(dtype),
        bias.to(dtype) if kind == "softmax" else None,
        {"margin": own.to(dtype)} if kind == "adaptiveface" else {},
        {"b": torch.tensor(0.7, dtype=dtype)} if kind in ("uniface", "sphereface2") else {},
        {key: value.to(dtype) for key, value in memory(kind).items()},
        extra={} if margins is None else {"margins": margins.to(dtype)},
    )


ALL = [(name, options) for name, setups in SETUPS.items() for options in setups]


def title(value: object) -> str:
    if isinstance(value, dict):
        return ",".join(f"{key}={one}" for key, one in value.items()) or "defaults"
    return str(value)


def declared(name: str) -> Loss:
    return getattr(arcterm.losses, name.replace("-", "_"))


def same(left: tuple[Tensor, dict[str, Tensor]], right: tuple[Tensor, dict[str, Tensor]]) -> bool:
    """Loss and gradients agree, as far as both have them."""
    pairs = [(left[0], right[0]), *((left[1][k], right[1][k]) for k in left[1] if k in right[1])]
    return all(torch.allclose(a, b, rtol=1e-9, atol=1e-11) for a, b in pairs)


# The set-ups


def test_every_classification_loss_is_here():
    kinds = {value for value in vars(arcterm.losses).values() if isinstance(value, Loss)}
    assert len(kinds) == len(LOSSES) + 1  # and triplet
    assert list(SETUPS) == list(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_options_and_defaults_are_the_declared_ones(name):
    found = inspect.signature(LOSSES[name]).parameters.values()
    named = {one.name: one.default for one in found if one.kind is one.KEYWORD_ONLY}
    named.pop("margins", None)
    assert named == {option.name: option.default for option in declared(name).options}


@pytest.mark.parametrize(("name", "options"), ALL, ids=title)
def test_setups_are_allowed_and_give_numbers(name, options):
    settings = declared(name).settings({**options})
    assert settings.items() >= options.items()
    loss, gradients = problem(name, options).gradients()
    assert loss.dtype == torch.float64 and loss.isfinite()
    assert all(value.isfinite().all() for value in gradients.values())
    assert any(value.any() for value in gradients.values())


@pytest.mark.parametrize("name", LOSSES)
def test_problems_are_the_same_in_float32(name):
    single, double = problem(name, dtype=torch.float32), problem(name)
    assert single.embeddings.dtype == torch.float32
    assert torch.allclose(single.embeddings.double(), double.embeddings, rtol=1e-6)
    assert torch.allclose(single.loss(), double.loss(), rtol=1e-4)


def past(step: Step, margin: Tensor | float) -> Tensor:
    return step.theta + margin > math.pi


def harder(step: Step, bar: Tensor) -> Tensor:
    return (step.cosines > bar[:, None])[~step.is_target]


def qualities(step: Step) -> dict[str, Tensor]:
    k = oracle.adaface_quality(step, 0.333, 0.01)
    angle = step.theta - 0.4 * k
    return {
        "k = -1": k == -1,
        "k = 1": k == 1,
        "angle < 0": angle < 1e-3,
        "angle > π": angle > math.pi - 1e-3,
    }


BRANCHES: list[tuple[str, dict[str, Any], Callable[[Step], dict[str, Tensor]]]] = [
    ("sphereface", {"margin": 2.0}, lambda s: {"k": 2 * s.theta > math.pi}),
    ("sphereface", {}, lambda s: {f"k = {k}": (4 * s.theta / math.pi).floor() == k for k in range(4)}),
    ("sphereface-r", {}, lambda s: {"k": 1.7 * s.theta > math.pi}),
    ("arcface", {}, lambda s: {"past": past(s, 0.5), "easy": s.t > 0}),
    ("combined", {}, lambda s: {"past": past(s, 0.3), "1.35": 1.35 * s.theta > math.pi}),
    ("combined", {}, lambda s: {"0.9": 0.9 * s.theta + 0.4 > math.pi, "4": 4 * s.theta + 1.5 > math.pi}),
    ("circle", {}, lambda s: {"push": s.cosines[~s.is_target] > -0.25}),
    ("curricularface", {}, lambda s: {"past": past(s, 0.5), "hard": harder(s, (s.theta + 0.5).cos())}),
    ("mv-softmax", {}, lambda s: {"applies": s.t > 0.35, "hard": harder(s, s.t - 0.35)}),
    ("mv-softmax", {}, lambda s: {"arc": s.t > 0, "hard": harder(s, (s.theta + 0.35).cos())}),
    ("arcneg", {}, lambda s: {"past": past(s, 0.5)}),
    ("npc", {}, lambda s: {"applies": s.t > 0, "hard": harder(s, (s.theta + 0.4).cos())}),
    ("npc", {}, lambda s: {"some": oracle.npc_hard(s, 0.4).any(1)}),
    ("adaptiveface", {}, lambda s: {"low": s.own["margin"] < 0, "high": s.own["margin"] > 1}),
    ("adaface", {}, qualities),
    ("magface", {}, lambda s: {"low": s.norm < 10, "high": s.norm > 110, "easy": s.t > 0}),
    ("magface", {}, lambda s: {"past": past(s, 0.45)}),
    ("elasticface", {}, lambda s: {"past": past(s, 0.45)}),
    ("subcenter", {}, lambda s: {"past": past(s, 0.5)}),
]


@pytest.mark.parametrize(("name", "options", "conditions"), BRANCHES)
def test_problems_take_every_branch(name, options, conditions):
    for what, branch in conditions(problem(name, options).seen()).items():
        assert branch.any() and not branch.all(), what


def test_problems_tell_the_comparison_from_the_fallback():
    """A class that is nearer than the line past 180 degrees but not nearer than cos(θ + m)."""
    seen = problem("curricularface").seen()
    line = oracle.arc(seen.t, 0.5)
    assert (harder(seen, line) != harder(seen, (seen.theta + 0.5).cos())).any()


def test_problems_take_the_rare_branches_too():
    apart = SETUPS["elasticface"][-1]
    margins = problem("elasticface", apart).extra["margins"]
    assert (margins < 0).any() and (margins > math.pi / 4).any()
    assert problem("adacos").seen().theta.median() > math.pi / 4
    assert problem("adacos", angles=NEAR).seen().theta.median() < math.pi / 4
    given = problem("subcenter")
    near = torch.einsum("bd,ckd->bck", given.embeddings, unit(given.weight)).argmax(2)
    assert set(near[torch.arange(BATCH), given.labels].tolist()) == {0, 1, 2}
    tiny = problem("adaface", norms=(5e-4, *QUALITIES[1:]))
    assert tiny.loss().isfinite() and tiny.seen().norm.min() < 1e-3 and tiny.seen().norm.max() > 100
    assert problem("arcface", {"margin": 0.0}).seen().t.min() < -0.99
    steps = {
        oracle.share(8, CLASSES, **{k: v for k, v in one.items() if k != "margin"})
        for one in SETUPS["sphereface"]
    }
    assert {0.0, 0.7, 1.5, 2.0} < steps and len(steps) == 8


# MXNet 1.1.0

GOLDEN = {
    "cos": ("cosface", {"margin": 0.35}, {"margin": 0.351}),
    "arc": ("arcface", {"margin": 0.5}, {"margin": 0.501}),
    "arceasy": ("arcface", {"margin": 0.5, "easy_margin": True}, {"margin": 0.5}),
}


def distance(file: Mapping[str, np.ndarray], key: str, name: str, options: Mapping[str, Any]) -> float:
    """How far our logits and gradients of the mean loss are from the file's, of its largest numbers."""
    embeddings, weight = (torch.from_numpy(file[k]).double().requires_grad_() for k in ("emb", "W"))
    ours = result(name, embeddings, torch.from_numpy(file["lab"]).long(), weight, **options)
    gradients = torch.autograd.grad(ours.loss, (embeddings, weight))
    theirs = [torch.from_numpy(file[f"{key}_{part}"]).double() for part in ("l", "ge", "gw")]
    pairs = zip((ours.logits, *gradients), theirs, strict=True)
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in pairs)


@pytest.mark.parametrize("key", GOLDEN)
def test_as_mxnet_computes_it(test_data, key):
    """The file's gradients are those of the mean over the batch."""
    path: Path = test_data("mxnet/golden_1_1_0/loss.npz")
    name, options, wrong = GOLDEN[key]
    with np.load(path) as file:
        assert distance(file, key, name, options) < 2e-5
        assert distance(file, key, name, wrong) > 5e-4


# Published values


def at(theta: float, *, norm: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """One embedding at this angle from class 0, at right angles to class 2; class 1 is beside it."""
    x = norm * torch.tensor([[math.cos(theta), math.sin(theta), 0.0]], dtype=torch.float64)
    return x, torch.tensor([0]), torch.eye(3, dtype=torch.float64)


def target_of(name: str, theta: float, *, norm: float = 1.0, **rest: Any) -> float:
    """f(t) of a loss."""
    return result(name, *at(theta, norm=norm), scale=1.0, **rest).logits[0, 0].item()


@pytest.mark.parametrize("name", ["arcface", "curricularface", "arcneg"])
def test_arcface_falls_back_at_its_published_threshold(name):
    th, mm = -0.87758, 0.23971
    for t in (th - 2e-5, -0.95, -0.999):
        assert target_of(name, math.acos(t), margin=0.5) == pytest.approx(t - mm, abs=1e-5)
    for t in (th + 2e-5, -0.5, 0.9):
        f = t * math.cos(0.5) - math.sqrt(1 - t * t) * math.sin(0.5)
        assert target_of(name, math.acos(t), margin=0.5) == pytest.approx(f, abs=1e-5)
        assert target_of(name, math.acos(t), margin=0.501) != pytest.approx(f, abs=1e-5)


def test_unit_vectors_have_a_floor_under_the_root():
    x, labels, weight = at(0.0, norm=1e-5)
    for length, agrees in ((math.sqrt(2e-10), True), (math.sqrt(1.1e-10), False), (1e-5, False)):
        assert (target_of("normface", 0.0, norm=1e-5) == pytest.approx(1e-5 / length, rel=1e-6)) == agrees
    assert oracle.look(x, labels, weight).norm.item() == pytest.approx(math.sqrt(2e-10))


def test_arcface_slope_near_one():
    t = torch.tensor([0.99999], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(oracle.arc(t, 0.5).sum(), t)
    assert slope.item() == pytest.approx(108, abs=0.5)
    (other,) = torch.autograd.grad(oracle.arc(t, 0.49).sum(), t)
    assert other.item() != pytest.approx(108, abs=0.5)


@pytest.mark.parametrize(("classes", "at_floor"), [(20_000, 1659), (20_001, 8317)])
def test_sphereface_reaches_its_floor_on_schedule(classes, at_floor):
    assert oracle.share(0, classes) == 1000
    assert oracle.share(at_floor, classes) == 5 < oracle.share(at_floor - 1, classes)
    assert oracle.share(at_floor, classes, gamma=0.0599) > 5
    assert oracle.share(5000, 20_001) == 1000 > oracle.share(5001, 20_001)


def test_sphereface_uses_the_share_of_the_batch_before():
    options = {"margin": 2.0, "start": 10.0, "floor": 0.0, "gamma": 1.0}
    for step, part in ((1, 10.0), (2, 5.0), (10, 1.0)):
        f = 2 * (part * math.cos(1.0) + math.cos(2.0)) / (1 + part)
        given = result("sphereface", *at(1.0, norm=2.0), step=step, **options).logits[0, 0].item()
        later = result("sphereface", *at(1.0, norm=2.0), step=step + 1, **options).logits[0, 0].item()
        assert given == pytest.approx(f) and later != pytest.approx(f)


@pytest.mark.parametrize(("theta", "value"), [(0.0, 1), (0.25, -1), (0.5, -3), (0.75, -5), (1.0, -7)])
def test_sphereface_steps_down_by_two_each_quarter(theta, value):
    for near in (theta - 1e-7, theta + 1e-7):
        angle = torch.tensor(min(max(near, 0.0), 1.0) * math.pi, dtype=torch.float64)
        assert oracle.folded(angle, 4.0).item() == pytest.approx(value, abs=1e-9)
        assert oracle.folded(angle, 3.0).item() != pytest.approx(value, abs=1e-9) or theta == 0


def test_folded_angles_never_rise():
    angles = torch.linspace(0, math.pi, 4001, dtype=torch.float64)
    for margin in (1.0, 1.7, 2.0, 3.3, 4.0):
        assert (oracle.folded(angles, margin).diff() <= 1e-12).all()
        assert margin == 1.0 or not (torch.cos(margin * angles).diff() <= 1e-12).all()


def test_curricular_compares_with_the_turned_up_cosine():
    """At 3.0 rad: cos(3.5) = -0.936, the line is at -1.230, and a class at -0.961 is between them."""
    x, labels, _ = at(3.0)
    weight = torch.tensor([[1.0, 0, 0], [math.cos(0.42), -math.sin(0.42), 0]], dtype=torch.float64)
    z = result("curricularface", x, labels, weight, scale=1.0).logits[0].tolist()
    assert z == pytest.approx([math.cos(3.0) - 0.5 * math.sin(0.5), math.cos(3.42)])
    c = math.cos(3.42)
    hard = result("curricularface", x, labels, weight, scale=1.0, margin=0.1, alpha=0.0).logits[0, 1].item()
    assert hard == pytest.approx(c * c)  # cos(3.1) = -0.999 is below it


@pytest.mark.parametrize(("m1", "m2"), [(1.0, 0.5), (0.9, 0.4), (1.35, 0.0), (4.0, 1.5)])
def test_combined_falls_from_180_degrees_by_arcfaces_drop(m1, m2):
    star = (math.pi - m2) / m1
    options = {"m1": m1, "m2": m2, "m3": 0.1}
    before, after, later = (target_of("combined", star + d, **options) for d in (-1e-6, 1e-6, 0.05))
    assert before == pytest.approx(-1.1, abs=1e-5)
    assert after == pytest.approx(-1.1 - (m2 * math.sin(m2) + math.cos(m2) - 1), abs=1e-5)
    assert later - after == pytest.approx(math.cos(star + 0.05) - math.cos(star), abs=1e-5)
    assert target_of("combined", star + 0.05, fallback="clip", **options) == pytest.approx(-1.1)
    turned = math.cos(m1 * (star + 0.05) + m2) - 0.1
    assert target_of("combined", star + 0.05, fallback="none", **options) == pytest.approx(turned)


@pytest.mark.parametrize("base", ["cosface", "arcface"])
def test_mv_softmax_margin_and_hard_classes(base):
    """The margin applies above t = m, or above t = 0; of the others at sin θ and 0 the first is hard."""
    for theta, applies in ((1.0, True), (1.4, base == "arcface"), (1.6, False)):
        options = {"base": base, "margin": 0.35, "tau": 1.2, "scale": 1.0}
        z = result("mv-softmax", *at(theta), **options).logits[0].tolist()
        bar = math.cos(theta) - 0.35 if base == "cosface" else math.cos(theta + 0.35)
        last = 0.2 if bar < 0 else 0.0
        assert z == pytest.approx([bar if applies else math.cos(theta), 1.2 * math.sin(theta) + 0.2, last])
        off = result("mv-softmax", *at(theta), **{**options, "tau": 1.19}).logits[0, 1].item()
        assert off != pytest.approx(z[1])


def test_adaptiveface_wishes_for_margins_of_all_classes():
    given = problem("adaptiveface", SOFT)
    margins = given.own["margin"].clamp(0, 1)
    wish = (given.loss() - replace(given, options={**SOFT, "weight": 0.0}).loss()).item()
    assert wish == pytest.approx(70 * (1 - margins).mean().item())
    assert wish != pytest.approx(70 * (1 - margins[list(LABELS)]).mean().item())
    assert wish != pytest.approx(70 * (1 - given.own["margin"]).mean().item())


def test_adaface_keeps_clear_of_0_and_180_degrees():
    state = {"mean": torch.tensor(20.0), "std": torch.tensor(0.0)}
    rest = {"state": state, "alpha": 0.0, "scale": 1.0}
    for theta, norm, f in (
        (0.1, 30.0, math.cos(1e-3) - 0.8),
        (3.1, 10.0, -math.cos(1e-3)),
        (1.0, 20.001, math.cos(1.0 - 0.4 * 0.333) - 0.4 * 1.333),
    ):
        batch = twice(at(theta, norm=norm))
        given, off = (result("adaface", *batch, **rest, margin=m).logits[0, 0].item() for m in (0.4, 0.401))
        assert given == pytest.approx(f, abs=1e-8)
        assert off != pytest.approx(f, abs=1e-8) or theta == 3.1  # where k = -1 the margin is spent


def test_uniface_weighs_other_classes():
    options = {"scale": 2.0, "margin": 0.4, "weight": 0.5}
    loss = naive("uniface", *at(1.0), learned={"b": torch.tensor(0.3)}, **options).item()
    own = math.log(1 + math.exp(-(2 * (math.cos(1.0) - 0.4) - 0.3)))
    others = sum(math.log(1 + math.exp(2 * c - 0.3)) for c in (math.sin(1.0), 0.0))
    assert loss == pytest.approx(own + 0.5 * others, abs=1e-7)
    assert loss != pytest.approx(0.5 * own + others, abs=1e-7)


ADAFACE = {
    -1: lambda a, m: math.cos(a + m),
    0: lambda a, m: math.cos(a) - m,
    1: lambda a, m: math.cos(a - m) - 2 * m,
}


@pytest.mark.parametrize("k", ADAFACE)
def test_adaface_is_arcface_cosface_and_its_opposite(k):
    state = {"mean": torch.tensor(20.0), "std": torch.tensor(1.0)}
    rest = {"state": state, "alpha": 0.0, "margin": 0.4}
    batch = at(1.1, norm=20.0 + 10 * k)
    f = result("adaface", *twice(batch), scale=1.0, **rest).logits[0, 0].item()
    assert f == pytest.approx(ADAFACE[k](1.1, 0.4))
    assert f != pytest.approx(ADAFACE[k](1.1, 0.41))


def twice(batch: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    x, labels, weight = batch
    return torch.cat([x, x]), torch.cat([labels, labels]), weight


def test_adaface_remembers_clipped_norms():
    x = torch.tensor([[3.0, 0, 0], [0, 50.0, 0], [0, 0, 900.0], [1e-6, 0, 0]], dtype=torch.float64)
    after = remembered("adaface", x, torch.zeros(4, dtype=torch.int64), torch.eye(3), alpha=0.25)
    norms = np.array([3.0, 50.0, 100.0, 0.001])
    assert after["mean"].item() == pytest.approx(0.75 * 20 + 0.25 * norms.mean(), abs=1e-6)
    assert after["std"].item() == pytest.approx(0.75 * 100 + 0.25 * norms.std(ddof=1), abs=1e-6)
    assert after["std"].item() != pytest.approx(0.75 * 100 + 0.25 * norms.std(), abs=1e-6)


@pytest.mark.parametrize(("norm", "margin"), [(1, 0.45), (10, 0.45), (60, 0.625), (110, 0.8), (500, 0.8)])
def test_magface_margin_and_penalty_follow_the_norm(norm, margin):
    f = target_of("magface", 0.6, norm=float(norm))
    assert f == pytest.approx(math.cos(0.6 + margin)) and f != pytest.approx(math.cos(0.6 + margin + 0.01))
    a = min(max(norm, 10), 110)
    with_it, without = (naive("magface", *at(0.6, norm=float(norm)), weight=w).item() for w in (35.0, 0.0))
    assert with_it - without == pytest.approx(35 * (a / 110**2 + 1 / a))


def test_curricular_mean_moves_by_a_hundredth():
    x, labels, weight = at(1.0)
    after = remembered("curricularface", x, labels, weight, state={"t_mean": torch.tensor(0.5)})
    assert after["t_mean"].item() == pytest.approx(0.99 * 0.5 + 0.01 * math.cos(1.0), abs=1e-7)
    hard = result("curricularface", x, labels, weight, scale=1.0, alpha=0.01).logits[0, 1].item()
    assert hard == pytest.approx(math.sin(1.0) * (0.01 * math.cos(1.0) + math.sin(1.0)))


def test_adacos_first_scale_and_update():
    x, labels, weight = at(1.0)
    first = math.sqrt(2) * math.log(2)
    spread = math.exp(first * math.sin(1.0)) + 1
    after = remembered("adacos", x, labels, weight)["scale"].item()
    assert after == pytest.approx(math.log(spread) / math.cos(math.pi / 4))
    near = remembered("adacos", *at(0.5), state={"scale": torch.tensor(2.0)})["scale"].item()
    assert near == pytest.approx(math.log(math.exp(2 * math.sin(0.5)) + 1) / math.cos(0.5))
    assert near != pytest.approx(
        math.log(math.exp(2 * math.sin(0.5)) + math.exp(2 * math.cos(0.5))) / math.cos(0.5)
    )


def test_adacos_takes_the_lower_median_angle():
    x = torch.cat([at(theta)[0] for theta in (0.5, 0.2, 0.6, 0.3)])
    after = remembered("adacos", x, torch.zeros(4, dtype=torch.int64), torch.eye(3))["scale"]
    before = math.sqrt(2) * math.log(2)
    spread = np.mean([math.exp(before * math.sin(theta)) + 1 for theta in (0.5, 0.2, 0.6, 0.3)])
    assert after.item() == pytest.approx(math.log(spread) / math.cos(0.3))


def test_circle_and_li_arc_meet_zero_where_they_should():
    assert target_of("circle", math.acos(0.75)) == pytest.approx(0, abs=1e-9)
    assert target_of("circle", math.acos(0.5)) == pytest.approx(0.75 * -0.25)
    assert target_of("li-arc", math.pi / 2 - 0.45) == pytest.approx(0, abs=1e-9)
    assert target_of("li-arc", math.pi / 2 - 0.45, margin=0.42) != pytest.approx(0, abs=1e-9)
    assert target_of("li-arc", math.pi) == pytest.approx(-1 - 0.9 / math.pi, abs=1e-4)


def test_binary_losses_start_in_balance():
    """At right angles to every class, SphereFace2's first b has no gradient."""
    x = torch.tensor([[0.0, 0, 0, 1]], dtype=torch.float64)
    weight = torch.eye(4, dtype=torch.float64)[:3]
    for options in ({}, {"alpha": 0.3, "t": 2.0, "scale": 4.0, "margin": 0.1}):
        b = torch.tensor(oracle.sphereface2_bias(3, **options), dtype=torch.float64, requires_grad=True)
        loss = naive("sphereface2", x, torch.tensor([1]), weight, learned={"b": b}, **options)
        off = naive("sphereface2", x, torch.tensor([1]), weight, learned={"b": b + 0.1}, **options)
        assert torch.autograd.grad(loss, b)[0].item() == pytest.approx(0, abs=1e-9)
        assert abs(torch.autograd.grad(off, b)[0].item()) > 1e-3
    low = oracle.sphereface2_bias(3, scale=64.0, margin=1.0)
    assert low == pytest.approx(
        64 * 1.75 + math.log(1 / 6), abs=1e-9
    )  # both are far out: e^(own + b) = z - 1
    assert oracle.uniface_bias(10_572) == pytest.approx(11.5686, abs=1e-4)


# Identities: one loss with some options is another; with the last options it is not

IDENTITIES: list[tuple[str, dict[str, Any], str, dict[str, Any], dict[str, Any]]] = [
    ("combined", {"m1": 1.0, "m2": 0.0, "m3": 0.3}, "cosface", {"margin": 0.3}, {"m3": 0.301}),
    ("combined", {"m1": 1.0, "m2": 0.0, "m3": 0.0}, "normface", {}, {"m1": 1.001}),
    *(
        ("combined", {"m2": 0.4, "m3": 0.0, **way}, "arcface", {"margin": 0.4, **way}, {"m3": 0.001})
        for way in each({}, fallback=("line", "none", "clip"), gradient=("exact", "detached"))
    ),
    ("arcface", {"margin": 0.0}, "normface", {}, {"margin": 0.001}),
    ("sphereface-r", {"margin": 1.0}, "normface", {}, {"margin": 1.001}),
    ("sphereface-r", {"margin": 1.0, "gradient": "exact"}, "normface", {}, {"margin": 1.001}),
    ("adaface", {"h": 0.0, "margin": 0.3}, "cosface", {"margin": 0.3}, {"h": 0.001}),
    *(
        (
            "magface",
            {"low_margin": 0.5, "high_margin": 0.5, "weight": 0.0, "easy_margin": easy},
            "arcface",
            {"margin": 0.5, "easy_margin": easy},
            {"low_margin": 0.501},
        )
        for easy in (True, False)
    ),
    ("elasticface", {"sigma": 0.0}, "arcface", {"margin": 0.5}, {"margin": 0.501}),
    ("elasticface", {"sigma": 0.0, "base": "cosface"}, "cosface", {"margin": 0.35}, {"margin": 0.351}),
    ("subcenter", {"centers": 1}, "arcface", {}, {"margin": 0.501}),
    ("subcenter", {"centers": 1, "over": "curricularface"}, "curricularface", {}, {"margin": 0.501}),
    ("npc", {"m0": 0.5, "m1": 0.0, "tau": 1.0, "a": 0.0}, "arcface", {"easy_margin": True}, {"a": 0.001}),
    ("arcneg", {"alpha": 1.0, "sigma": 1e15}, "arcface", {}, {"alpha": 1.001}),
    ("li-arc", {"margin": 0.0}, "li-arc", {"margin": 0.0}, {"others": "cosine"}),
]


def compared(name: str, options: Mapping[str, Any], batch: Problem) -> tuple[Tensor, dict[str, Tensor]]:
    return replace(batch, name=name, options={**SOFT, **options}).gradients()


@pytest.mark.parametrize("norms", [NORMS, QUALITIES])
@pytest.mark.parametrize(("left", "some", "right", "others", "off"), IDENTITIES, ids=title)
def test_identities(left, some, right, others, off, norms):
    batch = problem("arcface", norms=norms)
    expected = compared(right, others, batch)
    assert same(compared(left, some, batch), expected)
    assert not same(compared(left, {**some, **off}, batch), expected)


@pytest.mark.parametrize("base", ["cosface", "arcface"])
def test_mv_softmax_without_a_factor_is_its_base_where_the_margin_applies(base):
    options = {"margin": 0.3}
    near = problem(base, angles=NEAR)
    expected = compared(base, options, near)
    assert same(compared("mv-softmax", {**options, "base": base, "tau": 1.0}, near), expected)
    assert not same(compared("mv-softmax", {**options, "base": base, "tau": 1.001}, near), expected)
    far = problem(base)
    assert not same(
        compared("mv-softmax", {**options, "base": base, "tau": 1.0}, far), compared(base, options, far)
    )


def test_curricularface_without_hard_classes_is_arcface():
    """Classes at right angles to each other and every row near its own, or just opposite it."""
    labels = torch.tensor([0, 1, 2, 3, 4])
    weight = torch.eye(5, dtype=torch.float64)
    rows = weight + 0.1 * torch.randn(5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    batch = Problem("arcface", {}, rows, labels, weight, state={"t_mean": torch.tensor(0.4)})
    assert same(compared("curricularface", {}, batch), compared("arcface", {}, batch))
    hard = problem("arcface")
    assert not same(compared("curricularface", {}, hard), compared("arcface", {}, hard))


def test_detached_gradient_is_the_exact_one_over_the_slope():
    margin = 0.4
    given = replace(problem("arcface"), options={**SOFT, "margin": margin, "fallback": "none"})
    seen = given.seen()
    cosines = seen.cosines.detach().requires_grad_()
    seen = replace(seen, cosines=cosines)
    found = {}
    for way in ("exact", "detached"):
        loss = oracle.arcface(seen, **given.options, gradient=way).loss
        (gradient,) = torch.autograd.grad(loss, cosines)
        found[way] = (loss, seen.pick(gradient), gradient[~seen.is_target])
    slope = torch.sin(seen.theta + margin) / torch.sin(seen.theta)
    assert torch.allclose(found["exact"][0], found["detached"][0], rtol=1e-13)
    assert torch.allclose(found["exact"][1], found["detached"][1] * slope, rtol=1e-9)
    assert torch.allclose(found["exact"][2], found["detached"][2], rtol=1e-9)
    assert not torch.allclose(found["exact"][1], found["detached"][1], rtol=1e-2)


def test_elasticface_plus_gives_small_margins_to_large_cosines():
    given = problem("elasticface", {**SOFT, "sigma": 0.2, "plus": True})
    order = given.seen().t.argsort(descending=True)
    assert not torch.equal(order, order.argsort())  # else ranks and rows would be the same
    sorted_already = torch.empty(BATCH, dtype=torch.float64)
    sorted_already[order] = given.extra["margins"].sort().values
    plain = replace(given, options={**SOFT, "sigma": 0.2}, extra={"margins": sorted_already})
    assert same(given.gradients(), plain.gradients())
    assert not same(given.gradients(), replace(plain, extra=given.extra).gradients())


def test_elasticface_falls_back_by_the_angle():
    """A margin below 0 never passes 180 degrees, one above 90 does early."""
    for theta, margin, f in (
        (3.1, -0.3, math.cos(2.8)),
        (3.1, 0.3, math.cos(3.1) - 0.3 * math.sin(0.3)),
        (0.8, 2.5, math.cos(0.8) - 2.5 * math.sin(2.5)),
    ):
        given = target_of("elasticface", theta, margins=torch.tensor([margin], dtype=torch.float64))
        assert given == pytest.approx(f)


def test_several_centres_are_one_where_it_is_the_nearest():
    given = problem("subcenter", SOFT)
    seen = torch.einsum("bd,ckd->bck", given.embeddings, unit(given.weight))
    row, theirs = given.embeddings[3:4], seen[3].argmax(1)
    weight = given.weight[torch.arange(CLASSES), theirs]
    one = Problem("arcface", SOFT, row, given.labels[3:4], weight)
    several = replace(given, embeddings=row, labels=given.labels[3:4])
    (loss, parts), (expected, whole) = several.gradients(), one.gradients()
    assert torch.allclose(loss, expected, rtol=1e-12)
    assert torch.allclose(parts["weight"][torch.arange(CLASSES), theirs], whole["weight"], atol=1e-12)
    assert torch.allclose(parts["weight"].sum(1), whole["weight"], atol=1e-12)  # the rest learn nothing
    other = replace(one, weight=given.weight[:, 0])
    assert not torch.allclose(loss, other.loss(), rtol=1e-6)


def test_sphereface_without_a_share_of_softmax_is_sphereface_r_on_its_norm():
    given = problem("sphereface", norms=[4.0] * BATCH)
    bare = {"start": 0.0, "floor": 0.0, "margin": 3.0}
    ours = replace(given, options=bare).loss()
    theirs = replace(given, name="sphereface-r", options={**SOFT, "margin": 3.0, "gradient": "exact"})
    assert torch.allclose(ours, theirs.loss(), rtol=1e-9)
    assert not torch.allclose(replace(given, options={**bare, "start": 0.1}).loss(), theirs.loss(), rtol=1e-9)


def test_adaptiveface_with_one_margin_is_cosface():
    margin = torch.full((CLASSES,), 0.3, dtype=torch.float64)
    given = replace(problem("adaptiveface", SOFT), own={"margin": margin})
    cosface = compared("cosface", {"margin": 0.3}, problem("cosface"))
    loss, gradients = given.gradients()
    assert torch.allclose(loss, cosface[0] + 70 * 0.7, rtol=1e-12)
    assert torch.allclose(gradients["embeddings"], cosface[1]["embeddings"], atol=1e-12)
    assert not torch.allclose(replace(given, own={"margin": margin + 0.01}).loss(), loss)


def test_sphereface2_straightened_is_uniface():
    given = problem("sphereface2", {"margin": 0.0, "t": 1.0, "alpha": 0.5, "weight": 8.0, **SOFT})
    other = replace(
        given, name="uniface", options={"margin": 0.0, **SOFT}, learned={"b": -given.learned["b"]}
    )
    (loss, gradients), (expected, theirs) = given.gradients(), other.gradients()
    assert torch.allclose(loss, expected, rtol=1e-12)  # weight/scale · alpha = 1
    assert torch.allclose(gradients["weight"], theirs["weight"], rtol=1e-9)
    bent = replace(given, options={**given.options, "t": 1.01})
    assert not torch.allclose(bent.loss(), expected, rtol=1e-6)


# What is held constant in the backward pass


def test_adacos_is_normface_at_its_scale():
    for angles in (ANGLES, NEAR):
        given = problem("adacos", angles=angles)
        scale = given.remembered()["scale"].item()
        fixed = replace(given, name="normface", state={}, options={"scale": scale})
        assert same(given.gradients(), fixed.gradients())
        assert not same(given.gradients(), replace(fixed, options={"scale": scale * 1.001}).gradients())


def test_curricular_mean_has_no_gradient():
    given = problem("curricularface", {**SOFT, "alpha": 0.5})
    fixed = replace(given, options={**SOFT, "alpha": 0.0}, state=given.remembered())
    assert same(given.gradients(), fixed.gradients())
    assert not same(given.gradients(), replace(fixed, state=given.state).gradients())


def test_only_magface_and_sphereface_pull_on_the_norm():
    for name in LOSSES:
        given = problem(name, norms=QUALITIES) if name in ("adaface", "magface") else problem(name)
        along = (given.gradients()[1]["embeddings"] * given.embeddings).sum(1).abs().max().item()
        assert (along > 1e-3) == (name in ("softmax", "magface", "sphereface")), name


def test_circle_weights_have_no_gradient():
    given = problem("circle", {**SOFT, "margin": 0.25})
    seen = given.seen()
    cosines = seen.cosines.detach().requires_grad_()
    out = oracle.circle(replace(seen, cosines=cosines), **given.options)
    (gradient,) = torch.autograd.grad(out.loss, cosines)
    wrong = (out.logits.softmax(1) - seen.is_target.double()) / BATCH
    pull = torch.where(seen.is_target, (1.25 - cosines).relu(), (cosines + 0.25).relu())
    assert torch.allclose(gradient, 4 * pull * wrong, atol=1e-14)
    assert not torch.allclose(gradient, 4 * (pull + cosines - 0.25) * wrong, atol=1e-3)


def test_npc_margin_and_arcneg_weight_have_no_gradient():
    """With plain other classes NPC is ArcFace with a margin of each row's own."""
    given = problem("npc", {**SOFT, "tau": 1.0, "a": 0.0})
    seen = given.seen()
    hard = oracle.npc_hard(seen, 0.4)
    mean = torch.stack(
        [c[h].mean() if h.any() else c.new_zeros(()) for c, h in zip(seen.cosines, hard, strict=True)]
    )
    margins = torch.where(seen.t > 0, 0.4 + 0.2 * mean, 0.0)
    rows = replace(given, name="elasticface", options=SOFT, extra={"margins": margins})
    assert same(given.gradients(), rows.gradients())
    assert not same(given.gradients(), replace(rows, extra={"margins": margins + 0.001}).gradients())
    given = problem("arcneg", SOFT)
    seen = given.seen()
    cosines = seen.cosines.detach().requires_grad_()
    out = oracle.arcneg(replace(seen, cosines=cosines), **SOFT)
    (gradient,) = torch.autograd.grad(out.loss, cosines)
    w = 1.2 * torch.exp(-((cosines - out.logits.gather(1, seen.labels[:, None]) / 4) ** 2) / 2)
    others = ~seen.is_target
    assert torch.allclose(gradient[others], (4 * w * out.logits.softmax(1) / BATCH)[others], atol=1e-14)
    assert torch.allclose(out.logits[others], (4 * (w * cosines + w - 1))[others], atol=1e-13)


# Finite differences


class Replay:
    """In place of `oracle.stop`: what the first pass held constant stays so while the inputs move."""

    def __init__(self) -> None:
        self.values: list[Tensor] = []
        self.position: int | None = None

    def __call__(self, value: Tensor) -> Tensor:
        if self.position is None:
            self.values.append(value.detach())
            return self.values[-1]
        self.position += 1
        return self.values[self.position - 1]

    def rewind(self) -> None:
        self.position = 0 if self.values else None


def differences_agree(given: Problem, rewind: Callable[[], None] = lambda: None) -> bool:
    """Each leaf's gradient along a random direction against a central difference."""
    draw = torch.Generator().manual_seed(1)
    rewind()
    _, gradients = given.gradients()
    for name, value in given.leaves().items():
        way = torch.randn(value.shape, generator=draw, dtype=torch.float64)
        ends = []
        for step in (1e-6, -1e-6):
            rewind()
            ends.append(given.of({**given.leaves(), name: value + step * way}).loss())
        slope = (ends[0] - ends[1]) / 2e-6
        if not torch.allclose(slope, (gradients[name] * way).sum(), rtol=1e-5, atol=1e-6):
            return False
    return True


@pytest.mark.parametrize(("name", "options"), ALL, ids=title)
def test_gradients_are_finite_differences(monkeypatch, name, options):
    replay = Replay()
    monkeypatch.setattr(oracle, "stop", replay)
    assert differences_agree(problem(name, options), replay.rewind)


EXACT = [
    *((name, {}) for name in ("softmax", "normface", "sphereface", "cosface", "arcface", "combined")),
    *((name, {}) for name in ("li-arc", "mv-softmax", "magface", "elasticface", "uniface")),
    ("sphereface-r", {"gradient": "exact"}),
    ("sphereface2", {"gradient": "exact"}),
    ("subcenter", {"centers": 2}),
]


@pytest.mark.parametrize(("name", "options"), EXACT, ids=title)
def test_gradients_of_formulas_without_constants_pass_gradcheck(name, options):
    given = problem(name, options)
    names, values = zip(*given.leaves().items(), strict=True)

    def loss(*moved: Tensor) -> Tensor:
        return given.of(dict(zip(names, moved, strict=True))).loss()

    leaves = [value.clone().requires_grad_() for value in values]
    assert torch.autograd.gradcheck(loss, leaves, fast_mode=True, check_undefined_grad=False)
    assert differences_agree(given)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("arcface", {"gradient": "detached"}),
        ("combined", {"gradient": "detached"}),
        ("sphereface-r", {}),
        ("sphereface2", {}),
        ("circle", SOFT),
        ("arcneg", SOFT),
        ("npc", SOFT),
        ("adacos", {}),
        ("adaface", SOFT),
        ("curricularface", {**SOFT, "alpha": 1.0}),
    ],
    ids=title,
)
def test_finite_differences_tell_constants(name, options):
    assert not differences_agree(problem(name, options))

"""The margins against their formulas and against MXNet 1.1.0's logits and gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from arcterm_registry import OptionError, get
from arcterm_registry.contracts import Margin
from torch import Tensor

from arcterm.train.head.head import Head
from arcterm.train.world import World

GOLDEN = {
    "cos": ("cosface", {"margin": 0.35}),
    "arc": ("arcface", {"margin": 0.5}),
    "arceasy": ("arcface", {"margin": 0.5, "easy_margin": True}),
}


def make(name: str, **options: float | bool) -> Margin:
    declaration = get("loss", name)
    return declaration.make(**{k: v for k, v in declaration.settings(options).items() if v is not None})


def target(margin: Margin, t: Tensor) -> Tensor:
    return margin.target(t, torch.ones_like(t), 0)


def logits(margin: Margin, embeddings: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    """(B, C) logits, row by row from the target's and the others' parts of the margin."""
    unit, centres = (x / (x.square().sum(1, keepdim=True) + 1e-10).sqrt() for x in (embeddings, weight))
    cosines = unit @ centres.T
    t = cosines.gather(1, labels[:, None])
    moved = margin.target(t[:, 0], embeddings.norm(dim=1), 0)
    return cosines.scatter(1, labels[:, None], moved[:, None]) * margin.scale


def golden_errors(path: Path, key: str, margin: Margin) -> tuple[float, float]:
    """Largest difference to MXNet of the logits, and of the gradients of mean cross-entropy by our head."""
    with np.load(path) as file:
        golden = {name: torch.from_numpy(file[name]) for name in file.files}
    embeddings, labels = golden["emb"].requires_grad_(), golden["lab"].long()
    head = Head(*golden["W"].shape, margin, World(), seed=0)
    with torch.no_grad():
        head.weight.copy_(golden["W"])
    head(embeddings, labels, 1).loss.backward()
    assert embeddings.grad is not None and head.weight.grad is not None
    gradients = ((embeddings.grad, "ge"), (head.weight.grad, "gw"))
    z = logits(margin, embeddings.detach(), golden["W"], labels)
    return (
        (z - golden[f"{key}_l"]).abs().max().item(),
        max((ours - golden[f"{key}_{name}"]).abs().max().item() for ours, name in gradients),
    )


@pytest.mark.parametrize("key", GOLDEN)
def test_mxnet_golden(key: str, test_data: Callable[[str], Path]) -> None:
    name, options = GOLDEN[key]
    path = test_data("mxnet/golden_1_1_0/loss.npz")
    logit_error, gradient_error = golden_errors(path, key, make(name, **options))
    assert logit_error < 2e-4
    assert gradient_error < 5e-5


@pytest.mark.parametrize(
    ("key", "name", "options"),
    [
        ("cos", "cosface", {"margin": 0.36, "scale": 63.0}),
        ("arc", "arcface", {"margin": 0.5, "easy_margin": True}),
        ("arceasy", "arcface", {"margin": 0.5}),
    ],
)
def test_another_loss_misses_the_golden_values(
    key: str, name: str, options: dict[str, float], test_data: Callable[[str], Path]
) -> None:
    logit_error, gradient_error = golden_errors(
        test_data("mxnet/golden_1_1_0/loss.npz"), key, make(name, **options)
    )
    assert logit_error > 2e-4
    assert gradient_error > 5e-5


def arcface_by_angle(cosine: float, margin: float, easy: bool) -> float:
    theta = math.acos(cosine)
    if easy:
        return math.cos(theta + margin) if cosine > 0 else cosine
    return math.cos(theta + margin) if theta + margin < math.pi else cosine - margin * math.sin(margin)


@pytest.mark.parametrize("easy", [False, True])
@pytest.mark.parametrize("margin", [0.0, 0.1, 0.5, 1.5])
def test_arcface_is_the_angle_plus_margin(margin: float, easy: bool) -> None:
    t = torch.linspace(-1, 1, 2001, dtype=torch.float64)
    ours = target(make("arcface", margin=margin, easy_margin=easy), t)
    formula = torch.tensor([arcface_by_angle(c, margin, easy) for c in t.tolist()], dtype=torch.float64)
    torch.testing.assert_close(ours, formula, rtol=0, atol=1e-6)
    torch.testing.assert_close(ours[1:-1], formula[1:-1], rtol=0, atol=1e-12)


def test_arcface_never_rises_with_the_angle() -> None:
    t = torch.linspace(-1, 1, 10001, dtype=torch.float64)
    assert (target(make("arcface"), t).diff() > 0).all()


def test_cosface_subtracts_and_softmax_leaves_alone() -> None:
    t = torch.linspace(-1, 1, 11)
    assert torch.equal(target(make("cosface", margin=0.25), t), t - 0.25)
    assert torch.equal(target(make("softmax"), t * 30), t * 30)
    plain = make("softmax")
    assert (plain.normalized_weights, plain.normalized_features) == (False, False)
    assert (plain.bias, plain.scale) == (True, 1.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("easy", [False, True])
def test_arcface_is_finite_at_the_ends(easy: bool, dtype: torch.dtype) -> None:
    ends = [1.0, -1.0, 1 + 1e-6, -1 - 1e-6, 1 - 1e-7, -1 + 1e-7]
    t = torch.tensor(ends, dtype=dtype, requires_grad=True)
    moved = target(make("arcface", easy_margin=easy), t)
    moved.sum().backward()
    assert t.grad is not None and t.grad.isfinite().all() and (t.grad > 0).all()
    assert moved[0].item() == pytest.approx(math.cos(0.5), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("arcface", "margin", math.pi / 2),
        ("arcface", "margin", -0.1),
        ("cosface", "margin", 1.1),
        ("cosface", "scale", 0.0),
        ("arcface", "scale", 1025.0),
    ],
)
def test_ranges(name: str, option: str, value: float) -> None:
    with pytest.raises(OptionError, match=option):
        get("loss", name).settings({option: value})

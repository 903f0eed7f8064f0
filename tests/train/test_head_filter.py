"""Images that are told apart from all others are left out of the way back, as far as rounding would."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from arcterm_registry import get

from arcterm.train.head import filtering, onednn, tiled
from arcterm.train.head.filtering import heaviest
from arcterm.train.head.head import Head
from arcterm.train.head.products import fast_bfloat16
from arcterm.train.world import World

CLASSES, SIZE, BATCH = 3000, 64, 64
has_products = pytest.mark.skipif(
    not (fast_bfloat16() and onednn.available(torch.device("cpu"))), reason="no products in bfloat16 here"
)


SCALE, LENGTH = 64, 20


def late():
    """Embeddings late in training, from far from their class to near it; and labels."""
    generator = torch.Generator().manual_seed(3)
    labels = torch.randperm(CLASSES, generator=generator)[:BATCH]
    own = F.normalize(head(False).weight.detach()[labels])
    aside = torch.randn(own.shape, generator=generator)
    aside = F.normalize(aside - (aside * own).sum(1, keepdim=True) * own)
    cosine = torch.linspace(0.6, 0.99, BATCH)[:, None]
    return (cosine * own + (1 - cosine.square()).sqrt() * aside) * LENGTH, labels


def head(filtered, dtype=torch.bfloat16):
    return Head(CLASSES, SIZE, get("loss", "arcface").make(), World(), 0, dtype=dtype, filtered=filtered)


def gradients(made, embeddings, labels):
    x = embeddings.clone().requires_grad_()
    made(x, labels, 1).loss.backward()
    return x.grad, made.weight.grad


def rows_seen(monkeypatch):
    """The images of each way back, and the norm of their coefficients."""
    plain, seen = onednn.gradients, []

    def counted(left, tiles, targets, lse, grad, rows):
        seen.append((len(left), grad.norm()))
        return plain(left, tiles, targets, lse, grad, rows)

    monkeypatch.setattr(onednn, "gradients", counted)
    return seen


def test_those_left_out_are_together_below_what_rounding_may_change():
    chance = torch.Generator().manual_seed(0)
    for spread in (0.1, 1.0, 3.0, 8.0):
        grad = (
            torch.randn(500, generator=chance).mul_(spread).exp_() * torch.randn(500, generator=chance).sign()
        )
        order, kept = heaviest(grad)
        size = grad.abs()[order]
        assert torch.equal(size, size.sort(descending=True).values)
        out, whole = size[kept:].double().norm(), size.double().norm()
        assert out < 2**-9 * whole
        with_one_more = size[kept - 1 :].double().norm()
        assert with_one_more >= 2**-9 * whole  # no more than need be are kept
    assert kept < 250


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_what_is_no_number_is_kept(number):
    grad = torch.tensor([1e-9, 1.0, number, 1e-9])
    order, kept = heaviest(grad)
    assert 2 in order[:kept].tolist()
    assert heaviest(torch.zeros(4))[1] == 4


@has_products
@pytest.mark.parametrize("kept", [0, onednn._KEPT])
def test_late_gradients_stay_within_the_bound_without_the_images_left_out(monkeypatch, kept):
    monkeypatch.setattr(onednn, "_KEPT", kept)
    seen = rows_seen(monkeypatch)
    embeddings, labels = late()
    (by_x, by_rows), made = gradients(head(False), embeddings, labels), head(True)
    x, rows = gradients(made, embeddings, labels)
    (every, whole), (count, _) = seen
    assert every == BATCH and count <= BATCH * 3 // 4
    # ∂c/∂x and ∂c/∂w have lengths of 1/‖x‖ and 1/‖w‖ at most, and unit features a norm of √B together
    bound = 2**-9 * whole * SCALE
    assert 0 < (x - by_x).norm() < bound / LENGTH
    assert 0 < (rows - by_rows).norm() < bound * BATCH**0.5 / made.weight.norm(dim=1).min()
    assert (x - by_x).norm() / by_x.norm() < 2**-9


@has_products
def test_leaving_out_what_counts_would_be_noticed(monkeypatch):
    """The control: with a looser bound images are lost that the gradient is made of."""
    embeddings, labels = late()
    exact = gradients(head(False, torch.float32), embeddings, labels)
    monkeypatch.setattr(filtering, "_ROUNDING", 0.9)
    monkeypatch.setattr(tiled, "_ROWS", 1)
    for ours, wanted in zip(gradients(head(True), embeddings, labels), exact, strict=True):
        assert (ours - wanted).norm() / wanted.norm() > 5e-2


@has_products
def test_early_nothing_is_left_out_and_no_bit_changes(monkeypatch):
    seen = rows_seen(monkeypatch)
    embeddings, labels = torch.randn(BATCH, SIZE), torch.arange(BATCH)
    for ours, wanted in zip(
        gradients(head(True), embeddings, labels), gradients(head(False), embeddings, labels), strict=True
    ):
        assert torch.equal(ours, wanted)
    assert [count for count, _ in seen] == [BATCH, BATCH]


def test_in_float32_nothing_is_left_out():
    embeddings, labels = late()
    for ours, wanted in zip(
        gradients(head(True, torch.float32), embeddings, labels),
        gradients(head(False, torch.float32), embeddings, labels),
        strict=True,
    ):
        assert torch.equal(ours, wanted)

"""The triplet losses against plain loops in float64, alone and through the head at 1 to 3 ranks."""

from __future__ import annotations

import functools

import pytest
import torch
import torch.distributed as dist
from arcterm_registry import get, names
from arcterm_registry.contracts import Feeding, TupleLoss

from arcterm.train.head.tuples import TupleHead
from arcterm.train.world import World

from ..ranks import spawn

SIZE, TRIPLETS, MARGIN = 5, 6, 0.3
SETTINGS = {"semi-hard": {}, "batch-hard": {"mining": "batch-hard", "images_per_identity": 3}}
close = functools.partial(torch.testing.assert_close, rtol=1e-10, atol=1e-10)


def triplet(**options):
    return get("loss", "triplet").make(margin=MARGIN, **options)


def problem(mining):
    generator = torch.Generator().manual_seed(2)
    embeddings = torch.randn(3 * TRIPLETS, SIZE, generator=generator, dtype=torch.float64) * 3
    labels = torch.arange(6).repeat_interleave(3)
    if mining == "semi-hard":  # what is far enough away has no loss: some of both
        embeddings[TRIPLETS : 2 * TRIPLETS : 2] = 0.5 * embeddings[:TRIPLETS:2] + 0.1
        labels = torch.arange(3 * TRIPLETS)
    else:
        embeddings[:9] = embeddings[:9:3].repeat_interleave(3, 0) + 0.05 * embeddings[:9]
    return embeddings, labels


def unit(x):
    return x / (x.square().sum() + 1e-10).sqrt()


def squared(a, b):
    return (unit(a) - unit(b)).square().sum()


def triplets_of(mining, embeddings, labels):
    """(anchor, positive, negative) of each term, by the definitions."""
    if mining == "semi-hard":
        return [(i, i + TRIPLETS, i + 2 * TRIPLETS) for i in range(TRIPLETS)]
    found = []
    for a in range(len(labels)):
        same = [i for i in range(len(labels)) if labels[i] == labels[a] and i != a]
        other = [i for i in range(len(labels)) if labels[i] != labels[a]]
        found.append(
            (
                a,
                max(same, key=lambda i, a=a: squared(embeddings[a], embeddings[i])),
                min(other, key=lambda i, a=a: squared(embeddings[a], embeddings[i])),
            )
        )
    return found


def naive(mining, embeddings, labels, margin=MARGIN):
    terms = [
        (squared(embeddings[a], embeddings[p]) - squared(embeddings[a], embeddings[n]) + margin).relu()
        for a, p, n in triplets_of(mining, embeddings, labels)
    ]
    return torch.stack(terms).mean()


def expected(mining):
    embeddings, labels = problem(mining)
    embeddings.requires_grad_()
    loss = naive(mining, embeddings, labels)
    loss.backward()
    return loss.detach(), embeddings.grad


def places(mining, world):
    """Rows of the global batch that a rank holds, in its own order."""
    whole = torch.arange(3 * TRIPLETS)
    if mining == "semi-hard":
        return whole.view(3, world.size, -1)[:, world.rank].flatten()
    return whole.view(world.size, -1)[world.rank]


def check(mining, world):
    embeddings, labels = problem(mining)
    loss, gradient = expected(mining)
    mine = places(mining, world)
    local = embeddings[mine].requires_grad_()
    feeding = get("loss", "triplet").make_feeding(**SETTINGS[mining])
    head = TupleHead(6, SIZE, triplet(**SETTINGS[mining]), feeding, world)
    out = head(local, labels[mine], 1)
    out.loss.backward()
    close(out.loss.detach(), loss)
    close(local.grad / world.size, gradient[mine])
    return out


def in_rank(rank, folder):
    torch.set_num_threads(1)
    for size in (2, 3):
        if rank < size:
            dist.init_process_group("gloo", init_method=f"file://{folder}/{size}", rank=rank, world_size=size)
            for mining in SETTINGS:
                check(mining, World(rank, size))
            dist.destroy_process_group()


@pytest.mark.parametrize("mining", SETTINGS)
def test_one_rank_equals_the_loops(mining):
    out = check(mining, World())
    assert 0 < out.active.item() < 1
    assert 0 < out.accuracy.item() < 1


@pytest.mark.slow
def test_two_and_three_ranks_equal_one(tmp_path):
    spawn(in_rank, (str(tmp_path),), 3)


@pytest.mark.parametrize("mining", SETTINGS)
def test_the_comparison_would_notice_a_changed_formula(mining, monkeypatch):
    monkeypatch.setattr("arcterm.losses.tuples._squared", lambda a, b: (a - b).square().sum(1).sqrt())
    with pytest.raises(AssertionError):
        check(mining, World())


@pytest.mark.parametrize("mining", SETTINGS)
def test_the_gradient_is_that_of_the_formula(mining):
    embeddings, labels = problem(mining)
    loss = triplet(**SETTINGS[mining])
    assert torch.autograd.gradcheck(lambda x: loss.score(x, labels, 1).losses, embeddings.requires_grad_())


def test_what_is_told_of_a_batch():
    """Two triplets: positives at 90 and 60 degrees, negatives at 60 and 90."""
    a, half, up = [2.0, 0.0], [0.5, 3**0.5 / 2], [0.0, 3.0]
    embeddings = torch.tensor([a, a, up, half, half, up])
    head = TupleHead(2, 2, triplet(), Feeding(kind="triplets", images_per_identity=2), World())
    out = head(embeddings, torch.zeros(6, dtype=torch.int64), 1)
    assert out.accuracy.item() == 0.5
    assert out.angle.item() == pytest.approx(75, abs=1e-3)
    assert out.active.item() == 0.5
    assert out.loss.item() == pytest.approx((2 - 1 + MARGIN) / 2, abs=1e-6)


def test_an_empty_embedding_has_a_finite_gradient():
    x = torch.zeros(3, 4, requires_grad=True)
    triplet().score(x, torch.zeros(3, dtype=torch.int64), 1).losses.sum().backward()
    assert x.grad.isfinite().all()


def test_which_negatives_are_semi_hard():
    positive = torch.tensor([[0.5], [0.9]])
    negative = torch.tensor([[0.5, 0.51, 0.79, 0.81]]).expand(2, -1)
    assert triplet().admits(positive, negative).tolist() == [[False, True, True, False], [False] * 4]
    near = triplet(max_ap=0.4).admits(torch.tensor([[0.4], [0.41]]), negative)
    assert near.tolist() == [[True, True, False, False], [False] * 4]


def test_every_tuple_loss_says_how_it_is_fed():
    declared = {name: get("loss", name) for name in names("loss") if ":" not in name}
    tuples = {name: loss for name, loss in declared.items() if loss.form == "tuples"}
    assert "triplet" in tuples
    for loss in tuples.values():
        options = {k: v for k, v in loss.settings({}).items() if v is not None}
        assert isinstance(loss.make_feeding(**options), Feeding)
        assert isinstance(loss.make(**options), TupleLoss)

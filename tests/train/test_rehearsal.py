"""A rank that steps without the others exchanges, on paper, what it would exchange with them."""

from __future__ import annotations

import pytest
import torch
from arcterm_registry import get

from arcterm.train.footprint import pace
from arcterm.train.footprint.rehearsal import Exchange, Rehearsal
from arcterm.train.head.head import Head

from ..runs.conftest import config

BATCH, SIZE = 6, 16


@pytest.mark.parametrize("ranks", [1, 4])
def test_the_collectives_of_a_pass_are_counted_with_their_bytes(ranks):
    world = Rehearsal(size=ranks)
    head = Head(40, SIZE, get("loss", "arcface").make(margin=0.5, scale=64.0), world, 0)
    embeddings = torch.randn(BATCH, SIZE, requires_grad=True)
    head(embeddings, torch.arange(BATCH), 1).loss.backward()
    whole = ranks * BATCH
    expected = [
        Exchange("all_gather", whole * SIZE * 4),
        Exchange("all_gather", whole * 8),
        Exchange("all_reduce", 2 * whole * 4),  # cosines of the targets
        Exchange("all_to_all", 2 * whole * 4),  # sums and maxima of the other classes
        Exchange("all_gather", 2 * whole * 4),
        Exchange("reduce_scatter", whole * SIZE * 4),
    ]
    counted = [one for one in world.exchanges if one.bytes > 64]
    assert embeddings.grad.shape == (BATCH, SIZE)
    assert len(head.classes) == 40 // ranks
    if ranks == 1:
        assert counted == []
    else:
        assert all(one in counted for one in expected), counted


def test_what_a_large_batch_exchanges_follows_from_two_small_ones():
    asked = config(nproc=4, batch_size=32)
    found = pace.count(asked)
    exact = pace._exchanges(asked, 128, 32)
    assert found.exchanges == exact
    assert found.gradients > 1 << 20

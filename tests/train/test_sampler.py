"""The order of images: everything once, the same for any number of ranks."""

from __future__ import annotations

import numpy as np
import pytest

from arcterm.train.feed.sampler import Sampler, keys, uniform


def epoch_of(sampler_of, size, epoch, steps):
    """Global batches of an epoch, put together from all ranks: (indices, keys)."""
    found = []
    for step in range(epoch * steps + 1, (epoch + 1) * steps + 1):
        parts = [sampler_of(rank).batch(step, sampler_of(rank).order(epoch)) for rank in range(size)]
        found.append((np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])))
    return found


@pytest.mark.parametrize("epoch", [0, 3])
def test_one_and_more_ranks_see_the_same_global_batches(epoch):
    one = epoch_of(lambda rank: Sampler(103, 12, 0, 1, seed=4), 1, epoch, 8)
    for size in (2, 3, 4):
        some = epoch_of(lambda rank, size=size: Sampler(103, 12 // size, rank, size, seed=4), size, epoch, 8)
        for (a, flipped_a), (b, flipped_b) in zip(one, some, strict=True):
            assert np.array_equal(a, b)
            assert np.array_equal(flipped_a, flipped_b)


def test_an_epoch_has_each_image_at_most_once_and_epochs_differ():
    sampler = Sampler(103, 12, seed=1)
    seen = np.concatenate([indices for indices, _ in epoch_of(lambda rank: sampler, 1, 0, 8)])
    assert len(set(seen.tolist())) == 96
    assert not np.array_equal(sampler.order(0), sampler.order(1))
    assert not np.array_equal(sampler.order(0), Sampler(103, 12, seed=2).order(0))
    assert sorted(sampler.order(5).tolist()) == list(range(103))


def test_numbers_are_uniform_and_independent():
    """By epoch, seed, stream and neighbour: means and correlations as of 200,000 fair draws."""
    many = np.arange(200_000)
    drawn = [
        uniform(keys(seed, epoch, many), stream) for seed in (0, 1) for epoch in (0, 1) for stream in (0, 7)
    ]
    for i, a in enumerate(drawn):
        assert a.min() >= 0 and a.max() < 1
        assert np.histogram(a, 10, (0, 1))[0] == pytest.approx(20_000, abs=700)
        assert abs(np.corrcoef(a[1:], a[:-1])[0, 1]) < 0.01
        for b in drawn[:i]:
            assert abs(np.corrcoef(a, b)[0, 1]) < 0.01


def test_the_check_of_independence_can_fail():
    once = uniform(keys(0, 0, np.arange(1000)), 0)
    assert np.corrcoef(once, uniform(keys(0, 0, np.arange(1000)), 0))[0, 1] > 0.99
    assert np.corrcoef(once, uniform(keys(0, 0, np.arange(1000)), 1))[0, 1] < 0.1

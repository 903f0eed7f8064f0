"""The order of images: everything once, the same for any number of ranks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcterm.samples import FROM_START, Begin, begin_after, place, taken
from arcterm.train.feed.balanced import Balanced
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


def drawn(sampler, first, last):
    return np.concatenate([chosen.indices for chosen in sampler.choices(first, last)])


SIZES = (1, 2, 3, 9, 40)
CROWD = np.random.default_rng(0).permutation(np.repeat([0, 2, 3, 5, 7], SIZES))


def balanced(size=1, rank=0, share=10, first=1, last=5, begins=FROM_START):
    sampler = Sampler(len(CROWD), share, rank, size, seed=4, begins=begins)
    return list(Balanced(CROWD, sampler).choices(first, last))


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(1, 4), st.integers(0, 99))
def test_balanced_epochs_show_each_person_equally_often_and_each_of_their_images(sizes, epochs, seed):
    crowd = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)) * 2, sizes))
    chooser = Balanced(crowd, Sampler(len(crowd), 1, seed=seed))
    order = np.arange(len(crowd))
    seen = np.concatenate([chooser.images(epoch, order) for epoch in range(epochs)])
    for epoch in range(epochs):
        whole = seen[epoch * len(crowd) : (epoch + 1) * len(crowd)]
        assert np.ptp(np.bincount(crowd[whole], minlength=crowd.max() + 1)[::2]) <= 1
    of_images = np.bincount(seen, minlength=len(crowd))
    assert all(np.ptp(of_images[crowd == person]) <= 1 for person in set(crowd.tolist()))


def test_balanced_batches_are_the_same_for_any_number_of_ranks_and_from_any_step():
    one = balanced()
    for size in (2, 5):
        ranks = [balanced(size, rank, 10 // size) for rank in range(size)]
        for whole, parts in zip(one, zip(*ranks, strict=True), strict=True):
            assert np.array_equal(whole.indices, np.concatenate([part.indices for part in parts]))
            assert np.array_equal(whole.keys, np.concatenate([part.keys for part in parts]))
    for whole, again in zip(one[3:], balanced(first=4), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(whole, again, strict=True))


def test_an_image_that_comes_again_in_an_epoch_is_changed_otherwise():
    epoch = np.concatenate([choice.indices for choice in balanced()])
    alone = epoch == np.flatnonzero(CROWD == 0)
    assert alone.sum() > 5
    assert len(np.unique(np.concatenate([choice.keys for choice in balanced()]))) == 50


def test_without_another_batch_the_place_is_that_of_the_step():
    assert [place(FROM_START, 103, 12, step) for step in (1, 8, 9, 17)] == [(0, 0), (0, 84), (1, 0), (2, 0)]


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 30)), min_size=1, max_size=5), st.integers(40, 99)
)
def test_an_epoch_has_each_image_once_at_most_however_the_batch_changes(parts, count):
    """`parts` are batch sizes and the steps taken with each; a batch begins where the last image ended."""
    begins, step, batch, places = FROM_START, 0, parts[0][0], []
    for size, steps in parts:
        begins = begin_after(begins, count, batch, step) if size != batch else begins
        batch = size
        places += [(*place(begins, count, batch, step + n), batch) for n in range(1, steps + 1)]
        step += steps
    assert taken(begins, batch, step) == sum(size for _, _, size in places)
    for (epoch, offset, size), (next_epoch, next_offset, next_size) in pairwise(places):
        assert offset + size <= count
        if next_epoch == epoch:
            assert next_offset == offset + size
        else:
            assert (next_epoch, next_offset) == (epoch + 1, 0)
            assert offset + size + next_size > count  # what was left filled no batch


def test_another_batch_goes_on_behind_the_last_image():
    """12 images a step until step 3, then 16: all of the epoch's images once, whatever the ranks."""
    before = Sampler(103, 12, seed=4)
    begins = begin_after(FROM_START, 103, 12, 3)
    assert begins == Begin(3, 0, 36, 36)
    after = [Sampler(103, 8, rank, 2, 4, begins) for rank in range(2)]
    assert np.array_equal(
        np.concatenate([drawn(before, 1, 3), drawn(Sampler(103, 16, seed=4, begins=begins), 4, 7)]),
        before.order(0)[:100],
    )
    assert [place(begins, 103, 16, step) for step in (4, 7, 8, 14)] == [(0, 36), (0, 84), (1, 0), (2, 0)]
    for step in (4, 8):
        whole = drawn(Sampler(103, 16, seed=4, begins=begins), step, step)
        assert np.array_equal(np.concatenate([drawn(one, step, step) for one in after]), whole)


def test_a_step_before_the_change_has_a_place_too():
    """A run goes back behind it when its newer checkpoints are broken."""
    begins = Begin(step=30, epoch=2, offset=40, samples=246)
    found = [place(begins, 103, 16, step) for step in (30, 29, 28, 23, 22, 1)]
    assert found == [(2, 24), (2, 8), (1, 80), (1, 0), (0, 80), (0, 32)]


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

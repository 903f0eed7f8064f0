"""Mining against loops written from the description of the 2018 pipeline."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from arcterm_registry import get

from arcterm.errors import TrainingError
from arcterm.train.feed import mining
from arcterm.train.feed.mining import Miner, MiningCounts, Sequence, draw_pool, pairs, pick
from arcterm.train.world import World

ALPHA = 0.3
PEOPLE = 24


def admits(**options):
    return get("loss", "triplet").make(margin=ALPHA, **options).admits


def bag(seed=0, people=PEOPLE, spread=0.6):
    """Normalised embeddings (B, 6) of people with 1 to 5 images, and labels, person by person."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.permutation(people), rng.integers(1, 6, people))
    centres = rng.normal(size=(people, 6))
    found = centres[labels] + spread * rng.normal(size=(len(labels), 6))
    return torch.from_numpy(found / np.linalg.norm(found, axis=1, keepdims=True)), labels


def brute_force(unit, labels, max_ap=0.0):
    """{(a, p): candidates} in order: every pair of a run of equal labels that has a semi-hard negative."""
    e = unit.numpy()
    found = {}
    runs, start = [], 0
    for _, run in itertools.groupby(labels):
        runs.append(range(start, start := start + len(list(run))))
    for run in runs:
        for i, a in enumerate(run):
            for p in run[i + 1 :]:
                ap = ((e[a] - e[p]) ** 2).sum()
                if max_ap > 0 and ap > max_ap:
                    continue
                candidates = [
                    n
                    for n in range(len(labels))
                    if labels[n] != labels[a] and ap < ((e[a] - e[n]) ** 2).sum() < ap + ALPHA
                ]
                if candidates:
                    found[a, p] = candidates
    return found


def mined(unit, labels, **options):
    return pick(unit, labels, pairs(labels), admits(**options), np.random.default_rng(5))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("max_ap", [0.0, 0.5])
def test_every_pair_with_a_semi_hard_negative_gets_one(seed, max_ap, monkeypatch):
    monkeypatch.setattr(mining, "_PAIRS_AT_ONCE", 7)
    unit, labels = bag(seed)
    expected = brute_force(unit, labels, max_ap)
    found = mined(unit, labels, max_ap=max_ap)
    assert [(a, p) for a, p, _ in found] == list(expected)
    assert all(n in expected[a, p] for a, p, n in found)
    assert len(pairs(labels)) > len(expected) > 0


def test_max_ap_leaves_out_distant_positives():
    unit, labels = bag()
    assert 0 < len(mined(unit, labels, max_ap=0.3)) < len(mined(unit, labels))


def test_the_oracle_would_notice_hard_negatives():
    unit, labels = bag()
    everything = pick(unit, labels, pairs(labels), lambda p, n: n < p + ALPHA, np.random.default_rng(5))
    expected = brute_force(unit, labels)
    assert any((a, p) not in expected or n not in expected[a, p] for a, p, n in everything)


def test_negatives_are_drawn_evenly():
    unit, labels = bag(people=8)
    (a, p), candidates = max(brute_force(unit, labels).items(), key=lambda item: len(item[1]))
    often = np.array([(a, p)] * 600)
    drawn = pick(unit, labels, often, admits(), np.random.default_rng(0))[:, 2].tolist()
    counts = np.array([drawn.count(n) for n in candidates])
    share = 600 / len(candidates)
    assert len(candidates) > 3
    assert ((counts - share) ** 2 / share).sum() < 30


def test_pairs_are_all_of_one_person_in_order():
    labels = np.array([4, 4, 4, 9, 2, 2])
    assert pairs(labels).tolist() == [[0, 1], [0, 2], [1, 2], [4, 5]]
    assert len(pairs(np.arange(5))) == 0


def test_a_pool_has_a_few_images_of_everybody():
    rng = np.random.default_rng(1)
    labels = rng.permutation(np.repeat(np.arange(30), rng.integers(1, 9, 30)))
    pool = draw_pool(labels, 5, seed=3, number=0)
    assert len(set(pool.tolist())) == len(pool)
    assert np.array_equal(
        np.bincount(labels[pool], minlength=30), np.minimum(np.bincount(labels, minlength=30), 5)
    )
    assert len(list(itertools.groupby(labels[pool]))) == 30
    assert not np.array_equal(pool, draw_pool(labels, 5, seed=3, number=1))
    assert np.array_equal(pool, draw_pool(labels, 5, seed=3, number=0))


LABELS = np.repeat(np.arange(40), 6)


def embed(images, weight=1.0):
    """Embeddings that follow from the image's index and a weight."""
    rng = np.random.default_rng(7)
    centres, noise = rng.normal(size=(40, 4)), rng.normal(size=(len(LABELS), 4))
    found = torch.from_numpy((centres[LABELS] + 0.6 * weight * noise)[images])
    return found / found.norm(dim=1, keepdim=True)


def miner(**changes):
    given = {"labels": LABELS, "images_per_identity": 5, "bag": 60, "size": 10, "seed": 1}
    return Miner(**{**given, "admits": admits(), "embed": embed, "world": World(), **changes})


def test_a_round_fills_two_batches_and_drops_what_is_left_over():
    tally = MiningCounts()
    got = miner(bag=30).mine(Sequence.of({}, 4), 4, tally)
    assert (got.round, got.first, got.last) == (1, 4, 4 + len(got.triplets))
    assert got.triplets.shape[1:] == (10, 3)
    assert len(got.triplets) >= 2
    assert tally.triplets >= 10 * len(got.triplets)
    assert tally.images == 30 * tally.bags
    a, p, n = got.triplets.reshape(-1, 3).T
    assert (LABELS[a] == LABELS[p]).all()
    assert (LABELS[a] != LABELS[n]).all()


def test_the_cursor_walks_the_pool_and_never_crosses_its_end():
    seen, at = [], Sequence.of({}, 0)
    walker = miner(bag=90, embed=lambda images: seen.append(images) or embed(images))
    for _ in range(4):
        at = walker.mine(at, at.last, MiningCounts())
    pools = [draw_pool(LABELS, 5, 1, number) for number in range(len(seen))]
    expected = [pool[first : first + 90] for pool in pools for first in (0, 90)]
    assert all(np.array_equal(a, b) for a, b in zip(seen, expected, strict=False))


def test_a_bag_larger_than_the_pool_is_the_pool():
    tally = MiningCounts()
    miner(bag=10_000).mine(Sequence.of({}, 0), 0, tally)
    assert (tally.bags, tally.images) == (1, 200)


def test_a_round_follows_from_the_seed_and_its_number():
    first = miner().mine(Sequence.of({}, 0), 0, MiningCounts())
    again = miner().mine(Sequence.of({}, 0), 0, MiningCounts())
    assert np.array_equal(first.triplets, again.triplets)
    kept = Sequence.of(first.tensors(), first.last)
    assert kept.tensors().keys() == first.tensors().keys()
    after, resumed = (miner().mine(s, first.last, MiningCounts()) for s in (first, kept))
    assert np.array_equal(after.triplets, resumed.triplets)
    assert (after.pool, after.cursor) == (resumed.pool, resumed.cursor)
    assert not np.array_equal(
        miner(seed=2).mine(Sequence.of({}, 0), 0, MiningCounts()).triplets, first.triplets
    )
    assert not np.array_equal(
        miner(embed=lambda i: embed(i, 0.5)).mine(Sequence.of({}, 0), 0, MiningCounts()).triplets,
        first.triplets,
    )


def test_a_round_of_another_batch_is_given_up():
    first = miner().mine(Sequence.of({}, 0), 0, MiningCounts())
    size = first.triplets.shape[1]
    assert first.fitting(size, 1) is first
    other = first.fitting(size + 1, 1)
    assert (other.first, other.last) == (1, 1)
    assert (other.round, other.pool, other.cursor) == (first.round, first.pool, first.cursor)


def test_triplets_come_in_random_order():
    got = miner(bag=200).mine(Sequence.of({}, 0), 0, MiningCounts())
    anchors = LABELS[got.triplets[:, :, 0]]
    assert (np.diff(np.sort(anchors, axis=1), axis=1) > 0).sum() > 5 * len(anchors)


def test_nothing_to_mine_is_said_and_ends():
    alike = torch.eye(40, dtype=torch.float64)
    with pytest.raises(TrainingError, match="found 0 triplets in 20 bags of 60 images") as raised:
        miner(embed=lambda images: alike[LABELS[images]]).mine(Sequence.of({}, 0), 0, MiningCounts())
    assert "loss.bag" in raised.value.hint


class Second(World):
    """A rank that is not the first of two; the sum is what the first gave."""

    def __init__(self, given):
        super().__init__(1, 2)
        object.__setattr__(self, "given", iter(given))

    def sum(self, tensor):
        return next(self.given)


def test_other_ranks_take_the_choice_of_the_first():
    given = []

    class First(World):
        def sum(self, tensor):
            given.append(tensor.clone())
            return tensor

    one = miner(world=First()).mine(Sequence.of({}, 0), 0, MiningCounts())
    two = miner(world=Second(given), embed=lambda i: embed(i, 0.9)).mine(
        Sequence.of({}, 0), 0, MiningCounts()
    )
    assert np.array_equal(one.triplets, two.triplets)

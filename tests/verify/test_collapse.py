"""When a network has collapsed, by what it makes of images and of pairs."""

from __future__ import annotations

import numpy as np
import pytest

from arcterm.verify import collapse, protocol

PAIRS = 5000  # more rows than are looked at in one go


def near(distance: float, same: np.ndarray) -> np.ndarray:
    """Pairs of two people at this squared distance, those of one person nearer, and far from other pairs."""
    random = np.random.default_rng(0)
    first = random.standard_normal((len(same), 64))
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    step = random.standard_normal(first.shape)
    step -= (step * first).sum(1, keepdims=True) * first
    step /= np.linalg.norm(step, axis=1, keepdims=True)
    angle = 2 * np.arcsin(np.sqrt(distance) / 2) * np.where(same, 0.1, 1.0)[:, None]
    rows = np.empty((2 * len(same), 64), np.float32)
    rows[0::2], rows[1::2] = first, np.cos(angle) * first + np.sin(angle) * step
    return rows


def in_pairs(rows, same, source):
    return collapse.find_in_pairs(rows, protocol.measure_pairs(rows), same, source)


@pytest.mark.parametrize(("distance", "collapsed"), [(0.0099, True), (0.0101, False), (1.0, False)])
def test_people_that_the_protocol_can_not_tell_apart(distance, collapsed):
    same = np.arange(PAIRS) % 2 == 0
    rows = near(distance, same)
    assert bool(in_pairs(rows, same, "lfw")) == collapsed
    assert collapse.find_collapse(rows, "lfw") == ""
    scored = protocol.evaluate(rows, same)
    assert ((scored.accuracy, scored.std) == (0.5, 0.0)) == collapsed


def test_one_pair_of_two_people_is_enough_to_tell():
    same = np.arange(PAIRS) % 2 == 0
    rows = near(0.001, same)
    rows[-1] = -rows[-1]  # the last pair is of two people
    assert in_pairs(rows, same, "lfw") == ""


def test_pairs_of_one_person_may_be_near():
    same = np.ones(PAIRS, np.bool_)
    assert in_pairs(near(0.001, same), same, "lfw") == ""


def test_one_embedding_for_all_and_none_at_all():
    same = np.arange(PAIRS) % 2 == 0
    rows = near(1.0, same)
    assert "less than 0.01 apart" in in_pairs(np.tile(rows[:1], (len(rows), 1)), same, "lfw")
    rows[3] = 0
    assert "are zero: that of lfw image 3" in in_pairs(rows, same, "lfw")
    rows[3] = np.nan
    assert "not finite" in in_pairs(rows, same, "lfw")

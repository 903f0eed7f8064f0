"""Groups of pairs: each is scored as if it were a set."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from arcterm.verify.groups import GroupScores, measure_groups
from arcterm.verify.protocol import evaluate_distances
from arcterm.verify.rates import split_pairs, tar_at_far


def drawn(pairs, seed):
    rng = np.random.default_rng(seed)
    same = rng.random(pairs) < 0.5
    return rng.random(pairs) + ~same * 0.3 * seed, same


def test_a_group_is_scored_as_a_set_of_its_own():
    parts = [drawn(200, 1), drawn(90, 2), drawn(40, 3)]
    names = ["African"] * 200 + ["Asian"] * 90 + ["Indian"] * 40
    order = np.random.default_rng(0).permutation(330)
    order = order[np.argsort(np.array(names)[order], kind="stable")]  # other groups stand between
    distances = np.concatenate([part[0] for part in parts])[order]
    same = np.concatenate([part[1] for part in parts])[order]
    mixed = np.argsort(np.concatenate([np.arange(n) / n for n in (200, 90, 40)]), kind="stable")
    found = measure_groups(distances[mixed], same[mixed], [names[order[i]] for i in mixed])

    assert [group.name for group in found.groups] == ["African", "Asian", "Indian"]
    shared = tar_at_far(split_pairs(distances, same), 1e-3).at_most.threshold
    assert found.threshold == shared
    for group in found.groups:
        members = np.array([names[i] == group.name for i in order])
        alone = evaluate_distances(distances[members], same[members])
        assert (group.accuracy, group.std, group.threshold) == (alone.accuracy, alone.std, alone.threshold)
        assert group.tar == np.mean(distances[members & same] < shared)
        assert group.far == np.mean(distances[members & ~same] < shared)
    accuracies = [group.accuracy for group in found.groups]
    assert found.spread == max(accuracies) - min(accuracies) > 0
    assert found.std == pytest.approx(np.std(accuracies))
    assert msgspec.json.decode(msgspec.json.encode(found), type=GroupScores) == found


def test_groups_that_cannot_be_scored_say_why():
    distances, same = drawn(60, 1)
    same[20:40] = True
    found = measure_groups(distances, same, ["a"] * 20 + ["b"] * 20 + ["c"] * 11 + ["d"] * 9)
    words = [group.withheld for group in found.groups]
    assert (words[0], words[2]) == ("", "")
    assert "all 20 pairs are same" in words[1] and "9 pairs" in words[3]
    assert [group.accuracy is None for group in found.groups] == [False, True, False, True]
    assert found.groups[1].far is None and found.groups[1].tar is not None
    assert found.spread is not None


def test_one_group_has_no_spread():
    found = measure_groups(*drawn(40, 1), ["all"] * 40)
    assert (found.spread, found.std) == (None, None)


def test_pairs_of_one_kind_share_no_threshold():
    found = measure_groups(np.ones(20), np.ones(20, bool), ["a", "b"] * 10)
    assert (found.threshold, found.groups[0].tar, found.spread) == (None, None, None)

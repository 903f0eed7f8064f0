"""The rule of open-set search against a worked example, two other readings, and brute force."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcterm.search.openset import BestScores, OpenSetPoint, find_threshold, measure_open_set

# probes of a b c d e e against galleries of a b c and of d e
SIMILARITY = np.array(
    [
        [0.90, 0.20, 0.10, 0.30, 0.05],
        [0.40, 0.60, 0.65, 0.10, 0.20],
        [0.05, 0.10, 0.50, 0.45, 0.15],
        [0.35, 0.25, 0.15, 0.80, 0.10],
        [0.10, 0.55, 0.05, 0.20, 0.70],
        [0.30, 0.05, 0.20, 0.60, 0.52],
    ]
)
PROBES, GALLERY = np.array(list("abcdee")), np.array(list("abcde"))
FIRST, SECOND = slice(0, 3), slice(3, 5)


def search(columns):
    scores, ids = SIMILARITY[:, columns], GALLERY[columns]
    mated = np.isin(PROBES, ids)
    mine = PROBES[mated, None] == ids
    return BestScores(
        np.where(mine, scores[mated], -np.inf).max(1),
        np.where(mine, -np.inf, scores[mated]).max(1),
        scores[~mated].max(1),
    )


@pytest.mark.parametrize(
    ("gallery", "fpir", "threshold", "tpir", "realised"),
    [
        (FIRST, 0.1, 0.55, 1 / 3, 0),
        (SECOND, 0.1, 0.45, 2 / 3, 0),
        (FIRST, 1 / 3, 0.35, 2 / 3, 1 / 3),
        (SECOND, 1 / 3, 0.30, 2 / 3, 1 / 3),
        (FIRST, 1.0, None, 2 / 3, 1),
    ],
)
def test_the_worked_example(gallery, fpir, threshold, tpir, realised):
    (found,) = measure_open_set(search(gallery), [fpir])
    assert (found.threshold, found.tpir, found.fpir) == (threshold, tpir, realised)
    assert found.resolved == (fpir >= 1 / 3)


def test_two_other_readings_would_differ():
    """The k-th largest in place of the k + 1-th accepts one probe less; the rank left out, one more."""
    scores = search(FIRST)
    exact = find_threshold(scores.non_mated, 1 / 3)
    one_less = np.sort(scores.non_mated)[::-1][max(int(3 * (1 / 3)) - 1, 0)]
    assert (exact, one_less) == (0.35, 0.55)
    right = scores.mates > scores.others
    assert (np.mean(right & (scores.mates > one_less)), np.mean(right & (scores.mates > exact))) == (
        1 / 3,
        2 / 3,
    )
    assert np.mean(scores.mates > exact) == 1


def test_equal_scores_count_against_the_probe():
    scores = BestScores(np.array([0.5, 0.7, 0.8]), np.array([0.1, 0.7, 0.1]), np.array([0.5, 0.2]))
    (found,) = measure_open_set(scores, [0.1])
    assert (found.threshold, found.tpir, found.accepted) == (0.5, 1 / 3, 0)


def test_a_share_that_is_a_whole_number_of_probes_is_met():
    """0.29 · 100 is 28.999… in floating point."""
    assert find_threshold(np.arange(100.0), 0.29) == 70
    assert find_threshold(np.array([3.0, 3.0, 3.0, 1.0]), 0.5) == 3


def test_a_search_without_one_kind_of_probe_has_no_rates():
    some, none = np.array([0.5]), np.empty(0)
    assert measure_open_set(BestScores(some, some, none)) == []
    assert measure_open_set(BestScores(none, none, some)) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.sampled_from([0, 0.01, 0.1, 0.25, 0.5, 0.99]))
def test_no_lower_threshold_keeps_the_rate(values, fpir):
    non_mated = np.array(values) / 8
    found = find_threshold(non_mated, fpir)
    assert np.mean(non_mated > found) <= fpir
    lower = [t for t in (*non_mated, -np.inf) if t < found]
    assert all(np.mean(non_mated > t) > fpir for t in lower)


def test_a_point_is_json():
    (found,) = measure_open_set(search(FIRST), [1.0])
    assert msgspec.json.decode(msgspec.json.encode(found), type=OpenSetPoint) == found

"""Rates against worked examples, scikit-learn, and brute force."""

from __future__ import annotations

from functools import partial

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from arcterm.verify.rates import FARS, Rates, cosine, measure_rates, split_pairs, tar_at_far
from tests.calls import calls

MIXED = [0.95, 0.90, 0.80, 0.70, 0.60, 0.55, 0.40, 0.10], [1, 1, 0, 1, 0, 1, 0, 0]
THINNED = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2], [1, 0, 0, 0, 0, 1, 0, 1]
TIED = [0.9, 0.8, 0.8, 0.8, 0.5, 0.5, 0.2, 0.1], [1, 1, 0, 1, 0, 1, 0, 0]


def arrays(scores, labels):
    """Scores, of which a larger one is nearer, as distances."""
    return -np.array(scores, np.float64), np.array(labels, bool)


def readings(example, far):
    found = tar_at_far(split_pairs(*arrays(*example)), far)
    return found.nearest.tar, found.at_most.tar


@pytest.mark.parametrize(
    ("far", "nearest", "at_most"),
    [
        (0, 0.5, 0.5),
        (0.1, 0.5, 0.5),
        (0.125, 0.75, 0.5),
        (0.2, 0.75, 0.5),
        (0.25, 0.75, 0.75),
        (0.375, 1, 0.75),
        (0.5, 1, 1),
    ],
)
def test_both_readings(far, nearest, at_most):
    assert readings(MIXED, far) == (nearest, at_most)


def test_the_points_of_the_curve():
    def points(example):
        return [(point.far, point.tar) for point in measure_rates(*arrays(*example)).roc]

    assert points(MIXED) == [(0, 0.5), (0.25, 0.75), (0.5, 1), (0.75, 1), (1, 1)]
    assert points(TIED) == [(0, 0.25), (0.25, 0.75), (0.5, 1), (0.75, 1), (1, 1)]


def test_the_nearest_rate_is_read_off_the_whole_curve():
    """scikit-learn leaves collinear points out by default; published scripts read what is left."""
    assert readings(THINNED, 0.4) == (1 / 3, 1 / 3)
    thinned = list(zip(*roc_curve(THINNED[1], THINNED[0])[:2], strict=True))
    far, tar = min(reversed(thinned), key=lambda point: abs(point[0] - 0.4))
    assert (far, tar) == (0.8, 2 / 3)


def test_ties_across_kinds():
    assert readings(TIED, 0.1) == (0.25, 0.25)
    assert readings(TIED, 0.25) == (0.75, 0.75)
    assert readings(TIED, 0.375) == (1, 0.75)


def test_an_impostor_at_the_threshold_is_refused():
    """Three impostors share the distance at which only two may pass."""
    distances = np.array([0.1, 0.2, 0.5, 0.5, 0.5, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5])
    same = np.array([True, True] + [False] * 10)
    found = tar_at_far(split_pairs(distances, same), 0.2)
    assert (found.at_most.threshold, found.at_most.far, found.at_most.impostors) == (0.5, 0, 0)
    assert (found.nearest.threshold, found.nearest.far, found.nearest.impostors) == (0.9, 0.3, 3)


@pytest.mark.parametrize("impostors", [1_000, 10_000, 15_639])
def test_the_numbers_of_impostors_that_may_pass(impostors):
    distances = np.concatenate([[0.0], np.arange(1, impostors + 1) / impostors])
    found = measure_rates(distances, np.arange(impostors + 1) == 0)
    for exponent, at in zip(range(-6, 0), found.tar_at_far, strict=True):
        assert at.at_most.impostors == impostors // 10**-exponent
        assert at.resolved == (impostors >= 10**-exponent)


class TestAgainstScikitLearn:
    @staticmethod
    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=2, max_size=80),
        st.sampled_from([0.0, 0.01, 0.1, 0.125, 0.3, 0.5, 0.75, 0.99, 1.0]),
    )
    def test_random_pairs_with_ties(pairs, far):
        distances = np.array([value / 8 for value, _ in pairs])
        same = np.array([kind for _, kind in pairs])
        found = measure_rates(distances, same, fars=[far], points=1000)
        if same.all() or not same.any():
            assert found is None
            return
        assert isinstance(found, Rates)
        fpr, tpr, _ = roc_curve(same, -distances, drop_intermediate=False)
        best = {x: max(tpr[fpr == x]) for x in fpr}
        assert {(p.far, p.tar) for p in found.roc} == set(best.items())
        assert found.auc == pytest.approx(roc_auc_score(same, -distances), abs=1e-12)

        at = found.tar_at_far[0]
        assert (at.at_most.far, at.at_most.tar) == max(p for p in best.items() if p[0] <= far)
        near = min(sorted(best, reverse=True), key=lambda x: abs(x - far))
        assert (at.nearest.far, at.nearest.tar) == (near, best[near])
        for point in (at.at_most, at.nearest, *found.roc):
            assert point.far == np.mean(distances[~same] < point.threshold)
            assert point.tar == np.mean(distances[same] < point.threshold)
            assert point.impostors == np.count_nonzero(distances[~same] < point.threshold)

        crossing = np.interp(0, fpr + tpr - 1, fpr)
        assert found.eer == pytest.approx(crossing, abs=1e-12)

    @staticmethod
    def test_accepting_at_the_threshold_would_differ():
        distances, same = arrays(*TIED)
        at = tar_at_far(split_pairs(distances, same), 0.25).at_most
        assert np.mean(distances[~same] <= at.threshold) > at.far


def test_the_equal_error_rate_lies_between_two_points():
    """One of three genuine pairs is wrong, and one of two impostor pairs is from 0.5 on."""
    distances = np.array([0.1, 0.4, 0.7, 0.5, 0.9])
    found = measure_rates(distances, np.array([True, True, True, False, False]))
    assert (found.eer, found.eer_threshold) == (pytest.approx(1 / 3), pytest.approx(0.5 + 0.2 * 2 / 3))


def test_separated_kinds_have_no_error():
    found = measure_rates(np.array([0.1, 0.2, 1.5, 1.6]), np.array([True, True, False, False]))
    assert (found.auc, found.eer, found.eer_threshold) == (1, 0, 1.5)
    assert {at.at_most.tar for at in found.tar_at_far} == {1}
    assert [cosine(t) for t in (0.0, 2.0, 4.0)] == [1, 0, -1]


def test_a_long_curve_keeps_its_ends_and_its_low_rates():
    rng = np.random.default_rng(0)
    distances, same = rng.random(60_000), np.arange(60_000) % 2 == 0
    found, whole = (measure_rates(distances, same, points=points) for points in (200, 100_000))
    assert 100 < len(found.roc) <= 200 < len(whole.roc)
    assert set(found.roc) < set(whole.roc)
    assert (found.roc[0], found.roc[-1]) == (whole.roc[0], whole.roc[-1])
    assert [point.impostors for point in found.roc[:6]] == [0, 1, 2, 3, 4, 5]
    assert found.roc == sorted(found.roc, key=lambda point: point.threshold)


def test_all_of_it_is_json():
    found = measure_rates(*arrays(*MIXED))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Rates) == found
    assert [at.asked for at in found.tar_at_far] == list(FARS)


def test_six_thousand_pairs_take_few_calls():
    distances = np.random.default_rng(0).random(6000)
    assert calls(partial(measure_rates, distances, np.arange(6000) % 2 == 0)) < 1500  # of Python's

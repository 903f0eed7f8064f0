"""Places, CMC and average precision against a worked example, a plain loop, and wrong readings."""

from __future__ import annotations

import numpy as np
import pytest

from arcterm.search.counting import count_at_least
from arcterm.search.retrieval import (
    Mates,
    average_precision,
    cumulative_matches,
    find_mates,
    find_places,
    first_places,
    rate_at,
)
from tests.search.test_counting import all_scores, crowded, vectors

# the worked example: two mates of probe 1, one of 2, one of 3, two distractors
SCORES = np.array(
    [[0.2, 0.7, 0.1, 0.0, 0.9, 0.3], [0.5, 0.1, 0.6, 0.2, 0.3, 0.15], [0.6, 0.5, 0.4, 0.1, 0.3, 0.2]]
)
PEOPLE, PROBES = np.array([1, 1, 2, 3, -100, -100]), np.array([1, 2, 3])


def of_scores(scores, people, probes):
    """Mates and their places from a matrix of scores."""
    own, rows = np.nonzero(probes[:, None] == people)
    order = np.lexsort([rows, -scores[own, rows], own])
    own, rows = own[order], rows[order]
    totals = (probes[:, None] == people).sum(1)
    numbers = np.concatenate([np.arange(1, n + 1) for n in totals])
    mates = Mates(own, rows, scores[own, rows], numbers, totals[own])
    at_least = (scores[own] >= mates.scores[:, None]).sum(1)
    return mates, find_places(mates, at_least)


def matlab(good, order):
    """TinyFace's own loop over a ranked list."""
    recall_before, precision_before, area, found = 0.0, 1.0, 0.0, 0
    for place, entry in enumerate(order):
        found += entry in good
        recall, precision = found / len(good), found / (place + 1)
        area += (recall - recall_before) * ((precision_before + precision) / 2)
        recall_before, precision_before = recall, precision
        if found == len(good):
            break
    return area


def test_the_worked_example():
    mates, places = of_scores(SCORES, PEOPLE, PROBES)
    first = first_places(mates, places)
    assert first.tolist() == [2, 1, 6]
    assert [rate_at(first, k) for k in (1, 2, 3, 5, 6)] == [1 / 3, 2 / 3, 2 / 3, 2 / 3, 1]
    precision = average_precision(mates, places)
    assert precision.trapezoidal.tolist() == [0.3333333333333333, 1.0, 0.08333333333333333]
    assert f"{precision.trapezoidal.mean():.16f}" == "0.4722222222222222"
    assert precision.plain.tolist() == [0.5, 1.0, 0.16666666666666666]
    mates, places = of_scores(SCORES[:, :4], PEOPLE[:4], PROBES)
    assert rate_at(first_places(mates, places), 1) == 2 / 3
    assert cumulative_matches(first, 6) == [(1, 1 / 3), (2, 2 / 3), (6, 1)]


def test_wrong_readings_differ():
    """Without distractors, with the first mate alone, or with a distractor's label as an identity."""
    mates, places = of_scores(SCORES, PEOPLE, PROBES)
    assert (
        average_precision(mates, places).plain.mean() != average_precision(mates, places).trapezoidal.mean()
    )
    fewer, without = of_scores(SCORES[:, :4], PEOPLE[:4], PROBES)
    assert average_precision(fewer, without).trapezoidal.mean() > 0.4722222222222222
    one = PEOPLE.copy()
    one[1] = -100  # the better mate of probe 1
    assert first_places(*of_scores(SCORES, one, PROBES)).tolist() == [4, 1, 6]


@pytest.mark.parametrize("seed", range(20))
def test_any_set_as_a_loop_has_it(seed):
    """Scores of few values, so that many are equal; equal entries of others come first."""
    draw = np.random.default_rng(seed)
    people, probes = draw.integers(0, 4, 30), draw.integers(0, 4, 12)
    scores = draw.integers(0, 8, (12, 30)) / 8
    mates, places = of_scores(scores, people, probes)
    precision = average_precision(mates, places)
    order = np.lexsort([probes[:, None] == people, -scores], axis=1)
    for number, (probe, ranked) in enumerate(zip(probes, order, strict=True)):
        hits = np.flatnonzero(people[ranked] == probe) + 1
        assert places[mates.probes == number].tolist() == hits.tolist()
        good = set(np.flatnonzero(people == probe).tolist())
        assert precision.trapezoidal[number] == matlab(good, ranked.tolist())
        assert precision.plain[number] == pytest.approx(
            np.mean(np.arange(1, len(hits) + 1) / hits), abs=1e-15
        )


def test_ties_count_against_the_probe():
    scores = np.array([[0.5, 0.5, 0.5, 0.1]])
    _, places = of_scores(scores, np.array([7, 7, 1, 1]), np.array([7]))
    assert places.tolist() == [2, 3]
    optimistic = np.argsort(-scores[0], kind="stable")
    assert optimistic.tolist()[:2] == [0, 1]  # where both mates would come first


@pytest.mark.parametrize("seed", range(3))
def test_vectors_of_a_gallery_with_duplicates(seed):
    probes, gallery = crowded(seed)
    draw = np.random.default_rng(seed)
    people, own = (
        draw.integers(0, 9, len(gallery)),
        draw.integers(0, 12, len(probes)),
    )  # 9, 10 and 11 have no mate
    mates = find_mates(probes, own, gallery, people)
    places = find_places(mates, count_at_least(probes, gallery, mates.scores, mates.probes))
    scores = all_scores(probes, gallery)
    mated = own < 9
    wanted, wanted_places = of_scores(scores[mated], people, own[mated])
    assert places.tolist() == wanted_places.tolist()
    assert mates.rows.tolist() == wanted.rows.tolist() and mates.scores.tolist() == wanted.scores.tolist()
    assert np.flatnonzero(mated).tolist() == np.unique(mates.probes).tolist()
    assert len(average_precision(mates, places).plain) == mated.sum()


def test_probes_without_any_mate():
    mates = find_mates(vectors(3), np.array([1, 2, 3]), vectors(2, seed=1), np.array([4, 5]))
    first = first_places(mates, find_places(mates, np.zeros(0, np.int64)))
    assert np.isnan(rate_at(first, 1)) and cumulative_matches(first, 2) == [(1, 0), (2, 0)]

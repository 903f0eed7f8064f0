"""The best people against brute force: duplicates, ties, people with many images."""

from __future__ import annotations

import numpy as np
import pytest

from arcterm.errors import DataError
from arcterm.evaluate import nearest
from arcterm.evaluate.nearest import best_people, pool
from arcterm.search import counting
from tests.search.test_counting import all_scores, crowded, vectors


@pytest.mark.parametrize("most", [1, 2, 4, 50])
@pytest.mark.parametrize("seed", range(4))
def test_people_by_their_best_image(seed, most, monkeypatch):
    monkeypatch.setattr(nearest, "_ENTRIES", 100)
    monkeypatch.setattr(counting, "_COLUMNS", 16)
    probes, gallery = crowded(seed)
    owners = np.sort(np.random.default_rng(seed).integers(0, 9, len(gallery)))
    owners = np.unique(owners, return_inverse=True)[1]
    people = owners.max() + 1
    scores = all_scores(probes, gallery)
    by_person = np.stack([scores[:, owners == person].max(1) for person in range(people)], 1)
    order = np.argsort(-by_person, axis=1, kind="stable")[:, :most]
    # of equal people the one with the earlier row is the earlier person, as owners ascend
    found = best_people(probes, gallery, owners, most)
    assert found.rows.tolist() == order.tolist()
    assert found.scores.tolist() == np.take_along_axis(by_person, order, 1).tolist()


def test_pooled_vectors_are_normalised_sums():
    rows = vectors(6)
    owners = np.array([0, 0, 0, 1, 2, 2])
    pooled = pool(rows, owners, ["a", "b", "c"])
    wanted = np.stack([rows[owners == person].astype(np.float64).sum(0) for person in range(3)])
    np.testing.assert_allclose(pooled, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), atol=1e-7)
    np.testing.assert_allclose(pooled[1], rows[3], atol=1e-7)
    with pytest.raises(DataError, match="images of b have opposite vectors"):
        pool(np.concatenate([rows[:1], rows[1:2], -rows[1:2]]), np.array([0, 1, 1]), ["a", "b"])


def test_no_probes():
    gallery = vectors(3)
    assert best_people(gallery[:0], gallery, np.arange(3), 2).rows.shape == (0, 2)

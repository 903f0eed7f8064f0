"""Verification and identification of templates: worked examples, brute force, and ties."""

from __future__ import annotations

import numpy as np
import pytest

from arcterm.evaluate.ijb import verification
from arcterm.evaluate.ijb.identification import FPIRS, identify
from arcterm.evaluate.ijb.searching import Enrolled, enrol, search
from arcterm.evaluate.ijb.verification import score_pairs, verify
from arcterm.formats.ijb.subjects import Subjects
from tests.search.test_openset import SIMILARITY

MIXED = np.array([0.95, 0.90, 0.80, 0.70, 0.60, 0.55, 0.40, 0.10]), np.array([1, 1, 0, 1, 0, 1, 0, 0], bool)

# templates 0 … 4 are the galleries' a b c d e, 5 … 10 the probes; columns of SIMILARITY are their products
VECTORS = np.vstack([np.eye(5), SIMILARITY])
GALLERIES = {
    "G1": Enrolled(np.array([0, 1, 2]), np.array([1, 2, 3], np.int32)),
    "G2": Enrolled(np.array([3, 4]), np.array([4, 5], np.int32)),
}
PROBES = Enrolled(np.arange(5, 11), np.array([1, 2, 3, 4, 5, 5], np.int32))
WHOLE = Enrolled(np.arange(5), np.arange(1, 6, dtype=np.int32))


def units(rng, count, width=24):
    rows = rng.standard_normal((count, width))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_both_readings_of_a_pair_set():
    found = verify(*MIXED)
    assert (found.genuine, found.impostors) == (4, 4)
    last = found.tars[-1]
    assert (last.far, last.tar, last.threshold, last.realised_far, last.accepted) == (0.1, 0.5, 0.8, 0, 0)
    assert (last.nearest_tar, last.nearest_far, last.resolved, last.noise) == (0.5, 0, False, True)
    assert found.roc == [(0, 0.5), (0.25, 0.75), (0.5, 1), (0.75, 1), (1, 1)]
    assert verify(np.ones(3), np.ones(3, bool)) is None


@pytest.mark.parametrize(("impostors", "noisy"), [(8_000_000, [1e-6]), (15_638_932, [1e-6])])
def test_few_impostors_are_noise(impostors, noisy):
    assert [far for far in (1e-6, 1e-5) if far * impostors < verification.FEW_IMPOSTORS] == noisy


def test_thresholds_are_similarities_that_are_not_enough():
    rng = np.random.default_rng(0)
    scores, same = np.round(rng.standard_normal(5000), 2), rng.random(5000) < 0.2
    scores[same] += 1
    for row in verify(scores, same).tars:
        assert np.mean(scores[~same] > row.threshold) == row.realised_far <= row.far
        assert np.mean(scores[same] > row.threshold) == row.tar <= row.nearest_tar + 1e-12
        assert np.count_nonzero(scores[~same] > row.threshold) == row.accepted


@pytest.mark.parametrize("block", [1, 3, 1000])
def test_a_score_depends_on_its_pair_alone(monkeypatch, block):
    rng = np.random.default_rng(0)
    vectors = units(rng, 30, 512)
    left, right = rng.integers(0, 30, (2, 700)).astype(np.int32)
    monkeypatch.setattr(verification, "_BLOCK", block)
    found = score_pairs(vectors, left, right)
    assert found == pytest.approx((vectors @ vectors.T)[left, right], abs=1e-14)
    order = rng.permutation(700)
    assert (score_pairs(vectors, left[order], right[order]) == found[order]).all()
    monkeypatch.setattr(verification, "_BLOCK", 4096)
    assert (score_pairs(vectors, left, right) == found).all()


class TestTheWorkedExample:
    @staticmethod
    @pytest.mark.parametrize(
        ("fpir", "tpirs", "thresholds"),
        [(0.1, (1 / 3, 2 / 3), (0.55, 0.45)), (1 / 3, (2 / 3, 2 / 3), (0.35, 0.30))],
    )
    def test_galleries_apart(fpir, tpirs, thresholds):
        found = identify(VECTORS, GALLERIES, PROBES, [fpir])
        points = [result.open_set[0] for result in found.galleries]
        assert tuple(point.tpir for point in points) == tpirs
        assert tuple(point.threshold for point in points) == thresholds
        assert found.mean_tpir == {fpir: pytest.approx(np.mean(tpirs))}
        for result in found.galleries:
            assert (result.mated, result.non_mated, result.ranks[1]) == (3, 3, 2 / 3)

    @staticmethod
    @pytest.mark.parametrize(("fpir", "tpirs"), [(0.1, (0.5, 0.5)), (0.5, (2 / 3, 0.5)), (2 / 3, (1, 2 / 3))])
    def test_older_readings_differ(fpir, tpirs):
        merged, apart = identify(VECTORS, GALLERIES, PROBES, [fpir]).older
        assert "rank not required" in merged.how
        assert merged.ranks[1] == apart.ranks[1] == pytest.approx(4 / 6)
        assert merged.tpir[fpir] == pytest.approx(tpirs[0])
        assert apart.tpir[fpir] == pytest.approx(tpirs[1])

    @staticmethod
    @pytest.mark.parametrize(
        ("fpir", "threshold", "tpir"), [(0.1, 0.65, 0.5), (0.2, 0.6, 0.5), (0.5, 0.55, 2 / 3)]
    )
    def test_the_merged_gallery(fpir, threshold, tpir):
        _, merged = search(VECTORS, list(GALLERIES.values()), PROBES, [fpir])
        assert merged.impostors[int(np.ceil(6 * fpir)) - 1] == threshold
        assert np.mean(merged.mates > threshold) == pytest.approx(tpir)
        assert [np.mean(merged.places <= rank) for rank in (1, 2)] == [pytest.approx(4 / 6), 1]


def test_random_galleries_as_by_brute_force():
    rng = np.random.default_rng(1)
    vectors = np.round(units(rng, 160, 4), 1)  # many equal scores
    subjects = np.concatenate([np.arange(40), rng.integers(0, 40, 120)]).astype(np.int32)
    galleries = {
        "S1": Enrolled(np.arange(0, 20), subjects[:20]),
        "S2": Enrolled(np.arange(20, 40), subjects[20:40]),
    }
    probes = Enrolled(np.arange(40, 160), subjects[40:])
    found = identify(vectors, galleries, probes)
    for result, gallery in zip(found.galleries, galleries.values(), strict=True):
        places, best = [], []
        for row, subject in zip(probes.rows, probes.subjects, strict=True):
            scores = np.array([np.einsum("i,i->", vectors[g], vectors[row]) for g in gallery.rows])
            if subject in gallery.subjects:
                own = gallery.subjects == subject
                places.append(1 + sum(scores[~own] >= scores[own].max()))
            else:
                best.append(scores.max())
        assert (result.mated, result.non_mated) == (len(places), len(best))
        assert result.ranks == {k: np.mean(np.array(places) <= k) for k in (1, 5, 10)}
        assert result.cmc[4] == result.ranks[5]
        assert [p.accepted for p in result.open_set] == [
            np.count_nonzero(np.array(best) > p.threshold) for p in result.open_set
        ]
    _, merged = search(vectors, list(galleries.values()), probes, FPIRS)
    impostors = []
    for row, subject in zip(probes.rows, probes.subjects, strict=True):
        scores = np.einsum("ij,j->i", vectors[:40], vectors[row])
        impostors += scores[subjects[:40] != subject].tolist()
    assert merged.impostors.tolist() == sorted(impostors, reverse=True)[:12]


def test_several_templates_of_a_subject_and_none():
    """The best of a subject's templates counts; older scripts would stop."""
    galleries = {
        "G1": Enrolled(np.array([0, 1]), np.array([1, 1], np.int32)),
        "G2": Enrolled(np.array([2]), np.array([9], np.int32)),
    }
    found = identify(VECTORS, galleries, PROBES)
    assert (found.galleries[0].mated, found.galleries[0].ranks[1]) == (1, 1)
    assert (found.galleries[1].mated, found.galleries[1].open_set) == (0, [])
    assert (found.mean_tpir, len(found.older)) == ({}, 1)


def test_templates_are_found_by_their_ids():
    ids = np.array([3, 7, 20, 31], np.int32)
    subjects = Subjects(np.array([7, 31], np.int32), np.array([1, 2], np.int32), 5)
    assert enrol(ids, subjects).rows.tolist() == [1, 3]

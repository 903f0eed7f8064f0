"""Pooling against the worked example, with readings of it that are wrong, and against the plain loop."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from arcterm.errors import DataError
from arcterm.evaluate.ijb import pooling
from arcterm.evaluate.ijb.pooling import POOLINGS, Pooling, find_unit_norms, fuse, group, pool

IMAGES = [[3, 0, 0], [0, 4, 0], [1, 1, 0], [0, 0, 2], [2, 0, 1], [0, 3, 4]]
MIRRORS = [[1, 0, 0], [0, 0, 0], [1, -1, 0], [0, 2, 0], [0, 0, 1], [0, 1, 0]]
FEATURES = np.hstack([IMAGES, MIRRORS]).astype(np.float32)
TEMPLATES = np.array([7, 7, 7, 9, 9, 9], np.int32)
MEDIA = np.array([50, 50, 51, 50, 52, 52], np.int32)
SCORES = np.array([0.9, 0.5, 1.0, 0.8, 1.0, 0.25])

EXAMPLE = {
    Pooling(): 0.3874301344822813,
    Pooling(detector_score=False): 0.4140393356054125,
    Pooling(norms="removed"): 0.3669755758653189,
    Pooling(norms="removed", detector_score=False): 0.3721042037676254,
    Pooling("none"): 0.3574007658835582,
    Pooling("concatenated"): 0.1160145868461602,
    Pooling("unit-sum"): 0.2818497705554600,
}


def cosine(a, b):
    return a @ b / np.sqrt((a @ a) * (b @ b))


@pytest.mark.parametrize("chosen", EXAMPLE, ids=str)
def test_the_worked_example(chosen):
    first, second = pool(FEATURES, SCORES, group(TEMPLATES, MEDIA), chosen)
    assert f"{first @ second:.16f}" == f"{EXAMPLE[chosen]:.16f}"


@pytest.mark.parametrize(
    ("chosen", "first", "second"),
    [
        (Pooling(), [3.8, 1, 0], [1, 2.1, 3.1]),
        (Pooling(detector_score=False), [4, 2, 0], [1, 4, 5]),
        (Pooling(norms="removed"), [1.45, 0.25, 0], [0.353553390593, 0.654073772598, 1.007627163191]),
        (
            Pooling(norms="removed", detector_score=False),
            [1.5, 0.5, 0],
            [0.353553390593, 1.060660171780, 1.414213562373],
        ),
    ],
    ids=str,
)
def test_the_sums_before_they_are_normalised(chosen, first, second):
    found = pool(FEATURES, SCORES, group(TEMPLATES, MEDIA), chosen)
    for vector, wanted in zip(found, (first, second), strict=True):
        assert vector == pytest.approx(np.array(wanted) / np.linalg.norm(wanted), abs=1e-12)


def test_two_wrong_readings_would_differ():
    weighted = fuse(FEATURES, SCORES, Pooling())
    means = [np.mean(weighted[[0, 1]], 0), weighted[2], weighted[3], np.mean(weighted[[4, 5]], 0)]
    units = [mean / np.linalg.norm(mean) for mean in means]
    assert cosine(units[0] + units[1], units[2] + units[3]) == pytest.approx(0.4065349857375034, abs=1e-15)
    flat = weighted[:3].mean(0), weighted[3:].mean(0)
    assert cosine(*flat) == pytest.approx(0.4881533550494354, abs=1e-15)


def test_all_variants_have_names_of_their_own():
    assert len({str(each) for each in POOLINGS}) == len(POOLINGS) == 16
    assert POOLINGS[0] == Pooling()
    assert str(Pooling()) == "image + mirror image, norms kept, × detector score"


def plainly(features, scores, templates, media, chosen):
    weighted = fuse(features, scores, chosen)
    vectors = []
    for template in np.unique(templates):
        mine = templates == template
        vector = sum(weighted[mine & (media == one)].mean(0) for one in np.unique(media[mine]))
        vectors.append(vector / np.linalg.norm(vector))
    return np.array(vectors)


@pytest.mark.parametrize("block", [1, 7, 4096])
def test_blocks_of_any_size_pool_as_the_plain_loop_does(monkeypatch, block):
    monkeypatch.setattr(pooling, "_BLOCK", block)
    rng = np.random.default_rng(0)
    templates, media = (rng.integers(0, most, 300).astype(np.int32) * 3 for most in (20, 6))
    features = rng.standard_normal((300, 16)).astype(np.float32)
    scores = rng.random(300)
    for chosen in POOLINGS:
        found = pool(features, scores, group(templates, media), chosen)
        wanted = plainly(features, scores, templates, media, chosen)
        assert np.abs(found - wanted).max() < 1e-14


def test_the_order_of_the_images_is_nothing():
    order = np.random.default_rng(0).permutation(6)
    found = [
        pool(FEATURES[at], SCORES[at], group(TEMPLATES[at], MEDIA[at]), Pooling())
        for at in (np.arange(6), order)
    ]
    assert found[0] == pytest.approx(found[1], abs=1e-15)


@pytest.mark.parametrize(("value", "said"), [(0, "9 (zero)"), (np.nan, "9 (not finite)"), (np.inf, "9 (not")])
def test_a_template_without_a_direction_is_named(value, said):
    features = FEATURES.copy()
    features[3:] = value
    for chosen in POOLINGS:
        with pytest.raises(DataError) as raised:
            pool(features, SCORES, group(TEMPLATES, MEDIA), chosen)
        assert said in raised.value.message and "7 (" not in raised.value.message


def test_templates_that_cancel_out_are_named_and_counted():
    features = np.ones((40, 2), np.float32)
    features[::2] = -1
    ids = np.arange(40, dtype=np.int32) // 2
    with pytest.raises(DataError, match=r"of 20 templates: 0 \(zero\), 1 \(zero\).* and 15 more"):
        pool(features, np.ones(40), group(ids, ids), Pooling())


def test_a_network_that_normalises_is_noticed():
    rng = np.random.default_rng(0)
    views = rng.standard_normal((50, 2, 8)).astype(np.float32)
    assert not find_unit_norms(views.reshape(50, 16))
    views /= np.linalg.norm(views, axis=2, keepdims=True)
    assert find_unit_norms(views.reshape(50, 16))
    views[3, 1] *= 1.002
    assert not find_unit_norms(views.reshape(50, 16))


def test_progress_ascends():
    seen = []
    pool(FEATURES, SCORES, group(TEMPLATES, MEDIA), Pooling(), lambda done, total: seen.append((done, total)))
    assert seen and all(a <= b <= (6, 6) for a, b in itertools.pairwise(seen))

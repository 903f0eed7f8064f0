"""Error versus reject against worked examples and a transcription of the published evaluation."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from sklearn.metrics import auc

from arcterm.errors import DataError
from arcterm.verify.reject import (
    FARS,
    Rejection,
    measure_rejection,
    pair_qualities,
    read_qualities,
    reject_fixed,
    reject_recomputed,
)

SCORES = np.array([0.9, 0.2, 0.6, 0.3, 0.7, 0.25, 0.8, 0.5])
QUALITIES = np.array([0.8, 0.9, 0.1, 0.7, 0.5, 0.6, 0.9, 0.8, 0.3, 0.9, 0.3, 0.4, 0.7, 0.95, 0.5, 0.9])


def test_the_worked_example():
    found = reject_fixed(-SCORES, pair_qualities(QUALITIES), -0.4)
    assert found.discarded == [0, 0.125, 0.375, 0.625, 0.75, 1]
    assert found.fnmr == [0.375, 2 / 7, 0.2, 1 / 3, 0.5, 0]
    assert [round(area.area, 7) for area in found.areas] == [0.0683036, 0.0968750, 0.1433036, 0.3349702]
    assert [round(area.best, 7) for area in found.areas] == [0.055, 0.0675, 0.0703125, 0.0703125]


def test_equal_qualities_are_discarded_together():
    """Split ties would have points at a quarter and a half; theirs are 0.3333 and 0.25."""
    found = reject_fixed(-SCORES, pair_qualities(QUALITIES), -0.4)
    assert 0.25 not in found.discarded and 0.5 not in found.discarded
    shuffled = np.random.default_rng(0).permutation(8)
    assert reject_fixed(-SCORES[shuffled], pair_qualities(QUALITIES)[shuffled], -0.4) == found


def test_a_perfect_quality_has_the_least_area():
    rng = np.random.default_rng(0)
    distances = rng.random(1000)
    for area in reject_fixed(distances, -distances, 0.8).areas:
        assert area.area == pytest.approx(area.best, abs=2e-3)
    for area in reject_fixed(distances, distances, 0.8).areas:
        assert area.area > 2 * area.best


def published(distances, same, quality):
    """CR-FIQA's loop: scores are negative distances, accepted where they are not smaller."""
    order = np.argsort(quality, kind="stable")
    curves = {far: [] for far in FARS}
    for rate in np.arange(0, 0.98, 0.05):
        left = order[int(rate * len(order)) :]
        genuine, impostors = -distances[left][same[left]], -distances[left][~same[left]]
        thresholds = np.unique(np.concatenate([genuine, impostors]))
        fmr = np.array([np.mean(impostors >= t) for t in thresholds])
        for far, curve in curves.items():
            threshold = -thresholds[np.argmin(np.abs(fmr - far))]
            curve.append(1 - np.mean(-genuine < threshold))
    return curves


@pytest.mark.parametrize("decimals", [12, 2], ids=["distinct", "tied"])
def test_the_recomputed_threshold_equals_the_published_loop(decimals):
    rng = np.random.default_rng(1)
    same = np.arange(400) % 2 == 0
    quality = rng.random(400).round(decimals)
    distances = (rng.random(400) + ~same * 0.6 * quality).round(decimals)
    expected = published(distances, same, quality)
    found = reject_recomputed(distances, same, quality)
    for curve in found:
        assert curve.fnmr == expected[curve.far]
        assert curve.discarded == pytest.approx([step * 0.05 for step in range(20)])
        assert curve.area == pytest.approx(auc(curve.discarded, curve.fnmr))
    fixed = [reject_fixed(distances[same], quality[same], curve.thresholds[0]) for curve in found]
    assert [curve.fnmr for curve in found] != [curve.fnmr for curve in fixed]


def test_it_ends_before_one_kind_is_left():
    same = np.arange(40) >= 20
    found = reject_recomputed(np.linspace(0, 1, 40), same, np.arange(40.0))
    assert [len(curve.discarded) for curve in found] == [10, 10, 10]
    assert measure_rejection(np.ones(4), np.ones(4, bool), np.ones(8)) is None


def test_both_methods_have_names_and_are_json():
    rng = np.random.default_rng(2)
    same = np.arange(2000) % 2 == 0
    found = measure_rejection(rng.random(2000) + ~same * 0.5, same, rng.random(4000))
    assert [curve.far for curve in found.fixed] == [curve.far for curve in found.recomputed] == list(FARS)
    assert len({found.fixed[0].method, found.recomputed[0].method}) == 2
    assert max(len(curve.fnmr) for curve in found.fixed) <= 200
    assert (found.fixed[0].discarded[-1], found.fixed[0].fnmr[-1]) == (1, 0)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Rejection) == found


def test_qualities_are_the_last_fields(tmp_path):
    path = tmp_path / "q.txt"
    path.write_text("\ufeffa/b.jpg 0.5\nc d.jpg\t1e-2\r\n\n3, 4\n-1\n", encoding="utf-8")
    assert read_qualities(path, 4).tolist() == [0.5, 0.01, 4, -1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1\n2\n", "qualities of 2 images, the set has 4"),
        ("1\n\nx y\n3\n", "line 3: 'y' is no quality"),
        ("1\nnan\n", "line 2: 'nan'"),
        ("inf\n", "line 1: 'inf'"),
        ("\x00\n", "line 1"),
    ],
)
def test_bad_qualities_are_named(tmp_path, text, words):
    path = tmp_path / "q.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_qualities(path, 4)


def test_a_missing_file_of_qualities_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.txt can't be read"):
        read_qualities(tmp_path / "none.txt", 4)

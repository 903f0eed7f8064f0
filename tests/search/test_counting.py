"""Counting and the best rows against brute force, with ties and duplicates."""

from __future__ import annotations

import numpy as np
import pytest

from arcterm.search import counting, exact
from arcterm.search.counting import best_rows, count_at_least


def unit(rows):
    rows = np.asarray(rows, np.float32)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def vectors(count, width=64, seed=0):
    return unit(np.random.default_rng(seed).standard_normal((count, width)))


def all_scores(probes, gallery):
    """Every canonical score (P, G)."""
    at, row = np.divmod(np.arange(len(probes) * len(gallery)), len(gallery))
    return exact.scores(probes[at], gallery[row]).reshape(len(probes), len(gallery))


def crowded(seed=0, width=64):
    """Probes and a gallery in which many rows are equal, or differ in a last bit."""
    gallery = vectors(90, width, seed)
    gallery[30:50] = gallery[10]
    gallery[50:70] = np.nextafter(gallery[10], np.float32(2), dtype=np.float32)
    gallery[75] = 0
    return np.concatenate([vectors(15, width, seed + 1), gallery[[10, 55]]]), gallery


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(counting, "_ROWS", 4)
    monkeypatch.setattr(counting, "_COLUMNS", 7)
    monkeypatch.setattr(exact, "_PAIRS", 3)


@pytest.mark.parametrize("seed", range(5))
def test_counts_are_those_of_brute_force(seed, small_blocks):
    probes, gallery = crowded(seed)
    scores = all_scores(probes, gallery)
    draw = np.random.default_rng(seed)
    owners = draw.integers(0, len(probes), 120)
    owners[owners == 5] = 6  # a probe without marks
    row = np.where(draw.random(120) < 0.5, 10, draw.integers(0, len(gallery), 120))
    marks = scores[owners, row]
    marks[::7] = np.nextafter(marks[::7], 2)  # no score is equal to these
    found = count_at_least(probes, gallery, marks, owners)
    assert found.tolist() == [(scores[p] >= mark).sum() for p, mark in zip(owners, marks, strict=True)]
    assert found[0] != (scores[owners[0]] >= scores[owners[0], row[0]]).sum()


def test_float32_products_alone_would_count_wrongly():
    """The negative control: ties are many, and a product of floats decides some of them otherwise."""
    probes, gallery = crowded()
    scores = all_scores(probes, gallery)
    owners = np.arange(len(probes))
    marks = scores[:, 10]
    rounded = (probes @ gallery.T >= marks[:, None].astype(np.float32)).sum(1)
    exactly = count_at_least(probes, gallery, marks, owners)
    assert exactly.tolist() == (scores >= marks[:, None]).sum(1).tolist()
    assert rounded.tolist() != exactly.tolist()
    strictly = (scores > marks[:, None]).sum(1)
    assert (exactly - strictly >= 21).all()  # an equal row counts: 10 and 30 … 49


def test_blocks_shards_and_the_order_of_rows_change_no_count(monkeypatch):
    probes, gallery = crowded(3)
    owners = np.repeat(np.arange(len(probes)), 2)
    marks = exact.pair_scores(probes, gallery, owners, np.tile([10, 60], len(probes)))
    whole = count_at_least(probes, gallery, marks, owners)
    shards = sum(count_at_least(probes, gallery[part::3], marks, owners) for part in range(3))
    assert shards.tolist() == whole.tolist()
    for rows, columns in ((1, 1), (3, 50), (5, 1000)):
        monkeypatch.setattr(counting, "_ROWS", rows)
        monkeypatch.setattr(counting, "_COLUMNS", columns)
        assert count_at_least(probes, gallery[::-1], marks, owners).tolist() == whole.tolist()


@pytest.mark.parametrize("most", [1, 5, 40, 200])
@pytest.mark.parametrize("seed", range(3))
def test_best_rows_are_those_of_a_stable_sort(seed, most, small_blocks):
    probes, gallery = crowded(seed)
    scores = all_scores(probes, gallery)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :most]
    found = best_rows(probes, gallery, most)
    assert found.rows.tolist() == order.tolist()
    assert found.scores.tolist() == np.take_along_axis(scores, order, 1).tolist()


def test_an_equal_row_that_comes_later_takes_no_place(small_blocks):
    gallery = np.repeat(vectors(1), 20, axis=0)
    assert best_rows(vectors(2, seed=4), gallery, 3).rows.tolist() == [[0, 1, 2]] * 2


@pytest.mark.parametrize("spoil", [lambda rows: rows * 1.1, lambda rows: rows * np.nan])
def test_vectors_that_are_not_normalised_are_refused(spoil):
    probes, gallery = crowded()
    with pytest.raises(ValueError, match="normalised"):
        count_at_least(probes, spoil(gallery), np.zeros(1), np.zeros(1, np.int64))
    with pytest.raises(ValueError, match="normalised"):
        best_rows(spoil(probes), gallery, 1)


def test_a_gallery_is_read_from_its_file_block_by_block(tmp_path, small_blocks):
    probes, gallery = crowded()
    np.save(tmp_path / "gallery.npy", gallery)
    mapped = np.load(tmp_path / "gallery.npy", mmap_mode="r")
    assert best_rows(probes, mapped, 2).rows.tolist() == best_rows(probes, gallery, 2).rows.tolist()


def test_no_probes_no_gallery_and_no_marks():
    nothing, gallery = np.zeros((0, 64), np.float32), vectors(3)
    none = np.zeros(0, np.int64)
    assert count_at_least(nothing, gallery, np.zeros(0), none).tolist() == []
    assert count_at_least(gallery, gallery, np.zeros(0), none).tolist() == []
    assert count_at_least(gallery, nothing, np.zeros(1), np.zeros(1, np.int64)).tolist() == [0]
    assert best_rows(nothing, gallery, 2).rows.shape == (0, 2)
    assert best_rows(gallery, nothing, 2).rows.shape == (3, 0)

"""The distances of pairs against the plain formula in NumPy, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from arcterm.errors import DataError
from arcterm.verify.protocol import (
    MAX_FAR,
    _allowed,
    _rates,
    evaluate,
    evaluate_distances,
    measure_pairs,
    pair_distances,
)


def plain_distances(embeddings, multiply=False):
    rows = embeddings.astype(np.float64)
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    norms = np.where(norms > 0, norms, 1)[:, None]
    rows = rows * (1 / norms) if multiply else rows / norms
    return np.square(rows[0::2] - rows[1::2]).sum(1)


def plain_rates(distances, same, fold, folds):
    """Every fold's threshold by counting through all of the others' impostors."""
    rates = [], [], []
    for held_out in range(folds):
        training = np.sort(distances[~same & (fold != held_out)])
        allowed = np.count_nonzero(np.arange(1, len(training) + 1) / len(training) <= MAX_FAR)
        rates[2].append(training[allowed])
        for kind, column in ((same, rates[0]), (~same, rates[1])):
            if len(test := distances[kind & (fold == held_out)]):
                column.append(np.mean(test < training[allowed]))
    return tuple(float(np.mean(column)) for column in rates)


def drawn(pairs, size, seed, scale=1.0):
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(2 * pairs, size)) * scale
    embeddings[rng.integers(2 * pairs)] = 0
    return embeddings, rng.random(pairs) < 0.5


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 1100),
    st.sampled_from([1, 2, 3, 7, 8, 64, 129, 512]),
    st.sampled_from(["f2", "f4", "f8"]),
    st.sampled_from([1e-300, 1e-4, 1.0, 100.0]),
)
def test_distances_are_the_same_to_the_last_bit(pairs, size, kind, scale):
    embeddings = drawn(min(pairs, 300_000 // size), size, pairs, scale)[0].astype(kind)
    assert np.array_equal(pair_distances(embeddings), plain_distances(embeddings))


@pytest.mark.parametrize(("pairs", "size"), [(6000, 8), (513, 512), (20, 9001)])
def test_large_ones_too_and_so_is_the_score(pairs, size):
    embeddings, same = drawn(pairs, size, 0)
    assert np.array_equal(pair_distances(embeddings), plain_distances(embeddings))
    assert evaluate(embeddings, same) == evaluate_distances(plain_distances(embeddings), same)
    fold = np.repeat(np.arange(10), pairs // 10)
    assert pairs % 10 or _rates(plain_distances(embeddings), same, fold, 10) == plain_rates(
        plain_distances(embeddings), same, fold, 10
    )


def test_multiplying_by_the_reciprocal_is_not_the_same():
    embeddings, _ = drawn(500, 64, 0)
    assert not np.array_equal(plain_distances(embeddings, multiply=True), pair_distances(embeddings))


def test_arrays_of_any_layout_are_read_and_left_as_they_are():
    embeddings, _ = drawn(40, 16, 0)
    expected = plain_distances(embeddings)
    locked = embeddings.copy()
    locked.flags.writeable = False
    for array in (embeddings, locked, np.asfortranarray(embeddings), np.repeat(embeddings, 2, 1)[:, ::2]):
        before = array.copy()
        assert np.array_equal(pair_distances(array), expected)
        assert np.array_equal(array, before)


def test_lengths_are_of_the_rows():
    embeddings, _ = drawn(40, 16, 0)
    embeddings[3] = np.inf
    lengths = measure_pairs(embeddings).lengths
    assert np.allclose(lengths, np.linalg.norm(embeddings, axis=1))
    with pytest.raises(DataError, match="not finite"):
        pair_distances(embeddings)


def test_the_threads_of_pytorch_are_as_before(monkeypatch):
    """They are one for as long as two of ours work, which a failure ends too."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr("arcterm.verify.protocol._BLOCK", 8)
    embeddings, _ = drawn(40, 16, 0)
    seen = []
    monkeypatch.setattr(torch, "set_num_threads", seen.append)
    assert np.array_equal(pair_distances(embeddings), plain_distances(embeddings))
    monkeypatch.setattr("arcterm.verify.protocol._measure_rows", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        measure_pairs(embeddings)
    assert seen == [1, torch.get_num_threads()] * 2


def test_the_allowed_number_of_impostors():
    for total in [*range(1, 3002), 999_999, 1_000_000, 15_638_932]:
        allowed = _allowed(total)
        assert allowed / total <= MAX_FAR < (allowed + 1) / total

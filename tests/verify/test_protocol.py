"""The protocol against a transcription of the published one, and against brute force."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.model_selection import KFold
from sklearn.preprocessing import normalize

from arcterm.errors import DataError
from arcterm.verify.protocol import (
    MAX_FAR,
    Verification,
    evaluate,
    evaluate_distances,
    pair_distances,
    xnorm,
)
from tests.calls import calls

Pairs = tuple[NDArray[np.floating[Any]], NDArray[np.bool_]]


def random_pairs(seed: int, pairs: int, size: int = 16) -> Pairs:
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(2 * pairs, size))
    same = rng.random(pairs) < 0.5
    embeddings[1::2] += embeddings[0::2] * same[:, None]
    return embeddings, same


def tied_pairs(seed: int, pairs: int) -> Pairs:
    """Signed axes: distances are exactly 0, 2 or 4, and 0 and 2 are thresholds too."""
    rng = np.random.default_rng(seed)
    axis = rng.integers(0, 3, size=2 * pairs)
    same = rng.random(pairs) < 0.5
    alike = same & (rng.random(pairs) < 0.8)
    axis[1::2][alike] = axis[0::2][alike]
    return np.eye(3)[axis] * rng.choice([3.0, 3.0, 3.0, -2.0], size=(2 * pairs, 1)), same


def published(pairs: Pairs, strict: bool = True, folds: int = 10) -> dict[str, Any]:
    """insightface's evaluate(): thresholds one by one."""
    embeddings, same = pairs
    unit = normalize(embeddings.astype(np.float64))
    distances = np.sum(np.square(unit[0::2] - unit[1::2]), 1)
    thresholds = np.arange(0, 4, 0.01)

    def accuracy(threshold: float, chosen: NDArray[np.intp]) -> float:
        d = distances[chosen]
        predicted = d < threshold if strict else d <= threshold
        hits = np.sum(predicted & same[chosen]) + np.sum(~predicted & ~same[chosen])
        return float(hits) / len(chosen)

    best, accuracies = [], []
    for train, test in KFold(folds, shuffle=False).split(np.arange(len(same))):
        best.append(thresholds[np.argmax([accuracy(t, train) for t in thresholds])])
        accuracies.append(accuracy(best[-1], test))
    return {
        "accuracy": np.mean(accuracies),
        "std": np.std(accuracies),
        "threshold": np.mean(best),
        "thresholds": tuple(best),
        "fold_accuracies": tuple(accuracies),
    }


def ours(pairs: Pairs, folds: int = 10) -> dict[str, Any]:
    result = evaluate(*pairs, folds=folds)
    keys = ("accuracy", "std", "threshold", "thresholds", "fold_accuracies")
    return {key: getattr(result, key) for key in keys}


@pytest.mark.parametrize(
    "pairs",
    [
        random_pairs(0, 600),
        random_pairs(1, 607),
        random_pairs(2, 10),
        tied_pairs(3, 600),
        tied_pairs(4, 213),
        (random_pairs(5, 300, 512)[0].astype(np.float32), random_pairs(5, 300, 512)[1]),
        (random_pairs(6, 200)[0], np.arange(200) < 100),
    ],
    ids=[
        "random",
        "607 pairs",
        "10 pairs",
        "ties",
        "213 ties",
        "float32",
        "sorted",
    ],
)
def test_equals_the_published_protocol(pairs: Pairs) -> None:
    assert ours(pairs) == published(pairs)


def test_other_numbers_of_folds() -> None:
    assert ours(random_pairs(0, 53), folds=7) == published(random_pairs(0, 53), folds=7)


def test_comparison_is_strict() -> None:
    assert ours(tied_pairs(3, 600)) != published(tied_pairs(3, 600), strict=False)


def brute_rates(pairs: Pairs) -> tuple[float, float]:
    """TAR and FAR at the largest of all thinkable thresholds: each impostor distance, and beyond."""
    distances, same = pair_distances(pairs[0]), pairs[1]
    tars, fars = [], []
    for train, test in KFold(10).split(distances):
        impostors = distances[train][~same[train]]
        candidates = [*impostors, np.inf]
        threshold = max(t for t in candidates if np.mean(impostors < t) <= MAX_FAR)
        tars.append(np.mean(distances[test][same[test]] < threshold))
        fars.append(np.mean(distances[test][~same[test]] < threshold))
    return float(np.mean(tars)), float(np.mean(fars))


@pytest.mark.parametrize("pairs", [random_pairs(0, 300), random_pairs(1, 4503), tied_pairs(2, 4000)])
def test_tar_at_far_equals_brute_force(pairs: Pairs) -> None:
    result = evaluate(*pairs)
    assert (result.tar_at_far, result.far) == brute_rates(pairs)


def test_exactly_one_in_a_thousand_may_pass() -> None:
    """1,000 training impostors a fold, distances all different: the second smallest is the threshold."""
    angles = np.linspace(0.1, 3.0, 1111 * 2)
    rows = np.zeros((len(angles) * 2, 2))
    rows[0::2, 0] = 1
    rows[1::2] = np.stack([np.cos(angles), np.sin(angles)], 1)
    same = np.arange(len(angles)) % 2 == 0
    result = evaluate(rows, same)
    assert (result.tar_at_far, result.far) == brute_rates((rows, same))
    assert result.tar_at_far is not None and result.tar_at_far > 0


@pytest.mark.parametrize("kind", [True, False])
def test_pairs_of_one_kind_have_no_numbers(kind: bool) -> None:
    """A threshold that accepts all, or none, is right on every one: 1.0 for strangers told by nothing."""
    rows, same = random_pairs(0, 40)[0], np.full(40, kind)
    assert published((rows, same))["accuracy"] > 0.97
    assert evaluate(rows, same) == Verification()
    other = same.copy()
    other[7] = not kind
    assert evaluate(rows, other).accuracy is not None


def test_sorted_sets_average_over_the_folds_that_have_the_kind() -> None:
    rows, _ = random_pairs(0, 200)
    rows[1:200:2] = rows[0:200:2]
    result = evaluate(rows, np.arange(200) < 100)
    assert (result.tar_at_far, result.far) == (1.0, pytest.approx(0.0, abs=0.03))


def test_zero_embeddings_are_a_distance_of_zero() -> None:
    result = evaluate(np.zeros((40, 8), dtype=np.float32), np.arange(20) % 2 == 0)
    assert result.accuracy == 0.5


def test_xnorm_is_the_mean_norm_of_both() -> None:
    originals, mirrors = np.array([[3.0, 4.0]], dtype=np.float32), np.array([[0.0, 1.0]], dtype=np.float32)
    assert xnorm(originals, mirrors) == 3.0


@pytest.mark.parametrize(
    ("rows", "pairs", "words"),
    [(18, 9, "9 pairs"), (39, 20, "39 embeddings"), (40, 20, "not finite")],
)
def test_what_cannot_be_scored(rows: int, pairs: int, words: str) -> None:
    embeddings = np.ones((rows, 4))
    embeddings[-1, -1] = np.nan
    with pytest.raises(DataError, match=words):
        evaluate(embeddings, np.ones(pairs, dtype=bool))


def test_six_thousand_pairs_take_less_than_a_call_a_pair() -> None:
    assert calls(partial(evaluate, *random_pairs(0, 6000, 512))) < 6000  # NumPy sweeps over the thresholds


def test_the_worked_example_of_twelve_pairs() -> None:
    """InsightFace's evaluation in three folds, from cosines."""
    cosines = np.array([0.9, 0.7, 0.1, 0.35, 0.8, 0.3, 0.2, 0.6, 0.95, 0.5, 0.05, 0.4])
    same = np.tile([True, True, False, False], 3)
    found = evaluate_distances(2 - 2 * cosines, same, folds=3)
    assert (round(found.accuracy or 0, 6), round(found.std or 0, 6)) == (0.666667, 0.117851)
    assert found.fold_accuracies == (0.75, 0.5, 0.75)
    assert found.thresholds == pytest.approx((0.40, 1.01, 0.61), abs=1e-12)
    with pytest.raises(DataError, match="12 pairs can't be split"):
        evaluate_distances(2 - 2 * cosines, same, folds=13)

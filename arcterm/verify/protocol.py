"""The published verification protocol on flip-summed embeddings: 10-fold accuracy, and TAR at FAR 1e-3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from arcterm.errors import DataError

Floats = NDArray[np.floating[Any]]

THRESHOLDS = np.arange(0, 4, 0.01)
"""Squared distances that are tried, (400,) float64."""

MAX_FAR = 1e-3
"""False-accept rate at which the true-accept rate is reported."""

_BLOCK = 256  # pairs at a time: their float64 rows stay in the cache


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Results of the protocol; the tuples have one entry per fold.

    All of it is None, and the tuples are empty, for pairs of one kind only: a threshold that accepts
    everything, or nothing, would be right on all of them.

    `accuracy` and `std` (population) are over `fold_accuracies`, `threshold` is the mean of `thresholds`
    (squared L2 distance, 0..4). `tar_at_far` and `far` are true- and false-accept rates on held-out pairs,
    at each fold's threshold for a training FAR of 1e-3, of which `far_threshold` is the mean. A fold without
    genuine pairs has no true-accept rate, one without impostors no false-accept rate: each is the mean over
    the folds that have one, else None.
    """

    accuracy: float | None = None
    std: float | None = None
    threshold: float | None = None
    tar_at_far: float | None = None
    far: float | None = None
    far_threshold: float | None = None
    thresholds: tuple[float, ...] = ()
    fold_accuracies: tuple[float, ...] = ()


def evaluate(embeddings: Floats, same: NDArray[np.bool_], folds: int = 10) -> Verification:
    """Score pair i = rows 2i and 2i+1 of `embeddings` (2P, D), flip-summed and not yet normalised.

    `same` (P,) marks pairs of one person. Folds are contiguous. Per fold the first threshold with the best
    accuracy on the other folds is applied; a pair counts as same where distance < threshold, strictly.
    Protocol: InsightFace `verification.py`, after Huang et al., LFW, 2007.
    Raises `DataError` for fewer pairs than folds, wrong shapes, or embeddings that are not finite.
    """
    if len(embeddings) != 2 * len(same):
        raise DataError(
            f"{len(embeddings)} embeddings for {len(same)} pairs", "each pair takes two, in a row"
        )
    _require_folds(len(same), folds)
    return evaluate_distances(pair_distances(embeddings), same, folds)


def evaluate_distances(
    distances: NDArray[np.float64], same: NDArray[np.bool_], folds: int = 10
) -> Verification:
    """Score pairs as `evaluate` does by their squared L2 distances, (P,); raises `DataError` for too few."""
    same = np.asarray(same, dtype=bool)
    _require_folds(len(same), folds)
    if one_kind(same):
        return Verification()
    fold = _fold_of_each(len(same), folds)
    best, accuracies = _accuracy(distances, same, fold, folds)
    tar, far, far_threshold = _rates(distances, same, fold, folds)
    return Verification(
        accuracy=float(np.mean(accuracies)),
        std=float(np.std(accuracies)),
        threshold=float(np.mean(best)),
        tar_at_far=tar,
        far=far,
        far_threshold=far_threshold,
        thresholds=tuple(best.tolist()),
        fold_accuracies=tuple(accuracies.tolist()),
    )


def _require_folds(pairs: int, folds: int) -> None:
    if not 2 <= folds <= pairs:
        raise DataError(f"{pairs} pairs can't be split into {folds} folds", f"{max(folds, 2)} are the least")


def one_kind(same: NDArray[np.bool_]) -> str:
    """Return ``same`` or ``different`` if all pairs are of that kind, else empty."""
    return "" if same.any() and not same.all() else "same" if same.any() else "different"


def pair_distances(embeddings: Floats) -> NDArray[np.float64]:
    """Squared L2 distance of the normalised rows 2i and 2i+1, (2P, D) → (P,) float64; zero rows stay zero."""
    pairs, length = len(embeddings) // 2, embeddings.shape[1]
    distances = np.empty(pairs)
    # PyTorch's division is twice as fast as NumPy's, and uses the threads that this process has. Both round
    # correctly; sums are NumPy's, since their last digits depend on the order.
    block = torch.empty(2 * min(_BLOCK, pairs), length, dtype=torch.float64)
    gap = torch.empty(min(_BLOCK, pairs), length, dtype=torch.float64)
    for start in range(0, pairs, _BLOCK):
        rows = embeddings[2 * start : 2 * min(start + _BLOCK, pairs)]
        unit, difference = block[: len(rows)], gap[: len(rows) // 2]
        np.copyto(unit.numpy(), rows)
        unit /= torch.from_numpy(_lengths(unit.numpy()))[:, None]
        torch.sub(unit[0::2], unit[1::2], out=difference)
        np.sum(difference.square_().numpy(), axis=1, out=distances[start : start + _BLOCK])
    return distances


def _lengths(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """L2 norms, 1 for a row of zeros; raises `DataError` if one is not finite."""
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    if not np.isfinite(norms).all():
        raise DataError("the embeddings are not finite", "the network has diverged: verify an earlier one")
    return np.where(norms > 0, norms, 1)


def xnorm(originals: Floats, mirrors: Floats) -> float:
    """Mean L2 norm of the raw embeddings, (N, D) each of the images and of their mirror images."""
    norms = [np.sqrt(np.einsum("ij,ij->i", e, e, dtype=np.float64)) for e in (originals, mirrors)]
    return float(np.concatenate(norms).mean())


def _fold_of_each(pairs: int, folds: int) -> NDArray[np.intp]:
    """(P,) fold of each pair: contiguous, the first P % folds of them one longer, as scikit-learn's KFold."""
    sizes = np.full(folds, pairs // folds)
    sizes[: pairs % folds] += 1
    return np.repeat(np.arange(folds), sizes)


def _accuracy(
    distances: NDArray[np.float64], same: NDArray[np.bool_], fold: NDArray[np.intp], folds: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find each fold's threshold and held-out accuracy, (folds,) each, by counting instead of a sweep.

    A pair is accepted from the first threshold above its distance on, so a histogram of those positions,
    summed up, gives the accepted pairs at every threshold; other folds' counts are the total less our own.
    """
    bins = len(THRESHOLDS) + 1
    first = np.searchsorted(THRESHOLDS, distances, side="right")
    histogram = np.bincount((fold * 2 + same) * bins + first, minlength=folds * 2 * bins)
    counts = histogram.reshape(folds, 2, bins)
    accepted = counts.cumsum(axis=2)[:, :, :-1]
    impostors = counts[:, 0].sum(axis=1, keepdims=True)
    correct = accepted[:, 1] + impostors - accepted[:, 0]
    best = (correct.sum(axis=0) - correct).argmax(axis=1)
    held_out = correct[np.arange(folds), best]
    return THRESHOLDS[best], held_out / np.bincount(fold, minlength=folds)


def _rates(
    distances: NDArray[np.float64], same: NDArray[np.bool_], fold: NDArray[np.intp], folds: int
) -> tuple[float | None, float | None, float | None]:
    """Mean true- and false-accept rate on the held-out folds, and mean threshold, at a FAR of `MAX_FAR`.

    The FAR is at most that in training. A fold's threshold is the largest t with #(impostor distance < t) / N
    ≤ `MAX_FAR` over the N impostors of the other folds: the (k+1)-th smallest of their distances, k being the
    largest count allowed.
    """
    order = np.argsort(distances[~same], kind="stable")
    impostors, impostor_fold = distances[~same][order], fold[~same][order]
    genuine, genuine_fold = distances[same], fold[same]
    tars: list[float] = []
    fars: list[float] = []
    thresholds: list[float] = []
    for held_out in range(folds):
        training = impostors[impostor_fold != held_out]
        if not len(training):
            continue
        allowed = np.count_nonzero(np.arange(1, len(training) + 1) / len(training) <= MAX_FAR)
        threshold = training[allowed]
        thresholds.append(float(threshold))
        for rates, test in (
            (tars, genuine[genuine_fold == held_out]),
            (fars, impostors[impostor_fold == held_out]),
        ):
            if len(test):
                rates.append(np.count_nonzero(test < threshold) / len(test))
    return _mean(tars), _mean(fars), _mean(thresholds)


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None

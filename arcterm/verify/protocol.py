"""The published verification protocol on flip-summed embeddings: 10-fold accuracy, and TAR at FAR 1e-3."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

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


def require_two_a_pair(embeddings: int, pairs: int) -> None:
    """Raise `DataError` unless there are two embeddings for each pair."""
    if embeddings != 2 * pairs:
        raise DataError(f"{embeddings} embeddings for {pairs} pairs", "each pair takes two, in a row")


def _require_folds(pairs: int, folds: int) -> None:
    if not 2 <= folds <= pairs:
        raise DataError(f"{pairs} pairs can't be split into {folds} folds", f"{max(folds, 2)} are the least")


def one_kind(same: NDArray[np.bool_]) -> str:
    """Return ``same`` or ``different`` if all pairs are of that kind, else empty."""
    return "" if same.any() and not same.all() else "same" if same.any() else "different"


class MeasuredPairs(NamedTuple):
    """Squared L2 `distances` (P,) of the normalised pairs, and the L2 `lengths` (2P,) of all rows before.

    A pair with a row that has no finite length has no meaningful distance; a row of zeros stays zero.
    """

    distances: NDArray[np.float64]
    lengths: NDArray[np.float64]


def measure_pairs(embeddings: Floats) -> MeasuredPairs:
    """Measure pairs i = rows 2i and 2i + 1 of `embeddings` (2P, D), on two threads where there are cores."""
    count = len(embeddings)
    measured = MeasuredPairs(np.empty(count // 2), np.empty(count))
    given = torch.from_numpy(np.require(embeddings, requirements=["C", "W"]))
    if count <= 2 * _BLOCK or len(os.sched_getaffinity(0)) == 1:
        _measure_rows(given, measured, 0, count)
        return measured
    # Two threads of ours that meet once: PyTorch's own would wait for one another after each of many short
    # steps, for hundreds of milliseconds in all where other processes want the cores too. A thread takes over
    # the number of PyTorch's threads as it starts.
    middle, threads = count // 4 * 2, torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(_measure_rows, given, measured, middle, count)
            _measure_rows(given, measured, 0, middle)
            other.result()
    finally:
        torch.set_num_threads(threads)
    return measured


def _measure_rows(given: torch.Tensor, measured: MeasuredPairs, first: int, last: int) -> None:
    """Measure rows `first` to `last`, in blocks that stay in the cache.

    PyTorch converts, divides and subtracts in half of NumPy's time, and rounds as correctly. Sums are left to
    NumPy: their last digits depend on the order.
    """
    block = torch.empty(min(2 * _BLOCK, last - first), given.shape[1], dtype=torch.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(first, last, 2 * _BLOCK):
            stop = min(start + 2 * _BLOCK, last)
            rows = block[: stop - start].copy_(given[start:stop])
            lengths = measured.lengths[start:stop]
            np.sqrt(np.einsum("ij,ij->i", rows.numpy(), rows.numpy()), out=lengths)
            rows /= torch.from_numpy(np.where(lengths > 0, lengths, 1))[:, None]
            squares = rows[0::2].sub_(rows[1::2]).square_()
            np.sum(squares.numpy(), axis=1, out=measured.distances[start // 2 : stop // 2])


def pair_distances(embeddings: Floats) -> NDArray[np.float64]:
    """Squared L2 distance of the normalised rows 2i and 2i+1, (2P, D) → (P,) float64; zero rows stay zero.

    Raises `DataError` for embeddings that are not finite.
    """
    measured = measure_pairs(embeddings)
    if not np.isfinite(measured.lengths).all():
        raise DataError("the embeddings are not finite", "the network has diverged: verify an earlier one")
    return measured.distances


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
    genuine, impostors = distances[same], distances[~same]
    order = np.argsort(impostors)
    impostor_fold = fold[~same][order]
    ends = [
        np.searchsorted(fold[kind], np.arange(folds + 1)) for kind in (same, ~same)
    ]  # of contiguous folds
    tars: list[float] = []
    fars: list[float] = []
    thresholds: list[float] = []
    for held_out in range(folds):
        training = order[impostor_fold != held_out]
        if not len(training):
            continue
        threshold = impostors[training[_allowed(len(training))]]
        thresholds.append(float(threshold))
        for rates, kind, end in ((tars, genuine, ends[0]), (fars, impostors, ends[1])):
            if len(test := kind[end[held_out] : end[held_out + 1]]):
                rates.append(np.count_nonzero(test < threshold) / len(test))
    return _mean(tars), _mean(fars), _mean(thresholds)


def _allowed(impostors: int) -> int:
    """The largest number of `impostors` that is no larger share of them than `MAX_FAR`."""
    count = int(impostors * MAX_FAR) + 1
    return count if count / impostors <= MAX_FAR else count - 1


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None

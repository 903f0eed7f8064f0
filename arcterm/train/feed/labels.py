"""The labels of a data set's records, for feeds that choose images by person."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from arcterm_registry.contracts import FaceDataset, LabelledDataset
from numpy.typing import NDArray

from arcterm.errors import DataError


def read_labels(dataset: FaceDataset, name: str, progress: Callable[[int, int], None]) -> NDArray[np.int64]:
    """Return every record's label, (N,) int64; raises `DataError` for what are no labels of the data set."""
    if isinstance(dataset, LabelledDataset):
        labels = np.asarray(dataset.labels(progress), np.int64)
    else:
        labels = np.empty(len(dataset), np.int64)
        for index in range(len(dataset)):
            labels[index] = dataset[index].label
            progress(index + 1, len(dataset))
    if labels.shape != (len(dataset),) or labels.min() < 0 or labels.max() >= dataset.classes:
        raise DataError(
            f"data set {name}: its labels are not {len(dataset)} numbers from 0 to {dataset.classes - 1}",
            "correct its labels() or pack the data again",
        )
    return labels


def require_pairs(labels: NDArray[np.int64], name: str) -> None:
    """Raise `DataError` if there are no two images of a person, or none of another, to compare."""
    counts = np.bincount(labels)
    if counts.max() < 2 or np.count_nonzero(counts) < 2:
        raise DataError(
            f"data set {name}: it takes two people, and one with two images, to have something to compare",
            "start a new run with other data (--dataset), or with a loss over classes, e.g. cosface",
        )

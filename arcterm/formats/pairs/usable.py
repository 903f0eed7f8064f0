"""Checks before a launch: can a verification set be used, and what can't it measure?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from arcterm_registry.contracts import PairSet
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.formats.images import decode
from arcterm.progress import Progress

if TYPE_CHECKING:
    from arcterm_registry.contracts import Image

FOLDS = 10
_CHUNK = 64  # images a thread decodes in a row


def check_usable(name: str, pairs: PairSet, size: tuple[int, int], progress: Progress) -> None:
    """Decode every image of the set; raises `DataError` unless all are whole and (height, width) `size`.

    Likewise for images that aren't two a pair. An object that stands for several images is decoded once;
    `progress` is called with (done, total) images.
    """
    images, count = pairs.images, len(pairs.same)
    if len(images) != 2 * count:
        raise DataError(f"it has {len(images)} images for {count} pairs", "a pair needs two: make it again")
    wanted = _distinct_indexes(images)
    chunks = [wanted[start : start + _CHUNK] for start in range(0, len(wanted), _CHUNK)]

    def errors_in(chunk: list[int]) -> list[DataError]:
        return [e for i in chunk if (e := _decode_error(images[i], size, f"{name}.bin image {i}"))]

    errors: list[DataError] = []
    done = 0
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for chunk, found in zip(chunks, pool.map(errors_in, chunks), strict=True):
            errors += found
            done += len(chunk)
            progress(done, len(wanted))
    if errors:
        more = f", and {len(errors) - 1} more of its {len(images)} can't be used" if errors[1:] else ""
        raise DataError(errors[0].message + more, errors[0].hint)


def unmeasured(name: str, same: NDArray[np.bool_]) -> list[str]:
    """Sentences about what a set can't measure: `same` (P,) bool are all alike, or they are in some folds.

    Folds are contiguous, as in `verify.protocol`; of fewer pairs than folds nothing is said.
    """
    if len(same) < FOLDS:
        return []
    if same.all() or not same.any():
        kind, lacking = ("one person", "two") if same.all() else ("two people", "one")
        return [
            f"verification set {name} has only pairs of {kind} and none of {lacking}: it can't tell people "
            "apart, so no accuracy, TAR or threshold is given; make it again with both "
            "(`arcterm data bin SRC DST.bin`)"
        ]
    folds = np.array_split(same, FOLDS)
    alike = sum(fold.all() or not fold.any() for fold in folds if len(fold) > 1)
    if not alike:
        return []
    return [
        f"verification set {name}: in {alike} of its {FOLDS} folds all pairs are of one kind, as if "
        "they were sorted: its accuracy and threshold are unsure; order the pairs so that each fold has both"
    ]


def _distinct_indexes(images: Sequence[Image]) -> list[int]:
    """Indexes of the images, the first of each object that stands for several."""
    if not isinstance(images, list | tuple):
        return list(range(len(images)))
    first: dict[int, int] = {}
    for index, image in enumerate(images):
        first.setdefault(id(image), index)
    return list(first.values())


def _decode_error(image: Image, size: tuple[int, int], source: str) -> DataError | None:
    try:
        decode(image, size=size, source=source)
    except DataError as error:
        return error
    return None

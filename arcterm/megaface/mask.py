"""Noise as a mask beside packed features: which rows count as something else than they are.

``mask.json`` is a `Mask`; ``mask.npy`` (R, D) float32 has the vectors of `replaced`, in its order. Scoring
with a mask is to give what Euclidean distances give on the devkit's 513 numbers, to the last digit: an image
of FaceScrub in `replaced` has that vector, also one whose own row is refused. A distractor in `removed` stays
in the gallery as one that nothing is near: it is ahead of no mate, and counts among the impostor pairs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.files import read_json, sync, write_json
from arcterm.formats.features.npyrows import map_rows

FORMAT = 1
JSON, VECTORS = "mask.json", "mask.npy"
_HINT = "give the folder that `arcterm megaface clean` made of packed features"


class Mask(msgspec.Struct, kw_only=True):
    """What became of noise: names of distractors that are `removed`, of images that are `replaced`.

    `seed` is that of the random term, `width` D, `models` the SHA-256 of files of each model whose features
    they were, and `lists` what is known of the lists of noise.
    """

    format: int = FORMAT
    width: int
    seed: int
    removed: list[str]
    replaced: list[str]
    models: list[dict[str, str]] = []
    lists: dict[str, dict[str, Any]] = {}


def write_mask(folder: Path, mask: Mask, vectors: NDArray[np.float32]) -> None:
    """Write a mask into `folder`; `vectors` (R, D) are those of `mask.replaced`."""
    if len(vectors):
        with (folder / VECTORS).open("wb") as file:
            np.save(file, np.ascontiguousarray(vectors, "<f4"), allow_pickle=False)
            sync(file)
    write_json(folder / JSON, mask)


def read_mask(path: Path) -> tuple[Mask, NDArray[np.float32]]:
    """Read a mask and its vectors (R, D), given its folder or its ``mask.json``; raises `DataError`."""
    place = path / JSON if path.is_dir() else path
    if not place.is_file():
        raise DataError(f"there is no {place}", _HINT)
    mask = read_json(place, Mask, hint=_HINT)
    if mask.format != FORMAT:
        raise DataError(f"{place} is of format {mask.format}, not {FORMAT}", "use the arcterm that wrote it")
    if not mask.replaced:
        return mask, np.zeros((0, mask.width), np.float32)
    try:
        vectors = map_rows(place.with_name(VECTORS))
    except DataError as error:
        raise DataError(error.message, _HINT) from None
    if vectors.shape != (len(mask.replaced), mask.width):
        shape = " × ".join(map(str, vectors.shape))
        raise DataError(
            f"{place} has {len(mask.replaced):,} vectors of {mask.width:,}, but {VECTORS} has {shape}", _HINT
        )
    return mask, vectors

"""Embeddings of image files by a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.export.model import Model
from arcterm.formats import images
from arcterm.progress import Progress
from arcterm.text import first_of
from arcterm.verify import collapse
from arcterm.verify.embed import normalize
from arcterm.verify.fold import fold_if_any

_BATCH = 32
_NAMED = 20

Floats = NDArray[np.float32]


def embed(
    model: Model,
    files: Sequence[Path],
    *,
    resize: bool,
    flip: bool,
    progress: Progress,
) -> Floats:
    """Embed image files: raw (N, D) float32; with `flip` summed with those of their mirror images.

    Batch norms are folded, as for a verification: the same image has the same embedding in both.

    Raises `DataError` for a file that is no image, or of another size than the model's unless `resize`, and
    for an embedding that is zero or not finite.
    """
    network, rows = fold_if_any(model.network, model.facts.input_size), []
    for start in range(0, len(files), _BATCH):
        pixels = _batch(files, start, model, resize)
        x = normalize(torch.from_numpy(pixels), model.facts.preprocess)
        with torch.inference_mode():
            y = network(x)
            rows.append((y + network(x.flip(3)) if flip else y).numpy())
        progress(min(start + _BATCH, len(files)), len(files), "embedding")
    found: Floats = np.concatenate(rows)
    if useless := collapse.find_useless(found, "", [str(file) for file in files]):
        raise DataError(
            f"{model.facts.source or model.facts.backbone}: {useless}",
            "the network has collapsed, or its weights are damaged: use an earlier checkpoint",
        )
    return found


def _batch(files: Sequence[Path], start: int, model: Model, resize: bool) -> NDArray[np.uint8]:
    """Decode a batch of files from `start` on; if some can't be used, the error names all of them."""
    try:
        return np.stack([_pixels(file, model, resize) for file in files[start : start + _BATCH]])
    except DataError as first:
        refused = [error for file in files[start:] if (error := _trouble(file, model, resize))]
        if len(refused) < 2:
            raise
        named = first_of([error.message for error in refused], _NAMED, "\n  ")
        hint = "; ".join(dict.fromkeys(error.hint for error in refused[:_NAMED]))
        raise DataError(
            f"{len(refused):,} of {len(files):,} images can't be embedded:\n  {named}", hint
        ) from first


def _trouble(file: Path, model: Model, resize: bool) -> DataError | None:
    try:
        _pixels(file, model, resize)
    except DataError as error:
        return error
    return None


def _pixels(file: Path, model: Model, resize: bool) -> NDArray[np.uint8]:
    height, width = model.facts.input_size
    pixels = images.decode(images.read_file(file), size=None, source=str(file))
    if pixels.shape[:2] == (height, width):
        return pixels
    if not resize:
        raise DataError(
            f"{file} is {pixels.shape[1]}×{pixels.shape[0]}, the model takes aligned {width}×{height}",
            "align and crop the face first, or stretch the image with --resize",
        )
    return images.resize(pixels, (height, width))

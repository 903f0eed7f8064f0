"""Embeddings of image files by a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from arcterm_registry import Preprocess
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.export.model import Model
from arcterm.formats import images
from arcterm.verify.embed import normalize

_BATCH = 32

Floats = NDArray[np.float32]


def embed(
    model: Model,
    files: Sequence[Path],
    *,
    resize: bool,
    flip: bool,
    progress: Callable[[str, int, int], None],
) -> Floats:
    """Raw embeddings (N, D) float32 of image files; with `flip` the sums with those of their mirror images.

    Raises `DataError` for a file that is no image, or of another size than the model's unless `resize`.
    """
    preprocess = Preprocess(mean=model.facts.mean, scale=model.facts.scale)
    rows = []
    for start in range(0, len(files), _BATCH):
        pixels = np.stack([_pixels(file, model, resize) for file in files[start : start + _BATCH]])
        x = normalize(torch.from_numpy(pixels), preprocess)
        with torch.inference_mode():
            y = model.network(x)
            rows.append((y + model.network(x.flip(3)) if flip else y).numpy())
        progress("embedding", min(start + _BATCH, len(files)), len(files))
    found: Floats = np.concatenate(rows)
    if not np.isfinite(found).all():
        raise DataError(
            "the embeddings are not finite", "the network has diverged, or its weights are damaged"
        )
    return found


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

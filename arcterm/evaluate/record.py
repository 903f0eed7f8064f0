"""What a result says of the model and the files that it was made with, and its vectors: one a picture."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from arcterm.features.networks import Networks
from arcterm.inputs import models
from arcterm.runs.context import JobContext

FLIP = "the vectors of the image and its mirror image are summed"
NORMS = "removed: vectors are normalised after the sum"

_FILES = ("weights", "file", "onnx", "symbol", "params")


def unit_sum(views: list[Tensor]) -> Tensor:
    """Fuse the views (N, 2, D) of one network into unit vectors (N, D), as `FLIP` and `NORMS` say."""
    (own,) = views
    return F.normalize(own.sum(1), dim=1)


def record_model(context: JobContext, networks: Networks, model: str) -> dict[str, Any]:
    """Return what a result says of one model: source, input, digests of its files, how vectors are made."""
    place = models.locate(model, context.run.path.parent)
    files = [Path(place[key]) for key in _FILES if key in place]
    return networks.record()[0] | {"sha256": digests(files), "flip": FLIP, "norms": NORMS}


def digests(files: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 of files, by name."""
    found = {}
    for path in files:
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found

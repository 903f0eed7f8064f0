"""From the features of images to one vector for each template, in the ways that published results use.

The image's feature and its mirror image's are fused into one vector per image, which may lose its norm and
may be weighted by the detector's score. The vectors of a template's images are averaged within each media, a
video or a still, and the means are summed and normalised. Whether norms and scores are weights is worth up to
0.6 points of TAR at FAR 1e-4, so every number is reported with its `Pooling`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.formats.ijb.problems import NAMED
from arcterm.text import first_of

Features = NDArray[np.float32]
Vectors = NDArray[np.float64]
Whole = NDArray[np.int64]

Flip = Literal["sum", "none", "concatenated", "unit-sum"]
Norms = Literal["kept", "removed"]

FLIPS: dict[Flip, str] = {
    "sum": "image + mirror image",
    "none": "no mirror image",
    "concatenated": "image and mirror image concatenated",
    "unit-sum": "image + mirror image, each normalised",
}
_BLOCK = 4096  # images: 16 MiB of a feature and its mirror image's of 512 numbers each


class Pooling(msgspec.Struct, frozen=True):
    """How an image's two features become one weighted vector. The defaults are InsightFace's.

    `norms` kept: the vector's length, a measure of the image's quality, is its weight in the template.
    """

    flip: Flip = "sum"
    norms: Norms = "kept"
    detector_score: bool = True

    def __str__(self) -> str:
        weighted = "× detector score" if self.detector_score else "no detector score"
        return f"{FLIPS[self.flip]}, norms {self.norms}, {weighted}"


POOLINGS = tuple(
    Pooling(flip, norms, weighted)
    for flip, norms, weighted in itertools.product(get_args(Flip), get_args(Norms), (True, False))
)
"""All variants, InsightFace's first."""


class Grouping(NamedTuple):
    """The images of each template by media.

    `order` (N,) are the images by template, then media. Media m of M begins at `starts[m]` of it, has
    `counts[m]` images and is of template `templates[m]` of the T ids in `ids`, which ascend. A media id that
    occurs in two templates is two media.
    """

    order: Whole
    starts: Whole
    counts: Whole
    templates: Whole
    ids: NDArray[np.int32]


def group(templates: NDArray[np.int32], media: NDArray[np.int32]) -> Grouping:
    """Group images by their template and media ids, (N,) each, with one sort."""
    order = np.lexsort((media, templates))
    sorted_ids, sorted_media = templates[order], media[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = (np.diff(sorted_ids) != 0) | (np.diff(sorted_media) != 0)
    starts = np.flatnonzero(first)
    ids, rows = np.unique(sorted_ids[starts], return_inverse=True)
    return Grouping(order, starts, np.diff(starts, append=len(order)), rows, ids)


def fuse(features: Features, scores: Vectors, pooling: Pooling) -> Vectors:
    """Fuse features (n, 2·D), the image's beside its mirror image's, to weighted (n, D) or (n, 2·D)."""
    whole = features.astype(np.float64)
    image, mirror = np.split(whole, 2, axis=1)
    if pooling.flip == "concatenated":
        fused = whole
    elif pooling.flip == "none":
        fused = image
    elif pooling.flip == "sum":
        fused = image + mirror
    else:
        fused = _unit(image) + _unit(mirror)
    if pooling.norms == "removed":
        fused = _unit(fused)
    return fused * scores[:, None] if pooling.detector_score else fused


def pool(
    features: Features,
    scores: Vectors,
    grouping: Grouping,
    pooling: Pooling,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Vectors:
    """Pool `features` (N, 2·D) of images with detector `scores` (N,) into unit vectors (T, D) or (T, 2·D).

    Sums are in float64. Raises `DataError` naming the templates whose vector is zero or not finite.
    """
    width = features.shape[1] // (1 if pooling.flip == "concatenated" else 2)
    vectors = np.zeros((len(grouping.ids), width))
    with np.errstate(over="ignore", invalid="ignore"):  # found below, by template
        for first, last in _blocks(grouping):
            means = _media_means(features, scores, grouping, slice(first, last), pooling)
            templates = grouping.templates[first:last]
            starts = np.flatnonzero(np.diff(templates, prepend=-1))
            vectors[templates[starts]] += np.add.reduceat(means, starts, axis=0)
            progress(int(grouping.starts[first]), len(grouping.order))
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    _require_directions(lengths, grouping.ids)
    vectors /= lengths[:, None]
    return vectors


def find_unit_norms(features: Features) -> bool:
    """Return whether all features of the first images have norm 1 ± 1e-3: the network normalises them."""
    views = features[:_BLOCK].reshape(-1, features.shape[1] // 2).astype(np.float64)
    return bool((np.abs(np.linalg.norm(views, axis=1) - 1) <= 1e-3).all())


def _media_means(
    features: Features, scores: Vectors, grouping: Grouping, media: slice, pooling: Pooling
) -> Vectors:
    starts, counts = grouping.starts[media], grouping.counts[media]
    images = grouping.order[starts[0] : starts[-1] + counts[-1]]
    fused = fuse(features[images], scores[images], pooling)
    return np.add.reduceat(fused, starts - starts[0], axis=0) / counts[:, None]


def _blocks(grouping: Grouping) -> Iterator[tuple[int, int]]:
    """Yield ranges of media of about `_BLOCK` images; a media with more is one by itself."""
    ends = grouping.starts + grouping.counts
    first = 0
    while first < len(ends):
        last = int(np.searchsorted(ends, grouping.starts[first] + _BLOCK, "right"))
        yield first, max(last, first + 1)
        first = max(last, first + 1)


def _unit(rows: Vectors) -> Vectors:
    """Normalised rows; one of zeros stays as it is."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths == 0, 1, lengths)


def _require_directions(lengths: Vectors, ids: NDArray[np.int32]) -> None:
    wrong = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if not len(wrong):
        return
    named = [f"{ids[row]} ({'zero' if lengths[row] == 0 else 'not finite'})" for row in wrong]
    several = f"{len(wrong):,} template{'s' * (len(wrong) > 1)}"
    raise DataError(
        f"no direction has the vector of {several}: {first_of(named, NAMED)}",
        "look at these templates' images; or the network has diverged: evaluate an earlier checkpoint",
    )

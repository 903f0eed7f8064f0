"""From the features of all images to the results of one or all ways of pooling."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.evaluate.ijb import identification, verification
from arcterm.evaluate.ijb.pooling import (
    POOLINGS,
    Features,
    Grouping,
    Pooling,
    Vectors,
    find_unit_norms,
    group,
)
from arcterm.evaluate.ijb.pooling import pool as pool_features
from arcterm.evaluate.ijb.result import Counts, Scores
from arcterm.evaluate.ijb.searching import enrol
from arcterm.features.leader import Leader
from arcterm.formats.ijb.database import Faces, Protocol
from arcterm.verify.collapse import find_collapse

UNIT_NORMS = "the network normalises its features itself: norms can't be kept, and are removed"

_LOOKED = 4096
"""Images by which it is told whether a network has collapsed."""


class ScoredDatabase(NamedTuple):
    """The results, that of the chosen pooling first, its vectors (T, D) and its scores (P,) of the pairs.

    `ids` (T,) are the templates of the vectors; `notes` say what is other than asked for.
    """

    counts: Counts
    results: list[Scores]
    ids: NDArray[np.int32]
    vectors: Vectors
    pair_scores: Vectors
    notes: list[str]


def score(
    faces: Faces, protocol: Protocol, features: Features, chosen: Pooling, variants: bool, leader: Leader
) -> ScoredDatabase:
    """Pool and score `features` (N, 2·D) of all images by the `chosen` pooling, and by all with `variants`.

    Raises `DataError` for a network that has collapsed, and naming templates without a direction.
    """
    if why := find_collapse(features[:_LOOKED], "the database"):
        raise DataError(why, "take an earlier checkpoint, or another model")
    grouping = group(faces.templates, faces.media)
    notes, wanted = [], [chosen, *(each for each in POOLINGS if variants and each != chosen)]
    if find_unit_norms(features):
        if chosen.norms == "kept":
            notes.append(UNIT_NORMS)
        removed = [msgspec.structs.replace(each, norms="removed") for each in wanted]
        wanted = list(dict.fromkeys(removed))
    data = _Data(faces, protocol, features, grouping)
    first, vectors, pair_scores = _score_one(data, wanted[0], leader, _place(1, len(wanted)))
    results = [first]
    for number, each in enumerate(wanted[1:], 2):  # whose vectors are let go at once
        results.append(_score_one(data, each, leader, _place(number, len(wanted)))[0])
    return ScoredDatabase(_count(data), results, grouping.ids, vectors, pair_scores, notes)


class _Data(NamedTuple):
    faces: Faces
    protocol: Protocol
    features: Features
    grouping: Grouping


def _place(number: int, total: int) -> str:
    return f", {number} of {total}" if total > 1 else ""


def _score_one(data: _Data, pooling: Pooling, leader: Leader, place: str) -> tuple[Scores, Vectors, Vectors]:
    """Return the results of one way of pooling, the templates' vectors and the pairs' scores."""
    faces, protocol, features, grouping = data
    vectors = pool_features(features, faces.scores, grouping, pooling, leader.progress(f"pooling{place}"))
    # reading has refused templates without an image: each is found
    left, right = (np.searchsorted(grouping.ids, side).astype(np.int32) for side in protocol.pairs[:2])
    pair_scores = verification.score_pairs(vectors, left, right, leader.progress(f"scoring pairs{place}"))
    identified = None
    if protocol.probes is not None:
        identified = identification.identify(
            vectors,
            {name: enrol(grouping.ids, gallery) for name, gallery in protocol.galleries.items()},
            enrol(grouping.ids, protocol.probes),
            progress=leader.progress(f"searching{place}"),
        )
    verified = verification.verify(pair_scores, protocol.pairs.same)
    return Scores(pooling, verified, identified), vectors, pair_scores


def _count(data: _Data) -> Counts:
    genuine = int(data.protocol.pairs.same.sum())
    return Counts(
        images=len(data.faces.names),
        templates=len(data.grouping.ids),
        media=len(data.grouping.starts),
        pairs=len(data.protocol.pairs.same),
        genuine=genuine,
        impostors=len(data.protocol.pairs.same) - genuine,
    )

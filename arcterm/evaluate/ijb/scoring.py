"""From the features of all images to the results of one or all ways of pooling."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from arcterm.evaluate.ijb import identification, verification
from arcterm.evaluate.ijb.leader import Leader
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
from arcterm.formats.ijb.database import Faces, Protocol

UNIT_NORMS = "the network normalises its features itself: norms can't be kept, and are removed"


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

    Raises `DataError` naming templates without a direction.
    """
    grouping = group(faces.templates, faces.media)
    notes, wanted = [], [chosen, *(each for each in POOLINGS if variants and each != chosen)]
    if find_unit_norms(features):
        if chosen.norms == "kept":
            notes.append(UNIT_NORMS)
        removed = [msgspec.structs.replace(each, norms="removed") for each in wanted]
        wanted = list(dict.fromkeys(removed))
    first, vectors, pair_scores = _score_one(faces, protocol, features, grouping, wanted[0], leader)
    results = [first]
    for each in wanted[1:]:
        results.append(_score_one(faces, protocol, features, grouping, each, leader)[0])
    counts = _count(faces, protocol, grouping)
    return ScoredDatabase(counts, results, grouping.ids, vectors, pair_scores, notes)


def _score_one(
    faces: Faces,
    protocol: Protocol,
    features: Features,
    grouping: Grouping,
    pooling: Pooling,
    leader: Leader,
) -> tuple[Scores, Vectors, Vectors]:
    """Return the results of one way of pooling, the templates' vectors and the pairs' scores."""
    vectors = pool_features(features, faces.scores, grouping, pooling, leader.progress("pooling"))
    left, right = (
        np.searchsorted(grouping.ids, side).astype(np.int32) for side in protocol.pairs[:2]
    )  # reading refused templates without images
    pair_scores = verification.score_pairs(vectors, left, right, leader.progress("scoring pairs"))
    identified = None
    if protocol.probes is not None:
        identified = identification.identify(
            vectors,
            {name: enrol(grouping.ids, gallery) for name, gallery in protocol.galleries.items()},
            enrol(grouping.ids, protocol.probes),
            progress=leader.progress("searching"),
        )
    verified = verification.verify(pair_scores, protocol.pairs.same)
    return Scores(pooling, verified, identified), vectors, pair_scores


def _count(faces: Faces, protocol: Protocol, grouping: Grouping) -> Counts:
    genuine = int(protocol.pairs.same.sum())
    return Counts(
        images=len(faces.names),
        templates=len(grouping.ids),
        media=len(grouping.starts),
        pairs=len(protocol.pairs.same),
        genuine=genuine,
        impostors=len(protocol.pairs.same) - genuine,
    )

"""The people of a gallery who are most like each probe, by one vector each or by their best image."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

from arcterm.errors import DataError
from arcterm.search.counting import Best, Floats, Whole, best_rows

_ENTRIES = 1 << 22
"""Entries of the list of best images that is held at a time."""
_TINY = 1e-6


def pool(vectors: Floats, owners: Whole, names: list[str]) -> Floats:
    """Return a unit vector (people, D) for each person: the normalised sum of the unit `vectors` (G, D).

    `owners` (G,) ascend from 0. Raises `DataError` for a person whose vectors cancel each other out.
    """
    starts = np.searchsorted(owners, np.arange(len(names) + 1))
    sums = np.stack([vectors[a:b].sum(0, dtype=np.float64) for a, b in pairwise(starts.tolist())])
    lengths = np.linalg.norm(sums, axis=1)
    if len(bad := np.flatnonzero(lengths < _TINY)):
        raise DataError(
            f"the images of {names[bad[0]]} have opposite vectors, which leave no direction",
            "use --match image, or another model",
        )
    return np.asarray(sums / lengths[:, None], np.float32)


def best_people(
    probes: Floats,
    gallery: Floats,
    owners: Whole,
    most: int,
    *,
    device: torch.device | str = "cpu",
) -> Best:
    """Find the `most` people who score best with each probe (P, D), or all if there are fewer.

    A person scores as the best row of `gallery` (G, D) that is theirs; `owners` (G,) ascend from 0. The
    result has people in place of rows; of equal scores the one who comes first is first.
    """
    sizes = np.bincount(owners)
    most = min(most, len(sizes))
    # so many rows have images of `most` people, whoever has the most images
    wanted = min(len(gallery), (most - 1) * int(sizes.max()) + 1)
    step = max(1, _ENTRIES // wanted)
    parts = []
    for start in range(0, len(probes), step):
        found = best_rows(probes[start : start + step], gallery, wanted, device=device)
        parts.append(_first_of_each(owners[found.rows], found.scores, most))
    people = [part.rows for part in parts] or [np.zeros((0, most), np.int64)]
    scores = [part.scores for part in parts] or [np.zeros((0, most))]
    return Best(np.concatenate(people), np.concatenate(scores))


def _first_of_each(people: Whole, scores: np.ndarray, most: int) -> Best:
    """Keep the first `most` different people of each row of (P, K), which is ordered by score."""
    order = np.argsort(people, axis=1, kind="stable")
    grouped = np.take_along_axis(people, order, 1)
    fresh = np.ones(people.shape, np.bool_)
    fresh[:, 1:] = grouped[:, 1:] != grouped[:, :-1]
    first = np.zeros(people.shape, np.bool_)
    np.put_along_axis(first, order, fresh, 1)
    first &= np.cumsum(first, 1) <= most
    return Best(people[first].reshape(-1, most), scores[first].reshape(-1, most))

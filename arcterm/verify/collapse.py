"""Collapse: a network whose embeddings are the same for every picture, zero, or not finite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arcterm.verify.protocol import THRESHOLDS, MeasuredPairs

Floats = NDArray[np.floating[Any]]

FINEST = float(THRESHOLDS[1])
"""Squared distance that the protocol distinguishes from 0: its smallest threshold above 0."""

_TINY = float(np.finfo(np.float32).tiny)
_ROWS = 64  # at a time


def find_collapse(embeddings: Floats, source: str) -> str:
    """Word how the network has collapsed, by `embeddings` (N, D) of images of `source`; "" if it has not."""
    why = find_useless(embeddings, source) or _find_alike(embeddings, source)
    return why and f"the network has collapsed: {why}"


def _find_alike(embeddings: Floats, source: str) -> str:
    """Word that no embedding is further from the first than the protocol resolves; empty if one is."""
    first = _unit(embeddings[:1])
    if len(embeddings) > 1 and all(_near(_unit(part), first) for part in _parts(embeddings)):
        many = f"{len(embeddings):,} images of {source}"
        return f"its embeddings of {many} are less than {FINEST:g} apart"
    return ""


def find_in_pairs(embeddings: Floats, measured: MeasuredPairs, same: NDArray[np.bool_], source: str) -> str:
    """Do so for the pairs of a set: rows 2i and 2i + 1 of `embeddings` (2P, D), `same` (P,) person.

    Where no two people of a pair are further apart than the protocol resolves, accuracy is a guess.
    """
    if why := find_directionless(measured.lengths, source) or _find_alike(embeddings, source):
        return f"the network has collapsed: {why}"
    people = measured.distances[~same]
    if len(people) and people.max() < FINEST:
        return f"the network has collapsed: no two people of {source} are {FINEST:g} apart"
    return ""


def find_useless(embeddings: Floats, source: str, names: Sequence[str] = ()) -> str:
    """Word why some embeddings (N, D) can't be used, and which by `names` or number; else empty."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", embeddings, embeddings)
    if np.isfinite(squares).all() and (squares > _TINY).all():
        return ""
    # the square of a number may be too large or too small for float32 where the number is not
    lengths = np.sqrt(np.einsum("ij,ij->i", embeddings, embeddings, dtype=np.float64))
    return find_directionless(lengths, source, names)


def find_directionless(lengths: Floats, source: str, names: Sequence[str] = ()) -> str:
    """Word, as `find_useless` does, which embeddings have a length (N,) that is zero or not finite."""
    bad, kind = np.flatnonzero(~np.isfinite(lengths)), "not finite"
    if not len(bad):
        bad, kind = np.flatnonzero(lengths < _TINY), "zero"
    if not len(bad):
        return ""
    first = names[bad[0]] if names else f"{source} image {bad[0]}"
    more = f" and of {len(bad) - 1:,} more" if len(bad) > 1 else ""
    return f"the embeddings are {kind}: that of {first}{more}"


def _parts(rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield `rows` in parts: the first is enough to show that a network is healthy."""
    return (rows[i : i + _ROWS] for i in range(0, len(rows), _ROWS))


def _near(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """Whether normalised rows are all nearer than the protocol resolves."""
    return float(np.square(a - b).sum(1).max()) < FINEST


def _unit(rows: Floats) -> NDArray[np.float64]:
    wide = rows.astype(np.float64)
    return np.asarray(wide / np.linalg.norm(wide, axis=1, keepdims=True), np.float64)

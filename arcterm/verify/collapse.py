"""Collapse: a network whose embeddings are the same for every picture, zero, or not finite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arcterm.verify.protocol import THRESHOLDS

Floats = NDArray[np.floating[Any]]

FINEST = float(THRESHOLDS[1])
"""Squared distance that the protocol distinguishes from 0: its smallest threshold above 0."""

_TINY = float(np.finfo(np.float32).tiny)
_ROWS = 64  # at a time


def find_collapse(embeddings: Floats, source: str) -> str:
    """Word how the network has collapsed, by `embeddings` (N, D) of images of `source`; "" if it has not."""
    if why := find_useless(embeddings, source):
        return f"the network has collapsed: {why}"
    first = _unit(embeddings[:1])
    if len(embeddings) > 1 and all(_near(_unit(part), first) for part in _parts(embeddings)):
        many = f"{len(embeddings):,} images of {source}"
        return f"the network has collapsed: its embeddings of {many} are less than {FINEST:g} apart"
    return ""


def find_in_pairs(embeddings: Floats, same: NDArray[np.bool_], source: str) -> str:
    """Do so for the pairs of a set: rows 2i and 2i + 1 of `embeddings` (2P, D), `same` (P,) person.

    Where no two people of a pair are further apart than the protocol resolves, accuracy is a guess.
    """
    if why := find_collapse(embeddings, source):
        return why
    people = _parts(2 * np.flatnonzero(~same))
    if not same.all() and all(_near(_unit(embeddings[i]), _unit(embeddings[i + 1])) for i in people):
        return f"the network has collapsed: no two people of {source} are {FINEST:g} apart"
    return ""


def find_useless(embeddings: Floats, source: str, names: Sequence[str] = ()) -> str:
    """Word why some embeddings (N, D) can't be used, and which by `names` or number; else empty."""
    bad, kind = _useless(embeddings)
    if not len(bad):
        return ""
    first = names[bad[0]] if names else f"{source} image {bad[0]}"
    more = f" and of {len(bad) - 1:,} more" if len(bad) > 1 else ""
    return f"the embeddings are {kind}: that of {first}{more}"


def _useless(embeddings: Floats) -> tuple[NDArray[np.intp], str]:
    """Find the rows without a direction: those that are ``not finite`` if there are any, else ``zero``."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", embeddings, embeddings)
    if np.isfinite(squares).all() and (squares > _TINY).all():
        return np.empty(0, np.intp), ""
    # the square of a number may be too large or too small for float32 where the number is not
    norms = np.sqrt(np.einsum("ij,ij->i", embeddings, embeddings, dtype=np.float64))
    endless = np.flatnonzero(~np.isfinite(norms))
    return (endless, "not finite") if len(endless) else (np.flatnonzero(norms < _TINY), "zero")


def _parts(rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield `rows` in parts: the first is enough to show that a network is healthy."""
    return (rows[i : i + _ROWS] for i in range(0, len(rows), _ROWS))


def _near(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """Whether normalised rows are all nearer than the protocol resolves."""
    return float(np.square(a - b).sum(1).max()) < FINEST


def _unit(rows: Floats) -> NDArray[np.float64]:
    wide = rows.astype(np.float64)
    return np.asarray(wide / np.linalg.norm(wide, axis=1, keepdims=True), np.float64)

"""Embeddings that say nothing: a network that has collapsed gives one and the same for every picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arcterm.verify.protocol import THRESHOLDS

Floats = NDArray[np.floating[Any]]

FINEST = float(THRESHOLDS[1])
"""Squared distance that the protocol can tell from none: its smallest threshold above 0."""

_TINY = float(np.finfo(np.float32).tiny)
_ROWS = 4096  # at a time, so that their float64 copies stay small


def found(embeddings: Floats, source: str) -> str:
    """How the network has collapsed, by its `embeddings` (N, D) of the images of `source`; else empty."""
    if why := useless(embeddings, source):
        return f"the network has collapsed: {why}"
    if len(embeddings) > 1 and _spread(embeddings) < FINEST:
        many = f"{len(embeddings):,} images of {source}"
        return f"the network has collapsed: its embeddings of {many} are less than {FINEST:g} apart"
    return ""


def useless(embeddings: Floats, source: str, names: Sequence[str] = ()) -> str:
    """Why some of the embeddings (N, D) can't be used, and which by `names` or number; else empty."""
    bad, kind = _useless(embeddings)
    if not len(bad):
        return ""
    first = names[bad[0]] if names else f"{source} image {bad[0]}"
    more = f" and of {len(bad) - 1:,} more" if len(bad) > 1 else ""
    return f"the embeddings are {kind}: that of {first}{more}"


def _useless(embeddings: Floats) -> tuple[NDArray[np.intp], str]:
    """Rows that have no direction, and what they are: ``not finite`` if there is one such, else ``zero``."""
    norms = np.sqrt(np.einsum("ij,ij->i", embeddings, embeddings, dtype=np.float64))
    endless = np.flatnonzero(~np.isfinite(norms))
    return (endless, "not finite") if len(endless) else (np.flatnonzero(norms < _TINY), "zero")


def _spread(embeddings: Floats) -> float:
    """The largest squared distance (0..4) of a normalised row from the first."""
    first = _unit(embeddings[:1])
    parts = (embeddings[i : i + _ROWS] for i in range(0, len(embeddings), _ROWS))
    return max(float(np.square(_unit(part) - first).sum(1).max()) for part in parts)


def _unit(rows: Floats) -> NDArray[np.float64]:
    wide = rows.astype(np.float64)
    return np.asarray(wide / np.linalg.norm(wide, axis=1, keepdims=True), np.float64)

"""How many rows of a gallery score at least a mark, and which score best, exactly, in blocks.

Products are computed in float32, block by block; wherever rounding could decide, the pair's canonical score
does (`exact.scores`). So the size of a block, the number of ranks and the device never change an answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arcterm.search import exact

_ROWS, _COLUMNS = 2048, 4096
"""Probes and gallery rows of a block: 32 MiB of products, and a quarter of that for each comparison."""

Floats = NDArray[np.float32]
Whole = NDArray[np.int64]


class Best(NamedTuple):
    """The best rows of each probe (P, k): `rows` int64, and their canonical `scores` float64, highest first.

    Of equal scores the row that comes first in the gallery is first.
    """

    rows: Whole
    scores: NDArray[np.float64]


def count_at_least(
    probes: Floats,
    gallery: Floats,
    marks: NDArray[np.float64],
    owners: Whole,
    *,
    device: torch.device | str = "cpu",
) -> Whole:
    """Count for each mark (M,) the rows of `gallery` that score at least that much with the mark's probe.

    `probes` (P, D) and `gallery` (G, D) are float32 unit vectors, or arrays mapped from a file; `owners` (M,)
    is the probe of each mark, which may have several or none. A row that scores exactly the mark counts: an
    equal impostor is an error. A row that is the mark's own counts too; a caller takes off the mates whose
    scores it knows.
    """
    counts = np.zeros(len(marks), np.int64)
    parts = [(first, _layers(owners, first)) for first in range(0, len(probes), _ROWS)]
    for start, block in _blocks(gallery, device):
        for first, layers in parts:
            if not layers:
                continue
            own = probes[first : first + _ROWS]
            products = _unit(own, block.device) @ block.T
            for places in layers:
                at, values = owners[places] - first, marks[places]
                some = products if len(at) == len(own) else products[torch.from_numpy(at).to(block.device)]
                counts[places] += _count(some, values, own[at], gallery[start : start + len(block)])
    return counts


def best_rows(
    probes: Floats,
    gallery: Floats,
    most: int,
    *,
    device: torch.device | str = "cpu",
) -> Best:
    """Find the `most` rows of `gallery` that score best with each probe, or all if it has fewer.

    Shapes as in `count_at_least`.
    """
    most = min(most, len(gallery))
    best = Best(np.full((len(probes), most), -1, np.int64), np.full((len(probes), most), -np.inf))
    for start, block in _blocks(gallery, device):
        for first in range(0, len(probes), _ROWS):
            own = slice(first, first + _ROWS)
            products = _unit(probes[own], block.device) @ block.T
            at, columns = _candidates(products, best.scores[own], probes.shape[1])
            found = exact.pair_scores(probes[own], gallery, at, columns + start)
            _merge(Best(best.rows[own], best.scores[own]), at, columns + start, found)
    return best


def _layers(owners: Whole, first: int) -> list[Whole]:
    """Places of the first marks of a block's probes, of their second ones, …, each ordered by probe."""
    places = np.flatnonzero((owners >= first) & (owners < first + _ROWS))
    places = places[np.argsort(owners[places], kind="stable")]
    sorted_owners = owners[places]
    number = np.arange(len(places)) - np.searchsorted(sorted_owners, sorted_owners)
    return [places[number == k] for k in range(number.max(initial=-1) + 1)]


def _count(products: Tensor, values: NDArray[np.float64], probes: Floats, gallery: Floats) -> Whole:
    """Count (R,) in each row of `products` (R, C), probes by gallery, scores of at least `values` (R,)."""
    low, high = _limits(values, probes.shape[1])
    surely = products >= _tensor(high[:, None], products.device)
    close = (products >= _tensor(low[:, None], products.device)) ^ surely
    counts = _row_sums(surely)
    if close.any():
        at, columns = _nonzero(close)
        scores = exact.pair_scores(probes, gallery, at, columns)
        counts += np.bincount(at[scores >= values[at]], minlength=len(counts))
    return counts


def _candidates(products: Tensor, scores: NDArray[np.float64], width: int) -> tuple[Whole, Whole]:
    """Rows and columns of the products that may be among the best; `scores` (P, k) are the best so far."""
    most = scores.shape[1]
    least, _ = _limits(scores[:, -1], width)
    limit = _tensor(least[:, None], products.device)
    if most <= products.shape[1] and not np.isfinite(scores[:, -1]).all():
        # k products of this block reach its k-th, so k scores reach that less the bound, and a row must too
        limit = torch.maximum(limit, products.topk(most, 1).values[:, -1:] - 2.1 * exact.bound(width))
    return _nonzero(products >= limit)


def _merge(best: Best, at: Whole, columns: Whole, found: NDArray[np.float64]) -> None:
    """Put rows of the gallery, `columns` with the probe `at`, in among the best of each probe."""
    touched, place = np.unique(at, return_inverse=True)
    most = best.rows.shape[1]
    probe = np.concatenate([np.repeat(np.arange(len(touched)), most), place])
    rows = np.concatenate([best.rows[touched].ravel(), columns])
    scores = np.concatenate([best.scores[touched].ravel(), found])
    order = np.lexsort([rows, -scores, probe])
    starts = np.searchsorted(probe[order], np.arange(len(touched)))
    chosen = order[starts[:, None] + np.arange(most)]
    best.rows[touched], best.scores[touched] = rows[chosen], scores[chosen]


def _limits(values: NDArray[np.float64], width: int) -> tuple[Floats, Floats]:
    """Below the first a float32 product is surely below a value, from the second on surely not."""
    error = exact.bound(width)
    return exact.lower(values - error), exact.higher(values + error)


def _blocks(gallery: Floats, device: torch.device | str) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(gallery), _COLUMNS):
        yield start, _unit(gallery[start : start + _COLUMNS], device)


def _unit(rows: Floats, device: torch.device | str) -> Tensor:
    """Copy unit vectors to the device; the bound of rounding does not hold for longer ones."""
    vectors = _tensor(rows, device)
    if not bool((vectors.norm(dim=1) <= 1 + exact.UNIT).all()):
        raise ValueError("the vectors of a search must be normalised and finite")
    return vectors


def _tensor(values: Floats, device: torch.device | str) -> Tensor:
    """A copy on the device: what is mapped from a file may not be written to."""
    return torch.from_numpy(np.array(values, np.float32)).to(device)


def _row_sums(mask: Tensor) -> Whole:
    """Count what is true in each row; NumPy adds bytes many times faster than torch does on a CPU."""
    if mask.device.type == "cpu":
        counts: Whole = mask.numpy().view(np.uint8).sum(1, dtype=np.int64)
        return counts
    return mask.sum(1).cpu().numpy()


def _nonzero(mask: Tensor) -> tuple[Whole, Whole]:
    at, columns = mask.nonzero(as_tuple=True)
    return at.cpu().numpy(), columns.cpu().numpy()

"""Float32 products of probes with a block of gallery rows, of which few are worth a look.

After the first blocks nearly every product is below what a probe still wants. So a block is one matrix
product and one comparison, both over memory that stays in the cache, and the pairs that are left are few.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Whole = NDArray[np.int64]

TILE = 1024
"""Probes of one matrix product on the host."""
_DEVICE_TILE = 4096

_PAIRS = 1 << 18  # that are given at a time, which bounds the memory of what is done with them


class CandidatePairs(NamedTuple):
    """Pairs in the order of probes, then rows: places (n,) of both, and their float32 products (n,)."""

    probes: Whole
    rows: Whole
    values: Floats

    def where(self, some: NDArray[np.bool_]) -> CandidatePairs:
        """Those for which `some` (n,) is true; by place, which takes a third of the time of the mask."""
        places = np.flatnonzero(some)
        return CandidatePairs(self.probes[places], self.rows[places], self.values[places])

    def part(self, some: slice) -> CandidatePairs:
        """Some of them."""
        return CandidatePairs(self.probes[some], self.rows[some], self.values[some])


class Products(Protocol):
    """Products of all probes with blocks of up to `width` rows."""

    width: int

    def above(self, block: Floats, removed: Whole, floors: Floats) -> Iterator[CandidatePairs]:
        """Yield the pairs whose product exceeds the floor (P,) of its probe; `rows` are places in `block`.

        The rows at `removed` give none.
        """


class HostProducts:
    """By NumPy's matrix product, whose BLAS was the faster of NumPy's and torch's where it was measured."""

    width = 1024  # 4 MiB of products, which stay in a core's part of the cache

    def __init__(self, probes: Floats) -> None:
        self._probes = np.ascontiguousarray(probes)
        size = min(TILE, len(probes)) * self.width
        self._values, self._mask = np.empty(size, np.float32), np.empty(size, np.bool_)

    def above(self, block: Floats, removed: Whole, floors: Floats) -> Iterator[CandidatePairs]:
        width = len(block)
        for first in range(0, len(self._probes), TILE):
            tile = self._probes[first : first + TILE]
            values = self._values[: len(tile) * width].reshape(len(tile), width)
            np.dot(tile, block.T, out=values)
            values[:, removed] = -np.inf
            mask = self._mask[: values.size].reshape(values.shape)
            np.greater(values, floors[first : first + TILE, None], out=mask)
            found = np.flatnonzero(mask)
            for start in range(0, len(found), _PAIRS):
                some = found[start : start + _PAIRS]
                at = some // width
                yield CandidatePairs(at + first, some - at * width, values.ravel()[some])


class DeviceProducts:
    """By torch on a GPU, in full float32: the bound of rounding does not hold for TF32."""

    width = 2048

    def __init__(self, probes: Floats, device: torch.device) -> None:
        self._device = device
        self._probes = torch.from_numpy(np.ascontiguousarray(probes)).to(device)

    def above(self, block: Floats, removed: Whole, floors: Floats) -> Iterator[CandidatePairs]:
        columns = torch.from_numpy(np.array(block)).to(self._device).T
        limits = torch.from_numpy(floors).to(self._device)[:, None]
        gone = torch.from_numpy(removed).to(self._device)
        for first in range(0, len(self._probes), _DEVICE_TILE):
            values = self._multiply(self._probes[first : first + _DEVICE_TILE], columns)
            values[:, gone] = -torch.inf
            at, rows = torch.nonzero(values > limits[first : first + _DEVICE_TILE], as_tuple=True)
            found = CandidatePairs(
                (at + first).cpu().numpy(), rows.cpu().numpy(), values[at, rows].cpu().numpy()
            )
            for start in range(0, len(found.rows), _PAIRS):
                yield found.part(slice(start, start + _PAIRS))

    @staticmethod
    def _multiply(probes: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        precision = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            return probes @ columns
        finally:
            torch.set_float32_matmul_precision(precision)


def products_on(device: torch.device, probes: Floats) -> Products:
    """Choose how products are computed on a device."""
    return HostProducts(probes) if device.type == "cpu" else DeviceProducts(probes, device)

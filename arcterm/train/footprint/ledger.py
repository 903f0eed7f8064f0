"""The bytes of all tensors that are alive, and the most that a process needs for them."""

from __future__ import annotations

import contextlib
import gc
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

LARGE = 32 << 20
"""Bytes from which glibc always maps a block by itself, and unmaps it when it is freed (mallopt(3))."""
SLACK = 1.35
"""Bytes of the heap for a byte in blocks below `LARGE`. PyTorch asks for aligned blocks, for which glibc
looks for a gap that is larger by the alignment: the gap of a freed block of the same size is not taken.
Measured (benchmarks/memory.py): 1.0 to 1.6, by network."""


class Ledger(TorchDispatchMode):
    """Counts the storages that operations make, until they are freed; fake tensors count like real ones.

    `live` are the bytes alive, `small` those of them in blocks below `LARGE`. A CPU's heap keeps what it once
    took for small blocks, so the process is measured by `resident`; where memory is `pooled`, as a GPU's is,
    what is freed is free. Where `tidy`, what only cycles of references keep alive is freed before a large
    block is counted.
    """

    tidy = False

    def __init__(self, *, pooled: bool) -> None:
        super().__init__()
        self._pooled = pooled
        self.live = 0
        self.small = 0
        self.peak = 0
        self._small_peak = 0
        self._sizes: dict[int, int] = {}

    @property
    def resident(self) -> int:
        """Bytes that are taken from the machine now."""
        if self._pooled:
            return self.live
        return self.live - self.small + round(SLACK * self._small_peak)

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Let the heap keep nothing of what happens meanwhile: it takes the place of what follows."""
        kept = self._small_peak
        yield
        self._small_peak = kept

    def count(self, tensors: Sequence[Tensor]) -> None:
        """Take tensors into account that were made elsewhere."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            key, size = storage._cdata, storage.nbytes()
            if key in self._sizes:
                continue
            if self.tidy and size >= LARGE:
                gc.collect()
            self._sizes[key] = size
            weakref.finalize(storage, self._forget, key)
            self._add(size)
            self.peak = max(self.peak, self.resident)

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        self.count([leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)])
        return out

    def _add(self, size: int) -> None:
        self.live += size
        if abs(size) < LARGE:
            self.small += size
            self._small_peak = max(self._small_peak, self.small)

    def _forget(self, key: int) -> None:
        self._add(-self._sizes.pop(key))

"""Where the gradient of class rows goes, a tile at a time."""

from __future__ import annotations

import functools
from typing import Protocol

import torch
from torch import Tensor

from arcterm.train.head.rowupdate import RowUpdate

_ROOM = 1 << 16  # rows of which there is a gradient at a time: of 512 numbers 128 MiB


class RowGradients(Protocol):
    """Takes the gradient of all rows, (n, D) of a slice of at most `most` of them at a time.

    Where it is not `needed` it need not be computed: none of the methods is called then.
    """

    most: int
    needed: bool

    def room(self, part: slice) -> Tensor:
        """Return where the gradient of the rows `part` is to be written, (n, D) float32."""

    def done(self, part: slice) -> None:
        """Note that it is written."""

    def add(self, rows: Tensor, more: Tensor) -> None:
        """Add `more` (B, D) to the gradient of `rows` (B,), after all are done; equal rows have equal `more`.

        The rows are those that the step began with as its targets'.
        """


class Room:
    """Memory for what every step has as much of, as the whole gradient of rows, kept in between on a CPU.

    What is freed there goes back to the system, which clears every page of it before it gives it out again:
    for a million classes that takes as long as half of the products. A GPU's memory is pooled anyway.
    """

    def __init__(self) -> None:
        self._kept: Tensor | None = None

    def like(self, of: Tensor) -> Tensor:
        """Return memory of the shape of `of`, whose numbers may be anything, that nobody else uses."""
        if of.device.type != "cpu" or _uses_alone() is None:
            return torch.empty_like(of)
        kept = self._kept
        # another tensor may have the same memory: a gradient that is added to, or that someone looks at
        lent = kept is not None and _uses(kept) != _uses_alone()
        if kept is None or lent or kept.shape != of.shape or kept.dtype != of.dtype:
            kept = self._kept = torch.empty_like(of, memory_format=torch.contiguous_format)
        # a tensor of its own: autograd takes one that only it holds for the gradient, and copies any other
        return kept.view(kept.shape)


def _uses(tensor: Tensor) -> int:
    """Count what holds the memory of `tensor`: tensors, and the question itself."""
    return int(torch._C._storage_Use_Count(tensor.untyped_storage()._cdata))


@functools.cache
def _uses_alone() -> int | None:
    """Count the uses of memory that one tensor has; None where PyTorch, whose business it is, won't say."""
    tensor = torch.empty(1)
    try:
        alone, lent = _uses(tensor), tensor.view(1)
        return alone if _uses(tensor) > alone and lent is not tensor else None
    except AttributeError:
        return None


class Collected:
    """The whole gradient `of` the rows (R, D), in memory, of a `room` that is kept if there is one."""

    most = 1 << 62
    needed = True

    def __init__(self, of: Tensor, room: Room | None = None) -> None:
        self.weight = (room or Room()).like(of)

    def room(self, part: slice) -> Tensor:
        return self.weight[part]

    def done(self, part: slice) -> None:
        """Nothing is left to do."""

    def add(self, rows: Tensor, more: Tensor) -> None:
        # equal rows get the same value each, so the order in which they are written does not matter
        self.weight.index_copy_(0, rows, self.weight[rows] + more)


class Dropped:
    """The gradient of rows that do not learn: it is not even computed."""

    most = 1 << 62
    needed = False

    def room(self, part: slice) -> Tensor:
        raise AssertionError("the gradient of rows is not needed")

    def done(self, part: slice) -> None:
        """Nothing is left to do."""

    def add(self, rows: Tensor, more: Tensor) -> None:
        """Nothing is left to do."""


class Updated:
    """The gradient of rows `of` which each is updated as soon as its own is there, by `update`.

    Those of the targets, `rows` (B,), come with a part that is known at the end: they are updated along with
    the others, and then once more from what they were.
    """

    most = _ROOM
    needed = True

    def __init__(self, of: Tensor, update: RowUpdate, rows: Tensor) -> None:
        self._of = of
        self._tile = of[:0]
        self._update = update
        self._rows = rows
        self._before = update.rows(rows)
        self._by_tiles = torch.zeros_like(self._before[0])

    def room(self, part: slice) -> Tensor:
        count = part.stop - part.start
        if len(self._tile) < count:
            self._tile = self._of.new_empty(count, self._of.shape[1])
        return self._tile[:count]

    def done(self, part: slice) -> None:
        gradient, place = self.room(part), self._rows - part.start
        inside = (place >= 0) & (place < len(gradient))
        if inside.is_cuda or bool(inside.any()):  # a GPU does it for nothing rather than being asked
            found = gradient[place.clamp(0, len(gradient) - 1)]
            self._by_tiles = torch.where(inside[:, None], found, self._by_tiles)
        self._update.apply(part, gradient)

    def add(self, rows: Tensor, more: Tensor) -> None:
        self._update.update(self._before, self._by_tiles + more)
        self._update.replace(rows, self._before)

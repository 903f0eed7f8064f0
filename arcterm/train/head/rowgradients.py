"""Where the gradient of class rows goes, a tile at a time."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class RowGradients(Protocol):
    """Takes the gradient of all rows, (n, D) of a slice of them at a time."""

    def room(self, part: slice) -> Tensor:
        """Return where the gradient of the rows `part` is to be written, (n, D) float32."""

    def done(self, part: slice) -> None:
        """Note that it is written."""

    def add(self, rows: Tensor, more: Tensor) -> None:
        """Add `more` (B, D) to the gradient of `rows` (B,), after all are done; equal rows have equal `more`.

        The rows are those that the step began with as its targets'.
        """


class Collected:
    """The whole gradient `of` the rows (R, D), in memory."""

    def __init__(self, of: Tensor) -> None:
        self.weight = torch.empty_like(of)

    def room(self, part: slice) -> Tensor:
        return self.weight[part]

    def done(self, part: slice) -> None:
        """Nothing is left to do."""

    def add(self, rows: Tensor, more: Tensor) -> None:
        # equal rows get the same value each, so the order in which they are written does not matter
        self.weight.index_copy_(0, rows, self.weight[rows] + more)

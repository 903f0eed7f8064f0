"""Texts and failures exchanged by the ranks that verify together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from arcterm.errors import DataError

T = TypeVar("T")

_BYTES = 2000  # of a text


class RankGroup(Protocol):
    """The part of `train.world.World` that embedding and searching need."""

    @property
    def rank(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def first(self) -> bool: ...
    @property
    def device(self) -> torch.device: ...
    def gather(self, tensor: Tensor) -> Tensor:
        """(n, …) of every rank as (size · n, …)."""

    def barrier(self) -> None: ...


def gather_texts(ranks: RankGroup, text: str) -> list[str]:
    """Gather a text of each rank, the same list on every rank, once all have come here."""
    own = bytearray(text.encode("utf-8", "replace")[:_BYTES].ljust(_BYTES, b"\0"))
    rows = ranks.gather(torch.frombuffer(own, dtype=torch.uint8)).view(-1, _BYTES)
    return [bytes(row.tolist()).rstrip(b"\0").decode("utf-8", "replace") for row in rows]


def agree(ranks: RankGroup, work: Callable[[], T]) -> T:
    """Return what `work` returns, once all ranks have it; raises the first `DataError` of one on all."""
    problem = ""
    try:
        result = work()
    except DataError as error:
        problem = str(error)
    first = next(filter(None, gather_texts(ranks, problem)), "")
    if first:
        message, _, hint = first.partition("\n  → ")
        raise DataError(message, hint)
    return result

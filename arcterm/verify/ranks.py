"""What the ranks that verify together need of each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from arcterm.errors import DataError

T = TypeVar("T")

_BYTES = 500  # of a text


class Ranks(Protocol):
    """The part of `train.world.World` that is needed here."""

    @property
    def rank(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def device(self) -> torch.device: ...
    def gather(self, tensor: Tensor) -> Tensor:
        """(n, …) of every rank as (size · n, …)."""


def texts(ranks: Ranks, text: str) -> list[str]:
    """What each rank has to say, the same list on every rank; the point that all have reached."""
    own = bytearray(text.encode("utf-8", "replace")[:_BYTES].ljust(_BYTES, b"\0"))
    rows = ranks.gather(torch.frombuffer(own, dtype=torch.uint8)).view(-1, _BYTES)
    return [bytes(row.tolist()).rstrip(b"\0").decode("utf-8", "replace") for row in rows]


def agreed(ranks: Ranks, work: Callable[[], T]) -> T:
    """What `work` gives, once all ranks have it; raises the first `DataError` of one on all of them."""
    problem = ""
    try:
        result = work()
    except DataError as error:
        problem = str(error)
    told = next(filter(None, texts(ranks, problem)), "")
    if told:
        message, _, hint = told.partition("\n  → ")
        raise DataError(message, hint)
    return result

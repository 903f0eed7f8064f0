"""How the ranks of a training lie on its hosts."""

from __future__ import annotations

import msgspec

from arcterm.config import TrainConfig


class HostLayout(msgspec.Struct, frozen=True):
    """So many `hosts` with as many `ranks` each."""

    hosts: int
    ranks: int

    @property
    def count(self) -> int:
        """The ranks of all hosts."""
        return self.hosts * self.ranks


def of(config: TrainConfig, hosts: int) -> HostLayout:
    return HostLayout(hosts, config.nproc // hosts)


def rows(classes: int, rank: int, count: int) -> range:
    """Return the classes whose rows a rank of `count` has."""
    return range(classes * rank // count, classes * (rank + 1) // count)

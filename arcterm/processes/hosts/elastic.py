"""The config of an elastic training on as many hosts as there are, with the images of a step as before."""

from __future__ import annotations

import msgspec
from arcterm_registry import get

from arcterm.config import Config, TrainConfig


def fit(config: Config, count: int) -> Config | None:
    """Return the config on `count` hosts or, where their ranks can't share a step, on fewer; None if on none.

    Passes of the size that a rank has take no more memory on fewer hosts, so that their number changes where
    it can; a loss that compares images with each other has one pass, which gets larger or smaller.
    """
    if not isinstance(config, TrainConfig) or not config.most_hosts:
        return config if count >= config.hosts else None
    for hosts in range(min(count, config.most_hosts), config.least_hosts - 1, -1):
        if (fitted := _on(config, hosts)) is not None:
            return fitted
    return None


def _on(config: TrainConfig, hosts: int) -> TrainConfig | None:
    if hosts == config.hosts:
        return config
    ranks = config.ranks_each * hosts
    share, rest = divmod(config.global_batch, ranks)
    if rest:
        return None
    if share % config.batch_size == 0 and get("loss", config.loss).form == "margin":
        batch, parts = config.batch_size, share // config.batch_size
    elif share % config.accumulate == 0:
        batch, parts = share // config.accumulate, config.accumulate
    else:
        return None
    return msgspec.structs.replace(config, hosts=hosts, nproc=ranks, batch_size=batch, accumulate=parts)

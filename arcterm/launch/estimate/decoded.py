"""The memory of images that are kept decoded."""

from __future__ import annotations

from arcterm_registry.contracts import DatasetFacts

from arcterm.errors import ConfigError
from arcterm.launch.estimate import room


def lines(budget: int, facts: DatasetFacts) -> list[str]:
    """Return a line about images held decoded in `budget` MiB; `ConfigError` if the memory isn't free."""
    if not budget:
        return []
    each = 3 * facts.image_size[0] * facts.image_size[1]
    count = min(facts.images, (budget << 20) // each)
    needed, free = count * each >> 20, room.host_memory() >> 20
    if needed > free:
        raise ConfigError(
            f"decoded_cache: {count:,} decoded images take {needed:,} MiB and {free:,} are free",
            f"give --set decoded_cache={free * 3 // 4} or less",
        )
    return [f"cache     {count:,} of {facts.images:,} images kept decoded, {needed:,} MiB"]

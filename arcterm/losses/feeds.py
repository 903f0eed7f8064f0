"""The feedings of the losses over embeddings; nothing here needs torch."""

from __future__ import annotations

from typing import Any

from arcterm_registry.contracts import Feeding


def triplet(*, mining: str, images_per_identity: int, bag: int, **_: Any) -> Feeding:
    """Mined triplets for semi-hard mining, people with several images each for batch-hard."""
    if mining == "batch-hard":
        return Feeding(kind="identities", images_per_identity=images_per_identity)
    return Feeding(kind="triplets", images_per_identity=images_per_identity, bag=bag)

"""The division of a step's images into triplets or people, for losses that compare images."""

from __future__ import annotations

import math
from collections.abc import Mapping

from arcterm_registry import Loss, PluginError
from arcterm_registry.contracts import DatasetFacts, Feeding

from arcterm.commandline import Value
from arcterm.errors import ConfigError


def feeding(name: str, loss: Loss, options: Mapping[str, Value]) -> Feeding | None:
    """Return how a step's images are chosen, None if any will do; `PluginError` if the loss must say."""
    if loss.form != "tuples":
        return None
    if not loss.feeding:
        raise PluginError(
            f"loss {name!r} compares images and does not say how they are chosen",
            "its declaration lacks `feeding`; tell its author",
        )
    try:
        found: Feeding = loss.make_feeding(**options)
    except Exception as error:
        what = f"loss {name!r} can't say how its images are chosen: {type(error).__name__}: {error}"
        raise PluginError(what, "tell its author") from error
    return found


def usual_batch(usual: int, nproc: int, fed: Feeding | None) -> int:
    """The default batch per rank: `usual`, or the most below it that can be shared out."""
    if fed is None:
        return usual
    part = _part(fed, nproc)
    least = -(-_least(fed) // (part * nproc)) * part
    return max(usual // part * part, least)


def check_parts(name: str, fed: Feeding | None, parts: int) -> None:
    """Raise `ConfigError` if a step can't be taken in so many `parts` with the loss `name`."""
    if fed is not None and parts > 1:
        raise ConfigError(
            f"loss {name} compares the images of a step, and those of different parts would never meet "
            f"(accumulate {parts})",
            "leave out --set accumulate; --set gradient_checkpointing=yes allows a larger --batch-size",
        )


def check(fed: Feeding | None, batch: int, nproc: int, facts: DatasetFacts) -> None:
    """Raise `ConfigError` if the images of a step, `batch` a rank, can't be shared out."""
    if fed is None:
        return
    whole, each = batch * nproc, fed.images_per_identity
    if batch % _part(fed, nproc) or whole < _least(fed):
        raise ConfigError(
            _misfit(fed, batch, nproc), f"change --batch-size: {_near(fed, batch, nproc)} works"
        )
    if fed.kind == "identities" and whole // each > facts.classes:
        raise ConfigError(
            f"a step takes {whole // each} people and the data set has {facts.classes}",
            f"lower --batch-size, or raise --set loss.images_per_identity above {each}",
        )
    if fed.kind == "triplets" and fed.bag < whole:
        raise ConfigError(
            f"triplets for a step of {whole} images can't be mined in a bag of {fed.bag}",
            f"raise --set loss.bag to {whole} or more, or lower --batch-size",
        )


def factors(parts: int) -> str:
    """Name what multiplies a rank's images of a pass, beside --batch-size."""
    return "--nproc, --set accumulate" if parts > 1 else "--nproc"


def check_sampling(loss: str, fed: Feeding | None, sampling: str) -> None:
    """Raise `ConfigError` if images are to be sampled otherwise and the `loss` chooses them itself."""
    if fed is not None and sampling != "shuffled":
        raise ConfigError(
            f"loss {loss} chooses the images of a step itself, so sampling has nothing to act on",
            "leave out --set sampling",
        )


def words(fed: Feeding | None, whole: int, sampling: str) -> str:
    """Say how the `whole` images of a step are divided, to be put behind their number."""
    if fed is None:
        return "; each person equally often" if sampling == "balanced" else ""
    if fed.kind == "triplets":
        return f", {whole // 3} triplets (each rank's share is a multiple of 3)"
    each = fed.images_per_identity
    return f", {each} each of {whole // each} people"


def _part(fed: Feeding, nproc: int) -> int:
    """Return the number of which a rank's batch is a multiple."""
    if fed.kind == "triplets":
        return 3
    return fed.images_per_identity // math.gcd(fed.images_per_identity, nproc)


def _least(fed: Feeding) -> int:
    """The fewest images of a step."""
    return 3 if fed.kind == "triplets" else 2 * fed.images_per_identity


def _misfit(fed: Feeding, batch: int, nproc: int) -> str:
    if fed.kind == "triplets":
        return f"a rank's batch of {batch} images can't be split into anchors, positives and negatives"
    each = fed.images_per_identity
    return f"a step's {batch} × {nproc} = {batch * nproc} images are not {each} each of two people or more"


def _near(fed: Feeding, batch: int, nproc: int) -> str:
    """The batches next to `batch` that can be shared out."""
    part, least = _part(fed, nproc), usual_batch(0, nproc, fed)
    below = batch // part * part
    return " or ".join(str(size) for size in sorted({max(below, least), max(below + part, least)}))

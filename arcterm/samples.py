"""Which images a step takes, as arithmetic: for the sampler, and for a resume with another batch."""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class Begin(msgspec.Struct, frozen=True):
    """Where the images of the steps after `step` begin: at `offset` in the order of epoch `epoch`, from 0.

    `samples` images were taken until then, by global batches of other sizes.
    """

    step: int = 0
    epoch: int = 0
    offset: int = 0
    samples: int = 0


FROM_START = Begin()


class Spot(NamedTuple):
    """The first image of a global batch: `offset` in the order of epoch `epoch`, both from 0."""

    epoch: int
    offset: int


def place(begins: Begin, count: int, global_batch: int, step: int) -> Spot:
    """Find where the global batch of `step`, from 1, begins among `count` images an epoch.

    What is left of an epoch and fills no batch is dropped. A step before `begins`, to which a run goes back
    whose newer checkpoints are broken, is found by counting backwards with the same batch.
    """
    whole = count // global_batch
    number = step - begins.step - 1
    last = (count - begins.offset) // global_batch  # batches that are left of the epoch in which it begins
    first = -(begins.offset // global_batch)
    if first <= number < last:
        return Spot(begins.epoch, begins.offset + number * global_batch)
    epochs, within = divmod(number - (last if number >= last else first), whole)
    epoch = begins.epoch + epochs + (number >= last)
    return Spot(max(0, epoch), within * global_batch)


def step_at(begins: Begin, count: int, global_batch: int, epochs: float) -> int:
    """Find the step, to the nearest, with which `epochs` epochs of `count` images are over.

    Before `begins`, where batches were of other sizes, epochs are taken to have been equally long.
    """
    begun = begins.epoch + begins.offset / count
    if epochs < begun:
        return round(begins.step * epochs / begun)
    whole, part = divmod(epochs, 1)
    return steps_of(begins, count, global_batch, int(whole)) + round(part * (count // global_batch))


def taken(begins: Begin, global_batch: int, step: int) -> int:
    """Count the images of the steps up to `step`."""
    return max(0, begins.samples + (step - begins.step) * global_batch)


def begin_after(begins: Begin, count: int, global_batch: int, step: int) -> Begin:
    """Return where another global batch begins after `step`, itself taken with `begins` and `global_batch`.

    It goes on behind the last image of `step`, so that an epoch has every image once at most.
    """
    until = taken(begins, global_batch, step)
    if step == begins.step:
        return msgspec.structs.replace(begins, samples=until)
    epoch, offset = place(begins, count, global_batch, step)
    return Begin(step, epoch, offset + global_batch, until)


def steps_of(begins: Begin, count: int, global_batch: int, epochs: int) -> int:
    """Count the steps until the end of `epochs` epochs in all, those before `begins` included."""
    left = (count - begins.offset) // global_batch
    return begins.step + left + (epochs - begins.epoch - 1) * (count // global_batch)

"""The batches of a training: from the shuffled data, person by person, or mined triplets."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from functools import partial
from typing import Protocol

import numpy as np
import torch
from arcterm_registry import get
from arcterm_registry.contracts import FaceDataset
from numpy.typing import NDArray
from torch import Tensor

from arcterm.config import TrainConfig
from arcterm.cores import decoding_threads
from arcterm.runs.events import Mined, Phase
from arcterm.runs.journal import Sink
from arcterm.train.checkpoint.trained import Trained
from arcterm.train.feed.augment import UNCHANGED
from arcterm.train.feed.balanced import Balanced
from arcterm.train.feed.cache import DecodedCache
from arcterm.train.feed.identities import Identities, SamePerson
from arcterm.train.feed.labels import read_labels, require_pairs
from arcterm.train.feed.loader import Batch, Loader
from arcterm.train.feed.mining import Miner, MiningCounts, Sequence
from arcterm.train.feed.quarantine import Quarantine
from arcterm.train.feed.sampler import BatchIndices, Sampler, keys
from arcterm.train.head.tuples import TupleHead
from arcterm.train.optim.groups import evaluating
from arcterm.train.report import PhaseProgress
from arcterm.train.statistics import averaged
from arcterm.train.world import World
from arcterm.verify.embed import normalize

_EPS = 1e-10  # inside the root, as in the head

Load = Callable[..., Loader]
"""A loader of some choices, `substitutes` optional."""


class Feed(Protocol):
    """The batches of one rank."""

    def batches(self, pause: Callable[[], None]) -> Generator[tuple[Batch, float]]:
        """Yield the batches in order of steps, each with the seconds spent waiting for it.

        `pause` is called before and after anything that takes time and is no step.
        """

    def state(self) -> dict[str, Tensor]:
        """State for a checkpoint, so that the batches go on as they would have."""


class Chooser(Protocol):
    """Chooses the images of a rank for any step."""

    def choices(self, first: int, last: int) -> Iterator[BatchIndices]:
        """Yield the images of the steps `first` … `last`."""


def make(
    config: TrainConfig,
    dataset: FaceDataset,
    trained: Trained,
    world: World,
    journal: Sink,
    start: int,
    state: Mapping[str, Tensor],
    quarantine: Quarantine | None = None,
) -> Feed:
    """Make the feed that the loss asks for, for the steps after `start`; `state` is its state at that step.

    Raises `DataError` if the data has nothing to compare.
    """
    image_size = get("backbone", config.backbone).input_size
    load = partial(
        Loader,
        dataset,
        image_size=image_size,
        threads=decoding_threads(config.loader_threads, config.device, config.ranks_each),
        device=world.device,
        augmentation=config,
        cache=DecodedCache.make(len(dataset), image_size, config.decoded_cache << 20, world),
        quarantine=quarantine,
    )
    shared = (config.share, world.rank, world.size, config.seed, config.begins)
    head, every = trained.head, Sampler(len(dataset), *shared)
    if not isinstance(head, TupleHead) and config.sampling == "shuffled":
        return Streamed(load, every, start, config.steps)
    labels = read_labels(dataset, config.dataset, PhaseProgress(journal, "loading", "labels"))
    if not isinstance(head, TupleHead):
        return Streamed(load, Balanced(labels, every), start, config.steps)
    require_pairs(labels, config.dataset)
    load = partial(load, substitutes=SamePerson(labels))
    if head.feeding.kind == "identities":
        chooser = Identities(labels, head.feeding.images_per_identity, *shared)
        return Streamed(load, chooser, start, config.steps)
    sequence = Sequence.of(state, start).fitting(config.global_batch // 3, start)
    return MinedTriplets(config, load, labels, trained, head, world, journal, sequence, start)


class Streamed:
    """Batches that do not depend on the weights."""

    def __init__(self, load: Load, chooser: Chooser, start: int, last: int) -> None:
        self._load = load
        self._chooser = chooser
        self._start = start
        self._last = last

    def batches(self, pause: Callable[[], None]) -> Generator[tuple[Batch, float]]:
        with self._load(self._chooser.choices(self._start + 1, self._last)) as loader:
            yield from loader

    def state(self) -> dict[str, Tensor]:
        return {}


class MinedTriplets:
    """Batches of triplets that are mined in rounds, with the weights of the round's beginning."""

    def __init__(
        self,
        config: TrainConfig,
        load: Load,
        labels: NDArray[np.int64],
        trained: Trained,
        head: TupleHead,
        world: World,
        journal: Sink,
        sequence: Sequence,
        start: int,
    ) -> None:
        self._config = config
        self._load = load
        self._trained = trained
        self._world = world
        self._journal = journal
        self._sequence = sequence
        self._step = start
        self._preprocess = get("backbone", config.backbone).preprocess
        feeding = head.feeding
        self._miner = Miner(
            labels=labels,
            images_per_identity=feeding.images_per_identity,
            bag=feeding.bag,
            size=config.global_batch // 3,
            seed=config.seed,
            admits=head.loss.admits,
            embed=self._embed,
            world=world,
        )

    def batches(self, pause: Callable[[], None]) -> Generator[tuple[Batch, float]]:
        """Yield the rest of the round in progress, then round after round."""
        while self._step < self._config.steps:
            if self._step == self._sequence.last:
                pause()
                self._mine()
                pause()
            with self._load(self._choices()) as loader:
                for batch, waited in loader:
                    yield batch, waited
                    self._step = batch.step

    def state(self) -> dict[str, Tensor]:
        return self._sequence.tensors()

    def _choices(self) -> Iterator[BatchIndices]:
        """Yield this rank's anchors, positives and negatives for the rest of the round."""
        sequence, config = self._sequence, self._config
        count = config.batch_size // 3
        mine = slice(self._world.rank * count, (self._world.rank + 1) * count)
        slots = np.arange(config.global_batch).reshape(-1, 3)[mine].T.ravel()
        for step in range(self._step + 1, min(sequence.last, config.steps) + 1):
            indices = sequence.triplets[step - 1 - sequence.first, mine].T.ravel()
            yield BatchIndices(step, indices, keys(config.seed, step, slots))

    def _mine(self) -> None:
        started = time.perf_counter()
        self._journal.write(Phase(phase="mining", detail=f"round {self._sequence.round + 1}"))
        tally = MiningCounts()
        # by the mean of all ranks' statistics an image's embedding is the same on whichever rank makes it
        with averaged(self._trained.backbone, self._world), evaluating(self._trained.backbone):
            self._sequence = self._miner.mine(self._sequence, self._step, tally)
        self._journal.write(
            Mined(
                step=self._step,
                round=self._sequence.round,
                bags=tally.bags,
                images=tally.images,
                pairs=tally.pairs,
                triplets=tally.triplets,
                steps=len(self._sequence.triplets),
                seconds=time.perf_counter() - started,
            )
        )
        self._journal.write(Phase(phase="training"))

    def _embed(self, images: NDArray[np.int64]) -> Tensor:
        """Embed `images` on all ranks together, without mirroring: (n, D) normalised."""
        share = -(-len(images) // self._world.size)  # the last rank's share may be filled up with repeats
        first = self._world.rank * share
        own = images[np.arange(first, first + share).clip(max=len(images) - 1)]
        size = self._config.batch_size
        parts = (own[at : at + size] for at in range(0, share, size))
        progress = PhaseProgress(self._journal, "mining", f"round {self._sequence.round + 1}")
        embedded = []
        plain = (BatchIndices(n, part, np.zeros(len(part), np.uint64)) for n, part in enumerate(parts))
        with self._load(plain, augmentation=UNCHANGED) as loader, torch.inference_mode():
            for batch, _ in loader:
                pixels = batch.images.to(self._world.device, non_blocking=True)
                embedded.append(self._trained.backbone(normalize(pixels, self._preprocess)).float())
                progress(min(share, (batch.step + 1) * size), share)
        whole = self._world.gather(torch.cat(embedded))[: len(images)]
        return whole * whole.square().sum(1, keepdim=True).add(_EPS).rsqrt()

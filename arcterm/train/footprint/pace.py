"""The time of a step of a rank, by its parts: a few steps with values drawn at random.

The ranks of a host step at once, since they share its cores. Nothing is exchanged: what would be is counted
(`rehearsal`). A step that accumulates gradients is timed as one of its parts. Not in it is the loader.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import torch
from arcterm_registry import get
from torch import Tensor

from arcterm.config import TrainConfig
from arcterm.runs.journal import NullJournal
from arcterm.runs.store import Run
from arcterm.train import build, precision
from arcterm.train.checkpoint.trained import Trained
from arcterm.train.distillation import Teacher
from arcterm.train.footprint.rehearsal import Exchange, Rehearsal
from arcterm.train.footprint.together import Worker
from arcterm.train.guards.finite import FiniteGuard
from arcterm.train.head.head import Head
from arcterm.train.stepmodel import compile_backbone
from arcterm.train.world import World
from arcterm.verify.embed import normalize

_STEPS = 15
_FEWEST = 2
_ENOUGH_SECONDS = 4.0
_CPU_FLOPS = 20e9  # of a slow core: so little is tried at a time that two steps take seconds there
_CUDA_FLOPS = 30e12
_LEAST_ROWS = 256
_MOST_HEAD_SHARE = 0.2  # of the free memory


@dataclass(frozen=True)
class HeadTime:
    """Seconds that the head takes with `rows` class rows against `batch` embeddings, and their update."""

    rows: int
    batch: int
    seconds: float
    update: float


@dataclass(frozen=True)
class StepTime:
    """Medians of `steps` steps: seconds of the backbone's parts with `images`, of the head by its size."""

    steps: int
    images: int
    forward: float
    backward: float
    update: float
    head: list[HeadTime]


@dataclass(frozen=True)
class StepTraffic:
    """The collectives of a pass of all ranks' batches, and the bytes of gradients that they average after."""

    exchanges: list[Exchange]
    gradients: int


class _Clock:
    """Seconds between marks, at each of which all ranks of the host meet.

    On a CPU those that the thread was computing, which takes part in all that its pool does: other work on
    the machine is not in them. Where ranks have more threads than there are cores, each waits for its turn.
    """

    def __init__(self, device: torch.device, worker: Worker) -> None:
        self._device = device
        self._worker = worker
        self._turns = worker.turns(torch.get_num_threads())
        self.seconds: dict[str, list[float]] = {}
        self._last = 0.0

    def mark(self, part: str = "") -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        if part:
            self.seconds.setdefault(part, []).append(self._now() - self._last)
        self._worker.meet()
        self._last = self._now()

    def _now(self) -> float:
        return time.perf_counter() if self._device.type == "cuda" else self._turns * time.thread_time()

    def median(self, part: str) -> float:
        """The first is left out: it finds out how to compute what."""
        return statistics.median(self.seconds[part][1:])


def measure(config: TrainConfig, classes: int, free: int, worker: Worker) -> StepTime:
    """Time steps of a rank of `config`, in as many processes at once as it has ranks on a host.

    `free` bytes of memory are there for each. Raises whatever the backbone or the loss raises.
    """
    device = torch.device("cuda", worker.rank) if config.device == "cuda" else torch.device("cpu")
    precision.begin(config, device)
    world = Rehearsal(size=config.nproc, device=device)
    few = msgspec.structs.replace(config, batch_size=_images(config))
    work = _BackboneWork(few, world)
    if few.batch_size < config.batch_size:
        # With few images a step is mostly what it does with its weights, and no measure of many: so as many
        # are taken as a step of seconds has, by what these few took.
        tried = _repeat(work.step, _Clock(device, worker), worker, enough=0.0)
        taken = worker.most(tried.median("forward") + tried.median("backward")) / few.batch_size
        fitting = int(_ENOUGH_SECONDS / 2 / max(taken, 1e-6))
        more = min(config.batch_size, max(few.batch_size, fitting))
        few = msgspec.structs.replace(config, batch_size=more)
        del work
        work = _BackboneWork(few, world)
    worker.advance()
    passed = _repeat(work.step, _Clock(device, worker), worker)
    worker.advance()
    size = build.embedding_size(config, work.trained.backbone, world)
    del work
    head = []
    for rows, batch in _points(config, -(-classes // config.nproc), size, free):
        of_rows = _HeadWork(config, min(classes, max(2, rows * config.nproc)), size, batch, world)
        clock = _repeat(of_rows.step, _Clock(device, worker), worker)
        head.append(HeadTime(rows, batch * config.nproc, clock.median("head"), clock.median("rows")))
        del of_rows
        worker.advance()
    return StepTime(
        steps=len(passed.seconds["forward"]) - 1,
        images=few.batch_size,
        forward=passed.median("forward"),
        backward=passed.median("backward"),
        update=passed.median("update"),
        head=head,
    )


def count(config: TrainConfig) -> StepTraffic:
    """Count what a rank of `config` exchanges in a step of one pass, whatever device it is for."""
    config = msgspec.structs.replace(config, device="cpu", gpus=[], precision="float32", compile=False)
    network = build.backbone(config, torch.device("cpu"))
    size = build.embedding_size(config, network, World())
    gradients = sum(p.nbytes for p in network.parameters() if p.requires_grad)
    if get("loss", config.loss).form != "margin":
        return StepTraffic(_exchanges(config, size, config.batch_size), gradients)
    # from two small batches: that of hundreds of ranks would take the memory of all of them
    two, four = _exchanges(config, size, 2), _exchanges(config, size, 4)
    image = [(b.bytes - a.bytes) // 2 for a, b in zip(two, four, strict=True)]
    grown = [a.bytes + more * (config.batch_size - 2) for a, more in zip(two, image, strict=True)]
    return StepTraffic([replace(a, bytes=all_of) for a, all_of in zip(two, grown, strict=True)], gradients)


def _exchanges(config: TrainConfig, size: int, batch: int) -> list[Exchange]:
    """Count the collectives of a head with embeddings of `size` numbers and `batch` images of each rank."""
    world = Rehearsal(size=config.nproc)
    # a few rows: none of them travel
    work = _HeadWork(config, 2 * config.nproc, size, batch, world)
    work.step(_Clock(world.device, Worker(0, 1, None, [0.0])), 1)
    return world.exchanges


def _repeat(
    step: Callable[[_Clock, int], None], clock: _Clock, worker: Worker, enough: float = _ENOUGH_SECONDS
) -> _Clock:
    """Make steps for `enough` seconds, two at least, on all ranks as many: they meet at each part of them."""
    spent, number = 0.0, 0
    while number <= _FEWEST or (number <= _STEPS and spent < enough):
        number += 1
        clock.mark()
        step(clock, number)
        spent = worker.most(spent + sum(times[-1] for times in clock.seconds.values()))
    return clock


class _BackboneWork:
    """The backbone of a rank with a batch of noise, and what the update does to it."""

    def __init__(self, config: TrainConfig, world: Rehearsal) -> None:
        self._config = config
        self._teacher = Teacher.load(config, world.device)
        self._preprocess = get("backbone", config.backbone).preprocess
        self.trained = build.trained(config, 2 * config.nproc, world)
        self._guard = _guard(config, world, self.trained)
        generator = torch.Generator().manual_seed(0)
        shape = (config.batch_size, *get("backbone", config.backbone).input_size, 3)
        self._pixels = torch.randint(256, shape, dtype=torch.uint8, generator=generator).to(world.device)
        self._forward: Callable[[Tensor], Tensor] = self.trained.backbone
        if config.compile:
            images = normalize(self._pixels, self._preprocess)
            self._forward = compile_backbone(
                self.trained.backbone, config.backbone, images, config.precision, NullJournal()
            )

    def step(self, clock: _Clock, number: int) -> None:
        optimizer = self.trained.backbone_optimizer
        optimizer.zero_grad(set_to_none=True)
        self._guard.begin()
        with precision.autocast(self._config.precision, self._pixels.device):
            embeddings = self._forward(normalize(self._pixels, self._preprocess))
        clock.mark("forward")
        loss = embeddings.float().square().mean()
        if self._teacher is not None:
            loss = self._teacher.combine(loss, self._teacher.distance(self._pixels, embeddings))
        if loss.requires_grad:
            loss.backward()
        clock.mark("backward")
        self._guard.bad(loss.detach())
        if self._config.clip:
            torch.nn.utils.clip_grad_norm_(self.trained.backbone.parameters(), self._config.clip)
        optimizer.step()
        if self.trained.average:
            self.trained.average.follow(number)
        clock.mark("update")


class _HeadWork:
    """The head of a rank with embeddings of noise, and the update of its rows."""

    def __init__(self, config: TrainConfig, classes: int, size: int, batch: int, world: Rehearsal) -> None:
        self._world = world
        self.head, self._optimizer = build.head(config, classes, size, world)
        generator = torch.Generator().manual_seed(0)
        self._embeddings = torch.randn(batch, size, generator=generator).to(world.device)
        self._labels = torch.randint(classes, (batch,), generator=generator).to(world.device)
        nothing = torch.nn.Identity()
        none = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])
        self._guard = _guard(config, world, Trained(nothing, self.head, none, self._optimizer))

    def step(self, clock: _Clock, number: int) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        self._guard.begin()
        if isinstance(self.head, Head) and self.head.row_update:
            self.head.row_update.arm()
        embeddings = self._embeddings.clone().requires_grad_()
        loss = self.head(embeddings, self._labels, number).loss
        loss.backward()
        clock.mark("head")
        self._guard.bad(loss.detach())
        self._optimizer.step()
        clock.mark("rows")


def _guard(config: TrainConfig, world: Rehearsal, trained: Trained) -> FiniteGuard:
    return FiniteGuard(Run(Path()), config, world, trained, NullJournal())


def _points(config: TrainConfig, rows: int, size: int, free: int) -> list[tuple[int, int]]:
    """Return rows of a rank and embeddings of each rank to try the head with, at most its own.

    As many as memory and a few seconds allow; and half as many of either, so that others follow.
    """
    if get("loss", config.loss).form != "margin":
        return [(rows, config.batch_size)]
    centers = int(config.loss_options.get("centers") or 1)
    fitting = int(_MOST_HEAD_SHARE * free / (4 * 4 * size * centers))
    flops = _CUDA_FLOPS if config.device == "cuda" else _CPU_FLOPS * config.threads
    in_time = int(_ENOUGH_SECONDS / 2 * flops / (8 * size * centers * config.micro_batch))
    most = max(_LEAST_ROWS, min(rows, fitting, in_time))
    most = min(most, rows)
    points = [(most, config.batch_size), (max(1, most // 2), config.batch_size)]
    return [*points, (most, config.batch_size // 2)] if config.batch_size > 1 else points


def _images(config: TrainConfig) -> int:
    """How many images of a rank's batch to try: all on a GPU, which is idle with few."""
    if config.device == "cuda":
        return config.batch_size
    of_an_image = 6e9 * get("backbone", config.backbone).gmacs
    return max(
        2, min(config.batch_size, int(_ENOUGH_SECONDS / 2 * _CPU_FLOPS * config.threads / of_an_image))
    )

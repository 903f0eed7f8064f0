"""What a training takes on so many hosts: memory by part, a step by part, an epoch, a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np

from arcterm.config import TrainConfig
from arcterm.launch.estimate import need
from arcterm.launch.estimate.footprint import Footprint
from arcterm.launch.estimate.need import Need, Subject
from arcterm.launch.scaling import layout, traffic
from arcterm.launch.scaling.constants import Constants, HeadPoint, RankPace, Traffic
from arcterm.launch.scaling.layout import HostLayout


class HeadRange(msgspec.Struct, frozen=True):
    """The classes ``first`` … ``last`` of a rank, and the bytes of their rows."""

    rank: int
    first: int
    last: int
    weights: int
    momentum: int


class StepForecast(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of a step by part, None where a constant is missing.

    `embeddings` are the head's collectives, `gradients` what is left of the backbone's all-reduce beside
    the backward pass, which hides `hidden` seconds of it. `decoding` is what the loader takes from the ranks'
    cores, `waiting` what they wait for it.
    """

    forward: float | None = None
    backward: float | None = None
    head: float | None = None
    update: float | None = None
    embeddings: float | None = None
    gradients: float | None = None
    hidden: float | None = None
    decoding: float | None = None
    waiting: float | None = None

    @property
    def parts(self) -> dict[str, float | None]:
        return {name: getattr(self, name) for name in self.__struct_fields__ if name != "hidden"}

    @property
    def known(self) -> float:
        """The sum of the parts that are known."""
        return sum(part or 0.0 for part in self.parts.values())

    @property
    def whole(self) -> float | None:
        """The seconds of the step; None where a part is not known."""
        return None if None in self.parts.values() else self.known


class SavingForecast(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint: its bytes, those of a host, the seconds of writing it, and those that steps wait."""

    bytes: int
    host: int
    seconds: float | None = None
    wait: float | None = None


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. Bytes and seconds; `images_per_second` is of all ranks, `demand` a host's of its loader.

    `efficiency` is against as many ranks as fast as one alone. `sent` are bytes that a rank sends in a step,
    by what. `unknown` says which constants are missing, and what would say them.
    """

    layout: HostLayout
    need: Need
    head: list[HeadRange]
    step: StepForecast
    alone: StepForecast
    sent: dict[str, int]
    saving: SavingForecast
    demand: float | None
    supply: float | None
    images_per_second: float | None
    epoch: float | None
    efficiency: float | None
    limit: str
    unknown: list[str]


class Case(NamedTuple):
    """The subject, the config of all ranks, how these lie, what was measured, and what was counted."""

    subject: Subject
    config: TrainConfig
    layout: HostLayout
    constants: Constants
    traffic: Traffic


def forecast(case: Case, found: Footprint) -> Forecast:
    """Work out what a training takes whose backbone takes the memory that was `found`."""
    config, constants = case.config, case.constants
    made = step(case)
    lone = msgspec.structs.replace(config, nproc=1, hosts=1, gpus=config.gpus[:1])
    alone = _step(case._replace(config=lone, layout=HostLayout(1, 1), traffic=Traffic()), constants.alone)
    whole = made.whole
    needed = need.of(case.subject, config, found)
    demand = case.layout.ranks * config.share / whole if whole else None
    supply = constants.loader.rate * case.layout.ranks if constants.loader else None
    efficiency = alone.whole / whole if whole and alone.whole else None
    return Forecast(
        layout=case.layout,
        need=needed,
        head=list(_ranges(case)),
        step=made,
        alone=alone,
        sent=_sent(case),
        saving=_saving(case, found),
        demand=demand,
        supply=supply,
        images_per_second=config.global_batch / whole if whole else None,
        epoch=whole * (case.subject.facts.images // config.global_batch) if whole else None,
        efficiency=efficiency,
        limit=_limit(case, made, needed),
        unknown=_unknown(case),
    )


def step(case: Case) -> StepForecast:
    """Work out the parts of a step alone."""
    return _step(case, case.constants.pace)


def _ranges(case: Case) -> Iterator[HeadRange]:
    if case.subject.loss.form != "margin":
        return
    row = need.row_bytes(case.subject, case.config)
    moments = need.head_moments(case.config)
    for rank in range(case.layout.count):
        classes = layout.rows(case.subject.facts.classes, rank, case.layout.count)
        size = len(classes) * row
        yield HeadRange(rank, classes.start, classes.stop - 1, size, size * moments)


def _step(case: Case, pace: RankPace | None) -> StepForecast:
    """Add up a step on each rank, of `accumulate` passes."""
    config = case.config
    if pace is None:
        return StepForecast(**_exchanged(case, None))
    images = config.share / pace.images
    backward = pace.backward * images
    rows = -(-case.subject.facts.classes // config.nproc)
    of_head = _line(pace.head, "seconds")(rows, config.micro_batch)
    own = {
        "forward": pace.forward * images,
        "backward": backward,
        "head": of_head * config.accumulate,
        "update": pace.update + _line(pace.head, "update")(rows, config.micro_batch),
        **_exchanged(case, backward / config.accumulate),
    }
    return StepForecast(
        **own, **_loading(case, sum(part or 0.0 for name, part in own.items() if name != "hidden"))
    )


class _Plane(NamedTuple):
    """Seconds a + b · rows + c · rows · batch."""

    start: float
    row: float
    product: float

    def __call__(self, rows: int, batch: int) -> float:
        return max(0.0, self.start + self.row * rows + self.product * rows * batch)


def _line(points: list[HeadPoint], what: str) -> Any:
    """Return the seconds of the head as a function of rows and batch, through the points that were tried.

    A point that was tried is met exactly. Products take rows × batch multiply-adds, all else is of the rows.
    """
    first = points[0]
    least = np.array([[1.0, p.rows, p.rows * p.batch] for p in points])
    scale = least.max(axis=0)
    taken = np.array([getattr(p, what) for p in points])
    found, *_ = np.linalg.lstsq(least / scale, taken, rcond=None)
    plane = _Plane(*np.maximum(found, 0.0) / scale)
    off = getattr(first, what) - plane(first.rows, first.batch)

    def at(rows: int, batch: int) -> float:
        # near the first point, the rank's own size, by what was measured there; far off by the plane
        share = min(rows / first.rows, first.rows / rows) * min(batch / first.batch, first.batch / batch)
        return float(max(0.0, plane(rows, batch) + off * share))

    return at


def _exchanged(case: Case, backward: float | None) -> dict[str, float | None]:
    """Seconds of the collectives of a step, whose last pass computes `backward` seconds beside them."""
    config = case.config

    def take(operation: str, size: int) -> float | None:
        return traffic.seconds(case.constants, case.layout, config.device, operation, size)

    head = [take(one.operation, one.bytes) for one in case.traffic.exchanges]
    averaged = [take("all_reduce", size) for size in traffic.buckets(case.traffic.gradients)]
    if None in head or None in averaged:
        return {"embeddings": None, "gradients": None, "hidden": None}
    total = sum(one or 0.0 for one in averaged)
    # all buckets but the last are on their way while the rest of the backward pass computes; on a CPU the
    # ranks' threads have the cores that sending would take
    beside = total - (averaged[-1] or 0.0) if averaged and _has_room(case) else 0.0
    hidden = min(beside, backward or 0.0)
    embeddings = sum(one or 0.0 for one in head) * config.accumulate
    return {"embeddings": embeddings, "gradients": total - hidden, "hidden": hidden}


def _has_room(case: Case) -> bool:
    """Whether sending needs no core that computes."""
    return (
        case.config.device == "cuda" or case.layout.ranks * case.config.threads < case.constants.machine.cores
    )


def _loading(case: Case, computing: float) -> dict[str, float | None]:
    """Seconds that decoding takes from the ranks of a host, and that they wait for it."""
    loader, config = case.constants.loader, case.config
    if loader is None:
        return {"decoding": None, "waiting": None}
    images = config.share * case.layout.ranks
    decoding = 0.0 if _has_room(case) else images * loader.cpu / case.constants.machine.cores
    waiting = max(0.0, config.share / loader.rate - computing - decoding)
    return {"decoding": decoding, "waiting": waiting}


def _sent(case: Case) -> dict[str, int]:
    """Bytes that a rank sends in a step, by what."""
    sizes = traffic.buckets(case.traffic.gradients)
    sent = {"gradients": sum(traffic.volume(case.layout, "all_reduce", size) for size in sizes)}
    for one in case.traffic.exchanges:
        times = case.config.accumulate * traffic.volume(case.layout, one.operation, one.bytes)
        sent[one.operation] = sent.get(one.operation, 0) + times
    return sent if case.layout.count > 1 else {}


def _saving(case: Case, found: Footprint) -> SavingForecast:
    """A rank writes its own class rows, the first one the backbone too; all of a host share its disk."""
    total = need.checkpoint_bytes(case.subject, case.config, found)
    ranges = list(_ranges(case))
    rows = sum(one.weights + one.momentum for one in ranges)
    widest = max((one.weights + one.momentum for one in ranges[:1]), default=0)
    first = total - rows + widest
    host = total - rows + sum(one.weights + one.momentum for one in ranges[: case.layout.ranks])
    storage = case.constants.storage
    if storage is None:
        return SavingForecast(bytes=total, host=host)
    taken = max(first / storage.alone, host / (storage.together * case.layout.ranks))
    if case.layout.hosts > 1:
        if storage.total is None:
            return SavingForecast(bytes=total, host=host, wait=first / storage.copy)
        taken = max(taken, total / storage.total)
    taken += storage.start
    wait = first / storage.copy if case.config.checkpoint_background else taken
    return SavingForecast(bytes=total, host=host, seconds=taken, wait=wait)


def _limit(case: Case, made: StepForecast, needed: Need) -> str:
    """Say what a step takes most of its time for, or what does not fit."""
    memory = case.constants.machine.memory
    room = memory if case.config.gpus else memory // case.layout.ranks
    if memory and needed.total > room:
        return "memory"
    if made.whole is None:
        return ""
    parts = {name: part or 0.0 for name, part in made.parts.items()}
    groups = {
        "computing the backbone": parts["forward"] + parts["backward"],
        "computing the head": parts["head"],
        "the update": parts["update"],
        "exchanging embeddings": parts["embeddings"],
        "averaging gradients": parts["gradients"],
        "decoding images": parts["decoding"] + parts["waiting"],
    }
    return max(groups, key=lambda name: groups[name])


def _unknown(case: Case) -> list[str]:
    constants, several = case.constants, case.layout.hosts > 1
    lines = []
    if constants.pace is None:
        lines.append("the seconds of a step: --measure on that machine, with -o FILE, says them")
    if case.layout.ranks > 1 and not constants.exchange:
        lines.append("the collectives within a host: --measure on that machine, with -o FILE, says them")
    if several and constants.network is None:
        lines.append("the network between hosts: [network] bytes_per_second and latency in --constants FILE")
    if constants.loader is None:
        lines.append("the speed of the loader: --measure on that machine says it")
    if constants.storage is None:
        lines.append("the speed of the disk: --measure on that machine says it")
    elif several and constants.storage.total is None:
        lines.append("what the shared storage takes from all hosts: [storage] total in --constants FILE")
    return lines

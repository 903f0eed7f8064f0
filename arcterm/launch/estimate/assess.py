"""Whether a training fits into this machine, and one that does where it doesn't."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
from arcterm_registry import get

from arcterm import commandline, gpus
from arcterm.config import TrainConfig
from arcterm.errors import ArctermError
from arcterm.formats.modelfile import read_facts
from arcterm.launch.estimate import footprint, kernels, need, room
from arcterm.launch.estimate.footprint import Footprint
from arcterm.launch.estimate.need import Need, Subject
from arcterm.launch.estimate.verdict import Estimate, fits, gib, never_fits
from arcterm.runs import space
from arcterm.runs.space import DiskRoom

Look = Literal["quick", "tight", "full"]
"""How close to look: by what is known or bounded alone; also in a process, where the bound does not fit into
half of what is free; in a process in any case."""

_MOST_IMAGES = 1 << 14
_ELSEWHERE = "memory and GPUs are those of other machines: what is free there shows when the ranks start"
_SHARED_MEMORY = 1 << 30  # what NVIDIA advises for containers


class DeviceRoom(NamedTuple):
    """The device with the least memory for a rank: its name, empty for the host, and its free bytes."""

    name: str
    free: int | None
    strangers: list[str]


class _Case(NamedTuple):
    """A training that was asked for, and where it is to run."""

    subject: Subject
    config: TrainConfig
    asked: Mapping[str, Any]
    place: DeviceRoom
    look: Look
    allows: Callable[[int], bool]


def assess(
    subject: Subject,
    config: TrainConfig,
    asked: Mapping[str, Any],
    allows: Callable[[int], bool],
    root: Path,
    look: Look,
) -> Estimate:
    """Estimate what a training with `config` needs, and whether that is there.

    `asked` are the settings that it was made of, `allows` says whether a batch can be split as the loss
    needs it, `root` is where the run will be. Of machines that are not this one only the need is known.
    """
    case = _Case(subject, config, asked, _place(config), "quick" if config.is_remote else look, allows)
    found = _look(case)
    if isinstance(found, str):
        return Estimate(device=case.place.name, free=_for_rank(case, None), need=None, remark=found)
    needed = need.of(subject, config, found)
    free = _for_rank(case, needed)
    problem, change, notes = "", None, list(case.place.strangers)
    if free is not None and found.exact and never_fits(needed.total, free):
        where = f" on {case.place.name}" if case.place.name else ""
        problem = f"a rank needs {gib(needed.total)} GiB of memory and {gib(max(0, free))} are free{where}"
        # the first that leaves half of the batch, else what leaves most of it
        half = config.batch_size // 2
        change = max(_changes(case, found), key=lambda one: min(one["batch_size"], half), default=None)
    elif free is not None and found.exact and not fits(needed.total, free):
        notes.append("the memory may not suffice: the estimate is about as large as what is free")
    size = need.checkpoint_bytes(subject, config, found)
    disk = space.of_training(root, config, size)
    full, fewer = _disk(config, disk, size)
    lacking, without = ("", {}) if config.is_remote else kernels.missing(subject.loss, config)
    for reason, cure in ((full, fewer), (lacking, without)):
        if reason and cure and not problem:
            problem, change = reason, cure
        elif reason:
            notes.append(reason)
    return Estimate(
        device=case.place.name,
        free=free,
        need=needed,
        exact=found.exact,
        remark=found.remark,
        largest=_largest(case, found) if found.exact and free is not None else None,
        checkpoint=size,
        checkpoints=disk.needed,
        disk_free=disk.free,
        copy=size if config.checkpoint_background else 0,
        wait=not config.is_remote and found.exact and not _has_copy(case, needed, size),
        notes=[*notes, *([_ELSEWHERE] if config.is_remote else _shared_memory(config))],
        problem=problem,
        command=commandline.training({**asked, **change}) if change else "",
        change=change or {},
    )


def _look(case: _Case) -> Footprint | str:
    """What is known of the memory of the backbone and its teacher, as close as it is to be looked at."""
    found = _look_at_one(case)
    if not case.config.teacher or isinstance(found, str):
        return found
    facts = read_facts(Path(case.config.teacher))
    assert facts is not None  # the plan made sure of it
    embedding = msgspec.structs.replace(
        case.config, teacher="", loss_weight=1, backbone=facts.backbone, backbone_options=facts.options
    )
    subject = msgspec.structs.replace(case.subject, backbone=get("backbone", facts.backbone))
    beside = _look_at_one(case._replace(subject=subject, config=embedding))
    if isinstance(beside, str):
        return beside
    exact = found.exact and beside.exact
    return msgspec.structs.replace(found, teacher=beside.as_teacher(), exact=exact)


def _look_at_one(case: _Case) -> Footprint | str:
    bound = footprint.bound(case.subject.backbone, case.config)
    if case.look == "tight":
        needed = need.of(case.subject, case.config, bound)
        free = _for_rank(case, needed)
        if free is None or 2 * needed.total <= free:
            return bound
    known = footprint.known(case.subject.backbone, case.config)
    if known or case.look == "quick":
        return known or bound
    return footprint.follow(case.subject.backbone, case.config)


def _place(config: TrainConfig) -> DeviceRoom:
    if config.is_remote:
        return DeviceRoom("", None, [])
    if not config.gpus:
        return DeviceRoom("", room.host_memory(), [])
    there = room.gpu_memory(config.gpus)
    if not there:
        return DeviceRoom("the GPU", None, [])
    least = min(there, key=lambda gpu: gpu.free)
    strangers = [f"GPU {gpu.number}: {other}" for gpu in there for other in gpu.others]
    return DeviceRoom(f"GPU {least.number}", least.free, strangers)


def _for_rank(case: _Case, needed: Need | None) -> int | None:
    """Bytes that are free for each rank."""
    if case.config.gpus or case.place.free is None:
        return case.place.free
    return (case.place.free - (needed.shared if needed else 0)) // case.config.ranks_each


def _has_copy(case: _Case, needed: Need, size: int) -> bool:
    """Whether the host has room for a copy of what all ranks save, `size` bytes, beside the training."""
    ranks = case.config.ranks_each * (need.BESIDE_GPU if case.config.gpus else needed.total) + needed.shared
    return ranks + space.copy_bytes(size) <= room.host_memory()


def _needs(case: _Case, found: Footprint, **changed: Any) -> bool:
    """Whether the training, `changed`, fits in any case."""
    config = msgspec.structs.replace(case.config, **changed)
    needed = need.of(case.subject, config, found)
    free = _for_rank(case._replace(config=config), needed)
    return free is not None and fits(needed.total, free)


def _largest(case: _Case, found: Footprint, **changed: Any) -> int | None:
    """The largest batch of a rank that fits and that can be split; None if there is none."""
    low, high = 0, _MOST_IMAGES
    while low < high:  # what is needed rises with the batch
        middle = (low + high + 1) // 2
        if _needs(case, found, batch_size=middle, **changed):
            low = middle
        else:
            high = middle - 1
    least = max(1, low // 2)
    return next((batch for batch in range(low, least - 1, -1) if batch and case.allows(batch)), None)


def _changes(case: _Case, found: Footprint) -> Iterator[dict[str, Any]]:
    """Changed settings with which the training fits, a batch among them; those that change least first."""
    config = case.config
    if batch := _largest(case, found):
        yield _in_parts(case, found, batch)
    if not config.gradient_checkpointing and case.look != "quick":
        leaner = msgspec.structs.replace(config, gradient_checkpointing=True)
        other = footprint.follow(case.subject.backbone, leaner)
        other = other if isinstance(other, str) else msgspec.structs.replace(other, teacher=found.teacher)
        if not isinstance(other, str) and (batch := _largest(case, other, gradient_checkpointing=True)):
            yield {"gradient_checkpointing": True, "batch_size": min(batch, config.batch_size)}
    sampling = case.subject.loss.form == "margin" and config.sample_rate > 0.1
    if sampling and (batch := _largest(case, found, sample_rate=0.1)):
        yield {"sample_rate": 0.1, "batch_size": min(batch, config.batch_size)}
    if config.gpus:
        more = [device.gpu.index for device in gpus.usable()[0]]
        if len(more) > config.nproc and (batch := _largest(case, found, gpus=more, nproc=len(more))):
            yield {
                "gpus": ",".join(map(str, more)),
                "nproc": None,
                "batch_size": min(batch, config.batch_size),
            }
    elif config.nproc > 1 and (batch := _largest(case, found, nproc=1)):
        yield {"nproc": None, "batch_size": min(batch, config.batch_size)}


def _in_parts(case: _Case, found: Footprint, batch: int) -> dict[str, Any]:
    """Return the fewest parts of at most `batch` images that make the same step, else `batch` alone."""
    share = case.config.share
    parts = fewest_parts(share, batch)
    same = {"batch_size": share // parts, "accumulate": parts}
    # a part of very few images would be slow, and its batch norms know little
    fair = case.subject.loss.form == "margin" and share // parts >= max(2, batch // 2)
    return same if fair and _needs(case, found, **same) else {"batch_size": batch}


def fewest_parts(share: int, batch: int) -> int:
    """Count the fewest parts of one size, of at most `batch` images, that a rank's `share` is made of."""
    return next(n for n in range(-(-share // batch), share + 1) if share % n == 0)


def _disk(config: TrainConfig, room: DiskRoom, size: int) -> tuple[str, dict[str, Any]]:
    """Say that the checkpoints to be kept find no room, and what makes them fit if anything does."""
    if room.suffices:
        return "", {}
    fewer = {"keep_last": 2, "keep_best": 0}
    least = space.of_training(room.place, msgspec.structs.replace(config, **fewer), size)
    text = (
        f"the checkpoints to be kept take {gib(room.needed)} GiB, and {gib(room.free)} are free on the disk"
    )
    return text, fewer if least.suffices else {}


def _shared_memory(config: TrainConfig) -> list[str]:
    """A remark where ranks on GPUs may find too little shared memory to meet in."""
    free = room.shared_memory()
    if len(config.gpus) < 2 or free is None or free >= _SHARED_MEMORY:
        return []
    return [
        f"{room.SHARED_MEMORY} has {free >> 20} MiB free, which may be too little for {len(config.gpus)} "
        "GPUs (`docker run --shm-size=1g`)"
    ]


def split_by(check: Callable[[int], object]) -> Callable[[int], bool]:
    """Turn a check that raises into a question."""

    def allows(batch: int) -> bool:
        try:
            check(batch)
        except ArctermError:
            return False
        return True

    return allows

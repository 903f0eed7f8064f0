"""Save and restore everything that a run needs to go on exactly where it was.

A checkpoint holds the backbone, its optimizer's state, and the head by class range, one file a rank. The
backbone has the mean of all ranks' running statistics; each rank's own lie beside it. Where weights are
averaged, the backbone is their average, and those that go on learning lie beside it. The order of the images
and their mirroring follow from the seed and the step; what was mined with weights that are gone is held too.
It can be read by any number of ranks.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim import Optimizer

from arcterm import samples
from arcterm.config import TrainConfig
from arcterm.errors import DataError, DiskFullError, TrainingError, is_out_of_memory
from arcterm.files import create_json, publish, read_json, write_json
from arcterm.runs import advice, checkpoints, space
from arcterm.runs import manifest as manifests
from arcterm.runs.checkpoints import FileDigest, HeadShard, Manifest
from arcterm.runs.events import Checkpoint, Verify
from arcterm.runs.store import Run
from arcterm.train import tensorfile
from arcterm.train.head import file
from arcterm.train.head.head import Head
from arcterm.train.head.lazy_adamw import Lazy
from arcterm.train.head.tuples import TupleHead
from arcterm.train.optim import averages, optimizers
from arcterm.train.optim.averages import Average
from arcterm.train.world import World, shard
from arcterm.verify.ranks import gather_texts

_BACKBONE, _MOMENTUM = checkpoints.BACKBONE, "momentum.safetensors"
_LEARNING, _FEED = "learning.safetensors", "feed.safetensors"
_NO_ROOM = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT))


@dataclass(frozen=True)
class Trained:
    """The bare backbone, the head, their optimizers, and the average of the backbone if there is one.

    `statistics` are this rank's own buffers by name, where those of the backbone are the mean over the ranks.
    """

    backbone: nn.Module
    head: Head | TupleHead
    backbone_optimizer: Optimizer
    head_optimizer: Optimizer
    statistics: Mapping[str, Tensor] = field(default_factory=dict)
    average: Average | None = None

    @property
    def verified(self) -> nn.Module:
        """The network that is verified and exported."""
        return self.average.network if self.average else self.backbone

    def rows_of_step(self) -> dict[str, Tensor]:
        """The head's parameters by name as the last step saw them, which have its gradients."""
        if isinstance(self.head, TupleHead):
            return dict(self.head.named_parameters())
        rows = self.head_optimizer.leaves if isinstance(self.head_optimizer, Lazy) else self.head.sharded()
        return {**rows, **{name: v for name, v in self.head.replicated().items() if v.requires_grad}}


@dataclass(frozen=True)
class SavePoint:
    """The step that is saved, and why; `unverified` if it is to be verified, which `put_scores` ends.

    `skipped` counts the steps until then that updated nothing. `gradient_scale` is that of float16's
    gradients with the steps since it last changed, (0, 0) without one.
    """

    step: int
    epoch: int
    reason: str
    unverified: bool = False
    skipped: int = 0
    gradient_scale: tuple[float, int] = (0.0, 0)


def save(
    run: Run,
    config: TrainConfig,
    world: World,
    trained: Trained,
    point: SavePoint,
    feed: Mapping[str, Tensor] | None = None,
) -> Checkpoint | None:
    """Commit a checkpoint, all ranks together; return None if there is one of that step already.

    Each rank writes and syncs its own files, rank 0 the manifest; then the directory gets its name. A reader
    never sees a part. Raises `TrainingError` on all ranks if it can't be written, `DiskFullError` for want of
    room, or if a number in it is not finite.
    """
    step, final = point.step, run.checkpoints / checkpoints.name_of(point.step)
    unfinished = run.checkpoints / f".tmp-{final.name}"
    started = time.perf_counter()
    if world.any(_is_there(final)):
        return None
    manifest, problem = None, ""
    try:
        unfinished.mkdir(mode=0o700, exist_ok=True)
        _write_own(unfinished, world, trained, feed or {})
    except OSError as error:
        problem = _cause(error, unfinished)
    _require_written(world, unfinished, step, problem)
    _require_finite(world, unfinished, step, trained)
    try:
        if world.first:
            manifest = _commit(run, config, world, trained, point, unfinished)
    except OSError as error:
        problem = _cause(error, unfinished)
    _require_written(world, unfinished, step, problem)
    if world.first:
        _retain(run, config, final)
    size = sum(digest.size for digest in manifest.files.values()) if manifest else 0
    seconds = time.perf_counter() - started
    return Checkpoint(step=step, name=final.name, bytes=size, seconds=seconds, reason=point.reason)


def _is_there(path: Path) -> bool:
    """Whether a checkpoint is there; False where that can't be found out, as writing it will say."""
    try:
        return path.exists()
    except OSError:
        return False


def own_bytes(run: Run, world: World, trained: Trained, step: int, feed: Mapping[str, Tensor]) -> int:
    """Bytes of the tensors that this rank is going to write; 0 if that step is saved already."""
    if _is_there(run.checkpoints / checkpoints.name_of(step)):
        return 0
    held = [*_own(world, trained).values(), feed if world.first else {}]
    return sum(tensor.nbytes for tensors in held for tensor in tensors.values())


def put_scores(
    run: Run,
    config: TrainConfig,
    world: World,
    step: int,
    scores: dict[str, float],
    results: Sequence[Verify] = (),
) -> None:
    """Put the accuracies of a step into its checkpoint and mark it as verified, all ranks together.

    The `results` they are from go into ``verify/``. Raises `TrainingError` on all ranks if they can't be
    written, `DiskFullError` for want of room; the checkpoint is whole without them.
    """
    path = run.checkpoints / checkpoints.name_of(step)
    problem = ""
    try:
        if world.first:
            if results:
                write_json(run.path / "verify" / f"{path.name}.json", results)
            manifest = manifests.read(path)
            verified = {
                "format_version": manifests.FORMAT_VERSION,
                "verification": scores,
                "unverified": False,
            }
            manifests.replace(path, msgspec.structs.replace(manifest, **verified))
    except OSError as error:
        problem = _cause(error, path)
    _require_all(world, f"the accuracies of step {step} could not be written", problem)
    if world.first:
        _retain(run, config, path)


def _retain(run: Run, config: TrainConfig, written: Path) -> None:
    try:
        checkpoints.retain(run, config.keep_last, config.keep_best, written=written)
    except OSError as error:
        if not space.is_full(error):  # some file systems need room to delete: the next save tries again
            raise TrainingError(
                f"old checkpoints could not be removed: {_cause(error, run.checkpoints)}",
                f"look at that disk; then {advice.resuming(run)}",
            ) from None


def _require_finite(world: World, folder: Path, step: int, trained: Trained) -> None:
    """Raise `TrainingError` on every rank, and remove `folder`, if a number of one's is not finite."""
    found = gather_texts(world, ", ".join(_not_finite(_own(world, trained))[:3]))
    if any(found):
        if world.first:
            shutil.rmtree(folder, ignore_errors=True)
        raise TrainingError(
            f"numbers that are not finite after step {step}, so it was not saved: {_by_rank(found)}",
            "resuming repeats these steps to the bit: `arcterm resume RUN` with a lower --lr goes on",
        )


def _not_finite(held: Mapping[str, Mapping[str, Tensor]]) -> list[str]:
    """List the tensors in which a number is not finite."""
    named = {
        f"{name} in {file}": tensor.detach()
        for file, tensors in held.items()
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and tensor.numel()
    }
    # the smallest and the largest take in a NaN, and no copy of the size of the tensor is made
    ends = {name: torch.stack(torch.aminmax(tensor)).tolist() for name, tensor in named.items()}
    return [name for name, end in ends.items() if not all(map(math.isfinite, end))]


def _by_rank(said: list[str]) -> str:
    """Join the texts of all ranks, each with its rank where there are several."""
    named = [f"rank {rank}: {text}" if len(said) > 1 else text for rank, text in enumerate(said) if text]
    return "; ".join(named)


def _cause(error: OSError, folder: Path) -> str:
    """Word why and where a file could not be written."""
    return f"{error.strerror or error} ({error.filename or folder})"


def _require_written(world: World, folder: Path, step: int, problem: str) -> None:
    """As `_require_all`, after removing `folder`; without a problem it is the point that all have reached."""
    try:
        _require_all(world, f"the checkpoint of step {step} could not be written", problem)
    except TrainingError:
        if world.first:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _require_all(world: World, what: str, problem: str) -> None:
    """Raise `TrainingError` with the causes of all ranks, on every rank, if one has a `problem`."""
    causes = gather_texts(world, problem)
    if any(causes):
        full = all(cause.startswith(_NO_ROOM) for cause in causes if cause)
        raise (DiskFullError if full else TrainingError)(
            f"{what}: {_by_rank(causes)}", "make room there, then `arcterm resume`"
        )


def restore(path: Path, world: World, trained: Trained) -> Manifest:
    """Load a checkpoint with checked digests, on any number of ranks; `DataError` if it does not fit."""
    manifest = manifests.read(path)
    try:
        _load_weights(path, manifest, world, trained)
        optimizers.load(
            trained.backbone_optimizer, _learned(trained), load_file(path / _MOMENTUM), momentum=""
        )
        _load_head(path, manifest, world, trained)
    except (SafetensorError, OSError, KeyError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise DataError(
            f"{path} does not fit this run: {error}", "resume with the plug-in versions of run.json"
        ) from error
    return manifest


def _load_weights(path: Path, manifest: Manifest, world: World, trained: Trained) -> None:
    """Load the weights that go on learning, and their average; where there was none it begins with them."""
    learning = _LEARNING in manifest.files
    # each rank's own; else their mean will do
    held = load_file(path / _statistics(world)) if _statistics(world) in manifest.files else {}
    own, averaged = averages.part(held)
    trained.backbone.load_state_dict(load_file(path / (_LEARNING if learning else _BACKBONE)))
    trained.backbone.load_state_dict(own, strict=False)
    if trained.average and learning:
        load_backbone(path, trained.average.network)
        trained.average.network.load_state_dict(averaged, strict=False)
    elif trained.average:
        trained.average.begin()


def load_backbone(path: Path, backbone: nn.Module) -> None:
    """Load only the backbone of a checkpoint, strictly."""
    backbone.load_state_dict(load_file(path / _BACKBONE))


def feed_state(path: Path) -> dict[str, Tensor]:
    """Load the round of mining that was in progress; {} if there was none."""
    return load_file(path / _FEED) if (path / _FEED).exists() else {}


def _statistics(world: World) -> str:
    """The file of this rank's statistics in a checkpoint of so many ranks; one rank has none of its own."""
    return f"statistics-{world.rank:05d}-of-{world.size:05d}.safetensors"


def _own(world: World, trained: Trained) -> dict[str, dict[str, Tensor]]:
    """Collect the tensors that this rank saves, by file."""
    held: dict[str, dict[str, Tensor]] = {}
    if trained.statistics:
        held[_statistics(world)] = dict(trained.statistics)
    if world.first:
        held[_BACKBONE] = trained.verified.state_dict()
        if trained.average:
            held[_LEARNING] = trained.backbone.state_dict()
        held[_MOMENTUM] = optimizers.state(trained.backbone_optimizer, _learned(trained), momentum="")
    if isinstance(trained.head, Head):
        name = f"head-{world.rank:05d}-of-{world.size:05d}.safetensors"
        held[name] = file.rows(trained.head, trained.head_optimizer)
        shared = file.shared(trained.head, trained.head_optimizer)
        if shared and world.first:
            held[file.SHARED] = shared
    return held


def _write_own(folder: Path, world: World, trained: Trained, feed: Mapping[str, Tensor]) -> None:
    held = _own(world, trained)
    if feed and world.first:
        held[_FEED] = dict(feed)
    written = {name: tensorfile.write(folder / name, tensors) for name, tensors in held.items()}
    acknowledgement = folder / f"ack-{world.rank:05d}.json"
    acknowledgement.unlink(missing_ok=True)
    create_json(acknowledgement, written)


def _commit(
    run: Run, config: TrainConfig, world: World, trained: Trained, point: SavePoint, folder: Path
) -> Manifest:
    files: dict[str, FileDigest] = {}
    head = []
    for rank in range(world.size):
        acknowledgement = folder / f"ack-{rank:05d}.json"
        files |= read_json(acknowledgement, dict[str, FileDigest])
        acknowledgement.unlink()
        rows = shard(trained.head.count, rank, world.size)
        name = f"head-{rank:05d}-of-{world.size:05d}.safetensors"
        if name in files:
            head.append(HeadShard(file=name, lo=rows.start, hi=rows.stop))
    manifest = Manifest(
        format_version=manifests.FORMAT_VERSION,
        step=point.step,
        epoch=point.epoch,
        samples=samples.taken(config.begins, config.global_batch, point.step),
        seed=config.seed,
        world_size=world.size,
        classes=trained.head.count,
        embedding_size=trained.head.embedding_size
        if isinstance(trained.head, TupleHead)
        else trained.head.weight.shape[-1],
        backbone=config.backbone,
        loss=config.loss,
        files=files,
        head=head,
        unverified=point.unverified,
        skipped=point.skipped,
        gradient_scale=point.gradient_scale[0],
        gradient_scale_steps=point.gradient_scale[1],
        reason=point.reason,
        t=time.time(),
    )
    manifests.create(folder, manifest)
    publish(folder, run.checkpoints / checkpoints.name_of(point.step))
    return manifest


def _learned(trained: Trained) -> dict[str, Tensor]:
    return {name: p for name, p in trained.backbone.named_parameters() if p.requires_grad}


def _load_head(path: Path, manifest: Manifest, world: World, trained: Trained) -> None:
    if manifest.classes != trained.head.count:
        raise DataError(
            f"{path} has {manifest.classes} classes, the data set {trained.head.count}",
            "resume with the data that the run was started with",
        )
    if isinstance(trained.head, Head):
        file.load(path, manifest.head, trained.head, trained.head_optimizer)

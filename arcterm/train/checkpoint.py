"""Saving and restoring everything that a run needs to go on exactly where it was.

A checkpoint holds the backbone, its optimizer's state, and the head by class range, one file a rank. The
order of the images and their mirroring follow from the seed and the step; what was mined with weights that
are gone is held too. It can be read by any number of ranks.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from arcterm.config import TrainConfig
from arcterm.errors import DataError, TrainingError
from arcterm.runs import checkpoints
from arcterm.runs.checkpoints import FileDigest, HeadShard, Manifest
from arcterm.runs.events import Checkpoint
from arcterm.runs.files import create_json, read_json, sync_directory
from arcterm.runs.store import Run
from arcterm.train import headfile, optim
from arcterm.train.head import Head
from arcterm.train.tuples import TupleHead
from arcterm.train.world import World, shard

FORMAT_VERSION = 1
_BACKBONE, _MOMENTUM = checkpoints.BACKBONE, "momentum.safetensors"
_FEED = "feed.safetensors"
_CAUSE_BYTES = 500
"""Of a rank's reason, as the ranks tell it to each other."""


@dataclass(frozen=True)
class Trained:
    """What is trained: the bare backbone, the head, and their optimizers."""

    backbone: nn.Module
    head: Head | TupleHead
    backbone_optimizer: Optimizer
    head_optimizer: Optimizer


def save(
    run: Run,
    config: TrainConfig,
    world: World,
    trained: Trained,
    *,
    step: int,
    epoch: int,
    reason: str,
    scores: dict[str, float],
    feed: Mapping[str, Tensor] | None = None,
) -> Checkpoint | None:
    """Commit a checkpoint of `step`, all ranks together; None if there is one of that step already.

    Each rank writes and syncs its own files, rank 0 the manifest; then the directory gets its name. A reader
    never sees a part. Raises `TrainingError` if it can't be written.
    """
    final = run.checkpoints / checkpoints.name_of(step)
    unfinished = run.checkpoints / f".tmp-{final.name}"
    started = time.perf_counter()
    if final.exists():
        return None
    manifest, problem = None, ""
    try:
        unfinished.mkdir(mode=0o700, exist_ok=True)
        _write_own(unfinished, world, trained, feed or {})
    except (OSError, SafetensorError) as error:
        problem = _cause(error, unfinished)
    _require_written(world, unfinished, step, problem)
    try:
        if world.first:
            manifest = _commit(
                run, config, world, trained, unfinished, step=step, epoch=epoch, reason=reason, scores=scores
            )
    except OSError as error:
        problem = _cause(error, unfinished)
    _require_written(world, unfinished, step, problem)
    if world.first:
        checkpoints.retain(run, config.keep_last, config.keep_best)
    size = sum(digest.size for digest in manifest.files.values()) if manifest else 0
    return Checkpoint(
        step=step, name=final.name, bytes=size, seconds=time.perf_counter() - started, reason=reason
    )


def _cause(error: OSError | SafetensorError, folder: Path) -> str:
    """Why something could not be written, and where; safetensors has the system's words inside its own."""
    if isinstance(error, OSError):
        return f"{error.strerror or error} ({error.filename or folder})"
    return f"{str(error).rpartition('I/O error: ')[2].partition(' (os error')[0]} ({folder})"


def _require_written(world: World, folder: Path, step: int, problem: str) -> None:
    """Raise `TrainingError` with the causes of all ranks, on every rank, if one has a `problem`.

    `folder` is removed then. Without one it is the point that every rank has reached.
    """
    own = problem.encode()[:_CAUSE_BYTES]
    padded = torch.frombuffer(bytearray(own.ljust(_CAUSE_BYTES, b"\0")), dtype=torch.uint8)
    rows = world.gather(padded).view(-1, _CAUSE_BYTES)
    causes = [bytes(row.tolist()).rstrip(b"\0").decode("utf-8", "replace") for row in rows]
    if not any(causes):
        return
    if world.first:
        shutil.rmtree(folder, ignore_errors=True)
    said = [
        f"rank {rank}: {cause}" if world.size > 1 else cause for rank, cause in enumerate(causes) if cause
    ]
    raise TrainingError(
        f"the checkpoint of step {step} could not be written: {'; '.join(said)}",
        "make room there, then `arcterm resume`",
    )


def restore(path: Path, world: World, trained: Trained) -> Manifest:
    """Load a checkpoint with checked digests, on any number of ranks; `DataError` if it does not fit."""
    manifest = read_json(path / checkpoints.MANIFEST, Manifest)
    try:
        load_backbone(path, trained.backbone)
        optim.load(trained.backbone_optimizer, _learned(trained), load_file(path / _MOMENTUM), momentum="")
        _load_head(path, manifest, world, trained)
    except (SafetensorError, OSError, KeyError, RuntimeError) as error:
        raise DataError(
            f"{path} does not fit this run: {error}", "resume with the plug-in versions of run.json"
        ) from error
    return manifest


def load_backbone(path: Path, backbone: nn.Module) -> None:
    """Load only the backbone of a checkpoint, strictly."""
    backbone.load_state_dict(load_file(path / _BACKBONE))


def feed_state(path: Path) -> dict[str, Tensor]:
    """What a checkpoint holds of the round of mining that was in progress; empty if there was none."""
    return load_file(path / _FEED) if (path / _FEED).exists() else {}


def _write_own(folder: Path, world: World, trained: Trained, feed: Mapping[str, Tensor]) -> None:
    written = {}
    if world.first:
        momentum = optim.state(trained.backbone_optimizer, _learned(trained), momentum="")
        for name, tensors in ((_BACKBONE, trained.backbone.state_dict()), (_MOMENTUM, momentum)):
            written[name] = _write(folder / name, tensors)
        if feed:
            written[_FEED] = _write(folder / _FEED, dict(feed))
    if isinstance(trained.head, Head):
        name = f"head-{world.rank:05d}-of-{world.size:05d}.safetensors"
        written[name] = _write(folder / name, headfile.rows(trained.head, trained.head_optimizer))
        shared = headfile.shared(trained.head, trained.head_optimizer)
        if shared and world.first:
            written[headfile.SHARED] = _write(folder / headfile.SHARED, shared)
    acknowledgement = folder / f"ack-{world.rank:05d}.json"
    acknowledgement.unlink(missing_ok=True)
    create_json(acknowledgement, written)


def _commit(
    run: Run,
    config: TrainConfig,
    world: World,
    trained: Trained,
    folder: Path,
    *,
    step: int,
    epoch: int,
    reason: str,
    scores: dict[str, float],
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
        format_version=FORMAT_VERSION,
        step=step,
        epoch=epoch,
        samples=step * config.global_batch,
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
        verification=scores,
        reason=reason,
        t=time.time(),
    )
    create_json(folder / checkpoints.MANIFEST, manifest)
    folder.rename(run.checkpoints / checkpoints.name_of(step))
    sync_directory(run.checkpoints)
    return manifest


def _write(path: Path, tensors: dict[str, Tensor]) -> FileDigest:
    save_file({name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}, path)
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return FileDigest(size=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def _learned(trained: Trained) -> dict[str, Tensor]:
    return {name: p for name, p in trained.backbone.named_parameters() if p.requires_grad}


def _load_head(path: Path, manifest: Manifest, world: World, trained: Trained) -> None:
    if manifest.classes != trained.head.count:
        raise DataError(
            f"{path} has {manifest.classes} classes, the data set {trained.head.count}",
            "resume with the data that the run was started with",
        )
    if isinstance(trained.head, Head):
        headfile.load(path, manifest.head, trained.head, trained.head_optimizer)

"""Committing a checkpoint, all ranks together: each writes its files, rank 0 the manifest and the name."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from torch import Tensor

from arcterm import samples
from arcterm.config import TrainConfig
from arcterm.errors import DiskFullError, TrainingError
from arcterm.files import create_json, publish, read_json, write_json
from arcterm.runs import advice, checkpoints, space
from arcterm.runs import manifest as manifests
from arcterm.runs.checkpoints import FileDigest, HeadShard, Manifest
from arcterm.runs.events import Checkpoint, Verify
from arcterm.runs.store import Run
from arcterm.train.checkpoint import contents, tensorfile
from arcterm.train.checkpoint.contents import Held
from arcterm.train.checkpoint.trained import Trained
from arcterm.train.head.tuples import TupleHead
from arcterm.train.world import World, shard
from arcterm.verify.ranks import gather_texts

_NO_ROOM = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT))


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


class Saving:
    """The checkpoint of a `point` in the making: a rank's own files are `held`, tensors by name.

    A reader never sees a part: the directory gets its name when all is written and synced.
    """

    def __init__(
        self, run: Run, config: TrainConfig, world: World, trained: Trained, point: SavePoint, held: Held
    ) -> None:
        self.point = point
        self.seconds = 0.0
        self._run = run
        self._config = config
        self._world = world
        self._trained = trained
        self._held = held
        self._final = run.checkpoints / checkpoints.name_of(point.step)
        self._unfinished = run.checkpoints / f".tmp-{self._final.name}"
        self._problem = ""

    @property
    def size(self) -> int:
        """Bytes of this rank's tensors."""
        return contents.size(self._held)

    def write(self) -> None:
        """Write and sync this rank's files, without the others; `require_written` raises what went wrong."""
        started, self._problem = time.perf_counter(), ""
        try:
            self._unfinished.mkdir(mode=0o700, exist_ok=True)
            written = {
                name: tensorfile.write(self._unfinished / name, tensors)
                for name, tensors in self._held.items()
            }
            acknowledgement = self._unfinished / f"ack-{self._world.rank:05d}.json"
            acknowledgement.unlink(missing_ok=True)
            create_json(acknowledgement, written)
        except OSError as error:
            self._problem = _cause(error, self._unfinished)
        self.seconds = time.perf_counter() - started

    def require_written(self) -> None:
        """Wait until all ranks have written; raises as `save`."""
        _require_written(self._world, self._unfinished, self.point.step, self._problem)

    def commit(self) -> Checkpoint:
        """Give the checkpoint its manifest and its name, once all have written; raises as `save`."""
        started, manifest, problem = time.perf_counter(), None, ""
        try:
            if self._world.first:
                manifest = self._publish()
        except OSError as error:
            problem = _cause(error, self._unfinished)
        _require_written(self._world, self._unfinished, self.point.step, problem)
        if self._world.first:
            _retain(self._run, self._config, self._final)
        self.seconds += time.perf_counter() - started
        return Checkpoint(
            step=self.point.step,
            name=self._final.name,
            bytes=sum(digest.size for digest in manifest.files.values()) if manifest else 0,
            seconds=self.seconds,
            reason=self.point.reason,
        )

    def _publish(self) -> Manifest:
        files: dict[str, FileDigest] = {}
        head = []
        for rank in range(self._world.size):
            acknowledgement = self._unfinished / f"ack-{rank:05d}.json"
            files |= read_json(acknowledgement, dict[str, FileDigest])
            acknowledgement.unlink()
            rows = shard(self._trained.head.count, rank, self._world.size)
            name = f"head-{rank:05d}-of-{self._world.size:05d}.safetensors"
            if name in files:
                head.append(HeadShard(file=name, lo=rows.start, hi=rows.stop))
        manifest = Manifest(
            format_version=manifests.FORMAT_VERSION,
            step=self.point.step,
            epoch=self.point.epoch,
            samples=samples.taken(self._config.begins, self._config.global_batch, self.point.step),
            seed=self._config.seed,
            world_size=self._world.size,
            classes=self._trained.head.count,
            embedding_size=self._trained.head.embedding_size
            if isinstance(self._trained.head, TupleHead)
            else self._trained.head.weight.shape[-1],
            backbone=self._config.backbone,
            loss=self._config.loss,
            files=files,
            head=head,
            unverified=self.point.unverified,
            skipped=self.point.skipped,
            gradient_scale=self.point.gradient_scale[0],
            gradient_scale_steps=self.point.gradient_scale[1],
            reason=self.point.reason,
            t=time.time(),
        )
        manifests.create(self._unfinished, manifest)
        publish(self._unfinished, self._final)
        return manifest


def save(
    run: Run,
    config: TrainConfig,
    world: World,
    trained: Trained,
    point: SavePoint,
    feed: Mapping[str, Tensor] | None = None,
) -> Checkpoint | None:
    """Commit a checkpoint, all ranks together; return None if there is one of that step already.

    Raises `TrainingError` on all ranks if it can't be written, `DiskFullError` for want of room, or if a
    number in it is not finite.
    """
    started = time.perf_counter()
    if is_saved(run, world, point.step):
        return None
    saving = Saving(run, config, world, trained, point, contents.own(world, trained, feed or {}))
    saving.write()
    saving.require_written()
    require_finite(run, world, point.step, trained)
    saved = saving.commit()
    saved.seconds = saved.waited = time.perf_counter() - started
    return saved


def is_saved(run: Run, world: World, step: int) -> bool:
    """Whether there is a checkpoint of `step` already, as any rank sees it."""
    return world.any(_is_there(run.checkpoints / checkpoints.name_of(step)))


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
    return contents.size(contents.own(world, trained, feed))


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


def require_finite(run: Run, world: World, step: int, trained: Trained) -> None:
    """Raise `TrainingError` on every rank if a number of one's is not finite, and remove what was written."""
    found = gather_texts(world, ", ".join(contents.not_finite(contents.own(world, trained))[:3]))
    if any(found):
        if world.first:
            folder = run.checkpoints / f".tmp-{checkpoints.name_of(step)}"
            shutil.rmtree(folder, ignore_errors=True)
        raise TrainingError(
            f"numbers that are not finite after step {step}, so it was not saved: {_by_rank(found)}",
            "resuming repeats these steps to the bit: `arcterm resume RUN` with a lower --lr goes on",
        )


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

"""Room on the disk of a run: how much a training needs, how much is free, and a reserve for its last words.

A quota can't be known beforehand: it shows when a write is refused.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import msgspec

from arcterm import files
from arcterm.config import TrainConfig
from arcterm.runs.store import Run
from arcterm.text import byte_size

_FULL = {errno.ENOSPC, errno.EDQUOT}
_SPARES, _SPARE_BYTES = 8, 8192
_SPARE_MEMORY = 256 << 20  # that a copy of a checkpoint leaves free, beside a tenth of itself
_FLOAT = 4  # bytes of a float32
_BESIDES = 64 << 10  # manifest, headers, the rounding up to blocks, a few events
_GROWING = (".jsonl", ".log", ".txt")
"""Files that are appended to, so that their directory does not change with them."""


class DiskRoom(NamedTuple):
    """`needed` bytes on the disk of `place`, where `free` are free now, quotas left out of account."""

    place: Path
    needed: int
    free: int

    @property
    def suffices(self) -> bool:
        return self.free >= self.needed

    def __str__(self) -> str:
        needed, free = byte_size(self.needed), byte_size(self.free)
        return f"the disk of {self.place} is full: {needed} are needed, {free} are free"


def is_full(error: OSError) -> bool:
    """Whether a write was refused for want of room, by the disk or by a quota."""
    return error.errno in _FULL


def free_bytes(path: Path) -> int:
    """Bytes that are free on the disk of `path`, or of where it will be made."""
    there = next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
    return shutil.disk_usage(there).free


def checkpoint_bytes(config: TrainConfig, parameters: int, rows: int, embedding_size: int) -> int:
    """Estimate the bytes of a checkpoint: float32 weights and what the optimizer holds of each.

    `parameters` are those of the backbone, `rows` the class weights of the head, 0 for a loss without any.
    """
    copies = 3 if config.optimizer == "adamw" else 2
    average = parameters if config.ema else 0
    return _FLOAT * (copies * (parameters + rows * embedding_size) + average) + _BESIDES


def copy_bytes(size: int) -> int:
    """Bytes of memory that must be free before `size` bytes of it are taken for a copy to save from."""
    return size + size // 10 + _SPARE_MEMORY


def of_training(root: Path, config: TrainConfig, checkpoint: int) -> DiskRoom:
    """Room in `root` for the checkpoints that a training keeps and the one that it writes."""
    return DiskRoom(root, (config.keep_last + config.keep_best + 1) * checkpoint, free_bytes(root))


def to_write(run: Run, size: int) -> DiskRoom:
    """Room for `size` bytes in files of `run`; of 0 bytes for a small file."""
    return DiskRoom(run.path, size + size // 50 + _BESIDES if size else 4096, free_bytes(run.path))


def keep_reserve(run: Run) -> None:
    """Make the files that `write_json` gives up on a full disk, those that are missing, if there is room."""
    folder = run.path / "reserve"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        for number in range(_SPARES):
            spare = folder / f"{number}"
            if spare.exists():
                continue
            try:
                spare.write_bytes(bytes(_SPARE_BYTES))
            except OSError:
                spare.unlink()
                raise


def drop_reserve(run: Run) -> None:
    """Give the reserve up: nothing more is to be written."""
    shutil.rmtree(run.path / "reserve", ignore_errors=True)


def write_json(run: Run, path: Path, value: object) -> None:
    """Replace `path` in the run's directory, as `files.write_json`; on a full disk in room that was kept.

    A file of the reserve has its blocks: it is overwritten and takes the place of `path`.
    """
    try:
        files.write_json(path, value)
    except OSError as error:
        if not is_full(error) or not _write_into_spare(run, path, value):
            raise


def _write_into_spare(run: Run, path: Path, value: object) -> bool:
    data = msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
    claimed = path.with_name(f".{path.name}.tmp.{os.getpid()}")
    for number in range(_SPARES):
        try:  # under another name: several processes write on a full disk at once
            (run.path / "reserve" / f"{number}").rename(claimed)
        except OSError:
            continue
        try:
            with claimed.open("r+b") as file:
                file.write(data)
                file.truncate()
                files.sync(file)
            files.publish(claimed, path)
            return True
        except OSError:  # too short, or this file system never overwrites in place; its room is free now
            claimed.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                files.write_json(path, value)
                return True
    return False


_seen: dict[Path, tuple[int, int, list[Path], list[Path]]] = {}


def used_bytes(folder: Path) -> int:
    """Bytes of the files below `folder`.

    What a directory holds is remembered until it changes; of files that are appended to each is looked at.
    """
    try:
        changed = folder.stat().st_mtime_ns
        known = _seen.get(folder)
        if known is None or known[0] != changed:
            known = _seen[folder] = (changed, *_measure(folder))
    except OSError:  # removed meanwhile
        return 0
    _, size, growing, below = known
    for path in growing:
        with contextlib.suppress(OSError):
            size += path.stat().st_size
    return size + sum(map(used_bytes, below))


def _measure(folder: Path) -> tuple[int, list[Path], list[Path]]:
    """Bytes of the files in `folder` that do not grow, the paths of those that do, and its directories."""
    size = 0
    growing: list[Path] = []
    below: list[Path] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                below.append(Path(entry.path))
            elif entry.name.endswith(_GROWING):
                growing.append(Path(entry.path))
            else:
                with contextlib.suppress(OSError):
                    size += entry.stat(follow_symlinks=False).st_size
    return size, growing, below

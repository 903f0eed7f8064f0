"""Checkpoints as a reader sees them: which there are, whether they are whole, which to keep.

A checkpoint is a directory ``ckpt/step-NNNNNNNNNN`` with a manifest; it gets that name by a rename after
everything in it is on disk, so that one with the name is complete. Its digests are checked before use.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import msgspec

from arcterm.errors import DataError, RunError
from arcterm.runs.files import read_json, ulid
from arcterm.runs.store import Run

MANIFEST = "manifest.json"
BACKBONE = "backbone.safetensors"
_NAME = re.compile(r"step-(\d{10})")
_SAFE_FILE = re.compile(r"[a-z0-9][a-z0-9.-]*")


class FileDigest(msgspec.Struct, frozen=True, kw_only=True):
    """Size in bytes and SHA-256 of one file of a checkpoint."""

    size: int
    sha256: str


class HeadShard(msgspec.Struct, frozen=True, kw_only=True):
    """A file with the head's rows `lo` … `hi` - 1 of every per-class tensor."""

    file: str
    lo: int
    hi: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """``manifest.json``. `samples` counts images seen; with the seed it gives the order of what follows.

    `verification` maps a set to its accuracy at this step, where it was verified.
    """

    format_version: int
    step: int
    epoch: int
    samples: int
    seed: int
    world_size: int
    classes: int
    embedding_size: int
    backbone: str
    loss: str
    files: dict[str, FileDigest]
    head: list[HeadShard]
    verification: dict[str, float] = {}
    reason: str = ""
    t: float = 0.0

    @property
    def score(self) -> float | None:
        """Mean accuracy over the verified sets, by which the best are kept; None if none was verified."""
        return sum(self.verification.values()) / len(self.verification) if self.verification else None


def name_of(step: int) -> str:
    """The directory's name for a step."""
    return f"step-{step:010d}"


def list_checkpoints(run: Run) -> list[tuple[Path, Manifest]]:
    """Complete checkpoints, oldest first: those with a manifest whose files are there in their sizes."""
    found = []
    for path in sorted(run.checkpoints.glob("step-*")):
        if _NAME.fullmatch(path.name):
            try:
                manifest = read_json(path / MANIFEST, Manifest)
                if all(
                    (path / name).stat().st_size == digest.size for name, digest in manifest.files.items()
                ):
                    found.append((path, manifest))
            except (OSError, DataError):
                continue
    return found


def newest_step(run: Run) -> int | None:
    """The step of the newest checkpoint, known by its name alone; None without one."""
    names = [_NAME.fullmatch(path.parent.name) for path in run.checkpoints.glob(f"step-*/{MANIFEST}")]
    return max((int(name[1]) for name in names if name), default=None)


def newest_valid(run: Run) -> tuple[Path, Manifest] | None:
    """The newest checkpoint whose digests hold; a bad one is put aside as ``….bad-<ulid>``, never deleted.

    Only the holder of the run's lock may call this.
    """
    for path in sorted(run.checkpoints.glob("step-*"), reverse=True):
        if not _NAME.fullmatch(path.name):
            continue
        try:
            return path, check(path)
        except DataError:
            path.rename(path.with_name(f"{path.name}.bad-{ulid()}"))
    return None


def check(path: Path, only: str = "") -> Manifest:
    """The manifest of a checkpoint after checking every file, or `only` one; raises `DataError`."""
    hint = "`arcterm resume` goes on from the newest checkpoint that is whole"
    try:
        manifest = read_json(path / MANIFEST, Manifest)
        for name, digest in manifest.files.items():
            if only not in ("", name):
                continue
            if not _SAFE_FILE.fullmatch(name):
                raise DataError(f"{path / MANIFEST} names a file {name!r} that no checkpoint has", hint)
            with (path / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest.sha256:
                    raise DataError(f"{path / name} is damaged: its SHA-256 is not the manifest's", hint)
    except OSError as error:
        raise DataError(f"{path} is incomplete: {error.filename}: {error.strerror}", hint) from None
    return manifest


def choose(run: Run, which: str) -> tuple[Path, Manifest]:
    """The checkpoint called `which`: ``last``, ``best`` or a step; `RunError` lists what there is."""
    found = list_checkpoints(run)
    if not found:
        raise RunError(
            f"{run.id} has no checkpoint yet", f"`arcterm attach {run.id}` shows when the next is due"
        )
    if which == "last":
        return found[-1]
    if which == "best":
        return max(found, key=lambda pair: (pair[1].score or -1.0, pair[1].step))
    for path, manifest in found:
        if which in (str(manifest.step), path.name):
            return path, manifest
    steps = ", ".join(str(manifest.step) for _, manifest in found)
    raise RunError(f"{run.id} has no checkpoint {which!r}", f"choose last, best or a step: {steps}")


def retain(run: Run, keep_last: int, keep_best: int) -> list[str]:
    """Delete all but the newest `keep_last` and the `keep_best` of the highest score; returns the names."""
    found = list_checkpoints(run)
    scored = sorted((p for p in found if p[1].score is not None), key=lambda p: (p[1].score, p[1].step))
    kept = {path for path, _ in found[-keep_last:] + scored[len(scored) - keep_best :]}
    doomed = [path for path, _ in found if path not in kept]
    for path in doomed:
        discard(path)
    return [path.name for path in doomed]


def discard(path: Path) -> None:
    """Delete a directory so that no reader sees it half gone: renamed first."""
    hidden = path.with_name(f".del-{path.name}")
    path.rename(hidden)
    shutil.rmtree(hidden)


def sweep(run: Run) -> None:
    """Remove what an interrupted save or deletion left. Only the holder of the run's lock may call this."""
    for pattern in (".tmp-*", ".del-*"):
        for path in run.checkpoints.glob(pattern):
            shutil.rmtree(path)

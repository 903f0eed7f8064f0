"""``manifest.json`` of a checkpoint: its contents, with a digest that shows every changed bit.

The last key, ``digest``, is the SHA-256 of every byte before it. Version 1 had none; a manifest of a later
version without one is damaged.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Annotated

import msgspec

from arcterm.errors import DataError, RunError
from arcterm.files import create_bytes, read_bytes, write_bytes

MANIFEST = "manifest.json"
BACKBONE = "backbone.safetensors"
FORMAT_VERSION = 2
NAME = re.compile(r"step-(\d{10})")
_SAFE_FILE = re.compile(r"[a-z0-9][a-z0-9.-]*")
_SHA256 = r"^[0-9a-f]{64}$"
_HINT = "choose another checkpoint, or copy it again from where it is whole"

_Count = Annotated[int, msgspec.Meta(ge=0)]
_Size = Annotated[int, msgspec.Meta(ge=1)]


class FileDigest(msgspec.Struct, frozen=True, kw_only=True):
    """Size in bytes and SHA-256 of one file of a checkpoint."""

    size: _Count
    sha256: Annotated[str, msgspec.Meta(pattern=_SHA256)]


class HeadShard(msgspec.Struct, frozen=True, kw_only=True):
    """A file with the head's rows `lo` … `hi` - 1 of every per-class tensor."""

    file: str
    lo: _Count
    hi: _Count


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """``manifest.json``. `samples` counts images seen; with the seed it gives the order of the rest.

    `verification` maps a set to its accuracy at this step, where it has one. `unverified`: this step is to be
    verified and was not yet; the checkpoint is written first. `skipped` counts the steps until then that
    updated no weight, since loss or gradient was no number. `gradient_scale` is that of float16's gradients
    (0: none), and `gradient_scale_steps` counts the steps since it last changed.
    """

    format_version: int
    step: _Count
    epoch: _Count
    samples: _Count
    seed: int
    world_size: _Size
    classes: _Count
    embedding_size: _Size
    backbone: str
    loss: str
    files: dict[str, FileDigest]
    head: list[HeadShard]
    verification: dict[str, float] = {}
    unverified: bool = False
    skipped: _Count = 0
    gradient_scale: float = 0.0
    gradient_scale_steps: _Count = 0
    reason: str = ""
    t: float = 0.0


def create(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a checkpoint that has none yet; raises FileExistsError."""
    create_bytes(folder / MANIFEST, _encode(manifest))


def replace(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest: a reader sees the old or the new one."""
    write_bytes(folder / MANIFEST, _encode(manifest))


def read(folder: Path) -> Manifest:
    """The manifest of the checkpoint in `folder`.

    Raises `DataError` if it is damaged or fits neither itself nor the directory's name, `RunError` if a newer
    arcterm wrote it, OSError if it can't be read.
    """
    path = folder / MANIFEST
    manifest = _decode(read_bytes(path), path)
    problem = _problem(manifest, folder)
    if problem:
        raise DataError(f"{path} is damaged: {problem}", _HINT)
    return manifest


def _encode(manifest: Manifest) -> bytes:
    body = msgspec.json.format(msgspec.json.encode(manifest), indent=2).removesuffix(b"\n}")
    return body + _seal(body)


def _seal(body: bytes) -> bytes:
    return b',\n  "digest": "%s"\n}\n' % hashlib.sha256(body).hexdigest().encode()


def _decode(data: bytes, path: Path) -> Manifest:
    body = data[: -len(_seal(b""))]
    sealed = data == body + _seal(body)
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        if sealed:
            raise _newer_error(path) from None
        raise DataError(f"{path} is damaged: {error}", _HINT) from None
    if sealed and manifest.format_version > FORMAT_VERSION:
        raise _newer_error(path)
    if not sealed and manifest.format_version != 1:
        raise DataError(f"{path} is damaged: its digest is not that of what it says", _HINT)
    return manifest


def _newer_error(path: Path) -> RunError:
    return RunError(f"{path} was written by a newer arcterm", "update arcterm to go on with this run")


def _problem(manifest: Manifest, folder: Path) -> str:
    """The first contradiction in a manifest; empty if there is none."""
    named = NAME.fullmatch(folder.name)
    if named and int(named[1]) != manifest.step:
        return f"it says step {manifest.step} in a directory named {folder.name}"
    unsafe = next((name for name in manifest.files if not _SAFE_FILE.fullmatch(name)), None)
    if unsafe is not None:
        return f"it names a file {unsafe!r} that no checkpoint has"
    missing = {shard.file for shard in manifest.head} - manifest.files.keys()
    if missing:
        return f"it gives no digest of {min(missing)}"
    row = 0
    for shard in sorted(manifest.head, key=lambda shard: (shard.lo, shard.hi)):
        if shard.lo != row or shard.hi < shard.lo:
            return f"class {row} is not where {shard.file} begins"
        row = shard.hi
    if manifest.head and row != manifest.classes:
        return f"its files hold {row} classes of {manifest.classes}"
    return ""

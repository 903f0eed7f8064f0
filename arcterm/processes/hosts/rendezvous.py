"""The meeting place of an attempt's processes: files in a folder of this user's alone, on a local disk.

torchrun's own is a server without a password that listens on all interfaces and keeps a pickle.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

AGENT, RANKS = "agent", "ranks"
"""File names of the agent's store and the ranks'."""
STORE = "store"
"""Name of the file that says where rank 0 serves the store of ranks on several hosts."""

_PREFIX = "arcterm-rendezvous-"
# not /run/user, which goes when its user logs out
_PLACES = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108  a folder is made there by mkdtemp
_REMOTE = ("nfs", "cifs", "smb", "lustre", "gpfs", "beegfs", "ceph", "gluster", "afs", "fuse", "9p", "pvfs")
_FRESH_SECONDS = 60.0


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A new folder, mode 0700, that is removed afterwards; raises OSError if none can be made.

    A lock on it keeps it from programs that clean up temporary folders, this one included.
    """
    path = _make()
    held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_SH)
        _sweep(path.parent)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(held)


def announce(meeting: Path, where: str) -> None:
    """Say in a meeting place where rank 0 serves the ranks' store: ``ADDRESS PORT``."""
    staged = meeting / f".{STORE}"
    staged.write_text(where, encoding="ascii")
    staged.replace(meeting / STORE)


def announced(meeting: Path) -> str:
    """Return where rank 0 serves the ranks' store; empty before it does."""
    with contextlib.suppress(FileNotFoundError):
        return (meeting / STORE).read_text(encoding="ascii")
    return ""


def _make() -> Path:
    places = [Path(tempfile.gettempdir()), *map(Path, _PLACES)]
    places.sort(key=lambda place: not _is_local(place))
    for place in places[:-1]:
        with contextlib.suppress(OSError):
            return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=places[-1]))


def _is_local(place: Path) -> bool:
    """Whether `place` is on a file system of this machine."""
    kinds = {mount.mountpoint: mount.fstype for mount in psutil.disk_partitions(all=True)}
    whole = place.resolve()
    kind = next((kinds[str(parent)] for parent in (whole, *whole.parents) if str(parent) in kinds), "")
    return not kind.startswith(_REMOTE)


def _sweep(place: Path) -> None:
    """Remove the folders of supervisors that were killed: this user's, without a lock on them."""
    for path in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            status = path.lstat()
            if status.st_uid != os.getuid() or time.time() - status.st_mtime < _FRESH_SECONDS:
                continue
            held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
            finally:
                os.close(held)

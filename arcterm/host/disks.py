"""How full disks are, read by threads: a server's disk that is gone holds up whoever asks for it."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from arcterm.host.readings import Disk

_AGAIN_SECONDS = 10.0
_PATIENCE_SECONDS = 5.0
_MOST = 8
_SERVERS = ("nfs", "cifs", "smb", "fuse", "9p", "lustre", "gpfs", "ceph", "beegfs")


class _WatchedDisk:
    """One path, asked by one thread at a time."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.device: int | None = None
        self.disk = Disk(path=path, note="not read yet")
        self._asked = -_AGAIN_SECONDS
        self._thread: threading.Thread | None = None

    def ask(self, now: float) -> threading.Thread | None:
        """Begin to read it if that is due; the thread that does, if one is at it."""
        if self._thread is not None and self._thread.is_alive():
            return self._thread
        self._thread = None
        if now - self._asked >= _AGAIN_SECONDS:
            self._asked = now
            self._thread = threading.Thread(target=self._look, daemon=True, name=f"disk {self.path}")
            self._thread.start()
        return self._thread

    def shown(self, now: float) -> Disk:
        """Its sizes as last read, or why they are not known."""
        silent = now - self._asked
        if self._thread is not None and self._thread.is_alive() and silent > _PATIENCE_SECONDS:
            return Disk(path=self.path, note=f"does not answer for {silent:.0f} s")
        return self.disk

    def _look(self) -> None:
        try:
            self.device = os.stat(self.path).st_dev  # noqa: PTH116
            # as df counts it: what root alone may fill is neither used nor free
            sizes = os.statvfs(self.path)
        except OSError as error:
            self.disk = Disk(path=self.path, note=str(error.strerror))
            return
        unit = sizes.f_frsize
        used, free = (sizes.f_blocks - sizes.f_bfree) * unit, sizes.f_bavail * unit
        self.disk = Disk(path=self.path, total=sizes.f_blocks * unit, used=used, free=free)


class DiskWatch:
    """The disks of some `paths` and of the local mounts, each file system once, `paths` before others."""

    def __init__(self, paths: Sequence[Path]) -> None:
        wanted = [str(_existing(path.absolute())) for path in paths]
        self._places = [_WatchedDisk(path) for path in dict.fromkeys([*wanted, *_local_mounts()])]

    def read(self, patience: float = 0.0) -> list[Disk]:
        """All disks, waiting at most `patience` seconds for those that are being read."""
        now = time.monotonic()
        for place in self._places:
            if (thread := place.ask(now)) is not None and patience:
                thread.join(patience)
        found, seen = [], set()
        for place in self._places:
            if place.device is None or place.device not in seen:
                seen.add(place.device)
                found.append(place.shown(time.monotonic()))
        return [disk for disk in found if disk.total or disk.note][:_MOST]


def _existing(path: Path) -> Path:
    """`path`, or the nearest folder above it that is there: where the runs will be."""
    with contextlib.suppress(OSError):
        while not path.exists() and path != path.parent:
            path = path.parent
    return path


def _local_mounts() -> list[str]:
    """The root, shared memory, temporary files, and mounted partitions of this machine."""
    found = ["/", "/tmp", "/dev/shm"]  # noqa: S108  nothing is written there
    with contextlib.suppress(OSError, psutil.Error):
        for part in psutil.disk_partitions(all=False):
            if not part.fstype.startswith((*_SERVERS, "squashfs")) and part.mountpoint.count("/") < 4:
                found.append(part.mountpoint)
    return [path for path in found if Path(path).is_dir()]

"""Read every record and image once, by threads; what is learnt is written to mapped files of the job.

Memory stays small whatever the data set, and a stopped job goes on where it was.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from bisect import bisect_right
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from arcterm.data.check import alignment
from arcterm.data.check.packpart import PackPart
from arcterm.data.check.parts import DataPart, Item, PairsPart
from arcterm.errors import DataError, StopAskedError
from arcterm.files import read_json, write_json
from arcterm.formats.images import Pixels, check_size, decode
from arcterm.runs.context import JobContext

UNSEEN, FINE, NO_IMAGE, DAMAGED, OTHER_SIZE = range(5)
NO_LABEL, BAD_LABEL = -1, -2
THUMB = 16
"""Side of the grey thumbnails by which images are compared."""
MAX_LOOKS = 20_000
"""Images that are looked at for alignment; more are drawn evenly."""

_BATCH = 1024
_SAVE_SECONDS = 2.0
_LARGEST_LABEL = 1 << 30

_BASIC = {"state": "u1", "label": "<i4", "looks": "i1", "height": "<u2", "width": "<u2"}
_FRAMES = {"end": "<i8", "crc": "<u4"}
_LIKENESS = {"bytes": "<u8", "pixels": "<u8", "thumb": ("u1", (THUMB * THUMB,))}


class _Progress(msgspec.Struct):
    done: int


class Survey:
    """Columns (T,) over the items of all `parts` in order; `starts` are the first items of each part,
    and the first `trained` items are trained on.

    `state` FINE, NO_IMAGE (a record without one), DAMAGED or OTHER_SIZE; `label`, NO_LABEL or BAD_LABEL;
    `looks` as `alignment.judge` has it, 2 if not judged; `height`, `width`; of a pack `end` (the byte
    after the record, 0 if there is none) and `crc`; with `likeness` 64-bit digests of the `bytes` and the
    `pixels`, and the `thumb` (256,) uint8.
    """

    def __init__(self, job: JobContext, parts: Sequence[DataPart], likeness: bool) -> None:
        self.parts = parts
        self.starts = [0, *accumulate(len(part) for part in parts)]
        self.trained = 0 if isinstance(parts[0], PairsPart) else len(parts[0])
        self.pack = parts[0] if isinstance(parts[0], PackPart) else None
        self.likeness = likeness
        self._job, self._saved = job, time.monotonic()
        self._place = job.work / "survey"
        self._done, fresh = self._resume()
        self._files = self._open(fresh)
        # A plain view of a mapped array is indexed several times as fast.
        self.columns = {name: np.asarray(file) for name, file in self._files.items()}
        self._stride = max(1, len(self) // MAX_LOOKS)

    def __len__(self) -> int:
        return self.starts[-1]

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def run(self) -> None:
        """Look at everything that hasn't been looked at; raises `StopAskedError`."""
        threads = self._job.threads
        with ThreadPoolExecutor(threads, thread_name_prefix="survey") as pool:
            while self._done < len(self):
                stop = min(self._done + _BATCH, len(self))
                edges = np.linspace(self._done, stop, threads + 1).astype(int).tolist()
                list(pool.map(self._look_at, edges[:-1], edges[1:]))
                self._done = stop
                try:
                    recorded = self._job.progress(self._done, len(self), "look at every image")
                except StopAskedError:
                    self._save()
                    raise
                if recorded and time.monotonic() - self._saved > _SAVE_SECONDS:
                    self._save()

    def remove(self) -> None:
        self.columns.clear()
        self._files.clear()
        shutil.rmtree(self._place)

    def part_of(self, item: int) -> tuple[DataPart, int]:
        """The part that an item is in, and its number there."""
        at = bisect_right(self.starts, item) - 1
        return self.parts[at], item - self.starts[at]

    def piece(self, item: int) -> Item:
        part, number = self.part_of(item)
        return part.look(number)

    def name(self, item: int) -> str:
        try:
            return self.piece(item).source
        except DataError:
            part, number = self.part_of(item)
            if isinstance(part, PackPart | PairsPart):
                return part.where(number)
            return f"{part.name} image {number}"

    def image(self, item: int, *, any_size: bool = False) -> Pixels:
        """An item's pixels; raises `DataError` if it has none, is damaged or has a size that it shouldn't."""
        part, number = self.part_of(item)
        if isinstance(part, PackPart):
            part.frame(number)
        piece = part.look(number)
        if piece.image is None:
            raise DataError(f"{piece.source} has no image", "pack the images again")
        pixels = decode(piece.image, size=None, source=piece.source)
        if part.size is not None and not any_size:
            check_size(pixels, part.size, piece.source)
        return pixels

    def _look_at(self, first: int, stop: int) -> None:
        """Items first … stop - 1, in a thread of its own."""
        seen: list[int] = []
        prepared = []
        for item in range(first, stop):
            pixels = self._learn(item)
            if pixels is not None and item % self._stride == 0:
                seen.append(item)
                prepared.append(alignment.prepare(pixels))
        if seen:
            self.columns["looks"][seen] = alignment.judge(np.stack(prepared))

    def _learn(self, item: int) -> Pixels | None:
        """Fill an item's row; returns its pixels if it has any."""
        row, (part, number) = self.columns, self.part_of(item)
        row["looks"][item], row["label"][item] = 2, NO_LABEL
        row["state"][item] = DAMAGED
        try:
            if isinstance(part, PackPart):
                row["end"][item], row["crc"][item] = part.frame(number)
            piece = part.look(number)
            row["label"][item] = _whole(piece.label)
            if piece.image is None:
                row["state"][item] = NO_IMAGE
                return None
            pixels = decode(piece.image, size=None, source=piece.source)
        except DataError:  # named later, from the state
            return None
        size = pixels.shape[:2]
        row["height"][item], row["width"][item] = size
        row["state"][item] = FINE if part.size in (None, size) else OTHER_SIZE
        if self.likeness:
            row["bytes"][item] = _digest(piece.image)
            row["pixels"][item] = _digest(pixels)
            row["thumb"][item] = thumbnail(pixels).ravel()
        return pixels

    def _resume(self) -> tuple[int, bool]:
        """Return how many items are done, and whether the files have yet to be made; raises `DataError`."""
        self._job.require_unchanged([row for part in self.parts for row in part.state()])
        saved = self._place / "progress.json"
        if saved.exists():
            return read_json(saved, _Progress).done, False
        shutil.rmtree(self._place, ignore_errors=True)
        self._place.mkdir(parents=True)
        return 0, True

    def _open(self, fresh: bool) -> dict[str, np.memmap[Any, Any]]:
        names: dict[str, Any] = dict(_BASIC)
        if self.pack is not None:
            names |= _FRAMES
        if self.likeness:
            names |= _LIKENESS
        return {name: self._map(name, np.dtype(kind), fresh) for name, kind in names.items()}

    def _map(self, name: str, kind: np.dtype[Any], fresh: bool) -> np.memmap[Any, Any]:
        path = self._place / name
        if fresh:
            # Room is taken at once: a full disk met while writing to a mapped page would kill the process.
            with path.open("xb") as file:
                try:
                    os.posix_fallocate(file.fileno(), 0, max(1, len(self) * kind.itemsize))
                except OSError as error:
                    raise DataError(
                        f"{path} can't be written: {error.strerror}",
                        "free space there, or begin again with another --runs-dir",
                    ) from None
        return np.memmap(path, kind.base, "r+", shape=(len(self), *kind.shape))

    def _save(self) -> None:
        for file in self._files.values():
            file.flush()
        self._saved = time.monotonic()
        write_json(self._place / "progress.json", _Progress(self._done))


def thumbnail(rgb: Pixels) -> NDArray[np.uint8]:
    """Grey (16, 16) uint8 of an image, each the mean of an area."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (THUMB, THUMB), interpolation=cv2.INTER_AREA))


def _whole(label: float) -> int:
    return int(label) if 0 <= label < _LARGEST_LABEL and label == int(label) else BAD_LABEL


def _digest(data: Any) -> int:
    """64 bits of a SHA-256 digest: two of ten million images share them by chance once in 370,000 sets."""
    raw: Any = np.ascontiguousarray(data) if isinstance(data, np.ndarray) else data
    return int.from_bytes(hashlib.sha256(raw).digest()[:8], "little")

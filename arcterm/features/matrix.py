"""A matrix of embeddings on disk, made by all ranks, that a killed job goes on with.

The pictures are embedded in fixed batches, each always whole, the last one filled up: what a network gives
for one picture may hang, in its last digits, on the others of its batch, and for a small one on the number
of threads. Each of n ranks does every n-th batch that is left, writes its
rows in their place in the file, and then a line into a log of its own: a batch in a log is never done again.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from arcterm.cores import cores_of_rank
from arcterm.errors import DataError
from arcterm.features.networks import Networks
from arcterm.features.pictures import Pictures, reason
from arcterm.files import write_bytes
from arcterm.runs.context import JobContext

_BATCH = {"cuda": 128, "cpu": 32}
_WHOLE = 8
"""Pictures of the smallest batch, so that threads share it evenly."""
_AHEAD = 2
"""Batches that are decoded while one is embedded."""
_ROUND = 8
"""Batches of a rank between two moments at which all ranks agree whether to stop."""
_COMMIT_SECONDS = 2.0
_TINY = 1e-12

Fuse = Callable[[list[Tensor]], Tensor]
"""Makes rows (N, width) float32 of each network's (N, 2, D) raw embeddings: image and mirror image."""


class _Done(msgspec.Struct, array_like=True):
    """A batch that is in the file, with why some of its pictures are not."""

    batch: int
    refused: dict[int, str] = {}


def extract(
    context: JobContext,
    networks: Networks,
    pictures: Pictures,
    target: Path,
    fuse: Fuse,
    width: int,
    *,
    batch_size: int | None = None,
    what: str = "embedding",
    retry: bool = False,
) -> dict[int, str]:
    """Embed `pictures` into the file `target`, a float32 matrix (len(pictures), width) in numpy's format.

    All ranks call it. Returns, on every rank, why some pictures are not in it: one that can't be decoded, or
    whose row is zero or not finite, has a row of zeros; with `retry` those of an earlier attempt are tried
    again. Raises `DataError` if that is so of all.
    """
    ranks, total = networks.ranks, len(pictures)
    if not total:
        raise DataError("there are no pictures to embed", "give a folder or a list that has some")
    size = min(batch_size or _BATCH[ranks.device.type], -(-total // _WHOLE) * _WHOLE)
    key = hashlib.sha256(f"{target}\0{size}".encode()).hexdigest()[:12]
    logs = f"rows-{key}"
    if ranks.first:
        _prepare(target, (total, width), list(context.work.glob(f"{logs}-*")), retry)
    ranks.barrier()  # the file is there
    done = {each.batch for each in _read_logs(context.work, logs)}
    left = [number for number in range(-(-total // size)) if number not in done]
    ranks.barrier()  # no rank writes its log before all have read
    writer = _Writer(target, context.work / f"{logs}-{ranks.rank}.jsonl")
    try:
        _embed_left(
            context, networks, _Batches(pictures, networks.input_size, size), fuse, writer, left, what
        )
    finally:
        writer.close()
    ranks.barrier()
    refused = {index: why for each in _read_logs(context.work, logs) for index, why in each.refused.items()}
    if len(refused) == total:
        first = min(refused)
        raise DataError(
            f"none of {total:,} pictures can be embedded; {reason(pictures.name(first), refused[first])}",
            "`arcterm align FOLDER ALIGNED` makes aligned faces of photos",
        )
    return refused


def _embed_left(
    context: JobContext,
    networks: Networks,
    batches: _Batches,
    fuse: Fuse,
    writer: _Writer,
    left: Sequence[int],
    what: str,
) -> None:
    """Do this rank's share of the batches that are left; all ranks agree equally often."""
    ranks, total = networks.ranks, len(batches.pictures)
    own = left[ranks.rank :: ranks.size]
    finished = total - sum(len(batches.span(number)) for number in left)
    # a rank on a GPU has one thread for torch, and its share of the cores for decoding
    results = batches.decoded(own, max(context.threads, cores_of_rank(ranks.size)))
    broken = 0
    try:
        for _ in range(-(-len(left) // (ranks.size * _ROUND))):
            for _, (number, pixels, refused) in zip(range(_ROUND), results, strict=False):
                span = batches.span(number)
                rows = fuse(networks.views(pixels)).cpu().numpy()[: len(span)]
                broken += writer.write(number, span, rows, refused)
                finished = min(finished + len(rows) * ranks.size, total)
                context.progress(finished, total, what, f"images, {broken:,} refused" if broken else "images")
            writer.commit()
            context.agree()
    finally:
        results.close()
        writer.commit(now=True)


class _Batches:
    """The fixed batches of some pictures, decoded ahead by threads."""

    def __init__(self, pictures: Pictures, image_size: tuple[int, int], size: int) -> None:
        self.pictures, self._image_size, self._size = pictures, image_size, size

    def span(self, number: int) -> range:
        return range(number * self._size, min((number + 1) * self._size, len(self.pictures)))

    def decoded(
        self, numbers: Sequence[int], threads: int
    ) -> Generator[tuple[int, NDArray[np.uint8], dict[int, str]], None, None]:
        """Yield each batch with its pixels (size, H, W, 3), and why some are refused.

        Pictures that are refused, or beyond the last one, are black.
        """
        with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
            waiting: list[list[Future[NDArray[np.uint8] | str]]] = []
            try:
                for place in range(len(numbers) + _AHEAD):
                    if place < len(numbers):
                        span = self.span(numbers[place])
                        waiting.append([pool.submit(self._decode, index) for index in span])
                    if place >= _AHEAD:
                        yield self._collect(numbers[place - _AHEAD], waiting.pop(0))
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _decode(self, index: int) -> NDArray[np.uint8] | str:
        try:
            return self.pictures.pixels(index, self._image_size)
        except DataError as error:
            return error.message

    def _collect(
        self, number: int, results: list[Future[NDArray[np.uint8] | str]]
    ) -> tuple[int, NDArray[np.uint8], dict[int, str]]:
        pixels = np.zeros((self._size, *self._image_size, 3), np.uint8)
        refused: dict[int, str] = {}
        for slot, (index, result) in enumerate(zip(self.span(number), results, strict=True)):
            found = result.result()
            if isinstance(found, str):
                refused[index] = found
            else:
                pixels[slot] = found
        return number, pixels, refused


class _Writer:
    """Writes rows into their place in the matrix, and then into a rank's log that they are there."""

    def __init__(self, target: Path, log: Path) -> None:
        self._matrix = np.load(target, mmap_mode="r+")
        self._log = os.open(log, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._waiting: list[_Done] = []
        self._last = time.monotonic()
        end = os.fstat(self._log).st_size
        if end and os.pread(self._log, 1, end - 1) != b"\n":  # a crash tore the last line
            os.write(self._log, b"\n")

    def write(self, number: int, span: range, rows: NDArray[np.float32], refused: dict[int, str]) -> int:
        """Write the rows of a batch; returns how many of its pictures are refused."""
        lengths = np.sqrt(np.square(rows, dtype=np.float64).sum(1))
        for slot in np.flatnonzero(~np.isfinite(lengths) | (lengths < _TINY)):
            kind = "zero" if np.isfinite(lengths[slot]) else "not finite"
            refused.setdefault(span[int(slot)], f"its embedding is {kind}")
        rows = rows.copy()
        rows[[index - span.start for index in refused]] = 0
        self._matrix[span.start : span.stop] = rows
        self._waiting.append(_Done(number, refused))
        return len(refused)

    def commit(self, now: bool = False) -> None:
        """Make the rows durable, and then log their batches: every few seconds, or `now`."""
        if self._waiting and (now or time.monotonic() - self._last > _COMMIT_SECONDS):
            self._matrix.flush()
            os.write(self._log, b"".join(map(_line, self._waiting)))
            self._waiting, self._last = [], time.monotonic()

    def close(self) -> None:
        os.close(self._log)


def _prepare(target: Path, shape: tuple[int, int], logs: Sequence[Path], retry: bool) -> None:
    """Make the file, all zeros, unless an earlier attempt's `logs` speak of it.

    With `retry` batches of which a picture was refused are taken out of the logs.
    """
    if logs and target.exists():
        for log in logs if retry else ():
            kept = [each for each in _read_log(log) if not each.refused]
            write_bytes(log, b"".join(map(_line, kept)))
        return
    for log in logs:
        log.unlink()
    target.unlink(missing_ok=True)
    np.lib.format.open_memmap(target, mode="w+", dtype=np.float32, shape=shape).flush()


def _read_logs(folder: Path, logs: str) -> list[_Done]:
    """Read what all ranks have done, of this attempt and earlier ones."""
    return [each for path in sorted(folder.glob(f"{logs}-*.jsonl")) for each in _read_log(path)]


def _read_log(path: Path) -> list[_Done]:
    """Read the log of a rank; torn lines are passed over."""
    found = []
    for line in path.read_bytes().split(b"\n"):
        try:
            found.append(msgspec.json.decode(line, type=_Done))
        except msgspec.DecodeError:
            continue
    return found


def _line(done: _Done) -> bytes:
    return msgspec.json.encode(done) + b"\n"

"""The threads of a rank: each reads some photos, has their faces found, and writes what is made of them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arcterm.align.guides import Guides
from arcterm.align.photos import Photos, face_name, output_names
from arcterm.align.rows import Row, RowReader, RowWriter
from arcterm.align.steps import Aligner, Photo
from arcterm.errors import DataError
from arcterm.formats import images
from arcterm.runs.context import JobContext

_CHUNK = 8
"""Photos that a thread takes at a time, where the detector takes them one by one."""
_ROUND = 8
"""Chunks of a rank between two moments at which all ranks agree whether to stop."""


_MOST_PIXELS = 48_000_000
"""Of the photos that a thread has in hand; a camera's may have half as many each."""


class Workers:
    """The work of one rank of an alignment that writes into the folder `stage`."""

    def __init__(
        self,
        context: JobContext,
        aligner: Aligner,
        photos: Photos,
        guides: Guides,
        stage: Path,
        threads: int,
    ) -> None:
        self._context, self._aligner, self._photos = context, aligner, photos
        self._guides, self._stage, self._threads = guides, stage, threads
        self._outputs = output_names(photos.names, aligner.preset)
        self._batch = aligner.batch
        self._stopping = threading.Event()

    def run(self, rank: int, ranks: int) -> None:
        """Do the share of `rank`: every `ranks`-th chunk, less what an earlier attempt has done."""
        context, total = self._context, len(self._photos.names)
        reader = RowReader(context.work, total)
        self._done = reader.done(self._stage)
        reader.close()
        length = max(_CHUNK // self._batch, 1) * self._batch
        chunks = [range(start, min(start + length, total)) for start in range(0, total, length)]
        rounds = -(-len(chunks) // (ranks * _ROUND))
        finished = len(self._done)
        self._writer = RowWriter(context.work, rank)
        try:
            results = self._results(chunks[rank::ranks])
            for _ in range(rounds):
                for _, made in zip(range(_ROUND), results, strict=False):
                    finished = min(finished + made * ranks, total)
                    context.progress(finished, total, "align", "photos")
                context.agree()
        finally:
            results.close()
            self._writer.close()

    def _results(self, chunks: Sequence[range]) -> Generator[int, None, None]:
        """Yield how many photos of each chunk were done, in order, with threads at work ahead."""
        waiting: deque[Future[int]] = deque()
        rest = iter(chunks)
        with ThreadPoolExecutor(self._threads, thread_name_prefix="align") as pool:
            try:
                while True:
                    while len(waiting) < 2 * self._threads and (chunk := next(rest, None)) is not None:
                        waiting.append(pool.submit(self._do_chunk, chunk))
                    if not waiting:
                        return
                    yield waiting.popleft().result()
            finally:
                self._stopping.set()
                for future in waiting:
                    future.cancel()

    def _do_chunk(self, chunk: range) -> int:
        """Do what is left of a chunk, batch by batch; returns how many photos that were."""
        made = 0
        for start in range(0, len(chunk), self._batch):
            batch = chunk[start : start + self._batch]
            left = [number for number in batch if number not in self._done]
            if left and not self._stopping.is_set():
                self._do_batch(batch, left)
                made += len(left)
        return made

    def _do_batch(self, batch: range, left: Sequence[int]) -> None:
        """Align a whole batch, in parts if its photos are large, and store the photos that are `left`.

        What a network finds in one photo may hang, in its last digits, on which others it is given: a batch
        that a crash cut through is found again as it was.
        """
        photos: dict[int, Photo] = {}
        pixels = 0
        for number in batch:
            try:
                if (read := self._read(number, number in left)) is not None:
                    photos[number] = read
                    pixels += read.pixels.size // 3
            except DataError as error:
                if number in left:
                    self._add(number, "unreadable", error.message)
            if pixels > _MOST_PIXELS or number == batch[-1]:
                self._aligner.align(list(photos.values()))
                for found, photo in photos.items():
                    if found in left:
                        self._store(found, photo)
                photos, pixels = {}, 0

    def _read(self, number: int, wanted: bool) -> Photo | None:
        """Read a photo; None for one that is passed over, which is written down if it is `wanted`."""
        name = self._photos.names[number]
        guide = self._guides.of(name)
        if guide.skipped:
            if wanted:
                self._add(number, "skipped", guide.skipped)
            return None
        data = images.read_file(self._photos.root / name, name)
        return Photo(name, images.decode(data, size=None, source=name), guide)

    def _store(self, number: int, photo: Photo) -> None:
        """Write a photo's faces, then its row: a row says that the files are whole."""
        several = self._aligner.which == "all"
        names, sizes = [], []
        for place, pixels in photo.made.items():
            name = self._outputs[number]
            names.append(face_name(name, max(place, 0)) if several else name)
            sizes.append(self._write(names[-1], pixels))
        chosen = next((place for place in photo.made if place >= 0 and not several), None)
        row = Row(
            path=self._photos.names[number],
            faces=len(photo.faces),
            boxes=[_rounded(face.box) for face in photo.faces],
            points=[_rounded(face.points) for face in photo.faces],
            scores=[round(float(face.score), 4) for face in photo.faces],
            face=chosen,
            treated=photo.treated,
            reason=photo.reason,
            files=names,
        )
        self._writer.add(number, sizes, row)

    def _add(self, number: int, treated: str, reason: str) -> None:
        self._writer.add(number, [], Row(path=self._photos.names[number], treated=treated, reason=reason))

    def _write(self, name: str, pixels: images.Pixels) -> int:
        preset = self._aligner.preset
        data = (
            images.encode_png(pixels)
            if preset.ending == ".png"
            else images.encode_jpeg(pixels, preset.quality)
        )
        path = self._stage / name
        try:
            path.write_bytes(data)
        except FileNotFoundError:  # the first of its folder
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return len(data)


def _rounded(numbers: NDArray[np.float64]) -> Any:
    """The numbers as lists, to a thousandth of a pixel."""
    return np.round(numbers, 3).tolist()

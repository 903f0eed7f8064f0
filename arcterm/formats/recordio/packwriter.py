"""Writing a face pack, byte for byte as the packer of 2018 (face2rec2) does, with checksums beside it."""

from __future__ import annotations

import os
import time
import zlib
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np

from arcterm.errors import DataError
from arcterm.files import staged_directory, sync
from arcterm.formats.recordio import irheader
from arcterm.formats.recordio.checksums import write_checksums
from arcterm.formats.recordio.container import RecordWriter, framed

NAMES = "labels.txt"
_PLACES = ".places.jsonl"
_SAVE_SECONDS = 2.0


class _Place(msgspec.Struct):
    """Progress of a pack, a line each time: sizes of the two files, and the additions since the last line.

    Those are first key and name of each class, and the checksum of each image. `note` is the caller's.
    """

    sizes: tuple[int, int]
    first_keys: list[int]
    names: list[str]
    crcs: list[int]
    note: msgspec.Raw = msgspec.Raw(b"null")


class PackWriter:
    """Takes the images of a pack in order of their class, and counts them; `write_pack` makes one.

    `note` is the JSON saved with the last place of a stopped attempt that is resumed; else ``null``.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._first_keys: list[int] = []
        self._names: list[str] = []
        self._crcs = array("I")
        self.note = msgspec.Raw(b"null")
        sizes = None
        for place in _read_places(directory / _PLACES):
            self._first_keys += place.first_keys
            self._names += place.names
            self._crcs.extend(place.crcs)
            sizes, self.note = place.sizes, place.note
        self._saved = (self.classes, self.images)
        self._saved_at = 0.0
        self.records = RecordWriter(directory / "train.rec", directory / "train.idx", resume=sizes)

    @property
    def images(self) -> int:
        """Images so far; not 0 at the start if a stopped attempt is resumed."""
        return len(self._crcs)

    @property
    def classes(self) -> int:
        """Classes so far."""
        return len(self._first_keys)

    def add(self, image: bytes | memoryview, label: int, name: str = "") -> None:
        """Append an encoded image. Labels come as 0, 0, …, 1, …; raises `DataError` otherwise.

        `name` of the first image of a class goes into ``labels.txt``.
        """
        if label == self.classes:
            self._first_keys.append(self.images + 1)
            self._names.append(" ".join(name.split()))
        elif label != self.classes - 1 or label < 0:
            raise DataError(
                f"label {label} came after {self.classes - 1}: each person's images must come together",
                "sort the images by person and number the people from 0 without gaps",
            )
        # Two labels: the class, and face2rec2's note that the image is aligned.
        key = self.images + 1
        self._crcs.append(self._write(key, irheader.pack((label, 1), key, bytes(image))))

    def save(self, note: Callable[[], object] | None = None) -> None:
        """Make the pack so far durable, so that a stopped attempt resumes here; at most every two seconds.

        The JSON value that `note` returns is saved with it.
        """
        if time.monotonic() - self._saved_at < _SAVE_SECONDS:
            return
        classes, images = self._saved
        place = _Place(
            self.records.sync(),
            self._first_keys[classes:],
            self._names[classes:],
            self._crcs[images:].tolist(),
            msgspec.Raw(msgspec.json.encode(note())) if note else self.note,
        )
        with (self.directory / _PLACES).open("ab") as file:
            file.write(msgspec.json.encode(place) + b"\n")
            sync(file)
        self._saved, self._saved_at = (self.classes, self.images), time.monotonic()

    def finish(self, image_size: tuple[int, int]) -> None:
        """Write the header record, the identity records behind the images, and the other files."""
        end = self.images + 1
        header = self._write(0, irheader.pack((end, end + self.classes), 0))
        ranges = enumerate(pairwise([*self._first_keys, end]), end)
        identities = [self._write(key, irheader.pack(span, key)) for key, span in ranges]
        self.records.close()
        (self.directory / _PLACES).unlink(missing_ok=True)
        height, width = image_size
        (self.directory / "property").write_text(f"{self.classes},{height},{width}", encoding="ascii")
        if any(self._names):
            (self.directory / NAMES).write_text("\n".join(self._names) + "\n", encoding="utf-8")
        write_checksums(self.directory, np.array([header, *self._crcs, *identities], np.uint32))

    def _write(self, key: int, payload: bytes) -> int:
        """Append a record; returns its CRC-32."""
        record = framed(payload)
        self.records.write_framed(key, record)
        return zlib.crc32(record)


@contextmanager
def write_pack(
    place: Path, image_size: tuple[int, int] = (112, 112), *, resume: str = ""
) -> Iterator[PackWriter]:
    """Make a pack of (height, width) images that appears as `place` when the block ends, or not at all.

    Files put into the writer's `directory` become part of it. With `resume`, as `files.staged_directory` has
    it, it goes on after the images of a stopped attempt: add those that follow the writer's first `images`.
    Raises `DataError` if `place` is taken, can't be written or got no image.
    """
    with staged_directory(place, resume) as directory:
        writer = PackWriter(directory)
        try:
            yield writer
            if not writer.images:
                raise DataError(f"{place}: a pack of no images", "add images")
            writer.finish(image_size)
        finally:
            writer.records.close()


def _read_places(path: Path) -> Iterator[_Place]:
    """The saved places of an earlier attempt in order; a line that was being written when it ended is cut."""
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        os.truncate(path, len(whole))
    for line in whole.splitlines():
        try:
            yield msgspec.json.decode(line, type=_Place)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise DataError(
                f"{path} is damaged", f"remove {path.parent}, and what was done so far is done again"
            ) from None

"""Writing a face pack, byte for byte as the packer of 2018 (face2rec2) does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from arcterm.errors import DataError
from arcterm.formats import irheader
from arcterm.formats.recordio import RecordWriter
from arcterm.formats.staging import staged_directory


class PackWriter:
    """What `write_pack` yields: takes the images of a pack in order of their class, and counts them."""

    def __init__(self, directory: Path, records: RecordWriter) -> None:
        self.directory = directory
        self._records = records
        self._first_keys: list[int] = []
        self._next_key = 1
        self.images = 0

    @property
    def classes(self) -> int:
        """People so far."""
        return len(self._first_keys)

    def add(self, image: bytes, label: int) -> None:
        """Append an encoded image. Labels come as 0, 0, …, 1, …; raises `DataError` otherwise."""
        if label == self.classes:
            self._first_keys.append(self._next_key)
        elif label != self.classes - 1 or label < 0:
            raise DataError(
                f"label {label} came after {self.classes - 1}: each person's images must come together",
                "sort the images by person and number the people from 0 without gaps",
            )
        # Two labels: the class, and face2rec2's note that the image is aligned.
        self._write(irheader.pack((label, 1), self._next_key, image))
        self.images += 1

    def finish(self) -> None:
        """Write the header record and the identity records behind the images."""
        end = self._next_key
        self._records.write(0, irheader.pack((end, end + self.classes), 0))
        starts = [*self._first_keys, end]
        for start, stop in pairwise(starts):
            self._write(irheader.pack((start, stop), self._next_key))

    def _write(self, payload: bytes) -> None:
        self._records.write(self._next_key, payload)
        self._next_key += 1


@contextmanager
def write_pack(place: Path, image_size: tuple[int, int] = (112, 112)) -> Iterator[PackWriter]:
    """Make a pack of (height, width) images that appears as `place` when the block ends, or not at all.

    Files put into the writer's `directory` become part of it. Raises `DataError` if `place` is taken, can't
    be written or got no image.
    """
    with staged_directory(place) as directory:
        with RecordWriter(directory / "train.rec", directory / "train.idx") as records:
            writer = PackWriter(directory, records)
            yield writer
            if not writer.images:
                raise DataError(f"{place}: a pack of no images", "add images")
            writer.finish()
        height, width = image_size
        (directory / "property").write_text(f"{writer.classes},{height},{width}", encoding="ascii")

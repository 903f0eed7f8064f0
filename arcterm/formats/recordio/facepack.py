"""A face pack: ``train.rec``, ``train.idx`` and ``property`` in one directory, the layout of 2018.

Key 0 is a header record with labels [N + 1, N + 1 + C]; keys 1 … N are images; keys N + 1 … N + C hold one
identity each, as labels [first, last + 1] in image keys. A pack from MXNet's im2rec has images only.
"""

from __future__ import annotations

import zlib
from codecs import BOM_UTF8
from collections.abc import Callable
from pathlib import Path

import numpy as np
from arcterm_registry.contracts import Record
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.formats.images import decode
from arcterm.formats.lfs import refuse_pointer
from arcterm.formats.recordio import irheader
from arcterm.formats.recordio.checksums import read_checksums
from arcterm.formats.recordio.container import RecordFile
from arcterm.formats.recordio.recordindex import read_index
from arcterm.progress import Progress

EXACT_FLOAT32 = 1 << 24
MAX_CLASSES, MAX_SIDE = 1 << 30, 4096
_SAY_EVERY = 1000


class FacePack:
    """A pack, opened for reading by 0-based image index; cheap to open, safe for several threads.

    `classes` people, `image_size` (height, width), `identities` identity records (0 for im2rec's packs),
    `header_problem` a sentence about an odd header record and what is assumed instead, or empty.
    Raises `DataError` if a file is missing, cut short or isn't what it should be.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._records = RecordFile(directory / "train.rec")
        self._index = read_index(directory / "train.idx", len(self._records))
        self.identities = 0
        self.header_problem = ""
        self.checksums = read_checksums(directory)
        self._check_files()
        self._where = self._image_slice()
        self._keys, self._offsets = self._index.keys[self._where], self._index.offsets[self._where]
        self._checked = bytearray(len(self._offsets))  # images, each when it is first read
        self._check_last_record()
        facts = directory / "property"
        self.classes, self.image_size = read_property(facts) if facts.exists() else self._count_classes()

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, index: int) -> Record:
        """Image `index`: a view of its encoded bytes, its class and where it lies.

        Raises `DataError` if the record is damaged, has no image or a label outside the classes.
        """
        record, source = self.take_apart(index)
        label = record.labels[0]
        if not (0 <= label < self.classes and label == int(label)):
            raise DataError(
                f"{self.directory}: {source} has label {label:g}; the classes are 0 to {self.classes - 1}",
                f"set the class count in {self.directory / 'property'} right, or pack the images again; "
                f"`arcterm data check {self.directory}` names all such records",
            )
        if not record.image:
            raise DataError(f"{self.directory}: {source} has no image", "pack the images again")
        return Record(record.image, int(label), source)

    def key(self, index: int) -> int:
        """The key of image `index` in the record file."""
        return int(self._keys[index])

    def identity(self, number: int) -> range:
        """Image indexes of identity record `number`, in the order of the pack; raises `DataError`."""
        if not 0 <= number < self.identities:
            raise IndexError(f"identity {number} of {self.identities}")
        images, bounds = self._identity_range(number)
        if images is None:
            raise self._error(f"identity {number} names images {bounds} of {len(self)}")
        return images

    def _identity_range(self, number: int) -> tuple[range | None, str]:
        """Image indexes of an identity record, None if they are impossible, and its bounds as text."""
        record = self._read_record(len(self) + 1 + number)
        if record.flag < 2:
            raise self._error(f"identity {number} names images with one label, not with two")
        first, end = record.labels[:2]
        possible = 1 <= first < end <= len(self) + 1 and first.is_integer() and end.is_integer()
        return range(int(first) - 1, int(end) - 1) if possible else None, f"{first:g} to {end:g}"

    def labels(self, progress: Progress) -> NDArray[np.int64]:
        """(N,) int64: the label of each image; `progress` is called with (done, total).

        Read off the identity records where they are in order, else off every image's header; no image is
        decoded. Raises `DataError` for a damaged record.
        """
        found = self._labels_by_identity(progress)
        if found is None:
            found = np.empty(len(self), np.int64)
            for index in range(len(self)):
                found[index] = self[index].label
                if index % _SAY_EVERY == 0:
                    progress(index, len(self))
        progress(len(self), len(self))
        return found

    def _labels_by_identity(self, progress: Progress) -> NDArray[np.int64] | None:
        """Labels where identity records follow one another, each with one label, all different; else None.

        That is so unless the pack was made from an unsorted list.
        """
        found = np.empty(len(self), np.int64)
        known: set[int] = set()
        end = 0
        for number in range(self.identities):
            images, _ = self._identity_range(number)
            if images is None:  # beyond 2^24 the float32 keys of a range are rounded
                return None
            label = self[images[0]].label
            if images.start != end or label in known or self[images[-1]].label != label:
                return None
            known.add(label)
            end = images.stop
            found[images.start : end] = label
            if number % _SAY_EVERY == 0:
                progress(end, len(self))
        return found if end == len(self) else None

    def _check_files(self) -> None:
        """Compare the index and ``property`` with their checksums, where the pack has any."""
        if self.checksums is None:
            return
        if len(self.checksums.records) != len(self._index):
            raise DataError(
                f"{self.directory}: train.idx lists {len(self._index)} records and train.crc has "
                f"{len(self.checksums.records)}",
                "one of them is another pack's or damaged: copy both again, together",
            )
        for name in ("property", "train.idx"):
            self.checksums.check_file(name)

    def _image_slice(self) -> slice:
        """Slice of the index that holds the images, in the order of image indexes."""
        header = self._read_record(0) if 0 in self._index else None
        if header is None or header.image:
            return slice(0, len(self._index))
        if not header.flag:
            return self._search_image_slice(header.labels[0])
        if header.flag == 1:
            raise self._error(f"the header record has one label, {header.labels[0]:g}, not two")
        if header.flag > 2:
            self.header_problem = (
                f"the header record (key 0) has {header.flag} labels, not two: the first two are taken"
            )
        first, end = header.labels[:2]
        if not (2 <= first <= end < MAX_CLASSES and first.is_integer() and end.is_integer()):
            raise self._error(f"the header record's labels {first:g}, {end:g} make no sense")
        stop = exact_boundary(int(first), self._has_image)
        if self._index.keys[-1] < stop:  # training needs no identity records, and some packs have none
            return self._index.dense(1, stop)
        self.identities = len(self._index) - stop if end >= EXACT_FLOAT32 else int(end) - stop
        images = self._index.dense(1, stop)
        self._index.dense(stop, stop + self.identities, "identities")
        if len(self._index) > stop + self.identities or (self.identities and self._has_image(stop)):
            raise DataError(
                f"{self._records.path}: the header record promises {stop - 1} images and {self.identities} "
                f"identities; key {stop} is an image too, or there are other keys",
                f"pack the images again; `arcterm data check {self.directory}` names all that is wrong",
            )
        return images

    def _search_image_slice(self, label: float) -> slice:
        """Slice of the images where the header has one label: key 1 to the last record with an image."""
        keys = self._index.keys
        stop, past = 1, len(self._index)
        while stop < past:  # images come before identities
            middle = (stop + past) // 2
            stop, past = (middle + 1, past) if self._has_image(int(keys[middle])) else (stop, middle)
        if stop == 1:
            raise DataError(f"{self._records.path} has no image behind its header", "pack the images again")
        self.identities = len(self._index) - stop
        people = f" and identities keys {keys[stop]} to {keys[-1]}" if self.identities else ""
        self.header_problem = (
            f"the header record (key 0) has one label, {label:g}, where two belong: images are taken to be "
            f"keys {keys[1]} to {keys[stop - 1]}{people}"
        )
        last = int(keys[stop - 1]) + 1
        self._index.dense(last, last + self.identities, "identities")
        return self._index.dense(1, last)

    def _error(self, what: str) -> DataError:
        return DataError(f"{self._records.path}: {what}", "pack the images again")

    def _has_image(self, key: int) -> bool:
        return key in self._index and bool(self._read_record(key).image)

    def _check_last_record(self) -> None:
        """Check that the last record is complete and ends the file, so that a cut-off copy is found."""
        last = int(self._index.offsets.argmax())
        key, offset = self._index.keys[last], int(self._index.offsets[last])
        end = self._records.read(offset, f"key {key}")[1]
        if end < len(self._records):
            raise DataError(
                f"{self._records.path}: key {key} at byte {offset}, the last in train.idx, isn't the file's: "
                f"it ends at byte {end}",
                "the index is cut short, damaged or another file's: copy both again, together",
            )

    def _count_classes(self) -> tuple[int, tuple[int, int]]:
        """Class count and image size of a pack without `property`; reads every label of an im2rec pack."""
        record, source = self.take_apart(0)
        height, width = decode(record.image, size=None, source=f"{self.directory}: {source}").shape[:2]
        if self.identities:
            return self.identities, (height, width)
        largest = max(self.take_apart(index)[0].labels[0] for index in range(len(self)))
        if not 0 <= largest < MAX_CLASSES:
            raise DataError(f"{self._records.path} has label {largest:g}", "pack the images again")
        return int(largest) + 1, (height, width)

    def take_apart(self, index: int) -> tuple[irheader.ImageRecord, str]:
        """The record of image `index`, whatever its label, and its place; raises `DataError` if damaged."""
        key, offset = self._keys.item(index), self._offsets.item(index)
        source = f"train.rec key {key} at byte {offset}"
        payload, end = self._records.read(offset, key)
        if not self._checked[index]:
            self._check_record(self._where.start + index, offset, end, source)
            self._checked[index] = True
        return irheader.unpack(payload, source), source

    def _check_record(self, position: int, offset: int, end: int, source: str) -> None:
        """Compare a record with its checksum; without one, check that a known record follows it."""
        damage = ""
        if self.checksums is None:
            # a wrong length leads to where no record begins, by the file and by the index
            if not self._records.begins(end) and not (self._index.offsets == end).any():
                damage = f"it ends at byte {end}, where no other begins"
        elif zlib.crc32(self._records.view[offset:end]) != self.checksums.records[position]:
            damage = "its CRC-32 isn't the one in train.crc"
        if damage:
            raise DataError(
                f"{self.directory}: {source} is damaged: {damage}",
                f"copy the pack again; `arcterm data check {self.directory}` names all damaged records",
            )

    def _read_record(self, key: int) -> irheader.ImageRecord:
        position = self._index.position(key)
        offset = self._index.offset(key)
        payload, end = self._records.read(offset, f"key {key}")
        if position is not None:
            self._check_record(position, offset, end, f"train.rec key {key} at byte {offset}")
        return irheader.unpack(payload, f"{self._records.path} key {key}")


def pack_directory(path: Path) -> Path | None:
    """Return the directory of the pack that `path`, or its train.rec, is; None if there is no train.rec."""
    directory = path.parent if path.name == "train.rec" else path
    return directory if (directory / "train.rec").exists() else None


def read_property(path: Path) -> tuple[int, tuple[int, int]]:
    """Class count and (height, width) from a `property` file; raises `DataError`."""
    try:
        with path.open("rb") as file:
            text = file.read(256)
    except OSError as error:
        raise DataError(
            f"{path} can't be read: {error.strerror}", "check the path and its permissions"
        ) from None
    refuse_pointer(text, path)
    text = text.removeprefix(BOM_UTF8)
    fields = text.strip().split(b",")
    numbers = [int(field) for field in fields if field.strip().isdigit()]
    if len(fields) != 3 or len(numbers) != 3:
        raise DataError(
            f"{path} holds {text.decode('ascii', 'replace').strip()[:60]!r}, not 'classes,height,width'",
            "write one line of three whole numbers, e.g. 85742,112,112",
        )
    classes, height, width = numbers
    if not (1 <= classes < MAX_CLASSES and 1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise DataError(
            f"{path}: {classes} classes of {height}×{width} images is out of bounds",
            f"classes are 1 to {MAX_CLASSES - 1}, sides 1 to {MAX_SIDE} pixels",
        )
    return classes, (height, width)


def exact_boundary(stored: int, has_image: Callable[[int], bool]) -> int:
    """The first key without an image, given as the header record has it.

    Keys there are float32, exact to 2^24; beyond, the true one is at most a few keys away.
    """
    if stored < EXACT_FLOAT32:
        return stored
    key = stored
    while key > stored - 16 and not has_image(key - 1):
        key -= 1
    while key < stored + 16 and has_image(key):
        key += 1
    return key

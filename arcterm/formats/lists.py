"""A list of images, ``.lst``: one image a line, its fields separated by tabs, in one of two shapes.

``2018``: aligned (0 or 1), path, label; then, where known, a box x1 y1 x2 y2 in whole pixels; then, where
known, five landmarks, first the five x, then the five y. ``im2rec``, of MXNet's tool: number, label, path;
its images are taken for aligned.

The whole file decides which it is: a list whose every line can be read in the shape of 2018 is one of 2018,
else one whose every line is im2rec's is im2rec's. A line that fits both is like ``0  17  4``: only an im2rec
list all of whose numbers are 0 or 1 and all of whose paths are whole numbers would be mistaken.
"""

from __future__ import annotations

import math
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.formats.recordio.container import map_file

Shape = Literal["2018", "im2rec"]
Box = tuple[int, int, int, int]

_BLOCK = 4 << 20  # bytes looked at together, and the longest line
_TAIL = 1 << 16  # bytes of empty lines that may end a file
_LABEL_DIGITS = 18
_NAMED = 20  # bad lines besides the first
_BOX_LIMIT = 1 << 31
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_C1 = re.compile(r"[\x7f-\x9f]")
_WHOLE = re.compile(rb"[0-9]+\.0*")
# Nearly all lines. Possessive, so that millions of them leave nothing to backtrack to.
_PATH = rb" *+[^\x00-\x20\x7f][^\x00-\x1f\x7f]*+"
_LABEL = b"[0-9]{1,%d}+" % _LABEL_DIGITS
_PIXEL = rb"(?:\t-?+[0-9]{1,9}+)"
_PLACE = rb"(?:\t-?+[0-9]{1,9}+(?:\.[0-9]{0,20}+)?+)"
_PLAIN = {
    "2018": re.compile(rb"(?:[01]\t%b\t%b(?:%b{4}(?:%b{10})?+)?+\n)*+" % (_PATH, _LABEL, _PIXEL, _PLACE)),
    "im2rec": re.compile(rb"(?:[0-9]++\t%b(?:\.0*+)?+\t%b\n)*+" % (_LABEL, _PATH)),
}
_EXPECTED = {
    "2018": "a line is: aligned (0 or 1), path, label, then box and landmarks if known, tab-separated",
    "im2rec": "a line is: number, label, path, tab-separated",
}


class ListedImage(NamedTuple):
    """One line, `line` counting from 1; `landmarks` (5, 2) float64: eyes, nose, corners of the mouth."""

    line: int
    path: Path
    label: int
    aligned: bool
    box: Box | None
    landmarks: NDArray[np.float64] | None


class _BadLineError(Exception):
    """A line that can't be parsed; `line` counts from 1, and `others` are bad ones after it."""

    def __init__(self, reason: str, line: int = 0, others: tuple[int, ...] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line
        self.others = others


class _Columns(NamedTuple):
    labels: NDArray[np.int64]
    aligned: NDArray[np.bool_]
    fields: NDArray[np.uint8]


class ImageList:
    """A list, opened: line by index, relative paths taken from `root` (by default the list's folder).

    `labels` (N,) int64 and `aligned` (N,) bool are those of the lines; `fields` (N,) uint8 counts a line's
    fields, 3, 7 (with a box) or 17 (with landmarks too). Opening checks every line and keeps 18 bytes of it,
    the text stays in the mapped file; threads may read at once. Raises `DataError` naming the line.
    """

    def __init__(self, path: Path, root: Path | None = None) -> None:
        self.path = path
        self.root = path.parent if root is None else root
        if path.exists() and not path.is_file():  # opening a pipe would wait for its writer
            raise DataError(f"{path} is not a file", "give a list of images, a .lst file")
        self._map = map_file(path)
        refuse_utf_16(self._map[:2], path)
        self._start = len(BOM_UTF8) if self._map[:3] == BOM_UTF8 else 0
        self._end = _content_end(self._map[-_TAIL:], len(self._map))
        if self._end <= self._start:
            raise DataError(f"{path} has no line in it", _EXPECTED["2018"])
        self.shape, columns = self._detect_shape()
        self.labels, self.aligned, self.fields = columns
        self._starts = self._line_starts()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> ListedImage:
        """Line `index`, 0-based; raises `DataError` if the file has changed."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        start, stop = self._starts[index : index + 2].tolist()
        try:
            return _parse_line(self._map[start : stop - 1], self.shape, index + 1, self.root)
        except _BadLineError as bad:
            raise self._error(bad, self.shape, index + 1) from None

    def __iter__(self) -> Iterator[ListedImage]:
        return (self[index] for index in range(len(self)))

    def _detect_shape(self) -> tuple[Shape, _Columns]:
        """The shape that every line has, and the columns in it."""
        try:
            return "2018", self._parse_columns("2018")
        except _BadLineError as bad:
            first = bad
        try:
            return "im2rec", self._parse_columns("im2rec")
        except _BadLineError as bad:
            # the first line says what the list was meant to be
            if first.line == 1 and bad.line > 1:
                raise self._error(bad, "im2rec", bad.line) from None
        raise self._error(first, "2018", first.line)

    def _parse_columns(self, shape: Shape) -> _Columns:
        """The columns of all lines; raises `_BadLineError`."""
        found: list[_Columns] = []
        line = 1
        for start, stop in self._blocks():
            block = self._map[start:stop]
            found.append(_parse_plain_lines(block, shape) or _parse_lines(block, shape, line))
            line += len(found[-1].labels)
        return _Columns(*(np.concatenate(column) for column in zip(*found, strict=True)))

    def _line_starts(self) -> NDArray[np.int64]:
        """(N + 1,) int64: where each line begins, and where one more would."""
        starts = np.empty(len(self) + 1, np.int64)
        starts[0], filled = self._start, 1
        for start, stop in self._blocks():
            after = np.flatnonzero(np.frombuffer(self._map, np.uint8, stop - start, start) == ord("\n"))
            starts[filled : filled + len(after)] = after + (start + 1)
            filled += len(after)
        starts[-1] = self._end + 1
        return starts

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Begin and end of pieces of whole lines; raises `DataError` for a line without an end."""
        start = self._start
        while start < self._end:
            stop = min(start + _BLOCK, self._end)
            if stop < self._end:
                stop = self._map.rfind(b"\n", start, stop) + 1
                if not stop:
                    raise DataError(
                        f"{self.path} has a line of more than {_BLOCK >> 20} MiB at byte {start}",
                        "this is no list of images",
                    )
            yield start, stop
            start = stop

    def _error(self, bad: _BadLineError, shape: Shape, line: int) -> DataError:
        several = "lines" if len(bad.others) > 1 else "line"
        others = f"; {several} {', '.join(map(str, bad.others))} can't be read either" if bad.others else ""
        more = ", nor may others after them" if len(bad.others) == _NAMED else ""
        return DataError(f"{self.path} line {line}: {bad.reason}{others}{more}", _EXPECTED[shape])


def read_list(path: Path, root: Path | None = None) -> ImageList:
    """Open the list `path`, whose relative paths start from `root`; raises `DataError` naming a bad line."""
    return ImageList(path, root)


def _content_end(tail: bytes, size: int) -> int:
    """End of the last line that is not empty, in a file of `size` bytes that ends with `tail`."""
    return size - (len(tail) - len(tail.rstrip()))


def refuse_utf_16(head: bytes, path: Path) -> None:
    """Raise `DataError` if a text that begins with `head` is UTF-16, as some spreadsheets write it."""
    if head[:2] in (BOM_UTF16_LE, BOM_UTF16_BE):
        raise DataError(f"{path} isn't text: byte 0 says that it is UTF-16, not UTF-8", "save it as UTF-8")


def _parse_line(text: bytes, shape: Shape, line: int, root: Path) -> ListedImage:
    """The item of a line without its line feed; raises `_BadLineError`."""
    if shape == "im2rec":
        fields = [field.strip(b" ") for field in text.rstrip(b"\r\n").split(b"\t")]
        if len(fields) != 3:
            raise _BadLineError(f"it has {_count_fields(len(fields))}, not 3")
        if not fields[0].isdigit():
            raise _BadLineError(f"the number {_quote(fields[0])} is no whole number")
        # the tool writes the label 3 as 3.000000
        label = _parse_label(fields[1].partition(b".")[0] if _WHOLE.fullmatch(fields[1]) else fields[1])
        return ListedImage(line, root / _parse_path(fields[2]), label, True, None, None)
    fields = [field.strip(b" ") for field in text.rstrip().split(b"\t")]
    if len(fields) not in (3, 7, 17):
        raise _BadLineError(f"it has {_count_fields(len(fields))}, not 3, 7 or 17")
    if fields[0] not in (b"0", b"1"):
        raise _BadLineError(f"the first field is {_quote(fields[0])}, not 0 or 1")
    path, label = root / _parse_path(fields[1]), _parse_label(fields[2])
    box = _parse_box(fields[3:7]) if len(fields) > 3 else None
    landmarks = _parse_landmarks(fields[7:]) if len(fields) > 7 else None
    return ListedImage(line, path, label, fields[0] == b"1", box, landmarks)


def _parse_path(field: bytes) -> str:
    try:
        path = field.decode("utf-8")
    except UnicodeDecodeError:
        raise _BadLineError(f"the path {_quote(field)} is not UTF-8") from None
    if not path:
        raise _BadLineError("the path is empty")
    if _CONTROL.search(path):
        raise _BadLineError(f"the path {_quote(field)} has control characters")
    return path


def _parse_label(field: bytes) -> int:
    if not field.isdigit() or len(field) > _LABEL_DIGITS:
        raise _BadLineError(f"the label {_quote(field)} is no whole number from 0 to 10^{_LABEL_DIGITS} - 1")
    return int(field)


def _parse_box(fields: list[bytes]) -> Box:
    try:
        box = tuple(int(field) for field in fields if b"_" not in field)
    except ValueError:
        box = ()
    if len(box) != 4 or not all(-_BOX_LIMIT < side < _BOX_LIMIT for side in box):
        raise _BadLineError(f"the box {_quote(b' '.join(fields))} is not four whole numbers")
    return box[0], box[1], box[2], box[3]


def _parse_landmarks(fields: list[bytes]) -> NDArray[np.float64]:
    try:
        numbers = [float(field) for field in fields if b"_" not in field]
    except ValueError:
        numbers = []
    if len(numbers) != 10 or not all(map(math.isfinite, numbers)):
        raise _BadLineError(f"the landmarks {_quote(b' '.join(fields))} are not ten numbers")
    return np.array(numbers).reshape(2, 5).T


def _parse_lines(block: bytes, shape: Shape, first: int) -> _Columns:
    """The columns of lines of any kind, `first` and following; raises `_BadLineError` naming bad ones."""
    labels, aligned, fields = [], [], []
    bad: list[tuple[int, str]] = []
    lines = block.removesuffix(b"\n").split(b"\n")
    nowhere = Path()
    for number, text in enumerate(lines, first):
        try:
            item = _parse_line(text, shape, number, nowhere)
        except _BadLineError as error:
            bad.append((number, error.reason))
            if len(bad) > _NAMED:
                break
            continue
        labels.append(item.label)
        aligned.append(item.aligned)
        fields.append(3 if item.box is None else 7 if item.landmarks is None else 17)
    if bad:
        raise _BadLineError(bad[0][1], bad[0][0], tuple(line for line, _ in bad[1:]))
    return _Columns(np.array(labels, np.int64), np.array(aligned, np.bool_), np.array(fields, np.uint8))


def _parse_plain_lines(block: bytes, shape: Shape) -> _Columns | None:
    """The columns of lines that all are as `_PLAIN` says, found at once; None if one isn't."""
    block = block.removesuffix(b"\n") + b"\n"
    if not _PLAIN[shape].fullmatch(block) or not _is_text(block):
        return None
    data = np.frombuffer(block, np.uint8)
    tabs, ends = np.flatnonzero(data == ord("\t")), np.flatnonzero(data == ord("\n"))
    after = np.searchsorted(tabs, ends)  # tabs up to the end of each line
    fields = np.diff(after, prepend=0) + 1
    first = after - fields + 1  # each line's first tab
    if shape == "im2rec":
        return _Columns(
            _parse_numbers(data, tabs[first] + 1), np.ones(len(ends), np.bool_), fields.astype(np.uint8)
        )
    aligned = data[tabs[first] - 1] == ord("1")
    return _Columns(_parse_numbers(data, tabs[first + 1] + 1), aligned, fields.astype(np.uint8))


def _is_text(block: bytes) -> bool:
    """Whether `block` is UTF-8 without control characters, those of ASCII having been looked for."""
    if block.isascii():
        return True
    try:
        return not _C1.search(block.decode("utf-8"))
    except UnicodeDecodeError:
        return False


def _parse_numbers(data: NDArray[np.uint8], begins: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) int64: the whole numbers that begin at `begins`, each with something else after it."""
    numbers = np.zeros(len(begins), np.int64)
    inside = np.ones(len(begins), np.bool_)
    for place in range(_LABEL_DIGITS):
        digits = data[np.minimum(begins + place, len(data) - 1)] - np.uint8(ord("0"))
        inside &= digits <= 9
        if not inside.any():
            break
        numbers = np.where(inside, numbers * 10 + digits, numbers)
    return numbers


def _count_fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"


def _quote(field: bytes) -> str:
    """A field as a message quotes it, at most 60 characters."""
    text = field.decode("utf-8", "backslashreplace")
    return ascii(text if len(text) <= 60 else f"{text[:57]}...")

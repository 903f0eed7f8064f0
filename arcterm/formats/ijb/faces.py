"""The two files with a line for each image: its template and media, and its landmarks and detector score.

``x_face_tid_mid.txt``: name, template id, media id. ``x_name_5pts_score.txt``: name, x1 y1 … x5 y5, score.
Line i of both is the same image.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arcterm.formats.ijb.lines import parse_id, parse_lines, read_blocks
from arcterm.formats.ijb.problems import BadLine, Problems, quote

_LARGEST = 1e9
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


class TemplateLines(NamedTuple):
    """`names` of N images with the ids of the template and the media they belong to, (N,) int32 each."""

    names: list[str]
    templates: NDArray[np.int32]
    media: NDArray[np.int32]


class LandmarkLines(NamedTuple):
    """`names` of N images, their landmarks (N, 5, 2) float32, x and y in pixels, and scores (N,) float64.

    The landmarks are left eye, right eye, nose, left and right corner of the mouth, left and right as one
    sees them in the picture.
    """

    names: list[str]
    points: NDArray[np.float32]
    scores: NDArray[np.float64]


def read_templates(path: Path, problems: Problems) -> TemplateLines:
    """Read name, template and media of each image; bad lines go to `problems`."""
    names, ids = list[str](), array("i")

    def parse(line: bytes) -> None:
        fields = _split(line, 3)
        found = parse_id(fields[1], "template id"), parse_id(fields[2], "media id")
        names.append(_parse_name(fields[0]))
        ids.extend(found)

    _parse_file(path, parse, problems)
    table = np.array(ids, np.int32).reshape(-1, 2)
    return TemplateLines(names, table[:, 0].copy(), table[:, 1].copy())


def read_landmarks(path: Path, problems: Problems) -> LandmarkLines:
    """Read name, landmarks and detector score of each image; bad lines go to `problems`."""
    names, numbers = list[str](), array("d")

    def parse(line: bytes) -> None:
        fields = _split(line, 12)
        found = _parse_numbers(fields[1:])
        names.append(_parse_name(fields[0]))
        numbers.extend(found)

    _parse_file(path, parse, problems)
    table = np.array(numbers, np.float64).reshape(-1, 11)
    return LandmarkLines(
        names, table[:, :10].astype(np.float32).reshape(-1, 5, 2), np.ascontiguousarray(table[:, 10])
    )


def compare(templates: TemplateLines, landmarks: LandmarkLines, paths: tuple[Path, Path]) -> list[str]:
    """Name the lines at which the two files, of `paths`, are not of the same image."""
    counts = len(templates.names), len(landmarks.names)
    wrong = [
        f"line {number}: {paths[0].name} has {quote(one)}, {paths[1].name} has {quote(other)}"
        for number, (one, other) in enumerate(zip(templates.names, landmarks.names, strict=False), 1)
        if one != other
    ]
    if counts[0] != counts[1]:
        wrong.insert(0, f"{paths[0].name} has {counts[0]:,} lines, {paths[1].name} has {counts[1]:,}")
    return wrong


def _parse_file(path: Path, parse: Callable[[bytes], None], problems: Problems) -> None:
    for block in read_blocks(path):
        if not parse_lines(block, path, parse, problems):
            return


def _split(line: bytes, count: int) -> list[bytes]:
    fields = line.split()
    if len(fields) != count:
        raise BadLine(f"it has {len(fields)} field{'s' * (len(fields) != 1)}, not {count}")
    return fields


def _parse_name(field: bytes) -> str:
    """Parse a name below ``loose_crop``; raises `BadLine` if it is none, or leads out of it."""
    try:
        name = field.decode("utf-8")
    except UnicodeDecodeError:
        raise BadLine(f"the name {quote(field)} is not UTF-8") from None
    if _CONTROL.search(name) or name.startswith("/") or ".." in name.split("/"):
        raise BadLine(f"{quote(field)} is no name of an image in loose_crop")
    return name


def _parse_numbers(fields: list[bytes]) -> list[float]:
    try:
        numbers = [float(field) for field in fields if b"_" not in field]
    except ValueError:
        numbers = []
    if len(numbers) != len(fields):
        raise BadLine(f"{quote(b' '.join(fields))} are not ten coordinates and a score")
    # coordinates are kept in 32 bits, which hold less
    if not all(map(math.isfinite, numbers)) or max(map(abs, numbers)) > _LARGEST:
        raise BadLine(f"{quote(b' '.join(fields))} has a number that is not finite, or too large")
    if numbers[-1] < 0:
        raise BadLine(
            f"the detector score {quote(fields[-1])} is below 0"
        )  # as a weight it would turn a vector
    return numbers

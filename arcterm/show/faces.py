"""Faces in a terminal, side by side, in as many colours as it has."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from arcterm.errors import DataError
from arcterm.formats.images import decode, read_file
from arcterm.pictures.blocks import Line, Mode, Piece, beside, draw, placard
from arcterm.show.album import ShownImage, ShownPair, ShownPerson, ShownSet, problems_of
from arcterm.show.drawing import OutputConsole, coloured
from arcterm.show.output import say

# Cells across a face, least and most: enough to recognise a person. Signs show half as much as half blocks.
_FACE: dict[Mode, tuple[int, int]] = {"colour": (16, 20), "grey": (26, 38), "ascii": (26, 38)}
_GAP, _PAIR_GAP = 1, 3


class DrawnFaces(NamedTuple):
    """Lines of a drawing, and a sentence for each of its images that can't be read."""

    lines: list[Line]
    problems: list[str]


def draw_person(person: ShownPerson, width: int, mode: Mode) -> DrawnFaces:
    """Draw a heading, and as many faces in a row as fit."""
    count = f"{person.total:,} image{'s' * (person.total != 1)}"
    heading = _heading((str(person.number), "bold"), (person.name, ""), (count, "dim"))
    fitting, columns = _fit(len(person.images), 1, width, mode)
    images = person.images[:fitting]
    return DrawnFaces(
        [heading, *beside([_face(image, columns, mode) for image in images], _GAP)], problems_of(images)
    )


def draw_set(held: ShownSet, width: int, mode: Mode) -> DrawnFaces:
    """Draw a heading, and pairs side by side, each with its number and kind above it."""
    kinds = f"{held.pairs:,} pairs, {held.same:,} same, {held.pairs - held.same:,} different"
    lines = [_heading((held.name, "bold"), (kinds, "dim"), (held.order, ""))]
    fitting, columns = _fit(len(held.shown), 2, width, mode)
    for start in range(0, len(held.shown), fitting):
        row = held.shown[start : start + fitting]
        captions = [_caption(pair, 2 * columns + _GAP + _PAIR_GAP) for pair in row]
        lines.append([*captions[:-1], captions[-1]._replace(text=captions[-1].text.rstrip())])
        pictures = [beside([_face(image, columns, mode) for image in (pair.a, pair.b)], _GAP) for pair in row]
        lines += beside(pictures, _PAIR_GAP)
    return DrawnFaces(lines, problems_of(image for pair in held.shown for image in (pair.a, pair.b)))


def draw_files(files: Sequence[Path], width: int, mode: Mode) -> DrawnFaces:
    """Draw the pictures in `files` side by side, as many as fit."""
    images = [_read_file(file) for file in files]
    fitting, columns = _fit(max(1, len(images)), 1, width, mode)
    faces = [_face(image, columns, mode) for image in images[:fitting]]
    return DrawnFaces(beside(faces, _GAP) if faces else [], problems_of(images))


def _read_file(file: Path) -> ShownImage:
    try:
        return ShownImage(decode(read_file(file), size=None, source=str(file)), str(file))
    except DataError as error:
        return ShownImage(None, str(file), error.message)


def print_drawn(console: OutputConsole, drawn: DrawnFaces, width: int) -> None:
    """Print the lines to stdout and the problems to stderr."""
    for line in drawn.lines:
        console.print(coloured(line, width), no_wrap=True, overflow="ellipsis", width=width)
    say(*drawn.problems)


def mode_of(console: OutputConsole) -> Mode:
    """Half blocks where there is colour, signs where there is none, ASCII where that is asked for."""
    wanted = os.environ.get("ARCTERM_ASCII", "").lower()
    if wanted not in ("", "0", "no", "false") or not (console.encoding or "").lower().startswith("utf"):
        return "ascii"
    return "grey" if console.no_color or console.color_system is None else "colour"


def _fit(groups: int, faces: int, width: int, mode: Mode) -> tuple[int, int]:
    """How many of the groups, of one face or two, fit side by side, and the cells of a face."""
    least, most = _FACE[mode]
    after = _GAP if faces == 1 else _PAIR_GAP
    inside = _GAP * (faces - 1)
    fitting = max(1, min(groups, (width + after) // (faces * least + inside + after)))
    each = (width + after) // fitting - after
    return fitting, max(1, min(most, (each - inside) // faces))


def _face(image: ShownImage, columns: int, mode: Mode) -> list[Line]:
    return placard("damaged", columns) if image.pixels is None else draw(image.pixels, columns, mode)


def _caption(pair: ShownPair, columns: int) -> Piece:
    text = f"{pair.number} {'same' if pair.same else 'different'}"
    text += "" if pair.distance is None else f" {pair.distance:.2f}"
    return Piece(text.ljust(columns), style="green" if pair.same else "yellow")


def _heading(*parts: tuple[str, str]) -> Line:
    pieces = [[Piece("  "), Piece(text, style=style)] for text, style in parts if text]
    return [piece for part in pieces for piece in part][1:]

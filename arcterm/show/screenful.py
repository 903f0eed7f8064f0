"""Faces in a terminal, side by side, in as many colours as it has."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich.color import Color
from rich.style import Style
from rich.text import Text

from arcterm.pictures.blocks import Line, Mode, beside, draw, placard
from arcterm.show.album import Person, Shown, ShownPair, ShownSet
from arcterm.show.drawing import Console, cleaned
from arcterm.show.output import say

# Cells across a face, least and most: enough to know somebody by. Signs show half as much as half blocks.
_FACE: dict[Mode, tuple[int, int]] = {"colour": (16, 20), "grey": (26, 38), "ascii": (26, 38)}
_GAP, _PAIR_GAP = 1, 3


class Screen:
    """Prints people and sets to stdout, `width` columns wide, or as wide as the terminal."""

    def __init__(self, width: int | None = None, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, width=width)
        self._width = width or self._console.width
        self._mode = _mode(self._console)

    def show_person(self, person: Person) -> None:
        """A heading, and as many faces in a row as fit."""
        count = f"{person.total:,} image{'s' * (person.total != 1)}"
        self._head((str(person.number), "bold"), (person.name, ""), (count, "dim"))
        fitting, columns = self._fit(len(person.images), 1)
        self._put(beside([self._face(image, columns) for image in person.images[:fitting]], _GAP))
        self._complain(person.images[:fitting])

    def show_set(self, held: ShownSet) -> None:
        """A heading, and pairs side by side, each with its number and kind above it."""
        kinds = f"{held.pairs:,} pairs, {held.same:,} same, {held.pairs - held.same:,} different"
        self._head((held.name, "bold"), (kinds, "dim"))
        fitting, columns = self._fit(len(held.shown), 2)
        for start in range(0, len(held.shown), fitting):
            row = held.shown[start : start + fitting]
            self._captions(row, 2 * columns + _GAP + _PAIR_GAP)
            pictures = [
                beside([self._face(pair.a, columns), self._face(pair.b, columns)], _GAP) for pair in row
            ]
            self._put(beside(pictures, _PAIR_GAP))
            self._complain([image for pair in row for image in (pair.a, pair.b)])

    def _fit(self, groups: int, faces: int) -> tuple[int, int]:
        """How many of the groups, of one face or two, fit side by side, and the cells of a face."""
        least, most = _FACE[self._mode]
        after = _GAP if faces == 1 else _PAIR_GAP
        inside = _GAP * (faces - 1)
        fitting = max(1, min(groups, (self._width + after) // (faces * least + inside + after)))
        each = (self._width + after) // fitting - after
        return fitting, max(1, min(most, (each - inside) // faces))

    def _face(self, image: Shown, columns: int) -> list[Line]:
        if image.pixels is None:
            return placard("damaged", columns)
        return draw(image.pixels, columns, self._mode)

    def _captions(self, row: Sequence[ShownPair], columns: int) -> None:
        text = Text()
        for pair in row:
            words = f"{pair.number} {'same' if pair.same else 'different'}"
            text.append(words.ljust(columns), "green" if pair.same else "yellow")
        text.rstrip()
        self._print(text)

    def _head(self, *parts: tuple[str, str]) -> None:
        self._print(Text("  ").join(cleaned(text, style) for text, style in parts if text))

    def _put(self, lines: list[Line]) -> None:
        for line in lines:
            text = Text()
            for piece in line:
                text.append(piece.text, _style(piece.front, piece.back))
            self._print(text)

    def _print(self, text: Text) -> None:
        self._console.print(text, no_wrap=True, overflow="ellipsis", width=self._width)

    def _complain(self, images: Sequence[Shown]) -> None:
        for image in images:
            if image.problem:
                say(image.problem)


def _mode(console: Console) -> Mode:
    """Half blocks where there is colour, signs where there is none, ASCII where that is asked for."""
    wanted = os.environ.get("ARCTERM_ASCII", "").lower()
    if wanted not in ("", "0", "no", "false") or not (console.encoding or "").lower().startswith("utf"):
        return "ascii"
    return "grey" if console.no_color or console.color_system is None else "colour"


def _style(front: tuple[int, int, int] | None, back: tuple[int, int, int] | None) -> Style:
    return Style(
        color=Color.from_rgb(*front) if front else None, bgcolor=Color.from_rgb(*back) if back else None
    )

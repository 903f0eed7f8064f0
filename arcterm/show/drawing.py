"""Drawing with Rich: its console, and text that is safe to print."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import rich.console
from rich.color import Color
from rich.style import Style
from rich.text import Text

from arcterm.show.streams import ReaderGoneError
from arcterm.text import clean

Colour = tuple[int, int, int]
ColouredText = tuple[str, Colour | None, Colour | None, str]
"""Text, its colour and that behind it, and a style by name: as `pictures.blocks.Piece`."""

_STYLES = {name: Style.parse(name) for name in ("bold", "dim", "green", "yellow")}


class OutputConsole(rich.console.Console):
    """Rich's console, raising `ReaderGoneError` when its output is read no more."""

    def on_broken_pipe(self) -> None:
        raise ReaderGoneError


def cleaned(text: str, style: str = "", **layout: Any) -> Text:
    """`text` on one line, cleaned of whatever would act on the terminal; never markup."""
    return Text(clean(text), style, **layout)


def coloured(pieces: Iterable[ColouredText], width: int) -> Text:
    """One cleaned line of at most `width` cells."""
    line = Text(no_wrap=True)
    for text, front, back, style in pieces:
        colours = Style(
            color=Color.from_rgb(*front) if front else None, bgcolor=Color.from_rgb(*back) if back else None
        )
        line.append(clean(text), colours + _STYLES.get(style, Style.null()))
    line.truncate(width, overflow="ellipsis")
    return line

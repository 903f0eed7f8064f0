"""A data set as pictures: its people, page by page, or pairs of its verification sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.widgets import Input, Label, Static

from arcterm.console.keys import KeyLine
from arcterm.console.paths import PathSuggester
from arcterm.console.rows import Rows
from arcterm.console.screens.base import ConsoleScreen
from arcterm.console.showing import PEOPLE_SHOWN, Album, Shower, Wish
from arcterm.errors import ArctermError
from arcterm.show.lines import Line, shorten, spread
from arcterm.text import clean


class PictureScreen(ConsoleScreen):
    """Type what to look at; enter shows it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "n,right_square_bracket", "page(1)", "more people", tooltip="the next people; b the ones before"
        ),
        Binding("b,left_square_bracket", "page(-1)", "before", show=False),
        Binding("v", "pairs", "pairs", tooltip="pairs of the verification sets, or the people again"),
        Binding("e,slash", "edit", "edit", tooltip="look at something else"),
        Binding("j,down", "scroll(1)", "down", show=False),
        Binding("k,up", "scroll(-1)", "up", show=False),
        Binding("pagedown,space", "scroll(10)", "page down", show=False),
        Binding("pageup", "scroll(-10)", "page up", show=False),
        Binding("escape,q", "back", "back", tooltip="first leave the field, then the screen"),
    ]

    @dataclass
    class Shown(Message):
        """Pictures came, or the reason why not."""

        wish: Wish
        album: Album | None
        error: ArctermError | None = None

    def __init__(self, source: str = "") -> None:
        super().__init__()
        self._source = source
        self._wish: Wish | None = None
        self._album: Album | None = None
        self._error: ArctermError | None = None
        self._shower = Shower()

    def compose(self) -> ComposeResult:
        """What it is made of."""
        yield Rows(self._draw_title, id="title")
        with Horizontal(id="source"):
            yield Label("look at", classes="label", markup=False)
            yield Input(
                self._source,
                placeholder="a pack, a folder of people, a .lst, a .bin, or a data set's name",
                suggester=PathSuggester(),
                compact=True,
            )
        with VerticalScroll(id="pictures", can_focus=False):
            yield Static("", markup=False)
        yield KeyLine()

    def on_mount(self) -> None:
        """Show what was asked for, or ask."""
        if self._source:
            self.call_after_refresh(self._ask)
        else:
            self.action_edit()

    def on_unmount(self) -> None:
        """End what is under way."""
        self._shower.end()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Show what was typed."""
        self._source = event.value.strip()
        self.set_focus(None)
        if self._source:
            self._ask()

    def on_resize(self, event: events.Resize) -> None:
        """Draw again for another width."""
        if self._wish is not None and self._wish.width != self._width():
            self._ask(self._wish.page, self._wish.pairs)

    def on_picture_screen_shown(self, message: Shown) -> None:
        """Put the pictures there, unless something else was asked for since."""
        if message.wish is not self._wish:
            return
        self._album, self._error = message.album, message.error
        error = message.error
        told = "" if error is None else f"{clean(error.message)}\n→ {clean(error.hint)}"
        content = message.album.text if message.album else Text(told, style="bold")
        self.query_one("#pictures Static", Static).update(content)
        self.query_one("#pictures").scroll_home(animate=False)
        self.query_one(Rows).repaint()
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what there is to see."""
        return self._album is not None or self._error is not None or action not in ("page", "pairs")

    def action_page(self, pages: int) -> None:
        """Other people."""
        if self._wish is None or self._album is None or self._wish.pairs:
            return
        last = max(0, (self._album.classes - 1) // PEOPLE_SHOWN)
        page = min(max(0, self._wish.page + pages), last)
        if page != self._wish.page:
            self._ask(page)

    def action_pairs(self) -> None:
        """Pairs or people."""
        if self._wish is not None:
            self._ask(pairs=not self._wish.pairs)

    def action_edit(self) -> None:
        """Type what to look at."""
        self.query_one(Input).focus()

    def action_scroll(self, lines: int) -> None:
        """Move in the pictures."""
        self.query_one("#pictures").scroll_relative(y=lines, animate=False)

    def action_back(self) -> None:
        """First leave the field, then the screen."""
        if self.focused is not None and self._wish is not None:
            self.set_focus(None)
        else:
            super().action_back()

    def _width(self) -> int:
        return max(20, self.size.width - 4)

    def _ask(self, page: int = 0, pairs: bool = False) -> None:
        plain = self.console_app.ascii
        wish = Wish(source=self._source, width=self._width(), page=page, pairs=pairs, ascii=plain)
        self._wish, self._album, self._error = wish, None, None
        self._shower.end()
        self._shower = shower = Shower()
        self.query_one(Rows).repaint()
        self.run_worker(self._work(shower, wish), thread=True, group="show", exit_on_error=False)

    def _work(self, shower: Shower, wish: Wish) -> Callable[[], None]:
        def work() -> None:
            try:
                self.post_message(self.Shown(wish, shower.show(wish)))
            except ArctermError as error:
                self.post_message(self.Shown(wish, None, error))

        return work

    def _draw_title(self, width: int, height: int) -> list[Line]:
        wish, album = self._wish, self._album
        told = "people and pairs of a data set"
        if wish is not None and album is None:
            told = "can't be shown" if self._error else "looking …"
        elif wish is not None and album is not None:
            first = wish.page * PEOPLE_SHOWN
            last = min(first + PEOPLE_SHOWN, album.classes) - 1
            told = f"people {first:,}–{last:,} of {album.classes:,}" if album.classes else "pairs"
        name = shorten(self._source, max(8, width - len(told) - 10))
        return [spread([("pictures", "head"), (name, "")], [(told, "dim")], width)]

"""Pictures of a data set: its people, page by page, or pairs of its verification sets."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.widgets import Input, Label, Static

from arcterm.console import terminal
from arcterm.console.keys import KeyLine
from arcterm.console.paths import PathSuggester
from arcterm.console.rows import Rows
from arcterm.console.screens.base import ConsoleScreen
from arcterm.errors import ArctermError, DataError
from arcterm.show import pairscores
from arcterm.show.drawing import coloured
from arcterm.show.lines import Line, shorten, spread, wrap
from arcterm.show.pages import PEOPLE_ON_PAGE, Page, PageDrawer, PageRequest
from arcterm.show.pairscores import ORDERS, Order, PairScores
from arcterm.text import clean


class PictureScreen(ConsoleScreen):
    """A field for the data set, over its pictures."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "n,right_square_bracket", "page(1)", "more people", tooltip="the next people; b the ones before"
        ),
        Binding("b,left_square_bracket", "page(-1)", "before", show=False),
        Binding("v", "pairs", "pairs", tooltip="pairs of the verification sets, or the people again"),
        Binding("o", "order", "order", tooltip="pairs hardest, nearest, farthest first, as a job scored"),
        Binding("e,slash", "edit", "edit", tooltip="look at something else"),
        Binding("j,down", "scroll(1)", "down", show=False),
        Binding("k,up", "scroll(-1)", "up", show=False),
        Binding("pagedown,space", "scroll(10)", "page down", show=False),
        Binding("pageup", "scroll(-10)", "page up", show=False),
        Binding("escape,q", "back", "back", tooltip="first leave the field, then the screen"),
    ]

    @dataclass
    class Drawn(Message):
        """A page was drawn, or could not be."""

        request: PageRequest
        result: Page | ArctermError

    @dataclass
    class Reading(Message):
        """Progress of the page."""

        request: PageRequest
        progress: str

    def __init__(self, source: str = "") -> None:
        super().__init__()
        self._source = source
        self._request: PageRequest | None = None
        self._scores: PairScores | None = None
        self._result: Page | ArctermError | None = None
        self._progress = ""
        self._drawer = PageDrawer()

    def compose(self) -> ComposeResult:
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
        """End the process that draws."""
        self._drawer.end()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Show what was typed."""
        self._source, self._scores = event.value.strip(), None
        self.set_focus(None)
        if self._source:
            self._ask()

    def on_resize(self, event: events.Resize) -> None:
        """Draw again for another width."""
        if self._request is not None and self._request.width != self._width():
            self._ask(self._request.page, self._request.pairs, self._request.order)

    def on_picture_screen_reading(self, message: Reading) -> None:
        """Show how far it is."""
        if message.request is self._request:
            self._progress = message.progress
            self.query_one(Rows).repaint()

    def on_picture_screen_drawn(self, message: Drawn) -> None:
        """Show the page, unless another was asked for since."""
        if message.request is not self._request:
            return
        self._result = result = message.result
        width = message.request.width
        if isinstance(result, Page):
            content = Text("\n").join(coloured(line, width) for line in result.lines)
        else:
            rows = [*wrap(clean(result.message), width), *wrap(f"→ {clean(result.hint)}", width)]
            content = Text("\n".join(rows), style="bold")
        self.query_one("#pictures Static", Static).update(content)
        self.query_one("#pictures").scroll_home(animate=False)
        self.query_one(Rows).repaint()
        self.refresh_bindings()

    def refusal(self, action: str) -> str:
        """What needs pictures."""
        if action == "order" and (self._request is None or not self._shows_pairs):
            return "people have no order; v shows pairs"
        return (
            "" if self._result is not None or action not in ("page", "pairs") else "no data set is read yet"
        )

    def action_page(self, pages: int) -> None:
        request, result = self._request, self._result
        if request is None or not isinstance(result, Page) or request.pairs:
            return
        last = max(0, (result.classes - 1) // PEOPLE_ON_PAGE)
        page = min(max(0, request.page + pages), last)
        if page != request.page:
            self._ask(page)

    def action_pairs(self) -> None:
        if self._request is not None:
            self._ask(pairs=not self._request.pairs)

    def action_order(self) -> None:
        """Go on to the next order of the pairs, or say that no job has scored them."""
        if self._request is None:
            return
        orders = list(ORDERS)
        order = orders[(orders.index(self._request.order) + 1) % len(orders)]
        source, root = self._source, self.console_app.root

        def look() -> Callable[[], None]:
            scores = self._scores or pairscores.find(root, source)
            if scores is None:
                raise DataError(
                    f"no verification has scored the pairs of {source}",
                    f"`arcterm verify MODEL {shlex.quote(source)}` measures them; then they can be sorted",
                )

            def ask() -> None:
                self._scores = scores
                self._ask(pairs=True, order=order)

            return ask

        self.perform(look)

    def action_edit(self) -> None:
        self.query_one(Input).focus()

    def action_scroll(self, lines: int) -> None:
        self.query_one("#pictures").scroll_relative(y=lines, animate=False)

    def action_back(self) -> None:
        """First leave the field, then the screen."""
        if self.focused is not None and self._request is not None:
            self.set_focus(None)
        else:
            super().action_back()

    def _width(self) -> int:
        return max(20, self.size.width - 4)

    @property
    def _shows_pairs(self) -> bool:
        request, result = self._request, self._result
        return isinstance(result, Page) and request is not None and (request.pairs or not result.classes)

    def _ask(self, page: int = 0, pairs: bool = False, order: Order = "file") -> None:
        mode: Literal["colour", "grey", "ascii"] = "grey" if terminal.colourless() else "colour"
        if self.console_app.ascii:
            mode = "ascii"
        request = PageRequest(
            source=self._source,
            width=self._width(),
            page=page,
            pairs=pairs,
            order=order,
            scores=self._scores.file if self._scores and order != "file" else "",
            mode=mode,
        )
        self._request, self._result, self._progress = request, None, ""
        self._drawer.end()
        self._drawer = drawer = PageDrawer()
        self.query_one(Rows).repaint()
        self.run_worker(partial(self._draw, drawer, request), thread=True, group="show", exit_on_error=False)

    def _draw(self, drawer: PageDrawer, request: PageRequest) -> None:
        """Draw a page, in a worker thread."""

        def progress(done: int, total: int, what: str = "", /) -> None:
            text = f"{clean(what) or 'reading'} {done:,} of {total:,}"
            self.post_message(self.Reading(request, text))

        try:
            self.post_message(self.Drawn(request, drawer.draw(request, progress)))
        except ArctermError as error:
            self.post_message(self.Drawn(request, error))

    def _draw_title(self, width: int, height: int) -> list[Line]:
        request, result = self._request, self._result
        if request is None:
            state = "people and pairs of a data set"
        elif result is None:
            state = self._progress or "looking …"
        elif not isinstance(result, Page):
            state = "can't be shown"
        else:
            first = request.page * PEOPLE_ON_PAGE
            last = min(first + PEOPLE_ON_PAGE, result.classes) - 1
            state = f"people {first:,}–{last:,} of {result.classes:,}" if result.classes else "pairs"
            if request.order != "file" and self._scores is not None:
                by = f"{clean(self._scores.model)} @{self._scores.step:,}"
                state = f"pairs {ORDERS[request.order]} by {shorten(by, max(12, width - 50))}"
        name = shorten(self._source, max(8, width - len(state) - 10))
        return [spread([("pictures", "head"), (name, "")], [(state, "dim")], width)]

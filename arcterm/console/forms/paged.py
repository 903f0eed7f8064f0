"""A form of many fields: a page for each section, which one jumps to, and one to review it all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widget import Widget

from arcterm.console.forms import sections
from arcterm.console.forms.fields import FieldRow
from arcterm.console.forms.pick import GpuBox, Offer, PickBox
from arcterm.console.forms.screen import Fields, Form
from arcterm.console.panels import launching
from arcterm.console.rows import Rows
from arcterm.console.screens.base import ConsoleScreen
from arcterm.show.lines import Line


class SectionList(Rows):
    """The sections; a click goes to one."""

    def on_click(self, event: events.Click) -> None:
        screen = self.screen
        if isinstance(screen, PagedForm) and event.y < len(screen.titles):
            self.call_later(screen.show_section, screen.titles[event.y])


class PagedForm(Form):
    """A form with a list of its sections beside the fields of one; the last page has no fields."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f2,ctrl+pagedown", "section(1)", "section", tooltip="go to the next group of fields"),
        Binding("shift+f2,f14,ctrl+pageup", "section(-1)", "section before", show=False),
        Binding("tab,down", "field(1)", "next field", show=False),
        Binding("shift+tab,up", "field(-1)", "previous field", show=False),
        Binding("f3,slash", "find", "find", tooltip="go to a field by its name or its help"),
        Binding("f4", "gpus", "GPUs", show=False, tooltip="choose GPUs by their free memory; enter in gpus"),
    ]
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012  Textual declares its type
        (0, "-slim"),
        (76, "-narrow"),
        *ConsoleScreen.HORIZONTAL_BREAKPOINTS[1:],
    ]
    titles: Sequence[str]
    """The sections and the review."""
    section = ""
    """The one that is shown; empty before there are fields."""

    def keys_of(self, title: str) -> Sequence[str]:
        """The fields of a section, without those that depend on others."""
        return sections.keys(title)

    def page_rows(self, title: str) -> list[Widget]:
        """The heading and the rows of a section."""
        raise NotImplementedError

    async def fill(self, title: str) -> None:
        """Add the fields of a new page that depend on others."""

    def reviewed(self, width: int) -> list[Line]:
        """The last page: what the form asks for, whole."""
        raise NotImplementedError

    def beside(self) -> ComposeResult:
        yield SectionList(self._draw_sections, id="sections")
        with Fields(id="form"):
            yield Rows(self._draw_review, id="reviewed")
        with VerticalScroll(id="side", can_focus=False):
            yield Rows(self._draw_review, id="reviewed-too")

    async def build(self, focused: str) -> None:
        """Show fields in place of those before, and go to the field `focused`."""
        await self.query(".page").remove()
        self.section = ""
        await self.go_to(focused)
        self.judge_later()

    async def show_section(self, title: str) -> None:
        """Show the page of a section; its fields are made when it is first shown."""
        if self.draft is None or title == self.section:
            return
        self.section = title
        if title != sections.REVIEW and not self.query(f"#{_page_id(title)}"):
            page = Vertical(*self.page_rows(title), id=_page_id(title), classes="page")
            await self.query_one("#form", Fields).mount(page)
            await self.fill(title)
        for each in self.query(".page"):
            each.display = each.id == _page_id(title)
        self.query_one("#reviewed").display = title == sections.REVIEW
        self.set_focus(None)
        self.say()

    async def go_to(self, key: str) -> None:
        await self.show_section(self._section_of(key))
        await super().go_to(key)
        # the first refresh lays a new page out, and only the second one knows where its rows are
        self.call_after_refresh(self.call_after_refresh, self._reveal)

    async def action_section(self, places: int) -> None:
        """Go to a section behind or before this one, and into its first field."""
        if self.draft is not None:
            titles = self.titles
            await self.show_section(titles[(titles.index(self.section) + places) % len(titles)])
            if rows := self._shown():
                await self.go_to(rows[0].key)

    async def action_field(self, places: int) -> None:
        """Go to a field behind or before this one, in the next section behind the last one."""
        if self.draft is None:
            return
        rows, row = self._shown(), self.focused_row
        index = rows.index(row) + places if row in rows else (0 if places > 0 else len(rows) - 1)
        if 0 <= index < len(rows):
            await self.go_to(rows[index].key)
            return
        titles = [title for title in self.titles if title != sections.REVIEW]
        here = titles.index(self.section) if self.section in titles else -min(places, 0)
        await self.show_section(titles[(here + places) % len(titles)])
        if rows := self._shown():
            await self.go_to(rows[0 if places > 0 else -1].key)

    def on_field_row_entered(self, message: FieldRow.Entered) -> None:
        """Open what helps to fill in the field, else go on to the next one."""
        if message.key == "gpus":
            self.action_gpus()
        else:
            self.call_later(self.action_field, 1)

    def action_gpus(self) -> None:
        """Choose GPUs in a box."""
        if self.draft is None:
            return
        plan = self.verdict.plan if self.verdict else None
        needed = plan.estimate.need.total if plan and plan.estimate.need and plan.estimate.exact else None

        def answer(text: object) -> None:
            if text is not None:
                self.call_later(self.take, {"gpus": str(text), "nproc": ""})

        self.app.push_screen(GpuBox(self.draft.text("gpus"), needed), answer)

    def action_find(self) -> None:
        """Go to a field by its name or its help."""
        if self.draft is None:
            return
        draft = self.draft
        every = [key for title in self.titles for key in self.keys_of(title)]
        every += [key for key in draft.fields() if "." in key]

        def answer(key: object) -> None:
            if key is not None:
                self.call_later(self.go_to, str(key))

        offers = [Offer(key.replace("_", " "), draft.note(key), key) for key in every if draft.relevant(key)]
        self.app.push_screen(PickBox("go to a field", offers), answer)

    @property
    def plan_beside(self) -> bool:
        return self.has_class("-wide") or self.section == sections.REVIEW

    def repaint(self) -> None:
        for rows in self.query("#reviewed, #reviewed-too").results(Rows):
            rows.styles.height = max(1, len(self._draw_review(rows.size.width or 40, 0)))
        super().repaint()

    def _shown(self) -> list[FieldRow]:
        """The rows of the shown section that have an effect."""
        page = self.query(f"#{_page_id(self.section)} FieldRow").results(FieldRow)
        return [row for row in page if row.display]

    def _section_of(self, key: str) -> str:
        return sections.section_of(key, self.titles)

    def _draw_sections(self, width: int, height: int) -> list[Line]:
        changed = self.draft.differences() if self.draft else []
        return launching.section_list(self.titles, self.section, self.problems, changed, width)

    def _draw_review(self, width: int, height: int) -> list[Line]:
        return self.reviewed(width) if self.draft is not None else []


def _page_id(title: str) -> str:
    return f"page-{''.join(filter(str.isalnum, title))}"

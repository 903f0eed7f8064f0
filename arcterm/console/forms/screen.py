"""Base of the forms: fields checked while typing, the equivalent command, one key that starts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.timer import Timer
from textual.widget import Widget

from arcterm.console.forms.draft import FormDraft, Verdict
from arcterm.console.forms.fields import FieldRow
from arcterm.console.forms.fixes import Fix
from arcterm.console.keys import KeyLine
from arcterm.console.messages import Judged, Refused
from arcterm.console.panels.answer import answer, help_lines
from arcterm.console.rows import Rows
from arcterm.console.screens.base import ConsoleScreen
from arcterm.errors import ArctermError
from arcterm.runs.store import Run
from arcterm.show.lines import Line, heading, spread

DEBOUNCE_SECONDS = 0.35


class Fields(VerticalScroll, can_focus=False, inherit_bindings=False):
    """The form's fields; the arrows move between them instead of scrolling."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup", "page_up", "scroll up", show=False),
        Binding("pagedown", "page_down", "scroll down", show=False),
    ]


class Form(ConsoleScreen, inherit_bindings=False):
    """Fields, the equivalent command, and what keeps it from starting."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+g,f5", "launch", "launch", priority=True, tooltip="start it; what it does is shown"),
        Binding("ctrl+f", "fix", "fix", priority=True, tooltip="solve the problem as it is proposed"),
        Binding("f8,n", "problem", "problem", tooltip="go to the next field that is wrong"),
        Binding("tab", "app.focus_next", "next field", show=False),
        Binding("down", "app.focus_next", "next field", tooltip="tab does the same"),
        Binding("shift+tab,up", "app.focus_previous", "previous field", show=False),
        Binding("ctrl+c,super+c", "screen.copy_text", "copy", show=False),
        Binding("escape,q", "back", "back", tooltip="first leave the field, then the form"),
    ]

    changes = frozenset({"launch", "save", "trial"})

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.verdict: Verdict | None = None
        self._serial = 0
        self._timer: Timer | None = None
        self._wanted = False

    @property
    def draft(self) -> FormDraft | None:
        """The form's texts; None before there are fields."""
        raise NotImplementedError

    def title_texts(self) -> tuple[str, str]:
        """The form's name, and a remark."""
        raise NotImplementedError

    @property
    def plan_beside(self) -> bool:
        """Whether the plan is seen elsewhere than below the fields."""
        return False

    def rows(self) -> list[Widget]:
        """The rows that are there from the start."""
        return []

    def beside(self) -> ComposeResult:
        """The fields, and what stands beside them."""
        yield Fields(*self.rows(), id="form")

    async def show_dependent(self, key: str) -> None:
        """Show the fields that depend on the text of `key`."""

    def checker(self) -> Callable[[], Verdict]:
        """Return a function that checks the form as it is now, in a thread."""
        raise NotImplementedError

    def starter(self, verdict: Verdict) -> Callable[[], Run]:
        """Return a function that starts it, in a thread."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        yield Rows(self._draw_title, id="title")
        with Horizontal(id="body"):
            yield from self.beside()
        yield Rows(self._draw_help, id="hint")
        yield Rows(lambda w, h: answer(self.draft, self.verdict, w, h, not self.plan_beside), id="answer")
        yield KeyLine()

    async def on_field_row_edited(self, message: FieldRow.Edited) -> None:
        """Take the text, show its problem, and check the whole form a little later."""
        if self.draft is None or self.draft.texts.get(message.key, "") == message.text:
            return
        self.draft.texts[message.key] = message.text
        await self.show_dependent(message.key)
        self.judge_later()

    def on_judged(self, message: Judged) -> None:
        """Show the verdict, unless the form has changed since."""
        if message.serial != self._serial:
            return
        self.verdict = message.verdict
        self.say()
        if self._wanted:
            self.action_launch()

    def on_refused(self, message: Refused) -> None:
        """Check again, since files may have changed; the base class shows the error."""
        self.judge_later()

    def copies(self) -> list[tuple[str, str]]:
        return [("command", self.draft.command())] if self.draft else []

    def action_launch(self) -> None:
        """Start it; while the check is under way, as soon as it has passed."""
        if self.draft is None:
            return
        if self.problems:
            self._wanted = False
            self.notify(
                "solve the problems below first; F8 goes to the next", severity="warning", markup=False
            )
            self.action_problem()
        elif self.verdict is None or not self.verdict.ready:
            self._wanted = True
        else:
            self._wanted = False
            begin = self.starter(self.verdict)
            self.verdict = None  # a second press must not start a second run

            def launch() -> Callable[[], None]:
                run = begin()
                return lambda: self.launched(run)

            self.act(launch)

    def launched(self, run: Run) -> None:
        """Show the run in place of the form."""
        self.console_app.leave()
        self.console_app.open_run(run)

    def on_descendant_focus(self) -> None:
        """Show the whole row of the field, once it is laid out, and what is to be known of it."""
        self.query_one("#hint", Rows).repaint()
        self.refresh_bindings()
        self.call_after_refresh(self._reveal)

    def _reveal(self) -> None:
        if (row := self.focused_row) is not None:
            row.scroll_visible(animate=False)

    @property
    def focused_row(self) -> FieldRow | None:
        """The row of the field in which one types; None if that is none."""
        return next((row for row in self.query(FieldRow) if row.has_focus_within), None)

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong, by field, as far as it is known now."""
        draft = self.draft
        return {**(self.verdict.problems if self.verdict else {}), **(draft.problems() if draft else {})}

    @property
    def fixes(self) -> dict[str, Fix]:
        """What would solve a problem, by field."""
        return self.draft.fixes(self.verdict) if self.draft else {}

    def action_problem(self) -> None:
        """Go to the next field that is wrong."""
        keys = [key for key in self.problems if key]
        if keys:
            row = self.focused_row
            here = keys.index(row.key) if row and row.key in keys else -1
            self.call_later(self.go_to, keys[(here + 1) % len(keys)])

    async def go_to(self, key: str) -> None:
        """Put the focus into the field of `key`."""
        for row in self.query(FieldRow):
            if row.key == key:
                # `focus` would wait its turn, and the next key go to the field before
                self.set_focus(row.query("Input, Select").first(Widget), scroll_visible=False)

    async def action_fix(self) -> None:
        """Solve the problem of this field, else the first one that a change is known for."""
        found, row = self.fixes, self.focused_row
        key = row.key if row and row.key in found else next(iter(found), None)
        if key is not None and self.draft is not None:
            await self.take(found[key].texts)

    async def take(self, texts: Mapping[str, str]) -> None:
        """Put texts into fields, shown or not, and go to the first of them."""
        assert self.draft is not None
        self.draft.texts |= texts
        for row in self.query(FieldRow):
            if row.key in texts:
                row.take(texts[row.key])
        for key in texts:
            await self.show_dependent(key)
        await self.go_to(next(iter(texts)))
        self.judge_later()

    def refusal(self, action: str) -> str:
        """What needs a problem, or a fix of one."""
        if action not in ("fix", "problem") or (
            self.is_mounted and (self.problems if action == "problem" else self.fixes)
        ):
            return ""
        return (
            "there is no problem" if action == "problem" or not self.problems else "no solution is proposed"
        )

    def action_back(self) -> None:
        """First leave the field, then the form."""
        if self.focused is not None:
            self.set_focus(None)
        else:
            super().action_back()

    def judge_later(self) -> None:
        """Show the problems of the texts at once, and check the rest when typing pauses."""
        self.verdict = None
        self._serial += 1
        self.say()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(DEBOUNCE_SECONDS, self._judge)

    def _judge(self) -> None:
        if self.draft is None or self.draft.problems():
            return
        serial, check = self._serial, self.checker()

        def work() -> None:
            try:
                verdict = check()
            except (ArctermError, OSError) as error:
                verdict = Verdict(problems={"": str(error)})
            self.post_message(Judged(serial, verdict))

        self.run_worker(work, thread=True, group="judge", exclusive=True, exit_on_error=False)

    def say(self) -> None:
        """Put the problems and notes beside their fields, and the answer below."""
        draft = self.draft
        if draft is None:
            return
        problems, changed = self.problems, {each.key for each in draft.differences()}
        for row in self.query(FieldRow):
            if row.display is not (relevant := draft.relevant(row.key)):
                row.display = relevant
            row.say(problems.get(row.key, ""), draft.note(row.key), row.key in changed)
        self.repaint()
        self.refresh_bindings()
        self.call_after_refresh(self._reveal)

    def repaint(self) -> None:
        """Draw every panel."""
        for rows in self.query(Rows):
            rows.repaint()

    def _draw_help(self, width: int, height: int) -> list[Line]:
        row = self.focused_row
        if self.draft is None or row is None:
            return []
        fix = self.fixes.get(row.key)
        return help_lines(self.draft, row.key, self.problems.get(row.key, ""), fix, width, height)

    def _draw_title(self, width: int, height: int) -> list[Line]:
        name, remark = self.title_texts()
        return [spread([(name, "head"), (remark, "dim")], [], width)]


def section(title: str) -> Rows:
    return Rows(lambda width, height: [heading(title, width)], classes="section")

"""What every form has: fields checked while typing, the equivalent command, one key that starts it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Protocol

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.timer import Timer
from textual.widget import Widget

from arcterm.console.keys import KeyLine
from arcterm.console.messages import Judged, Refused
from arcterm.console.panels.answer import Answered, answer
from arcterm.console.rows import Rows
from arcterm.console.screens.base import ConsoleScreen
from arcterm.console.screens.fields import FieldRow
from arcterm.console.trainform import Verdict
from arcterm.errors import ArctermError
from arcterm.runs.store import Run
from arcterm.show.lines import Line, heading, spread

DEBOUNCE_SECONDS = 0.35


class Asking(Answered, Protocol):
    """What a form shows and changes: the texts of its fields."""

    texts: dict[str, str]

    def note(self, key: str) -> str:
        """What a field is for."""

    def relevant(self, key: str) -> bool:
        """Whether a field means anything now."""


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
        Binding("f2", "problem", "next problem", tooltip="go to the next field that is wrong"),
        Binding("tab", "app.focus_next", "next field", show=False),
        Binding("down", "app.focus_next", "next field", tooltip="tab does the same"),
        Binding("shift+tab,up", "app.focus_previous", "previous field", show=False),
        Binding("ctrl+c,super+c", "screen.copy_text", "copy", show=False),
        Binding("escape,q", "back", "back", tooltip="first leave the field, then the form"),
    ]

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.verdict: Verdict | None = None
        self._serial = 0
        self._timer: Timer | None = None
        self._wanted = False

    @property
    def asking(self) -> Asking | None:
        """What the fields say; None before there are any."""
        raise NotImplementedError

    def about(self) -> tuple[str, str]:
        """What the form is for, and a remark."""
        raise NotImplementedError

    def rows(self) -> list[Widget]:
        """The fields that are known at once."""
        return []

    def question(self) -> Callable[[], Verdict]:
        """What checks the whole as it is now; it is called in a thread."""
        raise NotImplementedError

    def beginning(self, verdict: Verdict) -> Callable[[], Run]:
        """What starts it; it is called in a thread."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        """What it is made of."""
        yield Rows(self._draw_title, id="title")
        yield Fields(*self.rows(), id="form")
        yield Rows(lambda w, h: answer(self.asking, self.verdict, w, h), id="answer")
        yield KeyLine()

    def on_judged(self, message: Judged) -> None:
        """Show the verdict, unless the form has changed since."""
        if message.serial != self._serial:
            return
        self.verdict = message.verdict
        self.say()
        if self._wanted:
            self.action_launch()

    def on_refused(self, message: Refused) -> None:
        """Check again what may have changed; the base class has said why it could not start."""
        self.judge_later()

    def action_launch(self) -> None:
        """Start it; while the check is under way, as soon as it has passed."""
        if self.asking is None:
            return
        if self.asking.problems() or (self.verdict and self.verdict.problems):
            self._wanted = False
            self.notify(
                "solve the problems below first; F2 goes to the next", severity="warning", markup=False
            )
            self.action_problem()
        elif self.verdict is None or not self.verdict.ready:
            self._wanted = True
        else:
            self._wanted = False
            begin = self.beginning(self.verdict)
            self.verdict = None  # a second press must not start a second run

            def launch() -> Callable[[], None]:
                run = begin()
                return lambda: self.launched(run)

            self.perform(launch)

    def launched(self, run: Run) -> None:
        """Show what was started in place of the form."""
        self.console_app.leave()
        self.console_app.open_run(run)

    def on_descendant_focus(self) -> None:
        """Show the whole row of the field, with what is said of it, once it is laid out."""
        self.call_after_refresh(self._reveal)

    def _reveal(self) -> None:
        row = next((row for row in self.query(FieldRow) if row.has_focus_within), None)
        if row is not None:
            row.scroll_visible(animate=False)

    def action_problem(self) -> None:
        """Go to the next field that is wrong."""
        wrong = [row for row in self.query(FieldRow) if row.has_class("-wrong")]
        if wrong:
            here = next((i for i, row in enumerate(wrong) if row.has_focus_within), -1)
            wrong[(here + 1) % len(wrong)].query("Input, Select").first(Widget).focus()

    def action_back(self) -> None:
        """First leave the field, then the form."""
        if self.focused is not None:
            self.set_focus(None)
        else:
            super().action_back()

    def judge_later(self) -> None:
        """Say at once what can be said, and check the rest when typing pauses."""
        self.verdict = None
        self._serial += 1
        self.say()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(DEBOUNCE_SECONDS, self._judge)

    def _judge(self) -> None:
        if self.asking is None or self.asking.problems():
            return
        serial, check = self._serial, self.question()

        def work() -> None:
            try:
                verdict = check()
            except (ArctermError, OSError) as error:
                verdict = Verdict(problems={"": str(error)})
            self.post_message(Judged(serial, verdict))

        self.run_worker(work, thread=True, group="judge", exclusive=True, exit_on_error=False)

    def say(self) -> None:
        """Put the problems and notes beside their fields, and the answer below."""
        if self.asking is None:
            return
        problems = {**(self.verdict.problems if self.verdict else {}), **self.asking.problems()}
        for row in self.query(FieldRow):
            if row.display is not (relevant := self.asking.relevant(row.key)):
                row.display = relevant
            row.say(problems.get(row.key, ""), self.asking.note(row.key))
        for rows in self.query(Rows):
            rows.repaint()
        self.call_after_refresh(self._reveal)

    def _draw_title(self, width: int, height: int) -> list[Line]:
        name, remark = self.about()
        return [spread([(name, "head"), (remark, "dim")], [], width)]


def section(title: str) -> Rows:
    """A heading between fields."""
    return Rows(lambda width, height: [heading(title, width)], classes="section")

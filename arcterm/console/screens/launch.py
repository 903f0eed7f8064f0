"""The launch form: every field from the registry and the settings, checked while typing."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from arcterm_registry import Plugin
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget

from arcterm.config import OPTION_GROUPS, SETTINGS
from arcterm.console.draft import SECTIONS, Draft, Verdict, installed, judge
from arcterm.console.keys import KeyLine
from arcterm.console.lines import Line, heading, spread
from arcterm.console.messages import Judged, Refused
from arcterm.console.panels.answer import answer
from arcterm.console.rows import Rows
from arcterm.console.screens.base import ConsoleScreen
from arcterm.console.screens.fields import ChoiceRow, FieldRow, TextRow, row_for
from arcterm.errors import ArctermError
from arcterm.launch import start
from arcterm.runs.store import Run

_DEBOUNCE_SECONDS = 0.35


class Fields(VerticalScroll, can_focus=False, inherit_bindings=False):
    """The form's fields; the arrows move between them instead of scrolling."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup", "page_up", "scroll up", show=False),
        Binding("pagedown", "page_down", "scroll down", show=False),
    ]


class LaunchForm(ConsoleScreen, inherit_bindings=False):
    """Fields, the equivalent command, and what keeps it from starting."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+g,f5", "launch", "launch", priority=True, tooltip="start the run; its dashboard opens"),
        Binding("f2", "problem", "next problem", tooltip="go to the next field that is wrong"),
        Binding("tab", "app.focus_next", "next field", show=False),
        Binding("down", "app.focus_next", "next field", tooltip="tab does the same"),
        Binding("up", "app.focus_previous", "previous field", show=False),
        Binding("escape,q", "back", "back", tooltip="first leave the field, then the form"),
    ]

    @dataclass
    class Found(Message):
        """The installed plug-ins are known."""

        plugins: dict[str, list[Plugin]]

    def __init__(self, root: Path, texts: Mapping[str, str]) -> None:
        super().__init__()
        self.root = root
        self._texts = dict(texts)
        self.draft: Draft | None = None
        self.verdict: Verdict | None = None
        self._serial = 0
        self._timer: Timer | None = None
        self._wanted = False

    def compose(self) -> ComposeResult:
        """What it is made of."""
        yield Rows(self._draw_title, id="title")
        yield Fields(id="form")
        yield Rows(lambda w, h: answer(self.draft, self.verdict, w, h), id="answer")
        yield KeyLine()

    def on_mount(self) -> None:
        """Look for plug-ins; that imports what strangers wrote, so not in the UI's thread."""
        self.run_worker(lambda: self.post_message(self.Found(installed())), thread=True, exit_on_error=False)

    async def on_launch_form_found(self, message: Found) -> None:
        """Build the form."""
        self.draft = Draft(message.plugins, self._texts)
        form = self.query_one("#form")
        await form.mount(*self._rows(self.draft))
        for kind in OPTION_GROUPS:
            await self._show_options(kind)
        self._judge_later()
        first = form.query("FieldRow > Select, FieldRow > Input").first(Widget)
        self.set_focus(first)

    async def on_field_row_edited(self, message: FieldRow.Edited) -> None:
        """Take in what was typed, say what is wrong, and check the whole a little later."""
        if self.draft is None or self.draft.texts.get(message.key, "") == message.text:
            return
        self.draft.texts[message.key] = message.text
        if message.key in OPTION_GROUPS:
            await self._show_options(message.key)
        self._judge_later()

    def on_judged(self, message: Judged) -> None:
        """Show the verdict, unless the form has changed since."""
        if message.serial != self._serial:
            return
        self.verdict = message.verdict
        self._say()
        if self._wanted:
            self.action_launch()

    def on_refused(self, message: Refused) -> None:
        """Check again what may have changed; the base class has said why it could not start."""
        self._judge_later()

    def action_launch(self) -> None:
        """Start the run; while the check is under way, as soon as it has passed."""
        if self.draft is None:
            return
        if self.draft.problems() or (self.verdict and self.verdict.problems):
            self._wanted = False
            self.notify(
                "solve the problems below first; F2 goes to the next", severity="warning", markup=False
            )
            self.action_problem()
        elif self.verdict is None or self.verdict.plan is None:
            self._wanted = True
        else:
            self._wanted = False
            self._start(self.draft, self.verdict)

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

    def _start(self, draft: Draft, verdict: Verdict) -> None:
        plan = verdict.plan
        if plan is None:
            return
        name, argv = draft.texts.get("name", "").strip(), shlex.split(draft.command())
        self.verdict = None  # a second press must not start a second run

        def launch() -> Callable[[], None]:
            run = start.start(plan, self.root, name=name, argv=argv)
            return lambda: self._launched(run)

        self.perform(launch)

    def _launched(self, run: Run) -> None:
        self.console_app.leave()
        self.console_app.open_run(run)

    def _judge_later(self) -> None:
        """Say at once what can be said, and check the rest when typing pauses."""
        self.verdict = None
        self._serial += 1
        self._say()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(_DEBOUNCE_SECONDS, self._judge)

    def _judge(self) -> None:
        if self.draft is None or self.draft.problems():
            return
        serial, settings = self._serial, self.draft.settings()

        def work() -> None:
            try:
                verdict = judge(settings, self.root)
            except (ArctermError, OSError) as error:
                verdict = Verdict(problems={"": str(error)})
            self.post_message(Judged(serial, verdict))

        self.run_worker(work, thread=True, group="judge", exclusive=True, exit_on_error=False)

    def _say(self) -> None:
        """Put the problems and notes beside their fields, and the answer below."""
        if self.draft is None:
            return
        problems = {**(self.verdict.problems if self.verdict else {}), **self.draft.problems()}
        for row in self.query(FieldRow):
            if row.display is not (relevant := self.draft.relevant(row.key)):
                row.display = relevant
            row.say(problems.get(row.key, ""), self.draft.note(row.key))
        for rows in self.query(Rows):
            rows.repaint()

    def _rows(self, draft: Draft) -> list[Widget]:
        """All fields but the plug-ins' own options, under their headings."""
        fields, texts = draft.fields(), draft.texts
        listed = {key for keys in SECTIONS.values() for key in keys}
        rest = tuple(option.name for option in SETTINGS if option.name not in listed)
        names = [name for _, name in draft.choices("dataset")]
        dataset = TextRow(fields["name"].renamed("dataset"), texts.get("dataset", ""), names, "demo")
        rows: list[Widget] = [
            _section("model"),
            ChoiceRow("backbone", "backbone", texts.get("backbone", ""), draft.choices("backbone")),
            Vertical(id="options-backbone", classes="options"),
            ChoiceRow("loss", "loss", texts.get("loss", ""), draft.choices("loss")),
            Vertical(id="options-loss", classes="options"),
            _section("data"),
            dataset,
            Vertical(id="options-dataset", classes="options"),
        ]
        for title, keys in {**SECTIONS, "more": rest}.items():
            rows.append(_section(title))
            rows += [TextRow(fields["name"], texts.get("name", ""))] if title == "run" else []
            rows += [row_for(fields[key], texts.get(key, "")) for key in keys]
        return rows

    async def _show_options(self, kind: str) -> None:
        """The chosen plug-in's own options, in place of the former one's."""
        draft = self.draft
        if draft is None:
            return
        holder = self.query_one(f"#options-{kind}")
        await holder.remove_children()
        await holder.mount(*(row_for(f, draft.texts.get(f.key, "")) for f in draft.options(kind)))

    def _draw_title(self, width: int, height: int) -> list[Line]:
        return [spread([("new run", "head"), ("nothing starts until ^g", "dim")], [], width)]


def _section(title: str) -> Rows:
    return Rows(lambda width, height: [heading(title, width)], classes="section")

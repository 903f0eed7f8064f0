"""The launch form: every field from the registry and the settings, checked while typing."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from arcterm_registry import Plugin
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget

from arcterm.config import OPTION_GROUPS
from arcterm.console.screens.fields import ChoiceRow, FieldRow, TextRow, row_for
from arcterm.console.screens.form import Form, section
from arcterm.console.trainform import SECTIONS, Draft, Verdict, installed, judge
from arcterm.errors import ConfigError
from arcterm.launch import start
from arcterm.runs.store import Run
from arcterm.settings import SETTINGS


class LaunchForm(Form):
    """A new training run."""

    @dataclass
    class Found(Message):
        """The installed plug-ins are known."""

        plugins: dict[str, list[Plugin]]

    def __init__(self, root: Path, texts: Mapping[str, str]) -> None:
        super().__init__(root)
        self._texts = dict(texts)
        self.draft: Draft | None = None

    @property
    def asking(self) -> Draft | None:
        """What the fields say; None while the plug-ins are being looked for."""
        return self.draft

    def about(self) -> tuple[str, str]:
        """What the form is for, and a remark."""
        return "new run", "nothing starts until ^g"

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
        self.judge_later()
        first = form.query("FieldRow > Select, FieldRow > Input").first(Widget)
        self.set_focus(first)

    async def on_field_row_edited(self, message: FieldRow.Edited) -> None:
        """Take in what was typed, say what is wrong, and check the whole a little later."""
        if self.draft is None or self.draft.texts.get(message.key, "") == message.text:
            return
        self.draft.texts[message.key] = message.text
        if message.key in OPTION_GROUPS:
            await self._show_options(message.key)
        self.judge_later()

    def question(self) -> Callable[[], Verdict]:
        """What checks the whole as it is now."""
        settings, root = self.draft.settings() if self.draft else {}, self.root
        return lambda: judge(settings, root)

    def beginning(self, verdict: Verdict) -> Callable[[], Run]:
        """What starts the run."""
        draft, plan = self.draft, verdict.plan
        if draft is None or plan is None:
            raise ConfigError("the form isn't checked yet", "wait until it says that it is ready")
        name, argv = draft.texts.get("name", "").strip(), shlex.split(draft.command())
        return lambda: start.start(plan, self.root, name=name, argv=argv)

    def _rows(self, draft: Draft) -> list[Widget]:
        """All fields but the plug-ins' own options, under their headings."""
        fields, texts = draft.fields(), draft.texts
        listed = {key for keys in SECTIONS.values() for key in keys}
        rest = tuple(option.name for option in SETTINGS if option.name not in listed)
        names = [name for _, name in draft.choices("dataset")]
        dataset = TextRow(fields["name"].renamed("dataset"), texts.get("dataset", ""), names, "demo")
        rows: list[Widget] = [
            section("model"),
            ChoiceRow("backbone", "backbone", texts.get("backbone", ""), draft.choices("backbone")),
            Vertical(id="options-backbone", classes="options"),
            ChoiceRow("loss", "loss", texts.get("loss", ""), draft.choices("loss")),
            Vertical(id="options-loss", classes="options"),
            section("data"),
            dataset,
            Vertical(id="options-dataset", classes="options"),
        ]
        for title, keys in {**SECTIONS, "more": rest}.items():
            rows.append(section(title))
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

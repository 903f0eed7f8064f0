"""The launch form: every field from the registry and the settings, checked while typing."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from arcterm_registry import Plugin
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget

from arcterm.console.forms import recipedraft
from arcterm.console.forms.draft import Verdict
from arcterm.console.forms.fields import ChoiceRow, TextRow, row_for
from arcterm.console.forms.screen import Form, section
from arcterm.console.forms.training import DEPENDED_ON, SECTIONS, Draft, installed, judge
from arcterm.console.screens.boxes import Ask
from arcterm.errors import ConfigError
from arcterm.launch import start
from arcterm.launch.plan import make_plan
from arcterm.launch.recipes import save
from arcterm.launch.recipes.find import Listed
from arcterm.runs.store import Run
from arcterm.settings import SETTINGS


class LaunchForm(Form):
    """A new training run."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "save", priority=True, tooltip="keep these settings as a recipe"),
    ]

    @dataclass
    class Found(Message):
        """The installed plug-ins and the recipes are known."""

        plugins: dict[str, list[Plugin]]
        recipes: dict[str, Listed]

    def __init__(self, root: Path, texts: Mapping[str, str]) -> None:
        super().__init__(root)
        self._texts = dict(texts)
        self._draft: Draft | None = None

    @property
    def draft(self) -> Draft | None:
        """The form's texts; None while the plug-ins are being looked for."""
        return self._draft

    def title_texts(self) -> tuple[str, str]:
        return "new run", "nothing starts until ^g"

    def on_mount(self) -> None:
        """Look for plug-ins in a thread, since that imports code of strangers."""

        def look() -> None:
            self.post_message(self.Found(installed(), recipedraft.installed()))

        self.run_worker(look, thread=True, exit_on_error=False)

    async def on_launch_form_found(self, message: Found) -> None:
        """Build the form."""
        self._draft = draft = Draft(message.plugins, self._texts, message.recipes)
        await self._build(draft, "backbone")

    async def _build(self, draft: Draft, focused: str) -> None:
        """Show the rows in place of those before, and go to the field `focused`."""
        form = self.query_one("#form")
        await form.remove_children()
        await form.mount(*self._rows(draft))
        for kind in DEPENDED_ON:
            await self.show_dependent(kind)
        self.judge_later()
        self.set_focus(form.query(f"#field-{focused} > Select, #field-{focused} > Input").first(Widget))

    async def show_dependent(self, key: str) -> None:
        """Show the chosen plug-in's own options in place of the former one's; all anew for a recipe."""
        if self.draft is None:
            return
        if key == "recipe":
            self.draft.load(self.draft.text("recipe"))
            await self._build(self.draft, "recipe")
        elif key in DEPENDED_ON:
            holder = self.query_one(f"#options-{key}")
            await holder.remove_children()
            texts = self.draft.texts
            await holder.mount(*(row_for(f, texts.get(f.key, "")) for f in self.draft.options(key)))

    def action_save(self) -> None:
        """Ask for a name, and save the settings as a recipe."""
        plan = self.verdict.plan if self.verdict else None
        if self.draft is None or plan is None:
            self.notify("it can be saved when it is ready to launch", severity="warning", markup=False)
            return
        recipe = self.draft.as_recipe(plan.config.global_batch)

        def save_as(name: object) -> None:
            if name:
                self.act(lambda: self._saved(str(name), save.save(str(name), recipe)))

        self.app.push_screen(Ask("save the settings as a recipe", "its name"), save_as)

    def _saved(self, name: str, path: Path) -> Callable[[], None]:
        return lambda: self.notify(f"arcterm train --recipe {name}\n{path}", title="saved", markup=False)

    def checker(self) -> Callable[[], Verdict]:
        settings, root = self.draft.settings() if self.draft else {}, self.root
        return lambda: judge(settings, root)

    def starter(self, verdict: Verdict) -> Callable[[], Run]:
        draft, plan = self.draft, verdict.plan
        if draft is None or plan is None:
            raise ConfigError("the form isn't checked yet", "wait until it says that it is ready")
        name, argv = draft.text("name"), shlex.split(draft.command())
        settings = draft.settings()

        def launch() -> Run:
            # a form is judged by what is known at once; now there is time for a closer look
            closer = make_plan(settings, root=self.root, look="tight")
            return start.start(closer, self.root, name=name, argv=argv)

        return launch

    def _rows(self, draft: Draft) -> list[Widget]:
        """All fields but the plug-ins' own options, under their headings."""
        fields, texts = draft.fields(), draft.texts
        listed = {key for keys in SECTIONS.values() for key in keys}
        rest = tuple(option.name for option in SETTINGS if option.name not in listed)
        names = [name for _, name in draft.choices("dataset")]
        given = draft.shown("dataset") or "demo"
        dataset = TextRow(fields["name"].renamed("dataset"), texts.get("dataset", ""), names, given)
        rows: list[Widget] = [
            section("model"),
            ChoiceRow("recipe", "recipe", texts.get("recipe", ""), draft.choices("recipe"), default="none"),
            _model_row(draft, "backbone"),
            Vertical(id="options-backbone", classes="options"),
            _model_row(draft, "loss"),
            Vertical(id="options-loss", classes="options"),
            section("data"),
            dataset,
            Vertical(id="options-dataset", classes="options"),
        ]
        for title, keys in {**SECTIONS, "more": rest}.items():
            rows.append(section(title))
            rows += [TextRow(fields["name"], texts.get("name", ""))] if title == "run" else []
            for key in keys:
                rows.append(row_for(fields[key], texts.get(key, "")))
                rows += [Vertical(id="options-track", classes="options")] if key == "track" else []
        return rows


def _model_row(draft: Draft, kind: str) -> ChoiceRow:
    """The row of the backbone or the loss, which may be left to a recipe."""
    said = draft.shown(kind) if draft.recipe else ""
    return ChoiceRow(kind, kind, draft.text(kind), draft.choices(kind), default=said or None)

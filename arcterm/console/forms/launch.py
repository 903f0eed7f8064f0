"""The launch form: every field from the registry and the settings, checked while typing."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from arcterm_registry import Plugin, refresh
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget

from arcterm.console import remembered
from arcterm.console.forms import recipedraft, sections
from arcterm.console.forms.draft import Verdict
from arcterm.console.forms.fields import ChoiceRow, FieldRow, TextRow, row_for
from arcterm.console.forms.judge import Judge
from arcterm.console.forms.paged import PagedForm
from arcterm.console.forms.pick import Offer, PickBox
from arcterm.console.forms.screen import section
from arcterm.console.forms.training import DEPENDED_ON, Basis, Draft, installed
from arcterm.console.panels import launching
from arcterm.console.screens.boxes import Ask
from arcterm.console.screens.command import run_command
from arcterm.errors import ConfigError
from arcterm.launch import start
from arcterm.launch.recipes import save
from arcterm.launch.recipes.find import Listed
from arcterm.runs import store
from arcterm.runs.store import Run
from arcterm.show.lines import Line
from arcterm.text import first_of

_MOST_RUNS = 300


class LaunchForm(PagedForm):
    """A new training run: a page of fields for each section, and one to review it all."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+t", "trial", "try", priority=True, tooltip="try steps in a process: memory and time"),
        Binding("ctrl+s", "save", "save", priority=True, tooltip="keep these settings as a recipe"),
        Binding("ctrl+o", "load", "load", priority=True, tooltip="begin with a recipe, or with a run"),
        Binding(
            "ctrl+r,r",
            "refresh",
            "look again",
            priority=False,
            show=False,
            tooltip="look for plug-ins that were installed meanwhile",
        ),
    ]

    @dataclass
    class Found(Message):
        """The installed plug-ins and the recipes are known."""

        plugins: dict[str, list[Plugin]]
        recipes: dict[str, Listed]
        again: bool = False

    def __init__(self, root: Path, texts: Mapping[str, str], forked: str = "") -> None:
        super().__init__(root)
        self._texts = dict(texts)
        self._basis = Basis(forked, dict(texts)) if forked else None
        self._draft: Draft | None = None
        self._judge_process = Judge()
        self._wanted_field = ""
        self.titles = sections.titles()

    @classmethod
    def kept(cls, root: Path) -> LaunchForm:
        """The form as it was left, in this session or an earlier one."""
        texts: dict[str, str] = remembered.get("launch", {})
        return cls(
            root, {str(k): str(v) for k, v in texts.items()} or {"backbone": "tiny", "loss": "arcface"}
        )

    @property
    def draft(self) -> Draft | None:
        """The form's texts; None while the plug-ins are being looked for."""
        return self._draft

    def title_texts(self) -> tuple[str, str]:
        began = f"like {self._basis.name}, " if self._basis else ""
        return "new run", f"{began}nothing starts until ^g"

    def on_mount(self) -> None:
        self._look()

    def _look(self, again: bool = False) -> None:
        """Look for plug-ins and recipes in a thread; `again`, what is installed may be other than before."""

        def look() -> None:
            if again:
                refresh()
                self._judge_process.end()  # another one knows what is installed now
            self.post_message(self.Found(installed(), recipedraft.installed(), again))

        self.run_worker(look, thread=True, exit_on_error=False)

    async def on_launch_form_found(self, message: Found) -> None:
        """Build the form, where one was before with the field in which one types."""
        row, before = self.focused_row, self._draft
        self._draft = Draft(message.plugins, self._texts, message.recipes, self._basis)
        if before is not None and message.again:
            self.notify(_news(before, self._draft), title="looked again", timeout=5, markup=False)
        wanted, self._wanted_field = self._wanted_field, ""
        if wanted == "recipe":
            self._draft.load(self._draft.text(wanted))
        await self.build(wanted or (row.key if row else "backbone"))

    def want(self, key: str, name: str) -> None:
        """Choose a plug-in or a recipe; what else is typed stays."""
        self._texts[key] = name
        self._wanted_field = key
        if self._draft is not None:  # else the first look is under way
            self._look()

    def action_refresh(self) -> None:
        """Look again for plug-ins and recipes; what is typed stays."""
        self._look(again=True)

    def action_load(self) -> None:
        """Choose a recipe or a training to begin with."""
        if self.draft is None:
            return
        recipes = [
            Offer(name, f"recipe: {one.recipe.summary or one.package}", ("recipe", name))
            for name, one in self.draft.recipes.items()
            if one.recipe
        ]

        def look() -> Callable[[], None]:
            offers = [*recipes, *_trainings(self.root)]
            return lambda: self._offer(offers)

        self.perform(look)

    def _offer(self, offers: list[Offer]) -> None:
        def answer(value: object) -> None:
            if isinstance(value, tuple):
                self.call_later(self._begin_with, *value)

        self.app.push_screen(PickBox("begin with a recipe, or with the settings of a run", offers), answer)

    async def _begin_with(self, what: str, chosen: Any) -> None:
        """Take the settings of a recipe by its name, or of a run."""
        if what == "recipe":
            await self.take({"recipe": chosen})
        elif self._draft is not None:
            texts = dict(chosen.config.form[1])
            self._basis = self._draft.basis = Basis(chosen.name, dict(texts))
            self._texts = self._draft.texts = texts
            await self.build("backbone")

    def action_trial(self) -> None:
        """Follow the memory and try steps in a process of its own, as ``--dry-run`` does."""
        if self.draft is None or self.problems:
            self.action_problem()
            return
        run_command(
            self, [*shlex.split(self.draft.command())[1:], "--dry-run"], ["--runs-dir", str(self.root)]
        )

    async def show_dependent(self, key: str) -> None:
        """Show the chosen plug-in's own options in place of the former one's; all anew for a recipe."""
        if self.draft is None:
            return
        if key == "recipe":
            self.draft.load(self.draft.text("recipe"))
            await self.build("recipe")
        elif key in DEPENDED_ON:
            texts = self.draft.texts
            for holder in self.query(f"#options-{key}"):
                await holder.remove_children()
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
        return lambda: self._judge_process.ask(settings, root)

    def starter(self, verdict: Verdict) -> Callable[[], Run]:
        draft, root = self.draft, self.root
        if draft is None or verdict.plan is None:
            raise ConfigError("the form isn't checked yet", "wait until it says that it is ready")
        name, argv = draft.text("name"), shlex.split(draft.command())
        settings = draft.settings()

        def launch() -> Run:
            # a form is judged by what is known at once; now there is time for a closer look
            closer = self._judge_process.ask(settings, root, "tight")
            if closer.plan is None:
                raise ConfigError(next(iter(closer.problems.values()), "it can't be started"))
            return start.start(closer.plan, root, name=name, argv=argv)

        return launch

    def on_unmount(self) -> None:
        """End the process that judges, and keep what is typed, but for the name: no two runs have one."""
        self._judge_process.close()
        if self.draft is not None:
            texts = {key: text for key, text in self.draft.texts.items() if text and key != "name"}
            remembered.put("launch", texts)

    def page_rows(self, title: str) -> list[Widget]:
        """The rows of a section, and a place for the options of what is chosen in it."""
        assert self.draft is not None
        rows: list[Widget] = [section(title)]
        for key in sections.keys(title):
            rows.append(_row(self.draft, key))
            rows += [Vertical(id=f"options-{key}", classes="options")] if key in DEPENDED_ON else []
        return rows

    async def fill(self, title: str) -> None:
        for kind in DEPENDED_ON:
            if kind in sections.keys(title):
                await self.show_dependent(kind)

    def reviewed(self, width: int) -> list[Line]:
        if self.draft is None:
            return []
        changed = self.draft.differences()
        return launching.review(self.draft.begins_with, changed, self.problems, self.verdict, width)


def _trainings(root: Path) -> list[Offer]:
    """The newest trainings, whose settings a form may begin with."""
    records = [(run, store.recorded(run)) for run in store.list_runs(root)[:_MOST_RUNS]]
    return [
        Offer(run.name, f"run: {record.config.title}", ("run", run))
        for run, record in records
        if record is not None and record.config.kind == "training"
    ]


def _news(before: Draft, now: Draft) -> str:
    """Say which plug-ins came and went."""
    old, new = (
        {f"{kind} {p.name}" for kind, found in draft.plugins.items() for p in found if not p.error}
        for draft in (before, now)
    )
    came, went = sorted(new - old), sorted(old - new)
    parts = [f"new: {first_of(came, 5)}"] if came else []
    parts += [f"gone: {first_of(went, 5)}"] if went else []
    return "; ".join(parts) or "nothing came or went"


def _row(draft: Draft, key: str) -> FieldRow:
    """The row of a field of the form's own, or of a setting."""
    texts, entry = draft.texts, draft.fields().get(key)
    if key in ("backbone", "loss", "recipe"):
        said = draft.shown(key) if draft.recipe else ""
        default = "none" if key == "recipe" else said or None
        return ChoiceRow(key, key, draft.text(key), draft.choices(key), default=default)
    if key == "launcher":
        return ChoiceRow(key, key, draft.text(key), draft.choices(key), default="local")
    if key == "dataset":
        names = [name for _, name in draft.choices(key)]
        return TextRow(draft.named(key), texts.get(key, ""), names, draft.shown(key) or "demo")
    assert entry is not None  # all others are settings
    return row_for(entry, texts.get(key, ""))

"""The launch form: every field from the registry and the settings, checked while typing."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from arcterm_registry import Plugin, refresh
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.widget import Widget

from arcterm.console.forms import recipedraft, sections
from arcterm.console.forms.draft import Verdict
from arcterm.console.forms.fields import ChoiceRow, FieldRow, TextRow, row_for
from arcterm.console.forms.judging import judge
from arcterm.console.forms.pick import GpuBox, Offer, PickBox
from arcterm.console.forms.screen import Fields, Form, section
from arcterm.console.forms.training import DEPENDED_ON, Basis, Draft, installed
from arcterm.console.panels import launching
from arcterm.console.rows import Rows
from arcterm.console.screens.boxes import Ask
from arcterm.console.screens.command import run_command
from arcterm.errors import ConfigError
from arcterm.launch import start
from arcterm.launch.plan import make_plan
from arcterm.launch.recipes import save
from arcterm.launch.recipes.find import Listed
from arcterm.runs import store
from arcterm.runs.store import Run
from arcterm.show.lines import Line
from arcterm.text import first_of

_MOST_RUNS = 300


class SectionList(Rows):
    """The sections; a click goes to one."""

    def on_click(self, event: events.Click) -> None:
        titles = sections.titles()
        if isinstance(self.screen, LaunchForm) and event.y < len(titles):
            self.call_later(self.screen.show_section, titles[event.y])


class LaunchForm(Form):
    """A new training run: a page of fields for each section, and one to review it all."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f2,ctrl+pagedown", "section(1)", "section", tooltip="go to the next group of fields"),
        Binding("shift+f2,f14,ctrl+pageup", "section(-1)", "section before", show=False),
        Binding("tab,down", "field(1)", "next field", show=False),
        Binding("shift+tab,up", "field(-1)", "previous field", show=False),
        Binding("ctrl+t", "trial", "try", priority=True, tooltip="try steps in a process: memory and time"),
        Binding("ctrl+s", "save", "save", priority=True, tooltip="keep these settings as a recipe"),
        Binding("ctrl+o", "load", "load", priority=True, tooltip="begin with a recipe, or with a run"),
        Binding("f3,slash", "find", "find", tooltip="go to a field by its name or its help"),
        Binding(
            "ctrl+r,r",
            "refresh",
            "look again",
            priority=False,
            show=False,
            tooltip="look for plug-ins that were installed meanwhile",
        ),
        Binding("f4", "gpus", "GPUs", show=False, tooltip="choose GPUs by their free memory; enter in gpus"),
    ]

    @dataclass
    class Found(Message):
        """The installed plug-ins and the recipes are known."""

        plugins: dict[str, list[Plugin]]
        recipes: dict[str, Listed]

    def __init__(self, root: Path, texts: Mapping[str, str], forked: str = "") -> None:
        super().__init__(root)
        self._texts = dict(texts)
        self._basis = Basis(forked, dict(texts)) if forked else None
        self._draft: Draft | None = None
        self._section = sections.titles()[0]

    @property
    def draft(self) -> Draft | None:
        """The form's texts; None while the plug-ins are being looked for."""
        return self._draft

    def title_texts(self) -> tuple[str, str]:
        began = f"like {self._basis.name}, " if self._basis else ""
        return "new run", f"{began}nothing starts until ^g"

    def beside(self) -> ComposeResult:
        yield SectionList(self._draw_sections, id="sections")
        with Fields(id="form"):
            yield Rows(self._draw_review, id="reviewed")
        with VerticalScroll(id="side", can_focus=False):
            yield Rows(self._draw_review, id="reviewed-too")

    def on_mount(self) -> None:
        """Look for plug-ins in a thread, since that imports code of strangers."""

        def look() -> None:
            self.post_message(self.Found(installed(), recipedraft.installed()))

        self.run_worker(look, thread=True, exit_on_error=False)

    async def on_launch_form_found(self, message: Found) -> None:
        """Build the form, where one was before with the field in which one types."""
        row, before = self.focused_row, self._draft
        self._draft = Draft(message.plugins, self._texts, message.recipes, self._basis)
        if before is not None:
            self.notify(_news(before, self._draft), title="looked again", timeout=5, markup=False)
        await self._build(row.key if row else "backbone")

    def on_field_row_entered(self, message: FieldRow.Entered) -> None:
        """Open what helps to fill in the field, else go on to the next one."""
        if message.key == "gpus":
            self.action_gpus()
        else:
            self.call_later(self.action_field, 1)

    def action_refresh(self) -> None:
        """Look again for plug-ins and recipes, in a thread; what is typed stays."""

        def look() -> Callable[[], None]:
            refresh()
            found = self.Found(installed(), recipedraft.installed())
            return lambda: self._take_found(found)

        self.perform(look)

    def _take_found(self, found: Found) -> None:
        self.post_message(found)

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
        every = [key for title in sections.titles() for key in sections.keys(title)]
        every += [key for key in draft.fields() if "." in key]
        shown = [key for key in every if draft.relevant(key)]

        def answer(key: object) -> None:
            if key is not None:
                self.call_later(self.go_to, str(key))

        offers = [Offer(key.replace("_", " "), draft.note(key), key) for key in shown]
        self.app.push_screen(PickBox("go to a field", offers), answer)

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
            await self._build("backbone")

    def action_trial(self) -> None:
        """Follow the memory and try steps in a process of its own, as ``--dry-run`` does."""
        if self.draft is None or self.problems:
            self.action_problem()
            return
        run_command(
            self, [*shlex.split(self.draft.command())[1:], "--dry-run"], ["--runs-dir", str(self.root)]
        )

    async def _build(self, focused: str) -> None:
        """Show the fields in place of those before, and go to the field `focused`."""
        await self.query(".page").remove()
        self._section = ""
        await self.go_to(focused)
        self.judge_later()

    async def show_section(self, title: str) -> None:
        """Show the page of a section; its fields are made when it is first shown."""
        if self._draft is None or title == self._section:
            return
        self._section = title
        review = title == sections.REVIEW
        if not review and not self.query(f"#{_page_id(title)}"):
            page = Vertical(*self._rows(self._draft, title), id=_page_id(title), classes="page")
            await self.query_one("#form", Fields).mount(page)
            for kind in DEPENDED_ON:
                if kind in sections.keys(title):
                    await self.show_dependent(kind)
        for each in self.query(".page"):
            each.display = each.id == _page_id(title)
        self.query_one("#reviewed").display = review
        self.set_focus(None)
        self.say()

    async def go_to(self, key: str) -> None:
        await self.show_section(sections.section_of(key))
        await super().go_to(key)

    async def action_section(self, places: int) -> None:
        """Go to a section behind or before this one, and into its first field."""
        titles = sections.titles()
        title = titles[(titles.index(self._section) + places) % len(titles)]
        await self.show_section(title)
        if rows := self._shown():
            await self.go_to(rows[0].key)

    async def action_field(self, places: int) -> None:
        """Go to a field behind or before this one, in the next section behind the last one."""
        rows, row = self._shown(), self.focused_row
        index = rows.index(row) + places if row in rows else (0 if places > 0 else len(rows) - 1)
        if 0 <= index < len(rows):
            await self.go_to(rows[index].key)
            return
        titles = [title for title in sections.titles() if title != sections.REVIEW]
        here = titles.index(self._section) if self._section in titles else -min(places, 0)
        await self.show_section(titles[(here + places) % len(titles)])
        if rows := self._shown():
            await self.go_to(rows[0 if places > 0 else -1].key)

    def _shown(self) -> list[FieldRow]:
        """The rows of the shown section that have an effect."""
        page = self.query(f"#{_page_id(self._section)} FieldRow").results(FieldRow)
        return [row for row in page if row.display]

    async def show_dependent(self, key: str) -> None:
        """Show the chosen plug-in's own options in place of the former one's; all anew for a recipe."""
        if self.draft is None:
            return
        if key == "recipe":
            self.draft.load(self.draft.text("recipe"))
            await self._build("recipe")
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

    def _rows(self, draft: Draft, title: str) -> list[Widget]:
        """The rows of a section, and a place for the options of what is chosen in it."""
        rows: list[Widget] = [section(title)]
        for key in sections.keys(title):
            rows.append(_row(draft, key))
            rows += [Vertical(id=f"options-{key}", classes="options")] if key in DEPENDED_ON else []
        return rows

    def repaint(self) -> None:
        for rows in self.query("#reviewed, #reviewed-too").results(Rows):
            rows.styles.height = max(1, len(self._draw_review(rows.size.width or 40, 0)))
        super().repaint()

    def _draw_sections(self, width: int, height: int) -> list[Line]:
        changed = self.draft.differences() if self.draft else []
        return launching.section_list(self._section, self.problems, changed, width)

    def _draw_review(self, width: int, height: int) -> list[Line]:
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


def _page_id(title: str) -> str:
    return f"page-{''.join(filter(str.isalnum, title))}"


def _row(draft: Draft, key: str) -> FieldRow:
    """The row of a field of the form's own, or of a setting."""
    texts, entry = draft.texts, draft.fields().get(key)
    if key in ("backbone", "loss", "recipe"):
        said = draft.shown(key) if draft.recipe else ""
        default = "none" if key == "recipe" else said or None
        return ChoiceRow(key, key, draft.text(key), draft.choices(key), default=default)
    if key == "dataset":
        names = [name for _, name in draft.choices(key)]
        return TextRow(draft.named(key), texts.get(key, ""), names, draft.shown(key) or "demo")
    assert entry is not None  # all others are settings
    return row_for(entry, texts.get(key, ""))

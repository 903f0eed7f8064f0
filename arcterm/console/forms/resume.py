"""The form that resumes a training with changes: what may change, what that does, and the command."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from arcterm.console.forms import resuming
from arcterm.console.forms.draft import Verdict
from arcterm.console.forms.fields import row_for
from arcterm.console.forms.paged import PagedForm
from arcterm.console.forms.resuming import ResumeDraft
from arcterm.console.forms.screen import section
from arcterm.console.panels import launching
from arcterm.errors import ConfigError
from arcterm.runs.store import Run
from arcterm.show.lines import Line


class ResumeForm(PagedForm):
    """Another attempt of a training, with other devices, batch, rate or length, or its data moved."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+g,f5", "launch", "resume", priority=True, tooltip="go on with what is changed here"),
    ]

    def __init__(self, run: Run) -> None:
        super().__init__(run.path.parent)
        self._draft = ResumeDraft(run, run.config)
        self.titles = resuming.titles()

    @property
    def draft(self) -> ResumeDraft:
        return self._draft

    def title_texts(self) -> tuple[str, str]:
        return f"resume {self.draft.run.name}", "what is left empty stays as it is"

    def keys_of(self, title: str) -> list[str]:
        keys = resuming.keys(title)
        options = self.draft.launcher_options() if "launcher" in keys else []
        return [*keys, *(entry.key for entry in options)]

    def page_rows(self, title: str) -> list[Widget]:
        fields, texts = self.draft.fields(), self.draft.texts
        return [section(title), *(row_for(fields[key], texts.get(key, "")) for key in self.keys_of(title))]

    def on_mount(self) -> None:
        self.call_later(self.build, "epochs")

    def checker(self) -> Callable[[], Verdict]:
        return resuming.checker(self.draft, self.draft.command())

    def starter(self, verdict: Verdict) -> Callable[[], Run]:
        begun = verdict.begun
        if begun is None:
            raise ConfigError("the form isn't checked yet", "wait until it says that it is ready")

        def go_on() -> Run:
            begun.start()
            return begun.run

        return go_on

    def reviewed(self, width: int) -> list[Line]:
        run = self.draft.run.name
        lines = launching.difference(run, self.draft.differences(), width)
        return [*lines, [], *launching.resumption(self.verdict, width)]

"""The form of a job: its paths and options, made from its declaration."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from arcterm_registry import get
from textual.widget import Widget

from arcterm.console.jobform import JobDraft, judge_job
from arcterm.console.screens.fields import FieldRow, PathRow, row_for
from arcterm.console.screens.form import Form, section
from arcterm.console.screens.jobs import JobList
from arcterm.console.trainform import Verdict
from arcterm.errors import ConfigError
from arcterm.launch import start
from arcterm.runs.store import Run


class JobForm(Form):
    """A new job."""

    def __init__(self, root: Path, name: str, texts: Mapping[str, str]) -> None:
        super().__init__(root)
        self.draft = JobDraft(name, get("job", name), dict(texts))

    @property
    def asking(self) -> JobDraft:
        """What the fields say."""
        return self.draft

    def about(self) -> tuple[str, str]:
        """What the form is for, and a remark."""
        return f"{self.draft.spec.group} {self.draft.name}", self.draft.spec.summary

    def rows(self) -> list[Widget]:
        """All fields: paths, then options."""
        draft = self.draft
        rows: list[Widget] = [section("paths")]
        for entry in draft.places():
            place = draft.place(entry.key)
            several = place is not None and place.many
            rows.append(PathRow(entry, draft.texts.get(entry.key, ""), several=several))
        own = [entry for key, entry in draft.fields().items() if draft.place(key) is None]
        if own:
            rows.append(section("options"))
            rows += [row_for(entry, draft.texts.get(entry.key, "")) for entry in own]
        return rows

    def on_mount(self) -> None:
        """Say what is wrong, and wait for the first path."""
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self.judge_later()
        self.set_focus(self.query("FieldRow > Input").first(Widget))

    def on_field_row_edited(self, message: FieldRow.Edited) -> None:
        """Take in what was typed, say what is wrong, and check the whole a little later."""
        if self.draft.texts.get(message.key, "") != message.text:
            self.draft.texts[message.key] = message.text
            self.judge_later()

    def question(self) -> Callable[[], Verdict]:
        """What checks the whole as it is now."""
        name, paths, options = self.draft.name, self.draft.paths(), self.draft.options()
        return lambda: judge_job(name, paths, options)

    def beginning(self, verdict: Verdict) -> Callable[[], Run]:
        """What starts the job."""
        job, argv = verdict.job, shlex.split(self.draft.command())
        if job is None:
            raise ConfigError("the form isn't checked yet", "wait until it says that it is ready")
        return lambda: start.job(job, self.root, argv=argv)

    def launched(self, run: Run) -> None:
        """Show the job; the way back from it leads past the form and the choice of jobs."""
        self.console_app.leave()
        if isinstance(self.app.screen, JobList):
            self.console_app.leave()
        self.console_app.open_run(run)

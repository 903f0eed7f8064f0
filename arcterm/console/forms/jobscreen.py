"""The form of a job: its paths and options, made from its declaration."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from arcterm_registry import get
from textual.widget import Widget

from arcterm.console.forms.draft import Verdict
from arcterm.console.forms.fields import PathRow, row_for
from arcterm.console.forms.job import AFTER, JobDraft, judge_job
from arcterm.console.forms.screen import Form, section
from arcterm.console.screens.jobs import JobList
from arcterm.errors import ConfigError
from arcterm.launch import start
from arcterm.runs import store
from arcterm.runs.store import Run


class JobForm(Form):
    """A new job."""

    def __init__(self, root: Path, name: str, texts: Mapping[str, str]) -> None:
        super().__init__(root)
        self._draft = JobDraft(name, get("job", name), dict(texts))

    @property
    def draft(self) -> JobDraft:
        return self._draft

    def title_texts(self) -> tuple[str, str]:
        return f"{self.draft.spec.group} {self.draft.name}".strip(), self.draft.spec.summary

    def rows(self) -> list[Widget]:
        draft = self.draft
        rows: list[Widget] = [section("paths")]
        for entry in draft.path_fields():
            place = draft.path_of(entry.key)
            several = place is not None and place.many
            rows.append(PathRow(entry, draft.texts.get(entry.key, ""), several=several))
        parts = {"options": draft.own_fields(), "where": draft.where_fields, "queue": [AFTER]}
        for title, entries in parts.items():
            if entries:
                rows.append(section(title))
                rows += [row_for(entry, draft.texts.get(entry.key, "")) for entry in entries]
        return rows

    def on_mount(self) -> None:
        """Show the problems, and wait for the first path."""
        self.judge_later()
        self.set_focus(self.query("FieldRow > Input").first(Widget))

    def checker(self) -> Callable[[], Verdict]:
        name, paths, options = self.draft.name, self.draft.paths(), self.draft.options()
        after, where = self.draft.text(AFTER.key), self.draft.where()
        return lambda: judge_job(name, paths, options, self.root, after, where)

    def starter(self, verdict: Verdict) -> Callable[[], Run]:
        job, argv, after = verdict.job, shlex.split(self.draft.command()), self.draft.text(AFTER.key)
        where = self.draft.where()
        if job is None:
            raise ConfigError("the form isn't checked yet", "wait until it says that it is ready")

        def begin() -> Run:
            before = store.find(self.root, after) if after else None
            return start.job(job, self.root, argv=argv, after=before, **(where.given() if where else {}))

        return begin

    def launched(self, run: Run) -> None:
        """Show the job; the way back from it leads past the form and the choice of jobs."""
        self.console_app.leave()
        if isinstance(self.app.screen, JobList):
            self.console_app.leave()
        self.console_app.open_run(run)

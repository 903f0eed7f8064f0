"""Tagging a run and writing a note on it, the same on every screen that shows one."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input

from arcterm.console.screens.actions import RunActions
from arcterm.console.screens.boxes import Ask
from arcterm.errors import ArctermError
from arcterm.runs import notes
from arcterm.runs.notes import Notes
from arcterm.runs.store import Run


class Edit(Ask):
    """A line to change; enter answers with it, also with an empty one."""

    def __init__(self, title: str, text: str, value: str) -> None:
        super().__init__(title, text)
        self._value = value

    def on_mount(self) -> None:
        field = self.query_one(Input)
        field.value = self._value
        self.set_focus(field)


class RunNotes(RunActions):
    """Actions on the tags and the note of `target()`; `noted` is called when they are written."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "number_sign",
            "tag",
            "tag",
            show=False,
            key_display="#",
            tooltip="give the run tags, or take them off",
        ),
        Binding("n", "note", "note", show=False, tooltip="write a note on the run"),
    ]

    def noted(self, run: Run) -> None:
        """Show the new notes."""
        raise NotImplementedError

    def action_tag(self) -> None:
        """Ask for the tags."""
        text = "tags, with blanks between them; `arcterm tag RUN WORD` does the same"
        self._edit("tags of", text, lambda old: " ".join(old.tags), _with_tags)

    def action_note(self) -> None:
        """Ask for the note."""
        text = r"a note; \n begins a new line, and an empty one removes it"
        self._edit("note on", text, lambda old: old.text.replace("\n", r"\n"), _with_text)

    def _edit(
        self, title: str, text: str, shown: Callable[[Notes], str], changed: Callable[[Notes, str], Notes]
    ) -> None:
        run = self._existing_run()
        if run is None:
            return
        try:
            old = notes.read(run)
        except ArctermError as error:
            self.console_app.show_error(error)
            return

        def write(answer: str) -> Callable[[], None]:
            notes.write(run, changed(notes.read(run), answer))
            return lambda: self.noted(run)

        def answered(answer: object) -> None:
            if isinstance(answer, str):
                self.act(lambda: write(answer))

        self.app.push_screen(Edit(f"{title} {run.title}", text, shown(old)), answered)


def _with_tags(old: Notes, text: str) -> Notes:
    return (
        old.with_tags(text.replace("#", " ").split(), old.tags)
        if text.strip()
        else old.with_tags((), old.tags)
    )


def _with_text(old: Notes, text: str) -> Notes:
    return old.with_text(text.replace(r"\n", "\n"))

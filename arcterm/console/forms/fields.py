"""One line of a form: a label, a field, and its problem or its help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Input, Label, Select, Static

from arcterm.console.forms.draft import Field
from arcterm.console.paths import PathSuggester
from arcterm.text import clean

_UNSET = "(default)"


class ChoiceList(Select[str], inherit_bindings=False):
    """A list that enter opens; the arrows are the form's, to go from field to field."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "show_overlay", "choose")]


class FieldRow(Horizontal):
    """Posts `Edited` when its text changes; `say` shows a problem or a note beside it.

    A note takes one line, so that nothing moves while one types: the form shows it whole elsewhere.
    """

    @dataclass
    class Edited(Message):
        """The text of a field has changed."""

        key: str
        text: str

    @dataclass
    class Entered(Message):
        """Enter was pressed in a field to type in."""

        key: str

    def __init__(self, key: str, label: str, text: str) -> None:
        super().__init__(id=f"field-{key.replace('.', '-')}")
        self.key, self._label, self._text = key, clean(label), clean(text)
        self._note = ""
        self._changed = False

    def compose(self) -> ComposeResult:
        yield Label(self._marked_label(), classes="label", markup=False)
        yield self.control()
        yield Static(self._note, classes="note", markup=False)

    def control(self) -> Input | Select[str]:
        """The widget to type in or choose with."""
        raise NotImplementedError

    def take(self, text: str) -> None:
        """Put `text` into the field."""
        raise NotImplementedError

    def say(self, problem: str, note: str, changed: bool = False) -> None:
        """Show the problem, else the note, and whether it was changed; the same again costs no new layout."""
        # it may not be composed yet: `compose` then begins with these
        if changed != self._changed:
            self._changed = changed
            for label in self.query(".label").results(Label):
                label.update(self._marked_label())
        text = clean(f"! {problem}" if problem else note)
        if text != self._note:
            self._note = text
            self.set_class(bool(problem), "-wrong")
            for shown in self.query(".note").results(Static):
                shown.update(text)

    def _marked_label(self) -> str:
        return f"{'•' if self._changed else ' '}{self._label}"


class TextRow(FieldRow):
    """A field to type in; `names` complete what is typed."""

    def __init__(self, field: Field, text: str, names: Sequence[str] = (), placeholder: str = "") -> None:
        super().__init__(field.key, field.label, text)
        self._placeholder = clean(placeholder or field.placeholder)
        self._names = names

    def control(self) -> Input:
        suggester = SuggestFromList(self._names) if self._names else None
        return Input(self._text, placeholder=self._placeholder, suggester=suggester, compact=True)

    def take(self, text: str) -> None:
        self.query_one(Input).value = text

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Edited(self.key, event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Entered(self.key))


class PathInput(Input):
    """A line for paths. What is pasted in several lines becomes several paths."""

    def _on_paste(self, event: events.Paste) -> None:
        # Textual hands the event on to its own class's handler, which takes the first line
        event.text = ", ".join(filter(None, (line.strip() for line in event.text.splitlines())))


class PathRow(TextRow):
    """A field for a path, or for `several` with commas between; the right arrow takes what is suggested."""

    def __init__(self, field: Field, text: str, several: bool = False) -> None:
        super().__init__(field, text, placeholder="path, path, …" if several else "path")
        self._suggester = PathSuggester(several)

    def control(self) -> Input:
        return PathInput(self._text, placeholder=self._placeholder, suggester=self._suggester, compact=True)


class ChoiceRow(FieldRow):
    """A field to choose from (label, value) pairs; `default` is shown where nothing is chosen."""

    def __init__(
        self, key: str, label: str, text: str, choices: Sequence[tuple[str, str]], default: str | None = None
    ) -> None:
        super().__init__(key, label, text)
        self._choices = list(choices)
        # the widget takes brackets for markup
        self._prompt = _UNSET if default is None or "[" in default else clean(default)
        self._blank = default is not None

    def control(self) -> ChoiceList:
        known = [value for _, value in self._choices]
        chosen = self._text if self._text in known else Select.NULL
        # not as a string, in which brackets would be markup
        shown = [(Text(clean(label)), value) for label, value in self._choices]
        return ChoiceList(
            shown,
            value=chosen,
            prompt=self._prompt,
            allow_blank=self._blank or chosen is Select.NULL,
            compact=True,
        )

    def take(self, text: str) -> None:
        known = [value for _, value in self._choices]
        self.query_one(ChoiceList).value = text if text in known else Select.NULL

    def on_select_changed(self, event: Select.Changed) -> None:
        event.stop()
        self.post_message(self.Edited(self.key, "" if event.value is Select.NULL else str(event.value)))


def row_for(field: Field, text: str) -> FieldRow:
    """A row that fits the option of `field`."""
    option = field.option
    if option.type is bool:
        choices = [("yes", "yes"), ("no", "no")]
    elif option.choices:
        choices = [(str(c), str(c)) for c in option.choices]
    else:
        return TextRow(field, text)
    return ChoiceRow(field.key, field.label, text, choices, default=field.placeholder)

"""State of a form: the texts of its fields, their problems, and the command. No Textual."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from arcterm_registry import Option, OptionError

from arcterm.config import JobConfig, field_text
from arcterm.console.forms import fixes
from arcterm.console.forms.fixes import Fix
from arcterm.launch.plan import Plan
from arcterm.launch.resume.resumption import Resumption


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field; `key` is a setting's name, ``loss.margin`` for a plug-in's option, ``path.src`` for a path."""

    key: str
    option: Option

    @property
    def label(self) -> str:
        """The field's name as shown."""
        return self.option.name.replace("_", " ")

    @property
    def placeholder(self) -> str:
        """The default, as shown in an empty field."""
        default = self.option.default
        return "" if default is None else field_text(default)

    def renamed(self, key: str) -> Field:
        """The same field for another key."""
        return Field(key=key, option=replace(self.option, name=key))


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Result of checking a form: a plan, a job or a resume, or problems by field (empty key: of the whole).

    `fixes` are changes that solve a problem, by the same key.
    """

    plan: Plan | None = None
    job: JobConfig | None = None
    begun: Resumption | None = None
    problems: dict[str, str] = field(default_factory=dict)
    fixes: dict[str, Fix] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """Whether it can be started."""
        asked = (self.plan, self.job, self.begun)
        return any(each is not None for each in asked) and not self.problems


class ChangedField(NamedTuple):
    """A field that says something else than what the form began with; the texts may be empty."""

    key: str
    before: str
    now: str


class FormDraft:
    """`texts` by field key; an absent or empty one leaves the default."""

    texts: dict[str, str]

    def fields(self) -> dict[str, Field]:
        """Every field with an option, by key."""
        raise NotImplementedError

    def command(self) -> str:
        """The equivalent command line."""
        raise NotImplementedError

    def text(self, key: str) -> str:
        """The text of a field, stripped."""
        return self.texts.get(key, "").strip()

    def relevant(self, key: str) -> bool:
        """Whether a field has an effect, given the others."""
        return True

    def note(self, key: str) -> str:
        """Help for a field, with its range."""
        entry = self.fields().get(key)
        if entry is None:
            return ""
        allowed = entry.option.range if not entry.option.choices else ""
        return entry.option.help + (f"  ({allowed.replace(' ', '')})" if allowed else "")

    def problem(self, key: str) -> str:
        """Why the text of one field can't be used, as far as the text alone shows; empty if it can."""
        entry, text = self.fields().get(key), self.text(key)
        if entry is None or not text or not self.relevant(key):
            return ""
        try:
            entry.option.parse(text)
        except OptionError as error:
            default = entry.placeholder
            return f"{error}{f'; the default is {default}' if default else ''}"
        return ""

    def problems(self) -> dict[str, str]:
        """Problems by field."""
        return {key: problem for key in self.fields() if (problem := self.problem(key))}

    def fix(self, key: str) -> Fix | None:
        """A change that solves the problem of one field, as far as the text alone shows it."""
        entry, text = self.fields().get(key), self.text(key)
        if entry is None or not text or not self.problem(key):
            return None
        near = fixes.of_option(entry.option, text)
        return Fix({key: near}) if near or entry.option.type is not str else None

    def fixes(self, verdict: Verdict | None) -> dict[str, Fix]:
        """Every change that solves a problem, of the texts or of the check, by field."""
        own = {key: fix for key in self.problems() if (fix := self.fix(key))}
        return {**(verdict.fixes if verdict else {}), **own}

    def differences(self) -> list[ChangedField]:
        """The fields that say something else than what the form began with."""
        return []

"""State of the form that resumes a training with changes, and its check. No Textual."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from arcterm_registry import Option, PluginError, get

from arcterm import commandline
from arcterm.config import TrainConfig, field_text, registered
from arcterm.console.forms import fixes, recipedraft, sections
from arcterm.console.forms.draft import ChangedField, Field, FormDraft, Verdict
from arcterm.console.forms.fixes import Fix
from arcterm.console.forms.training import LISTS
from arcterm.errors import ArctermError
from arcterm.launch.resume import resumption
from arcterm.launch.resume.changes import PLAIN, WORKED_OUT
from arcterm.runs.store import Run
from arcterm.settings import SETTINGS

ACCEPT = "accept_changed_data"
_DATASET = Option(name="dataset", type=str, default=None, help="where the data is now, the same as before")
_ACCEPT = Option(
    name=ACCEPT, type=bool, default=False, help="go on with other data than the run was made with"
)
_MAY_CHANGE = {*WORKED_OUT, *PLAIN, ACCEPT} - {"track_options", "launcher_options"}


def keys(title: str) -> list[str]:
    """The fields of a section that a resume may change."""
    own = [*sections.keys(title), *([ACCEPT] if title == "data" else [])]
    return [key for key in own if key in _MAY_CHANGE]


def titles() -> list[str]:
    """The sections of which a resume may change something, and the review."""
    return [title for title in sections.titles() if keys(title) or title == sections.REVIEW]


@dataclass
class ResumeDraft(FormDraft):
    """The form's texts over the `config` of a `run`, whose values stand in empty fields."""

    run: Run
    config: TrainConfig
    texts: dict[str, str] = field(default_factory=dict)

    def fields(self) -> dict[str, Field]:
        options = [option for option in SETTINGS if option.name in _MAY_CHANGE]
        found = {
            option.name: recipedraft.with_default(
                Field(key=option.name, option=option), self._now(option.name)
            )
            for option in options
        }
        place = str(self.config.dataset_options.get("path") or self.config.dataset)
        found["dataset"] = Field(key="dataset", option=replace(_DATASET, default=place))
        found |= {entry.key: entry for entry in self.launcher_options()}
        return found | {ACCEPT: Field(key=ACCEPT, option=_ACCEPT)}

    def launcher_options(self) -> list[Field]:
        """The fields of the options of the launcher that the run has, with its values in empty ones."""
        if self.config.is_local:
            return []
        try:
            declared = get("launcher", registered(self.config.launcher))
        except PluginError:
            return []
        now = self.config.launcher_options
        return [
            Field(key=f"launcher.{one.name}", option=replace(one, default=now.get(one.name, one.default)))
            for one in declared.options
        ]

    def _now(self, name: str) -> str:
        """The run's value of a setting, as a field shows it."""
        value = self.config.durations.get(name) or getattr(self.config, name)
        if name == "gpus":
            return ",".join(map(str, value)) or "none"
        return ",".join(map(str, value)) if isinstance(value, list) else field_text(value)

    def problem(self, key: str) -> str:
        text = self.text(key)
        problem = super().problem(key)
        if key == "steps" and text and self.text("epochs"):
            return "give epochs or steps, not both"
        if text and text != "none" and not problem and key in LISTS:
            try:
                LISTS[key](text, key)
            except ArctermError as error:
                return error.message
        return problem

    def settings(self) -> dict[str, Any]:
        """What the resume is asked for; fields with a problem are left out."""
        found: dict[str, Any] = {}
        for key, entry in self.fields().items():
            text = self.text(key)
            if not text or self.problem(key) or key == ACCEPT:
                continue
            group, dot, name = key.partition(".")
            place = found.setdefault(f"{group}_options", {}) if dot else found
            place[name if dot else key] = entry.option.parse(text)
        return found

    @property
    def accepts(self) -> bool:
        """Whether it goes on with other data."""
        return self.text(ACCEPT) == "yes"

    def command(self) -> str:
        return commandline.resume(self.run.name, self.settings(), accept_changed_data=self.accepts)

    def differences(self) -> list[ChangedField]:
        entries = self.fields()
        return [
            ChangedField(key, entry.placeholder, text)
            for key, entry in entries.items()
            if (text := self.text(key)) and text != entry.placeholder
        ]


def checker(draft: ResumeDraft, why: str) -> Callable[[], Verdict]:
    """Return the check of a resume as the form asks for it now; `why` is recorded with the changes."""
    run, settings, accepts = draft.run, draft.settings(), draft.accepts
    options = {key: entry.option for key, entry in draft.fields().items()}

    def check() -> Verdict:
        try:
            begun = resumption.prepare(run, settings, why=why, accept_changed_data=accepts)
        except (ArctermError, PluginError) as error:
            return _refused(error, options)
        return Verdict(begun=begun)

    return check


def _refused(error: ArctermError | PluginError, options: Mapping[str, Option]) -> Verdict:
    words = f"{error.message}: {error.hint}" if error.hint else error.message
    if "--accept-changed-data" in words:
        return Verdict(problems={ACCEPT: words}, fixes={ACCEPT: Fix({ACCEPT: "yes"})})
    change = fixes.advised(error.hint, options)
    key = fixes.field_of(error.message, options) or next(iter(change), "")
    key = key or fixes.field_of(error.hint, options)
    return Verdict(problems={key: words}, fixes={key: Fix(change)} if change else {})

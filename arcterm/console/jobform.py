"""State of a job's form: its texts, what is wrong with them, the command. No Textual."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from arcterm_registry import JobPath, JobSpec, Option, OptionError, get

from arcterm import commandline
from arcterm.commandline import Value
from arcterm.config import PATH_FIELD, job_config
from arcterm.console.trainform import Field, Verdict
from arcterm.errors import ArctermError


@dataclass
class JobDraft:
    """`texts` holds what each field says, by its key: ``path.src`` for a path, else an option's name."""

    name: str
    spec: JobSpec
    texts: dict[str, str] = field(default_factory=dict)

    def places(self) -> list[Field]:
        """The fields of the paths, in order."""
        return [
            Field(
                key=PATH_FIELD + place.name,
                option=Option(name=place.name, type=str, default=None, help=place.help),
            )
            for place in self.spec.paths
        ]

    def fields(self) -> dict[str, Field]:
        """Every field, by key."""
        own = [Field(key=option.name, option=option) for option in self.spec.options]
        return {f.key: f for f in [*self.places(), *own]}

    def place(self, key: str) -> JobPath | None:
        """The path that a field is for; None for an option."""
        return next((place for place in self.spec.paths if PATH_FIELD + place.name == key), None)

    def relevant(self, key: str) -> bool:
        """Every field means something."""
        return True

    def note(self, key: str) -> str:
        """What a field is for, and what it takes."""
        entry = self.fields().get(key)
        if entry is None:
            return ""
        place = self.place(key)
        more = "  Several: set commas between them." if place and place.many else ""
        shown = entry.option.range if not entry.option.choices else ""
        return entry.option.help + more + (f"  ({shown.replace(' ', '')})" if shown else "")

    def problem(self, key: str) -> str:
        """What is wrong with one field that can be said without looking at the disk; empty if it is fine."""
        place, text = self.place(key), self.texts.get(key, "").strip()
        if place is not None:
            count = len(self._paths(place))
            if count > 1 and not place.many:
                return f"{place.name} is one path"
            return "" if count else f"give {place.name}: {place.help[0].lower()}{place.help[1:]}"
        entry = self.fields().get(key)
        if entry is None or not text:
            return ""
        try:
            entry.option.parse(text)
        except OptionError as error:
            return f"{error}{f'; the default is {entry.placeholder}' if entry.placeholder else ''}"
        return ""

    def problems(self) -> dict[str, str]:
        """Every field's problem."""
        return {key: problem for key in self.fields() if (problem := self.problem(key))}

    def paths(self) -> list[str]:
        """All paths, in order."""
        return [path for place in self.spec.paths for path in self._paths(place)]

    def options(self) -> dict[str, Value]:
        """The options that are given and right."""
        return {
            option.name: option.parse(text)
            for option in self.spec.options
            if (text := self.texts.get(option.name, "").strip()) and not self.problem(option.name)
        }

    def command(self) -> str:
        """The command line that asks for the same."""
        given = {key: value for key, value in self.options().items() if value != self._usual(key)}
        return commandline.job(self.spec.group, self.name, self.paths(), given)

    def _usual(self, key: str) -> Value | None:
        option = self.spec.option(key)
        return option.default if option else None

    def _paths(self, place: JobPath) -> list[str]:
        text = self.texts.get(PATH_FIELD + place.name, "")
        parts = re.split(r"[,\n]", text) if place.many else [text]
        return [part.strip() for part in parts if part.strip()]


def judge_job(name: str, paths: Sequence[str], options: Mapping[str, Value]) -> Verdict:
    """Check everything that takes time: whether the paths that are read exist, then the whole config."""
    declared = get("job", name).paths
    many = len(paths) - len(declared) + 1
    places = [p for place in declared for p in [place] * (many if place.many else 1)]
    problems: dict[str, str] = {}
    for place, path in zip(places, paths, strict=False):
        try:
            whole = Path(path).expanduser()
        except RuntimeError:  # ~nobody
            problems[PATH_FIELD + place.name] = f"there is no home directory {path.partition('/')[0]}"
            continue
        if not place.written and not whole.exists():
            problems[PATH_FIELD + place.name] = f"there is no {whole.absolute()}"
        elif place.written and (whole.is_file() or (whole.is_dir() and any(whole.iterdir()))):
            problems[PATH_FIELD + place.name] = f"{whole.absolute()} is already there; choose another"
    if problems:
        return Verdict(problems=problems)
    try:
        return Verdict(job=job_config(name, paths, options))
    except ArctermError as error:
        return Verdict(problems={"": f"{error.message}: {error.hint}" if error.hint else error.message})

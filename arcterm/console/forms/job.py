"""State of a job's form: its texts, their problems, and the command. No Textual."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from arcterm_registry import JobPath, JobSpec, Option, get

from arcterm import commandline
from arcterm.commandline import Value
from arcterm.config import PATH_FIELD, job_config
from arcterm.console.forms.draft import Field, FormDraft, Verdict
from arcterm.errors import ArctermError
from arcterm.launch import start, verification
from arcterm.launch.meant import resolve_models
from arcterm.overrides import non_defaults
from arcterm.runs import store

AFTER = Field(
    key="run.after",
    option=Option(
        name="after", type=str, default="", help="wait for this run to end first: its id or name, or last"
    ),
)
"""The run that a job is queued after; no option of a job has that key."""


@dataclass
class JobDraft(FormDraft):
    """A job's form; the key of a field is ``path.src`` for a path, else an option's name."""

    name: str
    spec: JobSpec
    texts: dict[str, str] = field(default_factory=dict)

    def path_fields(self) -> list[Field]:
        """The fields of the paths, in order."""
        return [
            Field(
                key=PATH_FIELD + place.name,
                option=Option(name=place.name, type=str, default=None, help=place.help),
            )
            for place in self.spec.paths
        ]

    def fields(self) -> dict[str, Field]:
        own = [Field(key=option.name, option=option) for option in self.spec.options]
        return {f.key: f for f in [*self.path_fields(), *own, AFTER]}

    def path_of(self, key: str) -> JobPath | None:
        """The path that a field is for; None for an option."""
        return next((place for place in self.spec.paths if PATH_FIELD + place.name == key), None)

    def note(self, key: str) -> str:
        place = self.path_of(key)
        return super().note(key) + ("  Several: set commas between them." if place and place.many else "")

    def problem(self, key: str) -> str:
        place = self.path_of(key)
        if place is not None:
            count = len(self._paths(place))
            if count > 1 and not place.many:
                return f"{place.name} is one path"
            return (
                ""
                if count or place.optional
                else f"give {place.name}: {place.help[0].lower()}{place.help[1:]}"
            )
        return super().problem(key)

    def paths(self) -> list[str]:
        """All paths, in order."""
        return [path for place in self.spec.paths for path in self._paths(place)]

    def options(self) -> dict[str, Value]:
        """Values of the options that are given and have no problem."""
        return {
            option.name: option.parse(text)
            for option in self.spec.options
            if (text := self.text(option.name)) and not self.problem(option.name)
        }

    def command(self) -> str:
        given = non_defaults(self.options(), self.spec)
        named = {
            place.name: own[0] for place in self.spec.paths if place.named and (own := self._paths(place))
        }
        paths = [path for place in self.spec.paths if not place.named for path in self._paths(place)]
        command = commandline.job(self.spec.group, self.name, paths, given, named)
        after = self.text(AFTER.key)
        return f"{command} --after {shlex.quote(after)}" if after else command

    def _paths(self, place: JobPath) -> list[str]:
        text = self.texts.get(PATH_FIELD + place.name, "")
        parts = re.split(r"[,\n]", text) if place.many else [text]
        return [part.strip() for part in parts if part.strip()]


def judge_job(
    name: str, paths: Sequence[str], options: Mapping[str, Value], root: Path, after: str = ""
) -> Verdict:
    """Check everything that takes time: whether the paths that are read exist, then the whole config.

    What the run `after` which it is queued writes need not be there yet.
    """
    problems: dict[str, str] = {}
    coming: set[str] = set()
    if after:
        try:
            coming = start.written_by(store.find(root, after))
        except ArctermError as error:
            problems[AFTER.key] = error.message
    declared = get("job", name)
    for place, path in ((place, path) for place, own in declared.share_out(paths) for path in own):
        try:
            found = Path(path).expanduser()
        except RuntimeError:  # ~user without a home
            problems[PATH_FIELD + place.name] = f"there is no home directory {path.partition('/')[0]}"
            continue
        if not (place.written or place.model or str(found.absolute()) in coming or found.exists()):
            problems[PATH_FIELD + place.name] = f"there is no {found.absolute()}"
        elif place.written and (found.is_file() or (found.is_dir() and any(found.iterdir()))):
            problems[PATH_FIELD + place.name] = f"{found.absolute()} is already there; choose another"
    try:
        config = job_config(name, paths, options)
        for key, file in declared.read_files(config.options).items():
            if not Path(file).exists():
                problems[key] = f"there is no {file}"
        if problems:
            return Verdict(problems=problems)
        if config.plugin == verification.NAME:
            verification.check(config, root)
        else:
            resolve_models(config, root)
        return Verdict(job=config)
    except ArctermError as error:
        whole = f"{error.message}: {error.hint}" if error.hint else error.message
        return Verdict(problems=problems or {"": whole})

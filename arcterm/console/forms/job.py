"""State of a job's form: its texts, their problems, and the command. No Textual."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from arcterm_registry import JobPath, JobSpec, Option, get, names

from arcterm import commandline
from arcterm.commandline import Value, flag
from arcterm.config import PATH_FIELD, PLACE_FIELD, JobConfig, job_config
from arcterm.console.forms.draft import Field, FormDraft, Verdict
from arcterm.errors import ArctermError
from arcterm.launch import engine, start, verification
from arcterm.launch.launchers import chosen as launchers
from arcterm.launch.launchers.chosen import Chosen
from arcterm.launch.meant import resolve_models
from arcterm.overrides import non_defaults
from arcterm.runs import store
from arcterm.settings import LOCAL, SETTINGS

AFTER = Field(
    key=f"{PLACE_FIELD}after",
    option=Option(
        name="after", type=str, default="", help="wait for this run to end first: its id or name, or last"
    ),
)
"""The run that a job is queued after."""
_LAUNCHER, _GIVEN = f"{PLACE_FIELD}launcher", f"{PLACE_FIELD}launcher_set"


class Where(NamedTuple):
    """Where a job with ranks is to run, as its command's options say."""

    gpus: str | None = None
    nproc: int | None = None
    launcher: str | None = None
    options: Mapping[str, str] = {}

    def chosen(self) -> Chosen:
        """The launcher, with its options; raises as `launchers.choose`."""
        return launchers.choose(self.launcher, self.options)

    def given(self) -> dict[str, Any]:
        """What `start.job` is given."""
        return {"gpus": self.gpus, "nproc": self.nproc, "launcher": self.chosen()}


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
        groups = self.path_fields(), self.own_fields(), self.where_fields, [AFTER]
        return {f.key: f for group in groups for f in group}

    def own_fields(self) -> list[Field]:
        """The fields of the job's own options."""
        return [Field(key=option.name, option=option) for option in self.spec.options]

    @functools.cached_property
    def where_fields(self) -> list[Field]:
        """The fields that say where a job with ranks runs."""
        if not self.spec.ranks:
            return []
        known = {option.name: option for option in SETTINGS}
        options = {
            "gpus": known["gpus"],
            "nproc": known["nproc"],
            "launcher": replace(known["launcher"], choices=tuple(names("launcher"))),
            "launcher_set": Option(
                name="launcher_set",
                type=str,
                default="",
                help="KEY=VALUE, its own options, blanks between",
            ),
        }
        return [Field(key=PLACE_FIELD + name, option=option) for name, option in options.items()]

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
        if key == _GIVEN:
            try:
                self._given()
            except ArctermError as error:
                return error.message
            except ValueError as error:
                return f"{error}: a value with blanks stands in quotes"
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
        keys = [f"{PLACE_FIELD}gpus", f"{PLACE_FIELD}nproc", _LAUNCHER, AFTER.key]
        asked = {key.removeprefix(PLACE_FIELD): self.text(key) for key in keys if self.text(key)}
        words = [word for name, text in asked.items() for word in (flag(name), text)]
        options = {} if self.problem(_GIVEN) else self._given()
        words += [word for pair in options.items() for word in ("--launcher-set", "=".join(pair))]
        return f"{command} {shlex.join(words)}" if words else command

    def where(self) -> Where | None:
        """Where it is to run; None of a job without ranks. Fields with a problem are left out."""
        if not self.spec.ranks:
            return None
        gpus, nproc, launcher = (
            "" if self.problem(key) else self.text(key)
            for key in (f"{PLACE_FIELD}gpus", f"{PLACE_FIELD}nproc", _LAUNCHER)
        )
        options = {} if self.problem(_GIVEN) else self._given()
        return Where(gpus or None, int(nproc) if nproc else None, launcher or None, options)

    def _given(self) -> dict[str, str]:
        """The launcher's own options; raises `ConfigError`, or ValueError for a quote that is not closed."""
        return launchers.parse_options(shlex.split(self.text(_GIVEN)))

    def _paths(self, place: JobPath) -> list[str]:
        text = self.texts.get(PATH_FIELD + place.name, "")
        parts = re.split(r"[,\n]", text) if place.many else [text]
        return [part.strip() for part in parts if part.strip()]


def judge_job(
    name: str,
    paths: Sequence[str],
    options: Mapping[str, Value],
    root: Path,
    after: str = "",
    where: Where | None = None,
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
        misplaced = _misplaced(config, root, after, where) if where else {}
        return Verdict(job=None if misplaced else config, problems=misplaced)
    except ArctermError as error:
        whole = f"{error.message}: {error.hint}" if error.hint else error.message
        return Verdict(problems=problems or {"": whole})


def _misplaced(config: JobConfig, root: Path, after: str, where: Where) -> dict[str, str]:
    """What is wrong with where a job is to run, by field; its launcher is asked."""
    try:
        chosen = where.chosen()
    except ArctermError as error:
        return {_GIVEN if where.options else _LAUNCHER: error.message}
    try:
        if chosen.name == LOCAL:
            launchers.place(chosen, where.gpus, where.nproc)
            return {}
        if after:
            return {AFTER.key: f"{chosen.name} has a queue of its own; this one waits on this machine"}
        ready = start.prepare_job(config, root, **where.given())
    except ArctermError as error:
        return {f"{PLACE_FIELD}gpus": error.message}
    faults = engine.faults(ready.config, root)
    return {_LAUNCHER: faults[0]} if faults else {}

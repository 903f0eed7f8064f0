"""A job on data being thought up: the texts of its form, what is wrong with them, its command.

No Textual: the form shows a draft and changes it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from arcterm_registry import Option, OptionError

from arcterm.config import DataConfig, Value, flag, task_config
from arcterm.console.trainform import Field, Verdict, text_of
from arcterm.errors import ArctermError
from arcterm.jobs import TASKS, Place, Task

_PLACE = "place."


@dataclass
class TaskDraft:
    """`texts` holds what each field says, by its key: ``place.src`` for a path, else an option's name."""

    task: Task
    texts: dict[str, str] = field(default_factory=dict)

    def places(self) -> list[Field]:
        """The fields of the paths, in order."""
        return [
            Field(
                key=_PLACE + place.name,
                option=Option(name=place.name, type=str, default=None, help=place.help),
            )
            for place in self.task.places
        ]

    def fields(self) -> dict[str, Field]:
        """Every field, by key."""
        own = [Field(key=option.name, option=option) for option in self.task.options]
        return {f.key: f for f in [*self.places(), *own]}

    def place(self, key: str) -> Place | None:
        """The path that a field is for; None for an option."""
        return next((place for place in self.task.places if _PLACE + place.name == key), None)

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
        return [path for place in self.task.places for path in self._paths(place)]

    def options(self) -> dict[str, Value]:
        """The options that are given and right."""
        return {
            option.name: option.parse(text)
            for option in self.task.options
            if (text := self.texts.get(option.name, "").strip()) and not self.problem(option.name)
        }

    def command(self) -> str:
        """The command line that asks for the same."""
        return task_command(self.task.name, self.paths(), self.options())

    def _paths(self, place: Place) -> list[str]:
        text = self.texts.get(_PLACE + place.name, "")
        parts = re.split(r"[,\n]", text) if place.many else [text]
        return [part.strip() for part in parts if part.strip()]


def task_command(name: str, paths: Sequence[str], options: Mapping[str, Value]) -> str:
    """``arcterm data NAME …`` for a shell; options that equal their default are left out."""
    task = TASKS.get(name)
    usual = {option.name: option.default for option in task.options} if task else {}
    words = ["arcterm", "data", name, *(f"./{p}" if p.startswith("-") else p for p in paths)]
    for key, value in options.items():
        if key in usual and (value == usual[key] or (value == "" and usual[key] is None)):
            continue
        if isinstance(value, bool):
            words.append(flag(key) if value else f"--no-{flag(key)[2:]}")
        else:
            words += [flag(key), f"{value:.10g}" if isinstance(value, float) else str(value)]
    return shlex.join(words)


def command_of(config: DataConfig) -> str:
    """The command line that asks for a job again."""
    return task_command(config.task, config.paths, config.options)


def judge_task(name: str, paths: Sequence[str], options: Mapping[str, Value]) -> Verdict:
    """Check everything that takes time: whether the paths that are read exist, then the whole config."""
    task = TASKS[name]
    many = len(paths) - len(task.places) + 1
    places = [p for place in task.places for p in [place] * (many if place.many else 1)]
    problems: dict[str, str] = {}
    for place, path in zip(places, paths, strict=False):
        try:
            whole = Path(path).expanduser()
        except RuntimeError:  # ~nobody
            problems[_PLACE + place.name] = f"there is no home directory {path.partition('/')[0]}"
            continue
        if not place.written and not whole.exists():
            problems[_PLACE + place.name] = f"there is no {whole.absolute()}"
        elif place.written and (whole.is_file() or (whole.is_dir() and any(whole.iterdir()))):
            problems[_PLACE + place.name] = f"{whole.absolute()} is already there; choose another"
    if problems:
        return Verdict(problems=problems)
    try:
        return Verdict(job=task_config(name, paths, options))
    except ArctermError as error:
        return Verdict(problems={"": f"{error.message}: {error.hint}" if error.hint else error.message})


def task_texts(config: DataConfig) -> dict[str, str]:
    """The fields that ask for `config` again; what equals its default is left empty."""
    task = TASKS[config.task]
    many = len(config.paths) - len(task.places) + 1
    texts, rest = {}, list(config.paths)
    for place in task.places:
        count = many if place.many else 1
        texts[_PLACE + place.name] = ", ".join(rest[:count])
        del rest[:count]
    usual = {option.name: option.default for option in task.options}
    return texts | {k: text_of(v) for k, v in config.options.items() if v != usual.get(k)}

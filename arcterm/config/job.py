"""A run of a job."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec
from arcterm_registry import JobSpec, get

from arcterm import commandline, jobs
from arcterm.commandline import Value
from arcterm.config.placement import Placement, declaration
from arcterm.config.texts import PATH_FIELD, PLACE_FIELD, StopWords, field_text
from arcterm.config.training import TrainConfig
from arcterm.errors import ConfigError
from arcterm.overrides import non_defaults, options_for
from arcterm.settings import DEFAULTS, LOCAL


class JobConfig(msgspec.Struct, Placement, frozen=True, kw_only=True, tag_field="kind", tag="job"):
    """A run of the job called `name`: its absolute `paths` in order, all of its `options`.

    The job works out options that are missing. `ranks`: it runs on every rank. `train` is the training that
    it is about. The rest is kept of its declaration for readers.
    """

    kind: ClassVar[str] = "job"
    steps: ClassVar[int] = 0
    retries: ClassVar[int] = DEFAULTS["retries"]
    grace: ClassVar[float] = DEFAULTS["grace"]
    hang_seconds: ClassVar[float] = 0.0  # it has no steps to wait for

    name: str
    group: str
    paths: list[str]
    options: dict[str, Value] = {}
    ranks: bool = False
    stops: str = ""
    resumes: bool = True
    train: TrainConfig | None = None
    device: Literal["cuda", "cpu"] = "cpu"
    nproc: int = 1
    gpus: list[int] = []
    threads: int = 1
    hosts: int = 1
    launcher: str = LOCAL
    launcher_options: dict[str, Value] = {}
    least_hosts: ClassVar[int] = 0
    most_hosts: ClassVar[int] = 0
    product: ClassVar[str] = ""

    @property
    def declared(self) -> JobSpec | None:
        """Its declaration; None where the package that it came from is gone or broken."""
        found = declaration("job", self.plugin)
        return found if isinstance(found, JobSpec) else None

    @property
    def plugin(self) -> str:
        """The registered name; one without a group is ours, whatever other packages call theirs."""
        return self.name if self.group else f"arcterm:{self.name}"

    @property
    def plugins(self) -> list[tuple[str, str]]:
        return [("job", self.plugin), *(self.train.plugins if self.train else ())]

    @property
    def label(self) -> str:
        return self.kind_of_job.replace(" ", "-")

    @property
    def kind_of_job(self) -> str:
        """``data pack``."""
        return " ".join(filter(None, (self.group.removeprefix("job"), self.name)))

    @property
    def title(self) -> str:
        """``data pack faces``."""
        return f"{self.kind_of_job} {self.source}".strip()

    @property
    def source(self) -> str:
        path = Path(self.paths[0] if self.paths else "")
        return path.parent.parent.name if path.parent.name == "checkpoints" else path.name

    @property
    def columns(self) -> dict[str, str]:
        """Its cells in a list of runs; missing ones are blank."""
        if self.train is None:
            return {"dataset": self.source}
        return self.train.columns | {"loss": f"{self.train.loss} {self.name}"}

    @property
    def command(self) -> str:
        """The equivalent command line; options that equal their default are left out."""
        given, declared = non_defaults(self.options, self.declared), self.declared
        paths, named = declared.part_by_name(self.paths) if declared else (self.paths, {})
        made = commandline.job(self.group, self.name, paths, given, named)
        return " ".join([made, *filter(None, [commandline.launching(self.launching)])])

    @property
    def has_form(self) -> bool:
        """Whether it is offered in a form, as all are whose command is made of the declaration."""
        return bool(self.group) or self.name in jobs.ALONE

    @property
    def pictured(self) -> str:
        """The first of its paths that may hold pictures; empty if none does, or its declaration is gone."""
        shared = self.declared.share_out(self.paths) if self.declared else []
        return next((path for place, paths in shared if not place.model for path in paths), "")

    @property
    def form(self) -> tuple[str, dict[str, str]] | None:
        """(name, texts by field) of the form that asks for it again; None if there is no such form."""
        declared = self.declared
        if declared is None or not self.has_form:
            return None
        shared = declared.share_out(self.paths)
        texts = {PATH_FIELD + place.name: ", ".join(paths) for place, paths in shared if paths}
        given = non_defaults(self.options, declared)
        texts |= {key: field_text(value) for key, value in given.items()}
        return self.name, texts | {PLACE_FIELD + key: text for key, text in self._placed.items() if text}

    @property
    def _placed(self) -> dict[str, str]:
        """Texts of the options that ask for the same place; empty ones need not be given."""
        asked = self.launching
        options = asked.get("launcher_options", {}).items()
        return {
            "launcher": asked.get("launcher", ""),
            "launcher_set": shlex.join(f"{key}={field_text(value)}" for key, value in options),
            "gpus": ",".join(map(str, self.gpus)) if self.is_local else "",
            "nproc": str(self.ranks_each) if self.ranks_each > 1 and not self.gpus else "",
        }

    @property
    def stop_words(self) -> StopWords:
        if not self.resumes:
            return StopWords(self.stops, "a resume begins it again", "a resume begins it again")
        return StopWords(self.stops, "what is done is kept", "what it did since it last saved is done again")


def job_config(name: str, paths: Sequence[str | Path], given: Mapping[str, Any]) -> JobConfig:
    """A job in one process; raises `PluginError` if there is none, `ConfigError` for its paths or options."""
    declared = get("job", name)
    title = " ".join(filter(None, (declared.group, name.removeprefix("arcterm:"))))
    try:
        declared.share_out(paths)
    except ValueError as error:
        named = "; ".join(f"{place.name}: {place.help}" for place in declared.paths)
        raise ConfigError(f"{title}: {error}", named) from None
    options = options_for(declared.options, given, title)
    for file in (*declared.files, *declared.reads):
        if options.get(file):
            text, option = str(options[file]), declared.option(file)
            parts = text.split(",") if option and option.many else [text]
            options[file] = ",".join(_absolute(part.strip()) for part in parts if part.strip())
    shared = [(place, path) for place, own in declared.share_out(paths) for path in own]
    return JobConfig(
        name=name if declared.group else name.removeprefix("arcterm:"),
        group=declared.group,
        paths=[str(path) if place.model else _absolute(path) for place, path in shared],
        options=options,
        ranks=declared.ranks,
        stops=declared.stops,
        resumes=declared.resumes,
        threads=len(os.sched_getaffinity(0)),
    )


def _absolute(path: str | Path) -> str:
    """`path` made absolute; raises `ConfigError` if ~user does not exist."""
    try:
        return str(Path(path).expanduser().absolute())
    except RuntimeError:
        raise ConfigError(f"{path}: there is no such user here", "write the path out") from None

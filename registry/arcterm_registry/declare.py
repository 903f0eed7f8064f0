"""Declarations: what a person may pick, said without importing what it runs.

An entry point gives one of these frozen objects. ``load()`` imports the real code, in the process
that needs it. Everything that a form, a command line or a check wants to know stands here, once.
"""

from __future__ import annotations

import keyword
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

if TYPE_CHECKING:
    from arcterm_registry.contracts import DatasetFacts, Feeding

Value = bool | int | float | str
T = TypeVar("T")
PerPlane = float | tuple[float, float, float]
"""One number, or one each of the red, the green and the blue plane."""

_HUGE = 1 << 63  # what no 64-bit integer holds
_LONGEST = 80

_JOB_GROUPS = ("data", "megaface", "evaluate", "job", "")
_OF_LAUNCH = ("launcher", "launcher_set", "dry_run")
_TAKEN = ("after", "detach", "plain", "as_json", "json", "runs_dir", "nproc", "gpus", "help", *_OF_LAUNCH)

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


class OptionError(ValueError):
    """A value that an option does not take; the message says which values it takes."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """One setting of a plug-in: the source of its flag, its form field and its check.

    `low` and `high` bound numbers, inclusive unless `open_low` or `open_high`; `choices` bounds anything.
    A `default` of None means that the value is worked out from the rest; `help` says how. A text that is
    `many` may be given several times on a command line: commas are set between what is given.
    """

    name: str
    type: type[bool] | type[int] | type[float] | type[str]
    default: Value | None
    help: str
    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False
    choices: tuple[Value, ...] = ()
    many: bool = False

    @property
    def range(self) -> str:
        """The allowed values in words, e.g. ``0 ≤ margin < 1.5708``; empty if anything goes."""
        if self.choices:
            return ", ".join(str(choice) for choice in self.choices if choice != "")
        digits = "d" if self.type is int else "g"
        left = "" if self.low is None else f"{self.low:{digits}} {'<' if self.open_low else '≤'} "
        right = "" if self.high is None else f" {'<' if self.open_high else '≤'} {self.high:{digits}}"
        return f"{left}{self.name}{right}" if left or right else ""

    def parse(self, text: str) -> Value:
        """Turn text from a command line or a form into a checked value; raises `OptionError`."""
        text = text.strip()
        if self.type is bool:
            if text.lower() not in _TRUE | _FALSE:
                raise OptionError(f"{self.name} is yes or no, not {_quoted(text)}")
            return text.lower() in _TRUE
        try:
            return self.check(self.type(text))
        except OptionError:
            raise
        except ValueError:
            raise OptionError(f"{self.name} is {_article(self.type)}, not {_quoted(text)}") from None

    def check(self, value: Value) -> Value:
        """Return `value` in the option's type, or raise `OptionError` naming the allowed range."""
        if type(value) is int and abs(value) >= _HUGE:
            raise OptionError(f"{self.name} is far outside its range: {self.range or 'a finite number'}")
        if self.type is float and type(value) is int:
            value = float(value)
        if type(value) is not self.type:
            raise OptionError(f"{self.name} is {_article(self.type)}, not {_quoted(value)}")
        if self.choices and value not in self.choices:
            raise OptionError(f"{self.name} is one of {self.range}, not {_quoted(value)}")
        if isinstance(value, int | float) and not isinstance(value, bool) and not self._inside(value):
            raise OptionError(
                f"{self.name} {value:g} is outside its range: {self.range or 'a finite number'}"
            )
        return value

    def _inside(self, value: float) -> bool:
        if not math.isfinite(value):
            return False
        above = self.low is None or (value > self.low if self.open_low else value >= self.low)
        below = self.high is None or (value < self.high if self.open_high else value <= self.high)
        return above and below


def _quoted(value: object) -> str:
    """`value` as it stands in a message."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _article(kind: type) -> str:
    return {bool: "yes or no", int: "a whole number", float: "a number", str: "text"}[kind]


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """The preprocessing of a uint8 RGB image: ``(image - mean) * scale`` is a backbone's input.

    `mean` and `scale` are one number, or three: of the red, the green and the blue plane, whatever `channels`
    says, which is the order in which the network takes the planes.
    """

    mean: PerPlane = 127.5
    scale: PerPlane = 1 / 128
    channels: Literal["rgb", "bgr"] = "rgb"

    @property
    def planes(self) -> list[tuple[float, float]]:
        """Mean and scale of the red, the green and the blue plane."""
        mean, scale = (
            value if isinstance(value, tuple | list) else (value,) * 3 for value in (self.mean, self.scale)
        )
        return list(zip(mean, scale, strict=True))


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """A plug-in's declaration: a one-line summary, its factory (``pkg.mod:function``), its options.

    `check` (``pkg.mod:function``, torch-free) takes the options as keywords and raises `ValueError` where
    they do not go together, saying what would.
    """

    kind: ClassVar[str]
    summary: str
    factory: str
    options: tuple[Option, ...] = ()
    check: str = ""

    def check_together(self, values: Mapping[str, Value]) -> None:
        """Raise `ValueError` if the options `values` do not go together."""
        if self.check:
            resolve(self.check)(**values)

    def load(self) -> Callable[..., Any]:
        """Import and return the factory, with the declared defaults of options that it isn't given.

        Raises whatever importing the plug-in's code raises.
        """
        found = resolve(self.factory)
        defaults = {option.name: option.default for option in self.options if option.default is not None}
        return partial(found, **defaults) if defaults else found

    def make(self, *positional: Any, **given: Value) -> Any:
        """Call the factory with the options `given`, checked, over the declared defaults.

        One whose value is None is left out: the factory works it out. Raises `OptionError`, and whatever
        the factory raises.
        """
        return self.load()(*positional, **self._chosen(given))

    def option(self, name: str) -> Option | None:
        """The option called `name`, if there is one."""
        return next((option for option in self.options if option.name == name), None)

    def settings(self, given: Mapping[str, Value]) -> dict[str, Value | None]:
        """Every option's value: what is `given`, checked, over the defaults; raises `OptionError`."""
        known = [option.name for option in self.options]
        for name in given:
            if name not in known:
                raise OptionError(f"there is no option {name!r}; it has: {', '.join(known) or 'none'}")
        return {o.name: o.check(given[o.name]) if o.name in given else o.default for o in self.options}

    def _chosen(self, given: Mapping[str, Value]) -> dict[str, Value]:
        return {name: value for name, value in self.settings(given).items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Backbone(Declaration):
    """A network from normalised images (N, 3, H, W) to embeddings (N, `embedding_size`).

    `usual` holds settings of a run that take these values when this backbone is chosen and nothing else is
    said, e.g. ``{"optimizer": "adamw"}``; it may also be given as `recipe`, its former name. `variants`
    (``pkg.mod:function``, torch-free) takes the names and shapes of the arrays of a foreign model file and
    returns the options, a mapping each, with which this backbone might be what is in it; without it the
    defaults are tried, at every size of embedding.
    """

    kind: ClassVar[str] = "backbone"
    parameters: int
    gmacs: float
    embedding_size: int = 512
    input_size: tuple[int, int] = (112, 112)
    preprocess: Preprocess = field(default_factory=Preprocess)
    usual: Mapping[str, Value] = field(default_factory=dict)
    variants: str = ""
    recipe: InitVar[Mapping[str, Value] | None] = None

    def __post_init__(self, recipe: Mapping[str, Value] | None) -> None:
        if recipe is not None:
            object.__setattr__(self, "usual", recipe)


@dataclass(frozen=True, kw_only=True)
class Loss(Declaration):
    """A loss; options named ``margin`` and ``scale`` are the flags of those names.

    `form` says what its factory returns: ``"margin"``, a `contracts.Margin` over class weights, or
    ``"tuples"``, a `contracts.TupleLoss` over embeddings alone. The latter names in `feeding`
    (``pkg.mod:function``, torch-free) what takes the same options and returns a `contracts.Feeding`. `paper`
    is where it was published. `scheduled` has ``"margin"``, ``"scale"`` or both where a `contracts.Margin`
    keeps that option in an attribute of its name, which a training may set before each step.
    """

    kind: ClassVar[str] = "loss"
    form: Literal["margin", "tuples"] = "margin"
    feeding: str = ""
    paper: str = ""
    scheduled: tuple[str, ...] = ()

    def make_feeding(self, **given: Value) -> Feeding:
        """The `contracts.Feeding` for the options that `make` is given."""
        made: Feeding = resolve(self.feeding)(**self._chosen(given))
        return made


@dataclass(frozen=True, kw_only=True)
class Dataset(Declaration):
    """Training records and verification sets.

    `inspect` (``pkg.mod:function``, torch-free) takes the same arguments as the factory and returns
    `contracts.DatasetFacts`; if it has a parameter ``progress`` it is given a function of (done, total).
    With `takes_path` the first argument is a path: a directory that has the files of `needs`, or a file that
    ends in one of `suffixes`, e.g. ``(".lst",)``; with `suffixes` and no `needs` it is never a directory.
    `files` are the options that name a file or a directory: they are made absolute before a run is made.
    """

    kind: ClassVar[str] = "dataset"
    inspect: str
    takes_path: bool = True
    needs: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def make_facts(
        self, *positional: Any, progress: Callable[[int, int], object] | None = None, **given: Value
    ) -> DatasetFacts:
        """Inspect the data that `make` would open with the same arguments; raises what `inspect` raises."""
        ask = resolve(self.inspect)
        reports = progress is not None and "progress" in signature(ask).parameters
        more = {"progress": progress} if reports else {}
        facts: DatasetFacts = ask(*positional, **self._chosen(given), **more)
        return facts


@dataclass(frozen=True, kw_only=True)
class JobPath:
    """A path that a job takes; `many` takes one or more, `optional` can be left out, `written` is made by it.

    One of a job's paths at most is several or optional. With `model` it is whatever means a model: the name
    of a run too, which the job then gets as a checkpoint's directory. One that is `named` is given on a
    command line as ``--NAME PATH``; the job gets it in its place among the others.
    """

    name: str
    help: str
    many: bool = False
    optional: bool = False
    written: bool = False
    model: bool = False
    named: bool = False


@dataclass(frozen=True, kw_only=True)
class JobSpec(Declaration):
    """A named piece of work other than training, as a run of its own: seen, stopped and resumed like one.

    `factory` is called as ``function(context, *paths, **options)`` with a `contracts.JobContext`, absolute
    paths and every option; it returns a `contracts.JobReport`. An option whose default is None and that is
    not given comes as None. `files` are the options that name a file, `reads` those whose file must be there
    before the job starts: they are made absolute, too.

    It runs in one process without torch, or with `ranks` under torchrun on every rank; if it is also `alone`
    a single rank on a CPU is a process as without `ranks`, which starts sooner and has no world. `group` is
    the command below which it stands, ``arcterm data NAME`` or ``arcterm job NAME``; empty for one with a
    command of its own. `stops` says when a request to stop is heard; without `resumes` a resume begins it
    again.
    """

    kind: ClassVar[str] = "job"
    paths: tuple[JobPath, ...]
    files: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    ranks: bool = False
    alone: bool = False
    group: str = "job"
    stops: str = "before its next item"
    resumes: bool = True

    def __post_init__(self) -> None:
        """Raise `ValueError` for what no command can be made of."""
        if self.group not in _JOB_GROUPS:
            raise ValueError(f"group is one of {', '.join(map(repr, _JOB_GROUPS))}, not {self.group!r}")
        names = [path.name for path in self.paths] + [option.name for option in self.options]
        for name in names:
            if names.count(name) > 1 or not name.isidentifier() or keyword.iskeyword(name) or name in _TAKEN:
                why = "every command has it" if name in _TAKEN else "names are Python names, each used once"
                raise ValueError(f"a path or an option can't be called {name!r}: {why}")
        loose = [path.name for path in self.paths if path.many or path.optional]
        if len(loose) > 1:
            raise ValueError(f"{' and '.join(loose)} can't all be several paths or none: one of them can")
        if any(path.named and (path.many or path.optional) for path in self.paths):
            raise ValueError("a path with a name of its own is one path, and not optional")

    def read_files(self, options: Mapping[str, Value]) -> dict[str, str]:
        """Return the files of `reads` that `options` name, by option."""
        return {name: str(options[name]) for name in self.reads if options.get(name)}

    def share_out(self, paths: Sequence[T]) -> list[tuple[JobPath, list[T]]]:
        """Give each declared path those of `paths` that are for it; raises `ValueError` if they don't fit."""
        counts = {p.name: 1 for p in self.paths}
        spare = len(paths) - len(counts)
        for path in self.paths:
            if (spare > 0 and path.many) or (spare == -1 and path.optional):
                counts[path.name] += spare
                spare = 0
        if spare:
            wanted = " ".join(
                f"[{p.name.upper()}{' …' * p.many}]" if p.optional else p.name.upper() + "…" * p.many
                for p in self.paths
            )
            raise ValueError(f"it takes {wanted}, not {len(paths)} paths")
        rest = iter(paths)
        return [(path, list(islice(rest, counts[path.name]))) for path in self.paths]

    def part_by_name(self, paths: Sequence[T]) -> tuple[list[T], dict[str, T]]:
        """Return those of `paths` that are given by position, and the named ones; raises as `share_out`."""
        shared = self.share_out(paths)
        positional = [path for place, own in shared if not place.named for path in own]
        return positional, {place.name: own[0] for place, own in shared if place.named}


@dataclass(frozen=True, kw_only=True)
class Launcher(Declaration):
    """An engine that starts runs.

    `factory` is called as ``function(**options)`` and returns a `contracts.LauncherFactory`. With `remote`
    its machines are others than this one, which are not looked at: it then has the options ``hosts``, the
    number of machines, and ``gpus``, the GPUs of each (0: the CPU), both whole numbers, and may have
    ``threads``, the CPU threads of each rank. No option holds a secret: options are recorded in the run.
    """

    kind: ClassVar[str] = "launcher"
    remote: bool = False

    def __post_init__(self) -> None:
        """Raise `ValueError` for a remote one that can't be told how many machines and GPUs to take."""
        for name in ("hosts", "gpus") if self.remote else ():
            option = self.option(name)
            if option is None or option.type is not int or option.default is None:
                raise ValueError(f"a remote launcher has an option {name!r}, a whole number with a default")


@dataclass(frozen=True, kw_only=True)
class Tracker(Declaration):
    """What a training's numbers are sent to while it runs, from a process of its own.

    `factory` is called as ``function(run, **options)`` with a `contracts.TrackedRun` and returns a
    `contracts.RunTracker`. `needs` are the modules that it imports and that need not be installed, `install`
    is the command that installs them. `files` are the options that name a file: they are made absolute.
    `check` may also raise `ValueError` for what is missing on this machine. No option holds a secret: options
    are recorded in the run; a secret belongs into an environment variable or a file.
    """

    kind: ClassVar[str] = "tracker"
    needs: tuple[str, ...] = ()
    install: str = ""
    files: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """The modules of `needs` that are not installed."""
        return [name for name in self.needs if find_spec(name) is None]


@dataclass(frozen=True, kw_only=True)
class Detector(Declaration):
    """A face detector.

    `factory` is called as ``function(weights, **options)`` with the path of its weights, a text, and returns
    a `contracts.FaceDetector`. `find` (``pkg.mod:function``, torch-free) takes nothing and returns the path
    of weights that lie on this machine, or None; `advice` is a line on what to get, and where. A detector
    without `find` needs no file and is called with an empty path.

    `batch` is the number of images that it is best given at once. One that takes them one by one is made once
    for every thread that looks for faces, others once for a process.
    """

    kind: ClassVar[str] = "detector"
    find: str = ""
    advice: str = ""
    batch: int = 1

    def find_weights(self) -> str | None:
        """The path of weights that are here, empty if none are needed; None if there are none."""
        if not self.find:
            return ""
        found = resolve(self.find)()
        return None if found is None else str(found)


@dataclass(frozen=True, kw_only=True)
class Recipe(Declaration):
    """Settings of a training that were published or saved, by name; a TOML file holds them.

    `values` are settings as in a ``--config`` file. `source` is where they were published, `data` the data
    set that they are for, in words. `global_batch` is the number of images of a step, over all ranks, that
    `lr` goes with; 0 if that isn't known. `notes` are sentences on what is done otherwise than at the source.
    """

    kind: ClassVar[str] = "recipe"
    factory: str = ""
    values: Mapping[str, Any]
    source: str = ""
    data: str = ""
    global_batch: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise `ValueError` for a field of the wrong type."""
        texts = (self.summary, self.source, self.data, *self.notes)
        if not isinstance(self.values, Mapping) or not all(isinstance(text, str) for text in texts):
            raise ValueError("a recipe's values are a mapping, and what is said of it is text")
        if type(self.global_batch) is not int or self.global_batch < 0:
            raise ValueError(f"global_batch is the images of a step, not {_quoted(self.global_batch)}")

    @classmethod
    def read(cls, path: str | Path) -> Recipe:
        """Read a recipe's TOML file; raises `OSError` and `ValueError`."""
        import tomllib

        return cls.of(tomllib.loads(Path(path).read_text(encoding="utf-8")))

    @classmethod
    def of(cls, tables: Mapping[str, Any]) -> Recipe:
        """Make a recipe of the tables of its file: settings, and what is said of them in ``[recipe]``.

        Raises `ValueError` for a key of ``[recipe]`` that is unknown, or of the wrong type.
        """
        said = tables.get("recipe", {})
        known = ("summary", "source", "data", "global_batch", "notes")
        for key in said:
            if key not in known:
                raise ValueError(f"[recipe] has {key}; it may have {', '.join(known)}")
        notes = said.get("notes", [])
        if not isinstance(notes, list):
            raise ValueError("notes is a list of sentences")
        values = {key: value for key, value in tables.items() if key != "recipe"}
        return cls(values=values, **{"summary": "", **said, "notes": tuple(notes)})


def resolve(target: str) -> Callable[..., Any]:
    """Import ``pkg.mod:name`` and return the object."""
    module, _, name = target.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found

"""Configs of runs, frozen and checked; `settings` lists what can be set.

A `TrainConfig` is complete: every number that was left open has been worked out (`launch.plan`).
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import msgspec
from arcterm_registry import Declaration, JobSpec, Launcher, PluginError, get

from arcterm import commandline, jobs
from arcterm.commandline import Value
from arcterm.errors import ConfigError
from arcterm.overrides import OPTION_GROUPS, check_setting, non_defaults, options_for
from arcterm.samples import FROM_START, Begin
from arcterm.settings import LOCAL, SETTINGS

_CHECKED = (
    *("nproc", "batch_size", "accumulate", "epochs", "steps", "lr", "warmup", "clip", "keep_last", "seed"),
)
_DEFAULT: dict[str, Any] = {option.name: option.default for option in SETTINGS}


PATH_FIELD, PLACE_FIELD = "path.", "run."
"""Prefixes of the keys of a form's fields: for a job's path, and for what says where and when it runs."""


def field_text(value: Value) -> str:
    """A value as text in a form's field."""
    return ("yes" if value else "no") if isinstance(value, bool) else commandline.written(value)


class StopWords(NamedTuple):
    """When a soft request to stop is obeyed, what is `kept` then, and what stopping `at_once` costs."""

    softly: str
    kept: str
    at_once: str


def registered(launcher: str) -> str:
    """The registered name of a launcher."""
    return f"arcterm:{LOCAL}" if launcher == LOCAL else launcher


class Placement:
    """Where a run works: `nproc` ranks in all on `hosts` machines, each on `gpus`, none of one on the CPU.

    `launcher` starts it there, with `launcher_options`.
    """

    __slots__ = ()

    if TYPE_CHECKING:  # the fields of the configs

        @property
        def nproc(self) -> int: ...
        @property
        def gpus(self) -> list[int]: ...
        @property
        def hosts(self) -> int: ...
        @property
        def launcher(self) -> str: ...
        @property
        def launcher_options(self) -> dict[str, Value]: ...

    @property
    def ranks_each(self) -> int:
        """Ranks of each host."""
        return self.nproc // self.hosts

    @property
    def is_local(self) -> bool:
        """Whether a supervisor of this machine's starts it."""
        return self.launcher == LOCAL

    @property
    def is_remote(self) -> bool:
        """Whether its machines are others than this one; also where its launcher's package is gone."""
        declared = None if self.is_local else _declaration("launcher", registered(self.launcher))
        return declared.remote if isinstance(declared, Launcher) else not self.is_local

    @property
    def launching(self) -> dict[str, Any]:
        """The settings that ask for its launcher again, for `merge`."""
        if self.is_local:
            return {}
        given = non_defaults(self.launcher_options, _declaration("launcher", registered(self.launcher)))
        return {"launcher": self.launcher, **({"launcher_options": given} if given else {})}


class Augmentation(msgspec.Struct, frozen=True, kw_only=True):
    """How often training images are changed, and how much; `SETTINGS` says what each setting means."""

    mirror: float | bool = _DEFAULT["mirror"]
    crop: float = _DEFAULT["crop"]
    crop_area: float = _DEFAULT["crop_area"]
    jitter: float = _DEFAULT["jitter"]
    jitter_strength: float = _DEFAULT["jitter_strength"]
    lowres: float = _DEFAULT["lowres"]
    lowres_scale: float = _DEFAULT["lowres_scale"]
    jpeg: float = _DEFAULT["jpeg"]
    jpeg_low: int = _DEFAULT["jpeg_low"]
    jpeg_high: int = _DEFAULT["jpeg_high"]
    cutout: float = _DEFAULT["cutout"]
    cutout_size: int = _DEFAULT["cutout_size"]
    warp: float = _DEFAULT["warp"]
    warp_low: float = _DEFAULT["warp_low"]
    warp_high: float = _DEFAULT["warp_high"]
    warp_angle: float = _DEFAULT["warp_angle"]
    warp_offset: float = _DEFAULT["warp_offset"]
    holes: float = _DEFAULT["holes"]
    blur: float = _DEFAULT["blur"]
    recolour: float = _DEFAULT["recolour"]


class TrainConfig(Augmentation, Placement, frozen=True, kw_only=True, tag_field="kind", tag="training"):
    """A training run, complete. `batch_size` is per rank, `steps` the total, `gpus` empty on a CPU.

    `nproc` ranks in all are shared by `hosts`, and `gpus` are those of each. A run that is elastic goes on
    with `least_hosts` to `most_hosts`, which are 0 for one that isn't.

    A step is one update. It takes `global_batch` images: each rank's `share` in `accumulate` parts of
    `batch_size`, and all ranks' parts that go forward together are a `micro_batch`.

    Settings of other versions of arcterm that are unknown here are ignored on reading.
    """

    kind: ClassVar[str] = "training"
    resumes: ClassVar[bool] = True
    ranks: ClassVar[bool] = True
    has_form: ClassVar[bool] = True
    pictured: ClassVar[str] = ""

    backbone: str
    loss: str
    dataset: str
    backbone_options: dict[str, Value] = {}
    loss_options: dict[str, Value] = {}
    dataset_options: dict[str, Value] = {}
    device: Literal["cuda", "cpu"]
    nproc: int
    gpus: list[int] = []
    threads: int = 1
    hosts: int = 1
    least_hosts: int = 0
    most_hosts: int = 0
    launcher: str = _DEFAULT["launcher"]
    launcher_options: dict[str, Value] = {}
    batch_size: int
    accumulate: int = _DEFAULT["accumulate"]
    epochs: int
    steps: int
    lr: float
    schedule: Literal["poly", "cosine", "linear", "multistep"] = _DEFAULT["schedule"]
    power: float = _DEFAULT["power"]
    final_rate: float = _DEFAULT["final_rate"]
    milestones: list[int] = []
    gamma: float = _DEFAULT["gamma"]
    warmup: float = _DEFAULT["warmup"]
    optimizer: Literal["sgd", "adamw", "legacy"] = _DEFAULT["optimizer"]
    momentum: float = _DEFAULT["momentum"]
    weight_decay: float = _DEFAULT["weight_decay"]
    decay_on: Literal["all", "no-norms", "no-vectors"] = _DEFAULT["decay_on"]
    head_decay: float | None = _DEFAULT["head_decay"]
    head_lr_factor: float = _DEFAULT["head_lr_factor"]
    bn_momentum: float | None = _DEFAULT["bn_momentum"]
    freeze: str = _DEFAULT["freeze"]
    ema: float = _DEFAULT["ema"]
    clip: float = _DEFAULT["clip"]
    margin_schedule: str = _DEFAULT["margin_schedule"]
    scale_schedule: str = _DEFAULT["scale_schedule"]
    sample_rate: float = _DEFAULT["sample_rate"]
    interclass_filter: float = _DEFAULT["interclass_filter"]
    head_precision: Literal["auto", "float32", "bfloat16"] = _DEFAULT["head_precision"]
    head_filter: bool = _DEFAULT["head_filter"]
    row_update: Literal["auto", "backward", "step"] = _DEFAULT["row_update"]
    precision: Literal["auto", "float32", "bfloat16", "float16"] = _DEFAULT["precision"]
    compile: bool = _DEFAULT["compile"]
    cudnn_benchmark: bool = _DEFAULT["cudnn_benchmark"]
    deterministic: bool = _DEFAULT["deterministic"]
    gradient_checkpointing: bool = _DEFAULT["gradient_checkpointing"]
    verify_sets: str = _DEFAULT["verify_sets"]
    verify_every: int = _DEFAULT["verify_every"]
    checkpoint_every: int = _DEFAULT["checkpoint_every"]
    checkpoint_minutes: float = _DEFAULT["checkpoint_minutes"]
    checkpoint_background: bool = _DEFAULT["checkpoint_background"]
    keep_last: int = _DEFAULT["keep_last"]
    keep_best: int = _DEFAULT["keep_best"]
    mxnet_prefix: str = _DEFAULT["mxnet_prefix"]
    mxnet_save: Literal["best", "every"] = _DEFAULT["mxnet_save"]
    on_nan: Literal["stop", "lower-lr", "skip"] = _DEFAULT["on_nan"]
    retries: int = _DEFAULT["retries"]
    hang_seconds: float = _DEFAULT["hang_seconds"]
    grace: float = _DEFAULT["grace"]
    seed: int = _DEFAULT["seed"]
    sampling: Literal["shuffled", "balanced"] = _DEFAULT["sampling"]
    loader_threads: int = _DEFAULT["loader_threads"]
    decoded_cache: int = _DEFAULT["decoded_cache"]
    track: str = _DEFAULT["track"]
    track_options: dict[str, Value] = {}
    max_broken: float = _DEFAULT["max_broken"]
    pretrained: str = _DEFAULT["pretrained"]
    head: Literal["drop", "keep"] = _DEFAULT["head"]
    teacher: str = _DEFAULT["teacher"]
    teacher_weight: float = _DEFAULT["teacher_weight"]
    loss_weight: float = _DEFAULT["loss_weight"]
    begins: Begin = FROM_START
    """Where this global batch took over from another; no setting, but worked out by a resume."""
    durations: dict[str, str] = {}
    """The texts of settings that were given in epochs or the like, of which they hold the steps."""

    def __post_init__(self) -> None:
        if isinstance(self.mirror, bool):  # an older arcterm's yes and no
            msgspec.structs.force_setattr(self, "mirror", 0.5 * self.mirror)
        if self.jpeg_low > self.jpeg_high:
            raise ConfigError(
                f"jpeg_low {self.jpeg_low} is above jpeg_high {self.jpeg_high}", "change --set jpeg_low"
            )
        if self.warp_low > self.warp_high:
            raise ConfigError(
                f"warp_low {self.warp_low:g} is above warp_high {self.warp_high:g}", "change --set warp_low"
            )
        for name in _CHECKED:
            check_setting(name, getattr(self, name))
        if {"backbone", "head"} <= set(self.frozen):
            raise ConfigError(
                f"nothing learns: freeze {self.freeze} leaves neither backbone nor class weights",
                "change --set freeze",
            )
        if any(later <= sooner for sooner, later in zip(self.milestones, self.milestones[1:], strict=False)):
            raise ConfigError(
                f"milestones {self.milestones} do not rise", "give --set milestones in rising order"
            )
        if self.loss_weight == 0 and not self.teacher:
            raise ConfigError(
                "loss_weight 0 leaves nothing to learn from: there is no teacher",
                "give --set teacher=MODEL too, or leave out --set loss_weight",
            )
        if self.row_update == "backward" and (obstacle := self._keeps_rows):
            raise ConfigError(
                f"class weights can't be updated in the backward pass with {obstacle}",
                "leave out --set row_update, or give --set row_update=step",
            )
        if self.cudnn_benchmark and (self.deterministic or self.device == "cpu"):
            why = (
                "the fastest is not always the same" if self.deterministic else "this training is on the CPU"
            )
            raise ConfigError(
                f"cudnn_benchmark times the convolutions of a GPU, and {why}",
                "leave it out, or give --set cudnn_benchmark=no",
            )
        if self.gpus and len(self.gpus) != self.ranks_each:
            raise ConfigError(
                f"{self.ranks_each} ranks on {len(self.gpus)} GPUs", "give --nproc or --gpus, not both"
            )

    @property
    def share(self) -> int:
        """Images per step of a rank."""
        return self.batch_size * self.accumulate

    @property
    def micro_batch(self) -> int:
        """Images that go forward at once over all ranks."""
        return self.batch_size * self.nproc

    @property
    def global_batch(self) -> int:
        """Images per step over all ranks."""
        return self.share * self.nproc

    @property
    def product(self) -> str:
        """``32 × 2 × 4``: images of a rank's pass, ranks, and passes if they are several."""
        passes = f" × {self.accumulate}" if self.accumulate > 1 else ""
        return f"{self.batch_size} × {self.nproc}{passes}"

    @property
    def rows_in_backward(self) -> bool:
        """Whether class weights are updated within the backward pass."""
        if self.row_update != "auto":
            return self.row_update == "backward"
        # there class rows would move in a step that is skipped for a gradient of the backbone
        return self.device == "cuda" and self.on_nan != "skip" and not self._keeps_rows

    @property
    def _keeps_rows(self) -> str:
        """What needs the gradient of class weights as a whole; "" if nothing."""
        if self.accumulate > 1:
            return f"accumulate {self.accumulate}, which adds up the gradients of several passes"
        if self.sample_rate < 1:
            return f"sample_rate {self.sample_rate:g}, whose step updates copies of a few rows"
        if self.precision == "float16":
            return "precision float16, whose steps that overflow are left out"
        if "head" in self.frozen:
            return f"freeze {self.freeze}, which leaves them as they are"
        return ""

    @property
    def frozen(self) -> list[str]:
        """What does not learn: parts of the backbone by name, ``backbone`` for all of it, ``head``."""
        return [name.strip() for name in self.freeze.split(",") if name.strip()]

    @property
    def grouped(self) -> bool:
        """Whether some parameters are not updated as the others are."""
        own = self.head_decay is not None or self.head_lr_factor != 1 or self.bn_momentum is not None
        return own or self.decay_on != "all" or bool(self.frozen)

    @property
    def train(self) -> TrainConfig:
        """The training that a run is about: this one."""
        return self

    @property
    def plugins(self) -> list[tuple[str, str]]:
        """(kind, name) of the plug-ins it uses."""
        return [("backbone", self.backbone), ("loss", self.loss), ("dataset", self.dataset)]

    @property
    def label(self) -> str:
        """The middle of the run's id."""
        return f"{self.backbone}-{self.loss}"

    @property
    def title(self) -> str:
        """``r50 arcface``."""
        return f"{self.backbone} {self.loss}"

    @property
    def paths(self) -> list[str]:
        return [str(self.dataset_options["path"])] if "path" in self.dataset_options else []

    def settings(self) -> dict[str, Any]:
        """The settings that ask for it again, for `merge`; those at their default are left out."""
        asked: dict[str, Any] = {kind: getattr(self, kind) for kind in OPTION_GROUPS}
        for kind in OPTION_GROUPS:
            declared = _declaration(kind, asked[kind])
            asked[f"{kind}_options"] = non_defaults(getattr(self, f"{kind}_options"), declared)
        asked["dataset"] = asked["dataset_options"].pop("path", "") or asked["dataset"]
        for option in SETTINGS:
            value = self.durations.get(option.name, getattr(self, option.name))
            if option.name == "nproc":
                value = self.ranks_each
            if value not in (option.default, []) and option.name != "epochs":
                asked[option.name] = ",".join(map(str, value)) if isinstance(value, list) else value
        if self.track_options:
            asked["track_options"] = dict(self.track_options)
        if self.is_remote:  # where its options say how many GPUs, and --nproc is of each host
            asked = {key: value for key, value in asked.items() if key not in ("gpus", "nproc")}
            asked |= {"nproc": self.ranks_each} if not self.gpus and self.ranks_each > 1 else {}
        return asked | self.launching

    @property
    def command(self) -> str:
        """The equivalent command line."""
        here = self.is_local and max(self.hosts, self.most_hosts) > 1
        several = f" --nnodes {self.nnodes}" if here else ""
        return commandline.training(self.settings()) + several

    @property
    def nnodes(self) -> str:
        """Its numbers of hosts as a command gives them: ``2``, or ``1:2``."""
        return f"{self.least_hosts}:{self.most_hosts}" if self.most_hosts else str(self.hosts)

    @property
    def form(self) -> tuple[str, dict[str, str]]:
        """("", texts of the launch form by field) that ask for it again."""
        texts = {}
        for key, value in self.settings().items():
            group = key.removesuffix("_options")
            for name, given in value.items() if isinstance(value, dict) else [("", value)]:
                texts[f"{group}.{name}" if name else key] = field_text(given)
        return "", texts

    @property
    def columns(self) -> dict[str, str]:
        """Its cells in a list of runs."""
        return {"backbone": self.backbone, "loss": self.loss, "dataset": self.dataset}

    @property
    def stop_words(self) -> StopWords:
        return StopWords(
            softly="after a checkpoint",
            kept="nothing is lost",
            at_once="steps after the last checkpoint are lost",
        )


class JobConfig(msgspec.Struct, Placement, frozen=True, kw_only=True, tag_field="kind", tag="job"):
    """A run of the job called `name`: its absolute `paths` in order, all of its `options`.

    The job works out options that are missing. `ranks`: it runs on every rank. `train` is the training that
    it is about. The rest is kept of its declaration for readers.
    """

    kind: ClassVar[str] = "job"
    steps: ClassVar[int] = 0
    retries: ClassVar[int] = _DEFAULT["retries"]
    grace: ClassVar[float] = _DEFAULT["grace"]
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
        found = _declaration("job", self.plugin)
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


Config = TrainConfig | JobConfig


def _declaration(kind: str, name: str) -> Declaration | None:
    """The declaration of a plug-in; None where its package is gone or broken."""
    try:
        return get(kind, name)
    except PluginError:
        return None


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

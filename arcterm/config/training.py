"""A training, complete: every number that was left open has been worked out (`launch.plan`)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from arcterm import commandline
from arcterm.commandline import Value
from arcterm.config.placement import Placement, declaration
from arcterm.config.texts import StopWords, field_text
from arcterm.errors import ConfigError
from arcterm.overrides import OPTION_GROUPS, check_setting, non_defaults
from arcterm.samples import FROM_START, Begin
from arcterm.settings import DEFAULTS, SETTINGS

_CHECKED = (
    *("nproc", "batch_size", "accumulate", "epochs", "steps", "lr", "warmup", "clip", "keep_last", "seed"),
)


class Augmentation(msgspec.Struct, frozen=True, kw_only=True):
    """How often training images are changed, and how much; `SETTINGS` says what each setting means."""

    mirror: float | bool = DEFAULTS["mirror"]
    crop: float = DEFAULTS["crop"]
    crop_area: float = DEFAULTS["crop_area"]
    jitter: float = DEFAULTS["jitter"]
    jitter_strength: float = DEFAULTS["jitter_strength"]
    lowres: float = DEFAULTS["lowres"]
    lowres_scale: float = DEFAULTS["lowres_scale"]
    jpeg: float = DEFAULTS["jpeg"]
    jpeg_low: int = DEFAULTS["jpeg_low"]
    jpeg_high: int = DEFAULTS["jpeg_high"]
    cutout: float = DEFAULTS["cutout"]
    cutout_size: int = DEFAULTS["cutout_size"]
    warp: float = DEFAULTS["warp"]
    warp_low: float = DEFAULTS["warp_low"]
    warp_high: float = DEFAULTS["warp_high"]
    warp_angle: float = DEFAULTS["warp_angle"]
    warp_offset: float = DEFAULTS["warp_offset"]
    holes: float = DEFAULTS["holes"]
    blur: float = DEFAULTS["blur"]
    recolour: float = DEFAULTS["recolour"]


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
    launcher: str = DEFAULTS["launcher"]
    launcher_options: dict[str, Value] = {}
    batch_size: int
    accumulate: int = DEFAULTS["accumulate"]
    epochs: int
    steps: int
    lr: float
    schedule: Literal["poly", "cosine", "linear", "multistep"] = DEFAULTS["schedule"]
    power: float = DEFAULTS["power"]
    final_rate: float = DEFAULTS["final_rate"]
    milestones: list[int] = []
    gamma: float = DEFAULTS["gamma"]
    warmup: float = DEFAULTS["warmup"]
    optimizer: Literal["sgd", "adamw", "legacy"] = DEFAULTS["optimizer"]
    momentum: float = DEFAULTS["momentum"]
    weight_decay: float = DEFAULTS["weight_decay"]
    decay_on: Literal["all", "no-norms", "no-vectors"] = DEFAULTS["decay_on"]
    head_decay: float | None = DEFAULTS["head_decay"]
    head_lr_factor: float = DEFAULTS["head_lr_factor"]
    bn_momentum: float | None = DEFAULTS["bn_momentum"]
    freeze: str = DEFAULTS["freeze"]
    ema: float = DEFAULTS["ema"]
    clip: float = DEFAULTS["clip"]
    margin_schedule: str = DEFAULTS["margin_schedule"]
    scale_schedule: str = DEFAULTS["scale_schedule"]
    sample_rate: float = DEFAULTS["sample_rate"]
    interclass_filter: float = DEFAULTS["interclass_filter"]
    head_precision: Literal["auto", "float32", "bfloat16"] = DEFAULTS["head_precision"]
    head_filter: bool = DEFAULTS["head_filter"]
    row_update: Literal["auto", "backward", "step"] = DEFAULTS["row_update"]
    precision: Literal["auto", "float32", "bfloat16", "float16"] = DEFAULTS["precision"]
    compile: bool = DEFAULTS["compile"]
    cudnn_benchmark: bool = DEFAULTS["cudnn_benchmark"]
    deterministic: bool = DEFAULTS["deterministic"]
    gradient_checkpointing: bool = DEFAULTS["gradient_checkpointing"]
    verify_sets: str = DEFAULTS["verify_sets"]
    verify_every: int = DEFAULTS["verify_every"]
    checkpoint_every: int = DEFAULTS["checkpoint_every"]
    checkpoint_minutes: float = DEFAULTS["checkpoint_minutes"]
    checkpoint_background: bool = DEFAULTS["checkpoint_background"]
    keep_last: int = DEFAULTS["keep_last"]
    keep_best: int = DEFAULTS["keep_best"]
    mxnet_prefix: str = DEFAULTS["mxnet_prefix"]
    mxnet_save: Literal["best", "every"] = DEFAULTS["mxnet_save"]
    on_nan: Literal["stop", "lower-lr", "skip"] = DEFAULTS["on_nan"]
    retries: int = DEFAULTS["retries"]
    hang_seconds: float = DEFAULTS["hang_seconds"]
    grace: float = DEFAULTS["grace"]
    seed: int = DEFAULTS["seed"]
    sampling: Literal["shuffled", "balanced"] = DEFAULTS["sampling"]
    loader_threads: int = DEFAULTS["loader_threads"]
    decoded_cache: int = DEFAULTS["decoded_cache"]
    track: str = DEFAULTS["track"]
    track_options: dict[str, Value] = {}
    max_broken: float = DEFAULTS["max_broken"]
    pretrained: str = DEFAULTS["pretrained"]
    head: Literal["drop", "keep"] = DEFAULTS["head"]
    teacher: str = DEFAULTS["teacher"]
    teacher_weight: float = DEFAULTS["teacher_weight"]
    loss_weight: float = DEFAULTS["loss_weight"]
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
            declared = declaration(kind, asked[kind])
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

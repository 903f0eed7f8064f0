"""The sections of the launch form: which fields stand together, so that none is far away. No Textual."""

from __future__ import annotations

from collections.abc import Sequence

from arcterm.settings import SETTINGS

SECTIONS: dict[str, tuple[str, ...]] = {
    "model": ("recipe", "backbone", "pretrained", "head", "freeze", "bn_momentum"),
    "loss": ("loss", "margin_schedule", "scale_schedule", "sample_rate", "interclass_filter", "head_filter"),
    "data": ("dataset", "sampling", "loader_threads", "decoded_cache", "max_broken"),
    "pictures": (
        *("mirror", "crop", "crop_area", "jitter", "jitter_strength", "lowres", "lowres_scale"),
        *("jpeg", "jpeg_low", "jpeg_high", "cutout", "cutout_size"),
        *("warp", "warp_low", "warp_high", "warp_angle", "warp_offset", "holes", "blur", "recolour"),
    ),
    "length, rate": (
        *("epochs", "steps", "batch_size", "accumulate", "lr", "schedule", "power", "final_rate"),
        *("milestones", "gamma", "warmup"),
    ),
    "optimizer": (
        *("optimizer", "momentum", "weight_decay", "decay_on", "head_decay", "head_lr_factor"),
        *("clip", "ema"),
    ),
    "devices": (
        *("launcher", "gpus", "nproc", "precision", "head_precision", "row_update", "gradient_checkpointing"),
        *("compile", "cudnn_benchmark", "deterministic"),
    ),
    "verify, save": (
        *("verify_sets", "verify_every", "checkpoint_every", "checkpoint_minutes"),
        *("checkpoint_background", "keep_last", "keep_best", "mxnet_prefix", "mxnet_save"),
    ),
    "teacher": ("teacher", "teacher_weight", "loss_weight"),
    "failures": ("on_nan", "retries", "hang_seconds", "grace"),
    "run": ("name", "seed", "track"),
}
"""Fields by section. A plug-in's options follow the field in which it is chosen."""

REVIEW = "review"
"""The last page, which has no fields: the whole plan, and the difference to where the form began."""

_LISTED = {key for keys in SECTIONS.values() for key in keys}
_REST = tuple(option.name for option in SETTINGS if option.name not in _LISTED)


def titles() -> list[str]:
    """All pages in order; a setting that no section names is in ``more``."""
    return [*SECTIONS, *(["more"] if _REST else []), REVIEW]


def keys(title: str) -> tuple[str, ...]:
    """The fields of a section, without plug-ins' options."""
    return SECTIONS.get(title, _REST if title == "more" else ())


def section_of(key: str, among: Sequence[str]) -> str:
    """The section of a field, of those `among`; an option stands with its plug-in. The last for no field."""
    chosen = key.partition(".")[0]
    return next((title for title in among if chosen in keys(title)), among[-1])

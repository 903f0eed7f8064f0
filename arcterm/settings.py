"""Every setting of a training: its type, range, default and help.

`SETTINGS` is the one list from which the command line, the launch form and the checks are made.
"""

from __future__ import annotations

from typing import Any

from arcterm_registry import Option

from arcterm.schedules.durations import DurationOption


def _setting(name: str, kind: Any, default: Any, help: str, **limits: Any) -> Option:
    return Option(name=name, type=kind, default=default, help=help, **limits)


def _share(name: str, default: float | None, help: str, **limits: Any) -> Option:
    """A setting from 0 to 1."""
    return _setting(name, float, default, help, low=0, high=1, **limits)


def _duration(name: str, default: float, help: str, **more: Any) -> Option:
    return DurationOption(name=name, type=str, default=default, help=help, **more)


LOCAL = "local"
"""The launcher of this machine, which is ours whatever other packages call theirs."""

SETTINGS: tuple[Option, ...] = (
    _setting("nproc", int, None, "ranks; one per GPU, or one on a CPU", low=1),
    _setting("gpus", str, None, "GPUs as nvidia-smi counts, e.g. 0,2, or none; all visible ones"),
    _setting("launcher", str, LOCAL, "engine that starts the run: local, or another's (launcher.KEY=…)"),
    _setting("batch_size", int, None, "images per rank; 128 on a GPU, 32 on a CPU rank", low=1),
    _setting(
        "accumulate",
        int,
        1,
        "passes of batch_size images that make one step: a larger batch in the same memory",
        low=1,
    ),
    _setting("epochs", int, 20, "passes over the data", low=1),
    _setting("steps", int, None, "optimizer steps, instead of --epochs", low=1),
    _setting(
        "lr",
        float,
        None,
        "peak learning rate; 0.1 × global batch / 1024, at least 0.02",
        low=0,
        open_low=True,
    ),
    _setting(
        "schedule",
        str,
        "poly",
        "poly, cosine, linear: step by step to the end; multistep: × gamma at each milestone",
        choices=("poly", "multistep", "cosine", "linear"),
    ),
    _setting("power", float, 2.0, "exponent of the poly schedule", low=0, open_low=True),
    _share("final_rate", 0.0, "share of the peak at which cosine and linear end"),
    _setting(
        "milestones",
        str,
        "",
        "of the multistep schedule, in steps or epochs, e.g. 1000,1500 or 10e,15e; at 50, 70 and 90 % of the "
        "run",
    ),
    _share("gamma", 0.1, "multistep factor", open_low=True),
    _duration(
        "warmup",
        0.0,
        "while the rate rises to its peak: a share of the steps, e.g. 0.1, or epochs, e.g. 2e, or steps",
        share=True,
    ),
    _setting(
        "optimizer",
        str,
        "sgd",
        "sgd with momentum; adamw, for vision transformers; legacy, MXNet's SGD with the rate inside",
        choices=("sgd", "adamw", "legacy"),
    ),
    _share("momentum", 0.9, "of SGD; with AdamW its first beta", open_high=True),
    _setting("weight_decay", float, 5e-4, "of the parameters that decay_on says", low=0),
    _setting(
        "decay_on",
        str,
        "all",
        "which parameters decay: all, no-norms (without those of norms), no-vectors (nor biases and slopes)",
        choices=("all", "no-norms", "no-vectors"),
    ),
    _setting("head_decay", float, None, "weight decay of the class weights; weight_decay", low=0),
    _setting(
        "head_lr_factor",
        float,
        1.0,
        "the class weights' learning rate, as a multiple of the backbone's",
        low=0,
        open_low=True,
    ),
    _share(
        "bn_momentum", None, "share of a batch in the running statistics of batch norms; the backbone's own"
    ),
    _setting(
        "freeze",
        str,
        "",
        "what does not learn, with commas: parts of the backbone, FIRST-LAST, backbone, or head; nothing",
    ),
    _share(
        "ema",
        0.0,
        "average of the weights that is verified and exported: share kept at each step, e.g. 0.9999; none",
        open_high=True,
    ),
    _setting(
        "clip",
        float,
        0.0,
        "largest norm of the backbone's gradient, above which it is scaled down; 0 never does",
        low=0,
    ),
    _setting(
        "margin_schedule",
        str,
        "",
        "the loss's margin from steps or epochs on, straight lines between them, e.g. 0:0.2,5e:0.5; it stays "
        "as it is",
    ),
    _setting("scale_schedule", str, "", "the loss's scale, likewise, e.g. 0:32,2e:64; it stays as it is"),
    _share("sample_rate", 1.0, "share of the classes that a step compares with (Partial FC)", open_low=True),
    _share(
        "interclass_filter",
        1.0,
        "other classes with a cosine above this count as 0, against wrong labels; 1 filters none",
    ),
    _setting(
        "head_precision",
        str,
        "auto",
        "of the products with the class weights; bfloat16 on GPUs, float32 on CPUs and beside float16",
        choices=("auto", "float32", "bfloat16"),
    ),
    _setting(
        "head_filter",
        bool,
        False,
        "in bfloat16, leave images out of the products of the class weights' backward pass that are told "
        "apart from all other classes, as far as rounding would",
    ),
    _setting(
        "row_update",
        str,
        "auto",
        "class weights are updated within the backward pass, without their gradient in memory, or in a "
        "step after it; backward on GPUs where it can be",
        choices=("auto", "backward", "step"),
    ),
    _setting(
        "precision",
        str,
        "auto",
        "of the backbone; bfloat16 where there are instructions for it, else float32; float16 for older GPUs",
        choices=("auto", "float32", "bfloat16", "float16"),
    ),
    _setting("compile", bool, False, "compile the backbone: minutes at the start, then faster steps"),
    _setting(
        "cudnn_benchmark",
        bool,
        False,
        "time the ways to compute each convolution and take the fastest; GPUs only",
    ),
    _setting(
        "deterministic",
        bool,
        False,
        "the same command gives the same bits on a GPU too; steps take longer",
    ),
    _setting("gradient_checkpointing", bool, False, "compute blocks of the backbone twice, for less memory"),
    _share("mirror", 0.5, "share of the images that are mirrored"),
    _share("crop", 0.0, "share of the images cut to a part, the rest black"),
    _setting("crop_area", float, 0.2, "smallest part that crop leaves", low=0.01, high=1),
    _share("jitter", 0.0, "share of the images changed in brightness, contrast and saturation"),
    _share("jitter_strength", 0.125, "how much: 1 ± this, each"),
    _share("lowres", 0.0, "share of the images made small and large again"),
    _setting("lowres_scale", float, 0.2, "smallest side, of the whole", low=0.02, high=1),
    _share("jpeg", 0.0, "share of the images compressed once more"),
    _setting("jpeg_low", int, 2, "lowest JPEG quality", low=1, high=100),
    _setting("jpeg_high", int, 20, "highest JPEG quality", low=1, high=100),
    _share("cutout", 0.0, "share of the images with a square of grey in them"),
    _setting("cutout_size", int, 40, "its side in pixels", low=1, high=4096),
    _share("warp", 0.0, "share of the images scaled and moved, a fifth of them turned too (CVLface)"),
    _setting("warp_low", float, 0.8, "smallest scale of a warp", low=0.1, high=10),
    _setting("warp_high", float, 1.2, "largest scale of a warp", low=0.1, high=10),
    _setting("warp_angle", float, 20.0, "most degrees that a warp turns an image", low=0, high=180),
    _share("warp_offset", 0.1, "of half the side: how far a warp moves an image beyond its edge"),
    _share("holes", 0.0, "share of the images with 12 to 20 black squares of 16 pixels (CVLface)"),
    _share("blur", 0.0, "share of the images blurred (CVLface)"),
    _share("recolour", 0.0, "share of the images with two strong changes of colour or sharpness (CVLface)"),
    _setting(
        "verify_sets",
        str,
        "",
        "verification sets, with commas: names of the data's own, all, or paths of others; the data's own",
    ),
    _duration("verify_every", 2000, "steps between verifications, or epochs, e.g. 0.5e"),
    _duration("checkpoint_every", 2000, "steps between checkpoints, or epochs, e.g. 1e"),
    _setting(
        "checkpoint_minutes",
        float,
        10.0,
        "minutes after which a checkpoint is due, however few the steps; 0 saves by steps alone",
        low=0,
    ),
    _setting(
        "checkpoint_background",
        bool,
        True,
        "steps go on while a checkpoint is written, from a copy in the host's memory",
    ),
    _setting("keep_last", int, 3, "newest checkpoints kept", low=2),
    _setting("keep_best", int, 1, "best checkpoints kept, by mean accuracy", low=0),
    _setting(
        "mxnet_prefix",
        str,
        "",
        "also write MXNet's PREFIX-symbol.json and PREFIX-0001.params, numbered by verification; none",
    ),
    _setting(
        "mxnet_save",
        str,
        "best",
        "which verifications write them: best, by the rule of 2018 (0.998 on the first set, or a new best on "
        "the last and 0.99 on the first), or every",
        choices=("best", "every"),
    ),
    _setting(
        "on_nan",
        str,
        "stop",
        "at a loss or gradient that is no number: stop, lower-lr (roll back, half the rate) or skip the step",
        choices=("stop", "lower-lr", "skip"),
    ),
    _setting(
        "retries", int, 3, "relaunches without progress in between, after a failure from outside", low=0
    ),
    _setting(
        "hang_seconds", float, 60.0, "seconds without a step, at least, until ranks count as hung", low=1
    ),
    _setting("grace", float, 30.0, "seconds that a SIGTERM leaves to save in", low=1),
    _setting(
        "sampling",
        str,
        "shuffled",
        "shuffled: every image once an epoch; balanced: every person equally often, in epochs as long",
        choices=("shuffled", "balanced"),
    ),
    _setting("seed", int, 0, "of weights, order and augmentation", low=0, high=2**31 - 1),
    _setting(
        "loader_threads",
        int,
        0,
        "decoding threads per rank; 0: 2 on a CPU, on a GPU by the cores that a rank has, 2 to 16",
        low=0,
        high=64,
    ),
    _setting(
        "decoded_cache",
        int,
        0,
        "MiB of memory per host for images kept decoded; they are decoded once",
        low=0,
    ),
    _setting(
        "track",
        str,
        "",
        "trackers that get the run's numbers, with commas, e.g. csv,tensorboard; none",
    ),
    _share(
        "max_broken",
        0.001,
        "share of the records that may be broken before the run stops; they are skipped and listed",
    ),
    _setting(
        "pretrained",
        str,
        "",
        "a run, checkpoint or model file, or MXNet's PREFIX,EPOCH, to start from; random weights",
    ),
    _setting(
        "head",
        str,
        "drop",
        "whether --pretrained's class weights are kept; the classes must be the same",
        choices=("drop", "keep"),
    ),
    _setting(
        "teacher",
        str,
        "",
        "a run, checkpoint or model file whose embeddings are to be learned too (distillation); none",
    ),
    _setting(
        "teacher_weight",
        float,
        10.0,
        "factor of the distance to the teacher, 1 - cosine, in what is learned",
        low=0,
        open_low=True,
    ),
    _setting("loss_weight", float, 1.0, "factor of the loss beside a teacher; 0 learns from it alone", low=0),
)
BY_NAME = {option.name: option for option in SETTINGS}
DEFAULTS: dict[str, Any] = {option.name: option.default for option in SETTINGS}
FLAGS = (
    *("nproc", "gpus", "batch_size", "epochs", "steps", "lr", "schedule", "compile", "deterministic"),
    *(
        "verify_sets",
        "verify_every",
        "checkpoint_every",
        "on_nan",
        "retries",
        "seed",
        "pretrained",
        "head",
        "track",
        "launcher",
    ),
)
"""The settings that have a flag of their own; all others are reached by ``--set``."""

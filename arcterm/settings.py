"""Every setting of a training: its type, range, default and help.

`SETTINGS` is the one list from which the command line, the launch form and the checks are made.
"""

from __future__ import annotations

from arcterm_registry import Option

SETTINGS: tuple[Option, ...] = (
    Option(name="nproc", type=int, default=None, low=1, help="ranks; one per GPU, or one on a CPU"),
    Option(name="gpus", type=str, default=None, help="GPUs as nvidia-smi counts, e.g. 0,2; all visible ones"),
    Option(
        name="batch_size",
        type=int,
        default=None,
        low=1,
        help="images per rank; 128 on a GPU, 32 on a CPU rank",
    ),
    Option(name="epochs", type=int, default=20, low=1, help="passes over the data"),
    Option(name="steps", type=int, default=None, low=1, help="optimizer steps, instead of --epochs"),
    Option(
        name="lr",
        type=float,
        default=None,
        low=0,
        open_low=True,
        help="peak learning rate; 0.1 × global batch / 1024, at least 0.02",
    ),
    Option(
        name="schedule",
        type=str,
        default="poly",
        choices=("poly", "multistep"),
        help="poly: to zero, step by step; multistep: × gamma at each milestone",
    ),
    Option(name="power", type=float, default=2.0, low=0, open_low=True, help="exponent of the poly schedule"),
    Option(
        name="milestones",
        type=str,
        default="",
        help="steps of the multistep schedule, e.g. 1000,1500; at 50, 70 and 90 % of the run",
    ),
    Option(name="gamma", type=float, default=0.1, low=0, high=1, open_low=True, help="multistep factor"),
    Option(
        name="warmup",
        type=float,
        default=0.0,
        low=0,
        high=1,
        open_high=True,
        help="share of the steps in which the learning rate rises to its peak, e.g. 0.1",
    ),
    Option(
        name="optimizer",
        type=str,
        default="sgd",
        choices=("sgd", "adamw"),
        help="sgd with momentum, or adamw, for vision transformers",
    ),
    Option(
        name="momentum",
        type=float,
        default=0.9,
        low=0,
        high=1,
        open_high=True,
        help="of SGD; with AdamW its first beta",
    ),
    Option(name="weight_decay", type=float, default=5e-4, low=0, help="of every parameter"),
    Option(
        name="clip",
        type=float,
        default=0.0,
        low=0,
        help="largest norm of the backbone's gradient, above which it is scaled down; 0 never does",
    ),
    Option(
        name="sample_rate",
        type=float,
        default=1.0,
        low=0,
        high=1,
        open_low=True,
        help="share of the classes that a step compares with (Partial FC)",
    ),
    Option(
        name="interclass_filter",
        type=float,
        default=1.0,
        low=0,
        high=1,
        help="other classes with a cosine above this count as 0, against wrong labels; 1 filters none",
    ),
    Option(
        name="head_precision",
        type=str,
        default="auto",
        choices=("auto", "float32", "bfloat16"),
        help="of the products with the class weights; bfloat16 on GPUs, float32 on CPUs",
    ),
    Option(
        name="precision",
        type=str,
        default="auto",
        choices=("auto", "float32", "bfloat16"),
        help="of the backbone; bfloat16 where the GPU or CPU has instructions for it, else float32",
    ),
    Option(
        name="compile",
        type=bool,
        default=False,
        help="compile the backbone: minutes at the start, then faster steps",
    ),
    Option(
        name="gradient_checkpointing",
        type=bool,
        default=False,
        help="compute blocks of the backbone twice, for less memory",
    ),
    Option(
        name="mirror", type=float, default=0.5, low=0, high=1, help="share of the images that are mirrored"
    ),
    Option(
        name="crop",
        type=float,
        default=0.0,
        low=0,
        high=1,
        help="share of the images cut to a part, the rest black",
    ),
    Option(
        name="crop_area", type=float, default=0.2, low=0.01, high=1, help="smallest part that crop leaves"
    ),
    Option(
        name="jitter",
        type=float,
        default=0.0,
        low=0,
        high=1,
        help="share of the images changed in brightness, contrast and saturation",
    ),
    Option(name="jitter_strength", type=float, default=0.125, low=0, high=1, help="how much: 1 ± this, each"),
    Option(
        name="lowres",
        type=float,
        default=0.0,
        low=0,
        high=1,
        help="share of the images made small and large again",
    ),
    Option(
        name="lowres_scale", type=float, default=0.2, low=0.02, high=1, help="smallest side, of the whole"
    ),
    Option(
        name="jpeg", type=float, default=0.0, low=0, high=1, help="share of the images compressed once more"
    ),
    Option(name="jpeg_low", type=int, default=2, low=1, high=100, help="lowest JPEG quality"),
    Option(name="jpeg_high", type=int, default=20, low=1, high=100, help="highest JPEG quality"),
    Option(
        name="cutout",
        type=float,
        default=0.0,
        low=0,
        high=1,
        help="share of the images with a square of grey in them",
    ),
    Option(name="cutout_size", type=int, default=40, low=1, high=4096, help="its side in pixels"),
    Option(name="verify_every", type=int, default=2000, low=1, help="steps between verifications"),
    Option(name="checkpoint_every", type=int, default=2000, low=1, help="steps between checkpoints"),
    Option(name="keep_last", type=int, default=3, low=2, help="newest checkpoints kept"),
    Option(name="keep_best", type=int, default=1, low=0, help="best checkpoints kept, by mean accuracy"),
    Option(
        name="seed", type=int, default=0, low=0, high=2**31 - 1, help="of weights, order and augmentation"
    ),
    Option(name="loader_threads", type=int, default=2, low=1, high=64, help="decoding threads per rank"),
    Option(
        name="decoded_cache",
        type=int,
        default=0,
        low=0,
        help="MiB of memory per host for images kept decoded; they are decoded once",
    ),
    Option(
        name="max_broken",
        type=float,
        default=0.001,
        low=0,
        high=1,
        help="share of the records that may be broken before the run stops; they are skipped and listed",
    ),
    Option(
        name="pretrained",
        type=str,
        default="",
        help="a run, checkpoint or model file, or MXNet's PREFIX,EPOCH, to start from; random weights",
    ),
    Option(
        name="head",
        type=str,
        default="drop",
        choices=("drop", "keep"),
        help="whether --pretrained's class weights are kept; the classes must be the same",
    ),
)
FLAGS = (
    "nproc",
    "gpus",
    "batch_size",
    "epochs",
    "steps",
    "lr",
    "schedule",
    "compile",
    "verify_every",
    "checkpoint_every",
    "seed",
    "pretrained",
    "head",
)
"""The settings that have a flag of their own; all others are reached by ``--set``."""

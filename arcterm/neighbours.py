"""Settings near to one that doesn't exist."""

from __future__ import annotations

import difflib
import re

from arcterm_registry import scan

from arcterm.settings import FLAGS, SETTINGS

_GROUPS = ("backbone", "loss", "dataset")
_FLAGS = (*FLAGS, "dataset", "name", "config")
_ARGUMENTS = ("backbone", "loss")
_KNOWN = (*(option.name for option in SETTINGS), *_GROUPS, "name")

_WORDS = """
accumulate: accum_iter accumulation_steps grad_accum gradient_acc gradient_accumulation_steps update_freq
backbone: backbone_name net network
backbone.dropout: dropout_rate
backbone.embedding_size: emb_size embedding_dim
batch_size: batch bs global_batch_size per_batch_size
bn_momentum: batch_norm_momentum bn_mom
checkpoint_every: ckpt save_every save_freq steps_per_save
clip: clip_grad grad_clip max_grad_norm
compile: torch_compile
cudnn_benchmark: benchmark
dataset: data data_dir data_path rec train_dir
deterministic: cudnn_deterministic use_deterministic_algorithms
ema: ema_decay model_ema
epochs: end_epoch epoch max_epochs num_epoch num_epochs
final_rate: eta_min lr_min min_lr
freeze: freeze_layers frozen
gamma: gamma_decay lr_decay
gpus: devices gpu gpu_ids
interclass_filter: interclass_filtering_threshold
jitter: aug
loader_threads: cpus n_workers num_threads num_workers threads workers
loss: criterion loss_type
loss.margin: cos_m m margin_list triplet_alpha
loss.scale: s
lr: base_lr learning_rate
milestones: lr_steps
mirror: flip hflip rand_mirror
momentum: mom
name: label run_name
nproc: nproc_per_node num_gpus world_size
optimizer: opt optim
precision: amp autocast bf16 dtype fp16 mixed_precision
pretrained: checkpoint pretrain resume
runs_dir: out out_dir output output_dir save_dir
sample_rate: partial_fc
sampling: balanced_sampler class_balanced sampler
schedule: lr_schedule lr_scheduler scheduler
seed: random_seed
steps: iterations iters max_iter max_steps num_steps
track: log_with logger loggers report_to tracker trackers using_wandb
verify_sets: target test_sets val_sets val_targets
verify_every: eval_every eval_freq frequent verbose
warmup: warmup_epoch warmup_epochs warmup_steps
warp: affine grid_sample gridsample random_affine
warp_angle: max_rot rotation
weight_decay: wd
"""
"""Settings, each with its names in other trainers."""
_ELSEWHERE = {
    word: name.strip()
    for name, _, words in (line.partition(":") for line in _WORDS.split("\n"))
    for word in words.split()
}


def near(name: str) -> list[str]:
    """Up to three settings that `name` may stand for, the likeliest first; a plug-in's as ``loss.margin``."""
    asked = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    asked = re.sub(r"[^a-z0-9.]+", "_", asked.lower()).strip("_")
    options = owned()
    last = asked.rpartition(".")[2]
    exact = [asked] * (asked in _KNOWN) + [last] * (last in _KNOWN and last != asked)
    exact += [full for full in options if full.partition(".")[2] == last]
    exact += [target for word, target in _ELSEWHERE.items() if word == last]
    if exact:
        return list(dict.fromkeys(exact))[:3]
    words = {word: word for word in _KNOWN} | {full.partition(".")[2]: full for full in reversed(options)}
    words |= {full: full for full in options} | {word: word for word in _KNOWN}
    close = difflib.get_close_matches(asked, words, n=5, cutoff=0.6)
    return list(dict.fromkeys(words[word] for word in close))[:3]


def way(name: str) -> str:
    """How a setting is given on the command line of ``train``."""
    if name in _ARGUMENTS:
        return f"{name.upper()}, an argument"
    if name in _FLAGS or name == "runs_dir":
        return "--" + name.replace("_", "-")
    return f"--set {name}=…"


def owned() -> list[str]:
    """The options of all plug-ins, as ``loss.margin``; a plug-in that raises has none."""
    found = (
        f"{kind}.{option.name}"
        for kind in ("loss", "backbone", "dataset")
        for plugin in scan(kind)
        if plugin.declaration
        for option in plugin.declaration.options
    )
    return list(dict.fromkeys(found))

"""The time of a step, by a few of a few images: backbone, head and update, with values drawn at random.

A step that accumulates gradients is timed as one of its parts. Not in it are waiting for images, and
exchanging gradients with other ranks.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import msgspec
import torch
from arcterm_registry import get
from torch import Tensor

from arcterm.config import TrainConfig
from arcterm.train import build, precision
from arcterm.train.checkpoint.trained import Trained
from arcterm.train.distillation import Teacher
from arcterm.train.head.head import Head
from arcterm.train.world import World
from arcterm.verify.embed import normalize

_STEPS = 3
_ENOUGH_SECONDS = 4.0
_CPU_FLOPS = 20e9  # of a slow core: the images are so few that two steps take seconds there
_CUDA_IMAGES = 128


@dataclass(frozen=True)
class StepTime:
    """Seconds of the median of `steps` steps of `images` images."""

    seconds: float
    steps: int
    images: int


def measure(config: TrainConfig, classes: int) -> StepTime:
    """Time steps of a rank of `config`, on its device, with its share of `classes` class weights.

    The first is left out: it finds out how to compute what. Raises whatever the backbone or the loss raises.
    """
    device = torch.device("cuda", 0) if config.device == "cuda" else torch.device("cpu")
    world = World(device=device)
    config = msgspec.structs.replace(config, batch_size=_images(config))
    # the head computes the global batch against a shard: the same products as all ranks' shares of both
    trained = build.trained(config, max(2, classes // config.nproc), world)
    teacher = Teacher.load(config, device)
    pixels, labels = _batch(config, trained, device)
    taken: list[float] = []
    while len(taken) < 2 or (len(taken) <= _STEPS and sum(taken) < _ENOUGH_SECONDS):
        began = time.perf_counter()
        _step(config, trained, teacher, pixels, labels)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - began)
    return StepTime(statistics.median(taken[1:]), len(taken) - 1, config.batch_size)


def _images(config: TrainConfig) -> int:
    """How many images of a rank's batch to try: all on a GPU, which is idle with few."""
    if config.device == "cuda":
        return min(config.batch_size, _CUDA_IMAGES)
    of_an_image = 6e9 * get("backbone", config.backbone).gmacs
    return max(
        2, min(config.batch_size, int(_ENOUGH_SECONDS / 2 * _CPU_FLOPS * config.threads / of_an_image))
    )


def _batch(config: TrainConfig, trained: Trained, device: torch.device) -> tuple[Tensor, Tensor]:
    """A rank's images (B, H, W, 3) uint8, and the labels of all ranks' (N · B,)."""
    height, width = get("backbone", config.backbone).input_size
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (config.batch_size, height, width, 3), dtype=torch.uint8, generator=generator)
    labels = torch.arange(config.micro_batch) % trained.head.count
    return pixels.to(device), labels.to(device)


def _step(
    config: TrainConfig, trained: Trained, teacher: Teacher | None, pixels: Tensor, labels: Tensor
) -> None:
    for optimizer in (trained.backbone_optimizer, trained.head_optimizer):
        optimizer.zero_grad(set_to_none=True)
    with precision.autocast(config.precision, pixels.device):
        embeddings = trained.backbone(normalize(pixels, get("backbone", config.backbone).preprocess))
    if isinstance(trained.head, Head):
        if trained.head.row_update:
            trained.head.row_update.arm()
        loss = trained.head(embeddings.repeat(config.nproc, 1), labels, 1).loss
    else:  # losses of pairs and triplets cost next to nothing
        loss = embeddings.float().square().mean()
    if teacher is not None:
        loss = teacher.combine(loss, teacher.distance(pixels, embeddings))
    loss.backward()
    for optimizer in (trained.backbone_optimizer, trained.head_optimizer):
        optimizer.step()

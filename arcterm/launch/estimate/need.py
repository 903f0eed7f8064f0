"""The memory that a rank of a training needs, by part: plain arithmetic."""

from __future__ import annotations

import msgspec
from arcterm_registry import Backbone, Loss
from arcterm_registry.contracts import DatasetFacts

from arcterm.config import TrainConfig
from arcterm.launch.estimate.footprint import Footprint, moments
from arcterm.runs import space

# A rank's process without any tensors, after it has done everything once: Python, PyTorch and OpenCV, as
# benchmarks/memory.py finds them with torch 2.13. What not every rank imports comes to it: SymPy, by which
# torch.fx folds norms; torch's compiler with SymPy, which DDP and the recomputing of blocks import too.
_PROGRAM, _SYMPY, _DYNAMO = 310 << 20, 31 << 20, 142 << 20
BESIDE_GPU = 430 << 20
"""Bytes of the host that a rank on a GPU takes."""
# On a GPU, the driver's context and the libraries' kernels in its memory (NVIDIA's own figures are 300 to 500
# MiB, by GPU), and what is left for NCCL, which is not measured. DDP's buckets are the gradients themselves.
_CONTEXT, _NCCL = 600 << 20, 50 << 20
_COMPILER = 600 << 20  # Inductor in the rank's process
_ORDER = 8  # bytes of an image in an epoch's order, in the host's memory
_BATCHES_AHEAD = 7  # decoded ones of the loader; on a GPU as many lie there, with one that is being mirrored
# of the streamed head (train/head/chunk.py)
_CPU_TILE, _CUDA_TILE, _TILES = 1 << 17, 1 << 24, 6
_LEAST_CLASSES, _MOST_CLASSES = 512, 1 << 16
_FUSED = 81 << 20
_KEPT = 64 << 20
_SCRATCH_ROWS = 1 << 16


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that a rank needs on its device, by part; `shared` are had once for all ranks of the host."""

    weights: int
    gradients: int
    momentum: int
    head: int
    activations: int
    buffers: int
    program: int
    shared: int = 0

    @property
    def total(self) -> int:
        """What a rank needs, without what is shared."""
        parts = (self.weights, self.gradients, self.momentum, self.head)
        return sum(parts) + self.activations + self.buffers + self.program


class Subject(msgspec.Struct, frozen=True):
    """What the arithmetic is about."""

    backbone: Backbone
    loss: Loss
    facts: DatasetFacts


def of(subject: Subject, config: TrainConfig, found: Footprint) -> Need:
    """Add up what a rank with `config` needs."""
    height, width = subject.backbone.input_size
    gpu = bool(config.gpus)
    image = 3 * height * width
    ahead = _BATCHES_AHEAD * config.share * image
    order = 0 if gpu else _ORDER * subject.facts.images
    cached = min(subject.facts.images * (image + 9), config.decoded_cache << 20)
    return Need(
        weights=found.weights * (2 if config.ema else 1),
        gradients=found.gradients,
        momentum=found.momentum,
        head=_head(subject, config),
        activations=found.activations(config.batch_size, verifies=bool(subject.facts.verification)),
        buffers=ahead + order + (_NCCL if gpu and config.nproc > 1 else 0),
        program=_CONTEXT if gpu else _program(subject, config),
        shared=0 if gpu else cached,
    )


def _program(subject: Subject, config: TrainConfig) -> int:
    """A rank's process on a CPU."""
    more = _COMPILER if config.compile else 0
    if config.nproc > 1 or config.gradient_checkpointing or config.compile:
        return _PROGRAM + _DYNAMO + more
    return _PROGRAM + (_SYMPY if subject.facts.verification else 0)


def checkpoint_bytes(subject: Subject, config: TrainConfig, found: Footprint) -> int:
    """Bytes of a checkpoint of all ranks."""
    rows = subject.facts.classes * _centers(config) if subject.loss.form == "margin" else 0
    return space.checkpoint_bytes(config, found.weights // 4, rows, _embedding_size(subject, config))


def row_bytes(subject: Subject, config: TrainConfig) -> int:
    """Bytes of the weights of a class."""
    return 4 * _numbers(subject, config, 1)


def head_moments(config: TrainConfig) -> int:
    """How many numbers are kept for each class weight beside it."""
    # the rows that Partial FC leaves out of a step have a momentum all the same
    return 0 if "head" in config.frozen else max(moments(config), int(config.sample_rate < 1))


def _head(subject: Subject, config: TrainConfig) -> int:
    """The class rows of a rank, their gradients and momenta, and the tiles of the logits."""
    if subject.loss.form != "margin":
        return 8 * config.micro_batch**2 * 4  # distances of all pairs, and what is made of them
    rows = -(-subject.facts.classes // config.nproc)
    numbers = _numbers(subject, config, rows)
    sampled = config.sample_rate < 1
    taken = min(rows, max(round(config.sample_rate * rows), config.global_batch)) if sampled else rows
    learned = numbers * taken // rows
    # a part's gradient is made beside the sum of those before it
    gradients = learned * (2 if config.accumulate > 1 else 1)
    size = _embedding_size(subject, config)
    if config.rows_in_backward:  # of a tile alone, and of the targets' rows
        tile = _SCRATCH_ROWS if config.gpus else _tile(config, taken) * _centers(config)
        gradients = min(learned, tile * size) + 4 * config.micro_batch * size
    # with Partial FC the rows of a step are copies; a row's chance, and its last step or count of updates,
    # are whole numbers
    extra = learned + 10 * rows if sampled else 0
    if "head" in config.frozen:
        gradients = 0
    return 4 * (numbers * (1 + head_moments(config)) + gradients + extra + 6 * config.micro_batch * size) + (
        _tiles(subject, config, taken)
    )


def _tiles(subject: Subject, config: TrainConfig, rows: int) -> int:
    """The buffers of the tiles in which the logits are made."""
    width = config.micro_batch * _centers(config)
    kept = 0 if config.gpus or 4 * width * rows > _KEPT else 4 * width * rows
    return 4 * _TILES * width * _tile(config, rows) + kept + (_FUSED if config.gpus else 0)


def _tile(config: TrainConfig, rows: int) -> int:
    """The classes of a tile."""
    room = _CUDA_TILE if config.gpus else _CPU_TILE
    fits = room // (config.micro_batch * _centers(config))
    return min(rows, max(_LEAST_CLASSES, min(_MOST_CLASSES, fits)))


def _numbers(subject: Subject, config: TrainConfig, rows: int) -> int:
    return rows * _centers(config) * _embedding_size(subject, config)


def _embedding_size(subject: Subject, config: TrainConfig) -> int:
    return int(config.backbone_options.get("embedding_size") or subject.backbone.embedding_size)


def _centers(config: TrainConfig) -> int:
    return int(config.loss_options.get("centers") or 1)

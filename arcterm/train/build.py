"""Make what a config names: data, backbone, head and optimizers."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from arcterm_registry import get
from arcterm_registry.contracts import FaceDataset
from torch import Tensor, nn
from torch.optim import Optimizer

from arcterm.config import TrainConfig
from arcterm.errors import ArctermError, ConfigError, DataError, is_out_of_memory
from arcterm.inputs import pairsets, sources
from arcterm.schedules import ramp
from arcterm.train import precision, recompute
from arcterm.train.checkpoint.trained import Trained
from arcterm.train.feed.chosensets import with_sets
from arcterm.train.head.head import Head
from arcterm.train.head.lazy_adamw import Lazy, LazyAdamW
from arcterm.train.head.partial_fc import LazySGD
from arcterm.train.head.rowupdate import RowUpdate
from arcterm.train.head.tuples import TupleHead
from arcterm.train.optim import groups, optimizers
from arcterm.train.optim.averages import Average
from arcterm.train.world import World


def dataset(config: TrainConfig, set_aside: Collection[str] = ()) -> FaceDataset:
    """Open the training data and the verification sets that were chosen, without those `set_aside`."""
    faces = sources.from_config(config).open()
    return with_sets(faces, pairsets.choose(faces.verification, config.verify_sets), set_aside)


def backbone(config: TrainConfig, device: torch.device) -> nn.Module:
    """Make the backbone on its device, its weights drawn from the seed, channels last in memory.

    Where it computes in half precision, its embedding layers stay with float32; what is to be frozen is.
    """
    torch.manual_seed(config.seed)
    made = _make("backbone", config.backbone, **config.backbone_options)
    if not isinstance(made, nn.Module):
        raise DataError(f"backbone {config.backbone!r} gave {type(made).__name__}, not a torch module")
    network: nn.Module = made.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if precision.dtype(config.precision, device) != torch.float32:
        precision.keep_embedding_exact(network, _images(config, device))
    groups.prepare(network, config)
    return network


def trained(config: TrainConfig, classes: int, world: World) -> Trained:
    """Make backbone, head and an optimizer for each."""
    network = backbone(config, world.device)
    size = embedding_size(config, network, world)
    if config.gradient_checkpointing:
        recompute.recompute(network, config.backbone)
    of_rows, of_head = head(config, classes, size, world)
    if not any(p.requires_grad for part in (network, of_rows) for p in part.parameters()):
        raise ConfigError(f"nothing learns: freeze {config.freeze} leaves nothing", "change --set freeze")
    own = optimizers.make(groups.of_backbone(network, config), config)
    average = Average(network, config.ema) if config.ema else None
    return Trained(network, of_rows, own, of_head, average=average)


def head(config: TrainConfig, classes: int, size: int, world: World) -> tuple[Head | TupleHead, Optimizer]:
    """Make the head of this rank for embeddings of `size` numbers, and its optimizer."""
    made = _head(config, classes, size, world)
    if groups.HEAD in config.frozen:
        made.requires_grad_(False)
    optimizer = head_optimizer(made, config)
    if isinstance(made, Head) and config.rows_in_backward:
        made.row_update = RowUpdate(optimizer, made.weight)
    return made, optimizer


def _head(config: TrainConfig, classes: int, size: int, world: World) -> Head | TupleHead:
    """Make the head for the form of the loss."""
    declared = get("loss", config.loss)
    # what a loss works out as it is made is worked out for its first step
    loss = _make("loss", config.loss, **{**config.loss_options, **ramp.values(config, 1)})
    if declared.form == "tuples":
        feeding = declared.make_feeding(**config.loss_options)
        return TupleHead(classes, size, loss, feeding, world)
    # on a CPU only if asked for: a loss that sees the tiles gets them rounded there; and beside float16 too,
    # whose overflows are then the backbone's alone
    half = world.device.type != "cpu" and config.precision != "float16"
    half = half and precision.has_bfloat16(world.device)
    if config.head_precision != "auto":
        half = config.head_precision == "bfloat16"
    return Head(
        classes,
        size,
        loss,
        world,
        config.seed,
        sample_rate=config.sample_rate,
        limit=config.interclass_filter if config.interclass_filter < 1 else None,
        dtype=torch.bfloat16 if half else torch.float32,
        filtered=config.head_filter,
    )


def embedding_size(config: TrainConfig, network: nn.Module, world: World) -> int:
    """Run the backbone once to learn D; raises `DataError` if its output is not (N, D)."""
    with groups.evaluating(network), torch.inference_mode():
        out = network(_images(config, world.device))
    if not isinstance(out, torch.Tensor) or out.ndim != 2 or out.shape[0] != 2:
        shape = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
        raise DataError(
            f"backbone {config.backbone!r} gives {shape} for 2 images, not (2, embedding size)",
            "correct its forward(); `arcterm plugins backbone` shows where it comes from",
        )
    return out.shape[1]


def _images(config: TrainConfig, device: torch.device) -> Tensor:
    """Two images (2, 3, H, W) to try a backbone on."""
    height, width = get("backbone", config.backbone).input_size
    return torch.zeros(2, 3, height, width, device=device)


def _make(kind: str, name: str, *args: Any, **options: Any) -> Any:
    """Call a plug-in's factory; raises `DataError` naming the plug-in for whatever that raises."""
    try:
        return get(kind, name).make(*args, **options)
    except ArctermError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise DataError(f"{kind} {name!r} can't be made: {type(error).__name__}: {error}") from error


def head_optimizer(head: Head | TupleHead, config: TrainConfig) -> Optimizer:
    """Make the backbone's kind of optimizer over all class rows, with Partial FC over those of a step."""
    shared_out = groups.of_head(head, config)
    if isinstance(head, TupleHead) or head.sample_rate == 1.0 or groups.HEAD in config.frozen:
        return optimizers.make(shared_out, config)
    rows = head.sharded()
    made: Lazy
    if config.optimizer == "adamw":
        made = LazyAdamW(rows, shared_out, **optimizers.adamw(config))
    else:
        how = optimizers.implementation(config.device)
        legacy = config.optimizer == "legacy"
        made = LazySGD(rows, shared_out, lr=config.lr, momentum=config.momentum, legacy=legacy, **how)
    optimizers.set_rate(made, config.lr)
    head.fetch = made.fetch
    return made

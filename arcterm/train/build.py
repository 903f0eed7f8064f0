"""What a config names, made: data, backbone, head and optimizers."""

from __future__ import annotations

from typing import Any

import torch
from arcterm_registry import get
from arcterm_registry.contracts import FaceDataset
from torch import nn
from torch.optim import SGD

from arcterm.config import TrainConfig
from arcterm.errors import ArctermError
from arcterm.train.checkpoint import Trained
from arcterm.train.head import Head
from arcterm.train.lazy import LazySGD
from arcterm.train.tuples import TupleHead
from arcterm.train.world import World


def dataset(config: TrainConfig) -> FaceDataset:
    """The training data and its verification sets."""
    options = dict(config.dataset_options)
    positional = [options.pop("path")] if "path" in options else []
    made: FaceDataset = _make("dataset", config.dataset, *positional, **options)
    return made


def backbone(config: TrainConfig, device: torch.device) -> nn.Module:
    """The backbone on its device, its weights drawn from the seed, channels last in memory."""
    torch.manual_seed(config.seed)
    made = _make("backbone", config.backbone, **config.backbone_options)
    if not isinstance(made, nn.Module):
        raise ArctermError(f"backbone {config.backbone!r} gave {type(made).__name__}, not a torch module")
    return made.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def trained(config: TrainConfig, classes: int, world: World) -> Trained:
    """Backbone, head and one SGD for each; every parameter decays, as in 2018."""
    network = backbone(config, world.device)
    head = _head(config, classes, embedding_size(config, network, world), world)
    learned = [p for p in network.parameters() if p.requires_grad]
    return Trained(network, head, _sgd(learned, config), head_sgd(head, config))


def _head(config: TrainConfig, classes: int, size: int, world: World) -> Head | TupleHead:
    """The head for the form of the loss."""
    declared = get("loss", config.loss)
    loss = _make("loss", config.loss, **config.loss_options)
    if declared.form == "tuples":
        feeding = declared.load_feeding()(**config.loss_options)
        return TupleHead(classes, size, loss, feeding, world)
    auto = "float32" if world.device.type == "cpu" else "bfloat16"
    precision = auto if config.head_precision == "auto" else config.head_precision
    return Head(
        classes,
        size,
        loss,
        world,
        config.seed,
        sample_rate=config.sample_rate,
        limit=config.interclass_filter if config.interclass_filter < 1 else None,
        dtype=torch.float32 if precision == "float32" else torch.bfloat16,
    )


def embedding_size(config: TrainConfig, network: nn.Module, world: World) -> int:
    """D, by asking the backbone; raises `ArctermError` if what it gives is not (N, D)."""
    height, width = get("backbone", config.backbone).input_size
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        out = network(torch.zeros(2, 3, height, width, device=world.device))
    network.train(was_training)
    if not isinstance(out, torch.Tensor) or out.ndim != 2 or out.shape[0] != 2:
        shape = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
        raise ArctermError(
            f"backbone {config.backbone!r} gives {shape} for 2 images, not (2, embedding size)",
            "correct its forward(); `arcterm plugins backbone` shows where it comes from",
        )
    return out.shape[1]


def _make(kind: str, name: str, *args: Any, **options: Any) -> Any:
    """What a plug-in's factory returns; what it raises is told as that plug-in's."""
    try:
        return get(kind, name).load()(*args, **options)
    except ArctermError:
        raise
    except Exception as error:
        raise ArctermError(f"{kind} {name!r} can't be made: {type(error).__name__}: {error}") from error


def head_sgd(head: Head | TupleHead, config: TrainConfig) -> SGD:
    """SGD over all class rows, or with Partial FC over those of a step."""
    if isinstance(head, TupleHead) or head.sample_rate == 1.0:
        return _sgd(list(head.parameters()), config)
    rows = head.sharded()
    others = [p for p in head.parameters() if all(p is not row for row in rows.values())]
    sgd = LazySGD(rows, others, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay)
    head.fetch = sgd.fetch
    return sgd


def _sgd(parameters: list[nn.Parameter], config: TrainConfig) -> SGD:
    group = {"params": parameters}  # a group may be empty, a bare list may not
    return SGD([group], lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay)

"""The backbone as the steps call it: gradients averaged over the ranks, and compiled if asked for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from inspect import signature
from typing import Any

import torch
from arcterm_registry import get
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from arcterm.config import TrainConfig
from arcterm.errors import TrainingError, is_out_of_memory
from arcterm.runs.events import Message, Phase
from arcterm.runs.journal import Sink
from arcterm.train import precision, statistics
from arcterm.train.world import World
from arcterm.verify.embed import normalize

# the name of DDP's option changed in torch 2.13
_KEEP_BUFFERS = (
    "forward_sync_buffers"
    if "forward_sync_buffers" in signature(DistributedDataParallel).parameters
    else "broadcast_buffers"
)


class StepModel:
    """Turns normalised images (B, 3, H, W) into embeddings (B, D); the way back averages over the ranks."""

    def __init__(self, config: TrainConfig, backbone: nn.Module, world: World, journal: Sink) -> None:
        if precision.is_slow(config.precision, world.device):
            half = config.precision
            text = f"this processor has no instructions for {half}: precision=float32 is many times faster"
            journal.write(Message(level="warning", text=text))
        self._network = _distributed(backbone, world)
        self._forward: Callable[[Tensor], Tensor] = self._network
        distributed = isinstance(self._network, DistributedDataParallel)
        if not (config.compile or (distributed and world.size > 2)):
            return
        images = normalize(_pixels(config, world.device), get("backbone", config.backbone).preprocess)
        if config.compile:
            whole = config.gradient_checkpointing
            self._forward = compile_backbone(
                self._network, config.backbone, images, config.precision, journal, whole=whole
            )
        else:
            # DDP packs gradients in the order of the parameters at first, and after its first pass in the
            # order in which they came. How a sum over three ranks or more is rounded depends on where in a
            # pack a number stands: without a pass before it, the first step after a resume would round
            # otherwise than the same step of a run that was not interrupted.
            _pass(self._network, self._network, images, config.precision)

    def __call__(self, images: Tensor) -> Tensor:
        return self._forward(images)

    def alone(self) -> AbstractContextManager[None]:
        """Leave the gradients of what goes forward and backward within it with their rank, added up."""
        network = self._network
        return network.no_sync() if isinstance(network, DistributedDataParallel) else nullcontext()


def _pixels(config: TrainConfig, device: torch.device) -> Tensor:
    """A rank's images of a pass (B, H, W, 3), all black."""
    height, width = get("backbone", config.backbone).input_size
    return torch.zeros(config.batch_size, height, width, 3, dtype=torch.uint8, device=device)


def _distributed(backbone: nn.Module, world: World) -> nn.Module:
    """Wrap the backbone so that its gradients are averaged over the ranks."""
    if world.size == 1 or not any(p.requires_grad for p in backbone.parameters()):
        return backbone
    devices = [world.device] if world.device.type == "cuda" else None
    options: dict[str, Any] = {"device_ids": devices, "gradient_as_bucket_view": True}
    # Batch norms keep their own rank's statistics: sending rank 0's at every step would cost a collective and
    # lose what the others saw. What is saved or verified has their mean (`statistics.averaged`).
    options[_KEEP_BUFFERS] = False
    # It begins with rank 0's weights on all ranks, whatever a plug-in drew them from, and would take rank 0's
    # statistics too.
    with statistics.kept(backbone):
        return DistributedDataParallel(backbone, **options)


def compile_backbone(
    model: nn.Module, name: str, images: Tensor, setting: str, journal: Sink, *, whole: bool = True
) -> Callable[[Tensor], Tensor]:
    """Compile `model`, a backbone or DDP around it, for a batch like `images` (B, 3, H, W).

    Its code is made by a forward and a backward pass in training, which leave no trace in buffers or
    gradients. With `whole` False DDP's gradients are sent bucket by bucket as they come, which blocks that
    recompute do not allow. Raises `TrainingError` naming the backbone `name` if it can't be compiled.
    """
    journal.write(Phase(phase="compiling", detail=f"{name}, one to a few minutes"))
    torch._dynamo.config.optimize_ddp = not whole
    try:
        fast: Callable[[Tensor], Tensor] = torch.compile(model, dynamic=False)
        _pass(fast, model, images, setting)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
        raise TrainingError(
            f"backbone {name!r} can't be compiled: {type(error).__name__}: {reason}",
            "`arcterm resume RUN` with --set compile=no goes on without",
        ) from error
    return fast


def _pass(forward: Callable[[Tensor], Tensor], model: nn.Module, images: Tensor, setting: str) -> None:
    """Go forward and back through `model` once, which leaves no trace in its buffers or gradients."""
    held = [(buffer, buffer.clone()) for buffer in model.buffers()]
    with precision.autocast(setting, images.device):
        embeddings = forward(images)
    embeddings.float().square().mean().backward()
    model.zero_grad(set_to_none=True)
    with torch.no_grad():
        for buffer, value in held:
            buffer.copy_(value)

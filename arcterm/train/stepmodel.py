"""Compile the backbone before the first step, so that no step pays for it and a failure has a name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from arcterm.errors import TrainingError
from arcterm.runs.events import Phase
from arcterm.runs.journal import Sink
from arcterm.train import precision


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
    held = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        fast: Callable[[Tensor], Tensor] = torch.compile(model, dynamic=False)
        with precision.autocast(setting, images.device):
            embeddings = fast(images)
        embeddings.float().square().mean().backward()
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
        raise TrainingError(
            f"backbone {name!r} can't be compiled: {type(error).__name__}: {reason}",
            "`arcterm resume RUN` with --set compile=no goes on without",
        ) from error
    model.zero_grad(set_to_none=True)
    with torch.no_grad():
        for buffer, value in held:
            buffer.copy_(value)
    return fast

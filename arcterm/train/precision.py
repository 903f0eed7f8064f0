"""The type in which the backbone computes: half precision where that is fast, float32 at its end.

The weights stay float32; autocast rounds what goes into convolutions and products. An embedding rounded to
bfloat16 would have three digits, so what turns a map or tokens into it computes in float32.
"""

from __future__ import annotations

from functools import partial
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor, nn

from arcterm.config import TrainConfig
from arcterm.train.head.products import fast_bfloat16
from arcterm.train.optim.groups import evaluating

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def dtype(setting: str, device: torch.device) -> torch.dtype:
    """Resolve `setting` (auto, float32, bfloat16, float16) for `device`."""
    if setting == "auto":
        setting = "bfloat16" if has_bfloat16(device) else "float32"
    return _DTYPES[setting]


def has_bfloat16(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return fast_bfloat16()


def is_slow(setting: str, device: torch.device) -> bool:
    """Whether `device` has no instructions for what `setting` asks of it in so many words."""
    if setting == "float16":
        return device.type != "cuda"
    return setting == "bfloat16" and not has_bfloat16(device)


def autocast(setting: str, device: torch.device) -> torch.autocast:
    """A context in which a backbone computes as `setting` says."""
    half = dtype(setting, device)
    return torch.autocast(device.type, half if half != torch.float32 else None, enabled=half != torch.float32)


def begin(config: TrainConfig, device: torch.device) -> str:
    """Have this process compute as exactly as `config` asks for; returns what that means on a GPU, in words.

    TF32 rounds what goes into a float32 convolution to 10 bits. Products of matrices never do: the last
    layers of the backbone and a head in float32 are to be exact.
    """
    rounded = dtype(config.precision, device) != torch.float32
    torch.backends.cudnn.allow_tf32 = rounded
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.benchmark = config.cudnn_benchmark
    torch.backends.cudnn.deterministic = config.deterministic
    if config.deterministic != torch.are_deterministic_algorithms_enabled():  # it imports torch's compiler
        torch.use_deterministic_algorithms(config.deterministic)
    # memory that is never read before it is written need not be filled
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    said = []
    if rounded and device.type == "cuda":
        said.append("convolutions that stay float32 use TF32; --set precision=float32 does without")
    if config.deterministic:
        said.append("deterministic: the same bits every time; on a GPU steps take longer")
    return "; ".join(said)


def keep_embedding_exact(network: nn.Module, images: Tensor) -> list[nn.Module]:
    """Make the `embedding_layers` of `network` compute in float32 also within autocast; returns them."""
    found = embedding_layers(network, images)
    for layer in found:
        # a partial of a bound method, and no closure, because a copy of the layer must call the copy's own
        layer.forward = partial(_exactly, layer.forward)
    return found


def embedding_layers(network: nn.Module, images: Tensor) -> list[nn.Module]:
    """Find the layers run last that take vectors (N, C), not maps or tokens; [] if the last one takes a map.

    Found by running `network` on `images` (N, 3, H, W) in evaluation mode.
    """
    ran: list[tuple[nn.Module, bool]] = []

    def note(layer: nn.Module, inputs: tuple[Any, ...], _: object) -> None:
        ran.append((layer, bool(inputs) and isinstance(inputs[0], Tensor) and inputs[0].ndim == 2))

    leaves = [module for module in network.modules() if next(module.children(), None) is None]
    hooks = [leaf.register_forward_hook(note) for leaf in leaves]
    with evaluating(network), torch.inference_mode():
        network(images)
    for hook in hooks:
        hook.remove()
    last = [layer for layer, _ in takewhile(lambda one: one[1], reversed(ran))]
    earlier = {id(layer) for layer, _ in ran[: len(ran) - len(last)]}
    return [layer for layer in reversed(last) if id(layer) not in earlier]


def _exactly(forward: Any, x: Tensor, *rest: Any) -> Any:
    with torch.autocast(x.device.type, enabled=False):
        return forward(x.to(torch.promote_types(x.dtype, torch.float32)), *rest)

"""The memory of a training, followed on tensors without values: of its steps, a checkpoint, a verification.

The backbone is made on the meta device and its tensors become fake ones, which operations, autograd and
autocast take for real: what autograd saves, what an operation makes in passing and when each is freed are
those of the training.
"""

from __future__ import annotations

import contextlib
import copy
import gc
from collections.abc import Iterator

import msgspec
import torch
from arcterm_registry import get
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from arcterm.config import TrainConfig
from arcterm.train import build, precision, recompute
from arcterm.train.evaluation import FACES
from arcterm.train.footprint.ledger import Ledger
from arcterm.train.optim import groups, optimizers
from arcterm.verify.embed import normalize
from arcterm.verify.fold import fold_norms

_CPU = torch.device("cpu")
PHASES = ("step", "save", "look", "verify")
"""What is followed beyond what stays, in this order."""
_STEPS = 2  # momenta are there all through a step from the second on


class _Mode(FakeTensorMode):
    """Fake tensors keep their mode in themselves, and a copy of a network must stay in the same one."""

    def __deepcopy__(self, memo: object) -> _Mode:
        return self


def follow(config: TrainConfig, batch: int, *, real: bool = False) -> dict[str, int]:
    """Bytes that the backbone takes on a rank in a training of `config` with `batch` images, by part.

    ``weights`` with buffers, ``gradients`` and ``momentum`` stay from the first step on. ``step``, ``save``
    and ``verify`` are what a step, a checkpoint and a verification take beyond those, ``look`` what is taken
    in place of a verification where there are no sets. With `real` tensors have values, and all of it is
    computed. Raises whatever the backbone raises, or what can't be done without values.
    """
    settled = _on_cpu(config, batch)
    network, mode = _real(settled) if real else _fake(settled)
    with mode, Ledger(pooled=config.device == "cuda") as ledger:
        ledger.count([*network.parameters(), *network.buffers()])
        weights = ledger.live
        optimizer = optimizers.make(groups.of_backbone(network, settled), settled)
        peaks = dict.fromkeys(PHASES, 0)
        for _ in range(_STEPS):
            optimizer.zero_grad(set_to_none=True)
            with _measured(ledger, peaks, "step"):
                _step(network, optimizer, settled)
        gradients = sum(p.grad.nbytes for p in network.parameters() if p.grad is not None)
        held = ledger.live
        with _measured(ledger, peaks, "save"):
            _save(network)
        with _measured(ledger, peaks, "look"), ledger.aside():
            _embed(copy.deepcopy(network), _images(settled, FACES))
        gc.collect()
        gc.freeze()  # so that tidying up looks at what is made from here on
        ledger.tidy = True
        with _measured(ledger, peaks, "verify"):
            _verify(network, settled)
    parts = {"weights": weights, "gradients": gradients, "momentum": max(0, held - weights - gradients)}
    return parts | {name: max(0, peak - held) for name, peak in peaks.items()}


def _on_cpu(config: TrainConfig, batch: int) -> TrainConfig:
    """`config` for the CPU, with the GPU's precision if it is for one: shapes and types are the same."""
    named = str(precision.dtype(config.precision, torch.device(config.device))).removeprefix("torch.")
    return msgspec.structs.replace(config, device="cpu", gpus=[], precision=named, batch_size=batch)


def _fake(config: TrainConfig) -> tuple[nn.Module, FakeTensorMode]:
    """Make the backbone without memory, and the mode in which its tensors take themselves for a CPU's."""
    with torch.device("meta"):
        network = build.backbone(config, torch.device("meta"))
    mode = _Mode()
    made: dict[Tensor, Tensor] = {}  # a weight that two layers share stays one
    for module in network.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                fake = FakeTensor(mode, parameter.detach(), _CPU)
                made.setdefault(parameter, nn.Parameter(fake, requires_grad=parameter.requires_grad))
                module._parameters[name] = made[parameter]  # type: ignore[assignment]
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = made.setdefault(buffer, FakeTensor(mode, buffer, _CPU))
    return _ready(network, config), mode


def _real(config: TrainConfig) -> tuple[nn.Module, contextlib.nullcontext[None]]:
    return _ready(build.backbone(config, _CPU), config), contextlib.nullcontext()


def _ready(network: nn.Module, config: TrainConfig) -> nn.Module:
    if config.gradient_checkpointing:
        recompute.recompute(network, config.backbone)
    return network


@contextlib.contextmanager
def _measured(ledger: Ledger, peaks: dict[str, int], name: str) -> Iterator[None]:
    """Put the most that is needed meanwhile into `peaks`."""
    ledger.peak = ledger.resident
    yield
    peaks[name] = max(peaks[name], ledger.peak)


def _step(network: nn.Module, optimizer: torch.optim.Optimizer, config: TrainConfig) -> None:
    with precision.autocast(config.precision, _CPU):
        embeddings = network(_images(config, config.batch_size))
    if embeddings.requires_grad:  # not if all of it is frozen
        embeddings.float().square().mean().backward()
    optimizer.step()


def _save(network: nn.Module) -> None:
    """Copy each weight to a file's order, as a checkpoint does one after another."""
    for tensor in network.state_dict().values():
        tensor.detach().contiguous()


def _verify(network: nn.Module, config: TrainConfig) -> None:
    """Fold the norms into a copy, and embed a batch with it."""
    # its last step is to compare values: what it takes has been seen by then
    with contextlib.suppress(Exception):
        fold_norms(network, get("backbone", config.backbone).input_size)
    images = _images(config, config.batch_size)
    _embed(copy.deepcopy(network), images, images.flip(3))


def _embed(network: nn.Module, *batches: Tensor) -> None:
    """Embed one batch after another, all of which are there."""
    network.eval()
    with torch.inference_mode():
        for images in batches:
            network(images)


def _images(config: TrainConfig, count: int) -> Tensor:
    declared = get("backbone", config.backbone)
    pixels = torch.zeros(count, *declared.input_size, 3, dtype=torch.uint8)
    return normalize(pixels, declared.preprocess)

"""Find the first tensor of a step that is not finite, by making the step again with eyes open.

Only a step that has failed pays for it. The step is the same to the bit: the batch, the seed and the buffers
of its beginning are there. But the backbone runs bare, so that its gradients are this rank's own: averaged
ones would be bad on every rank.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from arcterm_registry import get
from torch import Tensor, nn

from arcterm.config import TrainConfig
from arcterm.train import precision
from arcterm.train.checkpoint.trained import Trained
from arcterm.train.feed.loader import Batch
from arcterm.train.guards.data import step_seed
from arcterm.train.head.head import StepRows
from arcterm.train.world import World
from arcterm.verify.embed import normalize
from arcterm.verify.ranks import gather_texts


@dataclass(frozen=True)
class Culprit:
    """The first `tensor` that is not finite, on `rank`; None if it is the same on all."""

    tensor: str
    rank: int | None


class _Buffers(Protocol):
    def put_back(self) -> None:
        """Set the buffers to those of the step's beginning."""


def find(trained: Trained, config: TrainConfig, world: World, batch: Batch, buffers: _Buffers) -> Culprit:
    """Make the step of `batch` again, all ranks together, without an update; buffers are left moved."""
    buffers.put_back()
    torch.manual_seed(step_seed(config.seed, batch.step, world.rank))
    rows = trained.head.draw(batch.labels, batch.step)
    parts = batch.parts(config.accumulate)
    # all ranks make all parts, whose collectives would wait for one that does not
    found = [_own(trained, config, part, rows, world.device, number) for number, part in enumerate(parts)]
    place, text = min(found)
    # by place in the order of computing, and then by rank
    said = [row.partition(" ") for row in gather_texts(world, f"{place:012d} {text}")]
    first = min(range(world.size), key=lambda rank: said[rank][0])
    alike = world.size > 1 and len({place for place, _, _ in said}) == 1 and int(said[0][0]) % _PART == _LOSS
    return Culprit(said[first][2], None if alike else first)


_ROWS, _LOSS, _GRADIENTS, _PART, _NONE = 10**6, 2 * 10**6, 3 * 10**6, 10**7, 10**11


def _own(
    trained: Trained,
    config: TrainConfig,
    batch: Batch,
    drawn: StepRows | None,
    device: torch.device,
    number: int,
) -> tuple[int, str]:
    """Return the place of this rank's first bad tensor in the order of computing, and its name.

    `batch` is part `number` of the step, from 0, whose class rows are `drawn`.
    """
    first = number * _PART
    images = normalize(batch.images, get("backbone", config.backbone).preprocess)
    with _watched(trained.backbone) as seen, precision.autocast(config.precision, device):
        embeddings: Tensor = trained.backbone(images)
    loss = trained.head(embeddings, batch.labels, batch.step, drawn).loss
    rows = {f"of the head's {name}": row for name, row in trained.rows_of_step().items()}
    # where class weights are updated in passing there is no room for their gradient
    learned = rows if not getattr(trained.head, "row_update", None) else {}
    # all ranks take the way back, whose collectives would wait for one that does not
    gradients = _gradients(
        loss, {**learned, "of the embeddings": embeddings, **_layers(trained.backbone, seen)}
    )
    if seen.first:
        return first + seen.place, seen.first
    candidates = [(_ROWS, f"the numbers {name}", row) for name, row in rows.items()]
    candidates.append((_LOSS, "the loss, of embeddings and class rows that are finite", loss))
    for place, (name, gradient) in enumerate(gradients, start=_GRADIENTS):
        candidates.append((place, f"the gradient {name}", gradient))
    found = ((first + place, name) for place, name, tensor in candidates if not _finite(tensor))
    return next(found, (_NONE, "none when the step was made again"))


def _layers(backbone: nn.Module, seen: _Seen) -> dict[str, Tensor]:
    """The parameters of the backbone that learn, by name, those first whose gradient is known first."""
    names = {id(p): name for name, p in backbone.named_parameters() if p.requires_grad}
    order = (p for module in reversed(seen.order) for p in module.parameters(recurse=False))
    return {f"of {names[id(p)]}": p for p in order if id(p) in names}


def _gradients(loss: Tensor, wanted: dict[str, Tensor]) -> list[tuple[str, Tensor]]:
    """Take the gradients of `loss`, by name, in the order of `wanted`; none is added to a parameter."""
    wanted = {name: tensor for name, tensor in wanted.items() if tensor.requires_grad}
    found = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
    return [(name, gradient) for name, gradient in zip(wanted, found, strict=True) if gradient is not None]


class _Seen:
    """What hooks saw of a forward: the modules in `order`, and the `first` bad tensor at its `place`."""

    def __init__(self, network: nn.Module) -> None:
        self._names = {module: name or "the backbone" for name, module in network.named_modules()}
        self.order: list[nn.Module] = []
        self.first, self.place = "", 0

    def hook(self, module: nn.Module, inputs: Any, output: Any) -> None:
        """Look at a module that has just run; those inside it came first."""
        self.order.append(module)
        if self.first or all(map(_finite, _tensors(output))):
            return
        name = self._names[module]
        self.place = len(self.order)
        self.first = f"the output of {name} ({type(module).__name__})"
        for parameter, value in module.named_parameters():
            if not _finite(value):
                self.first = f"the weights {name}.{parameter}"
                return


@contextmanager
def _watched(network: nn.Module) -> Iterator[_Seen]:
    seen = _Seen(network)
    handles = [module.register_forward_hook(seen.hook) for module in network.modules()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _tensors(output: Any) -> list[Tensor]:
    """The tensors among what a module returned."""
    if isinstance(output, Tensor):
        return [output]
    return (
        [tensor for part in output for tensor in _tensors(part)] if isinstance(output, tuple | list) else []
    )


def _finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(tensor.detach().isfinite().all())

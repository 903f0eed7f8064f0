"""The guard before each update: a loss or a gradient that is no number never reaches a weight."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from arcterm.config import TrainConfig
from arcterm.errors import NotFiniteError
from arcterm.runs.events import Message
from arcterm.runs.journal import Sink
from arcterm.runs.store import Run
from arcterm.train.checkpoint.trained import Trained
from arcterm.train.feed.loader import Batch
from arcterm.train.guards import culprit
from arcterm.train.guards.culprit import Culprit
from arcterm.train.guards.symptoms import Looks
from arcterm.train.head.head import Head
from arcterm.train.world import World

IN_A_ROW = 5
"""Steps that may be skipped one after another: the weights stay, so what comes after them fails alike."""
_SHARE = 100  # one step of so many may be skipped
_NAMED = 20  # skipped steps that an attempt names


@dataclass(frozen=True)
class Attempted:
    """A step up to its update: the batch of this rank, the rate, and the loss of the global batch."""

    batch: Batch
    rate: float
    loss: Tensor


class FiniteGuard:
    """Looks at loss and gradients of each step before the update, and does what `on_nan` says.

    All ranks call it together. `skipped` steps updated nothing until now, over all attempts.
    """

    def __init__(
        self, run: Run, config: TrainConfig, world: World, trained: Trained, journal: Sink, skipped: int = 0
    ) -> None:
        self._run = run
        self._config = config
        self._world = world
        self._trained = trained
        self._journal = journal
        self._buffers = Buffers([trained.backbone, trained.head])
        self._in_a_row = 0
        self._named = 0
        self.skipped = skipped
        self.norm: Tensor | None = None
        """L2 norm () of the backbone's gradient when `bad` last looked, on its device; None without one."""
        self.in_backbone_alone = False
        """Whether only the backbone's gradient was no number when `bad` last looked, on every rank."""

    def begin(self) -> None:
        """Keep the buffers as they are before a step: its forward moves running statistics."""
        self._buffers.keep()

    @torch.no_grad()
    def bad(self, loss: Tensor) -> bool:
        """Whether the loss or a gradient, on any rank, is no number: the same answer everywhere.

        The loss and the averaged gradients of the backbone are alike on all ranks, those of class rows are
        each rank's own: hence one collective of two numbers. On a GPU the host then waits for the end of the
        backward, and the device for the host to launch the update, a few dozen kernels: some tenths of a
        millisecond a step. A flag that is read later would be read after the update.
        """
        backbone, head = gradients(self._trained)
        self.norm = torch.stack(torch._foreach_norm(backbone)).norm() if backbone else None
        others = [loss, *_extremes(head)]
        found, elsewhere = self._look(others, [] if self.norm is None else [self.norm])
        if found and not elsewhere:  # a sum of squares overflows from 1.8e19 on: are the numbers none, too?
            found, _ = self._look(others, list(_extremes(backbone)))
        self.in_backbone_alone = found and not elsewhere
        if not found:
            self._in_a_row = 0
        return found

    def _look(self, others: list[Tensor], backbone: list[Tensor]) -> tuple[bool, bool]:
        """Whether any number on any rank is none, and whether any of the `others` than the backbone's is."""
        finite = [torch.stack(some).isfinite().all() for some in ([*others, *backbone], others)]
        found, elsewhere = map(bool, self._world.max(1.0 - torch.stack(finite).float()).tolist())
        return found, elsewhere

    def looks(self, embeddings: Tensor) -> Looks | None:
        """Look at this rank's `embeddings` (B, D) and at the gradient of this step; None for one image."""
        if len(embeddings) < 2:
            return None
        return Looks(_alike(embeddings), None if self.norm is None else float(self.norm))

    def refuse(self, made: Attempted) -> None:
        """Put the buffers back and count the step as skipped; raises `NotFiniteError` if the run must end."""
        found = culprit.find(self._trained, self._config, self._world, made.batch, self._buffers)
        self._buffers.put_back()
        self.skipped += 1
        self._in_a_row += 1
        error = self._error(made, found)
        if self._config.on_nan != "skip" or self._too_many():
            raise error
        self._named += 1
        if self._named <= _NAMED:
            last = "; further ones are not named" if self._named == _NAMED else ""
            text = f"{error.message}: the step was skipped ({self.skipped} by now{last})"
            self._journal.write(Message(level="warning", text=text))

    def _too_many(self) -> bool:
        return self._in_a_row > IN_A_ROW or self.skipped > max(IN_A_ROW, self._config.steps // _SHARE)

    def _error(self, made: Attempted, found: Culprit) -> NotFiniteError:
        step, loss = made.batch.step, float(made.loss.detach())
        became = "a gradient" if math.isfinite(loss) else "the loss"
        what = "is not finite" if math.isfinite(loss) else f"became {loss}"
        whose = "on every rank" if found.rank is None else f"on rank {found.rank}"
        numbers = ", ".join([f"learning rate {made.rate:g}", *_strength(self._config, self._trained)])
        message = f"{became} {what} at step {step} ({numbers}); first {found.tensor}, {whose}"
        too_many = ""
        if self._config.on_nan == "skip":
            too_many = f"; {self._in_a_row} steps in a row" if self._in_a_row > IN_A_ROW else ""
            too_many = too_many or f"; {self.skipped} skipped steps are too many" if self._too_many() else ""
        lower = (
            f"`arcterm resume {self._run.id} --lr {self._config.lr / 2:g}` goes on from the last checkpoint"
        )
        skipping = f"`arcterm resume {self._run.id} --on-nan skip` leaves such steps out"
        other = skipping if self._config.on_nan != "skip" else ""
        if self._config.precision == "float16":
            wider = f"`arcterm resume {self._run.id} --set precision=float32` computes with larger numbers"
            other = f"{other}; {wider}" if other else wider
        return NotFiniteError(
            message + too_many,
            "; ".join(filter(None, (lower, other))),
            step=step,
            lr=made.rate,
            tensor=found.tensor,
            rank=found.rank,
            remedy="lower-lr" if self._config.on_nan == "lower-lr" else "",
        )


class Buffers:
    """The buffers of modules, kept before a step and put back after one that does not count."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        # by name, since a module may replace the tensor itself
        self._places = [
            (module, name)
            for whole in modules
            for module in whole.modules()
            for name, buffer in module._buffers.items()
            if buffer is not None
        ]
        self._kept = [tensor.clone() for tensor in self._now()]

    def _now(self) -> list[Tensor]:
        return [module.get_buffer(name) for module, name in self._places]

    @torch.no_grad()
    def keep(self) -> None:
        _copy(self._kept, self._now())

    @torch.no_grad()
    def put_back(self) -> None:
        _copy(self._now(), self._kept)


def _copy(to: list[Tensor], values: list[Tensor]) -> None:
    if to:
        torch._foreach_copy_(to, values)


def gradients(trained: Trained) -> tuple[list[Tensor], list[Tensor]]:
    """Collect the gradients that updates are made of: the backbone's, and the head's rows' of this step."""
    learned = [p for group in trained.backbone_optimizer.param_groups for p in group["params"]]
    rows = trained.rows_of_step().values()
    return _whole(p.grad for p in learned), _whole(p.grad for p in rows)


def _whole(gradients: Iterable[Tensor | None]) -> list[Tensor]:
    return [gradient for gradient in gradients if gradient is not None and gradient.numel()]


def _alike(embeddings: Tensor) -> float:
    """Mean cosine between two different rows of (B, D), B > 1; of a row that is all 0 as if it were alike.

    Σ_{i≠j} x̂ᵢ·x̂ⱼ = |Σ x̂ᵢ|² - B, without a matrix of all pairs.
    """
    rows = embeddings.detach().double()
    lengths = rows.norm(dim=1)
    unit = rows[lengths > 0] / lengths[lengths > 0, None]
    count, nothing = len(rows), int((lengths == 0).sum())
    pairs = float(unit.sum(0).square().sum()) - len(unit)
    others = nothing * (nothing - 1) + 2 * nothing * len(unit)
    return (pairs + others) / (count * (count - 1))


def _extremes(tensors: list[Tensor]) -> Iterable[Tensor]:
    """Reduce each tensor to numbers that are finite if, and only if, all of its own are.

    The largest absolute value; on a CPU the smallest and the largest, which take in a NaN too and are found
    20 times faster.
    """
    if not tensors:
        return []
    if tensors[0].is_cuda:
        return torch._foreach_norm(tensors, math.inf)
    return [end for tensor in tensors for end in torch.aminmax(_in_memory_order(tensor))]


def _in_memory_order(tensor: Tensor) -> Tensor:
    """View a tensor as it lies in memory, so that going through it needs no copy."""
    if tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
        return tensor.permute(0, 2, 3, 1)
    return tensor


def _strength(config: TrainConfig, trained: Trained) -> list[str]:
    """Word what else makes a loss large: its scale as it is now, and its margins."""
    said = ["float16"] if config.precision == "float16" else []
    margins = {k: v for k, v in config.loss_options.items() if k in ("margin", "m1", "m2", "m3")}
    if isinstance(trained.head, Head):
        said.append(f"scale {float(trained.head.margin.scale):g}")
        if config.margin_schedule:
            margins["margin"] = trained.head.margin.margin  # type: ignore[attr-defined]  # as it is now
    return said + [f"{name} {value:g}" for name, value in margins.items() if isinstance(value, int | float)]

"""Partial FC: which classes take part in a step, and SGD that touches no other.

Rows without a gradient are left alone and brought up to date, exactly, when they are next needed. While a row
has no gradient, a step of SGD with momentum μ, decay λ and rate r is linear in its weight w and momentum m,
the same for every number in the row:

    m ← μ·m + λ·w        w ← w - r·m        (w, m) ← M·(w, m)   with   M = (1 - rλ, -rμ; λ, μ)

So a row that was last touched after step k is brought up to date by the product of the matrices since. One
product is kept for each possible k, in float64; when the window is full, all rows are brought up to date.
MXNet's SGD, whose rate is inside the momentum, is m ← μ·m - r·λ·w, w ← w + m: only the factors differ.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD

from arcterm.train.optim import legacy_step

_WINDOW = 4096  # steps that a row may wait
_CPU_ROWS = 512  # rows updated at a time, to stay in a core's cache
_CUDA_ROWS = 1 << 16
# splitmix64's constants, as signed numbers
_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX = (0xBF58476D1CE4E5B9 - (1 << 64), 0x94D049BB133111EB - (1 << 64))
_FIRST = (1 << 62) - 1


def sample(local: Tensor, mine: Tensor, classes: range, count: int, seed: int, step: int) -> Tensor:
    """Choose `count` different rows of `classes`, rising (count,) int64: the targets, then others by chance.

    `local` (B,) int64 are the rows of the targets that are `mine` (B,) bool; `count` is no less than their
    number. Chance follows from (seed, step, class) alone, so a resumed run draws the same. Nothing here waits
    for the device.
    """
    rows = len(classes)
    keys = torch.empty(rows + 1, dtype=torch.int64, device=local.device)
    keys[:rows] = chance(classes, seed, step, local.device)
    keys.scatter_(0, torch.where(mine, local, rows), _FIRST)  # the slot at the end takes what is not ours
    return keys[:rows].topk(count, sorted=False).indices.sort().values


def chance(classes: range, seed: int, step: int, device: torch.device) -> Tensor:
    """Draw a number in [0, 2⁶² - 1) for each class from (seed, step, class) (splitmix64's finalizer)."""
    x = torch.arange(classes.start, classes.stop, device=device).mul_(_GOLDEN)
    x += _wrapped(seed * _MIX[0] + step * _MIX[1])
    for multiplier in _MIX:
        x = (x ^ ((x >> 31) & ((1 << 33) - 1))).mul_(multiplier)
    x ^= (x >> 31) & ((1 << 33) - 1)
    return ((x >> 2) & _FIRST).clamp_(max=_FIRST - 1)


def _wrapped(number: int) -> int:
    """`number` as a signed 64-bit one."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


class LazySGD(SGD):
    """`torch.optim.SGD` in which `sharded` parameters, whose first axis is the class, are updated by rows.

    `fetch` gives the rows of a step as leaves, up to date; `step` updates those. Both give what SGD on dense
    gradients gives, or with `legacy` `optim.LegacySGD`. Every sharded parameter has one float32 momentum of
    its size, and there is one step number a row.
    """

    def __init__(
        self,
        sharded: dict[str, nn.Parameter],
        others: list[nn.Parameter],
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
        legacy: bool = False,
    ) -> None:
        super().__init__([*sharded.values(), *others], lr=lr, momentum=momentum, weight_decay=weight_decay)
        self.sharded = sharded
        self._legacy = legacy
        weight = next(iter(sharded.values()))
        for parameter in sharded.values():
            self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        self.touched = torch.zeros(len(weight), dtype=torch.int64, device=weight.device)
        self._none = torch.eye(2, dtype=torch.float64, device=weight.device)
        # float64: a row may wait through thousands of products, each of a factor close to 1
        self._since = self._none.repeat(_WINDOW + 1, 1, 1)
        self._settled = 0
        self.steps = 0
        self._rows: Tensor | None = None
        self.leaves: dict[str, Tensor] = {}
        """The rows of the step in progress, by the name of their parameter."""

    def fetch(self, rows: Tensor) -> dict[str, Tensor]:
        """Bring `rows` (n,) int64 of every sharded parameter up to date, as leaves that take a gradient."""
        self._rows = rows
        self.leaves = {}
        for name, parameter in self.sharded.items():
            leaf = parameter.new_empty((len(rows), *parameter.shape[1:]))
            for part in self._parts(len(rows)):
                leaf[part], _ = self._now(parameter, rows[part])
            self.leaves[name] = leaf.requires_grad_()
        return self.leaves

    def settle(self) -> None:
        everything = torch.arange(len(self.touched), device=self.touched.device)
        for parameter in self.sharded.values():
            moving = self.state[parameter]["momentum_buffer"]
            for part in self._parts(len(everything)):
                weight, momentum = self._now(parameter, everything[part])
                with torch.no_grad():
                    parameter[part] = weight
                moving[part] = momentum
        self.touched.fill_(self.steps)
        self._settled = self.steps
        self._since[0].copy_(self._none)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # no closure, so no loss either
        """Update the fetched rows and all that is not sharded; every other row owes one step more."""
        group = self.param_groups[0]
        rate, decay, momentum = group["lr"], group["weight_decay"], group["momentum"]
        assert self._rows is not None, "fetch before step"
        into, out_of = self._factors(rate)
        for name, parameter in self.sharded.items():
            gradient = self.leaves[name].grad
            moving = self.state[parameter]["momentum_buffer"]
            for part in self._parts(len(self._rows)):
                rows = self._rows[part]
                weight, moved = self._now(parameter, rows)
                moved.mul_(momentum).add_(weight, alpha=into * decay)
                if gradient is not None:
                    moved.add_(gradient[part], alpha=into)
                parameter.index_copy_(0, rows, weight.add_(moved, alpha=out_of))
                moving.index_copy_(0, rows, moved)
        # first the step that all others owe, then the mark: the rows of this step owe nothing of it
        self._owe(rate, decay, momentum)
        self.touched.index_fill_(0, self._rows, self.steps)
        if self.steps - self._settled == _WINDOW:
            self.settle()
        self._rows, self.leaves = None, {}
        if self._legacy:
            legacy_step([p for p in group["params"] if p.grad is not None], group, self.state)
        else:
            super().step()

    def _factors(self, rate: float) -> tuple[float, float]:
        """Return the factor of what enters the momentum, and that of the momentum in the weight."""
        return (-rate, 1.0) if self._legacy else (1.0, -rate)

    def replay(self) -> dict[str, Tensor]:
        """State for a checkpoint beside weights, momenta and `touched`, the same on every rank."""
        return {"since": self._since, "steps": torch.tensor([self.steps, self._settled])}

    def restore(self, replay: dict[str, Tensor]) -> None:
        """Go on from the state that `replay` returned."""
        self._since.copy_(replay["since"])
        self.steps, self._settled = (int(number) for number in replay["steps"])

    def _now(self, parameter: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Compute weight and momentum of `rows`, up to date, as copies."""
        owed = self._since[self.touched[rows] - self._settled].to(parameter.dtype)
        owed = owed.view(len(rows), 2, 2, *(1 for _ in parameter.shape[1:]))
        weight = parameter.detach().index_select(0, rows)
        momentum = self.state[parameter]["momentum_buffer"].index_select(0, rows)
        moved = (owed[:, 1, 1] * momentum).addcmul_(owed[:, 1, 0], weight)
        return weight.mul_(owed[:, 0, 0]).addcmul_(owed[:, 0, 1], momentum), moved

    def _owe(self, rate: float, decay: float, momentum: float) -> None:
        """Multiply a step into all products; the newest is the identity."""
        into, out_of = self._factors(rate)
        weight, moving = self._since[:, 0], self._since[:, 1]
        moved = weight * (into * decay) + moving * momentum
        self._since = torch.stack((weight * (1 - rate * decay) + moving * (out_of * momentum), moved), 1)
        self.steps += 1
        self._since[self.steps - self._settled].copy_(self._none)

    def _parts(self, count: int) -> list[slice]:
        size = _CUDA_ROWS if self.touched.is_cuda else _CPU_ROWS
        return [slice(start, min(start + size, count)) for start in range(0, count, size)]

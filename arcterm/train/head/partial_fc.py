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

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from arcterm.train.optim.eager import EagerSGD
from arcterm.train.optim.groups import Group
from arcterm.train.optim.optimizers import legacy_step

_WINDOW = 4096  # steps that a row may wait
_CPU_ROWS = 256  # rows updated at a time by each thread, to stay in its core's cache
_CUDA_ROWS = 1 << 16
_WIDE = torch.complex128
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


class LazySGD(EagerSGD):
    """`torch.optim.SGD` in which `sharded` parameters, whose first axis is the class, are updated by rows.

    `fetch` gives the rows of a step as leaves, up to date; `step` updates those. Both give what SGD on dense
    gradients gives, or with `legacy` `LegacySGD`. Every sharded parameter has one float32 momentum of its
    size, and there is one step number a row. They are among the parameters of the `groups`, which may have
    rates and decays of their own. `fused`, the rows of a step are updated by one kernel, as all else is.
    """

    def __init__(
        self,
        sharded: Mapping[str, nn.Parameter],
        groups: list[Group],
        *,
        lr: float,
        momentum: float,
        weight_decay: float = 0.0,
        legacy: bool = False,
        fused: bool = False,
    ) -> None:
        super().__init__(groups, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=fused or None)
        self.sharded = dict(sharded)
        self._legacy, self._fused = legacy, fused and not legacy
        weight = next(iter(sharded.values()))
        for parameter in sharded.values():
            self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        self.touched = torch.zeros(len(weight), dtype=torch.int64, device=weight.device)
        self._none = torch.eye(2, dtype=torch.float64, device=weight.device)
        of = {parameter: number for number, group in enumerate(groups) for parameter in group["params"]}
        self._group = {name: of[parameter] for name, parameter in sharded.items()}
        # float64: a row may wait through thousands of products, each of a factor close to 1
        self._since = {number: self._none.repeat(_WINDOW + 1, 1, 1) for number in self._group.values()}
        self._settled = 0
        self.steps = 0
        self._rows: Tensor | None = None
        # the rows of a step: their number stays, so does their memory
        self._room: dict[str, Tensor] = {}
        self.leaves: dict[str, Tensor] = {}
        """The rows of the step in progress, by the name of their parameter."""

    def fetch(self, rows: Tensor) -> dict[str, Tensor]:
        """Bring `rows` (n,) int64 of every sharded parameter up to date, as leaves that take a gradient."""
        self._rows = rows
        self.leaves = {}
        for name, parameter in self.sharded.items():
            room = self._room.get(name)
            if room is None or len(room) != len(rows):
                room = self._room[name] = parameter.new_empty((len(rows), *parameter.shape[1:]))
            moving = self.state[parameter]["momentum_buffer"]
            stay, enter = self._owed(name, rows, 0)
            for part in parts(rows):
                weight = torch.index_select(parameter.detach(), 0, rows[part], out=room[part])
                weight.mul_(stay[part]).addcmul_(enter[part], moving.index_select(0, rows[part]))
            self.leaves[name] = room.detach().requires_grad_()
        return self.leaves

    @torch.no_grad()
    def settle(self) -> None:
        """Bring all rows up to date."""
        everything = torch.arange(len(self.touched), device=self.touched.device)
        for name, parameter in self.sharded.items():
            moving = self.state[parameter]["momentum_buffer"]
            for part in parts(everything):
                weight, momentum = parameter[part].clone(), moving[part]
                stay, enter = self._owed(name, everything[part], 0)
                torch.mul(weight, stay, out=parameter[part]).addcmul_(enter, momentum)
                enter, stay = self._owed(name, everything[part], 1)
                momentum.mul_(stay).addcmul_(enter, weight)
        self.touched.fill_(self.steps)
        self._settled = self.steps
        for since in self._since.values():
            since[0].copy_(self._none)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # no closure, so no loss either
        """Update the fetched rows and all that is not sharded; every other row owes one step more."""
        assert self._rows is not None, "fetch before step"
        for name in self.sharded:
            self._update(name, self._rows)
        # first the step that all others owe, then the mark: the rows of this step owe nothing of it
        self._owe()
        self.touched.index_fill_(0, self._rows, self.steps)
        if self.steps - self._settled == _WINDOW:
            self.settle()
        self._rows, self.leaves = None, {}
        if self._legacy:
            for group in self.param_groups:
                legacy_step([p for p in group["params"] if p.grad is not None], group, self.state)
        else:
            super().step()

    def _update(self, name: str, rows: Tensor) -> None:
        """Make a step of the fetched `rows` of a parameter, and put them back."""
        parameter, leaf = self.sharded[name], self.leaves[name]
        moving = self.state[parameter]["momentum_buffer"]
        enter, stay = self._owed(name, rows, 1)
        for part in parts(rows):
            index = rows[part]
            momentum = moving.index_select(0, index)
            momentum.mul_(stay[part]).addcmul_(enter[part], parameter.index_select(0, index))
            weight = leaf.detach()[part]  # up to date already
            self._move(name, weight, None if leaf.grad is None else leaf.grad[part], momentum)
            put(parameter, index, weight)
            put(moving, index, momentum)

    def _move(self, name: str, weight: Tensor, gradient: Tensor | None, momentum: Tensor) -> None:
        """Make a step of some rows, in place."""
        group = self.param_groups[self._group[name]]
        if self._fused and gradient is not None:
            how = {key: group[key] for key in ("lr", "momentum", "weight_decay")}
            how |= {"dampening": 0.0, "nesterov": False, "maximize": False, "is_first_step": False}
            # the kernel itself: `sgd` sorts its tensors by device and type first, for each of many parts
            torch._fused_sgd_([weight], [gradient], [momentum], **how)
            return
        into, out_of = self._factors(group["lr"])
        momentum.mul_(group["momentum"]).add_(weight, alpha=into * group["weight_decay"])
        if gradient is not None:
            momentum.add_(gradient, alpha=into)
        weight.add_(momentum, alpha=out_of)

    def _factors(self, rate: float) -> tuple[float, float]:
        """Return the factor of what enters the momentum, and that of the momentum in the weight."""
        return (-rate, 1.0) if self._legacy else (1.0, -rate)

    def row_state(self) -> dict[str, Tensor]:
        """State by name whose first axis is the class, beside weights and momenta."""
        return {"touched": self.touched}

    def replay(self) -> dict[str, Tensor]:
        """The rest of the state, the same on every rank: what rows owe, by parameter where that differs."""
        first = next(iter(self._group.values()))
        others = {f"since.{name}": self._since[n] for name, n in self._group.items() if n != first}
        steps = torch.tensor([self.steps, self._settled])
        return {"since": self._since[first], "steps": steps, **{k: v.clone() for k, v in others.items()}}

    def restore(self, replay: Mapping[str, Tensor]) -> None:
        """Go on from the state that `replay` returned."""
        for name, number in self._group.items():
            self._since[number].copy_(replay.get(f"since.{name}", replay["since"]))
        self.steps, self._settled = (int(number) for number in replay["steps"])

    def _owed(self, name: str, rows: Tensor, line: int) -> tuple[Tensor, Tensor]:
        """The factors of weight and momentum in the weight (`line` 0) or the momentum (1) of `rows` now."""
        parameter, since = self.sharded[name], self._since[self._group[name]]
        owed = since[self.touched[rows] - self._settled, line].to(parameter.dtype)
        shape = (len(rows), *(1 for _ in parameter.shape[1:]))
        return owed[:, 0].view(shape), owed[:, 1].view(shape)

    def _owe(self) -> None:
        """Multiply a step into all products; the newest is the identity."""
        self.steps += 1
        for number, since in self._since.items():
            group = self.param_groups[number]
            rate, decay, momentum = group["lr"], group["weight_decay"], group["momentum"]
            into, out_of = self._factors(rate)
            weight, moving = since[:, 0], since[:, 1]
            moved = weight * (into * decay) + moving * momentum
            product = (weight * (1 - rate * decay) + moving * (out_of * momentum), moved)
            self._since[number] = torch.stack(product, 1)
            self._since[number][self.steps - self._settled].copy_(self._none)


def parts(rows: Tensor) -> list[slice]:
    """Part (n,) `rows` into as many as are updated at a time."""
    size = _CUDA_ROWS if rows.is_cuda else _CPU_ROWS * torch.get_num_threads()
    return [slice(start, min(start + size, len(rows))) for start in range(0, len(rows), size)]


def put(into: Tensor, index: Tensor, rows: Tensor) -> None:
    """Write `rows` (n, …) in the places `index` (n,) int64 of `into`, all of which are different."""
    into = into.detach()
    if not rows.is_cuda and rows.ndim > 1 and rows.shape[-1] * rows.itemsize % _WIDE.itemsize == 0:
        # on a CPU it goes number by number: as numbers of 16 bytes there are fewer of them
        into, rows = into.view(_WIDE), rows.view(_WIDE)
    into.index_copy_(0, index, rows)

"""Partial FC with AdamW: each class row is a parameter of its own, left alone in steps without it.

AdamW's step is no linear function of weight and moments, so rows that wait can't be brought up to date as
those of SGD are (`partial_fc`). They are taken for what torch's AdamW takes a parameter without a gradient:
neither weight nor moments nor count of updates change, and it does not decay. The bias of young moments is
taken out by each row's own count: by the step's number a row that is first sampled late would begin with an
update that is (1 - β₁) / √(1 - β₂) = 3.2 times too large, with β = (0.9, 0.999).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from arcterm.train.head.partial_fc import LazySGD, parts
from arcterm.train.optim.eager import EagerAdamW
from arcterm.train.optim.groups import Group


class LazyAdamW(EagerAdamW):
    """`torch.optim.AdamW` in which `sharded` parameters, whose first axis is the class, are updated by rows.

    `fetch` gives the rows of a step as leaves; `step` updates those. Every sharded parameter has two float32
    moments of its size, and there is one count of updates a row. They are among the parameters of the
    `groups`, which may have rates and decays of their own; `how` goes to torch's AdamW for the others.
    """

    def __init__(self, sharded: Mapping[str, nn.Parameter], groups: list[Group], **how: Any) -> None:
        super().__init__(groups, **how)
        self.sharded = dict(sharded)
        self.updates = torch.zeros(0, dtype=torch.int64)
        self._group: dict[str, Group] = {}
        for name, parameter in sharded.items():
            for key in ("exp_avg", "exp_avg_sq"):
                self.state[parameter][key] = torch.zeros_like(parameter)
            self._group[name] = next(g for g in self.param_groups if any(p is parameter for p in g["params"]))
            self.updates = torch.zeros(len(parameter), dtype=torch.int64, device=parameter.device)
        self._rows: Tensor | None = None
        self.leaves: dict[str, Tensor] = {}
        """The rows of the step in progress, by the name of their parameter."""

    def fetch(self, rows: Tensor) -> dict[str, Tensor]:
        """Copy `rows` (n,) int64 of every sharded parameter, as leaves that take a gradient."""
        self._rows = rows
        self.leaves = {n: p.detach()[rows].requires_grad_() for n, p in self.sharded.items()}
        return self.leaves

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # no closure, so no loss either
        """Update the fetched rows and all that is not sharded."""
        assert self._rows is not None, "fetch before step"
        self.updates.index_add_(0, self._rows, torch.ones_like(self._rows))
        for part in parts(self._rows):
            rows = self._rows[part]
            counts = self.updates[rows].double()
            for name, leaf in self.leaves.items():
                if leaf.grad is not None:
                    self._update(name, rows, leaf.detach()[part], leaf.grad[part], counts)
        self._rows, self.leaves = None, {}
        super().step()

    def _update(self, name: str, rows: Tensor, weight: Tensor, gradient: Tensor, counts: Tensor) -> None:
        """Make the update number `counts` (n,) of `rows` (n,), whose weights are a copy."""
        parameter, group = self.sharded[name], self._group[name]
        (first, second), rate = group["betas"], group["lr"]
        state = self.state[parameter]
        mean = state["exp_avg"].index_select(0, rows).lerp_(gradient, 1 - first)
        square = state["exp_avg_sq"].index_select(0, rows).mul_(second)
        square.addcmul_(gradient, gradient, value=1 - second)
        state["exp_avg"].index_copy_(0, rows, mean)
        state["exp_avg_sq"].index_copy_(0, rows, square)
        # in float64: with β₂ = 0.999 the second factor begins as the root of a difference of 0.001
        shape = (len(rows), *(1 for _ in parameter.shape[1:]))
        length = (rate / (1 - first**counts)).to(parameter.dtype).view(shape)
        spread = (1 - second**counts).sqrt().to(parameter.dtype).view(shape)
        weight.mul_(1 - rate * group["weight_decay"])
        weight.sub_(mean.mul_(length).div_(square.sqrt_().div_(spread).add_(group["eps"])))
        parameter.index_copy_(0, rows, weight)

    def row_state(self) -> dict[str, Tensor]:
        """State by name whose first axis is the class, beside weights and moments."""
        return {"updates": self.updates}

    def replay(self) -> dict[str, Tensor]:
        """The rest of the state, the same on every rank: there is none, since rows owe nothing."""
        return {}

    def restore(self, replay: Mapping[str, Tensor]) -> None:
        """Go on from the state that `replay` returned."""


Lazy = LazySGD | LazyAdamW
"""Optimizers of the rows of a step, by which a head with Partial FC learns."""

"""An optimizer's update of class rows, a few of them at a time, while the backward pass goes over them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from arcterm.train.optim.optimizers import LegacySGD


class RowUpdate:
    """What `optimizer` would do with the gradient of `weight`, of which there is never more than a tile.

    Its state stays in the optimizer, as the step would have left it: a checkpoint is the same either way.
    One backward pass updates for each time that it is armed.
    """

    def __init__(self, optimizer: Optimizer, weight: nn.Parameter) -> None:
        self._optimizer = optimizer
        self._weight = weight
        self._armed = False
        self._group: dict[str, Any] = {}
        self._tensors: list[Tensor] = []
        self._count = self._bad = torch.zeros(())

    def arm(self) -> None:
        """Let the next pass update, by the rate that the optimizer's group has then."""
        self._armed = True

    def take(self) -> RowUpdate | None:
        """Return itself if armed, and be armed no more."""
        armed, self._armed = self._armed, False
        return self if armed else None

    def begin(self, bad: Tensor) -> None:
        """Begin a step; where `bad`, float32 and 0-d, is 1 nothing is changed, without the host knowing."""
        weight, state = self._weight, self._optimizer.state[self._weight]
        self._group = next(
            group for group in self._optimizer.param_groups if any(p is weight for p in group["params"])
        )
        names = ["exp_avg", "exp_avg_sq"] if isinstance(self._optimizer, AdamW) else ["momentum_buffer"]
        if self._group.get("momentum") == 0 and not isinstance(self._optimizer, LegacySGD):
            names = []
        for name in names:
            if state.get(name) is None:
                state[name] = torch.zeros_like(weight)
        width = weight.shape[-1]
        self._tensors = [tensor.detach().view(-1, width) for tensor in (weight, *(state[n] for n in names))]
        self._bad = bad
        if isinstance(self._optimizer, AdamW):
            count = state.get("step", torch.zeros(())).to(weight.device)
            self._count, state["step"] = count + 1, count + 1 - bad

    def rows(self, index: Tensor) -> list[Tensor]:
        """Copy weight and state of the rows `index` (n,) int64."""
        return [tensor[index] for tensor in self._tensors]

    def replace(self, index: Tensor, tensors: list[Tensor]) -> None:
        """Put weight and state of the rows `index` in their places; equal rows must have equal values."""
        for tensor, value in zip(self._tensors, tensors, strict=True):
            tensor.index_copy_(0, index, value)

    def apply(self, part: slice, gradient: Tensor) -> None:
        """Update the rows `part` by their `gradient` (n, D)."""
        self.update([tensor[part] for tensor in self._tensors], gradient)

    @torch.no_grad()
    def update(self, tensors: list[Tensor], gradient: Tensor) -> None:
        """Update weight and state (n, D) of some rows, in place."""
        group, (weight, *state) = self._group, tensors
        how = {"lr": group["lr"], "weight_decay": group["weight_decay"]}
        if isinstance(self._optimizer, LegacySGD):
            self._legacy(weight, state, gradient)
        elif isinstance(self._optimizer, AdamW):
            beta1, beta2 = group["betas"]
            torch._fused_adamw_(
                *([weight], [gradient], [state[0]], [state[1]], [], [self._count]),
                **how,
                beta1=beta1,
                beta2=beta2,
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
                found_inf=self._bad,
            )
        else:
            torch._fused_sgd_(
                *([weight], [gradient], state),
                **how,
                momentum=group["momentum"],
                dampening=0.0,
                nesterov=False,
                maximize=False,
                is_first_step=False,
                found_inf=self._bad,
            )

    def _legacy(self, weight: Tensor, state: list[Tensor], gradient: Tensor) -> None:
        rate, good = self._group["lr"], self._bad == 0
        # the terms in the order of `legacy_step`
        moved = state[0].mul(self._group["momentum"])
        moved.add_(weight, alpha=-rate * self._group["weight_decay"]).add_(gradient, alpha=-rate)
        state[0].copy_(torch.where(good, moved, state[0]))
        weight.add_(torch.where(good, moved, 0.0))

"""Optimizers by name, and their state as named tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from arcterm.config import TrainConfig
from arcterm.train.optim.eager import EagerAdamW, EagerSGD
from arcterm.train.optim.groups import Group

_SECOND_BETA = 0.999
_KEPT = ("momentum_buffer", "exp_avg", "exp_avg_sq", "step")


class LegacySGD(EagerSGD):
    """SGD as MXNet has it: m ← μ·m - r·(g + λ·w), w ← w + m, of weight w, gradient g, rate r and decay λ.

    The rate is inside the momentum m: after it drops, the old momentum fades over some 1 / (1 - μ) steps,
    where torch's counts less at once. They are the same while the rate stays. Source: `sgd_mom_update` in
    MXNet's ``optimizer_op-inl.h``.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # no closure, so no loss either
        for group in self.param_groups:
            legacy_step([p for p in group["params"] if p.grad is not None], group, self.state)


def legacy_step(
    parameters: Sequence[Tensor], group: Mapping[str, Any], state: Mapping[Tensor, dict[str, Any]]
) -> None:
    """Update `parameters`, each of which has a gradient, by the settings of `group`."""
    rate, momentum = group["lr"], group["momentum"]
    weights = list(parameters)
    if not weights:
        return
    for weight in weights:
        state[weight].setdefault("momentum_buffer", torch.zeros_like(weight))
    moving = [state[weight]["momentum_buffer"] for weight in weights]
    # decay first: the gradient of the step is the smallest of the three, and sums lose least that way
    torch._foreach_mul_(moving, momentum)
    torch._foreach_add_(moving, weights, alpha=-rate * group["weight_decay"])
    torch._foreach_add_(moving, [w.grad for w in weights if w.grad is not None], alpha=-rate)
    torch._foreach_add_(weights, moving)


def make(groups: list[Group], config: TrainConfig) -> Optimizer:
    """Make SGD, MXNet's, or AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) with β₁ = `momentum`.

    The module `groups` says what decays: by default every parameter, norms and biases included, as in 2018
    and in arcface_torch.
    """
    how: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay}
    if config.optimizer == "legacy":
        made: Optimizer = LegacySGD(groups, momentum=config.momentum, **how)
    elif config.optimizer == "adamw":
        made = EagerAdamW(groups, **adamw(config))
    else:
        made = EagerSGD(groups, momentum=config.momentum, **how, **implementation(config.device))
    set_rate(made, config.lr)
    return made


def adamw(config: TrainConfig) -> dict[str, Any]:
    """The arguments of AdamW beside the groups."""
    how = {"lr": config.lr, "betas": (config.momentum, _SECOND_BETA), "weight_decay": config.weight_decay}
    return how | implementation(config.device)


def implementation(device: str) -> dict[str, bool]:
    """How torch's optimizers are to compute on a type of `device`: in one pass over all that they read.

    The alternative goes over them several times, and on a GPU makes copies of all gradients in passing.
    """
    return {"fused": True} if device in ("cuda", "cpu") else {}


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the `rate` of a step, of which a group may take a multiple of its own."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_factor", 1.0)


def state(optimizer: Optimizer, named: Mapping[str, Tensor], momentum: str) -> dict[str, Tensor]:
    """Collect the state of `optimizer` for the `named` parameters.

    SGD's momentum is called by the parameter's name and the suffix `momentum`; AdamW's two moments and its
    count of updates, which has no dimensions, are ``NAME.exp_avg``, ``NAME.exp_avg_sq`` and ``NAME.step``.
    """
    found: dict[str, Tensor] = {}
    for name, parameter in named.items():
        if parameter in optimizer.state:  # it makes an entry for whatever it is asked for
            kept = optimizer.state[parameter]
            found |= {name + _suffix(key, momentum): kept[key] for key in _KEPT if kept.get(key) is not None}
    return found


def names(named: Iterable[str], momentum: str) -> list[str]:
    """All names that `state` may use for the `named` parameters."""
    return [name + _suffix(key, momentum) for name in named for key in _KEPT]


def load(
    optimizer: Optimizer, named: Mapping[str, Tensor], held: Mapping[str, Tensor], momentum: str
) -> None:
    """Restore what `state` returned; what is not `held` is left alone."""
    for name, parameter in named.items():
        for key in _KEPT:
            value = held.get(name + _suffix(key, momentum))
            if value is None:
                continue
            if key == "step":  # on the host, so that no step waits for the device; fused, it is read there
                place = parameter.device if optimizer.defaults.get("fused") else value.device
                optimizer.state[parameter][key] = value.clone().to(place)
            else:  # in the parameter's order in memory, which a safetensors file does not keep
                optimizer.state[parameter][key] = torch.empty_like(parameter).copy_(value).detach()


def _suffix(key: str, momentum: str) -> str:
    return momentum if key == "momentum_buffer" else f".{key}"

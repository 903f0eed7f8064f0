"""Groups of parameters: what is frozen, what weight decay acts on, and the rate of the class weights.

An optimizer's group has the usual ``params`` and ``weight_decay``, and ``lr_factor``, by which
`optimizers.set_rate` multiplies the rate of a step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from arcterm.config import TrainConfig
from arcterm.errors import ConfigError
from arcterm.text import clean

BACKBONE, HEAD = "backbone", "head"
"""Names in the setting `freeze` for the whole backbone and for the class weights."""
_SHOWN = 30  # names of modules in an error

Group = dict[str, Any]


def of_backbone(network: nn.Module, config: TrainConfig) -> list[Group]:
    """Share out the parameters of `network` that learn."""
    return _groups(network, config.decay_on, config.weight_decay, 1.0)


def of_head(head: nn.Module, config: TrainConfig) -> list[Group]:
    """Share out the class weights and what the loss learns; the decay and the rate may be the head's own."""
    decay = config.weight_decay if config.head_decay is None else config.head_decay
    return _groups(head, config.decay_on, decay, config.head_lr_factor)


def _groups(module: nn.Module, decay_on: str, decay: float, factor: float) -> list[Group]:
    """A group that decays and, if `decay_on` leaves some out, one that does not.

    ``no-norms`` leaves out the parameters of norms, as AdaFace's `split_parameters`; ``no-vectors`` also all
    others with fewer than two dimensions, biases and the slopes of PReLU, as timm does.
    """
    learned = [parameter for parameter in module.parameters() if parameter.requires_grad]
    spared: set[nn.Parameter] = set()
    if decay_on != "all":
        spared = {p for part in module.modules() if is_norm(part) for p in part.parameters(recurse=False)}
    if decay_on == "no-vectors":
        spared |= {p for p in learned if p.ndim < 2}
    groups = [_group([p for p in learned if p not in spared], decay, factor)]
    plain = [p for p in learned if p in spared]
    return [*groups, _group(plain, 0.0, factor)] if plain else groups


def _group(parameters: list[nn.Parameter], decay: float, factor: float) -> Group:
    return {"params": parameters, "weight_decay": decay, "lr_factor": factor}


def is_norm(module: nn.Module) -> bool:
    """Whether a module is a norm, of torch's or by its name."""
    return "norm" in type(module).__name__.lower()


def prepare(network: nn.Module, config: TrainConfig) -> None:
    """Freeze the parts of the backbone that `config` names, and set the momentum of its batch norms.

    A frozen part does not learn and computes as in verification: running statistics stay, dropout is off.
    Raises `ConfigError` for a part that is not there, or if there is no batch norm to set.
    """
    if config.bn_momentum is not None:
        norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
        if not norms:
            raise ConfigError(
                f"backbone {config.backbone!r} has no batch norms", "leave out --set bn_momentum"
            )
        for norm in norms:
            norm.momentum = config.bn_momentum
    for part in _frozen(network, config):
        part.requires_grad_(False).eval()


def _frozen(network: nn.Module, config: TrainConfig) -> Iterator[nn.Module]:
    """The parts of `network` that are frozen: by their names, or from one of its children to another."""
    named, children = dict(network.named_modules()), list(dict(network.named_children()))
    for name in config.frozen:
        first, dash, last = name.partition("-")
        if name == BACKBONE:
            yield network
        elif name in named:
            yield named[name]
        elif dash and {first, last} <= set(children) and children.index(first) < children.index(last):
            yield from (named[c] for c in children[children.index(first) : children.index(last) + 1])
        elif name != HEAD:
            shown = ", ".join(children[:_SHOWN]) + ", …" * (len(children) > _SHOWN)
            raise ConfigError(
                f"backbone {config.backbone!r} has no part {clean(name)!r} to freeze",
                f"change --set freeze; it has {shown}, and FIRST-LAST is a row of them",
            )


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Let `network` compute as in verification; at the end each of its parts is as it was."""
    training = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, was in training:
            module.training = was


def summary(backbone: nn.Module, head: nn.Module, config: TrainConfig) -> str:
    """Say how many numbers of backbone and head, this rank's share of it, are updated how."""
    parts = (
        words(BACKBONE, backbone, of_backbone(backbone, config)),
        words("class weights of a rank", head, of_head(head, config)),
    )
    return "; ".join(filter(None, parts))


def words(name: str, module: nn.Module, groups: list[Group]) -> str:
    """``backbone 24.1 M with decay 0.0005, 3.2 M frozen``: how many numbers are updated how."""
    said = []
    for group in groups:
        if group["params"]:
            rate = "" if group["lr_factor"] == 1 else f" at {group['lr_factor']:g} × the rate"
            decay = f"decay {group['weight_decay']:g}" if group["weight_decay"] else "no decay"
            said.append(f"{_count(group['params'])} with {decay}{rate}")
    if still := [p for p in module.parameters() if not p.requires_grad]:
        said.append(f"{_count(still)} frozen")
    return f"{name} {', '.join(said)}" if said else ""


def _count(parameters: Iterable[nn.Parameter]) -> str:
    numbers = sum(parameter.numel() for parameter in parameters)
    return f"{numbers / 1e6:.3g} M" if numbers >= 1e5 else f"{numbers:,}"

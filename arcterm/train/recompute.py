"""Blocks of a backbone whose inner activations are not stored but computed again for their gradient."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from arcterm.errors import ConfigError


def recompute(network: nn.Module, name: str) -> list[nn.Module]:
    """Make the `blocks` of `network` recompute in training; returns them.

    Gradients and running statistics are those of training without it. Raises `ConfigError` naming the
    backbone `name` if it has no blocks.
    """
    found = blocks(network)
    if not found:
        raise ConfigError(
            f"backbone {name!r} has no blocks to recompute",
            "`arcterm resume RUN` with --set gradient_checkpointing=no goes on without; a network may list "
            "its blocks in an attribute `recomputable`",
        )
    for block in found:
        # a partial of a bound method, and no closure, because a copy of the block must call the copy's own
        block.forward = partial(_recomputed, block, block.forward)
    return found


def blocks(network: nn.Module) -> list[nn.Module]:
    """The modules in the network's `recomputable`, else the members of its sequences and lists.

    A member that is itself a sequence of blocks is gone through; a layer on its own is no block.
    """
    named = getattr(network, "recomputable", None)
    return list(named) if named is not None else list(_members(network))


def _members(module: nn.Module) -> Iterator[nn.Module]:
    inside = isinstance(module, nn.Sequential | nn.ModuleList)
    for child in module.children():
        deeper = list(_members(child))
        if inside and not (isinstance(child, nn.Sequential | nn.ModuleList) and deeper):
            if next(child.children(), None) is not None:
                yield child
        else:
            yield from deeper


def _recomputed(block: nn.Module, forward: Any, *inputs: Any) -> Any:
    if not (block.training and torch.is_grad_enabled()):
        return forward(*inputs)
    if torch.compiler.is_compiling():  # the compiler writes running statistics once, where they belong
        return checkpoint(forward, *inputs, use_reentrant=False)
    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=partial(_contexts, block))


def _contexts(block: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Do nothing around the first pass; run the second on copies of the buffers that the first began with.

    So batch norms count a batch once.
    """
    modules = [module for module in block.modules() if module._buffers]
    copies = [{name: b if b is None else b.clone() for name, b in m._buffers.items()} for m in modules]
    return nullcontext(), _swapped(modules, copies)


@contextmanager
def _swapped(modules: list[nn.Module], buffers: list[dict[str, Tensor | None]]) -> Iterator[None]:
    own = [dict(module._buffers) for module in modules]
    for module, other in zip(modules, buffers, strict=True):
        module._buffers.update(other)
    try:
        yield
    finally:
        for module, held in zip(modules, own, strict=True):
            module._buffers.update(held)

"""torch's SGD and AdamW, without its compiler.

torch's optimizers go through their compiler's front end when they are made and in every step, whatever is
compiled. Its import takes a second, in each rank, before the first step. These are the same functions as
they are below those decorators.
"""

from __future__ import annotations

from inspect import unwrap

import torch
from torch.optim import SGD, AdamW, Optimizer

_ADD, _ZERO = unwrap(Optimizer.add_param_group), unwrap(Optimizer.zero_grad)


class EagerSGD(SGD):
    """`torch.optim.SGD`, bit for bit."""

    add_param_group, zero_grad = _ADD, _ZERO
    step = torch.no_grad()(unwrap(SGD.step))


class EagerAdamW(AdamW):
    """`torch.optim.AdamW`, bit for bit."""

    add_param_group, zero_grad = _ADD, _ZERO
    step = torch.no_grad()(unwrap(AdamW.step))

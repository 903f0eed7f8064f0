"""The rivals of every image, summed tile by tile on the GPU: the loss of millions of classes without logits.

The margin stays outside: the loss of an image is a function of its target's cosine, which the head takes in
float32, and of one number for all other classes: the log-sum that `rivals` gives and `gradients`
differentiates.

Forward, a program walks down its share of the class tiles with a running maximum and sum for its rows.
Backward, a run of classes at a time has its softmax shares recomputed into scratch memory, small enough to
stay mostly in the L2 cache; two plain products read it: a class tile over all rows, and a row tile over the
classes. One program for both could hold no more than 64 classes (their gradient fills the registers at 512
dims), and would read and write the whole gradient of the features for each of them.
"""

from __future__ import annotations

import functools
import math
import os
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from arcterm.errors import is_out_of_memory
from arcterm.train.head.rowgradients import Collected, RowGradients

Precision = Literal["bf16", "fp32"]

_LN2 = math.log(2)
_SCRATCH = 64 << 20  # bytes of softmax shares at a time: near the L2's size, yet work enough to hide launches
_RUN = 1 << 21  # classes at a time, whatever the batch: a grid's second dimension ends at 65,535 programs
_WAVES = 4  # forward programs per processor: the last wave is then at most a quarter of the work
_INTERPRETED_PROCESSORS = 4  # so that the interpreter splits the work as a GPU does


def available(device: torch.device) -> bool:
    """Whether the kernels run on `device`: triton with a GPU of capability 8.0, or interpreted on a CPU."""
    if find_spec("triton") is None:
        return False
    if device.type == "cuda":
        return torch.version.hip is None and torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"


@functools.cache
def failure(device: torch.device) -> str:
    """Compile the kernels for `device` and try them on small numbers; say why they can't be used, or "".

    Triton compiles with a C compiler and Python's headers, and a new GPU may not like what it is given: both
    show here and not in the first step. Raises when memory is used up, which says nothing of the kernels.
    """
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(40, 64, generator=generator)
    unit, weight = (F.normalize(x).to(device) for x in (drawn[:8], drawn[8:]))
    inverse, targets = weight.new_ones(len(weight)), torch.full((len(unit),), -1, device=device)
    try:
        lse, highest = rivals(unit, weight, inverse, targets, unit.new_ones(()))
        rows = Collected(weight)
        by_unit = gradients(
            unit, weight, inverse, targets, unit.new_ones(()), lse, torch.ones_like(lse), rows
        )
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return " ".join(f"{type(error).__name__}: {error}".split())[:300]
    logits = unit @ weight.T
    right = (logits.logsumexp(1), logits.amax(1), logits.softmax(1) @ weight)
    close = zip((lse, highest, by_unit), right, strict=True)
    return "" if all(torch.allclose(a, b, atol=0.05) for a, b in close) else "their sums are wrong"


def rivals(
    unit: Tensor,
    weight: Tensor,
    inverse: Tensor,
    targets: Tensor,
    scale: Tensor,
    precision: Precision = "bf16",
) -> tuple[Tensor, Tensor]:
    """Log-sum and maximum over the classes that are not the image's target.

    `unit` (B, D) float32 unit features; `weight` (C, D) float32 or bfloat16, not normalised, faster as
    bfloat16; `inverse` (C,) float32 1/‖w‖; `targets` (B,) int64 rows of `weight`, -1 where the target is
    elsewhere; `scale` float32, 0-d, positive. Returns log Σ exp(scale · cosine) and the highest cosine, both
    (B,) float32, -inf where there is no other class. `precision` is that of the operands of the product.
    Raises ValueError on other shapes and types.
    """
    _check(unit, weight, inverse, targets)
    B, (C, D) = len(unit), weight.shape
    plan = _plan(unit.device, weight.dtype, precision)
    blocks, tiles = _ceil(B, plan.rows), _ceil(C, plan.columns)
    # Few images leave most processors idle: the classes are split among programs too. Each keeps a maximum
    # and a sum of its own, and the sums are joined below in a fixed order, where atomics would not be
    # repeatable.
    splits = max(1, min(tiles, _WAVES * plan.processors // max(blocks, 1)))
    highest, lse = unit.new_full((2, splits, B), -math.inf)
    if B and C:
        from arcterm.train.head import kernels

        with torch.cuda.device_of(unit):
            kernels.scan[blocks, splits](
                *(plan.operand(unit), weight, inverse.contiguous(), targets.contiguous()),
                *(scale, highest, lse),
                *(B, C, D, _ceil(tiles, splits)),
                **plan.options,
            )
    return (lse * _LN2).logsumexp(0), highest.amax(0) / (scale / _LN2)


def gradients(
    unit: Tensor,
    weight: Tensor,
    inverse: Tensor,
    targets: Tensor,
    scale: Tensor,
    lse: Tensor,
    grad: Tensor,
    to: RowGradients,
    precision: Precision = "bf16",
    kept: Tensor | None = None,
) -> Tensor:
    """Gradient (B, D) float32 of Σ grad · lse by `unit`, while that by `weight` goes `to` its place.

    `lse` (B,) float32 is the log-sum over all ranks, `grad` (B,) float32 the loss's derivative by it; the
    rest is as `rivals` had it. The gradient of `weight` includes the Jacobian of its normalisation. With
    `kept`, int32 and 0-d, only the first rows take part, so many; the others have a gradient of 0. Raises
    ValueError on other shapes and types. Scratch memory: 64 MiB of shares, and a tile of partial sums a
    processor (17 MiB on an H200) or one (B, D) if that is more.
    """
    _check(unit, weight, inverse, targets)
    B, (C, D) = len(unit), weight.shape
    plan = _plan(unit.device, weight.dtype, precision)
    if not B or not C:
        if to.needed:
            to.room(slice(0, C)).zero_()
            to.done(slice(0, C))
        return torch.zeros_like(unit)
    from arcterm.train.head import kernels

    x = plan.operand(unit)
    # the kernels know no strides, and the gradient of a mean comes as one number expanded
    inverse, targets, lse, grad = (t.contiguous() for t in (inverse, targets, lse, grad))
    kept = torch.full((), B, dtype=torch.int32, device=unit.device) if kept is None else kept
    blocks, width, run = _ceil(B, plan.rows), plan.width(D), plan.run(B, C, to.most)
    shares = x.new_empty(B, run)
    moments = unit.new_empty(blocks, run)
    # as in the forward pass: what is split to fill the processors ends in `parts`, summed once at the end
    tiles = blocks * _ceil(D, width)
    span = _ceil(_ceil(run, max(1, plan.processors // tiles)), plan.depth) * plan.depth
    parts = unit.new_zeros(_ceil(run, span), B, D)
    narrow = {**plan.options, "BN": width}
    with torch.cuda.device_of(unit):
        for start in range(0, C, run):
            # the second and third kernel read what the first wrote while it is still in the L2 cache
            w, norms = weight[start : start + run], inverse[start : start + run]
            part, n = slice(start, start + len(w)), len(w)
            kernels.weigh[blocks, _ceil(n, plan.columns)](
                *(x, w, norms, targets, scale, lse, grad, shares, moments, kept),
                *(start, run, n, D),
                **plan.options,
            )
            if to.needed:
                kernels.class_gradient[_ceil(D, width), _ceil(n, plan.rows)](
                    *(x, w, norms, shares, moments, to.room(part), kept),
                    *(run, n, D),
                    **narrow,
                )
            kernels.unit_gradient[_ceil(D, width), blocks, len(parts)](
                *(w, shares, parts, kept, run, B, n, D, span), **narrow
            )
            if to.needed:
                to.done(part)  # no sooner: it may change the weights, which the last kernel reads
    return parts.sum(0)


@dataclass(frozen=True)
class _Plan:
    """How the work is divided: tiles of `rows` × `columns`, `depth` of the summed dimension at a time."""

    rows: int
    columns: int
    depth: int
    warps: int
    stages: int
    processors: int
    precise: bool

    @property
    def options(self) -> dict[str, int | bool]:
        tile = {"BM": self.rows, "BN": self.columns, "BK": self.depth}
        return {**tile, "PRECISE": self.precise, "num_warps": self.warps, "num_stages": self.stages}

    def operand(self, unit: Tensor) -> Tensor:
        """`unit` as the kernels read it, rounded once here rather than in every program."""
        return unit.contiguous() if self.precise else unit.bfloat16().contiguous()

    def width(self, size: int) -> int:
        """Columns of a tile of a (., size) gradient; a power of two that the matrix units take."""
        return min(self.columns, max(16, 1 << (size - 1).bit_length()))

    def run(self, batch: int, classes: int, most: int) -> int:
        """Classes whose shares are held at a time: a multiple of the tile, so that every row is aligned."""
        item = 4 if self.precise else 2
        fits = max(1, min(_RUN, most, _SCRATCH // (batch * item)) // self.columns)
        return min(fits, _ceil(classes, self.columns)) * self.columns


@functools.cache
def _plan(device: torch.device, dtype: torch.dtype, precision: Precision) -> _Plan:
    if device.type == "cuda":
        processors = torch.cuda.get_device_properties(device).multi_processor_count
    else:
        processors = _INTERPRETED_PROCESSORS
    if precision == "fp32":  # no matrix unit multiplies float32: small tiles, whose sums fit the registers
        return _Plan(64, 64, 32, warps=4, stages=2, processors=processors, precise=True)
    # float32 weights take twice the shared memory on their way to bfloat16; all fits the 99 KiB of an sm_86
    depth = 64 if dtype == torch.bfloat16 else 32
    return _Plan(128, 256, depth, warps=8, stages=3, processors=processors, precise=False)


def _check(unit: Tensor, weight: Tensor, inverse: Tensor, targets: Tensor) -> None:
    B, (C, D) = len(unit), weight.shape
    if unit.shape != (B, D) or inverse.shape != (C,) or targets.shape != (B,):
        given = [tuple(x.shape) for x in (unit, weight, inverse, targets)]
        raise ValueError(f"unit (B, D), weight (C, D), inverse (C,) and targets (B,) are needed, not {given}")
    if unit.dtype != torch.float32 or inverse.dtype != torch.float32:
        raise ValueError(f"unit and inverse must be float32, not {unit.dtype} and {inverse.dtype}")
    if weight.dtype not in (torch.float32, torch.bfloat16) or not weight.is_contiguous():
        raise ValueError(f"weight must be contiguous float32 or bfloat16; it is {weight.dtype}")


def _ceil(a: int, b: int) -> int:
    return -(-a // b)

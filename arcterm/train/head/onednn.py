"""The rivals of every image, summed tile by tile on a CPU, by products of oneDNN that end in a sigmoid.

With u = z - shift far below 0, sigmoid(u) is exp(u) but for the share exp(u): so a product that oneDNN ends
in a sigmoid gives the terms of a log-sum, or shares of a softmax, without a pass over the tile for the
exponential. In bfloat16 the tiles are more exact for it: what is rounded is the share and not the logit,
whose last digit is the sixteenth part of a nat at a logit of 13.

In float32 oneDNN's products are twice as fast on AMD as the BLAS that PyTorch comes with.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from arcterm.train.head.rowgradients import Room, RowGradients

# e^-17 is half of float32's last digit: from here down the sigmoid is the exponential
_DEEP = 17.0
# The logits are unknown before they are made: a shift this far above the first tile's highest has room for
# higher ones, and for all that count below: exp(-87) is the least that float32 has.
_ROOM = 35.0
_NEARLY = -13.0  # a term exp(-13) is off by the millionth part; above it the shift is raised
_BLOCK = 24 << 20  # bytes; glibc raises its limit up to 32 MiB
_KEPT = (
    64 << 20
)  # bytes of terms that stay for the way back, which then makes three products in place of four
_LOWEST = -1e4  # of a log-sum without terms: finite, and no share of it is seen


@functools.cache
def available(device: torch.device) -> bool:
    """Whether such products run on `device`, tried once on small matrices."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    a, b = torch.linspace(-1, 1, 64).view(4, 16), torch.linspace(1, -2, 128).view(16, 8)
    try:
        # A product takes its own memory, for each tile. What malloc maps goes back to the system when it is
        # freed, and every page of the next one is cleared anew; the limit from which it maps becomes the size
        # of the largest block that was freed.
        torch.empty(_BLOCK, dtype=torch.uint8)
        found = torch.cat((multiply(a, b), _sigmoid(a, b, torch.full((8,), -2.0))))
    except (AttributeError, RuntimeError):  # the operator is PyTorch's own and not documented
        return False
    return torch.allclose(found, torch.cat((a @ b, (a @ b - 2).sigmoid())), atol=1e-5)


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """Multiply (m, k) and (k, n), both float32 or both bfloat16, summed in float32."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(a, b.T, None, "none", [], "")
    return product


def _sigmoid(a: Tensor, b: Tensor, bias: Tensor) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(a, b.T, bias, "sigmoid", [], "")
    return product


class Tiles:
    """Class rows, a tile of unit rows at a time.

    `weight` (C, D) float32 are the rows, not normalised; `measure` returns 1/‖w‖ (n,) of a slice of them;
    `dtype` is that of the products, float32 or bfloat16. What stays for the way back is in `room`.
    """

    def __init__(
        self,
        weight: Tensor,
        measure: Callable[[slice], Tensor],
        chunk: int,
        dtype: torch.dtype,
        room: Room | None = None,
    ) -> None:
        self.weight = weight
        self.measure = measure
        self.dtype = dtype
        self.kept: list[tuple[Tensor, Tensor]] = []
        """The terms of each tile, and the bias that they were made with; [] where they are too many."""
        self._chunk = chunk
        self._room = room or Room()
        self._unit = weight.new_empty(min(chunk, len(weight)), weight.shape[1])
        self._half = torch.empty_like(self._unit, dtype=dtype) if dtype == torch.bfloat16 else None

    def place(self, images: int) -> Tensor | None:
        """Return where the terms (C, B) of so many `images` may stay; None if they are too many."""
        count = len(self.weight) * images
        if count * self.dtype.itemsize > _KEPT:
            return None
        # always as large as float32's: a head that changes its precision goes on with the same memory
        room = self._room.like(self.weight.new_empty(1).expand(count))
        return room.view(self.dtype)[:count].view(len(self.weight), images)

    def pick(self, images: Tensor) -> None:
        """Leave of the kept terms those of some `images` (m,) int64 alone."""
        picked = {id(bias): bias[images] for _, bias in self.kept}
        self.kept = [(terms[:, images], picked[id(bias)]) for terms, bias in self.kept]

    def __iter__(self) -> Iterator[tuple[slice, Tensor]]:
        for start in range(0, len(self.weight), self._chunk):
            part = slice(start, min(start + self._chunk, len(self.weight)))
            unit = self._unit[: part.stop - start]
            torch.mul(self.weight[part], self.measure(part)[:, None], out=unit)
            # scaled in float32 and rounded then: one operation for both would go number by number
            yield part, unit if self._half is None else self._half[: len(unit)].copy_(unit)


def rivals(left: Tensor, tiles: Tiles, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Log-sum and maximum of the logits over the classes that are not the image's target, (B,) each.

    `left` (B, D) float32 are the features, whose products with unit rows are logits; `targets` (B,) int64 are
    rows, -1 where the target is elsewhere. -inf where there is no other class.
    """
    x = left.to(tiles.dtype).T
    shift = -_DEEP - _bias(-left.norm(dim=1), tiles.dtype).float()
    total, highest = left.new_zeros(2, len(left))
    bias = _bias(shift, tiles.dtype)
    place, tiles.kept = tiles.place(len(left)), []
    for part, unit in tiles:
        terms = _mask(_sigmoid(unit, x, bias), targets, part, 0.0)
        top = terms.amax(0).float()
        # The host looks at every tile, which costs less than the exact terms of all: a logit so much higher
        # than those of the first tile is rare.
        if part.start == 0 or not bool((top < math.exp(_NEARLY)).all()):
            logits = _mask(multiply(unit, x), targets, part, -math.inf).amax(0).float()
            raised = -_DEEP - _bias(torch.maximum(shift, logits + _ROOM), tiles.dtype).float()
            total, highest = torch.stack((total, highest)).mul_((shift - raised).exp())
            shift, bias = raised, _bias(raised, tiles.dtype)
            terms = _mask(_sigmoid(unit, x, bias), targets, part, 0.0)
            top = terms.amax(0).float()
        total += terms.sum(0, dtype=torch.float32)
        highest = torch.maximum(highest, top)
        if place is not None:
            # a copy out of the cache: fresh memory for each tile would cost the system ten times that
            tiles.kept.append((place[part].copy_(terms), bias))
    shift = shift + _DEEP
    return total.log() + shift, highest.log() + shift


def gradients(
    left: Tensor, tiles: Tiles, targets: Tensor, lse: Tensor, grad: Tensor, rows: RowGradients
) -> Tensor:
    """Gradient (B, D) of Σ grad · lse by `left`, while that by the class rows goes to `rows`.

    `lse` (B,) is the log-sum over all ranks, `grad` (B,) the loss's derivative by it; the rest is as `rivals`
    had it. The gradient of the rows is through the Jacobian of w/‖w‖.
    """
    x, lse = left.to(tiles.dtype).T, lse.clamp_min(_LOWEST)
    kept, tiles.kept = tiles.kept, []
    own = _bias(lse, tiles.dtype)
    bias: Tensor | None = None
    by_left, summed = torch.zeros_like(left), torch.zeros_like(left)
    factor = scaled = left
    for number, (part, unit) in enumerate(tiles):
        # exp(z + bias) is a share of the softmax but for a factor an image, which also has what the bias lost
        # when it was rounded: on features and sums of B rows it costs nothing
        made_with = kept[number][1] if kept else own
        if made_with is not bias:
            by_left.addcmul_(summed, factor)
            summed.zero_()
            bias = made_with
            factor = torch.where(lse > _LOWEST, grad * (-lse - bias.float()).exp(), 0.0)[:, None]
            scaled = (left * factor).to(tiles.dtype)
        shares = kept[number][0] if kept else _mask(_sigmoid(unit, x, own), targets, part, 0.0)
        summed += multiply(shares.T, unit)
        if not rows.needed:
            continue
        inverse, weight = tiles.measure(part)[:, None], tiles.weight[part]
        # with the part along w yet; Σ p·c of a class is that part, which needs no logits
        whole = multiply(shares.mul_(inverse), scaled).float()
        along = torch.linalg.vecdot(whole, weight)[:, None].mul_(inverse.square())
        torch.addcmul(whole, weight, along, value=-1, out=rows.room(part))
        rows.done(part)
    return by_left.addcmul_(summed, factor)


def _bias(shift: Tensor, dtype: torch.dtype) -> Tensor:
    """The bias (B,) that puts logits so far below `shift` that a sigmoid is an exponential."""
    return (-shift - _DEEP).to(dtype)


def _mask(tile: Tensor, targets: Tensor, part: slice, value: float) -> Tensor:
    """Put `value` where a row of the tile (n, B) is the image's target; in place."""
    inside = (targets >= part.start) & (targets < part.stop)
    if bool(inside.any()):
        tile[targets[inside] - part.start, inside.nonzero()[:, 0]] = value
    return tile

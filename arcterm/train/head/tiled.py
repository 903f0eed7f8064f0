"""A loss over all classes in tiles of the class weights, without the logits in memory.

A pass forms one tile of cosines c = x̂·Ŵᵀ at a time, (B, n) for n classes, and keeps only sums over it. The
backward pass forms each tile once more, turns it into the gradient P of the loss by c, and is done with it:

    dx̂ += (P/‖w‖)·W        dW = (P/‖w‖)ᵀ·x̂ - W·Σ_b(P∘c)/‖w‖²

The second term is the normalisation's; Σ_b(P∘c) costs a pass over the tile, not over the weights. So the
memory beyond the weights' gradient is a few tiles, whatever the number of classes. The target's own column
is left out of the tiles: its cosine is made apart, in float32 even where the tiles are bfloat16.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from arcterm_registry.contracts import Margin
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from arcterm.train.head import collectives, fused, onednn, products
from arcterm.train.head.chunk import chunk_for
from arcterm.train.head.filtering import heaviest
from arcterm.train.head.rowgradients import Collected, Dropped, Room, RowGradients, Updated
from arcterm.train.head.rowupdate import RowUpdate
from arcterm.train.world import World

LINEAR = 50.0  # where softplus(x) is x to the last bit of a float64; torch's own 20 is 2e-9 off
EPS = 1e-10  # inside the root, as MXNet's L2Normalization has it
_ABSENT = -1e30  # a logit that takes no part; finite, so that no infinity meets another
_ROWS = 16  # images by which a filtered batch grows


class Stream:
    """One step on one rank: the whole batch's features against this rank's class weights.

    `unit` (B, D) are the features, `weight` (C, D) or (C, K, D) the raw weights, `bias` (C,) or None;
    `local` (B,) int64 is the row of the target's class where `mine` (B,) bool, anything inside elsewhere.
    `factor` (B,), set by `streamed`, multiplies c. `dtype` is that of the products; tiles are float32 or
    wider. Other classes' cosines above `limit` count as 0 (the inter-class filter of Partial FC). With
    `update` the way back updates the rows, unless `bad` (0-d) is 1, and they get no gradient; else it takes
    its memory from `room`. What stays from the way there is in `terms`. `filtered`: in bfloat16 the way back
    leaves out what `heaviest` does.
    """

    def __init__(
        self,
        margin: Margin,
        world: World,
        unit: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        local: Tensor,
        mine: Tensor,
        *,
        dtype: torch.dtype,
        limit: float | None = None,
        update: RowUpdate | None = None,
        room: Room | None = None,
        terms: Room | None = None,
        filtered: bool = False,
        chunk: int = 0,
    ) -> None:
        self.margin = margin
        self.world = world
        self.local = local
        self.mine = mine
        self.bias = bias
        self.limit = limit
        self.update = update
        self.room = room
        self._terms = terms
        self.bad = unit.new_zeros(())
        self.classes = len(weight)
        self.centers = weight[0].numel() // weight.shape[-1] if weight.ndim == 3 else 1
        self.flat = weight.detach().reshape(-1, weight.shape[-1])
        self.unit = unit.detach()
        self.plain = is_plain(margin, limit)
        self.factor = unit.new_ones(len(unit))
        self._normalized = margin.normalized_weights
        self._inverse = self.flat.new_ones(len(self.flat)) if self._normalized else None
        self._measured = 0
        self._dtype = dtype if dtype == torch.bfloat16 else self.flat.dtype
        self._filtered = filtered and self._dtype == torch.bfloat16
        self._chunk = chunk or chunk_for(len(unit), self.centers, unit.device)
        simple = is_simple(margin, limit) and self.flat.dtype == torch.float32
        # the kernels live on units that multiply bfloat16
        self._fused = simple and dtype == torch.bfloat16 and products.has_kernels(unit.device)
        self._onednn = simple and not self._fused and products.has_products(unit.device, self._dtype)

    @functools.cached_property
    def _buffers(self) -> tuple[Tensor, Tensor]:
        # one for the whole step: the system would take back a buffer that is made for each tile
        room = len(self.unit) * min(self._chunk, self.classes) * self.centers
        return self.unit.new_empty(room), self.unit.new_empty(room)

    def parts(self) -> Iterator[slice]:
        """Yield the classes of each tile."""
        for start in range(0, self.classes, self._chunk):
            yield slice(start, min(start + self._chunk, self.classes))

    def targets(self) -> tuple[Tensor, Tensor]:
        """Compute c of the targets and their cosines, (B,) each, the same on every rank."""
        rows = self.flat.view(self.classes, self.centers, -1)[self.local]
        norm = rows.square().sum(2).add(EPS).sqrt()
        products = torch.einsum("bd,bkd->bk", self.unit, rows)
        if self._normalized:
            products = products / norm
        t, self.winner = products.max(1)
        own = t + self.bias.detach()[self.local] if self.bias is not None else t
        at = norm.gather(1, self.winner[:, None])[:, 0]
        cosine = t if self._normalized else t / at
        if not self.margin.normalized_features and not self._normalized:
            cosine = cosine / self.unit.square().sum(1).add(EPS).sqrt()
        self.at = at
        # one rank has an image's class and all others add 0: a broadcast whose source the label decides
        both = self.world.sum(torch.where(self.mine, torch.stack((own, cosine)), 0.0))
        return both[0], both[1]

    def survey(self, t: Tensor) -> tuple[Tensor, ...]:
        """Sum the loss's `survey` over all other classes of all ranks, (B,) each."""
        if not overrides(self.margin, "survey"):
            return ()
        sums: list[Tensor] = []
        for part in self.parts():
            c = self._c(part)[0]
            found = [self._mask(x.clone(), part, 0.0).sum(1) for x in self.margin.survey(c, t[:, None])]
            sums = [a + b for a, b in zip(sums, found, strict=True)] if sums else found
        # stacked: one collective, whose cost is its start and not its few numbers
        return tuple(self.world.sum(torch.stack(sums)).unbind())

    def reduce(self, left: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Reduce all ranks' other classes to log Σ exp z, or Σ log(1 + exp z), and to the largest c, (B,)."""
        if self._fused:
            total, highest = self._forward_fused(left)
        elif self._onednn:
            self._tiles = onednn.Tiles(self.flat, self._measure, self._chunk, self._dtype, self._terms)
            total, highest = onednn.rivals(left, self._tiles, self._rows_or_none())
            total, highest = total.clamp_min(_ABSENT), highest.clamp_min(_ABSENT) / self.factor
        elif self.plain:
            total, highest = self._forward_plain(left)
        else:
            total, highest = self._forward_mapped(t)
        if self.world.size == 1:
            return total, highest
        # Exchanged and not summed: exp of a log-sum may overflow. Each rank adds up those of its own images
        # and all get its result, so they have the same bits, without which replicated parameters would
        # drift apart. If each added up all of them, what is sent would grow with the square of the ranks.
        sums, largest = self.world.exchange(torch.stack((total, highest), 1)).unbind(2)
        whole = sums.sum(0) if self.margin.reduction == "sum" else sums.logsumexp(0)
        both = self.world.gather(torch.stack((whole, largest.amax(0)), 1))
        return both[:, 0].contiguous(), both[:, 1].contiguous()

    def rows(self, grad: Tensor, *, needed: bool) -> RowGradients:
        """Decide where the rows' gradient goes, if it is `needed`; `grad` (B,) is that of the log-sums."""
        if not needed:
            return Dropped()
        if self.update is None:
            return Collected(self.flat, self.room)
        # decided on the device, and alike on all ranks: they have the same loss and the same log-sums
        self.update.begin(torch.maximum(self.bad, 1 - grad.isfinite().all().to(self.bad.dtype)))
        return Updated(self.flat, self.update, self.local * self.centers + self.winner)

    def gradients(
        self, left: Tensor, t: Tensor, whole: Tensor, grad: Tensor, grad_t: Tensor, rows: RowGradients
    ) -> _Gradients:
        """Compute the gradients by left, unit, factor, weight, bias and the loss's parameters."""
        own = self.flat[self.local * self.centers + self.winner]
        found = _Gradients(self, rows)
        if self._fused:
            found.left = self._backward_fused(left, whole, grad, found.rows)
        elif self._onednn:
            found.left = self._backward_onednn(left, whole, grad, found.rows)
        # a tile's share of the whole batch's softmax is exp(z - whole): with the sum over all ranks saved
        # from the forward pass, no rank has to ask another for it
        elif self.plain:
            self._backward_plain(left, whole, grad, found)
        else:
            self._backward_mapped(t, whole, grad, found)
            grad_t = grad_t + found.t
        self._add_targets(grad_t, t, own, found)
        return found

    def _norms(self) -> Tensor:
        """1/‖w‖ of all rows (R,)."""
        # in one launch: a GPU has no cache that a tile's rows would still be in
        return self._measure(slice(0, len(self.flat)))

    def _measure(self, rows: slice) -> Tensor:
        """1/‖w‖ of `rows`, (n,)."""
        assert self._inverse is not None
        if rows.start >= self._measured:
            # at the first visit of a tile, whose rows are in the cache then; later passes reuse it
            norm = torch.linalg.vector_norm(self.flat[rows], dim=1)
            torch.rsqrt(norm.square_().add_(EPS), out=self._inverse[rows])
            self._measured = rows.stop
        return self._inverse[rows]

    def _tile(self, left: Tensor, part: slice) -> tuple[Tensor, Tensor | None]:
        """Compute `left`·Ŵ of the classes of `part`, (B, n), and which of several centres was the largest."""
        rows = slice(part.start * self.centers, part.stop * self.centers)
        weight = self.flat[rows]
        tile = self._buffers[0][: len(left) * len(weight)].view(len(left), len(weight))
        tile.copy_(products.multiply(left, weight.T, self._dtype))
        if self._inverse is not None:
            tile.mul_(self._measure(rows))
        if self.centers == 1:
            return tile, None
        nearest, winner = tile.view(len(tile), -1, self.centers).max(2)
        return nearest, winner

    def _c(self, part: slice) -> tuple[Tensor, Tensor, Tensor | None]:
        """Compute c of the classes of `part` with and without their bias, and which centre it is."""
        product, winner = self._tile(self.unit, part)
        c = product if self.bias is None else product + self.bias.detach()[part]
        return c, product, winner

    def _mask(self, tile: Tensor, part: slice, value: float) -> Tensor:
        """Put `value` where a column is its row's target; in place, without waiting for the device."""
        column = self.local - part.start
        inside = self.mine & (column >= 0) & (column < tile.shape[1])
        column = column.clamp(0, tile.shape[1] - 1)[:, None]
        return tile.scatter_(1, column, torch.where(inside[:, None], value, tile.gather(1, column)))

    def _forward_plain(self, left: Tensor) -> tuple[Tensor, Tensor]:
        top = left.new_full((len(left),), _ABSENT)
        total = left.new_zeros(len(left))
        for part in self.parts():
            z = self._mask(self._tile(left, part)[0], part, _ABSENT)
            # the sum is kept relative to the largest logit so far, and scaled down when a larger one comes
            rising = torch.maximum(top, z.amax(1))
            total.mul_((top - rising).exp_()).add_(z.sub_(rising[:, None]).exp_().sum(1))
            top = rising
        return top + total.log(), top / self.factor

    def _forward_fused(self, left: Tensor) -> tuple[Tensor, Tensor]:
        inverse = self._norms()
        lse, top = fused.rivals(left, self.flat, inverse, self._rows_or_none(), left.new_ones(()))
        # the kernels' comparisons may pass over a row that is no number: its norm makes the loss none
        sound = inverse.reciprocal().sum() * 0
        return lse.clamp_min(_ABSENT) + sound, top.clamp_min(_ABSENT) / self.factor

    def _backward_fused(self, left: Tensor, whole: Tensor, grad: Tensor, rows: RowGradients) -> Tensor:
        inverse, one, targets = self._norms(), left.new_ones(()), self._rows_or_none()
        if not self._filtered:
            return fused.gradients(left, self.flat, inverse, targets, one, whole, grad, rows)
        # sorted and not picked out: how many count, the host need not know
        order, kept = heaviest(grad)
        found = fused.gradients(
            *(left[order], self.flat, inverse, targets[order], one, whole[order], grad[order], rows),
            kept=kept.int(),
        )
        return torch.empty_like(found).index_copy_(0, order, found)

    def _backward_onednn(self, left: Tensor, whole: Tensor, grad: Tensor, rows: RowGradients) -> Tensor:
        targets = self._rows_or_none()
        if not self._filtered:
            return onednn.gradients(left, self._tiles, targets, whole, grad, rows)
        order, kept = heaviest(grad)
        # a few sizes of products alone: oneDNN compiles code for each
        count = min(len(order), -(-int(kept) // _ROWS) * _ROWS)
        index = order[:count].sort().values  # in their order: where all count, nothing is summed differently
        if count < len(order):
            self._tiles.pick(index)
        found = onednn.gradients(left[index], self._tiles, targets[index], whole[index], grad[index], rows)
        return torch.zeros_like(left).index_copy_(0, index, found)

    def _forward_mapped(self, t: Tensor) -> tuple[Tensor, Tensor]:
        summed = self.margin.reduction == "sum"
        total = torch.full_like(t, 0.0 if summed else _ABSENT)
        highest = torch.full_like(t, _ABSENT)
        for part in self.parts():
            c = self._c(part)[0]
            z = self._mask(self.factor[:, None] * self._map(c, t), part, _ABSENT)
            # a sum of losses adds up as it is; a sum of exponentials only as its logarithm stays in range
            if summed:
                total += F.softplus(z, threshold=LINEAR).sum(1)
            else:
                total = torch.logaddexp(total, z.logsumexp(1))
            highest = torch.maximum(highest, self._mask(c, part, _ABSENT).amax(1))
        return total, highest

    def _backward_plain(self, left: Tensor, whole: Tensor, grad: Tensor, found: _Gradients) -> None:
        found.left = torch.zeros_like(left)
        for part in self.parts():
            z, winner = self._tile(left, part)
            # p beside z, then p∘z over z: a third buffer would push the tile out of the cache
            p = self._buffers[1][: z.numel()].view(z.shape)
            p = self._mask(torch.sub(z, whole[:, None], out=p).exp_(), part, 0.0).mul_(grad[:, None])
            self._pull(left, part, p, z.mul_(p), winner, found.left, found)

    def _backward_mapped(self, t: Tensor, whole: Tensor, grad: Tensor, found: _Gradients) -> None:
        learned = [p for p in parameters(self.margin) if p.requires_grad]
        found.learned = [torch.zeros_like(p) for p in learned]
        factor = self.factor[:, None]
        for part in self.parts():
            c, product, winner = self._c(part)
            # autograd differentiates the loss's own map a tile at a time: its graph is no larger than that
            with torch.enable_grad():
                c = c.detach().requires_grad_()
                at = t.detach().requires_grad_()
                mapped = self._map(c, at)
            y = mapped.detach()
            z = factor * y
            # the loss's slope in z: of log(1 + exp z) the sigmoid, of the log-sum a share of the softmax
            p = z.sigmoid() if self.margin.reduction == "sum" else (z - whole[:, None]).exp_()
            p = self._mask(p, part, 0.0).mul_(grad[:, None])
            found.factor += (p * y).sum(1)
            pulled = torch.autograd.grad(mapped, [c, at, *learned], p * factor, allow_unused=True)
            by_c = pulled[0] if pulled[0] is not None else torch.zeros_like(y)
            if pulled[1] is not None:
                found.t += pulled[1]
            for total, more in zip(found.learned, pulled[2:], strict=True):
                if more is not None:
                    total.add_(more)
            self._pull(self.unit, part, by_c, by_c * product, winner, found.unit, found)
        # All ranks have t, the factor and what the loss learns, and each has seen its own classes' part of
        # their gradients. The order of these sums is that of every rank.
        self.world.sum(found.t)
        self.world.sum(found.factor)
        for total in found.learned:
            self.world.sum(total)

    def _map(self, c: Tensor, t: Tensor) -> Tensor:
        mapped = self.margin.negatives(c, t[:, None])
        return mapped if self.limit is None else torch.where(c > self.limit, 0.0, mapped)

    def _pull(
        self,
        left: Tensor,
        part: slice,
        p: Tensor,
        p_c: Tensor,
        winner: Tensor | None,
        into: Tensor,
        found: _Gradients,
    ) -> None:
        """Add a tile's gradient `p` (B, n), and `p_c` = p∘c, to those of features and weights."""
        rows = slice(part.start * self.centers, part.stop * self.centers)
        weight = self.flat[rows]
        if found.bias is not None:
            found.bias[part] = p.sum(0)
        if winner is not None:
            # of several centres only the nearest was c, so only its row learns
            spread = p.new_zeros(len(p), p.shape[1], self.centers)
            p_c = spread.scatter(2, winner[..., None], p_c[..., None]).flatten(1)
            p = spread.scatter_(2, winner[..., None], p[..., None]).flatten(1)
        if self._inverse is not None:
            inverse = self._inverse[rows]
            p = p.mul_(inverse)
        into += products.multiply(p, weight, self._dtype)
        if not found.rows.needed:
            return
        out = found.rows.room(rows).copy_(products.multiply(p.T, left, self._dtype))
        if self._inverse is not None:
            # ∂c/∂w = (x̂ - c·ŵ)/‖w‖: the part along w needs Σ p·c of a class alone, not another product
            out.addcmul_(weight, inverse.square().mul_(p_c.sum(0))[:, None], value=-1)
        found.rows.done(rows)

    def _add_targets(self, grad_t: Tensor, t: Tensor, weight: Tensor, found: _Gradients) -> None:
        """Add the gradient of the targets' own c, by their rows `weight` (B, D) as the step began with them.

        Rows of one class are summed first, in a fixed order.
        """
        grad = torch.where(self.mine, grad_t, 0.0)
        rows = self.local * self.centers + self.winner
        # a product with who-shares-a-row: atomic additions would come in another order in every run
        same = (rows[:, None] == rows).to(grad.dtype)
        if self._normalized:
            scaled = grad / self.at
            found.unit += scaled[:, None] * weight
            own = t if self.bias is None else t - self.bias.detach()[self.local]
            c = torch.where(self.mine, own, 0.0)
            by_weight = scaled[:, None] * self.unit - (scaled / self.at * c)[:, None] * weight
        else:
            found.unit += grad[:, None] * weight
            by_weight = grad[:, None] * self.unit
        if found.rows.needed:
            found.rows.add(rows, same @ by_weight)
        if found.bias is not None:
            together = (self.local[:, None] == self.local).to(grad.dtype)
            found.bias.index_copy_(0, self.local, found.bias[self.local] + together @ grad)

    def _rows_or_none(self) -> Tensor:
        return torch.where(self.mine, self.local, -1)


class _Gradients:
    """The gradients of one step, added up tile by tile; those of class rows go to `rows`."""

    def __init__(self, stream: Stream, rows: RowGradients) -> None:
        self.unit = torch.zeros_like(stream.unit)
        self.left: Tensor | None = None
        self.factor = torch.zeros_like(stream.factor)
        self.rows = rows
        self.bias = None if stream.bias is None else torch.empty_like(stream.bias)
        self.t = torch.zeros_like(stream.factor)
        self.learned: list[Tensor] = []


class _Streamed(torch.autograd.Function):
    """(total, highest c, t) of a `Stream`, differentiable in features, weights and what the loss learns."""

    @staticmethod
    def forward(
        ctx: Any,
        stream: Stream,
        unit: Tensor,
        left: Tensor,
        factor: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        t: Tensor,
        *learned: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        total, highest = stream.reduce(left, t)
        ctx.stream, ctx.shape = stream, weight.shape
        ctx.save_for_backward(left, t, total)
        ctx.mark_non_differentiable(highest)
        return total, highest, t.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        left, t, total = ctx.saved_tensors
        rows = ctx.stream.rows(grads[0], needed=ctx.needs_input_grad[4])
        found = ctx.stream.gradients(left, t, total, grads[0], grads[2], rows)
        learned = found.learned or [None] * (len(ctx.needs_input_grad) - 7)
        weight = rows.weight.view(ctx.shape) if isinstance(rows, Collected) else None
        del rows, found.rows  # else autograd would copy what it could keep
        return None, found.unit, found.left, found.factor, weight, found.bias, None, *learned


def streamed(
    stream: Stream, unit: Tensor, factor: Tensor, weight: Tensor, bias: Tensor | None, t: Tensor
) -> Any:
    """Return total over the other classes, the largest other c, and t, (B,) each, under autograd.

    `factor` (B,) takes part in autograd too; its gradient is the whole one on every rank.
    """
    stream.factor = factor.detach()
    learned = [p for p in parameters(stream.margin) if p.requires_grad]
    # A plain loss has factor · c = (factor · x̂)·Ŵ: once on the features and not on every tile, and autograd
    # takes the gradient of the factor from theirs.
    left = unit * collectives.spread(factor, stream.world)[:, None] if stream.plain else unit.detach()
    return _Streamed.apply(stream, unit, left, factor, weight, bias, t, *learned)


def is_plain(margin: Margin, limit: float | None) -> bool:
    """Whether a loss takes the log-sum of other classes' c as they are, times the image's factor."""
    mapped = overrides(margin, "negatives") or limit is not None or margin.bias
    return margin.reduction == "logsumexp" and not mapped


def is_simple(margin: Margin, limit: float | None) -> bool:
    """Whether the rivals can be summed in one go: of unit rows, one a class."""
    return is_plain(margin, limit) and margin.normalized_weights and margin.centers == 1


def overrides(margin: Margin, method: str) -> bool:
    """Whether a loss overrides `method` of `Margin`."""
    return getattr(type(margin), method) is not getattr(Margin, method)


def parameters(margin: Margin) -> list[nn.Parameter]:
    """The parameters of the loss, the same on every rank."""
    return list(margin.parameters()) if isinstance(margin, nn.Module) else []

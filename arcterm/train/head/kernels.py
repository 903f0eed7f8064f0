"""The Triton kernels of the fused head. Importing this module imports triton: only `fused` does, when asked.

One kernel goes forward and three go backward. Every sum runs in one program from its first term to its last,
or is left in parts for torch to add up, so no result hangs on the order in which programs finish.

`PRECISE` keeps the operands of the products float32; otherwise they are rounded to bfloat16. Accumulators are
float32 either way.
"""

from __future__ import annotations

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)
INTERPRETED = tl.constexpr(bool(triton.knobs.runtime.interpret))


@triton.jit
def _operand(x: tl.tensor, PRECISE: tl.constexpr) -> tl.tensor:
    if PRECISE:
        x = x.to(tl.float32)
    else:
        x = x.to(tl.bfloat16)
        # The interpreter multiplies the bit patterns of bfloat16. In float32 the rounded values give the same
        # products, which is what a tensor core adds up.
        if INTERPRETED:
            x = x.to(tl.float32)
    return x


@triton.jit
def _dots(
    unit: tl.tensor,
    weight: tl.tensor,
    rows: tl.tensor,
    classes: tl.tensor,
    B: tl.tensor,
    C: tl.tensor,
    D: tl.tensor,
    BK: tl.constexpr,
    PRECISE: tl.constexpr,
) -> tl.tensor:
    """Products (rows, classes) float32 of features and weights; 0 outside of the matrix."""
    k = tl.arange(0, BK)
    unit_rows = unit + rows[:, None] * D
    weight_rows = weight + classes.to(tl.int64)[None, :] * D
    dots = tl.zeros((rows.shape[0], classes.shape[0]), dtype=tl.float32)
    for start in range(0, D, BK):
        dims = start + k
        x = tl.load(unit_rows + dims[None, :], mask=(rows < B)[:, None] & (dims < D)[None, :], other=0.0)
        w = tl.load(weight_rows + dims[:, None], mask=(classes < C)[None, :] & (dims < D)[:, None], other=0.0)
        dots = tl.dot(_operand(x, PRECISE), _operand(w, PRECISE), dots, input_precision="ieee")
    return dots


@triton.jit
def scan(
    unit: tl.tensor,
    weight: tl.tensor,
    inverse: tl.tensor,
    targets: tl.tensor,
    scale: tl.tensor,
    highest: tl.tensor,
    lse: tl.tensor,
    B: tl.tensor,
    C: tl.tensor,
    D: tl.tensor,
    tiles: tl.tensor,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
    PRECISE: tl.constexpr,
) -> None:
    """`highest` and `lse` (splits, B), base 2, of the logits of one row block and `tiles` class tiles."""
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    first = tl.program_id(1) * tiles
    target = tl.load(targets + rows, mask=rows < B, other=-1).to(tl.int32)
    base2 = tl.load(scale) * LOG2E
    top = tl.full((BM,), float("-inf"), dtype=tl.float32)
    total = tl.zeros((BM,), dtype=tl.float32)
    for tile in range(first, min(first + tiles, tl.cdiv(C, BN))):
        classes = tile * BN + tl.arange(0, BN)
        dots = _dots(unit, weight, rows, classes, B, C, D, BK, PRECISE)
        # One multiply-add an element scales it and removes what lies beyond the last class.
        factor = tl.load(inverse + classes, mask=classes < C, other=0.0) * base2
        absent = tl.where(classes < C, 0.0, float("-inf"))
        logits = dots * factor[None, :] + absent[None, :]
        logits = tl.where(target[:, None] != classes[None, :], logits, float("-inf"))
        higher = tl.maximum(top, tl.max(logits, 1))
        # A row may have no rival so far: −inf − (−inf) would be NaN, −inf − 0 is not.
        shift = tl.where(higher == float("-inf"), 0.0, higher)
        total = total * tl.exp2(top - shift) + tl.sum(tl.exp2(logits - shift[:, None]), 1)
        top = higher
    out = tl.program_id(1).to(tl.int64) * B + rows
    tl.store(highest + out, top, mask=rows < B)
    # The highest rival alone makes the total 1, so the maximum changes only what is −inf through `top`.
    tl.store(lse + out, top + tl.log2(tl.maximum(total, 1.0)), mask=rows < B)


@triton.jit
def weigh(
    unit: tl.tensor,
    weight: tl.tensor,
    inverse: tl.tensor,
    targets: tl.tensor,
    scale: tl.tensor,
    lse: tl.tensor,
    grad: tl.tensor,
    shares: tl.tensor,
    moments: tl.tensor,
    kept: tl.tensor,
    offset: tl.tensor,
    stride: tl.tensor,
    C: tl.tensor,
    D: tl.tensor,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
    PRECISE: tl.constexpr,
) -> None:
    """One tile of `shares` (B, stride), q = p · inverse; and of `moments` (row blocks, stride), Σ q · cosine.

    The inverse norm belongs to both gradients, so it is put into the share once. Only the first `kept` rows
    take part: what lies behind them is neither written here nor read by the next two kernels.
    """
    B = tl.load(kept)
    if tl.program_id(0) * BM >= B:
        return
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    classes = tl.program_id(1) * BN + tl.arange(0, BN)
    row, column = rows < B, classes < C
    target = tl.load(targets + rows, mask=row, other=-1).to(tl.int32) - offset
    whole = tl.load(lse + rows, mask=row, other=0.0) * LOG2E
    # An image without rivals has a log-sum of −inf, and no share of it: exp2(x − inf) is 0.
    whole = tl.where(whole == float("-inf"), float("inf"), whole)
    norms = tl.load(inverse + classes, mask=column, other=0.0)
    factor = tl.load(scale)
    steepness = tl.load(grad + rows, mask=row, other=0.0) * factor
    dots = _dots(unit, weight, rows, classes, B, C, D, BK, PRECISE)
    exponent = dots * (norms * (factor * LOG2E))[None, :] - whole[:, None]
    exponent = tl.where(target[:, None] != classes[None, :], exponent, float("-inf"))
    share = tl.exp2(exponent) * steepness[:, None]
    moment = tl.sum(share * dots, 0) * norms * norms
    tl.store(moments + tl.program_id(0) * stride + classes, moment, mask=column)
    share = (share * norms[None, :]).to(shares.dtype.element_ty)
    at = rows[:, None] * stride + classes[None, :]
    tl.store(shares + at, share, mask=row[:, None] & column[None, :])


@triton.jit
def class_gradient(
    unit: tl.tensor,
    weight: tl.tensor,
    inverse: tl.tensor,
    shares: tl.tensor,
    moments: tl.tensor,
    dweight: tl.tensor,
    kept: tl.tensor,
    stride: tl.tensor,
    C: tl.tensor,
    D: tl.tensor,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
    PRECISE: tl.constexpr,
) -> None:
    """`dweight` (C, D), one tile of (BM classes, BN dims) over the rows, through the Jacobian of w/‖w‖."""
    B = tl.load(kept)
    dims = tl.program_id(0) * BN + tl.arange(0, BN)
    classes = tl.program_id(1) * BM + tl.arange(0, BM)
    column, dim = classes < C, dims < D
    k = tl.arange(0, BK)
    total = tl.zeros((BM, BN), dtype=tl.float32)
    for start in range(0, B, BK):
        rows = start + k
        at = rows.to(tl.int64)
        q = tl.load(
            shares + at[None, :] * stride + classes[:, None], column[:, None] & (rows < B)[None, :], 0.0
        )
        x = tl.load(unit + at[:, None] * D + dims[None, :], (rows < B)[:, None] & dim[None, :], 0.0)
        total = tl.dot(_operand(q, PRECISE), _operand(x, PRECISE), total, input_precision="ieee")
    moment = tl.zeros((BM,), dtype=tl.float32)
    for block in range(0, tl.cdiv(B, BM)):  # `weigh` has row blocks of this size
        moment += tl.load(moments + block * stride + classes, mask=column, other=0.0)
    moment *= tl.load(inverse + classes, mask=column, other=0.0)
    skipped = tl.program_id(1).to(tl.int64) * BM * D
    at = tl.arange(0, BM)[:, None] * D + dims[None, :]
    inside = column[:, None] & dim[None, :]
    w = tl.load(weight + skipped + at, mask=inside, other=0.0).to(tl.float32)
    tl.store(dweight + skipped + at, total - moment[:, None] * w, mask=inside)


@triton.jit
def unit_gradient(
    weight: tl.tensor,
    shares: tl.tensor,
    parts: tl.tensor,
    kept: tl.tensor,
    stride: tl.tensor,
    B: tl.tensor,
    C: tl.tensor,
    D: tl.tensor,
    span: tl.tensor,
    BM: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
    PRECISE: tl.constexpr,
) -> None:
    """Add to `parts` (splits, B, D) one tile of (BM rows, BN dims) over the split's `span` classes."""
    if tl.program_id(1) * BM >= tl.load(kept):
        return
    dims = tl.program_id(0) * BN + tl.arange(0, BN)
    rows = tl.program_id(1) * BM + tl.arange(0, BM)
    first = tl.program_id(2) * span
    row, dim = rows < tl.load(kept), dims < D
    part = parts + tl.program_id(2).to(tl.int64) * B * D + rows[:, None] * D + dims[None, :]
    k = tl.arange(0, BK)
    total = tl.load(part, mask=row[:, None] & dim[None, :], other=0.0)
    for start in range(first, min(first + span, C), BK):
        classes = start + k
        column = classes < C
        q = tl.load(
            shares + rows[:, None] * stride + classes[None, :], mask=row[:, None] & column[None, :], other=0.0
        )
        at = classes.to(tl.int64)[:, None] * D + dims[None, :]
        w = tl.load(weight + at, mask=column[:, None] & dim[None, :], other=0.0)
        total = tl.dot(_operand(q, PRECISE), _operand(w, PRECISE), total, input_precision="ieee")
    tl.store(part, total, mask=row[:, None] & dim[None, :])

"""The seconds that ranks take to exchange bytes: within a host as measured, between hosts by their network.

Within a host a collective's time lies on the line through the two measured sizes around its own. It was
measured among some ranks of one host; among others it grows as a ring's volume does, by (n - 1) / n.

Between H hosts each host's network carries, of a tensor of b bytes, 2 b (H - 1) / H in each direction for an
all-reduce, and b (H - 1) / H for an all-gather or a reduce-scatter, which no algorithm can undercut
(Patarasuk and Yuan 2009, doi 10.1016/j.jpdc.2008.09.002), in an all-to-all for each of its ranks. A ring of
gloo's takes as many messages in a row as it has ranks, NCCL's trees the logarithm of the hosts' number; an
all-reduce takes twice as many.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from arcterm.launch.scaling.constants import Constants, Network
from arcterm.launch.scaling.layout import HostLayout

_FIRST_BUCKET, _BUCKET = 1 << 20, 25 << 20  # DDP's own sizes


def buckets(gradients: int) -> list[int]:
    """Bytes of each of the all-reduces in which DDP averages `gradients` bytes."""
    rest = max(0, gradients - _FIRST_BUCKET)
    sizes = [min(gradients, _FIRST_BUCKET), *[_BUCKET] * (rest // _BUCKET), rest % _BUCKET]
    return [size for size in sizes if size]


def seconds(constants: Constants, layout: HostLayout, device: str, operation: str, size: int) -> float | None:
    """Return the seconds of a collective of `size` bytes among all ranks; None if a constant is missing."""
    total = 0.0
    if layout.ranks > 1:
        points = constants.exchange.get(operation)
        if not points:
            return None
        total += _within(points, size, constants.exchange_ranks, layout.ranks)
    if layout.hosts > 1:
        if constants.network is None:
            return None
        total += _between(constants.network, layout, device, operation, size)
    return total


def _within(points: Sequence[tuple[int, float]], size: int, measured: int, ranks: int) -> float:
    """Interpolate between (bytes, seconds), beyond the last along the last line; never below the first."""
    (x0, y0), (x1, y1) = points[0], points[-1] if len(points) == 1 else points[1]
    for at in range(1, len(points)):
        (x0, y0), (x1, y1) = points[at - 1], points[at]
        if size <= x1:
            break
    slope = (y1 - y0) / (x1 - x0) if x1 > x0 else 0.0
    found = y0 + max(0.0, slope) * (size - x0) if size > points[0][0] else points[0][1]
    return max(points[0][1], found) * ((ranks - 1) / ranks) / ((measured - 1) / measured)


def _between(network: Network, layout: HostLayout, device: str, operation: str, size: int) -> float:
    twice = 2 if operation == "all_reduce" else 1
    tensors = layout.ranks if operation == "all_to_all" else 1  # each rank of a host has its own to send
    volume = twice * tensors * size * (layout.hosts - 1) / layout.hosts
    messages = math.ceil(math.log2(layout.hosts)) if device == "cuda" else layout.count - 1
    return volume / network.bytes_per_second + twice * messages * network.latency


def volume(layout: HostLayout, operation: str, size: int) -> int:
    """Bytes that a rank sends in a collective of `size` bytes among all ranks."""
    twice = 2 if operation == "all_reduce" else 1
    return round(twice * size * (layout.count - 1) / layout.count)

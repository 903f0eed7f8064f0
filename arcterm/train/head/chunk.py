"""How many classes a tile has, by the caches of the device."""

from __future__ import annotations

import functools
from typing import Any

import torch

_CPU_TILE = 1 << 17  # numbers in a tile: it and the weights under it stay in a core's cache
_CUDA_TILE = 1 << 24  # at most
_PASSED = 10  # bytes of a tile's number that go through a GPU's cache
_BLOCK = 128 * 256  # numbers that a processor of a GPU makes at a time in a product
_TILES = 6  # buffers of a tile's size that a pass has alive at once


@functools.cache
def chunk_for(batch: int, centers: int, device: torch.device) -> int:
    """How many classes a tile has: as many as fit a CPU's cache, or a GPU's, with enough work for all of it.

    A power of two and settled once, so that sums are taken in the same order in every step.
    """
    room = _CPU_TILE
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        room = min(_cuda_tile(torch.cuda.get_device_properties(device)), free // 8 // (4 * _TILES))
    wanted = min(1 << 16, max(512, room // (batch * centers)))
    return 1 << wanted.bit_length() - 1


def _cuda_tile(device: Any) -> int:
    """Numbers in a tile of cuBLAS's products on a `device`, by its properties as torch gives them.

    A tile goes through the L2 cache several times if it fits in there: logits and shares in float32 and the
    shares in bfloat16. But a tile of less than two waves of cuBLAS's blocks leaves processors idle, and its
    products end before the next ones are launched.
    """
    fits = device.L2_cache_size // _PASSED
    return int(min(_CUDA_TILE, max(fits, 2 * _BLOCK * device.multi_processor_count)))

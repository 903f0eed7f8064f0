"""The products of a tile: which there are on a device, and the one that goes everywhere."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from arcterm.train.head import fused, onednn


@functools.cache
def has_kernels(device: torch.device) -> bool:
    """Whether the head's own kernels run on `device`, tried once."""
    return fused.available(device) and not fused.failure(device)


def has_products(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether oneDNN multiplies such matrices: bfloat16 where there are instructions for it."""
    if dtype == torch.bfloat16 and not fast_bfloat16():
        return False
    return dtype != torch.float64 and onednn.available(device)


def multiply(a: Tensor, b: Tensor, dtype: torch.dtype) -> Tensor:
    """Multiply float32 or float64 matrices, in the precision `dtype` of the products."""
    if dtype == torch.bfloat16:
        return _multiply_bfloat16(a.bfloat16(), b.bfloat16())
    return onednn.multiply(a, b) if has_products(a.device, dtype) else torch.mm(a, b)


def _multiply_bfloat16(a: Tensor, b: Tensor) -> Tensor:
    """Multiply bfloat16 matrices, summed in float32; the result is float32 where the device can.

    A chip without instructions for bfloat16 multiplies the rounded numbers as float32: same precision, not
    the hundredfold time of emulation.
    """
    cuda = a.device.type == "cuda"
    if not (_multiplies_bfloat16(a.device) if cuda else fast_bfloat16()):
        return torch.mm(a.float(), b.float())
    return torch.mm(a, b, out_dtype=torch.float32) if cuda else torch.mm(a, b)


@functools.cache
def _multiplies_bfloat16(device: torch.device) -> bool:
    return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)


@functools.cache
def fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware."""
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())

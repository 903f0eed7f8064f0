"""Batches to the GPU on a stream of their own, so that a transfer costs the training no time."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Sent(NamedTuple):
    """A batch on its way: there once `arrived`; its host memory may be overwritten once `copied`."""

    images: Tensor
    labels: Tensor
    arrived: torch.cuda.Event
    copied: torch.cuda.Event


class Upload:
    """Sends from the thread that loads, and hands over to the stream that trains."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)

    def send(self, images: Tensor, labels: Tensor, mirrored: Tensor) -> Sent:
        """Start copying pinned memory, images (B, H, W, 3), and mirror there those of `mirrored` (B,)."""
        copied, arrived = torch.cuda.Event(), torch.cuda.Event()
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            there = [t.to(self._device, non_blocking=True) for t in (images, labels, mirrored)]
            copied.record(self._stream)
            turned = mirror(there[0], there[2])
            arrived.record(self._stream)
        return Sent(turned, there[1], arrived, copied)

    def receive(self, images: Tensor, labels: Tensor, arrived: torch.cuda.Event) -> None:
        """Make the current stream wait for a batch, and keep its memory until that stream is done with it."""
        stream = torch.cuda.current_stream(self._device)
        stream.wait_event(arrived)
        for tensor in (images, labels):
            tensor.record_stream(stream)


def mirror(images: Tensor, which: Tensor) -> Tensor:
    """Mirror the images (B, H, W, 3) of `which` (B,) bool along the width."""
    return torch.where(which[:, None, None, None], images.flip(2), images)

"""Embeddings of a verification set, shared out over the ranks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from arcterm_registry import Preprocess
from arcterm_registry.contracts import PairSet
from numpy.typing import NDArray
from torch import Tensor, nn

from arcterm.formats import images
from arcterm.runs.events import Verify, real
from arcterm.verify import protocol

if TYPE_CHECKING:
    from arcterm_registry.contracts import Image


class Ranks(Protocol):
    """The part of `train.world.World` that is needed here."""

    @property
    def rank(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def device(self) -> torch.device: ...
    def gather(self, tensor: Tensor) -> Tensor:
        """(n, …) of every rank as (size · n, …)."""


@dataclass(frozen=True)
class Embedder:
    """A backbone in evaluation mode with what its images need; `batch_size` images at a time.

    Embeddings are float32; `dtype` is what autocast rounds the products within the backbone to.
    """

    backbone: nn.Module
    preprocess: Preprocess
    image_size: tuple[int, int]
    batch_size: int
    ranks: Ranks
    dtype: torch.dtype = torch.float32

    def verify(self, name: str, pairs: PairSet, step: int, progress: Callable[[int, int], None]) -> Verify:
        """Score a set by the published protocol. Every rank takes part and returns the same result."""
        started = time.perf_counter()
        embeddings, norms = self._pair_embeddings(name, pairs.images, progress)
        scored = protocol.evaluate(embeddings, np.asarray(pairs.same, np.bool_))
        return Verify(
            step=step,
            set=name,
            pairs=len(pairs.same),
            accuracy=scored.accuracy,
            std=scored.std,
            xnorm=real(float(norms.mean())),
            tar=scored.tar_at_far,
            threshold=scored.threshold,
            far_threshold=scored.far_threshold,
            seconds=time.perf_counter() - started,
        )

    def _pair_embeddings(
        self, name: str, pictures: Sequence[Image], progress: Callable[[int, int], None]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(2P, D) float32 sums of the embeddings of image and mirror image, and (2P, 2) their lengths."""
        chosen, where = distinct(pictures)
        share = -(-len(chosen) // self.ranks.size)  # the last rank's share may be filled up with repeats
        first = self.ranks.rank * share
        sums, norms = [], []
        for start in range(first, first + share, self.batch_size):
            stop = min(start + self.batch_size, first + share)
            wanted = [chosen[min(i, len(chosen) - 1)] for i in range(start, stop)]
            plain, mirrored = self._embed(name, pictures, wanted)
            sums.append(plain + mirrored)
            norms.append(torch.stack([plain.norm(dim=1), mirrored.norm(dim=1)], dim=1))
            progress(stop - first, share)
        whole = self.ranks.gather(torch.cat(sums)).cpu().numpy()
        lengths = self.ranks.gather(torch.cat(norms)).cpu().numpy()
        return whole[where], lengths[where]

    def _embed(self, name: str, pictures: Sequence[Image], wanted: list[int]) -> tuple[Tensor, Tensor]:
        decoded = np.stack(
            [images.decode(pictures[i], size=self.image_size, source=f"{name}.bin image {i}") for i in wanted]
        )
        x = normalize(torch.from_numpy(decoded).to(self.ranks.device), self.preprocess)
        rounded = torch.autocast(x.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16)
        with torch.inference_mode(), rounded:
            return self.backbone(x).float(), self.backbone(x.flip(3)).float()


def distinct(pictures: Sequence[Image]) -> tuple[list[int], NDArray[np.int64]]:
    """Which pictures to embed, and for each picture its place among those.

    A set that shows one image in many pairs may hold it once; only a list or tuple is searched for that,
    since its elements stay the same objects.
    """
    if not isinstance(pictures, list | tuple):
        return list(range(len(pictures))), np.arange(len(pictures))
    places: dict[int, int] = {}
    chosen: list[int] = []
    where = np.empty(len(pictures), np.int64)
    for i, picture in enumerate(pictures):
        if id(picture) not in places:
            places[id(picture)] = len(chosen)
            chosen.append(i)
        where[i] = places[id(picture)]
    return chosen, where


def normalize(pixels: Tensor, preprocess: Preprocess) -> Tensor:
    """uint8 RGB (N, H, W, 3) → float32 (N, 3, H, W), channels last in memory."""
    return (pixels.permute(0, 3, 1, 2).float() - preprocess.mean) * preprocess.scale

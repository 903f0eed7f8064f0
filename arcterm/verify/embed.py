"""Embeddings of a verification set, shared out over the ranks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from arcterm_registry import Preprocess
from arcterm_registry.contracts import PairSet
from torch import Tensor, nn

from arcterm.formats import images
from arcterm.runs.events import Verify, real
from arcterm.verify import protocol


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
    """A backbone in evaluation mode with what its images need; `batch_size` images at a time."""

    backbone: nn.Module
    preprocess: Preprocess
    image_size: tuple[int, int]
    batch_size: int
    ranks: Ranks

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
            seconds=time.perf_counter() - started,
        )

    def _pair_embeddings(
        self, name: str, pictures: Sequence[object], progress: Callable[[int, int], None]
    ) -> tuple[np.ndarray, np.ndarray]:
        """(2P, D) float32 sums of the embeddings of image and mirror image, and (2P, 2) their lengths."""
        count = len(pictures)
        share = -(-count // self.ranks.size)  # the last rank's share may be filled up with repeats
        first = self.ranks.rank * share
        sums, norms = [], []
        for start in range(first, first + share, self.batch_size):
            wanted = [min(i, count - 1) for i in range(start, min(start + self.batch_size, first + share))]
            plain, mirrored = self._embed(name, pictures, wanted)
            sums.append(plain + mirrored)
            norms.append(torch.stack([plain.norm(dim=1), mirrored.norm(dim=1)], dim=1))
            progress(min(start - first + len(wanted), share), share)
        whole = self.ranks.gather(torch.cat(sums))[:count]
        lengths = self.ranks.gather(torch.cat(norms))[:count]
        return whole.cpu().numpy(), lengths.cpu().numpy()

    def _embed(self, name: str, pictures: Sequence[object], wanted: list[int]) -> tuple[Tensor, Tensor]:
        decoded = np.stack(
            [images.decode(pictures[i], size=self.image_size, source=f"{name}.bin image {i}") for i in wanted]  # type: ignore[arg-type]
        )
        x = normalize(torch.from_numpy(decoded).to(self.ranks.device), self.preprocess)
        with torch.inference_mode():
            return self.backbone(x).float(), self.backbone(x.flip(3)).float()


def normalize(pixels: Tensor, preprocess: Preprocess) -> Tensor:
    """uint8 RGB (N, H, W, 3) → float32 (N, 3, H, W), channels last in memory."""
    return (pixels.permute(0, 3, 1, 2).float() - preprocess.mean) * preprocess.scale

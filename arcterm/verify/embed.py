"""Embeddings of a verification set, by all ranks together."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import torch
from arcterm_registry import PerPlane, Preprocess
from arcterm_registry.contracts import PairSet
from numpy.typing import NDArray
from torch import Tensor, nn

from arcterm.cores import cores_of_rank
from arcterm.errors import ArctermError, DataError, is_out_of_memory
from arcterm.formats import images
from arcterm.runs.events import Rate, Verify, real
from arcterm.verify import collapse, protocol
from arcterm.verify.exact import exact
from arcterm.verify.protocol import Verification
from arcterm.verify.ranks import RankGroup, agree
from arcterm.verify.rates import FARS, split_pairs, tar_at_far

if TYPE_CHECKING:
    from arcterm_registry.contracts import Image


T = TypeVar("T")


class Scored(NamedTuple):
    """A set that was scored.

    `norms` (2P, 2) are the lengths of each image's embedding and of its mirror image's, `distances` (P,)
    squared L2 distances of the pairs, `result` the protocol's.
    """

    name: str
    pairs: PairSet
    norms: NDArray[np.float32]
    distances: NDArray[np.float64]
    result: Verification


Keep = Callable[[Scored], None]


@dataclass(frozen=True)
class Embedder:
    """A backbone in evaluation mode with what its images need; `batch_size` images at a time.

    Embeddings are float32; `dtype` is what autocast rounds the products within the backbone to.
    """

    backbone: nn.Module
    preprocess: Preprocess
    image_size: tuple[int, int]
    batch_size: int
    ranks: RankGroup
    dtype: torch.dtype = torch.float32

    def verify(
        self,
        name: str,
        pairs: PairSet,
        step: int,
        progress: Callable[[int, int], None],
        keep: Keep = lambda *_: None,
    ) -> Verify:
        """Score a set by the published protocol. Every rank takes part and returns the same result.

        `keep` is called with more of it, on every rank, unless nothing can be scored.

        Accuracies and thresholds are withheld, with the reason, where they would mean nothing: pairs of one
        kind, embeddings that are zero or not finite. Raises `DataError`, the same on every rank, if one of
        them can't decode a picture, or the set can't be scored.
        """
        started = time.perf_counter()
        embeddings, norms = self._pair_embeddings(name, pairs.images, progress)
        same = np.asarray(pairs.same, np.bool_)
        protocol.require_two_a_pair(len(embeddings), len(same))
        measured = protocol.measure_pairs(embeddings)
        withheld = collapse.find_directionless(measured.lengths, name)
        scored, rates = Verification(), list[Rate]()
        if not withheld:
            distances = measured.distances
            scored, rates = protocol.evaluate_distances(distances, same), _rates(distances, same)
            keep(Scored(name, pairs, norms, distances, scored))
            if kind := protocol.one_kind(same):
                withheld = f"all {len(same):,} pairs of {name} are {kind}: no threshold can be wrong on them"
        return Verify(
            step=step,
            set=name,
            pairs=len(same),
            accuracy=scored.accuracy,
            std=scored.std,
            xnorm=real(float(norms.mean())),
            tar=scored.tar_at_far,
            threshold=scored.threshold,
            far_threshold=scored.far_threshold,
            withheld=withheld,
            collapse=collapse.find_in_pairs(embeddings, measured, same, name),
            seconds=time.perf_counter() - started,
            rates=rates,
        )

    def collapse_on(self, pixels: NDArray[np.uint8], source: str) -> str:
        """Word how the network has collapsed, by images (N, H, W, 3) of `source`; empty if it has not."""
        x = normalize(torch.from_numpy(pixels).to(self.ranks.device), self.preprocess)
        with torch.inference_mode(), exact():
            return collapse.find_collapse(self.backbone(x).float().cpu().numpy(), source)

    def _pair_embeddings(
        self, name: str, pictures: Sequence[Image], progress: Callable[[int, int], None]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Embed all: (2P, D) float32 sums of image and mirror image, and (2P, 2) the lengths of both."""
        chosen, where = find_distinct(pictures)
        share = -(-len(chosen) // self.ranks.size)  # the last rank's share may be filled up with repeats
        sums, norms = agree(self.ranks, lambda: self._share(name, pictures, chosen, share, progress))
        whole = self.ranks.gather(sums).cpu().numpy()
        lengths = self.ranks.gather(norms).cpu().numpy()
        if len(chosen) == len(where):  # each picture has a place of its own, in order
            return whole[: len(where)], lengths[: len(where)]
        return whole[where], lengths[where]

    def _share(
        self,
        name: str,
        pictures: Sequence[Image],
        chosen: list[int],
        share: int,
        progress: Callable[[int, int], None],
    ) -> tuple[Tensor, Tensor]:
        """Embed this rank's part of the `chosen` pictures: sums (share, D) and lengths (share, 2)."""
        first = self.ranks.rank * share
        sums, norms = [], []
        own = [chosen[min(i, len(chosen) - 1)] for i in range(first, first + share)]
        wanted = [own[start : start + self.batch_size] for start in range(0, share, self.batch_size)]
        done = 0
        with closing(self._batches(name, pictures, wanted)) as batches:
            for decoded in batches:
                plain, mirrored = self._embed(decoded)
                sums.append(plain + mirrored)
                norms.append(torch.stack([plain.norm(dim=1), mirrored.norm(dim=1)], dim=1))
                done += len(decoded)
                progress(done, share)
        return torch.cat(sums), torch.cat(norms)

    def _batches(
        self, name: str, pictures: Sequence[Image], wanted: list[list[int]]
    ) -> Generator[NDArray[np.uint8]]:
        """Decode batch after batch (n, H, W, 3), one ahead of the network, on the cores that this rank has.

        A set's own code, which need not be safe for threads, gives the pictures in this one.
        """
        waiting: deque[list[Future[NDArray[np.uint8]]]] = deque()
        with ThreadPoolExecutor(cores_of_rank(self.ranks.size), thread_name_prefix="decode") as pool:
            try:
                for part in wanted:
                    found = [(_source(name, i), _picture(name, pictures, i)) for i in part]
                    waiting.append([pool.submit(_decoded, *one, self.image_size) for one in found])
                    if len(waiting) > 1:
                        yield np.stack([each.result() for each in waiting.popleft()])
                while waiting:
                    yield np.stack([each.result() for each in waiting.popleft()])
            finally:
                pool.shutdown(cancel_futures=True)

    def _embed(self, decoded: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        x = normalize(torch.from_numpy(decoded).to(self.ranks.device), self.preprocess)
        rounded = torch.autocast(x.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16)
        with torch.inference_mode(), rounded, exact():
            return self.backbone(x).float(), self.backbone(x.flip(3)).float()


def _rates(distances: NDArray[np.float64], same: NDArray[np.bool_]) -> list[Rate]:
    """Rates at the FARs that are no less than one impostor pair of all."""
    if protocol.one_kind(same):
        return []
    pairs = split_pairs(distances, same)
    read = [tar_at_far(pairs, far) for far in FARS]
    return [Rate(one.asked, one.at_most.tar, one.at_most.threshold) for one in read if one.resolved]


def _source(name: str, index: int) -> str:
    return f"{name}.bin image {index}"


def _picture(name: str, pictures: Sequence[Image], index: int) -> Image:
    """Return a picture as the set gives it; raises `DataError` for whatever a plug-in's set raises."""
    return _worded(_source(name, index), lambda: pictures[index])


def _decoded(source: str, picture: Image, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Decode a picture (H, W, 3); raises `DataError` if it is none."""
    return _worded(source, lambda: images.decode(picture, size=size, source=source))


def _worded(source: str, read: Callable[[], T]) -> T:
    """Return what `read` returns; what it raises and is no error of ours becomes a `DataError`."""
    try:
        return read()
    except ArctermError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise DataError(f"{source} can't be read: {type(error).__name__}: {error}") from error


def find_distinct(pictures: Sequence[Image]) -> tuple[list[int], NDArray[np.int64]]:
    """Choose the pictures to embed, and find the place of each picture among those.

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
    """Make uint8 RGB (N, H, W, 3) a backbone's input: float32 (N, 3, H, W), channels last in memory."""
    mean, scale = _shaped(preprocess.mean, pixels), _shaped(preprocess.scale, pixels)
    x = (pixels.permute(0, 3, 1, 2).float() - mean) * scale
    return x if preprocess.channels == "rgb" else x.flip(1)


def _shaped(value: PerPlane, pixels: Tensor) -> float | Tensor:
    """One number as it is, which costs no memory; three for (N, 3, H, W)."""
    if isinstance(value, int | float):
        return value
    return torch.tensor(value, dtype=torch.float32, device=pixels.device).reshape(3, 1, 1)

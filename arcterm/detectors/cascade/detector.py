"""MTCNN: P-Net proposes windows at every scale, R-Net sorts them out, O-Net gives boxes and points.

The numbers are those of FaceNet's ``detect_face.py`` (`boxes`), also where they come from Matlab by
accident. Three things are otherwise: images are not transposed, since the weights are; a box outside the
image is black instead of an error; and several images go through each network together.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from arcterm_registry.contracts import Face
from numpy.typing import NDArray
from torch import Tensor, nn

from arcterm.detectors.cascade import boxes as boxing
from arcterm.detectors.cascade import weights as files
from arcterm.detectors.cascade.boxes import CELL, STRIDE, Boxes, Pixels
from arcterm.detectors.cascade.suppression import suppress
from arcterm.detectors.pixels import three_channels

_TOGETHER = 8  # images that one thread of a CPU has in hand, however many threads there are
_LEAST_ROWS = 32  # rows of windows in a strip; each strip begins with ten rows of pixels of the one before
_SHARED = 1 << 19  # pixels of an image whose layers are large enough for threads to share
_SAME_SCALE, _ALL_SCALES, _REFINED, _LAST = 0.5, 0.7, 0.7, 0.7


class Portion(NamedTuple):
    """How much goes through a network at once: `pixels` through P-Net, `crops` through R-Net and O-Net."""

    pixels: int
    crops: int


# what a layer makes of it stays in a core's cache; a GPU is only busy with much more
_PORTIONS = {"cpu": Portion(1 << 16, 32), "cuda": Portion(1 << 22, 4096)}


class Candidates(NamedTuple):
    """Boxes (n, 4) of an image, their scores (n,), and how the network would move their corners (n, 4)."""

    boxes: Boxes
    scores: NDArray[np.float64]
    shifts: Boxes

    def take(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> Candidates:
        """Return some of them."""
        return Candidates(*(field[chosen] for field in self))


class MTCNN:
    """The detector, on the GPU of this process if it has one."""

    def __init__(
        self,
        weights: str,
        *,
        minsize: int,
        factor: float,
        threshold1: float,
        threshold2: float,
        threshold3: float,
    ) -> None:
        """Read the folder `weights`; raises `DataError` for files that are missing or of another network."""
        gpu = torch.cuda.is_available()
        self.device = torch.device("cuda", torch.cuda.current_device()) if gpu else torch.device("cpu")
        self._portion = _PORTIONS[self.device.type]
        self._proposal, self._refinement, self._output = (
            network.to(self.device) for network in files.load(Path(weights))
        )
        self._minsize, self._factor = minsize, factor
        self._thresholds = (threshold1, threshold2, threshold3)

    def detect(
        self, images: Sequence[NDArray[np.uint8]], smallest: Sequence[int] | None = None
    ) -> list[list[Face]]:
        """Find the faces of each image, see `contracts.FaceDetector`; `smallest` stands for minsize.

        On a CPU each of torch's threads looks at images of its own. The layers of one are too small to be
        shared: threads that wait for each other after each of them take many times as long where something
        else wants the cores. A single large photo is shared. The last digits of a network's answer may hang
        on what else it is given, so the images that go together are the same for any number of threads.
        """
        least = [self._minsize] * len(images) if smallest is None else smallest
        work = [
            (np.ascontiguousarray(three_channels(image)), max(CELL, side))
            for image, side in zip(images, least, strict=True)
        ]
        if self.device.type != "cpu":
            return self._find_faces(work)
        parts = [work[start : start + _TOGETHER] for start in range(0, len(work), _TOGETHER)]
        alone = len(work) == 1 and work[0][0].shape[0] * work[0][0].shape[1] > _SHARED
        threads = torch.get_num_threads()
        if threads == 1 or alone or not parts:
            return [faces for part in parts for faces in self._find_faces(part)]
        workers = min(threads, len(parts))
        try:
            with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                return [faces for part in pool.map(self._find_faces, parts) for faces in part]
        finally:
            torch.set_num_threads(threads)  # what threads yet to be made begin with

    @torch.inference_mode()
    def _find_faces(self, work: Sequence[tuple[Pixels, int]]) -> list[list[Face]]:
        """Find the faces of images, each with the side of the smallest one."""
        pixels = [image for image, _ in work]
        with self._exact():
            found = self._propose(pixels, [side for _, side in work])
            found = self._refine(pixels, found, self._thresholds[1])
            return self._finish(pixels, found, self._thresholds[2])

    @torch.inference_mode()
    def refine(self, image: NDArray[np.uint8], box: NDArray[np.float64]) -> Face | None:
        """Give `box` (4,) to R-Net and O-Net with thresholds of 0, as InsightFace's ``detect_face_force``."""
        pixels = [np.ascontiguousarray(three_channels(image))]
        with self._exact():
            given = np.trunc(np.asarray(box, np.float64))[None]
            found = self._refine(pixels, [given[boxing.usable(given, pixels[0])]], 0.0)
            [faces] = self._finish(pixels, found, 0.0)
        return faces[0] if faces else None

    def _exact(self) -> contextlib.AbstractContextManager[object]:
        """Keep a GPU from rounding to 10 bits; the switch is the process's, so threads leave it alone."""
        gpu = self.device.type == "cuda"
        return torch.backends.cudnn.flags(enabled=True, allow_tf32=False) if gpu else contextlib.nullcontext()

    def _propose(self, images: Sequence[Pixels], smallest: Sequence[int]) -> list[Boxes]:
        """P-Net: return whole squares (n, 4) for each image."""
        levels: dict[tuple[int, int], list[tuple[int, float]]] = defaultdict(list)
        for index, (image, side) in enumerate(zip(images, smallest, strict=True)):
            for scale in boxing.pyramid(image.shape[0], image.shape[1], side, self._factor):
                levels[boxing.level_size(image.shape[0], image.shape[1], scale)].append((index, scale))
        found: list[list[tuple[float, Candidates]]] = [[] for _ in images]
        for (height, width), members in levels.items():
            step = max(1, self._portion.pixels // (height * width))
            for start in range(0, len(members), step):
                some = members[start : start + step]
                batch = np.stack([boxing.resize(images[index], height, width) for index, _ in some])
                for (index, scale), candidates in zip(
                    some, self._scan(batch, [s for _, s in some]), strict=True
                ):
                    found[index].append((scale, candidates))
        return [_merge_levels(each, image) for each, image in zip(found, images, strict=True)]

    def _scan(self, batch: Pixels, scales: Sequence[float]) -> Iterator[Candidates]:
        """Yield what P-Net sees in each image of a level (N, h, w, 3), in strips of rows if it is large."""
        rows = max(_LEAST_ROWS, self._portion.pixels // (STRIDE * batch.shape[2]))
        strips = []
        for start in range(0, max(1, _cells(batch.shape[1])), rows):
            strip = batch[:, start * STRIDE : (start + rows - 1) * STRIDE + CELL]
            strips.append(self._proposal(_to_input(strip, self.device)))
        scores = torch.cat([probabilities for probabilities, _ in strips], 1).cpu().numpy()
        shifts = torch.cat([moves for _, moves in strips], 2).cpu().numpy()
        for each, moves, scale in zip(scores, shifts, scales, strict=True):
            yield _read_map(each, moves, scale, self._thresholds[0])

    def _refine(self, images: Sequence[Pixels], boxes: Sequence[Boxes], threshold: float) -> list[Boxes]:
        """R-Net: return whole squares again."""
        refined = []
        seen = self._look(images, boxes, self._refinement, 24)
        for image, found, (scores, shifts) in zip(images, boxes, seen, strict=True):
            kept = Candidates(found, scores, shifts).take(scores > threshold)
            kept = kept.take(suppress(kept.boxes, kept.scores, _REFINED))
            refined.append(_make_whole(boxing.move(kept.boxes, kept.shifts, 1), image))
        return refined

    def _finish(self, images: Sequence[Pixels], boxes: Sequence[Boxes], threshold: float) -> list[list[Face]]:
        """O-Net: return faces."""
        faces = []
        seen = self._look(images, boxes, self._output, 48)
        for found, (scores, shifts, points) in zip(boxes, seen, strict=True):
            good = scores > threshold
            kept = Candidates(found, scores, shifts).take(good)
            sides = kept.boxes[:, 2:] - kept.boxes[:, :2] + 1
            # the points are shares of the box as it was before its corners move
            places = (
                points[good].reshape(-1, 2, 5).transpose(0, 2, 1) * sides[:, None]
                + kept.boxes[:, None, :2]
                - 1
            )
            moved = boxing.move(kept.boxes, kept.shifts, 1)
            chosen = suppress(moved, kept.scores, _LAST, smaller=True)
            faces.append([Face(moved[i], places[i], float(kept.scores[i])) for i in chosen])
        return faces

    def _look(
        self, images: Sequence[Pixels], boxes: Sequence[Boxes], network: nn.Module, size: int
    ) -> Iterator[list[NDArray[np.float64]]]:
        """Yield for each image what `network` gives for its boxes; the crops of all go through together."""
        pairs = [
            (image, box)
            for image, found in zip(images, boxes, strict=True)
            for box in found.astype(np.int64).tolist()
        ]
        answers: list[tuple[Tensor, ...]] = []
        for start in range(0, max(1, len(pairs)), self._portion.crops):
            some = pairs[start : start + self._portion.crops]
            crops = np.empty((len(some), size, size, 3), np.float32)
            for place, (image, box) in enumerate(some):
                crops[place] = boxing.crop(image, box, size)
            answers.append(network(_to_input(crops, self.device)))
        whole = [torch.cat(parts).double().cpu().numpy() for parts in zip(*answers, strict=True)]
        at = 0
        for found in boxes:
            yield [each[at : at + len(found)] for each in whole]
            at += len(found)


def _to_input(images: NDArray[np.uint8] | NDArray[np.float32], device: torch.device) -> Tensor:
    """(N, H, W, 3), 0 … 255 → (N, 3, H, W) as the networks take it."""
    return (torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() - 127.5) * 0.0078125


def _cells(side: int) -> int:
    """How many windows P-Net looks at along a side."""
    return max(0, (side - 1) // 2 - 4)


def _read_map(
    scores: NDArray[np.float32], shifts: NDArray[np.float32], scale: float, threshold: float
) -> Candidates:
    """Return the windows of a map (h, w) that reach `threshold`, without those that share too much."""
    columns, rows = np.nonzero(scores.transpose() >= threshold)
    moves = shifts.transpose(2, 1, 0)
    if len(columns) == 1:
        moves = moves[::-1]  # FaceNet mirrors the map for a single candidate, which then moves as another
    found = Candidates(
        boxing.cells_to_boxes(columns, rows, scale),
        scores[rows, columns].astype(np.float64),
        moves[columns, rows].astype(np.float64),
    )
    return found.take(suppress(found.boxes, found.scores, _SAME_SCALE))


def _merge_levels(levels: Sequence[tuple[float, Candidates]], image: Pixels) -> Boxes:
    """Return whole squares from the candidates of all scales of an image."""
    if not levels:
        return np.empty((0, 4))
    ordered = [candidates for _, candidates in sorted(levels, key=lambda level: -level[0])]
    found = Candidates(*(np.concatenate(field) for field in zip(*ordered, strict=True)))
    found = found.take(suppress(found.boxes, found.scores, _ALL_SCALES))
    return _make_whole(boxing.move(found.boxes, found.shifts, 0), image)


def _make_whole(boxes: Boxes, image: Pixels) -> Boxes:
    """Return squares of whole numbers around `boxes`, without those that no crop can be made of."""
    squares = np.trunc(boxing.square(boxes))
    return squares[boxing.usable(squares, image)]

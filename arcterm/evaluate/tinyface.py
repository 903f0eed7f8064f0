"""``evaluate tinyface``: identification of small faces among many distractors."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from arcterm_registry.contracts import JobReport
from numpy.typing import NDArray

from arcterm.align import detection
from arcterm.errors import DataError
from arcterm.evaluate import closedset, tinyreport
from arcterm.evaluate.closedset import ClosedSet
from arcterm.evaluate.record import record_model, unit_sum, word_model
from arcterm.evaluate.smallfaces import NOT_FOUND, OPTIONS, SmallFaces
from arcterm.evaluate.tinyreport import TinyImages
from arcterm.features.matrix import extract
from arcterm.features.networks import Networks, open_networks
from arcterm.features.pictures import FilePictures, Pictures
from arcterm.files import require_free, stamp
from arcterm.formats import images as codec
from arcterm.formats.tinyface import TinyFace, read_tinyface
from arcterm.runs.context import JobContext
from arcterm.verify import collapse
from arcterm.verify.ranks import RankGroup, agree

_LOOKED = 60
"""Images whose size is looked at to tell aligned copies from the original images."""


def tinyface(
    context: JobContext,
    model: str,
    root: str,
    *,
    images: str,
    aligned: str,
    detector: str,
    weights: str,
    out: str,
    checkpoint: str,
    channels: str,
    mean: str,
    std: str,
    batch_size: int | None,
) -> JobReport:
    """Score `model` on the TinyFace set at `root`, with its distractors and without.

    `images` are ``aligned``, taken as they are, or ``original``, which a detector aligns
    (`arcterm.evaluate.smallfaces`); empty finds out by their size. `aligned` is a folder of aligned copies.
    All ranks embed the images and count, and come to the same result. Raises `DataError`.
    """
    started = time.perf_counter()
    found = read_tinyface(Path(root), Path(aligned) if aligned else None)
    if out:
        require_free(Path(out))
    networks = open_networks(context, [model], channels=channels, mean=mean, std=std)
    ranks = networks.ranks
    kind = images or _kind(found, networks.input_size)
    choice = detection.choose(detector, weights, "") if kind == "original" else None
    agree(ranks, lambda: _require_unchanged(context, found, networks, choice))
    pictures, marks = _pictures(context, ranks, found, choice)
    vectors = context.work / "vectors.npy"
    width = networks.sizes[0]
    refused = extract(
        context, networks, pictures, vectors, unit_sum, width, batch_size=batch_size, retry=True
    )
    sets = _usable(found, np.load(vectors, mmap_mode="r"), list(refused))
    if why := collapse.find_collapse(sets.probes, "TinyFace"):
        raise DataError(
            f"{networks.facts[0].source or Path(model).name}: {why}",
            "take an earlier checkpoint, or another model",
        )
    measured = closedset.search(context, ranks, sets)
    if not ranks.first:
        return JobReport(lines=[])
    lost = int((marks == NOT_FOUND).sum()) if marks is not None else None
    names = [pictures.name(index) for index in refused]
    about = TinyImages(word_model(networks), found, kind, choice.name if choice else "", lost, names)
    data = {
        **tinyreport.record(about, measured),
        "model": record_model(networks),
        "seconds": round(time.perf_counter() - started, 3),
    }
    drawn = closedset.curve("TinyFace", measured)
    if out:
        page = tinyreport.page_of(about, measured, drawn)
        tinyreport.write(Path(out), page, data, drawn, vectors, pictures)
    lines = tinyreport.lines(about, measured)
    return JobReport(lines=lines, data=data, problems=len(refused), result=out, curves=[drawn])


def _kind(found: TinyFace, size: tuple[int, int]) -> str:
    """Tell by a few images whether they are aligned, of the size that the model takes; raises `DataError`."""
    files = found.images
    some = [files[i] for i in np.linspace(0, len(files) - 1, min(_LOOKED, len(files))).astype(int)]
    sizes = [shape for file in some if (shape := _shape(file))]
    fit = sizes.count(size)
    if not sizes:
        raise DataError(f"none of {len(some)} images can be read, as {some[0]}", "look at the files")
    if 0 < fit < len(sizes):
        raise DataError(
            f"of {len(sizes)} images of {files[0].parent.parent} {fit} are {size[1]}×{size[0]}, others not",
            "say --images aligned or --images original",
        )
    return "aligned" if fit else "original"


def _shape(file: Path) -> tuple[int, int] | None:
    try:
        height, width, _ = codec.decode(codec.read_file(file), size=None, source=str(file)).shape
    except DataError:
        return None  # which is refused, with all others, when it is embedded
    return height, width


def _require_unchanged(
    context: JobContext, found: TinyFace, networks: Networks, choice: detection.Choice | None
) -> None:
    """Raise `DataError` if an earlier attempt had another model, other images or another detector."""
    if context.world is None or context.world.first:
        weights = [Path(choice.weights)] if choice and choice.weights else []
        context.require_unchanged([*networks.stamp(), *stamp(weights), *found.stamp()])
        for note in found.notes:
            context.say(note, "warning")


def _pictures(
    context: JobContext, ranks: RankGroup, found: TinyFace, choice: detection.Choice | None
) -> tuple[Pictures, NDArray[np.uint8] | None]:
    """Return the pictures, and for original images the file of marks that all ranks write into."""
    files = found.images
    if choice is None:
        names = [f"{file.parent.name}/{file.name}" for file in files]
        return FilePictures(files[0].parent.parent, names), None
    path = context.work / "marks.npy"
    if ranks.first and not path.exists():
        np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(len(files),)).flush()
    ranks.barrier()  # the file is there
    marks = np.load(path, mmap_mode="r+")
    return SmallFaces(files, detection.Detectors(choice, OPTIONS, 1), marks), marks


def _usable(found: TinyFace, vectors: NDArray[np.float32], refused: list[int]) -> ClosedSet:
    """Return the set without images that are `refused`; raises `DataError` if nothing is left of a part."""
    usable = np.ones(len(vectors), np.bool_)
    usable[refused] = False
    ends = np.cumsum([len(found.probes), len(found.matches)])
    parts = zip(np.split(vectors, ends), np.split(usable, ends), strict=True)
    probes, matches, distractors = (rows if good.all() else rows[good] for rows, good in parts)
    own, mates, _ = np.split(usable, ends)
    sets = ClosedSet(
        np.asarray(probes),
        found.probe_people[own],
        np.asarray(matches),
        found.match_people[mates],
        distractors,
    )
    if not np.isin(sets.probe_people, sets.match_people).any():
        raise DataError("no probe can be embedded together with a mate", "look at the images of the set")
    return sets

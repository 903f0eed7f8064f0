"""``arcterm megaface export``: features of FaceScrub's and MegaFace's aligned images, on every rank."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from arcterm_registry.contracts import JobReport
from torch import Tensor

from arcterm.errors import ConfigError, DataError
from arcterm.features.leader import Leader, lead
from arcterm.features.matrix import extract
from arcterm.features.networks import Networks, open_networks
from arcterm.features.pictures import FilePictures
from arcterm.files import Stamp, require_free, stamp, write_json
from arcterm.megaface import exportreport
from arcterm.megaface.devkit import check_ending, usual_ending
from arcterm.megaface.devkitwriter import BLOCK, DevkitWriter
from arcterm.megaface.imagefiles import Found, find_images
from arcterm.megaface.sets import FeatureSet, PackedSet
from arcterm.megaface.store import (
    SETS,
    TITLES,
    Facts,
    Layout,
    SetFacts,
    SetName,
    read_names,
    write_facts,
    write_names,
)
from arcterm.runs.context import JobContext
from arcterm.verify.ranks import RankGroup

FLIP = "the features of the image and its mirror image are summed, and normalised"
SEVERAL = "; those of several models are put one after the other and normalised again"
_LOOKED_AT = 16


def export(
    context: JobContext,
    *paths: str,
    facescrub: str,
    facescrub_list: str,
    megaface: str,
    megaface_list: str,
    skip: int,
    algo: str,
    layout: Layout,
    ending: str,
    checkpoint: str,
    channels: str,
    mean: str,
    std: str,
    batch_size: int | None,
) -> JobReport:
    """Write the features of both sets, or of one, by the models in `paths` into the folder that ends `paths`.

    All ranks embed in fixed batches: a killed job goes on to the same bytes. Files that are missing are named
    before the first batch; images that can't be used have no feature. Raises `DataError`, leaving nothing.
    """
    *models, out = paths
    target, ranks = Path(out), cast(RankGroup, context.world)
    require_free(target)
    if ending and layout == "packed":
        raise ConfigError("--ending is for --layout devkit", "leave it out, or give that layout")
    check_ending(ending or usual_ending(algo, (112, 112)))
    sets = _asked(facescrub, facescrub_list, megaface, megaface_list)
    networks = open_networks(context, models, channels=channels, mean=mean, std=std)
    found = lead(context, ranks, lambda leader: _list_images(context, leader, networks, sets, skip)) or {}
    if ranks.first:
        _check_sizes(found, networks.input_size)
    context.agree()
    facts = _facts(networks, algo)
    facts.ending = (ending or usual_ending(algo, networks.input_size)) if layout == "devkit" else ""
    with context.stage(target) as stage:
        for which in sets:
            _export_set(context, networks, stage, which, sets[which].root, facts, batch_size)
        if not ranks.first:
            return JobReport(lines=[])
        for which, images in found.items():
            facts.sets[which].missing = images.missing
        write_facts(stage, facts)
        if facts.ending:
            context.progress(1, 1, "writing to disk")
            DevkitWriter.sync()
    return exportreport.report(facts, found, target, layout)


@dataclass(frozen=True)
class Asked:
    """The folder and the list of a set that is to be exported."""

    root: Path
    listed: Path


def _asked(*texts: str) -> dict[SetName, Asked]:
    """The sets that are to be exported; raises `ConfigError` if there is none, or half of one."""
    asked: dict[SetName, Asked] = {}
    for which, root, listed in zip(SETS, texts[::2], texts[1::2], strict=True):
        if bool(root) != bool(listed):
            lacking = f"--{which}-list" if root else f"--{which}"
            raise ConfigError(
                f"{lacking} is missing", f"{TITLES[which]} takes a folder and a list of its images"
            )
        if root:
            asked[which] = Asked(Path(root), Path(listed))
    if not asked:
        raise ConfigError(
            "there is nothing to export", "give --facescrub and --facescrub-list, or MegaFace's"
        )
    return asked


def _list_images(
    context: JobContext, leader: Leader, networks: Networks, sets: dict[SetName, Asked], skip: int
) -> dict[SetName, Found]:
    """Find all files and write their lists down for all ranks; says what is missing."""
    found: dict[SetName, Found] = {}
    for which, asked in sets.items():
        progress, left_out = leader.progress("looking for images"), skip if which == "megaface" else 0
        found[which] = find_images(asked.root, asked.listed, which, left_out, progress)
    lists = [asked.listed for asked in sets.values()]
    digests: Stamp = [[str(images.root), _digest(images)] for images in found.values()]
    context.require_unchanged([*networks.stamp(), *stamp(lists), *digests])
    for which, images in found.items():
        write_names(context.work, which, images.names)
        write_json(context.work / f"{which}.files", images.files)
        for note in exportreport.notes(images, which):
            context.say(note, "warning")
    return found


def _digest(images: Found) -> str:
    digest = hashlib.sha256()
    for name, file in zip(images.names, images.files, strict=True):
        digest.update(f"{name}\0{file}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _check_sizes(found: dict[SetName, Found], size: tuple[int, int]) -> None:
    """Raise `DataError` if the first images of a set all have another size than the models take."""
    for which, images in found.items():
        pictures = FilePictures(images.root, images.files[:_LOOKED_AT])
        reasons = []
        for index in range(len(pictures)):
            try:
                pictures.pixels(index, size)
            except DataError as error:
                reasons.append(error.message)
        if len(reasons) == len(pictures):
            raise DataError(
                f"the first {len(reasons):,} images of {TITLES[which]} can't be used: {reasons[0]}",
                f"`arcterm align PHOTOS ALIGNED --preset {which}` makes aligned images of the photos",
            )


def _facts(networks: Networks, algo: str) -> Facts:
    """Return what is written beside the features."""
    return Facts(
        algo=algo,
        width=sum(networks.sizes),
        models=networks.record() if networks.ranks.first else [],
        image_size=networks.input_size,
        preprocessing="; ".join(dict.fromkeys(facts.input_words for facts in networks.facts)),
        flip=FLIP + (SEVERAL if len(networks.facts) > 1 else ""),
    )


def unit_rows(views: list[Tensor]) -> Tensor:
    """Make (N, ΣD) unit vectors of each network's (N, 2, D) raw ones: image and mirror image."""
    units = [F.normalize(view.sum(1), dim=1) for view in views]
    return F.normalize(torch.cat(units, 1), dim=1)


def _export_set(
    context: JobContext,
    networks: Networks,
    stage: Path,
    which: SetName,
    root: Path,
    facts: Facts,
    batch_size: int | None,
) -> None:
    """Embed a set; for the devkit's layout into the job's own folder, and then in parts into `stage`."""
    names = read_names(context.work / f"{which}.txt")
    files = exportreport.read_files(context.work / f"{which}.files")
    matrix = (context.work if facts.ending else stage) / f"{which}.npy"
    pictures, what = FilePictures(root, files), f"embedding {TITLES[which]}"
    refused = extract(
        context, networks, pictures, matrix, unit_rows, facts.width, batch_size=batch_size, what=what
    )
    reasons = {names[index]: why for index, why in sorted(refused.items())}
    facts.sets[which] = SetFacts(count=len(names), refused=reasons)
    if facts.ending:
        writer = DevkitWriter(stage / which, facts.ending, facts.width)
        _take_apart(context, networks.ranks, PackedSet(matrix, names, reasons), writer)
    if networks.ranks.first:
        write_names(stage, which, names)


def _take_apart(context: JobContext, ranks: RankGroup, features: FeatureSet, writer: DevkitWriter) -> None:
    """Write the devkit's files, each rank its blocks; all agree equally often."""
    total = len(features)
    for start in range(0, total, BLOCK * ranks.size):
        own = range(start + BLOCK * ranks.rank, min(start + BLOCK * (ranks.rank + 1), total))
        writer.write_rows(features, own, {})
        context.progress(min(start + BLOCK * ranks.size, total), total, "writing files", "features")
        context.agree()

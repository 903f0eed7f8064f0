"""``arcterm megaface clean``: features without the images that published lists call noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from arcterm_registry.contracts import JobReport
from numpy.typing import NDArray

from arcterm.files import require_free, staged_directory, stamp
from arcterm.megaface.cleaning import Cleaning, read_sets
from arcterm.megaface.devkit import DevkitSet, algo_of, check_ending, unreadable
from arcterm.megaface.devkitwriter import BLOCK, DevkitWriter
from arcterm.megaface.listing import shorten
from arcterm.megaface.mask import JSON, Mask, write_mask
from arcterm.megaface.noise import mark, replace
from arcterm.megaface.store import (
    FACTS,
    TITLES,
    Facts,
    Features,
    SetFacts,
    open_features,
    write_facts,
    write_names,
)
from arcterm.runs.context import JobContext

_NAMED = 5


def clean(
    context: JobContext,
    features: str,
    out: str,
    *,
    facescrub_noises: str,
    megaface_noises: str,
    facescrub_list: str,
    megaface_list: str,
    seed: int,
    ending: str,
    new_ending: str,
) -> JobReport:
    """Take the noise out of features into the folder `out`; the features stay as they are.

    Of packed features a mask is made (`arcterm.megaface.mask`), of the devkit's files new ones with a number
    more, as InsightFace's ``remove_noises.py`` writes them. The lists of images give the order in which
    features are added up and random numbers are drawn with `seed`. A stopped job goes on where it was. Raises
    `DataError`, leaving nothing at `out`.
    """
    target = Path(out)
    require_free(target)
    for text in (ending, new_ending):
        if text:
            check_ending(text)
    found = open_features(Path(features), ending)
    given = [text for text in (facescrub_noises, megaface_noises, facescrub_list, megaface_list) if text]
    context.require_unchanged([*stamp(Path(text) for text in given), *found.stamp()])
    sets = read_sets(found, facescrub_noises, megaface_noises, facescrub_list, megaface_list)
    facescrub = next((each for each in sets if each.which == "facescrub"), None)
    replaced = replace(facescrub.images, facescrub.noises, seed) if facescrub else {}
    with staged_directory(target, resume=context.id) as stage:
        if found.layout == "packed":
            _write_mask(stage, sets, replaced, seed, found.model_digests)
        else:
            _write_files(context, stage, found, sets, replaced, seed, new_ending)
    return _report(sets, found, target, seed)


def _write_mask(
    stage: Path,
    sets: list[Cleaning],
    replaced: dict[str, NDArray[np.float32]],
    seed: int,
    models: list[dict[str, str]],
) -> None:
    width = sets[0].images.features.width
    removed = [name for each in sets if each.which == "megaface" for name in each.hit]
    mask = Mask(
        width=width,
        seed=seed,
        removed=removed,
        replaced=list(replaced),
        models=models,
        lists={each.which: each.record() for each in sets},
    )
    vectors = np.stack(list(replaced.values()))[:, :-1] if replaced else np.zeros((0, width), np.float32)
    write_mask(stage, mask, vectors)


def _write_files(
    context: JobContext,
    stage: Path,
    features: Features,
    sets: list[Cleaning],
    replaced: dict[str, NDArray[np.float32]],
    seed: int,
    ending: str,
) -> None:
    """Write the devkit's files, of a folder that is a set's tree itself into `stage` itself."""
    first = sets[0].images.features
    ending = ending or (first.ending if isinstance(first, DevkitSet) else "")
    width = sets[0].images.features.width
    facts = features.facts or Facts(algo=algo_of(ending), width=width)
    facts.ending, facts.width, facts.extra = ending, width + 1, 1
    facts.cleaned = {"seed": seed}
    total, before = sum(len(each.images.names) for each in sets), 0
    for each in sets:
        own_tree = features.places[each.which] == features.folder
        writer = DevkitWriter(stage if own_tree else stage / each.which, ending, width + 1)
        _write_set(context, writer, each, replaced, before, total)
        before += len(each.images.names)
        write_names(stage, each.which, each.images.names)
        refused = {
            name: each.images.features.refused.get(name, "the folder has no feature of it")
            for name in each.images.missing
            if name not in replaced
        }
        missing = facts.sets[each.which].missing if each.which in facts.sets else {}
        facts.sets[each.which] = SetFacts(count=len(each.images.names), refused=refused, missing=missing)
        facts.cleaned[each.which] = each.record()
    write_facts(stage, facts)
    context.progress(total, total, "writing to disk")
    writer.sync()


def _write_set(
    context: JobContext,
    writer: DevkitWriter,
    cleaning: Cleaning,
    replaced: dict[str, NDArray[np.float32]],
    before: int,
    total: int,
) -> None:
    """Write a set's files; raises `DataError` naming all features that can't be read."""
    images = cleaning.images
    faults: dict[int, str] = {}
    for start in range(0, len(images.names), BLOCK):
        numbers = [
            number
            for number in range(start, min(start + BLOCK, len(images.names)))
            if not writer.has(images.names[number])
        ]
        own = np.array([n for n in numbers if images.rows[n] >= 0 and images.names[n] not in replaced], int)
        marked = mark(images.features.rows(images.rows[own], faults), cleaning.noisy[own])
        good = [place for place, row in enumerate(images.rows[own].tolist()) if row not in faults]
        writer.write([images.names[own[place]] for place in good], marked[good])
        instead = [images.names[number] for number in numbers if images.names[number] in replaced]
        writer.write(instead, [replaced[name] for name in instead])
        context.progress(before + start + len(numbers), total, "cleaning", "images")
    if faults:
        raise unreadable(list(faults.values()))


def _report(sets: list[Cleaning], features: Features, target: Path, seed: int) -> JobReport:
    lines: list[str] = []
    data: dict[str, Any] = {}
    for each in sets:
        record = data[each.which] = each.record()
        became = "are replaced" if each.which == "facescrub" else "are removed"
        lines.append(
            f"{TITLES[each.which]}: {record['hit']:,} of {record['images']:,} images are noise and {became}; "
            f"{len(record['not_hit']):,} of the list's {record['names']:,} names are of no image here"
        )
        if not record["hit"]:
            lines.append(f"  is {each.path} the list of noise in these images?")
        elif record["not_hit"]:
            lines.append(f"  of no image here: {shorten(record['not_hit'], _NAMED)}")
        if record["repeated"]:
            lines.append(f"  twice in the list: {shorten(record['repeated'], _NAMED)}")
        if record["without_feature"]:
            lines.append(f"  without a feature: {shorten(record['without_feature'], _NAMED)}")
    if features.layout == "packed":
        lines.append(f"the mask is {target / JSON}, with all names; {features.folder} is as it was")
    else:
        lines.append(f"{target} has features of a number more, for Euclidean distances only, and {FACTS}")
    result = {"path": str(target), "layout": features.layout, "seed": seed, **data}
    return JobReport(lines=lines, data=result, result=str(target))

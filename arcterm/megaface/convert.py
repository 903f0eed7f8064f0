"""``arcterm megaface convert``: features from one layout into the other."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from arcterm_registry.contracts import JobReport

from arcterm.errors import DataError
from arcterm.files import require_free, staged_directory, sync
from arcterm.megaface.devkit import DevkitSet, algo_of, check_ending, unreadable, usual_ending
from arcterm.megaface.devkitwriter import BLOCK, DevkitWriter
from arcterm.megaface.sets import FeatureSet
from arcterm.megaface.store import (
    SETS,
    TITLES,
    Facts,
    Features,
    Layout,
    SetFacts,
    SetName,
    open_features,
    write_facts,
    write_names,
)
from arcterm.runs.context import JobContext


def convert(context: JobContext, src: str, dst: str, *, layout: Layout, ending: str) -> JobReport:
    """Write the features of the folder `src` into the folder `dst` in `layout`, in the same order.

    There and back again gives the same bytes. A stopped job goes on where it was. Raises `DataError`, leaving
    nothing at `dst`.
    """
    target = Path(dst)
    require_free(target)
    features = open_features(Path(src))
    facts = _facts_for(features, layout, ending)
    context.require_unchanged(features.stamp())
    sets: dict[SetName, FeatureSet] = {which: features.require(which) for which in features.places}
    total, before = sum(map(len, sets.values())), 0
    with staged_directory(target, resume=context.id) as stage:
        for which, opened in sets.items():
            if layout == "packed":
                _pack(context, opened, stage / f"{which}.npy", before, total)
            else:
                writer = DevkitWriter(stage / which, facts.ending, opened.width)
                _unpack(context, opened, writer, before, total)
            write_names(stage, which, opened.names)
            before += len(opened)
        write_facts(stage, facts)
        context.progress(total, total, "writing to disk")
        if layout == "devkit":
            writer.sync()
    counts = ", ".join(f"{len(opened):,} of {TITLES[which]}" for which, opened in sets.items())
    called = f" called IMAGE{facts.ending}" if layout == "devkit" else ""
    return JobReport(
        lines=[f"{counts} with {facts.width:,} numbers each, {layout}{called}, in {target}"],
        data={
            "path": str(target),
            "layout": layout,
            "ending": facts.ending,
            "width": facts.width,
            **{which: len(opened) for which, opened in sets.items()},
        },
        result=str(target),
    )


def _facts_for(features: Features, layout: Layout, ending: str) -> Facts:
    """The facts of the new folder; raises `DataError` if it would be the old one again."""
    sets = {which: features.require(which) for which in SETS if which in features.places}
    first = next(iter(sets.values()))
    had = first.ending if isinstance(first, DevkitSet) else ""
    facts = features.facts or Facts(algo=algo_of(had), width=first.width)
    for which, opened in sets.items():
        facts.sets.setdefault(which, SetFacts(count=len(opened)))
        if opened.width != first.width:
            raise DataError(
                f"{features.folder} has features of {first.width:,} and of {opened.width:,} numbers",
                "export both sets by the same models",
            )
    facts.ending = ""
    if layout == "devkit":
        facts.ending = ending or usual_ending(facts.algo, facts.image_size)
        check_ending(facts.ending)
    if features.layout == layout and facts.ending == had:
        raise DataError(f"{features.folder} is {layout} already", "give another layout, or another ending")
    return facts


def _pack(context: JobContext, features: FeatureSet, target: Path, before: int, total: int) -> None:
    """Write a ``.npy``, after the whole rows of an earlier attempt; raises naming all that can't be read."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (len(features), features.width)}
    np.lib.format.write_array_header_1_0(head := BytesIO(), header)
    begin, row = len(head.getvalue()), 4 * features.width
    faults: dict[int, str] = {}
    with target.open("ab") as file:
        if file.tell() < begin:
            file.truncate(0)
            file.write(head.getvalue())
        done = (file.tell() - begin) // row
        file.truncate(begin + done * row)
        for start in range(done, len(features), BLOCK):
            block = features.rows(slice(start, start + BLOCK), faults)
            if not faults:  # a resume would take their rows for good ones
                file.write(block.astype("<f4", copy=False).tobytes())
            context.progress(before + start + len(block), total, "packing", "features")
        if faults:
            raise unreadable(list(faults.values()))
        sync(file)


def _unpack(context: JobContext, features: FeatureSet, writer: DevkitWriter, before: int, total: int) -> None:
    """Write the devkit's files, but for names that are refused; raises naming all that can't be read."""
    faults: dict[int, str] = {}
    for start in range(0, len(features), BLOCK):
        context.progress(before + start, total, "unpacking", "features")
        writer.write_rows(features, range(start, min(start + BLOCK, len(features))), faults)
    if faults:
        raise unreadable(list(faults.values()))

"""The report of an export: images that are missing, images that were refused, and the features."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from arcterm_registry.contracts import JobReport

from arcterm.files import read_json
from arcterm.megaface.imagefiles import Found
from arcterm.megaface.listing import shorten
from arcterm.megaface.store import FACTS, TITLES, Facts, Layout, SetName
from arcterm.text import first_of

_NAMED = 10


def read_files(path: Path) -> list[str]:
    """Read the list of files that the first rank wrote."""
    return read_json(path, list[str])


def notes(images: Found, which: SetName) -> list[str]:
    """Lines on the images of a list that aren't there as it says."""
    lines = []
    if images.missing:
        total = len(images.names) + len(images.missing)
        lines.append(
            f"{len(images.missing):,} of {total:,} images of {TITLES[which]} are missing in {images.root}: "
            + shorten(list(images.missing), _NAMED)
        )
    if images.by_stem:
        lines.append(
            f"{images.by_stem:,} images of {TITLES[which]} have another ending than the list says: "
            f"{images.first_by_stem}"
        )
    return lines


def report(facts: Facts, found: Mapping[SetName, Found], target: Path, layout: Layout) -> JobReport:
    """The report of an export into `target`."""
    lines, problems = [], 0
    for which, images in found.items():
        refused = facts.sets[which].refused
        whole = len(images.names) + len(images.missing)
        lines.append(f"{TITLES[which]}: features of {len(images.names) - len(refused):,} of {whole:,} images")
        lines += [f"  {note}" for note in notes(images, which)]
        if refused:
            lines.append(
                f"  {len(refused):,} can't be used: {first_of(list(refused.values()), _NAMED, '; ')}"
            )
        problems += len(refused) + len(images.missing)
    several = f" of {len(facts.models)} models" if len(facts.models) > 1 else ""
    called = f", files called IMAGE{facts.ending}" if facts.ending else ""
    lines.append(f"{facts.width:,} numbers each{several}, {layout}{called}, in {target}")
    if problems:
        lines.append(f"all that has no feature is named in {target / FACTS}")
    sets = {
        which: {
            "listed": len(images.names) + len(images.missing),
            "features": len(images.names) - len(facts.sets[which].refused),
            "missing": len(images.missing),
            "refused": len(facts.sets[which].refused),
            "other_ending": images.by_stem,
        }
        for which, images in found.items()
    }
    data = {"path": str(target), "layout": layout, "ending": facts.ending, "algo": facts.algo}
    return JobReport(
        lines=lines,
        data=data | {"width": facts.width, "models": facts.models, "sets": sets},
        problems=problems,
        result=str(target),
    )

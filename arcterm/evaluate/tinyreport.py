"""The result of TinyFace: for a person, for a script, and as a folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NamedTuple

from arcterm_registry.contracts import Curve

from arcterm.evaluate.closedset import RANKS, ClosedSetRates, SearchRates
from arcterm.features.pictures import Pictures
from arcterm.files import digests, staged_directory, write_json
from arcterm.formats.tinyface import TinyFace
from arcterm.pictures import curves, page
from arcterm.text import percent

_SHOWN = (1, 5, 20)
_NAMED = 20


class TinyImages(NamedTuple):
    """The set, which images were taken, how many had no face, and the names of those that can't be used.

    `model` is in words.
    """

    model: str
    found: TinyFace
    kind: str
    detector: str
    without_face: int | None
    refused: list[str]


def record(about: TinyImages, measured: ClosedSetRates) -> dict[str, Any]:
    """Return the result for a script."""
    found = about.found
    return {
        "set": "TinyFace",
        "lists": digests(found.lists),
        "images": {
            "kind": about.kind,
            "detector": about.detector,
            "without_face": about.without_face,
            "probes": len(found.probes),
            "matches": len(found.matches),
            "distractors": len(found.distractors),
            "refused": len(about.refused),
            "refused_names": about.refused,
        },
        "score": "cosine",
        "ties": "an equal impostor counts against the probe",
        "probes": measured.probes,
        "with_distractors": measured.whole.record(),
        "without_distractors": measured.matches.record(),
    }


def lines(about: TinyImages, measured: ClosedSetRates) -> list[str]:
    """Return the result for a person."""
    return [
        *_head_lines(about, measured),
        f"with distractors     {_rates(measured.whole)}",
        f"without distractors  {_rates(measured.matches)}",
    ]


def page_of(about: TinyImages, measured: ClosedSetRates, drawn: Curve) -> str:
    """Make the page: a table of rates, and the curve."""
    heads = ["gallery", "images", *(f"rank {rank}" for rank in RANKS), "mAP, trapezoids", "mAP, plain"]
    rows = [
        [
            what,
            f"{found.entries:,}",
            *map(percent, [*found.rates.values(), found.map_trapezoidal, found.map_plain]),
        ]
        for what, found in (("with distractors", measured.whole), ("without", measured.matches))
    ]
    said = (f"<p>{page.text(line)}</p>" for line in _head_lines(about, measured))
    rule = (
        "By cosine. A probe is found at a rank if any image of its person is among so many best ones; an "
        "equal impostor counts against it."
    )
    parts = [
        "<h1>TinyFace</h1>",
        *said,
        page.table(rows, heads),
        f'<p class="hint">{rule}</p>',
        curves.part(drawn),
    ]
    return page.page("TinyFace", parts)


def _head_lines(about: TinyImages, measured: ClosedSetRates) -> list[str]:
    found, whole = about.found, measured.whole
    said = [
        f"TinyFace: {measured.probes:,} of {len(found.probes):,} probes; {whole.entries:,} images in the "
        f"gallery, {whole.entries - measured.matches.entries:,} of them distractors; {about.kind} images; "
        f"{about.model}"
    ]
    if about.without_face is not None:
        said.append(
            f"{about.detector} found no face in {about.without_face:,} of {len(found.images):,} images, "
            "which are enlarged as they are"
        )
    if about.refused:
        named = ", ".join(about.refused[:_NAMED]) + (", …" if len(about.refused) > _NAMED else "")
        count = len(about.refused)
        what = "image can't be embedded and is" if count == 1 else "images can't be embedded and are"
        said.append(f"{count:,} {what} left out: {named}")
    return said


def _rates(found: SearchRates) -> str:
    ranks = "  ".join(f"rank-{rank} {percent(found.rates[rank])}" for rank in _SHOWN)
    means = f"mAP {percent(found.map_trapezoidal)} (trapezoids), {percent(found.map_plain)} (plain)"
    return f"{ranks}  {means}"


def write(
    out: Path, drawn_page: str, data: dict[str, Any], drawn: Curve, vectors: Path, pictures: Pictures
) -> None:
    """Make the folder `out`: the result, its curve, a page, and the vectors with their images' names."""
    names = [pictures.name(index) for index in range(len(pictures))]
    with staged_directory(out) as stage:
        write_json(stage / "result.json", data)
        curves.write(stage, "cmc", drawn)
        (stage / "index.html").write_text(drawn_page, encoding="utf-8")
        shutil.copyfile(vectors, stage / "vectors.npy")
        write_json(stage / "vectors.json", names)

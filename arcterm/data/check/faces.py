"""Pictures of findings, as files in the directory of the check's run, so that they can be shown later."""

from __future__ import annotations

from pathlib import Path

import msgspec

from arcterm.data.check.findings import Findings
from arcterm.data.check.survey import Survey
from arcterm.errors import DataError
from arcterm.files import write_bytes
from arcterm.formats.images import encode_jpeg, resize

FOLDER = "faces"
_SHOWN = 40  # findings of a kind
_SIDE, _QUALITY = 112, 85


def write(survey: Survey, findings: Findings, directory: Path) -> None:
    """Write the pictures of the first findings of each kind, and name the files in them.

    One that is damaged, or gone since it was looked at, has none.
    """
    (directory / FOLDER).mkdir(exist_ok=True)
    written: dict[int, str] = {}
    for kind, named in findings.named.items():
        for number, items in enumerate(findings.items[kind][:_SHOWN]):
            shown = [name for item in items if (name := _write(survey, item, directory, written))]
            if shown:
                named[number] = msgspec.structs.replace(named[number], faces=tuple(shown))


def _write(survey: Survey, item: int, directory: Path, written: dict[int, str]) -> str:
    """Write one picture, once; returns its name, empty if there is none."""
    if item not in written:
        name = f"{FOLDER}/{item}.jpg"
        try:
            pixels = survey.image(item, any_size=True)
        except DataError:
            name = ""
        else:
            scale = _SIDE / max(pixels.shape[:2])
            if scale < 1:
                height, width = (max(1, int(side * scale)) for side in pixels.shape[:2])
                pixels = resize(pixels, (height, width))
            write_bytes(directory / name, encode_jpeg(pixels, _QUALITY))
        written[item] = name
    return written[item]

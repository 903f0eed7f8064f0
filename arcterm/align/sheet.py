"""The contact sheet: what is odd first, then faces from all over."""

from __future__ import annotations

from pathlib import Path

from arcterm.align.outcome import ODD, Outcome
from arcterm.align.photos import SHEET
from arcterm.align.rows import Row
from arcterm.errors import DataError
from arcterm.formats import images
from arcterm.pictures.sheet import Colour, Tile
from arcterm.pictures.sheet import draw_sheet as draw

_FRAMES: dict[str, Colour] = {
    "dropped": (224, 76, 76),
    "centre crop": (224, 76, 76),
    "box crop": (232, 148, 62),
    "forced": (222, 200, 74),
}
_QUALITY = 92


def draw_sheet(found: Outcome, root: Path, stage: Path, size: int) -> None:
    """Write the sheet into `stage`, where the aligned faces lie; photos without a face are shown whole."""
    tiles = [tile for row in found.shown if (tile := _tile(row, root, stage)) is not None]
    odd = ", ".join(f"{found.treated[kind]:,} {kind}" for kind in ODD if found.treated[kind])
    total = sum(found.treated.values())
    title = f"{found.files:,} faces of {size} x {size} from {total:,} photos" + (f": {odd}" if odd else "")
    (stage / SHEET).write_bytes(images.encode_jpeg(draw(tiles, title), _QUALITY))


def _tile(row: Row, root: Path, stage: Path) -> Tile | None:
    path = stage / row.files[0] if row.files else root / row.path
    try:
        pixels = images.decode(images.read_file(path), size=None, source=str(path))
    except DataError:  # counted as unreadable where it was found, or gone since
        return None
    return Tile(pixels, row.path, _note(row), _FRAMES.get(row.treated))


def _note(row: Row) -> str:
    if row.treated == "dropped":
        return "no face"
    if row.face is None:
        return row.treated if row.treated in ODD else f"{row.faces} faces"
    said = "" if row.treated == "detected" else f"{row.treated} "
    more = f" of {row.faces}" if row.faces > 1 else ""
    return f"{said}{row.scores[row.face]:.2f}{more}"

"""Files of face detectors, by what they hold or give: a person may take one for a recognition model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from arcterm.errors import DataError
from arcterm.formats.onnxfile import OnnxFile, Shape

_OUTPUTS = re.compile(r"(^|[^a-z])(bbox|box|boxes|kps|landm\w*|loc|anchors?|face_rpn)([^a-z]|$)", re.I)
_ARRAYS = re.compile(
    r"(^|[._])(bboxhead|classhead|landmarkhead|bbox_head|bbox_pred|face_rpn\w*|rpn_\w*|anchors|anchor_grid)[._\d]",
    re.I,
)
_MTCNN = re.compile(r"(^|[._])(conv4|conv5|conv6|dense5|dense6)[-_]2([._]weight|$)")
_NAMED = 4
_FEW = 20  # numbers that a detector gives of a place at most: its score, its box, its points


def refusal(path: Path | str, why: str) -> DataError:
    """Make the error for a detector's file."""
    return DataError(
        f"{path} is a detector's file, not a recognition model: {why}",
        "a detector aligns photos: `arcterm align SRC DST --detector NAME --weights FILE`",
    )


def refuse_graph(found: OnnxFile) -> None:
    """Raise `DataError` if the outputs of an ONNX file are a detector's."""
    if detects([(each.name, each.shape) for each in found.outputs]):
        named = ", ".join(map(str, found.outputs[:_NAMED]))
        more = len(found.outputs) - _NAMED
        raise refusal(
            found.path, f"its outputs are boxes: {named}" + (f" and {more} more" if more > 0 else "")
        )


def detects(outputs: Sequence[tuple[str, Shape | None]]) -> bool:
    """Whether outputs, by names and shapes, are boxes and scores of many places."""
    if len(outputs) < 2:
        return False
    if any(_OUTPUTS.search(name) for name, _ in outputs):
        return True
    widths = {_width(shape) for _, shape in outputs}
    return 4 in widths and all(isinstance(width, int) and width <= _FEW for width in widths)


def _width(shape: Shape | None) -> int | str:
    """How many numbers an output has of each place: planes of a map, else the last axis."""
    if not shape:
        return ""
    return shape[1] if len(shape) == 4 else shape[-1]


def head_of_detector(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """The array, among names and shapes, that shows a detector's; empty if none does.

    MTCNN's networks have no such name, but a layer of that name that gives the four numbers of a box.
    """
    for name, shape in shapes.items():
        if _ARRAYS.search(name) or (_MTCNN.search(name) and shape and shape[0] == 4):
            return name
    return ""

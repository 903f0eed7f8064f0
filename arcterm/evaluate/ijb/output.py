"""The folder of a result: numbers, a page, curves, and the vectors and scores that they come from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from arcterm_registry.contracts import Curve

from arcterm.evaluate.ijb.scoring import ScoredDatabase
from arcterm.files import staged_directory, write_json
from arcterm.pictures import curves
from arcterm.runs.context import JobContext

FEATURES = "features.npy"
CROPS = "crops.jpg"


class Written(NamedTuple):
    """A result: `data` for a script, a `page`, and curves by the name of their files."""

    data: dict[str, Any]
    page: str
    curves: dict[str, Curve]


def write(
    context: JobContext, target: Path, written: Written, scored: ScoredDatabase, *, keep_features: bool
) -> None:
    """Make the folder `target`.

    ``templates.npy`` (T, D) float64 are unit vectors, of the templates in ``template_ids.npy`` (T,) int32;
    ``scores.npy`` (P,) float64 are the pairs' in the order of their file. With `keep_features`
    ``features.npy`` (N, 2·D) float32 are the raw features of image and mirror image, in the order of theirs.
    """
    with staged_directory(target) as stage:
        write_json(stage / "result.json", written.data)
        for name, curve in written.curves.items():
            curves.write(stage, name, curve)
        (stage / "index.html").write_text(written.page, encoding="utf-8")
        shutil.copyfile(context.run.path / CROPS, stage / CROPS)
        np.save(stage / "templates.npy", scored.vectors)
        np.save(stage / "template_ids.npy", scored.ids)
        np.save(stage / "scores.npy", scored.pair_scores)
        if keep_features:
            shutil.copyfile(context.work / FEATURES, stage / FEATURES)

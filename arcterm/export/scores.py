"""A model's scores where its card has them: beside a run's checkpoint, or in a model file of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from arcterm.errors import DataError
from arcterm.files import read_json, write_json
from arcterm.runs.events import Verify


def keep(place: Mapping[str, Any], results: Sequence[Verify]) -> str:
    """Keep `results` with the model at a `place` that `inputs.models.locate` found, over earlier ones by set.

    Returns why that can't be, in words; empty if it was done, or if the model is no file of ours.
    """
    try:
        if "weights" in place:
            _keep_in_run(Path(place["weights"]).parent, results)
    except (OSError, DataError) as error:
        reason = error.message if isinstance(error, DataError) else error.strerror
        return f"the model's card does not have these scores: {reason}"
    return ""


def _keep_in_run(checkpoint: Path, results: Sequence[Verify]) -> None:
    """Put the results beside those of the checkpoint's run; a copy away from it has no place for them."""
    run = checkpoint.parent.parent
    if not (run / "run.json").is_file() or not results:
        return
    path = run / "verify" / f"step-{results[0].step:010d}.json"
    path.parent.mkdir(exist_ok=True)
    earlier = read_json(path, list[Verify]) if path.exists() else []
    fresh = {result.set for result in results}
    write_json(path, [*(result for result in earlier if result.set not in fresh), *results])

"""Scores of a model that was verified, put where its card has them: its run, or its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from arcterm.errors import DataError
from arcterm.export import card
from arcterm.files import read_json, staged_file, write_json
from arcterm.formats import modelfile, modelkind, onnxfile
from arcterm.formats.modelfile import ModelFacts, SetScore
from arcterm.inputs.models import card_scores, facts_of
from arcterm.runs.events import Verify


def keep(place: Mapping[str, Any], results: Sequence[Verify]) -> str:
    """Keep `results` with the model at a `place` that `inputs.models.locate` found, over earlier ones by set.

    Returns why that can't be, in words; empty if it was done, or if the file is another program's.
    """
    try:
        if "weights" in place:
            _keep_in_run(Path(place["weights"]).parent, results)
        elif facts_of(dict(place)):
            add_scores(Path(place.get("onnx") or place["file"]), card_scores(results))
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


def add_scores(path: Path, scores: Sequence[SetScore]) -> ModelFacts:
    """Put `scores` into a model file of ours, .safetensors or ONNX, and its card beside it, if it has one.

    A set that was scored before gets the new scores. The file is replaced whole or not at all, the card after
    it. Returns the facts that it has now. Raises `DataError` for a file of another program, or one that can't
    be written.
    """
    onnx = onnxfile.read(path) if modelkind.find_kind(path) == "onnx" else None
    facts = onnx.facts if onnx else modelfile.read_facts(path)
    if facts is None:
        raise DataError(
            f"{path} has no card for scores: another program wrote it",
            f"`arcterm model import {path}` makes a file that has one",
        )
    facts = msgspec.structs.replace(facts, scores=_merged(facts.scores, scores))
    with staged_file(path) as stage:
        if onnx:
            onnxfile.write_with_metadata(onnx, stage, modelfile.KEY, modelfile.encode(facts))
        else:
            modelfile.write_with_facts(path, stage, facts)
    beside = path.with_name(f"{path.name}.md")
    if beside.is_file():
        text = card.with_scores(beside.read_text(encoding="utf-8", errors="replace"), facts.scores)
        if text is not None:
            with staged_file(beside) as stage:
                stage.write_text(text, encoding="utf-8")
    return facts


def _merged(held: Sequence[SetScore], new: Sequence[SetScore]) -> list[SetScore]:
    """The scores by set, in the order in which the sets came first."""
    return list(({score.set: score for score in held} | {score.set: score for score in new}).values())

"""Scores of a model that was verified, put into its file and its card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from arcterm.errors import DataError
from arcterm.export import card
from arcterm.files import staged_file
from arcterm.formats import modelfile, modelkind, onnxfile
from arcterm.formats.modelfile import ModelFacts, SetScore


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

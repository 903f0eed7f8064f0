"""Scores are put into a model's file and its card, and nothing else in them changes."""

from __future__ import annotations

import msgspec
import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file

from arcterm.errors import DataError
from arcterm.export import card, model
from arcterm.export.cardscores import add_scores
from arcterm.formats import modelfile
from arcterm.formats.modelfile import SetScore
from tests.conftest import little_room

from .conftest import FACTS, SCORE
from .test_onnxmodel import graph

pytestmark = pytest.mark.long

NEW = [
    SetScore(set="lfw", pairs=6000, accuracy=0.9, std=0.01, threshold=1.0, tar=0.8, far_threshold=0.7),
    SetScore(set="heldout", pairs=60, withheld="all 60 pairs are alike"),
]


def written(path):
    path.with_name(f"{path.name}.md").write_text(card.write(FACTS, path.name, input_text="x", parity="y"))
    return path


@pytest.fixture(params=["safetensors", "onnx"])
def file(request, tmp_path, tiny):
    """A model file of ours, with its card."""
    path = tmp_path / f"m.{request.param}"
    if request.param == "onnx":
        graph(path, metadata=[("other", "kept"), (modelfile.KEY, modelfile.encode(FACTS)), ("more", "kept")])
    else:
        model.save(model.Model(FACTS, tiny.network), path)
    return written(path)


def facts_of(path):
    return model.open_model({path.suffix[1:] if path.suffix == ".onnx" else "file": str(path)}).facts


def test_scores_are_added_and_replaced_by_set(file):
    facts = add_scores(file, NEW)
    assert [score.set for score in facts.scores] == ["heldout", "lfw"]
    assert facts.scores == facts_of(file).scores == [NEW[1], NEW[0]]
    assert msgspec.structs.replace(facts, scores=[SCORE]) == FACTS
    text = file.with_name(f"{file.name}.md").read_text()
    assert text == card.write(facts, file.name, input_text="x", parity="y")
    assert add_scores(file, NEW) == facts


def test_the_weights_stay(tmp_path, tiny):
    path = tmp_path / "m.safetensors"
    model.save(model.Model(FACTS, tiny.network), path)
    add_scores(path, NEW)
    state = load_file(path)
    assert all(torch.equal(state[key], value) for key, value in tiny.network.state_dict().items())
    graph(tmp_path / "m.onnx", metadata=[("other", "kept"), (modelfile.KEY, modelfile.encode(FACTS))])
    before = onnx.load(tmp_path / "m.onnx")
    add_scores(tmp_path / "m.onnx", NEW)
    after = onnx.load(tmp_path / "m.onnx")
    assert {e.key: e.value for e in after.metadata_props}["other"] == "kept"
    assert len(after.metadata_props) == 2
    assert after.graph == before.graph


def test_a_full_disk_leaves_what_was_there(file):
    before = {path: path.read_bytes() for path in file.parent.iterdir()}
    with little_room(), pytest.raises(DataError, match="can't be written"):
        add_scores(file, NEW)
    assert {path: path.read_bytes() for path in file.parent.iterdir()} == before


def test_another_programs_file_has_no_place_for_them(tmp_path):
    save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors")
    for path in (tmp_path / "a.safetensors", graph(tmp_path / "a.onnx")["onnx"]):
        with pytest.raises(DataError, match="has no card for scores"):
            add_scores(tmp_path / path, NEW)

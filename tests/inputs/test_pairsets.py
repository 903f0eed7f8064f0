"""From text to verification sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from arcterm.errors import ConfigError, DataError
from arcterm.formats.images import encode_jpeg
from arcterm.formats.pairs.binfile import write_pairs
from arcterm.inputs import pairsets

IMAGE = encode_jpeg(np.zeros((8, 8, 3), np.uint8))


def make(path: Path, pairs: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_pairs(path, [IMAGE] * 2 * pairs, [True] * pairs)
    return path


@pytest.fixture
def root(tmp_path):
    for name, pairs in (("pack/lfw", 1), ("pack/cfp", 2), ("more/lfw", 3), ("more/calfw", 4)):
        make(tmp_path / f"{name}.bin", pairs)
    return tmp_path


def counts(sets):
    return {name: len(sets[name].same) for name in sets}


def test_files_and_folders_are_found_in_the_order_in_which_they_are_given(root):
    found = pairsets.find([root / "more/calfw.bin", root / "pack"])
    assert counts(found) == {"calfw": 4, "cfp": 2, "lfw": 1}
    assert list(found) == ["calfw", "cfp", "lfw"]


def test_two_sets_of_one_name_are_told_apart_by_their_folders(root):
    assert counts(pairsets.find([root / "pack/lfw.bin", root / "more"])) == {
        "lfw": 1, "calfw": 4, "more/lfw": 3,
    }  # fmt: skip
    assert counts(pairsets.find([root / "pack/lfw.bin", root / "pack"])) == {"lfw": 1, "cfp": 2}


def test_all_places_without_a_set_are_named_at_once(root):
    (root / "empty").mkdir()
    (root / "list.txt").write_text("x")
    with pytest.raises(DataError) as refused:
        pairsets.find([root / "pack", root / "empty", root / "gone", root / "list.txt"])
    text = refused.value.message
    assert all(word in text for word in ("empty holds no", "there is no", "list.txt is no .bin"))
    assert "pack" not in text.replace(str(root), "")


def test_a_choice_takes_names_and_paths(root):
    own = pairsets.find([root / "pack"])
    assert counts(pairsets.choose(own, "")) == {"cfp": 2, "lfw": 1}
    assert counts(pairsets.choose(own, f"lfw, {root}/more/calfw.bin")) == {"lfw": 1, "calfw": 4}
    assert counts(pairsets.choose(own, f"all,{root}/more")) == {
        "cfp": 2, "lfw": 1, "calfw": 4, "more/lfw": 3,
    }  # fmt: skip
    with pytest.raises(ConfigError, match="no verification set 'agedb'; it has: cfp, lfw"):
        pairsets.choose(own, "agedb,lfw")


def test_the_sets_beside_a_model_are_found(root):
    assert pairsets.beside(root / "model.onnx") == [
        root / name for name in ("more/calfw.bin", "more/lfw.bin", "pack/cfp.bin", "pack/lfw.bin")
    ]

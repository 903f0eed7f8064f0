"""The pairs that count against the accuracy, as pictures and a page."""

from __future__ import annotations

import re

import numpy as np
import pytest

from arcterm.errors import DataError
from arcterm.formats.images import decode, encode_jpeg
from arcterm.formats.pairs.binfile import PairBin
from arcterm.verify import mistakes, protocol

IMAGE = encode_jpeg(np.full((112, 112, 3), 200, np.uint8))


def embeddings(distances):
    """Two unit vectors a pair, `distances` apart."""
    angles = np.arccos(1 - np.asarray(distances) / 2)
    return np.array([row for a in angles for row in ((1, 0), (np.cos(a), np.sin(a)))], np.float64)


def drawn(pairs, seed):
    random = np.random.default_rng(seed)
    same = random.random(pairs) < 0.5
    return random.uniform(0.2, 2.4, pairs) + 0.8 * ~same, same


@pytest.mark.parametrize("pairs", [40, 43])
def test_they_are_as_many_as_the_accuracies_of_the_folds_say(pairs):
    distances, same = drawn(pairs, pairs)
    scored = protocol.evaluate(embeddings(distances), same)
    wrong = mistakes.find(protocol.pair_distances(embeddings(distances)), same, scored)
    sizes = [len(fold) for fold in np.array_split(range(pairs), 10)]
    right = sum(size * share for size, share in zip(sizes, scored.fold_accuracies, strict=True))
    assert len(wrong) == pairs - round(right)
    assert all((each.distance < each.threshold) != each.same == same[each.pair] for each in wrong)
    beyond = [abs(each.distance - each.threshold) for each in wrong]
    assert beyond == sorted(beyond, reverse=True)


def test_a_set_without_thresholds_has_none():
    assert mistakes.find(np.ones(3), np.ones(3, bool), protocol.Verification()) == []


def test_they_are_written_as_pictures_and_a_page(tmp_path):
    found = [mistakes.Mistake(1, True, 2.0, 1.5), mistakes.Mistake(0, False, 1.25, 1.5)]
    pairs = PairBin("lfw", [memoryview(IMAGE)] * 3 + [memoryview(b"broken")], np.array([False, True]))
    place = tmp_path / "wrong"
    name = "../<b>lfw</b>"
    mistakes.write(place, "model <x>", [mistakes.SetMistakes(name, pairs, found)])
    page = (place / "index.html").read_text()
    assert "2 of 2 pairs are wrong: 1 of one person taken for two, 1 of two people taken for one" in page
    assert "pair 1: one person, distance 2.000, cosine 0.000, threshold 1.50" in page
    assert "<b>lfw" not in page and "<x>" not in page and "can't be shown" in page
    assert page.index("pair 1:") < page.index("pair 0:") and len(re.findall("<img", page)) == 3
    (folder,) = [path for path in place.iterdir() if path.is_dir()]
    assert sorted(path.name for path in folder.iterdir()) == [
        "000000-different-a.jpg", "000000-different-b.jpg", "000001-same-a.jpg",
    ]  # fmt: skip
    shown = decode((folder / "000001-same-a.jpg").read_bytes(), size=(112, 112), source="")
    assert abs(int(shown.mean()) - 200) < 3


def test_a_place_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "kept").write_text("x")
    with pytest.raises(DataError, match="already exists"):
        mistakes.write(tmp_path / "mine", "m", [])
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "kept"]

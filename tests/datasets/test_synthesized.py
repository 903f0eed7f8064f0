"""The data set synthetic."""

from __future__ import annotations

import numpy as np
import pytest
from arcterm_registry import get
from arcterm_registry.conformance import check
from arcterm_registry.contracts import LabelledDataset

from .conftest import counts, pixels, quiet

OPEN, INSPECT = get("dataset", "synthetic").make, get("dataset", "synthetic").make_facts


def test_counts_and_labels() -> None:
    opened, facts = OPEN(classes=7, images=40), INSPECT(classes=7, images=40)
    assert isinstance(opened, LabelledDataset)
    assert (
        (facts.images, facts.classes, facts.image_size)
        == (40, 7, (112, 112))
        == (len(opened), opened.classes, (112, 112))
    )
    assert counts(opened) == [6, 6, 6, 6, 6, 5, 5]
    assert dict(opened.verification) == dict(facts.verification) == {}
    assert "noise" in facts.problems[0]
    with pytest.raises(IndexError):
        opened[40]


def test_ten_million_people() -> None:
    opened = OPEN(classes=10_000_000, images=10_000_001)
    assert opened[9_999_999].label == 9_999_999 and opened[10_000_000].label == 0
    assert opened.labels(quiet)[-2:].tolist() == [9_999_999, 0]


def test_pictures_weigh_what_faces_do() -> None:
    opened = OPEN()
    files = [opened[n].image for n in range(64)]
    assert len(set(files)) == 64
    assert 7_500 < np.mean([len(file) for file in files]) < 9_000
    assert opened[64].image == files[0]
    assert OPEN(seed=1)[0].image != files[0] and OPEN()[0].image == files[0]
    assert len({INSPECT(seed=n, decoded=d).fingerprint for n in (0, 1) for d in (False, True)}) == 4


def test_decoded_they_are_the_same_pictures() -> None:
    files, arrays = OPEN(), OPEN(decoded=True)
    for index in (0, 63, 64):
        assert np.array_equal(arrays[index].image, pixels(files[index].image))
    with pytest.raises(ValueError, match="read-only"):
        arrays[0].image[0, 0] = 1


@pytest.mark.parametrize("decoded", [False, True])
def test_it_is_as_a_plug_in_should_be(decoded: bool) -> None:
    found = list(check("dataset", "synthetic", classes=50, images=200, decoded=decoded))
    assert [f for f in found if f.outcome == "failed"] == []

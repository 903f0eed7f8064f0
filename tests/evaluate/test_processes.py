"""The commands as they are typed: real photos, MTCNN, one rank and two."""

from __future__ import annotations

import shutil

import cv2
import pytest

from arcterm.formats.tinyface import SUBSETS
from tests.evaluate.conftest import report
from tests.evaluate.tinysets import write_lists

pytestmark = pytest.mark.slow


@pytest.fixture
def small(tmp_path, test_data):
    """Small pictures of eight people of the ORL database, and of others as distractors."""
    folder = tmp_path / "tinyface" / "Testing_Set"
    rows = [(f"s{person}", str(number)) for person in range(1, 31) for number in (1, 2, 3)]
    listed = ({}, {})
    for person, number in rows:
        own = int(person[1:])
        subset = 2 if own > 8 else 0 if number == "1" else 1
        name = f"{own}_{number}.png"
        if subset < 2:
            listed[subset][name] = own
        pixels = cv2.imread(str(test_data(f"faces/orl/{person}/{number}.pgm")))
        if own > 25:
            pixels = cv2.flip(pixels, 0)  # upside down, where no face is found
        (folder / SUBSETS[subset]).mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(folder / SUBSETS[subset] / name), cv2.resize(pixels, (22, 27)))
    write_lists(folder, *listed)
    return tmp_path / "tinyface"


def test_two_ranks_score_tinyface(arcterm, weights, small, test_data):
    mtcnn = str(test_data("mtcnn/det1.npy").parent)
    words = ("evaluate", "tinyface", weights, small, "--nproc", 2, "--batch-size", 7, "--json")
    found = report(arcterm(*words, ARCTERM_MTCNN=mtcnn))
    images = found["images"]
    assert (images["kind"], images["detector"], images["probes"], images["distractors"]) == (
        "original", "mtcnn", 8, 66,
    )  # fmt: skip
    assert 5 <= images["without_face"] <= 30
    assert found["with_distractors"]["gallery"] == 82
    assert found["with_distractors"]["rank_1"] > 1 / 8


@pytest.fixture
def album(tmp_path, test_data):
    """A gallery of six people of the ORL database, and probes of them and of four others."""
    for person in range(1, 11):
        for number in range(1, 5):
            folder = "gallery" if number < 3 else "probes"
            if person > 6 and folder == "gallery":
                continue
            (tmp_path / folder / f"s{person}").mkdir(parents=True, exist_ok=True)
            source = test_data(f"faces/orl/s{person}/{number}.pgm")
            shutil.copy(source, tmp_path / folder / f"s{person}" / source.name)
    return tmp_path


def test_people_are_identified_by_a_command(arcterm, weights, album):
    shutil.copy(weights, album / "net.pth")
    words = ("identify", "net.pth", "gallery", "probes", "--resize", "--fpir", 0.25)
    rates = report(arcterm(*words, "--nproc", 2, "--out", "out", "--json"))["rates"]
    assert (rates["mated"], rates["strangers"], rates["fpir"]) == (12, 8, 0.25)
    assert rates["rank_1"] > 1 / 3  # of six people, by random weights
    assert len((album / "out" / "identify.jsonl").read_text().splitlines()) == 20

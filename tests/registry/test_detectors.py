"""The checks of detectors: what is sound passes all of them, what is wrong in one way fails that one."""

from __future__ import annotations

import pytest
from arcterm_registry.conformance import check, checks

from arcterm.detectors import mtcnn, yunet

from . import toydetectors as toys

pytestmark = pytest.mark.long


def outcomes(declared, **options):
    return {found.check: (found.outcome, found.detail) for found in check("detector", declared, **options)}


@pytest.mark.parametrize("fault", toys.DETECTORS)
def test_a_detector_that_is_wrong_in_one_way_fails_that_check(fault):
    name, outcome, said, declared = toys.DETECTORS[fault]
    found = outcomes(declared)
    assert found[name][0] == outcome, found
    assert said in found[name][1]
    allowed = ("ok", "skipped")
    assert {key for key, (state, _) in found.items() if state not in allowed} == {name}


@pytest.mark.parametrize("fault", toys.WRONG_FACES)
def test_faces_are_checked_wherever_they_come_up(fault):
    factory, said = toys.WRONG_FACES[fault]
    assert said in outcomes(toys.declare(factory))["faces"][1]


def test_a_sound_detector_passes_and_every_check_has_a_control():
    found = outcomes(toys.declare("Sound"))
    assert {key for key, (outcome, _) in found.items() if outcome != "ok"} == {"light"}
    made = {one.name for one in checks("detector", toys.declare("Sound"))}
    assert made - {"declaration", "light"} == {name for name, *_ in toys.DETECTORS.values()}


def test_without_weights_all_is_skipped_and_says_what_to_get():
    found = outcomes(
        toys.declare("Sound", find="tests.registry.toydetectors:no_weights", advice="get them from X")
    )
    assert found["build"] == ("skipped", "its weights are not here: get them from X")
    assert found["options"] == ("skipped", "rests on build")
    assert not [key for key, (outcome, _) in found.items() if outcome == "failed"]


@pytest.mark.parametrize(
    ("declared", "weights"),
    [(mtcnn, "mtcnn/det1.npy"), (yunet, "yunet/face_detection_yunet_2026may.onnx")],
    ids=["mtcnn", "yunet"],
)
def test_what_comes_with_arcterm_passes(declared, weights, test_data):
    path = test_data(weights)
    found = outcomes(declared, path=str(path.parent if declared is mtcnn else path))
    assert {key for key, (outcome, _) in found.items() if outcome != "ok"} == {"light"}, found

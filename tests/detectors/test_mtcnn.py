"""MTCNN: FaceNet's numbers, whatever the images, together or alone, and from all three kinds of files."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from arcterm_registry import get

from arcterm.detectors.cascade import boxes as boxing
from arcterm.detectors.cascade import detector as cascade
from arcterm.detectors.cascade.suppression import suppress
from arcterm.formats import npydict

from .conftest import CENTRES
from .facenet import DETAILS, FaceNet

NEAR = 0.01  # pixels
PARTS = {
    "over the left edge": (40, 920, 250, 250, 20),
    "half a face": (300, 480, 220, 250, 20),
    "sizes that are whole": (300, 60, 100, 80, 20),
    "two faces": (100, 200, 500, 500, 24),
    "nobody": (360, 700, 112, 96, 20),
}


def make(weights: Path | str, **options: Any) -> Any:
    return get("detector", "mtcnn").make(str(weights), **options)


@pytest.fixture(scope="module")
def detector(mtcnn_folder: Path) -> Any:
    return make(mtcnn_folder)


@pytest.fixture(scope="module")
def layers(mtcnn_folder: Path) -> list[Any]:
    return [npydict.read(mtcnn_folder / f"det{number}.npy") for number in (1, 2, 3)]


def part(photo: np.ndarray, name: str) -> tuple[np.ndarray, int]:
    y, x, h, w, minsize = PARTS[name]
    return photo[y : y + h, x : x + w], minsize


def as_rows(faces: list[Any]) -> np.ndarray:
    """(n, 15): box, points and score."""
    return np.array([[*face.box, *face.points.ravel(), face.score] for face in faces]).reshape(-1, 15)


def transcribed(boxes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The same of FaceNet's answer."""
    ordered = points.reshape(2, 5, -1).transpose(2, 1, 0).reshape(-1, 10)
    return np.hstack([boxes[:, :4], ordered, boxes[:, 4:]])


@pytest.mark.long
def test_the_six_faces(mtcnn_folder, six_faces, layers):
    made = make(mtcnn_folder, minsize=40, threshold3=0.9)
    before = six_faces.copy()
    [faces] = made.detect([six_faces])
    assert len(faces) == 6
    middles = np.array(sorted(((face.box[:2] + face.box[2:]) / 2).tolist() for face in faces))
    assert np.abs(middles - CENTRES).max() < 8
    assert [face.score for face in faces] == sorted((face.score for face in faces), reverse=True)
    for face in faces:
        assert face.points[0, 0] < face.points[1, 0] and face.points[3, 0] < face.points[4, 0]
    assert np.array_equal(six_faces, before)
    wanted = transcribed(*FaceNet(layers).detect(six_faces, 40, (0.6, 0.7, 0.9), 0.709))
    assert np.abs(as_rows(faces) - wanted).max() < NEAR


@pytest.mark.parametrize("name", PARTS)
def test_the_numbers_are_facenets(detector, six_faces, layers, name):
    image, minsize = part(six_faces, name)
    ours = as_rows(detector.detect([image], [minsize])[0])
    wanted = transcribed(*FaceNet(layers).detect(image, minsize, (0.6, 0.7, 0.7), 0.709))
    assert len(ours) == len(wanted)
    assert len(ours) == 0 or np.abs(ours - wanted).max() < NEAR


@pytest.mark.long
@pytest.mark.parametrize(
    "detail", [d for d in DETAILS if d not in ("one candidate not mirrored", "NMS without +1")]
)
def test_another_programs_detail_would_be_seen(six_faces, layers, detail):
    """What the comparison above rests on: each detail changes some box by more than it allows."""
    names = {"clipped at the border": "half a face", "unrounded pixels at stage 1": "over the left edge"}
    image, minsize = part(six_faces, names.get(detail, "two faces"))
    right, wrong = (
        FaceNet(layers, changed).detect(image, minsize, (0.6, 0.7, 0.7), 0.709)[0] for changed in ("", detail)
    )
    assert len(right) != len(wrong) or np.abs(right - wrong).max() > NEAR


def test_a_single_candidate_moves_as_the_mirrored_one(detector):
    scores = np.zeros((3, 4), np.float32)
    scores[1, 0] = 0.9
    shifts = np.arange(48, dtype=np.float32).reshape(4, 3, 4)
    alone = cascade._read_map(scores, shifts, 1.0, 0.6)
    assert alone.shifts.tolist() == [shifts[:, 1, 3].tolist()]
    scores[2, 0] = 0.8
    assert shifts[:, 1, 0].tolist() in cascade._read_map(scores, shifts, 1.0, 0.6).shifts.tolist()


def test_several_images_are_as_one_by_one(detector, six_faces):
    images = [part(six_faces, name)[0] for name in PARTS]
    images += [images[0][:, ::-1], np.zeros((250, 250, 3), np.uint8), np.zeros((5, 900, 3), np.uint8)]
    together = detector.detect(images)
    assert sum(map(len, together)) >= 5
    for image, faces in zip(images, together, strict=True):
        alone = detector.detect([image])[0]
        assert len(faces) == len(alone)
        assert np.abs(as_rows(faces) - as_rows(alone)).max(initial=0) < NEAR


@pytest.mark.long
def test_the_number_of_threads_changes_nothing(detector, six_faces):
    images = [part(six_faces, name)[0] for name in PARTS] * 2
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append([as_rows(faces) for faces in detector.detect(images)])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for one, three in zip(*found, strict=True):
        assert np.array_equal(one, three)


@pytest.mark.long
def test_in_strips_and_small_batches_it_is_the_same(detector, six_faces, monkeypatch):
    images = [part(six_faces, "two faces")[0]] * 2
    whole = detector.detect(images)
    monkeypatch.setattr(detector, "_portion", cascade.Portion(10_000, 7))
    assert np.abs(as_rows(detector.detect(images)[1]) - as_rows(whole[1])).max() < NEAR


def test_grey_is_three_times_the_same(detector, six_faces):
    grey = cv2.cvtColor(part(six_faces, "two faces")[0], cv2.COLOR_RGB2GRAY)
    repeated, plain, deep = detector.detect([np.dstack([grey] * 3), grey, grey[:, :, None]])
    assert len(repeated) > 0
    assert np.abs(as_rows(plain) - as_rows(repeated)).max() < NEAR
    assert np.abs(as_rows(deep) - as_rows(repeated)).max() < NEAR


def test_nothing_in_nothing(detector):
    shapes = [(0, 0, 3), (1, 1, 3), (19, 400, 3), (20, 20, 3), (250, 250, 3)]
    assert detector.detect([np.zeros(shape, np.uint8) for shape in shapes]) == [[]] * 5
    assert detector.detect([]) == []


def test_the_smallest_face_of_each_image(detector, six_faces):
    image = part(six_faces, "two faces")[0]
    few, all_of_them = detector.detect([image, image], [300, 24])
    assert (len(few), len(all_of_them)) == (0, 2)
    assert detector.detect([image[:40, :40]], [0])[0] == []


class TestFacesWhosePlaceIsKnown:
    """`refine`, which is InsightFace's `detect_face_force`."""

    BOX = np.array([466.1, 266.5, 568.3, 411.7])

    def test_the_numbers(self, detector, six_faces, layers):
        face = detector.refine(six_faces, self.BOX)
        wanted = transcribed(*FaceNet(layers).force(six_faces, self.BOX))
        assert np.abs(as_rows([face]) - wanted[:1]).max() < NEAR
        assert face.score > 0.9

    def test_over_the_edge_and_outside(self, detector, six_faces):
        half = six_faces[:, 517:]
        assert detector.refine(half, self.BOX - [517, 0, 517, 0]) is not None
        outside = detector.refine(half, np.array([5000, 5000, 5090, 5090]))
        assert outside is None or outside.score < 0.3

    @pytest.mark.parametrize("box", [[50, 50, 40, 40], [np.nan] * 4, [0, 0, np.inf, 5], [10, 10, 9, 30]])
    def test_what_is_no_box(self, detector, six_faces, box):
        assert detector.refine(six_faces, np.array(box, float)) is None


class TestOracle:
    """Worked numbers of the arithmetic."""

    BOX = np.array([[10.0, 20, 49, 69]])
    SHIFTS = np.array([[0.1, -0.05, 0, 0.1]])

    def test_moved(self):
        assert np.allclose(boxing.move(self.BOX, self.SHIFTS, 0), [[13.9, 17.55, 49, 73.9]])
        moved = boxing.move(self.BOX, self.SHIFTS, 1)
        assert np.allclose(moved, [[14, 17.5, 49, 74]])
        assert np.trunc(boxing.square(moved)).tolist() == [[3, 17, 59, 74]]

    def test_cells(self):
        assert boxing.cells_to_boxes(np.array([3]), np.array([5]), 0.6).tolist() == [[11, 18, 30, 36]]

    def test_levels(self):
        assert boxing.level_size(100, 80, boxing.pyramid(100, 80, 20, 0.709)[0]) == (60, 48)
        assert boxing.level_size(250, 250, boxing.pyramid(250, 250, 20, 0.709)[0]) == (150, 150)
        assert len(boxing.pyramid(20, 20, 20, 0.709)) == 1
        assert boxing.pyramid(19, 300, 20, 0.709) == []

    @pytest.mark.parametrize(
        ("box", "target", "source"),
        [
            ((-3, 2, 8, 13), np.s_[0:12, 4:12], np.s_[1:13, 0:8]),
            ((14, 15, 25, 26), np.s_[0:6, 0:7], np.s_[14:20, 13:20]),
            ((0, 0, 11, 11), np.s_[1:12, 1:12], np.s_[0:11, 0:11]),
        ],
    )
    def test_crops_over_the_border(self, box, target, source):
        image = np.arange(1, 401).reshape(20, 20, 1).repeat(3, 2) % 255
        crop = boxing.crop(image.astype(np.uint8), box, 12)
        wanted = np.zeros((12, 12, 3))
        wanted[target] = image[source]
        assert np.array_equal(crop, wanted)

    def test_ramp(self):
        ramp = np.arange(15, dtype=np.float64).reshape(3, 5) * 10
        assert np.allclose(boxing.resize(ramp, 2, 2), [[24.67, 48.67], [91.33, 115.33]], atol=0.005)
        assert boxing.resize(ramp.astype(np.uint8), 2, 2).tolist() == [[25, 49], [91, 115]]

    @pytest.mark.parametrize(("sides", "apart", "left"), [(11, 4, 2), (9, 3, 1)])
    def test_overlaps_count_both_ends(self, sides, apart, left):
        pair = np.array([[0.0, 0, sides, sides], [apart, 0, sides + apart, sides]])
        assert len(suppress(pair, np.array([0.9, 0.8]), 0.5)) == left


@pytest.mark.long
def test_suppression_of_many_is_that_of_one_after_the_other():
    draw = np.random.default_rng(1)
    corner = draw.uniform(0, 300, (3000, 2))
    boxes = np.trunc(np.hstack([corner, corner + draw.uniform(10, 60, (3000, 2))]))
    scores = draw.permutation(3000) / 3000
    plain, other = FaceNet([]), FaceNet([], "NMS without +1")
    rows = np.hstack([boxes, scores[:, None]])
    assert not np.array_equal(plain.nms(rows, 0.5, "Union"), other.nms(rows, 0.5, "Union"))
    for method, limit in (("Union", 0.5), ("Union", 0.7), ("Min", 0.7)):
        wanted = plain.nms(rows, limit, method)
        assert np.array_equal(suppress(boxes, scores, limit, smaller=method == "Min"), wanted)


@pytest.mark.long
def test_forty_thousand_candidates_take_little_memory():
    """More than a 16-bit index counts, and a matrix of all their overlaps would be 12 GB."""
    draw = np.random.default_rng(2)
    corner = draw.uniform(0, 2500, (40_000, 2))
    tracemalloc.start()
    kept = suppress(np.hstack([corner, corner + 24]), draw.random(40_000), 0.5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(kept) > 32_767
    assert len(set(kept.tolist())) == len(kept) > 5_000
    assert peak < 400 << 20


@pytest.mark.long
def test_a_huge_crop_is_reduced_in_strips(monkeypatch):
    image = np.random.default_rng(3).integers(0, 256, (700, 900, 3), np.uint8)
    box = (-50, 20, 780, 850)
    whole = boxing.crop(image, box, 48)
    monkeypatch.setattr(boxing, "_LARGE", 10_000)
    assert np.abs(boxing.crop(image, box, 48) - whole).max() < 1e-3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_a_gpu_gives_the_same(detector, six_faces, layers):
    image, minsize = part(six_faces, "two faces")
    wanted = transcribed(*FaceNet(layers).detect(image, minsize, (0.6, 0.7, 0.7), 0.709))
    assert np.abs(as_rows(detector.detect([image], [minsize])[0]) - wanted).max() < NEAR

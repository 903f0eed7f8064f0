"""YuNet: the six faces of a photo at any size and colour, and files that are not its weights."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from arcterm_registry import get

from arcterm.detectors.pixels import three_channels
from arcterm.errors import DataError

from .conftest import CENTRES

FILE = "yunet/face_detection_yunet_2026may.onnx"


def make(weights: Path | str, **options: Any) -> Any:
    return get("detector", "yunet").make(str(weights), **options)


@pytest.fixture(scope="module")
def detector(test_data: Callable[[str], Path]) -> Any:
    return make(test_data(FILE))


def middles(faces: list[Any]) -> np.ndarray:
    """Middles of the boxes, from left to right."""
    found = np.array([(face.box[:2] + face.box[2:]) / 2 for face in faces])
    return found[np.argsort(found[:, 0])]


def test_the_six_faces_the_best_first(detector, six_faces):
    before = six_faces.copy()
    [faces] = detector.detect([six_faces])
    assert np.abs(middles(faces) - CENTRES).max() < 2
    scores = [face.score for face in faces]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] > 0.9 and scores[0] < 0.95
    for face in faces:
        assert face.box.dtype == face.points.dtype == np.float64
        assert face.points.shape == (5, 2)
        assert face.points[0, 0] < face.points[1, 0] and face.points[3, 0] < face.points[4, 0]
        assert (face.points > face.box[:2]).all() and (face.points < face.box[2:]).all()
    assert np.array_equal(six_faces, before)


def test_what_opencv_gives_for_bgr(detector, six_faces, test_data):
    bare = cv2.FaceDetectorYN.create(str(test_data(FILE)), "", six_faces.shape[1::-1], 0.6, 0.3, 5000)
    rows = bare.detect(np.ascontiguousarray(six_faces[:, :, ::-1]))[1]
    for row, face in zip(rows, detector.detect([six_faces])[0], strict=True):
        assert np.array_equal(np.concatenate([row[:2], row[:2] + row[2:4]]), face.box.astype(np.float32))
        assert np.array_equal(row[4:14], face.points.ravel())
        assert row[14] == np.float32(face.score)


@pytest.mark.long
def test_images_of_several_sizes_are_as_one_by_one(detector, six_faces):
    images = [six_faces, six_faces[:300, :500], np.zeros((1, 1, 3), np.uint8), six_faces[200:500, 400:900]]
    together = detector.detect(images)
    assert [len(faces) for faces in together][2] == 0
    for image, faces in zip(images, together, strict=True):
        for ours, alone in zip(faces, detector.detect([image])[0], strict=True):
            assert np.array_equal(ours.box, alone.box) and np.array_equal(ours.points, alone.points)


@pytest.mark.long
def test_a_large_photo_is_looked_at_reduced_and_its_faces_stand_where_they_are(detector, six_faces):
    large = cv2.resize(six_faces, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    [faces] = detector.detect([large])
    assert np.abs(middles(faces) / 3 - CENTRES).max() < 2


@pytest.mark.long
def test_grey_images_have_the_landmarks_of_their_three_channels(detector, six_faces):
    grey = cv2.cvtColor(six_faces, cv2.COLOR_RGB2GRAY)
    opaque = cv2.cvtColor(six_faces, cv2.COLOR_RGB2RGBA)
    repeated = detector.detect([np.dstack([grey] * 3)])[0]
    assert len(repeated) == 6
    for image, wanted in (
        (grey, repeated),
        (grey[:, :, None], repeated),
        (opaque, *detector.detect([six_faces])),
    ):
        for ours, face in zip(detector.detect([image])[0], wanted, strict=True):
            assert np.array_equal(ours.points, face.points)


@pytest.mark.parametrize("image", [np.zeros((9, 9, 3)), np.zeros((9, 9, 2), np.uint8), np.zeros(9, np.uint8)])
def test_what_is_no_image_is_refused(image):
    with pytest.raises(ValueError, match="an image"):
        three_channels(image)


def test_small_faces_can_be_left_out(detector, six_faces):
    whole, small = detector.detect([six_faces, six_faces], [0, 130])
    assert len(whole) == 6
    assert 0 < len(small) < 6 and all((face.box[2:] - face.box[:2]).max() >= 130 for face in small)


def test_nothing_in_nothing(detector):
    images = [np.full((h, w, 3), 0, np.uint8) for h, w in ((250, 250), (0, 0), (5, 900))]
    assert detector.detect(images) == [[], [], []]
    assert detector.detect([]) == []


def test_opencv_says_nothing(test_data):
    code = (
        "import sys, numpy as np; from arcterm_registry import get; "
        "made = get('detector', 'yunet').make(sys.argv[1]); made.detect([np.zeros((90, 70, 3), np.uint8)])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(test_data(FILE))], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


@pytest.mark.long
def test_opencv_would_have_said_something(test_data):
    code = "import sys, cv2; cv2.FaceDetectorYN.create(sys.argv[1], '', (320, 320))"
    done = subprocess.run([sys.executable, "-c", code, str(test_data(FILE))], capture_output=True, check=True)
    if not done.stderr:
        pytest.skip("this OpenCV logs nothing")
    assert b"WARN" in done.stderr


class TestFilesThatAreNoYuNet:
    """Each is a `DataError` that names the file, the reason and where the right one is."""

    def refused(self, path: Path, reason: str, hint: str = "opencv_zoo") -> None:
        with pytest.raises(DataError) as caught:
            make(path)
        assert str(path) in caught.value.message
        assert reason in caught.value.message
        assert hint in caught.value.hint

    def test_missing(self, tmp_path):
        self.refused(tmp_path / "none.onnx", "No such file")
        self.refused(tmp_path, "Is a directory")

    def test_a_pointer(self, tmp_path):
        path = tmp_path / "face_detection_yunet_2023mar.onnx"
        path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 232589\n")
        self.refused(path, "Git LFS pointer", "git lfs pull")

    @pytest.mark.parametrize("data", [b"", b"text\n" * 99, bytes(1000), b"\xff" * 1000, b"\x3a\xff\x7f"])
    def test_no_onnx(self, tmp_path, data):
        path = tmp_path / "a.onnx"
        path.write_bytes(data)
        self.refused(path, "ONNX file" if data else "is empty")

    def test_cut_short(self, tmp_path, test_data):
        data = test_data(FILE).read_bytes()
        path = tmp_path / "a.onnx"
        for length in (len(data) - 1, len(data) // 2, 100):
            path.write_bytes(data[:length])
            self.refused(path, "no whole ONNX file")

    def test_too_long(self, tmp_path, test_data):
        path = tmp_path / "a.onnx"
        shutil.copy(test_data(FILE), path)
        path.chmod(0o600)
        with path.open("r+b") as file:
            file.truncate(9 << 20)
        self.refused(path, "less than 8 MiB")

    def test_another_network(self, tmp_path):
        path = tmp_path / "a.onnx"
        path.write_bytes(network(["input.1"], ["683"]))
        self.refused(path, "another network: its outputs are 683")

    def test_the_names_alone(self, tmp_path):
        outputs = [f"{part}_{stride}" for part in ("cls", "obj", "bbox", "kps") for stride in (8, 16, 32)]
        path = tmp_path / "a.onnx"
        path.write_bytes(network(["input"], outputs))
        self.refused(path, "OpenCV can't run it")


def network(inputs: list[str], outputs: list[str]) -> bytes:
    """An ONNX file of a graph that has inputs and outputs and computes nothing."""

    def field(number: int, data: bytes) -> bytes:
        return bytes([number << 3 | 2, len(data)]) + data

    graph = b"".join(field(11, field(1, name.encode())) for name in inputs)
    graph += b"".join(field(12, field(1, name.encode())) for name in outputs)
    length = len(graph)
    return b"\x08\x08" + bytes([7 << 3 | 2, length & 127 | 128, length >> 7]) + graph


class TestWhereItIs:
    """The file that a variable names, or one in the folder of a user's data."""

    def test_nowhere(self, tmp_path, monkeypatch):
        monkeypatch.delenv("ARCTERM_YUNET", raising=False)
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
        assert get("detector", "yunet").find_weights() is None

    def test_in_the_folder_the_newest(self, tmp_path, monkeypatch):
        monkeypatch.delenv("ARCTERM_YUNET", raising=False)
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
        folder = tmp_path / "arcterm" / "detectors"
        folder.mkdir(parents=True)
        for year in ("2023mar", "2026may"):
            (folder / f"face_detection_yunet_{year}.onnx").touch()
        assert get("detector", "yunet").find_weights() == str(folder / "face_detection_yunet_2026may.onnx")

    def test_named(self, tmp_path, monkeypatch):
        monkeypatch.setenv("ARCTERM_YUNET", str(tmp_path / "x.onnx"))
        assert get("detector", "yunet").find_weights() == str(tmp_path / "x.onnx")

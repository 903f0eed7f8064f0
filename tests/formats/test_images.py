"""Images to pixels: colours the right way round, sizes checked, nonsense refused quietly."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from arcterm.errors import DataError
from arcterm.formats.images import decode, encode_jpeg, is_jpeg, read_file, resize

RED = np.zeros((12, 16, 3), np.uint8) + np.array([200, 30, 60], np.uint8)


def encoded(suffix: str, pixels: np.ndarray) -> bytes:
    return cv2.imencode(suffix, pixels)[1].tobytes()


def test_jpeg_round_trip_is_rgb() -> None:
    data = encode_jpeg(RED)
    assert is_jpeg(data) and not is_jpeg(b"P5 2 2")
    for form in (data, memoryview(data), np.frombuffer(data, np.uint8)):
        pixels = decode(form, size=(12, 16), source="it")
        assert pixels.shape == (12, 16, 3) and pixels.dtype == np.uint8
        assert np.abs(pixels.astype(int) - RED).max() < 5
    assert len(encode_jpeg(RED, 20)) < len(data)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".ppm", ".webp"])
def test_other_formats(suffix: str) -> None:
    pixels = decode(encoded(suffix, RED[:, :, ::-1]), size=(12, 16), source="it")
    assert np.abs(pixels.astype(int) - RED).max() < 8


def test_grey_becomes_rgb() -> None:
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8)
    expected = np.repeat(grey[:, :, None], 3, axis=2)
    assert (decode(encoded(".pgm", grey), size=(6, 8), source="it") == expected).all()
    assert (decode(grey, size=(6, 8), source="it") == expected).all()
    assert (decode(grey[:, :, None], size=(6, 8), source="it") == expected).all()


def test_pixels_pass() -> None:
    assert decode(RED, size=(12, 16), source="it") is RED
    for array in (RED.astype(np.float32), RED[..., None], np.zeros((4, 4, 4), np.uint8)):
        with pytest.raises(DataError, match=r"it: an array of .* isn't an image"):
            decode(array, size=None, source="it")


def test_another_size_is_refused() -> None:
    assert decode(RED, size=None, source="it").shape == (12, 16, 3)
    with pytest.raises(DataError, match=r"s1/1.png: the image is 16×12, not 112×112") as caught:
        decode(encoded(".png", RED), size=(112, 112), source="s1/1.png")
    assert "--resize" in caught.value.hint


def test_nonsense_is_refused_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    jpeg = encode_jpeg(noise)
    for data in (b"", b"hello world" * 9, jpeg[:300], jpeg[: len(jpeg) // 2], encoded(".png", noise)[:2000]):
        with pytest.raises(DataError, match=f"key 7: these {len(data)} bytes aren't a whole image"):
            decode(data, size=(64, 64), source="key 7")
    assert capfd.readouterr() == ("", "")


def test_a_bomb_is_refused() -> None:
    bomb = bytearray(encode_jpeg(RED))
    size = bomb.find(b"\xff\xc0") + 5
    bomb[size : size + 4] = b"\xff\xdc\xff\xdc"
    assert len(bomb) < 1000
    with pytest.raises(DataError, match="declares 65500×65500, more than"):
        decode(bytes(bomb), size=None, source="it")
    with pytest.raises(DataError, match="declares more than 36,000,000 pixels"):
        decode(b"P5 20000 20000 255 ", size=None, source="it")


def test_resize_is_bilinear() -> None:
    ramp = np.tile(np.arange(0, 160, 10, dtype=np.uint8)[None, :, None], (4, 1, 3))
    wide = resize(ramp, (8, 32))
    assert wide.shape == (8, 32, 3)
    assert np.abs(np.diff(wide[0, 1:-1, 0].astype(int)) - 5).max() <= 1


def test_a_file_that_is_not_there_names_a_step_that_helps(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file") as raised:
        read_file(tmp_path / "gone.png")
    assert raised.value.hint.startswith("check the path; ")

"""``arcterm data show``: faces in a terminal, whatever it can show."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from arcterm.errors import DataError
from arcterm.formats.pairs.binfile import write_pairs
from arcterm.formats.recordio.packwriter import write_pack
from arcterm.pictures.blocks import RAMPS, Piece, beside, draw, placard
from arcterm.progress import unheard
from arcterm.show.album import open_album
from arcterm.show.drawing import OutputConsole
from arcterm.show.faces import draw_person, draw_set, mode_of, print_drawn

from ..inprocess import enter

Locate = Callable[[str], Path]
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "ARCTERM_ASCII", "COLORTERM", "COLUMNS", "TERM"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def arcterm(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[str, str]]:
    """What ``arcterm data show …`` writes to stdout and stderr."""

    def run(*arguments: str, code: int = 0) -> tuple[str, str]:
        assert enter(monkeypatch, "data", "show", *arguments) == code
        return capsys.readouterr()

    return run


def image(seed: int, size: tuple[int, int] = (16, 16)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (*size, 3), np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """Three people, the second of two images, with a set of three pairs."""
    with write_pack(tmp_path / "p", (16, 16)) as writer:
        for n, (label, name) in enumerate([(0, "Ann"), (1, "Bob\x1b[31m\x07"), (1, ""), (2, "[red]c[/red]")]):
            writer.add(image(n), label, name)
        sides = [image(9), image(10)] * 3
        write_pairs(writer.directory / "held.bin", sides, [True, True, False])
    return tmp_path / "p"


def cells(lines: list[list[Piece]]) -> np.ndarray[Any, Any]:
    """(2 L, C, 3): the pixels that half blocks show."""
    rows = []
    for line in lines:
        for side in ("front", "back"):
            rows.append([getattr(piece, side) for piece in line for _ in piece.text])
    return np.array(rows, np.uint8)


def test_a_cell_is_two_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)
    assert np.array_equal(cells(draw(pixels, 16)), pixels)
    assert not np.array_equal(cells(draw(pixels[::-1], 16)), pixels)


def test_a_smaller_picture_is_the_mean_of_its_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (112, 112, 3), np.uint8)
    means = pixels.reshape(16, 7, 16, 7, 3).mean((1, 3))
    assert np.abs(cells(draw(pixels, 16)) - means).max() <= 0.51


@pytest.mark.parametrize("mode", ["colour", "grey", "ascii"])
@pytest.mark.parametrize(
    ("size", "columns", "lines"),
    [((112, 112), 18, 9), ((112, 92), 20, 12), ((1, 1), 4, 2), ((4000, 1), 5, 5), ((1, 4000), 5, 1)],
)
def test_the_shape_is_kept(mode: Any, size: tuple[int, int], columns: int, lines: int) -> None:
    drawn = draw(np.full((*size, 3), 200, np.uint8), columns, mode)
    assert [sum(len(piece.text) for piece in line) for line in drawn] == [columns] * lines


@pytest.mark.parametrize("mode", ["grey", "ascii"])
def test_signs_get_denser_with_brightness(mode: Any) -> None:
    ramp = np.repeat(np.linspace(0, 255, 100).astype(np.uint8)[None, :, None], 3, axis=2).repeat(40, axis=0)
    lines = ["".join(piece.text for piece in line) for line in draw(ramp, 50, mode)]
    density = np.array([[RAMPS[mode].index(sign) for sign in line] for line in lines]).mean(0)
    assert density[0] == 0 and density[-1] == len(RAMPS[mode]) - 1
    assert np.all(np.diff(density.reshape(10, 5).mean(1)) > 0)


def test_ascii_is_ascii() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (112, 112, 3), np.uint8)
    assert "".join(piece.text for line in draw(pixels, 40, "ascii") for piece in line).isascii()


def test_pictures_side_by_side() -> None:
    joined = beside([placard("ab", 4), [[Piece("x")], [Piece("y")], [Piece("z")]]], 2)
    assert ["".join(piece.text for piece in line) for line in joined] == ["      x", " ab   y", "      z"]


def test_people_of_a_folder(arcterm: Callable[..., tuple[str, str]], test_data: Locate) -> None:
    people = str(test_data("faces/orl/s1").parent)
    told = json.loads(arcterm(people, "--people", "0,38-39", "--images", "2", "--json")[0])
    assert (told["classes"], told["images"]) == (40, 400)
    assert [(p["class"], p["name"], p["count"]) for p in told["people"]] == [
        (0, "s1", 10), (38, "s39", 10), (39, "s40", 10)
    ]  # fmt: skip
    assert told["people"][1]["sources"] == [f"{people}/s39/1.pgm", f"{people}/s39/2.pgm"]
    lines = arcterm(people, "--people", "0-1", "--width", "60")[0].splitlines()
    assert lines[0] == "0  s1  10 images" and lines[15] == "1  s2  10 images"
    assert len(lines) == 30 and max(map(len, lines)) == 59
    assert not ESCAPE.search("".join(lines))


def test_a_pack_by_its_names(arcterm: Callable[..., tuple[str, str]], pack: Path) -> None:
    told = json.loads(arcterm(str(pack), "--json")[0])
    assert [person["name"] for person in told["people"]] == ["Ann", "Bob\x1b[31m\x07", "[red]c[/red]"]
    assert told["people"][1]["count"] == 2
    assert told["people"][0]["sources"] == ["train.rec key 1 at byte 0"]
    shown = arcterm(str(pack))[0]
    assert "2  [red]c[/red]  1 image\n" in shown and "\x1b" not in shown and "\x07" not in shown


def test_pairs(arcterm: Callable[..., tuple[str, str]], pack: Path) -> None:
    told = json.loads(arcterm(str(pack), "--pairs", "--images", "2", "--json")[0])
    assert told["sets"] == [
        {
            "name": "held",
            "pairs": 3,
            "same": 2,
            "shown": [
                {"pair": 0, "same": True, "problems": []},
                {"pair": 2, "same": False, "problems": []},
            ],
        }
    ]
    alone = json.loads(arcterm(str(pack / "held.bin"), "--images", "2", "--json")[0])
    assert alone["sets"] == told["sets"]
    shown = arcterm(str(pack / "held.bin"), "--width", "120")[0].splitlines()
    assert shown[0] == "held  3 pairs, 2 same, 1 different"
    assert shown[1].split() == ["0", "same", "1", "same"]


def test_a_real_set(arcterm: Callable[..., tuple[str, str]], test_data: Locate) -> None:
    path = str(test_data("pairs/small_lfw.bin"))
    told = json.loads(arcterm(path, "--json")[0])["sets"][0]
    assert (told["name"], told["pairs"], told["same"]) == ("small_lfw", 10, 10)
    assert [pair["pair"] for pair in told["shown"]] == list(range(6))


@pytest.mark.long
@pytest.mark.parametrize("width", [20, 40, 80, 160])
@pytest.mark.parametrize(
    ("environment", "system", "expected"),
    [
        ({"COLORTERM": "truecolor", "TERM": "xterm-256color"}, "truecolor", r"\x1b\[38;2;\d+;\d+;\d+;48;2;"),
        ({"TERM": "xterm-256color"}, "256", r"\x1b\[38;5;\d+;48;5;"),
        ({"TERM": "xterm-16color"}, "standard", r"\x1b\[[39][0-7];(4|10)[0-7]m"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "256", "[░▒▓█]"),
        ({"TERM": "dumb"}, None, "[░▒▓█]"),
        ({"TERM": "xterm-256color", "ARCTERM_ASCII": "1"}, "256", r"[-:=+*#%@]{3}"),
    ],
)
def test_terminals(
    pack: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    system: str | None,
    expected: str,
    width: int,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    file = io.TextIOWrapper(io.BytesIO(), "utf-8")
    console = OutputConsole(file=file, force_terminal=True, width=width, highlight=False)
    assert console.color_system == system
    album, mode = open_album(str(pack), unheard), mode_of(console)
    for person in album.people("", 6):
        print_drawn(console, draw_person(person, width, mode), width)
    for held in album.sets(3):
        print_drawn(console, draw_set(held, width, mode), width)
    file.seek(0)
    text = file.read()
    assert re.search(expected, text)
    lines = ESCAPE.sub("", text).splitlines()
    assert max(map(len, lines)) <= width and "\x1b" not in "".join(lines)
    blocks = "▀" in text
    assert blocks == (expected.startswith(r"\x1b"))
    if "ARCTERM_ASCII" in environment:
        assert "".join(lines).isascii() or width < 40


def test_a_broken_image_is_told_and_the_rest_shown(
    arcterm: Callable[..., tuple[str, str]], pack: Path
) -> None:
    data = bytearray((pack / "train.rec").read_bytes())
    data[40:60] = bytes(20)  # where the JPEG of the first image begins
    (pack / "train.rec").write_bytes(data)
    shown, said = arcterm(str(pack))
    assert "0  Ann  0 images" in shown and "1 record can't be read" in said and "Bob" in shown
    assert json.loads(arcterm(str(pack), "--json")[0])["unreadable"] == 1
    (pack / "train.crc").unlink()  # without it the record is whole, and only its image is not one
    shown, said = arcterm(str(pack))
    assert "damaged" in shown and "key 1 at byte 0" in said and "Bob" in shown
    person = json.loads(arcterm(str(pack), "--people", "0", "--json")[0])["people"][0]
    assert person["problems"] and person["count"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["p", "--people", "3"], 3, "no number 3 among the classes of p"),
        (["p", "--people", "0-"], 3, "neither a number nor a range"),
        (["none.bin"], 3, "none.bin"),
        (["./none"], 3, "./none"),
        (["p", "--pairs", "--people", "1"], 2, "pairs have no class numbers"),
        (["p", "--images", "0"], 2, "--images"),
        (["p", "--width", "5"], 2, "--width"),
    ],
)
def test_what_is_refused(
    arcterm: Callable[..., tuple[str, str]],
    pack: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(pack.parent)
    shown, said = arcterm(*arguments, code=code)
    assert message in said and not shown


def test_no_set(pack: Path) -> None:
    (pack / "held.bin").unlink()
    album = open_album(str(pack), lambda done, total: None)
    with pytest.raises(DataError, match="has no verification set"):
        list(album.sets(6))

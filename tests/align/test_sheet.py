"""The contact sheet: odd photos first, whatever they are called and however large they are."""

from __future__ import annotations

import numpy as np
import pytest

from arcterm.align.outcome import count
from arcterm.align.rows import Row, RowReader, RowWriter
from arcterm.pictures.sheet import BACKGROUND, Tile, draw_sheet
from tests.align.conftest import photo, read, write


@pytest.mark.parametrize("number", [0, 1, 10, 11, 60])
def test_tiles_stand_in_rows_of_ten(number):
    tiles = [
        Tile(photo(size=(300, 20 + n)), f"naïve_{n}\t{'x' * n}", "0.9", (255, 0, 0)) for n in range(number)
    ]
    sheet = draw_sheet(tiles, "title")
    assert sheet.dtype == np.uint8
    rows = -(-number // 10)
    assert sheet.shape[0] == 42 + rows * 156
    assert sheet.shape[1] == max(480, 8 + 126 * min(number, 10))
    if number:
        assert tuple(sheet[35, 9]) == (255, 0, 0)  # the frame of the first
    assert tuple(sheet[-1, -1]) == BACKGROUND


def test_the_odd_ones_come_first_and_the_others_from_all_over(tmp_path):
    writer = RowWriter(tmp_path, 0)
    for number in range(500):
        treated = {7: "dropped", 300: "centre crop", 301: "forced"}.get(number, "detected")
        score = 0.2 if number == 400 else 0.9
        files = [] if treated == "dropped" else [f"{number}.jpg"]
        writer.add(
            number, [1] * len(files), Row(path=f"{number}.png", treated=treated, files=files, scores=[score])
        )
    writer.close()
    found = count(RowReader(tmp_path, 500))
    shown = [int(row.path.removesuffix(".png")) for row in found.shown]
    assert shown[:4] == [7, 300, 301, 400]
    assert len(shown) == len(set(shown)) == 60
    assert max(np.diff(sorted(shown[16:]))) < 30


def test_a_sheet_stands_beside_the_faces_of_a_run(run, tmp_path):
    for number in range(3):
        write(tmp_path / "photos" / f"{number}.png", photo(*[(10, 10, 30)] * (number != 1)))
    run(tmp_path / "photos")
    sheet = read(tmp_path / "out" / "sheet.jpg")
    assert sheet.shape[:2] == (198, 480)
    assert abs(sheet[36, 12].astype(int) - (224, 76, 76)).max() < 40  # the photo without a face is framed

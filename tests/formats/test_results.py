"""The devkit's result files: a real one, ours, and damaged ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from arcterm.errors import DataError
from arcterm.formats.features.results import Point, read_result, thin

GOOD = {
    "cmc": [[0, 2, 24], [0.9, 0.95, 1.0]],
    "roc": [[0.0, 1e-7, 9e-7, 4e-6, 1.0], [0.5, 0.6, 0.7, 0.8, 1.0]],
    "traditional_cmc": [[0, 9], [0.9, 1.0]],
}


def written(folder: Path, change: dict | str | bytes) -> Path:
    path = folder / "cmc_x_10_1.json"
    data = json.dumps(GOOD | change) if isinstance(change, dict) else change
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_a_real_result_is_read(test_data):
    found = read_result(test_data("megaface/cmc_2019-05-05.json"))
    assert found.recall(1) == 0.9647331833839417
    assert found.recall(10) == 0.9761336445808411
    assert found.tar_below(1e-6) == 0.9707068800926208
    assert found.tar_beyond(1e-6) == 0.9807222485542297


def test_both_readings_of_the_thinned_curve(tmp_path):
    found = read_result(written(tmp_path, {}))
    assert (found.tar_below(1e-6), found.tar_beyond(1e-6)) == (0.7, 0.8)
    assert (found.tar_below(9e-7), found.tar_beyond(9e-7)) == (0.7, 0.8)
    assert found.tar_beyond(1.0) is None
    assert (found.recall(1), found.recall(2), found.recall(3), found.recall(1000)) == (0.9, 0.9, 0.95, 1.0)
    later = read_result(written(tmp_path, {"cmc": [[3], [1.0]], "roc": [[0.1], [1.0]]}))
    assert (later.recall(1), later.tar_below(1e-6)) == (None, None)


def test_a_result_without_the_traditional_curve_is_one(tmp_path):
    path = written(tmp_path, json.dumps({key: GOOD[key] for key in ("cmc", "roc")}))
    assert read_result(path).traditional_cmc is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("", "no result of the devkit"),
        ("[1]", "no result of the devkit"),
        (b"\xff\xfe{", "no result of the devkit"),
        ("[" * 100_000, "no result of the devkit"),
        ('{"cmc": [[0], [1]]}', "missing required field `roc`"),
        ({"cmc": [[0, 1], [0.5, "x"]]}, "no result of the devkit"),
        ({"cmc": [[0, 1]]}, "no result of the devkit"),
        ('{"cmc": [[0], [NaN]], "roc": [[0], [1]]}', "no result of the devkit"),
        ({"cmc": [[0, 1], [0.5]]}, "its cmc has 2 points on one axis and 1 on the other"),
        ({"roc": [[], []]}, "its roc has 0 points"),
        ({"roc": [[-0.1, 1], [0.5, 1]]}, "its roc doesn't ascend from 0"),
        ({"roc": [[0.5, 0.1], [0.5, 1]]}, "its roc doesn't ascend from 0"),
        ({"traditional_cmc": [[0, 1], [0.5, 0.4]]}, "its traditional_cmc falls"),
        ({"cmc": [[0], [1.2]]}, r"its cmc has shares from 1\.2 to 1\.2"),
        ({"cmc": [[0, 1], [-0.1, 1]]}, r"its cmc has shares from -0\.1 to 1"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "LFS"),
    ],
)
def test_damage_is_refused_in_words(tmp_path, change, said):
    with pytest.raises(DataError, match=said) as error:
        read_result(written(tmp_path, change))
    assert "cmc_x_10_1.json" in str(error.value)


def test_an_absent_file_and_a_pipe_are_refused(tmp_path):
    with pytest.raises(DataError, match="can't be read"):
        read_result(tmp_path / "none.json")
    with pytest.raises(DataError, match="is not a file"):
        read_result(tmp_path)


def test_a_curve_is_thinned_as_the_devkit_does():
    points = [Point(rank, share) for rank, share in enumerate([0.5, 0.505, 0.51, 0.515, 0.6, 0.6, 0.605])]
    assert thin(points) == ([0, 2, 4, 6], [0.5, 0.51, 0.6, 0.605])
    assert thin(points[:1]) == ([0], [0.5])
    assert thin([]) == ([], [])

"""An index made again is the one that the packers of others wrote."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from arcterm.data.reshape.index import make_index
from arcterm.errors import DataError
from arcterm.formats.recordio import irheader
from arcterm.formats.recordio.container import RecordWriter
from arcterm.formats.recordio.facepack import FacePack
from tests.jobs import make_job

Locate = Callable[[str], Path]


def again(source: Path, place: Path) -> Path:
    """The index of a copy of `source`'s records."""
    place.mkdir()
    shutil.copy(source / "train.rec", place)
    report = make_index(make_job("index"), str(place))
    assert report.data["own_keys"] and report.result == str(place / "train.idx")
    return place / "train.idx"


def test_of_the_packer_of_2018(test_data: Locate, tmp_path: Path) -> None:
    golden = test_data("mxnet/golden_1_1_0/pack/train.rec").parent
    assert again(golden, tmp_path / "pack").read_bytes() == (golden / "train.idx").read_bytes()


def test_of_im2rec(test_data: Locate, tmp_path: Path) -> None:
    plain = test_data("recordio/popkorn/train.rec").parent
    made = again(plain, tmp_path / "pack")
    assert sorted(made.read_text().split("\n")) == sorted((plain / "train.idx").read_text().split("\n"))
    theirs, ours = FacePack(plain), FacePack(made.parent)
    assert [bytes(ours[n].image) for n in range(8)] == [bytes(theirs[n].image) for n in range(8)]


def test_ids_that_repeat_are_no_keys(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "some.rec") as records:
        offsets = [records.write(n, irheader.pack(1.0, 7, b"x" * n)) for n in range(3)]
    report = make_index(make_job("index"), str(tmp_path / "some.rec"))
    assert not report.data["own_keys"]
    lines = [f"{n}\t{offset}\n" for n, offset in enumerate(offsets)]
    assert (tmp_path / "some.idx").read_text() == "".join(lines)


def test_what_can_not_be_indexed(test_data: Locate, tmp_path: Path) -> None:
    golden = test_data("mxnet/golden_1_1_0/pack/train.rec").parent
    shutil.copytree(golden, tmp_path / "pack")
    with pytest.raises(DataError, match="already exists"):
        make_index(make_job("index"), str(tmp_path / "pack"))
    (tmp_path / "pack" / "train.idx").unlink()
    whole = (golden / "train.rec").read_bytes()
    (tmp_path / "pack" / "train.rec").write_bytes(whole[:-3])
    with pytest.raises(DataError, match=r"record 9 at byte \d+ ends 3 bytes after the file's end"):
        make_index(make_job("index"), str(tmp_path / "pack"))
    with RecordWriter(tmp_path / "text.rec") as records:
        records.write(0, b"no image")
    with pytest.raises(DataError, match=r"text.rec: record 0 at byte 0 has 8 bytes, too few"):
        make_index(make_job("index"), str(tmp_path / "text.rec"))
    assert not list(tmp_path.rglob("*.idx")) and not list(tmp_path.rglob(".*"))

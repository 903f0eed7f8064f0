"""A training on a damaged pack: what costs a record or a set alone costs no more, and the rest is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from arcterm.errors import ArctermError, DataError
from arcterm.formats.pairs.binfile import write_pairs
from arcterm.formats.recordio.facepack import FacePack
from arcterm.formats.recordio.packwriter import write_pack
from arcterm.runs import store
from arcterm.runs.events import Message, Skipped
from arcterm.train import build, loop
from arcterm.train.world import World

from ..jobs import Heard
from ..runs.conftest import config
from .faulty import network
from .test_loop import Dots

pytestmark = pytest.mark.long
STEPS, IMAGES, HIT = 4, 32, 13


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """Eight people, four images of each, two pairs; without checksums, which would find all damage first."""
    import simplejpeg

    faces = Dots()
    order = sorted(range(IMAGES), key=lambda i: faces[i].label)
    encoded = [simplejpeg.encode_jpeg(np.ascontiguousarray(faces[i].image), 95) for i in order]
    place = tmp_path_factory.mktemp("broken") / "pack"
    with write_pack(place, (112, 112)) as writer:
        for number, image in enumerate(encoded):
            writer.add(image, number // 4)
        write_pairs(writer.directory / "held.bin", [encoded[n] for n in (0, 1, 2, 9)], [True, False])
    (place / "train.crc").unlink()
    return place


def cut(name: str, keep: float) -> Callable[[Path], None]:
    return lambda place: (place / name).write_bytes(
        (place / name).read_bytes()[: int(keep * (place / name).stat().st_size)]
    )


def overwrite(find: Callable[[Path], int], new: bytes) -> Callable[[Path], None]:
    def go(place: Path) -> None:
        data, at = bytearray((place / "train.rec").read_bytes()), find(place)
        data[at : at + len(new)] = new
        (place / "train.rec").write_bytes(data)

    return go


def start_of(place: Path) -> int:
    """Where the record of image `HIT` begins."""
    lines = (line.split("\t") for line in (place / "train.idx").read_text().splitlines())
    return {int(key): int(offset) for key, offset in lines}[HIT + 1]


def picture_of(place: Path) -> int:
    data = (place / "train.rec").read_bytes()
    return data.find(bytes(FacePack(place)[HIT].image))


def another_offset(place: Path) -> None:
    text = (place / "train.idx").read_text().splitlines()
    text[HIT + 1] = f"{HIT + 1}\t{start_of(place) + 4}"
    (place / "train.idx").write_text("\n".join(text) + "\n")


def label_of(place: Path) -> int:
    """Where the label of image `HIT` is: behind the frame and the header of a record with two labels."""
    return picture_of(place) - 8


RECORD = {
    "a bad magic": (overwrite(start_of, b"XXXX"), "magic"),
    "a broken JPEG": (overwrite(picture_of, b"XX"), "aren't a whole image"),
    "a JPEG cut short": (overwrite(lambda place: picture_of(place) + 900, b"\xff\xd9" * 800), "whole image"),
    "a label out of range": (
        overwrite(label_of, np.float32(99).tobytes()),
        "has label 99",
    ),
}
REFUSED = {
    "train.rec is cut": (cut("train.rec", 0.6), "train.rec"),
    "train.idx is cut": (cut("train.idx", 0.5), "train.idx"),
    "an offset that is no record": (another_offset, "train.idx"),
}


@pytest.fixture
def train(tmp_path, pack, monkeypatch):
    """Train on a copy of the pack that `damage` has changed."""

    def go(damage, **changes):
        place = Path(shutil.copytree(pack, tmp_path / "pack"))
        damage(place)
        monkeypatch.setattr(build, "backbone", lambda config, device: network(nn.Identity()))
        asked = config(
            nproc=1, steps=STEPS, epochs=1, batch_size=8, loss="cosface", precision="float32",
            dataset="recordio", dataset_options={"path": str(place)}, **{"max_broken": 0.05, **changes},
        )  # fmt: skip
        run = store.create(tmp_path / "runs", asked, label="x", argv=[], host="h")
        (run.path / "attempts" / "0001").mkdir(parents=True)
        heard = Heard()
        return loop.train(run, 1, asked, World(), heard, None), run, heard

    return go


@pytest.mark.parametrize("kind", RECORD)
def test_a_damaged_record_is_listed_and_another_takes_its_place(train, kind):
    damage, words = RECORD[kind]
    ended, run, heard = train(damage)
    assert (ended.reason, ended.step) == ("done", STEPS)
    (entry,) = [json.loads(path.read_text()) for path in (run.path / "quarantine").iterdir()]
    assert entry["index"] == HIT
    assert words in entry["reason"], entry
    assert [event.index for event in heard if isinstance(event, Skipped)] == [HIT]


def test_more_than_the_share_of_them_ends_the_training(train):
    with pytest.raises(
        ArctermError, match=r"1 of 32 records can't be used, more than max_broken=0.02 allows"
    ):
        train(RECORD["a broken JPEG"][0], max_broken=0.02)


@pytest.mark.parametrize("kind", REFUSED)
def test_damage_of_the_structure_is_refused_by_name(train, kind):
    damage, file = REFUSED[kind]
    with pytest.raises(DataError, match=file):
        train(damage)


def test_a_truncated_verification_set_is_set_aside(train):
    ended, _, heard = train(cut("held.bin", 0.7))
    assert ended.reason == "done"
    (said,) = [event.text for event in heard if isinstance(event, Message) and "set aside" in event.text]
    assert said.startswith("verification set held is set aside: ")
    assert "held.bin" in said


def test_whole_data_loses_nothing(train):
    ended, run, heard = train(lambda place: None)
    assert ended.reason == "done"
    assert not (run.path / "quarantine").exists()
    assert not [event for event in heard if isinstance(event, Skipped)]

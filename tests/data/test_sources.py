"""What can be packed: lists in any order, archives, and the golden pack of 2018 from its images again."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from arcterm.data.make.pack import pack
from arcterm.errors import DataError, StopAskedError
from arcterm.faces import similarity
from arcterm.formats.images import decode, encode_jpeg
from arcterm.formats.pairs.binfile import write_pairs
from arcterm.formats.people import find_people
from arcterm.formats.recordio.facepack import FacePack
from arcterm.formats.recordio.packwriter import write_pack
from arcterm.runs import control
from arcterm.runs.context import JobContext
from arcterm.runs.events import Message
from tests.jobs import make_job, pack_people

Locate = Callable[[str], Path]


@pytest.fixture
def golden(test_data: Locate) -> Path:
    """The toy pack that the packer of 2018 made."""
    return test_data("mxnet/golden_1_1_0/pack/train.rec").parent


@pytest.fixture
def pictures(golden: Path, tmp_path: Path) -> Path:
    """Its images in a folder a person."""
    read = FacePack(golden)
    for index in range(len(read)):
        record = read[index]
        (tmp_path / "people" / f"p{record.label}").mkdir(parents=True, exist_ok=True)
        (tmp_path / "people" / f"p{record.label}" / f"{index}.jpg").write_bytes(record.image)
    return tmp_path / "people"


def as_folder(people: Path) -> Path:
    return people


def as_sorted_list(people: Path) -> Path:
    return write_list(people, sorted(people.glob("*/*.jpg")))


def as_unsorted_list(people: Path) -> Path:
    """People by turns, each one's images still in order."""
    return write_list(people, sorted(people.glob("*/*.jpg"), key=lambda path: (path.stem, path)))


def as_zip(people: Path) -> Path:
    with zipfile.ZipFile(people.parent / "all.zip", "w") as bundle:
        for path in [people, *sorted(people.rglob("*"))]:
            bundle.write(path, path.relative_to(people.parent))
    return people.parent / "all.zip"


def as_tar(suffix: str) -> Callable[[Path], Path]:
    def make(people: Path) -> Path:
        place = people.parent / f"all.tar{suffix}"
        with tarfile.open(place, f"w:{suffix[1:]}") as bundle:  # type: ignore[call-overload]
            bundle.add(people, "faces/v1")
        return place

    return make


def write_list(people: Path, files: list[Path]) -> Path:
    lines = [f"1\t{path.relative_to(people)}\t{path.parent.name[1:]}\n" for path in files]
    (people / "train.lst").write_text("".join(lines))
    return people / "train.lst"


SHAPES = {
    "folder": as_folder,
    "list": as_sorted_list,
    "unsorted list": as_unsorted_list,
    "zip": as_zip,
    "tar": as_tar(""),
    "tar.gz": as_tar(".gz"),
    "tar.xz": as_tar(".xz"),
    "tar.bz2": as_tar(".bz2"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_pack_of_2018_comes_out_byte_for_byte(
    pictures: Path, golden: Path, tmp_path: Path, shape: str
) -> None:
    report = pack_people(SHAPES[shape](pictures), tmp_path / "pack")
    assert (report["classes"], report["train_images"], report["copied"]) == (3, 6, 6)
    for name in ("train.rec", "train.idx", "property"):
        assert (tmp_path / "pack" / name).read_bytes() == (golden / name).read_bytes(), name


def test_another_order_is_another_pack(pictures: Path, golden: Path, tmp_path: Path) -> None:
    (pictures / "p0" / "0.jpg").rename(pictures / "p0" / "9.jpg")
    pack_people(pictures, tmp_path / "pack")
    assert (tmp_path / "pack" / "train.rec").read_bytes() != (golden / "train.rec").read_bytes()


def test_faces_of_a_list_are_aligned_by_its_landmarks(test_data: Locate, tmp_path: Path) -> None:
    """A face is turned, shrunk and put into a larger picture; its landmarks bring it back."""
    face = decode(
        FacePack(test_data("recordio/popkorn/train.rec").parent)[0].image, size=(112, 112), source=""
    )
    turn = cv2.getRotationMatrix2D((56, 56), 25, 1.5) + np.array([[0, 0, 100], [0, 0, 60]])
    scene = cv2.warpAffine(face, turn, (320, 240), flags=cv2.INTER_CUBIC)
    marks = similarity.template() @ turn[:, :2].T + turn[:, 2]
    for person in "ab":
        (tmp_path / f"{person}.png").write_bytes(cv2.imencode(".png", scene[:, :, ::-1])[1].tobytes())
    numbers = "\t".join(f"{n:.4f}" for n in marks.T.ravel())
    (tmp_path / "some.lst").write_text(
        f"0\ta.png\t0\t100\t60\t250\t200\t{numbers}\n0\tb.png\t1\t100\t60\t250\t200\t{numbers}\n"
    )
    pack(make_job(), str(tmp_path / "some.lst"), str(tmp_path / "pack"), align=True)
    back = decode(FacePack(tmp_path / "pack")[0].image, size=(112, 112), source="")
    inner = np.s_[20:92, 20:92]
    assert np.abs(back[inner].astype(int) - face[inner]).mean() < 6
    assert np.abs(back[inner].astype(int) - face[:, ::-1][inner]).mean() > 20  # not just any face
    with pytest.raises(DataError, match=r"2 of 2 images.*\n.*a.png: the list says that this image isn't"):
        pack(make_job(), str(tmp_path / "some.lst"), str(tmp_path / "other"))


@pytest.mark.long
def test_a_stopped_job_goes_on_and_ends_in_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for person in range(20):
        folder = tmp_path / "people" / f"p{person}"
        folder.mkdir(parents=True)
        for number in range(10):
            rng = np.random.default_rng((person, number))
            folder.joinpath(f"{number}.jpg").write_bytes(
                encode_jpeg(rng.integers(0, 255, (112, 112, 3), np.uint8))
            )
    monkeypatch.setattr("arcterm.runs.context._PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr("arcterm.formats.recordio.packwriter._SAVE_SECONDS", 0.0)
    whole = pack_people(tmp_path / "people", tmp_path / "whole", hold_out=4)
    job = make_job(root=tmp_path / "runs")
    arguments = (job, str(tmp_path / "people"), str(tmp_path / "parts"))
    told = []

    def stop_at(event: object) -> None:
        told.append(event)
        if len(told) == 80:
            control.ask(job.run, "stop")

    monkeypatch.setattr(job.journal, "write", stop_at)
    with pytest.raises(StopAskedError):
        pack(*arguments, hold_out=4)
    (stage,) = tmp_path.glob(".parts.partial.*")
    with (stage / "train.rec").open("ab") as file:  # what was under way when it was killed
        file.write(b"half a record")
    with (stage / ".places.jsonl").open("ab") as file:
        file.write(b'{"sizes":[')
    told.clear()
    monkeypatch.setattr(job.journal, "write", told.append)
    report = pack(*arguments, hold_out=4).data
    assert len(told) < 150  # it did not begin anew
    assert report | {"path": ""} == whole | {"path": ""}
    for file in sorted((tmp_path / "whole").iterdir()):
        assert (tmp_path / "parts" / file.name).read_bytes() == file.read_bytes(), file.name
    assert sorted(p.name for p in (tmp_path / "whole").iterdir()) == sorted(
        p.name for p in (tmp_path / "parts").iterdir()
    )
    assert not list(tmp_path.glob(".parts*"))


def test_a_job_does_not_go_on_with_other_images(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arcterm.runs.context._PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr("arcterm.formats.recordio.packwriter._SAVE_SECONDS", 0.0)
    for changed in (False, True):
        job = make_job(root=tmp_path / "runs", paths=[str(pictures), str(tmp_path / "pack")])
        told: list[object] = []

        def stop_at(event: object, job: JobContext = job, told: list[object] = told) -> None:
            told.append(event)
            if len(told) == 4:
                control.ask(job.run, "stop")

        monkeypatch.setattr(job.journal, "write", stop_at)
        with pytest.raises(StopAskedError):
            pack(job, str(pictures), str(tmp_path / "pack"))
        if not changed:
            pack(job, str(pictures), str(tmp_path / "pack"))
            shutil.rmtree(tmp_path / "pack")
            continue
        (pictures / "p0" / "00.jpg").write_bytes((pictures / "p0" / "0.jpg").read_bytes())
        with pytest.raises(DataError, match=r"since the run was made: images in .* were added, removed"):
            pack(job, str(pictures), str(tmp_path / "pack"))
        assert not (tmp_path / "pack").exists() and list(tmp_path.glob(".pack*"))
        (pictures / "p0" / "00.jpg").unlink()  # put back, it goes on
        pack(job, str(pictures), str(tmp_path / "pack"))
        assert (tmp_path / "pack").exists() and not list(tmp_path.glob(".pack*"))


def test_lists_that_can_not_be_packed(pictures: Path, tmp_path: Path) -> None:
    (pictures / "a.lst").write_text("1\tp0/none.jpg\t0\n1\tp1/3.jpg\t1\n")
    with pytest.raises(DataError, match=r"none.jpg can't be read: No such file"):
        pack_people(pictures / "a.lst", tmp_path / "pack")
    shutil.copytree(pictures, tmp_path / "more")
    write_list(tmp_path / "more", sorted((tmp_path / "more").glob("*/*.jpg")))
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as bundle:
        for path in sorted((tmp_path / "more").rglob("*")):
            bundle.write(path, path.relative_to(tmp_path / "more"))
    with pytest.raises(DataError, match=r"holds 2 lists: a.lst, train.lst"):
        pack_people(tmp_path / "two.zip", tmp_path / "pack")
    assert not (tmp_path / "pack").exists() and not list(tmp_path.glob(".pack*"))


def test_a_pack_is_packed_again(golden: Path, tmp_path: Path) -> None:
    """Repacked as it is it has the same records; held-out people and other sizes are as those of a folder."""
    shutil.copytree(golden, tmp_path / "old")
    images = [bytes(FacePack(golden)[n].image) for n in range(2)]  # type: ignore[arg-type]
    write_pairs(tmp_path / "old" / "lfw.bin", images, [True])
    report = pack(make_job(), str(tmp_path / "old"), str(tmp_path / "new"))
    for name in ("train.rec", "train.idx", "property"):
        assert (tmp_path / "new" / name).read_bytes() == (golden / name).read_bytes()
    assert (tmp_path / "new" / "lfw.bin").exists() and report.data["verification"] == ["lfw.bin"]


def test_people_of_a_pack_are_held_out(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (10, 112, 112, 3), dtype=np.uint8)
    with write_pack(tmp_path / "old") as writer:
        for number, image in enumerate(noise):
            writer.add(encode_jpeg(image), number // 2)
    told = pack_people(tmp_path / "old", tmp_path / "held", hold_out=2)
    assert (told["held_out_people"], told["classes"], told["copied"]) == (2, 3, 10)
    assert (tmp_path / "held" / "labels.txt").read_text().split("\n")[:2] == ["0", "1"]
    report = pack(make_job(), str(tmp_path / "old" / "train.rec"), str(tmp_path / "rest"), hold_out=3)
    shutil.copy(tmp_path / "held" / "heldout.bin", tmp_path / "old" / "heldout.bin")
    (tmp_path / "old" / "train.crc").unlink()
    again = pack(make_job(), str(tmp_path / "old"), str(tmp_path / "third"), hold_out=2)
    assert again.data["verification"] == report.data["verification"] == []
    assert "note: left behind: heldout.bin; its place is taken by the new one" in again.lines


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("faces.rec", "is not named as a pack's", "train.rec and train.idx"),
        ("lfw.bin", "is a verification set", "data extract"),
    ],
)
def test_files_that_are_no_source_are_told_what_they_are(
    tmp_path: Path, name: str, message: str, hint: str
) -> None:
    (tmp_path / name).write_bytes(b"\x0a\x23\xd7\xce")
    with pytest.raises(DataError, match=message) as caught:
        pack_people(tmp_path / name, tmp_path / "pack")
    assert hint in caught.value.hint


def test_a_pack_of_another_size_is_resized(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (6, 96, 96, 3), dtype=np.uint8)
    with write_pack(tmp_path / "old", (96, 96)) as writer:
        for number, image in enumerate(noise):
            writer.add(encode_jpeg(image), number // 2, f"p{number // 2}")
        write_pairs(writer.directory / "own.bin", [encode_jpeg(noise[0])] * 2, [True])
    with pytest.raises(
        DataError, match=r"6 of 6 images can't be packed:\n.*train.rec key 1: the image is 96×96"
    ):
        pack_people(tmp_path / "old", tmp_path / "new")
    report = pack(make_job(), str(tmp_path / "old"), str(tmp_path / "new"), resize=True)
    assert FacePack(tmp_path / "new").image_size == (112, 112) and report.data["encoded"] == 6
    assert "note: left behind: own.bin; their images have another size" in report.lines
    assert (tmp_path / "new" / "labels.txt").read_text() == "p0\np1\np2\n"


def test_what_systems_leave_in_folders_is_passed_over_and_said_once(pictures: Path, tmp_path: Path) -> None:
    expected = pack_people(pictures, tmp_path / "clean")
    first = next(pictures.iterdir())
    for place in (pictures / "__MACOSX" / first.name, pictures / "@eaDir"):
        place.mkdir(parents=True)
        (place / "._0.jpg").write_bytes(b"Mac OS X")
    for name in ("._0.jpg", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (first / name).write_bytes(b"\0\0\0\1Bud1")
    report = pack(make_job(), str(pictures), str(tmp_path / "pack"))
    assert (report.data["ignored"], report.data["junk"]) == (0, 6) and report.data["classes"] == expected[
        "classes"
    ]
    assert [line for line in report.lines if "passed over" in line] == [
        "passed over 6 files that aren't images of anybody, 6 of them left by macOS or Windows"
    ]
    for archive in (as_zip(pictures), shutil.make_archive(str(tmp_path / "two"), "gztar", pictures)):
        place = tmp_path / f"{Path(archive).name}.pack"
        told = pack_people(Path(archive), place)
        assert told["classes"] == expected["classes"] and told["ignored"] == 6
        assert (place / "train.rec").read_bytes() == (tmp_path / "clean" / "train.rec").read_bytes()


def test_everything_that_is_wrong_is_named_at_once(pictures: Path, tmp_path: Path) -> None:
    for name in ("nobody", "none"):
        (pictures / name).mkdir()
    (pictures / "p0" / "hollow.jpg").touch()
    (pictures / "p0" / "pointer.jpg").write_bytes(b"version https://git-lfs.github.com/spec/v1\nsize 1\n")
    (pictures / "p1" / "cut.jpg").write_bytes(next((pictures / "p1").iterdir()).read_bytes()[:500])
    job = make_job()
    with pytest.raises(DataError, match=r"^2 folders and 3 of \d+ images can't be packed:") as caught:
        pack(job, str(pictures), str(tmp_path / "pack"))
    for words in (
        f"{pictures / 'nobody'} has no image",
        f"{pictures / 'none'} has no image",
        "hollow.jpg is an empty file",
        "pointer.jpg is a Git LFS pointer",
        "cut.jpg: these 500 bytes aren't a whole image",
    ):
        assert words in caught.value.message
    assert "git lfs pull" in caught.value.hint and "remove what is empty" in caught.value.hint
    heard = [event.text for event in job.heard if isinstance(event, Message)]  # type: ignore[attr-defined]
    assert heard == [
        "2 folders have no image; the images are looked at too, so that all that is wrong is named at once"
    ]
    with pytest.raises(DataError) as caught:  # what only lists the folder tells by names and sizes
        find_people(pictures)
    assert caught.value.message == (
        f"2 folders have no image: {pictures / 'nobody'}, {pictures / 'none'}; "
        f"{pictures / 'p0' / 'hollow.jpg'} is an empty file; "
        f"{pictures / 'p0' / 'pointer.jpg'} is a Git LFS pointer"
    )


def test_images_that_can_not_be_used_are_named_at_once_and_all_in_a_file(
    pictures: Path, tmp_path: Path
) -> None:
    for number in range(15):
        (pictures / "p0" / f"bad{number:02d}.jpg").write_bytes(b"" if number % 2 else b"<html>")
    job = make_job()
    with pytest.raises(DataError, match=r"15 of \d+ images can't be packed") as caught:
        pack(job, str(pictures), str(tmp_path / "pack"))
    assert "bad00.jpg: these 6 bytes aren't a whole image" in caught.value.message
    assert "bad01.jpg is an empty file" in caught.value.message and "and 5 more" in caught.value.message
    listed = job.work / "refused.txt"
    assert str(listed) in caught.value.hint and len(listed.read_text().splitlines()) == 15

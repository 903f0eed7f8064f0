"""Noise taken out of features: the files against an oracle of the scripts, and the mask against the files."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from arcterm.errors import ArctermError, ConfigError, DataError, StopAskedError
from arcterm.megaface import clean as module
from arcterm.megaface.clean import clean
from arcterm.megaface.mask import read_mask
from arcterm.megaface.store import open_features
from tests.jobs import make_job
from tests.megaface.folders import FACESCRUB, MEGAFACE, unit_rows, write_packed, write_tree

D = 32
F, M = unit_rows(len(FACESCRUB), D), unit_rows(len(MEGAFACE), D, 1)
FS_NOISE = ["P_3_4.png", "P_0_17.png", "P_0_30.png", "Nobody_1.png"]
MF_NOISE = [MEGAFACE[7], MEGAFACE[3], MEGAFACE[7], "999/9@N00/1_0.jpg"]


def noise_lists(folder: Path) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    (folder / "fs.txt").write_bytes("\r\n".join(["#rules", *FS_NOISE]).encode())
    (folder / "mf.txt").write_text("#rules\n" + "\n".join([MF_NOISE[0], *(f"1\t{n}" for n in MF_NOISE[1:])]))
    return {"facescrub_noises": str(folder / "fs.txt"), "megaface_noises": str(folder / "mf.txt")}


def run(features: Path, out: Path, job: Any = None, **options: Any) -> dict[str, Any]:
    given: dict[str, Any] = dict.fromkeys(
        ("facescrub_noises", "megaface_noises", "facescrub_list", "megaface_list", "ending", "new_ending"), ""
    )
    lists = noise_lists(out.parent / "lists")
    return clean(
        job or make_job("clean"), str(features), str(out), **given | {"seed": 0} | lists | options
    ).data


def by_the_scripts(order: list[str], seed: int, suffix: str) -> dict[str, bytes]:
    """The files of remove_noises.py, by what it is known to do: an accumulating dictionary, then noise."""

    def as_file(vector: NDArray[np.float32]) -> bytes:
        return struct.pack(f"4i{len(vector)}f", len(vector), 1, 4, 5, *vector.tolist())

    def padded(vector: NDArray[np.float32], fill: float) -> NDArray[np.float32]:
        return np.concatenate([vector, np.array([fill], np.float32)])

    np.random.seed(seed)
    files, sums, later = {}, {}, []
    for path in order:
        person, image = path.split("/")
        if image in FS_NOISE:
            later.append((person, image))
            continue
        vector = padded(F[FACESCRUB.index(path)], 0.0)
        files[f"facescrub/{path}{suffix}"] = as_file(vector)
        sums[person] = sums.get(person, np.zeros(D + 1, np.float32)) + vector
    for person, image in later:
        jitter = np.random.uniform(-0.001, 0.001, (D,)).astype(np.float32)
        vector = sums[person] + padded(jitter, 0.0)
        vector = vector / np.linalg.norm(vector)
        assert vector.dtype == np.float32
        files[f"facescrub/{person}/{image}{suffix}"] = as_file(vector)
    for path, row in zip(MEGAFACE, M, strict=True):
        files[f"megaface/{path}{suffix}"] = as_file(padded(row, 100.0 if path in MF_NOISE else 0.0))
    return files


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.bin")}


def devkit(place: Path, ending: str = "_r100_112x112.bin") -> Path:
    write_tree(place / "facescrub", FACESCRUB, F, ending)
    write_tree(place / "megaface", MEGAFACE, M, ending)
    return place


@pytest.mark.parametrize("seed", [0, 727])
def test_the_devkits_files_are_those_of_the_script(tmp_path: Path, seed: int) -> None:
    order = FACESCRUB[::-1]
    (tmp_path / "lst").write_text("".join(f"/somewhere/{name}\n" for name in order))
    data = run(devkit(tmp_path / "in"), tmp_path / "out", seed=seed, facescrub_list=str(tmp_path / "lst"))
    assert files_of(tmp_path / "out") == by_the_scripts(order, seed, "_r100_112x112.bin")
    assert (data["facescrub"]["hit"], data["megaface"]["hit"]) == (3, 2)
    assert data["facescrub"]["hit_names"] == [n for n in order if n.split("/")[1] in FS_NOISE]
    assert data["facescrub"]["not_hit"] == ["Nobody_1.png"]
    assert data["megaface"]["not_hit"] == ["999/9@N00/1_0.jpg"]
    assert (data["megaface"]["lines"], data["megaface"]["names"]) == (4, 3)
    assert data["megaface"]["repeated"] == [MEGAFACE[7]]


def test_without_a_list_the_order_is_that_of_the_features(tmp_path: Path) -> None:
    run(devkit(tmp_path / "in"), tmp_path / "out", new_ending="_cm.bin")
    assert files_of(tmp_path / "out") == by_the_scripts(sorted(FACESCRUB), 0, "_cm.bin")
    found = open_features(tmp_path / "out")
    assert found.facts is not None and found.facts.extra == 1
    assert found.require("facescrub").names == sorted(FACESCRUB)
    assert found.require("megaface").width == D + 1


def test_a_set_alone_in_its_own_tree(tmp_path: Path) -> None:
    write_tree(tmp_path / "in", MEGAFACE, M)
    lists = noise_lists(tmp_path / "lists")
    with pytest.raises(DataError, match="has no features of FaceScrub"):
        run(tmp_path / "in", tmp_path / "out", **lists)
    run(tmp_path / "in", tmp_path / "out", **lists | {"facescrub_noises": ""})
    wanted = by_the_scripts(FACESCRUB, 0, "_r100.bin")
    assert files_of(tmp_path / "out") == {
        name.removeprefix("megaface/"): data for name, data in wanted.items() if name.startswith("megaface/")
    }
    with pytest.raises(ConfigError, match="--megaface-noises is missing"):
        run(tmp_path / "in", tmp_path / "other", **dict.fromkeys(lists, ""))


def test_the_mask_of_packed_features_says_what_the_files_say(tmp_path: Path) -> None:
    place = write_packed(tmp_path / "in", {"facescrub": (FACESCRUB, F), "megaface": (MEGAFACE, M)})
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    run(place, tmp_path / "out", seed=5)
    mask, vectors = read_mask(tmp_path / "out")
    assert mask.removed == [MEGAFACE[3], MEGAFACE[7]]
    wanted = by_the_scripts(FACESCRUB, 5, "")
    for name, vector in zip(mask.replaced, vectors, strict=True):
        assert wanted[f"facescrub/{name}"] == struct.pack("4i", D + 1, 1, 4, 5) + vector.tobytes() + b"\0" * 4
    assert mask.replaced == [name for name in FACESCRUB if name.split("/")[1] in FS_NOISE]
    assert read_mask(tmp_path / "out" / "mask.json")[0] == mask
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before


def test_a_list_that_hits_nothing_is_asked_about(tmp_path: Path) -> None:
    place = write_packed(tmp_path / "in", {"megaface": (MEGAFACE, M)})
    (tmp_path / "mf.txt").write_text("9/9/9.jpg\n")
    lists = {"megaface_noises": str(tmp_path / "mf.txt")}
    given = dict.fromkeys(("facescrub_noises", "facescrub_list", "megaface_list", "ending", "new_ending"), "")
    report = clean(make_job("clean"), str(place), str(tmp_path / "out"), seed=0, **given, **lists)
    assert f"is {tmp_path / 'mf.txt'} the list of noise in these images?" in report.lines[1]


def test_a_person_without_a_clean_image_is_named_with_all_others(tmp_path: Path) -> None:
    place = write_packed(tmp_path / "in", {"facescrub": (FACESCRUB, F)})
    (tmp_path / "all.txt").write_text("".join(f"P_{p}_{n}.png\n" for p in (1, 3) for n in (4, 17, 30)))
    with pytest.raises(DataError, match=r"2 people have no image that isn't noise: P_1 \(.*, P_3 \("):
        run(place, tmp_path / "out", facescrub_noises=str(tmp_path / "all.txt"), megaface_noises="")
    assert not (tmp_path / "out").exists()


def test_noise_whose_own_feature_is_missing_is_replaced_too(tmp_path: Path) -> None:
    refused = {"facescrub": {"P_0/P_0_30.png": "it is no image", "P_2/P_2_4.png": "it is no image"}}
    place = write_packed(tmp_path / "in", {"facescrub": (FACESCRUB, F), "megaface": (MEGAFACE, M)}, refused)
    data = run(place, tmp_path / "out")
    assert data["facescrub"]["without_feature"] == ["P_0/P_0_30.png", "P_2/P_2_4.png"]
    assert "P_0/P_0_30.png" in read_mask(tmp_path / "out")[0].replaced


def test_what_is_wrong_with_features_is_named_at_once(tmp_path: Path) -> None:
    place = devkit(tmp_path / "in")
    for name in (MEGAFACE[2], MEGAFACE[30]):
        path = place / "megaface" / f"{name}_r100_112x112.bin"
        path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(DataError, match="2 features can't be read"):
        run(place, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "lists"]
    (tmp_path / "lst").write_text("x/y/z.jpg\n")
    with pytest.raises(DataError, match="has a feature of none of 1 images"):
        run(place, tmp_path / "out", megaface_list=str(tmp_path / "lst"))


def test_cleaning_twice_is_refused(tmp_path: Path) -> None:
    run(devkit(tmp_path / "in"), tmp_path / "out")
    with pytest.raises(DataError, match="is clean already"):
        run(tmp_path / "out", tmp_path / "again")
    for name in ("facescrub.txt", "megaface.txt", "features.json"):
        (tmp_path / "out" / name).unlink()
    with pytest.raises(DataError, match="its 33th numbers are 0 or 100"):
        run(tmp_path / "out", tmp_path / "again")


def test_a_stopped_cleaning_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = devkit(tmp_path / "in")
    run(place, tmp_path / "whole")
    monkeypatch.setattr(module, "BLOCK", 7)
    job = make_job("clean")
    calls = iter(range(4))

    def stop(*_: object) -> bool:
        if next(calls, None) is None:
            raise StopAskedError
        return True

    monkeypatch.setattr(job, "progress", stop)
    with pytest.raises(StopAskedError):
        run(place, tmp_path / "out", job)
    (stage,) = tmp_path.glob(".out.partial.*")
    there = files_of(stage)
    assert 0 < len(there) < len(FACESCRUB) + len(MEGAFACE)
    torn = stage / sorted(there)[0]
    torn.write_bytes(torn.read_bytes()[:9])
    monkeypatch.setattr(job, "progress", lambda *_: True)
    run(place, tmp_path / "out", job)
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")
    assert not list(tmp_path.glob(".out.partial.*"))


@pytest.mark.parametrize("damage", ["vectors", "json", "format", "absent"])
def test_a_damaged_mask_is_refused(tmp_path: Path, damage: str) -> None:
    place = write_packed(tmp_path / "in", {"facescrub": (FACESCRUB, F), "megaface": (MEGAFACE, M)})
    run(place, tmp_path / "out")
    if damage == "vectors":
        np.save(tmp_path / "out" / "mask.npy", F[:1])
    elif damage == "json":
        (tmp_path / "out" / "mask.json").write_text("{}")
    elif damage == "format":
        path = tmp_path / "out" / "mask.json"
        path.write_text(path.read_text().replace('"format": 1', '"format": 9'))
    else:
        (tmp_path / "out" / "mask.json").unlink()
    with pytest.raises(ArctermError):
        read_mask(tmp_path / "out")

"""Features from one layout into the other and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arcterm.errors import ConfigError, DataError, StopAskedError
from arcterm.megaface import convert as module
from arcterm.megaface.convert import convert
from arcterm.megaface.store import open_features
from tests.jobs import make_job
from tests.megaface.folders import FACESCRUB, MEGAFACE, unit_rows, write_packed, write_tree

F, M = unit_rows(len(FACESCRUB), 8), unit_rows(len(MEGAFACE), 8, 1)


def run(src: Path, dst: Path, layout: str, ending: str = "", job: Any = None) -> dict[str, Any]:
    return convert(job or make_job("convert"), str(src), str(dst), layout=layout, ending=ending).data


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def packed(tmp_path: Path) -> Path:
    F[4] = 0
    sets = {"facescrub": (FACESCRUB, F), "megaface": (MEGAFACE, M)}
    return write_packed(tmp_path / "packed", sets, {"facescrub": {FACESCRUB[4]: "it is no image"}})


def test_there_and_back_gives_the_same_bytes(tmp_path: Path) -> None:
    place = packed(tmp_path)
    data = run(place, tmp_path / "devkit", "devkit", "_x_112x112.bin")
    assert (data["facescrub"], data["megaface"], data["width"]) == (12, 40, 8)
    there = files_of(tmp_path / "devkit")
    assert len([name for name in there if name.endswith("_x_112x112.bin")]) == 11 + 40
    assert there[f"megaface/{MEGAFACE[5]}_x_112x112.bin"][16:] == M[5].tobytes()
    assert run(tmp_path / "devkit", tmp_path / "back", "packed")["ending"] == ""
    assert files_of(tmp_path / "back") == files_of(place)


def test_the_ending_is_that_of_early_2018_if_none_is_given(tmp_path: Path) -> None:
    assert run(packed(tmp_path), tmp_path / "devkit", "devkit")["ending"] == "_r100.bin"
    assert module.usual_ending("r100", (112, 112)) == "_r100_112x112.bin"


@pytest.mark.parametrize("ending", ["_m.1_112x112.bin", "_m.bin"])
def test_files_of_others_come_back_under_their_names(tmp_path: Path, ending: str) -> None:
    write_tree(tmp_path / "theirs" / "facescrub", FACESCRUB, F, ending)
    write_tree(tmp_path / "theirs" / "megaface", MEGAFACE, M, ending)
    run(tmp_path / "theirs", tmp_path / "packed", "packed")
    found = open_features(tmp_path / "packed").require("megaface")
    assert np.array_equal(found.rows(found.find(MEGAFACE)), M)
    run(tmp_path / "packed", tmp_path / "again", "devkit")
    again = files_of(tmp_path / "again")
    assert {name: again[name] for name in again if name.endswith(".bin")} == files_of(tmp_path / "theirs")


def test_what_would_change_nothing_is_refused(tmp_path: Path) -> None:
    place = packed(tmp_path)
    with pytest.raises(DataError, match="is packed already"):
        run(place, tmp_path / "out", "packed")
    run(place, tmp_path / "devkit", "devkit", "_a.bin")
    with pytest.raises(DataError, match="is devkit already"):
        run(tmp_path / "devkit", tmp_path / "out", "devkit", "_a.bin")
    run(tmp_path / "devkit", tmp_path / "renamed", "devkit", "_b.bin")
    assert (tmp_path / "renamed" / "facescrub" / f"{FACESCRUB[0]}_b.bin").is_file()
    for ending in ("a.bin", "_a.txt", "_a/b.bin", "_\x1b.bin"):
        with pytest.raises(ConfigError, match="no ending of the devkit's files"):
            run(place, tmp_path / "out", "devkit", ending)


def test_damage_is_named_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    write_tree(tmp_path / "in", MEGAFACE, M)
    for name in (MEGAFACE[3], MEGAFACE[11]):
        (tmp_path / "in" / f"{name}_r100.bin").write_bytes(b"\x08")
    with pytest.raises(DataError, match="2 features can't be read"):
        run(tmp_path / "in", tmp_path / "out", "packed")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("layout", ["packed", "devkit"])
def test_a_stopped_conversion_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    monkeypatch.setattr(module, "BLOCK", 3)
    place = packed(tmp_path)
    if layout == "packed":
        run(place, tmp_path / "devkit", "devkit")
        place = tmp_path / "devkit"
    run(place, tmp_path / "whole", layout)
    job = make_job("convert")
    for stop in (0, 2, 5, 6):
        calls = iter(range(stop))

        def progress(*_: object, calls: Any = calls) -> bool:
            if next(calls, None) is None:
                raise StopAskedError
            return True

        monkeypatch.setattr(job, "progress", progress)
        with pytest.raises(StopAskedError):
            run(place, tmp_path / "out", layout, job=job)
        (stage,) = tmp_path.glob(".out.partial.*")
        for path in sorted(stage.rglob("*.npy"))[-1:]:
            path.write_bytes(path.read_bytes()[:-5])
    monkeypatch.setattr(job, "progress", lambda *_: True)
    run(place, tmp_path / "out", layout, job=job)
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")
